"""Count what goes wrong inside the telemetry, and tell it once."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from enum import StrEnum
from threading import RLock
from traceback import format_exception
from typing import Any, Generic, TypeAlias, TypeVar

from wideevents.forks import renew_in_child
from wideevents.notices import tell

Key = TypeVar("Key")

TOLD_LIMIT = 256
"""Sentences remembered as told; beyond it only the counts go on, so that hostile keys cost no memory."""

FOLD = 256
"""Counts that wait to be folded."""

logger = logging.getLogger("wideevents")


class _Guard:
    """
    Hold the one lock of all counters.

    It is re-entrant because a signal handler or a `__del__` may count while the same thread counts.
    """

    def __init__(self) -> None:
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        self.lock = RLock()


_guard = _Guard()


class Tally(Generic[Key]):
    """
    Count by key, exactly, from any number of threads.

    To count is to append to a list, which is atomic and takes no lock; now and then the list is folded into the counts.
    *some* is true as soon as there may be something to take.
    """

    __slots__ = ("_counts", "_new", "some")

    def __init__(self) -> None:
        self.some = False
        self._counts: dict[Key, int] = {}
        self._new: list[tuple[Key, int]] = []

    def add(self, key: Key, number: int = 1) -> None:
        """Add *number* to what stands under *key*."""
        new = self._new
        new.append((key, number))
        self.some = True
        if len(new) >= FOLD:
            self._fold()

    def counts(self) -> dict[Key, int]:
        """Return a copy of the counts."""
        with _guard.lock:
            self._fold()
            return self._counts.copy()

    def take(self) -> dict[Key, int]:
        """Return the counts and begin anew."""
        with _guard.lock:
            self.some = False
            self._fold()
            taken, self._counts = self._counts, {}
        return taken

    def _fold(self) -> None:
        with _guard.lock:
            try:
                while True:
                    key, number = self._new.pop()
                    self._counts[key] = self._counts.get(key, 0) + number
            except IndexError:  # empty; another thread may append meanwhile, to be folded the next time
                return


class Untold(Tally[str]):
    """Count what no line has told yet. A forked child forgets it, since its parent tells it."""

    __slots__ = ("__weakref__",)

    def __init__(self) -> None:
        super().__init__()
        renew_in_child(self)

    def renew(self) -> None:
        """Begin anew, without the lock, which is made anew meanwhile."""
        self._counts, self._new, self.some = {}, [], False


class Fault(StrEnum):
    """Name what can go wrong; three of them are fields of the next line."""

    LATE_WRITE = "events.late_writes"
    LOST = "events.lost"
    WITHHELD = "events.withheld"
    NO_EVENT = "fields.without_event"
    RESERVED = "fields.reserved"
    BAD_VALUE = "fields.bad_value"
    STAGE = "stages.failed"
    SETTING = "settings.refused"
    RECURSION = "lines.recursion"
    UNTOLD = "sentences.untold"


SINKS = ("lines", "console", "logging", "sentry", "otlp", "other")
LOST_IN = {sink: f"{Fault.LOST}_in.{sink}" for sink in SINKS}
ON_THE_NEXT_LINE = frozenset(
    {*(str(each) for each in (Fault.LATE_WRITE, Fault.LOST, Fault.WITHHELD)), *LOST_IN.values()}
)


def take_unreported() -> dict[str, int]:
    """Return the faults that no line has told yet, as fields, and forget them."""
    return unreported.take()


def give_back(record: Mapping[str, Any]) -> None:
    """Remember again what *record* was to tell, since it will not be written."""
    for name in ON_THE_NEXT_LINE & record.keys():
        unreported.add(name, record[name])


Observer: TypeAlias = Callable[[Fault, str, int], object]

observers: list[Observer] = []
"""Who is told of every fault: its kind, its subject (of a loss its sink), and how many there were."""

faults: Tally[Fault] = Tally()
unreported = Untold()
_told: set[tuple[Fault, str]] = set()


def lost(sink: str, subject: str, sentence: str, *, error: BaseException | None = None, number: int = 1) -> None:
    """Report that *number* lines or reports did not arrive where *sink* leads; one that is not ours is "other"."""
    name = sink if sink in LOST_IN else "other"
    unreported.add(LOST_IN[name], number)
    _count(Fault.LOST, name, number)
    _tell(Fault.LOST, subject, sentence, error)


def report(fault: Fault, subject: str, sentence: str, *, error: BaseException | None = None, number: int = 1) -> None:
    """
    Count *fault*, and log *sentence* the first time it happens to *subject*.

    *subject* is what a person would look for: a key, the name of a sink or a stage.
    """
    _count(fault, subject, number)
    _tell(fault, subject, sentence, error)


def _count(fault: Fault, subject: str, number: int) -> None:
    faults.add(fault, number)
    if fault in ON_THE_NEXT_LINE:
        unreported.add(fault.value, number)  # a key of a record, which has to be an exact str
    for observe in tuple(observers):
        observe(fault, subject, number)


def _tell(fault: Fault, subject: str, sentence: str, error: BaseException | None) -> None:
    known = (fault, subject)
    if known not in _told and len(_told) < TOLD_LIMIT:
        _told.add(known)
        logger.disabled = False  # a dictConfig disables all that it does not name, and nobody means this one
        try:
            _log(sentence, error)
        except Exception:  # noqa: BLE001 - a broken filter or handler of somebody's must not break their work by us
            faults.add(Fault.UNTOLD)


def _log(sentence: str, error: BaseException | None) -> None:
    """Log *sentence*; where nobody listens Python would print it, which can wait, and can cost the exit status."""
    if logger.hasHandlers() or logging.lastResort is None or sys.stderr is not sys.__stderr__:
        logger.warning("%s", sentence, exc_info=error)
    elif logger.isEnabledFor(logging.WARNING):
        trace = format_exception(error) if error else ()
        if not tell("\n".join((sentence, *trace)).rstrip()):
            faults.add(Fault.UNTOLD)


def forget() -> None:
    """Begin anew: for tests, which want to see each sentence."""
    faults.take()
    unreported.take()
    _told.clear()
