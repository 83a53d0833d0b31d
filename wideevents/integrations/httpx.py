"""The door out for httpx: a transport that counts the calls, and hands the ids of the event on."""

from __future__ import annotations

from typing import Any, TypeVar

from wideevents.errors import ConfigurationError
from wideevents.integrations._calls import Hosts, Propagation, check_inner
from wideevents.integrations._httpx import AsyncBody, SyncBody, begin, telling

try:
    import httpx
except ImportError as missing:
    raise ImportError("wideevents.integrations.httpx needs httpx: pip install 'wideevents[httpx]'") from missing

C = TypeVar("C", httpx.Client, httpx.AsyncClient)
T = TypeVar("T")


class Transport(httpx.BaseTransport):
    """
    Count what a client calls: `httpx.Client(transport=Transport())`.

    It goes by way of *inner*, or of an `httpx.HTTPTransport(**options)`: a client that is given a transport takes no
    `verify`, `http2`, `limits` or proxies for itself (httpx, Transports), so that they are *options* here. For a client
    that has them, see `watch`.

    A call takes until its body has been read or is closed, with what its reader does in between, and each redirect is
    one of its own. It has failed if it raises, or is answered with 5xx.

    *propagate* says which hosts are told of the event, by `traceparent`, `tracestate` and `x-request-id`: True is
    every one, ("api.shop.example", "*.internal") are yours. Headers that are there already stay as they are.

    Raise `ConfigurationError` for a setting that cannot be used.
    """

    def __init__(self, inner: httpx.BaseTransport | None = None, *, propagate: Hosts = True, **options: Any) -> None:
        check_inner(inner, httpx.BaseTransport, options)
        self._inner = inner or httpx.HTTPTransport(**options)
        self._propagation = Propagation(propagate)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send *request*, and count it."""
        call = begin(request)
        try:
            response = self._inner.handle_request(telling(request, self._propagation))
        except BaseException:
            call.end(failed=True)
            raise
        if call.counts and not response.is_closed and isinstance(response.stream, httpx.SyncByteStream):
            response.stream = SyncBody(response, response.stream, call)
        else:
            call.end(failed=response.is_server_error)
        return response

    def close(self) -> None:
        """Close what it goes by."""
        self._inner.close()

    def __enter__(self: T) -> T:
        self._inner.__enter__()  # type: ignore[attr-defined]
        return self

    def __exit__(self, *raised: Any, **named: Any) -> None:
        self._inner.__exit__(*raised, **named)


class AsyncTransport(httpx.AsyncBaseTransport):
    """Do what `Transport` does, for an `httpx.AsyncClient`."""

    def __init__(
        self, inner: httpx.AsyncBaseTransport | None = None, *, propagate: Hosts = True, **options: Any
    ) -> None:
        check_inner(inner, httpx.AsyncBaseTransport, options)
        self._inner = inner or httpx.AsyncHTTPTransport(**options)
        self._propagation = Propagation(propagate)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send *request*, and count it."""
        call = begin(request)
        try:
            response = await self._inner.handle_async_request(telling(request, self._propagation))
        except BaseException:
            call.end(failed=True)
            raise
        if call.counts and not response.is_closed and isinstance(response.stream, httpx.AsyncByteStream):
            response.stream = AsyncBody(response, response.stream, call)
        else:
            call.end(failed=response.is_server_error)
        return response

    async def aclose(self) -> None:
        """Close what it goes by."""
        await self._inner.aclose()

    async def __aenter__(self: T) -> T:
        await self._inner.__aenter__()  # type: ignore[attr-defined]
        return self

    async def __aexit__(self, *raised: Any, **named: Any) -> None:
        await self._inner.__aexit__(*raised, **named)


def watch(client: C, *, propagate: Hosts = True) -> C:
    """
    Count what *client* calls from now on, whatever transports and proxies it has, and return it.

    httpx offers no public way to the transports of a client that is built already, and its event hooks see neither
    connection errors nor bodies. A second time changes nothing.
    """
    if not isinstance(client, httpx.Client | httpx.AsyncClient):
        raise ConfigurationError.of("client", client, "an httpx.Client or an httpx.AsyncClient")
    kind: Any = Transport if isinstance(client, httpx.Client) else AsyncTransport
    Propagation(propagate)

    def around(transport: Any) -> Any:
        untouched = transport is None or isinstance(transport, kind)
        return transport if untouched else kind(transport, propagate=propagate)

    watched: Any = client
    watched._transport = around(watched._transport)  # noqa: SLF001
    watched._mounts = {pattern: around(transport) for pattern, transport in watched._mounts.items()}  # noqa: SLF001
    return client
