"""What is promised of events whose process is killed."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

import wideevents
from tests.conftest import FakeClock, Written, at_once
from tests.flight import ended, files, fork, in_file, killed, opened
from tests.strict import parse_line
from wideevents import health
from wideevents.entries import Entry
from wideevents.flight import Flight
from wideevents.flight.layout import HEADER_BYTES, SUFFIX, Header
from wideevents.health import Fault
from wideevents.pipeline import Pipeline
from wideevents.recorder import Recorder
from wideevents.redaction import MARKER
from wideevents.sinks.memory import MemorySink
from wideevents.stages.gate import Gate

HANDLED: dict[str, Any] = {"error.type": "KeyError", "exception.handled": True}
UNHANDLED: dict[str, Any] = {"error.type": "KeyError", "exception.handled": False}
EXPECTED: dict[str, Any] = {"error.expected": True}
STATUS = "http.response.status_code"


class Dying:
    """Kill the process after so many lines: what is recovered may be lost again."""

    def __init__(self, path: Path, left: int) -> None:
        self.path, self.left = path, left

    def write(self, entry: Entry) -> None:
        """Write a line, unless there was one too many."""
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1
        with self.path.open("ab") as file:
            file.write(entry.line)

    def close(self) -> None:
        """Do nothing."""


class Output(MemorySink):
    """Have a path, at which lines are that were written before."""

    path: str


def lose(recorder: Recorder, **fields: Any) -> int:
    """Let a process die with one event, and return its pid."""
    return killed(lambda: opened(recorder).fields.update(fields))  # type: ignore[union-attr]


def line(event_id: object, began: datetime, **fields: Any) -> bytes:
    """Return what an output might have."""
    return orjson.dumps({"timestamp": began, "event.id": event_id, "duration_ms": 1.0, **fields}) + b"\n"


@pytest.mark.usefixtures("flight")
class TestDeath:
    @pytest.mark.parametrize("how", ["SIGKILL", "SIGSEGV", "exit"])
    def test_a_process_that_dies_leaves_its_events(
        self, recorder: Recorder, flight: Flight, written: Written, how: str
    ) -> None:
        """Whatever kills it: the kernel, a fault of C code, or a way out that asks nobody."""

        def die() -> None:
            opened(recorder, "job", user={"id": 42}, note="half done").append("tags", "a")
            if how == "SIGKILL":
                os.kill(os.getpid(), signal.SIGKILL)
            elif how == "SIGSEGV":
                faulthandler.disable()  # it would tell pytest's stack
                ctypes.string_at(0)
            os._exit(3)

        child = fork(die)

        assert ended(child) == {"SIGKILL": -9, "SIGSEGV": -11, "exit": 3}[how]
        assert flight.recover(recorder) == 1
        event = written.one()
        assert (event["outcome"], event["user.id"], event["note"]) == ("lost", 42, "half done")

    def test_every_field_of_a_thousand_events_comes_back(
        self, recorder: Recorder, flight: Flight, written: Written
    ) -> None:
        """Of all that were in flight in one process, in several threads."""

        def work(start: int) -> None:
            for number in range(start, start + 250):
                event = opened(recorder, f"job {number}")
                for field in range(20):
                    event.put(f"field.{field}", f"{number}.{field}")
                event.put("field.0", None)
                event.add("count", number)

        killed(lambda: at_once(*(lambda start=start: work(start) for start in range(0, 1_000, 250))))  # type: ignore[misc]

        assert flight.recover(recorder) == 1_000
        found = {event["event.name"]: event for event in written.all()}
        assert len(found) == 1_000
        for number in range(1_000):
            event = found[f"job {number}"]
            assert event["count"] == number
            assert "field.0" not in event
            assert [event[f"field.{field}"] for field in range(1, 20)] == [f"{number}.{n}" for n in range(1, 20)]

    def test_a_lost_event_tells_when_it_was_touched_last(
        self, recorder: Recorder, clock: FakeClock, flight: Flight, written: Written
    ) -> None:
        """It began at its own time, and its duration ends there: nobody knows how long it went on in silence."""

        def work() -> None:
            event = opened(recorder)
            clock.advance(1.5)
            event.put("step", 2)
            clock.advance(60)

        killed(work)
        clock.advance(3_600)
        flight.recover(recorder)

        event = written.one()
        assert event["timestamp"] == "2026-01-02T03:04:05.678901Z"
        assert (event["lost.touched"], event["duration_ms"]) == ("2026-01-02T03:04:07.178901Z", 1_500.0)

    def test_it_may_have_begun_before_the_clock_did(
        self, recorder: Recorder, clock: FakeClock, flight: Flight, written: Written
    ) -> None:
        """A task is dated back to when its process took it, and the machine may have been started since."""

        def work() -> None:
            event = recorder.open("job", "task")
            event.started -= 5_000_000_000
            flight.begin(event)
            assert clock.monotonic() < 5_000_000_000
            event.put("a", 1)

        killed(work)
        flight.recover(recorder)

        assert (written.one()["duration_ms"], written.one()["a"]) == (5_000.0, 1)

    def test_it_keeps_its_ids(self, recorder: Recorder, flight: Flight, written: Written) -> None:
        """They are what its own calls out have told as their parent."""
        began: list[tuple[str, str]] = []
        event = opened(recorder)
        began.append((event.id, event.trace_id))
        recorder.drop(event)
        killed(lambda: opened(recorder))
        flight.recover(recorder)

        assert written.one()["event.id"] == f"{int(began[0][0], 16) + 1:016x}"
        assert written.one()["trace.id"] == f"{int(began[0][1], 16) + 1:032x}"

    def test_what_the_caller_knows_is_told(self, recorder: Recorder, flight: Flight, written: Written) -> None:
        """A parent is told how its child has ended."""
        child = lose(recorder)
        told = {"process.exit.signal": "SIGKILL"}

        assert flight.recover(recorder, pid=child + 1) == 0
        assert flight.recover(recorder, pid=child, reason="killed", **told) == 1
        event = written.one()
        assert (event["lost.reason"], event["process.exit.signal"]) == ("killed", "SIGKILL")

    def test_without_anybody_who_knows_the_reason_is_unknown(
        self, recorder: Recorder, flight: Flight, written: Written
    ) -> None:
        """At the next start, or by hand."""
        lose(recorder)
        flight.recover(recorder)

        assert written.one()["lost.reason"] == "unknown"

    def test_a_machine_that_was_started_again_is_the_reason(
        self, recorder: Recorder, flight: Flight, written: Written
    ) -> None:
        """Its boot id is another one."""
        lose(recorder)
        (path,) = files(flight)
        content = path.read_bytes()
        header = Header.read(content)
        assert header is not None
        packed = header._replace(boot=header.boot[::-1] or "-").packed()
        path.write_bytes(packed.ljust(HEADER_BYTES, b"\0") + content[HEADER_BYTES:])
        flight.recover(recorder)

        assert written.one()["lost.reason"] == "reboot"

    def test_it_is_the_dead_process_that_is_told_of(self, recorder: Recorder, flight: Flight, written: Written) -> None:
        """Not the one that tells it: its pid, its instance, its age."""
        health.lost("lines", "test", "A line was lost.")
        child = lose(recorder)
        opened_here = recorder.open("mine", "task")
        flight.recover(recorder)
        recorder.finish(opened_here)

        lost, mine = written.named("job"), written.named("mine")
        assert lost["process.pid"] == child
        assert mine["process.pid"] == os.getpid()
        assert lost["service.instance.id"] != mine["service.instance.id"]
        assert lost["service.name"] == "tests"
        assert 0 <= lost["uptime_s"]
        assert ("events.lost" in lost, mine["events.lost"]) == (False, 1)

    def test_the_age_is_that_of_the_dead(self, recorder: Recorder, flight: Flight, written: Written) -> None:
        """As it was when the event was touched last."""
        lose(recorder)
        (path,) = files(flight)
        content = path.read_bytes()
        header = Header.read(content)
        assert header is not None
        packed = header._replace(began=1_767_323_045.678901 - 12.35).packed()
        path.write_bytes(packed.ljust(HEADER_BYTES, b"\0") + content[HEADER_BYTES:])
        flight.recover(recorder)

        assert written.one()["uptime_s"] == 12.3

    def test_a_recorder_without_the_stage_for_it_says_nothing_of_the_process(
        self, recorder: Recorder, flight: Flight, written: Written
    ) -> None:
        """A pipeline of somebody's own may have no such stage."""
        recorder.pipeline = Pipeline(
            tuple(stage for stage in recorder.pipeline.stages if not hasattr(stage, "on_behalf")),
            recorder.pipeline.sinks,
        )
        lose(recorder)
        flight.recover(recorder)

        assert "process.pid" not in parse_line(written.sink.lines[0])

    def test_the_lines_come_in_the_order_of_time(
        self, recorder: Recorder, clock: FakeClock, flight: Flight, written: Written
    ) -> None:
        """Those of all processes together."""
        for seconds in (5, -4, 2):
            clock.advance(seconds)
            lose(recorder, at=seconds)
        flight.recover(recorder)

        assert [event["at"] for event in written.all()] == [-4, 2, 5]

    def test_a_name_above_another_steps_aside(self, recorder: Recorder, flight: Flight, written: Written) -> None:
        """Nobody has seen the two in this process."""
        lose(recorder, **{"cart": 1, "cart.items": 2})
        flight.recover(recorder)

        assert (written.one()["cart.value"], written.one()["cart.items"]) == (1, 2)


@pytest.mark.usefixtures("flight")
class TestLevel:
    @pytest.mark.parametrize(
        ("fields", "level"),
        [
            ({}, "error"),
            (HANDLED, "error"),
            ({STATUS: 200}, "info"),
            ({STATUS: 404}, "info"),
            ({STATUS: 499}, "info"),
            ({STATUS: 500}, "error"),
            ({STATUS: 503}, "error"),
            ({STATUS: 200, **HANDLED}, "warning"),
            ({STATUS: 200, **HANDLED, **EXPECTED}, "info"),
            ({STATUS: 200, **UNHANDLED}, "error"),
            ({STATUS: 404, **UNHANDLED, **EXPECTED}, "info"),
            ({STATUS: 200, "log.count.warning": 1}, "warning"),
            ({STATUS: 200, "log.count.error": 1}, "error"),
        ],
        ids=str,
    )
    def test_a_lost_event_matters_unless_it_was_answered(
        self, recorder: Recorder, flight: Flight, written: Written, fields: dict[str, Any], level: str
    ) -> None:
        """Without a status somebody got no answer; with one, it matters as much as the answer."""
        lose(recorder, **fields)
        flight.recover(recorder)

        event = written.one()
        assert (event["level"], event["outcome"]) == (level, "lost")
        assert event["alert.urgency"] == {"error": "page", "warning": "business_hours", "info": "none"}[level]

    def test_it_goes_through_every_stage(self, recorder: Recorder, flight: Flight, written: Written) -> None:
        """It alerts, and a gate lets it pass or not."""
        lose(recorder)
        lose(recorder, **{STATUS: 200})
        recorder.pipeline = Pipeline(
            (*recorder.pipeline.stages[:1], Gate(wideevents.Level.ERROR), *recorder.pipeline.stages[1:]),
            recorder.pipeline.sinks,
        )
        flight.recover(recorder)

        assert len(written.one()["alert.fingerprint"]) == 16


@pytest.mark.usefixtures("flight")
class TestOnce:
    def test_what_is_recovered_is_gone(self, recorder: Recorder, flight: Flight, written: Written) -> None:
        """The second time there is nothing."""
        lose(recorder)

        assert (flight.recover(recorder), flight.recover(recorder)) == (1, 0)
        assert files(flight) == []
        assert len(written.all()) == 1

    def test_the_living_are_left_alone(self, recorder: Recorder, flight: Flight, written: Written) -> None:
        """Another process, and this one itself."""
        mine = opened(recorder)
        reading, writing = os.pipe()
        child = fork(lambda: (opened(recorder), os.write(writing, b"."), time.sleep(60)))
        os.read(reading, 1)

        assert flight.recover(recorder) == 0
        assert flight.recover(recorder, pid=child) == 0
        os.kill(child, signal.SIGKILL)
        ended(child)
        assert flight.recover(recorder) == 1
        recorder.finish(mine)
        assert [event["outcome"] for event in written.all()] == ["lost", "success"]

    def test_a_pid_that_is_used_again_hides_nothing(self, recorder: Recorder, flight: Flight) -> None:
        """In a container every start has the same ones."""
        lose(recorder)
        (path,) = files(flight)
        path.rename(path.with_name(f"{os.getpid()}-{path.name.partition('-')[2]}"))

        assert flight.recover(recorder) == 1

    def test_of_several_processes_that_recover_one_does(self, recorder: Recorder, flight: Flight) -> None:
        """The workers of a server start at the same time."""
        for _ in range(20):
            killed(lambda: [opened(recorder) for _ in range(20)])
        begun, go = os.pipe()
        results: list[int] = []
        children = []
        for _ in range(5):
            reading, writing = os.pipe()

            def work(writing: int = writing) -> None:
                os.close(go)
                os.read(begun, 1)  # until everybody is there
                recorder.pipeline = Pipeline((), ())
                os.write(writing, str(flight.recover(recorder)).encode())

            children.append(fork(work))
            os.close(writing)
            results.append(reading)
        os.close(go)
        counts = [int(os.read(reading, 16)) for reading in results]
        for child in children:
            ended(child)

        assert sum(counts) == 400
        assert files(flight) == []

    def test_of_several_threads_that_recover_one_does(
        self, recorder: Recorder, flight: Flight, written: Written
    ) -> None:
        """A lock of the operating system does not keep a process from itself."""
        killed(lambda: [opened(recorder) for _ in range(50)])
        counts: list[Any] = at_once(*[lambda: flight.recover(recorder)] * 4)

        assert sum(counts) == 50
        assert len(written.all()) == 50

    def test_a_death_in_the_middle_of_it_loses_nothing(
        self, recorder: Recorder, flight: Flight, written: Written, tmp_path: Path
    ) -> None:
        """Only what is written is forgotten; no line is written twice."""
        killed(lambda: [opened(recorder, f"job {number}") for number in range(10)])
        output = tmp_path / "lines"

        def recover_some() -> None:
            recorder.pipeline = Pipeline(recorder.pipeline.stages, (Dying(output, 4),))
            flight.recover(recorder)

        assert ended(fork(recover_some)) == -signal.SIGKILL
        before = [parse_line(each)["event.name"] for each in output.read_bytes().splitlines(keepends=True)]
        assert len(before) == 4
        assert flight.recover(recorder) == 6
        names = [*before, *(event["event.name"] for event in written.all())]
        assert sorted(names) == [f"job {number}" for number in range(10)]


class TestOutput:
    def fly(self, recorder: Recorder, tmp_path: Path) -> tuple[Flight, Output, list[str]]:
        """Lose three events, and return the output that may have them, and their ids."""
        recorder.flight = flight = Flight(tmp_path / "flight")
        killed(lambda: [opened(recorder) for _ in range(3)])
        output = Output()
        output.path = str(tmp_path / "lines")
        recorder.pipeline = Pipeline(recorder.pipeline.stages, (output,))
        return flight, output, [fields["event.id"] for fields in in_file(flight)]

    def test_an_event_whose_line_is_written_is_dropped(
        self, recorder: Recorder, clock: FakeClock, tmp_path: Path
    ) -> None:
        """A kill between the line and its end leaves both."""
        flight, output, ids = self.fly(recorder, tmp_path)
        moment = datetime.fromtimestamp(clock.now(), UTC)
        Path(output.path).write_bytes(line(ids[1], moment, **{"event.kind": "task"}))

        assert flight.recover(recorder) == 2
        assert files(flight) == []
        assert [orjson.loads(each)["event.id"] for each in output.lines] == [ids[0], ids[2]]

    def test_a_log_line_of_an_event_is_not_its_line(self, recorder: Recorder, clock: FakeClock, tmp_path: Path) -> None:
        """It carries the id of the event, too."""
        flight, output, ids = self.fly(recorder, tmp_path)
        moment = datetime.fromtimestamp(clock.now(), UTC)
        Path(output.path).write_bytes(
            b"text\n" + line(ids[0], moment, message="so far") + b"{broken " + line(ids[1], moment)
        )

        assert flight.recover(recorder) == 3

    def test_only_the_end_of_a_long_output_is_read(self, recorder: Recorder, clock: FakeClock, tmp_path: Path) -> None:
        """What was written long before the event began cannot have it."""
        flight, output, ids = self.fly(recorder, tmp_path)
        moment = datetime.fromtimestamp(clock.now(), UTC)
        known = {"event.kind": "task", "padding": "x" * 1_000}
        older = line("f" * 16, moment - timedelta(hours=1), **known) * 3_000
        newer = line("e" * 16, moment, **known) * 3_000
        forged = line(ids[0], moment - timedelta(hours=2), **known)
        found = [line(event_id, moment, **known) for event_id in ids[1:]]
        Path(output.path).write_bytes(forged + older + found[0] + newer + found[1])

        assert flight.recover(recorder) == 1
        assert orjson.loads(output.lines[0])["event.id"] == ids[0]

    def test_a_caller_may_know_more(self, recorder: Recorder, tmp_path: Path) -> None:
        """It is asked once, for all ids."""
        flight, _, ids = self.fly(recorder, tmp_path)
        asked: list[set[str]] = []

        def known(each: Any) -> set[str]:
            asked.append(set(each))
            return {ids[0]}

        assert flight.recover(recorder, known=known) == 2
        assert asked == [set(ids)]
        assert flight.recover(recorder, known=known) == 0
        assert len(asked) == 1


@pytest.mark.usefixtures("flight")
class TestDamage:
    def test_half_an_entry_does_not_count(self, recorder: Recorder, flight: Flight, written: Written) -> None:
        """What a kill has cut in the middle of a write is left out, and all before it is there."""

        def work() -> None:
            event: Any = opened(recorder, whole=1)
            slot, at = event.fields._slot, event.fields._at
            slot.memory[at : at + 9] = b'{"half":2'

        killed(work)
        flight.recover(recorder)

        event = written.one()
        assert (event["whole"], "half" in event) == (1, False)

    def test_the_end_of_an_entry_may_come_before_its_beginning(
        self, recorder: Recorder, flight: Flight, written: Written
    ) -> None:
        """No order is promised in which bytes are copied."""

        def work() -> None:
            event: Any = opened(recorder, whole=1)
            slot, at = event.fields._slot, event.fields._at
            slot.memory[at + 3 : at + 11] = b'alf":2}\n'
            slot.memory[at + 11 : at + 22] = b'{"half":2}\n'

        killed(work)
        flight.recover(recorder)

        assert (written.one()["whole"], "half" in written.one()) == (1, False)

    def test_a_secret_that_stands_there_all_the_same_is_hidden(
        self, recorder: Recorder, flight: Flight, written: Written
    ) -> None:
        """The process that died may have been told to hide less."""

        def work() -> None:
            event: Any = opened(recorder)
            slot, at = event.fields._slot, event.fields._at
            slot.memory[at : at + 31] = b'{"note":"login password=Zx9pw"}'

        killed(work)
        flight.recover(recorder)

        assert written.one()["note"] == f"login password={MARKER}"

    @pytest.mark.parametrize(
        "journal",
        [
            b"[1]\n",
            b'{"timestamp":5}\n',
            b'{"timestamp":"2026-01-02"}\n',
            b"nonsense\n",
            b'"text"\n',
            b"",
            b'["a",0,1]\n{"timestamp":"2026-01-02T03:04:05Z","event.name":1}\n',
        ],
        ids=str,
    )
    def test_what_makes_no_sense_is_passed_over(
        self, recorder: Recorder, flight: Flight, written: Written, journal: bytes
    ) -> None:
        """A disk may have lost something; the others are recovered."""

        def work() -> None:
            event: Any = opened(recorder)
            slot, at = event.fields._slot, event.fields._at
            slot.memory[slot.begins[0] : at] = journal.ljust(at - slot.begins[0], b"\0")
            opened(recorder, "whole")

        killed(work)

        assert flight.recover(recorder) == 1
        assert written.one()["event.name"] == "whole"

    def test_a_file_that_is_cut_gives_what_it_has(self, recorder: Recorder, flight: Flight) -> None:
        """The slots that are whole."""
        killed(lambda: [opened(recorder) for _ in range(3)])
        (path,) = files(flight)
        os.truncate(path, HEADER_BYTES + 2 * 2 * flight.slot_bytes + 5)

        assert flight.recover(recorder) == 2

    @pytest.mark.parametrize(
        "content", [b"not ours", b"wideflgt" + bytes(12), b"wideflgt\2\0\0\0\0\x40\0\0\5\0\0\0{}   "], ids=str
    )
    def test_what_is_no_file_of_ours_is_left_there(self, recorder: Recorder, flight: Flight, content: bytes) -> None:
        """It is told once."""
        path = flight.directory / f"1-other{SUFFIX}"
        path.write_bytes(content)

        assert (flight.recover(recorder), flight.recover(recorder)) == (0, 0)
        assert path.read_bytes() == content
        assert health.faults.counts() == {Fault.STAGE: 2}

    def test_a_header_that_makes_no_sense_is_none(self, recorder: Recorder, flight: Flight) -> None:
        """As all that makes none."""
        lose(recorder)
        (path,) = files(flight)
        content = bytearray(path.read_bytes())
        content[20] = ord("x")
        path.write_bytes(bytes(content))

        assert flight.recover(recorder) == 0
        assert files(flight) == [path]

    def test_a_process_that_died_before_it_had_written_anything_leaves_nothing(
        self, recorder: Recorder, flight: Flight
    ) -> None:
        """Its empty file is removed."""
        (flight.directory / f"1-empty{SUFFIX}").touch()

        assert flight.recover(recorder) == 0
        assert files(flight) == []

    def test_other_files_are_none_of_its_business(self, recorder: Recorder, flight: Flight) -> None:
        """Nor are directories, and links that lead elsewhere."""
        (flight.directory / "notes.txt").write_text("mine")
        (flight.directory / f"1-directory{SUFFIX}").mkdir()
        (flight.directory / f"1-link{SUFFIX}").symlink_to("notes.txt")

        assert flight.recover(recorder) == 0
        assert len(files(flight)) == 3

    def test_a_directory_that_is_gone_is_empty(self, recorder: Recorder, flight: Flight) -> None:
        """There is nothing to recover."""
        flight.directory.rmdir()

        assert flight.recover(recorder) == 0

    def test_a_file_that_somebody_has_removed_meanwhile_is_done(
        self, recorder: Recorder, flight: Flight, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whoever had it locked has recovered it, also where another file has its name by now."""
        lose(recorder)
        (path,) = files(flight)
        content = path.read_bytes()

        def lock(_: int) -> bool:
            path.unlink()
            path.write_bytes(content)
            return True

        with monkeypatch.context() as patch:
            patch.setattr("wideevents.flight.wrecks.lock", lock)
            assert flight.recover(recorder) == 0
        assert flight.recover(recorder) == 1

    def test_a_disk_that_fails_is_told(
        self, recorder: Recorder, flight: Flight, written: Written, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nothing is raised into whoever recovers, and what is not told is there the next time."""
        lose(recorder)

        def write(*_: object) -> None:
            raise OSError(5, "Input/output error")

        with monkeypatch.context() as patch:
            patch.setattr("wideevents.flight.wrecks.write", write)
            assert flight.recover(recorder) == 0
        assert health.faults.counts() == {Fault.STAGE: 1}
        assert flight.recover(recorder) == 1
        assert len({event["event.id"] for event in written.all()}) == 1
