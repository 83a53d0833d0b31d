"""The doors under test: each builds the same little application, and says what it can know of a request."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qsl
from wsgiref.util import FileWrapper

import flask

import wideevents
import wideevents.integrations.flask
import wideevents.integrations.wsgi
from tests.integrations.views import HANDLED, PARTS, ROUTES, Answer, Asked, RefusalError, View

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    Around = Callable[[WSGIApplication], WSGIApplication]

SETTINGS: dict[str, Any] = {"quiet": ("/healthz", "/assets/<path:name>"), "slow_ms": 300}
"""What every door under test is built with."""

TEXT = ("Content-Type", "text/plain; charset=utf-8")
PARAMETER = re.compile(r"<(?:(?P<converter>\w+):)?(?P<name>\w+)>")


def unchanged(application: WSGIApplication) -> WSGIApplication:
    """Put nothing around an application."""
    return application


class Door(Protocol):
    """
    Build the application with and without us; *around* is put around the bare one, inside of the door.

    - *framework*: `framework.name`, or None.
    - *answers_errors*: the framework itself answers an unhandled exception, so that its 500 has our header.
    - *writes*: there is a route /written that uses the `write` of PEP 3333.
    - *masks*: parameters of routes are known, and hidden where their names are secret.
    """

    name: str
    framework: str | None
    answers_errors: bool
    writes: bool
    masks: bool

    def route(self, template: str) -> str | None:
        """Return what `http.route` is for a route of the little application; None where it cannot be known."""

    def bare(self, around: Around = unchanged) -> WSGIApplication:
        """Build the application without us."""

    def watched(self, around: Around = unchanged, **settings: Any) -> WSGIApplication:
        """Build the application behind the door."""


class WsgiDoor:
    """An application that knows nothing but PEP 3333."""

    name = "wsgi"
    framework = None
    answers_errors = False
    writes = True
    masks = False

    def route(self, template: str) -> str | None:
        return None

    def bare(self, around: Around = unchanged) -> WSGIApplication:
        return around(raw_application)

    def watched(self, around: Around = unchanged, **settings: Any) -> WSGIApplication:
        return wideevents.integrations.wsgi.WideEvents(around(raw_application), **settings)


class FlaskDoor:
    """The Flask extension."""

    name = "flask"
    framework = "flask"
    answers_errors = True
    writes = False
    masks = True

    def route(self, template: str) -> str | None:
        return template

    def bare(self, around: Around = unchanged) -> WSGIApplication:
        app = flask_application()
        app.wsgi_app = around(app.wsgi_app)
        return app

    def watched(self, around: Around = unchanged, **settings: Any) -> WSGIApplication:
        app = flask_application()
        app.wsgi_app = around(app.wsgi_app)
        wideevents.integrations.flask.WideEvents(app, **settings)
        return app


DOORS: dict[str, Door] = {door.name: door for door in (WsgiDoor(), FlaskDoor())}


def variants(door: Door, around: Around = unchanged) -> dict[str, WSGIApplication]:
    """Build what one server serves: the application behind its door, behind proxies, and bare."""
    return {
        "watched": door.watched(around, **SETTINGS),
        "one proxy": door.watched(around, **SETTINGS, proxies=1),
        "two proxies": door.watched(around, **SETTINGS, proxies=2),
        "bare": door.bare(around),
    }


def serve(name: str) -> WSGIApplication:
    """Return what a real server runs for the door *name*; the header X-Variant says which variant is asked."""
    built = variants(DOORS[name])

    def choose(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return built[environ.get("HTTP_X_VARIANT", "watched")](environ, start_response)

    return choose


def preloaded(name: str) -> WSGIApplication:
    """Return what `serve` does, after work of its own in the process that will be forked."""
    with wideevents.event("preload"):
        return serve(name)


def raw_application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Serve the little application, and what only PEP 3333 has: the `write` callable."""
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"].encode("latin-1").decode()
    if path in {"/written", "/writing"}:
        return written(start_response, endlessly=path == "/writing")
    answer = answered(method, path, environ)
    headers = list(answer.headers)
    if answer.status not in {204, 304}:
        headers.append(TEXT)
    if answer.file is not None:
        headers.append(("Content-Length", str(answer.file.stat().st_size)))
    elif isinstance(answer.body, bytes) and answer.status not in {204, 304}:
        headers.append(("Content-Length", str(len(answer.body))))
    start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", headers)
    if answer.file is not None and method != "HEAD":
        wrap = environ.get("wsgi.file_wrapper", FileWrapper)
        return wrap(answer.file.open("rb"))  # type: ignore[no-any-return]
    if method == "HEAD":
        return []
    return [answer.body] if isinstance(answer.body, bytes) else answer.body


def answered(method: str, path: str, environ: WSGIEnvironment) -> Answer:
    """Find the view for a path, and call it."""
    found = next(((route, match) for route, pattern in PATTERNS if (match := pattern.fullmatch(path))), None)
    if found is None:
        return Answer(b"not found", 404)
    route, match = found
    if method not in {route.method, "HEAD"}:
        return Answer(b"not allowed", 405, headers=(("Allow", route.method),))
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    try:
        return route.view(Asked(dict(parse_qsl(environ.get("QUERY_STRING", ""))), body), **match.groupdict())
    except RefusalError:
        return Answer(b"forbidden", 403)
    except tuple(HANDLED) as error:
        wideevents.add_error(error, level="debug")
        return Answer(str(error).encode(), HANDLED[type(error)])


def written(start_response: StartResponse, *, endlessly: bool) -> Iterable[bytes]:
    write = start_response("200 OK", [TEXT])
    for part in endless_parts() if endlessly else PARTS:
        write(part)
    return []


def endless_parts() -> Iterator[bytes]:
    body = ROUTES_BY_TEMPLATE["/endless"](Asked({}, b"")).body
    assert not isinstance(body, bytes)
    return body


def pattern(template: str) -> re.Pattern[str]:
    """Compile a template whose fixed parts hold nothing special."""
    return re.compile(
        PARAMETER.sub(lambda found: f"(?P<{found['name']}>{'.+' if found['converter'] else '[^/]+'})", template)
    )


PATTERNS = [(route, pattern(route.template)) for route in ROUTES]
ROUTES_BY_TEMPLATE = {route.template: route.view for route in ROUTES}


def flask_application() -> flask.Flask:
    """Build the little application with Flask."""
    app = flask.Flask(__name__, static_folder=None)
    for route in ROUTES:
        app.add_url_rule(route.template, route.view.__name__, flask_view(route.view), methods=[route.method])
    for kind, status in HANDLED.items():
        app.register_error_handler(kind, flask_error_handler(status))
    return app


def flask_view(view: View) -> Callable[..., flask.Response]:
    def respond(**parameters: str) -> flask.Response:
        try:
            answer = view(Asked(flask.request.args, flask.request.get_data()), **parameters)
        except RefusalError:
            flask.abort(403)
        if answer.file is not None:
            return flask.send_file(answer.file, mimetype="text/plain")
        response = flask.Response(answer.body, answer.status, list(answer.headers), content_type=TEXT[1])
        if answer.status in {204, 304}:
            del response.headers["Content-Type"]  # what has no body has no type, says wsgiref.validate
        return response

    return respond


def flask_error_handler(status: int) -> Callable[[Exception], tuple[str, int]]:
    return lambda error: (str(error), status)
