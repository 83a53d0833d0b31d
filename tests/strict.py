"""Read a line as the strictest aggregator would, and refuse what another one might stumble over."""

from __future__ import annotations

import json
import re
from math import isfinite
from typing import Any

from wideevents.fields import FIELDS, ancestors

SMALLEST, LARGEST = -(2**63), 2**63 - 1

RAW = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""C0, DEL, C1, line and paragraph separators, bidi controls, surrogates: none of them may stand raw in a line."""

TYPES = {field.name: field.type for field in FIELDS if not field.shared}
"""What our own fields hold; a user may write the shared ones too, so their type is what the user made of it."""

ALWAYS = ("timestamp", "event.name", "event.id", "event.kind", "duration_ms", "outcome", "level", "alert.urgency")
ALWAYS_LOGGED = (
    *("timestamp", "level", "message", "log.logger", "service.name", "service.instance.id", "host.name"),
    *("process.pid", "process.runtime.version"),
)
LEVELS = {"debug", "info", "warning", "error"}
IDS = {"event.id", "trace.id"}
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")


def parse_line(line: bytes, max_bytes: int = 16_000) -> dict[str, Any]:
    """
    Return the fields of *line*; raise `AssertionError`, which says what is wrong, unless it keeps the whole contract.

    One line of valid UTF-8 and of JSON as RFC 8259 has it, at most *max_bytes* long, its newline included; no key
    twice; finite numbers, integers within 64 bits signed; no null and no nested object at the top; our own fields of
    their types; no scalar `a` beside `a.b`.
    """
    fields = read_line(line, max_bytes)
    check_contract(fields, ALWAYS)
    return fields


def parse_log_line(line: bytes, max_bytes: int = 16_000) -> dict[str, Any]:
    """
    Return the fields of the line of a log call; raise `AssertionError` unless it keeps the whole contract.

    It is as strict as `parse_line`. A line belongs to an event, whose ids it carries, or it has an urgency of its own:
    never both, since the event alerts, and never neither.
    """
    fields = read_line(line, max_bytes)
    check_contract(fields, ALWAYS_LOGGED)
    assert type(fields["message"]) is str, f"no message: {fields['message']!r}"
    assert fields["level"] in LEVELS, f"no level: {fields['level']!r}"
    ids = fields.keys() & IDS
    assert ids in (set(), IDS), f"an event has both ids, not only {ids}"
    assert ("alert.urgency" in fields) is not bool(ids), f"either the ids of an event or an urgency: {fields}"
    assert ids or "http.request.id" not in fields, "the id of a request outside any event"
    return fields


def read_line(line: bytes, max_bytes: int) -> dict[str, Any]:
    """Return the fields of *line*, each checked by itself."""
    assert isinstance(line, bytes), f"a line is bytes, not {type(line).__name__}"
    assert line.endswith(b"\n"), f"no newline at the end: {line[-80:]!r}"
    assert len(line) <= max_bytes, f"{len(line)} bytes, more than {max_bytes}"
    text = line.decode("utf-8")[:-1]
    raw = RAW.search(text)
    assert raw is None, f"raw {raw[0]!r} at {raw.start()}: {text[: raw.start() + 1][-80:]!r}"
    fields = strict_loads(text)
    assert isinstance(fields, dict), f"a {type(fields).__name__} at the top"
    for name, value in fields.items():
        check_field(name, value)
    return fields


def strict_loads(text: str) -> Any:
    """Parse JSON without Python's extensions: no NaN, no key twice, no number that another reader would change."""
    return json.loads(
        text,
        parse_constant=refuse_constant,
        parse_int=parse_whole,
        parse_float=parse_finite,
        object_pairs_hook=unique,
    )


def refuse_constant(name: str) -> Any:
    """Refuse NaN and the infinities, which are no JSON."""
    raise AssertionError(f"{name} is no JSON")


def parse_whole(digits: str) -> int:
    """Return an integer that fits 64 bits signed."""
    assert len(digits) <= 20, f"an integer of {len(digits)} digits"
    number = int(digits)
    assert SMALLEST <= number <= LARGEST, f"{number} is beyond 64 bits signed"
    return number


def parse_finite(digits: str) -> float:
    """Return a number that is finite when it is read back."""
    number = float(digits)
    assert isfinite(number), f"{digits} is read as infinity"
    return number


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object, none of whose keys stands there twice."""
    read = dict(pairs)
    names = [name for name, _ in pairs]
    assert len(read) == len(names), f"twice: {sorted({name for name in names if names.count(name) > 1})}"
    return read


def check_field(name: str, value: Any) -> None:
    """Check one field at the top of a line."""
    assert name, "an empty name"
    assert value is not None, f"{name} is null, and should be left out"
    assert not isinstance(value, dict), f"{name} is not flat: {value!r}"
    if name in TYPES:
        assert type(value) is TYPES[name], f"{name} is of the type {TYPES[name].__name__}, not {value!r}"


def check_contract(fields: dict[str, Any], always: tuple[str, ...]) -> None:
    """Check what holds for the whole of a line."""
    missing = [name for name in always if name not in fields]
    assert not missing, f"missing: {missing}"
    assert TIMESTAMP.fullmatch(fields["timestamp"]), f"no RFC 3339 in UTC: {fields['timestamp']!r}"
    above = {branch for name in fields for branch in ancestors(name)}
    crossed = sorted(above & fields.keys())
    assert not crossed, f"a scalar beside its own branches: {crossed}"
