"""Find the randomness of a trace, by which all its services decide alike."""

from __future__ import annotations

import re
from hashlib import blake2b

from wideevents.tracecontext import TraceParent

RANDOM = 0x02
"""The flag of W3C Trace Context, level 2, that says that the rightmost 56 bits of a trace id are random."""

START = 18
"""Where those 56 bits begin, in 32 hex digits."""

SMALL = "001"
"""Randomness below it, one in 4,096, rather is a number: zeros, a counter, or a time in milliseconds."""

REMEMBERED = 1_024
"""Ids of others that are remembered, to see whether they differ where they should be random."""

_explicit = re.compile(r"(?:^|,)[ \t]*ot=(?:[^,]*;)?rv:([0-9a-f]{14})(?=[;, \t]|$)").search


class Randomness:
    """
    Tell the randomness of a trace as 14 hex digits: what OpenTelemetry's samplers take, unless that is none.

    - What the `tracestate` brings as `ot=rv:...` counts (OpenTelemetry, TraceState: Probability Sampling).
    - Else the rightmost 56 bits of the trace id: they are presumed random, also without the flag that says so, since
      many tracers draw random ids and do not set it, or drop it on the way, and all services shall decide alike.
    - Where they are a small number, or are the same in different traces of somebody who does not say that they are
      random, they are none: all traces would share one fate. The hash of the whole id is taken instead. The small
      number is seen by every service alike; what is constant, by each at the second trace.

    Whoever calls chooses the trace id, and so whether a trace is kept: what that must not decide needs a rate of 1.
    """

    __slots__ = ("_constant", "_seen")

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Forget which ids were seen."""
        self._seen: dict[str, str] = {}
        self._constant: set[str] = set()

    def of(self, trace_id: str, parent: TraceParent | None) -> str:
        """Return the randomness of *trace_id*, which *parent* brought, if somebody did."""
        digits = trace_id[START:]
        if parent is not None:
            if parent.state and (explicit := _explicit(parent.state)):
                return explicit[1]
            if not parent.flags & RANDOM and self._is_constant(trace_id, digits):
                return _hashed(trace_id)
        return digits if digits >= SMALL else _hashed(trace_id)

    def _is_constant(self, trace_id: str, digits: str) -> bool:
        """Tell whether another trace has had the same *digits*: of random ones no two ever have."""
        if digits in self._constant:
            return True
        seen = self._seen
        if len(seen) >= REMEMBERED:
            seen = self._seen = {}
        if seen.setdefault(digits, trace_id) == trace_id:
            return False
        if len(self._constant) < REMEMBERED:
            self._constant.add(digits)
        return True


def _hashed(trace_id: str) -> str:
    return blake2b(trace_id.encode(), digest_size=7).hexdigest()
