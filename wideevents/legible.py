"""Make values, times and durations short words for people, which a terminal can take."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

from wideevents.values import Plain, plain

UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e0fff]"
)
"""
What moves the cursor, starts an escape sequence, turns the direction of a text, ends a line, or is not to be seen.

The joiners U+200C and U+200D are none of that: scripts and emoji need them.
"""

QUOTED = re.compile(r"[\s=\"']")
LARGEST_SECONDS = 1e11
"""Beyond it, which is the year 5138, a number counts smaller parts of a second since the epoch."""

PARTS = (1, 10**3, 10**6, 10**9)


def harmless(text: str) -> str:
    """Return *text* with everything escaped that is no visible character: a newline becomes a backslash and an n."""
    return text if text.isascii() and text.isprintable() else UNSAFE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


def cut(text: str, longest: int) -> str:
    """Return the first *longest* characters of *text*, and how many more there are."""
    left = len(text) - longest
    return text if left <= 0 else f"{text[:longest]}… (+{left:,} characters)"


def words(value: object, longest: int) -> str:
    """Return the text of any value on one line, about *longest* characters of it: a str as it is, else JSON."""
    made = plain(value, _hides_nothing)
    text = made if isinstance(made, str) else json.dumps(made, ensure_ascii=False)
    return harmless(cut(text, longest))


def quoted(value: object, longest: int) -> str:
    """Return what `words` does, in quotes where it would not be seen where the value ends."""
    text = words(value, longest)
    if isinstance(value, str) and (not text or QUOTED.search(text)):
        escaped = text.replace('"', '\\"')
        return f'"{escaped}"'
    return text


def moment(value: object) -> datetime | None:
    """
    Return the time that *value* tells, in UTC where it says its zone, or None.

    It is a datetime, a text in a form of ISO 8601, or a number of seconds since the epoch, or of its thousandths,
    millionths or billionths.
    """
    made = plain(value, _hides_nothing)
    try:
        if isinstance(made, str):
            found = datetime.fromisoformat(made.strip())
            return found if found.tzinfo is None else found.astimezone(UTC)
        return _since_epoch(made)
    except (ValueError, OverflowError):
        return None


def _since_epoch(number: Plain) -> datetime | None:
    if isinstance(number, bool) or not isinstance(number, int | float):
        return None
    part = next((part for part in PARTS if abs(number) / part < LARGEST_SECONDS), None)
    return None if part is None else datetime.fromtimestamp(number / part, UTC)


def clock(value: object) -> str:
    """Return the time of day that *value* tells, to the millisecond, with a Z where it is UTC; else its words."""
    found = moment(value)
    if found is None:
        return words(value, 24)
    zone = "" if found.tzinfo is None else "Z"
    return f"{found:%H:%M:%S}.{found.microsecond // 1000:03d}{zone}"


def lasting(milliseconds: object) -> str:
    """Return a duration in three digits and the unit that fits; what is no number, as its words."""
    made = plain(milliseconds, _hides_nothing)
    if isinstance(made, bool) or not isinstance(made, int | float) or made < 0:
        return words(milliseconds, 9)
    if made < 99.95:
        return f"{made:.2f} ms" if made < 9.995 else f"{made:.1f} ms"
    if made < 999.5:
        return f"{made:.0f} ms"
    return _long(made / 1000)


def _long(seconds: float) -> str:
    if seconds < 59.95:
        return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02d}m" if hours else f"{minutes}m {rest:02d}s"


def _hides_nothing(_: str) -> bool:
    return False
