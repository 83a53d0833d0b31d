"""Write lines through the logging module, to any handler that people own."""

from __future__ import annotations

import logging

from wideevents.entries import Entry
from wideevents.errors import ConfigurationError

WRITTEN = "wideevents.line"
"""Attribute of a record that holds a line of ours, finished: our formatter gives it back, our handler passes it by."""


def is_written(record: logging.LogRecord) -> bool:
    """Tell whether *record* holds a line of ours, finished, as its message; an extra that is only called so is none."""
    line = record.__dict__.get(WRITTEN)
    return type(line) is str and type(record.msg) is str and line == record.msg


class LoggingSink:
    """
    Hand every line to a handler, or to all handlers of a logger: to rotate files, to syslog, to a queue.

    *to* is a `logging.Handler`, or the name of a logger. A handler that has no formatter, or `JsonFormatter`, writes
    the line as it is; one with another formatter finds it as the message. A logger must have a handler of its own, or
    of its parents, that is not wideevents' own: that one is what hands the line over.
    """

    name = "logging"

    def __init__(self, to: logging.Handler | str = "wideevents.events") -> None:
        if not isinstance(to, logging.Handler | str):
            raise ConfigurationError.of("to", to, "a handler of the logging module, or the name of a logger")
        self._to = to

    def write(self, entry: Entry) -> None:
        """Hand the line over; raise `LookupError` where nobody is there to take it."""
        record = logging.LogRecord(self._name(), int(entry.level), "", 0, entry.line[:-1].decode(), None, None)
        record.__dict__[WRITTEN] = record.msg
        if isinstance(self._to, logging.Handler):
            if entry.level >= self._to.level:
                self._to.handle(record)
            return
        logger = logging.getLogger(self._to)
        if logger.disabled:
            raise LookupError(f"the logger {self._to!r} is disabled, as those are that a dictConfig does not name")
        if not _has_taker(logger):
            raise LookupError(f"the logger {self._to!r} has no handler that could take the line")
        logger.handle(record)

    def close(self) -> None:
        """Let what the handler holds be written; it stays open, since it is somebody else's."""
        if isinstance(self._to, logging.Handler):
            self._to.flush()

    def _name(self) -> str:
        return self._to if isinstance(self._to, str) else "wideevents"


def _has_taker(logger: logging.Logger) -> bool:
    """Tell whether a record of *logger* reaches a handler that is not our own."""
    at: logging.Logger | None = logger
    while at is not None:
        if any(not getattr(handler, "writes_events", False) for handler in at.handlers):
            return True
        at = at.parent if at.propagate else None
    return False
