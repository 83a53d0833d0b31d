"""Write with widelog-py; its sink writes with orjson, which is faster than its own printing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from widelog import WidelogMiddleware, init, use_logger, wide_event

from tests.bench.applications import Fields, around, flask_app, starlette_app
from tests.bench.events import Groups
from tests.bench.peers.plain import appended


def use(path: Path) -> None:
    """Write to the file at *path*."""
    descriptor = appended(path)
    init(
        service="bench",
        environment="test",
        sink=lambda fields: os.write(descriptor, orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)),
    )


def event(path: Path) -> Callable[[Groups], None]:
    use(path)

    def write(groups: Groups) -> None:
        with wide_event(event="checkout") as log:
            for group in groups:
                log.set(group)

    return write


def add(fields: Fields) -> None:
    """Add *fields* to the event of the request."""
    use_logger().set(fields)


@contextmanager
def scope(fields: Fields) -> Iterator[Callable[..., None]]:
    """Open an event for a request: for WSGI widelog has nothing of its own."""
    with wide_event(**fields) as log:
        yield log.set


def flask(path: Path) -> Any:
    use(path)
    return around(flask_app(add), scope)


def starlette(path: Path) -> Any:
    use(path)
    return WidelogMiddleware(starlette_app(add))
