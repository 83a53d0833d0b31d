"""
Count the instructions that work takes, by valgrind's cachegrind: they are the same on a busy machine.

One process imports and warms everything up. For each count it forks two children, of which one does the work N times
and the other 2N times, and (I(2N) - I(N)) / N is what the work takes once: whatever came before cancels. Children of
one parent have the same memory, the same hashes and the same caches.

What is left is where things lie: Python finds attributes in a cache that is indexed by the addresses of their names, so
that a module more or less moves a count by half a percent. Hence several layouts are counted, and their median is told.
"""

from __future__ import annotations

import gc
import importlib
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
NUMBER, WARM = 300, 50
"""How often the work is done by the first child, and before both."""

SUMMARY = "summary: "
"""What begins the line of cachegrind's file that has the sum; the first figure in it are the instructions."""

VALGRIND = ("==", "--")
"""What begins the lines that valgrind adds to what a process says."""

Work = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class Cases:
    """
    Hold what can be counted: each of *works* does its work as often as it is told.

    *check* is called at the end, with how often each was done; it fails where the lines are not what they should be.
    """

    works: Mapping[str, Work]
    check: Callable[[Mapping[str, int]], object]


def installed() -> str | None:
    """Return the path of valgrind, or None."""
    return shutil.which("valgrind")


def version() -> str:
    """Return valgrind's version, such as "3.19.0"; "" where there is none."""
    if installed() is None:
        return ""
    told = subprocess.run(["valgrind", "--version"], capture_output=True, text=True, check=True).stdout
    return told.strip().removeprefix("valgrind-")


def count(cases: str, names: Sequence[str], layout: int = 0, number: int = NUMBER) -> dict[str, float]:
    """
    Return the instructions that each of *names* takes once.

    *cases* is where `Cases` are made, "module:function"; the current directory is theirs alone. *layout* is any number:
    with each other one things lie elsewhere in memory.
    """
    with tempfile.TemporaryDirectory() as folder:
        work = [sys.executable, "-m", __name__, cases, str(layout), str(number)]
        _run(work, folder)  # it imports and does nothing, so that all is compiled when it counts
        counting = ["--tool=cachegrind", "--cache-sim=no", "--branch-sim=no", "--cachegrind-out-file=%p"]
        printed = _run([installed() or "valgrind", *counting, *work, *names], folder)
        children = [line.rsplit(" ", 2) for line in printed.splitlines()]
        return {
            name: (_instructions(folder, twice) - _instructions(folder, once)) / number
            for name, once, twice in children
        }


def _run(command: Sequence[str], folder: str) -> str:
    """
    Run *command* in *folder*, and return what it prints.

    Nothing else is in its environment: no coverage is measured there, and no ~/.valgrindrc is read. Nor is it told the
    name of the directory, which is another every time.
    """
    environ = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        told = [line for line in done.stderr.splitlines() if not line.startswith(VALGRIND)]
        raise RuntimeError("\n".join([f"{' '.join(command)} failed:", *told]))
    return done.stdout


def _instructions(folder: str, process: str) -> int:
    summary = next(line for line in Path(folder, process).read_text().splitlines() if line.startswith(SUMMARY))
    return int(summary.removeprefix(SUMMARY).split()[0])


def load(path: str) -> Any:
    """Import what stands at *path*, "module:name": each count imports what it needs, and no more."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def forked(work: Work, number: int) -> int:
    """Do the work in a child, and return the number of its process."""
    child = os.fork()
    if not child:
        status = 1
        try:
            work(number)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    if status:
        raise RuntimeError(f"a child that was counted ended with {os.waitstatus_to_exitcode(status)}")
    return child


def displaced(layout: int) -> list[str]:
    """Return what takes up memory, so that what is imported after it lies elsewhere."""
    return ["x" * (each % 90) + str(each) for each in range(layout * 37)]


def main(cases: str, layout: str, number: str, *names: str) -> None:
    """Be the process under valgrind; print the children of each count."""
    kept = displaced(int(layout))
    made, each = load(cases)(), int(number)
    for name in names:
        work = made.works[name]
        work(WARM)
        gc.collect()
        print(name, forked(work, each), forked(work, 2 * each), flush=True)
    if names:
        made.check(dict.fromkeys(names, WARM + 3 * each))
    kept.clear()


if __name__ == "__main__":
    main(*sys.argv[1:])
