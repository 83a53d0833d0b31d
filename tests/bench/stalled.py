"""
Measure how long a request waits for its line while nobody reads the lines.

Run `make bench`. Four threads write a line every few milliseconds to a descriptor that blocks, as standard output does,
and whose reader stops for two seconds. What is shown is the longest that one of them waited, in milliseconds, and how
many lines were lost; what the reader found is counted, and is all the rest, line for line.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from functools import partial
from threading import Event as Flag
from threading import Thread

from tests.bench.report import Table
from wideevents.entries import Entry
from wideevents.sinks.lines import LinesSink

STILL_S = 2.0
BEFORE_S = AFTER_S = 0.3
THREADS = 4
PACE_S = 0.002

LINES = (
    ("a pipe", 1_500),
    ("a pipe", 4_096),
    ("a pipe", 16_000),
    ("a pipe", 60_000),
    ("a pipe", 100_000),
    ("a Unix socket", 4_096),
    ("a Unix socket", 16_000),
)

Write = Callable[[Entry], object]


class Plain:
    """Write as `print` does, and as most libraries: until the line is out."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def write(self, entry: Entry) -> None:
        """Write it."""
        os.write(self.descriptor, entry.line)


WAYS: dict[str, Callable[[int], Plain | LinesSink]] = {
    'on_full="wait"': LinesSink,
    'on_full="drop"': partial(LinesSink, on_full="drop"),
    "os.write": Plain,
}


class Reader:
    """Read all there is, but for the time in which it stands still."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.reads = Flag()
        self.reads.set()
        self.lines = 0
        self.thread = Thread(target=self.follow)
        self.thread.start()

    def follow(self) -> None:
        """Count the lines; each is one of ours, and whole, or the count is not what it should be."""
        while self.reads.wait() and (part := os.read(self.descriptor, 65_536)):
            self.lines += part.count(b"}\n")


def ends(kind: str) -> tuple[int, int]:
    """Return the reading and the writing end of what lines are written to."""
    if kind == "a pipe":
        return os.pipe()
    reader, writer = socket.socketpair()
    return reader.detach(), writer.detach()


def request(write: Write, size: int, over: Flag, waits: list[float], lost: list[int]) -> None:
    """Write lines until it is over."""
    entry = Entry()
    entry.waits = None
    entry.line = b'{"pad":"%b"}\n' % (b"x" * (size - 11))
    while not over.is_set():
        began = time.monotonic()
        try:
            write(entry)
        except TimeoutError:
            lost.append(1)
        waits.append((time.monotonic() - began) * 1000)
        time.sleep(PACE_S)


def stalled(made: Callable[[int], Plain | LinesSink], kind: str, size: int) -> tuple[float, int]:
    """Return the longest wait, in milliseconds, and how many lines were lost."""
    reading, writing = ends(kind)
    reader, over = Reader(reading), Flag()
    waits: list[float] = []
    lost: list[int] = []
    write = made(writing).write
    threads = [Thread(target=request, args=(write, size, over, waits, lost)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for seconds, turn in ((BEFORE_S, reader.reads.clear), (STILL_S, reader.reads.set), (AFTER_S, over.set)):
        time.sleep(seconds)
        turn()
    for thread in threads:
        thread.join()
    os.close(writing)
    reader.thread.join()
    os.close(reading)
    assert reader.lines + len(lost) == len(waits), "a line is neither there nor counted"
    return max(waits), len(lost)


def run() -> Table:
    """Return what was measured."""
    rows = []
    for kind, size in LINES:
        found = [stalled(made, kind, size) for made in WAYS.values()]
        cells = [cell for longest, lost in found for cell in (f"{longest:,.1f}", f"{lost:,}")]
        rows.append((f"{size:,} bytes to {kind}", *cells[:-1]))
    return Table(
        "The longest wait while nobody reads for two seconds",
        "Milliseconds of a request, of four threads that write to a descriptor that blocks; and the lines lost, which "
        "are counted exactly. A line that is longer than the pipe is half out, and is finished.",
        ("line", 'on_full="wait"', "lost", 'on_full="drop"', "lost", "os.write"),
        tuple(rows),
    )
