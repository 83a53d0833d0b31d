"""Find out why a worker of gunicorn has ended, as far as that can be known."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

PROC, GROUPS = Path("/proc"), Path("/sys/fs/cgroup")

TIMED_OUT = "worker timed out"
OVERDUE = "graceful timeout passed"
OUT_OF_MEMORY = "out of memory"

CLAIMED = "_wideevents_memory_kills"
"""Where gunicorn's master notes how many processes, killed for their memory, are explained."""


@dataclass(frozen=True, slots=True)
class Ending:
    """
    Say how a worker has ended: by the signal *number*, or with the exit code *code*; both are None where nobody knows.

    *aborted* says whether gunicorn had given it up, and *overdue* whether it should have ended by itself, and its time
    was over.
    """

    number: int | None = None
    code: int | None = None
    aborted: bool = False
    overdue: bool = False

    @classmethod
    def of(cls, worker: Any, frames: Iterable[FrameType]) -> Ending:
        """
        Read it off the *frames* that gunicorn calls its hook from, which is not told, and when all is over.

        `reap_workers` has the `status` of `waitpid`, and `stop` the `limit` until which it waits (gunicorn 25.1 to 27);
        where one has not, less is known.
        """
        found = {frame.f_code.co_name: frame.f_locals for frame in frames}
        status = found.get("reap_workers", {}).get("status")
        limit = found.get("stop", {}).get("limit")
        ended = os.waitstatus_to_exitcode(status) if type(status) is int else None
        return cls(
            number=None if ended is None or ended >= 0 else -ended,
            code=None if ended is None or ended < 0 else ended,
            aborted=getattr(worker, "aborted", False) is True,
            overdue="on_exit" in found or (type(limit) is float and time.time() >= limit),
        )

    @property
    def is_unexplained(self) -> bool:
        """Whether it was killed, and not by gunicorn."""
        return self.number == signal.SIGKILL and not (self.aborted or self.overdue)

    @property
    def reason(self) -> str | None:
        """What it came to, in few words, and few different ones; None where nobody knows."""
        if self.aborted:
            return TIMED_OUT
        if self.overdue and self.number == signal.SIGKILL:
            return OVERDUE
        if self.number is not None:
            return f"killed by {_name(self.number)}"
        return None if self.code is None else f"exited with code {self.code}"

    @property
    def fields(self) -> dict[str, Any]:
        """What is known of it for sure."""
        if self.number is not None:
            return {"process.exit.signal": _name(self.number)}
        return {} if self.code is None else {"process.exit.code": self.code}


def memory_kills(proc: Path = PROC, groups: Path = GROUPS) -> int:
    """
    Return how many processes the kernel has killed for their memory: of our control group, else of the machine.

    *proc* and *groups* are where Linux shows it (cgroups version 2, and 1; proc(5), vmstat); elsewhere it is 0.
    """
    for path in (*_of_group(proc, groups), proc / "vmstat"):
        for line in _lines(path):
            name, _, number = line.partition(" ")
            if name == "oom_kill" and number.isdigit():
                return int(number)
    return 0


def _of_group(proc: Path, groups: Path) -> Iterator[Path]:
    """Yield where the counter of our control group may stand; in a container the group itself may be the root."""
    for line in _lines(proc / "self" / "cgroup"):
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield from (groups / path.lstrip("/") / "memory.events", groups / "memory.events")
        elif "memory" in controllers.split(","):
            root = groups / "memory"
            yield from (root / path.lstrip("/") / "memory.oom_control", root / "memory.oom_control")


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal has a number alone
        return f"signal {number}"


KILLED_BEFORE = memory_kills()
"""How many there were when gunicorn.conf.py was read, before the first worker was born."""


def claims_memory(server: Any) -> bool:
    """Tell whether the kernel has killed a process for its memory, and that explains no other worker's end yet."""
    claimed = getattr(server, CLAIMED, KILLED_BEFORE)
    if memory_kills() <= claimed:
        return False
    setattr(server, CLAIMED, claimed + 1)
    return True


def callers() -> Iterator[FrameType]:
    """Yield the frames of the caller, and of those who called it: the nearest first."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - it is how Python offers them
    while frame is not None:
        yield frame
        frame = frame.f_back
