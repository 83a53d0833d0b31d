"""The doors under test that speak ASGI: the little application for ASGI alone, Starlette, FastAPI and Litestar."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any
from urllib.parse import parse_qsl

import litestar
from fastapi import Depends, FastAPI
from litestar.exceptions import PermissionDeniedException
from litestar.response import File, Stream
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Route as StarletteRoute

from tests.integrations.doors import PARAMETER, Application, Around, excuse, find, head_of, unchanged
from tests.integrations.views import HANDLED, ROUTES, Answer, Asked, Coroutine, RefusalError, Route, View
from wideevents.integrations.asgi import WideEvents


def in_braces(template: str) -> str:
    """Write the parameters of a route as Starlette does: {name:path}."""
    return PARAMETER.sub(
        lambda found: "{" + ":".join(filter(None, (found["name"], found["converter"]))) + "}", template
    )


def with_types(template: str) -> str:
    """Write the parameters of a route as Litestar does: {name:path}, {token:str}."""
    return PARAMETER.sub(lambda found: f"{{{found['name']}:{found['converter'] or 'str'}}}", template)


class AsgiDoor:
    """An application that knows nothing but ASGI."""

    name = "asgi"
    framework: str | None = None
    answers_errors = False
    masks = False
    empty_part = True
    closes: tuple[str, ...] = ("close", "error")
    wraps: str | None = None

    def route(self, template: str) -> str | None:
        return None

    def bare(self, around: Around = unchanged) -> Application:
        return around(self.build())

    def watched(self, around: Around = unchanged, **settings: Any) -> Application:
        return WideEvents(around(self.build()), **settings)

    def build(self) -> Application:
        """Build the application itself."""
        return raw_application


class StarletteDoor(AsgiDoor):
    """Starlette, whose views are coroutines."""

    name = framework = "starlette"
    answers_errors = True
    masks = True
    closes = ("close",)

    def route(self, template: str) -> str | None:
        return in_braces(template)

    def build(self) -> Application:
        """Build the little application with Starlette."""
        app = Starlette(
            routes=[
                StarletteRoute(in_braces(route.template), starlette_view(route.coroutine), methods=[route.method])
                for route in ROUTES
            ],
            exception_handlers={kind: starlette_error_handler(status) for kind, status in HANDLED.items()},
        )
        app.router.redirect_slashes = False
        return app


class FastApiDoor(StarletteDoor):
    """FastAPI, whose views are coroutines that take what they need by their signature."""

    name = framework = "fastapi"
    view = staticmethod(lambda route: fastapi_view(route.coroutine))

    def build(self) -> Application:
        """Build the little application with FastAPI."""
        app = FastAPI(openapi_url=None, redirect_slashes=False)
        for route in ROUTES:
            methods = [route.method] if route.method == "POST" else [route.method, "HEAD"]
            app.add_api_route(in_braces(route.template), self.view(route), methods=methods)
        for kind, status in HANDLED.items():
            app.add_exception_handler(kind, starlette_error_handler(status))
        return app


class FastApiSyncDoor(FastApiDoor):
    """FastAPI, whose views are plain functions: they run in a pool of threads, and so do the parts of their bodies."""

    name = "fastapi_sync"
    closes = ()
    view = staticmethod(lambda route: fastapi_sync_view(route.view))


class LitestarDoor(AsgiDoor):
    """Litestar, which answers every exception itself, and lets none out."""

    name = framework = "litestar"
    answers_errors = True
    masks = True
    wraps = "litestar.exceptions.base_exceptions.LitestarException"

    def route(self, template: str) -> str | None:
        return with_types(template)

    def build(self) -> Application:
        """Build the little application with Litestar."""
        return litestar.Litestar(
            route_handlers=[litestar_handler(route) for route in ROUTES],
            exception_handlers={kind: litestar_error_handler(status) for kind, status in HANDLED.items()},
            openapi_config=None,
            logging_config=None,
        )


async def raw_application(scope: Any, receive: Any, send: Any) -> None:
    """Serve the little application as the specification of ASGI has it."""
    if scope["type"] == "lifespan":
        await live(receive, send)
        return
    answer = await answered(scope, receive)
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in head_of(answer)]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    if scope["method"] == "HEAD":
        await send({"type": "http.response.body"})
    elif answer.file is not None and "http.response.pathsend" in scope.get("extensions", {}):
        await send({"type": "http.response.pathsend", "path": str(answer.file)})
    elif answer.file is not None:
        await send({"type": "http.response.body", "body": answer.file.read_bytes()})
    elif isinstance(answer.body, bytes):
        await send({"type": "http.response.body", "body": answer.body})
    else:
        await stream(answer.body, receive, send)


async def live(receive: Any, send: Any) -> None:
    """Say that the start and the end have gone well."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def answered(scope: Any, receive: Any) -> Answer:
    """Find the view for a path, and call it."""
    found = find(scope["method"], scope["path"])
    if isinstance(found, Answer):
        return found
    route, parameters = found
    query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
    try:
        return await route.coroutine(Asked(query, await read(receive)), **parameters)
    except (RefusalError, *HANDLED) as error:
        return excuse(error)


async def read(receive: Any) -> bytes:
    """Read the body of a request."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def stream(parts: AsyncIterator[bytes], receive: Any, send: Any) -> None:
    """Send the parts of a body, until the client has gone: either way of telling that is taken."""

    async def pour() -> None:
        async for part in parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body"})

    async def listen() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    tasks = [asyncio.create_task(each) for each in (pour(), listen())]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


def starlette_view(view: Coroutine) -> Callable[[Request], Awaitable[Response]]:
    async def respond(request: Request) -> Response:
        try:
            answer = await view(Asked(request.query_params, await request.body()), **request.path_params)
        except RefusalError:
            raise HTTPException(403) from None
        return starlette_response(answer)

    respond.__name__ = view.__name__
    return respond


async def read_request(request: Request) -> Asked:
    """Be the dependency that FastAPI's views have."""
    return Asked(request.query_params, await request.body())


def fastapi_view(view: Coroutine) -> Callable[..., Awaitable[Response]]:
    async def respond(request: Request, asked: Annotated[Asked, Depends(read_request)]) -> Response:
        try:
            answer = await view(asked, **request.path_params)
        except RefusalError:
            raise HTTPException(403) from None
        return starlette_response(answer)

    respond.__name__ = view.__name__
    return respond


def fastapi_sync_view(view: View) -> Callable[..., Response]:
    def respond(request: Request, asked: Annotated[Asked, Depends(read_request)]) -> Response:
        try:
            answer = view(asked, **request.path_params)
        except RefusalError:
            raise HTTPException(403) from None
        return starlette_response(answer)

    respond.__name__ = view.__name__
    return respond


def starlette_response(answer: Answer) -> Response:
    headers = dict(answer.headers)
    if answer.file is not None:
        return FileResponse(answer.file, answer.status, headers, "text/plain")
    if isinstance(answer.body, bytes):
        return Response(answer.body, answer.status, headers, "text/plain")
    return StreamingResponse(answer.body, answer.status, headers, "text/plain")


def starlette_error_handler(status: int) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def respond(request: Request, error: Exception) -> Response:
        return Response(str(error), status, media_type="text/plain")

    return respond


def litestar_handler(route: Route) -> Any:
    methods = [route.method] if route.method == "POST" else [route.method, "HEAD"]
    return litestar.route(with_types(route.template), http_method=methods)(litestar_view(route.coroutine))


def litestar_view(view: Coroutine) -> Callable[..., Awaitable[Any]]:
    async def respond(request: litestar.Request[Any, Any, Any]) -> litestar.Response[Any]:
        parameters = {name: str(value) for name, value in request.path_params.items()}
        try:
            answer = await view(Asked(request.query_params, await request.body()), **parameters)
        except RefusalError:
            raise PermissionDeniedException from None
        return litestar_response(answer)

    respond.__name__ = view.__name__
    return respond


def litestar_response(answer: Answer) -> litestar.Response[Any]:
    headers = dict(answer.headers)
    if answer.file is not None:
        return File(answer.file, headers=headers, media_type="text/plain")
    if isinstance(answer.body, bytes):
        body = answer.body if answer.status not in {204, 304} else None
        return litestar.Response(body, headers=headers, media_type="text/plain", status_code=answer.status)
    return Stream(answer.body, headers=headers, media_type="text/plain", status_code=answer.status)


def litestar_error_handler(status: int) -> Callable[[Any, Exception], litestar.Response[str]]:
    return lambda request, error: litestar.Response(str(error), media_type="text/plain", status_code=status)
