"""Write with structlog and a logger that is bound again and again, as its page on performance has it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.bench.events import Groups
from tests.bench.peers.structlog_contextvars import logger


def event(path: Path) -> Callable[[Groups], None]:
    unbound = logger(path)

    def write(groups: Groups) -> None:
        log = unbound
        for group in groups:
            log = log.bind(**group)
        log.info("checkout")

    return write
