"""What the tests of the flight recorder share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from wideevents.flight import Flight
from wideevents.recorder import Recorder


@pytest.fixture
def flight(recorder: Recorder, tmp_path: Path) -> Iterator[Flight]:
    """Give the flight recorder of `recorder`."""
    recorder.flight = made = Flight(tmp_path / "flight")
    yield made
    for event in list(recorder.in_progress.values()):
        recorder.drop(event)
