"""
Measure what a thread that writes the lines costs, beside a request that writes its own.

Run `make bench`. Processor time of the whole process, its threads included: rounds of each in turn, their median, less
what the same loop takes without a sink. A line comes either right after the other, or after a pause in which the
thread goes to sleep, as between two requests. The longest wait is that of one request while nobody reads the pipe.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.bench.report import Table, show
from wideevents.entries import CLOSE, NOTHING, Entry
from wideevents.levels import Level
from wideevents.pipeline import Sink
from wideevents.sinks.background import Background
from wideevents.sinks.lines import LinesSink

ROUNDS = 9
LINES = 1_000
SIZE = 1_500
PAUSE_S = 0.0005
STILL_S = 1.0
CAPACITY = 10 * LINES


class Nowhere:
    """Write nothing: what the loop takes by itself."""

    def write(self, entry: Entry) -> None:
        """Leave it."""

    def close(self) -> None:
        """Hold nothing."""


def entry() -> Entry:
    """Return what a sink gets, with a line of `SIZE` bytes."""
    made = Entry()
    made.waits = None
    made.record, made.static, made.tail, made.level = {"event.name": "GET /"}, NOTHING, CLOSE, Level.INFO
    made.line = b'{"pad":"%b"}\n' % (b"x" * (SIZE - 11))
    return made


def without_pause() -> None:
    """Go on at once."""


def pause() -> None:
    """Do what a worker does between two requests: wait for the next one, so that other threads run."""
    time.sleep(PAUSE_S)


def spent(sink: Sink, rest: Callable[[], None]) -> float:
    """Return the microseconds of processor time that a line takes; all of them are written by then."""
    made = entry()
    began = time.process_time()
    for _ in range(LINES):
        sink.write(made)
        rest()
    backlog = getattr(sink, "_backlog", None)
    while backlog is not None and len(backlog._room) < CAPACITY:
        time.sleep(0.001)
    return (time.process_time() - began) / LINES * 1e6


def costs(path: Path, rest: Callable[[], None]) -> tuple[float, float]:
    """Return the microseconds that a line takes, where the request writes it, and where a thread does."""
    file = LinesSink.open(path, longest=SIZE)
    sinks: list[Sink] = [Nowhere(), file, Background(file, CAPACITY).around(file)]
    taken: list[list[float]] = [[], [], []]
    for _ in range(ROUNDS):
        for each, sink in zip(taken, sinks, strict=True):
            each.append(spent(sink, rest))
    sinks[-1].close()
    nothing, direct, background = map(statistics.median, taken)
    return direct - nothing, background - nothing


def longest_wait(*, background: bool) -> float:
    """Return the milliseconds that one line keeps its request waiting at most, while nobody reads for `STILL_S`."""
    reader, writer = os.pipe()
    pipe = LinesSink(writer, longest=SIZE)
    sink: Sink = Background(pipe, CAPACITY, 0).around(pipe) if background else pipe
    made, longest, until = entry(), 0.0, time.monotonic() + STILL_S
    while time.monotonic() < until:
        began = time.perf_counter()
        with suppress(OSError):  # it was given up
            sink.write(made)
        longest = max(longest, time.perf_counter() - began)
        time.sleep(0.01)
    os.close(reader)
    sink.close()
    os.close(writer)
    return longest * 1e3


def run() -> Table:
    """Measure, and return the table."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, rest in (("right after the other", without_pause), ("after a pause", pause)):
            direct, background = costs(Path(folder) / "events.jsonl", rest)
            ratio = f"{background / direct:.1f}"
            rows.append((f"a line {name}, us of processor time", f"{direct:.1f}", f"{background:.1f}", ratio))
    waits = [longest_wait(background=each) for each in (False, True)]
    rows.append((f"longest wait, nobody reads for {STILL_S:.0f} s, ms", f"{waits[0]:.1f}", f"{waits[1]:.1f}", ""))
    return Table(
        "A thread that writes the lines",
        f"Lines of {SIZE} bytes to a file; the ratio is that of the thread to the request that writes its own line.",
        ("what", "the request", "a thread", "ratio"),
        tuple(rows),
    )


if __name__ == "__main__":
    show([run()])
