"""The door out for urllib3: connection pools that count the calls, and hand the ids of the event on."""

from __future__ import annotations

import threading
from typing import Any, TypeVar

from wideevents.context import current
from wideevents.errors import ConfigurationError
from wideevents.integrations._calls import Hosts, Propagation, of_request

try:
    from urllib3 import BaseHTTPResponse, HTTPConnectionPool, HTTPHeaderDict, PoolManager
    from urllib3.util import parse_url
except ImportError as missing:
    raise ImportError("wideevents.integrations.urllib3 needs urllib3: pip install 'wideevents[urllib3]'") from missing

M = TypeVar("M", bound=PoolManager)


def watch(manager: M, *, propagate: Hosts = True) -> M:
    """
    Count what *manager*, which may be a `urllib3.ProxyManager`, calls from now on, and return it.

    Its pools are made anew, of classes that count: `pool_classes_by_scheme` is there for that. Other managers are left
    alone, such as the one of requests or botocore, so that no call counts twice. A second time replaces the first.

    A call takes until its body is read, or with `preload_content=False` until the head of the response is there. It
    is one with all its retries; each redirect is one of its own. It has failed if it raises, or is answered with 5xx.

    *propagate* says which hosts are told of the event, by `traceparent`, `tracestate` and `x-request-id`: True is
    every one, ("api.shop.example", "*.internal") are yours. Headers that are there already stay as they are.

    Raise `ConfigurationError` for a setting that cannot be used.
    """
    if not isinstance(manager, PoolManager):
        raise ConfigurationError.of("manager", manager, "a urllib3.PoolManager")
    propagation = Propagation(propagate)
    manager.pool_classes_by_scheme = {
        scheme: _watched(kind, propagation) for scheme, kind in manager.pool_classes_by_scheme.items()
    }
    manager.clear()
    return manager


def _watched(kind: type[HTTPConnectionPool], propagation: Propagation) -> type[HTTPConnectionPool]:
    """Return a class of pools that are of *kind*, and count."""
    bare = kind.__mro__[2] if issubclass(kind, _Counting) else kind
    members = {"__module__": bare.__module__, "__qualname__": bare.__qualname__, "_propagation": propagation}
    return type(bare.__name__, (_Counting, bare), members)


class _Counting(HTTPConnectionPool):
    """Count each call once: a pool calls itself for a retry."""

    _propagation: Propagation

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._calling = threading.local()

    def urlopen(
        self, method: str, url: str, body: Any = None, headers: Any = None, *arguments: Any, **options: Any
    ) -> BaseHTTPResponse:
        """Send a request, and count it."""
        if current() is None or getattr(self._calling, "now", False):
            return super().urlopen(method, url, body, headers, *arguments, **options)
        host, port = self._asked(url)
        call = of_request(method, host, port)
        self._calling.now = failed = True
        try:
            response = super().urlopen(method, url, body, self._telling(host, headers), *arguments, **options)
            failed = response.status >= 500
        finally:
            self._calling.now = False
            call.end(failed=failed)
        return response

    def _asked(self, url: str) -> tuple[str, int | None]:
        """Return whom *url* asks: the pool's own host, but where that is a proxy."""
        if url.startswith("/"):
            return self.host, self.port
        parts = parse_url(url)
        return parts.host or self.host, parts.port if parts.host else self.port

    def _telling(self, host: str, headers: Any) -> Any:
        """Return *headers* with the ids, in a copy."""
        present = HTTPHeaderDict(self.headers if headers is None else headers)
        ids = self._propagation.headers(host, present)
        if not ids:
            return headers
        present.update(ids)
        return present
