"""Follow the requests and the bodies of httpx."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import AsyncIterator, Iterator
from copy import copy
from typing import Any

from wideevents.integrations._calls import Call, Propagation, of_request

try:
    import httpx
except ImportError as missing:
    raise ImportError("wideevents.integrations.httpx needs httpx: pip install 'wideevents[httpx]'") from missing


class _Body:
    """
    Pass a body on, and end its call when it is closed, or collected without.

    What breaks while it is read fails the call; a reader that stops does not.
    """

    def __init__(self, response: httpx.Response, stream: Any, call: Call) -> None:
        self._stream = stream
        self._call = call
        self._failed = response.is_server_error

    def __del__(self) -> None:
        self._call.end(failed=self._failed)


class SyncBody(_Body, httpx.SyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._stream
        except Exception:
            self._failed = True
            raise

    def close(self) -> None:
        try:
            self._stream.close()
        finally:
            self._call.end(failed=self._failed)


class AsyncBody(_Body, httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for part in self._stream:
                yield part
        except (Exception, CancelledError):
            self._failed = True
            raise

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        finally:
            self._call.end(failed=self._failed)


def begin(request: httpx.Request) -> Call:
    return of_request(request.method, request.url.host, request.url.port)


def telling(request: httpx.Request, propagation: Propagation) -> httpx.Request:
    """Return *request* with the ids: a copy, since a client makes of its own request the next one of a redirect."""
    headers = propagation.headers(request.url.host, request.headers)
    if not headers:
        return request
    sent = copy(request)  # which leaves out what cannot be pickled
    sent.stream, sent.extensions = request.stream, request.extensions
    sent.headers = request.headers.copy()
    sent.headers.update(headers)
    return sent
