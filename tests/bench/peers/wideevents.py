"""Write as we do, with everything on that is on by default."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import wideevents
from tests.bench.applications import each, flask_app, starlette_app
from tests.bench.events import Groups
from wideevents.integrations.asgi import WideEvents as Asgi
from wideevents.integrations.flask import WideEvents


def configure(path: Path, *, takeover: bool = True) -> None:
    """Write to the file at *path*; without *takeover* loggers and threads are left alone, which is not the default."""
    wideevents.configure(
        service="bench", version="1.0.0", environment="test", output=path, logging=takeover, threads=takeover
    )


def event(path: Path) -> Callable[[Groups], None]:
    configure(path)
    return writing()


def writing() -> Callable[[Groups], None]:
    """Return what writes an event to where it is configured."""
    event, add_field = wideevents.event, wideevents.add_field

    def write(groups: Groups) -> None:
        with event("checkout"):
            for group in groups:
                for key, value in group.items():
                    add_field(key, value)

    return write


def flask(path: Path) -> Any:
    configure(path)
    return watched_flask()


def watched_flask() -> Any:
    """Return the application for Flask, watched."""
    app = flask_app(each(wideevents.add_field))
    WideEvents(app)
    return app


def starlette(path: Path) -> Any:
    configure(path)
    return watched_starlette()


def watched_starlette() -> Any:
    """Return the application for Starlette, watched."""
    return Asgi(starlette_app(each(wideevents.add_field)))
