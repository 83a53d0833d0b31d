"""Tell which line of the application did something."""

from __future__ import annotations

import sys
from pathlib import Path
from traceback import walk_tb
from types import FrameType, TracebackType

PASSED_ON = sys.stdlib_module_names | {"structlog", "wideevents"}
"""Packages that do what they do on behalf of their caller."""


def package_of(frame: FrameType) -> str:
    """Return the name of the package that the code of *frame* belongs to."""
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def caller(frame: FrameType | None) -> str | None:
    """Return the file and the line that *frame* works for, the first one outside Python itself; None without one."""
    while frame is not None and package_of(frame) in PASSED_ON:
        frame = frame.f_back
    return None if frame is None else located(frame.f_code.co_filename, frame.f_lineno)


def raised_at(error: BaseException) -> str:
    """Return where *error* was raised: the last line that is not Python's own, or else the last of all."""
    steps = list(walk_tb(error.__traceback__))
    own = [step for step in steps if package_of(step[0]) not in PASSED_ON]
    frame, line = (own or steps)[-1]
    return located(frame.f_code.co_filename, line)


def seen_by_application(error: BaseException) -> TracebackType | None:
    """Return the traceback of *error* from the application's own code on; the whole one if there is none of it."""
    trace = error.__traceback__
    while trace is not None and package_of(trace.tb_frame) in PASSED_ON:
        trace = trace.tb_next
    return trace or error.__traceback__


def located(file: str, line: int) -> str:
    """Return a place as editors take it: `shop/orders.py:12`, seen from the working directory where it is below it."""
    path, here = Path(file), Path.cwd()
    return f"{path.relative_to(here) if path.is_relative_to(here) else path}:{line}"
