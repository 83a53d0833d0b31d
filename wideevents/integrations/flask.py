"""The door for Flask: the WSGI door, and what Flask knows of routes and errors."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from importlib.metadata import version
from types import MethodType
from typing import TYPE_CHECKING, Any

from wideevents import config, settings
from wideevents.errors import ConfigurationError
from wideevents.health import Fault, report
from wideevents.integrations import werkzeug
from wideevents.integrations._printed import capture, has_taken_over
from wideevents.integrations._request import Door, Request
from wideevents.integrations.wsgi import KEY, serve
from wideevents.levels import Level
from wideevents.outputs import load
from wideevents.problems import problem

try:
    from flask import Flask, Response, cli, current_app, got_request_exception, request
    from flask.logging import default_handler
    from werkzeug.exceptions import HTTPException, MethodNotAllowed
except ImportError as missing:
    raise ImportError("wideevents.integrations.flask needs Flask: pip install 'wideevents[flask]'") from missing

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

EXTENSION = "wideevents"
METRICS_PAGE = "wideevents.metrics:wsgi_app"
PREFIX = "WIDEEVENTS_"
SETTINGS = ("quiet", "slow_ms", "proxies", "problems")

TEMPLATE = {"framework.name": "flask", "framework.version": version("flask")}


class WideEvents:
    """
    Write one event for every request of a Flask application: `WideEvents(app)`, or `init_app` in a factory.

    One extension serves any number of applications. The settings are those of `Door`, and *problems*: given here, or as
    `WIDEEVENTS_QUIET`, `WIDEEVENTS_SLOW_MS`, `WIDEEVENTS_PROXIES` and `WIDEEVENTS_PROBLEMS` in the configuration of the
    application, which is read once more at its first request. Settings of the process belong to `wideevents.configure`.

    With *problems*, an exception that explains itself, such as a `wideevents.WideError`, and that no errorhandler takes
    is answered with what it says of itself, as problem details (RFC 9457).

    *metrics* is a path, such as "/metrics", at which Prometheus finds what `configure(metrics=True)` counts; whoever
    reaches the application can read it. A scrape leaves no event.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        quiet: Collection[str] | None = None,
        slow_ms: float | None = None,
        proxies: int | None = None,
        problems: bool | None = None,
        metrics: str | None = None,
    ) -> None:
        self._page = None if metrics is None else _page(metrics)
        given: dict[str, Any] = {"quiet": quiet, "slow_ms": slow_ms, "proxies": proxies, "problems": problems}
        self._given = {name: value for name, value in given.items() if value is not None}
        _Door(**self._given)
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Install on *app*; raise `ConfigurationError` for a setting that cannot be used, and for a second time."""
        if EXTENSION in app.extensions:
            raise ConfigurationError(f"{app!r} has wideevents already: one WideEvents(app) is enough.")
        config.prepare()  # what is wrong with the defaults is told now, and threads are wrapped
        entrance = _Entrance(app, self._given, self._page)
        app.extensions[EXTENSION] = self
        app.wsgi_app = entrance  # type: ignore[method-assign]
        app.handle_user_exception = _noting(entrance, _weak_method(app, app.handle_user_exception))  # type: ignore[method-assign]
        got_request_exception.connect(_note_unhandled)
        _take_lines(app)


@dataclass(frozen=True, slots=True)
class _Door(Door):
    """Hold the settings of a door, and whether it answers with *problems*."""

    problems: bool = False

    def __post_init__(self) -> None:
        Door.__post_init__(self)  # super() would look for the class that this one was before it had slots
        settings.check_switches(problems=self.problems)


class _Entrance:
    """
    Stand where `app.wsgi_app` was, and follow every request.

    It refers to the application weakly: an application that refers to itself is not freed when it is dropped.
    """

    def __init__(self, app: Flask, given: dict[str, Any], page: tuple[str, WSGIApplication] | None) -> None:
        self._given = given
        self._page = page
        self._inner = _weak_method(app, app.wsgi_app)
        self._app = weakref.ref(app)
        self._views = app.view_functions
        self.door = _door(app, given)
        self._settled = False

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        app = self._app()
        if app is None:
            raise RuntimeError(
                "The application was freed. Keep it in a variable: app = create_app(), then app.wsgi_app."
            )
        if not self._settled:
            self._settle(app, environ.get("SCRIPT_NAME", ""))
        if self._page is not None and environ.get("PATH_INFO") == self._page[0]:
            return self._page[1](environ, start_response)  # a scrape is no request of the application's
        outer = environ.get(KEY)
        if outer is None or outer.event.sealed:  # a middleware that tries again may use its environ again
            return serve(self.door, self._inner(), environ, start_response, self._tell_route)
        body: Iterable[bytes] = self._inner()(environ, self._responding(outer, environ, start_response))
        return body

    def _tell_route(self, followed: Request, environ: WSGIEnvironment) -> None:
        """Tell a request its route. Flask's request is in the environ; the context of `flask.request` may be gone."""
        asked = environ.get("werkzeug.request")
        if asked is not None:
            _take_route(followed, asked, self._views)

    def _responding(self, outer: Request, environ: WSGIEnvironment, start_response: StartResponse) -> StartResponse:
        """Let an application that is mounted in another one tell its route to the outer event."""

        def respond(*arguments: Any) -> Any:
            self._tell_route(outer, environ)
            return start_response(*arguments)

        return respond

    def _settle(self, app: Flask, root: str) -> None:
        """Read the configuration again: factories often load it after they have built their extensions."""
        self._settled = True
        config.expect((root + rule.rule, self._views.get(rule.endpoint)) for rule in app.url_map.iter_rules())
        try:
            self.door = _door(app, self._given)
        except ConfigurationError as error:
            report(Fault.SETTING, "flask", f"{error} The door of {app!r} goes on with what it had.")


def _page(path: object) -> tuple[str, WSGIApplication]:
    """Return the path of the metrics, and what answers there."""
    if not isinstance(path, str) or not path.startswith("/"):
        raise ConfigurationError.of("metrics", path, 'a path, such as "/metrics"')
    try:
        return path, load(METRICS_PAGE)
    except ImportError as missing:
        raise ConfigurationError(str(missing)) from missing


def _take_lines(app: Flask) -> None:
    """Let what the application and the development server say be lines, and only that."""
    werkzeug.install()
    if has_taken_over():  # Flask adds it when its logger is used before `configure`
        logging.getLogger(app.name).removeHandler(default_handler)
    if not hasattr(cli.show_server_banner, "__wrapped__"):
        cli.show_server_banner = _capturing(cli.show_server_banner)


def _capturing(show: Callable[..., None]) -> Callable[..., None]:
    """Make lines of what is printed from the banner on, which `flask run` and `app.run` show before they serve."""

    @wraps(show)
    def show_server_banner(*arguments: Any, **named: Any) -> None:
        capture()
        show(*arguments, **named)

    return show_server_banner


def _door(app: Flask, given: dict[str, Any]) -> _Door:
    configured = {name: app.config[PREFIX + name.upper()] for name in SETTINGS if PREFIX + name.upper() in app.config}
    unknown = [key for key in app.config if key.startswith(PREFIX) and key[len(PREFIX) :].lower() not in SETTINGS]
    if unknown:
        allowed = ", ".join(PREFIX + name.upper() for name in SETTINGS)
        raise ConfigurationError(
            f"{unknown[0]} is no setting of an application, which are {allowed}. "
            f"A setting of the process belongs to wideevents.configure({unknown[0][len(PREFIX) :].lower()}=...)."
        )
    return _Door(**{**configured, **given}, template=TEMPLATE)


def _take_route(followed: Request, asked: Any, views: Mapping[str, object]) -> None:
    rule, parameters = asked.url_rule, asked.view_args
    if rule is None and isinstance(asked.routing_exception, MethodNotAllowed):
        rule, parameters = _rule_for_another_method(asked)
    if rule is None:
        return
    endpoint = rule.endpoint
    fields = {"flask.endpoint": endpoint}
    if "." in endpoint:
        fields["flask.blueprint"] = endpoint.rpartition(".")[0]
    route = asked.environ.get("SCRIPT_NAME", "") + rule.rule
    followed.routed(route, parameters, fields, views.get(endpoint))


def _rule_for_another_method(asked: Any) -> tuple[Any, Any]:
    """A 405 has a route all the same, and its parameters may be secret."""
    rule = parameters = None
    with suppress(HTTPException, RuntimeError):  # a host that is not trusted, a redirect; or the context is gone
        adapter: Any = current_app.create_url_adapter(asked)
        rule, parameters = adapter.match(method=asked.routing_exception.valid_methods[0], return_rule=True)
    return rule, parameters


def _note_unhandled(app: Flask, exception: BaseException, **__: Any) -> None:
    """Note an exception that Flask is about to answer with a 500, or to raise; then the route is known here alone."""
    followed = request.environ.get(KEY)
    if followed is not None:
        followed.event.fail(exception)
        _take_route(followed, request, app.view_functions)


def _noting(entrance: _Entrance, handle: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
    """Wrap `handle_user_exception`, to note what an errorhandler dealt with; the status says how much it matters."""

    def handle_user_exception(*arguments: Any) -> Any:
        followed, error = request.environ.get(KEY), arguments[-1]
        try:
            response = handle()(*arguments)
        except Exception as raised:
            answer = _answer(error, followed) if entrance.door.problems and raised is error else None
            if answer is not None:
                return _noted(error, followed, answer)
            raise
        return _noted(error, followed, response)

    return handle_user_exception


def _noted(error: BaseException, followed: Request | None, response: Any) -> Any:
    if followed is not None and not isinstance(error, HTTPException):
        followed.event.fail(error, level=Level.DEBUG, handled=True)
    return response


def _answer(error: BaseException, followed: Request | None) -> Response | None:
    """Return what *error* says of itself; the application's own page for every 500 goes first."""
    instance = f"urn:wideevents:event:{followed.event.id}" if followed else None
    found = (
        None if isinstance(error, HTTPException) else problem(error, instance, config.recorder().keys.redaction.text)
    )
    if found is None or (found.status >= 500 and _has_page()):
        return None
    return Response(found.body, found.status, found.headers)


def _has_page() -> bool:
    """Tell whether the application has an errorhandler for the 500 itself, which Flask asks after all others."""
    handlers = current_app.error_handler_spec
    return any(handlers.get(name, {}).get(500) for name in (*request.blueprints, None))


def _weak_method(owner: object, method: Any) -> Callable[[], Any]:
    """Refer to a method of *owner* without keeping it alive; what is no method of it is kept."""
    if getattr(method, "__self__", None) is not owner:
        return lambda: method
    function, alive = method.__func__, weakref.ref(owner)
    return lambda: MethodType(function, alive())
