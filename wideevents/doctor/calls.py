"""Note which calls of interest are made: the doors that a request passes, and who configures the logging module."""

from __future__ import annotations

import logging
import logging.config
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, NamedTuple

from wideevents.doctor.places import caller

DOORS = "wideevents.integrations."


class Passage(NamedTuple):
    """Hold a door that the request went through; *around* is the one around it, at the same mount, or None."""

    door: str
    mount: str
    around: str | None


class Setup(NamedTuple):
    """Hold a call that set up the logging module, and the line that made it."""

    function: str
    place: str
    disables: bool

    def __str__(self) -> str:
        return f"{self.place} called {self.function}"


@dataclass(slots=True)
class Calls:
    """Hold the calls in their order."""

    passages: list[Passage] = field(default_factory=list)
    setups: list[Setup] = field(default_factory=list)
    _inside: list[Passage] = field(default_factory=list)

    def note(self, frame: FrameType, what: str, _: Any) -> None:
        """Look at a call, or its end, as `sys.setprofile` tells it."""
        if what == "call" and frame.f_code in SETUPS:
            self._set_up(frame)
        elif _is_door(frame):
            if what == "call":
                self._enter(frame)
            elif what == "return" and self._inside:
                self._inside.pop()

    def _enter(self, frame: FrameType) -> None:
        mount = str(frame.f_locals["environ"].get("SCRIPT_NAME", ""))
        around = self._inside[-1] if self._inside else None
        same = around is not None and around.mount == mount  # another mount is an application inside another one
        passage = Passage(frame.f_globals["__name__"], mount, around.door if around is not None and same else None)
        self.passages.append(passage)
        self._inside.append(passage)

    def _set_up(self, frame: FrameType) -> None:
        given = frame.f_locals
        if "kwargs" in given and not given["kwargs"].get("force"):
            return  # basicConfig leaves a root that has handlers as it is
        settings = given.get("config")
        asked = settings if isinstance(settings, dict) else given
        disables = "kwargs" not in given and bool(asked.get("disable_existing_loggers", True))
        function = f"{frame.f_code.co_name}({'force=True' if 'kwargs' in given else ''})"
        self.setups.append(Setup(function, caller(frame) or "somebody", disables))


SETUPS = {function.__code__ for function in (logging.basicConfig, logging.config.dictConfig, logging.config.fileConfig)}


def _is_door(frame: FrameType) -> bool:
    code = frame.f_code
    return (
        code.co_name == "__call__"
        and "environ" in code.co_varnames[: code.co_argcount]
        and str(frame.f_globals.get("__name__", "")).startswith(DOORS)
    )


@contextmanager
def noted() -> Iterator[Calls]:
    """Give the calls of the block, which are noted as they are made in this thread."""
    calls = Calls()
    before = sys.getprofile()
    sys.setprofile(calls.note)
    try:
        yield calls
    finally:
        sys.setprofile(before)
