"""Let an event be a span of OpenTelemetry's, or the child of one, and show its fields there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import orjson

from wideevents.context import current
from wideevents.events import Event
from wideevents.health import Fault, report
from wideevents.tracecontext import TraceParent
from wideevents.values import guarded

try:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
    from opentelemetry.trace import (
        INVALID_SPAN,
        Span,
        SpanContext,
        Status,
        StatusCode,
        get_current_span,
        get_tracer_provider,
    )
except ImportError as missing:
    raise ImportError("opentelemetry=True needs opentelemetry-sdk: pip install 'wideevents[otel]'") from missing

REQUESTS = frozenset({"request", "websocket"})
"""Kinds of events that are the span which they are opened in; other work is a step of it."""

STEP = "batch"
"""The kind of a step of a batch: inside another event, and with a trace of its own."""

MOST = 100
"""Attributes that a span is given: it holds 128 by default, and throws its own out for those that come later."""

OWN = frozenset({"timestamp", "trace.id"})
"""Fields that every span has in its own way."""

SCALARS = (str, bool, int, float)


@dataclass(frozen=True, slots=True)
class Opened(TraceParent):
    """
    Say what caused an event that was opened in a *span*; `parent_id` is "" where nothing did.

    The *first* event that is opened in a span is the one that its attributes tell of. For an event that is older than
    the spans in it there is no such span.
    """

    span: Span = field(default=INVALID_SPAN, compare=False)
    first: bool = False


class Spans:
    """
    Know the spans of this process, whoever makes them by the API of OpenTelemetry.

    - A request is the span that it is opened in: it has its id, and its parent. The first one is: any other event that
      is opened there is its child, and so is one whose `traceparent` names the span, which is the caller's then.
    - What the span says of the trace goes before what the headers say.
    - An event in which the first span begins takes its trace: instrumentation that stands inside a door of ours does
      not know of the event, and has begun a trace of its own.
    """

    __slots__ = ("_first", "_follows", "_provider")

    def __init__(self, provider: Callable[[], object] = get_tracer_provider) -> None:
        self._first: WeakKeyDictionary[Span, object] = WeakKeyDictionary()
        self._provider = provider
        self._follows = False

    def place(
        self, kind: str, parent: TraceParent | None, event_id: str | None
    ) -> tuple[TraceParent | None, str | None]:
        """Return what causes a new event, and its id where it has one; outside any span both are what was given."""
        placed = guarded(lambda: self._place(kind, parent, event_id), kind)
        if isinstance(placed, str):
            _report_unreadable()
            return parent, event_id
        return placed

    def caller(self, event: Event) -> TraceParent:
        """Return what a callee is told of its caller: the current span where it began in *event*, else the event."""
        told = guarded(lambda: _caller(event), event)
        if isinstance(told, str):
            _report_unreadable()
            return event.span
        return told

    def _place(
        self, kind: str, parent: TraceParent | None, event_id: str | None
    ) -> tuple[TraceParent | None, str | None]:
        span = get_current_span()
        context = span.get_span_context()
        if not context.is_valid:
            self._follow()
            return parent, event_id
        if parent is None and kind == STEP and current() is not None:
            return parent, event_id
        trace_id, span_id, flags, state = _read(context)
        told = parent if parent is not None and parent.trace_id == trace_id else None
        first = not (context.is_remote or (told is not None and told.parent_id == span_id)) and self._take(span)
        if first and kind in REQUESTS and event_id is None:
            event_id, caused = span_id, _above(span, told)
        else:
            caused = told.parent_id if told is not None and _is_in_progress(told) else span_id
        return Opened(trace_id, caused, flags, state, span, first), event_id

    def _take(self, span: Span) -> bool:
        """Tell whether nobody has taken the span; atomic, since threads may open events in one span."""
        mark = object()
        return self._first.setdefault(span, mark) is mark

    def _follow(self) -> None:
        """Look at the spans that begin, as soon as somebody has set up the SDK."""
        if self._follows:
            return
        provider = self._provider()
        if isinstance(provider, TracerProvider):
            self._follows = True
            provider.add_span_processor(_Beginnings(self))


class _Beginnings(SpanProcessor):
    """Let the event in progress know of the first span that begins in it."""

    def __init__(self, spans: Spans) -> None:
        self._spans = spans

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002 - the SDK names it
        """Look at a span that begins."""
        event = current()
        if event is None or isinstance(event.parent, Opened) or event.recorder.spans is not self._spans:
            return
        parent: SpanContext | None = getattr(span, "parent", None)
        if parent is None or parent.is_remote:
            _join(event, span.get_span_context())

    def on_end(self, span: ReadableSpan) -> None:
        """Let it end."""


def mirror(event: Event) -> Event:
    """
    Show the fields of *event* on the span that it was opened in: a stage behind all others.

    They are read from its line, so that nothing is shown that is not written. A failure sets the status of the span,
    unless somebody has. On a span that has ended, or is not recorded, nothing is shown.
    """
    opened = event.parent
    if not isinstance(opened, Opened) or not opened.first or not opened.span.is_recording():
        return event
    told = event.record.keys() - OWN
    fields = [(name, value) for name, value in orjson.loads(event.line).items() if name in told]
    opened.span.set_attributes({name: _attribute(value) for name, value in fields[:MOST]})
    status = getattr(opened.span, "status", None)
    if event.record["outcome"] == "failure" and status is not None and status.status_code is StatusCode.UNSET:
        opened.span.set_status(Status(StatusCode.ERROR, dict(fields).get("exception.message")))
    return event


def _caller(event: Event) -> TraceParent:
    span = get_current_span()
    context = span.get_span_context()
    opened = event.parent
    if not context.is_valid or (isinstance(opened, Opened) and opened.span is span):
        return event.span
    trace_id, span_id, flags, state = _read(context)
    if isinstance(opened, Opened) or trace_id == event.trace_id:
        return TraceParent(trace_id, span_id, flags, state)
    return TraceParent(event.trace_id, event.id, flags, event.span.state)  # or half a trace would be recorded


def _join(event: Event, context: SpanContext) -> None:
    """Let an event that was opened outside any span take the trace of one that has begun in it; its id stays."""
    trace_id, _, flags, state = _read(context)
    event.parent = Opened(trace_id, "" if event.parent is None else event.parent.parent_id, flags, state)
    fields = event.fields or {}
    event.trace_id = fields["trace.id"] = trace_id


def _read(context: SpanContext) -> tuple[str, str, int, str | None]:
    """Return the id of the trace, that of the span, the flags and the state, as headers have them."""
    state = context.trace_state.to_header() if context.trace_state else None
    return f"{context.trace_id:032x}", f"{context.span_id:016x}", int(context.trace_flags), state


def _above(span: Span, told: TraceParent | None) -> str:
    """Return the id of what caused *span*, or ""; one that is not recorded does not know it, but the headers may."""
    parent: SpanContext | None = getattr(span, "parent", None)
    if parent is not None:
        return f"{parent.span_id:016x}"
    return "" if told is None else told.parent_id


def _is_in_progress(told: TraceParent) -> bool:
    event = current()
    return event is not None and event.id == told.parent_id


def _attribute(value: Any) -> Any:
    """Return *value* as an attribute may be: of one type, or a list of one type; other members become text."""
    if type(value) is not list:
        return value
    kinds = {type(item) for item in value}
    if len(kinds) < 2 and kinds.issubset(SCALARS):
        return value
    return [item if type(item) is str else orjson.dumps(item).decode() for item in value]


def _report_unreadable() -> None:
    sentence = "The current span of OpenTelemetry could not be read; the event went on without it."
    report(Fault.STAGE, "opentelemetry", sentence)
