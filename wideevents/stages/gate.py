"""Let an event through by its level."""

from __future__ import annotations

from dataclasses import dataclass

from wideevents.events import Event
from wideevents.levels import Level


@dataclass(frozen=True, slots=True)
class Gate:
    """
    Drop events below *minimum*.

    An event that asked to be kept always passes: debug output that somebody switched on for one request must reach
    them.
    """

    minimum: Level = Level.INFO

    def __call__(self, event: Event) -> Event | None:
        """Return the event, or None below the minimum."""
        if event.level >= self.minimum or event.keep:
            return event

        return None
