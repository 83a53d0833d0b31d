"""Tests of the reports to Sentry: a server that keeps them, or does what a server may do in place of that."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

from tests.integrations.servers import eventually
from wideevents import health
from wideevents.health import Fault

Answer = Callable[[socket.socket, Event], object]


def answering(status: str, *headers: str, body: str = '{"id": "1"}') -> Answer:
    """Return what answers with *status*, such as "429 Too Many Requests"."""
    told = "".join(f"{header}\r\n" for header in (*headers, f"Content-Length: {len(body)}"))
    return lambda client, _: client.sendall(f"HTTP/1.1 {status}\r\n{told}\r\n{body}".encode("latin-1"))


def saying(data: bytes) -> Answer:
    """Return what says *data*, and nothing else."""
    return lambda client, _: client.sendall(data)


def dripping(client: socket.socket, closed: Event) -> None:
    """Answer one byte at a time, without an end."""
    client.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not closed.wait(0.02):
        client.sendall(b"z")


def flooding(client: socket.socket, closed: Event) -> None:
    """Answer more than anybody wants to hear."""
    client.sendall(b"HTTP/1.1 200 OK\r\nX-Much: ")
    while not closed.is_set():
        client.sendall(b"z" * 65_536)


def hanging(client: socket.socket, closed: Event) -> None:
    """Accept, and never answer."""
    closed.wait()


OK = answering("200 OK")

CERTIFICATE = Path(__file__).with_name("loopback.pem")
"""Of 127.0.0.1, by itself, with its key: nobody trusts it who is not told to."""


class Inbox:
    """A Sentry on loopback: it keeps the reports that it is sent, with the heads of the requests, and answers."""

    def __init__(self, answer: Answer = OK, *, secure: bool = False) -> None:
        self.answer = answer
        self.scheme = "https" if secure else "http"
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(CERTIFICATE)
        self.reports: list[dict[str, Any]] = []
        self.heads: list[str] = []
        self.visits = 0
        self._closed = Event()
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._threads = [Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def port(self) -> int:
        return int(self._listening.getsockname()[1])

    @property
    def dsn(self) -> str:
        return f"{self.scheme}://publickey@127.0.0.1:{self.port}/7"

    def wait(self, number: int) -> list[dict[str, Any]]:
        """Return the reports as soon as there are so many."""
        eventually(lambda: len(self.reports) >= number, f"{number} reports; there are {len(self.reports)}")
        return self.reports

    def close(self) -> None:
        """End; whoever hangs is let go."""
        self._closed.set()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            self.visits += 1
            thread = Thread(target=self._serve, args=(client,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError, ValueError), self._wrapped(client) as wrapped:
            head, body = read(wrapped)
            self.heads.append(head)
            envelope = gzip.decompress(body).split(b"\n")
            self.reports.append(json.loads(envelope[2]))
            self.answer(wrapped, self._closed)

    def _wrapped(self, client: socket.socket) -> socket.socket:
        return self._tls.wrap_socket(client, server_side=True) if self.scheme == "https" else client


def read(client: socket.socket) -> tuple[str, bytes]:
    """Return the head and the body of a request."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += client.recv(65_536) or b"\r\n\r\n"
    head, _, body = received.partition(b"\r\n\r\n")
    size = next(int(line[15:]) for line in head.decode().splitlines() if line.lower().startswith("content-length"))
    while len(body) < size:
        body += client.recv(65_536)
    return head.decode(), body


@contextmanager
def inbox(answer: Answer = OK, *, secure: bool = False) -> Iterator[Inbox]:
    """Run a Sentry for the block."""
    server = Inbox(answer, secure=secure)
    try:
        yield server
    finally:
        server.close()


def nobody() -> str:
    """Return the DSN of a port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"http://key@127.0.0.1:{free.getsockname()[1]}/1"


def lost() -> int:
    """Return how many reports were counted as lost."""
    return health.faults.counts().get(Fault.LOST, 0)


def withheld() -> int:
    """Return how many reports were counted as withheld."""
    return health.faults.counts().get(Fault.WITHHELD, 0)
