"""The door for any ASGI application (ASGI 3.0): Starlette, FastAPI, Litestar, and those that know no framework."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, MutableMapping
from typing import Any, TypeAlias

from wideevents import config
from wideevents.errors import ConfigurationError
from wideevents.integrations._door import Door, Head
from wideevents.integrations._request import REQUEST_ID, Request, number
from wideevents.integrations._routes import take_route

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[Any]]

KEY = "wideevents.request"
"""Where the scope holds the request in progress; an application mounted below finds it, and adds to its event."""

ID = REQUEST_ID.lower().encode()
LENGTH = b"content-length"

HEADERS = frozenset({b"host", b"x-forwarded-for", b"user-agent", LENGTH, ID, b"traceparent", b"tracestate"})
"""What is read of a request's headers."""


class WideEvents:
    """
    Write one event for every request of an ASGI application: `app = WideEvents(app)`.

    The settings are those of `Door`. The application behaves as it would without: same status, headers (but the request
    id), body and exceptions. A background task that the response begins is part of its event, but not of its duration.
    """

    def __init__(
        self, app: Application, *, quiet: Collection[str] = (), slow_ms: float = 1_000, proxies: int = 0
    ) -> None:
        if not callable(app):
            raise ConfigurationError.of("app", app, "an ASGI application, which can be called")
        self.app = app
        self.door = Door(quiet, slow_ms, proxies)
        config.prepare()  # what is wrong with the defaults is told now, and threads are wrapped

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        """Serve a request; inside another one, of an application that this one is mounted in, add to its event."""
        if scope["type"] != "http" or KEY in scope:
            return await self.app(scope, receive, send)
        request = scope[KEY] = Request(self.door, head(scope))
        exchange = _Exchange(request, scope, receive, send)
        try:
            result = await self.app(scope, exchange.receive, exchange.send)
        except BaseException as error:
            take_route(request, scope)
            request.failed(error)
            raise
        finally:
            request.returned()
            request.closed()
        return result


class _Exchange:
    """Follow the messages of one request, in both directions."""

    __slots__ = ("_receive", "_request", "_scope", "_send", "_trailers")

    def __init__(self, request: Request, scope: Scope, receive: Receive, send: Send) -> None:
        self._request = request
        self._scope = scope
        self._receive = receive
        self._send = send
        self._trailers = False

    async def receive(self) -> Message:
        """Hand on what the client sends; its leaving, too."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._request.left()
        return message

    def send(self, message: Message) -> Awaitable[None]:
        """Hand on what the application sends. It is no coroutine of its own, which would cost more than it does."""
        kind = message["type"]
        if kind == "http.response.start":
            message = self._started(message)
        elif kind == "http.response.body":
            more = message.get("more_body", False)
            self._request.passed(len(message.get("body", b"")))
            if more:
                return self._watched(message)
            if not self._trailers:
                self._request.stopped()
        return self._send(message)

    async def _watched(self, message: Message) -> None:
        """Hand on a part of a body; where the client is gone, some servers raise."""
        try:
            await self._send(message)
        except BaseException as error:
            self._request.lost(error)
            raise

    def _started(self, message: Message) -> Message:
        request, headers = self._request, message.get("headers", ())
        take_route(request, self._scope)
        self._trailers = message.get("trailers", False)
        own, length = _look(headers)
        request.started(message["status"], length)
        if own is not None:
            request.adopt(own)
            return message
        return {**message, "headers": [*headers, (ID, request.id.encode())]}


def head(scope: Scope) -> Head:
    """Read the head of a request; a header that was sent several times is joined by commas (RFC 9110, 5.3)."""
    found: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in HEADERS:
            found[name] = value if name not in found else found[name] + b"," + value
    texts = {name: value.decode("latin-1") for name, value in found.items()}
    get, client, server = texts.get, scope.get("client"), scope.get("server")
    return Head(
        scope.get("method", "GET"),
        scope["path"],
        scope.get("query_string", b"").decode("latin-1"),
        scope.get("scheme"),
        get(b"host") or (server[0] if server else None),
        client[0] if client else None,
        get(b"x-forwarded-for"),
        get(b"user-agent"),
        get(LENGTH),
        get(ID),
        get(b"traceparent"),
        get(b"tracestate"),
    )


def _look(headers: Iterable[tuple[bytes, bytes]]) -> tuple[str | None, int | None]:
    """Return the request id and the length that the application itself sends."""
    own = length = None
    for name, value in headers:
        size = len(name)
        if size == 14 and name.lower() == LENGTH:
            length = number(value.decode("latin-1"))
        elif size == 12 and name.lower() == ID:
            own = value.decode("latin-1")
    return own, length
