"""Send one customer's requests, and remember what was sent."""

from __future__ import annotations

import json
import socket
import struct
from dataclasses import dataclass, field
from http.client import HTTPConnection

from examples.demo.server import HOST

TIMEOUT_S = 30
RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Sent:
    """One request as its sender saw it."""

    id: str
    request: str
    status: int
    quiet: bool = False


@dataclass(slots=True)
class Browser:
    """Keep one customer's cookie, and give every request an id to find its event by."""

    port: int
    name: str
    sent: list[Sent] = field(default_factory=list)
    cookie: str = ""

    def send(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None, *, quiet: bool = False
    ) -> dict[str, str]:
        """Send *body* as JSON, or as it stands if it is bytes; return the headers of the answer."""
        connection = HTTPConnection(HOST, self.port, timeout=TIMEOUT_S)
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection.request(method, path, data, self.headers() | (headers or {}))
        response = connection.getresponse()
        response.read()
        connection.close()
        self.remember(method, path, response.status, quiet=quiet)
        self.cookie = response.headers.get("Set-Cookie", self.cookie).partition(";")[0]

        return dict(response.headers)

    def leave(self, path: str) -> None:
        """Ask for *path* and go away at its first bytes; the reset tells the server at the next one."""
        head = "".join(f"{name}: {value}\r\n" for name, value in self.headers().items())
        with socket.create_connection((HOST, self.port), TIMEOUT_S) as line:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            line.sendall(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n{head}\r\n".encode())
            status = int(line.recv(100).split()[1])
        self.remember("GET", path, status)

    @property
    def next_id(self) -> str:
        return f"{self.name}-{len(self.sent) + 1:03}"

    def headers(self) -> dict[str, str]:
        return {
            "Content-Type": "application/json",
            "Cookie": self.cookie,
            "User-Agent": "wideevents-demo",
            "X-Request-ID": self.next_id,
        }

    def remember(self, method: str, path: str, status: int, *, quiet: bool = False) -> None:
        self.sent.append(Sent(self.next_id, f"{method} {path}", status, quiet))
