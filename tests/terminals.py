"""Be a terminal, as far as a test looks at one: a pseudo-terminal, and the picture that its bytes make."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

SEQUENCE = re.compile(r"\x1b(?:\[(?P<numbers>[0-9;]*)(?P<end>[A-Za-z])|(?P<single>[78D]))")

VERBS = {"H": "move", "A": "up", "K": "erase", "m": "dye", "r": "confine", "7": "save", "8": "restore", "D": "index"}


class Screen:
    """
    Draw what is written, by ECMA-48 and DEC's scroll region: text, CR, LF, and the sequences H, A, K, r, m, 7, 8, D.

    Any other sequence is an error of the test. `scrolled` are the rows that have left at the top.
    """

    def __init__(self, columns: int, lines: int) -> None:
        self.columns, self.lines = columns, lines
        self.rows = [""] * lines
        self.scrolled: list[str] = []
        self.row = self.column = 0
        self.region = (0, lines - 1)
        self.saved = (0, 0)

    def feed(self, text: str) -> None:
        """Draw *text*."""
        while text:
            found = SEQUENCE.match(text)
            if found is None:
                assert text[0] != "\x1b", f"an unknown sequence: {text[:9]!r}"
                self._put(text[0])
                text = text[1:]
            else:
                numbers = [int(number or 1) for number in (found["numbers"] or "1").split(";")]
                getattr(self, VERBS[found["end"] or found["single"]])(*numbers)
                text = text[found.end() :]

    def _put(self, character: str) -> None:
        if character == "\r":
            self.column = 0
        elif character == "\n":
            self.index(1)
        else:
            if self.column == self.columns:
                self.column = 0
                self.index(1)
            row = self.rows[self.row].ljust(self.column)
            self.rows[self.row] = row[: self.column] + character + row[self.column + 1 :]
            self.column += 1

    def index(self, _: int) -> None:
        top, bottom = self.region
        if self.row == bottom:
            self.scrolled.append(self.rows.pop(top))
            self.rows.insert(bottom, "")
        else:
            self.row = min(self.row + 1, self.lines - 1)

    def move(self, row: int, column: int) -> None:
        self.row, self.column = row - 1, column - 1

    def up(self, rows: int) -> None:
        self.row = max(self.row - rows, 0)

    def erase(self, part: int) -> None:
        assert part == 2
        self.rows[self.row] = ""

    def dye(self, *_: int) -> None:
        """Colours are not looked at."""

    def confine(self, top: int = 1, bottom: int | None = None) -> None:
        self.region = (top - 1, (bottom or self.lines) - 1)
        self.row = self.column = 0

    def save(self, _: int) -> None:
        self.saved = (self.row, self.column)

    def restore(self, _: int) -> None:
        self.row, self.column = self.saved


class Terminal:
    """A pseudo-terminal, whose bytes go through unchanged but for newlines; *stream* is what a program writes to."""

    def __init__(self, columns: int, lines: int) -> None:
        self.reader, writer = os.openpty()
        tty.setraw(writer)
        self.stream: TextIO = os.fdopen(writer, "w", encoding="utf-8", newline="\r\n")
        self.screen = Screen(columns, lines)
        self.resize(columns, lines)

    def resize(self, columns: int, lines: int) -> None:
        """Give it another size; the picture of it is another one then."""
        fcntl.ioctl(self.reader, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def read(self) -> str:
        """Return what was written since, and draw it."""
        os.set_blocking(self.reader, False)
        parts = []
        try:
            while part := os.read(self.reader, 65_536):
                parts.append(part)
        except (BlockingIOError, OSError):  # nothing more, or nobody writes any more
            pass
        text = b"".join(parts).decode()
        self.screen.feed(text)
        return text


@contextmanager
def terminal(columns: int = 80, lines: int = 10) -> Iterator[Terminal]:
    """Give a terminal, and close it."""
    made = Terminal(columns, lines)
    try:
        yield made
    finally:
        os.close(made.reader)
        if not made.stream.closed:
            made.stream.close()
