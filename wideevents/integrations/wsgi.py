"""The door for any WSGI application (PEP 3333)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from wideevents import config
from wideevents.errors import ConfigurationError
from wideevents.integrations import werkzeug
from wideevents.integrations._body import follow
from wideevents.integrations._door import TEXTS, Door, Head
from wideevents.integrations._request import REQUEST_ID, Request, number
from wideevents.values import text

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

KEY = "wideevents.request"
"""Where the environ holds the request in progress; an application mounted below finds it, and adds to its event."""

READ = frozenset(
    (
        *("REQUEST_METHOD", "PATH_INFO", "SCRIPT_NAME", "QUERY_STRING", "wsgi.url_scheme", "HTTP_HOST", "SERVER_NAME"),
        *("REMOTE_ADDR", "HTTP_X_FORWARDED_FOR", "HTTP_USER_AGENT", "CONTENT_LENGTH", "HTTP_X_REQUEST_ID"),
        *("HTTP_TRACEPARENT", "HTTP_TRACESTATE", "HTTP_X_WIDEEVENTS_KEEP"),
    )
)
"""What is read of an environ."""

Routing = Callable[[Request, "WSGIEnvironment"], None]


class WideEvents:
    """
    Write one event for every request of a WSGI application: `app = WideEvents(app)`.

    The settings are those of `Door`. The application behaves as it would without: same status, headers (but the request
    id), body and exceptions.
    """

    def __init__(
        self, app: WSGIApplication, *, quiet: Collection[str] = (), slow_ms: float = 1_000, proxies: int = 0
    ) -> None:
        if not callable(app):
            raise ConfigurationError.of("app", app, "a WSGI application, which can be called")
        self.app = app
        self.door = Door(quiet, slow_ms, proxies)
        config.prepare()  # what is wrong with the defaults is told now, and threads are wrapped
        werkzeug.install()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve a request; inside another one, of an application that this one is mounted in, add to its event."""
        outer = environ.get(KEY)
        if outer is not None and not outer.event.sealed:  # a middleware that tries again may use its environ again
            return self.app(environ, start_response)
        return serve(self.door, self.app, environ, start_response)


def serve(
    door: Door,
    app: WSGIApplication,
    environ: WSGIEnvironment,
    start_response: StartResponse,
    routing: Routing | None = None,
) -> Iterable[bytes]:
    """Call *app* and follow the request to its last byte; *routing* tells it its route, as soon as that is known."""
    request = environ[KEY] = Request(door, head(environ))
    if werkzeug.SOCKET in environ:
        werkzeug.follow()
    try:
        body = app(environ, _responding(request, environ, start_response, routing))
        followed = follow(body, request, environ.get("wsgi.file_wrapper"))
    except BaseException as error:
        if routing is not None:
            routing(request, environ)
        request.failed(error)
        request.returned()
        request.finish()
        raise
    request.returned()
    return followed


def _responding(
    request: Request, environ: WSGIEnvironment, start_response: StartResponse, routing: Routing | None
) -> StartResponse:
    """
    Return what the application calls to start its response, and what it may write with.

    It is no method of the request, which stands in the environ: what a server gives may hold that in its turn.
    """

    def respond(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
        if routing is not None:
            routing(request, environ)
        own = length = None
        for name, value in headers:
            size = len(name)
            if size == 14 and name.lower() == "content-length":
                length = number(value)
            elif size == 12 and name.lower() == "x-request-id":
                own = value
        if own is None:
            headers = [*headers, (REQUEST_ID, request.id)]
        else:
            request.adopt(own)
        write = start_response(status, headers, exc_info) if exc_info else start_response(status, headers)
        request.started(_status(status), length)
        return partial(_write, request, write)

    return respond


def _write(request: Request, write: Callable[[bytes], object], data: bytes) -> object:
    """Write a part of the body, past what the application returns (PEP 3333)."""
    try:
        result = write(data)
    except BaseException as error:
        request.lost(error)
        raise
    request.sent(len(data))
    return result


def head(environ: WSGIEnvironment) -> Head:
    """Read the head of a request; the path is the whole one, seen from the server's root."""
    get = environ.get
    path, root = get("PATH_INFO") or "", get("SCRIPT_NAME")
    try:
        if root:
            path = root + path
        read = (
            get("REQUEST_METHOD") or "",
            path if path.isascii() else _decoded(path),
            get("QUERY_STRING"),
            get("wsgi.url_scheme"),
            get("HTTP_HOST") or get("SERVER_NAME"),
            get("REMOTE_ADDR"),
            get("HTTP_X_FORWARDED_FOR"),
            get("HTTP_USER_AGENT"),
            get("CONTENT_LENGTH"),
            get("HTTP_X_REQUEST_ID"),
            get("HTTP_TRACEPARENT"),
            get("HTTP_TRACESTATE"),
            get("HTTP_X_WIDEEVENTS_KEEP"),
        )
    except (TypeError, AttributeError):
        return _plain_head(environ)
    return read if TEXTS.issuperset(map(type, read)) else _plain_head(environ)


def _plain_head(environ: WSGIEnvironment) -> Head:
    """Read the head where a broken middleware has put what is no text: its text stands in for it."""
    return head({key: text(value) for key, value in environ.items() if key in READ and value is not None})


def _decoded(path: str) -> str:
    """Undo the Latin-1 in which WSGI hands over bytes (PEP 3333)."""
    return path.encode("latin-1", "replace").decode("utf-8", "replace")


@lru_cache(maxsize=256)
def _status(line: str) -> int:
    """Read the status of a status line: "200 OK" is 200; what is none is 0."""
    return number(line[:3]) or 0
