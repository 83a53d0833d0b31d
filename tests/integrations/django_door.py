"""The doors under test that are made with Django: the little application for WSGI, and for ASGI with coroutines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import django
from asgiref.sync import markcoroutinefunction
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import FileResponse, HttpResponse, HttpResponseNotAllowed, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.test import override_settings
from django.urls import path

from tests.integrations.doors import TEXT, Application, Around, unchanged
from tests.integrations.views import HANDLED, ROUTES, Answer, Asked, RefusalError, Route

OURS = "wideevents.integrations.django.WideEvents"
BLOCK = 16_384
"""Bytes of a file that are read at once."""


def set_up() -> None:
    """Configure Django, once in a process."""
    if not settings.configured:
        settings.configure(
            ALLOWED_HOSTS=["*"],
            DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
            INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"],
            ROOT_URLCONF=Functions,
            SECRET_KEY="nothing is signed by it",
        )
        django.setup()


class DjangoDoor:
    """Django for WSGI, whose views are functions."""

    name = "django"
    framework = "django"
    answers_errors = True
    masks = True
    empty_part = True
    closes = ("close", "error")
    wraps = None
    handler: Callable[[], Application] = WSGIHandler
    own = f"{__name__}.Errors"

    def __init__(self) -> None:
        set_up()

    def route(self, template: str) -> str | None:
        return template

    def bare(self, around: Around = unchanged) -> Application:
        with override_settings(MIDDLEWARE=[self.own]):
            return around(self.handler())

    def watched(self, around: Around = unchanged, **given: Any) -> Application:
        """Build the application; the door also stands last, where it sees what the application's own handles."""
        with override_settings(MIDDLEWARE=[OURS, self.own, OURS], WIDEEVENTS=given):
            return around(self.handler())


class AsyncDjangoDoor(DjangoDoor):
    """Django for ASGI, whose views are coroutines."""

    name = "django_async"
    handler = staticmethod(lambda: in_small_letters(ASGIHandler()))
    own = f"{__name__}.AsyncErrors"


def in_small_letters(application: Application) -> Application:
    """Send the names of headers as ASGI has them; Django sends them as they were written."""

    async def written_so(scope: Any, receive: Any, send: Any) -> None:
        async def send_so(message: Any) -> None:
            if "headers" in message:
                message["headers"] = [(name.lower(), value) for name, value in message["headers"]]
            await send(message)

        await application(scope, receive, send_so)

    return written_so


class Errors:
    """Be the application's own middleware, which answers the exceptions that are there to be handled."""

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        return self.get_response(request)

    def process_exception(self, request: Any, exception: Exception) -> HttpResponse | None:
        status = HANDLED.get(type(exception))
        return HttpResponse(str(exception), TEXT[1], status) if status else None


class AsyncErrors(Errors):
    """Do the same for ASGI, where the views are others."""

    sync_capable = False
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        super().__init__(get_response)
        markcoroutinefunction(self)

    async def __call__(self, request: Any) -> Any:
        request.urlconf = Coroutines
        return await self.get_response(request)


def function(route: Route) -> Callable[..., HttpResponseBase]:
    view = route.view

    def respond(request: Any, **parameters: str) -> HttpResponseBase:
        if request.method not in {route.method, "HEAD"}:
            return HttpResponseNotAllowed([route.method])
        try:
            answer = view(Asked(request.GET, request.body), **parameters)
        except RefusalError:
            raise PermissionDenied from None
        if answer.file is not None:
            return FileResponse(answer.file.open("rb"), content_type="text/plain")
        return response(answer)

    return respond


def coroutine(route: Route) -> Callable[..., Any]:
    view = route.coroutine

    async def respond(request: Any, **parameters: str) -> HttpResponseBase:
        if request.method not in {route.method, "HEAD"}:
            return HttpResponseNotAllowed([route.method])
        try:
            answer = await view(Asked(request.GET, request.body), **parameters)
        except RefusalError:
            raise PermissionDenied from None
        if answer.file is not None:
            length = {"Content-Length": str(answer.file.stat().st_size)}
            return StreamingHttpResponse(blocks(answer.file), content_type="text/plain", headers=length)
        return response(answer)

    return respond


def response(answer: Answer) -> HttpResponseBase:
    kind = HttpResponse if isinstance(answer.body, bytes) else StreamingHttpResponse
    made = kind(answer.body, content_type=TEXT[1], status=answer.status, headers=dict(answer.headers))
    if answer.status in {204, 304}:
        del made.headers["Content-Type"]  # what has no body has no type, says wsgiref.validate
    return made


async def blocks(file: Path) -> AsyncIterator[bytes]:
    """Read a file as ASGI wants it: Django would read all of an iterator that is none for it, before it sends any."""
    with file.open("rb") as opened:
        while block := opened.read(BLOCK):
            yield block


class Functions:
    """The URLs of the little application."""

    urlpatterns = tuple(path(route.template.lstrip("/"), function(route)) for route in ROUTES)


class Coroutines:
    """The URLs of the little application, where its views are coroutines."""

    urlpatterns = tuple(path(route.template.lstrip("/"), coroutine(route)) for route in ROUTES)
