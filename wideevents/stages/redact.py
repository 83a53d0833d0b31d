"""Hide secrets by their values, wherever they stand."""

from __future__ import annotations

from typing import Any

from wideevents.events import Event
from wideevents.redaction import Redaction

SHORT = 8
"""No secret that can be told by its value alone is as short as this."""

OURS = frozenset({"event.id", "trace.id", "parent.id", "http.request.id"})
"""Ids that we drew or checked ourselves: they are new every time, and hold nothing."""

KNOWN_LIMIT = 2_048
KNOWN_LENGTH = 256


class Redact:
    """
    Replace the secrets in the values of a record.

    Most strings of a service come again and again: those that were found clean are remembered, and cost one look-up.
    Keys were judged when their fields were added.
    """

    __slots__ = ("_clean", "_redaction")

    essential = True

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction
        self._clean: set[str] = set()

    def __call__(self, event: Event) -> Event:
        """Redact every text of the record, in place."""
        record = event.record
        clean = self._clean
        for name, value in record.items():
            kind = type(value)
            if kind is str:
                if len(value) > SHORT and value not in clean and name not in OURS:
                    record[name] = self._text(value)
            elif kind is list:
                record[name] = self._nested(value)
        return event

    def _text(self, text: str) -> str:
        redacted = self._redaction.text(text)
        if redacted is text and len(text) <= KNOWN_LENGTH:
            if len(self._clean) >= KNOWN_LIMIT:
                self._clean.clear()
            self._clean.add(text)
        return redacted

    def _nested(self, value: Any) -> Any:
        if type(value) is str:
            return self._text(value)
        if type(value) is list:
            return [self._nested(item) for item in value]
        if type(value) is dict:
            return {key: self._nested(item) for key, item in value.items()}
        return value
