"""Serve every door in every way there is; one server at a time, for as long as its tests last."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integrations.doors import DOORS
from tests.integrations.servers import SERVERS, Lines, Served, lines_caught


@pytest.fixture(scope="session", params=[(door, server) for door in DOORS for server in SERVERS], ids="-".join)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Give a door behind a server."""
    door, server = request.param
    running = SERVERS[server](DOORS[door], tmp_path_factory.mktemp(f"{door}-{server}"))
    yield Served(DOORS[door], running)
    running.stop()


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Give the lines that a test writes in this process, each read strictly."""
    with lines_caught() as caught:
        yield caught
