"""The door for structlog: the same line, without a detour through the logging module."""

from __future__ import annotations

import logging
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from functools import wraps
from types import FrameType
from typing import Any

import structlog
from structlog.contextvars import merge_contextvars
from structlog.processors import CallsiteParameter, CallsiteParameterAdder
from structlog.typing import EventDict, Processor

from wideevents import config
from wideevents.context import current
from wideevents.exceptions import given
from wideevents.levels import Level
from wideevents.logs.lines import Line, Origin, Said
from wideevents.values import guarded, text

NUMBERS = {
    "debug": 10,
    "info": 20,
    "warning": 30,
    "warn": 30,
    "error": 40,
    "exception": 40,
    "critical": 50,
    "fatal": 50,
}
METHODS = (*NUMBERS, *(f"a{name}" for name in NUMBERS))
ARGUMENTS = "log.arguments"
SPECIAL = ("exception", "stack", "stack_info", ARGUMENTS)
"""Keys that are no fields of the user's: stacks that were asked for, and arguments that a text did not take."""


IDS = ("event.id", "trace.id", "http.request.id")

OURS = ("timestamp", "level", "logger", "logger_name", "_record", "_from_structlog")
"""Keys that structlog's own processors write, and that a line of ours has by another name."""

INTERNAL = ("structlog.", "wideevents.")
POOL = "concurrent.futures."

_ask_structlog = CallsiteParameterAdder(
    (CallsiteParameter.PATHNAME, CallsiteParameter.LINENO, CallsiteParameter.FUNC_NAME)
)


def configure(*, through_logging: bool = False) -> None:
    """
    Configure structlog: every call writes a line where events go. Call it after `wideevents.configure`.

    What `bind` and `structlog.contextvars.bind_contextvars` hold is in the line. With *through_logging* the calls take
    the way of the logging module, for those who need its handlers and filters: slower, and the same line.
    """
    loggers = config.logs().loggers
    # The logging module asks its own loggers; and lines that are kept with an event are below the level.
    level = Level.DEBUG if through_logging or loggers.debug else loggers.level
    way: list[Processor] = [structlog.stdlib.filter_by_level, merge_contextvars, hand_to_logging]
    structlog.configure(
        processors=way if through_logging else [merge_contextvars, make_line],
        wrapper_class=_taking_any_arguments(structlog.make_filtering_bound_logger(level)),
        logger_factory=LoggerFactory(logging.getLogger if through_logging else Logger),
        cache_logger_on_first_use=True,
    )


class Logger:
    """Take the lines of one structlog logger, and send them on their way."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def msg(self, line: Line) -> None:
        """Write *line*."""
        config.logs().write(line)

    log = debug = info = warning = warn = error = exception = critical = fatal = msg


class LoggerFactory:
    """Make loggers by their name: the one given to `structlog.get_logger`, or that of the module that logs first."""

    def __init__(self, make: Callable[[str], Any] = Logger) -> None:
        self._make = make

    def __call__(self, *args: Any) -> Any:
        """Return a logger."""
        if args:
            return self._make(text(args[0]))
        return self._make(_caller(sys._getframe(1))[1])  # noqa: SLF001 - the only way to know who calls


def make_line(logger: Any, method: str, event_dict: EventDict) -> Any:
    """Make a line of *event_dict*, and hand it to `Logger`; the last processor of `configure`."""
    logs = config.logs()
    said = _said(logger, method, event_dict)
    if said.number < logs.loggers.level:
        if logs.loggers.keeps(said.logger, said.number):
            logs.keep(said)
        raise structlog.DropEvent
    return (logs.line(said),), {}


def hand_to_logging(logger: Any, method: str, event_dict: EventDict) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments for the same method of the logging module's logger."""
    args = event_dict.pop(ARGUMENTS, ())
    named = structlog.stdlib.render_to_log_kwargs(logger, method, event_dict)
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the only way to know who calls
    named["stacklevel"] = 0
    while frame is not None and _is_internal(frame):
        named["stacklevel"] += 1
        frame = frame.f_back
    return (named.pop("msg"), *args), dict(named)


def add_event(logger: Any, method: str, event_dict: EventDict) -> EventDict:
    """
    Add the ids of the event in progress, and let it know of the line: a processor for a chain of your own.

    It adds `event.id`, `trace.id` and `http.request.id`, and raises the level of the event as any line does.
    """
    event = current()
    if event is not None:
        number = NUMBERS.get(method, Level.INFO)
        said = Said(0.0, number, _name(logger, event_dict), text(event_dict.get("event", "")))
        config.logs().noticed(event, said)
        ids = zip(IDS, Origin.of(event), strict=True)
        event_dict.update({name: value for name, value in ids if value is not None})
    return event_dict


class JSONRenderer:
    """
    Render the line of wideevents, for a chain of your own that ends in a logger of structlog's: its last processor.

    It gives text for `PrintLogger` and `WriteLogger`, or with *as_bytes* bytes for `BytesLogger`, without a newline.
    """

    def __init__(self, *, as_bytes: bool = False) -> None:
        self._as_bytes = as_bytes

    def __call__(self, logger: Any, method: str, event_dict: EventDict) -> str | bytes:
        """Return the line."""
        event, origin = current(), None
        if event is not None and event_dict.get("event.id") == event.id:  # add_event was here: the event knows
            origin = Origin.of(event)
            for name in IDS:
                event_dict.pop(name, None)
        said = _said(logger, method, event_dict)
        for key in OURS:
            event_dict.pop(key, None)
        logs = config.logs()
        line = logs.line(said, origin)
        logs.finished(line)
        return line.line[:-1] if self._as_bytes else line.line[:-1].decode()


def _said(logger: Any, method: str, event_dict: EventDict) -> Said:
    """Return what a call said; what is left of *event_dict* then is what it gave beside its message."""
    message = event_dict.pop("event", "")
    error = event_dict.pop("exc_info", None)
    fields = None if event_dict.keys().isdisjoint(SPECIAL) else _special(event_dict)
    return Said(
        time.time(),
        NUMBERS.get(method, Level.INFO),
        _name(logger, event_dict),
        message if type(message) is str else text(message),
        event_dict.items(),
        None if error is None else _error(error),
        fields,
        _place(logger, method),
    )


def _name(logger: Any, event_dict: EventDict) -> str:
    """Return the name of a logger; structlog's own have none, unless `add_logger_name` has written it down."""
    name = event_dict.get("logger") or getattr(logger, "name", None) or "structlog"
    return name if type(name) is str else text(name)


def _special(event_dict: EventDict) -> dict[str, Any]:
    """Take the stacks that the call asked for, those that a processor has rendered before, and what did not fit."""
    fields = {
        "exception.stacktrace": event_dict.pop("exception", None),
        "code.stacktrace": event_dict.pop("stack", None),
        ARGUMENTS: event_dict.pop(ARGUMENTS, None),
    }
    if event_dict.pop("stack_info", None):
        frame, _ = _caller(sys._getframe(1))  # noqa: SLF001 - the only way to know who calls
        fields["code.stacktrace"] = "".join(traceback.format_stack(frame)).rstrip()
    return {name: value for name, value in fields.items() if value}


def _error(exc_info: object) -> BaseException | None:
    """Return the exception that a call gave, or for True the one that is being handled."""
    found = given(exc_info)
    is_asked_for = type(exc_info) in {bool, int} and bool(exc_info)
    return sys.exc_info()[1] if found is None and is_asked_for else found


def _place(logger: Any, method: str) -> tuple[str, int, str] | None:
    """Return the file, the line and the function of the call."""
    frame, name = _caller(sys._getframe(2))  # noqa: SLF001 - the only way to know who calls
    if name.startswith(POOL):  # `await log.ainfo()` runs in a pool; structlog knows where it was called
        found = _ask_structlog(logger, method, {})
        return found["pathname"], found["lineno"], found["func_name"]
    code = frame.f_code
    return code.co_filename, frame.f_lineno, code.co_name


def _caller(frame: FrameType) -> tuple[FrameType, str]:
    """Return the first frame that is neither structlog's nor ours, from *frame* on, and the name of its module."""
    while frame.f_back is not None and _is_internal(frame):
        frame = frame.f_back
    return frame, frame.f_globals.get("__name__") or "?"


def _is_internal(frame: FrameType) -> bool:
    return (frame.f_globals.get("__name__") or "?").startswith(INTERNAL)


def _taking_any_arguments(bound_logger: Any) -> Any:
    """
    Let a call have arguments that its text does not take, as the loggers of the logging module are made to.

    structlog raises TypeError for them: in the middle of the application's work, and the line is gone.
    """

    def taking_any(method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def call(self: Any, event: Any = None, *args: Any, **fields: Any) -> Any:
            if not args:
                return method(self, event, **fields)
            values = args[0] if len(args) == 1 and isinstance(args[0], Mapping) and args[0] else args
            made: Any = guarded(lambda: [event % values], event)
            if type(made) is list:
                return method(self, made[0], **fields)
            return method(self, event, **fields, **{ARGUMENTS: list(args)})

        return call

    own = {name: taking_any(getattr(bound_logger, name)) for name in METHODS}
    return type(bound_logger.__name__, (bound_logger,), own)
