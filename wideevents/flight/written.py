"""Find out which events have their line already: a kill between the line and its end leaves both."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Set
from contextlib import suppress
from datetime import datetime, timedelta
from typing import BinaryIO

import orjson

BLOCK = 1 << 20

MOST = 64 << 20
"""Bytes of an output that are read at most, from its end."""

SLACK = timedelta(seconds=5)
"""Lines are not quite in the order of their time: an event that ended before another one may be written after it."""

_ids = re.compile(rb'"event\.id":\s*"([0-9a-f]{16})"')
_moment = re.compile(rb'"timestamp":\s*"([^"]{1,40})"')


def written(lines: Iterable[bytes], asked: Set[str]) -> Iterator[str]:
    """Yield those of the *asked* ids whose event is in *lines*, each of which may be several."""
    for some in lines:
        if any(found.decode() in asked for found in _ids.findall(some)):
            for line in some.splitlines():
                found = _ids.search(line)
                if found is not None and found[1].decode() in asked and _is_event(line):
                    yield found[1].decode()


def written_lately(path: str | os.PathLike[str], asked: Set[str], since: datetime) -> set[str]:
    """Return those of the *asked* ids whose event is at the end of the file at *path*: in what was written *since*."""
    with suppress(OSError), open(path, "rb") as file:
        return set(written(_blocks(file, since - SLACK), asked))
    return set()


def _is_event(line: bytes) -> bool:
    """Tell whether *line* is an event's own: log lines carry the id of their event, too."""
    try:
        return "event.kind" in orjson.loads(line)
    except (ValueError, TypeError):
        return False


def _blocks(file: BinaryIO, since: datetime) -> Iterator[bytes]:
    """Yield the end of *file* by blocks of whole lines, the last one first, back to what is older than *since*."""
    position = file.seek(0, os.SEEK_END)
    least = max(0, position - MOST)
    rest = b""
    while position > least:
        size = min(BLOCK, position)
        position -= size
        file.seek(position)
        first, newline, whole = (file.read(size) + rest).partition(b"\n")
        if position == 0:
            first, whole = b"", first + newline + whole
        rest = first + newline
        yield whole
        if _is_older(whole, since):
            return


def _is_older(lines: bytes, since: datetime) -> bool:
    """Tell whether the first of *lines* was written before *since*."""
    line = lines.partition(b"\n")[0]
    try:
        told = orjson.loads(line)
        ended = datetime.fromisoformat(told["timestamp"]) + timedelta(milliseconds=told.get("duration_ms", 0))
        return ended < since
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
