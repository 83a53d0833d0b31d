"""What adding up calls promises: nothing drifts, and the slowest and the most repeated are found."""

from __future__ import annotations

from typing import Any

from wideevents.tallies import SUBJECTS, Tally


def told(*calls: tuple[int, str | None], failed: bool = False) -> dict[str, Any]:
    """Return what a tally has told in the end of *calls*, each of some milliseconds on a subject."""
    tally, fields = Tally(), {}
    for milliseconds, subject in calls:
        fields |= tally.add(milliseconds * 1_000_000, subject, failed=failed)
    return fields


class TestTally:
    def test_adds_up_without_drifting(self) -> None:
        """A sum of rounded milliseconds would be 0.30000000000000004."""
        tally = Tally()
        for _ in range(3):
            tally.add(100_000, "a", failed=False)

        assert tally.spent == 300_000

    def test_tells_the_slowest_and_how_long_it_took(self) -> None:
        """The first of two that took the same time stays."""
        assert told((1, "a"), (3, "b"), (3, "c"), (2, "d")) == {"slowest": "b", "slowest_ms": 3.0}

    def test_tells_a_call_that_took_no_time(self) -> None:
        """A clock may stand still; a call is one."""
        assert told((0, "a")) == {"slowest": "a", "slowest_ms": 0.0}

    def test_rounds_down_to_microseconds(self) -> None:
        """As every duration of the line."""
        assert Tally().add(1_999_999, "a", failed=False)["slowest_ms"] == 1.999

    def test_tells_the_most_repeated(self) -> None:
        """From the second time on; the first of two that are repeated as often stays."""
        calls = [(1, subject) for subject in "abcbbcc"]

        assert told(*calls) == {"slowest": "a", "slowest_ms": 1.0, "repeated": 3, "most_repeated": "b"}

    def test_tells_only_what_has_changed(self) -> None:
        """What is told is written to the event under its lock."""
        tally = Tally()
        tally.add(2, "a", failed=False)

        assert tally.add(1, "b", failed=False) == {}
        assert tally.add(1, "b", failed=False) == {"repeated": 2, "most_repeated": "b"}

    def test_counts_what_failed(self) -> None:
        """A failure takes time like everything else, and a step that is no call may fail, too."""
        assert told((1, "a"), (1, None), failed=True) == {"slowest": "a", "slowest_ms": 0.001 * 1000, "failures": 2}

    def test_tells_nothing_of_a_step_without_a_subject(self) -> None:
        """A timer is no call."""
        tally = Tally()

        assert tally.add(5, None, failed=False) == {}
        assert tally.spent == 5

    def test_tells_a_bounded_number_of_subjects_apart(self) -> None:
        """A statement that is made anew each time costs no memory; the slowest is still found."""
        tally = Tally()
        for number in range(SUBJECTS):
            tally.add(1, f"{number}", failed=False)

        assert [tally.add(1, "new", failed=False) for _ in range(2)] == [{}, {}]
        assert tally.add(9, "slow", failed=False)["slowest"] == "slow"
        assert tally.add(1, "0", failed=False) == {"repeated": 2, "most_repeated": "0"}
