"""What is promised of an event whose process is killed, and whose line another process writes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import FakeClock, Written, in_child
from tests.flight import ended, files, fork, in_file, killed, opened
from tests.flight.test_live import SMALL
from tests.flight.test_recovery import Output, line
from wideevents import health
from wideevents.events import Event
from wideevents.exceptions import describe
from wideevents.flight import Flight
from wideevents.flight.handover import Handover
from wideevents.flight.layout import HEADER_BYTES, SUFFIX
from wideevents.flight.slots import lock
from wideevents.flight.wrecks import Wreck, claimed, seen
from wideevents.health import Fault
from wideevents.levels import Level
from wideevents.pipeline import Pipeline
from wideevents.recorder import Recorder
from wideevents.redaction import MARKER

ID = "b7ad6b7169203331"


class ExplainedError(Exception):
    """It says more of itself than others do."""

    why = "The shop is closed."


pytestmark = pytest.mark.usefixtures("flight")


def task(recorder: Recorder, **fields: Any) -> Event:
    """Open the event of a task in the process that runs it."""
    event = recorder.open("job", "task", event_id=ID)
    assert recorder.flight is not None
    recorder.flight.begin(event)
    for name, value in fields.items():
        event.put(name, value)
    return event


def lose(recorder: Recorder, **fields: Any) -> int:
    """Let the process of a task die, and return its pid."""
    return killed(lambda: task(recorder, **fields))


def lose_after(recorder: Recorder, work: Callable[[Event], object]) -> int:
    """Let the process of a task die that has done some work."""
    return killed(lambda: work(task(recorder)))


def watched(recorder: Recorder, **fields: Any) -> Event:
    """Open the event in the process that watches over the task."""
    event = recorder.open("job", "task", event_id=ID)
    for name, value in fields.items():
        event.put(name, value)
    return event


def tell(flight: Flight | Handover, event: Event, pid: int = 0) -> bool:
    """Write the line of a task whose process is killed, and return whether it was asked for."""
    with flight if isinstance(flight, Handover) else flight.take(event, pid) as is_untold:
        if is_untold:
            event.recorder.finish(event)
        else:
            event.recorder.drop(event)
    return is_untold


def seen_by_another(flight: Flight, pid: int) -> list[list[str]]:
    """Return the ids of the events that another process finds in the files of *pid*, for each of them."""
    found: list[list[str]] = in_child(
        lambda: [[lost.fields["event.id"] for lost in wreck.lost()] for wreck in seen(flight.directory, pid)]
    )
    return found


def filler(clock: FakeClock) -> bytes:
    """Return lines of another event that ended just now, more than are read at once."""
    told = {"event.kind": "task", "padding": "x" * 1_000}
    return line("f" * 16, datetime.fromtimestamp(clock.now(), UTC), **told) * 3_000


class Child:
    """A process that does something, and then waits to be killed, or to go on."""

    def __init__(self, *works: Callable[[], object]) -> None:
        (told, self._tells), (self._hears, said) = os.pipe(), os.pipe()

        def work() -> None:
            for each in works:
                os.read(told, 1)
                each()
                os.write(said, b".")
            time.sleep(60)

        self.pid = fork(work)
        os.close(told)
        os.close(said)
        self.go_on()

    def go_on(self) -> None:
        """Let it do the next thing, and wait until it has."""
        os.write(self._tells, b".")
        assert os.read(self._hears, 1) == b".", "it could not"

    def kill(self) -> None:
        """Let it die."""
        os.kill(self.pid, signal.SIGKILL)
        assert ended(self.pid) == -signal.SIGKILL
        os.close(self._tells)
        os.close(self._hears)


class TestFields:
    def test_what_the_task_had_added_is_there(
        self, recorder: Recorder, clock: FakeClock, flight: Flight, written: Written
    ) -> None:
        """With the time at which it was touched last."""

        def work(event: Event) -> None:
            clock.advance(1.5)
            event.put("step", 2)
            event.append("tags", "a")

        child = lose_after(recorder, work)

        assert tell(flight, watched(recorder), child)
        event = written.one()
        assert (event["event.id"], event["step"], event["tags"]) == (ID, 2, ["a"])
        assert event["lost.touched"] == "2026-01-02T03:04:07.178901Z"
        assert "lost.reason" not in event

    def test_what_is_known_here_stays(
        self, recorder: Recorder, clock: FakeClock, flight: Flight, written: Written
    ) -> None:
        """It is newer; how the task ended is known here alone."""
        event = watched(recorder, both="here")
        clock.advance(2)
        child = lose(recorder, both="there", mine=1)
        event.outcome = "cancelled"

        assert tell(flight, event, child)
        told = written.one()
        assert (told["both"], told["mine"], told["outcome"]) == ("here", 1, "cancelled")
        assert (told["timestamp"], told["duration_ms"]) == ("2026-01-02T03:04:05.678901Z", 2_000.0)

    def test_the_trace_is_that_which_others_were_told(
        self, recorder: Recorder, flight: Flight, written: Written
    ) -> None:
        """Each of the two has drawn one, where no message had any."""
        child = lose(recorder)
        recorder.ids.trace_id()
        event = watched(recorder)
        drawn = event.trace_id

        assert tell(flight, event, child)
        assert written.one()["trace.id"] == event.trace_id == f"{int(drawn, 16) - 1:032x}"

    def test_the_error_of_the_task_stands_where_there_is_no_other(
        self, recorder: Recorder, flight: Flight, written: Written
    ) -> None:
        """It matters as much as it did there."""
        child = lose_after(recorder, lambda event: event.fail(KeyError("a"), level=Level.WARNING, handled=True))

        assert tell(flight, watched(recorder), child)
        event = written.one()
        assert (event["error.type"], event["error.count"], event["level"]) == ("KeyError", 1, "warning")

    def test_the_error_that_has_ended_it_stands(self, recorder: Recorder, flight: Flight, written: Written) -> None:
        """The other one is counted, and no part of it is left."""
        error = ExplainedError("a")
        child = lose_after(recorder, lambda event: event.fail(error, level=Level.WARNING, handled=True))
        event = watched(recorder)
        event.fail(RuntimeError("lost"))
        assert tell(flight, event, child)
        told = written.one()
        assert (told["error.type"], told["exception.message"], told["exception.handled"]) == (
            "RuntimeError",
            "lost",
            False,
        )
        assert (told["error.count"], told["level"], told["outcome"]) == (2, "error", "failure")
        assert "error.why" in describe(error, recorder.application)
        assert "error.why" not in told

    def test_what_both_have_counted_adds_up(self, recorder: Recorder, flight: Flight, written: Written) -> None:
        """The lines that were logged of it, here and there."""

        def log(event: Event) -> None:
            event.logged(Level.WARNING, "careful", raises=True)
            event.logged(Level.WARNING, "careful", raises=True)

        child = lose_after(recorder, log)
        event = watched(recorder)
        event.logged(Level.WARNING, "gone", raises=False)

        assert tell(flight, event, child)
        assert (written.one()["log.count.warning"], written.one()["level"]) == (3, "warning")

    def test_a_count_that_is_none_is_not_added(self, recorder: Recorder, flight: Flight, written: Written) -> None:
        """A disk may have lost something."""
        child = lose_after(recorder, lambda event: (event.fields or {}).update({"log.count.warning": "many"}))
        event = watched(recorder)
        event.logged(Level.WARNING, "gone", raises=False)

        assert tell(flight, event, child)
        assert written.one()["log.count.warning"] == 1

    def test_a_secret_that_stands_there_is_hidden(self, recorder: Recorder, flight: Flight, written: Written) -> None:
        """The process that died may have been told to hide less."""

        def forge(event: Any) -> None:
            slot, at = event.fields._slot, event.fields._at
            slot.memory[at : at + 31] = b'{"note":"login password=Zx9pw"}'

        child = lose_after(recorder, forge)

        assert tell(flight, watched(recorder), child)
        assert written.one()["note"] == f"login password={MARKER}"

    def test_a_name_above_another_steps_aside(self, recorder: Recorder, flight: Flight, written: Written) -> None:
        """Nobody has seen the two in this process."""
        child = lose(recorder, **{"cart": 1, "cart.items": 2})

        assert tell(flight, watched(recorder), child)
        assert (written.one()["cart.value"], written.one()["cart.items"]) == (1, 2)

    def test_one_that_has_ended_here_takes_nothing(self, recorder: Recorder, flight: Flight, written: Written) -> None:
        """Its line is out."""
        child = lose(recorder, mine=1)
        event = watched(recorder)
        recorder.finish(event)

        assert tell(flight, event, child)
        assert "mine" not in written.one()


class TestOnce:
    def test_nobody_tells_it_once_more(self, recorder: Recorder, flight: Flight) -> None:
        """The file is gone."""
        child = lose(recorder)

        assert tell(flight, watched(recorder), child)
        assert files(flight) == []
        assert flight.recover(recorder) == 0

    def test_what_else_was_in_progress_is_left_to_whoever_recovers(
        self, recorder: Recorder, flight: Flight, written: Written
    ) -> None:
        """An event inside that of the task is another one."""
        child = killed(lambda: (opened(recorder, "before"), task(recorder), opened(recorder, "after")))

        assert tell(flight, watched(recorder), child)
        assert [fields["event.name"] for fields in in_file(flight)] == ["before", "after"]
        assert flight.recover(recorder) == 2
        assert [event["outcome"] for event in written.all()] == ["success", "lost", "lost"]

    def test_the_files_of_others_are_left_alone(self, recorder: Recorder, flight: Flight) -> None:
        """Whatever they have in them, and if it is nothing."""
        killed(lambda: opened(recorder, "other"))
        killed(lambda: recorder.drop(opened(recorder)))
        other = files(flight)
        child = lose(recorder)

        assert tell(flight, watched(recorder), child)
        assert files(flight) == other
        assert flight.recover(recorder) == 1

    def test_a_file_that_another_process_of_the_same_pid_has_left_is_one_of_others(
        self, recorder: Recorder, flight: Flight
    ) -> None:
        """In a container every start has the same ones."""
        killed(lambda: opened(recorder, "other"))
        (path,) = files(flight)
        child = lose(recorder)
        path.rename(path.with_name(f"{child}-{path.name.partition('-')[2]}"))

        assert tell(flight, watched(recorder), child)
        assert [fields["event.name"] for fields in in_file(flight)] == ["other"]

    def test_it_is_forgotten_after_its_line(self, recorder: Recorder, flight: Flight, written: Written) -> None:
        """Who is killed before that leaves it to others."""
        child = lose(recorder)
        event = watched(recorder)
        with flight.take(event, child):
            recorder.finish(event)
            (wreck,) = seen_by_another(flight, child)
            assert wreck == [ID]

        assert seen_by_another(flight, child) == []

    def test_a_process_that_dies_with_it_leaves_it(self, recorder: Recorder, flight: Flight, written: Written) -> None:
        """The one that watches is killed before it has written the line."""
        child = lose(recorder, mine=1)
        watcher = killed(lambda: flight.take(watched(recorder), child).__enter__())

        assert watcher != child
        assert flight.recover(recorder) == 1
        assert (written.one()["outcome"], written.one()["mine"]) == ("lost", 1)

    def test_a_disk_that_fails_is_told(
        self, recorder: Recorder, flight: Flight, written: Written, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The line is written, and the file is nobody's."""
        child = lose(recorder, mine=1)

        def write(*_: object) -> None:
            raise OSError(5, "Input/output error")

        with monkeypatch.context() as patch:
            patch.setattr("wideevents.flight.wrecks.write", write)
            assert tell(flight, watched(recorder), child)
        assert written.one()["mine"] == 1
        assert health.faults.counts() == {Fault.STAGE: 1}
        assert len(in_file(flight)) == 1

    def test_a_directory_that_cannot_be_read_costs_the_fields(
        self, recorder: Recorder, flight: Flight, written: Written, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A process may have as many files open as it may."""
        child = lose(recorder, mine=1)

        def glob(*_: object) -> None:
            raise OSError(24, "Too many open files")

        with monkeypatch.context() as patch:
            patch.setattr(Path, "glob", glob)
            assert tell(flight, watched(recorder), child)
        assert "mine" not in written.one()
        assert health.faults.counts() == {Fault.STAGE: 1}

    def test_a_disk_that_cannot_be_read_costs_the_fields(
        self, recorder: Recorder, flight: Flight, written: Written, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The line is written all the same."""
        child = lose(recorder, mine=1)

        def find(*_: object) -> None:
            raise OSError(5, "Input/output error")

        with monkeypatch.context() as patch:
            patch.setattr(Wreck, "find", find)
            assert tell(flight, watched(recorder), child)
        assert "mine" not in written.one()
        assert health.faults.counts() == {Fault.STAGE: 1}
        assert len(in_file(flight)) == 1


class TestNothing:
    def test_no_file_leaves_the_event_as_it_is(self, recorder: Recorder, flight: Flight, written: Written) -> None:
        """The process had no flight recorder, or nothing to tell it."""
        assert tell(flight, watched(recorder, mine=1), killed(lambda: None))
        assert (written.one()["mine"], "lost.touched" in written.one()) == (1, False)

    def test_a_file_without_it_is_none(self, recorder: Recorder, flight: Flight, written: Written) -> None:
        """What had ended there has had its line, or was dropped; the file is empty."""
        child = killed(lambda: (recorder.drop(task(recorder, mine=1)), flight.end(opened(recorder, "other"))))
        assert len(files(flight)) == 1

        assert tell(flight, watched(recorder), child)
        assert "mine" not in written.one()
        assert files(flight) == []

    def test_one_that_makes_no_sense_is_none(self, recorder: Recorder, flight: Flight, written: Written) -> None:
        """A disk may have lost something; nobody has told it."""

        def forge(event: Any) -> None:
            slot, at = event.fields._slot, event.fields._at
            content = b'{"event.id":"%b"}' % ID.encode()
            slot.memory[slot.begins[0] : at] = content.ljust(at - slot.begins[0], b"\0")

        assert tell(flight, watched(recorder), lose_after(recorder, forge))
        assert len(written.all()) == 1

    def test_our_own_file_is_none(self, recorder: Recorder, flight: Flight, written: Written) -> None:
        """A greenlet is no process: what it knows is here."""
        own = opened(recorder, "own")

        assert tell(flight, watched(recorder), os.getpid())
        recorder.drop(own)
        assert flight.recover(recorder) == 0
        assert len(written.all()) == 1

    def test_the_empty_file_of_the_living_is_theirs(self, recorder: Recorder, flight: Flight) -> None:
        """They have yet to write into it; that of the dead is removed."""
        path = flight.directory / f"0-new{SUFFIX}"
        child = Child(lambda: lock(os.open(path, os.O_RDWR | os.O_CREAT)))

        assert (seen(flight.directory, 0), path.exists()) == ([], True)
        child.kill()
        assert (seen(flight.directory, 0), path.exists()) == ([], False)


class TestTheLiving:
    """A process that is about to be killed has its file locked."""

    def test_is_told_before_its_death(self, recorder: Recorder, flight: Flight, written: Written) -> None:
        """Nobody tells it afterwards."""
        child = Child(lambda: task(recorder, mine=1))

        assert tell(flight, watched(recorder), child.pid)
        assert len(files(flight)) == 1
        child.kill()
        assert flight.recover(recorder) == 0
        assert (len(written.all()), written.one()["mine"]) == (1, 1)

    @pytest.mark.parametrize("size", [10, SMALL * 2])
    def test_what_it_does_afterwards_does_not_count(
        self, recorder: Recorder, tmp_path: Path, written: Written, size: int
    ) -> None:
        """Also if it writes all that it knows anew."""
        recorder.flight = flight = Flight(tmp_path / "small", slot_bytes=SMALL)
        kept: list[Event] = []
        child = Child(
            lambda: kept.append(task(recorder, mine=1)),
            lambda: [kept[0].put("more", "x" * 100) for _ in range(size)],
        )

        assert tell(flight, watched(recorder), child.pid)
        child.go_on()
        child.kill()
        assert flight.recover(recorder) == 0
        assert len(written.all()) == 1

    def test_another_event_of_its_counts(self, recorder: Recorder, flight: Flight, written: Written) -> None:
        """It may have come to the next one."""
        kept: list[Event] = []
        child = Child(
            lambda: kept.append(task(recorder)), lambda: (recorder.drop(kept[0]), opened(recorder, "next", mine=1))
        )

        assert tell(flight, watched(recorder), child.pid)
        child.go_on()
        child.kill()
        assert flight.recover(recorder) == 1
        assert written.named("next")["mine"] == 1

    def test_is_found_whatever_it_does(self, recorder: Recorder, tmp_path: Path) -> None:
        """It may write all that it knows anew while it is read."""
        recorder.flight = flight = Flight(tmp_path / "small", slot_bytes=SMALL)

        def work() -> None:
            event = task(recorder, mine=1)
            os.write(writing, b".")
            while True:
                event.put("more", "x" * 1_000)

        reading, writing = os.pipe()
        child = fork(work)
        os.read(reading, 1)
        found = 0
        for _ in range(2_000):
            (wreck,) = seen(flight.directory, child)
            lost = wreck.find(ID)
            found += lost is not None and lost.fields["mine"] == 1
            wreck.close(remove=False)
        os.kill(child, signal.SIGKILL)
        ended(child)

        assert found == 2_000


class TestSomebodyElse:
    """Whoever recovers at the same time, and comes first, writes the line."""

    def test_who_is_at_it_writes_the_line(self, recorder: Recorder, flight: Flight, written: Written) -> None:
        """They have the file locked, and it is there until they have."""
        lost = lose(recorder, mine=1)
        kept: list[Wreck] = []
        child = Child(lambda: kept.extend(claimed(flight.directory, None)))

        assert not tell(flight, watched(recorder), lost)
        assert written.all() == []
        child.kill()
        assert flight.recover(recorder) == 1
        assert written.one()["mine"] == 1

    @pytest.mark.parametrize("again", [0, 1_000], ids=["in the first half", "in the second half"])
    def test_who_has_just_done_so_leaves_it_told(
        self, recorder: Recorder, flight: Flight, written: Written, again: int
    ) -> None:
        """And may be killed before the file is removed."""
        lost = lose_after(recorder, lambda event: [event.put("more", "x" * 10) for _ in range(again)])
        assert files(flight)[0].read_bytes()[HEADER_BYTES] == (2 if again else 1)
        child = Child(lambda: [wreck.told(each) for wreck in claimed(flight.directory, None) for each in wreck.lost()])
        child.kill()
        assert len(files(flight)) == 1

        assert not tell(flight, watched(recorder), lost)
        assert (written.all(), files(flight)) == ([], [])

    @pytest.mark.parametrize("remove", [True, False])
    def test_who_does_so_meanwhile_is_seen(
        self, recorder: Recorder, flight: Flight, written: Written, remove: bool
    ) -> None:
        """Whoever takes it has had the file open before, and knows what was in it."""
        lost, kept = lose(recorder), list[Wreck]()
        child = Child(
            lambda: kept.extend(claimed(flight.directory, None)),
            lambda: [wreck.told(each) for wreck in kept for each in wreck.lost()] and kept[0].close(remove=remove),
        )
        taking, event = flight.take(watched(recorder), lost), recorder.in_progress[ID]
        child.go_on()

        assert not tell(taking, event)
        assert written.all() == []
        child.kill()
        assert flight.recover(recorder) == 0

    def test_nobody_recovers_what_is_taken(self, recorder: Recorder, flight: Flight, written: Written) -> None:
        """From the moment on at which it is, and not only while the line is written."""
        lost = lose(recorder, mine=1)
        taking = flight.take(watched(recorder), lost)
        reading, writing = os.pipe()
        other = fork(lambda: os.write(writing, b"%d" % flight.recover(recorder)))

        assert os.read(reading, 1) == b"0"
        ended(other)
        assert tell(taking, recorder.in_progress[ID])
        assert written.one()["mine"] == 1

    def test_who_has_done_so_is_found_in_an_output(
        self, recorder: Recorder, clock: FakeClock, flight: Flight, tmp_path: Path
    ) -> None:
        """In one that is a file; it was written after the event began."""
        output = Output()
        output.path = str(tmp_path / "lines")
        recorder.pipeline = Pipeline(recorder.pipeline.stages, (output,))
        event = watched(recorder)
        lost = lose(recorder)
        assert flight.recover(recorder) == 1
        clock.advance(1_800)
        Path(output.path).write_bytes(output.lines[0] + filler(clock))
        clock.advance(1_800)

        assert not tell(flight, event, lost)
        assert len(output.lines) == 1

    def test_a_line_of_another_event_is_none(
        self, recorder: Recorder, clock: FakeClock, flight: Flight, tmp_path: Path
    ) -> None:
        """Nor is one that was written long before."""
        output = Output()
        output.path = str(tmp_path / "lines")
        recorder.pipeline = Pipeline(recorder.pipeline.stages, (output,))
        before = datetime.fromtimestamp(clock.now(), UTC)
        clock.advance(1_800)
        Path(output.path).write_bytes(line(ID, before, **{"event.kind": "task"}) + filler(clock))
        clock.advance(1_800)

        assert tell(flight, watched(recorder), killed(lambda: None))
        assert len(output.lines) == 1

    def test_in_any_other_output_there_are_two(self, recorder: Recorder, flight: Flight, written: Written) -> None:
        """Nobody can tell then; no line is lost."""
        lost = lose(recorder)
        assert flight.recover(recorder) == 1

        assert tell(flight, watched(recorder), lost)
        assert [event["outcome"] for event in written.all()] == ["lost", "success"]
