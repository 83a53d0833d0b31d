"""What the exceptions room promises."""

from __future__ import annotations

import re
import weakref

import pytest

from wideevents.exceptions import STACK_LENGTH, describe, given, qualified_name, stacktrace


class ShopError(Exception):
    class DeclinedError(Exception):
        """Stand below another class."""


class Stop(BaseException):
    """What the code of a hostile object raises."""


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise Stop

    __repr__ = __str__


class UnnameableError(Exception):
    __module__ = UnprintableError()  # type: ignore[assignment]


class Meta(type):
    @property
    def __module__(cls) -> str:  # type: ignore[override]
        raise ValueError


class LyingError(Exception, metaclass=Meta):
    """Be of a class that raises when it is asked for its name."""


def caught(error: BaseException) -> BaseException:
    """Return *error*, raised."""
    try:
        raise error
    except BaseException as raised:
        return raised


class TestDescribe:
    def test_names_the_type_and_the_message(self) -> None:
        """OpenTelemetry's names, and `error.type` for what can fail without an exception."""
        described = describe(caught(ValueError("no such page")))
        stack = described.pop("exception.stacktrace")

        assert described == {
            "error.type": "ValueError",
            "exception.type": "ValueError",
            "exception.message": "no such page",
        }
        assert re.fullmatch(
            r"Traceback \(most recent call last\):\n  File .*, in caught\n    raise error\nValueError: no such page",
            str(stack),
        )

    def test_describes_one_that_was_never_raised(self) -> None:
        """There is no traceback then, and still a type and a message."""
        assert describe(ValueError("x"))["exception.stacktrace"] == "ValueError: x"

    def test_describes_what_is_no_exception_as_far_as_it_goes(self) -> None:
        """Somebody will give a message: there is no stack then."""
        assert describe("out of stock") == {
            "error.type": "str",
            "exception.type": "str",
            "exception.message": "out of stock",
        }

    def test_describes_one_that_cannot_be_printed(self) -> None:
        """The exception's own code may raise anything; the type is still there."""
        described = describe(caught(UnprintableError()))

        assert described["error.type"] == f"{__name__}.UnprintableError"
        assert described["exception.message"] == "<unprintable UnprintableError>"
        assert "UnprintableError" in str(described["exception.stacktrace"])

    @pytest.mark.parametrize("kind", [UnnameableError, LyingError])
    def test_describes_one_whose_class_cannot_be_named(self, kind: type[Exception]) -> None:
        """A class can be as hostile as a value."""
        described = describe(caught(kind("message")))

        assert described["exception.message"] == "message"
        assert kind.__qualname__ in str(described["error.type"])

    def test_keeps_nothing_of_the_exception(self) -> None:
        """The text is taken at once, so that neither the exception nor its frames outlive the work."""
        error = ShopError("x")
        gone = weakref.ref(error)
        described = describe(error)
        del error

        assert (gone(), described["exception.message"]) == (None, "x")


class TestQualifiedName:
    @pytest.mark.parametrize(
        ("kind", "name"),
        [
            (KeyError, "KeyError"),
            (ShopError, f"{__name__}.ShopError"),
            (ShopError.DeclinedError, f"{__name__}.ShopError.DeclinedError"),
        ],
    )
    def test_is_that_of_the_module_which_builtins_do_without(self, kind: type, name: str) -> None:
        """It can be looked for in the source."""
        assert qualified_name(kind) == name


class TestStacktrace:
    def test_tells_the_cause_too(self) -> None:
        """What Python prints is what people know how to read."""
        error = ShopError("declined")
        error.__cause__ = caught(ConnectionError("timed out"))
        lines = stacktrace(caught(error)).splitlines()

        assert "ConnectionError: timed out" in lines
        assert "The above exception was the direct cause of the following exception:" in lines
        assert lines[-1] == f"{__name__}.ShopError: declined"

    def test_ends_without_a_newline(self) -> None:
        """It is a value in a line."""
        assert stacktrace(ValueError("x")) == "ValueError: x"

    def test_keeps_one_of_the_longest_that_is_kept(self) -> None:
        """Up to the limit nothing is left out."""
        message = "m" * (STACK_LENGTH - len("ValueError: "))
        assert stacktrace(ValueError(message)) == f"ValueError: {message}"

    def test_leaves_out_the_middle_of_an_endless_one(self) -> None:
        """Its ends say more: where it began, and what it was. It is cut between lines, lest half a secret stay."""
        shown = stacktrace(ValueError("\n".join(f"line {number}" for number in range(STACK_LENGTH)))).split("\n")
        before, after = shown[: shown.index("  ...")], shown[shown.index("  ...") + 1 :]

        assert (before[0], after[-1]) == ("ValueError: line 0", f"line {STACK_LENGTH - 1}")
        assert before[1:] == [f"line {number}" for number in range(1, len(before))]
        assert after == [f"line {number}" for number in range(STACK_LENGTH - len(after), STACK_LENGTH)]
        assert STACK_LENGTH * 0.9 < sum(map(len, shown)) + len(shown) <= STACK_LENGTH + len("\n  ...\n")

    @pytest.mark.parametrize("raised", [True, False], ids=["raised", "not raised"])
    def test_tells_of_one_endless_line_what_it_was(self, *, raised: bool) -> None:
        """A message without any newline, such as a generated statement, does not take the name of its error along."""
        error = ValueError("m" * 2 * STACK_LENGTH)
        shown = stacktrace(caught(error) if raised else error)

        assert "ValueError" in shown
        assert len(shown) <= STACK_LENGTH + len("\n  ...\n")


class TestGiven:
    ERROR = ValueError("v")

    @pytest.mark.parametrize("exc_info", [ERROR, (ValueError, ERROR, None)], ids=["itself", "tuple"])
    def test_finds_the_exception_of_a_log_call(self, exc_info: object) -> None:
        """In each of the forms that `exc_info` has."""
        assert given(exc_info) is self.ERROR

    @pytest.mark.parametrize("exc_info", [None, True, (None, None, None), (), "text"], ids=str)
    def test_finds_none_in_anything_else(self, exc_info: object) -> None:
        """A record that was made by hand may hold whatever it likes there."""
        assert given(exc_info) is None

    def test_does_not_ask_what_it_is_given(self) -> None:
        """A proxy of what is gone would raise."""
        assert given(weakref.proxy(set())) is None
