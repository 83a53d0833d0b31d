"""
Measure what an event adds to a request behind every door, and compare a framework's own door with the plain one.

Run `make bench`. Each application answers the same request and adds the same eight fields: without a door, behind the
plain one for WSGI or ASGI, and behind its framework's own, where there is one. Everything runs in one process: rounds
of each contender in turn, processor time of the process, the median of the rounds. Absolute figures are the machine's;
the ratios are what can be compared.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
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
from tests.bench.flask_request import hello
from tests.bench.raw import Add, add_all, raw_asgi, raw_wsgi, serve_asgi, serve_wsgi
from tests.bench.report import Table, show
from wideevents.integrations import asgi, flask, wsgi

ROUNDS = 15
REQUESTS = 500

NOTE = f"""\
Microseconds of processor time for a request, and what eight fields behind a door add to it: the plain door for WSGI or
ASGI, and the framework's own, where there is one. The median of {ROUNDS} interleaved rounds in one process."""

DJANGO_DOOR = ("wideevents.integrations.django.WideEvents",)

Serve = Callable[[int], None]


def ignore(key: str, value: object) -> None:
    """Add nothing: what the bare application does."""


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


def run() -> Table:
    """Measure every door, and check its lines."""
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder, "lines.jsonl")
        wideevents.configure(service="bench", version="1.0.0", environment="test", output=lines, logging=False)
        found = contenders()
        taken = measure(found)
        watched = sum(len(ways) - 1 for ways in found.values())
        assert lines.read_bytes().count(b"\n") == watched * (ROUNDS + 1) * REQUESTS, "a line for every request"
    raw = taken["wsgi"]["plain"] - taken["wsgi"]["bare"]
    rows = []
    for name, ways in taken.items():
        plain = ways["plain"] - ways["bare"]
        own = ways["own"] - ways["bare"] if "own" in ways else None
        told = ("", "") if own is None else (f"{own:.1f}", f"{own / plain:.2f}")
        rows.append((name, f"{ways['bare']:.1f}", f"{plain:.1f}", *told, f"{plain / raw:.2f}"))
    columns = ("application", "bare, us", "plain door, us added", "its own, us added", "own / plain", "plain / WSGI's")
    return Table("Every door", NOTE, columns, tuple(rows))


if __name__ == "__main__":
    show([run()])
