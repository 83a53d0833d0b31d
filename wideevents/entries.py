"""Hold what is about to be written: a record of fields, and the line that is made of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

from wideevents.levels import Level

NOTHING: dict[str, Any] = {}
CLOSE = b"}\n"


class Noted(NamedTuple):
    """Hold an exception while its entry is under way; *handled* is that the work went on."""

    error: BaseException
    level: Level
    handled: bool
    expected: bool

    def merged(self, again: Noted) -> Noted:
        """Return what is true of an exception that was noted again: nobody handled it if it came up again after all."""
        handled = self.handled and again.handled
        if self.handled == again.handled:
            expected = self.expected or again.expected
        else:  # what was expected to be handled, and then was not, is a surprise
            expected = self.expected if again.handled else again.expected
        return Noted(self.error, max(self.level, again.level), handled, expected)


def standing(errors: Sequence[Noted]) -> Noted | None:
    """Return the one of *errors* that stands for them: the first that nobody handled, else the first."""
    return next((noted for noted in errors if not noted.handled), errors[0] if errors else None)


class Entry:
    """
    Hand a record from stage to stage, and its line to the sinks: that of an event, or of a log call.

    `record` is what the stages see and change. `static` is what every entry of the process has, and `tail` its end of
    the line, encoded once. `suspects` names the fields whose text nobody has looked at yet: they are redacted. `line`
    is the encoded whole, which ends in a newline. `errors` are the exceptions that it tells of, for who reports them;
    `hidden` are texts that are secret by where they came from, and are hidden wherever they stand. `waits` are the
    seconds that the lines of a request have kept it waiting so far; None is work that nobody waits for.
    """

    __slots__ = ("errors", "hidden", "level", "line", "record", "static", "suspects", "tail", "waits")

    level: Level
    errors: tuple[Noted, ...]
    hidden: tuple[str, ...]
    record: dict[str, Any]
    suspects: set[str]
    static: dict[str, Any]
    tail: bytes
    line: bytes
    waits: list[float] | None


E = TypeVar("E", bound=Entry)
"""What a stage is given, and gives back."""
