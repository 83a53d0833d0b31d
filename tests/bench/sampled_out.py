"""
Measure what a request of Flask costs that is sampled out, and so writes no line.

Run `python -m tests.bench.sampled_out`. One application is served without a door, behind one whose every event is
written, and behind the same with a rate at which nearly none is.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import chdir
from functools import partial
from pathlib import Path

from flask import Flask

import wideevents
from tests.bench import goals
from tests.bench.cachegrind import Cases, Work
from tests.bench.flask_request import FIELDS, hello, serve
from tests.bench.goals import Goal
from tests.bench.instructions import medians
from tests.bench.report import Table, show
from tests.bench.timing import interleaved
from wideevents import config
from wideevents.integrations.flask import WideEvents
from wideevents.logs.lines import Logs
from wideevents.recorder import Recorder

ROUNDS, REQUESTS = 25, 500
LAYOUTS = 3
RATE = 1_000_000
FIRSTS = 3
"""The first of the route is kept, in each process: there are up to three."""

CASES = "tests.bench.sampled_out:cases"
LINES = Path("lines.jsonl")

Configured = tuple[Recorder, Logs]

BARE, WRITTEN, SAMPLED_OUT = "without a door", "written", "sampled out"

NOTE = f"""\
Microseconds of processor time (the median of {ROUNDS} interleaved rounds) and instructions (valgrind, the median of
{LAYOUTS} layouts of the memory) of a request to which {len(FIELDS)} fields are added, and what of it is ours. One of
{RATE:,} is kept, and the first of its route."""
GOAL = Goal("a request of Flask that is sampled out, us added", 10)


def works() -> dict[str, Work]:
    """Return what serves so many requests in each way."""
    watched, bare = hello(wideevents.add_field), hello(None)
    WideEvents(watched)
    return {
        BARE: partial(serve_flask, bare, configured(None)),
        WRITTEN: partial(serve_flask, watched, configured(None)),
        SAMPLED_OUT: partial(serve_flask, watched, configured(RATE)),
    }


def configured(sample: int | None) -> Configured:
    """Configure the process, and return what can be put in use again."""
    wideevents.configure(
        service="bench", version="1.0.0", environment="test", output=LINES, logging=False, sample=sample
    )
    return config.recorder(), config.logs()


def serve_flask(app: Flask, used: Configured, number: int) -> None:
    """Serve requests, and hold the application meanwhile: the door does not."""
    config.use(*used)
    serve(app.wsgi_app, number)


def check(served: Mapping[str, int]) -> None:
    """See that what is sampled out is not written, and that all else is."""
    lines = LINES.read_bytes().count(b"\n")
    kept = lines - served.get(WRITTEN, 0)
    assert 0 <= kept <= FIRSTS + served.get(SAMPLED_OUT, 0) / 1_000, f"{lines} lines of {served}"


def cases() -> Cases:
    """Return what can be counted."""
    return Cases(works(), check)


def timed() -> dict[str, float]:
    """Return the microseconds that a request takes in each way."""
    with tempfile.TemporaryDirectory() as folder, chdir(folder), config.kept():
        found = works()
        taken = interleaved({name: partial(work, REQUESTS) for name, work in found.items()}, ROUNDS)
        check(dict.fromkeys(found, (ROUNDS + 1) * REQUESTS))
    return {name: each / REQUESTS for name, each in taken.items()}


def run() -> tuple[Table, ...]:
    """Measure, and return the table and the goal."""
    us, instructions = timed(), medians(CASES, (BARE, WRITTEN, SAMPLED_OUT), LAYOUTS)
    rows = []
    for name in us:
        told = [f"{us[name]:.2f}", f"{us[name] - us[BARE]:.2f}", "", ""]
        if instructions:
            told[2:] = f"{instructions[name]:,.0f}", f"{instructions[name] - instructions[BARE]:,.0f}"
        rows.append((name, *told))
    columns = ("", "us", "us added", "instructions", "instructions added")
    return (
        Table("A request that is sampled out", NOTE, columns, tuple(rows)),
        goals.table("sampling", [(GOAL, us[SAMPLED_OUT] - us[BARE])]),
    )


if __name__ == "__main__":
    show(run())
