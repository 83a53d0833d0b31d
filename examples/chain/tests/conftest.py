"""Run the chain once, for all who read what it wrote."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from examples.chain import services
from tests.parts import missing

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def redis() -> str:
    """Give the program, or skip what needs it."""
    return shutil.which("redis-server") or missing("redis-server")


@pytest.fixture(scope="session")
def chain(redis: str) -> Iterator[services.Chain]:
    """Give the chain; its folder has a short name, since that of a socket may not be longer than about 100 bytes."""
    assert redis
    with TemporaryDirectory() as folder, services.running(Path(folder)) as running:
        yield running
