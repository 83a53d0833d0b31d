"""Write with structlog and its context variables, as its page on performance has it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import structlog
from structlog.contextvars import bind_contextvars, clear_contextvars, merge_contextvars

from tests.bench.applications import Fields, Hooks
from tests.bench.events import Groups


def logger(path: Path, *first: Any) -> Any:
    """Return a logger that is cached, filters by class, and writes bytes; *first* are the first processors."""
    structlog.configure(
        processors=[
            *first,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=orjson.dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.BytesLoggerFactory(path.open("ab")),
        cache_logger_on_first_use=True,
    )
    return structlog.get_logger().bind(service="bench")


def event(path: Path) -> Callable[[Groups], None]:
    log = logger(path, merge_contextvars)

    def write(groups: Groups) -> None:
        clear_contextvars()
        for group in groups:
            bind_contextvars(**group)
        log.info("checkout")

    return write


def hooks(path: Path) -> Hooks:
    return hooking(logger(path, merge_contextvars))


def hooking(log: Any) -> Hooks:
    """Bind what a request says as it goes, and write it with *log*."""

    def begin(fields: Fields) -> None:
        clear_contextvars()
        bind_contextvars(**fields)

    return Hooks(begin, lambda fields: bind_contextvars(**fields), lambda fields: log.info("request", **fields))
