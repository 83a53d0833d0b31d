"""Hide secrets in a value before anybody outside this process can read it."""

from __future__ import annotations

from datetime import datetime
from math import isfinite
from typing import Any

from wideevents.events import SMALL
from wideevents.keys import Keys
from wideevents.redaction import MARKER
from wideevents.values import LARGEST, SMALLEST, plain

STACKS = ("exception.stacktrace", "code.stacktrace")

CLEAN_LIMIT = 2_048
CLEAN_LENGTH = 256
"""Texts that are remembered as clean, and their length; longer ones hardly come again."""


class Hiding:
    """
    Replace the secrets in values, as the line will: what is found clean here is clean there.

    *longest* is the length in characters beyond which a text is cut, and not looked at.
    """

    __slots__ = ("_clean", "_longest", "_redaction", "_short", "keys")

    def __init__(self, keys: Keys, longest: int) -> None:
        self.keys = keys
        self._redaction = keys.redaction
        self._clean = keys.clean
        self._short = keys.redaction.short
        self._longest = longest

    def shown(self, name: str, value: Any) -> Any:
        """Return what of the *value* of a field may be seen."""
        if type(value) is not str:
            return self._redacted(value)
        if name in STACKS:  # what is kept of it, if it must be cut, is its end
            return self._redaction.end(value, self._longest)
        return value if value in self._clean else self._text(value)

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
        return self._redacted(plain(value, self._redaction.hides))

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
