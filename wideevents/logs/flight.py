"""Keep the lines below the emitted level with their event, until it is known whether anybody needs them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
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
    if len(words) > READ:
        words = words[:READ].rsplit(None, 1)[0]  # half a secret would not be recognised as one
    shown = event.keys.redaction.text(words)
    line = _within(f"{time:%H:%M:%S.%f} {level.label} {shown}", BYTES)
    with event._lock:  # noqa: SLF001 - threads of one event must not drop the same line twice
        kept = event.flight
        if kept is None:
            kept = event.flight = deque(maxlen=LINES)
        kept.append(line)
        while _size(tuple(kept)) > BYTES:  # a copy: a signal handler may log meanwhile
            kept.popleft()


def _size(lines: Iterable[str]) -> int:
    return sum(len(line.encode("utf-8", "replace")) for line in lines)


def _within(line: str, most: int) -> str:
    """Return as much of *line* as takes *most* bytes."""
    encoded = line.encode("utf-8", "replace")
    return line if len(encoded) <= most else encoded[: most - len(CUT)].decode("utf-8", "ignore") + CUT
