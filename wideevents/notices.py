"""Tell on standard error itself what is wrong; that lines are lost, at most once a minute."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Callable
from itertools import count

from wideevents.descriptors import PIPE_BUF, STDERR, Unblocked, Write, kills, spared, writable

MINUTE = 60.0


class Notices:
    """
    Tell whoever reads standard error how many lines of *output* were lost, and why the last one was.

    The logger says it once in the life of a process, and may write to the very output that takes nothing. So this goes
    to the descriptor itself. It never raises, and never waits: what standard error does not take at once is told with
    the next loss.
    """

    __slots__ = ("_clock", "_descriptor", "_due", "_losses", "_output", "_told")

    def __init__(self, output: str, *, descriptor: int = STDERR, clock: Callable[[], float] = time.monotonic) -> None:
        self._output = output
        self._descriptor = descriptor
        self._clock = clock
        self._losses = count(1)  # which counts exactly, from any number of threads
        self._told = 0
        self._due = clock()

    def lost(self, error: OSError) -> None:
        """Count a line that *error* cost, and tell of all since the last notice, if that was a minute ago."""
        number = next(self._losses)
        now = self._clock()
        if now < self._due:
            return
        self._due = now + MINUTE
        since = number - self._told
        sentence = f"wideevents lost {since:,} line{'s' * (since > 1)} of {self._output}: {error}"
        if tell(sentence, self._descriptor):
            self._told = number
        else:
            self._due = now


def tell(sentence: str, descriptor: int = STDERR) -> bool:
    """
    Write *sentence* to standard error itself, and tell whether it took it; a pipe takes it in one piece.

    It never raises, and never waits. `sys.stderr` would wait for a reader that stopped; and where it can write nothing
    it keeps what it was given, so that Python ends with the status 120.
    """
    if sys.__stderr__ is None:  # it was closed when Python began, and its number may be anybody's by now
        return False
    notice = sentence.encode(errors="backslashreplace")[: PIPE_BUF - 1] + b"\n"
    try:
        return _way(descriptor)(descriptor, notice) > 0
    except OSError:
        return False


def _way(descriptor: int) -> Write:
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        return spared(Unblocked()) if kills() else Unblocked()
    return _write_ready if stat.S_ISCHR(mode) else os.write


def _write_ready(descriptor: int, data: bytes) -> int:
    """Write to a terminal, unless somebody has stopped it."""
    return os.write(descriptor, data) if writable(descriptor, 0) else 0
