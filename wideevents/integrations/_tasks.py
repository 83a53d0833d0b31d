"""Follow one run of a task, from the message that asked for it to its end, whichever queue brought it."""

from __future__ import annotations

import logging
import mmap
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any, NamedTuple

from wideevents import config
from wideevents.context import REQUEST_ID, Activation, current, outgoing
from wideevents.errors import ConfigurationError
from wideevents.integrations._door import Door
from wideevents.integrations._request import checked
from wideevents.levels import Level
from wideevents.logs.lines import Origin
from wideevents.logs.stdlib import ORIGIN
from wideevents.tracecontext import TRACEPARENT, TRACESTATE, parse

SENT_AT = "wideevents-sent-at"
"""What a message says of the time it was sent at, in seconds since the epoch."""

FOREIGN = ("task.id", "task.queue")
"""Fields that whoever sends a message writes as they like, and that are redacted like any other text."""

NANOSECONDS = 1_000_000_000

FAR = 1e11
"""Seconds since the epoch that no clock shows."""

SUCCESS, FAILURE, RETRY, IGNORED, REJECTED = "success", "failure", "retry", "ignored", "rejected"
REVOKED, LOST = "revoked", "lost"

ENDINGS = {REVOKED: "cancelled", LOST: "lost"}
"""What the outcome of the event is where an error does not say it."""

TOLD_BY = frozenset(
    {
        "_handle_stopped_job",
        "_log_error",
        "handle_exception",
        "handle_work_horse_killed",
        "monitor_work_horse",
        "on_failure",
        "on_timeout",
    }
)
"""The functions in which Celery and RQ log what has become of a task, which its event tells, too."""

SETS, WAYS, ID = 512, 64, 16
"""How many sets of ids there are, how many ids a set holds, and the bytes of an id."""


class Message(NamedTuple):
    """
    Hold what a queue tells of a run.

    *attempt* is 1, and more after retries; *due* is when it was to begin, in seconds since the epoch; *headers* is what
    `departing` gave to the sender; *function* is what runs.
    """

    name: str
    id: str
    queue: str | None
    attempt: int
    due: float | None
    headers: Mapping[str, Any]
    function: Callable[..., Any] | None


@dataclass(frozen=True, slots=True)
class Tasks:
    """
    Hold the settings of one door.

    - *quiet*: names of tasks whose events are of the level debug as long as they succeed faster than *slow_ms*.
    - *slow_ms*: milliseconds.
    - *template*: fields that every event of the door has, such as the name of the framework.

    Raise `ConfigurationError` for a setting that cannot be used.
    """

    quiet: Collection[str] = ()
    slow_ms: float = 1_000
    template: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        quiet = self.quiet
        several = isinstance(quiet, tuple | list | set | frozenset)
        if not several or not all(isinstance(name, str) and name for name in quiet):
            raise ConfigurationError.of("quiet", quiet, 'a tuple of names of tasks, such as ("shop.tasks.tidy",)')
        Door(slow_ms=self.slow_ms)


class Run:
    """
    Follow one run. It is in progress in the context between `enter` and `leave`, and `end` sends its event on its way.

    Its parent is the event that sent the message. *inside* is a run within its caller, without any message: the event
    in progress there is its parent. *began* is when it began, in seconds since the epoch, where that was before. One
    that happens *elsewhere* is only watched over here: it is another process that adds to it, whose flight recorder
    follows it, and it ends here if that process does.
    """

    __slots__ = ("_activation", "_claim", "_tasks", "event", "name")

    def __init__(
        self,
        tasks: Tasks,
        message: Message,
        *,
        event_id: str | None = None,
        inside: bool = False,
        began: float = 0.0,
        elsewhere: bool = False,
    ) -> None:
        recorder, headers = config.recorder(), message.headers
        caller = current() if inside else None
        sender = parse(headers.get(TRACEPARENT), headers.get(TRACESTATE)) if caller is None else caller.span
        self.event = event = recorder.open(message.name, "task", sender, event_id=event_id)
        self.name, self._tasks, self._activation = message.name, tasks, Activation(event)
        self._claim: AbstractContextManager[bool] | None = None
        event.slow_ms, event.handler = tasks.slow_ms, message.function
        event.request_id = self._request_id(headers) if caller is None else caller.request_id
        if began:
            self._date_back(event.fields or {}, began)
        self._describe(event.fields or {}, message, began)
        if recorder.flight is not None and not elsewhere:
            recorder.flight.begin(event)

    def enter(self) -> None:
        """Make the event of the run the one in progress."""
        self._activation.resume()

    def leave(self) -> None:
        """Leave the run's context."""
        self._activation.suspend()

    def failed(self, error: BaseException, *, expected: bool = False) -> None:
        """Note what the task raised; what is *expected* of it is worth knowing, and nobody's time."""
        self.event.fail(error, expected=expected)

    def ended(self) -> None:
        """Stop the clock; what the queue does afterwards is no time of the task's."""
        self.event.ended = self.event.ended or self.event.recorder.clock.monotonic()

    def claim(self, pid: int | None) -> None:
        """
        Take hold of what the process *pid*, which is killed, has added to a run elsewhere, if a flight recorder has it.

        The event that `end` sends on its way has it, and nobody else tells of it; if somebody has done so already,
        that is its line, and there is no other.
        """
        flight = self.event.recorder.flight
        if flight is not None and pid is not None:
            self._claim = flight.take(self.event, pid)

    def end(self, outcome: str, error: BaseException | None = None, *, signal: str | None = None) -> None:
        """
        End the run, and send its event on its way. *signal* is the one that has ended its process.

        What is tried again has not failed yet: the *error* is noted as one that was handled, and the level is left as
        it is. It is the last attempt that fails.
        """
        event = self.event
        if error is not None and outcome == RETRY:
            event.fail(error, level=Level.INFO, handled=True)
        elif error is not None:
            self.failed(error)
        if event.fields is not None:
            event.fields["task.outcome"] = outcome
            if signal is not None:
                event.fields["process.exit.signal"] = signal
        event.outcome = ENDINGS.get(outcome, event.outcome)
        self.ended()
        if outcome == SUCCESS and self.name in self._tasks.quiet and event.went_well:
            event.level = Level.DEBUG
        if self._claim is None:
            event.recorder.finish(event)
            return
        with self._claim as is_untold:
            if is_untold:
                event.recorder.finish(event)
            else:
                self.drop()

    def drop(self) -> None:
        """Let go of the event: its line is written elsewhere."""
        self.event.recorder.drop(self.event)

    def _describe(self, fields: dict[str, Any], message: Message, began: float) -> None:
        fields.update(self._tasks.template)
        fields["task.name"], fields["task.id"], fields["task.attempt"] = message.name, message.id, message.attempt
        if message.queue:
            fields["task.queue"] = message.queue
        self.event.suspects.update(FOREIGN)
        if self.event.request_id is not None:
            fields["http.request.id"] = self.event.request_id
        due = message.headers.get(SENT_AT) if message.due is None else message.due
        if isinstance(due, int | float) and 0 < due < FAR:
            waited = (began or self.event.recorder.clock.now() / NANOSECONDS) - due
            fields["task.waited_ms"] = max(0, round(waited * 1_000_000)) / 1_000

    def _request_id(self, headers: Mapping[str, Any]) -> str | None:
        sent = headers.get(REQUEST_ID)
        return checked(sent, self.event.keys.redaction) if isinstance(sent, str) else None

    def _date_back(self, fields: dict[str, Any], began: float) -> None:
        passed = max(0.0, self.event.recorder.clock.now() / NANOSECONDS - began)
        self.event.started -= round(passed * NANOSECONDS)
        fields["timestamp"] = datetime.fromtimestamp(began, UTC)


class Marks:
    """
    Mark runs, by the ids of their events, in memory that a forked child shares with its parent.

    The process that runs a task and the one that watches it both know how it ends: whoever marks it first writes its
    line. An id is in a set with others, in the order of their marks, of which the oldest goes: that is one that was
    marked some ten thousand runs before, and that nobody asks for any more.
    """

    __slots__ = ("_ids", "_next")

    def __init__(self) -> None:
        self._ids = mmap.mmap(-1, SETS * WAYS * ID)
        self._next = mmap.mmap(-1, SETS)

    def add(self, event_id: str) -> bool:
        """Mark a run, and tell whether nobody had done so."""
        if event_id in self:
            return False
        number = _set_of(event_id)
        way = self._next[number]
        self._next[number] = (way + 1) % WAYS
        at = (number * WAYS + way) * ID
        self._ids[at : at + ID] = event_id.encode()
        return True

    def __contains__(self, event_id: str) -> bool:
        start = _set_of(event_id) * WAYS * ID
        return self._ids.find(event_id.encode(), start, start + WAYS * ID) >= 0


class Endings:
    """
    Hold the runs that somebody has revoked, and those whose lines are written, for a main process and its children.

    *watcher* is theirs alone: a process that has the same one shares this memory.
    """

    __slots__ = ("revoked", "watcher", "written")

    def __init__(self) -> None:
        self.revoked, self.written = Marks(), Marks()
        self.watcher = token_hex(8)


def departing() -> dict[str, Any]:
    """Return what a message carries: the headers of the event in progress, and when it was sent."""
    return {**outgoing(), SENT_AT: config.recorder().clock.now() / NANOSECONDS}


def known(record: logging.LogRecord) -> bool:
    """
    Let every record pass; one that says what has become of a task belongs to its event, which knows of it.

    A planned retry and a rejected message are logged as errors and warnings: the level is the event's to tell.
    """
    event = current()
    if event is not None and record.funcName in TOLD_BY:
        record.__dict__[ORIGIN] = tuple(Origin.of(event))
    return True


def _set_of(event_id: str) -> int:
    return int(event_id, 16) % SETS
