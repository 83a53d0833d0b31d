"""The door out for requests: a transport adapter that counts the calls, and hands the ids of the event on."""

from __future__ import annotations

from collections.abc import Iterator
from functools import wraps
from typing import Any, TypeVar
from urllib.parse import urlsplit

from wideevents.errors import ConfigurationError
from wideevents.integrations._calls import Call, Hosts, Propagation, check_inner, of_request

try:
    from requests import PreparedRequest, Response, Session
    from requests.adapters import BaseAdapter, HTTPAdapter
except ImportError as missing:
    raise ImportError(
        "wideevents.integrations.requests needs requests: pip install 'wideevents[requests]'"
    ) from missing

S = TypeVar("S", bound=Session)

OWN = ("_inner", "_propagation")
"""The attributes of an adapter that are not those of the one that it sends by."""

MARK = "_installed_by_wideevents"
"""Where what we installed refers to itself; somebody's wrapper has a copy, which refers to ours."""


class Adapter(BaseAdapter):
    """
    Count what goes through it: `session.mount("https://", Adapter())`.

    It sends by way of *inner*, or of a `requests.adapters.HTTPAdapter(**options)`. For a session that has its adapters
    already, see `watch`.

    A call takes until its body has been read or is closed, with what its reader does in between; what reads
    `response.raw` itself has to close the response. Each redirect is a call of its own. It has failed if it raises, or
    is answered with 5xx.

    *propagate* says which hosts are told of the event, by `traceparent`, `tracestate` and `x-request-id`: True is
    every one, ("api.shop.example", "*.internal") are yours. Headers that are there already stay as they are.

    Raise `ConfigurationError` for a setting that cannot be used.
    """

    def __init__(self, inner: BaseAdapter | None = None, *, propagate: Hosts = True, **options: Any) -> None:
        super().__init__()
        check_inner(inner, BaseAdapter, options)
        self._inner = inner or HTTPAdapter(**options)
        self._propagation = Propagation(propagate)

    def __getattr__(self, name: str) -> Any:
        if name in OWN:  # a copy asks before it has anything
            raise AttributeError(name)
        return getattr(self._inner, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in OWN:
            super().__setattr__(name, value)
        else:
            setattr(self._inner, name, value)

    def send(self, request: PreparedRequest, *arguments: Any, **options: Any) -> Response:
        """Send *request*, and count it."""
        host, port = _address(request.url)
        call = of_request(request.method or "", host, port)
        try:
            response = self._inner.send(_telling(request, host, self._propagation), *arguments, **options)
        except BaseException:
            call.end(failed=True)
            raise
        response.request = request
        if vars(response).get("connection") is self._inner:  # by which authentication sends once more
            vars(response)["connection"] = self
        failed = response.status_code >= 500
        if type(response) is Response and response.raw is not None and call.counts:
            return _Followed(response, call, failed=failed)
        call.end(failed=failed)
        return response

    def close(self) -> None:
        """Close what it sends by."""
        self._inner.close()


def watch(session: S, *, propagate: Hosts = True) -> S:
    """
    Count what *session* calls by the adapters that are mounted now, and return it.

    A second time changes nothing; an adapter that is mounted later needs an `Adapter` around it.
    """
    if not isinstance(session, Session):
        raise ConfigurationError.of("session", session, "a requests.Session")
    Propagation(propagate)
    for prefix, adapter in session.adapters.items():
        if not isinstance(adapter, Adapter):
            session.adapters[prefix] = Adapter(adapter, propagate=propagate)
    return session


def install(*, propagate: Hosts = True) -> None:
    """
    Count the calls of every session, those of `requests.get` too: it makes one of its own, and takes no adapter.

    It wraps `Session.get_adapter`; nothing else reaches the functions of the module. A second time replaces the first.
    """
    Propagation(propagate)
    uninstall()
    original = Session.get_adapter

    @wraps(original)
    def get_adapter(session: Session, url: str) -> BaseAdapter:
        adapter = original(session, url)
        return adapter if isinstance(adapter, Adapter) else Adapter(adapter, propagate=propagate)

    setattr(get_adapter, MARK, get_adapter)
    Session.get_adapter = get_adapter  # type: ignore[assignment, method-assign]


def uninstall() -> None:
    """Undo `install`. Where somebody has wrapped our wrapper since, theirs stays, and ours under it goes on."""
    ours: Any = getattr(Session.get_adapter, MARK, None)
    if ours is Session.get_adapter:
        Session.get_adapter = vars(ours)["__wrapped__"]  # type: ignore[method-assign]


class _Followed(Response):
    """Be the response that it is made of, and end its call when its body has been read, is closed, or collected."""

    def __init__(self, response: Response, call: Call, *, failed: bool) -> None:
        vars(self).update(vars(response))
        self._call = call
        self._failed = failed

    def iter_content(self, chunk_size: int | None = 1, decode_unicode: bool = False) -> Iterator[Any]:
        """Read the body part by part; everything else that reads it does it here."""
        return self._passed(super().iter_content(chunk_size, decode_unicode))

    def close(self) -> None:
        """Give the connection back."""
        super().close()
        self._call.end(failed=self._failed)

    def __del__(self) -> None:
        self._call.end(failed=self._failed)

    def __reduce__(self) -> tuple[Any, ...]:
        """Let a copy, also one in a cache, be a plain response: its call has ended."""
        return Response, (), self.__getstate__()

    def _passed(self, parts: Iterator[Any]) -> Iterator[Any]:
        try:
            yield from parts
        except Exception:
            self._call.end(failed=True)
            raise
        self._call.end(failed=self._failed)


def _telling(request: PreparedRequest, host: str, propagation: Propagation) -> PreparedRequest:
    """Return *request* with the ids: a copy, since a session makes of its own request the next one of a redirect."""
    headers = propagation.headers(host, request.headers)
    if not headers:
        return request
    sent = request.copy()
    sent.headers.update(headers)
    return sent


def _address(url: object) -> tuple[str, int | None]:
    """Return the host and the port of *url*, which an adapter of the user's own may read in its own way."""
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
        return ("", None) if parts is None else (parts.hostname or "", parts.port)
    except ValueError:
        return "", None
