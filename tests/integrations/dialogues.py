"""Be the server of one ASGI connection, message by message, for the cases that no client can make."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from tests.integrations.servers import PATIENCE

Message = dict[str, Any]
Application = Callable[..., Any]

REQUEST: Message = {"type": "http.request", "body": b"", "more_body": False}
LEFT: Message = {"type": "http.disconnect"}
START: Message = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}
BODY: Message = {"type": "http.response.body", "body": b"Hello"}

CONNECT: Message = {"type": "websocket.connect"}
ACCEPT: Message = {"type": "websocket.accept"}
CLOSE: Message = {"type": "websocket.close", "code": 1000}


def part(body: bytes) -> Message:
    """Return a part of a body that is not the last."""
    return {"type": "http.response.body", "body": body, "more_body": True}


def closed(code: int, reason: str = "") -> Message:
    """Return what a server says of a client that has closed its WebSocket."""
    return {"type": "websocket.disconnect", "code": code, "reason": reason}


def scope_of(kind: str = "http", path: str = "/plain", *, spec: str = "2.3", **more: Any) -> dict[str, Any]:
    """Return the scope of a request, or of a WebSocket, without its method."""
    own: dict[str, Any] = {"method": "GET"} if kind == "http" else {"subprotocols": []}
    return {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": spec},
        "http_version": "1.1",
        "scheme": "http" if kind == "http" else "ws",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"shop.example:8443")],
        "client": ("192.0.2.7", 49_152),
        "server": ("127.0.0.1", 80),
        "extensions": {},
        **own,
        **more,
    }


class Dialogue:
    """
    Give an application *messages*, one after another, and keep what it sends.

    After the last of them `receive` waits for ever, as for a client that says no more. An exception among them is
    raised. `raising` is what the server's `send` raises from now on.
    """

    def __init__(self, *messages: Message | BaseException, **scope: Any) -> None:
        self.scope = scope_of(**scope)
        self.messages = list(messages)
        self.sent: list[Message] = []
        self.raising: BaseException | None = None

    async def receive(self) -> Message:
        if not self.messages:
            await asyncio.Event().wait()
        message = self.messages.pop(0)
        if isinstance(message, BaseException):
            raise message
        return message

    async def send(self, message: Message) -> None:
        if self.raising is not None:
            raise self.raising
        self.sent.append(message)

    def run(self, application: Application) -> Any:
        """Run the application to its end, on a loop of its own."""
        return asyncio.run(self.play(application))

    async def play(self, application: Application) -> Any:
        """Run the application to its end; one that never ends fails."""
        return await asyncio.wait_for(application(self.scope, self.receive, self.send), PATIENCE)

    @property
    def status(self) -> int:
        """The status that was sent."""
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[bytes, bytes]:
        """The headers that were sent."""
        return dict(self.sent[0]["headers"])

    @property
    def body(self) -> bytes:
        """The body that was sent."""
        return b"".join(message.get("body", b"") for message in self.sent)


def sending(*messages: Message | BaseException, reads: int = 0) -> Application:
    """Make an application that receives *reads* messages, and then sends or raises what it is given."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(reads):
            await receive()
        for message in messages:
            if isinstance(message, BaseException):
                raise message
            await send(message)

    return application


def ask(application: Application, path: str = "/plain", method: str = "GET", **scope: Any) -> Dialogue:
    """Let a server ask once; what the application raises is left to it."""
    dialogue = Dialogue(REQUEST, path=path, method=method, **scope)
    dialogue.run(application)
    return dialogue


def told(line: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return some fields of a line, as far as they are there."""
    return {name: line[name] for name in names if name in line}
