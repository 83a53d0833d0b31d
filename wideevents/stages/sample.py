"""Choose the events that are written, and say on each for how many it stands."""

from __future__ import annotations

from math import inf
from typing import Any, NamedTuple

from wideevents.events import Event
from wideevents.forks import renew_in_child
from wideevents.levels import Level
from wideevents.randomness import SMALL, START, Randomness
from wideevents.rates import Rates, threshold
from wideevents.sampling import Sampling

DEBUG, INFO = Level.DEBUG, Level.INFO  # the hot path looks nothing up in an enumeration

KNOWN_LIMIT = 4_096
"""Names that are told apart, and fingerprints; a name made of an id is no name, and must not cost memory."""


class Verdict(NamedTuple):
    """
    Say what becomes of an event: one in *rate* is kept, if its randomness is not below *threshold*, for *reason*.

    *threshold* is None where the rate hangs on more than the name of the event. From *slow_ms* on it is slow, and kept;
    None is what the event itself says.
    """

    rate: int
    threshold: str | None
    reason: str
    slow_ms: float | None


ALWAYS = {reason: Verdict(1, "", reason, inf) for reason in ("asked", "error", "warning", "failure", "lost", "slo")}


class Sample:
    """
    Drop what is not in the sample; add `sample.rate`, for how many events the line stands, and `sample.reason`.

    Always kept, with the rate 1, is what speaks for itself; the first of these is the reason:

    - "asked": `wideevents.keep()`, a signed header, or `Sampling.keep` said so.
    - "error", "warning": its level. "failure", "lost": its outcome, where the level is below that.
    - "slo": `slo.bad` is true. "slow": it took as long as `Sampling.slow_ms` says, or its door.
    - "first.version": the first events of a process, which are those of what was just deployed. "first.route": the
      first of a name, which has the route in it. "first.fingerprint": the first of an error, also an expected one.

    Of the rest one in N is kept, by the randomness of its trace: "rate.key" is an N by its name, route or key,
    "dynamic" one that follows the traffic, "rate" the one for all. Whether an event speaks for itself, and its N, never
    hang on its randomness: so the sum of `sample.rate` over lines is right for any group of events, on average.

    What was first is remembered as long as the process lives; a forked child begins anew. When `KNOWN_LIMIT` are
    known, nothing is a first any more: names without end would keep everything. Threads may both be first at once.
    """

    __slots__ = (
        "__weakref__",
        "_begun",
        "_by",
        "_fingerprints",
        "_keep",
        "_keyed",
        "_known",
        "_names",
        "_randomness",
        "_rates",
        "_settings",
        "_settled",
        "_shared",
    )

    def __init__(self, settings: Sampling, rates: Rates | None = None) -> None:
        """Take the *rates* of dynamic sampling, where they are not made from the *settings*."""
        dynamic = settings.dynamic
        self._settings = settings
        self._keep = settings.keep
        self._by = settings.by or ("event.name",)
        self._keyed = {key: (rate, threshold(rate), "rate.key") for key, rate in settings.rates.items()}
        self._rates = Rates(dynamic.per_second, dynamic.keys) if rates is None and dynamic is not None else rates
        self._shared = Verdict(settings.rate, threshold(settings.rate), "rate", None)
        self._randomness = Randomness()
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """Forget what was seen: a forked child is another process, and has just begun."""
        self._begun = 0
        self._known: dict[str, Verdict] = {}
        self._settled: dict[str, Verdict] = {}
        self._names: dict[str, int] = {}
        self._fingerprints: dict[str, int] = {}
        self._randomness.renew()
        if self._rates is not None:
            self._rates.renew()

    def __call__(self, event: Event) -> Event | None:
        """Return the event, or None if it is not in the sample."""
        record = event.record
        verdict = self._settled.get(record["event.name"])
        if (
            verdict is None
            or event.level is not INFO
            or event.outcome != "success"
            or event.keep
            or self._keep is not None
            or "error.fingerprint" in record
            or record.get("slo.bad")
        ):
            verdict = self._judge(event, record)
        rate, least, reason, slow_ms = verdict
        if record["duration_ms"] >= (event.slow_ms if slow_ms is None else slow_ms):
            rate, reason = 1, "slow"
        elif least != "":
            if least is None:
                rate, least, reason = self._by_key(record)
            digits = event.trace_id[START:]
            if event.parent is not None or digits < SMALL:
                digits = self._randomness.of(event.trace_id, event.parent)
            if digits < least:
                return None
        record["sample.rate"] = rate
        record["sample.reason"] = reason
        return event

    def _judge(self, event: Event, record: dict[str, Any]) -> Verdict:
        """Judge an event at which there is something to look at."""
        name, level = record["event.name"], event.level
        # What is of the level debug is written for nobody, as a rule: it takes nothing from what comes after it.
        first = None if level is DEBUG else self._first(name, record)
        if event.keep or (self._keep is not None and self._keep(event)):
            return ALWAYS["asked"]
        if level is not INFO and level is not DEBUG:
            return ALWAYS[level.label]
        if event.outcome in ALWAYS:
            return ALWAYS[event.outcome]
        if record.get("slo.bad") is True:
            return ALWAYS["slo"]
        verdict = self._known.get(name) or self._learn(name, record.get("http.route"))
        if first is not None:
            return Verdict(1, "", first, verdict.slow_ms)
        if level is INFO and name in self._known:
            self._settled[name] = verdict
        return verdict

    def _first(self, name: str, record: dict[str, Any]) -> str | None:
        """Take note of an event, and return of what it is among the first."""
        begins = self._begun < self._settings.firsts
        if begins:
            self._begun += 1
        route = self._is_first(self._names, name)
        fingerprint = record.get("error.fingerprint")
        error = fingerprint is not None and self._is_first(self._fingerprints, fingerprint)
        if begins:
            return "first.version"
        if route:
            return "first.route"
        return "first.fingerprint" if error else None

    def _is_first(self, seen: dict[str, int], name: str) -> bool:
        number = seen.get(name, 0)
        if number >= self._settings.firsts or (not number and len(seen) >= KNOWN_LIMIT):
            return False
        seen[name] = number + 1
        return True

    def _learn(self, name: str, route: str | None) -> Verdict:
        """Return what is said of a name, and remember it."""
        settings = self._settings
        slow_ms = settings.slow_ms.get(name, settings.slow_ms.get(route or ""))
        fixed = self._keyed.get(name) or (self._keyed.get(route) if route else None)
        if fixed is not None:
            verdict = Verdict(*fixed, slow_ms)
        elif self._rates is not None or (settings.by and settings.rates):
            verdict = Verdict(1, None, "dynamic", slow_ms)
        else:
            verdict = self._shared._replace(slow_ms=slow_ms)
        if len(self._known) < KNOWN_LIMIT:
            self._known[name] = verdict
        return verdict

    def _by_key(self, record: dict[str, Any]) -> tuple[int, str, str]:
        """Return rate, threshold and reason by the values of an event that make its key."""
        by = self._by
        key: Any = record.get(by[0]) if len(by) == 1 else tuple(map(record.get, by))
        try:
            fixed = self._keyed.get(key)
        except TypeError:  # a list
            key = repr(key)
            fixed = self._keyed.get(key)
        if fixed is not None:
            return fixed
        if self._rates is None:
            return self._shared[:3]  # type: ignore[return-value]
        return (*self._rates.seen(key), "dynamic")
