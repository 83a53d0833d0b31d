"""Keep lines in memory, for tests."""

from __future__ import annotations

from typing import Any

import orjson

from wideevents.entries import Entry
from wideevents.events import Event


class MemorySink:
    """
    Keep every line; what a test sees is what would have been written, parsed.

    `lines` are those of events, `log_lines` those of log calls.
    """

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.log_lines: list[bytes] = []

    def write(self, entry: Entry) -> None:
        """Keep the line."""
        kept = self.lines if isinstance(entry, Event) else self.log_lines
        kept.append(entry.line)

    def close(self) -> None:
        """Keep what there is: a test may still look at it."""

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events as dictionaries, in the order in which they ended."""
        return [orjson.loads(line) for line in self.lines]

    @property
    def logged(self) -> list[dict[str, Any]]:
        """The log lines as dictionaries, in the order in which they were logged."""
        return [orjson.loads(line) for line in self.log_lines]
