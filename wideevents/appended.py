"""Open a file to append to it, and follow its path when the file is moved."""

from __future__ import annotations

import os
import stat
import time
import weakref

FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
"""Non-blocking for the sake of a named pipe: without a reader it is refused at once, instead of waited for."""

LOOKS = 5
"""Looks at the end of a file, a hundredth of a second apart, before a half line there counts as torn."""


class Appended:
    """
    Hold the descriptor of the file at a path, until nobody refers to this any more.

    Who renames or removes the file need not tell: `follow` finds out. Raise `OSError` where it cannot be opened, and
    `TypeError` or `ValueError` for what is no path.
    """

    __slots__ = ("__weakref__", "_closing", "_identity", "_path", "descriptor")

    _closing: weakref.finalize[[int], Appended]
    _identity: tuple[int, int] | None
    descriptor: int

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._keep(os.open(path, FLAGS, 0o644))
        self._path = os.path.abspath(os.fsdecode(path))  # the process may change its directory later

    def follow(self) -> bool:
        """
        Open the file anew if another one stands at the path by now, or none; tell whether that was so.

        Where it cannot be opened, one that was renamed is kept; for one that is gone the error is raised. A device or a
        pipe is what it is.
        """
        ours = self._identity == _identity(self.descriptor)
        if ours and self._identity == _identity(self._path):
            return False
        try:
            opened = os.open(self._path, FLAGS, 0o644)
        except OSError:
            if ours and os.fstat(self.descriptor).st_nlink:
                return False
            raise
        if ours:  # the number stays, since another thread may be about to write to it
            os.dup2(opened, self.descriptor, inheritable=False)
            os.close(opened)
            self._identity = _identity(self.descriptor)
        else:  # somebody closed it, as daemons do with all there are: the number may be another's by now
            self._closing.detach()
            self._keep(opened)
        return True

    def is_torn(self) -> bool:
        """
        Tell whether the file ends in the middle of a line: a disk was full, or a process died as it wrote.

        One that another process writes to does so now and then; so it is looked at for a while.
        """
        if self._identity is None:
            return False
        try:
            with open(self._path, "rb") as file:
                for _ in range(LOOKS):
                    size = file.seek(0, os.SEEK_END)
                    if os.pread(file.fileno(), 1, max(0, size - 1)) in {b"\n", b""}:
                        return False
                    time.sleep(0.01)
                return size == file.seek(0, os.SEEK_END)
        except OSError:  # one may write to it and not read it
            return False

    def _keep(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._identity = _identity(descriptor)
        self._closing = weakref.finalize(self, os.close, descriptor)
        self._closing.atexit = False


def _identity(file: int | str) -> tuple[int, int] | None:
    """Return what makes a file the same one, whatever it is called; None where there is none."""
    try:
        status = os.stat(file)
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None
