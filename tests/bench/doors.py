"""
Measure what an event adds to a request behind every door, and compare a framework's own door with the plain one.

Run `make bench`. Each application answers the same request and adds the same eight fields: without a door, behind the
plain one for WSGI or ASGI, and behind its framework's own, where there is one. Everything runs in one process: rounds
of each contender in turn, processor time of the process, the median of the rounds. Absolute figures are the machine's;
the ratios are what can be compared.
"""

from __future__ import annotations

import asyncio
import io
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.urls import path
from fastapi import FastAPI
from litestar import Litestar, get
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import wideevents
from tests.bench.flask_request import ENVIRON, FIELDS, hello
from wideevents.integrations import asgi, flask, wsgi

ROUNDS = 15
REQUESTS = 500

SCOPE: dict[str, Any] = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.3"},
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "path": "/hello/world",
    "raw_path": b"/hello/world",
    "root_path": "",
    "query_string": b"page=2&sort=price",
    "headers": [
        (b"host", b"shop.example.com"),
        (b"user-agent", ENVIRON["HTTP_USER_AGENT"].encode()),
        (b"accept", b"*/*"),
    ],
    "client": ("127.0.0.1", 50_000),
    "server": ("127.0.0.1", 8_000),
}

DJANGO_DOOR = ("wideevents.integrations.django.WideEvents",)

Add = Callable[[str, Any], None]
Serve = Callable[[int], None]


def ignore(key: str, value: object) -> None:
    """Add nothing: what the bare application does."""


def add_all(add: Add) -> None:
    for key, value in FIELDS.items():
        add(key, value)


def serve_wsgi(app: Any, number: int) -> None:
    """Call *app* as a WSGI server does, *number* times."""

    def start_response(status: str, headers: object, exc_info: object = None) -> None:
        assert status == "200 OK"

    for _ in range(number):
        body = app({**ENVIRON, "wsgi.input": io.BytesIO()}, start_response)
        for _ in body:
            pass
        close = getattr(body, "close", None)
        if close is not None:
            close()


def serve_asgi(app: Any, number: int) -> None:
    """Call *app* as an ASGI server does, *number* times."""

    async def send(message: dict[str, Any]) -> None:
        assert message.get("status", 200) == 200

    async def serve() -> None:
        for _ in range(number):
            await app({**SCOPE, "state": {}}, Client().receive, send)

    asyncio.run(serve())


class Client:
    """Send a request without a body, and stay."""

    def __init__(self) -> None:
        self.sent = False

    async def receive(self) -> dict[str, Any]:
        if self.sent:
            await asyncio.Future()
        self.sent = True
        return {"type": "http.request", "body": b"", "more_body": False}


def raw_wsgi(add: Add) -> Any:
    def app(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        add_all(add)
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
        return [b"hello"]

    return app


def raw_asgi(add: Add) -> Any:
    async def app(scope: object, receive: object, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        add_all(add)
        headers = [(b"content-type", b"text/plain"), (b"content-length", b"5")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"hello"})

    return app


def starlette(add: Add) -> Any:
    async def greet(request: Request) -> PlainTextResponse:
        add_all(add)
        return PlainTextResponse(f"Hello, {request.path_params['name']}")

    return Starlette(routes=[Route("/hello/{name}", greet)])


def fastapi(add: Add) -> Any:
    app = FastAPI()

    @app.get("/hello/{name}")
    async def greet(name: str) -> dict[str, str]:
        add_all(add)
        return {"hello": name}

    return app


def litestar(add: Add) -> Any:
    @get("/hello/{name:str}")
    async def greet(name: str) -> str:
        add_all(add)
        return f"Hello, {name}"

    return Litestar([greet], logging_config=None)


def set_up_django() -> None:
    """Configure Django, with a URL for each way to answer."""

    def greet(request: HttpRequest, name: str, add: Add) -> HttpResponse:
        add_all(add)
        return HttpResponse(f"Hello, {name}")

    async def greet_soon(request: HttpRequest, name: str, add: Add) -> HttpResponse:
        return greet(request, name, add)

    settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="bench", USE_TZ=True)
    django.setup()
    views = {"sync": greet, "async": greet_soon}
    adds = {"bare": ignore, "ours": wideevents.add_field}
    urlpatterns[:] = [
        path(f"{way}/{whose}/hello/<str:name>", view, {"add": add})
        for way, view in views.items()
        for whose, add in adds.items()
    ]


urlpatterns: list[Any] = []


def django_app(way: str, whose: str, middleware: tuple[str, ...] = ()) -> Any:
    """Return a handler with the middleware or without; the URL says which view is meant."""
    settings.MIDDLEWARE = list(middleware)
    handler: Any = ASGIHandler() if way == "async" else WSGIHandler()
    prefix = f"/{way}/{whose}"

    def called(environ: dict[str, Any], *rest: Any) -> Any:
        name = "path" if way == "async" else "PATH_INFO"
        return handler({**environ, name: prefix + environ[name]}, *rest)

    return called


def contenders() -> dict[str, dict[str, Serve]]:
    """Return for each framework what serves a number of requests: bare, behind the plain door, and behind its own."""
    add = wideevents.add_field
    set_up_django()
    flask_app = hello(add)
    flask.WideEvents(flask_app)
    wsgi_apps: dict[str, tuple[Any, Any, Any]] = {
        "wsgi": (raw_wsgi(ignore), raw_wsgi(add), None),
        "flask": (hello(None), hello(add), flask_app),
        "django": (django_app("sync", "bare"), django_app("sync", "ours"), django_app("sync", "ours", DJANGO_DOOR)),
    }
    asgi_apps: dict[str, tuple[Any, Any, Any]] = {
        "asgi": (raw_asgi(ignore), raw_asgi(add), None),
        "starlette": (starlette(ignore), starlette(add), None),
        "fastapi": (fastapi(ignore), fastapi(add), None),
        "litestar": (litestar(ignore), litestar(add), None),
        "django async": (
            django_app("async", "bare"),
            django_app("async", "ours"),
            django_app("async", "ours", DJANGO_DOOR),
        ),
    }
    found: dict[str, dict[str, Serve]] = {}
    for apps, serve, door in ((wsgi_apps, serve_wsgi, wsgi.WideEvents), (asgi_apps, serve_asgi, asgi.WideEvents)):
        for name, (bare, adding, own) in apps.items():
            found[name] = {"bare": partial(serve, bare), "plain": partial(serve, door(adding))}
            if own is not None:
                found[name]["own"] = partial(serve, own)
    return found


def measure(found: dict[str, dict[str, Serve]]) -> dict[str, dict[str, float]]:
    """Return microseconds of processor time per request: medians of interleaved rounds."""
    rounds: dict[str, dict[str, list[float]]] = {name: {way: [] for way in ways} for name, ways in found.items()}
    for round_ in range(ROUNDS + 1):
        for name, ways in found.items():
            for way, serve in ways.items():
                before = time.process_time_ns()
                serve(REQUESTS)
                if round_:
                    rounds[name][way].append((time.process_time_ns() - before) / REQUESTS / 1000)
    return {name: {way: statistics.median(taken) for way, taken in ways.items()} for name, ways in rounds.items()}


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder, "lines.jsonl")
        wideevents.configure(service="bench", version="1.0.0", environment="test", output=lines, logging=False)
        found = contenders()
        taken = measure(found)
        watched = sum(len(ways) - 1 for ways in found.values())
        assert lines.read_bytes().count(b"\n") == watched * (ROUNDS + 1) * REQUESTS, "a line for every request"
    print(f"{'framework':14}{'bare':>9}{'plain door':>12}{'its own':>10}{'own / plain':>13}{'plain / raw wsgi':>18}")
    raw = taken["wsgi"]["plain"] - taken["wsgi"]["bare"]
    for name, ways in taken.items():
        plain = ways["plain"] - ways["bare"]
        own = f"{ways['own'] - ways['bare']:7.1f} us" if "own" in ways else f"{'':10}"
        ratio = f"{(ways['own'] - ways['bare']) / plain:12.2f}x" if "own" in ways else f"{'':13}"
        print(f"{name:14}{ways['bare']:6.1f} us{plain:9.1f} us{own}{ratio}{plain / raw:17.2f}x")


if __name__ == "__main__":
    main()
