"""Tests of the flight recorder: processes that die for real, and what is found of them."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wideevents.events import Event
from wideevents.flight import Flight
from wideevents.flight.wrecks import claimed
from wideevents.recorder import Recorder


def fork(work: Callable[[], object]) -> int:
    """Run *work* in a forked child, and return its pid; the child ends by itself, without any clean-up."""
    with warnings.catch_warnings():
        # Python 3.12 warns of a fork beside threads, after it: raised in the parent, it would leave the child running.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child:
        return child
    try:
        work()
    finally:
        os._exit(99)
    return child


def ended(child: int) -> int:
    """Wait for a child, and return what it ended with: its exit code, or the negative number of a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed(work: Callable[[], object]) -> int:
    """Run *work* in a forked child that then kills itself, and return its pid."""

    def work_and_die() -> None:
        work()
        os.kill(os.getpid(), signal.SIGKILL)

    child = fork(work_and_die)
    assert ended(child) == -signal.SIGKILL, "the child did not come as far as that"
    return child


def opened(recorder: Recorder, name: str = "job", kind: str = "task", **fields: Any) -> Event:
    """Return an event that the flight recorder follows."""
    event = recorder.open(name, kind)
    assert recorder.flight is not None
    recorder.flight.begin(event)
    for key, value in fields.items():
        event.put(key, value)
    return event


def in_file(flight: Flight) -> list[dict[str, Any]]:
    """Return the fields of what dead processes left, and leave it there."""
    wrecks = claimed(flight.directory, None)
    found = [lost.fields for wreck in wrecks for lost in wreck.lost()]
    for wreck in wrecks:
        wreck.close(remove=False)
    return found


def files(flight: Flight) -> list[Path]:
    """Return what is in the directory."""
    return sorted(flight.directory.iterdir())


def raw(flight: Flight) -> bytes:
    """Return all bytes of all files."""
    return b"".join(path.read_bytes() for path in files(flight))
