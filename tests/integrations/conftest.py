"""Serve every door in every way there is; one server at a time, for as long as its tests last."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integrations.asgi_servers import ASGI_SERVERS, GranianWsgi, HypercornWsgi
from tests.integrations.doors import DOORS, INTERFACES
from tests.integrations.servers import SERVERS, GunicornGevent, Lines, Served, Server, lines_caught

WSGI_SERVERS: dict[str, type[Server]] = SERVERS | {server.name: server for server in (HypercornWsgi, GranianWsgi)}
MORE = {server.name for server in (GunicornGevent, HypercornWsgi, GranianWsgi)}
"""WSGI servers that run a framework alone: what raw WSGI could show behind them is shown behind their like."""

SERVERS_OF = {"wsgi": WSGI_SERVERS, "asgi": ASGI_SERVERS}
PAIRS = [
    (door, server)
    for interface, doors in INTERFACES.items()
    for door in doors
    for server in SERVERS_OF[interface]
    if not (door == "wsgi" and server in MORE)
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test of the contract behind every server, with every door, or with those that its class names."""
    if "served" in metafunc.fixturenames:
        doors = getattr(metafunc.cls, "doors", tuple(DOORS))
        pairs = [pair for pair in PAIRS if pair[0] in doors]
        metafunc.parametrize("served", pairs, ids="-".join, indirect=True, scope="session")


@pytest.fixture(scope="session")
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Give a door behind a server."""
    name, server = request.param
    (servers,) = (SERVERS_OF[interface] for interface, doors in INTERFACES.items() if name in doors)
    door = DOORS[name]
    running = servers[server](door, tmp_path_factory.mktemp(f"{name}-{server}"))
    yield Served(door, running)
    running.stop()


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Give the lines that a test writes in this process, each read strictly."""
    with lines_caught() as caught:
        yield caught
