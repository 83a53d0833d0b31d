"""Stand in for an Alertmanager that has trouble, which the real one cannot be made to have."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.integrations.servers import eventually

TAKEN = (200, "")


@dataclass
class Troubled:
    """
    A server that answers as it was told: each request takes the next of *answers*, the last one stays.

    An answer of status 0 is none: the connection is closed.
    """

    port: int
    answers: list[tuple[int, str]] = field(default_factory=lambda: [TAKEN])
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[list[dict[str, Any]]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def fingerprints(self) -> list[list[str]]:
        """Return what each request was about."""
        return [[each["labels"]["fingerprint"] for each in body] for body in list(self.bodies)]

    def asked(self, times: int) -> None:
        """Wait until it was asked so often."""
        eventually(lambda: len(self.bodies) >= times, f"{times} requests")


@contextmanager
def troubled(*answers: tuple[int, str]) -> Iterator[Troubled]:
    """Serve such a one."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, text = server.answers.pop(0) if len(server.answers) > 1 else server.answers[0]
            server.paths.append(self.path)
            server.headers.append(dict(self.headers))
            server.bodies.append(body)
            if status:
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        server = Troubled(listening.server_address[1], list(answers) or [TAKEN])
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            listening.shutdown()
            thread.join()


@contextmanager
def hung() -> Iterator[str]:
    """Listen, and never answer; give the URL."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def nobody() -> str:
    """Return a URL at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"http://127.0.0.1:{listening.getsockname()[1]}"
