"""Hold what was aimed at, and say what was reached."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tests.bench.report import GOAL_COLUMNS, GOALS, MISSED, Table


@dataclass(frozen=True, slots=True)
class Goal:
    """Aim at *must* at least, and at *stretch*, where there is one: less is better."""

    what: str
    must: float
    stretch: float | None = None

    def reached(self, measured: float) -> str:
        """Return which of both *measured* reaches."""
        if self.stretch is not None and measured <= self.stretch:
            return "stretch"
        return "must" if measured <= self.must else MISSED

    def row(self, measured: float) -> tuple[str, ...]:
        """Return the row that tells of *measured*."""
        stretch = "" if self.stretch is None else f"{self.stretch:,g}"
        return self.what, f"{self.must:,g}", stretch, f"{measured:,.2f}", self.reached(measured)


def table(subject: str, measured: Iterable[tuple[Goal, float]]) -> Table:
    """Return what was reached of the goals of *subject*."""
    return Table(
        f"{GOALS}{subject}",
        "The same figures as above, beside what was aimed at. Less is better.",
        GOAL_COLUMNS,
        tuple(goal.row(figure) for goal, figure in measured),
    )
