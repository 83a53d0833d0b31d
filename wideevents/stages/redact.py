"""Hide secrets by their values, wherever they stand."""

from __future__ import annotations

from typing import Any

from wideevents.events import Event
from wideevents.redaction import Redaction

SETTLED = frozenset({"event.id", "trace.id", "parent.id", "http.request.id", "url.query"})
"""Fields that were drawn, checked or redacted where they were made; they are new every time."""

KNOWN_LIMIT = 2_048
KNOWN_LENGTH = 256


class Redact:
    """
    Replace the secrets in the values of a record.

    Most strings of a service come again and again: those that were found clean are remembered, and cost one look-up.
    Keys were judged when their fields were added.
    """

    __slots__ = ("_clean", "_longest", "_redaction", "_short")

    essential = True

    def __init__(self, redaction: Redaction, longest: int) -> None:
        """Take the length of a line in bytes: what of a text lies beyond it will be cut, and need not be looked at."""
        self._redaction = redaction
        self._short = redaction.short
        self._longest = longest
        self._clean: set[str] = set()

    def __call__(self, event: Event) -> Event:
        """Redact every text of the record, in place."""
        record, clean, short = event.record, self._clean, self._short
        unknown = [
            (name, value)
            for name, value in record.items()
            if type(value) is list
            or (type(value) is str and len(value) > short and value not in clean and name not in SETTLED)
        ]
        for name, value in unknown:
            record[name] = self._nested(value)
        return event

    def _text(self, text: str) -> str:
        if len(text) <= self._short:
            return text
        redacted = self._redaction.text(text if len(text) <= self._longest else text[: self._longest])
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
