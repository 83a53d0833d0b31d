"""Keep lines in memory, for tests."""

from __future__ import annotations

from typing import Any

import orjson

from wideevents.events import Event


class MemorySink:
    """Keep every line; what a test sees is what would have been written, parsed."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def write(self, event: Event) -> None:
        """Keep the line."""
        self.lines.append(event.line)

    def close(self) -> None:
        """Keep what there is: a test may still look at it."""

    @property
    def events(self) -> list[dict[str, Any]]:
        """The lines as dictionaries, in the order in which their events ended."""
        return [orjson.loads(line) for line in self.lines]
