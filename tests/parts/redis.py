"""Run Redis: what task queues send their messages through, and what calls of it are counted in."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.parts import Part, need, started

HOST = "127.0.0.1"
READY = "Ready to accept connections"


@dataclass(frozen=True)
class RedisServer:
    """A running server, which keeps nothing on the disk."""

    part: Part
    port: int

    @property
    def url(self) -> str:
        """Where its first database is."""
        return self.database(0)

    def database(self, number: int) -> str:
        """Return where one of its databases is: a test may have one to itself."""
        return f"redis://{HOST}:{self.port}/{number}"


@contextmanager
def serving(folder: Path) -> Iterator[RedisServer]:
    """Run a server, which logs to *folder*."""
    program = need("redis-server")
    port = free_port()
    command = [program, "--port", port, "--bind", HOST, "--save", "", "--appendonly", "no", "--databases", "256"]
    with started(folder, *command) as part:
        part.once(lambda: READY in part.said, "Redis to be ready")
        yield RedisServer(part, port)


def free_port() -> int:
    """Return a port that nobody listens at: Redis takes no socket, and a port 0 would be none at all."""
    with socket.create_server((HOST, 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Give a Redis that runs as long as the tests do, one for each worker that needs it."""
    with serving(tmp_path_factory.mktemp("redis")) as server:
        yield server
