"""What the context room promises."""

from __future__ import annotations

import _thread
import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from multiprocessing.pool import ThreadPool
from threading import Event as Flag
from types import MappingProxyType
from typing import Any

import pytest

import wideevents
from tests.conftest import PATIENCE, Written, at_once
from wideevents import health, propagation
from wideevents.context import (
    Activation,
    add_error,
    add_field,
    add_fields,
    append,
    carry,
    current,
    increment,
    timer,
    variable,
)
from wideevents.health import Fault
from wideevents.levels import Level
from wideevents.recorder import Recorder

pytestmark = pytest.mark.usefixtures("recorder")


class Stop(BaseException):
    """What the code of a hostile object raises."""


class Hostile:
    """Raise from everything that is asked of it."""

    def _raise(self, *_: object) -> Any:
        raise Stop

    __repr__ = __str__ = __hash__ = __eq__ = __bool__ = __len__ = __iter__ = __float__ = __index__ = _raise  # type: ignore[assignment]


def users(line: dict[str, Any]) -> dict[str, Any]:
    """Return the fields whose names say that a test added them."""
    return {name: value for name, value in line.items() if name.startswith("t.") or len(name) == 1}


def described(line: dict[str, Any]) -> dict[str, Any]:
    """Return what a line says about errors."""
    names = ("level", "outcome", "error.type", "exception.message", "exception.handled", "error.count")
    return {name: line[name] for name in names if name in line}


class TestCurrent:
    def test_is_none_outside_any_event(self) -> None:
        """There is no event without one that was opened."""
        assert current() is None

    def test_is_the_event_inside(self) -> None:
        """The event in progress is the one that the block was given."""
        with wideevents.event("work") as event:
            assert current() is event

    def test_is_the_inner_one_inside_two(self) -> None:
        """Events nest, and the outer one is in progress again afterwards."""
        with wideevents.event("outer") as outer:
            with wideevents.event("inner") as inner:
                within = current()
            after = current()
        assert (within, after, current()) == (inner, outer, None)

    def test_is_none_after_the_end(self) -> None:
        """A context that goes on after the end of its event has none."""
        with wideevents.event("work"):
            later = contextvars.copy_context()
        assert (later[variable] is None, later.run(current)) == (False, None)


class TestAddField:
    @pytest.mark.parametrize("value", ["text", 1, 0.5, True, [1], "again"], ids=repr)
    def test_writes_a_value(self, written: Written, value: object) -> None:
        """A field that was added is in the line, the first time its key is seen and every time after."""
        for _ in range(2):
            with wideevents.event("work"):
                add_field("t.key", value)
        assert [users(line) for line in written.all()] == [{"t.key": value}] * 2

    @pytest.mark.parametrize("values", [("first", 2), (1, "last"), ([1], 2.5), (2.5, True)], ids=repr)
    def test_lets_the_last_value_win(self, written: Written, values: tuple[object, object]) -> None:
        """What counts is what was known at the end."""
        with wideevents.event("work"):
            for value in values:
                add_field("t.key", value)
        assert written.one()["t.key"] == values[1]

    def test_takes_a_field_away_by_none(self, written: Written) -> None:
        """None means that there is no such field."""
        with wideevents.event("work"):
            add_field("t.key", 1)
            add_field("t.key", None)
            add_field("t.never", None)
        assert users(written.one()) == {}

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (float("nan"), "NaN"),
            (float("inf"), "Infinity"),
            (float("-inf"), "-Infinity"),
            (10**12 - 1, 10**12 - 1),
            (10**12, 10**12),
            (-(10**12), -(10**12)),
            (4111111111111111, "[redacted]"),
            (2**63, str(2**63)),
            (10**400, "1" + "0" * 400),
            ("\ud800", "\\ud800"),
            (b"\xff", "\\xff"),
            (Hostile, f"{__name__}.Hostile"),
        ],
        ids=ascii,
    )
    def test_writes_what_json_cannot_as_text(self, written: Written, value: object, expected: object) -> None:
        """Only the odd value is written otherwise, also under a key that is well known."""
        for _ in range(2):
            with wideevents.event("work"):
                add_field("t.key", value)
        assert [line["t.key"] for line in written.all()] == [expected] * 2

    @pytest.mark.parametrize("make", [Hostile, lambda: [Hostile()], lambda: {"a": Hostile()}])
    def test_survives_a_value_whose_code_raises(self, written: Written, make: Callable[[], object]) -> None:
        """Even what is no `Exception` stays within; the value names its type."""
        with wideevents.event("work"):
            add_field("t.key", make())
            add_field("t.other", 1)
        line = written.one()
        assert line["t.other"] == 1
        assert "Hostile" in str(line)

    @pytest.mark.parametrize(
        ("make", "name"),
        [
            (lambda: "", "_"),
            (lambda: 7, "7"),
            (lambda: None, "None"),
            (lambda: b"raw", "b'raw'"),
            (lambda: ("a", 1), "('a', 1)"),
            (lambda: ["un", "hashable"], "['un', 'hashable']"),
            (lambda: "a\ud800", "a\\ud800"),
            (lambda: "k" * 10_000, "k" * 200),
            (Hostile, "<unprintable Hostile>"),
        ],
        ids=["empty", "int", "None", "bytes", "tuple", "unhashable", "surrogate", "endless", "hostile"],
    )
    def test_takes_any_key(self, written: Written, make: Callable[[], Any], name: str) -> None:
        """A key that is no string becomes one, and a bad one costs nothing."""
        with wideevents.event("work"):
            add_field(make(), "value")
        assert written.one()[name] == "value"

    def test_does_not_consume_an_iterator(self, written: Written) -> None:
        """To look at a generator would change what the application does."""
        numbers = (number for number in range(3))
        with wideevents.event("work"):
            add_field("t.key", numbers)
        assert (list(numbers), "generator" in written.one()["t.key"]) == ([0, 1, 2], True)

    def test_hides_a_secret_by_its_key(self, written: Written) -> None:
        """The first time and every time after; whether there is one may be seen."""
        for value in ("hunter2", "hunter2", True, None):
            with wideevents.event("work"):
                add_field("t.password", value)
        assert [line.get("t.password") for line in written.all()] == ["[redacted]", "[redacted]", True, None]

    def test_hides_a_secret_by_its_value(self, written: Written) -> None:
        """The first time and every time after, also where the key and other values of it are well known."""
        for value in ("clean", "Bearer 0123456789abcdef", "clean", "Bearer 0123456789abcdef"):
            with wideevents.event("work"):
                add_field("t.key", value)
        assert [line["t.key"] for line in written.all()] == ["clean", "Bearer [redacted]"] * 2

    def test_moves_a_name_that_is_ours(self, written: Written) -> None:
        """A user's value under one of our names goes to user_fields, every time, and is counted."""
        for _ in range(2):
            with wideevents.event("work"):
                add_field("http.route", 1)
                add_field("level.x", 2)
        for line in written.all():
            assert ("http.route" in line, line["level"]) == (False, "info")
            assert (line["user_fields.http.route"], line["user_fields.level.x"]) == (1, 2)
        assert health.faults.counts() == {Fault.RESERVED: 4}

    def test_parts_a_scalar_from_its_branches_in_the_first_event(self, written: Written) -> None:
        """A store that reads dots as nesting could not hold both."""
        with wideevents.event("work"):
            add_field("a", 1)
            add_field("a.b", 2)
        line = written.one()
        assert ("a" in line, line["a.value"], line["a.b"]) == (False, 1, 2)

    def test_parts_a_scalar_from_its_branches_in_a_later_event(self, written: Written) -> None:
        """One half was seen in the first event, the other in the second, and both come in the third."""
        for fields in ({"a": 1}, {"a.b": 2}, {"a": 1, "a.b": 2}):
            with wideevents.event("work"):
                add_fields(fields)
        first, second, third = written.all()
        assert (first["a"], second["a.b"], third["a.value"], third["a.b"]) == (1, 2, 1, 2)

    def test_parts_a_mapping_from_a_scalar(self, written: Written) -> None:
        """A mapping is dotted keys."""
        with wideevents.event("work"):
            add_field("a", 1)
            add_field("a", {"b": 2, "value": 3})
        line = written.one()
        assert (line["a.value_"], line["a.value"], line["a.b"]) == (1, 3, 2)

    def test_does_nothing_outside_any_event_but_count(self, written: Written, caplog: pytest.LogCaptureFixture) -> None:
        """Nothing is written and nothing raised; the first time it is told, with what to do."""
        add_field("t.key", 1)
        add_field("t.other", 1)
        assert (written.all(), health.faults.counts()) == ([], {Fault.NO_EVENT: 2})
        (message,) = caplog.messages
        assert message == (
            "The field 't.key' was added outside any event, and is in no line. Work that is no request belongs in an "
            "event of its own: with wideevents.event(...)."
        )

    def test_counts_what_comes_after_the_end(self, written: Written, caplog: pytest.LogCaptureFixture) -> None:
        """A late write is in no line, is told once for its key, and counted on the next line."""
        with wideevents.event("work"):
            add_field("t.key", 1)
            later = contextvars.copy_context()
        for key in ("t.key", "t.key", "t.new", "t.new"):
            later.run(add_field, key, 2)
        with wideevents.event("next"):
            pass
        first, second = written.all()
        assert (users(first), second["events.late_writes"]) == ({"t.key": 1}, 4)
        assert [message.split("'")[1] for message in caplog.messages] == ["t.key", "t.new"]


class Raising(Mapping[str, object]):
    """A mapping that cannot be read."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __getitem__(self, key: str) -> object:
        raise self.error

    def __iter__(self) -> Iterator[str]:
        raise self.error

    def __len__(self) -> int:
        return 1


class Unmeasured(Raising):
    """A mapping that cannot even be measured."""

    def __len__(self) -> int:
        raise self.error


class OddItems(dict[str, object]):
    """A mapping whose items are no pairs."""

    def items(self) -> Any:
        return [1, (), ("t.a", 1, 2)]


class TestAddFields:
    def test_adds_by_name(self, written: Written) -> None:
        """The names of keyword arguments are keys."""
        with wideevents.event("work"):
            add_fields(a=1, b="two")
        assert users(written.one()) == {"a": 1, "b": "two"}

    def test_adds_a_mapping(self, written: Written) -> None:
        """Keys with dots come in a mapping, of any kind."""
        with wideevents.event("work"):
            add_fields({"t.a": 1, "t.b": {"c": 2}})
            add_fields(MappingProxyType({"t.d": 3}))
        assert users(written.one()) == {"t.a": 1, "t.b.c": 2, "t.d": 3}

    def test_adds_both(self, written: Written) -> None:
        """A name comes after the mapping, so it wins; and any word can be a name."""
        with wideevents.event("work"):
            add_fields({"a": 1, "b": 1}, b=2, mapping=3, self=4)
        line = written.one()
        assert (line["a"], line["b"], line["mapping"], line["self"]) == (1, 2, 3, 4)

    @pytest.mark.parametrize("nothing", [None, {}], ids=repr)
    def test_takes_nothing(self, written: Written, nothing: Any) -> None:
        """An empty mapping adds nothing, and is no mistake."""
        with wideevents.event("work"):
            add_fields(nothing, a=1)
        assert (users(written.one()), health.faults.counts()) == ({"a": 1}, {})

    @pytest.mark.parametrize("value", ["text", 7, ["a"], {"a"}, object()], ids=lambda value: type(value).__name__)
    def test_counts_what_is_no_mapping(self, written: Written, caplog: pytest.LogCaptureFixture, value: Any) -> None:
        """The names are added all the same; the sentence says what was given."""
        with wideevents.event("work"):
            add_fields(value, a=1)
        assert (users(written.one()), health.faults.counts()) == ({"a": 1}, {Fault.BAD_VALUE: 1})
        kind = type(value).__name__
        assert caplog.messages == [f"add_fields() was given a {kind}, which is no mapping; nothing was added."]

    @pytest.mark.parametrize("kind", [Raising, Unmeasured])
    @pytest.mark.parametrize("error", [RuntimeError, TypeError, ValueError, KeyError, OSError, Stop])
    def test_survives_a_mapping_that_raises(
        self, written: Written, kind: type[Raising], error: type[BaseException]
    ) -> None:
        """A lazy mapping may ask a database that is gone; the work goes on, and it is counted."""
        with wideevents.event("work"):
            add_fields(kind(error("gone")), a=1)
        assert (users(written.one()), health.faults.counts()) == ({"a": 1}, {Fault.BAD_VALUE: 1})

    def test_survives_a_mapping_whose_items_are_no_pairs(self, written: Written) -> None:
        """What cannot be read is left out, and counted."""
        with wideevents.event("work"):
            add_fields(OddItems(x=1), a=1)
        assert written.one()["a"] == 1
        assert health.faults.counts()[Fault.BAD_VALUE] >= 1

    def test_counts_each_field_outside_any_event(self) -> None:
        """Each is missed."""
        add_fields({"t.a": 1}, b=2)
        assert health.faults.counts() == {Fault.NO_EVENT: 2}


class TestIncrement:
    def test_counts_up(self, written: Written) -> None:
        """By one, or by what it is given."""
        with wideevents.event("work"):
            increment("t.hits")
            increment("t.hits", 2)
            increment("t.cost", 0.5)
        assert users(written.one()) == {"t.hits": 3, "t.cost": 0.5}

    @pytest.mark.usefixtures("eager_switching")
    def test_loses_nothing_when_eight_threads_count_at_once(self, written: Written) -> None:
        """The sum is exact, however often Python switches between the threads."""

        def count() -> None:
            for _ in range(1_000):
                increment("t.hits")

        with wideevents.event("work"):
            at_once(*[count] * 8)
        assert written.one()["t.hits"] == 8_000

    @pytest.mark.parametrize("make", [lambda: "2", lambda: None, lambda: float("nan"), Hostile])
    def test_leaves_a_counter_alone_that_is_given_no_number(self, written: Written, make: Callable[[], Any]) -> None:
        """It stays what it was, and that is counted."""
        with wideevents.event("work"):
            increment("t.hits")
            increment("t.hits", make())
        assert (written.one()["t.hits"], health.faults.counts()) == (1, {Fault.BAD_VALUE: 1})

    def test_goes_on_beyond_64_bits(self, written: Written) -> None:
        """As a float, since no reader takes such an integer."""
        with wideevents.event("work"):
            increment("t.big", 2**63 - 1)
            increment("t.big", 2**63 - 1)
        assert repr(written.one()["t.big"]) == repr(float(2**64))

    @pytest.mark.parametrize("key", ["level", "http.route"])
    def test_counts_a_name_that_is_ours(self, written: Written, key: str) -> None:
        """It goes where add_field would put it, and is counted as there."""
        with wideevents.event("work"):
            increment(key)
        assert written.one()[f"user_fields.{key}"] == 1
        assert health.faults.counts() == {Fault.RESERVED: 1}

    def test_does_nothing_outside_any_event_but_count(self) -> None:
        """Nothing is raised."""
        increment("t.hits")
        assert health.faults.counts() == {Fault.NO_EVENT: 1}


class TestAppend:
    def test_lets_a_list_grow(self, written: Written) -> None:
        """Each call adds one item, whatever it is."""
        with wideevents.event("work"):
            append("t.codes", "SPRING")
            append("t.codes", ["SUMMER", 2])
        assert users(written.one()) == {"t.codes": ["SPRING", ["SUMMER", 2]]}

    @pytest.mark.usefixtures("eager_switching")
    def test_loses_nothing_when_eight_threads_append_at_once(self, written: Written) -> None:
        """Every item is there once."""
        with wideevents.event("work"):
            at_once(*[lambda n=n: [append("t.items", n * 100 + i) for i in range(100)] for n in range(8)])  # type: ignore[misc]
        assert sorted(written.one()["t.items"]) == list(range(800))

    def test_moves_a_name_that_is_ours(self, written: Written) -> None:
        """It goes where add_field would put it, and is counted as there."""
        with wideevents.event("work"):
            append("log.lines", "mine")
        assert written.one()["user_fields.log.lines"] == ["mine"]
        assert health.faults.counts() == {Fault.RESERVED: 1}

    def test_survives_an_item_whose_code_raises(self, written: Written) -> None:
        """The item names its type."""
        with wideevents.event("work"):
            append("t.items", Hostile())
        assert written.one()["t.items"] == ["<unprintable Hostile>"]

    def test_does_nothing_outside_any_event_but_count(self) -> None:
        """Nothing is raised."""
        append("t.items", 1)
        assert health.faults.counts() == {Fault.NO_EVENT: 1}


class TestAddError:
    def test_notes_an_exception_that_was_handled(self, written: Written) -> None:
        """The work succeeded; the event is a warning."""
        with wideevents.event("work"):
            add_error(ValueError("declined"))
        assert described(written.one()) == {
            "level": "warning",
            "outcome": "success",
            "error.type": "ValueError",
            "exception.message": "declined",
            "exception.handled": True,
            "error.count": 1,
        }

    @pytest.mark.parametrize("level", ["error", wideevents.Level.ERROR, "ERROR", 40, 50])
    def test_takes_a_level(self, written: Written, level: Any) -> None:
        """By its name, or itself, or a number of the logging module."""
        with wideevents.event("work"):
            add_error(ValueError("x"), level=level)
        assert (written.one()["level"], written.one()["alert.urgency"]) == ("error", "page")

    def test_leaves_the_level_alone_when_it_was_expected(self, written: Written) -> None:
        """It is worth knowing, and nobody's time."""
        with wideevents.event("work"):
            add_error(ValueError("x"), level="error", expected=True)
        assert (written.one()["level"], written.one()["error.count"]) == ("info", 1)

    def test_never_lowers_the_level(self, written: Written) -> None:
        """What was an error stays one."""
        with wideevents.event("work"):
            add_error(ValueError("x"), level="error")
            add_error(ValueError("y"), level="debug")
            add_error(ValueError("z"), expected=True)
        assert (written.one()["level"], written.one()["error.count"]) == ("error", 3)

    @pytest.mark.parametrize("make", [lambda: "loud", lambda: None, list, dict, Hostile])
    def test_takes_a_level_that_does_not_exist_as_a_warning(self, written: Written, make: Callable[[], Any]) -> None:
        """A mistake in an error handler may not raise another error: it is counted."""
        with wideevents.event("work"):
            add_error(ValueError("x"), level=make())
        assert (written.one()["level"], written.one()["outcome"]) == ("warning", "success")
        assert health.faults.counts() == {Fault.BAD_VALUE: 1}

    def test_tells_of_a_level_that_does_not_exist(self, caplog: pytest.LogCaptureFixture) -> None:
        """The sentence says what was made of it."""
        with wideevents.event("work"):
            add_error(ValueError("x"), level="loud")
        (message,) = caplog.messages
        assert message == "add_error() was given the level 'loud', which there is not; it was taken as a warning."

    @pytest.mark.parametrize(
        ("make", "kind", "message"),
        [
            (lambda: "declined", "str", "declined"),
            (lambda: None, "NoneType", "None"),
            (Hostile, f"{__name__}.Hostile", "<unprintable Hostile>"),
        ],
        ids=["text", "None", "hostile"],
    )
    def test_takes_what_is_no_exception(
        self, written: Written, make: Callable[[], Any], kind: str, message: str
    ) -> None:
        """It is described as far as it goes."""
        with wideevents.event("work"):
            add_error(make())
        line = written.one()
        assert (line["error.type"], line["exception.message"], "exception.stacktrace" in line) == (kind, message, False)

    def test_hides_secrets_in_the_message_and_the_stack(self, written: Written) -> None:
        """An exception quotes what it was given."""
        with wideevents.event("work"):
            add_error(ValueError("refused: Bearer abcdef0123456789abcdef"))
        line = written.one()
        assert line["exception.message"] == "refused: Bearer [redacted]"
        assert "abcdef0123456789" not in line["exception.stacktrace"]

    def test_does_nothing_outside_any_event_but_count(self) -> None:
        """Nothing is raised."""
        add_error(ValueError("x"))
        assert health.faults.counts() == {Fault.NO_EVENT: 1}


def time_nothing(name: Any) -> None:
    """Time a step called *name*."""
    with timer(name):
        pass


class TestOutsideAnyEvent:
    @pytest.mark.parametrize(
        "make", [Hostile, list, lambda: "\ud800", lambda: None], ids=["hostile", "list", "surrogate", "None"]
    )
    @pytest.mark.parametrize(
        "add",
        [lambda key: add_field(key, 1), increment, lambda key: append(key, 1), time_nothing],
        ids=["add_field", "increment", "append", "timer"],
    )
    def test_no_key_raises(self, add: Callable[[Any], None], make: Callable[[], Any]) -> None:
        """A line of telemetry in a script without events does no harm, whatever it is given."""
        add(make())
        assert health.faults.counts() == {Fault.NO_EVENT: 1}


class TestTimer:
    def test_adds_up_and_counts(self, written: Written) -> None:
        """Several blocks of one name are one sum and one count."""
        step = timer("t.db")
        with wideevents.event("work"):
            for _ in range(3):
                with step:
                    pass
            with timer("t.db"):
                Flag().wait(0.02)
        line = written.one()
        assert line["t.db.count"] == 4
        assert 20 <= line["t.db.duration_ms"] < 5_000

    def test_counts_a_block_that_raised(self, written: Written) -> None:
        """A query that failed took its time too; the error goes its way."""
        with wideevents.event("work"), pytest.raises(KeyError), timer("t.db"):
            raise KeyError
        assert written.one()["t.db.count"] == 1

    @pytest.mark.usefixtures("eager_switching")
    def test_loses_nothing_when_eight_threads_time_at_once(self, written: Written) -> None:
        """Each block is counted, and its time is in the sum."""

        def time() -> None:
            for _ in range(200):
                with timer("t.db"):
                    pass

        with wideevents.event("work"):
            at_once(*[time] * 8)
        assert written.one()["t.db.count"] == 1_600

    def test_takes_any_name(self, written: Written) -> None:
        """What is no string becomes one."""
        with wideevents.event("work"):
            for name in (7, ["a"], Hostile()):
                with timer(name):  # type: ignore[arg-type]
                    pass
        line = written.one()
        assert [line[f"{name}.count"] for name in ("7", "['a']", "<unprintable Hostile>")] == [1, 1, 1]

    def test_writes_into_the_event_that_it_began_in(self, written: Written) -> None:
        """A step that ends inside another event is the first one's."""
        step = timer("t.db")
        with wideevents.event("outer"):
            step.__enter__()
            with wideevents.event("inner"):
                step.__exit__(None, None, None)
        assert ("t.db.count" in written.named("inner"), written.named("outer")["t.db.count"]) == (False, 1)

    def test_is_counted_as_late_after_the_end(self, written: Written) -> None:
        """A step that outlives its event is in no line."""
        step = timer("t.db")
        with wideevents.event("work"):
            step.__enter__()
        step.__exit__(None, None, None)
        assert (users(written.one()), health.faults.counts()) == ({}, {Fault.LATE_WRITE: 1})

    def test_is_counted_outside_any_event(self) -> None:
        """The block runs, and nothing is raised."""
        with timer("t.db"):
            pass
        assert health.faults.counts() == {Fault.NO_EVENT: 1}

    def test_decorates_a_function(self, written: Written) -> None:
        """Each call is timed in the event that it runs in; the function stays what it was."""

        @timer("t.step")
        def add(first: int, second: int = 2) -> int:
            """Add up."""
            return first + second

        with wideevents.event("work"):
            results = [add(1), add(1, second=3)]
        assert (results, written.one()["t.step.count"], add.__doc__) == ([3, 4], 2, "Add up.")

    def test_decorates_a_coroutine_function(self, written: Written) -> None:
        """The time until it is done, its waiting included; two at once are two."""

        @timer("t.step")
        async def wait() -> str:
            await asyncio.sleep(0.02)
            return "done"

        async def work() -> list[str]:
            with wideevents.event("work"):
                return list(await asyncio.gather(wait(), wait()))

        assert asyncio.run(work()) == ["done", "done"]
        assert written.one()["t.step.count"] == 2
        assert written.one()["t.step.duration_ms"] >= 40

    def test_decorates_a_generator_function(self, written: Written) -> None:
        """From the first item to the end, what the consumer takes in between included."""

        @timer("t.step")
        def count() -> Iterator[int]:
            yield 1
            yield 2

        with wideevents.event("work"):
            seen = []
            for number in count():
                Flag().wait(0.01)
                seen.append(number)
        line = written.one()
        assert (seen, line["t.step.count"], line["t.step.duration_ms"] >= 20) == ([1, 2], 1, True)

    def test_decorates_an_async_generator_function(self, written: Written) -> None:
        """As a generator function is."""

        @timer("t.step")
        async def count() -> AsyncIterator[int]:
            yield 1
            yield 2

        async def work() -> list[int]:
            with wideevents.event("work"):
                return [number async for number in count()]

        assert asyncio.run(work()) == [1, 2]
        assert written.one()["t.step.count"] == 1


class TestActivation:
    def test_restores_what_was_there(self) -> None:
        """Also None; and whether or not the block raised."""
        with wideevents.event("outer") as outer:
            with Activation(None):
                inside = current()
            with pytest.raises(KeyError), Activation(None):
                raise KeyError
            assert (inside, current()) == (None, outer)

    def test_can_end_in_another_context(self) -> None:
        """A generator may be closed by another task than the one it began in."""
        with wideevents.event("work") as event:
            activation = Activation(event)
            contextvars.copy_context().run(activation.resume)
            activation.suspend()
            assert variable.get() is event


class TestCarry:
    def test_takes_the_event_along_into_a_thread_made_by_hand(self, written: Written) -> None:
        """`_thread` is where nothing of ours is called."""
        done = Flag()

        def work() -> None:
            add_field("t.key", "from the thread")
            done.set()

        with wideevents.event("work"):
            _thread.start_new_thread(carry(work), ())
            assert done.wait(PATIENCE)
        assert written.one()["t.key"] == "from the thread"

    def test_takes_the_event_along_into_another_librarys_pool(self, written: Written) -> None:
        """A pool of threads that were there before, while threads are not ours to wrap."""
        propagation.uninstall()
        with ThreadPool(1) as pool:
            with wideevents.event("work") as event:
                results = [pool.apply(carry(current)), pool.apply(current)]
            later = pool.apply(current)
        propagation.install(variable)
        assert (results, later) == ([event, None], None)

    def test_keeps_results_and_errors(self) -> None:
        """The function behaves as it would without."""
        with wideevents.event("work"):
            divide = carry(lambda first, *, second: first / second)
        with pytest.raises(ZeroDivisionError):
            divide(1, second=0)
        assert divide(1, second=2) == 0.5

    def test_carries_that_there_is_no_event(self) -> None:
        """Bound outside, it runs outside, wherever it is called."""
        outside = carry(current)
        with wideevents.event("work") as event:
            assert (outside(), current()) == (None, event)

    def test_carries_nothing_after_the_end(self) -> None:
        """Work that goes on after the end of its event is in none."""
        with wideevents.event("work"):
            late = carry(current)
        assert late() is None

    def test_takes_the_event_along_into_a_task(self) -> None:
        """Also a coroutine function, of which the context would be that of its caller."""

        async def now() -> object:
            await asyncio.sleep(0)
            return current()

        with wideevents.event("work") as event:
            carried = carry(now)
            other = contextvars.Context()
            assert other.run(asyncio.run, carried()) is event

    def test_takes_the_event_along_into_a_generator(self) -> None:
        """Its steps are inside, and what its consumer does is not."""

        def steps() -> Iterator[object]:
            yield current()
            yield current()

        with wideevents.event("work") as event:
            generator = carry(steps)()
            consumed = contextvars.Context().run(lambda: [(item, variable.get()) for item in generator])
        assert consumed == [(event, None), (event, None)]

    def test_takes_the_event_along_into_an_async_generator(self) -> None:
        """As into a generator."""

        async def steps() -> AsyncIterator[object]:
            yield current()
            await asyncio.sleep(0)
            yield current()

        async def consume(generator: AsyncIterator[object]) -> list[object]:
            return [(item, variable.get()) async for item in generator]

        with wideevents.event("work") as event:
            generator = carry(steps)()
            consumed = contextvars.Context().run(asyncio.run, consume(generator))
        assert consumed == [(event, None), (event, None)]


class TestRecorderOfTheProcess:
    def test_does_not_matter_to_an_event_in_progress(self, recorder: Recorder, written: Written) -> None:
        """An event belongs to the recorder that opened it."""
        with wideevents.event("work") as event:
            assert event.recorder is recorder
        assert written.one()["event.name"] == "work"


class TestKeep:
    def test_asks_for_the_line_of_the_event_in_progress(self) -> None:
        """From anywhere below."""
        with wideevents.event("work") as event:
            before = event.keep
            asyncio.run(asyncio.to_thread(wideevents.keep))
            assert (before, event.keep) == (False, True)

    def test_the_event_is_written_whatever_its_level(self, written: Written) -> None:
        """Debug output that somebody asks for reaches them; what nobody asks for does not."""
        for asks in (True, False):
            with wideevents.event("work", asks=asks) as event:
                event.level = Level.DEBUG
                if asks:
                    wideevents.keep()

        assert [(line["asks"], line["level"]) for line in written.all()] == [(True, "debug")]

    def test_asks_for_one_event_alone(self) -> None:
        """An event inside it, or around it, has its own line."""
        with wideevents.event("outer") as outer, wideevents.event("inner") as inner:
            wideevents.keep()

        assert (outer.keep, inner.keep) == (False, True)

    def test_does_nothing_outside_any_event(self) -> None:
        """It is counted."""
        wideevents.keep()

        assert health.faults.counts() == {Fault.NO_EVENT: 1}
