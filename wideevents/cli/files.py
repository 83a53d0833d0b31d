"""Read lines from files and pipes: all of them, the last ones, or those that are still to come."""

from __future__ import annotations

import gzip
import os
import select
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, TextIO

BLOCK = 65_536
STDIN = "-"


def grows(path: str) -> bool:
    """Tell whether *path* can be followed: a file, also one that is not there yet; nothing compressed, and no pipe."""
    if path == STDIN or path.endswith(".gz"):
        return False
    with suppress(OSError):
        return stat.S_ISREG(os.stat(path).st_mode)
    return True


def lines(path: str) -> Iterator[bytes]:
    """
    Yield the lines of the file at *path*, or of the standard input, as they come.

    Raise `OSError` where it cannot be read, `EOFError` and `zlib.error` for a broken .gz file.
    """
    if path == STDIN:
        yield from sys.stdin.buffer
        return
    with gzip.open(path) if path.endswith(".gz") else open(path, "rb") as file:
        yield from file


def backwards(file: BinaryIO, end: int) -> Iterator[bytes]:
    """Yield the lines of *file* up to the byte *end*, the last one first, without their newlines."""
    if end == 0:
        return
    position = end - ends_in_newline(file, end)
    parts: list[bytes] = []  # of a line whose beginning is not read yet, the last one first
    while position > 0:
        size = min(BLOCK, position)
        position -= size
        file.seek(position)
        first, *others = file.read(size).split(b"\n")
        if others:
            *whole, last = others
            yield b"".join([last, *reversed(parts)])
            yield from reversed(whole)
            parts = []
        parts.append(first)
    yield b"".join(reversed(parts))


def ends_in_newline(file: BinaryIO, end: int) -> bool:
    """Tell whether the byte before *end* is a newline."""
    file.seek(max(0, end - 1))
    return file.read(1) == b"\n"


class Follower:
    """
    Read what is written to the file at a path, whichever file that is.

    It goes on with a new file when the old one is renamed or removed and another one stands there, and at the beginning
    when the file is cut (logrotate's `copytruncate`). A line is read when its newline is there. Two rotations between
    two looks lose what the file in between held; so does a file that is cut and grows as long as it was.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._at = 0
        self._half: list[bytes] = []
        self._is_leaving = False

    def begin(self) -> Iterator[bytes]:
        """Open the file, and return its lines, the last one first; raise `OSError` if it cannot be read."""
        self._file = file = self._open()
        self._at = file.seek(0, os.SEEK_END)
        there = backwards(file, self._at)
        if self._at and not ends_in_newline(file, self._at):
            self._at -= len(next(there))
        return there

    def poll(self) -> Iterator[bytes]:
        """Yield the lines that came since, without their newlines."""
        if self._file is None:
            with suppress(OSError):
                self._file = self._open()
        if self._file is None:
            return
        yield from self._grown(self._file)
        if not self._is_replaced(self._file):
            self._is_leaving = False
        elif not self._is_leaving:
            self._is_leaving = True  # whoever writes may not have noticed yet: look at the old file once more
        else:
            yield from self._end_half()
            self.close()
            self._file, self._at, self._is_leaving = None, 0, False
            yield from self.poll()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _open(self) -> BinaryIO:
        return open(self._path, "rb", buffering=0)

    def _grown(self, file: BinaryIO) -> Iterator[bytes]:
        """Read as far as the file reaches now: one that grows all the time must not keep the others waiting."""
        size = os.fstat(file.fileno()).st_size
        if size < self._at:
            self._at = 0
            yield from self._end_half()
        file.seek(self._at)
        while self._at < size and (block := file.read(BLOCK)):
            self._at += len(block)
            # A file that is cut under a writer who does not append begins with a hole, as long as it was.
            first, *others = (block if any(self._half) else block.lstrip(b"\0")).split(b"\n")
            self._half.append(first)
            if others:
                *whole, last = others
                line, self._half = b"".join(self._half), [last]
                yield line
                yield from whole

    def _is_replaced(self, file: BinaryIO) -> bool:
        with suppress(OSError):  # between the renaming and the new file there is none
            there, mine = os.stat(self._path), os.fstat(file.fileno())
            return (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino)
        return False

    def _end_half(self) -> Iterator[bytes]:
        """Yield the beginning of a line whose end will not come."""
        half, self._half = b"".join(self._half), []
        if half:
            yield half


@contextmanager
def followed(
    paths: Iterable[str], begin: Callable[[str, Follower], object] | None, read: Callable[[str], object]
) -> Iterator[dict[str, Follower]]:
    """
    *read* the files in their order, and give those that grow, to be polled; *begin* is told of each in its turn.

    Without it all are read to their end. The files are closed with the block.
    """
    growing: dict[str, Follower] = {}
    try:
        for path in paths:
            if begin is not None and grows(path):
                growing[path] = follower = Follower(path)
                begin(path, follower)
            else:
                read(path)
        yield growing
    finally:
        for follower in growing.values():
            follower.close()


def reader_is_gone(stream: TextIO, seconds: float) -> bool:
    """Wait, and tell whether *stream* is a pipe that nobody reads any more: then at once."""
    with suppress(OSError, ValueError):  # a stream without a descriptor
        descriptor = stream.fileno()
        if hasattr(select, "poll") and stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            poll = select.poll()
            poll.register(descriptor, 0)
            return bool(poll.poll(seconds * 1000))
    time.sleep(seconds)
    return False
