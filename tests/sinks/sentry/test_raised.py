"""What is taken from an exception."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

from wideevents.frames import Application
from wideevents.redaction import Redaction
from wideevents.sinks.sentry.raised import INNER, MOST, OUTER, Raised, links, snapshot


def taken(error: BaseException, *names: str) -> list[Raised]:
    """Return what is told of *error*, and of variables with these names."""
    return snapshot(error, Application(), frozenset(names), Redaction().hides)


def raised(work: Any) -> BaseException:
    """Return what *work* raises."""
    try:
        work()
    except BaseException as error:
        return error
    raise AssertionError("it raises nothing")


def variables(error: BaseException, *names: str) -> list[dict[str, Any]]:
    """Return the variables that are told of the frames, those that have any."""
    return [dict(told) for _, told in taken(error, *names)[0].frames if told]


class TestLinks:
    def test_a_chain_with_its_sources(self) -> None:
        """Explicit and implicit, as Sentry's protocol calls them; the parent is the one above."""

        def work() -> None:
            try:
                try:
                    raise KeyError("root")
                except KeyError:
                    raise ValueError("middle")  # noqa: B904
            except ValueError as error:
                raise RuntimeError("top") from error

        told = [(type(link.error), link.parent, link.source) for link in links(raised(work))]

        assert told == [(RuntimeError, 0, ""), (ValueError, 0, "__cause__"), (KeyError, 1, "__context__")]

    def test_from_none_has_no_cause(self) -> None:
        """Whoever writes it means that what went before is of no interest."""

        def work() -> None:
            try:
                raise KeyError("hidden")
            except KeyError:
                raise RuntimeError("top") from None

        assert len(links(raised(work))) == 1

    def test_a_group_with_its_members(self) -> None:
        """Groups may stand in groups; the cause of a group comes before its members."""
        inner = ExceptionGroup("inner", [TypeError()])
        group = ExceptionGroup("outer", [ValueError(), inner])
        group.__cause__ = OSError()

        told = [(type(link.error).__name__, link.parent, link.source) for link in links(group)]

        assert told == [
            ("ExceptionGroup", 0, ""),
            ("OSError", 0, "__cause__"),
            ("ValueError", 0, "exceptions[0]"),
            ("ExceptionGroup", 0, "exceptions[1]"),
            ("TypeError", 3, "exceptions[0]"),
        ]

    def test_each_stands_there_once(self) -> None:
        """In a circle, and where two members have one cause."""
        cause = KeyError()
        group = ExceptionGroup("", [ValueError(), TypeError()])
        for error in (*group.exceptions, cause):
            error.__cause__ = cause

        assert [link.error for link in links(group)] == [group, *group.exceptions, cause]

    def test_an_endless_family_is_bounded(self) -> None:
        """A group of a million is told by its first members."""
        group = ExceptionGroup("", [ValueError(number) for number in range(10_000)])

        assert len(links(group)) == MOST


class TestSnapshot:
    def test_type_module_and_message(self) -> None:
        """Builtins are of no module that anybody would look for, and said to be."""

        class OutOfStockError(Exception):
            pass

        (own,), (builtin,) = taken(OutOfStockError("tea")), taken(KeyError("sku"))

        assert (own.type, own.module, own.message) == (OutOfStockError.__qualname__, __name__, "tea")
        assert (builtin.type, builtin.module, builtin.message) == ("KeyError", "builtins", "'sku'")

    def test_an_exception_that_cannot_be_printed(self) -> None:
        """It is reported all the same."""

        class BrokenError(Exception):
            def __str__(self) -> str:
                raise RuntimeError("no")

        assert taken(BrokenError())[0].message == "<unprintable BrokenError>"

    def test_of_an_endless_recursion_the_ends(self) -> None:
        """Where it began, and where it broke."""

        def descend(depth: int) -> None:
            if not depth:
                raise RecursionError
            descend(depth - 1)

        frames = taken(raised(lambda: descend(500)))[0].frames

        assert len(frames) == OUTER + INNER
        assert [frames[0][0].function, frames[-1][0].function.rpartition(".")[2]] == ["raised", "descend"]
        assert frames[-1][0].line == frames[-2][0].line - 1

    def test_no_variable_is_told_that_was_not_named(self) -> None:
        """None by default."""

        def work() -> None:
            order_id, card = 17, "4111 1111 1111 1111"
            raise KeyError(order_id, len(card))

        error = raised(work)

        assert [variables(error), variables(error, "order_id")] == [[], [{"order_id": 17}]]

    def test_a_name_that_is_secret_is_hidden_also_if_it_was_named(self) -> None:
        """To deny goes before to allow; keys in the values are judged, too."""

        def work() -> None:
            password, order = "hunter2", {"id": 5, "card_number": "17", "items": [{"token": "x"}]}
            raise KeyError(len(password), len(order))

        (told,) = variables(raised(work), "password", "order")

        assert told == {
            "password": "[redacted]",
            "order": {"id": 5, "card_number": "[redacted]", "items": [{"token": "[redacted]"}]},
        }

    def test_variables_of_libraries_are_not_told(self) -> None:
        """Whoever names `value` means their own."""

        def work() -> None:
            value = "{"
            Redaction(values=(value + "(",))

        told = [(frame.in_app, dict(values)) for frame, values in taken(raised(work), "value", "self")[0].frames]

        assert [values for in_app, values in told if values] == [{"value": "{"}]
        assert any(not in_app for in_app, _ in told)

    def test_a_variable_is_told_as_it_is_now(self) -> None:
        """Whoever changes the object afterwards does not change the report."""
        order = {"id": 5}

        def work() -> None:
            mine = order
            raise KeyError(len(mine))

        told = variables(raised(work), "mine")
        order["id"] = 6

        assert told == [{"mine": {"id": 5}}]

    @pytest.mark.parametrize("names", [(), ("mine",)])
    def test_it_keeps_neither_the_exception_nor_a_frame(self, names: tuple[str, ...]) -> None:
        """What waits to be sent must not keep a request alive."""

        class Body:
            pass

        def work() -> None:
            mine = Body()
            kept.append(weakref.ref(mine))
            raise KeyError

        kept: list[weakref.ref[Any]] = []
        told = taken(raised(work), *names)
        gc.collect()

        assert len(told) == 1
        assert kept[0]() is None
