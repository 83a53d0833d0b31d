"""Write with logging and python-json-logger: a dictionary is collected, and logged as the message."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from pythonjsonlogger.orjson import OrjsonFormatter

from tests.bench.applications import Fields, Hooks, collecting
from tests.bench.events import Groups


def logger(path: Path, told: Fields | None = None) -> logging.Logger:
    """
    Return a logger that collects nothing which is not asked for, as the logging HOWTO's section "Optimization" has it.

    What is *told* stands in every line.
    """
    for name in ("logThreads", "logProcesses", "logMultiprocessing", "logAsyncioTasks", "_srcfile"):
        setattr(logging, name, None)
    handler = logging.FileHandler(path)
    handler.setFormatter(OrjsonFormatter(["levelname", "name"], timestamp=True, static_fields=told))
    found = logging.getLogger("bench")
    found.handlers, found.propagate = [handler], False
    found.setLevel(logging.INFO)
    return found


def event(path: Path) -> Callable[[Groups], None]:
    log = logger(path)

    def write(groups: Groups) -> None:
        fields: Fields = {"event": "checkout"}
        for group in groups:
            fields.update(group)
        log.info(fields)

    return write


def hooks(path: Path) -> Hooks:
    return collecting(logger(path).info)
