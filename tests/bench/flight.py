"""
Measure what the flight recorder adds to an event, and to each of its fields.

Run `make bench`. Short rounds with and without it follow each other in one process, by its processor time; the figures
are the medians of the rounds, and what is added is the median of the differences between neighbours.
"""

from __future__ import annotations

import gc
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import wideevents
from tests.bench import goals
from tests.bench.goals import Goal
from tests.bench.report import Table, show
from wideevents import config
from wideevents.context import add_field, variable
from wideevents.events import Event
from wideevents.flight import Flight
from wideevents.recorder import Recorder
from wideevents.sinks.memory import MemorySink

ROUNDS = 400
EVENTS = 50
FIELDS = 1_000
KEYS = 20
"""Fields of one event that are set in turn: what comes after them is behind them in the journal."""

IN_FLIGHT = 10_000

EVENT, FIELD = Goal("an event, ns added", 2_000), Goal("a field, ns added", 400)

DEFAULTS: dict[str, Any] = {
    "framework.name": "flask",
    "framework.version": "3.1.3",
    "http.request.id": "4bf92f3577b34da6a3ce929d0e0e4736",
    "http.request.method": "GET",
    "url.path": "/hello/world",
    "url.scheme": "https",
    "url.query": "page=2&sort=price",
    "server.address": "shop.example.com",
    "client.address": "192.168.10.24",
    "user_agent.original": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0",
}
"""What a door knows at the beginning, beside what every event has."""

ENDING: dict[str, Any] = {
    "http.route": "/hello/<name>",
    "event.name": "GET /hello/<name>",
    "http.response.status_code": 200,
    "http.response.body.size": 1_204,
    "ttfb_ms": 12.345,
    "flask.endpoint": "hello",
}
"""What it knows at the end."""

VALUES: tuple[Any, ...] = ("STARTER", 42, True, 12.5)


def run() -> tuple[Table, ...]:
    """Measure, and return the table and the goals."""
    with tempfile.TemporaryDirectory() as folder, config.kept():
        wideevents.configure(service="bench", output=MemorySink(), logging=False)
        recorder, flight = config.recorder(), Flight(Path(folder) / "flight")
        recorder.keys.clean.update(each for each in VALUES if type(each) is str)
        event = _compared(partial(_events, recorder), flight)
        field = _compared(partial(_fields, recorder), flight)
        held, taken = _in_flight(recorder, flight)
    rows = (
        ("an event: begun, concluded, ended", *(f"{each:,.0f}" for each in event)),
        ("a field", *(f"{each:,.0f}" for each in field)),
        ("an event, while 10,000 others are in flight", "", "", held),
        ("memory and disk of an event in flight", "", "", taken),
    )
    note = (
        "Nanoseconds of processor time for one, the medians of rounds that follow each other in one process: without a "
        "flight recorder, with one, and what it adds. An event has 25 fields when it begins and six more at its end; "
        "its line is not among it. The directory is on a disk, not in memory."
    )
    return (
        Table("The flight recorder", note, ("what", "without", "with", "added"), rows),
        goals.table("flight recorder", [(EVENT, event[-1]), (FIELD, field[-1])]),
    )


def _compared(work: Callable[[Flight | None], float], flight: Flight) -> tuple[float, float, float]:
    """Return what *work* takes without a flight recorder and with one, and what that adds."""
    gc.collect()
    gc.disable()
    try:
        rounds = [(work(None), work(flight)) for _ in range(ROUNDS)]
    finally:
        gc.enable()
    off, on = (statistics.median(each[place] for each in rounds) for place in (0, 1))
    added = statistics.median(with_it - without for without, with_it in rounds)
    return off, on, added


def _begun(recorder: Recorder, flight: Flight | None) -> Event:
    event = recorder.open("GET", "request")
    (event.fields or {}).update(DEFAULTS)
    if flight is not None:
        flight.begin(event)
    return event


def _ended(recorder: Recorder, flight: Flight | None, event: Event) -> None:
    event.seal()
    recorder.in_progress.clear()
    if flight is not None:
        flight.end(event)
    event.clear()


def _events(recorder: Recorder, flight: Flight | None) -> float:
    """Return what an event takes, all but its line."""
    before = time.process_time_ns()
    for _ in range(EVENTS):
        event = _begun(recorder, flight)
        (event.fields or {}).update(ENDING)
        _ended(recorder, flight, event)
    return (time.process_time_ns() - before) / EVENTS


def _fields(recorder: Recorder, flight: Flight | None) -> float:
    """Return what a field takes, of events that have some."""
    pairs = [(f"user.field_{number}", VALUES[number % len(VALUES)]) for number in range(KEYS)]
    taken = 0
    for _ in range(FIELDS // KEYS):
        event = _begun(recorder, flight)
        variable.set(event)
        before = time.process_time_ns()
        for key, value in pairs:
            add_field(key, value)
        taken += time.process_time_ns() - before
        _ended(recorder, flight, event)
    variable.set(None)
    return taken / FIELDS


def _in_flight(recorder: Recorder, flight: Flight) -> tuple[str, str]:
    """Return what an event adds among many, and what each of them takes."""
    blocks = _blocks(flight)
    events = [_begun(recorder, flight) for _ in range(IN_FLIGHT)]
    grown = (_blocks(flight) - blocks) / IN_FLIGHT
    rounds = [(_events(recorder, None), _events(recorder, flight)) for _ in range(ROUNDS // 4)]
    added = statistics.median(on - off for off, on in rounds)
    for event in events:
        _ended(recorder, flight, event)
    return f"{added:,.0f}", f"{grown:,.0f} bytes"


def _blocks(flight: Flight) -> int:
    """Return the bytes of the disk that the files of *flight* take."""
    return sum(path.stat().st_blocks * 512 for path in flight.directory.iterdir())


if __name__ == "__main__":
    show(run())
