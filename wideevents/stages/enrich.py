"""Add what is true of the service and the process."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from threading import get_ident
from time import perf_counter_ns
from typing import Any

from wideevents import resource
from wideevents.entries import CLOSE, E, Entry
from wideevents.events import Event
from wideevents.forks import renew_in_child
from wideevents.health import take_unreported, unreported
from wideevents.serialize import encode

_imported = perf_counter_ns()

TENTH = 100_000_000
"""Nanoseconds of a tenth of a second."""

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
        event.record["uptime_s"] = (perf_counter_ns() - self._started) // TENTH / 10
        event.static, event.tail = self._process
        if unreported.some or get_ident() != self._main:
            self._distinguish(event)
        return event

    def identify(self, entry: E) -> E:
        """Add what a log line has, too: who writes it, and what no line has told yet."""
        entry.static, entry.tail = self._process
        self._distinguish(entry)
        return entry

    @property
    def process(self) -> Mapping[str, Any]:
        """What every line of this process has."""
        return self._process[0]

    def uptime(self) -> float:
        """Return the age of this process, in seconds."""
        return (perf_counter_ns() - self._started) / 1_000_000_000

    def on_behalf(self, process: Mapping[str, Any]) -> Departed:
        """Return what adds the fields of another *process*."""
        return Departed(process)

    def renew(self) -> None:
        """Say who we are anew: a forked child is another process, and has just begun."""
        self._identify(perf_counter_ns())

    def _distinguish(self, entry: Entry) -> None:
        """Add what is not the same for every entry: the thread, where it is not the main one; faults."""
        if get_ident() != self._main:
            name = threading.current_thread().name
            if not name.startswith(NUMBERED):
                entry.record["thread.name"] = name
        if unreported.some:
            entry.record.update(take_unreported())

    def _identify(self, started: int) -> None:
        static = resource.identify(self._resource)
        self._process = (static, _tail(static))
        self._started = started
        self._main = threading.main_thread().ident


class Departed:
    """
    Add what is true of a process that has ended, and whose events this one tells of.

    Which thread tells it, and what this process has yet to tell of itself, is no part of them.
    """

    __slots__ = ("_process", "_tail")

    def __init__(self, process: Mapping[str, Any]) -> None:
        self._process = dict(process)
        self._tail = _tail(self._process)

    def __call__(self, event: Event) -> Event:
        """Add the fields of an event."""
        event.static, event.tail = self._process, self._tail
        return event


def _tail(static: dict[str, Any]) -> bytes:
    """Return the end of a line that has these fields."""
    return b"," + encode(static)[1:] + b"\n" if static else CLOSE
