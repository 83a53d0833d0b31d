"""Write fields as the entries of a journal, and read a journal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from wideevents.serialize import encode

OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE
dumps = orjson.dumps

TRIMMED = "event.trimmed"

LEAST = 64
"""Bytes of a field that is not worth cutting."""

NAMED = 512
"""Bytes for the names of what was cut."""

CUT = "..."


def encoded(entry: Any) -> bytes:
    """Return *entry* as a line of the journal: fields, or a name, an index and the item of a list."""
    try:
        return dumps(entry, None, OPTIONS)
    except orjson.JSONEncodeError:  # a lone surrogate
        if isinstance(entry, dict):
            return encode(entry) + b"\n"
        return encode({"": entry})[len(b'{"":') : -1] + b"\n"


def fitted(fields: Mapping[str, Any], room: int) -> bytes:
    """
    Return *fields* as one entry of at most *room* bytes.

    If they take more, the largest values are cut first, and then the newest fields go; `event.trimmed` names them.
    """
    line = encoded(fields)
    if len(line) <= room:
        return line
    left, cut = dict(fields), []
    sizes = {name: _size(name, value) for name, value in left.items()}
    excess = len(line) + NAMED - room
    for name in sorted(filter(lambda name: sizes[name] > LEAST, sizes), key=sizes.__getitem__, reverse=True):
        if excess <= 0:
            break
        left[name] = _shortened(left[name], max(LEAST // 2, sizes[name] - excess - LEAST // 2) - len(name))
        cut.append(name)
        excess += _size(name, left[name]) - sizes[name]
        sizes[name] = _size(name, left[name])
    for name in reversed(list(left)):
        if excess <= 0:
            break
        del left[name]
        cut.append(name)
        excess -= sizes[name]
    left[TRIMMED] = _within(cut)
    return encoded(left)


def replayed(journal: bytes) -> dict[str, Any]:
    """Return the fields that a *journal*, up to its first zero, comes to; half an entry is no JSON, and left out."""
    fields: dict[str, Any] = {}
    for line in journal.partition(b"\0")[0].split(b"\n"):
        try:
            entry = orjson.loads(line)
        except ValueError:
            continue
        if type(entry) is dict:
            _set(fields, entry.items())
        elif type(entry) is list and len(entry) == 3:
            _grow(fields, *entry)
    return fields


def _set(fields: dict[str, Any], pairs: Iterable[tuple[str, Any]]) -> None:
    for name, value in pairs:
        if value is None:
            fields.pop(name, None)
        else:
            fields[name] = value


def _grow(fields: dict[str, Any], name: str, index: int, item: Any) -> None:
    """Set an item of a list; whoever wrote the list down as a whole may have done so before."""
    items = fields.get(name)
    if type(items) is list:
        items[index : index + 1] = [item]


def _size(name: str, value: Any) -> int:
    """Return the bytes of a field among others: with a comma, and without braces and a newline."""
    return len(encoded({name: value})) - 2


def _shortened(value: Any, room: int) -> Any:
    """Return the beginning of a text, or the newest items of a list, in about *room* bytes; nothing of all else."""
    if type(value) is str:
        return value[: max(0, room) * len(value) // len(encoded(value))] + CUT
    if type(value) is list:
        while value and len(encoded(value)) > room:
            value = value[len(value) // 2 + 1 :]
        return value
    return CUT


def _within(names: list[str]) -> list[str]:
    """Return the first of *names*, and how many more there were."""
    named: list[str] = []
    for name in dict.fromkeys(names):
        if len(encoded([*named, name])) > NAMED // 2:
            return [*named, f"+{len({*names}) - len(named)}"]
        named.append(name)
    return named
