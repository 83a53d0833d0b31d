"""What the keys room promises."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

import pytest

from tests.conftest import at_once
from wideevents.fields import RESERVED
from wideevents.keys import KEY_LENGTH, KNOWN_LIMIT, Keys, Verdict
from wideevents.redaction import Redaction


class Asked(Redaction):
    """Count how often each key was judged."""

    asked: ClassVar[Counter[str]] = Counter()

    def hides(self, key: str) -> bool:
        self.asked[key] += 1
        return super().hides(key)


class Stop(BaseException):
    """What the code of a hostile key raises."""


class Unprintable:
    def __str__(self) -> str:
        raise Stop

    __repr__ = __str__


@pytest.fixture
def keys() -> Keys:
    """Give keys that have seen nothing yet."""
    return Keys(Redaction())


class TestJudge:
    def test_leaves_an_ordinary_key_alone(self, keys: Keys) -> None:
        """Nearly every key is written as it is, and needs no care from then on."""
        assert keys.judge("user.id") == Verdict("user.id", hidden=False, reserved=False)
        assert "user.id" in keys.plain

    def test_hides_a_secret_by_its_key(self, keys: Keys) -> None:
        """The name alone says that the value may not be seen."""
        assert keys.judge("user.password") == Verdict("user.password", hidden=True, reserved=False)
        assert "user.password" not in keys.plain

    @pytest.mark.parametrize("name", ["level", "http.route", "timestamp", "level.x", "http.route.x.y"])
    def test_moves_a_name_that_is_ours(self, keys: Keys, name: str) -> None:
        """A user's value under one of our names, or under what would stand below one, goes to user_fields."""
        assert keys.judge(name) == Verdict(f"user_fields.{name}", hidden=False, reserved=True)
        assert name not in keys.plain

    def test_moves_every_reserved_name(self, keys: Keys) -> None:
        """No name of ours can be taken."""
        assert {keys.judge(name).name for name in RESERVED} == {f"user_fields.{name}" for name in RESERVED}

    def test_hides_a_secret_below_one_of_our_names(self, keys: Keys) -> None:
        """A key can be both: it moves, and its value is hidden."""
        assert keys.judge("level.password") == Verdict("user_fields.level.password", hidden=True, reserved=True)

    @pytest.mark.parametrize(
        ("key", "name"),
        [
            (7, "7"),
            (None, "None"),
            (1.5, "1.5"),
            (("a", 1), "('a', 1)"),
            (["a"], "['a']"),
            ({}, "{}"),
            (Unprintable(), "<unprintable Unprintable>"),
        ],
    )
    def test_makes_text_of_any_key(self, keys: Keys, key: object, name: str) -> None:
        """What is no string becomes one: an int, an unhashable list, one that cannot even be printed."""
        assert keys.judge(key).name == name

    def test_takes_a_string_of_another_class_by_what_it_is(self, keys: Keys) -> None:
        """A subclass of str may print and compare as it likes; its characters count."""

        class Odd(str):
            __slots__ = ()

            def __str__(self) -> str:
                return "other"

            def __eq__(self, other: object) -> bool:
                raise ValueError

            __hash__ = None  # type: ignore[assignment]

        assert keys.judge(Odd("password")) == Verdict("password", hidden=True, reserved=False)

    def test_names_a_key_without_a_name(self, keys: Keys) -> None:
        """Some stores refuse an empty name."""
        assert keys.judge("") == Verdict("_", hidden=False, reserved=False)

    def test_cuts_an_endless_key(self, keys: Keys) -> None:
        """A name has an end; so has the memory that holds it."""
        assert keys.judge("k" * 10**6).name == "k" * KEY_LENGTH

    def test_judges_the_name_that_is_written(self, keys: Keys) -> None:
        """What an endless key ends in is cut away, and what is left of it is judged."""
        assert keys.judge("k" * KEY_LENGTH + ".password").hidden is False
        assert keys.judge("password" + " " * KEY_LENGTH).hidden is True

    def test_escapes_a_lone_surrogate(self, keys: Keys) -> None:
        """A key is valid Unicode in the line, and tells what it was."""
        assert keys.judge("a\ud800b").name == "a\\ud800b"

    def test_judges_a_key_once(self) -> None:
        """A key that is known costs one look-up."""
        redaction = Asked()
        keys = Keys(redaction)
        redaction.asked.clear()
        verdicts = [keys.judge("seen.before") for _ in range(5)]

        assert redaction.asked == {"seen.before": 1}
        assert set(verdicts) == {Verdict("seen.before", hidden=False, reserved=False)}

    def test_remembers_so_many_keys_and_no_more(self, keys: Keys) -> None:
        """An application that invents keys as it goes pays for its judgements, not with memory."""
        for number in range(KNOWN_LIMIT + 50):
            keys.judge(f"key.{number}")

        assert len(keys.plain) == KNOWN_LIMIT

    def test_notes_crossings_with_no_more_memory_either(self, keys: Keys) -> None:
        """However many keys are invented beyond the limit, what is kept of them does not grow."""
        kept = []
        for number in range(KNOWN_LIMIT + 200):
            keys.judge(f"key.{number}")
            kept.append(len(keys.crossed))

        assert kept[-1] == kept[KNOWN_LIMIT] == 1

    def test_judges_beyond_what_it_remembers_as_well(self, keys: Keys) -> None:
        """The verdicts are the same where none is remembered."""
        for number in range(KNOWN_LIMIT):
            keys.judge(f"key.{number}")

        for _ in range(2):
            assert keys.judge("new.password") == Verdict("new.password", hidden=True, reserved=False)
            assert keys.judge("new.level") == Verdict("new.level", hidden=False, reserved=False)
            assert keys.judge("level") == Verdict("user_fields.level", hidden=False, reserved=True)


def parted(keys: Keys, *names: str) -> dict[str, object]:
    """Return a record of *names*, judged in their order and parted."""
    record: dict[str, object] = {keys.judge(name).name: position for position, name in enumerate(names, 1)}
    keys.part(record)
    return record


class TestPart:
    def test_a_name_of_ours_with_a_value_of_another_kind_is_below_what_it_steps_aside_to(self) -> None:
        """Nobody else would know that it crosses a scalar of that name."""
        keys = Keys(Redaction())
        record: dict[str, object] = {
            name: part for key in ("user_fields", "alert.runbook") for name, part, _ in keys.parts(key, value=False)
        }

        assert keys.part(record) == ["user_fields.value"]
        assert record == {"user_fields.value": False, "user_fields.alert.runbook": False}

    def test_leaves_what_does_not_cross(self, keys: Keys) -> None:
        """Names that begin alike are no branches of each other."""
        assert parted(keys, "cart", "cartoon.id", "a.b", "a.c") == {"cart": 1, "cartoon.id": 2, "a.b": 3, "a.c": 4}

    @pytest.mark.parametrize("names", [("cart", "cart.items"), ("cart.items", "cart")])
    def test_moves_a_scalar_that_stands_beside_its_branch(self, keys: Keys, names: tuple[str, str]) -> None:
        """Stores that read dots as nesting refuse the whole insert otherwise; the order does not matter."""
        assert parted(keys, *names).keys() == {"cart.value", "cart.items"}

    def test_moves_a_scalar_at_every_depth(self, keys: Keys) -> None:
        """`a`, `a.b` and `a.b.c` are three scalars, of which one can stay."""
        assert parted(keys, "a", "a.b", "a.b.c") == {"a.value": 1, "a.b.value": 2, "a.b.c": 3}

    def test_finds_a_branch_far_below(self, keys: Keys) -> None:
        """`a.b.c` makes a nesting of `a` too."""
        assert parted(keys, "a", "a.b.c") == {"a.value": 1, "a.b.c": 2}

    def test_makes_way_for_a_value_that_is_there(self, keys: Keys) -> None:
        """Nothing is overwritten."""
        assert parted(keys, "a", "a.value", "a.value_") == {"a.value__": 1, "a.value": 2, "a.value_": 3}

    def test_makes_way_for_what_stands_below_a_value(self, keys: Keys) -> None:
        """The new name stands beside no branch of its own either."""
        assert parted(keys, "a", "a.value.x") == {"a.value_": 1, "a.value.x": 2}

    def test_remembers_a_crossing_between_two_records(self, keys: Keys) -> None:
        """Both keys may have been judged for other records, one for each."""
        parted(keys, "a")
        parted(keys, "a.b")

        assert parted(keys, "a", "a.b") == {"a.value": 1, "a.b": 2}

    def test_leaves_alone_what_crosses_in_another_record_only(self, keys: Keys) -> None:
        """A scalar that has no branch in its own record keeps its name."""
        parted(keys, "a", "a.b")

        assert (parted(keys, "a"), parted(keys, "a.b")) == ({"a": 1}, {"a.b": 1})

    def test_finds_a_branch_of_a_name_that_moved(self, keys: Keys) -> None:
        """What counts is the name in the line, also under user_fields."""
        assert parted(keys, "level", "level.x") == {"user_fields.level.value": 1, "user_fields.level.x": 2}

    def test_finds_a_branch_that_is_a_default_field(self, keys: Keys) -> None:
        """A user's `event` stands beside our own `event.name`."""
        record: dict[str, object] = {"event.name": "page", keys.judge("event").name: 1}
        keys.part(record)

        assert record == {"event.name": "page", "event.value": 1}

    def test_finds_what_crosses_beyond_what_it_remembers(self, keys: Keys) -> None:
        """More than so many keys are not remembered; they may not cross all the same."""
        for number in range(KNOWN_LIMIT):
            keys.judge(f"key.{number}")

        assert parted(keys, "a", "a.b", "c", "key.1") == {"a.value": 1, "a.b": 2, "c": 3, "key.1": 4}

    def test_finds_a_new_branch_of_a_key_that_it_remembers(self, keys: Keys) -> None:
        """One of the two may have come before the memory was full."""
        for number in range(KNOWN_LIMIT):
            keys.judge(f"key.{number}")

        assert parted(keys, "key.1", "key.1.new") == {"key.1.value": 1, "key.1.new": 2}

    @pytest.mark.usefixtures("eager_switching")
    def test_finds_what_two_threads_judge_at_the_same_time(self) -> None:
        """Two requests that begin at once, on a fresh process, may bring the two halves of a crossing."""
        for _ in range(300):
            keys = Keys(Redaction(safe=("a", "a.b")))
            at_once(lambda: keys.judge("a"), lambda: keys.judge("a.b"))  # noqa: B023 - run within the loop

            assert parted(keys, "a", "a.b") == {"a.value": 1, "a.b": 2}
