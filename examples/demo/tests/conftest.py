"""Run the demo once, for all who read what it wrote."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from examples.demo import lines
from examples.demo.server import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from examples.demo.lines import Line


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of the demo left."""

    code: int
    output: str
    complaint: str
    path: Path
    events: list[Line]


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("demo")
    path = folder / "events.jsonl"
    path.write_text("left from a run before\n")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, "-m", "examples.demo"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    return Run(done.returncode, done.stdout, done.stderr, path, lines.events(lines.read(path)))


@pytest.fixture(scope="session")
def events(run: Run) -> list[Line]:
    return run.events
