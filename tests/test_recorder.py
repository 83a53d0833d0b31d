"""What the recorder room promises."""

from __future__ import annotations

import asyncio
import gc
import os
import weakref
from typing import Any

import pytest

import wideevents
from tests.conftest import FakeClock, FixedIds, Written, at_once, in_child
from wideevents import context, health
from wideevents.events import Event
from wideevents.keys import Keys
from wideevents.levels import Level
from wideevents.pipeline import Pipeline
from wideevents.recorder import Clock, Recorder, Transaction, note_raised
from wideevents.redaction import Redaction
from wideevents.sinks.memory import MemorySink
from wideevents.stages.encode import Encode, Limits
from wideevents.tracecontext import TraceParent

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"


def without_stages(written: Written, **named: Any) -> Recorder:
    """Return a recorder that only encodes, so that what it adds itself is all that is in the line."""
    return Recorder(Pipeline((Encode(Limits()),), (written.sink,)), Keys(Redaction()), **named)


class TestClock:
    def test_is_that_of_the_system_unless_told_otherwise(self) -> None:
        """Seconds since the epoch, and nanoseconds that only grow."""
        clock = Clock()
        before = clock.monotonic()
        assert clock.now() > 1_700_000_000 * 10**9
        assert clock.monotonic() >= before


class TestOpen:
    def test_gives_what_every_line_has(self, clock: FakeClock, written: Written) -> None:
        """Ids, times and kind are those of the arguments; the rest says that all went well."""
        recorder = without_stages(written, clock=Clock(clock.wall, clock.monotonic), ids=FixedIds())
        recorder.finish(recorder.open("report.page", "batch"))
        assert written.one() == {
            "timestamp": "2026-01-02T03:04:05.678901Z",
            "event.name": "report.page",
            "event.id": "0000000000000001",
            "event.kind": "batch",
            "duration_ms": 0.0,
            "outcome": "success",
            "level": "info",
            "alert.urgency": "none",
            "trace.id": "00000000000000000000000000000001",
            "in_flight": 1,
        }

    def test_continues_a_trace(self, recorder: Recorder, written: Written) -> None:
        """What began elsewhere goes on under its own id (W3C Trace Context)."""
        recorder.finish(recorder.open("work", "task", TraceParent(TRACE, SPAN)))
        line = written.one()
        assert (line["trace.id"], line["parent.id"]) == (TRACE, SPAN)

    def test_begins_a_trace_where_there_is_none(self, recorder: Recorder, written: Written) -> None:
        """There is no parent then, and none in the line."""
        recorder.finish(recorder.open("work", "task"))
        assert (written.one()["trace.id"], "parent.id" in written.one()) == (f"{1:032x}", False)

    def test_gives_every_event_ids_of_its_own(self, written: Written) -> None:
        """By default they are random: 16 and 32 hex digits."""
        recorder = without_stages(written)
        for _ in range(300):
            recorder.finish(recorder.open("work", "task"))
        lines = written.all()
        assert len({line["event.id"] for line in lines} | {line["trace.id"] for line in lines}) == 600

    def test_counts_the_events_in_progress(self, recorder: Recorder, written: Written) -> None:
        """The number that is in the line is that of the start, the event itself included."""
        events = [recorder.open(name, "task") for name in "abc"]
        ids = list(recorder.in_progress)
        for event in events:
            recorder.finish(event)
        assert ([line["in_flight"] for line in written.all()], ids) == ([1, 2, 3], [event.id for event in events])
        assert recorder.in_progress == {}

    def test_keeps_events_apart(self, recorder: Recorder, written: Written) -> None:
        """What is put into one is not in the other, nor in the next."""
        one, two = recorder.open("one", "task"), recorder.open("two", "task")
        one.put("key", 1)
        recorder.finish(one)
        recorder.finish(two)
        assert ["key" in line for line in written.all()] == [True, False]


class TestFinish:
    @pytest.mark.parametrize(
        ("seconds", "milliseconds"), [(0, 0.0), (0.25, 250.0), (1.2345678, 1234.567), (86_400, 86_400_000.0)]
    )
    def test_tells_the_duration(
        self, recorder: Recorder, written: Written, clock: FakeClock, seconds: float, milliseconds: float
    ) -> None:
        """Milliseconds, exact to the microsecond; the timestamp is that of the start."""
        event = recorder.open("work", "task")
        clock.advance(seconds)
        recorder.finish(event)
        line = written.one()
        assert (line["duration_ms"], line["timestamp"]) == (milliseconds, "2026-01-02T03:04:05.678901Z")

    def test_believes_an_event_that_knows_when_it_ended(
        self, recorder: Recorder, written: Written, clock: FakeClock
    ) -> None:
        """What comes after the last byte is not the request's time."""
        event = recorder.open("work", "task")
        clock.advance(0.1)
        event.ended = clock.monotonic()
        clock.advance(5)
        recorder.finish(event)
        assert written.one()["duration_ms"] == 100.0

    def test_writes_once(self, recorder: Recorder, written: Written) -> None:
        """The second call does nothing, and changes nothing."""
        event = recorder.open("work", "task")
        for _ in range(3):
            recorder.finish(event)
        assert (len(written.all()), health.faults.counts()) == (1, {})

    @pytest.mark.usefixtures("eager_switching")
    def test_writes_once_when_several_threads_finish_at_once(self, recorder: Recorder, written: Written) -> None:
        """A response may be exhausted, closed and collected in the same moment."""
        for number in range(1, 101):
            event = recorder.open("work", "task")
            at_once(*[lambda: recorder.finish(event)] * 4)  # noqa: B023 - run within the loop
            assert len(written.sink.lines) == number

    @pytest.mark.parametrize(
        ("level", "urgency"),
        [(Level.WARNING, "business_hours"), (Level.ERROR, "page"), (Level.INFO, "none")],
    )
    def test_tells_the_level_and_what_it_means(
        self, recorder: Recorder, written: Written, level: Level, urgency: str
    ) -> None:
        """Both are in the line, so that nothing need be looked up."""
        event = recorder.open("work", "task")
        event.raise_level(level)
        recorder.finish(event)
        assert (written.one()["level"], written.one()["alert.urgency"]) == (level.label, urgency)

    def test_tells_of_debug_too(self, written: Written) -> None:
        """Where no gate drops it."""
        recorder = without_stages(written)
        event = recorder.open("work", "task")
        event.level = Level.DEBUG
        recorder.finish(event)
        assert (written.one()["level"], written.one()["alert.urgency"]) == ("debug", "on_request")

    @pytest.mark.parametrize("outcome", ["failure", "cancelled", "success"])
    def test_tells_the_outcome(self, recorder: Recorder, written: Written, outcome: str) -> None:
        """How it ended is how the line has it."""
        event = recorder.open("work", "task")
        event.outcome = outcome
        recorder.finish(event)
        assert written.one()["outcome"] == outcome

    def test_survives_a_sink_that_raises(self, written: Written) -> None:
        """Telemetry never breaks the work: the line is lost, and the event has ended."""

        class Broken:
            def write(self, event: Event) -> None:
                raise OSError

            def close(self) -> None:
                """Hold nothing."""

        recorder = Recorder(Pipeline((), (Broken(),)), Keys(Redaction()))
        event = recorder.open("work", "task")
        recorder.finish(event)
        assert (event.sealed, recorder.in_progress, event.record) == (True, {}, {})
        assert health.faults.counts() == {health.Fault.LOST: 1}

    def test_survives_a_field_of_ours_that_is_no_text(self, recorder: Recorder, written: Written) -> None:
        """The name of an event comes from the application, too."""
        names: list[Any] = [None, 7, b"raw", "a\ud800\u2028b", "n" * 100_000, object()]
        for name in names:
            recorder.finish(recorder.open(name, "task"))
        assert len(written.all()) == len(names)


class TestLife:
    def test_a_recorder_is_freed_without_the_garbage_collector(self, written: Written) -> None:
        """To configure again leaves nothing behind."""
        recorder = without_stages(written)
        recorder.finish(recorder.open("work", "task"))
        gone = weakref.ref(recorder)
        gc.disable()
        try:
            del recorder
            assert gone() is None
        finally:
            gc.enable()

    @pytest.mark.usefixtures("reconfigurable")
    def test_an_event_ends_as_it_began(self, recorder: Recorder, written: Written) -> None:
        """`configure()` in the middle of an event is for the next one."""
        with wideevents.event("work"):
            sink = MemorySink()
            wideevents.configure(output=sink)
        with wideevents.event("next"):
            pass
        assert written.one()["event.name"] == "work"
        assert [event["event.name"] for event in sink.events] == ["next"]


class TestRenew:
    def test_forgets_what_is_in_progress(self, recorder: Recorder, written: Written) -> None:
        """It is what happens in a forked child, where the parent's events are not for us to end."""
        event = recorder.open("work", "task")
        recorder.renew()
        assert recorder.in_progress == {}
        event.add("n")
        recorder.finish(event)
        assert written.one()["n"] == 1


class TestFork:
    def test_a_child_has_nothing_in_progress(self, recorder: Recorder) -> None:
        """What is open at the fork is the parent's, and stays so."""
        event = recorder.open("work", "task")
        in_the_child = in_child(lambda: list(recorder.in_progress))
        in_the_parent = list(recorder.in_progress)
        recorder.finish(event)
        assert (in_the_child, in_the_parent) == ([], [event.id])

    def test_a_child_counts_from_one(self, recorder: Recorder, written: Written) -> None:
        """The number of events in progress is that of a process."""

        def work() -> object:
            recorder.finish(recorder.open("child", "task"))
            return written.last()["in_flight"]

        event = recorder.open("work", "task")
        in_the_child = in_child(work)
        recorder.finish(event)
        assert (in_the_child, written.one()["in_flight"]) == (1, 1)

    def test_a_child_has_other_ids(self, written: Written) -> None:
        """Randomness that was fetched before the fork is handed out by one of the two."""
        recorder = without_stages(written)

        def ids() -> list[str]:
            events = [recorder.open("work", "task") for _ in range(20)]
            recorder.in_progress.clear()
            return [event.id for event in events] + [event.trace_id for event in events]

        ids()
        drawn = [in_child(ids), in_child(ids), ids()]
        assert len({each for several in drawn for each in several}) == 120

    def test_a_child_tells_its_own_pid(self, recorder: Recorder, written: Written) -> None:
        """A worker that was forked with everything set up is a process of its own."""

        def work() -> object:
            recorder.finish(recorder.open("child", "task"))
            line = written.last()
            return [line["process.pid"] == os.getpid(), line["service.instance.id"]]

        recorder.finish(recorder.open("parent", "task"))
        is_own, instance = in_child(work)
        line = written.one()
        assert (is_own, line["process.pid"]) == (True, os.getpid())
        assert instance != line["service.instance.id"]


class TestNoteRaised:
    @pytest.mark.parametrize("error", [GeneratorExit(), SystemExit(), SystemExit(0), SystemExit(None)], ids=repr)
    def test_takes_some_endings_for_success(self, recorder: Recorder, written: Written, error: BaseException) -> None:
        """A generator that its consumer has left, and a process that exits well."""
        event = recorder.open("work", "task")
        note_raised(event, error)
        recorder.finish(event)
        line = written.one()
        assert (line["outcome"], line["level"], "error.type" in line) == ("success", "info", False)

    @pytest.mark.parametrize("error", [KeyboardInterrupt(), asyncio.CancelledError()], ids=repr)
    def test_takes_an_interruption_for_what_it_is(
        self, recorder: Recorder, written: Written, error: BaseException
    ) -> None:
        """Somebody did not want it any more: no error, and nobody is paged."""
        event = recorder.open("work", "task")
        note_raised(event, error)
        recorder.finish(event)
        line = written.one()
        assert (line["outcome"], line["level"], "error.type" in line) == ("cancelled", "info", False)

    @pytest.mark.parametrize(
        "error",
        [
            ValueError("x"),
            SystemExit(1),
            SystemExit("no such file"),
            SystemExit(["un", "hashable"]),
            SystemExit({}),
            SystemExit(2.5),
            ExceptionGroup("several", [ValueError("x")]),
        ],
        ids=repr,
    )
    def test_takes_the_rest_for_failures(self, recorder: Recorder, written: Written, error: BaseException) -> None:
        """An error, or a process that exits badly, with whatever code."""
        event = recorder.open("work", "task")
        note_raised(event, error)
        recorder.finish(event)
        line = written.one()
        assert (line["outcome"], line["level"], line["error.type"]) == ("failure", "error", type(error).__name__)


class TestTransaction:
    def transaction(self, recorder: Recorder, **fields: object) -> Transaction:
        return Transaction(lambda: recorder, "work", "script", fields)

    def test_gives_its_event(self, recorder: Recorder, written: Written) -> None:
        """The event that is in progress in the block, of the kind that was asked for."""
        with self.transaction(recorder) as event:
            assert context.current() is event
        assert (written.one()["event.kind"], context.current()) == ("script", None)

    def test_adds_its_fields_at_once(self, recorder: Recorder, written: Written) -> None:
        """They are judged as any other field."""
        with self.transaction(recorder, page=3, password="x", level=1) as event:
            assert event.fields is not None
            assert event.fields["page"] == 3
        line = written.one()
        assert (line["page"], line["password"], line["user_fields.level"]) == (3, "[redacted]", 1)

    def test_notes_what_the_block_raised_and_lets_it_pass(self, recorder: Recorder, written: Written) -> None:
        """The error is the same object."""
        error = ValueError("x")
        with pytest.raises(ValueError, match="x") as raised, self.transaction(recorder):
            raise error
        assert raised.value is error
        assert (written.one()["outcome"], written.one()["exception.handled"]) == ("failure", False)

    @pytest.mark.parametrize("code", [None, 0, 1, "text", ["un", "hashable"], {}], ids=repr)
    def test_lets_an_exit_pass(self, recorder: Recorder, written: Written, code: Any) -> None:
        """`sys.exit` takes any object, and the event ends with each."""
        with pytest.raises(SystemExit) as raised, self.transaction(recorder):
            raise SystemExit(code)
        context.variable.set(None)
        assert raised.value.code == code
        assert written.one()["outcome"] == ("success" if code in (None, 0) else "failure")

    def test_leaves_the_event_that_was_in_progress(self, recorder: Recorder) -> None:
        """Also when its block raises."""
        with self.transaction(recorder) as outer:
            with pytest.raises(KeyError), self.transaction(recorder):
                raise KeyError
            assert context.current() is outer

    def test_is_the_child_of_the_event_in_progress(self, recorder: Recorder, written: Written) -> None:
        """It carries that one's id, and its trace."""
        with self.transaction(recorder) as outer, self.transaction(recorder):
            pass
        inner = written.all()[0]
        assert (inner["parent.id"], inner["trace.id"]) == (outer.id, outer.trace_id)

    def test_is_no_child_of_an_event_that_has_ended(self, recorder: Recorder, written: Written) -> None:
        """A server's thread may still hold the last request's."""
        ended = recorder.open("ended", "request")
        recorder.finish(ended)
        with context.Activation(ended), self.transaction(recorder):
            pass
        assert ("parent.id" in written.last(), written.last()["trace.id"] == ended.trace_id) == (False, False)

    def test_steps_aside_and_comes_back(self, recorder: Recorder) -> None:
        """A generator's consumer is outside the event, which goes on with the next item."""
        transaction = self.transaction(recorder)
        with transaction as event:
            transaction.suspend()
            aside = context.current()
            transaction.resume()
            assert (aside, context.current()) == (None, event)

    def test_asks_for_the_recorder_when_it_begins(self, recorder: Recorder, written: Written) -> None:
        """What is made at import time finds what is configured later."""
        recorders: list[Recorder] = []
        transaction = Transaction(lambda: recorders[0], "work", "task", {})
        recorders.append(recorder)
        with transaction:
            pass
        assert written.one()["event.name"] == "work"

    def test_can_be_entered_again(self, recorder: Recorder, written: Written) -> None:
        """One after another, each an event of its own."""
        transaction = self.transaction(recorder)
        for _ in range(2):
            with transaction:
                pass
        assert [line["event.id"] for line in written.all()] == [f"{1:016x}", f"{2:016x}"]
