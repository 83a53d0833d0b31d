"""Read how long something lasts, as people write it."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError

UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}

LONGEST = 366 * UNITS["d"]

_duration = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)([smhd])")


def is_duration(text: str) -> bool:
    """Tell whether *text* has the form of a time."""
    return _duration.fullmatch(text.strip()) is not None


def duration(text: str) -> float:
    """Read a time such as 90s, 15m, 2h or 1d, in seconds; raise `ArgumentTypeError` for anything else."""
    found = _duration.fullmatch(text.strip())
    length = float(found[1]) * UNITS[found[2]] if found else 0.0
    if not 0 < length <= LONGEST:
        raise ArgumentTypeError(f"{text!r} is no time such as 90s, 15m, 2h or 1d, of at most a year")
    return length
