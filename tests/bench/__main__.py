"""
Run the benchmarks, print their tables, and write RESULTS.md.

`python -m tests.bench` runs all, each in a process of its own, since what one configures the next must not meet;
`python -m tests.bench growth shares` runs only those, and prints their tables.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from tests.bench.reasons import REASONS
from tests.bench.report import RESULTS, Table, document, show, versions

BENCHMARKS = (
    "contenders",
    "in_process",
    "served",
    "instructions",
    "shares",
    "sampled_out",
    "growth",
    "flight",
    "memory",
    "background",
    "stalled",
    "imports",
    "flask_request",
    "doors",
    "log_line",
    "exception",
    "sentry",
)
"""In the order of the report."""

PACKAGES = (
    "wideevents",
    "orjson",
    "flask",
    "werkzeug",
    "starlette",
    "django",
    "fastapi",
    "litestar",
    "gunicorn",
    "structlog",
    "python-json-logger",
    "loguru",
    "opentelemetry-sdk",
    "opentelemetry-instrumentation-flask",
    "opentelemetry-instrumentation-starlette",
    "logfire",
    "sentry-sdk",
    "widelog-py",
)
"""What is measured, and what it is measured with."""


def measured(name: str) -> tuple[Table, ...]:
    """Run one benchmark here, and return its tables."""
    told = importlib.import_module(f"tests.bench.{name}").run()
    return (told,) if isinstance(told, Table) else tuple(told)


def apart(name: str, folder: Path) -> tuple[Table, ...] | None:
    """Run one benchmark in a process of its own, and return its tables; None if it failed, which it has told."""
    path = folder / f"{name}.json"
    done = subprocess.run([sys.executable, "-m", "tests.bench", name, "--into", path], check=False)
    return None if done.returncode else read(path)


def write(path: Path, tables: Iterable[Table]) -> None:
    """Leave *tables* for who has started this process."""
    path.write_text(json.dumps([asdict(table) for table in tables]))


def read(path: Path) -> tuple[Table, ...]:
    """Return the tables that a process has left."""
    return tuple(
        Table(each["title"], each["note"], tuple(each["columns"]), tuple(map(tuple, each["rows"])))
        for each in json.loads(path.read_text())
    )


def run_all(results: Path) -> list[str]:
    """Run every benchmark, write down what they tell, and return which of them failed."""
    with tempfile.TemporaryDirectory() as folder:
        told = {name: apart(name, Path(folder)) for name in BENCHMARKS}
    failed = [name for name, tables in told.items() if tables is None]
    tables = [table for each in told.values() for table in each or ()]
    results.write_text(document(tables, versions(PACKAGES), REASONS, failed))
    return failed


def main() -> int:
    """Run what is asked for."""
    parser = ArgumentParser("tests.bench", description="Measure what events cost.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(BENCHMARKS)}; none is all")
    parser.add_argument("--into", type=Path, help="leave the tables in a file, as JSON")
    asked = parser.parse_args()
    unknown = set(asked.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    if not asked.names:
        return len(run_all(RESULTS))
    tables = [table for name in asked.names for table in measured(name)]
    show(tables)
    if asked.into is not None:
        write(asked.into, tables)
    return 0


if __name__ == "__main__":
    sys.exit(main())
