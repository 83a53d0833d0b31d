"""Make one request, as a server does, and catch what comes out."""

from __future__ import annotations

import io
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from logging.handlers import QueueHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes
from wsgiref.util import setup_testing_defaults

from wideevents import config, context
from wideevents.doctor.attempts import Raised, attempt
from wideevents.doctor.calls import Passage, Setup, noted
from wideevents.events import Event
from wideevents.levels import Level
from wideevents.pipeline import Pipeline
from wideevents.recorder import Recorder
from wideevents.sinks.memory import MemorySink

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

CANARY = "wideevents.doctor"
"""The logger of the one line that is logged inside the request, to see what becomes of it."""

SONG = "One line of wideevents.doctor, to see where log lines go."

ENDLESS = 10.0
"""Seconds after which a body is left that does not end."""

PATIENCE = 0.5
"""Seconds in which a queue has to hand over a record."""


@dataclass(slots=True)
class Seen:
    """
    Hold what came of the request.

    *sealed* are the events that ended, before any stage could drop them; *events* and *lines* what would have been
    written. *event_id* is that of the event in progress when the canary was logged, *sung* whether it was.
    """

    path: str
    status: str | None = None
    error: BaseException | None = None
    passages: list[Passage] = field(default_factory=list)
    setups: list[Setup] = field(default_factory=list)
    sealed: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    lines: list[dict[str, Any]] = field(default_factory=list)
    event_id: str | None = None
    sung: bool = False

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The events of the request that ended; what it did in events of their own is not among them."""
        ended = self.sealed or self.events  # a new `configure` inside the request leaves out who listens
        return [event for event in ended if event["event.kind"] == "request"]

    @property
    def canaries(self) -> list[dict[str, Any]]:
        """The lines that the canary became."""
        return [line for line in self.lines if line["log.logger"] == CANARY]


def request(app: WSGIApplication, path: str, sink: MemorySink) -> Seen:
    """
    Send GET *path* to *app*, read the response to its end, and close it; nothing that is raised gets out.

    *sink* is where events and lines go meanwhile.
    """
    seen = Seen(path)
    with _listening(seen), noted() as calls:
        served = attempt(lambda: _serve(app, seen))
    if isinstance(served, Raised):
        seen.error = served.error
    if seen.sung:
        _await_canary(sink)
    seen.events, seen.lines, seen.passages, seen.setups = sink.events, sink.logged, calls.passages, calls.setups
    return seen


@contextmanager
def _listening(seen: Seen) -> Iterator[None]:
    """Hear of every event before the stages do, outside any event that is in progress here."""
    outside = context.variable.get()
    context.variable.set(None)
    recorder = config.recorder()

    def hear(event: Event) -> Event:
        seen.sealed.append(dict(event.record))
        return event

    pipeline = Pipeline((hear, *recorder.pipeline.stages), recorder.pipeline.sinks)
    config.use(Recorder(pipeline, recorder.keys, clock=recorder.clock, ids=recorder.ids), config.logs())
    try:
        yield
    finally:
        context.variable.set(outside)


def _serve(app: WSGIApplication, seen: Seen) -> None:
    def start_response(status: str, *_: object) -> Callable[[bytes], object]:
        seen.status = status
        if not seen.sung:
            _sing(seen)
        return len

    body = app(_environ(seen.path), start_response)
    end = time.monotonic() + ENDLESS
    try:
        for _ in body:
            if time.monotonic() > end:
                break
    finally:
        getattr(body, "close", bool)()


def _environ(target: str) -> dict[str, Any]:
    path, _, query = target.partition("?")
    environ: dict[str, Any] = {
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),  # PEP 3333
        "QUERY_STRING": query,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_USER_AGENT": "wideevents-doctor",
        "wsgi.errors": sys.stderr or io.StringIO(),
    }
    setup_testing_defaults(environ)
    return environ


def _sing(seen: Seen) -> None:
    """Log the canary, where the request is still in progress: when its response starts."""
    event = context.current()
    seen.event_id = None if event is None else event.id
    seen.sung = True
    logger = logging.getLogger(CANARY)
    logger.disabled = False  # a dictConfig may have come by since the last examination
    logger.log(max(config.logs().loggers.level, Level.INFO), SONG)


def _await_canary(sink: MemorySink) -> None:
    """Wait for the thread that takes records off a queue, if there is one: the line may come by it once more."""
    if any(isinstance(handler, QueueHandler) for handler in logging.getLogger().handlers):
        end = time.monotonic() + PATIENCE
        while sum(SONG.encode() in line for line in sink.log_lines) < 2 and time.monotonic() < end:
            time.sleep(0.01)
