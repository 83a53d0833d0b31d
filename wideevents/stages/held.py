"""Tell the log lines that were kept with an event, where they are needed."""

from __future__ import annotations

from wideevents.events import Event
from wideevents.levels import Level


def attach_lines(event: Event) -> Event:
    """Attach them as `log.lines` when the event is an error, was slow, or asked to be kept; else they are forgotten."""
    kept, record = event.held, event.record
    if kept and (event.level is Level.ERROR or event.keep or record["duration_ms"] >= event.slow_ms):
        record["log.lines"] = list(kept)
    return event
