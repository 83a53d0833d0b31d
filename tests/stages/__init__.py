"""Tests of the stages: an event that no stage has seen, and the line that a record becomes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import wideevents
from wideevents import config
from wideevents.events import Event
from wideevents.keys import Keys
from wideevents.levels import Level
from wideevents.pipeline import Pipeline
from wideevents.recorder import Recorder
from wideevents.redaction import Redaction
from wideevents.sinks.memory import MemorySink


def sealed(record: dict[Any, Any] | None = None, *, level: Level = Level.INFO, kind: str = "task") -> Event:
    """Return an event that has ended, with *record* beside the fields that every event has; no stage has seen it."""
    event = Recorder(Pipeline((), ()), Keys(Redaction())).open("job", kind)
    event.level = level
    event.seal()
    event.record.update({"level": level.label, **(record or {})})
    return event


@contextmanager
def configured(**settings: Any) -> Iterator[MemorySink]:
    """Configure the process for the block; gives the sink."""
    sink = MemorySink()
    with config.kept():
        wideevents.configure(output=sink, logging=False, **settings)
        yield sink


def line_with(record: dict[Any, Any], **settings: Any) -> bytes:
    """Return the line of an event to which a stage of the user's has added *record*."""

    def adding(event: Event) -> Event:
        event.record.update(record)
        return event

    with configured(stages=[adding], **settings) as sink:
        with wideevents.event("job"):
            pass
        (line,) = sink.lines
        return line
