"""Write a span of Logfire as a line: nothing is sent, nothing goes to the console, no metrics."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import logfire
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from tests.bench.applications import flask_app, starlette_app
from tests.bench.events import Groups
from tests.bench.peers import opentelemetry
from tests.bench.peers.opentelemetry import Lines, add

INSIDE = opentelemetry.INSIDE


def configure(path: Path) -> None:
    """Write to the file at *path*; nothing is looked up in the frames of the caller."""
    logfire.configure(
        send_to_logfire=False,
        console=False,
        metrics=False,
        inspect_arguments=False,
        distributed_tracing=True,
        service_name="bench",
        additional_span_processors=[SimpleSpanProcessor(Lines(path))],
    )


def event(path: Path) -> Callable[[Groups], None]:
    configure(path)

    def write(groups: Groups) -> None:
        with logfire.span("checkout") as span:
            for group in groups:
                span.set_attributes(group)

    return write


def flask(path: Path) -> Any:
    configure(path)
    app = flask_app(add)
    logfire.instrument_flask(app)
    return app


def starlette(path: Path) -> Any:
    configure(path)
    app = starlette_app(add)
    logfire.instrument_starlette(app)
    return app
