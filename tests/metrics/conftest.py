"""What all tests of the metrics share: no directory but the one they ask for, and nobody who counts afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.metrics import Counting
from wideevents import health
from wideevents.metrics.stage import DIRECTORY


@pytest.fixture(autouse=True)
def _leaves_no_observer(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Begin in a process that shares nothing; fail a test that leaves metrics open."""
    monkeypatch.delenv(DIRECTORY, raising=False)
    before = list(health.observers)
    yield
    assert health.observers == before


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Counting]]:
    """Make metrics that are closed when the test has ended."""
    made: list[Counting] = []

    def making(**settings: Any) -> Counting:
        if settings.get("directory"):
            monkeypatch.setenv(DIRECTORY, settings["directory"])
        made.append(Counting(**settings))
        return made[-1]

    yield making
    for counting in made:
        counting.metrics.close()


@pytest.fixture(params=["memory", "files"])
def counting(request: pytest.FixtureRequest, tmp_path: Path, make: Callable[..., Counting]) -> Counting:
    """Give metrics that are kept in memory, or in files."""
    return make(directory=str(tmp_path) if request.param == "files" else None)
