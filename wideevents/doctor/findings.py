"""Say what is wrong, why it matters, and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """Tell what a finding costs: lines that are lost or wrong, or the peace of those who read them."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """Hold one thing that is wrong. *slug* is the same in every application, *what* names what is wrong in this one."""

    slug: str
    severity: Severity
    what: str
    why: str
    fix: str


@dataclass(frozen=True, slots=True)
class Illness:
    """Hold what is true of a fault wherever it is found."""

    slug: str
    severity: Severity
    why: str
    fix: str

    def found(self, what: str, fix: str | None = None) -> Finding:
        """Return the finding of *what*; *fix* is for a case that is mended in a way of its own."""
        return Finding(self.slug, self.severity, what, self.why, fix or self.fix)


def listed(items: list[str], most: int = 5) -> str:
    """Return *items* as a part of a sentence: the first ones, and how many more there are."""
    told = items[:most]
    if len(items) > most:
        told.append(f"{len(items) - most} more")
    return told[0] if len(told) == 1 else f"{', '.join(told[:-1])} and {told[-1]}"
