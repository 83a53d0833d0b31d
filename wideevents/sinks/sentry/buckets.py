"""Let so many reports through, and of one kind not so many that there is no room for another."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

SHARE = 4
"""What one kind may take of all, and what is kept for kinds that are new: a quarter."""

KINDS = 1_000
"""Kinds that are remembered; the one that was not seen for the longest time is new again."""


@dataclass(slots=True)
class Bucket:
    """A token bucket: it holds *burst* tokens, fills at *rate* a second, and was as full as *level* at *since*."""

    rate: float
    burst: float
    level: float
    since: float

    def fill(self, now: float) -> float:
        """Return how many tokens there are *now*, in seconds of a clock that only goes forward."""
        self.level = min(self.burst, self.level + max(0.0, now - self.since) * self.rate)
        self.since = now
        return self.level


class Buckets:
    """
    Share *rate* reports a second, and *burst* at once, among the kinds of errors.

    A kind has a bucket of its own, of a quarter of that. The last quarter of the whole is for kinds that are new: one
    that nobody has seen yet gets through while others rage. It is not safe to be used by two threads at once.
    """

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._all = Bucket(rate, burst, burst, now)
        self._kinds: OrderedDict[str, Bucket] = OrderedDict()

    def take(self, kind: str, now: float) -> bool:
        """Take a token for *kind*, and tell whether there was one."""
        whole = self._all
        known = self._kinds.get(kind)
        share = max(1.0, whole.burst / SHARE)
        reserved = 0.0 if known is None else min(share, whole.burst - 1)
        own = known or Bucket(whole.rate / SHARE, share, share, now)
        if known is None:
            self._remember(kind, own)
        else:
            self._kinds.move_to_end(kind)
        if own.fill(now) < 1 or whole.fill(now) < 1 + reserved:
            return False
        own.level -= 1
        whole.level -= 1
        return True

    def _remember(self, kind: str, own: Bucket) -> None:
        if len(self._kinds) >= KINDS:
            self._kinds.popitem(last=False)
        self._kinds[kind] = own
