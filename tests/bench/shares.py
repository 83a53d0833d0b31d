"""
Measure what each safety costs: one event with everything on, and with each part left out in turn.

The variants are pipelines of the package's own parts, without the one that is asked for; the package itself has no
switch for that. Each is timed in interleaved rounds, and its instructions are counted.
"""

from __future__ import annotations

import itertools
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import chdir
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import orjson

import wideevents
from tests.bench.cachegrind import Cases, Work
from tests.bench.events import Groups, variants
from tests.bench.instructions import medians
from tests.bench.report import Table
from tests.bench.timing import interleaved
from wideevents import Redaction, add_field, config
from wideevents.entries import Entry
from wideevents.hiding import CLEAN_LIMIT
from wideevents.pipeline import Pipeline, Sink
from wideevents.recorder import Recorder, Transaction
from wideevents.serialize import OPTIONS, dumps, encode
from wideevents.sinks.lines import LinesSink
from wideevents.stages.alert import Alert
from wideevents.stages.encode import Encode
from wideevents.stages.enrich import Enrich
from wideevents.stages.gate import Gate
from wideevents.stages.redact import Redact

SIZES = (8, 40)
ROUNDS, EVENTS = 25, 400
LAYOUTS = 3
CASES = "tests.bench.shares:cases"
LINES = Path("lines.jsonl")
LONGEST = 16_000

WHOLE = "everything, as by default"
NEW = "everything, every text is new"

AGAIN = "again: "
REDACTION = "redaction of values"
NEW_VALUES = AGAIN + REDACTION

SAFETIES = (
    REDACTION,
    "redaction of keys",
    "trimming",
    "trimming and escapes",
    "alerts",
    "gate",
    "fields of service and process",
    "write to a file, not to /dev/null",
    "write",
)
SAMPLED = ("sample=10", "all three")
EXTRAS: dict[str, dict[str, Any]] = {
    "sample=10": {"sample": 10},
    "metrics": {"metrics": True},
    "flight recorder": {"flight": Path("flight")},
    "all three": {"sample": 10, "metrics": True, "flight": Path("flight")},
}

FIGURES = ("us", "share", "instructions", "share")
FORMS = ("{:,.2f}", "{:,.0f}")
"""How microseconds are written, and instructions."""
SHARES_NOTE = f"""\
One event outside any request, filled and written to a file: microseconds of processor time (the median of {ROUNDS}
interleaved rounds) and instructions (valgrind, the median of {LAYOUTS} layouts of the memory) of the whole, and how
much less it is without each part. The texts of 64 events come again and again, as most texts of a service do, and are
remembered as clean; at the end are events of which every text is new. Keys are judged when they are first seen: after
that no verdict costs anything. Each part is left out by itself, and parts that help each other do not add up."""
OPTIONS_NOTE = """\
The same events, and how much more they take with an option on. With sample=10 nine of ten are not written, which is
less, and not more."""

Row = tuple[str, ...]
Figures = tuple[Mapping[str, float], ...]
"""Microseconds, and instructions, by the name of a variant; nothing where they were not measured."""


class Blind(Redaction):
    """Hide no value for its key."""

    __slots__ = ()

    def hides(self, key: str) -> bool:
        """Return False."""
        return False


class Nowhere:
    """Write nothing."""

    def write(self, entry: Entry) -> None:
        """Leave it."""

    def close(self) -> None:
        """Hold nothing."""


def untrimmed(event: Entry) -> Entry:
    """Encode without a look at the size."""
    event.line = encode(event.record)[:-1] + event.tail
    return event


def raw(event: Entry) -> Entry:
    """Encode without a look at the size, nor at control characters."""
    event.line = dumps(event.record, None, OPTIONS)[:-1] + event.tail
    return event


def made(**settings: Any) -> Recorder:
    """Return the recorder that `configure` makes of *settings*."""
    wideevents.configure(service="bench", version="1.0.0", environment="test", output=LINES, logging=False, **settings)
    return config.recorder()


def without(whole: Recorder, kind: type, *instead: Callable[[Any], Any]) -> Recorder:
    """Return a recorder like *whole* that has no stage of *kind*, or has others *instead*."""
    found = [stage for stage in whole.pipeline.stages if isinstance(stage, kind)]
    assert len(found) == 1, f"the stages are put together in another way: {kind} is there {len(found)} times"
    stages = [each for stage in whole.pipeline.stages for each in (instead if stage in found else (stage,))]
    return replace(whole, pipeline=Pipeline(tuple(stages), whole.pipeline.sinks), in_progress={})


def into(whole: Recorder, sink: Sink) -> Recorder:
    """Return a recorder like *whole* that writes to *sink*."""
    return replace(whole, pipeline=Pipeline(whole.pipeline.stages, (sink,)), in_progress={})


def null() -> LinesSink:
    """Return a sink that takes its descriptor for a file's, whose lines go to /dev/null."""
    descriptor = os.open(LINES, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    sink = LinesSink(descriptor, longest=LONGEST)
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, descriptor)
    os.close(nothing)
    return sink


def lessened() -> dict[str, Recorder]:
    """Return the recorder with everything on, and those with one part left out."""
    whole = made()
    left = (
        without(whole, Redact),
        made(redact=Blind()),
        without(whole, Encode, untrimmed),
        without(whole, Encode, raw),
        without(whole, Alert),
        without(whole, Gate),
        without(whole, Enrich),
        into(whole, null()),
        into(whole, Nowhere()),
    )
    return {WHOLE: whole, **dict(zip(SAFETIES, left, strict=True))}


def new(size: int) -> list[Groups]:
    """Return events in which no text is remembered as clean: there are too many for that before one comes again."""
    known, numbers = variants(size), itertools.count()
    texts = sum(type(value) is str for groups in known for group in groups for value in group.values())
    return [
        [{key: anew(value, numbers) for key, value in group.items()} for group in groups]
        for _ in range(4 * CLEAN_LIMIT // texts + 1)
        for groups in known
    ]


def anew(value: Any, numbers: Iterator[int]) -> Any:
    """Return *value*, or a text that was not there before."""
    return f"{value}-{next(numbers)}" if type(value) is str else value


def making(recorder: Recorder, name: str, events: Sequence[Groups]) -> Work:
    """Return what makes so many events called *name* with *recorder*, each of *events* in turn."""
    numbers = itertools.count()

    def work(number: int) -> None:
        for each in itertools.islice(numbers, number):
            with Transaction(lambda: recorder, name, "task", {}):
                for group in events[each % len(events)]:
                    for key, value in group.items():
                        add_field(key, value)

    return work


def works() -> dict[str, Work]:
    """Return the work of every variant, for events of every size; the names of its events tell one from the other."""
    recorders = lessened() | {name: made(**settings) for name, settings in EXTRAS.items()}
    recorders |= {NEW: recorders[WHOLE], NEW_VALUES: recorders[REDACTION]}
    found: dict[str, Work] = {}
    for size in SIZES:
        known, unknown = variants(size), new(size)
        for name, recorder in recorders.items():
            events = unknown if name in {NEW, NEW_VALUES} else known
            found[named(name, size)] = making(recorder, code(len(found)), events)
    return found


def named(variant: str, size: int) -> str:
    """Return what a variant is called for events of *size* fields."""
    return f"{variant}, {size}"


def code(place: int) -> str:
    """Return what the events of the work at *place* are called: all names are as long, so that none costs more."""
    return f"page-{place:02}"


def check(names: Sequence[str], served: Mapping[str, int]) -> None:
    """See that there is a line for each event, but where none is written, or one in ten."""
    keys = {name for group in variants(min(SIZES))[0] for name in group}
    lines = [orjson.loads(line) for line in LINES.read_bytes().splitlines()]
    written = Counter(line["event.name"] for line in lines)
    for place, name in enumerate(names):
        number, found = served.get(name, 0), written[code(place)]
        least, most = (0, 0) if name.startswith("write") else (number, number)
        assert (0 if name.startswith(SAMPLED) else least) <= found <= most, f"{name}: {found} lines of {number} events"
    assert all(keys <= line.keys() for line in lines)


def cases() -> Cases:
    """Return what can be counted."""
    found = works()
    return Cases(found, partial(check, list(found)))


def timed() -> dict[str, float]:
    """Return the microseconds that one event of each variant takes."""
    with tempfile.TemporaryDirectory() as folder, chdir(folder), config.kept():
        found = works()
        taken = interleaved({name: partial(work, EVENTS) for name, work in found.items()}, ROUNDS)
        check(list(found), dict.fromkeys(found, (ROUNDS + 1) * EVENTS))
    return {name: each / EVENTS for name, each in taken.items()}


def row(name: str, whole: str, figures: Figures, sign: int = -1) -> Row:
    """Return what *name* takes less than *whole*, or more where *sign* is 1, in each of *figures* and for each size."""
    cells = [name.removeprefix(AGAIN)]
    for size, (each, form) in itertools.product(SIZES, zip(figures, FORMS, strict=True)):
        if each:
            before, after = each[named(whole, size)], each[named(name, size)]
            cells += [form.format(sign * (after - before)), f"{sign * (after / before - 1):.1%}"]
        else:
            cells += ["", ""]
    return tuple(cells)


def all_of(name: str, figures: Figures) -> Row:
    """Return the row of one that is whole."""
    cells = [name]
    for size, (each, form) in itertools.product(SIZES, zip(figures, FORMS, strict=True)):
        cells += [form.format(each[named(name, size)]) if each else "", ""]
    return tuple(cells)


def run() -> tuple[Table, ...]:
    """Measure, and return the shares of the safeties and the price of the options."""
    us = timed()
    return tables((us, medians(CASES, list(us), LAYOUTS)))


def tables(figures: Figures) -> tuple[Table, ...]:
    """Return the tables of *figures*: microseconds, and instructions."""
    columns = ("", *(f"{size} fields: {what}" if what != "share" else what for size in SIZES for what in FIGURES))
    safeties = [all_of(WHOLE, figures), *(row(name, WHOLE, figures) for name in SAFETIES)]
    safeties += [all_of(NEW, figures), row(NEW_VALUES, NEW, figures)]
    options = [all_of(WHOLE, figures), *(row(name, WHOLE, figures, 1) for name in EXTRAS)]
    return (
        Table("The share of each safety", SHARES_NOTE, columns, tuple(safeties)),
        Table("What an option costs", OPTIONS_NOTE, columns, tuple(options)),
    )
