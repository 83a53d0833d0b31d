"""What the door for Flask promises beyond the contract."""

from __future__ import annotations

import gc
import http.client
import importlib.util
import os
import socket
import subprocess
import sys
import uuid
import weakref
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import flask
import pytest
from flask.views import MethodView
from werkzeug.exceptions import HTTPException, InternalServerError
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import Client, TestResponse, create_environ

import wideevents.integrations.wsgi
from tests.integrations.doors import DOORS
from tests.integrations.servers import (
    Ask,
    LineFile,
    Lines,
    Process,
    end,
    environment,
    eventually,
    gunicorn,
    lines_caught,
)
from wideevents import ConfigurationError, WideError, add_error, add_field, current
from wideevents.integrations._flask import note_route, noting
from wideevents.integrations.flask import WideEvents

STATUS = "http.response.status_code"


class CrashError(RuntimeError):
    """Stand for an error of the application."""


def bare(**config: Any) -> flask.Flask:
    """Make an application that greets at / and crashes at /crash."""
    app = flask.Flask(__name__, static_folder=None)
    app.config.update(config)
    app.add_url_rule("/", "hello", lambda: "Hello")
    app.add_url_rule("/healthz", "healthz", lambda: "well")
    app.add_url_rule("/crash", "crash", crash)
    return app


def crash() -> str:
    raise CrashError("nobody handles this")


def watched(**config: Any) -> flask.Flask:
    """Make that application with the extension."""
    app = bare(**config)
    WideEvents(app)
    return app


def get(app: flask.Flask, path: str = "/", **options: Any) -> TestResponse:
    """Ask once, and read the answer to its end as a server does."""
    return app.test_client().get(path, buffered=True, **options)


def told(line: dict[str, Any], *names: str) -> list[Any]:
    """Return some fields of a line; None is what is not there."""
    return [line.get(name) for name in names]


class TestInstalling:
    """One extension, any number of applications, each once."""

    def test_it_is_among_the_extensions(self, lines: Lines) -> None:
        """The extension is found where Flask's extensions are."""
        app = bare()
        extension = WideEvents(app)
        assert app.extensions["wideevents"] is extension
        assert (get(app).status_code, len(lines.raw)) == (200, 1)

    def test_a_factory_installs_it_later(self, lines: Lines) -> None:
        """An extension without an application is given one, or several, by `init_app`."""
        extension = WideEvents()
        apps = [bare(), bare()]
        for app in apps:
            extension.init_app(app)
            get(app)
        assert (len(lines.raw), all(app.extensions["wideevents"] is extension for app in apps)) == (2, True)

    def test_a_second_time_is_refused(self) -> None:
        """Two lines for each request help nobody: the sentence says what to do."""
        app = watched()
        with pytest.raises(ConfigurationError, match=r"has wideevents already: one WideEvents\(app\) is enough"):
            WideEvents(app)
        with pytest.raises(ConfigurationError, match="has wideevents already"):
            WideEvents().init_app(app)

    def test_a_refused_application_is_left_as_it_was(self) -> None:
        """An application whose settings were refused has no half of an extension, and can be given another."""
        app = bare(WIDEEVENTS_PROXIES=-1)
        with pytest.raises(ConfigurationError):
            WideEvents(app)
        app.config["WIDEEVENTS_PROXIES"] = 1
        assert "wideevents" not in app.extensions
        WideEvents(app)

    def test_applications_of_one_process_have_their_own_settings(self, lines: Lines) -> None:
        """What is quiet in one application is not in another."""
        quiet, loud = bare(), bare()
        WideEvents(quiet, quiet=["/healthz"], proxies=1)
        WideEvents(loud)
        for app in (quiet, loud):
            get(app, "/healthz")
            get(app, headers={"X-Forwarded-For": "203.0.113.7"})
        expected = [("/", "203.0.113.7"), ("/healthz", "127.0.0.1"), ("/", "127.0.0.1")]
        assert expected == [(line["url.path"], line["client.address"]) for line in lines.all]

    @pytest.mark.parametrize("room", [WideEvents.__module__, noting.__module__])
    def test_without_flask_the_sentence_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch, room: str) -> None:
        """Flask is an extra: who imports the door without it is told its name."""
        monkeypatch.setitem(sys.modules, "flask", None)
        source = sys.modules[room].__file__
        spec = importlib.util.spec_from_file_location("door_without_flask", source or "")
        assert spec is not None
        assert spec.loader is not None
        with pytest.raises(ImportError, match=r"needs Flask: pip install 'wideevents\[flask\]'"):
            spec.loader.exec_module(importlib.util.module_from_spec(spec))

    def test_an_application_without_it_is_left_alone(self, lines: Lines) -> None:
        """Signals are heard by everybody, but only who has the extension has events."""
        watched()
        assert (get(bare(), "/crash").status_code, lines.raw) == (500, [])

    def test_a_request_context_of_a_test_is_no_request(self, lines: Lines) -> None:
        """Dispatching by hand, which no server did, works and is not followed."""
        app = watched()
        app.register_error_handler(CrashError, lambda error: ("sorry", 409))
        with app.test_request_context("/crash"):
            response = app.full_dispatch_request()
        assert (response.status_code, lines.raw) == (409, [])

    def test_what_a_subclass_overrides_is_called(self, lines: Lines) -> None:
        """An application class of one's own keeps its own `wsgi_app` and `handle_user_exception`."""

        class Own(flask.Flask):
            def wsgi_app(self, environ: Any, start_response: Any) -> Any:
                add_field("own.wsgi_app", 1)
                return super().wsgi_app(environ, start_response)

            def handle_user_exception(self, e: Exception) -> Any:
                add_field("own.handler", 1)
                return super().handle_user_exception(e)

        app = Own(__name__, static_folder=None)
        app.add_url_rule("/crash", "crash", crash)
        WideEvents(app)
        get(app, "/crash")
        assert told(lines.one, "own.wsgi_app", "own.handler", "error.count") == [1, 1, 1]


class TestConfiguration:
    """Settings in the configuration of the application."""

    def test_they_are_read_when_it_is_installed(self, lines: Lines) -> None:
        """The keys are those of the door, with a prefix."""
        app = watched(WIDEEVENTS_QUIET=["/healthz"], WIDEEVENTS_PROXIES=1, WIDEEVENTS_SLOW_MS=5_000)
        get(app, "/healthz")
        get(app, headers={"X-Forwarded-For": "203.0.113.7"})
        assert told(lines.one, "url.path", "client.address") == ["/", "203.0.113.7"]

    def test_they_may_come_from_an_object_and_later(self, lines: Lines) -> None:
        """A factory may load its configuration after it has built its extensions: the first request is early enough."""

        class Settings:
            WIDEEVENTS_QUIET = ("/healthz",)

        app = watched()
        app.config.from_object(Settings)
        get(app, "/healthz")
        get(app)
        assert lines.one["url.path"] == "/"

    def test_they_may_come_from_an_object_before(self, lines: Lines) -> None:
        """The usual order works too."""

        class Settings:
            WIDEEVENTS_QUIET = ("/healthz",)

        app = bare()
        app.config.from_object(Settings)
        WideEvents(app)
        get(app, "/healthz")
        assert lines.raw == []

    def test_an_argument_goes_before_them(self, lines: Lines) -> None:
        """Code goes before configuration."""
        app = bare(WIDEEVENTS_QUIET=["/healthz"])
        WideEvents(app, quiet=["/"])
        get(app)
        get(app, "/healthz")
        assert lines.one["url.path"] == "/healthz"

    @pytest.mark.parametrize("given", [{"proxies": -1}, {"quiet": "/healthz"}, {"slow_ms": 0}])
    def test_a_wrong_argument_is_refused_at_once(self, given: dict[str, Any]) -> None:
        """The extension itself refuses it, before there is an application."""
        with pytest.raises(ConfigurationError, match=f"{next(iter(given))}=.* cannot be used: it must be"):
            WideEvents(**given)

    @pytest.mark.parametrize(
        "config", [{"WIDEEVENTS_PROXIES": "1"}, {"WIDEEVENTS_QUIET": "/healthz"}, {"WIDEEVENTS_SLOW_MS": -1}]
    )
    def test_a_wrong_value_is_refused(self, config: dict[str, Any]) -> None:
        """The sentence names the setting and the value."""
        ((name, value),) = config.items()
        setting = name.removeprefix("WIDEEVENTS_").lower()
        with pytest.raises(ConfigurationError, match=rf"(?i){setting}={value!r} cannot be used: it must be"):
            watched(**config)

    @pytest.mark.parametrize("name", ["SERVICE", "OUTPUT", "LEVEL", "REDACT"])
    def test_a_setting_of_the_process_is_refused(self, name: str) -> None:
        """It would hold for every application of the process: the sentence says where it belongs."""
        with pytest.raises(
            ConfigurationError,
            match=rf"WIDEEVENTS_{name} is no setting.*wideevents\.configure\({name.lower()}=\.\.\.\)",
        ):
            watched(**{f"WIDEEVENTS_{name}": "x"})

    def test_an_unknown_key_is_refused(self) -> None:
        """A key that is misspelt would be ignored in silence: the sentence says which there are."""
        allowed = "WIDEEVENTS_QUIET, WIDEEVENTS_SLOW_MS, WIDEEVENTS_PROXIES"
        with pytest.raises(ConfigurationError, match=f"WIDEEVENTS_QIUET is no setting .* are {allowed}"):
            watched(WIDEEVENTS_QIUET=["/healthz"])

    def test_keys_of_others_are_not_ours(self) -> None:
        """Only what begins with our prefix is looked at."""
        app = watched(WIDE_EVENTS="x", SECRET_KEY="x")
        assert "wideevents" in app.extensions

    @pytest.mark.parametrize("late", [{"WIDEEVENTS_PROXIES": -1}, {"WIDEEVENTS_SERVICE": "x"}])
    def test_a_wrong_one_that_comes_late_breaks_no_request(
        self, lines: Lines, late: dict[str, Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        """At the first request it is too late to refuse: it is told once, and the door goes on as it was."""
        app = watched(WIDEEVENTS_QUIET=["/healthz"])
        app.config.update(late)
        statuses = [get(app, path).status_code for path in ("/", "/healthz", "/")]
        sentences = [record.getMessage() for record in caplog.records if record.name == "wideevents"]
        assert (statuses, len(lines.raw), len(sentences)) == ([200] * 3, 2, 1)
        assert "goes on with what it had" in sentences[0]


class TestRoutes:
    """What Flask knows of a route."""

    @pytest.fixture
    def app(self) -> flask.Flask:
        """Make an application with routes of every kind."""
        app = flask.Flask(__name__, static_folder=str(Path(__file__).parent), static_url_path="/static")
        shop, admin = flask.Blueprint("shop", __name__, url_prefix="/shop"), flask.Blueprint("admin", __name__)

        class Items(MethodView):
            def get(self, number: int) -> str:
                return str(number)

        shop.add_url_rule("/items/<int:number>", view_func=Items.as_view("items"))
        admin.add_url_rule("/<string(length=2):language>/users", "users", lambda language: language)
        shop.register_blueprint(admin, url_prefix="/admin")
        app.register_blueprint(shop)
        app.add_url_rule("/slash/", "slash", lambda: "slash")
        app.add_url_rule("/reset/<token>", "reset", lambda token: "reset", methods=["GET"])
        WideEvents(app, quiet=["/quiet/<path:name>"])
        return app

    @pytest.mark.parametrize(
        ("path", "route", "endpoint", "blueprint"),
        [
            ("/shop/items/42", "/shop/items/<int:number>", "shop.items", "shop"),
            (
                "/shop/admin/de/users",
                "/shop/admin/<string(length=2):language>/users",
                "shop.admin.users",
                "shop.admin",
            ),
            ("/static/test_flask.py", "/static/<path:filename>", "static", None),
            ("/slash/", "/slash/", "slash", None),
            ("/slash", None, None, None),
            ("/missing", None, None, None),
        ],
    )
    def test_template_endpoint_and_blueprint_are_told(
        self, app: flask.Flask, lines: Lines, path: str, route: str | None, endpoint: str | None, blueprint: str | None
    ) -> None:
        """The route is the rule as it was written; where none matched, nothing is claimed."""
        get(app, path).close()
        names = ("http.route", "flask.endpoint", "flask.blueprint", "event.name")
        assert [route, endpoint, blueprint, f"GET {route}" if route else "GET"] == told(lines.one, *names)

    def test_the_framework_is_told(self, app: flask.Flask, lines: Lines) -> None:
        """The name of the framework, and its version."""
        get(app, "/slash/")
        assert [lines.one["framework.name"], lines.one["framework.version"][:1]] == ["flask", "3"]

    def test_a_secret_parameter_is_masked(self, app: flask.Flask, lines: Lines) -> None:
        """The path of a route with a secret parameter has a marker in its place."""
        get(app, "/reset/kitten")
        assert told(lines.one, "http.route", "url.path") == ["/reset/<token>", "/reset/[redacted]"]

    @pytest.mark.parametrize(("method", "path"), [("POST", "/reset/kitten"), ("OPTIONS", "/reset/kitten")])
    def test_it_is_masked_for_other_methods_too(self, app: flask.Flask, lines: Lines, method: str, path: str) -> None:
        """A 405 for a path with a secret is no reason to write it down."""
        app.test_client().open(path, method=method, buffered=True)
        assert "kitten" not in str(lines.one)

    def test_a_mounted_application_has_its_mount_in_the_route(self, app: flask.Flask, lines: Lines) -> None:
        """The route is seen from the server's root, as the path is."""
        Client(DispatcherMiddleware(bare(), {"/mount": app})).get("/mount/shop/items/42", buffered=True)
        assert told(lines.one, "url.path", "http.route") == ["/mount/shop/items/42", "/mount/shop/items/<int:number>"]

    def test_a_quiet_route_is_the_template_whatever_its_parameter_is_called(self, lines: Lines) -> None:
        """The template that the documentation of `Door` shows holds for Flask's own static files."""
        app = flask.Flask(__name__, static_folder=str(Path(__file__).parent), static_url_path="/static")
        WideEvents(app, quiet=["/static/<path:name>"])
        get(app, "/static/test_flask.py").close()
        assert lines.raw == []


class TestHooks:
    """Code around the view."""

    def test_they_add_fields(self, lines: Lines) -> None:
        """before_request, after_request and teardown_request run inside of the event."""
        app = watched()
        app.before_request(lambda: add_field("hook.before", 1))
        app.after_request(lambda response: (add_field("hook.after", 1), response)[1])
        app.teardown_request(lambda error: add_field("hook.teardown", 1))
        app.teardown_appcontext(lambda error: add_field("hook.context", 1))
        get(app)
        assert told(lines.one, *(f"hook.{name}" for name in ("before", "after", "teardown", "context"))) == [1] * 4

    def test_one_that_answers_itself(self, lines: Lines) -> None:
        """A before_request that refuses is an answer of the route that was asked for."""
        app = watched()
        app.before_request(lambda: ("who are you?", 401))
        get(app)
        assert told(lines.one, STATUS, "level", "http.route", "exception.type") == [401, "info", "/", None]

    def test_an_after_request_that_raises(self, lines: Lines) -> None:
        """It is a 500 like any other, and counts once, although Flask runs it twice."""
        app = watched()

        @app.after_request
        def fail(response: flask.Response) -> flask.Response:
            raise CrashError("after")

        assert get(app).status_code == 500
        assert told(lines.one, STATUS, "level", "exception.handled", "http.route") == [500, "error", False, "/"]

    def test_a_teardown_that_raises(self, lines: Lines) -> None:
        """The exception goes out to the server, which answers 500 in the place of what was prepared."""
        app = watched()

        @app.teardown_request
        def fail(error: BaseException | None) -> None:
            raise CrashError("teardown")

        with pytest.raises(CrashError):
            get(app)
        assert told(lines.one, STATUS, "level", "exception.message") == [500, "error", "teardown"]

    def test_a_stream_with_context(self, lines: Lines) -> None:
        """The generator sees Flask's request and our event; what is torn down after it is in the line."""
        app = watched()

        def parts() -> Iterator[str]:
            yield "Hello, "
            add_field("seen", flask.request.args["name"])
            yield flask.request.args["name"]

        app.add_url_rule("/stream", "stream", lambda: flask.Response(flask.stream_with_context(parts())))
        app.teardown_request(lambda error: add_field("torn_down", 1))
        assert get(app, "/stream?name=ada").data == b"Hello, ada"
        names = ("seen", "torn_down", "http.response.body.size", "http.response.streamed")
        assert told(lines.one, *names) == ["ada", 1, 10, True]

    def test_an_error_in_a_stream_with_context(self, lines: Lines) -> None:
        """An exception in mid-stream, which Flask never sees, is told."""
        app = watched()

        def parts() -> Iterator[str]:
            yield "Hello"
            raise CrashError("in mid-stream")

        app.add_url_rule("/stream", "stream", lambda: flask.Response(flask.stream_with_context(parts())))
        with pytest.raises(CrashError):
            get(app, "/stream")
        assert told(lines.one, STATUS, "level", "exception.message") == [200, "error", "in mid-stream"]

    def test_a_response_that_is_started_again_after_its_end(self, lines: Lines) -> None:
        """The last byte was out: what Flask and the server make of a second start is no part of the line."""

        class Twice(flask.Response):
            def __call__(self, environ: Any, start_response: Any) -> Any:
                start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])(b"ok")
                try:
                    return crash()
                except CrashError:
                    start_response("500 Sorry", [("Content-Type", "text/plain")], sys.exc_info())

        app = watched()
        app.add_url_rule("/twice", "twice", Twice)
        with pytest.raises(CrashError):
            get(app, "/twice")
        names = (STATUS, "http.response.body.size", "http.route", "outcome")
        assert told(lines.one, *names) == [200, 2, "/twice", "success"]

    def test_an_async_view(self, lines: Lines) -> None:
        """A view that is a coroutine adds to the event of its request."""
        pytest.importorskip("asgiref")
        app = watched()

        async def view() -> str:
            add_field("seen", 1)
            return "Hello"

        app.add_url_rule("/async", "async", view)
        get(app, "/async")
        assert lines.one["seen"] == 1


class TestErrors:
    """Exceptions, and what Flask makes of them."""

    NAMES = (STATUS, "level", "exception.type", "exception.handled", "error.count", "http.route")
    CRASH = f"{__name__}.CrashError"

    @pytest.mark.parametrize("config", [{"DEBUG": True}, {"TESTING": True}, {"PROPAGATE_EXCEPTIONS": True}], ids=str)
    def test_one_that_flask_lets_through_counts_once(self, lines: Lines, config: dict[str, Any]) -> None:
        """In debug mode and in tests the exception goes out to the server; it is the same 500, on the same route."""
        with pytest.raises(CrashError):
            get(watched(**config), "/crash")
        assert told(lines.one, *self.NAMES) == [500, "error", self.CRASH, False, 1, "/crash"]

    def test_one_that_flask_answers(self, lines: Lines) -> None:
        """In production Flask answers 500, with our header."""
        response = get(watched(), "/crash")
        assert told(lines.one, *self.NAMES) == [500, "error", self.CRASH, False, 1, "/crash"]
        assert lines.one["http.request.id"] == response.headers["X-Request-ID"]

    @pytest.mark.parametrize("kind", [CrashError, RuntimeError, Exception])
    @pytest.mark.parametrize(("status", "level"), [(200, "info"), (422, "info"), (503, "error")])
    def test_one_with_a_handler(self, lines: Lines, kind: type[Exception], status: int, level: str) -> None:
        """A handler for the class or one above it has dealt with it; its answer says how bad it was."""
        app = watched()
        app.register_error_handler(kind, lambda error: ("sorry", status))
        get(app, "/crash")
        assert [status, level, self.CRASH, True, 1, "/crash"] == told(lines.one, *self.NAMES)

    @pytest.mark.parametrize("kind", [500, InternalServerError])
    def test_a_handler_for_the_500_itself(self, lines: Lines, kind: Any) -> None:
        """A page of one's own for the 500 does not make the exception a handled one."""
        app = watched()
        app.register_error_handler(kind, lambda error: ("our page", 500))
        assert get(app, "/crash").data == b"our page"
        assert told(lines.one, *self.NAMES) == [500, "error", self.CRASH, False, 1, "/crash"]

    def test_a_handler_that_raises(self, lines: Lines) -> None:
        """The handler's own exception is the unhandled one, and its traceback shows the first."""
        app = watched()

        @app.errorhandler(CrashError)
        def fail(error: CrashError) -> str:
            raise LookupError("in the handler")

        get(app, "/crash")
        expected = [500, "error", "LookupError", False, "/crash"]
        assert expected == told(lines.one, *(name for name in self.NAMES if name != "error.count"))
        assert "CrashError: nobody handles this" in lines.one["exception.stacktrace"]

    @pytest.mark.parametrize("handler", [None, HTTPException, 404, Exception])
    def test_abort_is_no_exception(self, lines: Lines, handler: Any) -> None:
        """An answer by abort() is an answer, with a handler for it or without."""
        app = watched()
        app.add_url_rule("/abort", "abort", lambda: flask.abort(404))
        if handler is not None:
            app.register_error_handler(handler, lambda error: ("not here", error.code))
        get(app, "/abort")
        assert told(lines.one, *self.NAMES) == [404, "info", None, None, None, "/abort"]

    def test_abort_with_a_500_pages_all_the_same(self, lines: Lines) -> None:
        """The status is what counts; without an exception it is the type of the error."""
        app = watched()
        app.add_url_rule("/abort", "abort", lambda: flask.abort(503))
        get(app, "/abort")
        assert told(lines.one, STATUS, "level", "exception.type", "error.type") == [503, "error", None, "503"]

    def test_one_that_was_noted_before_it_was_raised_on(self, lines: Lines) -> None:
        """An exception that is added and raised on is one error, and an unhandled one."""
        app = watched()

        def view() -> str:
            try:
                return crash()
            except CrashError as error:
                add_error(error)
                raise

        app.add_url_rule("/again", "again", view)
        get(app, "/again")
        assert told(lines.one, *self.NAMES) == [500, "error", self.CRASH, False, 1, "/again"]

    def test_a_bad_request_is_the_clients(self, lines: Lines) -> None:
        """A form without a field is a 400, although Flask raises a KeyError for it."""
        app = watched()
        app.add_url_rule("/form", "form", lambda: flask.request.form["name"])
        get(app, "/form")
        assert told(lines.one, STATUS, "level", "exception.type") == [400, "info", None]


class TestMounts:
    """Applications in one another."""

    @pytest.fixture
    def inner(self) -> flask.Flask:
        """Make an application to be mounted, which has the extension itself."""
        app = flask.Flask("inner", static_folder=None)
        app.add_url_rule("/items/<int:number>", "item", lambda number: (add_field("inner", number), "item")[1])
        app.add_url_rule("/reset/<token>", "reset", lambda token: "reset")
        app.add_url_rule("/crash", "crash", crash)
        WideEvents(app, quiet=["/outer/items/<int:number>"])
        return app

    @pytest.fixture(params=["flask", "wsgi"])
    def outer(self, request: pytest.FixtureRequest, inner: flask.Flask) -> Any:
        """Make an application in which the other one is mounted, behind a door of either kind."""
        root = bare()
        root.wsgi_app = DispatcherMiddleware(root.wsgi_app, {"/outer": inner})  # type: ignore[method-assign]
        if request.param == "wsgi":
            return wideevents.integrations.wsgi.WideEvents(root)
        WideEvents(root)
        return root

    def test_the_inner_one_adds_to_the_outer_event(self, outer: Any, lines: Lines) -> None:
        """One line and one request id; route and endpoint are the inner one's, and the mount is in the route."""
        response = Client(outer).get("/outer/items/7", buffered=True)
        names = ("http.route", "flask.endpoint", "inner", "url.path", STATUS)
        assert told(lines.one, *names) == ["/outer/items/<int:number>", "item", 7, "/outer/items/7", 200]
        assert [lines.one["http.request.id"]] == response.headers.getlist("X-Request-ID")

    def test_an_error_in_the_inner_one_counts_once(self, outer: Any, lines: Lines) -> None:
        """It was answered in there, and is told by the outer event."""
        Client(outer).get("/outer/crash", buffered=True)
        names = (STATUS, "level", "exception.handled", "error.count", "http.route")
        assert told(lines.one, *names) == [500, "error", False, 1, "/outer/crash"]

    def test_a_secret_in_the_inner_path_is_masked(self, outer: Any, lines: Lines) -> None:
        """The parameters of the inner route are known to the outer event."""
        Client(outer).get("/outer/reset/kitten", buffered=True)
        assert "kitten" not in str(lines.one)

    def test_the_outer_one_is_as_before(self, outer: Any, lines: Lines) -> None:
        """What is not mounted is served by the outer application."""
        response = Client(outer).get("/missing", buffered=True)
        assert (response.status_code, *told(lines.one, STATUS, "http.route")) == (404, 404, None)

    def test_side_by_side_each_has_its_event(self, inner: flask.Flask, lines: Lines) -> None:
        """Under a dispatcher without a door every application is the outermost one."""
        client = Client(DispatcherMiddleware(watched(), {"/outer": inner}))
        client.get("/", buffered=True)
        client.get("/outer/crash", buffered=True)
        assert [line["http.route"] for line in lines.all] == ["/", "/outer/crash"]


class TestProxies:
    """Flask's own way to believe a proxy."""

    HEADERS: ClassVar = {
        "X-Forwarded-For": "203.0.113.7",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "shop.example",
    }

    def test_proxy_fix_in_front(self, lines: Lines) -> None:
        """What ProxyFix has put right is what the line says."""
        app = watched()
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1)  # type: ignore[method-assign]
        get(app, headers=self.HEADERS)
        names = ("client.address", "url.scheme", "server.address")
        assert told(lines.one, *names) == ["203.0.113.7", "https", "shop.example"]

    def test_proxy_fix_behind(self, lines: Lines) -> None:
        """A ProxyFix that was there first still serves the application; the door has its own setting."""
        app = bare()
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1)  # type: ignore[method-assign]
        app.add_url_rule("/who", "who", lambda: str(flask.request.remote_addr))
        WideEvents(app, proxies=1)
        assert get(app, "/who", headers=self.HEADERS).data == b"203.0.113.7"
        assert lines.one["client.address"] == "203.0.113.7"


class TestClient:
    """Flask's test client, which reads no answer to its end."""

    @pytest.fixture
    def app(self) -> flask.Flask:
        """Make an application with answers of every kind."""
        app = watched()
        app.add_url_rule("/nothing", "nothing", lambda: ("", 204))
        app.add_url_rule("/moved", "moved", lambda: flask.redirect("/"))
        app.add_url_rule("/empty", "empty", lambda: "")
        app.add_url_rule("/stream", "stream", lambda: flask.Response(iter(["one", "two"])))
        return app

    @pytest.mark.parametrize("path", ["/", "/nothing", "/moved", "/empty", "/missing", "/crash"])
    def test_the_event_is_there_while_the_response_is_held(self, app: flask.Flask, lines: Lines, path: str) -> None:
        """A test looks at the event after `client.get()`, and need not read nor close the response."""
        response = app.test_client().get(path)
        assert response.status_code == lines.one[STATUS]
        response.close()
        assert len(lines.raw) == 1

    def test_head_is_there_at_once(self, app: flask.Flask, lines: Lines) -> None:
        """There is nothing to read."""
        response = app.test_client().head("/")
        assert (response.status_code, lines.one["http.response.body.size"]) == (200, 0)

    def test_a_streamed_one_ends_when_it_is_read(self, app: flask.Flask, lines: Lines) -> None:
        """Nobody knows a stream's length before its end."""
        response = app.test_client().get("/stream")
        before = len(lines.raw)
        assert (before, response.data, lines.one["http.response.body.size"]) == (0, b"onetwo", 6)

    def test_a_streamed_one_that_is_closed_was_left(self, app: flask.Flask, lines: Lines) -> None:
        """A test that closes a stream unread is a client that leaves."""
        app.test_client().get("/stream").close()
        assert told(lines.one, "client.disconnected", "outcome") == [True, "cancelled"]

    def test_redirects_that_are_followed_have_a_line_each(self, app: flask.Flask, lines: Lines) -> None:
        """Every request is one, also those that the client makes by itself."""
        app.test_client().get("/moved", follow_redirects=True)
        assert [line[STATUS] for line in lines.all] == [302, 200]

    def test_a_client_that_keeps_its_context(self, app: flask.Flask, lines: Lines) -> None:
        """`with client:` keeps Flask's context for the test to look at; the event has ended, and is not in it."""
        with app.test_client() as client:
            client.get("/?page=2")
            assert (flask.request.args["page"], current(), len(lines.raw)) == ("2", None, 1)


class TestFreed:
    """An application that nobody refers to is freed at once."""

    @staticmethod
    def freed(app: flask.Flask, path: str | None = None) -> bool:
        """Serve *app* once, and tell whether it is gone with the last name for it; the caller keeps none."""
        if path is not None:
            list(app(create_environ(path), lambda *arguments: None))
        reference = weakref.ref(app)
        del app
        return reference() is None

    @pytest.mark.parametrize("path", [None, "/"])
    def test_with_the_last_reference(self, lines: Lines, path: str | None) -> None:
        """Flask promises it (its own test_app_freed_on_zero_refcount), and the extension does not break it."""
        gc.collect()
        gc.disable()
        try:
            freed = self.freed(watched(), path)
        finally:
            gc.enable()
        assert freed

    def test_one_that_nobody_keeps_says_what_to_do(self) -> None:
        """Who holds `app.wsgi_app` alone is told at the first request to hold the application."""
        app = ProxyFix(watched().wsgi_app)
        with pytest.raises(RuntimeError, match="Keep it in a variable"):
            Client(app).get("/", buffered=True)


class Preloaded(Process):
    """Two workers of gunicorn that were forked from a process which had loaded the application, and written a line."""

    name = "gunicorn_preload"

    def command(self, descriptor: int) -> list[str]:
        return [
            *gunicorn(descriptor, workers=2),
            "--preload",
            f'tests.integrations.doors:preloaded("{self.door.name}")',
        ]


class TestPreload:
    """A process that is forked after everything was built."""

    def test_every_worker_is_itself(self, tmp_path: Path) -> None:
        """Process and instance ids are the worker's own, and no id of a request or an event comes twice."""
        server = Preloaded(DOORS["flask"], tmp_path)

        def ask(_: int) -> str:
            (answered,) = server.converse([Ask("GET", "/echo?mark=1", headers={"X-Request-ID": None})])
            return answered.headers["X-Request-ID"]

        try:
            ids = [ask(0)]
            with ThreadPoolExecutor(8) as clients:
                while len(ids) < 100 or len({line["process.pid"] for line in server.everything()}) < 3:
                    ids += clients.map(ask, range(100))
                    assert len(ids) < 5_000, "one worker took all requests"
        finally:
            server.stop()
        parent, *lines = server.everything()
        instances = {(line["process.pid"], line["service.instance.id"]) for line in (parent, *lines)}
        assert [len(instances), *(len(set(column)) for column in zip(*instances, strict=True))] == [3, 3, 3]
        assert len(lines) == sum(line["process.pid"] != parent["process.pid"] for line in lines)
        for name in ("event.id", "trace.id"):
            assert len(lines) + 1 == len({line[name] for line in (parent, *lines)})
        assert sorted(ids) == sorted({line["http.request.id"] for line in lines})


RELOADED = """
from flask import Flask
from werkzeug.serving import run_simple
from wideevents.integrations.flask import WideEvents

app = Flask(__name__)
app.add_url_rule("/", "hello", lambda: "Hello")
WideEvents(app)
run_simple("127.0.0.1", {port}, app, use_reloader=True, reloader_interval=0.05, reloader_type="stat")
"""


class TestReloader:
    """The development server, which starts anew when a file has changed."""

    def test_every_request_has_one_line_before_and_after(self, tmp_path: Path) -> None:
        """The process that serves is another one after a change; there is one line for each request."""
        server = Reloading(tmp_path)
        try:
            first = eventually(server.ask, "the first answer")
            later = server.script.stat().st_mtime + 10
            os.utime(server.script, (later, later))
            second = eventually(lambda: server.ask_another(first), "an answer after the change")
        finally:
            end(server.process)
        eventually(lambda: not alive(second), "the end of the process that served")
        lines = server.lines.all()
        written = Counter(line["http.request.id"] for line in lines)
        assert {line["process.pid"] for line in lines} == {first, second}
        assert set(server.answered) <= set(written) <= set(server.asked)  # the change may cut an answer short
        assert set(written.values()) == {1}


class Reloading:
    """Run the development server with its reloader, which makes a socket of its own."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.script = folder / "reloaded.py"
        self.script.write_text(RELOADED.format(port=self.port))
        self.lines = LineFile(folder / "events.jsonl")
        self.asked: list[str] = []
        self.answered: list[str] = []
        with (folder / "server.log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(self.script)],
                cwd=folder,
                env=environment(WIDEEVENTS_OUTPUT=str(self.lines.path)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def ask(self) -> int | None:
        """Ask once, and return the process that wrote the line; None where nobody answered."""
        self.asked.append(uuid.uuid4().hex)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/", headers={"X-Request-ID": self.asked[-1]})
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        self.answered.append(self.asked[-1])
        return int(self.lines.of(self.asked[-1])[0]["process.pid"])

    def ask_another(self, first: int) -> int | None:
        """Ask once, and return the process that wrote the line if it is not the first one."""
        pid = self.ask()
        return None if pid == first else pid


def alive(pid: int) -> bool:
    """Tell whether a process is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class CartError(WideError):
    """Explain what is wrong with a cart."""

    status = 409
    code = "cart.empty"


class TestProblems:
    """Errors that explain themselves are answers, where the application wants that."""

    @staticmethod
    def failing(error: Exception, problems: bool | None = True, **config: Any) -> flask.Flask:
        """Make an application that raises *error* at /fail."""
        app = bare(**config)
        WideEvents(app, problems=problems)

        def fail() -> str:
            raise error

        app.add_url_rule("/fail", "fail", fail)
        return app

    def test_answer_with_what_the_error_says(self, lines: Lines) -> None:
        """To the client what its author wrote for everybody, and nothing else."""
        error = CartError("nothing to buy", why="all items expired", fix="add one", link="/docs/carts", customer="ann")
        error.__cause__ = KeyError("internal")
        response = get(self.failing(error), "/fail")

        assert (response.status_code, response.content_type) == (409, "application/problem+json")
        assert response.json == {
            "type": "/docs/carts",
            "title": "Conflict",
            "status": 409,
            "detail": "nothing to buy",
            "instance": f"urn:wideevents:event:{lines.one['event.id']}",
            "code": "cart.empty",
            "why": "all items expired",
            "fix": "add one",
        }

    def test_tell_the_event_everything(self, lines: Lines) -> None:
        """The fields, the cause, the place; it is handled, and its level is that of its answer."""
        error = CartError("nothing to buy", why="all items expired", customer="ann")
        error.__cause__ = KeyError("internal")
        response = get(self.failing(error), "/fail")
        line = lines.one

        assert told(line, STATUS, "level", "exception.handled", "error.count", "http.route", "outcome") == [
            *(409, "info"),
            *(True, 1, "/fail", "success"),
        ]
        assert told(line, "customer", "error.why", "exception.slug") == ["ann", "all items expired", "cart.empty"]
        assert line["exception.causes"] == ["KeyError: 'internal'"]
        assert response.headers["X-Request-ID"] == line["http.request.id"]

    @pytest.mark.parametrize(("expected", "level"), [(False, "error"), (True, "info")])
    def test_page_by_their_status_unless_they_are_expected(self, lines: Lines, *, expected: bool, level: str) -> None:
        """A 503 is somebody's business, but not one that is announced."""
        response = get(self.failing(WideError("down for the night", status=503, expected=expected)), "/fail")
        assert (response.status_code, response.json and response.json["detail"]) == (503, "down for the night")
        assert told(lines.one, "level", "outcome", "exception.handled") == [level, "failure", True]

    def test_of_a_plain_one_are_a_500_with_its_message(self, lines: Lines) -> None:
        """Its author wrote it to be read."""
        response = get(self.failing(WideError("out of order")), "/fail")
        assert (response.status_code, response.json and response.json["detail"]) == (500, "out of order")
        assert told(lines.one, "level", "exception.handled") == ["error", True]

    @pytest.mark.parametrize("config", [{"DEBUG": True}, {"TESTING": True}], ids=str)
    def test_are_answers_in_debug_mode_too(self, lines: Lines, config: dict[str, Any]) -> None:
        """Like those of an errorhandler."""
        assert get(self.failing(CartError("x"), **config), "/fail").status_code == 409

    def test_hide_secrets(self, lines: Lines) -> None:
        """Those of the settings, too."""
        response = get(self.failing(CartError("at postgres://shop:hunter22@db.example/orders")), "/fail")
        assert "hunter22" not in response.text

    @pytest.mark.parametrize("problems", [None, False])
    def test_are_answers_only_where_that_is_asked_for(self, lines: Lines, problems: bool | None) -> None:
        """Otherwise an application behaves as it would without us."""
        response = get(self.failing(CartError("x"), problems), "/fail")
        assert (response.status_code, response.mimetype) == (500, "text/html")
        assert told(lines.one, "exception.handled", "level") == [False, "error"]

    @pytest.mark.parametrize("error", [CrashError("shard 7"), KeyError("shard 7")], ids=repr)
    def test_are_no_others(self, lines: Lines, error: Exception) -> None:
        """The messages of other exceptions are internal."""
        response = get(self.failing(error), "/fail")
        assert (response.status_code, response.mimetype) == (500, "text/html")
        assert "shard 7" not in response.text
        assert lines.one["exception.handled"] is False

    @pytest.mark.parametrize("kind", [CartError, WideError, Exception])
    def test_come_after_the_applications_handlers(self, lines: Lines, kind: type[Exception]) -> None:
        """It has its own way to answer."""
        app = self.failing(CartError("x"))
        app.register_error_handler(kind, lambda error: ("our answer", 418))
        assert (get(app, "/fail").text, lines.one[STATUS]) == ("our answer", 418)

    @pytest.mark.parametrize(("status", "answer"), [(500, "our page"), (503, "our page"), (409, None)])
    @pytest.mark.parametrize("code", [500, InternalServerError])
    @pytest.mark.parametrize("at", ["the application", "the blueprint"])
    def test_leave_a_500_to_the_page_for_it(
        self, lines: Lines, status: int, answer: str | None, code: Any, at: str
    ) -> None:
        """What is the client's own mistake is not sent there: it would become the server's."""
        app = bare()
        WideEvents(app, problems=True)
        blueprint = flask.Blueprint("part", __name__)

        @blueprint.get("/fail")
        def fail() -> str:
            raise WideError("explained", status=status)

        {"the application": app, "the blueprint": blueprint}[at].register_error_handler(
            code, lambda _: ("our page", 500)
        )
        app.register_blueprint(blueprint)
        response = get(app, "/fail")
        assert (response.text if answer else (response.json or {})["detail"]) == (answer or "explained")

    def test_come_before_a_page_for_another_status(self, lines: Lines) -> None:
        """Flask does not ask it for exceptions."""
        app = self.failing(WideError("explained", status=503))
        app.register_error_handler(404, lambda _: ("not here", 404))
        assert get(app, "/fail").mimetype == "application/problem+json"

    def test_are_not_made_of_what_a_handler_raises(self, lines: Lines) -> None:
        """The handler has taken the error, and failed."""
        app = self.failing(CartError("x"))

        @app.errorhandler(CartError)
        def fail(error: CartError) -> str:
            raise CrashError("in the handler")

        response = get(app, "/fail")
        assert (response.status_code, response.mimetype) == (500, "text/html")

    def test_are_not_made_of_abort(self, lines: Lines) -> None:
        """An HTTPException is an answer already, whatever else it says."""
        error = HTTPException("gone")
        error.code = 410
        vars(error).update(status=409, why="explained")
        app = self.failing(error)
        app.config["TRAP_HTTP_EXCEPTIONS"] = True
        assert get(app, "/fail").mimetype == "text/html"
        app = self.failing(error)
        assert (get(app, "/fail").status_code, get(app, "/fail").mimetype) == (410, "text/html")

    def test_are_made_without_an_event_too(self, lines: Lines) -> None:
        """An application may be asked behind our back; there is no event to name then."""
        app = self.failing(CartError("x"))
        with app.test_request_context("/fail"):
            response = app.full_dispatch_request()
        assert (response.status_code, "instance" in (response.json or {})) == (409, False)

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_can_be_configured_in_the_application(self, lines: Lines, when: str) -> None:
        """Also where the configuration is loaded after the extension was built."""
        app = self.failing(CartError("x"), None, **({"WIDEEVENTS_PROBLEMS": True} if when == "before" else {}))
        app.config["WIDEEVENTS_PROBLEMS"] = True
        assert get(app, "/fail").mimetype == "application/problem+json"

    @pytest.mark.parametrize("value", ["yes", 1, "true"])
    def test_are_asked_for_with_true(self, value: Any) -> None:
        """Any other value is refused where it is given."""
        with pytest.raises(ConfigurationError, match=r"problems=.* True or False"):
            WideEvents(problems=value)
        with pytest.raises(ConfigurationError, match=r"problems=.* True or False"):
            WideEvents(bare(WIDEEVENTS_PROBLEMS=value))


class TestFlightRecorder:
    """Where there is one, a request that is killed in its view has a route, too."""

    @pytest.mark.parametrize(
        ("path", "route", "shown"),
        [("/orders/7", "/orders/<int:number>", "/orders/7"), ("/reset/tiger", "/reset/<token>", "/reset/[redacted]")],
        ids=["plain", "secret"],
    )
    def test_the_route_is_told_before_the_view_runs(self, path: str, route: str, shown: str, tmp_path: Path) -> None:
        """With the path as the line will have it, and the file holds no secret parameter any more."""
        app, seen = bare(), []

        def view(**_: object) -> str:
            (file,) = tmp_path.glob("*.flight")
            event = current()
            assert event is not None
            seen.append((event.fields or {})["http.route"])
            seen.append((shown.encode() in file.read_bytes(), b"tiger" in file.read_bytes()))
            return "done"

        app.add_url_rule(route, "view", view)
        WideEvents(app)
        with lines_caught(flight=tmp_path) as lines:
            get(app, path)

        assert seen == [route, (True, False)]
        assert told(lines.one, "http.route", "url.path", "http.response.status_code") == [route, shown, 200]

    def test_a_request_that_no_door_follows_has_none(self, lines: Lines) -> None:
        """As in a test that pushes a context of its own."""
        app = bare()
        with app.test_request_context("/"):
            note_route()

        assert lines.all == []
