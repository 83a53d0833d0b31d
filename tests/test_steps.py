"""What the steps room promises."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

import pytest

from tests.conftest import FakeClock, Written, at_once
from wideevents.entries import Noted
from wideevents.events import Event
from wideevents.levels import Level
from wideevents.recorder import Recorder
from wideevents.steps import MOST_LEFT, Passed, Place, Steps, steps_of, summary


def noted(error: BaseException, *, handled: bool = False, expected: bool = False) -> Noted:
    """Return *error* as an event notes it."""
    return Noted(error, Level.WARNING if handled else Level.ERROR, handled, expected)


def raised(error: BaseException) -> BaseException:
    """Return *error* with a traceback."""
    try:
        raise error
    except BaseException as caught:
        return caught


def place_of(error: BaseException) -> Place:
    """Return where *error* was raised."""
    trace: TracebackType = error.__traceback__  # type: ignore[assignment]
    return Place(id(trace.tb_frame), trace.tb_lineno, trace.tb_lineno)


@pytest.fixture
def step(recorder: Recorder, clock: FakeClock) -> Callable[[], Event]:
    """Return what makes a step that took a second, and has ended."""

    def made() -> Event:
        event = recorder.open("report", "batch")
        clock.advance(1)
        event.ended = clock.monotonic()
        return event

    return made


class TestSummary:
    def test_says_how_many_and_how_long(self) -> None:
        """In milliseconds; what failed is counted, too."""
        told = summary([3_000_000, 1_000_000, 2_000_000], 1)
        assert (told["count"], told["duration_ms"], told["failures"]) == (3, 6.0, 1)

    @pytest.mark.parametrize(
        ("number", "p50", "p95", "longest"),
        [(1, 1, 1, 1), (2, 1, 2, 2), (3, 2, 3, 3), (20, 10, 19, 20), (100, 50, 95, 100)],
    )
    def test_takes_the_nearest_rank(self, number: int, p50: float, p95: float, longest: float) -> None:
        """A percentile is one of the durations: as many in a hundred are not longer."""
        told = summary([rank * 1_000_000 for rank in range(number, 0, -1)], 0)
        assert (told["p50_ms"], told["p95_ms"], told["max_ms"]) == (p50, p95, longest)

    def test_has_no_percentiles_of_nothing(self) -> None:
        """A report without a page is told as one."""
        assert summary([], 0) == {"count": 0, "duration_ms": 0.0, "failures": 0}


class TestStepsOf:
    def test_are_the_same_for_a_name(self, recorder: Recorder) -> None:
        """Two batches of one name in one event add up."""
        event = recorder.open("work", "task")
        assert steps_of(event, "report") is steps_of(event, "report")
        assert steps_of(event, "report") is not steps_of(event, "other")
        recorder.finish(event)
        assert event.batches is None


class TestSteps:
    def test_are_exact_from_many_threads(self, recorder: Recorder, eager_switching: None) -> None:
        """Each failure counts."""
        steps = Steps("report")
        event = recorder.open("report", "batch")
        event.outcome = "failure"
        recorder.finish(event)

        def work() -> None:
            for _ in range(500):
                steps.count(event)

        at_once(work, work, work)
        assert steps.failures == 1_500

    def test_write_to_names_that_are_not_ours(self, recorder: Recorder, written: Written) -> None:
        """As a timer of that name does."""
        event = recorder.open("work", "task")
        steps_of(event, "db")
        steps_of(event, "password_reset")
        recorder.finish(event)
        line = written.one()
        assert (line["db.count"], line["user_fields.db.failures"], line["password_reset.count"]) == (0, 0, 0)

    def test_waiting_for_their_parent_are_not_in_progress(
        self, recorder: Recorder, written: Written, step: Callable[[], Event]
    ) -> None:
        """They have ended, and took as long as they did."""
        steps = Steps("report")
        left = step()
        steps.leave(left, ())
        assert (recorder.in_progress, written.all()) == ({}, [])
        steps.settle(Passed([]))
        assert (written.one()["duration_ms"], written.one()["outcome"]) == (1_000.0, "success")

    def test_do_not_wait_without_end(self, recorder: Recorder, written: Written, step: Callable[[], Event]) -> None:
        """Of too many the oldest is told what nobody told of it."""
        steps = Steps("report")
        for _ in range(MOST_LEFT + 1):
            steps.leave(step(), ())
        assert (len(written.all()), written.one()["event.id"][-2:]) == (1, "01")
        steps.settle(Passed([]), "cancelled")
        assert [line["outcome"] for line in written.all()[1:]] == ["cancelled"] * MOST_LEFT

    def test_are_blamed_for_one_error_each(
        self, recorder: Recorder, written: Written, step: Callable[[], Event]
    ) -> None:
        """Of two that were left in the same place the newer was left by it: the older error was handled by somebody."""
        error = raised(ValueError("x"))
        steps = Steps("report")
        for _ in range(2):
            steps.leave(step(), (place_of(error),))
        steps.settle(Passed([noted(error)]))
        assert [(line["event.id"][-2:], line["outcome"]) for line in written.all()] == [
            ("02", "failure"),
            ("01", "success"),
        ]
        assert steps.failures == 1


class TestPassed:
    def blamed(self, recorder: Recorder, errors: list[Noted], *places: Place) -> tuple[bool, Event]:
        event = recorder.open("report", "batch")
        blamed = Passed(errors).blame(event, places)
        recorder.finish(event)
        return blamed, event

    def test_knows_where_an_error_went_through(self, recorder: Recorder, written: Written) -> None:
        """By the frame and the lines of the loop."""
        error = raised(ValueError("x"))
        assert self.blamed(recorder, [noted(error)], place_of(error))[0]
        line = written.one()
        assert (line["outcome"], line["level"], line["exception.message"]) == ("failure", "error", "x")

    def test_knows_where_it_did_not(self, recorder: Recorder, written: Written) -> None:
        """Another frame, or lines before the loop or behind it."""
        error = raised(ValueError("x"))
        frame, line, _ = place_of(error)
        others = (Place(frame + 1, line, line), Place(frame, line + 1, line + 9), Place(frame, 0, line - 1))
        assert not self.blamed(recorder, [noted(error)], *others)[0]
        assert written.one()["outcome"] == "success"

    def test_looks_at_what_caused_an_error(self, recorder: Recorder, written: Written) -> None:
        """Somebody outside of the loop says it in other words."""
        inner = raised(ValueError("inner"))
        outer = RuntimeError("outer")
        outer.__cause__ = inner
        assert self.blamed(recorder, [noted(raised(outer))], place_of(inner))[0]
        assert written.one()["exception.message"] == "inner"

    def test_looks_into_a_group(self, recorder: Recorder, written: Written) -> None:
        """As a group of tasks raises it."""
        inner = raised(ValueError("inner"))
        assert self.blamed(recorder, [noted(ExceptionGroup("tasks", [inner]))], place_of(inner))[0]
        assert written.one()["exception.message"] == "inner"

    def test_blames_as_much_as_the_parent_did(self, recorder: Recorder, written: Written) -> None:
        """What it handled is a warning here, too; the step did not get to its end all the same."""
        error = raised(ValueError("x"))
        self.blamed(recorder, [noted(error, handled=True)], place_of(error))
        self.blamed(recorder, [noted(error, handled=True, expected=True)], place_of(error))
        assert [(line["outcome"], line["level"]) for line in written.all()] == [
            ("failure", "warning"),
            ("failure", "info"),
        ]

    def test_knows_endings_that_are_no_failure(self, recorder: Recorder, written: Written) -> None:
        """Ctrl-C, and an exit that is a good one."""
        for error in (KeyboardInterrupt(), SystemExit(0)):
            assert self.blamed(recorder, [noted(raised(error))], place_of(error))[0]
        assert [line["outcome"] for line in written.all()] == ["cancelled", "success"]
