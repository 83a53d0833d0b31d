"""Find what is reported of an entry: each exception that matters, and none that stands in the report of another."""

from __future__ import annotations

from typing import NamedTuple

from wideevents import health
from wideevents.entries import Entry, standing
from wideevents.events import Event
from wideevents.levels import Level
from wideevents.sinks.sentry.raised import links

OURS = health.logger.name


class Failure(NamedTuple):
    """Hold an exception that is reported, how much it matters, and those that its report tells of, too."""

    error: BaseException
    level: Level
    handled: bool
    below: tuple[BaseException, ...]


def failures(entry: Entry) -> list[Failure]:
    """
    Return what is reported of *entry*, first what it stands for, which matters as much as the entry does.

    What was expected is nobody's business. An exception that was dealt with, and matters less than a warning, is
    reported only where it stands for an entry that failed.
    """
    raised = [noted for noted in entry.errors if not noted.expected and _is_exception(noted.error)]
    first = standing(raised)
    told = [first, *(noted for noted in raised if noted is not first)] if first else []
    found = []
    for noted in told:
        least = entry.level if noted is first else noted.level
        level = max(noted.level, least)
        if noted.level >= Level.WARNING or level >= Level.ERROR:
            below = tuple(link.error for link in links(noted.error)[1:])
            found.append(Failure(noted.error, level, noted.handled, below))
    return _roots(found)


def speaks_for_itself(entry: Entry) -> bool:
    """
    Tell whether *entry* is reported at all: a line inside an event is not, since the event is.

    What wideevents says of itself is not, either: that a report was lost must not be one more report.
    """
    if isinstance(entry, Event):
        return True
    return "alert.urgency" in entry.record and entry.record.get("log.logger") != OURS


def _roots(found: list[Failure]) -> list[Failure]:
    """Leave out what stands in the report of another, which then matters as much."""
    roots: list[Failure] = []
    for each in found:
        over = next((root for root in roots if _tells_of(root, each.error)), None)
        if over is not None:
            roots[roots.index(over)] = _joined(over, each)
            continue
        under = [root for root in roots if _tells_of(each, root.error)]
        for root in under:
            each = _joined(each, root)  # noqa: PLW2901 - it takes their place
        place = roots.index(under[0]) if under else len(roots)
        roots = [*roots[:place], each, *(root for root in roots[place:] if root not in under)]
    return roots


def _joined(root: Failure, other: Failure) -> Failure:
    return root._replace(level=max(root.level, other.level), handled=root.handled and other.handled)


def _tells_of(root: Failure, error: BaseException) -> bool:
    return any(each is error for each in root.below)


def _is_exception(error: object) -> bool:
    return issubclass(type(error), BaseException)  # isinstance() would ask the object, which may be a proxy of nothing
