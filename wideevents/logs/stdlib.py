"""Let the logging module write the same line: what a record says, formatter, filter and handler."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

from pythonjsonlogger.core import BaseJsonFormatter

from wideevents.context import current
from wideevents.errors import ConfigurationError
from wideevents.exceptions import given
from wideevents.fields import MESSAGE
from wideevents.levels import Level
from wideevents.logs.lines import Line, Logs, Origin, Said
from wideevents.sinks.jsonlogger import WRITTEN, is_written
from wideevents.values import guarded, text

ORIGIN = "_wideevents_origin"
"""
Attribute of a record that says which event it belongs to, and that the event knows of it.

Other libraries' JSON formatters take attributes for extras, but for those that begin with an underscore.
"""

HANDLED = "_wideevents_handled"
"""Attribute of a record that a handler of ours has written."""

NAMES = ("event_id", "trace_id", "http_request_id")
"""Attributes for people's own format strings, written by `EventFilter`."""

PLAIN = tuple(vars(logging.makeLogRecord({})))
PLAIN_SIZE = len(PLAIN)
STANDARD = frozenset(PLAIN) | {"message", "asctime", "color_message", ORIGIN, WRITTEN, HANDLED}
"""What every record has; the rest is what the call gave as `extra`."""

HARMLESS = frozenset({str, int, float, bool, type(None)})
"""Kinds of arguments that run no code of anybody's when they are printed."""

MISMATCH = (TypeError, ValueError, KeyError, OverflowError, MemoryError)
"""What `%` raises for arguments that do not fit."""

WARNING = Level.WARNING

Extras = Sequence[tuple[Any, Any]]
UNTAILORED = BaseJsonFormatter.process_log_record


def said(record: logging.LogRecord) -> Said:
    """Return what *record* says; nothing that its message, its arguments or its extras raise gets out."""
    attributes = record.__dict__
    message, args, error, name = record.msg, record.args, record.exc_info, record.name
    extras: Extras = ()
    if more := len(attributes) - PLAIN_SIZE:
        extras = [item for item in islice(attributes.items(), PLAIN_SIZE - 1, None) if item[0] not in STANDARD]
        if len(extras) != more:
            extras = _extras(record)  # there is more to it than what the call gave
    fields = None
    if type(message) is not str or type(record) is not logging.LogRecord:
        message, extras, fields = _composed(record, extras)
    elif type(args) is tuple and len(args) == 1 and type(args[0]) in HARMLESS:
        try:
            message %= args
        except MISMATCH:
            fields = {"log.arguments": args}
    elif args:
        message, fields = _filled_in(message, args)
    if record.exc_text or record.stack_info:
        fields = {**(fields or {}), **_stacks(record)}
    path, line, function = record.pathname, record.lineno, record.funcName
    known = function and type(function) is str and type(path) is str and type(line) is int
    # What Said(...) does, without the call of a Python function around it.
    return tuple.__new__(
        Said,
        (
            record.created,
            record.levelno if type(record.levelno) is int else _level(record.levelno),
            name if type(name) is str else text(name),
            message,
            extras,
            None if error is None else given(error),
            fields,
            (path, line, function) if known else None,
        ),
    )


class _Mark:
    """Mark a record as written here: where it is sent to another process, it is not."""

    def __reduce__(self) -> tuple[type[bool], tuple[()]]:
        """Become False on the way."""
        return bool, ()


MARK = _Mark()


class JsonFormatter(BaseJsonFormatter):
    """
    Format a record as the line that wideevents writes: redacted, trimmed, never failing, with the ids of its event.

    The options of python-json-logger (`rename_fields`, `static_fields`, `defaults`, `prefix`, and `process_log_record`
    of a subclass) apply to what a call adds; the names of the contract stay, so `fmt` and `timestamp` change nothing.
    """

    def __init__(self, *args: Any, logs: Callable[[], Logs], **options: Any) -> None:
        super().__init__(*args, **options)
        self._logs = logs
        hooked = type(self).process_log_record is not UNTAILORED
        self._tailored = bool(hooked or self.rename_fields or self.static_fields or self.defaults)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its newline."""
        if is_written(record):
            return self.prefix + record.msg
        logs = self._logs()
        line = self.line(record, logs)
        logs.finished(line)
        return self.prefix + line.line[:-1].decode()

    def line(self, record: logging.LogRecord, logs: Logs) -> Line:
        """Return the line of *record*, which no stage has seen yet. Its event knows of it from now on."""
        what = said(record)
        if self._tailored:
            what = what._replace(extras=self._tailor(what.extras))
        line = logs.line(what, _origin(record) if ORIGIN in record.__dict__ else None)
        if line.level >= WARNING and line.event is not None:
            record.__dict__[ORIGIN] = tuple(Origin.of(line.event))  # another handler must not count it again
        return line

    def _tailor(self, extras: Any) -> Extras:
        """Apply the options; what a hook of the user's raises costs their change, and not the line."""
        given = {**self.defaults, **self.static_fields, **dict(extras)}
        renamed = {self.rename_fields.get(key, key): value for key, value in given.items()}
        processed = guarded(lambda: list(self.process_log_record(renamed).items()), self)
        return processed if type(processed) is list else list(renamed.items())


class EventFilter(logging.Filter):
    """
    Tell the event in progress of a record, and write the event's ids on it, for handlers and formatters of your own.

    `%(event_id)s`, `%(trace_id)s` and `%(http_request_id)s` are there on every record, as "-" where there is none. On a
    `QueueHandler` it keeps the ids for the thread that writes the record later.
    """

    def __init__(self, name: str = "", *, logs: Callable[[], Logs]) -> None:
        super().__init__(name)
        self._logs = logs

    def filter(self, record: logging.LogRecord) -> bool:
        """Write the ids; let every record of the loggers it was made for pass."""
        passes = bool(super().filter(record))
        if passes:
            attributes = record.__dict__
            if ORIGIN not in attributes:
                event = current()
                attributes[ORIGIN] = None
                if event is not None:
                    # A plain tuple: a log server that unpickles the record need not have this package.
                    attributes[ORIGIN] = tuple(Origin.of(event))
                    self._logs().noticed(event, said(record))
            for name, value in _stamps(record).items():
                attributes.setdefault(name, value)
        return passes


class Handler(logging.Handler):
    """
    Write records as lines, to where events go.

    It holds no lock: what a record's arguments run when they are printed must not wait for another thread's line, and
    a line is one write anyway.
    """

    writes_events = True
    is_last = False
    """Whether it stands at the root logger, where a record comes last."""

    def __init__(self, level: int | str = logging.NOTSET, *, logs: Callable[[], Logs]) -> None:
        super().__init__(level)
        self._logs = logs
        self.formatter: JsonFormatter = JsonFormatter(logs=logs)

    def createLock(self) -> None:  # noqa: N802 - the logging module's name
        """Have no lock."""
        self.lock = None

    def setFormatter(self, fmt: logging.Formatter | None) -> None:  # noqa: N802 - the logging module's name
        """Take a `JsonFormatter`; raise `ConfigurationError` for another, whose text would be no line."""
        if fmt is not None and not isinstance(fmt, JsonFormatter):
            raise ConfigurationError.of("formatter", fmt, "a JsonFormatter; other formatters belong to other handlers")
        self.formatter = fmt or JsonFormatter(logs=self._logs)

    def handle(self, record: logging.LogRecord) -> bool:
        """Write *record*, if the handler's filters let it pass."""
        if self.filters:
            passed: Any = self.filter(record)
            if not passed:
                return False
            record = passed if isinstance(passed, logging.LogRecord) else record
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line; one below the emitted level is kept with its event."""
        attributes = record.__dict__
        if (WRITTEN in attributes and is_written(record)) or attributes.get(HANDLED) is MARK:
            return
        logs = self._logs()
        if logs.loggers.debug and logs.loggers.keeps(record.name, record.levelno):
            self.keep(record)
        else:
            logs.write(self.formatter.line(record, logs))
        if not self.is_last:
            attributes[HANDLED] = MARK  # another handler of ours, at a logger above, writes no second line

    def keep(self, record: logging.LogRecord) -> None:
        """Keep the line with its event, for the case that it ends badly."""
        self._logs().keep(said(record))


def _extras(record: logging.LogRecord) -> Extras:
    """Return what a call gave as `extra`, wherever it stands, without what `EventFilter` has written."""
    attributes = record.__dict__
    stamps = _stamps(record) if ORIGIN in attributes else {}
    given = [item for item in attributes.items() if item[0] not in STANDARD]
    return [item for item in given if type(item[1]) is not str or stamps.get(item[0]) != item[1]]


def _filled_in(message: str, args: Any) -> tuple[str, dict[str, Any] | None]:
    """Fill *args* in, which may run their code; if that fails, return them to be told beside the message."""
    made: Any = guarded(lambda: [message % args], message)
    if type(made) is list:
        return made[0], None
    return message, {"log.arguments": args if type(args) is tuple else [args]}


def _composed(record: logging.LogRecord, extras: Extras) -> tuple[str, Extras, dict[str, Any] | None]:
    """Return the message of a *record* that is not filled in by `%`, and what must be told beside it."""
    if not record.args:
        # Guarded as a whole: a dead proxy raises when it is asked what it is.
        fields: Any = guarded(lambda: dict(record.msg) if isinstance(record.msg, Mapping) else None, record.msg)
        if type(fields) is dict:
            message = text(fields.pop(MESSAGE, ""))
            return message, [*fields.items(), *extras], None
    made: Any = guarded(lambda: [str.__str__(record.getMessage())], record)
    if type(made) is list:
        return made[0], extras, None
    message, fields = _filled_in(text(record.msg), record.args or ())
    return message, extras, fields


def _level(number: object) -> int:
    """Return a level that somebody keeps in an enumeration as the number it is; what is none is info."""
    return int.__index__(number) if isinstance(number, int) and type(number) is not bool else Level.INFO


def _stacks(record: logging.LogRecord) -> dict[str, Any]:
    """Return the texts of stacks that a record holds: of its exception, where only that is left, and of the call."""
    stacks = {
        "exception.stacktrace": None if record.exc_info else record.exc_text,
        "code.stacktrace": record.stack_info,
    }
    return {name: text(stack) for name, stack in stacks.items() if stack}


def _origin(record: logging.LogRecord) -> Origin | None:
    """Return the event that *record* says it belongs to; what came from elsewhere may say anything."""
    origin = record.__dict__[ORIGIN]
    if type(origin) is tuple and len(origin) == len(NAMES):
        *ids, request_id = origin
        if all(type(each) is str for each in ids) and (request_id is None or type(request_id) is str):
            return Origin(*origin)
    return None


def _stamps(record: logging.LogRecord) -> dict[str, str]:
    """Return what `EventFilter` writes on *record*."""
    return {name: value or "-" for name, value in zip(NAMES, _origin(record) or (None,) * len(NAMES), strict=True)}
