"""The door for Flask: the WSGI door, around an application that it keeps nothing of alive."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Iterable
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from wideevents import config
from wideevents.errors import ConfigurationError
from wideevents.health import Fault, report
from wideevents.integrations._door import Door
from wideevents.integrations._flask import note_route, note_unhandled, noting, take_lines, take_route
from wideevents.integrations._request import Request
from wideevents.integrations.wsgi import KEY, serve
from wideevents.outputs import load

try:
    from flask import Flask, got_request_exception
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
        Door(**self._given)
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Install on *app*; raise `ConfigurationError` for a setting that cannot be used, and for a second time."""
        if EXTENSION in app.extensions:
            raise ConfigurationError(f"{app!r} has wideevents already: one WideEvents(app) is enough.")
        config.prepare()  # what is wrong with the defaults is told now, and threads are wrapped
        entrance = _Entrance(app, self._given, self._page)
        app.extensions[EXTENSION] = self
        app.wsgi_app = entrance.__call__  # type: ignore[method-assign]  # it is called sooner than its object
        app.handle_user_exception = noting(entrance.answers, _binding(app, app.handle_user_exception))  # type: ignore[method-assign]
        got_request_exception.connect(note_unhandled)
        take_lines(app)


class _Entrance:
    """
    Stand where `app.wsgi_app` was, and follow every request.

    It refers to the application weakly: an application that refers to itself is not freed when it is dropped.
    """

    def __init__(self, app: Flask, given: dict[str, Any], page: tuple[str, WSGIApplication] | None) -> None:
        self._given = given
        self._page = page
        self._bind = _binding(app, app.wsgi_app)
        self._app = weakref.ref(app)
        self._views = app.view_functions
        self._door = _door(app, given)
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
            return serve(self._door, self._bind(app), environ, start_response, self._tell_route)
        body: Iterable[bytes] = self._bind(app)(environ, self._responding(outer, environ, start_response))
        return body

    def answers(self) -> bool:
        """Tell whether errors that explain themselves are answered with what they say."""
        return self._door.problems

    def _tell_route(self, followed: Request, environ: WSGIEnvironment) -> None:
        """Tell a request its route. Flask's request is in the environ; the context of `flask.request` may be gone."""
        asked = environ.get("werkzeug.request")
        if asked is not None:
            take_route(followed, asked, self._views)

    def _responding(self, outer: Request, environ: WSGIEnvironment, start_response: StartResponse) -> StartResponse:
        """Let an application that is mounted in another one tell its route to the outer event."""

        def respond(*arguments: Any) -> Any:
            self._tell_route(outer, environ)
            return start_response(*arguments)

        return respond

    def _settle(self, app: Flask, root: str) -> None:
        """Read the configuration again: factories often load it after they have built their extensions."""
        self._settled = True
        if config.recorder().flight is not None:
            app.before_request_funcs.setdefault(None, []).insert(0, note_route)
        config.expect((root + rule.rule, self._views.get(rule.endpoint)) for rule in app.url_map.iter_rules())
        try:
            self._door = _door(app, self._given)
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


def _door(app: Flask, given: dict[str, Any]) -> Door:
    configured = {name: app.config[PREFIX + name.upper()] for name in SETTINGS if PREFIX + name.upper() in app.config}
    unknown = [key for key in app.config if key.startswith(PREFIX) and key[len(PREFIX) :].lower() not in SETTINGS]
    if unknown:
        allowed = ", ".join(PREFIX + name.upper() for name in SETTINGS)
        raise ConfigurationError(
            f"{unknown[0]} is no setting of an application, which are {allowed}. "
            f"A setting of the process belongs to wideevents.configure({unknown[0][len(PREFIX) :].lower()}=...)."
        )
    return Door(**{**configured, **given}, template=TEMPLATE)


def _binding(owner: object, method: Any) -> Callable[[Any], Any]:
    """Return what gives a method of *owner* for it, without keeping it alive; what is no method of it is kept."""
    if getattr(method, "__self__", None) is not owner:
        return lambda _: method
    bind: Callable[[Any], Any] = method.__func__.__get__
    return bind
