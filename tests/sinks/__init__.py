"""Tests of the sinks: events that have a line."""

from __future__ import annotations

from tests.stages import sealed
from wideevents.events import Event


def event_of(line: bytes) -> Event:
    """Return an event whose line is *line*: what a sink gets."""
    event = sealed()
    event.line = line
    return event


def padded(size: int, mark: str = "x") -> bytes:
    """Return a line of JSON of *size* bytes, its newline included; *mark* fills it, so that a torn one is seen."""
    empty = len(b'{"pad":""}\n')
    return b'{"pad":"%b"}\n' % (mark * (size - empty)).encode()
