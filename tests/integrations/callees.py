"""A real server on loopback that calls out are made to; it remembers what it was asked, and waits when told to."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPMessage
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.integrations.servers import PATIENCE
from wideevents import health

PART = b"part of a body\n"


@dataclass
class Asked:
    """One request, as it came in."""

    method: str
    path: str
    headers: HTTPMessage


@dataclass
class Callee:
    """
    Know where the server is, and what it was asked.

    `/status/503` answers so, `/redirect?to=` redirects, `/parts` sends half of its body, and the rest once `release` is
    set; `/broken` goes in the middle of its body, `/gone` before it has answered, `/late` answers once `release` is
    set, `/flaky` is 503 the first time, and `/private` wants a digest.
    """

    port: int
    asked: list[Asked] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    @property
    def address(self) -> str:
        """The server, as a call of it is told."""
        return f"127.0.0.1:{self.port}"

    @property
    def last(self) -> HTTPMessage:
        """The headers of the last request."""
        return self.asked[-1].headers


class Handler(http.server.BaseHTTPRequestHandler):
    """Answer what is asked of a `Callee`."""

    protocol_version = "HTTP/1.1"
    timeout = PATIENCE
    callee: Callee

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        self.callee.asked.append(Asked(self.command, self.path, self.headers))
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer: Any = getattr(self, f"answer_{asked.path.split('/')[1]}", self.answer_status)
        answer(asked.path, {name: values[0] for name, values in parse_qs(asked.query).items()})

    do_POST = do_HEAD = do_GET  # noqa: N815 - names of http.server's

    def answer_status(self, path: str, query: dict[str, str]) -> None:
        status = path.rpartition("/")[2]
        self.answer(int(status) if status.isdigit() else 200)

    def answer_redirect(self, path: str, query: dict[str, str]) -> None:
        self.answer(int(query.get("status", 302)), Location=query["to"])

    def answer_flaky(self, path: str, query: dict[str, str]) -> None:
        self.answer(503 if len(self.callee.asked) == 1 else 200)

    def answer_private(self, path: str, query: dict[str, str]) -> None:
        if "Authorization" in self.headers:
            self.answer(200)
        else:
            self.answer(401, **{"WWW-Authenticate": 'Digest realm="shop", nonce="1", qop="auth"'})

    def answer_parts(self, path: str, query: dict[str, str]) -> None:
        self.head(200, 2 * len(PART))
        self.wfile.write(PART)
        self.callee.release.wait(PATIENCE)
        self.wfile.write(PART)

    def answer_late(self, path: str, query: dict[str, str]) -> None:
        self.callee.release.wait(PATIENCE)
        self.close_connection = True

    def answer_broken(self, path: str, query: dict[str, str]) -> None:
        self.head(200, 2 * len(PART))
        self.wfile.write(PART)
        self.close_connection = True

    def answer_gone(self, path: str, query: dict[str, str]) -> None:
        self.close_connection = True

    def answer(self, status: int, **headers: str) -> None:
        self.head(status, len(PART), **headers)
        if self.command != "HEAD":
            self.wfile.write(PART)

    def head(self, status: int, length: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(length), **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


class Server(http.server.ThreadingHTTPServer):
    """Serve without a word where a client has left."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Leave it: a test breaks connections on purpose."""


@pytest.fixture(name="callee")
def callee_served() -> Iterator[Callee]:
    """Give a server that runs as long as the test."""
    with Server(("127.0.0.1", 0), type("Of", (Handler,), {})) as server:
        callee = server.RequestHandlerClass.callee = Callee(server.server_port)  # type: ignore[attr-defined]
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        yield callee
        callee.release.set()
        server.shutdown()
        serving.join(PATIENCE)


@pytest.fixture(name="closed_port")
def port_closed() -> int:
    """Give a port that nobody listens at."""
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        return server.server_port


@pytest.fixture(name="faultless")
def without_faults() -> Iterator[None]:
    """Fail a test that counts a fault."""
    yield
    assert health.take_unreported() == {}
