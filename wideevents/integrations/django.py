"""The door for Django: one middleware, for WSGI and for ASGI."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable
from typing import Any

from wideevents import config
from wideevents.errors import ConfigurationError
from wideevents.integrations import werkzeug, wsgi
from wideevents.integrations._django import (
    note_handled,
    note_route,
    note_route_async,
    routes,
    take_errors,
    take_lines,
    take_route,
)
from wideevents.integrations._django_response import follow
from wideevents.integrations._django_statements import take_statements
from wideevents.integrations._door import Door, Head
from wideevents.integrations._request import Request
from wideevents.integrations.wsgi import KEY
from wideevents.settings import check_switches

try:
    from asgiref.sync import iscoroutinefunction, markcoroutinefunction
    from django import get_version
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured
    from django.urls import get_resolver
except ImportError as missing:
    raise ImportError("wideevents.integrations.django needs Django: pip install 'wideevents[django]'") from missing

SETTINGS = ("quiet", "slow_ms", "proxies", "database")

TEMPLATE = {"framework.name": "django", "framework.version": get_version()}


class WideEvents:
    """
    Write one event for every request: `MIDDLEWARE = ["wideevents.integrations.django.WideEvents", ...]`.

    It stands first, so that what the others do is part of the event. Its settings are one dict in settings.py, such as
    `WIDEEVENTS = {"quiet": ("/healthz/",)}`: those of `Door`, and *database*, whether statements are counted and timed,
    which is True. Settings of the process belong to `wideevents.configure`.

    It may stand last once more: there it sees what a view raises before any other middleware does, and notes as handled
    what one of them answers.

    A flight recorder is configured before the application is made, since Django asks a middleware then whether it wants
    to know of views before they run: a request that is killed has its route only so.
    """

    sync_capable = True
    async_capable = True
    process_view: Callable[..., object]

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.door, database = _settings()
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        self._settled = False
        if self._is_async:
            markcoroutinefunction(self)
        config.prepare()  # what is wrong with the defaults is told now, and threads are wrapped
        if config.recorder().flight is not None:
            self.process_view = note_route_async if self._is_async else note_route
        take_errors()
        take_statements(wanted=database)
        take_lines()

    def __call__(self, request: Any) -> Any:
        """Serve a request; inside another one, of a door that stands before Django, add to its event."""
        if self._is_async:
            return self._serve(request)
        with self._passage(request) as passage:
            return passage.answered(self.get_response(request))

    async def _serve(self, request: Any) -> Any:
        with self._passage(request) as passage:
            return passage.answered(await self.get_response(request))

    def process_exception(self, request: Any, exception: Exception) -> None:
        """Note what a view has raised; somebody may answer it yet."""
        note_handled(request, exception)

    def _passage(self, request: Any) -> _Passage:
        if not self._settled:
            self._settled = True
            config.expect(routes(get_resolver(), f"{request.META['SCRIPT_NAME'].rstrip('/')}/"))
        return _Passage(self.door, request)


class _Passage:
    """Follow one request in and out, or add to the event of the door that follows it already."""

    __slots__ = ("_is_own", "_request", "followed")

    def __init__(self, door: Door, request: Any) -> None:
        outer: Request | None = request.META.get(KEY) or getattr(request, "scope", {}).get(KEY)
        self._is_own = outer is None or outer.event.sealed  # a middleware that tries again has its request again
        if outer is None or self._is_own:
            outer = Request(door, _head(request))
            werkzeug.follow()
        self.followed = request.META[KEY] = outer
        self._request = request

    def __enter__(self) -> _Passage:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Take what came instead of an answer: Django raises where it is told to, and is cancelled by who has left."""
        if error is None:
            return
        take_route(self.followed, self._request)
        if self._is_own:
            if isinstance(error, CancelledError):
                self.followed.left()
            else:
                self.followed.failed(error)
            self.followed.returned()
            self.followed.finish()

    def tell_route(self) -> None:
        """Tell the route to who asks in the middle, as a time-out of the server does."""
        take_route(self.followed, self._request)

    def answered(self, response: Any) -> Any:
        """Take the response, and return it."""
        take_route(self.followed, self._request)
        if self._is_own:
            self.followed.returned()  # before it has a status, with which it might have ended
            follow(response, self._request, self.followed)
        return response


def _settings() -> tuple[Door, bool]:
    """Read the settings, and whether statements are counted."""
    given = getattr(settings, "WIDEEVENTS", {})
    if not isinstance(given, dict):
        raise ConfigurationError.of("WIDEEVENTS", given, 'a dict, such as {"quiet": ("/healthz/",)}')
    for name in given:
        if name not in SETTINGS:
            raise ConfigurationError(
                f"WIDEEVENTS[{name!r}] is no setting of the middleware, which are {', '.join(SETTINGS)}. "
                f"A setting of the process belongs to wideevents.configure({name}=...)."
            )
    own = {**given}
    database = own.pop("database", True)
    check_switches(database=database)
    return Door(**own, template=TEMPLATE), database


def _head(request: Any) -> Head:
    """Read the head of a request; Django has decoded its path, and knows which proxy tells the scheme."""
    try:
        scheme = request.scheme
    except ImproperlyConfigured:  # a SECURE_PROXY_SSL_HEADER that is none
        scheme = None
    method, _, query, _, *rest = wsgi.head(request.META)
    return (method, request.path, query, scheme, *rest)
