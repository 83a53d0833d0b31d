"""Tests of the logs: what was logged, read strictly; a logger of our own; a Python of its own."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import wideevents
from tests.strict import parse_line, parse_log_line
from wideevents import config
from wideevents.logs.stdlib import Handler
from wideevents.sinks.memory import MemorySink

ROOT = Path(__file__).parents[2]


@dataclass
class Logged:
    """Hold what was written; every line is checked against the whole contract when it is read."""

    sink: MemorySink = field(default_factory=MemorySink)

    def all(self) -> list[dict[str, Any]]:
        """Return the log lines, in the order in which they were logged."""
        return [parse_log_line(line) for line in self.sink.log_lines]

    def one(self) -> dict[str, Any]:
        """Return the only log line."""
        (line,) = self.all()
        return line

    def messages(self) -> list[str]:
        """Return what the log lines say."""
        return [line["message"] for line in self.all()]

    def event(self) -> dict[str, Any]:
        """Return the only event."""
        (line,) = self.sink.lines
        return parse_line(line)


@contextmanager
def caught(**settings: Any) -> Iterator[Logged]:
    """Configure the process for the block, and give what is written; the logging module is left alone."""
    logged = Logged()
    with config.kept():
        wideevents.configure(**{"service": "tests", "output": logged.sink, "logging": False, **settings})
        yield logged


@contextmanager
def logger_with(*handlers: logging.Handler, name: str = "shop") -> Iterator[logging.Logger]:
    """Give a logger that lets everything through to *handlers* alone, not to those of the test runner."""
    logger = logging.getLogger(name)
    before = (logger.handlers[:], logger.level, logger.propagate)
    logger.handlers[:], logger.propagate = handlers, False
    logger.setLevel(logging.DEBUG)
    try:
        yield logger
    finally:
        logger.handlers[:], level, logger.propagate = before
        logger.setLevel(level)


@contextmanager
def bare_root(*handlers: logging.Handler, level: int = logging.WARNING) -> Iterator[logging.Logger]:
    """Let the root logger have *handlers* alone, as in a process that is no test; what it had is there again later."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    root.handlers[:] = handlers
    root.setLevel(level)
    try:
        yield root
    finally:
        root.handlers[:], level = before
        root.setLevel(level)


def handler() -> Handler:
    """Return a handler that writes where events go."""
    return Handler(logs=config.logs)


def record_of(message: Any = "hello", *args: Any, level: int = logging.INFO, **attributes: Any) -> logging.LogRecord:
    """Return a record as the logging module makes it, with *attributes* put on it."""
    record = logging.getLogger("shop").makeRecord("shop", level, "/app/shop.py", 7, message, args, None, "pay")
    record.__dict__.update(attributes)
    return record


@dataclass
class Ran:
    """Hold what a process of its own wrote, and how it ended."""

    code: int
    out: bytes
    err: str

    def all(self) -> list[dict[str, Any]]:
        """Return the lines on standard output, each of which must be the line of an event or of a log call."""
        return [read(line) for line in self.out.splitlines(keepends=True)]

    def lines(self) -> list[dict[str, Any]]:
        """Return the lines of log calls."""
        return [line for line in self.all() if "log.logger" in line]

    def messages(self, logger: str = "") -> list[str]:
        """Return what the log lines say, those of *logger* where it is named."""
        return [line["message"] for line in self.lines() if logger in {"", line["log.logger"]}]

    def one(self) -> dict[str, Any]:
        """Return the only log line."""
        (line,) = self.lines()
        return line


def read(line: bytes) -> dict[str, Any]:
    """Read a line strictly, as what it is."""
    return parse_log_line(line) if "log.logger" in json.loads(line) else parse_line(line)


def run(code: str, *arguments: object, path: Path | None = None, seconds: float = 60, **environment: str) -> Ran:
    """
    Run *code* in a Python of its own, which knows of the environment only what is given.

    *path* is put before the folders that modules are found in. A process that hangs is killed, and fails the test.
    """
    folders = os.pathsep.join(str(folder) for folder in (path, ROOT) if folder)
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        env={"PYTHONPATH": folders, "PATH": os.environ["PATH"], **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        out, err = process.communicate()
        raise AssertionError(f"it hangs; out: {out[-500:]!r}; err: {err[-500:]!r}") from None
    return Ran(process.returncode, out, err.decode("utf-8", "replace"))
