"""Keep what open events know where a kill does not reach it, and give it back."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryFile
from threading import RLock
from typing import Any

from wideevents.errors import ConfigurationError
from wideevents.events import Event
from wideevents.flight.handover import Handover
from wideevents.flight.layout import PAGE, Header, boot
from wideevents.flight.live import PATH, Live
from wideevents.flight.paths import Paths
from wideevents.flight.recovery import Known, Recording, recover
from wideevents.flight.slots import PATIENCE, File
from wideevents.forks import renew_in_child
from wideevents.health import Fault, report
from wideevents.hiding import Hiding

LARGEST = 1 << 20


def _nothing(_: object) -> tuple[str, ...]:
    return ()


class Flight:
    """
    Keep the fields of open events in *directory*, in a file for each process that is mapped into memory.

    What is written there is the kernel's: it survives whatever kills the process, and, on a disk, nearly always the
    machine. The directory is made if it is not there, for this user alone, as are the files; secrets are hidden before
    they are written. *slot_bytes* is the room of one event; of one that knows more, the largest values are cut. Pages
    that nothing was written to take no memory.

    Raise `ConfigurationError` for a directory that cannot be used.
    """

    def __init__(self, directory: str | os.PathLike[str], *, slot_bytes: int = 16_384) -> None:
        if sys.platform == "win32":
            raise ConfigurationError("flight cannot be used on Windows, which has no POSIX locks; leave it out there.")
        if type(slot_bytes) is not int or not PAGE <= slot_bytes <= LARGEST:
            raise ConfigurationError.of("slot_bytes", slot_bytes, f"a whole number of bytes, {PAGE} to {LARGEST}")
        self.slot_bytes = -(-slot_bytes // PAGE) * PAGE
        self.directory = _usable(directory)
        self._paths = Paths()
        self._hiding: Hiding | None = None
        self._open: dict[Event, Live] = {}
        self.renew()
        renew_in_child(self)

    def begin(self, event: Event) -> None:
        """Follow *event*, whose first fields are there, from now on: its fields are written down as they are set."""
        fields = event.fields
        file = self._file or self._opened(event)
        if fields is None or file is None:
            return
        try:
            slot = file.free.pop()
        except IndexError:
            grown = file.grown()
            if grown is None:
                return
            slot = grown
        keys = event.keys
        hiding = self._hiding
        if hiding is None or hiding.keys is not keys:
            hiding = self._hiding = Hiding(keys, self.slot_bytes)
        path = fields.get(PATH)
        live = Live(fields)
        live.begin(event, slot, hiding, None if path is None else self._paths[path])
        self._open[event] = live
        event.fields = live

    def end(self, event: Event) -> None:
        """Forget *event*: its line is written."""
        live = self._open.pop(event, None)
        if live is not None:
            live.end()

    def renew(self) -> None:
        """Let go of what is the parent's: a forked child has a file of its own."""
        lives, self._open = self._open, {}
        for live in lives.values():
            live.let_go()
        file: File | None = getattr(self, "_file", None)
        if file is not None:
            file.let_go()
        self._file: File | None = None
        self._is_off = False
        self._is_opening = False
        self._opening = RLock()

    def recover(
        self,
        recorder: Recording,
        *,
        pid: int | None = None,
        reason: str | None = None,
        known: Known = _nothing,
        **fields: Any,
    ) -> int:
        """
        Write a line for each event that dead processes left behind, or that of *pid*, and return how many.

        They go through the whole pipeline of *recorder*, with the outcome `lost`, and what the caller knows: the
        *reason* for the death, and more *fields*. Each is written once, however many processes recover at the same
        time. One whose line is written already is dropped, as far as that can be found out: in the outputs that are
        files, and by *known*, which is given ids of events and returns those that need no line. Nobody can read back
        what went into a pipe: of a process that is killed right after it wrote there, an event has two lines, the
        second one `lost`, with one `event.id`.
        """
        try:
            return recover(recorder, self.directory, pid, reason, known, fields)
        except OSError as error:
            report(Fault.STAGE, "recover", f"What is left in {self.directory} could not be recovered: {error}.")
            return 0

    def take(self, event: Event, pid: int) -> Handover:
        """
        Take hold of what the process *pid*, which is killed, knew of *event*; who writes its line does so inside.

        It is for a process that watches over another one, and knows better than `recover` what has become of its work.
        """
        return Handover(event, self.directory, pid)

    def _opened(self, event: Event) -> File | None:
        """Make the file of this process, with its first event; where that fails it goes on without."""
        if self._is_off or not self._opening.acquire(timeout=PATIENCE):
            return None
        try:
            if self._file is None and not self._is_opening:  # a signal handler does not wait for whom it interrupts
                self._is_opening = True
                self._file = File(self.directory, self._header(event))
        except (OSError, ValueError) as error:
            self._is_off = True
            sentence = f"The flight recorder cannot write to {self.directory}, and is off in this process: {error}."
            report(Fault.SETTING, "flight", sentence)
        finally:
            self._is_opening = False
            self._opening.release()
        return self._file

    def _header(self, event: Event) -> Header:
        static: Mapping[str, Any] = {}
        uptime = 0.0
        for stage in event.recorder.pipeline.stages:
            if hasattr(type(stage), "on_behalf"):
                static, uptime = stage.process, stage.uptime()
        return Header(self.slot_bytes, static, time.time() - uptime, boot())


def _usable(directory: object) -> Path:
    """Return the *directory*, which is made if it is not there; raise `ConfigurationError` for what is none."""
    allowed = "a directory that this process may write to"
    if not isinstance(directory, str | os.PathLike) or not os.fspath(directory):
        raise ConfigurationError.of("flight", directory, allowed)
    try:
        path = Path(os.path.abspath(directory))
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        TemporaryFile(dir=path).close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigurationError.of("flight", directory, f"{allowed} ({reason})") from error
    return path
