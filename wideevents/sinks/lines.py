"""Write lines to a file descriptor: standard output, a file, a pipe."""

from __future__ import annotations

import os
import select
import stat
import sys
import time
import weakref
from collections import deque
from contextlib import suppress
from threading import RLock

from wideevents.entries import Entry
from wideevents.errors import ConfigurationError
from wideevents.forks import renew_in_child
from wideevents.health import lost

if sys.platform != "win32":
    import fcntl

STDOUT = 1
FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
"""Non-blocking for the sake of a named pipe: without a reader it is refused at once, instead of waited for."""

PATIENCE = 0.1
"""Seconds that a line waits, in all, for another writer or a slow reader; then it is lost, and counted."""


class LinesSink:
    """
    Write every line by one synchronous write, in the thread of the request.

    No thread, no queue and no buffer stand between the line and the kernel, so that a kill loses none that was written.
    A file opened to append takes a whole line at once. A pipe mixes the lines of its writers as soon as one is longer
    than `PIPE_BUF`, so all of them take turns: *longest* is the longest line that will come.
    """

    name = "lines"

    def __init__(self, descriptor: int, *, longest: int) -> None:
        try:
            mode = os.fstat(descriptor).st_mode
        except OSError as error:
            raise ConfigurationError(f"Lines cannot be written to the descriptor {descriptor}: {error}.") from error
        self._descriptor = descriptor
        self._is_pipe = stat.S_ISFIFO(mode)
        self._is_file = stat.S_ISREG(mode)
        self._takes_turns = (self._is_pipe or stat.S_ISSOCK(mode)) and longest > getattr(select, "PIPE_BUF", 512)
        self._torn = False
        self.renew()
        renew_in_child(self)

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, longest: int) -> LinesSink:
        """Open the file at *path* to append; raise `ConfigurationError` where that cannot be done."""
        try:
            descriptor = os.open(path, FLAGS, 0o644)
        except (OSError, ValueError) as error:  # a path with a zero byte is a ValueError
            allowed = f"a file that this process may write ({getattr(error, 'strerror', None) or error})"
            raise ConfigurationError.of("output", os.fspath(path), allowed) from error
        sink = cls(descriptor, longest=longest)
        weakref.finalize(sink, os.close, descriptor).atexit = False
        return sink

    def renew(self) -> None:
        """Make the lock anew: in a forked child it may be held by a thread that is not there."""
        self._lock = RLock()
        self._busy = False
        self._waiting: deque[bytes] = deque()

    def close(self) -> None:
        """
        Do nothing, since nothing is held back.

        A file that was opened here is closed when nobody refers to the sink any more: events in progress do, so that a
        request that began before a new `configure()` is still written.
        """

    def write(self, entry: Entry) -> None:
        """
        Write the line; raise `OSError` where it could not be written whole.

        It waits for other writers and for a slow reader as long as `PATIENCE` in all. On a descriptor that blocks, only
        a line beyond `PIPE_BUF` can wait longer, once a part of it is out.
        """
        line = entry.line
        if self._is_file and not self._torn:
            written = os.write(self._descriptor, line)
            if written < len(line):
                self._torn = True
                self._write_all(line[written:], time.monotonic() + PATIENCE)
        elif self._takes_turns:
            self._write_in_turn(line, time.monotonic() + PATIENCE)
        else:
            self._write(line, time.monotonic() + PATIENCE)

    def _write_in_turn(self, line: bytes, deadline: float) -> None:
        """
        Write while the pipe is held against the threads of this process, and against other processes.

        A signal handler may log while this thread is in here: its line must not stand in the middle of another, and
        cannot wait for its own thread, so that the write that it interrupted takes it along.
        """
        try:
            self._take_turn(line, deadline)
        finally:
            with suppress(IndexError):  # another thread may take the last one
                while self._waiting and not self._busy:
                    self._write_late(self._waiting.popleft())

    def _take_turn(self, line: bytes, deadline: float) -> None:
        if not self._lock.acquire(timeout=PATIENCE):
            raise TimeoutError(f"another thread held the pipe for {PATIENCE * 1000:.0f} ms")
        try:
            if self._busy:
                self._waiting.append(line)
                return
            self._busy = True
            try:
                self._write_locked(line, deadline)
            finally:
                self._busy = False
        finally:
            self._lock.release()

    def _write_late(self, line: bytes) -> None:
        """Write the line of a signal handler, which has gone on meanwhile, and can be told nothing any more."""
        try:
            self._take_turn(line, time.monotonic() + PATIENCE)
        except OSError as error:
            lost(self.name, "LinesSink", f"A signal handler's line is lost: {error}")

    def _write_locked(self, line: bytes, deadline: float) -> None:
        locked = self._lock_out_processes(deadline)
        try:
            self._write(line, deadline)
        finally:
            if locked:
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN)

    def _write(self, line: bytes, deadline: float) -> None:
        if self._torn:
            line = b"\n" + line  # what is left of a broken line must not spoil this one
        self._write_all(line, deadline)

    def _write_all(self, line: bytes, deadline: float) -> None:
        rest = line
        try:
            while rest:
                if self._is_pipe:
                    self._await_reader(deadline)
                rest = rest[self._write_some(rest, deadline) :]
        finally:
            # After nothing or everything the reader is where it was: at the beginning of a line.
            self._torn = bool(rest) and (self._torn or len(rest) < len(line))

    def _write_some(self, line: bytes, deadline: float) -> int:
        try:
            return os.write(self._descriptor, line)
        except BlockingIOError:  # somebody made the descriptor non-blocking
            self._await_reader(deadline)
            return 0

    def _await_reader(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0 or not _writable(self._descriptor, left):
            raise TimeoutError(f"the reader of the lines did not read for {PATIENCE * 1000:.0f} ms")

    def _lock_out_processes(self, deadline: float) -> bool:
        """Tell whether the lock is held; some descriptors (sockets, terminals) take none, and Windows has none."""
        if sys.platform == "win32":
            return False
        while True:
            try:
                fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                if time.monotonic() >= deadline:
                    raise TimeoutError(f"another process held the pipe for {PATIENCE * 1000:.0f} ms") from None
                time.sleep(PATIENCE / 200)
            except OSError:
                return False
            else:
                return True


def _writable(descriptor: int, seconds: float) -> bool:
    """Wait until something can be written; where there is no `poll`, as on Windows, the write itself waits."""
    if not hasattr(select, "poll"):
        return True
    poll = select.poll()  # unlike `select` it takes descriptors beyond 1,023
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(seconds * 1000))
