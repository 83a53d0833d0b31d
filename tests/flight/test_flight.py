"""What the flight recorder promises."""

from __future__ import annotations

import gc
import importlib.util
import os
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import pytest

import wideevents
from tests.conftest import Written, at_once, in_child
from tests.flight import files, killed, opened, raw
from tests.flight.test_live import full_disk, journal, known, live
from tests.integrations.servers import lines_caught
from wideevents import batch, health
from wideevents.errors import ConfigurationError
from wideevents.flight import Flight, layout, slots
from wideevents.flight.layout import SUFFIX
from wideevents.flight.slots import held, identity
from wideevents.health import Fault
from wideevents.integrations._tasks import Message, Run, Tasks
from wideevents.recorder import Recorder
from wideevents.stages.enrich import Enrich


class TestSettings:
    @pytest.mark.parametrize("given", [None, "", 5, b"directory", "a\0b", "/dev/null", "/dev/null/below"], ids=repr)
    def test_what_is_no_directory_is_refused(self, given: Any) -> None:
        """With a sentence that names the setting."""
        with pytest.raises(ConfigurationError, match=r"^flight="):
            Flight(given)

    @pytest.mark.parametrize("given", [0, 4_095, 1_048_577, 16_384.0, "16k", True], ids=repr)
    def test_what_is_no_size_is_refused(self, tmp_path: Path, given: Any) -> None:
        """A page is the least."""
        with pytest.raises(ConfigurationError, match=r"^slot_bytes="):
            Flight(tmp_path, slot_bytes=given)

    def test_a_size_is_whole_pages(self, tmp_path: Path) -> None:
        """They are what a disk and the memory know."""
        assert Flight(tmp_path, slot_bytes=4_097).slot_bytes == 8_192
        assert Flight(tmp_path, slot_bytes=4_096).slot_bytes == 4_096
        assert Flight(tmp_path).slot_bytes == 16_384

    def test_a_directory_that_is_not_there_is_made(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """With those above it; one that is there stays as it is."""
        monkeypatch.chdir(tmp_path)
        (tmp_path / "there").mkdir(mode=0o755)

        made, there = Flight("a/b"), Flight(tmp_path / "there")
        assert made.directory == tmp_path / "a" / "b"
        assert made.directory.stat().st_mode & 0o777 == 0o700
        assert there.directory.stat().st_mode & 0o777 == 0o755

    def test_a_directory_that_may_not_be_written_is_refused(self) -> None:
        """Where it is given: the kernel's own takes no files from anybody."""
        with pytest.raises(ConfigurationError, match=r"^flight='/sys'"):
            Flight("/sys")

    def test_windows_has_none(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """There are no locks that go with their process."""
        monkeypatch.setattr(sys, "platform", "win32")

        with pytest.raises(ConfigurationError, match="Windows"):
            Flight(tmp_path)

    @pytest.mark.usefixtures("reconfigurable")
    def test_the_directory_is_a_setting_of_the_process(self, tmp_path: Path, written: Written) -> None:
        """Then every event is followed."""
        wideevents.configure(output=written.sink, logging=False, flight=tmp_path)
        with wideevents.event("job") as event:
            wideevents.add_field("cart.items", 3)
            assert journal(event)["cart.items"] == 3

        assert written.one()["cart.items"] == 3


class TestFiles:
    def test_a_process_without_events_has_no_file(self, flight: Flight) -> None:
        """It is made with the first event."""
        assert files(flight) == []

    def test_a_process_has_one_file(self, recorder: Recorder, flight: Flight) -> None:
        """For all its events, and its pid is in the name."""
        for _ in range(3):
            opened(recorder)

        (path,) = files(flight)
        assert path.name.startswith(f"{os.getpid()}-")
        assert path.suffix == SUFFIX

    def test_it_says_whose_it_is(self, recorder: Recorder, flight: Flight) -> None:
        """What every line of the process has, and since when it runs."""
        opened(recorder)
        header = layout.Header.read(raw(flight))
        (enrich,) = (stage for stage in recorder.pipeline.stages if isinstance(stage, Enrich))

        assert header is not None
        assert header.static == {**enrich.process, "process.pid": os.getpid()}
        assert abs(header.began + enrich.uptime() - time.time()) < min(enrich.uptime(), 0.5)

    def test_several_threads_have_the_same_file(self, recorder: Recorder, flight: Flight) -> None:
        """Also when all of them come first."""
        events = at_once(*[lambda: opened(recorder)] * 8)

        assert len(files(flight)) == 1
        assert len({journal(event)["event.id"] for event in events}) > 0  # type: ignore[arg-type]

    def test_a_file_goes_with_its_recorder(self, recorder: Recorder, flight: Flight) -> None:
        """Unless an event has not ended: then it is there for who recovers."""
        empty, left = Flight(flight.directory), Flight(flight.directory)
        for each in (empty, left):
            recorder.flight = each
            event = opened(recorder)
            if each is empty:
                recorder.drop(event)
        recorder.in_progress.clear()
        assert len(files(flight)) == 2
        recorder.flight = None
        del empty, left, each, event
        gc.collect()

        assert len(files(flight)) == 1
        assert flight.recover(recorder) == 1

    def test_a_process_that_ends_well_leaves_nothing(self, tmp_path: Path) -> None:
        """Its file is removed at its exit."""
        program = "import sys, wideevents; wideevents.configure(output='/dev/null', flight=sys.argv[1])\n"
        program += "with wideevents.event('job'): pass\n"
        done = os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-c", program, str(tmp_path)])

        assert (done, list(tmp_path.iterdir())) == (0, [])

    def test_an_event_that_has_ended_leaves_no_bytes(self, recorder: Recorder, flight: Flight) -> None:
        """Its slot is all zeros."""
        event = opened(recorder, note="to be forgotten")
        assert b"to be forgotten" in raw(flight)
        recorder.drop(event)

        assert b"to be forgotten" not in raw(flight)

    def test_slots_are_used_again(self, recorder: Recorder, flight: Flight) -> None:
        """The file does not grow with the number of events, but with that of events in flight."""
        sizes = set()
        for _ in range(300):
            recorder.drop(opened(recorder))
            sizes.add(files(flight)[0].stat().st_blocks)

        assert len(sizes) == 1

    def test_ten_thousand_events_are_in_flight(self, recorder: Recorder, flight: Flight, written: Written) -> None:
        """A page of the disk for each, no more, and few descriptors."""

        def work() -> None:
            descriptors = len(os.listdir("/dev/fd"))
            for number in range(10_000):
                opened(recorder, number=number)
            assert len(os.listdir("/dev/fd")) - descriptors < 12

        killed(work)
        (path,) = files(flight)
        assert path.stat().st_blocks * 512 < 10_100 * 4_096 + 65_536
        assert flight.recover(recorder) == 10_000
        assert {event["number"] for event in written.all()} == {*range(10_000)}

    def test_two_recorders_may_have_one_directory(self, recorder: Recorder, flight: Flight) -> None:
        """A process that is configured again has two for a while; neither takes the other for dead."""
        first = opened(recorder)
        recorder.flight = other = Flight(flight.directory)
        second = opened(recorder)

        assert (other.recover(recorder), flight.recover(recorder)) == (0, 0)
        assert in_child(lambda: flight.recover(recorder)) == 0
        flight.end(first)
        assert journal(second)["event.id"] == second.id

    def test_who_recovers_may_take_a_new_file_for_a_dead_one(
        self, recorder: Recorder, flight: Flight, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Before it is locked; then another one is made."""
        took = held.take

        def take(file: tuple[int, int]) -> bool:
            for path in files(flight)[: len(taken) == 0]:
                taken.append(path)
                path.unlink()
            return took(file)

        taken: list[Path] = []
        monkeypatch.setattr(type(held), "take", lambda _, file: take(file))
        event = opened(recorder)

        assert journal(event)["event.id"] == event.id
        assert len(files(flight)) == 1
        assert not taken[0].exists()

    def test_a_directory_in_which_no_file_stays_is_given_up(
        self, recorder: Recorder, flight: Flight, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Somebody removes whatever is there."""
        took = held.take

        def take(file: tuple[int, int]) -> bool:
            for path in files(flight):
                path.unlink()
            return took(file)

        monkeypatch.setattr(type(held), "take", lambda _, file: take(file))

        assert type(opened(recorder).fields) is dict
        assert health.faults.counts() == {Fault.SETTING: 1}


class TestFailure:
    def test_without_its_directory_the_work_goes_on(self, recorder: Recorder, flight: Flight, written: Written) -> None:
        """It is told once, and not tried again in this process."""
        flight.directory.rmdir()
        for _ in range(3):
            recorder.finish(opened(recorder, a=1))
        flight.directory.mkdir()
        recorder.finish(opened(recorder, a=1))

        assert [event["a"] for event in written.all()] == [1] * 4
        assert health.faults.counts() == {Fault.SETTING: 1}
        assert files(flight) == []

    def test_a_disk_that_is_full_from_the_beginning_takes_no_file(self, recorder: Recorder, flight: Flight) -> None:
        """None is left behind, either."""
        with full_disk(10):
            assert type(opened(recorder).fields) is dict

        assert health.faults.counts() == {Fault.SETTING: 1}
        assert files(flight) == []

    def test_a_signal_handler_goes_without_a_file_that_is_just_being_made(
        self, recorder: Recorder, flight: Flight
    ) -> None:
        """It cannot wait for whom it interrupts."""
        making: Any = flight
        making._is_opening = True
        assert type(opened(recorder).fields) is dict
        making._is_opening = False

        assert type(opened(recorder).fields) is not dict

    def test_it_goes_without_a_slot_that_is_just_being_made(self, recorder: Recorder, flight: Flight) -> None:
        """For the same reason."""
        opened(recorder)
        file: Any = flight._file
        file._is_growing = True
        assert type(opened(recorder).fields) is dict
        file._is_growing = False

        assert type(opened(recorder).fields) is not dict

    def test_an_event_does_not_wait_for_ever(
        self, recorder: Recorder, flight: Flight, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A disk may be slow: another thread holds what is needed to make the file, or a slot."""
        monkeypatch.setattr("wideevents.flight.PATIENCE", 0.01)
        monkeypatch.setattr("wideevents.flight.slots.PATIENCE", 0.01)
        locks: Any = flight
        for lock in (lambda: locks._opening, lambda: locks._file._growing):
            holder = lock()
            release = threading.Event()
            taken = threading.Event()

            def hold(holder: Any = holder, taken: Any = taken, release: Any = release) -> None:
                with holder:
                    taken.set()
                    release.wait(10)

            thread = threading.Thread(target=hold)
            thread.start()
            taken.wait(10)
            assert type(opened(recorder).fields) is dict
            release.set()
            thread.join()
            assert type(opened(recorder).fields) is not dict

    def test_an_event_that_has_ended_is_not_followed(self, recorder: Recorder, flight: Flight) -> None:
        """A door may end it early."""
        event = recorder.open("job", "task")
        recorder.drop(event)
        flight.begin(event)
        flight.end(event)

        assert event.fields is None

    def test_a_file_that_cannot_be_locked_is_removed(
        self, recorder: Recorder, flight: Flight, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Some network file systems have no locks."""

        def lock(_: int) -> bool:
            raise OSError(37, "No locks available")

        monkeypatch.setattr(slots, "lock", lock)

        assert type(opened(recorder).fields) is dict
        assert files(flight) == []
        assert health.faults.counts() == {Fault.SETTING: 1}

    def test_a_machine_may_not_tell_its_starts_apart(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Linux does."""
        assert layout.boot() == layout.boot() != ""
        monkeypatch.setattr(layout, "BOOT", tmp_path / "nothing")

        assert layout.boot() == ""


class TestForks:
    def test_a_forked_child_has_a_file_of_its_own(self, recorder: Recorder, flight: Flight, written: Written) -> None:
        """The parent's is left alone, whatever the child does with the events that it inherits."""
        mine = opened(recorder, "mine", whose="parent")
        before = journal(mine)

        def work() -> None:
            assert mine.fields is not None
            mine.put("whose", "child")
            mine.fields.update({"a": 1})
            mine.append("list", 1)
            mine.fields.pop("a")
            assert mine.fields["whose"] == "child"
            opened(recorder, "theirs", whose="child")
            assert len(files(flight)) == 2

        killed(work)

        assert journal(mine) == before
        assert flight.recover(recorder) == 1
        assert (written.one()["event.name"], written.one()["whose"]) == ("theirs", "child")
        assert journal(mine) == known(mine)

    def test_a_child_that_ends_well_takes_nothing_with_it(self, recorder: Recorder, flight: Flight) -> None:
        """Neither the parent's file nor its lock."""
        mine = opened(recorder)

        def work() -> bool:
            flight.end(mine)
            recorder.drop(mine)
            weakref.finalize._exitfunc()  # type: ignore[attr-defined]  # what is done at the exit of a process
            return len(files(flight)) == 1

        assert in_child(work) is True
        assert in_child(lambda: flight.recover(recorder)) == 0
        assert len(files(flight)) == 1
        assert journal(mine) == known(mine)

    def test_a_child_that_lets_go_of_the_recorder_lets_go_of_the_file(self, recorder: Recorder, flight: Flight) -> None:
        """The file of another recorder of the parent is not the child's to remove."""
        recorder.flight = other = Flight(flight.directory)
        event = opened(recorder)
        file = weakref.ref(other._file)  # type: ignore[arg-type]
        recorder.drop(event)

        def work() -> bool:
            gc.collect()
            return file() is None and len(files(flight)) == 1

        assert in_child(work) is True

    def test_a_fork_in_the_middle_of_a_write_goes_nowhere(self, recorder: Recorder, flight: Flight) -> None:
        """A signal handler may fork: the child ends the write in memory of its own."""
        mine = opened(recorder)
        before = journal(mine)

        def work() -> dict[str, Any]:
            fields: Any = live(mine)
            fields._idle = True  # what the write that was interrupted does at its end
            fields["a"] = 1
            fields["b"] = "x" * 100_000
            fields.update({"c": 1})
            fields.end()
            return {name: fields[name] for name in ("a", "c")}

        assert in_child(work) == {"a": 1, "c": 1}
        assert journal(mine) == before

    def test_a_thread_that_was_writing_is_not_waited_for(self, recorder: Recorder, flight: Flight) -> None:
        """It is not there in the child."""
        mine = opened(recorder)
        fields: Any = live(mine)
        del fields._idle  # as if another thread had it
        assert in_child(lambda: mine.put("a", 1)) is None
        fields._idle = True

        assert journal(mine) == known(mine)

    def test_what_a_fork_does_to_the_recorder(self, recorder: Recorder, flight: Flight) -> None:
        """The events that are open are followed no more; new ones have a new file."""
        mine: Any = opened(recorder)
        slot = mine.fields._slot
        before = bytes(slot.memory[slot.begins[0] : slot.limits[0]])
        flight.renew()
        mine.fields._idle = True  # as after a fork in the middle of a write
        mine.put("a", 1)
        mine.hidden = ("secret",)
        mine.put("b", "secret")
        mine.fields.end()
        mine.put("c", 1)

        assert (mine.fields["a"], mine.fields["b"], mine.fields["c"]) == (1, "secret", 1)
        assert bytes(slot.memory[slot.begins[0] : slot.limits[0]]) == before
        assert journal(opened(recorder))["event.name"] == "job"

    def test_only_its_owner_removes_a_file(self, tmp_path: Path) -> None:
        """A forked child that lets go of it closes its descriptor, and no more."""
        path = tmp_path / "file"
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR)
        slots._close(os.getpid() + 1, descriptor, path, (0, 2), [])

        assert path.exists()
        with pytest.raises(OSError, match="descriptor"):
            os.fstat(descriptor)


class TestWindows:
    def test_its_room_can_be_loaded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where there is no `fcntl`."""
        monkeypatch.setattr(sys, "platform", "win32")
        spec = importlib.util.spec_from_file_location("slots_on_windows", slots.__file__)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)

        assert not hasattr(module, "fcntl")


class TestIdentity:
    def test_files_are_told_apart_by_what_they_are(self, tmp_path: Path) -> None:
        """A directory may have two names."""
        (tmp_path / "a").touch()
        (tmp_path / "b").symlink_to("a")

        assert identity(os.stat(tmp_path / "a")) == identity(os.stat(tmp_path / "b"))

    def test_a_process_takes_a_file_once(self) -> None:
        """A forked child has none of them."""
        assert held.take((0, 1))
        try:
            assert not held.take((0, 1))
            assert in_child(lambda: held.take((0, 1))) is True
        finally:
            held.give_back((0, 1))


class TestEveryKind:
    """Whoever opens an event lets the flight recorder follow it."""

    def test_a_step_of_a_batch(self, tmp_path: Path) -> None:
        """Each of them, beside its parent."""
        seen = []
        with lines_caught(flight=tmp_path):
            for page in batch("report.page", range(2)):
                wideevents.add_field("page", page)
                (file,) = tmp_path.glob("*.flight")
                seen.append((f'"page":{page}'.encode() in file.read_bytes(), b'"batch.index"' in file.read_bytes()))

        assert seen == [(True, True)] * 2

    def test_a_run_of_a_task(self, tmp_path: Path) -> None:
        """With what its message says."""
        with lines_caught(flight=tmp_path):
            run = Run(Tasks(), Message("shop.mail", "7", None, 1, None, {}, None))
            (file,) = tmp_path.glob("*.flight")
            during = b'"task.name":"shop.mail"' in file.read_bytes()
            run.end("success")

        assert during
