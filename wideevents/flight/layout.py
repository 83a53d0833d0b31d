"""Say how a file of the flight recorder is laid out: a header, and then slots, one for each event in progress."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import orjson

SUFFIX = ".flight"

MAGIC = b"wideflgt"
VERSION = 1

HEADER_BYTES = 65_536
"""Where the slots begin, since a mapping begins at a page, and the largest are as large. It takes no disk."""

PAGE = 4_096

STATE, TOUCHED, STARTED = range(3)
"""
The words of 8 bytes that a slot begins with: 0 for one that is free, or whose event somebody else has told, else 1 or
2, for the half that the journal of its event stands in; when the event was touched last, and when it began, in
nanoseconds of the monotonic clock.
"""

WORD = 8
WORDS = struct.Struct("=3q")
HEAD = 64
"""Bytes before the journal, in the first half. A half is as long as slots are said to be."""

BOOT = Path("/proc/sys/kernel/random/boot_id")

_fixed = struct.Struct("=8sIII")


class Header(NamedTuple):
    """
    Hold what is true of a file, and of the process that wrote it.

    *slot_bytes* is half of what a slot takes. *static* are the fields that every line of the process has, *began* is
    when it did, in seconds since the epoch, and *boot* tells the machine's starts apart; "" is unknown.
    """

    slot_bytes: int
    static: Mapping[str, Any]
    began: float
    boot: str

    def packed(self) -> bytes:
        """Return the header as it stands in the file."""
        told = orjson.dumps({"static": dict(self.static), "began": self.began, "boot": self.boot})
        return _fixed.pack(MAGIC, VERSION, self.slot_bytes, len(told)) + told

    @classmethod
    def read(cls, raw: bytes) -> Header | None:
        """Return what *raw*, the beginning of a file, says; None for what is no file of ours, or not yet one."""
        if len(raw) < _fixed.size:
            return None
        magic, version, slot_bytes, length = _fixed.unpack_from(raw)
        if magic != MAGIC or version != VERSION or slot_bytes < PAGE:
            return None
        try:
            told = orjson.loads(raw[_fixed.size : _fixed.size + length])
            return cls(slot_bytes, told["static"], float(told["began"]), told["boot"])
        except (ValueError, KeyError, TypeError):
            return None


def boot() -> str:
    """Return what tells this start of the machine from every other one; "" where that is not told."""
    with suppress(OSError):
        return BOOT.read_text().strip()
    return ""
