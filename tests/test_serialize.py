"""What the serialize room promises."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strict import RAW, strict_loads
from wideevents.serialize import encode

C0 = [chr(code) for code in range(0x20)]
DELETE_AND_C1 = [chr(code) for code in range(0x7F, 0xA0)]
SEPARATORS = ["\u2028", "\u2029"]
BIDI = ["\u061c", "\u200e", "\u200f", *map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))]

READABLE = "café · Ærøskøbing · привет · 你好 · مرحبا · €5 – “quoted” … 🦆👩‍👩‍👧"


class Foreign:
    def __str__(self) -> str:
        return "a foreign object"


class Unprintable:
    def __str__(self) -> str:
        raise KeyboardInterrupt


class Name(str):
    __slots__ = ()


def read(record: dict[Any, Any]) -> Any:
    """Encode *record* and parse it strictly."""
    line = encode(record)
    assert RAW.search(line.decode("utf-8")) is None
    return strict_loads(line.decode("utf-8"))


class TestCharacters:
    @pytest.mark.parametrize("character", [*C0, *DELETE_AND_C1, *SEPARATORS, *BIDI], ids=lambda c: f"U+{ord(c):04X}")
    def test_what_a_terminal_or_a_splitter_stumbles_over_is_escaped(self, character: str) -> None:
        """It never stands raw in a line, in a value or in a key, and a reader gets it back as it was."""
        record = {f"key{character}": f"before{character}after", "list": [character]}

        assert character.encode() not in encode(record)
        assert record == read(record)

    def test_an_escape_is_the_one_of_json(self) -> None:
        """RFC 8259, section 7: a backslash, u and four hex digits."""
        assert encode({"a": "\x7f\x85\u2028\u202e\u061c"}) == rb'{"a":"\u007f\u0085\u2028\u202e\u061c"}'

    def test_other_languages_and_emoji_stay_readable(self) -> None:
        """A person reads the line in a terminal; escapes for what is harmless would hide it."""
        assert f'{{"text":"{READABLE}"}}'.encode() == encode({"text": READABLE})

    def test_the_readable_stays_so_beside_the_risky(self) -> None:
        """Only the risky characters of a line are escaped, not the line."""
        assert f'{{"text":"{READABLE}\\u2028"}}'.encode() == encode({"text": f"{READABLE}\u2028"})

    def test_characters_that_begin_like_risky_ones_are_left_alone(self) -> None:
        """Their first byte in UTF-8 is the same (C2, D8, E2), and they are not."""
        harmless = "\xa0£ؠط‐—\u2027\u202f\u2065\u206a"

        assert f'{{"text":"{harmless}"}}'.encode() == encode({"text": harmless})

    def test_a_backslash_before_a_risky_character_keeps_both(self) -> None:
        """The escape of an escape is what naive replacing gets wrong."""
        record = {"text": "\\\u2028\\\\\x7f", "text2": "\\u2028"}

        assert record == read(record)

    @given(st.dictionaries(st.text(), st.text() | st.lists(st.text())))
    def test_any_text_comes_back_as_it_was(self, record: dict[str, Any]) -> None:
        """Whatever Unicode holds, a strict reader gets the same text, and no raw risky character is in the line."""
        assert record == read(record)


class TestSurrogates:
    def test_a_lone_surrogate_in_a_value_is_written_with_a_backslash(self) -> None:
        """It is no Unicode (a file name that is no UTF-8 has them): it stays visible, and costs nothing else."""
        assert read({"name": "caf\udce9", "other": 1}) == {"name": r"caf\udce9", "other": 1}

    def test_a_lone_surrogate_in_a_key_is_written_with_a_backslash(self) -> None:
        """A key is as foreign as a value."""
        assert read({"k\ud800": ["\udfff", {"\udc00": "é"}]}) == {r"k\ud800": [r"\udfff", {r"\udc00": "é"}]}

    def test_beside_a_surrogate_the_risky_is_still_escaped(self) -> None:
        """A line that had to be repaired keeps the same contract."""
        assert read({"a": "\ud800\x7f\u2028é"}) == {"a": r"\ud800" + "\x7f\u2028é"}

    @given(st.dictionaries(st.text(st.characters()), st.text(st.characters())))
    def test_any_python_text_gives_a_line(self, record: dict[str, str]) -> None:
        """`str` holds more than Unicode; the line never does."""
        assert all(type(value) is str for value in read(record).values())


class TestValues:
    def test_a_time_in_utc_ends_in_z(self) -> None:
        """RFC 3339 in UTC, as every aggregator sorts it."""
        assert read({"t": datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)}) == {"t": "2026-01-02T03:04:05.678901Z"}

    def test_a_time_elsewhere_keeps_its_offset(self) -> None:
        """It is the same instant, and valid RFC 3339."""
        there = timezone(timedelta(hours=-5))

        assert read({"t": datetime(2026, 1, 2, 3, 4, 5, tzinfo=there)}) == {"t": "2026-01-02T03:04:05-05:00"}

    def test_numbers_truth_values_and_lists_are_those_of_json(self) -> None:
        """What is plain is written as it is."""
        record = {"i": -(2**63), "j": 2**63 - 1, "f": 0.1, "b": True, "l": [1, [2.5, "x"]], "d": [{"k": None}]}

        assert json.dumps(record, separators=(",", ":")).encode() == encode(record)

    def test_an_empty_record_is_an_empty_object(self) -> None:
        """There is no case in which no JSON comes out."""
        assert encode({}) == b"{}"


class TestRepair:
    """A stage of the user's may put anything into a record; the line is written all the same."""

    def test_a_foreign_object_becomes_its_text(self) -> None:
        """The rest of the record is as it was."""
        assert read({"a": Foreign(), "b": ["é", Foreign()]}) == {
            "a": "a foreign object",
            "b": ["é", "a foreign object"],
        }

    def test_one_that_cannot_be_printed_is_named(self) -> None:
        """The code of a foreign object may raise what it likes."""
        assert read({"a": Unprintable()}) == {"a": "<unprintable Unprintable>"}

    def test_a_key_that_is_no_text_becomes_one(self) -> None:
        """JSON has no other keys."""
        assert read({7: 1, None: 2, Name("name"): 3, Foreign(): 4}) == {
            "7": 1,
            "None": 2,
            "name": 3,
            "a foreign object": 4,
        }

    def test_bytes_sets_and_tuples_are_plain_afterwards(self) -> None:
        """They are read as they would be by add_field."""
        assert read({"b": b"raw", "s": {2, 1}, "t": (1, b"x"), "n": Name("x")}) == {
            "b": "raw",
            "s": [1, 2],
            "t": [1, "x"],
            "n": "x",
        }

    @pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**400], ids=["2**64", "-2**63-1", "10**400"])
    def test_an_integer_beyond_64_bits_does_not_cost_the_line(self, number: int) -> None:
        """What does not fit is written as a text, as it is when it is added."""
        assert str is type(read({"n": number})["n"])

    def test_a_list_that_holds_itself_does_not_cost_the_line(self) -> None:
        """The contract of the line holds whatever a stage has put there."""
        endless: list[Any] = ["x"]
        endless.append(endless)

        assert read({"endless": endless, "other": 1})["endless"][0] == "x"

    def test_a_list_a_thousand_levels_deep_does_not_cost_the_line(self) -> None:
        """An encoder gives up at some depth; the line does not."""
        deep: list[Any] = []
        for _ in range(2_000):
            deep = [deep]

        assert read({"deep": deep, "other": 1})["other"] == 1
