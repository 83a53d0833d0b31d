"""Turn a record into one line of JSON that every reader takes."""

from __future__ import annotations

import re
from typing import Any

import orjson

from wideevents.values import plain, text

OPTIONS = orjson.OPT_UTC_Z
dumps = orjson.dumps

RISKY = re.compile("[\x7f\x80-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""DEL, C1, line and paragraph separators, bidi controls: valid in JSON, and trouble on a terminal or in a splitter."""

DEL = 0x7F
"""As a number: to look for one is six times as fast as to look for a text of one byte."""

RISKY_LEADS = (b"\xc2", b"\xd8", b"\xe2")
"""The first bytes of those characters in UTF-8, DEL excepted: to look for one byte is nearly free."""


def encode(record: dict[str, Any]) -> bytes:
    """
    Return *record* as one JSON object, in UTF-8, without a raw control character, separator or bidi control.

    Values are plain by now; what cannot be encoded all the same (a lone surrogate) is written with a backslash.
    """
    try:
        line = dumps(record, None, OPTIONS)
    except orjson.JSONEncodeError:
        line = dumps(_repaired(record), None, OPTIONS)
    return line if line.isascii() and DEL not in line else _escaped(line)


def _escaped(line: bytes) -> bytes:
    if DEL not in line and not any(lead in line for lead in RISKY_LEADS):
        return line
    return RISKY.sub(_escape, line.decode()).encode()


def _escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def _repaired(record: dict[str, Any]) -> dict[str, Any]:
    """Return a copy that can be encoded, whatever a stage has put there."""
    return {_valid(text(key)): _valid(plain(value, _hides_nothing)) for key, value in record.items()}


def _valid(value: Any) -> Any:
    """Write lone surrogates with a backslash; *value* is plain, and so of a bounded depth."""
    if type(value) is str:
        return value.encode("utf-8", "backslashreplace").decode()
    if type(value) is list:
        return [_valid(item) for item in value]
    if type(value) is dict:
        return {_valid(key): _valid(item) for key, item in value.items()}
    return value


def _hides_nothing(_: str) -> bool:
    return False
