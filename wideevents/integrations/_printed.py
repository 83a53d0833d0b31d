"""Make lines of what is printed, and take the colours out of what servers log."""

from __future__ import annotations

import logging
import re
import sys
import threading
import time
from collections.abc import Iterable
from typing import Any, TextIO

from wideevents import config
from wideevents.context import current
from wideevents.levels import Level
from wideevents.logs import stdlib
from wideevents.logs.lines import Origin, Said
from wideevents.logs.stdlib import ORIGIN
from wideevents.sinks.lines import LinesSink

MOST, MOST_OF_A_TRACEBACK = 4_000, 100_000
"""Characters that wait for the end of what is printed; the first is what a line takes of a value by default."""

TRACEBACK = "Traceback (most recent call last):"
"""How Python begins to print a traceback: one frame after another, indented, and then the exception."""

COLOURS = re.compile(r"\x1b\[[\d;]*m")
"""Sequences that make a terminal change its colours (ECMA-48, 8.3.117)."""


class _Waiting(threading.local):
    """Hold what a thread has begun to print: `print` writes the end of a line by a call of its own."""

    text = ""


class Printed:
    """
    Stand where `sys.stdout` or `sys.stderr` was, and make one line of what is printed at once, or of a traceback.

    Servers print what breaks where they cannot log it, tracebacks above all, and applications print, too. A line has
    the ids of the event in progress, but does not raise its level; it is written whatever the configured level is,
    since nobody gave it one. Where anything but lines is written, the console above all, the text goes where it went.
    """

    def __init__(self, stream: TextIO, logger: str, level: Level) -> None:
        self._stream = stream
        self._logger = logger
        self._level = level
        self._waiting = _Waiting()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Take a part of what is printed; the end of a line ends it."""
        if not _makes_lines():
            return self._stream.write(text)
        waiting = self._waiting.text + text
        done = _is_whole(waiting)
        self._waiting.text = "" if done else waiting
        if done:
            self._tell(waiting)
        return len(text)

    def writelines(self, texts: Iterable[str]) -> None:
        """Take several parts."""
        for text in texts:
            self.write(text)

    def flush(self) -> None:
        """Write what has no end yet."""
        waiting, self._waiting.text = self._waiting.text, ""
        self._tell(waiting)
        self._stream.flush()

    def _tell(self, text: str) -> None:
        words = without_colours(text).lstrip("\n").rstrip()
        if words:
            logs, event = config.logs(), current()
            message, fields = words, None
            if words.startswith(TRACEBACK):
                message, fields = words.rpartition("\n")[2], {"exception.stacktrace": words}
            said = Said(time.time(), self._level, self._logger, message, fields=fields)
            logs.write(logs.line(said, None if event is None else Origin.of(event)))


def _is_whole(text: str) -> bool:
    """Tell whether *text* has an end: of a line, or of a traceback; or is too long to wait for one."""
    ended = text.endswith("\n")
    if not text.startswith(TRACEBACK):
        return ended or len(text) >= MOST
    last = text[:-1].rpartition("\n")[2]
    return (ended and not last.startswith((" ", TRACEBACK))) or len(text) >= MOST_OF_A_TRACEBACK


def capture() -> None:
    """Make lines of what is printed from now on; a terminal is left to whoever sits there."""
    sys.stdout = _printed(sys.stdout, "py.stdout", Level.INFO)
    sys.stderr = _printed(sys.stderr, "py.stderr", Level.WARNING)


def _printed(stream: TextIO | None, logger: str, level: Level) -> Any:
    if stream is None or isinstance(stream, Printed) or stream.isatty():
        return stream
    return Printed(stream, logger, level)


def is_captured() -> bool:
    """Tell whether what is printed on standard output becomes lines."""
    return isinstance(sys.stdout, Printed) and _makes_lines()


def _makes_lines() -> bool:
    return all(isinstance(sink, LinesSink) for sink in config.logs().pipeline.sinks)


class Plain(logging.Filter):
    """
    Take the colours out of a server's record, which are for a terminal, and give it the event that it belongs to.

    A server logs what an application raised after its request has ended: the event alerts, and not this line, too.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass."""
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if error is not None and ORIGIN in vars(error):
            record.__dict__[ORIGIN] = vars(error)[ORIGIN]
        record.__dict__.pop("color_message", None)  # uvicorn says everything twice, the second time in colours
        if isinstance(record.msg, str):
            record.msg = without_colours(record.msg)
        if isinstance(record.args, tuple):
            record.args = tuple(without_colours(each) if isinstance(each, str) else each for each in record.args)
        return True


def without_colours(text: str) -> str:
    """Return *text* as it is read, and not as it is shown."""
    return COLOURS.sub("", text) if "\x1b" in text else text


def has_taken_over() -> bool:
    """Tell whether the root logger writes lines, as `configure(logging=True)` has it."""
    return any(isinstance(handler, stdlib.Handler) for handler in logging.getLogger().handlers)
