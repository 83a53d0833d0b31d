"""What the legible room promises."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strict import RAW
from wideevents.legible import clock, cut, harmless, lasting, moment, quoted, words


class TestHarmless:
    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("calm, with é and 🦆", "calm, with é and 🦆"),
            ("a\nb\r\tc", "a\\nb\\r\\tc"),
            ("\x1b[31m\x00\x7f\x9b", "\\x1b[31m\\x00\\x7f\\x9b"),
            ("user\u202etxt\u2066", "user\\u202etxt\\u2066"),
            ("a\u2028b\u2029\x85", "a\\u2028b\\u2029\\x85"),
            ("\ud800\U000e0041\u200b", "\\ud800\\U000e0041\\u200b"),
            ("👩\u200d🚒", "👩\u200d🚒"),
        ],
    )
    def test_escapes_what_is_no_visible_character(self, text: str, shown: str) -> None:
        """A terminal acts on some, readers are deceived by others; joiners belong to what they join."""
        assert shown == harmless(text)

    @given(st.text(alphabet=st.characters(exclude_categories=())))
    def test_nothing_that_is_forbidden_in_a_line_remains(self, text: str) -> None:
        """The screen is as strict as the contract of the line."""
        assert RAW.search(harmless(text)) is None


class TestWords:
    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            ("as it is", "as it is"),
            (True, "true"),
            (None, "null"),
            (3.0, "3.0"),
            (2**70, "1180591620717411303424"),
            (["a", 1, {"b": "é\n"}], '["a", 1, {"b": "é\\n"}]'),
            (object, "object"),
            (float("nan"), "NaN"),
            ("\ud800", "\\ud800"),
        ],
    )
    def test_are_the_text_itself_or_json(self, value: object, shown: str) -> None:
        """One line, whatever the value."""
        assert shown == words(value, 80)

    def test_a_long_text_says_how_much_is_left_out(self) -> None:
        """An elided value is never taken for a whole one."""
        assert (cut("abcdef", 6), cut("abcdef", 4), words("x" * 1_234, 34)) == (
            "abcdef",
            "abcd… (+2 characters)",
            "x" * 34 + "… (+1,200 characters)",
        )


class TestQuoted:
    @pytest.mark.parametrize(
        ("value", "shown"),
        [("plain", "plain"), ("two words", '"two words"'), ("", '""'), ('say "a"', '"say \\"a\\""'), ("a=b", '"a=b"')],
    )
    def test_quotes_where_the_end_would_not_be_seen(self, value: str, shown: str) -> None:
        """`note=a b=c` would be two fields."""
        assert shown == quoted(value, 80)

    def test_leaves_what_is_no_text_as_it_is(self) -> None:
        """A list shows its own ends."""
        assert '["a b"]' == quoted(["a b"], 80)


class TestMoment:
    NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)

    @pytest.mark.parametrize(
        "told",
        [
            NOON,
            NOON.astimezone(timezone(timedelta(hours=2))),
            "2026-01-02T12:00:00Z",
            " 2026-01-02T14:00:00+02:00",
            1_767_355_200,
            1_767_355_200.0,
            1_767_355_200_000,
            1_767_355_200_000_000,
            1_767_355_200_000_000_000,
        ],
    )
    def test_is_read_in_any_form(self, told: object) -> None:
        """A datetime, ISO 8601, or the number since the epoch in any usual unit."""
        assert moment(told) == self.NOON

    def test_without_a_zone_has_none(self) -> None:
        """The form of logging's asctime says no zone, and none is made up."""
        assert datetime(2026, 1, 2, 3, 4, 5, 678_000) == moment("2026-01-02 03:04:05,678")

    @pytest.mark.parametrize(
        "told", ["", "noon", True, None, 1e300, float("inf"), [], -9 * 10**10, 10**30, "0001-01-01T00:00:00+05:00"]
    )
    def test_is_none_where_no_time_is_told(self, told: object) -> None:
        """Nothing is raised for what is no time, or for one that no calendar has."""
        assert moment(told) is None


class TestClock:
    @pytest.mark.parametrize(
        ("told", "shown"),
        [
            (datetime(2026, 1, 2, 3, 4, 5, 678_901, UTC), "03:04:05.678Z"),
            ("2026-01-02 03:04:05,678", "03:04:05.678"),
            ("soon\n", "soon\\n"),
            (None, "null"),
        ],
    )
    def test_is_the_time_of_day(self, told: object, shown: str) -> None:
        """To the millisecond, with its zone; what is no time stays what it is."""
        assert shown == clock(told)


class TestLasting:
    @pytest.mark.parametrize(
        ("milliseconds", "shown"),
        [
            (0, "0.00 ms"),
            (9.994, "9.99 ms"),
            (9.995, "10.0 ms"),
            (99.94, "99.9 ms"),
            (99.95, "100 ms"),
            (999.4, "999 ms"),
            (999.5, "1.00 s"),
            (9_994, "9.99 s"),
            (9_995, "10.0 s"),
            (59_949, "59.9 s"),
            (59_950, "1m 00s"),
            (192_345, "3m 12s"),
            (3_599_499, "59m 59s"),
            (3_600_000, "1h 00m"),
            (90_000_000, "25h 00m"),
        ],
    )
    def test_has_three_digits_and_a_unit(self, milliseconds: float, shown: str) -> None:
        """It is read at a glance, and never wider than its column."""
        assert shown == lasting(milliseconds)

    @pytest.mark.parametrize(
        ("told", "shown"), [("slow", "slow"), (True, "true"), (-1, "-1"), (float("inf"), "Infinity")]
    )
    def test_what_is_no_duration_is_shown_as_it_is(self, told: Any, shown: str) -> None:
        """A foreign field may hold anything."""
        assert shown == lasting(told)
