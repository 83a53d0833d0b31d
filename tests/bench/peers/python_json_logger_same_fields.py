"""Write with python-json-logger what a line of ours says: the constants are the formatter's static fields."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.bench.applications import Fields, Hooks, collecting, hooked_flask, hooked_starlette
from tests.bench.events import Groups
from tests.bench.peers.python_json_logger import logger
from tests.bench.peers.same_bytes import constants, ids


def event(path: Path) -> Callable[[Groups], None]:
    log = logger(path, constants("event"))

    def write(groups: Groups) -> None:
        started = time.perf_counter_ns()
        fields: Fields = ids()
        for group in groups:
            fields.update(group)
        fields["duration_ms"] = (time.perf_counter_ns() - started) / 1e6
        log.info(fields)

    return write


def hooks(path: Path, kind: str) -> Hooks:
    """Return what hooks into an application of *kind*."""
    found = collecting(logger(path, constants(kind)).info)
    return replace(found, begin=lambda fields: found.begin(fields | ids()))


def flask(path: Path) -> Any:
    return hooked_flask(hooks(path, "flask"))


def starlette(path: Path) -> Any:
    return hooked_starlette(hooks(path, "starlette"))
