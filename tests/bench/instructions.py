"""
Hold what an event costs in instructions, which are the same on a busy machine, against what is written down.

Run `python -m tests.bench.instructions` for the figures, with `--write` to write them down for the Python that runs,
and with `--why "..."` where one has risen. They stand in INSTRUCTIONS.json, for every build of Python by itself.
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.bench import cachegrind, goals
from tests.bench.goals import Goal
from tests.bench.report import Table, show

RECORD = Path(__file__).with_name("INSTRUCTIONS.json")
CASES = "tests.bench.counted:cases"
BARE = ", bare"

FIGURES = {
    "Flask": "a request with eight fields behind the door for Flask, beyond the bare request",
    "WSGI": "the same behind the door for WSGI, without a framework",
    "ASGI": "the same behind the door for ASGI, without a framework",
    "Starlette": "the same in Starlette, behind the door for ASGI",
    "an event of 40 fields": "opened, filled and written, outside any request",
}
GOAL = Goal("Flask, instructions added", 110_000, 80_000)

ALONE = ("an event of 40 fields",)
"""What adds to nothing."""

PACKAGES = ("flask", "werkzeug", "starlette", "orjson")
LAYOUTS = range(5)
"""What is counted for a figure that is written down."""

ABOVE, BELOW = 1.01, 0.97
"""How far a figure may lie from the one written down: 1 % above, or 3 % below, which is then to be written down."""

UNKNOWN = 1.15
"""How far it may lie above the highest of its minor version, where this build and these packages were not measured."""

FIRST = "The first figures of this build."

WRITE = "python -m tests.bench.instructions --write"


@dataclass(frozen=True, slots=True)
class Build:
    """Say what a figure was measured with: it is compared to 1 % only with what was measured with the same."""

    python: str
    parts: Mapping[str, str]

    @classmethod
    def here(cls) -> Build:
        """Return what runs here."""
        parts = {"machine": platform.machine(), "libc": " ".join(platform.libc_ver())}
        return cls(sys.version, parts | {name: version(name) for name in PACKAGES})

    @property
    def minor(self) -> str:
        """The version without its last part: "3.11"."""
        return ".".join(self.python.split()[0].split(".")[:2])


Record = dict[str, dict[str, Any]]
"""By `sys.version`: "parts", what it was measured with; "instructions", by figure; "why", the history in sentences."""


def read(path: Path = RECORD) -> Record:
    """Return what is written down."""
    record: Record = json.loads(path.read_text())
    return record


def rendered(record: Record) -> str:
    """Return what stands in the file."""
    return json.dumps(record, indent=2) + "\n"


def names(figure: str) -> tuple[str, ...]:
    """Return what is counted for *figure*: what is watched, and what it adds to."""
    return (figure,) if figure in ALONE else (figure, figure + BARE)


def added(counted: Mapping[str, float], figure: str) -> float:
    """Return what the event adds."""
    return counted[figure] - counted.get(figure + BARE, 0.0)


def measure(figures: Iterable[str], layouts: Iterable[int]) -> list[dict[str, float]]:
    """Return the counts of *figures* in each of *layouts*."""
    counted = [name for figure in figures for name in names(figure)]
    return [cachegrind.count(CASES, counted, layout) for layout in layouts]


def held(record: Record, build: Build, figure: str) -> tuple[int, bool]:
    """Return what *figure* is held to, 0 for nothing, and whether that was measured with the same as runs here."""
    known = record.get(build.python)
    if known is not None and known["parts"] == build.parts and figure in known["instructions"]:
        return known["instructions"][figure], True
    alike = {python: each for python, each in record.items() if Build(python, {}).minor == build.minor} or record
    return max((each["instructions"].get(figure, 0) for each in alike.values()), default=0), False


def judge(record: Record, build: Build, figure: str, counted: float) -> str:
    """Return what is wrong with the instructions *counted* for *figure*, and what to do; "" if they are well."""
    most, same = held(record, build, figure)
    told = f"{figure}: {counted:,.0f} instructions; {most:,} are written down"
    if not most:
        return ""
    if not same:
        if counted <= most * UNKNOWN:
            return ""
        return (
            f"{told} at most for Pythons like this one, which was not measured itself, and even {UNKNOWN - 1:.0%} more "
            f"would be less than that. Lower the cost; or, if it is this build's own, write it down with {WRITE}."
        )
    change = f"{counted / most - 1:+.1%}"
    if counted > most * ABOVE:
        return f'{told} ({change}). Lower the cost; or write it down and say what it buys: {WRITE} --why "...".'
    if counted < most * BELOW:
        return f"{told} ({change}). That is better: write it down, so that it stays so: {WRITE}."
    return ""


def written(record: Record, build: Build, figures: Mapping[str, int], why: str | None) -> Record:
    """Return *record* with *figures*; raise `ValueError` if one has risen, and nobody says why."""
    known = record.get(build.python)
    before: Mapping[str, int] = {} if known is None else known["instructions"]
    risen = [
        f"{name} from {before[name]:,} to {most:,}"
        for name, most in figures.items()
        if name in before and most > before[name] * ABOVE
    ]
    if risen and why is None:
        raise ValueError(f'{"; ".join(risen)}: say what that buys, with --why "...".')
    sentences = [FIRST] if known is None else [*known["why"]]
    if why is not None:
        sentences.append(f"{'; '.join(risen) or 'As it is now'}: {why}")
    entry = {"why": sentences, "parts": dict(build.parts), "instructions": dict(figures)}
    return dict(sorted({**record, build.python: entry}.items()))


def medians(cases: str, names: Sequence[str], layouts: int) -> dict[str, float]:
    """Return the instructions of each of *names*, the median of so many layouts; nothing without valgrind."""
    if cachegrind.installed() is None:
        return {}
    counts = [cachegrind.count(cases, names, layout) for layout in range(layouts)]
    return {name: statistics.median(each[name] for each in counts) for name in names}


def run() -> tuple[Table, ...]:
    """Count every figure, and say how far its counts lie apart."""
    return tables(measure(FIGURES, LAYOUTS))


def tables(counts: Sequence[Mapping[str, float]]) -> tuple[Table, ...]:
    """Return the figures of *counts*, one for each layout, and what was reached."""
    flask = statistics.median(added(counted, "Flask") for counted in counts)
    return table(counts), goals.table("instructions", [(GOAL, flask)])


def table(counts: Sequence[Mapping[str, float]]) -> Table:
    """Return the figures of *counts*."""
    record, build, rows = read(), Build.here(), []
    for figure, what in FIGURES.items():
        each = [added(counted, figure) for counted in counts]
        middle = statistics.median(each)
        bare = statistics.median(counted.get(figure + BARE, 0.0) for counted in counts)
        most, same = held(record, build, figure)
        rows.append(
            (
                f"{figure}: {what}",
                f"{bare:,.0f}",
                f"{middle + bare:,.0f}",
                f"{middle:,.0f}",
                f"{(max(each) - min(each)) / middle:.2%}",
                f"{most:,}" if same else "not measured before",
            )
        )
    note = (
        f"By valgrind {cachegrind.version()} (cachegrind): (I(2N) - I(N)) / N of two processes that serve N and 2N "
        f"requests, N = {cachegrind.NUMBER}, with eight fields each; the median of {len(counts)} layouts of the "
        f"memory, and how far they lie apart. What is written down is what CI holds to {ABOVE - 1:.0%}, for this build "
        f"of Python and these packages."
    )
    return Table("Instructions", note, ("", "bare", "with an event", "added", "spread", "written down"), tuple(rows))


def main() -> None:
    """Print the figures, and write them down if asked to."""
    parser = ArgumentParser("tests.bench.instructions", description="Count the instructions that an event takes.")
    parser.add_argument("--write", action="store_true", help="write the figures down for this Python")
    parser.add_argument("--why", help="what a figure that has risen buys")
    asked = parser.parse_args()
    counts = measure(FIGURES, LAYOUTS)
    show(tables(counts))
    if asked.write:
        figures = {name: round(statistics.median(added(counted, name) for counted in counts)) for name in FIGURES}
        try:
            record = written(read(), Build.here(), figures, asked.why)
        except ValueError as refused:
            parser.error(str(refused))
        RECORD.write_text(rendered(record))


if __name__ == "__main__":
    main()
