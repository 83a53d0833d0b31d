"""What is reported of an event, and of a line."""

from __future__ import annotations

from typing import Any, TypeVar

import pytest

from tests.stages import sealed
from wideevents.entries import Noted
from wideevents.levels import Level
from wideevents.logs.lines import Line
from wideevents.sinks.sentry.failures import Failure, failures, speaks_for_itself

E = TypeVar("E", bound=BaseException)

WARNING, ERROR, DEBUG = Level.WARNING, Level.ERROR, Level.DEBUG


def noted(error: Any, level: Level = WARNING, *, handled: bool = True, expected: bool = False) -> Noted:
    return Noted(error, level, handled, expected)


def found(level: Level, *errors: Noted) -> list[Failure]:
    """Return what is reported of an event of *level* with these errors."""
    event = sealed(level=level)
    event.errors = errors
    return failures(event)


def caused(error: E, cause: BaseException) -> E:
    """Return *error*, raised from *cause*."""
    error.__cause__ = cause
    return error


class TestFailures:
    def test_of_several_the_unhandled_one_comes_first(self) -> None:
        """It stands on the line, and gives the line its report."""
        first, second = KeyError(), ValueError()

        reported = found(ERROR, noted(first), noted(second, ERROR, handled=False))

        assert [(each.error, each.level, each.handled) for each in reported] == [
            (second, ERROR, False),
            (first, WARNING, True),
        ]

    def test_what_an_event_stands_for_matters_as_much_as_the_event(self) -> None:
        """Flask's errorhandler answers 504: the status says how much it matters, and the exception what it was."""
        error = TimeoutError()

        assert [(each.error, each.level) for each in found(ERROR, noted(error, DEBUG))] == [(error, ERROR)]

    @pytest.mark.parametrize("level", [Level.INFO, WARNING])
    def test_an_exception_that_was_answered_is_nobodys_business(self, level: Level) -> None:
        """A 404 is none, also in an event that has logged a warning of something else."""
        assert found(level, noted(LookupError(), DEBUG)) == []

    @pytest.mark.parametrize("level", [WARNING, ERROR])
    def test_what_was_expected_is_not_reported(self, level: Level) -> None:
        """Neither alone nor beside another, in whose place it does not stand either."""
        error = KeyError()

        assert found(level, noted(OSError(), ERROR, handled=False, expected=True)) == []
        assert [each.error for each in found(level, noted(OSError(), ERROR, expected=True), noted(error))] == [error]

    @pytest.mark.parametrize("error", ["a text", None, 5])
    def test_what_is_no_exception_is_none(self, error: object) -> None:
        """`add_error("text")` is taken as it comes; its event is reported for what it is."""
        assert found(ERROR, noted(error, ERROR)) == []

    @pytest.mark.parametrize("order", [1, -1])
    def test_a_cause_stands_in_the_report_of_what_it_caused(self, order: int) -> None:
        """One report, which matters as much as the more important of the two, whichever was noted first."""
        cause = KeyError()
        error = caused(RuntimeError(), cause)
        both = [noted(cause, ERROR), noted(error, WARNING, handled=False)][::order]

        (reported,) = found(WARNING, *both)

        assert reported == Failure(error, ERROR, handled=False, below=(cause,))

    def test_an_unhandled_cause_makes_the_report_unhandled(self) -> None:
        """What stands for the event is told of in the report of another, which stands in its place."""
        cause = KeyError()
        error = caused(RuntimeError(), cause)

        (reported,) = found(ERROR, noted(error), noted(cause, ERROR, handled=False))

        assert (reported.error, reported.level, reported.handled) == (error, ERROR, False)

    def test_members_of_a_group_stand_in_the_report_of_the_group(self) -> None:
        """And so do their causes."""
        cause, other = KeyError(), OSError()
        member = caused(ValueError(), cause)
        group = ExceptionGroup("several", [member, TypeError()])

        reported = found(ERROR, noted(cause), noted(other), noted(member), noted(group))

        assert [each.error for each in reported] == [group, other]

    def test_two_that_caused_each_other_are_one(self) -> None:
        """A circle has no beginning, and must not vanish for that."""
        first, second = KeyError(), ValueError()
        caused(first, second)
        caused(second, first)

        assert [each.error for each in found(ERROR, noted(first), noted(second))] == [first]


class TestEntries:
    def test_an_event_speaks_for_itself(self) -> None:
        """Whatever its record has become."""
        assert speaks_for_itself(sealed())

    @pytest.mark.parametrize(
        ("record", "speaks"),
        [
            ({"alert.urgency": "page", "log.logger": "shop"}, True),
            ({"event.id": "1", "log.logger": "shop"}, False),
            ({"alert.urgency": "business_hours", "log.logger": "wideevents"}, False),
        ],
    )
    def test_of_lines_those_that_alert(self, record: dict[str, Any], *, speaks: bool) -> None:
        """The event of a line speaks for it; and that a report was lost must not be one more report."""
        assert speaks_for_itself(Line(record, ERROR, None)) is speaks
