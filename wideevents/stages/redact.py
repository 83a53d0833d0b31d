"""Hide secrets by their values, wherever they stand."""

from __future__ import annotations

from wideevents.entries import E
from wideevents.hiding import Hiding
from wideevents.keys import Keys
from wideevents.redaction import without
from wideevents.values import plain


class Redact:
    """
    Replace the secrets in the values of a record.

    Keys were judged when their fields were added. Of the values only those are looked at that an event suspects, since
    the others were found clean before; *thorough* looks at all, as there must be when stages of the user's own may have
    put something there.
    """

    __slots__ = ("_clean", "_hiding", "_thorough")

    essential = True

    def __init__(self, keys: Keys, longest: int, *, thorough: bool = True) -> None:
        """Take the length of a line in bytes: what of a text lies beyond it will be cut, and need not be looked at."""
        self._clean = keys.clean
        self._hiding = Hiding(keys, longest)
        self._thorough = thorough

    def __call__(self, event: E) -> E:
        """Redact every text of the record, in place."""
        record, clean, hiding = event.record, self._clean, self._hiding
        # A copy is read: another thread may still note a name, which is then that of a late write.
        for name in record if self._thorough else tuple(event.suspects):
            if name not in record:
                continue
            value = record[name]
            if self._thorough and type(value) in {list, dict}:
                value = plain(value, hiding.keys.redaction.hides)  # a stage's own may be endless
            if type(value) is not str or value not in clean:
                record[name] = hiding.shown(name, value)
        if event.hidden:
            event.record = {name: without(value, event.hidden) for name, value in record.items()}
        return event
