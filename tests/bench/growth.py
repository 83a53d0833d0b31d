"""
Measure how cost grows: with the fields of an event, the events in flight, the size of a line, and the threads.

Run `python -m tests.bench.growth`. Everything runs in one process, in interleaved rounds; the lines are parsed.
"""

from __future__ import annotations

import gc
import itertools
import tempfile
import tracemalloc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import orjson

import wideevents
from tests.bench.events import fields, named
from tests.bench.report import Table, show
from tests.bench.timing import interleaved
from wideevents import Limits, add_field, config
from wideevents.context import Activation
from wideevents.recorder import Transaction

ROUNDS = 11
FIELDS = (1, 3, 10, 30, 100, 300, 1_000)
IN_FLIGHT = (1, 10, 100, 1_000, 10_000)
KILOBYTES = (1, 2, 4, 8, 16, 32, 64)
THREADS = (1, 2, 4, 8, 16)
EIGHT, FORTY = fields(8, 1), fields(40, 1)

ADDED = 20_000
"""Fields that one round adds, at least, so that it is long enough to be timed."""

EVENTS = 4_000
"""Events of one round, where their number is not what grows."""

ESTIMATE = 300_000
"""Bytes of lines that one round writes, about."""

DEFAULTS = Limits()
RAISED = Limits(max_bytes=1_000_000, max_fields=10_000, max_value_length=1_000_000)
TEXT = "the customer asked for free shipping, "
LENGTH = 64
"""Characters of one of many texts."""

PAGE = "page"

Figures = dict[int, float]
"""Microseconds of one event, by what grows; 0 is an event without fields."""


@contextmanager
def lines(limits: Limits = DEFAULTS) -> Iterator[Path]:
    """Give the file that the events of the block go to."""
    with tempfile.TemporaryDirectory() as folder, config.kept():
        path = Path(folder, "lines.jsonl")
        wideevents.configure(
            service="bench", version="1.0.0", environment="test", output=path, logging=False, limits=limits
        )
        yield path


def make(events: Iterable[Mapping[str, Any]]) -> None:
    """Make one event after the other, each with its fields."""
    for added in events:
        with wideevents.event(PAGE):
            for key, value in added.items():
                add_field(key, value)


def timed(growing: Mapping[int, Sequence[Mapping[str, Any]]], limits: Limits) -> tuple[Figures, dict[int, int]]:
    """Return the microseconds of one of the *growing* events, and the bytes of its line, which has all fields."""
    sizes: dict[int, int] = {}
    with lines(limits) as path:
        for growth, events in growing.items():
            make(events[:1])
            line = path.read_bytes().splitlines(keepends=True)[-1]
            told, sizes[growth] = orjson.loads(line), len(line)
            assert limits is DEFAULTS or events[0].items() <= told.items(), f"{growth}: not all is in the line"
        taken = interleaved({f"{growth}": partial(make, events) for growth, events in growing.items()}, ROUNDS)
        expected = len(growing) + (ROUNDS + 1) * sum(map(len, growing.values()))
        assert path.read_bytes().count(b"\n") == expected, "a line for every event"
    return {growth: taken[f"{growth}"] / len(events) for growth, events in growing.items()}, sizes


def wide(number: int) -> dict[str, Any]:
    """Return as many fields as asked for."""
    areas = (named(f"area_{place:03}", place) for place in range(number // 10 + 1))
    return dict(itertools.islice(itertools.chain.from_iterable(area.items() for area in areas), number))


def repeated(added: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return as many events with the fields *added* as one round takes."""
    return [added] * (ADDED // (len(added) + 10))


def by_fields() -> Table:
    """Measure events of more and more fields."""
    growing = {number: repeated(wide(number)) for number in (0, *FIELDS)}
    (raised, sizes), (default, _) = timed(growing, RAISED), timed(growing, DEFAULTS)
    rows = []
    for number in FIELDS:
        each, beside = ((figures[number] - figures[0]) / number for figures in (raised, default))
        rows.append(
            (
                f"{number:,}",
                f"{sizes[number]:,}",
                f"{raised[number]:.1f}",
                f"{each:.3f}",
                f"{default[number]:.1f}",
                f"{beside:.3f}",
            )
        )
    note = (
        f"Microseconds of processor time, the median of {ROUNDS} interleaved rounds. The first figures are for limits "
        f"that no line comes near; the last for the default ones, by which lines beyond {DEFAULTS.max_value_length:,} "
        f"bytes are looked through for values that are too long, and cut beyond {DEFAULTS.max_bytes:,}. What a field "
        f"takes is what an event takes beyond one without fields, {raised[0]:.1f} us, shared out."
    )
    columns = ("fields", "bytes", "us", "us a field", "us, default limits", "us a field, default limits")
    return Table("Growth with the fields of an event", note, columns, tuple(rows))


def of_texts(kilobytes: int) -> dict[str, Any]:
    """Return many texts that are the same in every event."""
    number = kilobytes * 1024 // (LENGTH + len('"text.0000":"",'))
    return {f"text.{each:04}": f"{TEXT}{TEXT}"[: LENGTH - 4] + f"{each:04}" for each in range(number)}


def of_text(kilobytes: int, number: int) -> dict[str, Any]:
    """Return one long text, of which each is another."""
    length = kilobytes * 1024
    return {"text": f"{number} {TEXT * (length // len(TEXT) + 1)}"[:length]}


def by_size() -> Table:
    """Measure longer and longer lines."""
    empty = {0: repeated({})}
    counts = {kilobytes: max(20, ESTIMATE // (kilobytes * 1024)) for kilobytes in KILOBYTES}
    many, sizes = timed(empty | {size: [of_texts(size)] * number for size, number in counts.items()}, RAISED)
    long, _ = timed(
        empty | {size: [of_text(size, each) for each in range(number)] for size, number in counts.items()}, RAISED
    )
    rows = []
    for size in KILOBYTES:
        per_kilobyte = [(figures[size] - figures[0]) / size for figures in (many, long)]
        cells = (f"{many[size]:.1f}", f"{per_kilobyte[0]:.2f}", f"{long[size]:.1f}", f"{per_kilobyte[1]:.2f}")
        rows.append((f"{size} KB", f"{sizes[size]:,}", *cells))
    note = (
        f"Microseconds of processor time, the median of {ROUNDS} interleaved rounds, with limits that no line comes "
        f"near. So many kilobytes of texts of {LENGTH} characters each, which come again and are remembered as clean; "
        f"and of one text, which is new every time, and is looked through for secrets. The microseconds of a kilobyte "
        f"are beyond an event without fields."
    )
    columns = ("texts", "bytes", "many texts, us", "us a KB", "one new text, us", "us a KB")
    return Table("Growth with the size of a line", note, columns, tuple(rows))


def opened(number: int, added: Mapping[str, Any]) -> list[Transaction]:
    """Open so many events side by side, as a server does for requests that wait."""
    transactions = [Transaction(config.recorder, PAGE, "task", {}) for _ in range(number)]
    for transaction in transactions:
        with Activation(transaction.begin()):
            for key, value in added.items():
                add_field(key, value)
    return transactions


def fly(number: int) -> None:
    """Have so many events in flight at a time, and make as many as one round takes."""
    for _ in range(max(1, EVENTS // number)):
        for transaction in opened(number, EIGHT):
            transaction.end()


def held(number: int, added: Mapping[str, Any]) -> float:
    """Return the bytes that each of *number* events in flight holds, without the values, which are not ours."""
    for transaction in opened(1, added):
        transaction.end()
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    transactions = opened(number, added)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    for transaction in transactions:
        transaction.end()
    return (after - before) / number


def by_flight() -> Table:
    """Measure more and more events at a time."""
    with lines() as path:
        taken = interleaved({f"{number}": partial(fly, number) for number in IN_FLIGHT}, ROUNDS)
        made = {number: max(1, EVENTS // number) * number for number in IN_FLIGHT}
        assert path.read_bytes().count(b"\n") == (ROUNDS + 1) * sum(made.values()), "a line for every event"
        memory = {number: (held(number, EIGHT), held(number, FORTY)) for number in IN_FLIGHT}
    us = {number: taken[f"{number}"] / made[number] for number in IN_FLIGHT}
    rows = [
        (
            f"{number:,}",
            f"{us[number]:.2f}",
            f"{us[number] / us[1]:.2f}",
            *(f"{each:,.0f}" for each in memory[number]),
        )
        for number in IN_FLIGHT
    ]
    note = (
        f"So many events are opened and given {len(EIGHT)} fields, and then all are ended: microseconds of processor "
        f"time for one of them, the median of {ROUNDS} interleaved rounds. Beyond some hundred their memory no longer "
        f"fits into the processor's caches. The bytes are what tracemalloc finds held by each of them before it ends, "
        f"without the values, which are the application's."
    )
    columns = ("in flight", "us", "times the first", f"bytes held, {len(EIGHT)} fields", f"{len(FORTY)} fields")
    return Table("Growth with the events in flight", note, columns, tuple(rows))


def at_once(threads: int) -> None:
    """Share the events of one round out to so many threads."""
    events = [EIGHT] * (EVENTS // threads)
    started = [Thread(target=make, args=(events,)) for _ in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()


def by_threads() -> Table:
    """Measure more and more threads."""
    with lines() as path:
        taken = interleaved({f"{threads}": partial(at_once, threads) for threads in THREADS}, ROUNDS)
        assert path.read_bytes().count(b"\n") == (ROUNDS + 1) * EVENTS * len(THREADS), "a line for every event"
    us = {threads: taken[f"{threads}"] / EVENTS for threads in THREADS}
    rows = [(f"{threads}", f"{us[threads]:.2f}", f"{us[threads] / us[1]:.2f}") for threads in THREADS]
    note = (
        f"{EVENTS:,} events of {len(EIGHT)} fields, shared out to threads that write into one file: microseconds of "
        f"processor time of all threads for one event, the median of {ROUNDS} interleaved rounds."
    )
    return Table("Growth with the threads", note, ("threads", "us", "times the first"), tuple(rows))


def run() -> tuple[Table, ...]:
    """Measure all four."""
    return by_fields(), by_flight(), by_size(), by_threads()


if __name__ == "__main__":
    show(run())
