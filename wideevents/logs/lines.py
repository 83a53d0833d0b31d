"""Make a log line, let its event know of it, and send it on its way."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from wideevents import exceptions, health
from wideevents.context import current, variable
from wideevents.entries import CLOSE, NOTHING, Entry, Noted
from wideevents.errors import ConfigurationError
from wideevents.events import SMALL, Event
from wideevents.fields import MESSAGE, USER_FIELDS
from wideevents.frames import Application
from wideevents.health import Fault
from wideevents.keys import Keys
from wideevents.levels import Level
from wideevents.logs import held
from wideevents.pipeline import Pipeline, Sink, forwards
from wideevents.values import plain

_get = variable.get

STDERR = 2
OURS = health.logger.name

KNOWN_LIMIT = 4_096
"""Names of loggers that are remembered; there are applications that invent one for every object."""

DEEPEST = 3
"""Lines that may be logged inside the writing of another: a signal handler's, and those of a sink that logs."""

CALM = ("py.warnings", "wideevents")
"""Loggers whose lines do not raise an event's level by default: they speak of the code, and not of the request."""


class Origin(NamedTuple):
    """Say which event a line belongs to: it may be written elsewhere, and later."""

    event_id: str
    trace_id: str
    request_id: str | None

    @classmethod
    def of(cls, event: Event) -> Origin:
        """Return what a line says of *event*."""
        return cls(event.id, event.trace_id, event.request_id)


class Said(NamedTuple):
    """
    Hold what a log call said, whichever library it went through.

    *created* is in seconds since the epoch, *number* a level of the logging module, *place* the file, the line and the
    function of the call, where they are known.
    """

    created: float
    number: int
    logger: str
    message: str
    extras: Iterable[tuple[Any, Any]] = ()
    error: BaseException | None = None
    fields: Mapping[str, Any] | None = None
    place: tuple[str, int, str] | None = None


class Line(Entry):
    """One log line. `event` is the one in progress where it was logged, or None."""

    __slots__ = ("event",)

    def __init__(self, record: dict[str, Any], level: Level, event: Event | None) -> None:
        self.level = level
        self.event = event
        self.errors = ()
        self.hidden, self.waits = ((), None) if event is None else (event.hidden, event.waits)
        self.suspects = {MESSAGE}
        self.record = record
        self.static = NOTHING
        self.tail = CLOSE
        self.line = b""


@dataclass(frozen=True, slots=True)
class Loggers:
    """
    Say what the lines of which loggers do; a name stands for its children, too, and "" for all.

    - *level*: lines below it are not written.
    - *raising*: their lines raise the level of the event in progress; None is all but `CALM`.
    - *debug*: their lines below *level* are kept with the event in progress, for the case that it ends badly.
    """

    level: Level = Level.INFO
    raising: tuple[str, ...] | None = None
    debug: tuple[str, ...] = ()
    _known: dict[str, bool] = field(init=False, repr=False, compare=False, default_factory=dict)

    @classmethod
    def of(cls, level: Level, raising_loggers: object, debug_lines: object) -> Loggers:
        """Take the settings of `configure`; raise `ConfigurationError` for names that cannot be used."""
        raising = None if raising_loggers is None else _names("raising_loggers", raising_loggers)
        return cls(level, raising, _names("debug_lines", debug_lines))

    def raises(self, logger: str) -> bool:
        """Tell whether the lines of *logger* raise the level of their event."""
        known = self._known.get(logger)
        if known is None:
            known = not _among(logger, CALM) if self.raising is None else _among(logger, self.raising)
            if len(self._known) < KNOWN_LIMIT:
                self._known[logger] = known
        return known

    def keeps(self, logger: str, number: int) -> bool:
        """Tell whether a line is too low to be written, and kept with its event."""
        return number < self.level and _among(logger, self.debug)


class _Depth(threading.local):
    """Count how many lines this thread is writing, one inside the other."""

    value = 0


_depth = _Depth()


class _Voice:
    """
    Write what wideevents has to say of itself, and if that fails to standard error.

    That lines cannot be written is what it says most often: it must not be told in such a line alone.
    """

    def __init__(self, sinks: tuple[Sink, ...]) -> None:
        self._sinks = sinks

    def write(self, entry: Entry) -> None:
        """Write the line to every sink, or in its place to standard error."""
        for sink in self._sinks:
            try:
                sink.write(entry)
            except OSError:
                health.give_back(entry.record)
                os.write(STDERR, entry.line)

    def close(self) -> None:
        """Leave the sinks open: they are the pipeline's."""


class _Kept:
    """Take a line that somebody else writes."""

    def write(self, entry: Entry) -> None:
        """Leave it to them."""

    def close(self) -> None:
        """Hold nothing."""


KEPT = _Kept()


class Logs:
    """
    Hold the way of a log line: through the same stages as an event, to the same sinks.

    A line belongs to the event in progress: it carries its ids, and its level raises the event's. It does not alert,
    since the event does; outside any event it has its own urgency.
    """

    __slots__ = ("_stages", "_voice", "application", "keys", "loggers", "pipeline")

    def __init__(
        self, pipeline: Pipeline[Line], keys: Keys, loggers: Loggers, application: Application | None = None
    ) -> None:
        self.application = application or Application()
        self.pipeline = pipeline
        self._stages = Pipeline(pipeline.stages, (KEPT, *filter(forwards, pipeline.sinks)))
        self._voice = Pipeline(pipeline.stages, (_Voice(pipeline.sinks),))
        self.keys = keys
        self.loggers = loggers

    def write(self, line: Line) -> None:
        """Send *line* through the stages to the sinks; one that is logged while that happens is sent, too, if few."""
        depth = _depth.value
        if depth >= DEEPEST:
            sentence = "A sink or a filter logs for every line that it is given; what it logged is not written again."
            health.report(Fault.RECURSION, "logs", sentence)
            return
        _depth.value = depth + 1
        try:
            (self._voice if line.record["log.logger"] == OURS else self.pipeline).send(line)
        finally:
            _depth.value = depth

    def line(self, said: Said, origin: Origin | None = None) -> Line:
        """Return what was *said* as a line. Where it was said elsewhere, *origin* names its event."""
        created, number, logger, message, extras, error, fields, place = said
        level, label, urgency = GRADES.get(number) or _grade(number)
        event = _get() if origin is None else None
        own = None if event is None else event.fields
        record: dict[str, Any] = {
            "timestamp": _time(created),
            "level": label,
            "message": message,
            "log.logger": logger,
        }
        if event is not None and own is not None:
            record["event.id"], record["trace.id"] = event.id, event.trace_id
            request_id = event.request_id
        elif origin is not None:
            record["event.id"], record["trace.id"], request_id = origin
        else:
            event = request_id = None  # one that has ended is none
            record["alert.urgency"] = urgency
        if request_id is not None:
            record["http.request.id"] = request_id
        if place is not None:
            record["code.file.path"], record["code.line.number"], record["code.function.name"] = place
        line = Line(record, level, event)
        if extras:
            self._add(line, extras)
        if fields:
            self._tell(line, {name: plain(value, self.keys.redaction.hides) for name, value in fields.items()})
        if error is not None:
            self._explain(line, error)
        if self.keys.crossed:
            line.suspects.update(self.keys.part(record))
        if event is not None and level >= WARNING:
            event.logged(level, message, raises=self.loggers.raises(logger))
        return line

    def noticed(self, event: Event, said: Said) -> None:
        """Let *event* know what was said in it."""
        level, raises = Level.from_number(said.number), self.loggers.raises(said.logger)
        event.logged(level, said.message, raises=raises)
        if said.error is not None and raises and level >= WARNING:
            event.fail(said.error, level=level, handled=True)

    def finished(self, line: Line) -> None:
        """Send *line* through the stages alone: whoever asked for it writes it."""
        self._stages.send(line)

    def keep(self, said: Said) -> None:
        """Keep a line below the emitted level with the event in progress, as text; without one it is gone."""
        event = current()
        if event is not None:
            level = Level.from_number(said.number)
            held.keep(event, _time(said.created), level, f"{said.logger} {said.message}")

    def _explain(self, line: Line, error: BaseException) -> None:
        """
        Add the exception of the call, and let it be one of the event's, or outside any event the line's own.

        A line that does not raise the level of its event says nothing of it: an exception is none either.
        """
        described = exceptions.describe(error, self.application)
        noted = Noted(error, line.level, handled=True, expected="error.expected" in described)
        if line.event is None:
            line.errors = (noted,)
        elif line.level >= WARNING and self.loggers.raises(line.record["log.logger"]):
            line.event.explain(noted, described)
        # Where the line was logged stays; the stack trace says where the exception was raised.
        self._tell(line, {name: value for name, value in described.items() if name not in line.record})
        self._add(line, exceptions.fields_of(error).items())

    def _tell(self, line: Line, told: Mapping[str, Any]) -> None:
        line.record.update(told)
        line.suspects.update(told)

    def _add(self, line: Line, extras: Iterable[tuple[Any, Any]]) -> None:
        """Add what the call gave beside its message, the careful way where it must be."""
        record, suspects, keys = line.record, line.suspects, self.keys
        known, clean = keys.plain, keys.clean
        for key, value in extras:
            kind = type(value)
            if type(key) is str and key in known and key not in record:
                if kind is str:
                    if value not in clean:
                        suspects.add(key)
                    record[key] = value
                    continue
                if kind is bool or (kind is int and -SMALL < value < SMALL):
                    record[key] = value
                    continue
            for name, part, suspect in keys.parts(key, value):
                if part is not None:
                    own = name
                    if name in record:
                        own = _free(name, record)
                        keys.judge(own)  # or nobody would know that it stands below `user_fields`
                    record[own] = part
                    if suspect:
                        suspects.add(own)


def _names(setting: str, given: object) -> tuple[str, ...]:
    if not isinstance(given, tuple | list | set | frozenset) or not all(isinstance(name, str) for name in given):
        raise ConfigurationError.of(setting, given, 'a tuple of names of loggers, such as ("shop",)')
    return tuple(given)


def _grade(number: int) -> tuple[Level, str, str]:
    """Return the level of a number of the logging module, its label, and whom it calls."""
    level = Level.from_number(number)
    return level, level.label, level.urgency.value


GRADES = {number: _grade(number) for number in (10, 20, 30, 40, 50)}
WARNING = Level.WARNING


def _among(logger: str, names: tuple[str, ...]) -> bool:
    return any(name in {"", logger} or logger.startswith(f"{name}.") for name in names)


def _free(name: str, record: Mapping[str, Any]) -> str:
    """Return a name beside those that the line has already: an extra `message` is `user_fields.message`."""
    name = USER_FIELDS + name.removeprefix(USER_FIELDS)
    while name in record:
        name += "_"
    return name


def _time(created: float) -> datetime:
    """Return the time of a line; a record that came from elsewhere may hold what is no time."""
    try:
        return datetime.fromtimestamp(created, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return datetime.now(UTC)
