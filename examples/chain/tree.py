"""Set out the lines of one trace as the tree that they are."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import TYPE_CHECKING

from examples.demo.screen import BOLD, COLOURS, DIM, paint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from examples.demo.lines import Line

BAR = 30
NAME, SERVICE, KIND = 36, 10, 8


def branches(lines: Iterable[Line]) -> Iterator[tuple[int, Line]]:
    """Yield each line with its depth, behind the line that caused it; whose cause is not among them is a root."""
    known = sorted(lines, key=start)
    ids = {line["event.id"] for line in known}
    children: dict[object, list[Line]] = defaultdict(list)
    for line in known:
        cause = line.get("parent.id")
        children[cause if cause in ids else None].append(line)
    waiting = [(0, line) for line in reversed(children[None])]
    while waiting:
        depth, line = waiting.pop()
        yield depth, line
        waiting += [(depth + 1, child) for child in reversed(children[line["event.id"]])]


def rows(lines: Iterable[Line]) -> Iterator[str]:
    """Yield one row for each line: what it is, how long it took, and when, beside the others."""
    grown = list(branches(lines))
    began = min(start(line) for _, line in grown)
    whole = max(start(line) + line["duration_ms"] for _, line in grown) - began
    for depth, line in grown:
        name = f"{'   ' * (depth - 1)}└─ {line['event.name']}" if depth else str(line["event.name"])
        columns = f"{line['service.name']:<{SERVICE}}{line['event.kind']:<{KIND}}{line['duration_ms']:>9.1f} ms"
        before = round((start(line) - began) / whole * BAR)
        bar = "▇" * max(1, round(line["duration_ms"] / whole * BAR))
        coloured = paint(bar, COLOURS.get(str(line["level"]), DIM))
        yield f"  {paint(f'{name:<{NAME}}', BOLD)}{columns}  {' ' * min(before, BAR - 1)}{coloured}"


def start(line: Line) -> float:
    """Return when an event began, in milliseconds since the epoch."""
    return datetime.fromisoformat(line["timestamp"]).timestamp() * 1000
