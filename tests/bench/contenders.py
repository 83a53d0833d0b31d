"""
Measure what one event costs: ours, the peers', and the least that writes a line.

Run `python -m tests.bench.contenders`. Every contender runs in a process of its own, in interleaved rounds; its lines
are parsed, and every field of every event must be there.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tests.bench import goals
from tests.bench.events import IN_A_GROUP, SIZES
from tests.bench.goals import Goal
from tests.bench.report import Table, show
from tests.bench.rounds import check, interleave

ROUNDS = 25
FIELDS_IN_A_ROUND = 20_000

EVENT, FLASK, STARLETTE = "event", "flask", "starlette"
SILENT = {"bare", "sentry"}
"""Who writes no lines."""


@dataclass(frozen=True, slots=True)
class Contender:
    """Name one of the rooms in `peers`, say what it is called in a table, and which distribution it measures."""

    name: str
    title: str
    kinds: tuple[str, ...] = (EVENT, FLASK, STARLETTE)
    distributions: tuple[str, ...] = ()


OPENTELEMETRY = ("opentelemetry-sdk", "opentelemetry-instrumentation-flask", "opentelemetry-instrumentation-starlette")

CONTENDERS = (
    Contender("bare", "nothing", (FLASK, STARLETTE)),
    Contender("plain", "floor: dict, orjson, os.write"),
    Contender("same_bytes", "floor of the same bytes", (EVENT,)),
    Contender("wideevents", "wideevents"),
    Contender("structlog_bind", "structlog, bind", (EVENT,), ("structlog",)),
    Contender("structlog_contextvars", "structlog, contextvars", distributions=("structlog",)),
    Contender("structlog_same_fields", "structlog, contextvars, our fields", distributions=("structlog",)),
    Contender("python_json_logger", "python-json-logger", distributions=("python-json-logger",)),
    Contender(
        "python_json_logger_same_fields", "python-json-logger, our fields", distributions=("python-json-logger",)
    ),
    Contender("loguru", "loguru", distributions=("loguru",)),
    Contender("opentelemetry", "OpenTelemetry, SimpleSpanProcessor", distributions=OPENTELEMETRY),
    Contender("opentelemetry_batch", "OpenTelemetry, BatchSpanProcessor", (EVENT,), OPENTELEMETRY),
    Contender("logfire", "Logfire", distributions=("logfire", *OPENTELEMETRY)),
    Contender("sentry", "sentry-sdk (writes no line)", (FLASK, STARLETTE), ("sentry-sdk",)),
    Contender("widelog", "widelog-py", distributions=("widelog-py",)),
)

PEERS = "structlog_contextvars", "python_json_logger", "loguru", "opentelemetry", "logfire", "sentry"
"""Whom to be ahead of, in every row."""

NOTE = f"""\
Microseconds of processor time for one event, all threads, the median of {ROUNDS} interleaved rounds, one process for \
each contender. Each line was parsed, and had every field of its event. The floors and wideevents add one field after \
the other; the others, which take several in a call, are given {IN_A_GROUP} at a time. wideevents redacts keys and \
values, trims, judges alerts and adds its own fields, all as by default; of the others only Logfire and widelog-py \
redact, by keys. "Our fields" means that a peer also writes the fields that a line of ours has by default, as \
constants, and fresh ids; the floor of the same bytes has all of them as constants. structlog: cached and filtering \
loggers, orjson, BytesLogger. python-json-logger: its orjson formatter, a dictionary as the message, and what the \
logging HOWTO has to save. OpenTelemetry and Logfire: an exporter of ours that writes with orjson, since the SDK's own \
costs more; of its two processors the one that writes at once is the cheaper, and the one that Logfire is given."""


def taking_part(kind: str) -> tuple[Contender, ...]:
    """Return the contenders that have something of *kind*."""
    return tuple(each for each in CONTENDERS if kind in each.kinds)


def missing(contenders: Iterable[Contender] = CONTENDERS) -> list[str]:
    """Return the distributions that the contenders need and that are not installed: the extra "bench" names them."""
    return [name for name in dict.fromkeys(d for each in contenders for d in each.distributions) if not _version(name)]


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def measure(kind: str, size: int, number: int) -> tuple[dict[str, float], dict[str, int]]:
    """Return the microseconds that each contender takes, and the bytes of its line, after a check of its lines."""
    names = [each.name for each in taking_part(kind)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        taken = interleave(names, kind, size, number, ROUNDS, path)
        written = (ROUNDS + 1) * number
        return taken, {name: check(path, name, kind, size, written) for name in names if name not in SILENT}


def of_size(size: int) -> tuple[Table, dict[str, float]]:
    """Return the table of the events with *size* fields, and what each contender took."""
    taken, bytes_ = measure(EVENT, size, FIELDS_IN_A_ROUND // (size + 10))
    rows = [
        (
            each.title,
            f"{taken[each.name]:.2f}",
            *(f"{taken[each.name] / taken[other]:.2f}" for other in ("plain", "same_bytes", "wideevents")),
            f"{bytes_[each.name]:,}",
        )
        for each in taking_part(EVENT)
    ]
    columns = ("contender", "us", "times the floor", "times the same bytes", "times wideevents", "bytes")
    return Table(f"One event of {size} fields", NOTE if size == SIZES[0] else "As above.", columns, tuple(rows)), taken


def ahead(what: str, found: list[dict[str, float]]) -> Iterator[tuple[Goal, float]]:
    """Yield for each peer what we take for *what* in times of it, in the row of *found* that is its best."""
    for each in CONTENDERS:
        if each.name in PEERS and all(each.name in row for row in found):
            yield (
                Goal(f"{what}, times {each.title}, at worst", 1),
                max(row["wideevents"] / row[each.name] for row in found),
            )


def run() -> tuple[Table, ...]:
    """Measure events of all sizes."""
    tables, reached, found = [], [], []
    plain = {10: (5.2, 4.0), 40: (4.3, 3.2), 100: (4.0, 2.9)}
    for size in SIZES:
        table, taken = of_size(size)
        tables.append(table)
        found.append(taken)
        reached += [
            (Goal(f"{size} fields, times the floor", *plain[size]), taken["wideevents"] / taken["plain"]),
            (Goal(f"{size} fields, times the same bytes", 3.2, 2.3), taken["wideevents"] / taken["same_bytes"]),
        ]
    return *tables, goals.table("one event", [*reached, *ahead("an event", found)])


if __name__ == "__main__":
    show(run())
