"""The door for any ASGI application (ASGI 3.0): Starlette, FastAPI, Litestar, and those that know no framework."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Collection
from typing import Any, TypeAlias

from wideevents import config
from wideevents.errors import ConfigurationError
from wideevents.integrations._connection import KEY, Connection, Message, Receive, Send
from wideevents.integrations._door import Door, Head
from wideevents.integrations._routes import Watched, templates
from wideevents.integrations._scope import Scope, head
from wideevents.integrations._websocket import WebSocket

Application: TypeAlias = Callable[[Any, Any, Any], Awaitable[Any]]
"""Every framework has types of its own for the scope, `receive` and `send` (ASGI 3.0)."""


class WideEvents:
    """
    Write one event for every request, and for every WebSocket, of an ASGI application: `app = WideEvents(app)`.

    The settings are those of `Door`. The application behaves as it would without: same status, headers (but the request
    id), body and exceptions. A background task that the response begins is part of its event, but not of its duration.
    Attributes are those of the application: `app.state`, `app.routes`.

    With a flight recorder the scope that it is given is a dict of ours, which writes to the server's: so the route is
    known as soon as it is chosen, and a request that is killed has one.

    It stands around the application, or among its middleware, `app.add_middleware(WideEvents)`; but then the 500 that
    Starlette answers with has no request id. Litestar sets up the root logger itself, unless its `logging_config` is
    None.
    """

    def __init__(
        self, app: Application, *, quiet: Collection[str] = (), slow_ms: float = 1_000, proxies: int = 0
    ) -> None:
        if not callable(app):
            raise ConfigurationError.of("app", app, "an ASGI application, which can be called")
        self.app = app
        self.door = Door(quiet, slow_ms, proxies)
        self._settled = False
        config.prepare()  # what is wrong with the defaults is told now, and threads are wrapped

    def __getattr__(self, name: str) -> Any:
        if name == "app" or name.startswith("__"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.app, name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        """Serve a connection; inside another one, of an application that this one is mounted in, add to its event."""
        follow = FOLLOWED.get(scope["type"])
        if follow is None or KEY in scope:
            return await self.app(scope, receive, send)
        connection = follow(self.door, head(scope), scope, receive, send)
        given = scope if connection.event.recorder.flight is None else Watched(scope, connection.tell_route)
        try:
            result = await self.app(given, connection.receive, connection.send)
        except BaseException as error:
            connection.failed(error)
            raise
        finally:
            if not self._settled:
                self._settle(scope)
            connection.ended()
        return result

    def _settle(self, scope: Scope) -> None:
        """Let the counters of all routes begin at zero, before the first of them counts."""
        self._settled = True
        root = scope.get("app_root_path", scope.get("root_path", ""))
        router = scope.get("router") or scope.get("app")
        config.expect((root + template, handler) for template, handler in templates(getattr(router, "routes", ())))


class Exchange(Connection):
    """Follow the messages of one HTTP request, in both directions."""

    __slots__ = ()

    async def receive(self) -> Message:
        """Hand on what the client sends; its leaving, too."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.left()
        return message

    def send(self, message: Message) -> Awaitable[None]:
        """Hand on what the application sends. It is no coroutine of its own, which would cost more than it does."""
        kind = message.get("type")
        more = False
        if kind == "http.response.body":
            more = message.get("more_body", False)
            body = message.get("body")
            if body:
                self.passed(len(body))
            if not more and not self._trailers:
                self.stopped()
        elif kind == "http.response.start":
            status = message.get("status")
            if isinstance(status, int) and status >= 200:  # what comes before is no answer yet
                message = self.answered(message, status)
                self._trailers = message.get("trailers", False)
        else:
            more = self._extended(kind, message)
        return self._watched(message) if more or self._raises else self._send(message)

    def _extended(self, kind: object, message: Message) -> bool:
        """Follow the extensions that end a response, or send a file for it; tell whether more will come."""
        more = bool(message.get("more_trailers") or message.get("more_body"))
        if kind == "http.response.pathsend":
            self._handed_over(self._length if self._length is not None else _size(message.get("path", "")))
        elif kind == "http.response.zerocopysend":
            self._handed_over(message.get("count"))
        elif kind != "http.response.trailers":
            return False
        if not more:
            self.stopped()
        return more

    def _handed_over(self, size: int | None) -> None:
        """Take a file, or a part of one, that the server sends by itself; None is a length that nobody knows."""
        if size is None:
            self._sent = self._length
        else:
            self.passed(size)


FOLLOWED: dict[str, Callable[[Door, Head, Scope, Receive, Send], Exchange | WebSocket]] = {
    "http": Exchange,
    "websocket": WebSocket,
}


def _size(path: str) -> int | None:
    """Return the size of the file at *path*, in bytes, where it can be read."""
    try:
        return os.stat(path).st_size
    except OSError:
        return None
