"""Print what was measured, and write it down."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path
from textwrap import dedent

RESULTS = Path(__file__).with_name("RESULTS.md")

GOALS = "Goals: "
"""What the title of a table begins with that says which goals were reached: those stand together, at the top."""

GOAL_COLUMNS = ("goal", "must", "stretch", "measured", "reached")
MISSED = "missed"
NO_REASON = "No reason is given yet: write one into tests/bench/reasons.py."

CPUS = Path("/proc/cpuinfo")

INTRODUCTION = dedent("""\
    # What an event costs

    `make bench` measures this and writes it, and `python -m tests.bench NAME` measures one part of it. Times are
    processor time, and differ from machine to machine; ratios inside of one table are what can be compared, and
    instructions repeat. All is measured with everything on that is on by default: keys and values are redacted, lines
    trimmed, alerts judged, and all default fields written.
    """)


@dataclass(frozen=True, slots=True)
class Table:
    """Hold what one benchmark measured: *note* says how, and what each figure means; the first column names the row."""

    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def show(tables: Iterable[Table]) -> None:
    """Print *tables* for who waits for them."""
    for table in tables:
        print(f"\n{table.title}\n\n{table.note}\n")
        lines = [table.columns, *table.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for first, *rest in lines:
            cells = (cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))
            print("  ".join([first.ljust(widths[0]), *cells]).rstrip(), flush=True)


def markdown(table: Table) -> str:
    """Return *table* as a section."""
    return f"## {table.title}\n\n{table.note}\n\n{grid(table.columns, table.rows)}"


def grid(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return rows as Markdown has them: the first column to the left, figures to the right."""
    lines = [columns, ["---", *("---:" for _ in columns[1:])], *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def goals(tables: Iterable[Table], reasons: Mapping[str, str]) -> str:
    """Return all that was aimed at in one section, and why what was missed was missed."""
    rows, missed = [], []
    for table in tables:
        subject = table.title.removeprefix(GOALS)
        for goal, must, stretch, measured, reached in table.rows:
            rows.append((f"{subject}: {goal}", must, stretch, measured, reached))
            if reached == MISSED:
                missed.append(f"- **{subject}: {goal}** ({measured}, and not {must}): {reasons.get(goal, NO_REASON)}\n")
    told = "Less is better. A goal is reached up to its stretch, as it must be, or missed."
    why = f"\n### What was missed\n\n{''.join(missed)}" if missed else ""
    return f"## Goals\n\n{told}\n\n{grid(GOAL_COLUMNS, rows)}{why}"


def machine() -> dict[str, str]:
    """Return what the figures depend on."""
    found = CPUS.read_text().splitlines() if CPUS.exists() else []
    models = [line.partition(":")[2].strip() for line in found if line.startswith("model name")]
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "processor": models[0] if models else platform.processor() or platform.machine(),
        "cores": str(os.cpu_count()),
        "kernel": f"{platform.system()} {platform.release()}",
        "C library": " ".join(platform.libc_ver()),
        "Python": f"{platform.python_implementation()} {sys.version}",
    }


def versions(names: Iterable[str]) -> dict[str, str]:
    """Return the version of each of the distributions *names* that is installed."""
    found = {each.metadata["Name"].lower().replace("_", "-"): each.version for each in distributions()}
    return {name: found[name] for name in sorted(names) if name in found}


def document(
    tables: Sequence[Table], packages: Mapping[str, str], reasons: Mapping[str, str], failed: Sequence[str]
) -> str:
    """Return the whole of RESULTS.md; *failed* names the benchmarks that told nothing."""
    aimed = [table for table in tables if table.title.startswith(GOALS)]
    told = [f"**{name} could not be measured.**\n" for name in failed]
    run_by = grid(("", ""), machine().items()), grid(("package", "version"), packages.items())
    rest = [markdown(table) for table in tables if table not in aimed]
    return "\n".join([INTRODUCTION, *told, goals(aimed, reasons), "## Machine and versions\n", *run_by, *rest])
