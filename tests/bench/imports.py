"""
Measure how long it takes to import the package, beside structlog, and which modules that takes it for.

Run `python -m tests.bench.imports`. Each import has a process of its own, and they come in turns.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import sysconfig
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from tests.bench import goals
from tests.bench.goals import Goal
from tests.bench.report import Table, show

ROUNDS = 25
ROOT = Path(__file__).parents[2]

NOTHING, STRUCTLOG, OURS = "pass", "import structlog", "import wideevents"
BOTH = "import structlog, wideevents"
STATEMENTS = (
    NOTHING,
    STRUCTLOG,
    OURS,
    BOTH,
    "import flask",
    "import flask, wideevents.integrations.flask",
)
INSTALLED = f"import sys; sys.path += {[sysconfig.get_path('purelib'), sysconfig.get_path('platlib')]!r}"
"""
Where packages are, for a Python that is started without `site`: what stands there to be run at the start, as an
editable installation or a tool of coverage does, has imported much already, and others have none of that.
"""

TIMED = "import time; before = time.process_time_ns(); {}; print(time.process_time_ns() - before)"

LINE = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)")
MOST = 25

NOTE = f"""\
Milliseconds of processor time for the statement alone, in a process of its own that has just started, with compiled
files on a warm disk, and without what `site` imports: the median of {ROUNDS} interleaved rounds, and the least. The
goal is held by both ways to count: alone against structlog alone, and after it."""
MODULES_NOTE = f"""\
`python -X importtime`: milliseconds by themselves of what `import wideevents` loads that a Python which has just
started has not, the least of {ROUNDS} runs. A package of the standard library counts with its modules; what others
have imported already costs nothing again."""
GOAL = Goal("import of wideevents beyond structlog's own, ms", 60)


def python(statement: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run *statement* in a process of its own."""
    command = [sys.executable, "-S", *options, "-c", f"{INSTALLED}; {statement}"]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)


def measure(statements: Iterable[str]) -> dict[str, list[float]]:
    """Return the milliseconds of each statement, in interleaved rounds; the first compiles, and is left out."""
    taken: dict[str, list[float]] = {statement: [] for statement in statements}
    for round_ in range(ROUNDS + 1):
        for statement, each in taken.items():
            nanoseconds = int(python(TIMED.format(statement)).stdout)
            if round_:
                each.append(nanoseconds / 1e6)
    return taken


def loaded(statement: str) -> dict[str, float]:
    """Return the milliseconds that each module takes by itself, of those that *statement* loads."""
    return parsed(python(statement, "-X", "importtime").stderr)


def parsed(told: str) -> dict[str, float]:
    """Return the milliseconds of each module by itself that `-X importtime` has told: the first figure of its line."""
    return {found[2]: int(found[1]) / 1000 for found in LINE.finditer(told)}


def modules() -> dict[str, float]:
    """Return what our import loads that no Python has at its start, and the milliseconds of each by itself."""
    known = loaded(NOTHING)
    runs = [loaded(OURS) for _ in range(ROUNDS)]
    return {name: min(run[name] for run in runs) for name in runs[0] if name not in known}


def owner(module: str) -> str:
    """Return what *module* is counted to: ours by itself, else its package."""
    package = module.partition(".")[0]
    return module if package == "wideevents" else package.lstrip("_")


def breakdown(found: dict[str, float]) -> Table:
    """Return what took longest of what was *found*, and the sums."""
    by: defaultdict[str, float] = defaultdict(float)
    for module, milliseconds in found.items():
        by[owner(module)] += milliseconds
    ours = {name: each for name, each in by.items() if name.startswith("wideevents")}
    standard = {name: each for name, each in by.items() if name in sys.stdlib_module_names}
    foreign = {name: each for name, each in by.items() if name not in ours and name not in standard}
    rows = [
        (f"all of {what} ({len(each)})", f"{sum(each.values()):.1f}")
        for what, each in (("ours", ours), ("the standard library's", standard), ("other packages'", foreign))
    ]
    rows += [
        (name, f"{milliseconds:.1f}") for name, milliseconds in sorted(by.items(), key=lambda item: -item[1])[:MOST]
    ]
    return Table("What an import loads", MODULES_NOTE, ("module", "ms"), tuple(rows))


def run() -> tuple[Table, ...]:
    """Measure, and return the tables and the goal."""
    taken = measure(STATEMENTS)
    middle = {statement: statistics.median(each) for statement, each in taken.items()}
    rows = [
        (statement, f"{middle[statement]:.1f}", f"{min(each):.1f}", f"{middle[statement] - middle[STRUCTLOG]:+.1f}")
        for statement, each in taken.items()
    ]
    return (
        Table("Import", NOTE, ("statement", "ms", "least", "beyond structlog"), tuple(rows)),
        breakdown(modules()),
        goals.table("import", [(GOAL, max(middle[OURS], middle[BOTH]) - middle[STRUCTLOG])]),
    )


if __name__ == "__main__":
    show(run())
