"""Know the event in progress, and add to it from anywhere below."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from itertools import islice
from time import perf_counter_ns
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from wideevents import health
from wideevents.events import SMALL, Event
from wideevents.health import Fault
from wideevents.levels import Level
from wideevents.tracecontext import render
from wideevents.values import guarded, name_of, text
from wideevents.wrapping import wrap

P = ParamSpec("P")
R = TypeVar("R")

ENDLESS = 50_000
"""Fields of one mapping that are read; one that never ends must not be waited for."""

REQUEST_ID = "x-request-id"
"""The header that the id of a request travels in, from service to service."""

variable: ContextVar[Event | None] = ContextVar("wideevents.event", default=None)
"""The event in progress. It is set afresh for every transaction, and what it holds is mutated, never re-bound."""

_get = variable.get

LEAST = -SMALL
"""The hot path negates nothing."""


def current() -> Event | None:
    """Return the event in progress, or None: outside any, and once it has ended."""
    event = _get()
    return None if event is None or event.fields is None else event


def add_field(key: str, value: Any, /) -> None:
    """
    Add a field to the event in progress; the last value wins.

    Any value can be added. A mapping is flattened into dotted keys, other containers are copied, foreign objects become
    text at this call. None takes the field away. Outside any event nothing happens, and is counted.
    """
    event = _get()
    if event is None:
        _miss(key)
        return
    fields = event.fields
    if fields is not None and type(key) is str and key in event.plain:
        kind = type(value)
        if kind is str:
            if value not in event.clean:
                event.suspects.add(key)
            fields[key] = value
            if event.fields is fields:
                return
        elif (
            (kind is int and LEAST < value < SMALL)
            or kind is bool
            or (kind is float and value - value == 0)  # false for NaN and for infinity
        ):
            fields[key] = value
            if event.fields is fields:
                return
    event.put(key, value)


def add_fields(mapping: Mapping[str, object] | None = None, /, **named: object) -> None:
    """
    Add several fields: from *mapping*, whose keys may have dots, and by name.

    Shape: `add_fields({"cart.items": 3}, plan="STARTER")`.
    """
    if mapping is not None:
        for key, value in _pairs(mapping):
            add_field(key, value)
    for key, value in named.items():
        add_field(key, value)


def increment(key: str, amount: float = 1, /) -> None:
    """Add *amount* to the counter *key*, which begins at zero; exact when several threads write."""
    event = _get()
    if event is None:
        _miss(key)
    else:
        event.add(key, amount)


def append(key: str, value: object, /) -> None:
    """Let the list *key* grow by *value*; exact when several threads write. It holds at most 1,000 items."""
    event = _get()
    if event is None:
        _miss(key)
    else:
        event.append(key, value)


def add_error(error: BaseException, /, *, level: Level | str = Level.WARNING, expected: bool = False) -> None:
    """
    Note an exception that was handled: `error.*` and `exception.*`, and the event is at least a *level*.

    An *expected* one leaves the level as it is: it is worth knowing, and nobody's time. A level that does not exist is
    reported, and taken as a warning.
    """
    event = _get()
    if event is None:
        _miss("error")
    else:
        event.fail(error, level=_level(level), handled=True, expected=expected)


def keep() -> None:
    """
    Let the event in progress be written, whatever the sampling and the level say of it.

    For what somebody will ask about: a customer whom support is looking after, a request that is being debugged.
    """
    event = _get()
    if event is None:
        _miss("keep")
    else:
        event.keep = True


class timer:  # noqa: N801 - a verb of the face, which reads as one
    """
    Time a step of the event in progress: `<name>.duration_ms` adds up, `<name>.count` counts.

    A context manager, and a decorator for functions of every kind; exact when several threads write. It holds its own
    start, so that one object serves one block at a time.
    """

    __slots__ = ("_event", "_name", "_started")

    def __init__(self, name: str, /) -> None:
        self._name = name if type(name) is str else text(name)

    def __enter__(self) -> None:
        self._event = _get()
        self._started = perf_counter_ns()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ended = perf_counter_ns()
        if self._event is None:
            _miss(self._name)
        else:
            self._event.spend(self._name, ended - self._started)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Time every call of *function*."""
        return wrap(function, lambda: timer(self._name))

    def suspend(self) -> None:
        """Go on: what a generator's consumer takes is part of the step."""

    def resume(self) -> None:
        """Go on."""


def outgoing() -> dict[str, str]:
    """
    Return the headers that a call out carries: `traceparent`, `tracestate`, `x-request-id`; none outside any event.

    The event in progress is the parent of what the callee does (W3C Trace Context), or the span that has begun in it.
    """
    event = current()
    if event is None:
        return {}
    spans = event.recorder.spans
    headers = render(event.span if spans is None else spans.caller(event))
    if event.request_id is not None:
        headers[REQUEST_ID] = event.request_id
    return headers


class Activation:
    """
    Make *event* the one in progress, for as long as the block or one step of a generator runs.

    It restores by setting what was there: a token may not be reset in another context than its own.
    """

    __slots__ = ("_event", "_previous")

    def __init__(self, event: Event | None) -> None:
        self._event = event

    def resume(self) -> None:
        """Set the event."""
        self._previous = _get()
        variable.set(self._event)

    def suspend(self) -> None:
        """Set again what was there before."""
        variable.set(self._previous)

    def __enter__(self) -> None:
        self.resume()

    def __exit__(self, *raised: object) -> None:
        self.suspend()


def carry(function: Callable[P, R], /) -> Callable[P, R]:
    """
    Return *function* bound to the event in progress here, to be run where we cannot see: another library's thread.

    Threads, thread pools and tasks started inside an event need none of this.
    """
    event = current()
    return wrap(function, lambda: Activation(event))


def _pairs(mapping: Any) -> list[tuple[Any, Any]]:
    pairs = guarded(lambda: [(key, value) for key, value in islice(mapping.items(), ENDLESS)], mapping)
    if isinstance(pairs, str):
        sentence = f"add_fields() was given a {name_of(type(mapping))}, which is no mapping; nothing was added."
        health.report(Fault.BAD_VALUE, "add_fields", sentence)
        return []
    return pairs


def _level(level: Level | str) -> Level:
    parsed = guarded(lambda: Level.parse(level), level)
    if isinstance(parsed, Level):
        return parsed
    sentence = f"add_error() was given the level {text(level)!r}, which there is not; it was taken as a warning."
    health.report(Fault.BAD_VALUE, "add_error", sentence)
    return Level.WARNING


def _miss(key: object) -> None:
    sentence = (
        f"The field {text(key)!r} was added outside any event, and is in no line. Work that is no request belongs in "
        f"an event of its own: with wideevents.event(...)."
    )
    health.report(Fault.NO_EVENT, "add_field", sentence)
