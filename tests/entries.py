"""Make entries as the stages and sinks are handed them, without an event or a log call behind them."""

from __future__ import annotations

from typing import Any

from wideevents.entries import CLOSE, NOTHING, Entry


def detach(entry: Entry, record: dict[str, Any]) -> None:
    """Let *entry* hold *record*, of which nothing is encoded yet."""
    entry.record, entry.static, entry.tail, entry.line = record, NOTHING, CLOSE, b""
    entry.waits = None
