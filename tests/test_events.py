"""What the events room promises."""

from __future__ import annotations

import gc
import logging
import sys
import weakref
from collections.abc import Callable
from decimal import Decimal
from threading import Event as Flag
from threading import Thread
from time import sleep
from typing import Any

import pytest

from tests.conftest import PATIENCE, Written, at_once, in_child
from tests.strict import parse_line
from wideevents import health
from wideevents.context import Activation, add_field
from wideevents.events import Event, _grow
from wideevents.health import Fault
from wideevents.levels import Level
from wideevents.recorder import Recorder

CARD = 4111111111111111


class ShopError(Exception):
    """Can be referred to weakly, as a builtin error cannot."""


@pytest.fixture
def event(recorder: Recorder) -> Event:
    """Give an event in progress, which its test has to finish."""
    return recorder.open("work", "task")


def users(fields: dict[str, object]) -> dict[str, object]:
    """Return what is in a line for its user's sake: fields that are not in the line of an empty event."""
    ours = {"timestamp", "event", "duration_ms", "outcome", "level", "alert", "trace", "in_flight", "service", "host"}
    ours |= {"process", "uptime_s", "thread", "vcs"}
    return {name: value for name, value in fields.items() if name.partition(".")[0] not in ours}


def finished(event: Event, written: Written) -> dict[str, object]:
    """Finish *event*, and return what is in the line for its user's sake."""
    event.recorder.finish(event)
    return users(written.last())


class TestPut:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ("text", "text"),
            ("", ""),
            (True, True),
            (0, 0),
            (10**15 + 1, 10**15 + 1),
            (-(2**63), -(2**63)),
            (2**63 - 1, 2**63 - 1),
            (2**63, "9223372036854775808"),
            (0.5, 0.5),
            (float("nan"), "NaN"),
            (Decimal("1.10"), "1.10"),
            (b"raw", "raw"),
            ([1, (2,)], [1, [2]]),
            ([], []),
        ],
    )
    def test_takes_any_value(self, event: Event, written: Written, value: object, expected: object) -> None:
        """A value is a builtin in the line, as near to what it was as JSON allows."""
        event.put("key", value)
        assert finished(event, written) == {"key": expected}

    def test_lets_the_last_value_win(self, event: Event, written: Written) -> None:
        """A field has one value, of whatever type the last one was."""
        event.put("key", "first")
        event.put("key", [2])
        assert finished(event, written) == {"key": [2]}

    def test_takes_a_field_away_by_none(self, event: Event, written: Written) -> None:
        """Absent means left out, not null."""
        event.put("key", "value")
        event.put("key", None)
        event.put("never.there", None)
        assert finished(event, written) == {}

    def test_flattens_a_mapping(self, event: Event, written: Written) -> None:
        """A line has no nesting: a mapping becomes dotted keys."""
        event.put("cart", {"items": 3, "user": {"plan": "STARTER"}, 7: None, "empty": {}})
        assert finished(event, written) == {"cart.items": 3, "cart.user.plan": "STARTER", "cart.empty": "{}"}

    def test_copies_a_container(self, event: Event, written: Written) -> None:
        """What the application does with its list afterwards is its own business."""
        items = ["a"]
        event.put("items", items)
        items.append("b")
        assert finished(event, written) == {"items": ["a"]}

    def test_does_not_change_what_it_was_given(self, event: Event, written: Written) -> None:
        """A list that was added belongs to the application, also when the field grows."""
        items = ["a"]
        event.put("items", items)
        event.append("items", "b")
        assert (finished(event, written), items) == ({"items": ["a", "b"]}, ["a"])

    @pytest.mark.parametrize("value", ["hunter2", 4, 0.5, ["a"], {"a": 1}, b"x", object()])
    def test_hides_a_secret_by_its_key(self, event: Event, written: Written, value: object) -> None:
        """Whatever stands under a secret name never reaches the event."""
        event.put("user.password", value)
        assert "hunter2" not in repr(event.fields)
        assert finished(event, written) == {"user.password": "[redacted]"}

    @pytest.mark.parametrize("value", [True, False])
    def test_shows_whether_there_is_a_secret(self, event: Event, written: Written, *, value: bool) -> None:
        """A bool is no secret."""
        event.put("user.password", value)
        assert finished(event, written) == {"user.password": value}

    def test_takes_a_secret_away_by_none(self, event: Event, written: Written) -> None:
        """None takes away what is hidden, too."""
        event.put("user.password", "hunter2")
        event.put("user.password", None)
        assert finished(event, written) == {}

    def test_hides_secrets_in_mappings_and_lists(self, event: Event, written: Written) -> None:
        """A key is judged at every depth, also where a mapping stands in a list; None and bools stay."""
        secrets = {"token": "abc", "inner": {"Api-Key": 5, "password": True}, "list": [{"secret": "s", "kept": 1}]}
        event.put("request", secrets)
        assert finished(event, written) == {
            "request.token": "[redacted]",
            "request.inner.Api-Key": "[redacted]",
            "request.inner.password": True,
            "request.list": [{"secret": "[redacted]", "kept": 1}],
        }

    def test_hides_what_is_secret_only_with_the_key_above_it(self, event: Event, written: Written) -> None:
        """A mapping `card` with a `number` holds a card number."""
        event.put("card", {"number": "4111", "brand": "visa"})
        assert finished(event, written) == {"card.number": "[redacted]", "card.brand": "visa"}

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (CARD, {"paid": "[redacted]"}),
            ({"with": CARD}, {"paid.with": "[redacted]"}),
            ([CARD], {"paid": ["[redacted]"]}),
            ([{"with": CARD}], {"paid": [{"with": "[redacted]"}]}),
        ],
        ids=["alone", "in a mapping", "in a list", "in a mapping in a list"],
    )
    def test_hides_a_card_number_that_is_an_integer(
        self, event: Event, written: Written, value: object, expected: dict[str, object]
    ) -> None:
        """A card number is one wherever it stands, and whether or not it is text."""
        event.put("paid", value)
        assert finished(event, written) == expected

    @pytest.mark.parametrize("number", [1_767_323_045_678, CARD + 1, 10**12, 10**18])
    def test_shows_an_integer_that_is_no_card_number(self, event: Event, written: Written, number: int) -> None:
        """An order id or a timestamp in milliseconds stays."""
        event.put("order.id", number)
        assert finished(event, written) == {"order.id": number}

    @pytest.mark.parametrize("name", ["http.route", "level", "level.x", "event.id", "error.count.x"])
    def test_moves_a_name_that_is_ours(self, event: Event, written: Written, name: str) -> None:
        """A user's value under one of our names goes to user_fields, and is counted."""
        event.put(name, "theirs")
        assert finished(event, written) == {f"user_fields.{name}": "theirs"}
        assert health.faults.counts() == {Fault.RESERVED: 1}

    def test_moves_a_name_that_is_ours_out_of_a_mapping(self, event: Event, written: Written) -> None:
        """A mapping is no way around it: `{"route": ...}` under `http` is `http.route` too, and counts too."""
        event.put("http", {"route": "theirs", "cache": "hit"})
        assert finished(event, written) == {"user_fields.http.route": "theirs", "http.cache": "hit"}
        assert health.faults.counts() == {Fault.RESERVED: 1}

    def test_tells_once_why_a_name_moved(
        self, event: Event, written: Written, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The sentence names the field as it is in the line."""
        event.put("level", 1)
        event.put("level", 2)
        finished(event, written)
        assert caplog.messages == [
            "The field 'user_fields.level' is named so because wideevents writes the name without the prefix itself."
        ]


class TestAdd:
    def test_begins_at_zero_and_adds_up(self, event: Event, written: Written) -> None:
        """A counter needs no start, and adds whatever numbers it is given."""
        event.add("n")
        event.add("n", 2)
        event.add("n", -0.5)
        assert finished(event, written) == {"n": 2.5}

    def test_stays_an_integer_among_integers(self, event: Event, written: Written) -> None:
        """A whole counter is written without a point."""
        event.add("n", 2)
        event.add("n", 3)
        assert repr(finished(event, written)) == "{'n': 5}"

    def test_goes_on_from_a_number_that_was_put(self, event: Event, written: Written) -> None:
        """A field can be set, and then counted up."""
        event.put("n", 40)
        event.add("n", 2)
        assert finished(event, written) == {"n": 42}

    @pytest.mark.parametrize("value", ["text", True, [1]])
    def test_replaces_what_is_no_number(self, event: Event, written: Written, value: object) -> None:
        """To count what cannot be counted begins a counter."""
        event.put("n", value)
        event.add("n", 2)
        assert finished(event, written) == {"n": 2}

    @pytest.mark.parametrize(
        "amount",
        ["1", None, True, [1], float("nan"), float("inf"), Decimal(1), 1j, object()],
        ids=lambda amount: type(amount).__name__,
    )
    def test_refuses_what_is_no_number(
        self, event: Event, written: Written, caplog: pytest.LogCaptureFixture, amount: object
    ) -> None:
        """A bad amount leaves the counter as it is; it is counted, and told with the name of the counter."""
        event.add("n", 2)
        event.add("n", amount)
        event.add("n", amount)
        assert finished(event, written) == {"n": 2}
        assert health.faults.counts() == {Fault.BAD_VALUE: 2}
        assert caplog.messages == ["The counter 'n' was to grow by something that is no number; it stays as it is."]

    @pytest.mark.parametrize("amounts", [(2**63 - 1, 1), (-(2**63) + 1, -2), (2**63, 0), (2**62, 2**62, 2**62)])
    def test_goes_on_as_a_float_beyond_64_bits(self, event: Event, written: Written, amounts: tuple[int, ...]) -> None:
        """The sum loses its last digits there, and neither its size nor the line."""
        for amount in amounts:
            event.add("n", amount)
        assert finished(event, written) == {"n": pytest.approx(float(sum(amounts)))}

    @pytest.mark.parametrize(
        "amounts",
        [(10**400,), (1, 10**400), (0.5, 10**400), (-(10**400),), (1e308, 1e308), (-1e308, -1e308), (1e308, 10**308)],
        ids=["huge", "huge after 1", "huge after 0.5", "hugely negative", "to infinity", "to -infinity", "both"],
    )
    def test_survives_a_sum_beyond_every_float(
        self, event: Event, written: Written, amounts: tuple[float, ...]
    ) -> None:
        """Numbers are finite in a line, and adding them never raises."""
        for amount in amounts:
            event.add("n", amount)
        event.put("other", 1)
        assert finished(event, written)["other"] == 1

    def test_takes_any_key(self, event: Event, written: Written) -> None:
        """A key is made text; one of our names moves to user_fields."""
        for key in (7, ["a"], "", "level"):
            event.add(key)
        assert finished(event, written) == {"7": 1, "['a']": 1, "_": 1, "user_fields.level": 1}

    @pytest.mark.usefixtures("eager_switching")
    def test_loses_nothing_when_eight_threads_add_at_once(self, event: Event, written: Written) -> None:
        """The sum is exact, also of a key that no thread has used before."""

        def add() -> None:
            for _ in range(1_000):
                event.add("n")
                event.add("half", 0.5)

        at_once(*[add] * 8)
        assert finished(event, written) == {"n": 8_000, "half": 4_000.0}


class TestAppend:
    def test_lets_a_list_grow(self, event: Event, written: Written) -> None:
        """Items stand in the order in which they came, and each may be anything."""
        for item in ("a", 1, None, {"b": (2,)}):
            event.append("items", item)
        assert finished(event, written) == {"items": ["a", 1, None, {"b": [2]}]}

    def test_makes_the_first_item_of_what_is_no_list(self, event: Event, written: Written) -> None:
        """Nothing that was there is lost."""
        event.put("items", "first")
        event.append("items", "second")
        assert finished(event, written) == {"items": ["first", "second"]}

    def test_hides_secrets(self, event: Event, written: Written) -> None:
        """By the key of the list, by the keys in its items, and an integer that is a card number."""
        event.append("api.tokens", "abc")
        event.append("items", {"password": "abc", "n": 1})
        event.append("items", CARD)
        assert finished(event, written) == {
            "api.tokens": ["[redacted]"],
            "items": [{"password": "[redacted]", "n": 1}, "[redacted]"],
        }

    def test_shows_whether_there_is_a_secret(self, event: Event, written: Written) -> None:
        """A bool and None are no secrets, in a list either."""
        for item in ("hunter2", True, None):
            event.append("passwords", item)
        assert finished(event, written) == {"passwords": ["[redacted]", True, None]}

    def test_hides_a_card_number_deep_in_an_item(self, event: Event, written: Written) -> None:
        """A card number is one wherever it stands."""
        event.append("items", {"paid": [CARD]})
        assert finished(event, written) == {"items": [{"paid": ["[redacted]"]}]}

    def test_ends_at_a_thousand_items(self, event: Event) -> None:
        """A list that grows for ever does not take the process's memory."""
        for number in range(1_100):
            event.append("items", number)
        assert event.fields is not None
        assert event.fields["items"] == list(range(1_000))
        event.recorder.finish(event)

    @pytest.mark.usefixtures("eager_switching")
    def test_loses_nothing_when_eight_threads_append_at_once(self, event: Event) -> None:
        """Every item is there, also when they all begin the list."""

        def append(start: int) -> None:
            for number in range(start, start + 100):
                event.append("items", number)

        at_once(*[lambda start=start: append(start) for start in range(0, 800, 100)])  # type: ignore[misc]
        assert event.fields is not None
        assert sorted(event.fields["items"]) == list(range(800))
        event.recorder.finish(event)


class TestSpend:
    def test_adds_up_and_counts(self, event: Event, written: Written) -> None:
        """Time is in milliseconds, whole nanoseconds are summed, and what is below a microsecond is cut at the end."""
        for nanoseconds in (100_000, 200_000, 600, 600):
            event.spend("db", nanoseconds)
        assert finished(event, written) == {"db.duration_ms": 0.301, "db.count": 4}

    def test_keeps_steps_apart(self, event: Event, written: Written) -> None:
        """Each name has its own sum."""
        event.spend("db", 1_000_000)
        event.spend("mail", 2_000_000)
        assert finished(event, written) == {
            "db.duration_ms": 1.0,
            "db.count": 1,
            "mail.duration_ms": 2.0,
            "mail.count": 1,
        }

    def test_moves_under_a_name_that_is_ours(self, event: Event, written: Written) -> None:
        """A step called `error` would write our own `error.count`."""
        event.spend("error", 1_000_000)
        assert finished(event, written) == {"error.duration_ms": 1.0, "user_fields.error.count": 1}

    @pytest.mark.usefixtures("eager_switching")
    def test_loses_nothing_when_eight_threads_spend_at_once(self, event: Event, written: Written) -> None:
        """Sum and count are exact."""

        def spend() -> None:
            for _ in range(500):
                event.spend("db", 1_000)

        at_once(*[spend] * 8)
        assert finished(event, written) == {"db.duration_ms": 4.0, "db.count": 4_000}


class TestFail:
    def failed(self, event: Event, written: Written) -> dict[str, object]:
        event.recorder.finish(event)
        line = written.last()
        names = ("level", "outcome", "error.type", "exception.message", "exception.handled", "error.count")
        return {name: line[name] for name in names if name in line}

    def test_notes_an_exception(self, event: Event, written: Written) -> None:
        """An exception that nobody handled makes the event a failure, and an error."""
        event.fail(ValueError("x"))
        assert self.failed(event, written) == {
            "level": "error",
            "outcome": "failure",
            "error.type": "ValueError",
            "exception.message": "x",
            "exception.handled": False,
            "error.count": 1,
        }

    def test_notes_one_that_was_handled(self, event: Event, written: Written) -> None:
        """The work went on: no failure, and of the level that was asked for."""
        event.fail(ValueError("x"), level=Level.WARNING, handled=True)
        assert self.failed(event, written) == {
            "level": "warning",
            "outcome": "success",
            "error.type": "ValueError",
            "exception.message": "x",
            "exception.handled": True,
            "error.count": 1,
        }

    def test_keeps_the_first_of_several(self, event: Event, written: Written) -> None:
        """The first one is the cause more often than the last one; all are counted."""
        for message in "abc":
            event.fail(ValueError(message), handled=True)
        failed = self.failed(event, written)
        assert (failed["exception.message"], failed["error.count"]) == ("a", 3)

    def test_prefers_the_one_that_nobody_handled(self, event: Event, written: Written) -> None:
        """What broke the work goes before what did not."""
        event.fail(ValueError("handled"), handled=True)
        event.fail(KeyError("broke it"))
        event.fail(ValueError("later"))
        event.fail(ValueError("handled later"), handled=True)
        failed = self.failed(event, written)
        assert (failed["exception.message"], failed["exception.handled"], failed["error.count"]) == (
            "'broke it'",
            False,
            4,
        )

    def test_counts_the_same_exception_once(self, event: Event, written: Written) -> None:
        """It may be noted by several layers on its way up; in the end nobody handled it."""
        error = ValueError("x")
        event.fail(error, handled=True)
        event.fail(error, handled=True)
        event.fail(error)
        event.fail(error)
        failed = self.failed(event, written)
        assert (failed["exception.handled"], failed["error.count"], failed["outcome"]) == (False, 1, "failure")

    def test_describes_the_same_exception_when_it_broke_the_work_after_all(
        self, event: Event, written: Written
    ) -> None:
        """Of several that were handled, the one that came up again is what the event is about."""
        first, second = ValueError("first"), ValueError("second")
        event.fail(first, handled=True)
        event.fail(second, handled=True)
        event.fail(second)
        failed = self.failed(event, written)
        assert (failed["exception.message"], failed["exception.handled"], failed["error.count"]) == ("second", False, 2)

    def test_does_not_run_the_exceptions_own_code_under_a_lock(self, event: Event, written: Written) -> None:
        """A `__str__` that waits for another thread, which adds to the same event, gets it."""

        class WaitingError(Exception):
            def __str__(self) -> str:
                at_once(lambda: event.add("n"))
                return "waited"

        event.fail(WaitingError(), handled=True)
        event.recorder.finish(event)
        assert (written.one()["exception.message"], written.one()["error.count"]) == ("waited", 1)

    def test_keeps_no_exception_after_the_end(self, event: Event) -> None:
        """A traceback holds all the frames of the request: it goes with it."""
        error = ShopError("x")
        gone = weakref.ref(error)
        event.fail(error)
        del error
        event.recorder.finish(event)
        assert gone() is None


class TestRaiseLevel:
    def test_only_goes_up(self, event: Event) -> None:
        """The event matters as much as the worst of what happened."""
        levels = []
        for level in (Level.DEBUG, Level.WARNING, Level.INFO, Level.ERROR, Level.WARNING):
            event.raise_level(level)
            levels.append(event.level)
        event.recorder.finish(event)
        assert levels == [Level.INFO, Level.WARNING, Level.WARNING, Level.ERROR, Level.ERROR]


class TestSeal:
    def test_is_true_once(self, event: Event) -> None:
        """Whoever seals the event is the one to send it."""
        sealed = [event.sealed, event.seal(), event.sealed, event.seal()]
        event.recorder.in_progress.clear()
        assert sealed == [False, True, True, False]

    @pytest.mark.usefixtures("eager_switching")
    def test_is_true_once_when_threads_seal_at_once(self, recorder: Recorder) -> None:
        """The event is emitted once, whoever is first."""
        for _ in range(200):
            event = recorder.open("work", "task")
            assert sorted(map(bool, at_once(*[event.seal] * 4))) == [False, False, False, True]
        recorder.in_progress.clear()

    def test_detaches_the_fields(self, event: Event) -> None:
        """What the stages see is a record of its own."""
        event.put("key", "value")
        fields = event.fields
        event.seal()
        event.recorder.in_progress.clear()
        assert (event.fields, event.record["key"]) == (None, "value")
        assert event.record is not fields

    def test_parts_scalars_from_branches(self, event: Event, written: Written) -> None:
        """A scalar `a` beside `a.b` is written as `a.value`."""
        event.put("cart", 1)
        event.put("cart.items", 2)
        assert finished(event, written) == {"cart.value": 1, "cart.items": 2}

    @pytest.mark.parametrize(
        "name", ["service", "deployment", "host", "process", "process.runtime", "thread", "event", "owner", "vcs.ref"]
    )
    def test_parts_scalars_from_what_is_added_after_the_seal(self, event: Event, written: Written, name: str) -> None:
        """A user's `service` beside the `service.name` of every line would make a store refuse it."""
        event.put(name, "theirs")
        at_once(lambda: event.recorder.finish(event))  # off the main thread, whose name is left out
        assert (name in written.one(), written.one()[f"{name}.value"]) == (False, "theirs")

    def test_parts_a_scalar_from_the_report_of_late_writes(self, recorder: Recorder, written: Written) -> None:
        """`events.late_writes` is on some lines only; a user's `events` makes way on these."""
        late = recorder.open("first", "task")
        recorder.finish(late)
        late.put("key", 1)
        event = recorder.open("second", "task")
        event.put("events", "theirs")
        recorder.finish(event)
        line = written.named("second")
        assert (line["events.late_writes"], line["events.value"]) == (1, "theirs")


WRITES: dict[str, Callable[[Event], object]] = {
    "put": lambda event: event.put("key", "value"),
    "put a mapping": lambda event: event.put("key", {"inner": 1}),
    "add": lambda event: event.add("key"),
    "append": lambda event: event.append("key", 1),
    "spend": lambda event: event.spend("key", 1),
    "fail": lambda event: event.fail(ValueError("x"), handled=True),
}


class TestSharedNames:
    """`db.count` and `db.duration_ms` are ours, and a user may count there too."""

    def test_take_numbers(self, event: Event, written: Written) -> None:
        """A number of one's own, a counter, a timer: all of them are of the type that the table says."""
        event.put("db.count", 2)
        event.add("db.count")
        event.put("db.duration_ms", 1.5)
        assert finished(event, written) == {"db.count": 3, "db.duration_ms": 1.5}

    @pytest.mark.parametrize("value", ["many", True, [1], float("nan"), b"x"], ids=str)
    def test_take_nothing_else(self, event: Event, written: Written, value: object) -> None:
        """Our fields have one type each; anything else stands beside the user's other fields."""
        event.put("db.count", value)
        assert list(finished(event, written)) == ["user_fields.db.count"]

    def test_do_not_become_lists(self, event: Event, written: Written) -> None:
        """What is appended goes beside, too."""
        event.append("db.count", 1)
        assert finished(event, written) == {"user_fields.db.count": [1]}


class TestSecretCounters:
    def test_are_hidden(self, event: Event, written: Written) -> None:
        """A number under a secret name is as secret as a text."""
        event.add("user.password", 1234)
        event.add("user.password", 1)
        assert finished(event, written) == {"user.password": "[redacted]"}


class TestLateWrites:
    @pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
    def test_are_counted(
        self, recorder: Recorder, event: Event, written: Written, write: Callable[[Event], object]
    ) -> None:
        """What comes after the end is in no line, changes nothing, and is counted on the next one."""
        recorder.finish(event)
        write(event)
        write(event)
        recorder.finish(recorder.open("next", "task"))
        first, second = written.all()
        assert (users(first), second["events.late_writes"]) == ({}, 2)
        assert health.faults.counts() == {Fault.LATE_WRITE: 2}

    @pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
    def test_are_told_once_for_each_key(
        self, event: Event, caplog: pytest.LogCaptureFixture, write: Callable[[Event], object]
    ) -> None:
        """The sentence names the key, and says where such work belongs."""
        event.recorder.finish(event)
        write(event)
        write(event)
        (message,) = caplog.messages
        assert message.startswith(("The field 'key", "The field 'e"))
        assert "after its event had ended" in message
        assert "with wideevents.event(...)" in message

    def test_of_another_key_are_told_too(self, event: Event, caplog: pytest.LogCaptureFixture) -> None:
        """Each key is somebody's mistake."""
        event.recorder.finish(event)
        for key in ("a", "b", "a"):
            event.put(key, 1)
        assert [message[:14] for message in caplog.messages] == ["The field 'a' ", "The field 'b' "]

    def test_are_on_the_next_line_once(self, recorder: Recorder, event: Event, written: Written) -> None:
        """The number is what came since the last line."""
        recorder.finish(event)
        event.put("key", 1)
        for name in ("second", "third"):
            recorder.finish(recorder.open(name, "task"))
        assert [line.get("events.late_writes") for line in written.all()] == [None, 1, None]

    def test_never_reach_another_event(self, recorder: Recorder, event: Event, written: Written) -> None:
        """A thread that holds an event that has ended holds nothing else."""
        recorder.finish(event)
        other = recorder.open("other", "task")
        for write in WRITES.values():
            write(event)
        recorder.finish(other)
        assert users(written.last()).keys() == {"events.late_writes"}

    def test_raise_no_level(self, event: Event, written: Written) -> None:
        """The line said info; the record of the process agrees."""
        event.recorder.finish(event)
        event.fail(ValueError("x"))
        assert (event.outcome, written.one()["level"]) == ("success", "info")


ROUNDS = 60
WRITERS = 4
EACH = 40


class TestRace:
    """Writers against the seal: four threads write until they are through, and the event ends somewhere between."""

    def race(self, recorder: Recorder, write: Callable[[Event, int, int], None]) -> Event:
        """Run the race once; nothing may raise."""
        event = recorder.open("race", "task")
        started = Flag()

        def run(writer: int) -> None:
            for number in range(EACH):
                write(event, writer, number)
                if number == EACH // 4:
                    started.set()

        def finish() -> None:
            started.wait(PATIENCE)
            recorder.finish(event)

        at_once(finish, *[lambda writer=writer: run(writer) for writer in range(WRITERS)])  # type: ignore[misc]
        return event

    @pytest.mark.usefixtures("eager_switching")
    @pytest.mark.parametrize("value", ["text", 7, [1]], ids=["text", "number", "list"])
    def test_every_field_is_in_the_line_or_told_as_late(
        self, recorder: Recorder, written: Written, caplog: pytest.LogCaptureFixture, value: object
    ) -> None:
        """Nothing is lost without a word: what is not in the line is named in a sentence, and is in no other event."""
        for _ in range(ROUNDS):
            health.forget()
            caplog.clear()
            other = recorder.open("other", "task")
            self.race(recorder, lambda event, writer, number: event.put(f"w{writer}.{number}", value))
            recorder.finish(other)
            race, bystander = map(parse_line, written.sink.lines[-2:])
            late = {message.split("'")[1] for message in caplog.messages}
            everything = {f"w{writer}.{number}" for writer in range(WRITERS) for number in range(EACH)}
            assert everything - race.keys() <= late <= everything
            assert everything & bystander.keys() == set()

    @pytest.mark.usefixtures("eager_switching")
    @pytest.mark.parametrize(
        ("write", "read"),
        [
            (lambda event, _, __: event.add("n"), lambda line: line.get("n", 0)),
            (lambda event, _, number: event.append("n", number), lambda line: len(line.get("n", []))),
            (lambda event, _, __: event.spend("n", 1_000), lambda line: line.get("n.count", 0)),
            (lambda event, _, __: event.spend("n", 1_000), lambda line: round(line.get("n.duration_ms", 0) * 1_000)),
        ],
        ids=["add", "append", "count of spend", "time of spend"],
    )
    def test_what_adds_up_is_in_the_line_or_counted_as_late(
        self,
        recorder: Recorder,
        written: Written,
        write: Callable[[Event, int, int], None],
        read: Callable[[dict[str, object]], int],
    ) -> None:
        """Every one is there exactly once: in the line, or among the late writes."""
        for _ in range(ROUNDS):
            health.forget()
            self.race(recorder, write)
            late = health.faults.counts().get(Fault.LATE_WRITE, 0)
            assert read(written.last()) + late == WRITERS * EACH

    @pytest.mark.usefixtures("eager_switching")
    @pytest.mark.parametrize(
        "wrap", [str, lambda text: [text], lambda text: {"in": text}], ids=["text", "list", "mapping"]
    )
    def test_a_secret_never_slips_through(
        self, recorder: Recorder, written: Written, wrap: Callable[[str], object]
    ) -> None:
        """What is written in the last moment is redacted like everything else."""
        for turn in range(ROUNDS):
            health.forget()
            secret = f"Bearer 0123456789abcdef{turn:08}"
            self.race(recorder, lambda event, writer, number: event.put(f"w{writer}.{number % 9}", wrap(secret)))  # noqa: B023
            assert secret[7:].encode() not in written.sink.lines[-1]

    @pytest.mark.usefixtures("eager_switching")
    def test_a_write_that_was_overtaken_is_in_the_line_or_late(self, recorder: Recorder, written: Written) -> None:
        """The same key, written by all: the line has the value of one of them, and the others were late or earlier."""
        for _ in range(ROUNDS):
            health.forget()
            self.race(recorder, lambda event, writer, number: event.put("key", [writer, number]))
            writer, number = written.last()["key"]
            assert (writer in range(WRITERS), number in range(EACH)) == (True, True)


class Overtaken(dict[str, object]):
    """Fields whose event is sealed by somebody else in the very moment in which `key` is written."""

    def __init__(self, fields: dict[str, object], *, before: bool) -> None:
        super().__init__(fields)
        self.before = before
        self.seal: Callable[[], object] = bool

    def __setitem__(self, key: str, value: object) -> None:
        if self.before:
            self.seal()
        super().__setitem__(key, value)
        self.seal()


@pytest.mark.parametrize("value", ["text", 7, 0.5, True, [1]], ids=repr)
@pytest.mark.parametrize("before", [True, False], ids=["sealed before", "sealed after"])
class TestOvertaken:
    """The two ways in which a write and the seal can meet, one step at a time."""

    def overtaken(self, recorder: Recorder, *, before: bool) -> Event:
        """Return an event that is sealed by its first write."""
        fields = Overtaken({"event.id": "1", "trace.id": "2"}, before=before)
        event = Event(recorder.keys, recorder, fields, 0)
        fields.seal = event.seal
        return event

    def test_put_is_in_the_line_or_late(self, recorder: Recorder, value: object, *, before: bool) -> None:
        """Late if the fields were copied before the write, and in the line if after; never both, never neither."""
        event = self.overtaken(recorder, before=before)
        event.put("key", value)
        assert event.record.get("key") == (None if before else value)
        assert health.faults.counts() == ({Fault.LATE_WRITE: 1} if before else {})

    def test_add_field_is_in_the_line_or_late(self, recorder: Recorder, value: object, *, before: bool) -> None:
        """The quick way, which a key takes that is known, keeps the same promise."""
        recorder.keys.judge("key")
        event = self.overtaken(recorder, before=before)
        with Activation(event):
            add_field("key", value)
        assert event.record.get("key") == (None if before else value)
        assert health.faults.counts() == ({Fault.LATE_WRITE: 1} if before else {})


class Watched(dict[str, object]):
    """Fields that tell when somebody is about to change them, and let another thread come in between."""

    def __init__(self, fields: dict[str, object], meanwhile: Callable[[], object]) -> None:
        super().__init__(fields)
        self.meanwhile = Thread(target=meanwhile, daemon=True)

    def _touched(self) -> None:
        if self.meanwhile.ident is None:
            self.meanwhile.start()
            self.meanwhile.join(0.1)

    def grew(self, name: str, item: object) -> None:
        """Take what a flight recorder is told."""

    def get(self, *arguments: Any) -> Any:
        found = super().get(*arguments)
        self._touched()
        return found

    def setdefault(self, *arguments: Any) -> Any:
        found = super().setdefault(*arguments)
        self._touched()
        return found

    def copy(self) -> dict[str, object]:
        self._touched()
        return super().copy()


class TestHeld:
    @pytest.mark.parametrize(
        ("write", "name", "expected"),
        [
            (lambda event: event.add("n", 2), "n", 2),
            (lambda event: event.append("n", 2), "n", [2]),
            (lambda event: event.spend("n", 2_000), "n.count", 1),
        ],
        ids=["add", "append", "spend"],
    )
    def test_the_seal_waits_for_what_adds_up(
        self, event: Event, written: Written, write: Callable[[Event], object], name: str, expected: object
    ) -> None:
        """Another thread that ends the event in the middle of an addition does so after it, or before; not between."""
        assert event.fields is not None
        fields = event.fields = Watched(event.fields, lambda: event.recorder.finish(event))
        write(event)
        fields.meanwhile.join(PATIENCE)
        assert (written.one()[name], health.faults.counts()) == (expected, {})

    @pytest.mark.parametrize(
        ("write", "name", "expected"),
        [
            (lambda event: event.add("n", 2), "n", 4),
            (lambda event: event.append("n", 2), "n", [2, 2]),
            (lambda event: event.spend("n", 2_000), "n.count", 2),
        ],
        ids=["add", "append", "spend"],
    )
    def test_additions_wait_for_each_other(
        self, event: Event, written: Written, write: Callable[[Event], object], name: str, expected: object
    ) -> None:
        """Two threads that add to the same field in the same moment both count."""
        assert event.fields is not None
        fields = event.fields = Watched(event.fields, lambda: write(event))
        write(event)
        fields.meanwhile.join(PATIENCE)
        event.recorder.finish(event)
        assert written.one()[name] == expected

    def test_a_write_in_the_middle_of_the_seal_is_late(self, event: Event, written: Written) -> None:
        """It waits until the fields are copied, and then sees that it is not among them."""
        assert event.fields is not None
        fields = event.fields = Watched(event.fields, lambda: event.put("key", "value"))
        event.recorder.finish(event)
        fields.meanwhile.join(PATIENCE)
        assert (users(written.one()), health.faults.counts()) == ({}, {Fault.LATE_WRITE: 1})

    def test_a_second_seal_in_the_middle_of_the_first_changes_nothing(self, event: Event, written: Written) -> None:
        """Whoever comes later finds that there is nothing left to do."""
        assert event.fields is not None
        fields = event.fields = Watched(event.fields, lambda: event.recorder.finish(event))
        event.recorder.finish(event)
        fields.meanwhile.join(PATIENCE)
        assert users(written.one()) == {}

    @pytest.mark.parametrize(
        ("end", "write"),
        [
            (False, lambda event: event.spend("error", 1)),
            (True, lambda event: event.spend("db", 1)),
            (True, lambda event: event.add("n")),
            (True, lambda event: event.append("n", 1)),
            (True, lambda event: event.put("n", 1)),
            (True, lambda event: event.fail(ValueError("x"))),
        ],
        ids=["spend, reserved", "spend, late", "add, late", "append, late", "put, late", "fail, late"],
    )
    def test_nothing_is_told_under_a_lock(self, event: Event, write: Callable[[Event], object], *, end: bool) -> None:
        """A log handler of the application may wait for another thread, which may use the same event."""
        stuck: list[bool] = []

        class Waiting(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                other = Thread(target=event.raise_level, args=(Level.INFO,), daemon=True)
                other.start()
                other.join(1)
                stuck.append(other.is_alive())

        if end:
            event.recorder.finish(event)
        handler = Waiting()
        health.logger.addHandler(handler)
        try:
            write(event)
        finally:
            health.logger.removeHandler(handler)
            event.recorder.finish(event)
        assert stuck == [False]


class TestClear:
    def test_leaves_an_empty_shell(self, event: Event) -> None:
        """What a thread holds of an event that has ended keeps nothing of it in memory."""
        event.put("big", "x" * 10_000)
        event.recorder.finish(event)
        assert (event.fields, event.record, event.line) == (None, {}, b"")

    def test_frees_the_event_itself(self, recorder: Recorder) -> None:
        """Nothing refers to an event that has ended, so that no garbage collection is needed."""
        event = recorder.open("work", "task")
        event.put("key", {"a": [1]})
        event.fail(ValueError("x"))
        gone = weakref.ref(event)
        gc.disable()
        try:
            recorder.finish(event)
            del event
            assert gone() is None
        finally:
            gc.enable()


class TestRepr:
    def test_tells_the_id_and_the_state(self, event: Event) -> None:
        """A person in a debugger sees which event it is, and none of its values."""
        event.put("user.name", "Ada")
        before = repr(event)
        event.recorder.finish(event)
        assert (before, repr(event)) == (
            "<Event 0000000000000001 in progress>",
            "<Event 0000000000000001 sealed>",
        )


class TestFork:
    @pytest.mark.usefixtures("eager_switching")
    def test_an_event_can_be_written_in_a_child(self, event: Event) -> None:
        """A lock that another thread held at the fork is free in the child, where that thread is not."""
        stop = Flag()

        def write() -> None:
            sys.settrace(None)  # whoever measures coverage holds a lock of its own, which is not ours to renew
            while not stop.is_set():
                event.add("n")

        def use() -> object:
            event.add("child", 2)
            event.append("items", 1)
            return event.fields and event.fields["child"]

        threads = [Thread(target=write, daemon=True) for _ in range(3)]
        for thread in threads:
            thread.start()
        sleep(0.01)
        try:
            children = []
            while len(children) < 30 and "stuck" not in children:
                children.append(in_child(use))
        finally:
            stop.set()
            for thread in threads:
                thread.join(PATIENCE)
            event.recorder.finish(event)
        assert children == [2] * 30


class TestLogged:
    """A log line of an event is counted in it."""

    def test_a_line_after_the_end_changes_nothing(self, recorder: Recorder) -> None:
        """It has its own urgency, and stands for itself."""
        event = recorder.open("job", "task")
        recorder.finish(event)
        event.logged(Level.ERROR, "too late", raises=True)

        assert (event.level, event.record) == (Level.INFO, {})


class TestLand:
    """The flight recorder lets go of an event before its end, which has much to say in a moment."""

    def test_the_fields_are_a_plain_dict_from_then_on(self, recorder: Recorder) -> None:
        """With all that was there, and what comes after it goes there, too."""
        event = recorder.open("work", "task")
        event.fields = Watched({**(event.fields or {}), "before": 1}, lambda: None)
        landed = event.land()
        event.put("after", 2)

        assert (type(event.fields), event.fields is landed) == (dict, True)
        assert (landed["before"], landed["after"]) == (1, 2)
        recorder.finish(event)

    def test_an_event_that_has_ended_stays_sealed(self, recorder: Recorder) -> None:
        """A thread may have finished it just before."""
        event = recorder.open("work", "task")
        recorder.finish(event)

        assert (event.land(), event.sealed) == ({}, True)


class Meddled(dict[str, object]):
    """Be fields to which a signal handler adds in the middle of an addition."""

    def __init__(self) -> None:
        super().__init__(n=1)
        self.meddled = False

    def get(self, name: str, default: Any = None) -> Any:
        found = super().get(name, default)
        if not self.meddled:
            self.meddled = True
            self[name] = 10
        return found


class TestGrow:
    def test_what_a_signal_handler_adds_meanwhile_is_not_lost(self) -> None:
        """It runs in the very thread that adds, which no lock keeps out."""
        fields = Meddled()
        _grow(fields, "n", 1)

        assert fields["n"] == 11
