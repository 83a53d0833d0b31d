"""Hand an event whose process is killed over to the process that writes its line."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wideevents.events import Event
from wideevents.exceptions import NAMES
from wideevents.flight.recovery import in_outputs, noted, stamped
from wideevents.flight.wrecks import Lost, Wreck, seen
from wideevents.health import Fault, report

COUNTS = ("error.count", "log.count.warning", "log.count.error")
"""What both processes count."""

TRACE = ("trace.id", "parent.id")
"""What the process that is killed has told to others, and so is right where both have drawn one."""


class Handover:
    """
    Give an event what a killed process knew of it, and see to it that nobody else tells it.

    It has the files of that process from the moment it is made. The line is written inside, where that is asked for:

    - The fields are taken from the file of the process; those that the event has itself stay as they are. The file is
      locked until the line is written, and then the event is no more in it. One that has nothing else is removed.
    - The process may be alive, and about to be killed: then it has its file locked itself, and what it does with the
      event from then on does not count.
    - If somebody else has the file, who recovers it, they write the line, as one that is lost; so it is if they have
      done so. Whoever comes first tells it, and no line is asked for here.
    - If they have removed the file, only outputs that are files tell: no line is asked for if it stands there. Any
      other output has two then. It takes somebody who recovers in the moments between the death and this.
    - The event is left as it is, and its line is asked for, if the process knew nothing of it.
    """

    __slots__ = ("_directory", "_event", "_is_alive", "_lost", "_wreck", "_wrecks")

    def __init__(self, event: Event, directory: Path, pid: int) -> None:
        self._event = event
        self._directory = directory
        self._wrecks: list[Wreck] = []
        self._wreck: Wreck | None = None
        self._lost: Lost | None = None
        try:
            self._wrecks = seen(directory, pid)
        except OSError as error:
            self._complain(error)
        self._is_alive = _is_alive(pid)

    def __enter__(self) -> bool:
        try:
            return self._take()
        except OSError as error:
            self._complain(error)
            return True

    def __exit__(self, *_: object) -> None:
        for wreck in self._wrecks:
            is_empty = False
            try:
                if self._lost is not None and wreck is self._wreck:
                    wreck.told(self._lost)
                is_empty = not any(wreck.lost())
            except OSError as error:
                self._complain(error)
            wreck.close(remove=is_empty and wreck.is_locked)

    def _take(self) -> bool:
        """Take the fields, and tell whether the line is still to be written."""
        for wreck in self._wrecks:
            lost = wreck.find(self._event.id)
            if lost is not None:
                if not wreck.is_locked and not self._is_alive:
                    return False
                self._wreck, self._lost = wreck, lost
                _give(self._event, lost)
                return True
        if any(wreck.has_told(self._event.id) for wreck in self._wrecks):
            return False
        return self._event.id not in in_outputs(self._event.recorder.pipeline, {self._event.id}, _began(self._event))

    def _complain(self, error: OSError) -> None:
        sentence = f"What a killed process left in {self._directory} could not be taken over: {error}."
        report(Fault.STAGE, "take", sentence)


def _give(event: Event, lost: Lost) -> None:
    """Add to *event* what was known where it was *lost*."""
    theirs: dict[str, Any] = {**lost.fields, "lost.touched": stamped(lost.touched)}
    if event.errors:  # that one stands
        theirs = {name: value for name, value in theirs.items() if name not in NAMES}
    for name in theirs:
        event.keys.judge(name)  # as whoever has added it: of two names that cross, one steps aside
    event.suspects.update(theirs)
    with event.keys.lock:
        fields = event.fields
        if fields is not None:
            counted = {name: fields[name] + theirs[name] for name in COUNTS if name in fields and _counts(theirs, name)}
            told = {name: theirs[name] for name in TRACE if name in theirs}
            fields.update({**theirs, **fields, **told, **counted})
    event.trace_id = lost.fields["trace.id"]
    event.raise_level(noted(lost.fields))


def _counts(fields: Mapping[str, Any], name: str) -> bool:
    return type(fields.get(name)) is int


def _began(event: Event) -> datetime:
    clock = event.recorder.clock
    passed = clock.monotonic() - event.started
    return datetime.fromtimestamp((clock.now() - passed) / 1_000_000_000, UTC)


def _is_alive(pid: int) -> bool:
    """Tell whether a child of ours is there; one that has died, and was waited for, is not."""
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True
