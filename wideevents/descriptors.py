"""Write to a descriptor that is shared with others: without waiting for its reader, and without being killed by it."""

from __future__ import annotations

import errno
import os
import select
import signal
import sys
from collections.abc import Callable
from typing import TypeAlias

if sys.platform == "linux":
    import fcntl
    import termios

Write: TypeAlias = Callable[[int, bytes], int]
"""Write to a descriptor what it takes, as `os.write` does, and return how many bytes that were."""

STDERR = 2
PIPE_BUF: int = getattr(select, "PIPE_BUF", 512)
"""Up to so many bytes a pipe takes all or nothing, and in one piece (POSIX)."""

NO_WAIT: int = getattr(os, "RWF_NOWAIT", 0)

SPARE = 32_768
"""Bytes that others may write to a pipe between a look at it and our own write."""

UNKNOWN = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM, errno.ESPIPE}
"""What a kernel, or whoever filters its calls, says to a flag that it does not know."""


class Unblocked:
    """
    Write what a pipe or socket takes at once; raise `BlockingIOError` where that is nothing.

    Standard output is shared with whoever prints, so that it must not be made non-blocking; and no line may wait in a
    write for a reader that stopped. Linux can be asked for it write by write (`RWF_NOWAIT`, since 6.4). An older one
    opens the pipe a second time for it, by /proc. Where neither can be done, as on macOS and for a socket under an
    older Linux, the reader is asked for before the write, which can wait all the same: with a line beyond `PIPE_BUF`,
    or when somebody else fills the pipe in between.
    """

    __slots__ = ("_ways",)

    def __init__(self) -> None:
        self._ways = WAYS

    def __call__(self, descriptor: int, data: bytes) -> int:
        """Write by the first way that can be gone here, which is remembered."""
        while (written := self._ways[0](descriptor, data)) is None:
            self._ways = self._ways[1:]
        return written


def _write_flagged(descriptor: int, data: bytes) -> int | None:
    try:
        return os.pwritev(descriptor, (data,), -1, NO_WAIT)
    except OSError as error:
        if error.errno in UNKNOWN:
            return None
        raise


def _write_reopened(descriptor: int, data: bytes) -> int | None:
    """Open the pipe a second time only if it may fill, since that takes longer than all the rest."""
    contents = _contents(descriptor)
    if contents is None:
        return None
    if len(data) + SPARE <= _room(*contents):
        return os.write(descriptor, data)
    try:
        own = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # no /proc, or the pipe is another user's
        return None
    try:
        return os.write(own, data)
    finally:
        os.close(own)


def _write_asking(descriptor: int, data: bytes) -> int | None:
    if not writable(descriptor, 0):
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return os.write(descriptor, data)


WAYS: tuple[Callable[[int, bytes], int | None], ...] = (
    *((_write_flagged,) if NO_WAIT else ()),
    _write_reopened,
    _write_asking,
)
"""How to write without waiting: the best first."""


def fits(descriptor: int, size: int) -> bool:
    """
    Tell whether the pipe takes *size* bytes in one write, for sure; an empty one does what it can.

    Where that cannot be known it is said to be so: only Linux tells.
    """
    contents = _contents(descriptor)
    if contents is None or contents[1] == 0:
        return True
    return size <= _room(*contents)


def _room(capacity: int, held: int) -> int:
    """
    Return how many bytes a pipe surely takes that holds *held*.

    It keeps them in slots of a page each, and two neighbours may together hold little more than one page: so many bytes
    take at most twice their room, beside the first and the last page.
    """
    return capacity - 2 * (held + os.sysconf("SC_PAGESIZE"))


def _contents(descriptor: int) -> tuple[int, int] | None:
    """Return how many bytes the pipe may hold, and how many it holds."""
    if sys.platform != "linux":
        return None
    try:
        capacity = fcntl.fcntl(descriptor, fcntl.F_GETPIPE_SZ)
        held = fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4))
    except OSError:
        return None
    return capacity, int.from_bytes(held, sys.byteorder)


def writable(descriptor: int, seconds: float) -> bool:
    """Wait until something can be written, or fails at once; without `poll`, as on Windows, the write itself waits."""
    if not hasattr(select, "poll"):
        return True
    poll = select.poll()  # unlike `select` it takes descriptors beyond 1,023
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(seconds * 1000))


def broken(descriptor: int) -> bool:
    """Tell whether a pipe has lost its last reader."""
    poll = select.poll()
    poll.register(descriptor, 0)  # what is wrong is told unasked
    return bool(poll.poll(0))


def kills() -> bool:
    """Tell whether a write without a reader ends the process, as `signal(SIGPIPE, SIG_DFL)` has it."""
    return hasattr(signal, "SIGPIPE") and signal.getsignal(signal.SIGPIPE) is signal.SIG_DFL


def spared(write: Write) -> Write:
    """Return *write* without the signal that would end the process; the error of it is raised all the same."""

    def write_spared(descriptor: int, data: bytes) -> int:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGPIPE})
        try:
            return write(descriptor, data)
        except BrokenPipeError:
            if signal.SIGPIPE not in before and signal.SIGPIPE in signal.sigpending():
                signal.sigwait({signal.SIGPIPE})
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    return write_spared
