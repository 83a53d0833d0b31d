"""Add what is true of the service and the process."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from threading import get_ident
from time import monotonic

from wideevents import resource
from wideevents.entries import E
from wideevents.forks import renew_in_child
from wideevents.health import take_unreported, unreported
from wideevents.serialize import encode

_imported = monotonic()

NUMBERED = "Dummy-"
"""How Python begins the names of what it did not start itself: greenlets, and threads of C code. They say nothing."""


class Enrich:
    """
    Add the fields of the service, the process and the host, and the faults that no line has told yet.

    What is the same for every event of a process stands in `event.static`, and is encoded once, as `event.tail`.
    """

    __slots__ = ("__weakref__", "_main", "_process", "_resource", "_started")

    def __init__(self, described: Mapping[str, str]) -> None:
        self._resource = described
        self._identify(_imported)
        renew_in_child(self)

    def __call__(self, event: E) -> E:
        """Add the fields of an event."""
        event.record["uptime_s"] = int((monotonic() - self._started) * 10) / 10
        return self.identify(event)

    def identify(self, entry: E) -> E:
        """Add what a log line has, too: who writes it, and what no line has told yet."""
        entry.static, entry.tail = self._process
        if get_ident() != self._main:
            name = threading.current_thread().name
            if not name.startswith(NUMBERED):
                entry.record["thread.name"] = name
        if unreported:
            entry.record.update(take_unreported())
        return entry

    def renew(self) -> None:
        """Say who we are anew: a forked child is another process, and has just begun."""
        self._identify(monotonic())

    def _identify(self, started: float) -> None:
        static = resource.identify(self._resource)
        self._process = (static, b"," + encode(static)[1:] + b"\n")
        self._started = started
        self._main = threading.main_thread().ident
