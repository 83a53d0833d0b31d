"""
Run contenders in turns, each in a process of its own: some patch what others use, and none shall carry another's load.

The parent commands rounds over a pipe and each child tells the processor time that its round took, in all its threads.
So the rounds of all contenders lie close together, and what slows the machine down slows all of them.
"""

from __future__ import annotations

import importlib
import itertools
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from tests.bench import applications
from tests.bench.events import NUMBER, VARIANTS, Fields, fields, variants
from tests.bench.flask_request import FIELDS
from tests.bench.raw import serve_asgi, serve_wsgi

ROOT = Path(__file__).parents[2]

Work = Callable[[int], object]


class Child:
    """Drive the process of one contender; it writes into *folder*."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        command = [sys.executable, "-m", "tests.bench.rounds", name, str(folder)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *raised: object) -> None:
        self.process.communicate(timeout=60)

    def run(self, kind: str, size: int, number: int) -> float:
        """Do *number* pieces of work of *kind*, and return the microseconds of processor time that one of them took."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{kind} {size} {number}\n")
        self.process.stdin.flush()
        told = self.process.stdout.readline()
        assert told, f"{self.name} has died in a round of {kind}"
        return int(told) / number / 1000


def interleave(names: Iterable[str], kind: str, size: int, number: int, rounds: int, folder: Path) -> dict[str, float]:
    """Return the microseconds that a piece of work of *kind* takes each; the first round warms up."""
    with ExitStack() as children:
        found = [children.enter_context(Child(name, folder)) for name in names]
        taken: dict[str, list[float]] = {child.name: [] for child in found}
        for _ in range(rounds + 1):
            for child in found:
                taken[child.name].append(child.run(kind, size, number))
    return {name: statistics.median(each[1:]) for name, each in taken.items()}


def lines(folder: Path, name: str, kind: str, size: int) -> Path:
    """Return where contender *name* writes its lines to."""
    return folder / f"{name}.{kind}.{size}.jsonl"


def check(folder: Path, name: str, kind: str, size: int, number: int) -> int:
    """See that there is one line for each piece of work, with all its fields; return the bytes of a line."""
    path = lines(folder, name, kind, size)
    found = check_lines(path, peer(name), partial(fields, size) if kind == "event" else lambda _: FIELDS)
    assert found == number, f"{name} wrote {found} lines for {number} of {kind}"
    return path.stat().st_size // number


def check_lines(path: Path, room: Any, expected: Callable[[int], Fields]) -> int:
    """See that each line has the fields that are *expected* of its number; return how many there are."""
    inside: tuple[str, ...] = getattr(room, "INSIDE", ())
    number = 0
    with path.open("rb") as written:
        for line in written:
            told = orjson.loads(line)
            for key in inside:
                told = told[key]
            missing = expected(number).items() - told.items()
            assert not missing, f"{path.name}: line {number} is without {missing}: {told}"
            number += 1
    return number


def peer(name: str) -> Any:
    """Return the room of contender *name*."""
    return importlib.import_module(f"tests.bench.peers.{name}")


def application(room: Any, kind: str, path: Path) -> Any:
    """Return the application of *kind* with what *room* offers for it: its own integration, or hooks."""
    make: Callable[[Path], Any] | None = getattr(room, kind, None)
    return make(path) if make is not None else getattr(applications, f"hooked_{kind}")(room.hooks(path))


def prepare(room: Any, kind: str, size: int, path: Path) -> Work:
    """Return what does so many pieces of work."""
    if kind != "event":
        serve: Callable[[Any, int], None] = serve_wsgi if kind == "flask" else serve_asgi
        return partial(serve, application(room, kind, path))
    write, made, numbers = room.event(path), variants(size), itertools.count()

    def work(number: int) -> None:
        for each in itertools.islice(numbers, number):
            groups = made[each % VARIANTS]
            groups[0][NUMBER] = each
            write(groups)

    return work


def work_off(commands: Iterable[str], name: str, folder: Path) -> Iterator[int]:
    """Yield the nanoseconds of processor time that each of *commands* took until all was written."""
    room, works = peer(name), {}
    flush: Callable[[], object] = getattr(room, "flush", int)
    for command in commands:
        kind, size, number = command.split()
        if (kind, size) not in works:
            works[kind, size] = prepare(room, kind, int(size), lines(folder, name, kind, int(size)))
        before = time.process_time_ns()
        works[kind, size](int(number))
        flush()
        yield time.process_time_ns() - before


def main(name: str, folder: str) -> None:
    """Be the process of contender *name*: what it prints goes to standard error, the parent reads the other one."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    for taken in work_off(sys.stdin, name, Path(folder)):
        print(taken, file=answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
