"""Keep what open events know where a kill does not reach it, and give it back."""

from __future__ import annotations

import os

from wideevents.events import Event


class Flight:
    """Keep the fields of open events in *directory*, in a file for each process."""

    def __init__(self, directory: str | os.PathLike[str], *, slot_bytes: int = 16_384) -> None:
        self.directory = directory
        self.slot_bytes = slot_bytes

    def begin(self, event: Event) -> None:
        """Follow *event*."""

    def end(self, event: Event) -> None:
        """Forget *event*."""
