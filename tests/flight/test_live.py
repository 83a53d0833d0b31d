"""What is promised of fields that are written down as they are set."""

from __future__ import annotations

import mmap
import os
import random
import resource
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from types import FrameType
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import FakeClock, Written, at_once
from tests.flight import ended, fork, killed, opened, raw
from wideevents import health
from wideevents.events import Event
from wideevents.flight import Flight
from wideevents.flight import live as live_room
from wideevents.flight.entries import fitted, replayed
from wideevents.flight.live import Live
from wideevents.health import Fault
from wideevents.recorder import Recorder
from wideevents.serialize import encode

SMALL = 4_096


def live(event: Event) -> Live:
    """Return the fields of an event that the flight recorder follows."""
    assert type(event.fields) is Live
    return event.fields


def journal(event: Event) -> dict[str, Any]:
    """Return what the file has of an event."""
    fields: Any = live(event)
    slot, side = fields._slot, fields._side
    assert slot.words[slot.state] == side + 1
    return replayed(bytes(slot.memory[slot.begins[side] : slot.limits[side]]))


def known(event: Event) -> dict[str, Any]:
    """Return what the event has, as JSON has it."""
    return {**live(event)}


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Let no file grow beyond *size* bytes, as on a disk that is full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@contextmanager
def interrupted(handler: Callable[[FrameType], object]) -> Iterator[None]:
    """Let a signal handler run every now and then; it is told where."""

    def handle(_: int, frame: FrameType | None) -> None:
        try:
            handler(frame)  # type: ignore[arg-type]
        finally:
            if going:
                signal.setitimer(signal.ITIMER_REAL, 0.000_05)  # the next one, where this one is done

    going = True
    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.000_05)
    try:
        yield
    finally:
        going = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def small(recorder: Recorder, flight: Flight) -> Flight:
    """Give a flight recorder whose slots are soon full."""
    recorder.flight = Flight(flight.directory, slot_bytes=SMALL)
    return recorder.flight


def shared() -> memoryview[int]:
    """Return a number that a forked child shares with its parent."""
    return memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("Q")


def take(event: Event, step: str, key: str, value: Any) -> None:
    """Do what a *step* says."""
    if step == "add":
        event.add(key, value)
    elif step == "append":
        event.append(key, value)
    elif step == "update":
        live(event).update({key: f"{value}", "b": 1})
    else:
        event.put(key, None if step == "remove" else value)


class TestOperations:
    @pytest.mark.usefixtures("flight")
    def test_whatever_is_done_to_the_fields_is_in_the_file(self, recorder: Recorder) -> None:
        """A dict has many ways to change."""
        event = opened(recorder)
        fields = live(event)
        fields["a"] = 1
        fields.update({"b": 2, "c": [1, {"d": None}]})
        fields.update([("e", "é"), ("f", True)])
        assert fields.setdefault("g", 1.5) == 1.5
        assert fields.setdefault("g", 2.5) == 1.5
        assert fields.pop("a") == 1
        assert fields.pop("a", 7) == 7
        del fields["b"]
        assert fields.popitem() == ("g", 1.5)

        assert (fields["c"], fields["e"], fields["f"]) == ([1, {"d": None}], "é", True)
        assert journal(event) == known(event)

    @pytest.mark.usefixtures("flight")
    def test_what_is_not_there_cannot_be_taken_away(self, recorder: Recorder) -> None:
        """It raises as a dict does, and writes nothing."""
        event = opened(recorder)
        with pytest.raises(KeyError):
            live(event).pop("nothing")
        with pytest.raises(KeyError):
            del live(event)["nothing"]

        assert journal(event) == known(event)

    @pytest.mark.usefixtures("flight")
    def test_all_of_them_can_go(self, recorder: Recorder) -> None:
        """Then there is nothing left."""
        event = opened(recorder, a=1)
        live(event).clear()

        assert (dict(live(event)), journal(event)) == ({}, {})

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["set", "add", "append", "remove", "update"]),
                st.sampled_from(["a", "b", "c.d"]),
                st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=90)),
            ),
            max_size=60,
        )
    )
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    @pytest.mark.usefixtures("small")
    def test_the_file_has_what_the_event_has(self, recorder: Recorder, steps: list[tuple[str, str, Any]]) -> None:
        """After any sequence of steps."""
        event = opened(recorder)
        for what, key, value in steps:
            take(event, what, key, value)

        assert journal(event) == orjson.loads(encode(known(event)))
        recorder.drop(event)

    @pytest.mark.usefixtures("flight")
    def test_a_list_grows_item_by_item(self, recorder: Recorder) -> None:
        """It is not written anew each time; an item that the list had already is not there twice."""
        event = opened(recorder)
        for number in range(5):
            event.append("numbers", number)
            event.append("texts", f"text {number}")
        live(event).grew("numbers", 4)

        assert journal(event)["numbers"] == [0, 1, 2, 3, 4]
        assert journal(event) == known(event)

    @pytest.mark.usefixtures("flight")
    def test_what_json_cannot_say_is_written_as_the_line_has_it(self, recorder: Recorder) -> None:
        """A lone surrogate, alone, in a list, and among others."""
        event = opened(recorder)
        event.put("a", "\ud800")
        live(event).update({"b": "\udfff", "c": 1, "when": datetime(2026, 1, 2, tzinfo=UTC)})
        event.append("d", "\ud801")

        found = journal(event)
        assert (found["a"], found["b"], found["c"], found["d"]) == ("\\ud800", "\\udfff", 1, ["\\ud801"])

    @pytest.mark.usefixtures("flight")
    def test_a_text_that_json_cannot_hold_may_be_known(self, recorder: Recorder) -> None:
        """It is clean, and written as it was the first time; so is what is no plain value."""
        events = [opened(recorder, a="\ud800") for _ in range(2)]
        for event in events:
            live(event)["b"] = Decimal("1.5")
            event.suspects.add("c")
            live(event)["c"] = Decimal("2.5")
        assert "\ud800" in events[0].clean

        assert [[journal(event)[name] for name in "abc"] for event in events] == [["\\ud800", "1.5", "2.5"]] * 2

    @pytest.mark.usefixtures("flight")
    def test_the_line_is_what_it_is_without(self, recorder: Recorder, written: Written) -> None:
        """The fields of a sealed event are a plain dict again."""
        event = opened(recorder, a=1)
        assert event.seal()
        assert type(event.record) is dict
        assert event.record["a"] == 1
        recorder.flight.end(event)  # type: ignore[union-attr]
        recorder.in_progress.clear()
        assert written.sink.lines == []


class TestRoom:
    def test_a_journal_that_is_full_is_written_anew(self, recorder: Recorder, small: Flight) -> None:
        """Again and again; what changes often takes no more room than what does not."""
        event = opened(recorder, kept="all the time")
        for number in range(2_000):
            event.put("number", number)
            event.put(f"field.{number % 7}", f"{number:030}")

        assert journal(event) == known(event)

    def test_the_room_of_a_slot_is_used_before_that(self, recorder: Recorder, flight: Flight) -> None:
        """It is taken from the disk when it is needed."""
        event = opened(recorder)
        before = raw(flight).count(b"x" * 1_000)
        for number in range(10):
            event.put(f"field.{number}", "x" * 1_000)

        assert (before, raw(flight).count(b"x" * 1_000)) == (0, 10)
        assert journal(event) == known(event)

    def test_of_too_much_the_largest_values_are_cut(self, recorder: Recorder, small: Flight) -> None:
        """They are named, and what is small stays whole."""
        event = opened(recorder, small="whole")
        event.put("large", "l" * 3_000)
        event.put("larger", "ä" * 3_000)
        event.put("list", [f"{number:05}" for number in range(500)])
        event.put("after", "whole")

        found = journal(event)
        assert {**found, **dict.fromkeys(("large", "larger", "list", "event.trimmed"), 0)} == {
            **known(event),
            **dict.fromkeys(("large", "larger", "list", "event.trimmed"), 0),
        }
        assert set(found["event.trimmed"]) <= {"large", "larger", "list"}
        assert "larger" in found["event.trimmed"]
        assert found["larger"].startswith("ä" * 10)
        assert found["larger"].endswith("...")
        assert found["list"][-1:] in ([], ["00499"])

    def test_of_too_many_fields_the_newest_go(self, recorder: Recorder, small: Flight) -> None:
        """What comes first says which event it is."""
        event = opened(recorder)
        live(event).update({f"field.{number:04}": number for number in range(1_000)})

        found = journal(event)
        kept = [name for name in found if name.startswith("field.")]
        assert kept == [f"field.{number:04}" for number in range(len(kept))]
        assert len(kept) > 50
        assert found["event.trimmed"][0] == "field.0999"
        assert found["event.trimmed"][-1].startswith("+")
        assert known(event).items() >= {**found, "event.trimmed": 0}.items() - {("event.trimmed", 0)}

    def test_a_number_is_too_much_only_by_its_name(self, recorder: Recorder, small: Flight) -> None:
        """There is nothing to cut in it."""
        event = opened(recorder)
        live(event).update({f"{number:03}" + "n" * 190: 1.5 for number in range(40)})

        found = journal(event)
        assert found["event.id"] == event.id
        assert len(found["event.trimmed"]) > 1

    def test_an_event_may_know_too_much_from_the_beginning(self, recorder: Recorder, small: Flight) -> None:
        """Its first entry is cut, and it can be told which event it was."""
        event = recorder.open("job", "task")
        assert event.fields is not None
        event.fields["note"] = "x" * 2 * SMALL
        small.begin(event)
        event.put("after", 1)

        found = journal(event)
        assert (found["event.id"], found["after"], found["event.trimmed"]) == (event.id, 1, ["note"])
        assert len(found["note"]) > SMALL // 2

    def test_a_slot_may_be_too_small_for_anything(self) -> None:
        """Then the names of some of what was cut are left."""
        found = orjson.loads(fitted({"event.id": "0" * 16, "note": "n" * 100}, 40))

        assert found == {"event.trimmed": ["note", "event.id"]}

    def test_a_slot_that_was_full_serves_again(self, recorder: Recorder, small: Flight) -> None:
        """Nothing of the event before is in it."""
        for size in (3_000, 10, 3_500, 30_000, 5):
            event = opened(recorder)
            for number in range(4):
                event.put(f"field.{size}", f"{number}" * size)
            slot: Any = live(event)._slot
            assert len(small._file._made) == 1  # type: ignore[union-attr]
            assert journal(event)["event.id"] == event.id
            assert [name for name in journal(event) if name.startswith("field.")] == [f"field.{size}"]
            recorder.drop(event)
            assert not any(bytes(slot.memory[slot.begins[0] : slot.limits[1]]))
            assert slot.words[slot.state] == 0

    def test_what_an_exception_has_left_in_a_slot_is_wiped_out(self, recorder: Recorder, small: Flight) -> None:
        """A signal handler may raise while a journal is written anew, and leave both halves as they are."""
        event = opened(recorder)
        for number in range(200):
            event.put("number", f"{number:0100}")
        slot: Any = live(event)._slot
        slot.memory[slot.limits[1] - 5 : slot.limits[1]] = b"left\n"
        recorder.drop(event)

        assert not any(bytes(slot.memory[slot.begins[0] : slot.limits[1]]))

    def test_on_a_full_disk_there_is_no_other_half(self, recorder: Recorder, small: Flight) -> None:
        """The journal is written over where it stands, and the work goes on."""
        event = opened(recorder, kept="all the time")
        with full_disk(1):
            for number in range(500):
                event.put("number", f"{number:0100}")

        assert journal(event) == known(event)
        assert health.faults.counts() == {Fault.STAGE: health.faults.counts()[Fault.STAGE]}

    def test_on_a_full_disk_an_event_has_what_fits(self, recorder: Recorder, flight: Flight) -> None:
        """The first page is there; more of the slot is not."""
        event = opened(recorder)
        with full_disk(1):
            for number in range(10):
                event.put(f"field.{number}", f"{number}" * 1_000)

        found = journal(event)
        assert found["event.id"] == event.id
        assert found["event.trimmed"]
        recorder.drop(event)
        after = opened(recorder, a=1)
        assert journal(after) == known(after)

    def test_a_full_disk_gives_no_slots(self, recorder: Recorder, flight: Flight, clock: FakeClock) -> None:
        """The event goes without; that is told once, and tried again later."""
        opened(recorder)
        with full_disk(1):
            events = [opened(recorder, a=1) for _ in range(3)]

        assert [type(event.fields) for event in events] == [dict, dict, dict]
        assert health.faults.counts() == {Fault.STAGE: 1}
        file: Any = flight._file
        file._retry = 0.0
        assert type(opened(recorder).fields) is Live


class TestWriters:
    @pytest.mark.usefixtures("eager_switching")
    def test_several_threads_write_at_once(self, recorder: Recorder, small: Flight) -> None:
        """Entries never overlap, and the last value of each field is there."""
        event = opened(recorder)

        def write(thread: int) -> None:
            for number in range(300):
                event.put(f"own.{thread}", number)
                event.put("shared", f"{thread}.{number}")
                event.add("count")
                event.append("list", thread)
                if number % 10 == 0:
                    event.put(f"gone.{thread}", 1)
                    event.put(f"gone.{thread}", None)

        at_once(*(lambda thread=thread: write(thread) for thread in range(4)))  # type: ignore[misc]

        found = journal(event)
        assert found["count"] == 1_200
        assert {**found, "list": 0, "event.trimmed": 0} == {**known(event), "list": 0, "event.trimmed": 0}

    @pytest.mark.usefixtures("flight")
    def test_a_signal_handler_writes_in_the_middle_of_a_write(
        self, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It does not wait for whom it interrupts; what it has set is written when that goes on."""
        waited: list[float] = []
        monkeypatch.setattr(live_room, "sleep", waited.append)
        event = opened(recorder)
        count = 0

        def handle(_: FrameType) -> None:
            nonlocal count
            count += 1
            event.put("handled", count)
            event.put("both", f"handler {count}")
            event.append("seen", count) if count < 50 else None

        with interrupted(handle):
            for number in range(3_000):
                event.put("both", f"work {number}")
                live(event).update({"number": number, "twice": number})

        assert count > 10
        assert waited == []
        assert journal(event) == known(event)

    @pytest.mark.usefixtures("flight")
    def test_whoever_comes_in_the_middle_of_a_write_leaves_it_to_the_writer(self, recorder: Recorder) -> None:
        """However it changes a field."""
        event = opened(recorder, old=1)
        fields: Any = live(event)
        del fields._idle
        fields["a"] = 1
        fields.update({"b": 2})
        fields.pop("old")
        event.append("c", 3)
        assert "a" not in journal(event)
        fields._idle = True
        event.append("c", 4)

        assert journal(event) == known(event)

    @pytest.mark.usefixtures("flight")
    def test_an_event_that_ends_in_the_middle_of_a_write_is_forgotten(self, recorder: Recorder, flight: Flight) -> None:
        """At once in the file; its slot is free when the writer is done."""
        event = opened(recorder)
        fields: Any = live(event)
        slot = fields._slot
        del fields._idle
        recorder.drop(event)
        free: Any = flight._file.free  # type: ignore[union-attr]
        assert (slot.words[slot.state], free) == (0, [])
        fields._idle = True
        fields["late"] = 1

        assert free == [slot]
        assert not any(bytes(slot.memory[slot.begins[0] : slot.limits[0]]))

    @pytest.mark.usefixtures("flight")
    def test_what_is_written_after_the_end_goes_nowhere(self, recorder: Recorder, flight: Flight) -> None:
        """The slot may be another event's by then."""
        event = opened(recorder)
        fields = live(event)
        recorder.drop(event)
        other = opened(recorder, own=1)
        fields["late"] = 1
        fields.update({"later": 2})
        fields.pop("late")
        fields.end()

        assert fields["later"] == 2
        assert journal(other) == known(other)
        assert b"late" not in raw(flight)

    @pytest.mark.usefixtures("flight")
    def test_an_exception_of_a_signal_handler_leaves_the_journal_whole(self, recorder: Recorder) -> None:
        """A time limit may end the work anywhere."""

        class EnoughError(Exception):
            pass

        def stop(frame: FrameType) -> None:
            if frame.f_code.co_filename == live_room.__file__:
                raise EnoughError

        event = opened(recorder)
        for attempt in range(200):
            try:
                with interrupted(stop):
                    for number in range(10_000):
                        event.put("number", number)
            except EnoughError:
                pass
            event.put("attempt", attempt)
            assert journal(event)["attempt"] == attempt


class TestKills:
    @pytest.mark.parametrize("slot_bytes", [SMALL, 16_384])
    def test_a_kill_at_any_moment_leaves_what_was_written_before(
        self, recorder: Recorder, flight: Flight, written: Written, slot_bytes: int
    ) -> None:
        """Also in the middle of an entry, and while a full journal is written anew: half an update is none."""
        flight = recorder.flight = Flight(flight.directory, slot_bytes=slot_bytes)
        counter = shared()

        def work() -> None:
            event = opened(recorder)
            fields = live(event)
            for number in range(10**9):
                fields.update({"a": number, "padding": "x" * (number % 700), "b": number})
                counter[0] = number

        chance = random.Random(6)
        for attempt in range(30):
            counter[0] = 0
            child = fork(work)
            while counter[0] < 10:
                pass
            threading.Event().wait(chance.random() * 0.01)
            os.kill(child, signal.SIGKILL)
            assert ended(child) == -signal.SIGKILL
            assert flight.recover(recorder) == 1
            found = written.last()
            assert found["a"] == found["b"]
            assert counter[0] <= found["a"] <= counter[0] + 1
            assert len(found["padding"]) == found["a"] % 700
            assert len(written.sink.lines) == attempt + 1

    @pytest.mark.usefixtures("small")
    def test_many_at_a_time(self, recorder: Recorder, written: Written) -> None:
        """Threads that write into several events die together."""

        def work() -> None:
            events = [opened(recorder, f"job {number}") for number in range(8)]

            def write(event: Event) -> None:
                for number in range(500):
                    event.put("number", number)
                    event.put(f"field.{number % 5}", "x" * number)

            at_once(*(lambda event=event: write(event) for event in events))  # type: ignore[misc]

        killed(work)
        assert recorder.flight.recover(recorder) == 8  # type: ignore[union-attr]
        for event in written.all():
            assert event["number"] == 499
            assert [len(event[f"field.{number}"]) for number in range(5)] == [495, 496, 497, 498, 499]
