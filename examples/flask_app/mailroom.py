"""Work off letters to customers in one thread of the process, which lives longer than any request."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Lock, Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(slots=True)
class Mailroom:
    """Run callbacks one after another; the thread starts at the first of them, so after a server has forked."""

    tasks: SimpleQueue[tuple[Callable[[], str], Future[str]]] = field(default_factory=SimpleQueue)
    lock: Lock = field(default_factory=Lock)
    clerk: Thread | None = None

    def post(self, write: Callable[[], str]) -> Future[str]:
        """Have *write* run soon; the future gives what it returns, or raises what it raises."""
        written: Future[str] = Future()
        self.tasks.put((write, written))
        with self.lock:
            if not self.clerk:
                self.clerk = Thread(target=self.work, name="mailroom", daemon=True)
                self.clerk.start()

        return written

    def work(self) -> None:
        while True:
            write, written = self.tasks.get()
            try:
                written.set_result(write())
            except Exception as error:  # noqa: BLE001 - it belongs to whoever waits for the future
                written.set_exception(error)
