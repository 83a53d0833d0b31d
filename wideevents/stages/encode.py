"""Trim a record to its size, and encode it as one line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wideevents.entries import E
from wideevents.errors import ConfigurationError
from wideevents.fields import NAMES
from wideevents.serialize import encode

STACKS = ("exception.stacktrace", "code.stacktrace")
"""What is kept of a stack, if it must be cut, is its end."""

LINES = "log.lines"
TIME = "timestamp"
CUT = "..."
LONG = 40
"""Characters below which a default field is not worth cutting."""


@dataclass(frozen=True, slots=True)
class Limits:
    """
    Bound a line.

    *max_bytes* is the whole line, its newline included: Docker splits at 16 KiB. *max_fields* counts the user's fields,
    *max_value_length* the characters of one value, or the bytes of an encoded list.
    """

    max_bytes: int = 16_000
    max_fields: int = 1_000
    max_value_length: int = 4_000

    def __post_init__(self) -> None:
        for name, least in (("max_bytes", 2_048), ("max_fields", 1), ("max_value_length", 64)):
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise ConfigurationError.of(f"limits.{name}", value, f"a whole number of at least {least}")


class Encode:
    """Encode `event.record` as `event.line`, trimmed to the limits; the last stage."""

    __slots__ = ("_careful", "_limits", "_most_fields", "_thorough")

    essential = True

    def __init__(self, limits: Limits, *, thorough: bool = True) -> None:
        """Take whether stages of the user's own may have emptied the record, or written a name of the process."""
        self._limits = limits
        self._most_fields = limits.max_fields
        self._thorough = thorough
        # A line that is shorter than the longest value that is allowed holds none that is too long.
        self._careful = min(limits.max_bytes, limits.max_value_length)

    def __call__(self, event: E) -> E:
        """Encode the event; one that is too long, or that needs care, the careful way."""
        record = event.record
        event.line = line = encode(record)[:-1] + event.tail
        if (
            (len(line) > self._careful and (len(line) > self._limits.max_bytes or self._has_long(record)))
            or len(record) > self._most_fields
            or (self._thorough and (not record or not record.keys().isdisjoint(event.static)))
        ):
            whole = {**event.static, **record}
            _Trimmer(whole, self._limits).trim()
            event.line = encode(whole) + b"\n"
        return event

    def _has_long(self, record: dict[str, Any]) -> bool:
        """Tell whether a value may be too long; many short ones make a long line, too."""
        most = self._limits.max_value_length
        return any(type(value) is list or (type(value) is str and len(value) > most) for value in record.values())


class _Trimmer:
    """
    Cut one record down, in place; the fields of the process are in it too.

    Default fields stay, unless nothing is left of them and even that is too much. Values shrink in this order: log
    lines, the stack trace, the user's fields newest first, long defaults. What was cut is named in `event.trimmed`.
    """

    def __init__(self, record: dict[str, Any], limits: Limits) -> None:
        self.record = record
        self.limits = limits
        self.sizes = {name: _size(name, value) for name, value in record.items()}
        self.total = sum(self.sizes.values()) + len(b"{}\n") - len(b",")
        self.room_for_names = min(512, limits.max_bytes // 8)
        cut = record.get("event.trimmed", ())
        self.cut: dict[str, None] = dict.fromkeys(cut)  # a set that keeps its order

    def trim(self) -> None:
        """Trim, and name what was cut."""
        self._cap_values()
        self._cap_fields()
        if self.cut or self._excess() > 0:
            self.total += self.room_for_names
            self._fit()
            self.record["event.trimmed"] = _within(list(self.cut), self.room_for_names)

    def _cap_values(self) -> None:
        cap = self.limits.max_value_length
        for name, value in list(self.record.items()):
            if name in {*STACKS, LINES}:
                continue
            if type(value) is str and len(value) > cap:
                self._set(name, value[: cap - len(CUT)] + CUT)
            elif type(value) is list and _length(value) > cap:
                self._set(name, _shortened_list(value, cap))

    def _cap_fields(self) -> None:
        for name in self._users()[self.limits.max_fields :]:
            self._drop(name)

    def _fit(self) -> None:
        for name in (LINES, *STACKS):
            if name in self.record:
                self._shrink(name)
        for name in reversed(self._users()):
            if self._excess() <= 0:
                return
            self._shrink_or_drop(name)
        for least in (LONG, 0):  # ids and other short ones only if nothing else is left to cut
            for name in sorted(self.record, key=self.sizes.__getitem__, reverse=True):
                if type(self.record[name]) in {str, list} and name != TIME:
                    self._shrink(name, least)
        for name in reversed(list(self.record)):  # what comes first says which event it is
            if self._excess() > 0 and self.record[name] in ("", []):
                self._drop(name)

    def _users(self) -> list[str]:
        return [name for name in self.record if name not in NAMES]

    def _excess(self) -> int:
        return self.total - self.limits.max_bytes

    def _shrink_or_drop(self, name: str) -> None:
        value = self.record[name]
        if type(value) is str and _length(value) - self._excess() > LONG:
            self._shrink(name)
        else:
            self._drop(name)

    def _shrink(self, name: str, least: int = 0) -> None:
        """Take as much from the value as is over the limit, no more, and if possible leave *least* bytes of it."""
        excess, value = self._excess(), self.record[name]
        if excess <= 0 or _length(value) <= max(least, len(b'""')):
            return
        room = max(_length(value) - excess, least)
        if type(value) is list:
            self._set(name, _shortened_list(value, room))
        else:
            self._set(name, _shortened(value, room, keep_end=name in STACKS))

    def _set(self, name: str, value: Any) -> None:
        size = _size(name, value)
        self.total += size - self.sizes[name]
        self.sizes[name] = size
        self.record[name] = value
        self.cut[name] = None

    def _drop(self, name: str) -> None:
        del self.record[name]
        self.total -= self.sizes.pop(name)
        self.cut[name] = None


def _length(value: Any) -> int:
    """Return the bytes of *value* in a line."""
    return len(encode({"": value})) - len(b'{"":}')


def _size(name: str, value: Any) -> int:
    """Return the bytes of a field in a line, its colon and its comma included."""
    return len(encode({name: value})) - len(b"{}") + len(b",")


def _shortened(text: str, room: int, *, keep_end: bool = False) -> str:
    """Return as much of *text* as takes *room* bytes in a line; a stack trace keeps its end."""
    room -= len(CUT)
    while text and (length := _length(text)) > room:
        kept = min(len(text) - 1, max(0, len(text) * room // length))
        text = text[len(text) - kept :] if keep_end else text[:kept]
    if not text:
        return ""
    return CUT + text if keep_end else text + CUT


def _shortened_list(items: list[Any], room: int) -> list[Any]:
    """Return the newest items that take at most *room* bytes."""
    while items and (length := _length(items)) > room:
        kept = min(len(items) - 1, max(0, len(items) * room // length))
        items = items[len(items) - kept :]
    return items


def _within(names: list[str], room: int) -> list[str]:
    """Return the first of *names*, and how many more there were, in at most *room* bytes."""
    named: list[str] = []
    for name in names:
        more = f"+{len(names) - len(named)}"
        if _size("event.trimmed", [*named, name, more]) > room:
            return [*named, more]
        named.append(name)
    return named
