"""Offer the applications that are measured, and hooks for what has no integration for them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, g, request
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tests.bench.flask_request import FIELDS

Fields = dict[str, Any]
Add = Callable[[Fields], object]


def ignore(fields: Fields) -> None:
    """Add nothing: what the bare application does."""


def each(add: Callable[[str, Any], object]) -> Add:
    """Add one field after the other."""

    def add_each(fields: Fields) -> None:
        for key, value in fields.items():
            add(key, value)

    return add_each


def flask_app(add: Add) -> Flask:
    """Return the application for Flask, which tells *add* its eight fields."""
    app = Flask("hello")

    @app.get("/hello/<name>")
    def greet(name: str) -> str:
        add(FIELDS)
        return f"Hello, {name}"

    return app


def starlette_app(add: Add) -> Starlette:
    """Return the application for Starlette, which tells *add* its eight fields."""

    async def greet(request: Request) -> PlainTextResponse:
        add(FIELDS)
        return PlainTextResponse(f"Hello, {request.path_params['name']}")

    return Starlette(routes=[Route("/hello/{name}", greet)])


@dataclass(frozen=True, slots=True)
class Hooks:
    """Do by hand what a library without an integration asks of its users: begin, add, and write one line at the end."""

    begin: Callable[[Fields], object]
    add: Add
    end: Callable[[Fields], object]


def collecting(write: Callable[[Fields], object]) -> Hooks:
    """Collect the fields of a request in a dictionary, and *write* it at the end."""
    collected: ContextVar[Fields] = ContextVar("collected")

    def end(fields: Fields) -> None:
        found = collected.get()
        found.update(fields)
        write(found)

    return Hooks(collected.set, lambda fields: collected.get().update(fields), end)


def hooked_flask(hooks: Hooks) -> Flask:
    """Return the application for Flask, with hooks before and after a request."""
    app = flask_app(hooks.add)

    @app.before_request
    def begin() -> None:
        g.started = time.perf_counter_ns()
        hooks.begin({"method": request.method, "path": request.path})

    @app.after_request
    def end(response: Response) -> Response:
        elapsed = (time.perf_counter_ns() - g.started) / 1e6
        hooks.end({"status": response.status_code, "duration_ms": elapsed})
        return response

    return app


def hooked_starlette(hooks: Hooks) -> Any:
    """Return the application for Starlette, in a middleware that is the cheapest kind: pure ASGI."""
    inner = starlette_app(hooks.add)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        started, status = time.perf_counter_ns(), 500
        hooks.begin({"method": scope["method"], "path": scope["path"]})

        async def note(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await inner(scope, receive, note)
        finally:
            hooks.end({"status": status, "duration_ms": (time.perf_counter_ns() - started) / 1e6})

    return app


def around(app: Callable[..., Iterable[bytes]], scope: Callable[[Fields], Any]) -> Any:
    """Call the WSGI application *app* in a context that *scope* makes of what the request says first."""

    def called(environ: Fields, start_response: Callable[..., Any]) -> Iterable[bytes]:
        with scope({"method": environ["REQUEST_METHOD"], "path": environ["PATH_INFO"]}) as add:

            def respond(status: str, headers: Any, exc_info: Any = None) -> Any:
                add(status=int(status[:3]))
                return start_response(status, headers, exc_info)

            return app(environ, respond)

    return called
