"""Open an event, let the work run, finish it exactly once, and send it on its way."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from wideevents.context import Activation, add_fields, current
from wideevents.events import Event
from wideevents.forks import renew_in_child
from wideevents.frames import Application
from wideevents.keys import Keys
from wideevents.levels import Level
from wideevents.pipeline import Pipeline
from wideevents.tracecontext import Ids, TraceParent
from wideevents.values import text

TEMPLATE: dict[str, Any] = {
    "timestamp": None,
    "event.name": None,
    "event.id": None,
    "event.kind": None,
    "duration_ms": 0.0,
    "outcome": "success",
    "level": Level.INFO.label,
    "alert.urgency": Level.INFO.urgency.value,
    "trace.id": None,
}
"""Copied for every event: a dict that has its keys is cheaper to fill than one that grows, and most values stay."""


@dataclass(frozen=True, slots=True)
class Clock:
    """
    Tell the time: *now* in seconds since the epoch, for people, and *monotonic* in nanoseconds, for durations.

    It is an argument of the recorder, so that tests need no patching.
    """

    now: Callable[[], float] = time.time
    monotonic: Callable[[], int] = time.perf_counter_ns


@dataclass(slots=True, weakref_slot=True, eq=False)
class Recorder:
    """
    Open and finish events.

    *in_progress* maps the id of every open event to it: their number is a field, and tests look for leaks in it.
    """

    pipeline: Pipeline[Event]
    keys: Keys
    clock: Clock = field(default_factory=Clock)
    ids: Ids = field(default_factory=Ids)
    application: Application = field(default_factory=Application)
    in_progress: dict[str, Event] = field(default_factory=dict)

    def __post_init__(self) -> None:
        renew_in_child(self)

    def renew(self) -> None:
        """Forget what is in progress: in a forked child it is the parent's. What the child still adds must not hang."""
        for event in self.in_progress.values():
            event.renew_lock()
        self.in_progress.clear()

    def open(self, name: str, kind: str, parent: TraceParent | None = None, *, event_id: str | None = None) -> Event:
        """
        Return a new event, in progress from now on.

        *kind* is request, websocket, task, batch, script or message. *parent* is what caused it, here or elsewhere, and
        whose trace it continues (W3C Trace Context). *event_id* is given where somebody else has drawn it already.
        """
        started = self.clock.monotonic()
        fields = TEMPLATE.copy()
        fields["timestamp"] = datetime.fromtimestamp(self.clock.now(), UTC)
        fields["event.name"] = name if type(name) is str else text(name)
        fields["event.id"] = event_id = event_id or self.ids.span_id()
        fields["event.kind"] = kind
        if parent is None:
            fields["trace.id"] = self.ids.trace_id()
        else:
            fields["trace.id"] = parent.trace_id
            fields["parent.id"] = parent.parent_id
        event = self.in_progress[event_id] = Event(self.keys, self, fields, started, parent)
        fields["in_flight"] = len(self.in_progress)
        return event

    def finish(self, event: Event) -> None:
        """
        Seal *event* and send it through the pipeline; the second call does nothing.

        The event ended when `event.ended` says, where that is set, else now: what comes after the last byte is not its
        time.
        """
        ended = event.ended or self.clock.monotonic()
        if not event.seal():
            return
        record = event.record
        record["duration_ms"] = (ended - event.started) // 1000 / 1000
        if event.outcome != "success":
            record["outcome"] = event.outcome
        level = event.level
        if level is not Level.INFO:
            record["level"] = level.label
            record["alert.urgency"] = level.urgency.value
        self.in_progress.pop(event.id, None)
        self.pipeline(event)
        event.clear()


class Transaction:
    """
    Run a block of work as an event of its own, inside the one in progress if there is one.

    It takes a callable for the recorder, so that a decorator at import time finds what is configured later.
    """

    __slots__ = ("_activation", "_fields", "_kind", "_name", "_recorder", "event")

    def __init__(self, recorder: Callable[[], Recorder], name: str, kind: str, fields: Mapping[str, object]) -> None:
        self._recorder = recorder
        self._name = name
        self._kind = kind
        self._fields = fields

    def __enter__(self) -> Event:
        parent = current()
        self.event = self._recorder().open(self._name, self._kind, None if parent is None else parent.span)
        if parent is not None:
            self.event.request_id = parent.request_id
        self._activation = Activation(self.event)
        self._activation.resume()
        self.event.suspects.add("event.name")
        add_fields(self._fields)
        return self.event

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            note_raised(self.event, error)
        self._activation.suspend()
        self.event.recorder.finish(self.event)

    def suspend(self) -> None:
        """Let a generator's consumer run outside the event."""
        self._activation.suspend()

    def resume(self) -> None:
        """Go on inside it."""
        self._activation.resume()


def note_raised(event: Event, error: BaseException) -> None:
    """
    Note what work raised: a failure, or an ending that is none.

    A generator that its consumer has left succeeded; `sys.exit(0)` too; what was cancelled or interrupted is cancelled.
    """
    if isinstance(error, GeneratorExit) or (isinstance(error, SystemExit) and _succeeded(error.code)):
        return
    if isinstance(error, (Exception, SystemExit)):
        event.fail(error)
    else:
        event.outcome = "cancelled"


def _succeeded(code: object) -> bool:
    """Read an exit code as the interpreter does; what is no number is a message, and a failure."""
    return code is None or (isinstance(code, int) and code == 0)
