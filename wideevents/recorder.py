"""Open an event, let the work run, finish it exactly once, and send it on its way."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Protocol

from wideevents import exceptions
from wideevents.context import Activation, add_fields, current, variable
from wideevents.events import Event
from wideevents.forks import renew_in_child
from wideevents.frames import Application
from wideevents.interruptions import Watch, watch
from wideevents.keys import Keys
from wideevents.levels import Level
from wideevents.pipeline import Pipeline
from wideevents.tracecontext import Ids, TraceParent
from wideevents.values import text

INFO = Level.INFO  # the hot path looks nothing up in an enumeration

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
    "in_flight": 0,
}
"""Copied for every event: a dict that has its keys is cheaper to fill than one that grows, and most values stay."""

SECOND = 1_000_000_000
THREE = tuple(f"{number:03d}" for number in range(1_000))
"""The digits of milliseconds and microseconds: to look them up takes a third of the time to format them."""

ROOMY = 22
"""Entries from which on a dict has room for 42. One that grows in the middle of a request is copied there."""

EXIT_BITS = 0xFFFFFFFF if sys.platform == "win32" else 0xFF
"""What is kept of the number that a process ends with."""


@dataclass(frozen=True, slots=True)
class Clock:
    """
    Tell the time in nanoseconds: *now* since the epoch, for people, and *monotonic* for durations.

    It is an argument of the recorder, so that tests need no patching.
    """

    now: Callable[[], int] = time.time_ns
    monotonic: Callable[[], int] = time.perf_counter_ns


class Spans(Protocol):
    """Know the spans that somebody else makes in this process."""

    def place(
        self, kind: str, parent: TraceParent | None, event_id: str | None
    ) -> tuple[TraceParent | None, str | None]:
        """Return what causes a new event, and its id where it has one already; outside any span as they were given."""

    def caller(self, event: Event) -> TraceParent:
        """Return what a callee is told of its caller."""


class Flight(Protocol):
    """Hold what open events know where a kill of the process does not reach it: a flight recorder."""

    def begin(self, event: Event) -> None:
        """Follow *event*, whose first fields are there, from now on."""

    def end(self, event: Event) -> None:
        """Forget *event*: its line is written."""

    def recover(self, recorder: Recorder, /) -> int:
        """Tell of the events that processes left which have ended, and return how many there were."""

    def take(self, event: Event, pid: int, /) -> AbstractContextManager[bool]:
        """
        Take hold of what the process *pid*, which is killed, knew of *event*; who writes its line does so inside.

        By then the event has it. Whether a line is still to be written is told: somebody else may have recovered it.
        """


@dataclass(slots=True, weakref_slot=True, eq=False)
class Recorder:
    """
    Open and finish events.

    *in_progress* maps the id of every open event to it: their number is a field, and tests look for leaks in it.
    *spans* is asked for every event, where somebody else traces this process, too; *flight* is told of every one, where
    there is a flight recorder; *accepts* tells whether a request may ask to be kept.
    """

    pipeline: Pipeline[Event]
    keys: Keys
    application: Application = field(default_factory=Application)
    spans: Spans | None = None
    flight: Flight | None = None
    accepts: Callable[[str], bool] | None = None
    clock: Clock = field(default_factory=Clock)
    ids: Ids = field(default_factory=Ids)
    in_progress: dict[str, Event] = field(default_factory=dict)
    _second: tuple[int, str] = field(default=(0, ""), init=False, repr=False)

    def __post_init__(self) -> None:
        renew_in_child(self)

    def renew(self) -> None:
        """Forget what is in progress: in a forked child it is the parent's."""
        self.in_progress.clear()
        variable.set(None)

    def open(
        self,
        name: str,
        kind: str,
        parent: TraceParent | None = None,
        template: dict[str, Any] = TEMPLATE,
        *,
        event_id: str | None = None,
    ) -> Event:
        """
        Return a new event, in progress from now on.

        *kind* is request, websocket, task, batch, script or message. *parent* is what caused it, here or elsewhere, and
        whose trace it continues (W3C Trace Context). *template* is `TEMPLATE`, with the fields of a door. *event_id* is
        given where somebody else has drawn it already.
        """
        started = self.clock.monotonic()
        if self.spans is not None:
            parent, event_id = self.spans.place(kind, parent, event_id)
        fields = template.copy()
        now = self.clock.now()
        second, prefix = self._second
        since = now - second
        if not 0 <= since < SECOND:
            second, prefix = self._second = _second(now)
            since = now - second
        fields["timestamp"] = f"{prefix}{THREE[since // 1_000_000]}{THREE[since // 1_000 % 1_000]}Z"
        fields["event.name"] = name if type(name) is str else text(name)
        fields["event.id"] = event_id = event_id or self.ids.span_id()
        fields["event.kind"] = kind
        if parent is None:
            fields["trace.id"] = self.ids.trace_id()
        else:
            fields["trace.id"] = parent.trace_id
            if parent.parent_id:
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
        if event.batches is not None:
            _conclude(event)
        if not event.seal():
            return
        record = event.record
        record["duration_ms"] = (ended - event.started) // 1000 / 1000
        if event.outcome != "success":
            record["outcome"] = event.outcome
        level = event.level
        if level is not INFO:
            record["level"] = level.label
            record["alert.urgency"] = level.urgency.value
        self.in_progress.pop(event.id, None)
        self.pipeline.send(event)
        if self.flight is not None:
            self.flight.end(event)
        event.clear()

    def drop(self, event: Event) -> None:
        """Let go of *event* without a line: it is written elsewhere."""
        event.seal()
        self.in_progress.pop(event.id, None)
        if self.flight is not None:
            self.flight.end(event)
        event.clear()


class Transaction:
    """
    Run a block of work as an event of its own, inside the one in progress if there is one.

    It takes a callable for the recorder, so that a decorator at import time finds what is configured later. One that is
    inside no other is told also where a signal ends the process.
    """

    __slots__ = ("_activation", "_fields", "_inside", "_kind", "_name", "_recorder", "_watch", "event")

    def __init__(self, recorder: Callable[[], Recorder], name: str, kind: str, fields: Mapping[str, object]) -> None:
        self._recorder = recorder
        self._name = name
        self._kind = kind
        self._fields = fields

    def __enter__(self) -> Event:
        event = self.begin()
        self._activation = Activation(event)
        self._activation.resume()
        if self._fields:
            add_fields(self._fields)
        return event

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._note(error)
        self._activation.suspend()
        self.end()

    def begin(self) -> Event:
        """Open the event, which is not the one in progress yet."""
        parent = current()
        self.event = event = self._recorder().open(self._name, self._kind, None if parent is None else parent.span)
        event.suspects.add("event.name")
        self._watch: Watch | None = None
        if parent is None:
            self._watch = watch(event, self._recorder)
        else:
            event.request_id, event.waits = parent.request_id, parent.waits
        if event.recorder.flight is not None:
            event.recorder.flight.begin(event)
        return event

    def end(self, error: BaseException | None = None) -> None:
        """Finish the event, which *error* ended, if that is not noted yet."""
        if error is not None:
            self._note(error)
        self.event.recorder.finish(self.event)
        if self._watch is not None:
            self._watch.end(self.event)

    def _note(self, error: BaseException) -> None:
        """Note what the work raised, and what the process ends with where that says it."""
        note_raised(self.event, error)
        fields = self.event.fields
        if fields is None:
            return
        if isinstance(error, SystemExit):
            fields["process.exit.code"] = exit_code(error)
        elif isinstance(error, KeyboardInterrupt):
            fields["process.exit.signal"] = "SIGINT"
        elif self._kind == "script" and isinstance(error, Exception):
            fields["process.exit.code"] = 1

    def suspend(self) -> None:
        """Let a generator's consumer run outside the event."""
        self._inside = variable.get()
        self._activation.suspend()

    def resume(self) -> None:
        """Go on inside it, or in the event inside it that the generator was in."""
        self._activation.resume()
        variable.set(self._inside)


def roomy(fields: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of *fields* whose own copies have room for what a request adds, and need not grow."""
    copy = {**fields, **{f"spare {number}": None for number in range(ROOMY - len(fields))}}
    for name in copy.keys() - fields.keys():
        del copy[name]
    return copy


def _second(now: int) -> tuple[int, str]:
    """Return when the second of *now* began, in nanoseconds since the epoch, and what its timestamps begin with."""
    seconds = now // SECOND
    return seconds * SECOND, f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}."


def note_raised(event: Event, error: BaseException) -> None:
    """
    Note what work raised: a failure, or an ending that is none.

    A generator that its consumer has left succeeded; `sys.exit(0)` too; what was cancelled or interrupted is cancelled.
    """
    ended = isinstance(error, SystemExit) and (event.sealed or exit_code(error) == 0)
    if ended or isinstance(error, GeneratorExit):
        return
    if isinstance(error, (Exception, SystemExit)):
        event.fail(error)
    else:
        event.outcome = "cancelled"


def exit_code(error: SystemExit) -> int:
    """
    Return what the process ends with, as the interpreter and the operating system have it.

    None is 0, and what is no number is a message, and 1. POSIX keeps the lowest eight bits of a number.
    """
    code = exceptions.attribute(error, "code")
    if code is None:
        return 0
    return int(code) & EXIT_BITS if isinstance(code, int) else 1


def _conclude(event: Event) -> None:
    """Let the batches of *event* say in it what they came to, before it is sealed."""
    batches, event.batches = event.batches, None
    for steps in tuple((batches or {}).values()):
        steps.conclude(event)
