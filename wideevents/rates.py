"""Find how many of a kind one stands for, so that about as many as wanted are kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from math import exp

WHOLE = 1 << 56
"""How many values the randomness of a trace has: the rightmost 56 bits of its id (W3C Trace Context, level 2)."""

LARGEST = 1_000_000_000
"""No one stands for more: of fewer nothing can be said."""

WINDOW = 10.0
"""Seconds that count as recent: what was so long ago weighs e times less. Longer if one line is wanted in longer."""

IDLE = 6
"""Windows without an event after which a key makes room for another."""

STEPS = 32
"""A rate changes by one part of so many at least: a new threshold for every event would cost more than it tells."""


def threshold(rate: int) -> str:
    """
    Return the least randomness, as 14 hex digits, of which one in *rate* is kept.

    It is OpenTelemetry's rejection threshold (specification, TraceState: Probability Sampling): what is kept at a
    higher rate is kept at a lower one, too. Hex digits are compared as they are: texts of one length order as numbers.
    """
    return f"{WHOLE - WHOLE // rate:014x}"


class Traffic:
    """Hold the recent traffic of one key: `count` events, weighed by their age, as of `at`."""

    __slots__ = ("at", "count", "verdict")

    def __init__(self, at: float) -> None:
        self.at = at
        self.count = 0.0
        self.verdict = (1, threshold(1))


class Rates:
    """
    Follow the traffic of each key, so that about *per_second* events of it are kept, in this process.

    A key that is new, or that was quiet, is kept in full until it has had the lines of a `WINDOW`. Beyond *keys* of
    them the others are followed as one. The rate of an event comes of those before it, and of none of its own, nor of
    which of them were kept: that is what makes weighted counts right.

    No lock is held: when threads count at once the traffic is a little more than what was seen, and a verdict, a rate
    and its threshold, is replaced as a whole.
    """

    __slots__ = ("_clock", "_keys", "_others", "_share", "_swept", "_traffic", "_window")

    def __init__(self, per_second: float, keys: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Take a *clock* in seconds."""
        self._clock = clock
        self._keys = keys
        self._window = max(WINDOW, 1 / per_second)
        self._share = 1 / (self._window * per_second)
        self.renew()

    def renew(self) -> None:
        """Forget all traffic: that of a forked child is not its parent's."""
        self._traffic: dict[Hashable, Traffic] = {}
        self._others = Traffic(self._clock())
        self._swept = self._others.at

    def seen(self, key: Hashable) -> tuple[int, str]:
        """Count an event of *key*, and return its rate, with the threshold of that."""
        now = self._clock()
        traffic = self._traffic.get(key) or self._begin(key, now)
        recent = traffic.count * exp((traffic.at - now) / self._window)
        traffic.at, traffic.count = now, recent + 1
        verdict = traffic.verdict
        rate = int(recent * self._share + 0.5) or 1
        if abs(rate - verdict[0]) * STEPS > verdict[0]:
            rate = min(rate, LARGEST)
            traffic.verdict = verdict = (rate, threshold(rate))
        return verdict

    def _begin(self, key: Hashable, now: float) -> Traffic:
        """Follow another key, if there is room, or one has not been seen for long."""
        if len(self._traffic) >= self._keys:
            if now - self._swept < self._window:
                return self._others
            self._swept, since = now, now - IDLE * self._window
            self._traffic = {each: traffic for each, traffic in self._traffic.copy().items() if traffic.at > since}
            if len(self._traffic) >= self._keys:
                return self._others
        return self._traffic.setdefault(key, Traffic(now))
