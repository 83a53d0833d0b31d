"""What the line says of the route: its whole template, wherever the framework keeps it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import litestar
import pytest
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Host, Mount, Route, Router
from starlette.staticfiles import StaticFiles

from tests.integrations.dialogues import ask, told
from tests.integrations.servers import Lines
from wideevents.integrations import _routes
from wideevents.integrations.asgi import WideEvents

HERE = Path(__file__).parent


async def hello(request: Request) -> Response:
    return PlainTextResponse("Hello")


async def raw(scope: Any, receive: Any, send: Any) -> None:
    await PlainTextResponse("raw")(scope, receive, send)


def hiding(app: Any) -> Any:
    """Put something around *app* that shows nothing of it."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)

    return application


def with_app(app: Any) -> Any:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        scope["app"] = app
        await app(scope, receive, send)

    return application


def inner() -> list[Any]:
    """Return the routes of an application that others mount."""
    return [Route("/x/{id:int}", hello), Mount("/deep", routes=[Route("/y", hello)])]


def starlette() -> Starlette:
    """Build an application with every kind of route that Starlette has."""
    return Starlette(
        routes=[
            Route("/plain", hello),
            Route("/files/{name:path}", hello),
            Route("/reset/{token}", hello),
            Mount("/m/{tenant}", Starlette(routes=inner())),
            Mount("/zip", GZipMiddleware(Starlette(routes=inner()))),
            Mount("/own", routes=inner(), middleware=[Middleware(GZipMiddleware)]),
            Mount("/raw", raw),
            Mount("/static", StaticFiles(directory=HERE)),
            Mount("/hidden", hiding(Starlette(routes=inner()))),
            Host("api.example", Router([Route("/hosted/{name}", hello), Mount("/h", routes=inner())])),
        ]
    )


def fastapi() -> FastAPI:
    """Build an application with routers in routers, each with a prefix, and one that is mounted."""
    app, sub, router, outer = FastAPI(), FastAPI(), APIRouter(prefix="/inner"), APIRouter()

    @router.get("/i/{token}")
    async def read(token: str) -> str:
        return token

    @app.get("/top/{number}")
    async def top(number: int) -> int:
        return number

    router.add_route("/plain", hello)
    router.mount("/m", Starlette(routes=inner()))
    outer.include_router(router, prefix="/outer")
    app.include_router(outer, prefix="/v1")
    app.include_router(outer, prefix="/v2")
    sub.include_router(router, prefix="/s")
    app.mount("/sub/{tenant}", sub)
    app.mount("/zip", GZipMiddleware(sub))
    app.mount("/static", StaticFiles(directory=HERE))
    return app


def litestar_app() -> litestar.Litestar:
    """Build an application with routers in routers, and one that is mounted."""

    @litestar.get("/reset/{token:str}")
    async def reset(request: litestar.Request[Any, Any, Any]) -> str:
        return str(request.path_params["token"])

    @litestar.get("/files/{name:path}")
    async def files(request: litestar.Request[Any, Any, Any]) -> str:
        return str(request.path_params["name"])

    @litestar.get("/", media_type="text/plain")
    async def index() -> str:
        return "index"

    @litestar.asgi("/raw", is_mount=True, copy_scope=True)
    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        await raw(scope, receive, send)

    router = litestar.Router("/r/{tenant:str}", route_handlers=[reset])
    return litestar.Litestar([router, index, files, mounted], openapi_config=None, logging_config=None)


STARLETTE = {
    "/plain": "/plain",
    "/files/a/b.txt": "/files/{name:path}",
    "/m/acme/x/3": "/m/{tenant}/x/{id:int}",
    "/m/acme/deep/y": "/m/{tenant}/deep/y",
    "/zip/x/3": "/zip/x/{id:int}",
    "/zip/deep/y": "/zip/deep/y",
    "/own/x/3": "/own/x/{id:int}",
    "/raw/a/b": "/raw/{path:path}",
    "/static/test_routes.py": "/static/{path:path}",
    "/hidden/x/3": "/hidden/x/{id:int}",
    "/none": None,
    "/m/acme/none": None,
    "/zip/none": None,
    "/static/none": "/static/{path:path}",
}

FASTAPI = {
    "/top/7": "/top/{number}",
    "/v1/outer/inner/i/a": "/v1/outer/inner/i/{token}",
    "/v2/outer/inner/i/a": "/v2/outer/inner/i/{token}",
    "/v1/outer/plain": "/v1/outer/plain",
    "/v1/outer/m/x/3": "/v1/outer/m/x/{id:int}",
    "/sub/acme/s/inner/i/a": "/sub/{tenant}/s/inner/i/{token}",
    "/sub/acme/s/plain": "/sub/{tenant}/s/plain",
    "/sub/acme/docs": "/sub/{tenant}/docs",
    "/zip/s/inner/i/a": "/zip/s/inner/i/{token}",
    "/static/test_routes.py": "/static/{path:path}",
    "/docs": "/docs",
    "/none": None,
    "/sub/acme/none": None,
}

LITESTAR = {
    "/": "/",
    "/r/acme/reset/a": "/r/{tenant:str}/reset/{token:str}",
    "/files/a/b.txt": "/files/{name:path}",
    "/raw/a/b": "/raw/{path:path}",
    "/none": None,
}

CASES = [
    *((starlette, path, route) for path, route in STARLETTE.items()),
    *((fastapi, path, route) for path, route in FASTAPI.items()),
    *((litestar_app, path, route) for path, route in LITESTAR.items()),
]


class TestTemplates:
    """A route is told by its whole template, as its application was written."""

    @pytest.mark.parametrize(("build", "path", "route"), CASES)
    def test_a_template_is_whole(self, build: Callable[[], Any], path: str, route: str | None, lines: Lines) -> None:
        """With the prefixes of mounts and routers; a path that leads nowhere has none."""
        ask(WideEvents(build()), path)

        name = "GET" if route is None else f"GET {route}"
        assert (lines.one.get("http.route"), lines.one["event.name"]) == (route, name)

    @pytest.mark.parametrize(("build", "path", "route"), CASES)
    def test_a_template_has_the_root(
        self, build: Callable[[], Any], path: str, route: str | None, lines: Lines
    ) -> None:
        """Where the server, or a proxy, has put the application below a path, the route is that of the whole path."""
        ask(WideEvents(build()), f"/shop{path}", root_path="/shop")

        assert lines.one.get("http.route") == (None if route is None else f"/shop{route}")

    @pytest.mark.parametrize("build", [starlette, fastapi])
    def test_a_root_that_a_proxy_took_away_is_left_out(self, build: Callable[[], Any], lines: Lines) -> None:
        """The template is that of the path that came in."""
        path, route = ("/plain", "/plain") if build is starlette else ("/top/7", "/top/{number}")
        ask(WideEvents(build()), path, root_path="/shop")

        assert lines.one["http.route"] == route

    def test_a_path_that_only_begins_like_the_root_is_not_below_it(self, lines: Lines) -> None:
        """A root ends where a segment does."""
        ask(WideEvents(fastapi()), "/docs", root_path="/do")

        assert lines.one["http.route"] == "/docs"

    def test_the_host_may_choose(self, lines: Lines) -> None:
        """The routes of a host are found, and mounts among them."""
        app = WideEvents(starlette())
        for path in ("/hosted/ann", "/h/x/3"):
            ask(app, path, headers=[(b"host", b"api.example")])

        assert [line["http.route"] for line in lines.all] == ["/hosted/{name}", "/h/x/{id:int}"]

    def test_two_routes_of_one_handler_are_told_apart(self, lines: Lines) -> None:
        """The path says which."""
        app = FastAPI()
        app.mount("/m", Starlette(routes=[Route("/a", hello), Route("/b", hello)]))
        ask(WideEvents(app), "/m/b")

        assert lines.one["http.route"] == "/m/b"

    def test_two_handlers_of_one_path_are_told_apart(self, lines: Lines) -> None:
        """The method says which; in Starlette the parameters of each may have other names."""
        posted = Route("/b/{number}", responding, methods=["POST"])
        app = Starlette(routes=[Mount("/m", routes=[Route("/b/{name}", hello), posted])])
        ask(WideEvents(app), "/m/b/7", "POST")

        assert lines.one["http.route"] == "/m/b/{number}"

    def test_a_template_of_litestar_is_searched_for_once(self, lines: Lines) -> None:
        """It is known from then on."""
        app = WideEvents(litestar_app())
        for _ in range(2):
            ask(app, "/files/a/b.txt")

        assert [line["http.route"] for line in lines.all] == ["/files/{name:path}"] * 2
        assert app.door.templates == {"/files/{name}": "/files/{name:path}"}

    @pytest.mark.parametrize(
        ("build", "path", "route"),
        [
            (starlette, "/m/acme/x/3", "/m/{tenant}/x/{id:int}"),
            (fastapi, "/v1/outer/inner/i/a", "/v1/outer/inner/i/{token}"),
            (litestar_app, "/r/acme/reset/a", "/r/{tenant:str}/reset/{token:str}"),
        ],
    )
    def test_a_method_that_is_not_allowed_has_a_route(
        self, build: Callable[[], Any], path: str, route: str, lines: Lines
    ) -> None:
        """A 405 is about a route that exists, and whose parameters may be secret."""
        dialogue = ask(WideEvents(build()), path, "DELETE")

        assert (dialogue.status, lines.one["http.route"]) == (405, route)

    def test_a_405_below_a_root_has_a_route(self, lines: Lines) -> None:
        """Litestar's has to be searched for, below the root."""
        ask(WideEvents(litestar_app()), "/shop/r/acme/reset/abcd", "DELETE", root_path="/shop")

        assert (lines.one["http.route"], lines.one["url.path"]) == (
            "/shop/r/{tenant:str}/reset/{token:str}",
            "/shop/r/acme/reset/[redacted]",
        )

    def test_an_error_has_a_route(self, lines: Lines) -> None:
        """Where nothing was answered, too."""

        async def crash(request: Request) -> Response:
            raise RuntimeError

        app = WideEvents(with_app(Router([Route("/crash/{name}", crash)])))
        with pytest.raises(RuntimeError):
            ask(app, "/crash/ann")

        assert lines.one["http.route"] == "/crash/{name}"

    def test_what_cannot_be_searched_costs_nothing_but_the_route(self, lines: Lines) -> None:
        """A framework that keeps its routes otherwise tomorrow is served as before."""

        class Strange:
            def __getattr__(self, name: str) -> Any:
                raise ValueError(name)

        class App:
            routes = (Strange(),)

            async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
                scope.update(app=self, router=self, endpoint=self.endpoint)
                await raw(scope, receive, send)

            def __init__(self, endpoint: object) -> None:
                self.endpoint = endpoint
                self.asgi_router = None

        dialogues = [ask(WideEvents(App(hello))), ask(WideEvents(App(None)))]

        assert [dialogue.body for dialogue in dialogues] == [b"raw", b"raw"]
        assert [line.get("http.route") for line in lines.all] == [None, None]


class TestParameters:
    """The values of secret parameters are in no line, of whatever type they are."""

    @pytest.mark.parametrize(
        ("build", "path", "shown"),
        [
            (starlette, "/reset/s3cr3t", "/reset/[redacted]"),
            (fastapi, "/v1/outer/inner/i/s3cr3t", "/v1/outer/inner/i/[redacted]"),
            (litestar_app, "/r/acme/reset/s3cr3t", "/r/acme/reset/[redacted]"),
        ],
    )
    def test_a_secret_is_hidden_by_its_name(
        self, build: Callable[[], Any], path: str, shown: str, lines: Lines
    ) -> None:
        """In the path, and wherever else it stands."""
        ask(WideEvents(build()), path)

        assert lines.one["url.path"] == shown
        assert b"s3cr3t" not in lines.raw[0]

    def test_a_secret_that_was_converted_is_hidden(self, lines: Lines) -> None:
        """A number is looked for as it stands in the path."""
        ask(WideEvents(Starlette(routes=[Route("/pay/{token:int}", hello)])), "/pay/48151623")

        assert lines.one["url.path"] == "/pay/[redacted]"


async def responding(request: Request) -> Response:
    return PlainTextResponse("owned")


async def returning() -> str:
    return "owned"


class TestHandlers:
    """Who owns the code of a handler owns its events."""

    @pytest.mark.parametrize(
        "build",
        [
            lambda: Starlette(routes=[Route("/owned", responding)]),
            lambda: FastAPI(routes=[APIRoute("/owned", returning)]),
            lambda: litestar.Litestar([litestar.get("/owned")(returning)], openapi_config=None, logging_config=None),
        ],
        ids=["starlette", "fastapi", "litestar"],
    )
    def test_the_owner_of_a_handler_is_told(
        self, build: Callable[[], Any], lines: Lines, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is the function that was registered, however the framework wraps it."""
        monkeypatch.setattr(sys.modules[__name__], "__owner__", "checkout", raising=False)
        ask(WideEvents(build()), "/owned")

        assert lines.one["owner.team"] == "checkout"


class OwnApp(FastAPI):
    """Be an application that derives from its framework's."""


class TestFrameworks:
    """The framework behind the door is told, with its version, and without importing it."""

    @pytest.mark.parametrize(
        ("build", "name"),
        [(starlette, "starlette"), (fastapi, "fastapi"), (litestar_app, "litestar"), (OwnApp, "fastapi")],
    )
    def test_the_framework_is_told(self, build: Callable[[], Any], name: str, lines: Lines) -> None:
        """A 404 has it, too, and an application that is derived from the framework's."""
        ask(WideEvents(build()), "/none")

        assert (lines.one["framework.name"], lines.one["framework.version"]) == (name, version(name))

    def test_a_framework_that_nobody_knows_is_told_by_its_package(self, lines: Lines) -> None:
        """There is no version to be had."""

        class App:
            async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
                scope["app"] = self
                await raw(scope, receive, send)

        ask(WideEvents(App()))

        assert told(lines.one, ("framework.name", "framework.version")) == {"framework.name": "tests"}

    def test_an_application_of_no_framework_tells_none(self, lines: Lines) -> None:
        """There is nothing to be told."""
        ask(WideEvents(raw))

        assert "framework.name" not in lines.one


class TestQuietRoutes:
    """Quiet routes are given as they are told."""

    @pytest.mark.parametrize(
        ("build", "quiet", "path"),
        [
            (starlette, "/m/{tenant}/x/{id:int}", "/m/acme/x/3"),
            (starlette, "/static/{path:path}", "/static/test_routes.py"),
            (starlette, "/files/<path:any>", "/files/a/b"),
            (fastapi, "/v1/outer/inner/i/{token}", "/v1/outer/inner/i/a"),
            (litestar_app, "/files/{name:path}", "/files/a/b"),
        ],
    )
    def test_a_quiet_route_leaves_no_line(self, build: Callable[[], Any], quiet: str, path: str, lines: Lines) -> None:
        """By its whole template, in the syntax of any framework."""
        ask(WideEvents(build(), quiet=(quiet,)), path)

        assert lines.raw == []


class Chosen:
    """Count how often a route is chosen, and keep what the scope held by then."""

    def __init__(self, **scope: Any) -> None:
        self.given = dict(scope)
        self.seen: list[dict[str, Any]] = []
        self.scope = _routes.Watched(self.given, lambda: self.seen.append(dict(self.given)))


class Chooser:
    """Be a route that has an endpoint, as one of Starlette has; or that raises where it is asked for it."""

    def __init__(self, endpoint: Any) -> None:
        self.given = endpoint

    @property
    def endpoint(self) -> Any:
        if isinstance(self.given, BaseException):
            raise self.given
        return self.given


class TestWatched:
    """The scope that an application is given where a flight recorder wants the route early."""

    def test_a_choice_is_told_when_all_of_it_is_there(self) -> None:
        """Starlette writes the route first, and then the rest at once: the parameters are told with it."""
        chosen, route = Chosen(path="/"), Chooser(hello)
        chosen.scope["route"] = route
        chosen.scope["app"] = None
        assert chosen.seen == []
        chosen.scope.update({"endpoint": hello, "path_params": {"id": 7}})
        chosen.scope["path_params"] = {}

        assert chosen.seen == [{"path": "/", "route": route, "app": None, "endpoint": hello, "path_params": {"id": 7}}]

    def test_a_choice_of_litestar_is_told_with_its_template(self) -> None:
        """It is written last; a mount has none."""
        chosen = Chosen()
        chosen.scope["path_params"] = {"id": 7}
        chosen.scope["path_template"] = ""
        assert chosen.seen == []
        chosen.scope["path_template"] = "/orders/{id}"

        assert chosen.seen == [{"path_params": {"id": 7}, "path_template": "/orders/{id}"}]

    @pytest.mark.parametrize("route", [None, Mount("/x", app=raw), Chooser(raw)], ids=["none", "mount", "another"])
    def test_what_may_be_chosen_further_is_not_told(self, route: Any) -> None:
        """A router that is mounted may have parameters of its own, and nobody knows whether they are secret."""
        chosen = Chosen()
        chosen.scope.update(route=route, endpoint=hello)

        assert chosen.seen == []

    def test_what_raises_costs_the_application_nothing(self) -> None:
        """It is just choosing."""
        chosen = Chosen()
        chosen.scope.update(route=Chooser(OSError("gone")), endpoint=hello)

        assert (chosen.seen, chosen.given["endpoint"]) == ([], hello)

    @pytest.mark.parametrize(
        "write",
        [
            lambda scope: scope.__setitem__("c", 3),
            lambda scope: scope.update({"a": 2}, c=3),
            lambda scope: scope.update([("c", 3)]),
            lambda scope: scope.__ior__({"c": 3}),
            lambda scope: scope.setdefault("c", 3),
            lambda scope: scope.setdefault("a", 3),
            lambda scope: scope.__delitem__("a"),
            lambda scope: scope.pop("a"),
            lambda scope: scope.pop("c", 3),
            lambda scope: scope.popitem(),
            lambda scope: scope.clear(),
        ],
    )
    def test_it_is_a_dict_whose_changes_are_the_servers(self, write: Callable[[Any], Any]) -> None:
        """It does what any dict does, and who stands around the door finds what was written."""
        plain = {"a": 1, "b": 2}
        chosen = Chosen(**plain)

        assert write(chosen.scope) == write(plain)
        assert isinstance(chosen.scope, dict)
        assert chosen.scope == chosen.given == plain

    def test_what_the_server_has_taken_away_can_be_taken_away(self) -> None:
        """The door itself does that at the end."""
        chosen = Chosen(a=1)
        del chosen.given["a"]
        del chosen.scope["a"]

        assert chosen.scope == {}


class TestTemplatesOf:
    """All routes of an application are known beforehand, so that their counters can begin at zero."""

    def test_every_route_of_starlette_is_found(self) -> None:
        """Through mounts, middleware and hosts."""
        assert [template for template, _ in _routes.templates(starlette().routes)] == [
            *("/plain", "/files/{name:path}", "/reset/{token}"),
            *("/m/{tenant}/x/{id:int}", "/m/{tenant}/deep/y"),
            *("/zip/x/{id:int}", "/zip/deep/y", "/own/x/{id:int}", "/own/deep/y"),
            *("/raw/{path:path}", "/static/{path:path}", "/hidden/{path:path}"),
            *("/hosted/{name}", "/h/x/{id:int}", "/h/deep/y"),
        ]

    def test_every_route_of_fastapi_is_found(self) -> None:
        """Through routers with their prefixes."""
        found = [template for template, _ in _routes.templates(fastapi().routes)]

        assert set(found) >= {
            route for route in FASTAPI.values() if route and not route.startswith("/sub/{tenant}/docs")
        }

    def test_a_route_of_another_kind_is_left_out(self) -> None:
        """There may be others tomorrow."""
        assert list(_routes.templates([object(), Route("/plain", hello)])) == [("/plain", hello)]

    def test_every_route_of_litestar_is_found(self) -> None:
        """With the function that serves it."""
        found = dict(_routes.templates(litestar_app().routes))

        assert set(found) == {"/", "/r/{tenant:str}/reset/{token:str}", "/files/{name:path}", "/raw"}
        assert getattr(found["/files/{name:path}"], "__name__", None) == "files"
