"""Be where the lines of a soak go: a sink that fails now and then, files, a full disk, a pipe whose reader sleeps."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import wideevents
from tests.integrations.servers import parse_any
from wideevents.health import Fault

MANY = 40
"""Of so many lines one is read strictly; all are read."""

FAILS = 499
"""Of so many entries one is refused by the sink that fails."""

TELLS = b'"events.l'
"""What a line holds that tells of late writes, or of losses."""

OURS = b'"log.logger":"wideevents"'

STALL = 0.25
"""Seconds that the reader of the pipe sleeps now and then."""


class TroubleError(Exception):
    """What a stage, or a sink, of the user's own raises."""


class Tap:
    """
    See every entry that comes out of the pipeline, and fail now and then.

    It stands beside a real sink: of one entry either may be lost, and each loss is counted.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.seen: Counter[str] = Counter()
        self.told: Counter[str] = Counter()
        self.refused: set[int] = set()
        self.failed = 0

    def write(self, entry: Any) -> None:
        """Count it, by whose it is; what the telemetry says of itself goes to standard error at need."""
        line = entry.line
        if not isinstance(entry, wideevents.Event) and OURS in line:
            return
        with self.lock:
            self.seen["event" if isinstance(entry, wideevents.Event) else "log"] += 1
            fails = self.seen.total() % FAILS == 0
            self.failed += fails
            if TELLS in line and fails:
                self.refused.add(hash(line))
            elif TELLS in line:
                note(json.loads(line), self.told)
        if fails:
            raise TroubleError("the sink fails now and then")

    def close(self) -> None:
        """Hold nothing back."""


def note(fields: dict[str, Any], told: Counter[str]) -> None:
    """Add up what a line tells of losses."""
    for name in (Fault.LOST, Fault.LATE_WRITE):
        told[name] += fields.get(name.value, 0)


@dataclass
class Read:
    """
    What was found in the files and pipes: whole lines, fragments of what was lost in its middle, and faults.

    What a line tells of losses counts once, here or where it was seen before.
    """

    tap: Tap
    lines: int = 0
    fragments: int = 0
    told: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def line(self, line: bytes) -> None:
        """Read one line."""
        try:
            fields = json.loads(line)
        except ValueError:
            self.fragments += bool(line.strip())
            return
        ours = OURS in line
        self.lines += not ours
        if TELLS in line and (ours or hash(line) in self.tap.refused):
            note(fields, self.told)
        if self.lines % MANY == 0:
            try:
                parse_any(line)
            except AssertionError as error:
                self.faults.append(f"{error}: {line[:300]!r}")


class Place:
    """Take the lines of one `configure`, until all of its events have ended."""

    threads = 0

    def __init__(self, folder: Path, read: Read) -> None:
        self.path = folder / f"events-{time.monotonic_ns()}"
        self.read = read

    def close(self) -> None:
        """Read what was written, and remove it."""
        if self.path.exists():
            with self.path.open("rb") as file:
                for line in file:
                    self.read.line(line)
            self.path.unlink()


class Full(Place):
    """Be a disk that is full."""

    def __init__(self, folder: Path, read: Read) -> None:
        super().__init__(folder, read)
        self.path = Path("/dev/full")

    def close(self) -> None:
        """Do nothing: nothing was written."""


class Pipe(Place):
    """Be a pipe whose reader sleeps now and then."""

    threads = 1

    def __init__(self, folder: Path, read: Read) -> None:
        super().__init__(folder, read)
        os.mkfifo(self.path)
        self.reading = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        """Read."""
        rest, turns = b"", 0
        while True:
            last = self.ended.is_set()
            part = b""
            with suppress(BlockingIOError):
                part = os.read(self.reading, 65_536)
            *lines, rest = (rest + part).split(b"\n")
            for line in lines:
                self.read.line(line + b"\n")
            if not part:
                if last:
                    break
                self.ended.wait(0.002)
            turns += 1
            if turns % 500 == 0:
                time.sleep(STALL)

    def close(self) -> None:
        """Let the reader come to its end."""
        self.ended.set()
        self.thread.join()
        os.close(self.reading)
        self.path.unlink()
