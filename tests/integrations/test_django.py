"""What the door for Django promises beyond the contract."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import io
import logging
import pickle
import re
import subprocess
import sys
import urllib.request
import uuid
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any
from wsgiref.util import FileWrapper

import pytest
from asgiref.sync import async_to_sync, iscoroutinefunction
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.signals import got_request_exception
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.http import FileResponse, Http404, HttpResponse, StreamingHttpResponse
from django.test import AsyncClient, Client, RequestFactory, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import include, path, re_path, register_converter
from django.utils.functional import SimpleLazyObject
from django.views import View

import wideevents.integrations.asgi
import wideevents.integrations.wsgi
from tests.integrations.asgi_servers import Exchange, scope
from tests.integrations.django_door import OURS, set_up
from tests.integrations.servers import (
    Ask,
    Handler,
    Leaving,
    Lines,
    environ,
    environment,
    lines_caught,
    parse_answer,
)
from tests.strict import parse_line
from wideevents import ConfigurationError, add_error, add_field, config, current
from wideevents.context import variable
from wideevents.integrations._django import note_route, note_route_async
from wideevents.integrations.django import WideEvents
from wideevents.metrics import wsgi_app

set_up()

HERE = __name__
STATUS = "http.response.status_code"
SIZE = "http.response.body.size"
ROUTE = "http.route"


class CrashError(RuntimeError):
    """Stand for an error of the application."""


class DeclinedError(Exception):
    """Stand for an error that another middleware answers."""


@contextmanager
def project(
    *patterns: Any, middleware: tuple[str, ...] = (OURS,), given: Any = None, **settings: Any
) -> Iterator[Client]:
    """Be a project with these URLs, middleware and WIDEEVENTS, for as long as the block lasts; give its test client."""
    urls = type("Urls", (), {"urlpatterns": patterns})
    with override_settings(ROOT_URLCONF=urls, MIDDLEWARE=middleware, WIDEEVENTS=given or {}, **settings):
        yield Client(raise_request_exception=False)


def hello(request: Any, **_: Any) -> HttpResponse:
    return HttpResponse("Hello")


async def hello_async(request: Any) -> HttpResponse:
    add_field("greeted", 1)
    return HttpResponse("Hello")


def raising(error: BaseException) -> Callable[..., HttpResponse]:
    def view(request: Any) -> HttpResponse:
        raise error

    return view


def told(line: dict[str, Any], *names: str) -> list[Any]:
    """Return some fields of a line; None is what is not there."""
    return [line.get(name) for name in names]


def serve(ask: Ask, out: io.BytesIO | None = None, application: Any = None, **head: str) -> tuple[int, Any, bytes]:
    """Let the server of the standard library ask once, by WSGI."""
    out = io.BytesIO() if out is None else out
    handler = Handler(io.BytesIO(ask.body or b""), out, io.StringIO(), environ(ask, **head), multithread=False)
    handler.run(application or WSGIHandler())
    return parse_answer(out.getvalue(), ask.method)


def exchange(ask: Ask, *, leaves: bool = False, application: Any = None) -> Exchange:
    """Let a careful server ask once, by ASGI."""
    done = Exchange(ask, leaves=leaves)
    asyncio.run(done.run(application or ASGIHandler()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()  # Django 5.2 leaves the body of a request open when a stream fails
    return done


def streaming(*parts: bytes, **options: Any) -> Callable[[Any], StreamingHttpResponse]:
    def view(request: Any) -> StreamingHttpResponse:
        def made() -> Iterator[bytes]:
            for part in parts:
                wideevents.increment("parts")
                yield part

        return StreamingHttpResponse(made(), **options)

    return view


def events(lines: Lines) -> list[dict[str, Any]]:
    """Return the events among the lines."""
    return [parse_line(line) for line in lines.raw if b'"event.kind":' in line]


@contextmanager
def lines_logged() -> Iterator[Lines]:
    """Let the root logger write lines here, too, as in a process that is configured; Django's loggers are put back."""
    loggers = [logging.getLogger(name) for name in ("django", "django.server")]
    before = [(logger.handlers[:], logger.filters[:], logger.propagate) for logger in loggers]
    lines = Lines()
    with config.kept():
        wideevents.configure(service="shop", output=lines)
        try:
            yield lines
        finally:
            for logger, (handlers, filters, propagate) in zip(loggers, before, strict=True):
                logger.handlers[:], logger.filters[:], logger.propagate = handlers, filters, propagate


class Backwards:
    """Convert a parameter to something else than was written."""

    regex = "[a-zA-Z0-9]+"

    def to_python(self, value: str) -> str:
        return value[::-1]

    def to_url(self, value: str) -> str:
        return value[::-1]


register_converter(Backwards, "backwards")


class Declining:
    """Be another middleware, which answers an exception of the application."""

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        return self.get_response(request)

    def process_exception(self, request: Any, exception: Exception) -> HttpResponse | None:
        return HttpResponse("declined", status=409) if isinstance(exception, DeclinedError) else None


class Raising(Declining):
    """Be a middleware that raises when it has the response."""

    def __call__(self, request: Any) -> Any:
        response = self.get_response(request)
        raise CrashError(f"in a middleware, after {response.status_code}")


class Replacing(Declining):
    """Be a middleware that answers with a response of its own."""

    def __call__(self, request: Any) -> Any:
        self.get_response(request)
        return HttpResponse("instead")


class Pickling(Declining):
    """Be a middleware that keeps responses, as a cache does."""

    def __call__(self, request: Any) -> Any:
        response = self.get_response(request)
        kept = pickle.loads(pickle.dumps(response))
        kept.close()
        return response


class Retrying(Declining):
    """Be a middleware that tries again."""

    def __call__(self, request: Any) -> Any:
        self.get_response(request).close()
        return self.get_response(request)


class SyncOnly(Declining):
    """Be a middleware of the old kind, which makes threads of what stands below it."""

    sync_capable = True
    async_capable = False


class TestRoute:
    """What the URLconf says of a request."""

    def test_it_is_the_whole_template_with_a_leading_slash(self, lines: Lines) -> None:
        """What is included is joined; the view has its name, with the namespaces."""
        items = ([path("<slug:item>/", hello, name="item")], "items")
        with project(path("shops/<int:shop>/items/", include(items, namespace="shop"))) as client:
            client.get("/shops/7/items/tea/")
        expected = ["/shops/<int:shop>/items/<slug:item>/", "shop:item", "shop"]
        assert expected == told(lines.one, ROUTE, "django.view", "django.namespace")
        assert lines.one["event.name"] == "GET /shops/<int:shop>/items/<slug:item>/"

    def test_a_view_without_a_name_has_its_path(self, lines: Lines) -> None:
        """What nobody has named is where it is defined; the root is a slash."""
        with project(path("", hello)) as client:
            client.get("/")
        assert told(lines.one, ROUTE, "django.view", "django.namespace") == ["/", f"{HERE}.hello", None]

    def test_a_regular_expression_stays_one(self, lines: Lines) -> None:
        """A `re_path` has no other template; its caret becomes the slash that every route begins with."""
        with project(re_path(r"^articles/(?P<year>[0-9]{4})/$", hello)) as client:
            client.get("/articles/2026/")
        assert lines.one[ROUTE] == "/articles/(?P<year>[0-9]{4})/$"

    def test_it_begins_where_the_application_is_mounted(self, lines: Lines) -> None:
        """The path and the template are seen from the server's root."""
        with project(path("tea/", hello)) as client:
            client.get("/tea/", SCRIPT_NAME="/shop/")
        assert told(lines.one, ROUTE, "url.path") == ["/shop/tea/", "/shop/tea/"]

    def test_an_unknown_path_has_none(self, lines: Lines) -> None:
        """A path that leads nowhere is no route; one whose view finds nothing has its own."""
        with project(path("tea/", raising(Http404("no tea")))) as client:
            client.get("/coffee/")
            client.get("/tea/")
        assert [[404, None], [404, "/tea/"]] == [told(line, STATUS, ROUTE) for line in lines.all]

    def test_a_path_is_text(self, lines: Lines) -> None:
        """Django has decoded it already."""
        with project(path("grüße/<str:name>/", hello)) as client:
            client.get("/grüße/Zoë/")
        assert told(lines.one, ROUTE, "url.path") == ["/grüße/<str:name>/", "/grüße/Zoë/"]

    def test_a_secret_parameter_is_hidden(self, lines: Lines) -> None:
        """Its name says that it is one; the others stay."""
        with project(path("reset/<int:page>/<str:token>/", hello)) as client:
            client.get("/reset/7/kitten/")
        assert "kitten" not in str(lines.one)
        assert lines.one["url.path"].startswith("/reset/7/")

    @pytest.mark.parametrize("written", ["nettik", "0AF7"])
    def test_a_secret_that_was_read_otherwise_hides_the_path(self, lines: Lines, written: str) -> None:
        """What a converter has made of it does not stand in the path, and cannot be found there."""
        with project(path("reset/<backwards:token>/", hello)) as client:
            client.get(f"/reset/{written}/")
        assert written not in str(lines.one)
        assert lines.one[ROUTE] == "/reset/<backwards:token>/"

    def test_a_class_serves_as_itself(self) -> None:
        """The handler is the class of the application, and not the function that Django makes of it."""

        class Tea(View):
            def get(self, request: Any) -> HttpResponse:
                return HttpResponse("tea")

        served: list[object] = []
        noting = lines_caught(stages=[lambda event: served.append(event.handler) or event])
        with noting, project(path("tea/", Tea.as_view()), path("", hello)) as client:
            client.get("/tea/")
            client.get("/")
        assert [Tea, hello] == served

    def test_all_of_them_are_counted_from_zero(self) -> None:
        """The counters of every route are there with the first request, so that the first error of each alerts."""

        class Tea(View):
            __module__ = "shop.tea"

        told_once: list[str] = []

        class Template(str):
            def __str__(self) -> str:
                told_once.append(self)
                return str.__str__(self)

        items = ([re_path(r"^(?P<item>\d+)/$", hello), path(Template("tea/"), Tea.as_view())], "items")
        caught = lines_caught(metrics=True)
        sys.modules["shop.tea"] = type(sys)("shop.tea")
        sys.modules["shop.tea"].__owner__ = "tea-team"  # type: ignore[attr-defined]
        with caught, project(path("", hello), path("items/", include(items))) as client:
            client.get("/", SCRIPT_NAME="/shop/")
            told_once.clear()
            client.get("/", SCRIPT_NAME="/shop/")
            page = b"".join(wsgi_app(environ(Ask("GET", "/")), lambda *_: None)).decode()  # type: ignore[arg-type]
        del sys.modules["shop.tea"]
        assert r'route="/shop/items/(?P<item>\\d+)/$"' in page
        assert re.search(r'owner="tea-team".*route="/shop/items/tea/"', page)
        assert ('route="/shop/"' in page, told_once) == (True, [])


class TestFlightRecorder:
    """Where there is one, a request that is killed in its view has a route, too."""

    @contextmanager
    def recorded(self, folder: Path, route: str, **settings: Any) -> Iterator[tuple[list[Any], Lines]]:
        """Serve *route*, by WSGI and by ASGI; give what a view sees of its own event, and the lines."""
        seen: list[Any] = []

        def look() -> None:
            (file,) = folder.glob("*.flight")
            event = current()
            assert event is not None
            names = (ROUTE, "event.name", "django.view", "url.path")
            seen.append([*told(event.fields or {}, *names), b"tiger" in file.read_bytes()])

        def view(request: Any, **_: object) -> HttpResponse:
            look()
            return HttpResponse("done")

        async def view_async(request: Any, **_: object) -> HttpResponse:
            look()
            return HttpResponse("done")

        views = path(route, view, name="shown"), path(f"async/{route}", view_async, name="shown")
        with lines_caught(flight=folder) as lines, project(*views, **settings):
            yield seen, lines

    @pytest.mark.parametrize(
        ("asked", "route", "shown"),
        [("orders/7/", "orders/<int:number>/", "orders/7/"), ("reset/tiger/", "reset/<token>/", "reset/[redacted]/")],
        ids=["plain", "secret"],
    )
    def test_the_route_is_told_before_the_view_runs(self, asked: str, route: str, shown: str, tmp_path: Path) -> None:
        """With the path as the line will have it, and the file holds no secret parameter any more."""
        with self.recorded(tmp_path, route) as (seen, lines):
            serve(Ask("GET", f"/{asked}"))
            exchange(Ask("GET", f"/async/{asked}"))

        assert seen == [
            [f"/{prefix}{route}", f"GET /{prefix}{route}", "shown", f"/{prefix}{shown}", False]
            for prefix in ("", "async/")
        ]
        assert [told(line, ROUTE, "url.path", STATUS) for line in lines.all] == [
            [f"/{prefix}{route}", f"/{prefix}{shown}", 200] for prefix in ("", "async/")
        ]

    def test_no_thread_is_asked_for_it(self, tmp_path: Path) -> None:
        """For ASGI it is a coroutine, which Django calls as it is."""
        with self.recorded(tmp_path, ""):
            handler, handler_async = WSGIHandler(), ASGIHandler()

        assert [iscoroutinefunction(each._view_middleware[0]) for each in (handler, handler_async)] == [False, True]
        assert handler_async._view_middleware[0] is note_route_async

    def test_an_older_middleware_behind_it_changes_nothing(self, tmp_path: Path) -> None:
        """What stands before a middleware that knows no coroutines is called in a thread, as that is."""
        with self.recorded(tmp_path, "tea/", middleware=(OURS, f"{HERE}.SyncOnly")) as (seen, _):
            exchange(Ask("GET", "/async/tea/"))

        assert [each[0] for each in seen] == ["/async/tea/"]

    def test_the_event_of_an_outer_door_has_it(self, tmp_path: Path) -> None:
        """It is the one that is killed."""
        with self.recorded(tmp_path, "tea/") as (seen, _):
            serve(Ask("GET", "/tea/"), application=wideevents.integrations.wsgi.WideEvents(WSGIHandler()))
            exchange(Ask("GET", "/async/tea/"), application=wideevents.integrations.asgi.WideEvents(ASGIHandler()))

        assert [each[0] for each in seen] == ["/tea/", "/async/tea/"]

    def test_without_one_django_is_asked_to_do_nothing_more(self, lines: Lines) -> None:
        """A view middleware would be called for every request."""
        with project(path("", hello)):
            assert WSGIHandler()._view_middleware == ASGIHandler()._view_middleware == []

    def test_a_request_that_no_door_follows_has_none(self, lines: Lines) -> None:
        """As in a test that calls what a middleware has."""
        note_route(RequestFactory().get("/"), hello, (), {})

        assert lines.all == []


class TestUser:
    """Who asked, if the application knows."""

    @pytest.fixture
    def users(self) -> Iterator[Any]:
        """Give the model of users, with its table in a database in memory, and a session for each."""
        call_command("migrate", verbosity=0)
        yield get_user_model().objects
        get_user_model().objects.all().delete()
        BaseDatabaseWrapper.close(connections["default"])

    AUTH = (
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    )

    def test_it_is_told_where_the_application_has_asked(self, lines: Lines, users: Any) -> None:
        """The id, and neither name nor address."""
        user = users.create_user("zoe", "zoe@example.com")
        view = path("", lambda request: HttpResponse(request.user.get_username()))
        with project(view, middleware=(OURS, *self.AUTH)) as client:
            client.force_login(user)
            client.get("/")
        assert lines.one["user.id"] == user.pk
        assert "zoe" not in str(lines.one)

    def test_nobody_asks_on_our_behalf(self, lines: Lines, users: Any) -> None:
        """No statement and no session that the application did not want: the promise of `request.user` is not kept."""
        seen: list[Any] = []

        def view(request: Any) -> HttpResponse:
            seen.append(request)
            return HttpResponse("Hello")

        with project(path("", view), middleware=(OURS, *self.AUTH)) as client:
            client.force_login(users.create_user("zoe"))
            with CaptureQueriesContext(connections["default"]) as statements:
                client.get("/")
        assert (len(statements), seen[0].session.accessed) == (0, False)
        assert told(lines.one, "user.id", "db.count") == [None, None]

    def test_nobody_is_no_user(self, lines: Lines, users: Any) -> None:
        """Who has not logged in has no id."""
        view = path("", lambda request: HttpResponse(str(request.user.is_authenticated)))
        with project(view, middleware=(OURS, *self.AUTH)) as client:
            assert client.get("/").content == b"False"
        assert "user.id" not in lines.one

    def test_it_is_told_where_a_coroutine_has_asked(self, lines: Lines, users: Any) -> None:
        """`request.auser()` leaves `request.user` as it is."""
        user = users.create_user("zoe")

        async def view(request: Any) -> HttpResponse:
            return HttpResponse((await request.auser()).get_username())

        async def ask() -> bytes:
            client = AsyncClient()
            await client.aforce_login(user)
            return (await client.get("/")).content  # type: ignore[no-any-return]

        with project(path("", view), middleware=(OURS, *self.AUTH)):
            assert async_to_sync(ask)() == b"zoe"
        assert lines.one["user.id"] == user.pk

    def test_the_applications_own_word_stands(self, lines: Lines) -> None:
        """Who adds `user.id` knows better, and who has a user of their own is one, too."""

        def view(request: Any, known: bool, named: bool) -> HttpResponse:
            request.user = type("Member", (), {"is_authenticated": known, "pk": uuid.UUID(int=7)})()
            if named:
                add_field("user.id", "u-7")
            return HttpResponse("Hello")

        kinds = [(True, True), (True, False), (False, False)]
        views = [path(f"{known}/{named}/", view, {"known": known, "named": named}) for known, named in kinds]
        with project(*views) as client:
            for known, named in kinds:
                client.get(f"/{known}/{named}/")
        assert ["u-7", str(uuid.UUID(int=7)), None] == [line.get("user.id") for line in lines.all]

    def test_a_promise_of_somebody_elses_is_not_kept_either(self, lines: Lines) -> None:
        """Whatever stands there is looked at only where it was looked at before."""

        def view(request: Any) -> HttpResponse:
            request.user = SimpleLazyObject(lambda: pytest.fail("nobody asked"))
            return HttpResponse("Hello")

        with project(path("", view)) as client:
            client.get("/")
        assert "user.id" not in lines.one

    def test_one_that_cannot_be_asked_costs_nothing(self, lines: Lines) -> None:
        """What a user of somebody's own raises stays there."""

        class Member:
            @property
            def is_authenticated(self) -> bool:
                raise CrashError("ask somebody else")

        def view(request: Any) -> HttpResponse:
            request.user = Member()
            return HttpResponse("Hello")

        with project(path("", view)) as client:
            assert client.get("/").status_code == 200
        assert told(lines.one, "user.id", "level") == [None, "info"]


class TestDatabase:
    """The statements of a request."""

    @pytest.fixture
    def shop(self, tmp_path: Path) -> Iterator[str]:
        """Give the alias of a database in a file, which threads can share."""
        connections.databases["shop"] = {**connections.databases["default"], "NAME": str(tmp_path / "shop.sqlite3")}
        with connections["shop"].cursor() as cursor:
            cursor.execute("CREATE TABLE tea (name TEXT)")
        connections["shop"].close()
        del connections["shop"]
        yield "shop"
        connections["shop"].close()
        del connections["shop"]
        del connections.databases["shop"]

    def test_they_are_counted_and_timed(self, lines: Lines, shop: str) -> None:
        """Their number and time, the slowest and the one that was repeated are told, without what was asked."""

        def view(request: Any) -> HttpResponse:
            with connections[shop].cursor() as cursor:
                cursor.execute("SELECT 1")
                for name in ("green", "black"):
                    cursor.execute("SELECT * FROM tea WHERE name = %s", [name])
                    cursor.execute(f"SELECT * FROM tea WHERE name = '{name}'")
                cursor.execute("SELECT * FROM tea WHERE name = 'white'")
            return HttpResponse("Hello")

        with project(path("", view)) as client:
            client.get("/")
        expected = [6, 3, "SELECT * FROM tea WHERE name = ?", None]
        assert expected == told(lines.one, "db.count", "db.repeated", "db.most_repeated", "db.failures")
        assert lines.one["db.duration_ms"] >= lines.one["db.slowest_ms"] > 0
        assert "green" not in str(lines.one)
        assert "white" not in str(lines.one)

    def test_many_at_once_are_one(self, lines: Lines, shop: str) -> None:
        """`executemany` is one call; a statement that fails is counted, too, and raises as it would."""

        def view(request: Any) -> HttpResponse:
            with connections[shop].cursor() as cursor:
                cursor.executemany("INSERT INTO tea VALUES (%s)", [("green",), ("black",)])
                cursor.execute("SELECT nonsense FROM nowhere")
            return HttpResponse("Hello")

        with project(path("", view)) as client:
            client.get("/")
        told_of = told(lines.one, "db.count", "db.failures", "exception.type")
        assert told_of == [2, 1, "django.db.utils.OperationalError"]

    def test_those_of_a_thread_are_counted(self, lines: Lines, shop: str) -> None:
        """Under ASGI a function runs in a thread, with connections of its own: they are taken when they are opened."""

        def view(request: Any) -> HttpResponse:
            with connections[shop].cursor() as cursor:
                cursor.execute("SELECT 1")
            connections[shop].close()
            return HttpResponse("Hello")

        with project(path("", view)):
            done = exchange(Ask("GET", "/"))
        assert (done.head["status"], lines.one["db.count"]) == (200, 1)

    def test_it_can_be_switched_off(self, lines: Lines, shop: str) -> None:
        """With database=False nothing stands between the application and its database, also where it stood before."""

        def view(request: Any) -> HttpResponse:
            with connections[shop].cursor() as cursor:
                cursor.execute("SELECT 1")
            return HttpResponse(str(len(connections[shop].execute_wrappers)))

        with project(path("", view)) as client:
            assert client.get("/").content == b"1"
        with project(path("", view), given={"database": False}) as client:
            assert client.get("/").content == b"0"
            connections[shop].close()
            client.get("/")
        assert [1, None, None] == [line.get("db.count") for line in lines.all]

    def test_one_that_is_open_already_is_counted(self, lines: Lines, shop: str) -> None:
        """A connection may be older than the door; it is taken once."""
        with project(given={"database": False}):
            WSGIHandler()

        def view(request: Any) -> HttpResponse:
            with connections[shop].cursor() as cursor:
                cursor.execute("SELECT 1")
            return HttpResponse(str(len(connections[shop].execute_wrappers)))

        connections[shop].ensure_connection()
        with project(path("", view), middleware=(OURS, OURS)) as client:
            assert client.get("/").content == b"1"
        assert lines.one["db.count"] == 1

    def test_a_wrapper_of_the_applications_own_ends_with_its_block(self, lines: Lines, shop: str) -> None:
        """A connection that is opened inside of such a block keeps ours, and loses theirs."""
        seen: list[str] = []

        def note(execute: Any, sql: str, *rest: Any) -> Any:
            seen.append(sql)
            return execute(sql, *rest)

        def view(request: Any) -> HttpResponse:
            with connections[shop].execute_wrapper(note), connections[shop].cursor() as cursor:
                cursor.execute("SELECT 1")
            with connections[shop].cursor() as cursor:
                cursor.execute("SELECT 2")
            return HttpResponse("Hello")

        with project(path("", view)) as client:
            client.get("/")
        assert (seen, lines.one["db.count"]) == (["SELECT 1"], 2)

    def test_outside_any_event_nothing_is_counted(self, lines: Lines, shop: str) -> None:
        """A statement of a management command is just run."""
        with project():
            WSGIHandler()
        with connections[shop].cursor() as cursor:
            assert cursor.execute("SELECT 1").fetchall() == [(1,)]
        assert lines.all == []


class TestBodies:
    """A response is followed to its last byte, whoever sends it."""

    def test_a_stream_lasts_until_it_is_closed(self, lines: Lines) -> None:
        """The test client closes a stream when it has been read; the event is written then, and not before."""
        with project(path("", streaming(b"one,", b"two"))) as client:
            response = client.get("/")
            assert lines.all == []
            assert response.getvalue() == b"one,two"
        assert told(lines.one, SIZE, "http.response.streamed", "parts", "outcome") == [7, True, 2, "success"]

    @pytest.mark.parametrize("asked", ["HEAD", "GET"])
    def test_what_has_no_body_has_none_to_leave(self, lines: Lines, asked: str) -> None:
        """A HEAD, a 204 and a 304 have ended with their head, whatever the application has made of a body."""
        status = 304 if asked == "GET" else 200
        with project(path("", streaming(b"one", status=status))) as client:
            response = client.generic(asked, "/")
            response.close()
        assert told(lines.one, STATUS, SIZE, "outcome") == [status, 0, "success"]

    def test_a_client_that_leaves_a_stream(self, lines: Lines) -> None:
        """By WSGI that is a close before the end; what is cleaned up then is told."""

        def view(request: Any) -> StreamingHttpResponse:
            def parts() -> Iterator[bytes]:
                try:
                    while True:
                        yield b"x" * 100
                finally:
                    add_field("cleaned_up", 1)

            return StreamingHttpResponse(parts())

        with project(path("", view)):
            serve(Ask("GET", "/"), Leaving())
        expected = ["cancelled", True, 1, "info"]
        assert expected == told(lines.one, "outcome", "client.disconnected", "cleaned_up", "level")
        assert variable.get() is None

    def test_a_stream_whose_length_is_known_has_ended_with_its_last_byte(self, lines: Lines) -> None:
        """Who closes after that has not left; nothing of the application's is lost with it."""
        closed: list[bool] = []

        def view(request: Any) -> StreamingHttpResponse:
            def parts() -> Iterator[bytes]:
                try:
                    yield b"12345"
                    yield b""
                finally:
                    closed.append(current() is None)

            return StreamingHttpResponse(parts(), headers={"Content-Length": "5"})

        with project(path("", view)) as client:
            response = client.get("/")
            assert next(iter(response)) == b"12345"
            response.close()
        assert (told(lines.one, SIZE, "outcome", "client.disconnected"), closed) == ([5, "success", None], [True])

    def test_a_file_is_left_to_the_server(self, lines: Lines) -> None:
        """`wsgi.file_wrapper` still gets the file itself; the event ends when the server closes it."""
        wrapped: list[Any] = []

        class Wrapper:
            def __init__(self, file: Any, size: int) -> None:
                self.file = file
                wrapped.append(file)

            def __iter__(self) -> Iterator[bytes]:
                return iter([self.file.read()])

            def close(self) -> None:
                assert lines.all == []
                self.file.close()

        with project(path("", lambda request: FileResponse(Path(__file__).open("rb")))):
            application = WSGIHandler()
            head = environ(Ask("GET", "/"))
            out = io.BytesIO()
            handler = Handler(io.BytesIO(), out, io.StringIO(), head, multithread=False)
            handler.wsgi_file_wrapper = Wrapper
            handler.run(application)
        assert (len(wrapped), wrapped[0].name) == (1, __file__)
        assert told(lines.one, SIZE, "outcome") == [Path(__file__).stat().st_size, "success"]

    def test_the_head_of_a_file_is_all_there_is(self, lines: Lines) -> None:
        """Asked for its head, a file is not sent; some servers do not close it either."""
        with project(path("", lambda request: FileResponse(Path(__file__).open("rb")))):
            serve(Ask("HEAD", "/"))
            assert told(lines.all[0], SIZE, "outcome") == [0, "success"]
            head = {**environ(Ask("HEAD", "/")), "wsgi.input": io.BytesIO(), "wsgi.file_wrapper": FileWrapper}
            kept = WSGIHandler()(head, lambda *_: None)
            assert len(lines.all) == 2
            kept.close()

    def test_a_file_without_a_server_to_send_it_is_counted(self, lines: Lines) -> None:
        """The test client has no file_wrapper: Django reads the file, and it is seen how much."""
        with project(path("", lambda request: FileResponse(io.BytesIO(b"0123456789"), filename="ten"))) as client:
            client.get("/").getvalue()
        assert told(lines.one, SIZE, "outcome", "http.response.streamed") == [10, "success", None]

    def test_a_response_that_nobody_closes_ends_all_the_same(self, lines: Lines) -> None:
        """It is collected at once, since nothing of ours refers to it in a circle."""
        gc.disable()
        try:
            with project(path("", hello)):
                WideEvents(lambda request: HttpResponse("Hello"))(RequestFactory().get("/"))
        finally:
            gc.enable()
        assert told(lines.one, STATUS, SIZE) == [200, 5]

    def test_one_that_another_middleware_replaces_has_ended(self, lines: Lines) -> None:
        """A middleware that stands before the door may answer with another one: ours goes nowhere, and is no leak."""
        with project(path("", hello), middleware=(f"{HERE}.Replacing", OURS)) as client:
            assert client.get("/").content == b"instead"
        assert told(lines.one, STATUS, "outcome") == [200, "success"]
        assert config.recorder().in_progress == {}

    def test_one_can_be_pickled(self, lines: Lines) -> None:
        """A cache that stands before the door keeps whole responses; what it keeps ends nothing when it is closed."""
        with project(path("", hello), middleware=(f"{HERE}.Pickling", OURS)) as client:
            assert client.get("/").content == b"Hello"
        assert len(lines.all) == 1

    def test_what_is_told_while_it_is_closed_is_in_the_line(self, lines: Lines) -> None:
        """The event is over when Django is done with the response."""
        with project(path("", streaming(b"one"))) as client:
            response = client.get("/")
            response._resource_closers.insert(1, lambda: add_field("closer", 1))
            response.close()
        assert told(lines.one, "closer") == [1]

    def test_the_context_is_left_as_it_was(self, lines: Lines) -> None:
        """Parts are made inside of the event, and what the server does between them is outside; so is what follows."""
        inside: list[Any] = []

        def view(request: Any) -> StreamingHttpResponse:
            def parts() -> Iterator[bytes]:
                with wideevents.event("step"):
                    for _ in range(2):
                        inside.append(current())
                        yield b"x"

            return StreamingHttpResponse(parts())

        with project(path("", view)) as client, wideevents.event("test") as own:
            response = client.get("/")
            between = [current() for _ in response]
            assert current() is own
        assert between == [own, own]
        assert inside[0] is inside[1]
        assert {line["event.name"] for line in lines.all} == {"step", "GET /", "test"}

    def test_a_body_that_fails_halfway(self, lines: Lines) -> None:
        """The status stays, since it is out; the error pages."""

        def view(request: Any) -> StreamingHttpResponse:
            def parts() -> Iterator[bytes]:
                yield b"one"
                raise CrashError("in mid-stream")

            return StreamingHttpResponse(parts())

        with project(path("", view)):
            serve(Ask("GET", "/"))
        expected = [200, 3, "error", f"{HERE}.CrashError", False]
        assert expected == told(lines.one, STATUS, SIZE, "level", "exception.type", "exception.handled")


class TestAsync:
    """Under ASGI."""

    def test_a_coroutine_adds_to_its_event(self, lines: Lines) -> None:
        """The middleware is a coroutine there, and stands in no thread's way."""
        with project(path("", hello_async)):
            done = exchange(Ask("GET", "/"))
        told_of = told(lines.one, "greeted", SIZE, "http.response.streamed")
        assert (done.head["status"], told_of) == (200, [1, 5, None])

    def test_it_is_what_it_stands_before(self) -> None:
        """It says that it is a coroutine function where it is one, as Django wants to know."""
        with project():
            assert iscoroutinefunction(WideEvents(hello_async))
            assert not iscoroutinefunction(WideEvents(hello))

    def test_a_function_adds_from_its_thread(self, lines: Lines) -> None:
        """A view that is none runs elsewhere, and in the same event."""
        seen: list[Any] = []

        def view(request: Any) -> HttpResponse:
            seen.append(current())
            add_field("greeted", 1)
            return HttpResponse("Hello")

        with project(path("", view)):
            exchange(Ask("GET", "/"))
        assert (told(lines.one, "greeted"), seen[0].id) == ([1], lines.one["event.id"])

    @pytest.mark.parametrize(
        "middleware",
        [(f"{HERE}.SyncOnly", OURS), (OURS, f"{HERE}.SyncOnly"), (f"{HERE}.SyncOnly", OURS, f"{HERE}.SyncOnly")],
    )
    @pytest.mark.parametrize("view", [hello, hello_async])
    def test_a_mixed_stack_is_one_event(self, lines: Lines, middleware: tuple[str, ...], view: Any) -> None:
        """Django goes from the loop to a thread and back for a middleware of the old kind."""
        with project(path("", view), middleware=middleware):
            done = exchange(Ask("GET", "/"))
        assert (done.parts, told(lines.one, STATUS, SIZE)) == ([b"Hello"], [200, 5])

    def test_its_stream_is_followed(self, lines: Lines) -> None:
        """Parts are made in the event, one after another."""

        async def view(request: Any) -> StreamingHttpResponse:
            async def parts() -> AsyncIterator[bytes]:
                for part in (b"one,", b"two"):
                    await asyncio.sleep(0)
                    wideevents.increment("parts")
                    yield part

            return StreamingHttpResponse(parts())

        with project(path("", view)):
            done = exchange(Ask("GET", "/"))
        assert b"".join(done.parts) == b"one,two"
        assert told(lines.one, SIZE, "parts", "http.response.streamed") == [7, 2, True]

    def test_its_stream_may_go_on_after_its_last_byte(self, lines: Lines) -> None:
        """Where the length was announced the event has ended with it; what still runs is in no event."""
        after: list[Any] = []

        async def view(request: Any) -> StreamingHttpResponse:
            async def parts() -> AsyncIterator[bytes]:
                yield b"12345"
                after.append(current())

            return StreamingHttpResponse(parts(), headers={"Content-Length": "5"})

        with project(path("", view)):
            exchange(Ask("GET", "/"))
        assert (after, told(lines.one, SIZE, "outcome")) == ([None], [5, "success"])

    def test_its_stream_fails(self, lines: Lines) -> None:
        """Django closes nothing then: the error ends the event."""

        async def view(request: Any) -> StreamingHttpResponse:
            async def parts() -> AsyncIterator[bytes]:
                yield b"one"
                raise CrashError("in mid-stream")

            return StreamingHttpResponse(parts())

        with project(path("", view)):
            exchange(Ask("GET", "/"))
        assert told(lines.one, STATUS, SIZE, "level", "outcome") == [200, 3, "error", "failure"]

    def test_a_client_that_leaves_its_stream(self, lines: Lines) -> None:
        """Django cancels it where it waits: that is no error, and what it cleans up is told."""

        async def view(request: Any) -> StreamingHttpResponse:
            async def parts() -> AsyncIterator[bytes]:
                try:
                    yield b"one"
                    await asyncio.sleep(60)
                finally:
                    add_field("cleaned_up", 1)

            return StreamingHttpResponse(parts())

        with project(path("", view)):
            exchange(Ask("GET", "/"), leaves=True)
        expected = ["cancelled", True, 1, None, "info"]
        names = ("outcome", "client.disconnected", "cleaned_up", "exception.type", "level")
        assert expected == told(lines.one, *names)

    def test_a_client_that_leaves_before_there_is_an_answer(self, lines: Lines) -> None:
        """Django cancels the view, and answers nothing; the route is known all the same."""
        done = Exchange(Ask("GET", "/tea/"), leaves=True)

        async def view(request: Any) -> HttpResponse:
            done.left = True
            done.over.set()
            await asyncio.sleep(60)
            return HttpResponse("too late")

        async def run() -> None:
            await ASGIHandler()(scope(done.ask), done.receive, done.send)

        with project(path("tea/", view)):
            asyncio.run(run())
        assert told(lines.one, "outcome", "client.disconnected", ROUTE, STATUS) == ["cancelled", True, "/tea/", None]

    def test_what_is_no_stream_for_it_is_collected(self, lines: Lines) -> None:
        """Django reads an iterator to its end before it sends any: the first byte comes after the last part is made."""
        with project(path("", streaming(b"one,", b"two"))), pytest.warns(Warning, match="synchronous iterators"):
            done = exchange(Ask("GET", "/"))
        assert b"".join(done.parts) == b"one,two"
        assert told(lines.one, SIZE, "outcome", "parts") == [7, "success", 2]
        assert lines.one["ttfb_ms"] <= lines.one["duration_ms"]

    def test_what_fails_while_it_is_collected(self, lines: Lines) -> None:
        """No byte of it is sent."""

        def view(request: Any) -> StreamingHttpResponse:
            def parts() -> Iterator[bytes]:
                yield b"one"
                raise CrashError("while it is read")

            return StreamingHttpResponse(parts())

        with project(path("", view)), pytest.warns(Warning, match="synchronous iterators"):
            exchange(Ask("GET", "/"))
        assert told(lines.one, SIZE, "level", "outcome") == [0, "error", "failure"]

    def test_an_asynchronous_stream_by_wsgi_is_collected_too(self, lines: Lines) -> None:
        """Django does it the other way around as well."""

        def view(request: Any) -> StreamingHttpResponse:
            async def parts() -> AsyncIterator[bytes]:
                yield b"one,"
                yield b"two"

            return StreamingHttpResponse(parts())

        with project(path("", view)), pytest.warns(Warning, match="asynchronous iterators"):
            _, _, body = serve(Ask("GET", "/"))
        assert (body, told(lines.one, SIZE, "outcome")) == (b"one,two", [7, "success"])

    def test_a_cancelled_collection_has_lost_its_client(self, lines: Lines) -> None:
        """A part that is waited for, and cancelled, is waited for by nobody any more."""

        def view(request: Any) -> StreamingHttpResponse:
            async def parts() -> AsyncIterator[bytes]:
                yield b"one,"
                raise asyncio.CancelledError

            return StreamingHttpResponse(parts())

        with project(path("", view)) as client:
            response = client.get("/")
            with pytest.warns(Warning, match="asynchronous iterators"), pytest.raises(asyncio.CancelledError):
                list(response)
            response.close()
        assert told(lines.one, "outcome", "client.disconnected", "exception.type") == ["cancelled", True, None]

    def test_the_test_client_ends_it(self, lines: Lines) -> None:
        """`AsyncClient` closes a response as a server does, a stream when it is read."""

        async def view(request: Any) -> StreamingHttpResponse:
            async def parts() -> AsyncIterator[bytes]:
                yield b"one"

            return StreamingHttpResponse(parts())

        async def ask() -> list[bytes]:
            client = AsyncClient()
            await client.get("/")
            stream = await client.get("/stream/")
            assert variable.get() is None
            return [part async for part in stream]

        with project(path("", hello_async), path("stream/", view)):
            assert asyncio.run(ask()) == [b"one"]
        assert [line[SIZE] for line in lines.all] == [5, 3]

    def test_a_stream_that_fails_in_an_events_own_hands(self, lines: Lines) -> None:
        """Whoever reads a stream may throw into it: that is not what the application raised."""

        async def view(request: Any) -> StreamingHttpResponse:
            async def parts() -> AsyncIterator[bytes]:
                with wideevents.event("step"):
                    yield b"one"
                    yield b"two"

            return StreamingHttpResponse(parts())

        async def ask() -> None:
            response = await AsyncClient().get("/")
            parts = aiter(response.streaming_content)
            await anext(parts)
            await anext(parts)
            await parts.aclose()

        with project(path("", view)):
            asyncio.run(ask())
        (line,) = [line for line in lines.all if line["event.name"] == "GET /"]
        assert told(line, "outcome", "exception.type") == ["cancelled", None]


class TestErrors:
    """What Django makes a response of."""

    @pytest.mark.parametrize("debug", [False, True])
    def test_an_unhandled_one_pages(self, lines: Lines, debug: bool) -> None:
        """It is a 500, counts once, and stands on the line; so it is where DEBUG shows a page of its own."""
        with project(path("crash/", raising(CrashError("boom"))), DEBUG=debug) as client:
            client.get("/crash/")
        expected = [500, "error", "page", f"{HERE}.CrashError", False, 1, "/crash/"]
        names = (STATUS, "level", "alert.urgency", "exception.type", "exception.handled", "error.count", ROUTE)
        assert expected == told(lines.one, *names)

    @pytest.mark.parametrize(
        ("error", "status"),
        [(Http404(), 404), (PermissionDenied(), 403), (BadRequest(), 400), (SuspiciousOperation("odd"), 400)],
    )
    @pytest.mark.parametrize("debug", [False, True])
    def test_an_answer_is_no_error(self, error: Exception, status: int, debug: bool) -> None:
        """What Django answers with 4xx is the client's doing: info, and no exception, whatever it logs of it."""
        with lines_logged() as lines, project(path("", raising(error)), DEBUG=debug) as client:
            client.get("/")
        (event,) = events(lines)
        assert told(event, STATUS, "level", "exception.type", "error.count") == [status, "info", None, None]

    def test_one_that_another_middleware_answers_is_noted(self, lines: Lines) -> None:
        """The door stands last, too, and sees it first: it was handled, and is as bad as its status."""
        middleware = (OURS, f"{HERE}.Declining", OURS)
        with project(path("", raising(DeclinedError("no"))), middleware=middleware) as client:
            client.get("/")
        expected = [409, "info", f"{HERE}.DeclinedError", True]
        assert expected == told(lines.one, STATUS, "level", "exception.type", "exception.handled")

    def test_one_that_is_answered_below_the_door_is_not_seen(self, lines: Lines) -> None:
        """Django tells nobody what a middleware nearer to the view has answered."""
        middleware = (OURS, f"{HERE}.Declining")
        with project(path("", raising(DeclinedError("no"))), middleware=middleware) as client:
            client.get("/")
        assert told(lines.one, STATUS, "exception.type") == [409, None]

    def test_one_that_nobody_answers_is_unhandled(self, lines: Lines) -> None:
        """It passes the door at its end, and is told once."""
        middleware = (OURS, f"{HERE}.Declining", OURS)
        with project(path("", raising(CrashError("boom"))), middleware=middleware) as client:
            client.get("/")
        assert told(lines.one, "level", "exception.handled", "error.count") == ["error", False, 1]

    def test_one_of_a_middleware_below_is_unhandled(self, lines: Lines) -> None:
        """Django answers it for the middleware, and the door takes that answer."""
        with project(path("", hello), middleware=(OURS, f"{HERE}.Raising")) as client:
            client.get("/")
        assert told(lines.one, STATUS, "level", "exception.message") == [500, "error", "in a middleware, after 200"]

    @pytest.mark.parametrize("asks", [serve, exchange])
    def test_one_of_a_middleware_above_is_told(self, lines: Lines, asks: Callable[[Ask], Any]) -> None:
        """The door had its answer, which goes nowhere: the client sees a 500, and so does the line."""
        with project(path("", hello), middleware=(f"{HERE}.Raising", OURS)):
            asks(Ask("GET", "/"))
        assert told(lines.one, STATUS, "level", "outcome") == [500, "error", "failure"]

    def test_one_that_django_is_told_to_raise(self, lines: Lines) -> None:
        """DEBUG_PROPAGATE_EXCEPTIONS leaves the answer to the server."""
        with project(path("tea/", raising(CrashError("boom"))), DEBUG_PROPAGATE_EXCEPTIONS=True):
            status, _, _ = serve(Ask("GET", "/tea/"))
        assert (status, told(lines.one, STATUS, "level", ROUTE)) == (500, [500, "error", "/tea/"])
        assert (variable.get(), lines.one["error.count"]) == (None, 1)

    def test_the_test_client_raises_it(self, lines: Lines) -> None:
        """The client of a test raises what the view did; its event has ended."""
        with project(path("", raising(CrashError("boom")))), pytest.raises(CrashError):
            Client().get("/")
        assert told(lines.one, STATUS, "level") == [500, "error"]

    def test_a_handled_one_is_a_warning(self, lines: Lines) -> None:
        """What a view notes itself is as it is anywhere."""

        def view(request: Any) -> HttpResponse:
            add_error(CrashError("the cache is cold"))
            return HttpResponse("Hello")

        with project(path("", view)) as client:
            client.get("/")
        assert told(lines.one, "level", "exception.handled") == ["warning", True]

    def test_a_signal_of_somebody_elses_is_no_concern(self, lines: Lines) -> None:
        """Others send it, too: without a request, without an exception, for a request that nobody follows."""
        with project():
            WSGIHandler()
        got_request_exception.send(sender=None)
        got_request_exception.send(sender=None, request=RequestFactory().get("/"))
        assert lines.all == []


class TestLines:
    """What Django says by itself."""

    def test_what_the_event_says_is_not_said_again(self) -> None:
        """A line for every response of 400 or more, with the exception of a 500: the event has all that."""
        views = (path("crash/", raising(CrashError("boom"))), path("503/", lambda _: HttpResponse("sorry", status=503)))
        with lines_logged() as lines, project(*views) as client:
            for asked in ("/crash/", "/503/", "/missing/"):
                client.get(asked)
        assert lines.logged == []
        assert [("error", 500), ("error", 503), ("info", 404)] == [
            (line["level"], line[STATUS]) for line in events(lines)
        ]

    def test_what_it_does_not_say_is_a_line_of_the_event(self) -> None:
        """Why a request was refused is said once, belongs to its event, and neither alerts nor raises the event."""
        errors = {"odd": SuspiciousOperation("odd"), "no": PermissionDenied("not yours"), "bad": BadRequest("no tea")}
        views = [path(f"{name}/", raising(error)) for name, error in errors.items()]
        with lines_logged() as lines, project(*views) as client:
            client.get("/odd/", headers={"X-Request-ID": "odd-1"})
            client.get("/no/")
            client.get("/bad/")
        odd, no, bad = lines.logged
        names = ("log.logger", "level", "message", "http.request.id", "alert.urgency")
        assert told(odd, *names) == ["django.security.SuspiciousOperation", "error", "odd", "odd-1", None]
        assert (no["log.logger"], no["exception.message"]) == ("django.request", "not yours")
        assert (bad["log.logger"], bad["message"]) == ("django.request", "no tea: /bad/")
        pairs = zip((odd, no, bad), events(lines), strict=True)
        assert all(line["event.id"] == event["event.id"] and event["level"] == "info" for line, event in pairs)

    def test_a_host_that_is_not_allowed_wakes_nobody(self) -> None:
        """Scanners ask for hosts that there are not; Django logs an error for each."""
        middleware = (OURS, "django.middleware.common.CommonMiddleware")
        with lines_logged() as lines, project(path("", hello), middleware=middleware, ALLOWED_HOSTS=["shop"]) as client:
            client.get("/", headers={"Host": "evil.example"})
        assert [line["log.logger"] for line in lines.logged] == ["django.security.DisallowedHost"]
        assert told(events(lines)[0], STATUS, "level", "alert.urgency") == [400, "info", "none"]

    def test_why_a_form_was_refused_is_a_line(self) -> None:
        """Django says it without an exception, and nobody else does."""
        middleware = (OURS, "django.middleware.csrf.CsrfViewMiddleware")
        with lines_logged() as lines, project(path("", hello), middleware=middleware):
            Client(enforce_csrf_checks=True).post("/")
        (line,) = lines.logged
        assert told(line, "log.logger", "message") == ["django.security.csrf", "Forbidden (CSRF cookie not set.): /"]
        assert told(events(lines)[0], STATUS, "level") == [403, "info"]

    def test_other_handlers_get_all(self) -> None:
        """Mails to ADMINS, and whatever else somebody has put there, are as they were."""
        seen: list[str] = []

        class Noting(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                seen.append(record.getMessage())

        handler = Noting()
        with lines_logged(), project(path("crash/", raising(CrashError("boom")))) as client:
            logging.getLogger("django").addHandler(handler)
            client.get("/crash/")
            client.get("/missing/")
        assert seen == ["Internal Server Error: /crash/", "Not Found: /missing/"]

    def test_a_line_of_a_view_raises_its_event(self) -> None:
        """What the application logs is as it is anywhere."""

        def view(request: Any) -> HttpResponse:
            logging.getLogger("shop").warning("careful")
            return HttpResponse("Hello")

        with lines_logged() as lines, project(path("", view)) as client:
            client.get("/")
        assert [line["message"] for line in lines.logged] == ["careful"]
        assert events(lines)[0]["level"] == "warning"

    def test_they_come_once(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Django's handlers for the console would write once more what goes to the root logger."""
        with lines_logged() as lines:
            for name in ("django", "django.server"):
                logging.getLogger(name).addHandler(logging.StreamHandler())
            logging.getLogger("django.server").propagate = False
            with project():
                WSGIHandler()
                WSGIHandler()
            for name in ("django.tea", "django.server"):
                logging.getLogger(name).info("said")
        assert [line["log.logger"] for line in lines.logged] == ["django.tea", "django.server"]
        assert "said" not in capsys.readouterr().err

    def test_a_logger_of_somebodys_own_making_is_left_alone(self, tmp_path: Path) -> None:
        """A file is no console, and a logger that tells nobody above it is meant so."""
        server = logging.getLogger("django.server")
        with lines_logged() as lines:
            server.handlers[:] = [logging.FileHandler(tmp_path / "server.log")]
            server.propagate = False
            with project():
                WSGIHandler()
            server.info("said")
            server.handlers[0].close()
        assert (lines.raw, (tmp_path / "server.log").read_text()) == ([], "said\n")

    def test_the_logging_module_may_be_left_alone(self, lines: Lines) -> None:
        """With `configure(logging=False)` Django's handlers stay."""
        handler = logging.StreamHandler()
        django = logging.getLogger("django")
        django.addHandler(handler)
        with project():
            WSGIHandler()
        assert handler in django.handlers
        django.removeHandler(handler)


class TestDevelopmentServer:
    """What `manage.py runserver` says by itself."""

    @contextmanager
    def served(self, application: Any) -> Iterator[str]:
        """Let Django's own server serve on loopback."""
        server = ThreadedWSGIServer(("127.0.0.1", 0), WSGIRequestHandler)
        server.daemon_threads = False  # it is closed when all is said of what it has answered
        server.set_app(application)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def test_a_request_that_has_an_event_has_no_line(self) -> None:
        """The server logs every request, and the event says the same; a request of nobody's keeps its line."""

        def bare(environ: Any, start_response: Any) -> list[bytes]:
            start_response("200 OK", [("Content-Length", "0")])
            return []

        with lines_logged() as lines, project(path("", hello)):
            with self.served(WSGIHandler()) as url, urllib.request.urlopen(url) as response:
                assert response.read() == b"Hello"
            with self.served(bare) as url, urllib.request.urlopen(url):
                pass
        assert [line["log.logger"] for line in lines.logged] == ["django.server"]
        assert [line[STATUS] for line in events(lines)] == [200]


class TestRequestId:
    """The id of a request, and its trace."""

    def test_a_name_in_any_letters_is_the_applications(self, lines: Lines) -> None:
        """There is one header of that name, and the line has its value."""
        with project(path("", lambda request: HttpResponse(headers={"x-request-id": "own-7"}))) as client:
            response = client.get("/")
        assert (response["X-Request-ID"], lines.one["http.request.id"]) == ("own-7", "own-7")

    def test_the_scheme_is_what_django_believes(self, lines: Lines) -> None:
        """A proxy that ends TLS says so in a header that the settings name."""
        with project(path("", hello), SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https")) as client:
            client.get("/", headers={"X-Forwarded-Proto": "https"})
            client.get("/")
        assert [line["url.scheme"] for line in lines.all] == ["https", "http"]

    def test_a_setting_of_django_that_is_wrong_is_left_to_django(self, lines: Lines) -> None:
        """It raises for who asks; we have not asked on anybody's behalf."""
        with project(path("", hello), SECURE_PROXY_SSL_HEADER="nonsense") as client:
            assert client.get("/").status_code == 200
        assert "url.scheme" not in lines.one


class TestDoors:
    """Other doors, before this one and again."""

    def test_an_outer_wsgi_door_has_the_event(self, lines: Lines) -> None:
        """It is opened outside, and told what Django knows."""

        def view(request: Any) -> HttpResponse:
            add_field("greeted", 1)
            return HttpResponse("Hello")

        with project(path("tea/", view), path("crash/", raising(CrashError("boom")))):
            door = wideevents.integrations.wsgi.WideEvents(WSGIHandler())
            _, headers, _ = serve(Ask("GET", "/tea/"), application=door)
            serve(Ask("GET", "/crash/"), application=door)
        tea, crash = lines.all
        assert headers.get_all("X-Request-ID") == [tea["http.request.id"]]
        assert told(tea, ROUTE, "greeted", SIZE, "django.view") == ["/tea/", 1, 5, f"{HERE}.view"]
        assert told(crash, ROUTE, "level", "error.count") == ["/crash/", "error", 1]

    def test_an_outer_asgi_door_has_the_event(self, lines: Lines) -> None:
        """It is so for ASGI."""
        with project(path("tea/", hello_async), path("crash/", raising(CrashError("boom")))):
            door = wideevents.integrations.asgi.WideEvents(ASGIHandler())
            exchange(Ask("GET", "/tea/"), application=door)
            exchange(Ask("GET", "/crash/"), application=door)
        tea, crash = lines.all
        assert told(tea, ROUTE, "greeted", SIZE) == ["/tea/", 1, 5]
        assert told(crash, ROUTE, "level", "error.count") == ["/crash/", "error", 1]

    def test_an_outer_door_sees_what_is_raised(self, lines: Lines) -> None:
        """The route is told, and the rest is its own."""
        with project(path("tea/", raising(CrashError("boom"))), DEBUG_PROPAGATE_EXCEPTIONS=True):
            serve(Ask("GET", "/tea/"), application=wideevents.integrations.wsgi.WideEvents(WSGIHandler()))
        assert told(lines.one, ROUTE, STATUS, "error.count") == ["/tea/", 500, 1]

    def test_a_request_that_is_tried_again_is_another_event(self, lines: Lines) -> None:
        """A middleware that asks twice with one request gets two lines, each whole."""
        with project(path("", hello), middleware=(f"{HERE}.Retrying", OURS)) as client:
            client.get("/")
        assert [200, 200] == [line[STATUS] for line in lines.all]


class TestSettings:
    """WIDEEVENTS in settings.py."""

    def test_there_need_be_none(self, lines: Lines) -> None:
        """Everything has a default; the framework is told by its name and version."""
        with project(path("", hello)) as client:
            del django_settings.WIDEEVENTS
            client.get("/")
        assert lines.one["framework.name"] == "django"
        assert lines.one["framework.version"].split(".")[0] in {"5", "6"}

    def test_they_are_those_of_the_door(self, lines: Lines) -> None:
        """Quiet routes, what is slow, and proxies."""
        given = {"quiet": ("/healthz/",), "slow_ms": 5_000, "proxies": 1}
        with project(path("healthz/", hello), path("", hello), given=given) as client:
            client.get("/healthz/")
            client.get("/", headers={"X-Forwarded-For": "203.0.113.7"})
        assert told(lines.one, "client.address", ROUTE) == ["203.0.113.7", "/"]

    @pytest.mark.parametrize(
        ("given", "sentence"),
        [
            ({"proxies": -1}, "proxies=-1 cannot be used: it must be the number of proxies in front, 0 or more."),
            ({"database": 1}, "database=1 cannot be used: it must be True or False."),
            ([("proxies", 1)], "WIDEEVENTS=[('proxies', 1)] cannot be used: it must be a dict, such as"),
            ({"service": "shop"}, "belongs to wideevents.configure(service=...)."),
            ({"slow": 1}, "WIDEEVENTS['slow'] is no setting of the middleware, which are quiet, slow_ms, proxies"),
        ],
    )
    def test_a_wrong_one_is_told_at_the_start(self, given: Any, sentence: str) -> None:
        """The server does not start, and says why."""
        with project(given=given), pytest.raises(ConfigurationError) as refused:
            WSGIHandler()
        assert sentence in str(refused.value)

    def test_those_of_the_process_are_checked_then_too(self) -> None:
        """What the environment says is read when the door is built, if nobody has configured the process before."""
        code = "from tests.integrations.test_django import *\nwith project(): WSGIHandler()"
        run = subprocess.run(
            [sys.executable, "-c", code],
            env=environment(LOG_LEVEL="nonsense"),
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 1
        assert "LOG_LEVEL='nonsense' cannot be used" in run.stderr

    @pytest.mark.parametrize("room", ["django", "_django", "_django_statements"])
    def test_without_django_the_extra_is_named(self, room: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """The error of the import says what to install."""
        monkeypatch.setitem(sys.modules, "django", None)
        monkeypatch.setitem(sys.modules, "django.core.exceptions", None)
        monkeypatch.setitem(sys.modules, "django.db", None)
        spec = importlib.util.find_spec(f"wideevents.integrations.{room}")
        assert spec
        assert spec.loader
        with pytest.raises(ImportError, match=r"pip install 'wideevents\[django\]'"):
            spec.loader.exec_module(importlib.util.module_from_spec(spec))
