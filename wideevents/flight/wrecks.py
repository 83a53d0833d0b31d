"""Find the files that dead processes have left, and read what they know."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from wideevents.flight.entries import replayed
from wideevents.flight.layout import HEAD, HEADER_BYTES, PAGE, STATE, SUFFIX, WORD, WORDS, Header
from wideevents.flight.slots import FLAGS, Identity, held, identity, lock, write
from wideevents.health import Fault, report

NEEDED = ("event.name", "event.id", "event.kind", "trace.id")
"""What every event has from its first moment."""

LOOKS = 20
"""How often an event is looked for whose process is alive, and may write its journal anew at the same time."""


class Lost(NamedTuple):
    """Hold what is known of an event whose process is gone; *place* is that of its slot in the file."""

    place: int
    fields: dict[str, Any]
    began: datetime
    duration_ns: int

    @property
    def touched(self) -> datetime:
        """When its last field was added."""
        return self.began + timedelta(microseconds=self.duration_ns // 1_000)


class Wreck:
    """Hold the file of a process that is dead, or about to be; *is_locked* tells whether this one has it for itself."""

    def __init__(self, path: Path, descriptor: int, file: Identity, header: Header, *, is_locked: bool) -> None:
        self._path = path
        self._descriptor = descriptor
        self._file = file
        self.header = header
        self.is_locked = is_locked

    def close(self, *, remove: bool) -> None:
        """Let go of the file; *remove* it where all that it holds is told."""
        if remove:
            with suppress(OSError):
                self._path.unlink()
        _let_go(self._descriptor, self._file)

    def lost(self) -> Iterator[Lost]:
        """Yield the events that were in progress."""
        for place in self._places():
            words = os.pread(self._descriptor, WORDS.size, place)
            found = self._read(place, *WORDS.unpack(words)) if len(words) == WORDS.size else None
            if found is not None:
                yield found

    def find(self, event_id: str) -> Lost | None:
        """Return the event of this id, if it was in progress."""
        for _ in range(1 if self.is_locked else LOOKS):
            for lost in self.lost():
                if lost.fields["event.id"] == event_id:
                    return lost
        return None

    def has_told(self, event_id: str) -> bool:
        """Tell whether somebody has `told` the event of this id; its journal stands, unlike that of one that ended."""
        wanted, size = b'"event.id":"%b"' % event_id.encode(), self.header.slot_bytes
        return any(
            wanted in os.pread(self._descriptor, PAGE, start)
            for place in self._places()
            if os.pread(self._descriptor, WORD, place + STATE * WORD) == bytes(WORD)
            for start in (place + HEAD, place + size)
        )

    def told(self, lost: Lost) -> None:
        """Note that an event has its line, so that nobody else writes it, should this process die in the middle."""
        write(self._descriptor, bytes(WORD), lost.place + STATE * WORD)

    def _places(self) -> range:
        return range(HEADER_BYTES, os.fstat(self._descriptor).st_size, 2 * self.header.slot_bytes)

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
    found = (_opened(path) for path in sorted(directory.glob(f"{'*' if pid is None else pid}-*{SUFFIX}")))
    return [wreck for wreck in found if wreck is not None]


def seen(directory: Path, pid: int) -> list[Wreck]:
    """Return the files of the process *pid*, also one that it has locked, or somebody else; they are to be closed."""
    found = (_opened(path, claim=False) for path in sorted(directory.glob(f"{pid}-*{SUFFIX}")))
    return [wreck for wreck in found if wreck is not None]


def _opened(path: Path, *, claim: bool = True) -> Wreck | None:
    """Open and lock a file; None is what is gone, empty, or no file of ours, and, for a *claim*, what is somebody's."""
    with suppress(OSError):
        file = identity(os.stat(path, follow_symlinks=False))
        if held.take(file):
            try:
                descriptor = os.open(path, FLAGS)
            except OSError:
                held.give_back(file)
                raise
            wreck = _read(path, descriptor, file, claim=claim)
            if wreck is None:
                _let_go(descriptor, file)
            return wreck
    return None


def _read(path: Path, descriptor: int, file: Identity, *, claim: bool) -> Wreck | None:
    with suppress(OSError):
        is_locked = lock(descriptor)
        # Who had it locked before has removed it.
        if (is_locked or not claim) and identity(os.stat(path, follow_symlinks=False)) == file:
            raw = os.pread(descriptor, HEADER_BYTES, 0)
            header = Header.read(raw)
            if header is not None:
                return Wreck(path, descriptor, file, header, is_locked=is_locked)
            if raw.strip(b"\0"):
                sentence = f"{path} is no file of this version's flight recorder, and was left as it is."
                report(Fault.STAGE, str(path), sentence)
            elif is_locked:  # its process died before it had written anything
                path.unlink()
    return None


def _let_go(descriptor: int, file: Identity) -> None:
    held.give_back(file)
    os.close(descriptor)
