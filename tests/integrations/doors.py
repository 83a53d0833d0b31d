"""The doors under test: each builds the same little application, and says what it can know of a request."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import wideevents
from tests.integrations.views import HANDLED, ROUTES, Answer, RefusalError, Route
from wideevents.outputs import load

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

Application = Callable[..., Any]
"""What a server calls: by WSGI or by ASGI, as its door has it."""

Around = Callable[[Application], Application]

SETTINGS: dict[str, Any] = {"quiet": ("/healthz", "/assets/<path:name>"), "slow_ms": 300}
"""What every door under test is built with."""

TEXT = ("Content-Type", "text/plain; charset=utf-8")
PARAMETER = re.compile(r"<(?:(?P<converter>\w+):)?(?P<name>\w+)>")


def unchanged(application: Application) -> Application:
    """Put nothing around an application."""
    return application


class Door(Protocol):
    """
    Build the application with and without us; *around* is put around the bare one, inside of the door.

    - *framework*: `framework.name`, or None.
    - *answers_errors*: the framework itself answers an unhandled exception, so that its 500 has our header.
    - *masks*: parameters of routes are known, and hidden where their names are secret.
    - *empty_part*: a body that is empty has a part all the same, which is empty; others have none.
    - *closes*: the ways of telling that a client has gone (see `Server`) at which a generator is closed at once; at
      others it is left to the garbage collector, too late for its event.
    - *wraps*: the type of the exception that the framework raises in place of one that comes when the head is out, with
      that one as its cause.
    """

    name: str
    framework: str | None
    answers_errors: bool
    masks: bool
    empty_part: bool
    closes: tuple[str, ...]
    wraps: str | None

    def route(self, template: str) -> str | None:
        """Return what `http.route` is for a route of the little application; None where it cannot be known."""

    def bare(self, around: Around = unchanged) -> Application:
        """Build the application without us."""

    def watched(self, around: Around = unchanged, **settings: Any) -> Application:
        """Build the application behind the door."""


INTERFACES = {
    "wsgi": {
        "wsgi": "tests.integrations.wsgi_doors:WsgiDoor",
        "flask": "tests.integrations.wsgi_doors:FlaskDoor",
        "django": "tests.integrations.django_door:DjangoDoor",
    },
    "asgi": {
        "asgi": "tests.integrations.asgi_doors:AsgiDoor",
        "starlette": "tests.integrations.asgi_doors:StarletteDoor",
        "fastapi": "tests.integrations.asgi_doors:FastApiDoor",
        "fastapi_sync": "tests.integrations.asgi_doors:FastApiSyncDoor",
        "litestar": "tests.integrations.asgi_doors:LitestarDoor",
        "django_async": "tests.integrations.django_door:AsyncDjangoDoor",
    },
}
"""The names of all doors by their interface, and where each is to be found."""


class Doors(Mapping[str, Door]):
    """Import a door when it is asked for, so that a server loads no framework but its own."""

    places = INTERFACES["wsgi"] | INTERFACES["asgi"]

    def __getitem__(self, name: str) -> Door:
        door: Door = load(self.places[name])()
        return door

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)


DOORS = Doors()


def variants(door: Door, around: Around = unchanged) -> dict[str, Application]:
    """Build what one server serves: the application behind its door, behind proxies, and bare."""
    return {
        "watched": door.watched(around, **SETTINGS),
        "one proxy": door.watched(around, **SETTINGS, proxies=1),
        "two proxies": door.watched(around, **SETTINGS, proxies=2),
        "bare": door.bare(around),
    }


def serve(name: str) -> Application:
    """Return what a real server runs for the door *name*; the header X-Variant says which variant is asked."""
    choose = choose_by_environ if name in INTERFACES["wsgi"] else choose_by_scope
    return choose(variants(DOORS[name]))


def choose_by_environ(built: dict[str, Application]) -> Application:
    def choose(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return built[environ.get("HTTP_X_VARIANT", "watched")](environ, start_response)  # type: ignore[no-any-return]

    return choose


def choose_by_scope(built: dict[str, Application]) -> Application:
    async def choose(scope: Any, receive: Any, send: Any) -> Any:
        variant = dict(scope.get("headers", ())).get(b"x-variant", b"watched").decode()
        return await built[variant](scope, receive, send)

    return choose


def preloaded(name: str) -> Application:
    """Return what `serve` does, after work of its own in the process that will be forked."""
    with wideevents.event("preload"):
        return serve(name)


def head_of(answer: Answer) -> list[tuple[str, str]]:
    """Return the headers of an answer: what has no body has no type and no length, says wsgiref.validate."""
    headers = list(answer.headers)
    if answer.status not in {204, 304}:
        headers.append(TEXT)
        if answer.file is not None:
            headers.append(("Content-Length", str(answer.file.stat().st_size)))
        elif isinstance(answer.body, bytes):
            headers.append(("Content-Length", str(len(answer.body))))
    return headers


def find(method: str, path: str) -> tuple[Route, dict[str, str]] | Answer:
    """Find the route for a path, and its parameters; or what to answer where there is none."""
    for route, pattern in PATTERNS:
        if match := pattern.fullmatch(path):
            if method in {route.method, "HEAD"}:
                return route, match.groupdict()
            return Answer(b"not allowed", 405, headers=(("Allow", route.method),))
    return Answer(b"not found", 404)


def excuse(error: Exception) -> Answer:
    """Answer for an error that is handled; without a framework it is the application that tells of it."""
    if isinstance(error, RefusalError):
        return Answer(b"forbidden", 403)
    wideevents.add_error(error, level="debug")
    return Answer(str(error).encode(), HANDLED[type(error)])


def compiled(template: str) -> re.Pattern[str]:
    """Compile a template whose fixed parts hold nothing special."""
    return re.compile(
        PARAMETER.sub(lambda found: f"(?P<{found['name']}>{'.+' if found['converter'] else '[^/]+'})", template)
    )


PATTERNS = [(route, compiled(route.template)) for route in ROUTES]
