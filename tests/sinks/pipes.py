"""Pipes for the tests of sinks: their reader reads when a test wants it."""

from __future__ import annotations

import fcntl
import os
import sys
import termios
import warnings
from collections.abc import Callable
from contextlib import suppress

from wideevents.sinks.lines import LinesSink

LONGEST = 60_000


def fork(work: Callable[[], int]) -> int:
    """Run *work* in a forked child, whose exit code is what it returns; 99 where it raises. Return its pid."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12, for a fork beside threads
        pid = os.fork()
    if pid == 0:
        code = 99
        try:
            code = work()
        finally:
            os._exit(code)
    return pid


class Pipe:
    """A pipe, its reader, and a sink on its writer."""

    def __init__(self, *, blocking: bool, longest: int = LONGEST, wait_ms: float | None = None) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.writer, blocking)
        os.set_blocking(self.reader, False)
        self.sink = LinesSink(self.writer, longest=longest, wait_ms=wait_ms)

    def fill(self, room: int = 0) -> int:
        """Fill the pipe up to *room* bytes, by line ends that no reader counts; return how many went in."""
        blocking = os.get_blocking(self.writer)
        os.set_blocking(self.writer, False)
        filled = 0
        try:
            while True:
                filled += os.write(self.writer, b"\n" * 4_096)
        except BlockingIOError:
            os.set_blocking(self.writer, blocking)
        left = room
        while left > 0:
            left -= len(os.read(self.reader, left))
        return filled - room

    def read(self) -> bytes:
        """Return all that is in the pipe."""
        found = b""
        with suppress(BlockingIOError):
            while part := os.read(self.reader, 65_536):
                found += part
        return found

    def lines(self) -> list[bytes]:
        """Return all that is in the pipe, line by line, without empty ones."""
        return [line + b"\n" for line in self.read().split(b"\n") if line]

    def close(self) -> None:
        os.close(self.reader)
        os.close(self.writer)

    def held(self) -> int:
        """Return how many bytes are in the pipe."""
        return int.from_bytes(fcntl.ioctl(self.reader, termios.FIONREAD, bytes(4)), sys.byteorder)
