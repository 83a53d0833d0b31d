"""Follow the body of a response to its last byte: that of a WSGI response, and the parts of any other."""

from __future__ import annotations

import weakref
from asyncio import CancelledError
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any, Protocol

from wideevents.context import variable
from wideevents.events import Event
from wideevents.integrations._request import Request


class Follower(Protocol):
    """Take what becomes of a body, as `Request` does."""

    event: Event

    def sent(self, size: int) -> None:
        """Count a part, in bytes."""

    def left(self) -> None:
        """Take that the client has gone."""

    def failed(self, error: BaseException) -> None:
        """Take what the application raised."""

    def finish(self) -> None:
        """Take that the body has ended."""


def follow(body: Iterable[bytes], request: Request, file_wrapper: Any) -> Iterable[bytes]:
    """Return *body* in a wrapper that follows it, or itself where it is a file that the server sends by itself."""
    kind = type(body)
    if kind is list or kind is tuple:
        request.measured(sum(map(len, body)))
        return _SizedBody(body, request)
    if isinstance(file_wrapper, type) and isinstance(body, file_wrapper) and _hand_over(body, request):
        return body
    return (_SizedBody if hasattr(body, "__len__") else _Body)(body, request)


def _hand_over(body: Any, request: Request) -> bool:
    """
    Leave *body*, a `wsgi.file_wrapper`, as it is, since the server sends the file itself; only its end is followed.

    Tell whether that could be done: an object of a server written in C may take no other `close`.
    """
    close = getattr(body, "close", None)

    def closed() -> None:
        try:
            if close is not None:
                close()
        finally:
            request.handed_over()

    try:
        collected = weakref.finalize(body, request.finish)
    except TypeError:
        return False
    try:
        body.close = closed
    except AttributeError:
        collected.detach()
        return False
    return True


def hand_on(parts: Iterator[bytes], request: Follower) -> Iterator[bytes]:
    """
    Hand on the parts of a body.

    It is a generator, since that ends without an exception, which a `__next__` of ours would have to raise. If it is
    left in the middle, the close of the body or its collection will tell how the request has ended.
    """
    event, handed_on, entered = request.event, False, True
    outside = variable.get()
    variable.set(event)
    try:
        for part in parts:
            size, inside = len(part), variable.get()  # what makes the parts may be in an event of its own
            variable.set(outside)
            entered = False
            request.sent(size)
            handed_on = True
            yield part
            handed_on = False
            if event.fields is not None:  # else the last part has ended it
                outside = variable.get()
                variable.set(inside)
                entered = True
    except BaseException as error:
        if not handed_on:
            variable.set(outside)
            request.failed(error)
            request.finish()
        raise
    if entered:
        variable.set(outside)
    request.finish()


async def hand_on_async(parts: AsyncIterator[bytes], request: Follower) -> AsyncIterator[bytes]:
    """Hand on the parts of a body as `hand_on` does; where one is waited for and cancelled, the client has gone."""
    event, handed_on, entered = request.event, False, True
    outside = variable.get()
    variable.set(event)
    try:
        async for part in parts:
            size, inside = len(part), variable.get()
            variable.set(outside)
            entered = False
            request.sent(size)
            handed_on = True
            yield part
            handed_on = False
            if event.fields is not None:
                outside = variable.get()
                variable.set(inside)
                entered = True
    except BaseException as error:
        if not handed_on:
            variable.set(outside)
            if isinstance(error, CancelledError):
                request.left()
            else:
                request.failed(error)
            request.finish()
        raise
    if entered:
        variable.set(outside)
    request.finish()


class Collected:
    """
    Follow a body that is collected before any of it is sent: its first byte is out when the last one was made.

    *made* is called then; whether it was sent, its close will tell.
    """

    __slots__ = ("_made", "_request", "_size", "event")

    def __init__(self, request: Request, made: Callable[[], None]) -> None:
        self.event = request.event
        self._request = request
        self._made = made
        self._size = 0

    def sent(self, size: int) -> None:
        """Count a part."""
        self._size += size

    def left(self) -> None:
        """Take that the client has gone."""
        self._request.left()

    def failed(self, error: BaseException) -> None:
        """Take what the application raised: nothing will be sent, and maybe nothing closed."""
        self._request.failed(error)
        self._request.finish()

    def finish(self) -> None:
        """Take that the body is whole."""
        self._request.passed(self._size)
        self._made()


class _Body:
    """
    Hand on a body part by part, with the event in progress while the application makes each of them.

    The request ends at the first of exhausted, raised, closed, and collected: some servers do not close.
    """

    __slots__ = ("_body", "_close", "_parts", "_request")

    def __init__(self, body: Iterable[bytes], request: Request) -> None:
        self._request = request
        self._body = body
        self._close: Callable[[], object] = getattr(body, "close", _nothing)
        try:
            self._parts = hand_on(iter(body), request)
        except BaseException:
            self._close()
            raise

    def __iter__(self) -> Iterator[bytes]:
        return self._parts

    def close(self) -> None:
        """Close the application's body, and end the request."""
        request = self._request
        if request.event.fields is None:
            self._close()
            return
        outside = variable.get()
        variable.set(request.event)  # what is cleaned up for a client that has left is told, too
        try:
            self._close()
        except BaseException as error:
            request.failed(error)
            raise
        finally:
            variable.set(outside)
            request.closed()

    def __del__(self) -> None:
        if self._request.event.fields is not None:
            self._request.finish()


class _SizedBody(_Body):
    """Keep the length of a body: servers send one of a single part with a Content-Length."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(self._body)  # type: ignore[arg-type]


def _nothing() -> None:
    """Be the close of a body that has none."""
