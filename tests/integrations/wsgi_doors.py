"""The doors under test that speak WSGI: the little application for PEP 3333 alone, and for Flask."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl
from wsgiref.util import FileWrapper

import flask

import wideevents.integrations.flask
import wideevents.integrations.wsgi
from tests.integrations.doors import TEXT, Application, Around, excuse, find, head_of, unchanged
from tests.integrations.views import HANDLED, PARTS, ROUTES, Answer, Asked, RefusalError, View, endless, waiting

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class WsgiDoor:
    """An application that knows nothing but PEP 3333."""

    name = "wsgi"
    framework = None
    answers_errors = False
    masks = False
    empty_part = False
    closes = ("close", "error")
    wraps = None

    def route(self, template: str) -> str | None:
        return None

    def bare(self, around: Around = unchanged) -> Application:
        return around(raw_application)

    def watched(self, around: Around = unchanged, **settings: Any) -> Application:
        return wideevents.integrations.wsgi.WideEvents(around(raw_application), **settings)


class FlaskDoor:
    """The Flask extension."""

    name = "flask"
    framework = "flask"
    answers_errors = True
    masks = True
    empty_part = False
    closes = ("close", "error")
    wraps = None

    def route(self, template: str) -> str | None:
        return template

    def bare(self, around: Around = unchanged) -> Application:
        app = flask_application()
        app.wsgi_app = around(app.wsgi_app)
        return app

    def watched(self, around: Around = unchanged, **settings: Any) -> Application:
        app = flask_application()
        app.wsgi_app = around(app.wsgi_app)
        wideevents.integrations.flask.WideEvents(app, **settings)
        return app


def raw_application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Serve the little application, and what only PEP 3333 has: the `write` callable."""
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"].encode("latin-1").decode()
    if path in {"/written", "/writing"}:
        return written(start_response, endlessly=path == "/writing")
    answer = answered(method, path, environ)
    start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", head_of(answer))
    if answer.file is not None and method != "HEAD":
        wrap = environ.get("wsgi.file_wrapper", FileWrapper)
        return wrap(answer.file.open("rb"))  # type: ignore[no-any-return]
    if method == "HEAD":
        return []
    return [answer.body] if isinstance(answer.body, bytes) else answer.body  # type: ignore[return-value]


def answered(method: str, path: str, environ: WSGIEnvironment) -> Answer:
    """Find the view for a path, and call it."""
    found = find(method, path)
    if isinstance(found, Answer):
        return found
    route, parameters = found
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    try:
        return route.view(Asked(dict(parse_qsl(environ.get("QUERY_STRING", ""))), body), **parameters)
    except (RefusalError, *HANDLED) as error:
        return excuse(error)


def written(start_response: StartResponse, *, endlessly: bool) -> Iterable[bytes]:
    write = start_response("200 OK", [TEXT])
    for part in waiting(endless)(Asked({}, b"")).body if endlessly else PARTS:
        write(part)
    return []


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
