"""Write a span of OpenTelemetry's SDK as a line, when it ends."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import get_current_span

from tests.bench.applications import Fields, flask_app, starlette_app
from tests.bench.events import Groups
from tests.bench.peers.plain import appended

INSIDE = ("attributes",)


class Lines(SpanExporter):
    """Write what makes a span in one line with orjson, since the SDK's own `to_json` costs several times that."""

    def __init__(self, path: Path) -> None:
        self.descriptor = appended(path)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        os.write(self.descriptor, b"".join(map(line, spans)))
        return SpanExportResult.SUCCESS


def line(span: ReadableSpan) -> bytes:
    """Return *span* as a line of JSON."""
    context, parent = span.context, span.parent
    told = {
        "name": span.name,
        "trace_id": f"{context.trace_id:032x}",
        "span_id": f"{context.span_id:016x}",
        "parent_id": f"{parent.span_id:016x}" if parent else None,
        "kind": span.kind.name,
        "start": span.start_time,
        "end": span.end_time,
        "status": span.status.status_code.name,
        "attributes": dict(span.attributes or {}),
        "resource": dict(span.resource.attributes),
    }
    return orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE)


def provider(path: Path, processor: Callable[[SpanExporter], SpanProcessor] = SimpleSpanProcessor) -> TracerProvider:
    """Return what makes spans, and writes them to the file at *path*."""
    made = TracerProvider(resource=Resource({"service.name": "bench"}))
    made.add_span_processor(processor(Lines(path)))
    return made


def spans(provider: TracerProvider) -> Callable[[Groups], None]:
    """Return what writes an event as a span."""
    tracer = provider.get_tracer("bench")

    def write(groups: Groups) -> None:
        with tracer.start_as_current_span("checkout") as span:
            for group in groups:
                span.set_attributes(group)

    return write


def event(path: Path) -> Callable[[Groups], None]:
    return spans(provider(path))


def add(fields: Fields) -> None:
    """Add *fields* to the span of the request."""
    get_current_span().set_attributes(fields)


def flask(path: Path) -> Any:
    app = flask_app(add)
    FlaskInstrumentor().instrument_app(app, tracer_provider=provider(path))
    return app


def starlette(path: Path) -> Any:
    # Without the spans of each message, which are three lines more a request.
    return OpenTelemetryMiddleware(
        starlette_app(add), tracer_provider=provider(path), exclude_spans=["receive", "send"]
    )
