"""What the errors room promises."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest

from wideevents import errors
from wideevents.errors import ConfigurationError, WideError, WideEventsError


class TestFamily:
    def test_one_root_catches_every_error_of_the_package(self) -> None:
        """An application that wants to catch whatever we raise needs one name."""
        raised = {value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)}

        assert {WideEventsError, ConfigurationError, WideError} == raised
        assert [error for error in raised if not issubclass(error, WideEventsError)] == [WideError]

    def test_a_refused_setting_is_a_value_error(self) -> None:
        """Who knows nothing of us catches a wrong setting as what it is in Python: a wrong value."""
        with pytest.raises(ValueError, match="must be"):
            raise ConfigurationError.of("level", "loud", "quiet")

    def test_the_tree_in_the_docstring_is_the_real_one(self) -> None:
        """The family is drawn for the reader; a drawing that leaves one out would mislead."""
        drawn = errors.__doc__ or ""

        assert all(name in drawn for name in ("WideEventsError", "ConfigurationError", "ValueError", "WideError"))


class TestWording:
    def test_a_refusal_names_the_setting_the_value_and_what_is_allowed(self) -> None:
        """A person reads one sentence and knows what to change, where, and into what."""
        refusal = ConfigurationError.of("limits.max_bytes", 12, "at least 2048")

        assert str(refusal) == "limits.max_bytes=12 cannot be used: it must be at least 2048."

    def test_a_refusal_shows_the_value_as_python_writes_it(self) -> None:
        """An empty text and a number in quotes can be told from nothing and from a number."""
        assert "service=''" in str(ConfigurationError.of("service", "", "text"))
        assert "level='20'" in str(ConfigurationError.of("level", "20", "a number"))


class CardDeclinedError(WideError):
    """Ask for other arguments than it keeps, and have a status of its class."""

    status = 402
    code = "card.declined"

    def __init__(self, card: str, *, attempts: int) -> None:
        super().__init__(f"card {card} was declined", fix="use another card", attempts=attempts)
        self.card = card


def decline(card: str) -> None:
    raise CardDeclinedError(card, attempts=3)


class TestWideError:
    def test_says_what_it_was_given(self) -> None:
        """It is an exception with a message like any other."""
        error = WideError("payment failed", status=402, why="w", fix="f", link="l", code="c", expected=True, order=7)
        assert (str(error), error.args) == ("payment failed", ("payment failed",))
        assert (error.status, error.why, error.fix, error.link, error.code) == (402, "w", "f", "l", "c")
        assert (error.expected, error.fields) == (True, {"order": 7})

    def test_says_nothing_that_it_was_not_given(self) -> None:
        """All of it may be left out."""
        error = WideError()
        assert (str(error), error.expected, error.fields) == ("", False, {})
        assert [error.status, error.why, error.fix, error.link, error.code] == [None] * 5

    def test_takes_a_field_of_any_name(self) -> None:
        """Only what an error says of itself is taken."""
        assert WideError("x", message="m", self=1, level="high").fields == {"message": "m", "self": 1, "level": "high"}

    def test_a_subclass_sets_what_all_of_its_kind_say(self) -> None:
        """What one of them is given goes before."""

        class StockError(WideError):
            status = 409
            fix = "order fewer"
            expected = True

        assert (StockError("x").status, StockError("x").fix, StockError("x").expected) == (409, "order fewer", True)
        assert (StockError("x", status=404).status, StockError("x", expected=False).expected) == (404, False)


class TestCopies:
    """A copy has everything, whatever its class asks for."""

    COPIES: tuple[Callable[[Any], Any], ...] = (
        copy.copy,
        copy.deepcopy,
        *(lambda error, protocol=protocol: pickle.loads(pickle.dumps(error, protocol)) for protocol in range(6)),
    )

    @pytest.mark.parametrize("copied", COPIES)
    @pytest.mark.parametrize(
        "error",
        [
            WideError("payment failed", status=402, why="w", fix="f", link="l", code="c", expected=True, order=[7]),
            CardDeclinedError("4711", attempts=3),
            WideError(),
        ],
        ids=str,
    )
    def test_have_all_that_the_error_has(self, copied: Callable[[Any], Any], error: WideError) -> None:
        """The message, what it says of itself, its fields, and what was noted since."""
        error.__dict__.pop("__notes__", None)
        error.add_note("in order 7")
        other = copied(error)

        assert (type(other), other.args, str(other), vars(other)) == (type(error), error.args, str(error), vars(error))
        assert vars(other) is not vars(error)

    def test_of_another_process_have_it_too(self) -> None:
        """What a worker raises is what its caller catches."""
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            error = pool.submit(decline, "4711").exception()

        assert type(error) is CardDeclinedError
        assert (str(error), error.card, error.status, error.fields) == (
            *("card 4711 was declined", "4711", 402),
            {"attempts": 3},
        )
