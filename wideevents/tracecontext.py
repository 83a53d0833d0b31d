"""Read and write W3C Trace Context (level 2), and draw the ids that go into it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from wideevents.forks import renew_in_child

Random: TypeAlias = Callable[[int], bytes]

DRAW = 256  # ids for which randomness is fetched at once
TRACE_BYTES = 16
SPAN_BYTES = 8
SAMPLED = 0x01
KNOWN_FLAGS = 0x03
"""The bits that level 2 defines; a version 00 sets no others."""

TRACEPARENT, TRACESTATE = "traceparent", "tracestate"
"""The names of the headers, in lower case."""

STATE = re.compile(r"[\x20-\x7e]{1,512}")
"""What is handed on of a `tracestate`: its length is what the specification wants carried at least (3.3.1.5)."""

# https://www.w3.org/TR/trace-context-2/#traceparent-header; a comma joins several headers, which mean nothing together.
HEADER = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace_id>[0-9a-f]{32})-(?P<parent_id>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})"
    r"(?P<rest>-[\x20-\x2b\x2d-\x7e]*)?"
)


@dataclass(frozen=True, slots=True)
class TraceParent:
    """
    The span that called us: its trace (32 hex digits), its own id (16), and whether its line is kept.

    *flags* is the whole byte; bit 0 is `sampled`, bit 1 says that the trace id is random (level 2). *state* is the
    `tracestate` that came with it, which is handed on as it is.
    """

    trace_id: str
    parent_id: str
    flags: int = SAMPLED
    state: str | None = None

    @property
    def sampled(self) -> bool:
        """Whether the caller may have recorded its part."""
        return bool(self.flags & SAMPLED)


def parse(header: str | None, state: str | None = None) -> TraceParent | None:
    """
    Return what a `traceparent` *header* says, or None when the specification wants it ignored. Never raise.

    *state* is the `tracestate` header beside it; one that is no text of printable ASCII is left out.

    Ignored are version ff, ids of zeros, upper case, wrong lengths, several headers in one, a version 00 in which
    anything follows the flags; a higher version may have more after a dash.
    """
    found = HEADER.fullmatch(header.strip(" \t")) if isinstance(header, str) else None
    if found is None or found["version"] == "ff" or (found["version"] == "00" and found["rest"] is not None):
        return None
    if not found["trace_id"].strip("0") or not found["parent_id"].strip("0"):
        return None
    carried = state if isinstance(state, str) and STATE.fullmatch(state) else None
    return TraceParent(found["trace_id"], found["parent_id"], int(found["flags"], 16), carried)


def render(parent: TraceParent) -> dict[str, str]:
    """Return the headers that tell a callee about the span that calls: `traceparent`, of version 00, `tracestate`."""
    headers = {TRACEPARENT: f"00-{parent.trace_id}-{parent.parent_id}-{parent.flags & KNOWN_FLAGS:02x}"}
    if parent.state:
        headers[TRACESTATE] = parent.state
    return headers


class Ids:
    """
    Draw ids for traces and spans, none twice and none of zeros only.

    Randomness is fetched for `DRAW` ids at once, since a system call for each would cost more than the rest of it.
    Any thread and any signal handler may draw: `list.pop` is atomic. A forked child draws anew.
    """

    __slots__ = ("__weakref__", "_random", "_spans", "_traces")

    def __init__(self, random: Random = os.urandom) -> None:
        self._random = random
        self.renew()
        renew_in_child(self)

    def trace_id(self) -> str:
        """Return 32 hex digits."""
        while True:
            try:
                return self._traces.pop()
            except IndexError:
                self._traces.extend(draw(self._random, TRACE_BYTES))

    def span_id(self) -> str:
        """Return 16 hex digits."""
        while True:
            try:
                return self._spans.pop()
            except IndexError:
                self._spans.extend(draw(self._random, SPAN_BYTES))

    def renew(self) -> None:
        """Throw away what was fetched: in a forked child it is its parent's."""
        # New lists: a refill that the fork interrupted goes into the old ones, which nobody reads in the child.
        self._traces: list[str] = []
        self._spans: list[str] = []


def draw(random: Random, size: int) -> list[str]:
    """Return `DRAW` ids of *size* bytes. One of zeros only is invalid in W3C Trace Context, and becomes a one."""
    digits = random(DRAW * size).hex("-", size)
    zero = "00" * size
    if zero not in digits:
        return digits.split("-")
    return [each if each != zero else f"{1:0{2 * size}x}" for each in digits.split("-")]
