"""Show on a terminal how far a batch has come."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from threading import Lock
from typing import TextIO

from wideevents.legible import cut, harmless

try:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeftColumn
    from rich.text import Text
except ImportError as missing:
    raise ImportError("wideevents.progress needs rich: pip install 'wideevents[console]'") from missing

PATIENCE = 0.5
EVERY = 0.1
"""Seconds before the first picture, since a batch that is soon over needs none, and between two of them."""

LEAST_LINES = 3
UNDRAWN = (0, 0)
NAME_LENGTH = 40

SAVE, RESTORE = "\x1b7", "\x1b8"
WHOLE_SCREEN = "\x1b[r"
MAKE_ROOM = "\x1bD\x1b[A"
CLEAR_LINE = "\x1b[2K"

_bottom = Lock()
"""The last line of the terminal, of which there is one: the outermost batch has it, and those inside it none."""


class RateColumn(ProgressColumn):
    """Show how many steps a second there are."""

    def render(self, task: Task) -> Text:
        """Return the rate of the last half minute."""
        return Text("" if task.speed is None else f"{task.speed:,.1f}/s", style="progress.data.speed")


class ProgressBar:
    """
    Draw on the last line of the terminal, below the region in which everything else scrolls (DECSTBM, as apt does).

    So whatever is written meanwhile, by anybody, passes by above it: lines and events, `print`, a child process. Each
    picture is one write, and leaves the cursor where it was. A terminal that is gone is left alone.
    """

    def __init__(self, console: Console, name: str, total: int | None, monotonic: Callable[[], float]) -> None:
        self._console = console
        self._stream: TextIO | None = sys.stderr
        self._monotonic = monotonic
        self._size = UNDRAWN
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            RateColumn(),
            TimeLeftColumn(),
            TextColumn("{task.fields[failed]}", style="red", markup=False),
            console=console,
            auto_refresh=False,
            get_time=monotonic,
            expand=True,
        )
        self._task = self._progress.add_task(cut(harmless(name), NAME_LENGTH), total=total, failed="")
        self._due = monotonic() + PATIENCE

    def show(self, done: int, failures: int) -> None:
        """Draw that many steps *done*, and failed, unless the last picture is younger than `EVERY`."""
        now = self._monotonic()
        if now < self._due:
            return
        self._due = now + EVERY
        failed = f"{failures:,} failed" if failures else ""
        self._progress.update(self._task, completed=done, failed=failed)
        self._write(self._picture)

    def close(self) -> None:
        """Take the bar away, and give the line back."""
        if self._size != UNDRAWN:
            self._write(lambda _, lines: f"{SAVE}{WHOLE_SCREEN}{_at(lines)}{CLEAR_LINE}{RESTORE}")
        self._stream = None
        _bottom.release()

    def _picture(self, columns: int, lines: int) -> str:
        begins = f"{SAVE}{WHOLE_SCREEN}{RESTORE}{MAKE_ROOM}" if (columns, lines) != self._size else ""
        self._size = columns, lines
        with self._console.capture() as captured:  # one column less than there are, since a full line may wrap
            self._console.print(self._progress.get_renderable(), width=columns - 1, no_wrap=True, end="")
        bar = captured.get().partition("\n")[0]
        return f"{begins}{SAVE}\x1b[1;{lines - 1}r{_at(lines)}{CLEAR_LINE}{bar}{RESTORE}"

    def _write(self, draw: Callable[[int, int], str]) -> None:
        stream = self._stream
        if stream is None:
            return
        try:
            columns, lines = os.get_terminal_size(stream.fileno())
            if lines >= LEAST_LINES:
                stream.write(draw(columns, lines))
                stream.flush()
        except (OSError, ValueError):  # closed, or no terminal any more
            self._stream = None


def bar(name: str, total: int | None, monotonic: Callable[[], float] = time.monotonic) -> ProgressBar | None:
    """
    Return the bar of a batch; None where nobody would see it as it is meant, and where there is one already.

    rich says what a terminal can do, by `TERM`, `NO_COLOR` and its own variables. What runs for a `CI` is a log.
    *monotonic* returns seconds.
    """
    console = Console(stderr=True)
    seen = console.is_terminal and not console.is_dumb_terminal and not console.legacy_windows
    if not seen or os.environ.get("CI") or not _bottom.acquire(blocking=False):
        return None
    return ProgressBar(console, name, total, monotonic)


def _at(line: int) -> str:
    return f"\x1b[{line};1H"
