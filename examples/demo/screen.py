"""Set out events and figures for people in a terminal."""

from __future__ import annotations

import json
import os
import re
import sys
from textwrap import indent
from types import MappingProxyType
from typing import TYPE_CHECKING

from examples.demo import summary

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from examples.demo.lines import Line

WIDTH = 100
MARGIN = 2
BAR = 40
BOLD, DIM, UNDERLINED, RED, GREEN, YELLOW = "1", "2", "4", "31", "32", "33"
COLOURS = {"error": RED, "warning": YELLOW, "info": GREEN}
STACK = "exception.stacktrace"
SHOP = re.compile(
    r"(cache|cart|confirmation|coupon|db|order|payment|product|recommendations|report|search|sign_in|stock|user)\."
)


def paint(text: str, colour: str) -> str:
    """Colour *text*, but only on a terminal and for people who want it (https://no-color.org)."""
    if os.environ.get("NO_COLOR") or not sys.stdout.isatty():
        return text

    return f"\x1b[{colour}m{text}\x1b[0m"


def title(text: str) -> None:
    print(f"\n{paint(text, BOLD)}\n{paint('─' * WIDTH, DIM)}")


def show_event(line: Line) -> None:
    """Print every field, in the order of the line: first those that the shop's own code added."""
    fields = {key: value for key, value in line.items() if key != STACK}
    own = {key: value for key, value in fields.items() if SHOP.match(key)}
    show_fields("added by the shop's code", own)
    show_fields("known without any code", {key: value for key, value in fields.items() if key not in own})
    if STACK in line:
        print(f"\n  {paint(STACK, DIM)}")
        print(indent(line[STACK], "    "))


def show_fields(heading: str, fields: Line) -> None:
    print(f"\n  {paint(f'{heading}: {len(fields)}', UNDERLINED)}")
    for row in rows(fields):
        print(f"  {row}")


def rows(fields: Line) -> Iterator[str]:
    """Fill rows with pairs of key and value."""
    row, width = "", 0
    for key, value in fields.items():
        shown = value if isinstance(value, str) else json.dumps(value)
        length = len(f"{key} {shown}   ")  # without the colours
        if row and width + length > WIDTH - MARGIN:
            yield row.rstrip()
            row, width = "", 0
        row += f"{paint(key, DIM)} {shown}   "
        width += length
    yield row.rstrip()


def show_routes(lines: Sequence[Line]) -> None:
    print(paint(f"  {'route':<44}{'count':>7}{'failed':>8}{'p50 ms':>10}{'p99 ms':>10}", DIM))
    for figures in summary.by_route(lines):
        failures = paint(f"{figures.failures:>8}", RED) if figures.failures else f"{'-':>8}"
        print(f"  {figures.route:<44}{figures.count:>7}{failures}{figures.p50:>10.1f}{figures.p99:>10.1f}")


def show_counts(pairs: Sequence[tuple[str, int]], remarks: Mapping[str, str] = MappingProxyType({})) -> None:
    most = max(number for _, number in pairs)
    for name, number in pairs:
        bar = "▇" * max(1, number * BAR // most)
        print(f"  {name:<10}{number:>5}  {paint(bar, COLOURS.get(name, DIM))}  {remarks.get(name, '')}".rstrip())


def show_slowest(line: Line) -> None:
    spent = " ".join(
        f"{key} {value}" for key, value in line.items() if key.endswith("duration_ms") and key != "duration_ms"
    )
    print(f"  {summary.name_route(line)} took {line['duration_ms']} ms ({spent})")
    print(f"  http.request.id {line['http.request.id']}, status {line['http.response.status_code']}")
