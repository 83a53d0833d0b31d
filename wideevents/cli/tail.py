"""Show JSON logs to people: the lines of wideevents, structlog, python-json-logger and ECS, and any other text."""

from __future__ import annotations

import json
import re
import sys
import zlib
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice

from wideevents.cli.conditions import Condition
from wideevents.cli.dialects import Row, read
from wideevents.cli.files import STDIN, Follower, followed, lines, reader_is_gone
from wideevents.console import Renderer, Screen, encodable
from wideevents.errors import ConfigurationError
from wideevents.legible import UNSAFE, harmless, moment
from wideevents.levels import Level

INTERVAL = 0.2
"""Seconds between two looks at a file."""

LAST = 10
"""Lines that are shown of what is there when a file is followed."""


def add_arguments(parser: ArgumentParser) -> None:
    """Say what the command takes."""
    add = parser.add_argument
    add("files", nargs="*", metavar="FILE", help="a file, also a .gz one; - or none is the standard input")
    add("-f", "--follow", action="store_true", help="go on as the files grow, are rotated, or appear")
    add("-n", "--lines", type=count, metavar="N", help=f"only the last N that match (default: all; {LAST} with -f)")
    add("-l", "--level", type=level, metavar="LEVEL", help="only this level and above: debug, info, warning, error")
    add(
        "-w",
        "--where",
        type=Condition.parse,
        action="append",
        default=[],
        metavar="CONDITION",
        help="only lines with: key, key=value, 'key!=value', 'key>=number', 'key<number'; several have to hold at once",
    )
    add("--json", action="store_true", help="the matching lines themselves; what is no JSON is left out")
    add("--color", choices=("auto", "always", "never"), default="auto", help="default: auto, on a terminal")


def run(options: Namespace) -> int:
    """Show what was asked for; return 1 if a file could not be read, else 0."""
    return Tail(options).run()


def count(text: str) -> int:
    """Read a number of lines; raise `ArgumentTypeError` for anything else."""
    if not text.isdecimal() or len(text) > 9:
        raise ArgumentTypeError(f"{text!r} is no number of lines")
    return int(text)


def level(text: str) -> Level:
    """Read a level; raise `ArgumentTypeError` for anything else."""
    try:
        return Level.parse(text, "--level")
    except ConfigurationError as error:
        raise ArgumentTypeError(str(error)) from error


class Tail:
    """Read the files in their order, then follow those that grow."""

    def __init__(self, options: Namespace) -> None:
        self._options = options
        self._files: list[str] = options.files or [STDIN]
        self._renderer = Renderer(Screen())
        self._status = 0
        self._source = self._day = ""

    def run(self) -> int:
        """Read, and follow until nobody reads any more; return the exit status."""
        with followed(self._files, self._begin if self._options.follow else None, self._read) as growing:
            while growing and not reader_is_gone(sys.stdout, INTERVAL):
                for path, follower in growing.items():
                    self._show_all(path, follower.poll())
        return self._status

    def _read(self, path: str) -> None:
        most = self._options.lines
        if most is None:
            self._show_all(path, lines(path))
        else:
            for row in deque(self._wanted(path, lines(path)), maxlen=most):
                self._show(path, row)

    def _begin(self, path: str, follower: Follower) -> None:
        """Show the last lines of a file that is to be followed, if it is there."""
        try:
            there = follower.begin()
        except FileNotFoundError:
            sys.stderr.write(f"wideevents tail: {harmless(path)} is not there yet; waiting for it\n")
            return
        except OSError as error:
            self._complain(path, error)
            return
        most = LAST if self._options.lines is None else self._options.lines
        for row in reversed(list(islice(self._wanted(path, there), most))):
            self._show(path, row)

    def _show_all(self, path: str, source: Iterable[bytes]) -> None:
        for row in self._wanted(path, source):
            self._show(path, row)

    def _wanted(self, path: str, source: Iterable[bytes]) -> Iterator[Row]:
        """Read lines, and yield those that were asked for; the reading may end in a complaint, but in nothing else."""
        try:
            yield from (row for row in map(read, source) if self._is_wanted(row))
        except (OSError, EOFError, zlib.error) as error:
            self._complain(path, error)

    def _is_wanted(self, row: Row) -> bool:
        """Tell whether a line meets all conditions; one that has no level, or no fields, meets none."""
        options = self._options
        if row.fields is None and (options.json or options.where or options.level):
            return False
        if options.level and (row.level is None or row.level < options.level):
            return False
        fields = row.askable if options.where else {}
        return all(condition(fields) for condition in options.where)

    def _show(self, path: str, row: Row) -> None:
        """Print a line at once: whoever reads may be waiting for it."""
        stream = sys.stdout
        if not self._options.json:
            stream.write(encodable(self._rendered(path, row), stream))
        elif stream.isatty():
            stream.write(encodable(UNSAFE.sub(_escape, row.text) + "\n", stream))
        else:
            stream.buffer.write(row.raw + b"\n")
        stream.flush()

    def _rendered(self, path: str, row: Row) -> str:
        screen = Screen.of(sys.stdout, self._options.color)
        if screen != self._renderer.screen:
            self._renderer = Renderer(screen)
        renderer = self._renderer
        text = renderer.title(path) if path != self._source and len(self._files) > 1 else ""
        self._source = path
        if row.fields is None:
            return text + renderer.words(row.text)
        found = moment(row.fields.get("timestamp"))
        day = self._day if found is None else found.date().isoformat()
        if day != self._day:
            text += renderer.title(day)
            self._day = day
        return text + (renderer.event(row.fields) if row.is_event else renderer.line(row.fields))

    def _complain(self, path: str, error: Exception) -> None:
        name = "the standard input" if path == STDIN else harmless(path)
        reason = getattr(error, "strerror", None) or error
        sys.stderr.write(f"wideevents tail: {name} cannot be read ({reason})\n")
        self._status = 1


def _escape(found: re.Match[str]) -> str:
    """Return what stands for a character in JSON; between values there may be tabs and carriage returns."""
    return " " if found[0] in "\t\r" else json.dumps(found[0])[1:-1]
