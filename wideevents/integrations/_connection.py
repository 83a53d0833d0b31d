"""Follow what all connections of an ASGI application have in common: the answer, errors, and the client's leaving."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from sys import exception
from typing import Any, TypeAlias

from wideevents.context import variable
from wideevents.integrations._door import Door, Head
from wideevents.integrations._request import Request, number
from wideevents.integrations._routes import FRAMEWORKS, find, framework
from wideevents.integrations._scope import ID, LENGTH, Scope
from wideevents.levels import Level
from wideevents.values import guarded

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

KEY = "wideevents.request"
"""Where the scope holds the request in progress; an application mounted below finds it, and adds to its event."""

LEAVING = frozenset({"ClientDisconnect", "ClientDisconnected", "WebSocketDisconnect"})
"""What frameworks raise in an application whose client has left."""

RAISING = "2.4"
"""The version of the specification from which a server may raise an OSError where the client is gone."""

AHEAD = 100
"""Messages that may wait before the one that says that the client has left."""


class Connection(Request):
    """
    Follow one connection of an ASGI application.

    It stands in the scope under `KEY` as long as the application runs. What the application is given in place of the
    server's `receive` and `send` is its own.
    """

    __slots__ = ("_entered", "_gone", "_raises", "_receive", "_scope", "_send", "_trailers")

    kind = "request"

    def __init__(self, door: Door, head: Head, scope: Scope, receive: Receive, send: Send) -> None:
        Request.__init__(self, door, head, self.kind)  # super() would cost more than the rest of this
        self._scope = scope
        self._receive = receive
        self._send = send
        self._gone = self._trailers = False
        self._raises = _raises(scope)
        self._entered = exception()  # what is being handled around us is not the application's
        scope[KEY] = self

    def left(self) -> None:
        """Take that the client has gone."""
        self._gone = True
        super().left()

    def failed(self, error: BaseException) -> None:
        """Note what the application raised out of itself; that its client has left is no failure of it."""
        self.tell_route()
        if self._gone and self._leaves(error):
            self.left()
            self.sign(error)
            return
        super().failed(error)
        if self.event.outcome == "cancelled" and guarded(lambda: _has_left(self._receive), error) is True:
            self.left()

    def ended(self) -> None:
        """End with the application, whatever became of it."""
        variable.set(self._outside)
        self._scope.pop(KEY, None)  # a circle of references otherwise, by way of the server's own objects
        if self.event.outcome == "success":
            if self._raised:
                self.event.outcome = "cancelled"  # closed by its event loop, or by sys.exit()
            elif not self._complete():
                self._break_off()
        self.finish()

    def tell_route(self) -> None:
        """Tell the route, as soon as the application says anything."""
        app = self._scope.get("app")
        if app is None:
            return
        kind: Any = type(app)
        found = find(self._scope, self._path, self._door.templates)
        if found is not None:
            self.routed(*found)
        if self.event.fields is not None:
            self.event.fields.update(framework(kind))

    def answered(self, message: Message, status: int) -> Message:
        """Take the start of an answer, and return it with the request id."""
        headers = [*message.get("headers", ())]
        own = length = None
        for name, value in headers:
            size = len(name)
            if size == 14 and name.lower() == LENGTH:
                length = number(value)
            elif size == 12 and name.lower() == ID:
                own = value.decode("latin-1")
        self.status = status
        self._length = length
        self.tell_route()
        error = exception()
        if error is not None and error is not self._entered:
            self.note(error, status)
        if own is None:
            headers.append((ID, self.id.encode()))
        else:
            self.adopt(own)
        return {**message, "headers": headers}

    def note(self, error: BaseException, status: int) -> None:
        """
        Note the exception that is being handled while its answer, of *status*, passes by.

        A 500 is the answer to what nobody handled. With any other, the status says how much it matters. What is
        answered to the client's leaving nobody will see.
        """
        if self._gone and self._leaves(error):
            self.status = 0
        elif not isinstance(error, Exception) or _is_answer(error):
            return
        elif status == 500:
            self.event.fail(error)
        else:
            self.event.fail(error, level=Level.DEBUG, handled=True)

    async def _watched(self, message: Message) -> None:
        """Hand on a message; where the client is gone, the server may raise an OSError (ASGI 2.4)."""
        try:
            await self._send(message)
        except OSError as error:
            self.lost(error)
            raise

    def lost(self, error: BaseException) -> None:
        """Take what the server raised when it was given a message: the client is gone."""
        super().lost(error)
        self._gone = True
        self._disconnected()

    def _break_off(self) -> None:
        """Note that the application returned in the middle: the server answers for it, or closes the connection."""
        if self._gone:
            self.left()
            return
        fields = self.event.fields or {}
        if self.status:
            self.event.outcome = "failure"
            self.event.raise_level(Level.ERROR)
            fields.setdefault("error.type", "IncompleteResponse")
            fields.setdefault("error.why", "The application returned before its response was complete.")
        else:
            self.status = 500
            fields.setdefault("error.why", "The application returned before it had started its response.")

    def _leaves(self, error: BaseException) -> bool:
        """Tell whether *error* is what the server, or a framework, makes of a client that has left; of a group, all."""
        if isinstance(error, BaseExceptionGroup):
            return all(map(self._leaves, error.exceptions))
        return error is self._lost or type(error).__name__ in LEAVING

    def _begun(self) -> bool:
        return bool(self._first) or self._stopped


def _raises(scope: Scope) -> bool:
    """Tell whether the server says that it raises where the client is gone."""
    try:
        return bool(scope.get("asgi", scope).get("spec_version", "2.0") >= RAISING)
    except (AttributeError, TypeError):  # a broken middleware
        return False


def _is_answer(error: BaseException) -> bool:
    """Tell whether *error* is a framework's way to answer, and nothing that went wrong."""
    return any(str(each.__module__).partition(".")[0] in FRAMEWORKS for each in type(error).__mro__)


def _has_left(receive: Receive) -> bool:
    """Ask the server whether the client has left, without waiting: what was cancelled cannot wait."""
    for _ in range(AHEAD):
        try:
            next(receive().__await__())
        except StopIteration as received:
            if received.value["type"].endswith(".disconnect"):
                return True
        else:
            return False
    return False
