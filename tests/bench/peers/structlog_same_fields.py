"""Write with structlog and its context variables what a line of ours says: the constants are bound once."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from structlog.contextvars import bind_contextvars, clear_contextvars, merge_contextvars

from tests.bench.applications import Hooks, hooked_flask, hooked_starlette
from tests.bench.events import Groups
from tests.bench.peers.same_bytes import constants, ids
from tests.bench.peers.structlog_contextvars import hooking, logger


def event(path: Path) -> Callable[[Groups], None]:
    log = logger(path, merge_contextvars).bind(**constants("event"))

    def write(groups: Groups) -> None:
        started = time.perf_counter_ns()
        clear_contextvars()
        for group in groups:
            bind_contextvars(**group)
        log.info("checkout", **ids(), duration_ms=(time.perf_counter_ns() - started) / 1e6)

    return write


def hooks(path: Path, kind: str) -> Hooks:
    """Return what hooks into an application of *kind*."""
    found = hooking(logger(path, merge_contextvars).bind(**constants(kind)))
    return replace(found, begin=lambda fields: found.begin(fields | ids()))


def flask(path: Path) -> Any:
    return hooked_flask(hooks(path, "flask"))


def starlette(path: Path) -> Any:
    return hooked_starlette(hooks(path, "starlette"))
