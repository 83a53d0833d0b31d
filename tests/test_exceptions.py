"""What the exceptions room promises."""

from __future__ import annotations

import json
import re
import weakref
from collections.abc import Callable
from typing import Any

import flask
import pytest

from wideevents.errors import WideError
from wideevents.exceptions import (
    CAUSES,
    EXPLANATIONS,
    MESSAGE_LENGTH,
    NAMES,
    attribute,
    describe,
    explained,
    fields_of,
    given,
)
from wideevents.fingerprints import fingerprint
from wideevents.frames import Application


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


def raised(work: Callable[[], object]) -> BaseException:
    """Return what *work* raises, without the frame of this function."""
    try:
        work()
    except BaseException as error:
        return error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)
    raise AssertionError("nothing was raised")


class TestDescribe:
    def test_names_the_type_and_the_message(self) -> None:
        """OpenTelemetry's names, and `error.type` for what can fail without an exception."""
        described = describe(caught(ValueError("no such page")))
        stack = described.pop("exception.stacktrace")

        place = f"{__name__}.caught"

        assert described == {
            "error.type": "ValueError",
            "error.fingerprint": fingerprint(caught(ValueError()), Application()),
            "exception.type": "ValueError",
            "exception.message": "no such page",
            "exception.slug": f"{place}:ValueError",
            "code.file.path": __file__,
            "code.line.number": caught.__code__.co_firstlineno + 3,
            "code.function.name": place,
        }
        assert re.fullmatch(
            r"Traceback \(most recent call last\):\n> File .*, in caught\n    raise error\nValueError: no such page",
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


class TestPlace:
    def test_is_where_the_application_raised_it(self) -> None:
        """The library that refused a text was told to read it."""

        def read() -> object:
            return json.loads("[")

        described = describe(raised(read))
        assert described["code.file.path"] == __file__
        assert described["code.line.number"] == read.__code__.co_firstlineno + 1
        assert described["code.function.name"] == f"{__name__}.{read.__qualname__}"
        assert described["exception.slug"] == f"{__name__}.{read.__qualname__}:JSONDecodeError"

    def test_is_nowhere_for_one_that_was_never_raised(self) -> None:
        """The type is all that is known of it."""
        described = describe(ShopError.DeclinedError("x"))
        assert [name for name in described if name.startswith("code.")] == []
        assert described["exception.slug"] == "ShopError.DeclinedError"

    def test_is_one_of_the_packages_that_are_the_applications(self) -> None:
        """An installed application is named in the settings."""
        described = describe(raised(lambda: flask.Flask(7)), Application(("flask",)))  # type: ignore[arg-type]
        assert str(described["code.function.name"]).startswith("flask.")


class TestFingerprint:
    def test_is_that_of_the_fingerprints_room(self) -> None:
        """16 hex digits, the same every time."""
        found = [describe(caught(ShopError(number)))["error.fingerprint"] for number in range(2)]
        assert found == [fingerprint(caught(ShopError()), Application())] * 2


class TestCauses:
    def test_are_told_the_nearest_first(self) -> None:
        """Each as the last line of its traceback has it."""
        error, cause = caught(ShopError("declined")), caught(ConnectionError("timed out"))
        cause.__context__, error.__cause__ = KeyError("sku"), cause
        assert describe(error)["exception.causes"] == ["ConnectionError: timed out", "KeyError: 'sku'"]

    def test_of_one_without_any_are_left_out(self) -> None:
        """An empty list tells nobody anything."""
        assert "exception.causes" not in describe(caught(ShopError("declined")))

    def test_have_the_members_of_groups(self) -> None:
        """What failed in a group of tasks is told, with what caused each, and groups in groups."""
        first, second = ValueError("first"), TypeError()
        first.__cause__ = OSError("disk")
        error = ExceptionGroup("several", [first, ExceptionGroup("inner", [second])])
        error.__cause__ = KeyError("sku")
        assert describe(error)["exception.causes"] == [
            *("ValueError: first", "OSError: disk", "ExceptionGroup: inner (1 sub-exception)", "TypeError"),
            "KeyError: 'sku'",
        ]

    def test_in_a_circle_are_told_once(self) -> None:
        """A member that is raised alone has its group for a context."""
        member = ValueError("member")
        member.__context__ = ExceptionGroup("several", [member, KeyError("other")])
        expected = ["ExceptionGroup: several (2 sub-exceptions)", "KeyError: 'other'"]
        assert describe(member)["exception.causes"] == expected

    def test_are_told_so_far(self) -> None:
        """A group of thousands fills no line."""
        error: Exception = ExceptionGroup("several", [ValueError(number) for number in range(10_000)])
        for _ in range(3_000):
            error = ExceptionGroup("outer", [error])
        causes = describe(error)["exception.causes"]
        assert causes == ["ExceptionGroup: outer (1 sub-exception)"] * CAUSES
        assert len(describe(ExceptionGroup("g", [ValueError()] * 100))["exception.causes"]) == 1  # type: ignore[arg-type]
        members = describe(ExceptionGroup("g", [ValueError(number) for number in range(100)]))["exception.causes"]
        assert members == [f"ValueError: {number}" for number in range(CAUSES)]

    def test_have_the_beginning_of_a_long_message(self) -> None:
        """It ends between two words: half a secret would not be recognised as one."""
        error = ShopError()
        error.__cause__ = ValueError("word " * 199 + "secret-that-is-cut")
        whole = ShopError()
        whole.__cause__ = ValueError("m" * MESSAGE_LENGTH)
        assert describe(error)["exception.causes"] == ["ValueError: " + ("word " * 199).strip()]
        assert describe(whole)["exception.causes"] == ["ValueError: " + "m" * MESSAGE_LENGTH]


class Declined(Exception):  # noqa: N818 - as an application may call it
    why = "the issuer refused"
    code = "card.declined"
    status = 402
    expected = True

    def __init__(self, message: str = "", **attributes: Any) -> None:
        super().__init__(message)
        vars(self).update(attributes)


class TestExplained:
    """What an exception says of itself, whatever its class."""

    def test_is_taken_from_its_attributes(self) -> None:
        """Those of its class, and its own."""
        assert (
            describe(caught(Declined(fix="use another card", link="https://shop.example/declined"))).items()
            >= {
                "error.why": "the issuer refused",
                "error.fix": "use another card",
                "error.link": "https://shop.example/declined",
                "error.code": "card.declined",
                "error.expected": True,
                "exception.slug": "card.declined",
            }.items()
        )

    def test_of_one_that_says_nothing_is_nothing(self) -> None:
        """Absent means left out."""
        described = describe(caught(ValueError("x")))
        assert [name for name in described if name in {*EXPLANATIONS.values(), "error.expected"}] == []

    @pytest.mark.parametrize("value", [None, "", 402, b"text", ["text"], {"a": 1}, len], ids=repr)
    def test_ignores_what_is_no_text(self, value: object) -> None:
        """Other libraries have attributes of these names for other things: a `code` is often a number."""
        error = Declined(why=value, fix=value, link=value, code=value)
        assert explained(error) == {}
        assert describe(error)["exception.slug"] == "Declined"

    @pytest.mark.parametrize("value", [None, 1, "yes", 200, {"a"}], ids=repr)
    def test_ignores_an_expectation_that_is_not_true(self, value: object) -> None:
        """`asyncio.IncompleteReadError.expected` is a number of bytes."""
        assert "error.expected" not in describe(Declined(expected=value))

    def test_ignores_a_property_that_raises(self) -> None:
        """Whatever it raises; the others are told."""

        class BrokenError(Exception):
            fix = "wait"

            @property
            def why(self) -> str:
                raise Stop

            expected = code = link = fields = why

        assert explained(BrokenError()) == {"error.fix": "wait"}
        assert "error.expected" not in describe(BrokenError())
        assert attribute(BrokenError(), "why") is None

    def test_leaves_out_what_a_process_ends_with(self) -> None:
        """The `code` of a SystemExit is a message or a number."""
        described = describe(SystemExit("nothing to do"))
        assert (described.get("error.code"), described["exception.slug"]) == (None, "SystemExit")

    def test_the_code_of_a_library_names_no_place(self) -> None:
        """SQLAlchemy's says which chapter of its documentation to read, for thousands of places."""
        kind = type("IntegrityError", (Exception,), {"__module__": "flask.app", "code": "gkpj"})
        described = describe(caught(kind("constraint")))
        assert described["error.code"] == "gkpj"
        assert described["exception.slug"] == f"{__name__}.caught:IntegrityError"
        assert describe(kind("x"), Application(("flask",)))["exception.slug"] == "gkpj"

    def test_the_code_of_a_class_from_nowhere_names_no_place(self) -> None:
        """Nobody knows whose it is."""
        kind = type("LostError", (Exception,), {"__module__": "no.such.module", "code": "lost"})
        assert describe(kind())["exception.slug"] == "LostError"


class TestFieldsOf:
    def test_are_those_of_a_wide_error_alone(self) -> None:
        """Other exceptions have an attribute of that name for other things."""
        assert fields_of(WideError("x", order=7)) == {"order": 7}
        assert fields_of(Declined(fields={"order": 7})) == {}

    def test_of_one_that_was_not_built_are_none(self) -> None:
        """A subclass may forget to call the constructor above, or call a field of its own so."""

        class ForgetfulError(WideError):
            def __init__(self) -> None:
                self.order = 7

        error = WideError()
        error.fields = [1]  # type: ignore[assignment]
        assert (fields_of(ForgetfulError()), fields_of(error)) == ({}, {})


class TestNames:
    def test_are_all_that_an_exception_may_have(self) -> None:
        """An error that takes the place of another leaves nothing of it behind."""
        error = Declined(fix="x", link="y")
        error.__cause__ = ValueError()
        assert {*describe(caught(error))} == {*NAMES}


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
