"""Drop what nobody will miss, so that what is kept can be weighted back."""

from __future__ import annotations

from wideevents.events import Event
from wideevents.sampling import Sampling


class Sample:
    """Keep events as *sampling* says."""

    __slots__ = ("_sampling",)

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling

    def __call__(self, event: Event) -> Event | None:
        """Return the event, or None if it is left out."""
        return event
