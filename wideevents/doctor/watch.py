"""Hear what is written to standard output and error beside the lines, and by whom."""

from __future__ import annotations

import inspect
import json
import os
import sys
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from typing import IO, Any, NamedTuple

from wideevents.doctor.places import caller, package_of

STREAMS = {"stdout": (1, "standard output"), "stderr": (2, "standard error")}
PRINTED = "wideevents.integrations._printed"
HANDLER = "a handler"
"""Who wrote, where it was the logging module: handlers are examined by themselves."""


class Piece(NamedTuple):
    """Hold what was written in one go. *place* is None where nobody knows: past Python's own streams."""

    stream: str
    place: str | None
    text: str


class Listener:
    """Stand where a stream of `sys` was. What still refers to it when the watch has ended writes to that stream."""

    def __init__(self, name: str, stream: Any, heard: list[Piece]) -> None:
        self.name = name
        self.stream = stream
        self.is_listening = True
        self._heard = heard

    def write(self, text: str) -> int:
        """Take what is written, and note who writes."""
        if not self.is_listening:
            return int(self.stream.write(text))
        self._heard.append(Piece(self.name, _writer(), text))
        return len(text)

    def writelines(self, texts: Iterable[str]) -> None:
        """Take several."""
        for text in texts:
            self.write(text)

    def isatty(self) -> bool:
        """Tell that nobody sits there: a server has no terminal."""
        return False if self.is_listening else bool(self.stream.isatty())

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


class Watch:
    """Watch both streams of the block, as Python has them and as the kernel has them; nothing gets out meanwhile."""

    def __init__(self) -> None:
        self.closed: list[str] = []
        self._pieces: list[Piece] = []
        self._listeners: dict[str, Listener] = {}
        self._descriptors: list[tuple[int, str, int, IO[bytes]]] = []
        self._fillers: list[int] = []
        self._become_lines: set[str] = set()

    def __enter__(self) -> Watch:
        _flush()
        self._fillers = _fill()
        for attribute, (descriptor, name) in STREAMS.items():
            if descriptor in self._fillers:
                self.closed.append(name)
            file, saved = tempfile.TemporaryFile(), os.dup(descriptor)
            os.dup2(file.fileno(), descriptor)
            self._descriptors.append((descriptor, name, saved, file))
            stream = getattr(sys, attribute)
            if stream is not None:
                self._listeners[attribute] = Listener(name, stream, self._pieces)
                setattr(sys, attribute, self._listeners[attribute])
        return self

    def __exit__(self, *raised: object) -> None:
        self.end()

    def end(self, *, all_lines: bool = False) -> None:
        """
        Put the streams back.

        *all_lines* tells that what is written goes to lines alone; where it does, what is printed becomes lines, too.
        """
        now = {listener.name: (getattr(sys, name), listener.stream) for name, listener in self._listeners.items()}
        self._become_lines |= {name for name, found in now.items() if all_lines and any(map(_makes_lines, found))}
        for attribute, listener in self._listeners.items():
            listener.is_listening = False
            if getattr(sys, attribute) is listener:
                setattr(sys, attribute, listener.stream)
        _flush()
        for descriptor, name, saved, file in self._descriptors:
            os.dup2(saved, descriptor)
            os.close(saved)
            with file:
                file.seek(0)
                self._pieces.append(Piece(name, None, file.read().decode("utf-8", "replace")))
        for filler in self._fillers:
            os.close(filler)
        self._listeners, self._descriptors, self._fillers = {}, [], []

    def lines(self) -> list[Piece]:
        """Return the lines that were written, and are no JSON, with who wrote them; not those of handlers."""
        texts: dict[tuple[str, str | None], str] = {}
        for stream, place, text in self._pieces:
            texts[stream, place] = texts.get((stream, place), "") + text
        return [
            Piece(stream, place, line.strip())
            for (stream, place), text in texts.items()
            for line in text.splitlines()
            if place != HANDLER and line.strip() and not is_json(line)
            if place is None or stream not in self._become_lines
        ]


def is_json(line: object) -> bool:
    """Tell whether *line* is a JSON object, as every aggregator takes it."""
    with suppress(ValueError, TypeError):
        return isinstance(json.loads(line), dict)  # type: ignore[arg-type]
    return False


def _makes_lines(stream: object) -> bool:
    """Tell whether *stream* is ours, and makes lines of what is printed."""
    return type(stream).__module__ == PRINTED


def _fill() -> list[int]:
    """Open the standard descriptors that are closed, lest the next file gets their numbers, and return them."""
    opened = [os.open(os.devnull, os.O_RDWR)]
    while opened[-1] <= max(descriptor for descriptor, _ in STREAMS.values()):
        opened.append(os.open(os.devnull, os.O_RDWR))
    os.close(opened.pop())
    return opened


def _writer() -> str | None:
    """Return who writes to a listener."""
    frame = inspect.currentframe()
    while frame is not None:
        if package_of(frame) == "logging":
            return HANDLER
        frame = frame.f_back
    return caller(inspect.currentframe())


def _flush() -> None:
    """Let what Python holds back be written to where it belongs."""
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        with suppress(OSError, ValueError):  # it is closed
            if stream is not None:
                stream.flush()
