"""What an event promises of the exceptions that are noted on it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

import wideevents
from tests.conftest import Written
from tests.strict import parse_line
from wideevents import WideError, add_error, event
from wideevents.events import ERRORS_KEPT
from wideevents.levels import Level
from wideevents.recorder import Recorder


class DeclinedError(WideError):
    """Be worth knowing, and nobody's time."""

    expected = True
    code = "card.declined"


def raised(error: BaseException) -> Any:
    """Return *error*, raised."""
    try:
        raise error
    except BaseException as caught:
        return caught


def told(fields: dict[str, Any], *names: str) -> list[Any]:
    """Return what *fields* have under *names*, None where it is absent."""
    return [fields.get(name) for name in names]


class TestStanding:
    """Of several errors one stands on the event, and the others are counted."""

    NAMES = ("exception.type", "exception.handled", "error.count", "outcome", "level")

    @pytest.mark.parametrize(
        ("handled", "standing"),
        [((True, True), 0), ((True, False), 1), ((False, True), 0), ((False, False), 0), ((True, True, False), 2)],
    )
    def test_is_the_first_that_nobody_handled_else_the_first(
        self, recorder: Recorder, written: Written, handled: tuple[bool, ...], standing: int
    ) -> None:
        """That one is why the work failed; the first is what the others came of."""
        work = recorder.open("work", "task")
        errors = [ValueError, TypeError, KeyError]
        for kind, each in zip(errors, handled, strict=False):
            work.fail(raised(kind("x")), level=Level.WARNING, handled=each)
        recorder.finish(work)

        failed = "success" if all(handled) else "failure"
        expected = [errors[standing].__name__, handled[standing], len(handled), failed, "warning"]
        assert told(written.one(), *self.NAMES) == expected

    def test_leaves_nothing_of_the_one_before(self, recorder: Recorder, written: Written) -> None:
        """What the first said of itself is not true of the second."""
        work = recorder.open("work", "task")
        first = raised(DeclinedError("declined", why="w", fix="f", link="l"))
        first.__cause__ = KeyError("sku")
        work.fail(first, handled=True)
        work.fail(TypeError("never raised"))
        recorder.finish(work)

        fields = written.one()
        said = ("why", "fix", "link", "code", "expected")
        assert told(fields, *(f"error.{name}" for name in said)) == [None] * len(said)
        assert told(fields, "exception.causes", "code.file.path", "code.line.number") == [None] * 3
        assert told(fields, "exception.slug", "error.count") == ["TypeError", 2]

    def test_counts_more_than_it_holds(self, recorder: Recorder, written: Written) -> None:
        """A loop that notes an error for each of a million rows holds ten of them, with all their frames."""
        work = recorder.open("work", "task")
        for number in range(ERRORS_KEPT * 3):
            work.fail(ValueError(number), handled=True)
        assert len(work.errors) == ERRORS_KEPT
        recorder.finish(work)
        assert told(written.one(), "error.count", "exception.message") == [ERRORS_KEPT * 3, "0"]

    def test_is_the_unhandled_one_also_beyond_those(self, recorder: Recorder, written: Written) -> None:
        """It comes last, and is why the work ended."""
        work = recorder.open("work", "task")
        for number in range(ERRORS_KEPT * 2):
            work.fail(ValueError(number), handled=True)
        work.fail(raised(KeyError("it")))
        recorder.finish(work)
        assert told(written.one(), *self.NAMES) == ["KeyError", False, ERRORS_KEPT * 2 + 1, "failure", "error"]

    def test_messages_and_causes_are_redacted(self, recorder: Recorder, written: Written) -> None:
        """Whatever an exception holds may hold a secret."""
        secret = "postgres://shop:hunter22@db.example/orders"
        work = recorder.open("work", "task")
        error = WideError(f"cannot reach {secret}", why=secret, fix=secret, link=secret, code=secret, url=secret)
        error.__cause__ = raised(ExceptionGroup(secret, [OSError(secret)]))
        error.add_note(secret)
        work.fail(raised(error))
        recorder.finish(work)

        assert b"hunter22" not in written.sink.lines[0]
        assert len(written.one()["exception.causes"]) == 2


class TestExpected:
    def test_by_the_argument_leaves_the_level(self, recorder: Recorder, written: Written) -> None:
        """It is worth knowing, and nobody's time."""
        with event("work"):
            add_error(raised(ValueError("x")), level="error", expected=True)
        assert told(written.one(), "level", "error.expected", "error.count") == ["info", True, 1]

    def test_by_the_attribute_leaves_the_level(self, recorder: Recorder, written: Written) -> None:
        """Also where nobody handles it: the work failed, and nobody is called."""
        with pytest.raises(DeclinedError), event("work"):
            raise DeclinedError("declined")
        assert told(written.one(), "level", "outcome", "error.expected", "alert.urgency") == [
            *("info", "failure"),
            *(True, "none"),
        ]

    def test_beside_an_unexpected_one_says_nothing(self, recorder: Recorder, written: Written) -> None:
        """One of the two is somebody's business."""
        with event("work") as work:
            add_error(raised(DeclinedError("declined")))
            assert work.is_expected
            add_error(raised(ValueError("x")))
            assert not work.is_expected
        assert told(written.one(), "level", "exception.type") == ["warning", f"{__name__}.DeclinedError"]

    def test_an_event_without_errors_is_not_expected(self, recorder: Recorder, written: Written) -> None:
        """A 503 that somebody returned pages."""
        with event("work") as work:
            assert not work.is_expected


class TestFields:
    def test_of_a_wide_error_are_fields_of_the_event(self, recorder: Recorder, written: Written) -> None:
        """Whoever raises it knows what nobody above does."""
        with event("work"):
            add_error(raised(WideError("declined", amount_cents=4599, card={"brand": "visa", "number": "4711"})))
        fields = written.one()
        assert told(fields, "amount_cents", "card.brand", "card.number") == [4599, "visa", "[redacted]"]

    def test_of_one_that_is_noted_twice_are_added_again(self, recorder: Recorder, written: Written) -> None:
        """On its way up somebody may have learned more."""
        error = raised(WideError("declined", attempt=1))
        with event("work"):
            add_error(error)
            error.fields["attempt"] = 2
            add_error(error)
        assert told(written.one(), "attempt", "error.count") == [2, 1]

    def test_with_a_name_of_ours_go_to_the_users(self, recorder: Recorder, written: Written) -> None:
        """A field of the error's does not say which event it was."""
        with event("work") as work:
            add_error(raised(WideError("declined", level="high")))
            identity = work.id
        fields = written.one()
        assert told(fields, "level", "user_fields.level", "event.id") == ["warning", "high", identity]

    def test_say_what_the_error_says_of_itself(self, recorder: Recorder, written: Written) -> None:
        """For who is called."""
        with event("work"):
            add_error(raised(WideError("declined", why="expired", fix="use another", link="/card", code="card")))
        said = ("error.why", "error.fix", "error.link", "error.code", "exception.slug")
        assert told(written.one(), *said) == ["expired", "use another", "/card", "card", "card"]


class TestLogged:
    """An exception that is logged inside an event is the event's."""

    @pytest.fixture
    def logger(self, reconfigurable: None, written: Written) -> Iterator[logging.Logger]:
        """Give a logger whose lines are written beside the events."""
        wideevents.configure(service="tests", output=written.sink)
        return logging.getLogger("shop")

    @staticmethod
    def of(written: Written) -> dict[str, Any]:
        """Return the only event, beside whatever lines."""
        (line,) = [line for line in written.sink.lines if b'"event.kind":' in line]
        return parse_line(line)

    @pytest.mark.parametrize(("level", "label"), [("exception", "error"), ("warning", "warning")])
    def test_is_noted_as_handled(self, logger: logging.Logger, written: Written, level: str, label: str) -> None:
        """The work goes on; the level is that of the line."""
        with event("work"):
            try:
                raise ValueError("x")
            except ValueError:
                getattr(logger, level)("it failed", exc_info=True)
        names = ("level", "outcome", "exception.type", "exception.handled", "error.count")
        assert told(self.of(written), *names) == [label, "success", "ValueError", True, 1]

    def test_counts_once_when_it_is_raised_on(self, logger: logging.Logger, written: Written) -> None:
        """It is logged, raised again, logged above, and nobody handles it."""

        @event("work")
        def work() -> None:
            try:
                below()
            except ValueError as error:
                logger.exception("it failed above")
                add_error(error)
                raise

        def below() -> None:
            try:
                raise ValueError("x")
            except ValueError:
                logger.exception("it failed")
                raise

        with pytest.raises(ValueError, match="x"):
            work()
        names = ("level", "outcome", "exception.type", "exception.handled", "error.count", "log.count.error")
        assert told(self.of(written), *names) == ["error", "failure", "ValueError", False, 1, 2]

    def test_below_a_warning_is_none_of_the_events(self, logger: logging.Logger, written: Written) -> None:
        """Who logs it as information says that it does not matter."""
        with event("work"):
            logger.info("never mind", exc_info=raised(ValueError("x")))
        assert told(self.of(written), "level", "error.count", "exception.type") == ["info", None, None]

    def test_by_a_logger_that_raises_no_level_is_none_of_the_events(
        self, logger: logging.Logger, written: Written
    ) -> None:
        """Its lines speak of the code, and not of what is done with it."""
        with event("work"):
            logging.getLogger("py.warnings").warning("deprecated", exc_info=raised(ValueError("x")))
        assert told(self.of(written), "level", "error.count", "exception.type") == ["info", None, None]

    def test_that_is_expected_stays_so(self, logger: logging.Logger, written: Written) -> None:
        """The line is an error's, as its author wanted; the error is nobody's."""
        with event("work"):
            logger.warning("declined", exc_info=raised(DeclinedError("x")))
        assert told(self.of(written), "error.expected", "exception.slug") == [True, "card.declined"]


class TestHeld:
    """What reports an error needs it itself; an event holds the few that say most."""

    def held(self, work: wideevents.Event) -> list[str]:
        return [str(each.error) for each in work.errors]

    def test_an_unhandled_one_goes_before_what_was_handled(self, recorder: Recorder) -> None:
        """Though it comes after too many others: the newest of those goes; the first stays."""
        work = recorder.open("work", "task")
        for number in range(ERRORS_KEPT + 5):
            work.fail(ValueError(f"handled {number}"), level=Level.WARNING, handled=True)
        work.fail(KeyError("raised"))

        assert len(self.held(work)) == ERRORS_KEPT
        assert (self.held(work)[0], self.held(work)[-1]) == ("handled 0", "'raised'")
        recorder.finish(work)

    def test_an_unexpected_one_goes_before_what_was_expected(self, recorder: Recorder) -> None:
        """Else a failure that nobody expected would page nobody."""
        work = recorder.open("work", "task")
        for number in range(ERRORS_KEPT):
            work.fail(ValueError(f"expected {number}"), handled=True, expected=True)
        assert work.is_expected
        work.fail(ValueError("a surprise"), handled=True)
        for number in range(ERRORS_KEPT):
            work.fail(ValueError(f"expected again {number}"), handled=True, expected=True)

        assert "a surprise" in self.held(work)
        assert not work.is_expected
        recorder.finish(work)

    def test_the_first_stays_though_it_was_expected(self, recorder: Recorder) -> None:
        """It stands on the event as long as nobody leaves one unhandled."""
        work = recorder.open("work", "task")
        work.fail(ValueError("first"), handled=True, expected=True)
        for number in range(ERRORS_KEPT + 1):
            work.fail(ValueError(f"handled {number}"), handled=True)

        assert self.held(work)[0] == "first"
        recorder.finish(work)

    def test_unhandled_ones_stay(self, recorder: Recorder, written: Written) -> None:
        """Where there is nothing else, one more is only counted."""
        work = recorder.open("work", "task")
        for number in range(ERRORS_KEPT + 1):
            work.fail(ValueError(f"raised {number}"))

        assert self.held(work) == [f"raised {number}" for number in range(ERRORS_KEPT)]
        recorder.finish(work)
        assert written.one()["error.count"] == ERRORS_KEPT + 1

    def test_what_is_no_exception_is_described_and_not_held(self, recorder: Recorder, written: Written) -> None:
        """It has no frames to report."""
        work = recorder.open("work", "task")
        work.fail("out of stock", handled=True)  # type: ignore[arg-type]

        assert work.errors == ()
        recorder.finish(work)
        assert (written.one()["exception.message"], written.one()["error.count"]) == ("out of stock", 1)


class TestAgain:
    def test_matters_as_much_as_it_ever_did(self, recorder: Recorder) -> None:
        """A door notes once more what somebody noted as an error."""
        work, error = recorder.open("work", "task"), ValueError("x")
        work.fail(error, level=Level.ERROR, handled=True)
        work.fail(error, level=Level.DEBUG, handled=True)

        assert [noted.level for noted in work.errors] == [Level.ERROR]
        recorder.finish(work)

    @pytest.mark.parametrize(
        ("first", "again", "is_expected"),
        [
            ({"handled": True, "expected": True}, {"handled": True}, True),
            ({"handled": True}, {"handled": True, "expected": True}, True),
            ({"handled": True, "expected": True}, {}, False),
            ({"handled": True}, {"expected": True}, True),
            ({}, {"handled": True, "expected": True}, False),
            ({"expected": True}, {"handled": True}, True),
        ],
    )
    def test_what_was_expected_to_be_handled_and_was_not_is_a_surprise(
        self, recorder: Recorder, first: dict[str, bool], again: dict[str, bool], *, is_expected: bool
    ) -> None:
        """Of one exception that is noted twice, whoever did not handle it says whether it was expected."""
        work, error = recorder.open("work", "task"), ValueError("x")
        work.fail(error, level=Level.WARNING, **{"handled": False, **first})
        work.fail(error, level=Level.ERROR, **{"handled": False, **again})
        (noted,) = work.errors

        assert noted.expected is is_expected
        assert (noted.handled, noted.level) == ("handled" in first and "handled" in again, Level.ERROR)
        recorder.finish(work)
