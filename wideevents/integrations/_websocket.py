"""Follow a WebSocket from its handshake to its close."""

from __future__ import annotations

import math
import sys
from collections.abc import Awaitable
from typing import Any

from wideevents.integrations._connection import Connection, Message, Receive, Send
from wideevents.integrations._door import Door, Head
from wideevents.integrations._scope import Scope
from wideevents.levels import Level

NAME = "WEBSOCKET"

SWITCHED, FORBIDDEN = 101, 403
"""What servers answer to a handshake that is accepted, and to one that is closed instead (ASGI)."""

NORMAL, NO_CODE = 1000, 1005
"""What is meant by a close that names no code: by the application, and by the client (ASGI; RFC 6455, 7.4.1)."""

ABNORMAL = 1006
"""The client is gone without a word."""

INTERNAL = 1011
"""What servers close with for an application that raised."""

RESTARTING = 1012
"""What the application is told, as if by its client, when the server is stopped."""

FAILURES = (INTERNAL, 1013, 1014)
"""What an application closes with where it would answer 500, 503 or 502."""

UNHANDLED = (INTERNAL, 4500)
"""What frameworks close with for an exception that nobody handled; 4500 is Litestar's."""


class WebSocket(Connection):
    """
    Follow one WebSocket, which is one event: `WEBSOCKET /chat/{room}`, over as soon as either side closes.

    A normal end is a success, whoever made it. A client that is gone without a close is `client.disconnected`, and the
    outcome is cancelled. How long it lasted says nothing of how fast it was: none is slow.
    """

    __slots__ = ("_closed_by", "_code", "_in", "_out", "_reason")

    kind = "websocket"

    def __init__(self, door: Door, head: Head, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(door, head, scope, receive, send)
        self.event.slow_ms = math.inf
        (self.event.fields or {})["event.name"] = NAME
        self._sent = None  # a handshake has no body, but for one that is denied with a response
        self._in, self._out = [0, 0], [0, 0]
        self._closed_by: str | None = None
        self._code: Any = None
        self._reason: Any = None

    async def receive(self) -> Message:
        """Hand on what the client sends; its leaving, too."""
        message = await self._receive()
        kind = message["type"]
        if kind == "websocket.receive":
            _count(self._in, message)
        elif kind == "websocket.disconnect":
            self._gone = True
            code = message.get("code", NO_CODE)
            self._close("server" if code == RESTARTING else "client", code, message.get("reason"))
        return message

    def send(self, message: Message) -> Awaitable[None]:
        """Hand on what the application sends."""
        kind = message.get("type")
        if kind == "websocket.send":
            _count(self._out, message)
        elif kind == "websocket.accept":
            message = self.answered(message, SWITCHED)
        elif kind == "websocket.close":
            self._closing(message.get("code", NORMAL), message.get("reason"))
        elif kind == "websocket.http.response.start":
            self._sent = 0
            message = self.answered(message, message.get("status", 0))
        elif kind == "websocket.http.response.body":
            self.passed(len(message.get("body") or b""))
            self.stopped()
        return self._watched(message)

    def left(self) -> None:
        """Take that the client has gone, which it may have said before."""
        self._close("client", ABNORMAL, None)

    def lost(self, error: BaseException) -> None:
        """Take what the server raised: the client is gone, and what was just sent, a close even, never got out."""
        if self._closed_by == "server":
            self._closed_by = None
        super().lost(error)

    def _closing(self, code: Any, reason: Any) -> None:
        error = sys.exception()
        if self.status:
            self._close("server", code, reason)
        else:
            self.started(FORBIDDEN, 0)
            self.stopped()
            self.tell_route()
        if error is not None and error is not self._entered:
            self.note(error, 500 if code in UNHANDLED else self.status)

    def _close(self, side: str, code: Any, reason: Any) -> None:
        """Take the first close; the other side only confirms it."""
        if self._closed_by is None:
            self._closed_by, self._code, self._reason = side, code, reason
            self.stopped()

    def _conclude(self, fields: dict[str, Any]) -> None:
        super()._conclude(fields)
        if not self.status and self._closed_by is not None:
            self._abandoned(fields)  # before there was an answer
        if self.status != SWITCHED:
            return
        for direction, (count, size) in (("received", self._in), ("sent", self._out)):
            fields[f"websocket.{direction}.count"] = count
            fields[f"websocket.{direction}.size"] = size
        if self._raised and self.event.outcome == "failure":
            self._close("server", INTERNAL, None)
        if self._closed_by is not None:
            self._conclude_close(fields, self._closed_by, self._code)

    def _conclude_close(self, fields: dict[str, Any], side: str, code: Any) -> None:
        event = self.event
        fields["websocket.closed_by"] = side
        if isinstance(code, int):
            fields["websocket.close_code"] = code
        if isinstance(self._reason, str) and self._reason:
            event.suspects.add("websocket.reason")
            fields["websocket.reason"] = self._reason
        if side == "client" and code == ABNORMAL:
            self._abandoned(fields)
        elif code == RESTARTING and event.outcome == "success":
            event.outcome = "cancelled"
        if side == "server" and code in FAILURES:
            event.outcome = "failure"
            fields.setdefault("error.type", str(code))
            if not event.is_expected:
                event.raise_level(Level.ERROR)

    def _name(self, fields: dict[str, Any], route: str) -> None:
        super()._name(fields, route)
        fields["event.name"] = f"{NAME} {route}"

    def _abandoned(self, fields: dict[str, Any]) -> None:
        fields["client.disconnected"] = True
        if self.event.outcome == "success":
            self.event.outcome = "cancelled"

    def _disconnected(self) -> None:
        self.left()

    def _begun(self) -> bool:
        return bool(self.status)

    def _complete(self) -> bool:
        return bool(self.status)


def _count(tally: list[int], message: Message) -> None:
    """Count a message, and its bytes: those of a text are what it has in UTF-8 (RFC 6455, 5.6)."""
    tally[0] += 1
    text = message.get("text")
    if isinstance(text, str):
        tally[1] += len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    else:
        tally[1] += len(message.get("bytes") or b"")
