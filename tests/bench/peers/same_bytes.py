"""Do the least that writes the bytes of our line: the plain floor, with the fields that we add as constants."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import orjson

from tests.bench.applications import Fields
from tests.bench.events import Groups
from tests.bench.flask_request import FIELDS
from tests.bench.peers import plain
from tests.bench.peers.wideevents import configure, watched_flask, watched_starlette, writing
from tests.bench.raw import serve_asgi, serve_wsgi

FRESH = {"timestamp", "level", "duration_ms", "event.id", "trace.id"}
"""What a line says anew each time, or what every library says in its own words."""


def ours(kind: str) -> Fields:
    """Return the fields that a line of ours of *kind* has on its own."""
    with tempfile.TemporaryDirectory() as folder:
        sample = Path(folder, "sample.jsonl")
        # Neither threads nor loggers are touched, since another contender is measured in this process.
        configure(sample, takeover=False)
        if kind == "event":
            writing()([])
        elif kind == "flask":
            serve_wsgi(watched_flask(), 1)
        else:
            serve_asgi(watched_starlette(), 1)
        told: Fields = orjson.loads(sample.read_bytes())
    return {key: value for key, value in told.items() if key not in FIELDS}


def constants(kind: str) -> Fields:
    """Return the fields that are the same in every line of ours of *kind*."""
    return {key: value for key, value in ours(kind).items() if key not in FRESH}


def ids() -> Fields:
    """Return fresh ids."""
    return {"event.id": os.urandom(16).hex(), "trace.id": os.urandom(16).hex()}


def event(path: Path) -> Callable[[Groups], None]:
    write, told = plain.event(path), [ours("event")]
    return lambda groups: write(told + groups)
