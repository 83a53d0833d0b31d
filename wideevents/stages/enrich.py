"""Add what is true of the service and the process."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping

from wideevents import resource
from wideevents.events import Event
from wideevents.health import unreported
from wideevents.serialize import encode

_process_started = time.monotonic()


class Enrich:
    """
    Add the fields of the service, the process and the host, and the faults that no line has told yet.

    What is the same for every event of a process stands in `event.static`, and is encoded once, as `event.tail`; a
    forked child makes its own.
    """

    __slots__ = ("_pid", "_resource", "_static", "_tail")

    def __init__(self, described: Mapping[str, str]) -> None:
        self._resource = described
        self._pid = 0

    def __call__(self, event: Event) -> Event:
        """Add the fields."""
        if self._pid != os.getpid():
            self._identify()
        event.static, event.tail = self._static, self._tail
        record = event.record
        record["uptime_s"] = int((time.monotonic() - _process_started) * 10) / 10
        thread = threading.current_thread()
        if thread is not threading.main_thread():
            record["thread.name"] = thread.name
        if unreported:
            record.update((fault.value, number) for fault, number in unreported.take().items())
        return event

    def _identify(self) -> None:
        self._static = resource.identify(self._resource)
        self._tail = b"," + encode(self._static)[1:]
        self._pid = os.getpid()
