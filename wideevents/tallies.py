"""Add up what one transaction spent on calls of one kind, and find the slowest and the most repeated."""

from __future__ import annotations

SUBJECTS = 500
"""Different subjects that are told apart in one transaction; more of them are only timed."""

NOTHING: dict[str, str | int | float] = {}


class Tally:
    """
    Add up stretches of time, in whole nanoseconds: a sum of rounded milliseconds drifts, and is 0.30000000000000004.

    `add` returns the fields that have changed, without the prefix of their kind.
    """

    __slots__ = ("_counts", "_failures", "_most", "_slowest", "spent")

    def __init__(self) -> None:
        self.spent = 0
        self._slowest = -1
        self._failures = 0
        self._most = 1
        self._counts: dict[str, int] | None = None

    def add(self, nanoseconds: int, subject: str | None, *, failed: bool) -> dict[str, str | int | float]:
        """Add a stretch of time that was spent on *subject*; None is a step that is no call."""
        self.spent += nanoseconds
        if subject is None and not failed:
            return NOTHING
        changed: dict[str, str | int | float] = {}
        if failed:
            self._failures += 1
            changed["failures"] = self._failures
        if subject is not None:
            self._compare(nanoseconds, subject, changed)
        return changed

    def _compare(self, nanoseconds: int, subject: str, changed: dict[str, str | int | float]) -> None:
        """Note *subject* if it is the slowest so far, or the most repeated."""
        if nanoseconds > self._slowest:
            self._slowest = nanoseconds
            changed["slowest"] = subject
            changed["slowest_ms"] = nanoseconds // 1000 / 1000
        if self._counts is None:
            self._counts = {}
        if subject in self._counts or len(self._counts) < SUBJECTS:
            self._counts[subject] = times = self._counts.get(subject, 0) + 1
            if times > self._most:
                self._most = times
                changed["repeated"] = times
                changed["most_repeated"] = subject
