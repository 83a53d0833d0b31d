"""Keep the lines below the emitted level with their event, until it is known whether anybody needs them."""

from __future__ import annotations

from datetime import datetime

from wideevents.events import Event
from wideevents.levels import Level

LINES = 100
BYTES = 4_096
"""What is kept for each event; the newest stay."""

READ = 4 * BYTES
"""Characters of a line that are looked at for secrets; what lies beyond them is not kept."""

CUT = "..."


def keep(event: Event, time: datetime, level: Level, words: str) -> None:
    """Keep one line, as `time level logger message`, redacted now: no secret waits in memory."""
    shown = event.keys.redaction.head(words, READ)
    event.keep_line(_within(f"{time:%H:%M:%S.%f} {level.label} {shown}", BYTES), LINES, BYTES)


def _within(line: str, most: int) -> str:
    """Return as much of *line* as takes *most* bytes."""
    encoded = line.encode("utf-8", "replace")
    return line if len(encoded) <= most else encoded[: most - len(CUT)].decode("utf-8", "ignore") + CUT
