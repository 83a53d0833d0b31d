"""Let all that write to one output in this process take turns."""

from __future__ import annotations

import os
from collections import deque
from threading import RLock
from weakref import WeakValueDictionary

from wideevents.forks import renew_in_child


class Turn:
    """
    Hold whose turn it is to write.

    `lock` is held while a line is written, by one thread. A signal handler that interrupts this very thread finds it
    `busy`, and leaves its line among those that are `waiting`. `torn` is whether the last line is not whole.
    """

    __slots__ = ("__weakref__", "busy", "lock", "torn", "waiting")

    def __init__(self) -> None:
        self.torn = False
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """Make the lock anew: in a forked child it may be held by a thread that is not there."""
        self.lock = RLock()
        self.busy = False
        self.waiting: deque[bytes] = deque()


_shared: WeakValueDictionary[tuple[int, int], Turn] = WeakValueDictionary()


def shared(status: os.stat_result) -> Turn:
    """
    Return the turn of all that write to the pipe or socket of *status*.

    There may be several: standard output and standard error that lead to one pipe, and the sink of requests that began
    before a new `configure()`. The locks of files that keep processes apart do nothing between threads (POSIX).
    """
    return _shared.setdefault((status.st_dev, status.st_ino), Turn())
