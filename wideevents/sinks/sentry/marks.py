"""
Remember on an exception itself which report tells of it.

Exceptions cannot be referred to weakly, so that a table of them would keep their frames alive. The mark lives as long
as the exception does. It is made of plain values: a pickled exception takes it along, and whoever unpickles it need
not have this package.
"""

from __future__ import annotations

from typing import NamedTuple

MARK, DUE = "_wideevents_report", "_wideevents_report_due"

RECENT_S = 60.0
"""
Seconds in which an exception that comes again is the same occurrence, also outside its trace.

Some are raised again and again, one object for every failure: those are new ones after a while.
"""


class Due(NamedTuple):
    """Say what is to be sent: the id of the report, and what makes two of them one issue."""

    report: str
    fingerprint: str


def report_of(error: BaseException, trace_id: object, now: float) -> str | None:
    """Return the id of the report that tells of *error*, "" where it was withheld, or None where nobody has decided."""
    mark = _get(error, MARK)
    if type(mark) is not tuple or len(mark) != 3:
        return None
    report, trace, at = mark
    if (trace is not None and trace == trace_id) or abs(now - at) < RECENT_S:
        return str(report)
    return None


def mark(error: BaseException, report: str, trace_id: object, now: float) -> None:
    """Note which report tells of *error*; *now* is in seconds since the epoch."""
    _set(error, MARK, (report, trace_id, now))


def make_due(error: BaseException, report: str, fingerprint: str) -> None:
    """Note that a report of *error* is to be sent."""
    _set(error, DUE, (report, fingerprint))


def claim(error: BaseException) -> Due | None:
    """Return the report that is to be sent, to the first one that asks."""
    due = _get(error, DUE)
    try:
        BaseException.__delattr__(error, DUE)
    except AttributeError:
        return None
    return Due(*due) if type(due) is tuple and len(due) == 2 else None


# The slots of BaseException: a class that refuses attributes, or has its own ideas of them, is not asked.
def _get(error: BaseException, name: str) -> object:
    try:
        return BaseException.__getattribute__(error, name)
    except AttributeError:
        return None


def _set(error: BaseException, name: str, value: object) -> None:
    BaseException.__setattr__(error, name, value)
