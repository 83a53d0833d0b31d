"""Find the files that dead processes have left, and read what they know."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from wideevents.flight.entries import replayed
from wideevents.flight.layout import HEAD, HEADER_BYTES, STATE, SUFFIX, WORD, WORDS, Header
from wideevents.flight.slots import FLAGS, Identity, held, identity, lock, write
from wideevents.health import Fault, report

NEEDED = ("event.name", "event.id", "event.kind", "trace.id")
"""What every event has from its first moment."""


class Lost(NamedTuple):
    """Hold what is known of an event whose process is gone; *place* is that of its slot in the file."""

    place: int
    fields: dict[str, Any]
    began: datetime
    duration_ns: int


class Wreck:
    """Hold the file of a dead process, which this one has locked."""

    def __init__(self, path: Path, descriptor: int, file: Identity, header: Header) -> None:
        self._path = path
        self._descriptor = descriptor
        self._file = file
        self.header = header

    def close(self, *, remove: bool) -> None:
        """Let go of the file; *remove* it where all that it holds is told."""
        if remove:
            with suppress(OSError):
                self._path.unlink()
        _let_go(self._descriptor, self._file)

    def lost(self) -> Iterator[Lost]:
        """Yield the events that were in progress."""
        size = os.fstat(self._descriptor).st_size
        for place in range(HEADER_BYTES, size, 2 * self.header.slot_bytes):
            words = os.pread(self._descriptor, WORDS.size, place)
            found = self._read(place, *WORDS.unpack(words)) if len(words) == WORDS.size else None
            if found is not None:
                yield found

    def told(self, lost: Lost) -> None:
        """Note that an event has its line, so that nobody else writes it, should this process die in the middle."""
        write(self._descriptor, bytes(WORD), lost.place + STATE * WORD)

    def _read(self, place: int, state: int, touched: int, started: int) -> Lost | None:
        size = self.header.slot_bytes
        if state not in {1, 2}:
            return None
        start, end = (HEAD, size) if state == 1 else (size, 2 * size)
        fields = replayed(os.pread(self._descriptor, end - start, place + start))
        try:
            began = datetime.fromisoformat(fields["timestamp"]).astimezone(UTC)
        except (KeyError, TypeError, ValueError):
            return None
        if not all(type(fields.get(name)) is str for name in NEEDED):
            return None
        return Lost(place, fields, began, max(0, touched - started))


def claimed(directory: Path, pid: int | None) -> list[Wreck]:
    """
    Return the files of dead processes, or of the one that had *pid*, each locked; they are to be closed.

    Those of the living are locked by them, and one that somebody else recovers just now by that process.
    """
    found = (_claimed(path) for path in sorted(directory.glob(f"{'*' if pid is None else pid}-*{SUFFIX}")))
    return [wreck for wreck in found if wreck is not None]


def _claimed(path: Path) -> Wreck | None:
    """Open and lock a file; None is what is somebody's, gone, empty, or no file of ours."""
    with suppress(OSError):
        file = identity(os.stat(path, follow_symlinks=False))
        if held.take(file):
            try:
                descriptor = os.open(path, FLAGS)
            except OSError:
                held.give_back(file)
                raise
            wreck = _read(path, descriptor, file)
            if wreck is None:
                _let_go(descriptor, file)
            return wreck
    return None


def _read(path: Path, descriptor: int, file: Identity) -> Wreck | None:
    with suppress(OSError):
        # Who had it locked before has removed it.
        if lock(descriptor) and identity(os.stat(path, follow_symlinks=False)) == file:
            raw = os.pread(descriptor, HEADER_BYTES, 0)
            header = Header.read(raw)
            if header is not None:
                return Wreck(path, descriptor, file, header)
            if not raw.strip(b"\0"):  # its process died before it had written anything
                path.unlink()
            else:
                sentence = f"{path} is no file of this version's flight recorder, and was left as it is."
                report(Fault.STAGE, str(path), sentence)
    return None


def _let_go(descriptor: int, file: Identity) -> None:
    held.give_back(file)
    os.close(descriptor)
