"""Serve requests as a server does, without a server, to applications without a framework."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from tests.bench.flask_request import ENVIRON, FIELDS

SCOPE: dict[str, Any] = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.3"},
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "path": "/hello/world",
    "raw_path": b"/hello/world",
    "root_path": "",
    "query_string": b"page=2&sort=price",
    "headers": [
        (b"host", b"shop.example.com"),
        (b"user-agent", ENVIRON["HTTP_USER_AGENT"].encode()),
        (b"accept", b"*/*"),
    ],
    "client": ("127.0.0.1", 50_000),
    "server": ("127.0.0.1", 8_000),
}

Add = Callable[[str, Any], None]


def add_all(add: Add | None) -> None:
    """Add the eight fields, or nothing: what the bare application does."""
    if add is not None:
        for key, value in FIELDS.items():
            add(key, value)


def serve_wsgi(app: Any, number: int) -> None:
    """Call *app* as a WSGI server does, *number* times."""

    def start_response(status: str, headers: object, exc_info: object = None) -> None:
        assert status == "200 OK"

    for _ in range(number):
        body = app({**ENVIRON, "wsgi.input": io.BytesIO()}, start_response)
        for _ in body:
            pass
        close = getattr(body, "close", None)
        if close is not None:
            close()


def serve_asgi(app: Any, number: int) -> None:
    """Call *app* as an ASGI server does, *number* times."""

    async def send(message: dict[str, Any]) -> None:
        assert message.get("status", 200) == 200

    async def serve() -> None:
        for _ in range(number):
            await app({**SCOPE, "state": {}}, Client().receive, send)

    asyncio.run(serve())


class Client:
    """Send a request without a body, and stay."""

    def __init__(self) -> None:
        self.sent = False

    async def receive(self) -> dict[str, Any]:
        if self.sent:
            await asyncio.Future()
        self.sent = True
        return {"type": "http.request", "body": b"", "more_body": False}


def raw_wsgi(add: Add | None) -> Any:
    def app(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        add_all(add)
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
        return [b"hello"]

    return app


def raw_asgi(add: Add | None) -> Any:
    async def app(scope: object, receive: object, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        add_all(add)
        headers = [(b"content-type", b"text/plain"), (b"content-length", b"5")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"hello"})

    return app
