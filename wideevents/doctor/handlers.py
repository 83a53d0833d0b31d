"""Look at loggers and handlers: where a handler writes, what it writes, and which records it takes."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from wideevents.doctor.attempts import Raised, attempt
from wideevents.doctor.probe import CANARY
from wideevents.doctor.watch import STREAMS, Listener, is_json
from wideevents.logs.stdlib import Handler
from wideevents.values import name_of


def loggers() -> list[logging.Logger]:
    """Return the root logger and all others, by name."""
    known = logging.Logger.manager.loggerDict.items()
    others = [logger for _, logger in sorted(known) if isinstance(logger, logging.Logger) and logger.name != CANARY]
    return [logging.getLogger(), *others]


def chain(logger: logging.Logger) -> Iterator[logging.Logger]:
    """Yield the loggers that a record of *logger* comes by: itself first."""
    at: logging.Logger | None = logger
    while at is not None:
        yield at
        at = at.parent if at.propagate else None


def record(logger: logging.Logger, level: int) -> logging.LogRecord:
    """Return a record of *logger*, to ask with."""
    return logging.LogRecord(logger.name, level, __file__, 0, "a line of wideevents.doctor", (), None)


def speaks(logger: logging.Logger, level: int = logging.ERROR) -> bool:
    """Tell whether a record of *level* gets out of *logger* itself."""
    return logger.isEnabledFor(level) and bool(attempt(lambda: logger.filter(record(logger, level))))


def takes(handler: logging.Handler, asked: logging.LogRecord) -> bool:
    """Tell whether *handler* would write the record."""
    return asked.levelno >= handler.level and bool(attempt(lambda: handler.filter(asked)))


def is_ours(handler: logging.Handler) -> bool:
    """Tell whether *handler* writes lines to where events go."""
    return isinstance(handler, Handler)


def stream_of(handler: logging.Handler) -> str | None:
    """Return the name of the standard stream that *handler* writes to, or None for another."""
    if isinstance(handler, logging.FileHandler):
        return None
    console = getattr(handler, "console", None)  # rich has one
    stream = getattr(handler, "stream", getattr(console, "file", None))
    if isinstance(stream, Listener):
        return stream.name
    if stream is None:
        return None
    number = _number(stream)
    for attribute, (descriptor, name) in STREAMS.items():
        streams = (getattr(sys, attribute), getattr(sys, f"__{attribute}__"))
        if any(stream is each for each in streams) or (number >= 0 and number in {descriptor, *map(_number, streams)}):
            return name
    return None


def writes_json(handler: logging.Handler, logger: logging.Logger) -> bool:
    """Tell whether what *handler* writes is JSON."""
    written = attempt(lambda: handler.format(record(logger, logging.ERROR)))
    return not isinstance(written, Raised) and is_json(written)


def described(handler: logging.Handler) -> str:
    """Return what *handler* is, in words: its class, and its formatter where that is a library's."""
    if is_ours(handler):
        return "wideevents' handler"
    name = _path(type(handler), "logging")
    stream = stream_of(handler)
    formatter = "" if handler.formatter is None else _path(type(handler.formatter), "logging")
    known = formatter in {"", "Formatter"}
    return f"a {name}{f' to {stream}' if stream else ''}{'' if known else f' with {formatter}'}"


def titled(logger: logging.Logger) -> str:
    """Return how to speak of *logger*."""
    return "the root logger" if logger is logging.getLogger() else f"the logger {logger.name!r}"


def _path(kind: type, plain: str) -> str:
    module = str(getattr(kind, "__module__", ""))
    return name_of(kind) if module == plain else f"{module}.{name_of(kind)}"


def _number(stream: Any) -> int:
    """Return the descriptor of *stream*, or -1 where it has none."""
    with suppress(AttributeError, OSError, ValueError, TypeError):
        return int(stream.fileno())
    return -1
