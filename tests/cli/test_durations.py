"""What the durations room promises."""

from __future__ import annotations

from argparse import ArgumentTypeError

import pytest

from wideevents.cli.durations import duration, is_duration


class TestDuration:
    @pytest.mark.parametrize(
        ("given", "length"), [("90s", 90), ("1.5m", 90), ("2h", 7_200), ("1d", 86_400), (" 1s ", 1), ("366d", 31622400)]
    )
    def test_a_time_has_a_unit(self, given: str, length: float) -> None:
        """Seconds, minutes, hours or days, of at most a year."""
        assert (duration(given), is_duration(given)) == (length, True)

    @pytest.mark.parametrize("given", ["", "15", "m", "-1m", "1w", "1m 1s", "367d", "0s", "9999999999s", "1.2345s"])
    def test_anything_else_is_refused(self, given: str) -> None:
        """In a sentence that argparse shows."""
        with pytest.raises(ArgumentTypeError, match="is no time such as 90s, 15m, 2h or 1d, of at most a year"):
            duration(given)

    @pytest.mark.parametrize("given", ["", "15", "1w", "2026-11-21T22:00Z"])
    def test_what_has_another_form_is_none(self, given: str) -> None:
        """It may be a moment."""
        assert is_duration(given) is False
