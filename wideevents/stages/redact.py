"""Hide secrets by their values, wherever they stand."""

from __future__ import annotations

from datetime import datetime
from math import isfinite
from typing import Any

from wideevents.entries import E
from wideevents.events import SMALL
from wideevents.keys import Keys
from wideevents.redaction import MARKER, without
from wideevents.values import LARGEST, SMALLEST, plain

STACKS = ("exception.stacktrace", "code.stacktrace")

CLEAN_LIMIT = 2_048
CLEAN_LENGTH = 256
"""Texts that are remembered as clean, and their length; longer ones hardly come again."""


class Redact:
    """
    Replace the secrets in the values of a record.

    Keys were judged when their fields were added. Of the values only those are looked at that an event suspects, since
    the others were found clean before; *thorough* looks at all, as there must be when stages of the user's own may have
    put something there.
    """

    __slots__ = ("_clean", "_longest", "_redaction", "_short", "_thorough")

    essential = True

    def __init__(self, keys: Keys, longest: int, *, thorough: bool = True) -> None:
        """Take the length of a line in bytes: what of a text lies beyond it will be cut, and need not be looked at."""
        self._redaction = keys.redaction
        self._clean = keys.clean
        self._short = keys.redaction.short
        self._longest = longest
        self._thorough = thorough

    def __call__(self, event: E) -> E:
        """Redact every text of the record, in place."""
        record, clean = event.record, self._clean
        # A copy is read: another thread may still note a name, which is then that of a late write.
        for name in record if self._thorough else tuple(event.suspects):
            if name not in record:
                continue
            value = record[name]
            if self._thorough and type(value) in {list, dict}:
                value = plain(value, self._redaction.hides)  # a stage's own may be endless
            if type(value) is not str:
                record[name] = self._redacted(value)
            elif name in STACKS:  # what is kept of it, if it must be cut, is its end
                record[name] = self._redaction.end(value, self._longest)
            elif value not in clean:
                record[name] = self._text(value)
        if event.hidden:
            event.record = {name: without(value, event.hidden) for name, value in record.items()}
        return event

    def _redacted(self, value: Any) -> Any:
        kind = type(value)
        if kind is str:
            return self._text(value)
        if kind is int and SMALLEST <= value <= LARGEST:
            return value if value < SMALL else self._number(value)
        if kind is bool or value is None or kind is datetime or (kind is float and isfinite(value)):
            return value
        if kind is list:
            return [self._redacted(item) for item in value]
        if kind is dict:
            return {key: self._redacted(item) for key, item in value.items()}
        return self._redacted(plain(value, self._redaction.hides))  # a stage may have put there what it likes

    def _number(self, number: int) -> int | str:
        """Hide a card number that came as an integer."""
        digits = str(number)
        return number if self._redaction.text(digits) is digits else MARKER

    def _text(self, text: str) -> str:
        length = len(text)
        if length <= self._short:
            redacted = text
        elif length <= self._longest:
            redacted = self._redaction.text(text)
        else:
            redacted = self._redaction.head(text, self._longest)
        if redacted is text and length <= CLEAN_LENGTH:
            if len(self._clean) >= CLEAN_LIMIT:
                self._clean.clear()
            self._clean.add(text)
        return redacted
