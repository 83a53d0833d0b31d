"""Count events and measure them: by route, by status, by level."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from examples.demo.lines import Line

UNROUTED = "(no route)"
LEVELS = ("error", "warning", "info", "debug")


@dataclass(frozen=True, slots=True)
class RouteFigures:
    """What one route did; times in milliseconds."""

    route: str
    count: int
    failures: int
    p50: float
    p99: float


def by_route(lines: Sequence[Line]) -> list[RouteFigures]:
    """Return the figures of each route, the busiest first."""
    groups: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        groups[name_route(line)].append(line)
    figures = [measure(route, group) for route, group in groups.items()]

    return sorted(figures, key=lambda figure: (-figure.count, figure.route))


def name_route(line: Line) -> str:
    return f"{line['http.request.method']} {line.get('http.route', UNROUTED)}"


def measure(route: str, lines: Sequence[Line]) -> RouteFigures:
    times = [line["duration_ms"] for line in lines]
    failures = sum(line["outcome"] == "failure" for line in lines)

    return RouteFigures(route, len(lines), failures, percentile(times, 50), percentile(times, 99))


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the nearest rank: a value that was really measured, not one between two."""
    return sorted(values)[ceil(len(values) * percent / 100) - 1]


def by_status(lines: Sequence[Line]) -> list[tuple[str, int]]:
    return sorted(Counter(str(line["http.response.status_code"]) for line in lines).items())


def by_level(lines: Sequence[Line]) -> list[tuple[str, int]]:
    """Count the events of each level, what matters most first."""
    counted = Counter(line["level"] for line in lines)

    return [(level, counted[level]) for level in LEVELS if level in counted]


def urgencies(lines: Sequence[Line]) -> dict[str, str]:
    """Tell for each level whom it calls."""
    return {line["level"]: line["alert.urgency"] for line in lines}


def slowest(lines: Sequence[Line]) -> Line:
    return max(lines, key=lambda line: float(line["duration_ms"]))


def examples(lines: Sequence[Line]) -> dict[str, Line]:
    """Pick what is worth reading in full: a plain success, a checkout that knows a lot, an error."""
    plain = [line for line in lines if line["outcome"] == "success" and line.get("http.route") == "/products"]
    bought = [line for line in lines if line.get("payment.outcome") == "approved"]
    crashed = [line for line in lines if line.get("payment.outcome") == "crashed"]
    picked = {"a plain success": plain[-1:], "a checkout": sorted(bought, key=len)[-1:], "an error": crashed[:1]}

    return {name: found[0] for name, found in picked.items() if found}
