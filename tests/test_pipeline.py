"""What the pipeline room promises."""

from __future__ import annotations

import logging

import pytest

from tests.stages import sealed
from wideevents import health
from wideevents.events import Event
from wideevents.health import Fault
from wideevents.pipeline import Pipeline
from wideevents.sinks.memory import MemorySink


class Step:
    """A stage that writes down that it ran, and returns the event."""

    def __init__(self, name: str, seen: list[str]) -> None:
        self.name = name
        self.seen = seen

    def __call__(self, event: Event) -> Event | None:
        self.seen.append(self.name)
        return event


class Dropping(Step):
    def __call__(self, event: Event) -> Event | None:
        super().__call__(event)
        return None


class Failing(Step):
    def __call__(self, event: Event) -> Event | None:
        super().__call__(event)
        raise RuntimeError("a bug")


class Essential(Failing):
    essential = True


class BadSink:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def write(self, event: Event) -> None:
        raise self.error

    def close(self) -> None: ...


class ClosedSink(MemorySink):
    closed = 0

    def close(self) -> None:
        self.closed += 1


class UnprintableError(Exception):
    def __repr__(self) -> str:
        raise ValueError("its repr is broken too")


def event() -> Event:
    """Return an event that has a line."""
    made = sealed()
    made.line = b"{}\n"
    return made


def told(caplog: pytest.LogCaptureFixture, *words: str) -> bool:
    """Tell whether one sentence was told on our logger, and it has all of *words*."""
    (sentence,) = [record.getMessage() for record in caplog.records if record.name == "wideevents"]
    return all(word in sentence for word in words)


class TestOrder:
    def test_stages_run_in_their_order_and_then_the_sinks(self) -> None:
        """Their order is the whole configuration."""
        seen: list[str] = []

        class Sink(MemorySink):
            def write(self, event: Event) -> None:
                seen.append("sink")

        Pipeline((Step("one", seen), Step("two", seen)), (Sink(), Sink())).send(event())
        assert seen == ["one", "two", "sink", "sink"]

    def test_a_stage_may_hand_on_another_event(self) -> None:
        """What a stage returns is what the next one and the sinks get."""
        other, sink = event(), MemorySink()
        other.line = b'{"other":1}\n'

        Pipeline((lambda _: other,), (sink,)).send(event())
        assert sink.lines == [b'{"other":1}\n']

    def test_none_drops_the_event(self) -> None:
        """Neither a later stage nor a sink sees it, and nothing is counted: it was meant."""
        seen: list[str] = []
        sink = MemorySink()

        Pipeline((Dropping("first", seen), Step("second", seen)), (sink,)).send(event())
        assert (seen, sink.lines) == (["first"], [])
        assert health.faults.counts() == {}

    def test_an_event_can_go_nowhere(self) -> None:
        """No stages and no sinks is a pipeline too."""
        Pipeline((), ()).send(event())

        assert health.faults.counts() == {}


class TestFailingStage:
    def test_it_is_left_out_and_the_event_goes_on(self) -> None:
        """One broken stage costs what it would have added, and not the line."""
        seen: list[str] = []
        sink = MemorySink()

        Pipeline((Failing("broken", seen), Step("next", seen)), (sink,)).send(event())
        assert (seen, sink.lines) == (["broken", "next"], [b"{}\n"])

    def test_it_is_counted_every_time_and_told_once(self, caplog: pytest.LogCaptureFixture) -> None:
        """A bug on every request is one sentence with its traceback, and an exact number."""
        pipeline = Pipeline((Failing("broken", []),), ())
        for _ in range(3):
            pipeline.send(event())

        assert health.faults.counts() == {Fault.STAGE: 3}
        assert told(caplog, "Failing failed, and the line went on without it", "RuntimeError", "a bug")
        assert caplog.records[0].exc_info is not None

    def test_a_function_is_told_by_its_name(self, caplog: pytest.LogCaptureFixture) -> None:
        """The sentence names what the user has to look for."""

        def add_region(_: Event) -> Event:
            raise KeyError("REGION")

        Pipeline((add_region,), ()).send(event())
        assert told(caplog, "add_region failed, and the line went on without it", "KeyError", "REGION")

    def test_an_essential_one_takes_the_line_with_it(self, caplog: pytest.LogCaptureFixture) -> None:
        """A line that is lost and counted is better than one that tells a secret."""
        seen: list[str] = []
        sink = MemorySink()

        Pipeline((Essential("redact", seen), Step("next", seen)), (sink,)).send(event())
        assert (seen, sink.lines) == (["redact"], [])
        assert health.faults.counts() == {Fault.LOST: 1}
        assert told(caplog, "Essential failed, and the line is lost", "RuntimeError", "a bug")


class TestFailingSink:
    def test_the_next_sink_gets_the_line(self) -> None:
        """A full disk does not keep the line from standard output."""
        sink = MemorySink()

        Pipeline((), (BadSink(OSError(28, "No space left on device")), sink)).send(event())
        assert sink.lines == [b"{}\n"]

    def test_it_is_counted_and_told_once(self, caplog: pytest.LogCaptureFixture) -> None:
        """A line that did not arrive is a lost line; the sentence says which sink and why."""
        pipeline = Pipeline((), (BadSink(TimeoutError("slow")),))
        for _ in range(3):
            pipeline.send(event())

        assert health.faults.counts() == {Fault.LOST: 3}
        assert told(caplog, "BadSink failed, and the line is lost", "TimeoutError", "slow")

    @pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)], ids=repr)
    def test_a_wish_to_end_the_process_passes(self, error: BaseException) -> None:
        """Ctrl-C while a line is written ends the program, as it would without us."""
        with pytest.raises(type(error)) as raised:
            Pipeline((), (BadSink(error),)).send(event())

        assert error is raised.value

    def test_an_error_that_cannot_be_printed_is_no_error_of_the_application(self) -> None:
        """What is raised may be as broken as what raised it; the work goes on all the same."""
        sink = MemorySink()
        Pipeline((), (BadSink(UnprintableError()), sink)).send(event())

        assert sink.lines == [b"{}\n"]
        assert health.faults.counts() == {Fault.LOST: 1}

    def test_a_log_handler_that_raises_is_no_error_of_the_application(self) -> None:
        """The sentence goes to the user's own logging, which may be broken itself."""

        class Broken(logging.Filter):
            def filter(self, record: logging.LogRecord) -> bool:
                raise RuntimeError("the filter is broken")

        sink, broken = MemorySink(), Broken()
        logging.getLogger("wideevents").addFilter(broken)
        try:
            Pipeline((), (BadSink(OSError()), sink)).send(event())
        finally:
            logging.getLogger("wideevents").removeFilter(broken)

        assert sink.lines == [b"{}\n"]


class TestForwarder:
    def test_what_was_to_be_told_is_given_back_though_it_has_the_entry(self) -> None:
        """It writes no line: what no other sink has written is told by the next one."""

        class Forwarding(MemorySink):
            def assign(self, event: Event) -> Event:
                return event

        forwarding = Forwarding()
        Pipeline((), (forwarding, BadSink(OSError("full")))).send(sealed({"events.late_writes": 3}))

        assert len(forwarding.lines) == 1
        assert health.take_unreported()["events.late_writes"] == 3


class TestClose:
    def test_every_sink_is_closed(self) -> None:
        """What a sink holds back is written when the process ends."""
        sinks = ClosedSink(), ClosedSink()
        Pipeline((), sinks).close()

        assert [sink.closed for sink in sinks] == [1, 1]

    def test_a_sink_that_fails_to_close_does_not_stop_the_next(self) -> None:
        """One broken sink must not cost another one what it holds back."""

        class Stuck(ClosedSink):
            def close(self) -> None:
                raise OSError("cannot flush")

        last = ClosedSink()
        Pipeline((), (Stuck(), last)).close()

        assert last.closed == 1


class Unlike:
    """Be a stage that cannot be compared with another one."""

    def __eq__(self, other: object) -> bool:
        raise ValueError("the truth of this is ambiguous")

    __hash__ = None  # type: ignore[assignment]


class Unbound(Unlike):
    __call__ = staticmethod(lambda event: event)


class TestComparison:
    def test_no_stage_is_compared_with_one_that_fails(self) -> None:
        """What a stage is like is its own affair, and must not reach the application."""

        def fails(event: Event) -> Event:
            raise RuntimeError

        sink, event = MemorySink(), sealed()
        event.line = b"{}\n"
        Pipeline((Unbound(), fails), (sink,)).send(event)

        assert sink.lines == [b"{}\n"]
