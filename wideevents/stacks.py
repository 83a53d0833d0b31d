"""Print a traceback as Python does, with the application's own frames marked and the others folded."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Any

FEW = 2
"""Frames of libraries in a row that are not worth folding."""

INSTALLED = ("site-packages", "dist-packages")
MARK = ">"

NEWLINE = "\n"
LINE_LENGTH = 1_000
STACK_LENGTH = 32_768
"""Characters of a traceback that are kept in memory; its ends say more than its middle."""


class _Stack(traceback.StackSummary):
    """
    Print the application's frames with a mark, and of a long run of others the last one alone.

    A traceback without a frame of the application's is printed whole.
    """

    owns: Callable[[str], bool]

    def format(self, **options: Any) -> list[str]:
        runs = [(own, list(run)) for own, run in groupby(self, lambda frame: self.owns(frame.filename))]
        if not any(own for own, _ in runs):
            return super().format(**options)
        lines: list[str] = []
        for own, run in runs:
            if own:
                lines += [_marked(each) for each in traceback.StackSummary(run).format(**options)]
            else:
                folded = run[:-1] if len(run) > FEW else []
                lines += [_folded(folded)] if folded else []
                lines += traceback.StackSummary(run[len(folded) :]).format(**options)
        return lines


def printed(error: BaseException, owns: Callable[[str], bool]) -> str:
    """
    Return the traceback of *error*, causes and members of groups included; *owns* tells whose file it is.

    Frames of the application begin with ">"; the middle of an endless traceback is left out.
    """
    told = traceback.TracebackException(type(error), error, error.__traceback__, compact=True)
    for each in _chain(told):
        each.stack = own = _Stack(each.stack)
        own.owns = owns
    return _cut("".join(told.format()).rstrip("\n"))


def _chain(told: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    """Yield what is printed with *told*: it, its causes, and the members of groups."""
    waiting: list[traceback.TracebackException | None] = [told]
    while waiting:
        each = waiting.pop()
        if each is not None:
            yield each
            waiting += [each.__cause__, each.__context__, *(each.exceptions or ())]


def _marked(line: str) -> str:
    """Mark a frame: its first line has an indent of two, a note on repetitions has none of a file."""
    return f"{MARK} {line[2:]}" if line.startswith("  File ") else line


def _folded(frames: Iterable[traceback.FrameSummary]) -> str:
    """Say how many frames were left out, and whose they were."""
    names = [_library(frame.filename) for frame in frames]
    count = f"{len(names)} frame" + "s" * (len(names) != 1)
    return f"  ... {count} of {', '.join(dict.fromkeys(names))}\n"


def _library(path: str) -> str:
    """Return the name of the package that the file at *path* belongs to."""
    parts = path.replace("\\", "/").split("/")
    for folder in INSTALLED:
        if folder in parts:
            return parts[len(parts) - parts[::-1].index(folder)].removesuffix(".py")
    return "wideevents" if "wideevents" in parts else "Python"


def _cut(text: str) -> str:
    """Leave out the middle of an endless text, between lines: half a secret would not be recognised as one."""
    if len(text) <= STACK_LENGTH:
        return text
    half = STACK_LENGTH // 2
    head, tail = text[:half], text[-half:]
    end, start = head.rfind(NEWLINE, half - LINE_LENGTH), tail.find(NEWLINE, 0, LINE_LENGTH)
    return f"{head[:end] if end > 0 else head}\n  ...\n{tail[start + 1 :]}"
