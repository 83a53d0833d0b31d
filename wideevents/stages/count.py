"""Count every event before anything can drop it."""

from __future__ import annotations

from wideevents.events import Event
from wideevents.health import Tally


class Count:
    """
    Count the events by kind, level and outcome, exactly.

    It comes first: what is dropped later for its level or by sampling must not distort the numbers.
    """

    __slots__ = ("totals",)

    def __init__(self) -> None:
        self.totals: Tally[tuple[str, str, str]] = Tally()

    def __call__(self, event: Event) -> Event:
        """Count the event."""
        record = event.record
        self.totals.add((record["event.kind"], record["level"], record["outcome"]))
        return event
