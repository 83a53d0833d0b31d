"""Write a line for each event that a dead process has left behind."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence, Set
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from wideevents.events import Event
from wideevents.flight.layout import Header, boot
from wideevents.flight.wrecks import Lost, Wreck, claimed
from wideevents.flight.written import written_lately
from wideevents.keys import Keys
from wideevents.levels import Level
from wideevents.pipeline import Pipeline

UNKNOWN, REBOOT = "unknown", "reboot"

SERVER_ERROR = 500


class Recording(Protocol):
    """Be a recorder, as far as it is needed here."""

    keys: Keys
    pipeline: Pipeline[Event]


Known: TypeAlias = Callable[[Set[str]], Collection[str]]
"""Is given ids of events, and returns those whose line is written."""


def recover(
    recorder: Recording, directory: Path, pid: int | None, reason: str | None, known: Known, fields: Mapping[str, Any]
) -> int:
    """Send what dead processes left in *directory* through the pipeline of *recorder*; return how many it was."""
    wrecks = claimed(directory, pid)
    told: set[Wreck] = set()
    try:
        left = sorted(((wreck, lost) for wreck in wrecks for lost in wreck.lost()), key=lambda pair: pair[1].began)
        written = _written(recorder.pipeline, [lost for _, lost in left], known)
        pipelines = {wreck: _on_behalf(recorder.pipeline, wreck.header) for wreck in wrecks}
        count = 0
        for wreck, lost in left:
            if lost.fields["event.id"] not in written:
                why = reason or (UNKNOWN if wreck.header.boot in {"", boot()} else REBOOT)
                pipelines[wreck].send(
                    _event(recorder, lost, {**_told(wreck.header, lost), "lost.reason": why, **fields})
                )
                count += 1
            wreck.told(lost)
        told.update(wrecks)
    finally:
        for wreck in wrecks:
            wreck.close(remove=wreck in told)
    return count


def in_outputs(pipeline: Pipeline[Event], asked: Set[str], since: datetime) -> set[str]:
    """Return those of the *asked* ids whose line, written *since*, is in an output that is a file which can be read."""
    paths = (getattr(sink, "path", None) for sink in pipeline.sinks)
    return {found for path in paths if isinstance(path, str) for found in written_lately(path, asked, since)}


def noted(fields: Mapping[str, Any]) -> Level:
    """Return how much it matters what has gone wrong on the way."""
    handled = None if fields.get("error.expected", False) else fields.get("exception.handled")
    if handled is False or fields.get("log.count.error"):
        return Level.ERROR
    return Level.WARNING if handled is True or fields.get("log.count.warning") else Level.INFO


def stamped(moment: datetime) -> str:
    """Return a *moment* as the line has it."""
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _written(pipeline: Pipeline[Event], left: Sequence[Lost], known: Known) -> set[str]:
    """Return the ids of the events whose lines are *known*, or are in an output."""
    if not left:
        return set()
    asked = {lost.fields["event.id"] for lost in left}
    return {*known(asked), *in_outputs(pipeline, asked, left[0].began)}


def _on_behalf(pipeline: Pipeline[Event], header: Header) -> Pipeline[Event]:
    """Return *pipeline* with the fields of the dead process in place of ours."""
    stages: list[Any] = list(pipeline.stages)
    for place, stage in enumerate(stages):
        if hasattr(type(stage), "on_behalf"):
            stages[place] = stage.on_behalf(header.static)
    return Pipeline(tuple(stages), pipeline.sinks)


def _told(header: Header, lost: Lost) -> dict[str, Any]:
    """Return what the file tells of an event, beside its fields."""
    told: dict[str, Any] = {"lost.touched": stamped(lost.touched)}
    if header.static:
        told["uptime_s"] = int(max(0.0, lost.touched.timestamp() - header.began) * 10) / 10
    return told


def _event(recorder: Recording, lost: Lost, fields: Mapping[str, Any]) -> Event:
    """Return the event, as it would be handed to the stages."""
    known = {**lost.fields, **fields}
    for name in known:
        recorder.keys.judge(name)  # as whoever has added it: of two names that cross, one steps aside
    event = Event(recorder.keys, recorder, known, 0)
    event.suspects.update(known)
    event.ended = lost.duration_ns
    event.level, event.outcome = _level(known), "lost"
    event.seal()
    event.record["duration_ms"] = lost.duration_ns // 1_000 / 1_000
    event.record["outcome"] = event.outcome
    event.record["level"] = event.level.label
    event.record["alert.urgency"] = event.level.urgency.value
    return event


def _level(fields: Mapping[str, Any]) -> Level:
    """
    Return how much it matters: an error, since nobody was answered.

    If the status is known the answer was out, or nearly, and matters as much as the fields tell.
    """
    status = fields.get("http.response.status_code")
    return Level.ERROR if type(status) is not int or status >= SERVER_ERROR else noted(fields)
