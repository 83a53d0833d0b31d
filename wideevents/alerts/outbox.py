"""Keep alerts until Alertmanager has them, and as long as it has to be reminded of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from math import inf
from threading import Lock
from typing import Any

from wideevents.alerts.direct import Alert
from wideevents.levels import Urgency

MOST = 10_000
"""Alerts that wait, and as many that are remembered; more are counted, and lost."""

BATCH = 100
"""Alerts that are posted at once."""

REMIND = 60.0
"""
Seconds after which Alertmanager is told again of an alert that goes on.

It keeps alerts in memory alone, and asks for them "usually on the order of 30 seconds to 3 minutes":
https://prometheus.io/docs/alerting/latest/clients/.
"""


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """
    Say how many seconds an alert goes on after its last occurrence.

    An error resolves after some *quiet*; a warning is to *keep* until the business hours have opened, or nobody would
    ever hear of it.
    """

    quiet: float
    keep: float

    def of(self, alert: Alert) -> float:
        """Return the seconds for *alert*."""
        return self.quiet if alert.urgency is Urgency.PAGE else self.keep


@dataclass(slots=True)
class Held:
    """
    One alert, and when its last occurrence was read.

    *told* is when Alertmanager last heard of it (None: never), *ends* what it was told of the end.
    """

    alert: Alert
    seen: float
    told: float | None = None
    ends: float = 0.0


class Outbox:
    """
    Hold every alert once; what is the same, by its key, extends it.

    An alert waits until it is `delivered`; from then on it is remembered until it ends, so that another occurrence does
    not ring anew. Any thread may add; one takes.
    """

    def __init__(self, lifetimes: Lifetimes, now: Callable[[], float]) -> None:
        self.lost = self.refused = 0
        self._lifetimes = lifetimes
        self._now = now
        self._remind = min(REMIND, lifetimes.quiet / 4, lifetimes.keep / 4)
        self._lock = Lock()
        self._waiting: dict[tuple[str, ...], Held] = {}
        self._known: dict[tuple[str, ...], Held] = {}

    @property
    def waiting(self) -> list[Alert]:
        """The alerts that Alertmanager knows nothing of yet."""
        with self._lock:
            return [held.alert for held in self._waiting.values()]

    def add(self, alert: Alert) -> bool:
        """Take an occurrence up, and tell whether it is a new alert."""
        key, now = alert.key, self._now()
        with self._lock:
            held = self._waiting.get(key) or self._known.get(key)
            if held is not None and self._goes_on(held, now):
                _extend(held, alert, now)
                return False
            if len(self._waiting) >= MOST:
                self.lost += 1
                return False
            self._waiting[key] = Held(alert, now)
            return True

    def take(self, *, final: bool = False) -> list[Held]:
        """
        Return what Alertmanager is to be told of now: what it does not know, then what it has to be reminded of.

        The *final* reminder is of all that has gone on since the last one.
        """
        now = self._now()
        with self._lock:
            if self._waiting:
                return list(islice(self._waiting.values(), BATCH))
            self._known = {key: held for key, held in self._known.items() if self._goes_on(held, now)}
            due = (held for held in self._known.values() if self._is_due(held, now, final=final))
            return list(islice(due, BATCH))

    def posted(self, batch: list[Held]) -> list[dict[str, Any]]:
        """Return the alerts of *batch* as the API takes them; the end of one that comes late is late, too."""
        now = self._now()
        with self._lock:
            for held in batch:
                if held.told is None:
                    held.seen = now
                held.ends = self._end(held)
            return [held.alert.posted(held.ends) for held in batch]

    def delivered(self, batch: list[Held]) -> None:
        """Remember that Alertmanager has taken *batch*."""
        self._remember(batch, self._now())

    def refuse(self, held: Held) -> None:
        """Remember that Alertmanager will never take an alert: it is not told of it again as long as it goes on."""
        self.refused += 1
        self._remember([held], inf)

    def _remember(self, batch: list[Held], told: float) -> None:
        with self._lock:
            for held in batch:
                held.told = told
                self._waiting.pop(held.alert.key, None)
                self._known[held.alert.key] = held
            for key in list(islice(self._known, max(0, len(self._known) - MOST))):
                del self._known[key]

    def _end(self, held: Held) -> float:
        return held.seen + self._lifetimes.of(held.alert)

    def _goes_on(self, held: Held, now: float) -> bool:
        return held.told is None or now < self._end(held)

    def _is_due(self, held: Held, now: float, *, final: bool) -> bool:
        """Tell whether Alertmanager has to hear of an alert: it may forget it, or end it although it goes on."""
        told = held.told or 0.0
        is_ending = held.ends - now < 2 * self._remind
        return now - told >= self._remind or (held.seen > told and (final or is_ending))


def _extend(held: Held, alert: Alert, now: float) -> None:
    """Let an alert go on. It keeps its labels, and its beginning: with others it would be another alert."""
    held.alert = replace(alert, labels=held.alert.labels, began=min(held.alert.began, alert.began))
    held.seen = now
