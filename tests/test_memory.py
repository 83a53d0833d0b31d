"""What memory is for: an event in progress, and caches that are bounded; nothing of a request is kept after its end."""

from __future__ import annotations

import gc
import io
import subprocess
import sys
import types
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponse
from django.test import override_settings
from django.urls import path
from flask import Flask
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import wideevents
from tests.bench.memory import MOST_KIB, REQUESTS, WARM_UP
from tests.integrations.dialogues import REQUEST, Dialogue
from tests.integrations.django_door import OURS, set_up
from tests.integrations.servers import ROOT, Ask, Lines, environ, lines_caught
from wideevents import add_error, add_field, config, event, fields, health
from wideevents.hiding import CLEAN_LENGTH, CLEAN_LIMIT
from wideevents.integrations import asgi, flask, wsgi
from wideevents.keys import KEY_LENGTH, KNOWN_LIMIT
from wideevents.redaction import Redaction

Held = dict[str, weakref.ref[Any]]
Serve = Callable[[str, Held], None]

ENDS = ("well", "with a warning", "badly")


class Environ(dict[str, Any]):
    """Can be referred to weakly."""


class NotedError(Exception):
    """Can be referred to weakly, which a KeyError cannot."""


class Thing:
    """Be what somebody adds as a field: a model, a session."""


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Give the lines that a test writes."""
    with lines_caught() as caught:
        yield caught


@pytest.fixture
def without_collector() -> Iterator[None]:
    """Let nothing be freed but what nobody refers to any more."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def work(ends: str, held: Held) -> None:
    """Do what an application does in a request, and note what must be freed with it."""
    found = wideevents.current()
    assert found is not None
    thing = Thing()
    held["event"], held["thing"] = weakref.ref(found), weakref.ref(thing)
    add_field("thing", thing)
    with event("inner") as inner:
        held["inner"] = weakref.ref(inner)
    if ends == "with a warning":
        try:
            raise NotedError("handled")
        except NotedError as error:
            held["handled"] = weakref.ref(error)
            add_error(error)
    if ends == "badly":
        fail(held)


def fail(held: Held) -> None:
    """Raise what nobody handles."""
    error = NotedError("nobody handles this")
    held["error"] = weakref.ref(error)
    try:
        raise error
    finally:
        del error  # a frame that holds what it raises is a circle of its own


def plain(ends: str, held: Held) -> None:
    """An event that is no request."""
    with event("job"):
        work(ends, held)


def call(app: Any, held: Held) -> None:
    """Serve one request as a WSGI server does."""
    streams = {"wsgi.input": io.BytesIO(), "wsgi.errors": io.StringIO()}
    request = Environ({**environ(Ask("GET", "/")), **streams, "wsgi.url_scheme": "http"})
    held["environ"] = weakref.ref(request)
    body = app(request, lambda *_: None)
    list(body)
    if hasattr(body, "close"):
        body.close()


def through_wsgi(ends: str, held: Held) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        work(ends, held)
        start_response("200 OK", [])
        return [b"ok"]

    held["application"] = weakref.ref(app)
    call(wsgi.WideEvents(app), held)


def through_flask(ends: str, held: Held) -> None:
    app = Flask("shop")

    @app.get("/")
    def view() -> str:  # which refers to its application, as those of a factory do
        work(ends, held)
        return app.name

    app.config["PROPAGATE_EXCEPTIONS"] = True
    flask.WideEvents(app)
    held["application"], held["view"] = weakref.ref(app), weakref.ref(view)
    call(app, held)


def through_django(ends: str, held: Held) -> None:
    def view(request: object) -> HttpResponse:
        work(ends, held)
        return HttpResponse("ok")

    set_up()
    urls: Any = types.ModuleType("urls")
    urls.urlpatterns = [path("", view)]
    with override_settings(ROOT_URLCONF=urls, MIDDLEWARE=[OURS], DEBUG_PROPAGATE_EXCEPTIONS=True):
        call(WSGIHandler(), held)


def converse(app: Any, held: Held) -> None:
    """Serve one request as an ASGI server does."""
    dialogue = Dialogue(REQUEST)
    scope = Environ({**dialogue.scope, "path": "/"})
    held["environ"] = weakref.ref(scope)
    with suppress(StopIteration):  # by hand, since `asyncio.run` leaves what was raised in a circle of its own
        app(scope, dialogue.receive, dialogue.send).send(None)


def through_asgi(ends: str, held: Held) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        work(ends, held)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    held["application"] = weakref.ref(app)
    converse(asgi.WideEvents(app), held)


def through_starlette(ends: str, held: Held) -> None:
    async def view(request: object) -> PlainTextResponse:
        work(ends, held)
        return PlainTextResponse("ok")

    app = Starlette(routes=[Route("/", view)])
    held["application"], held["view"] = weakref.ref(app), weakref.ref(view)
    converse(asgi.WideEvents(app), held)


WAYS: dict[str, Serve] = {
    "event": plain,
    "wsgi": through_wsgi,
    "flask": through_flask,
    "django": through_django,
    "asgi": through_asgi,
    "starlette": through_starlette,
}


def serve(way: Serve, ends: str) -> Held:
    """Serve once, and return what was there meanwhile; what the application raises is let go of at once."""
    held: Held = {}
    with suppress(NotedError):
        way(ends, held)
    return held


def alive(held: Held) -> list[str]:
    return [name for name, reference in held.items() if reference() is not None]


class TestAfterItsEnd:
    @pytest.mark.parametrize("ends", ENDS)
    @pytest.mark.parametrize("way", ["event", "wsgi", "asgi"])
    @pytest.mark.usefixtures("without_collector")
    def test_nothing_is_left_to_a_collector(self, lines: Lines, way: str, ends: str) -> None:
        """Neither event, exception, environ nor application hangs in a circle of ours."""
        held = serve(WAYS[way], ends)

        assert (alive(held), "event" in held, "error" in held) == ([], True, ends == "badly")
        assert [line["outcome"] for line in lines.all if line["event.name"] != "inner"] == [
            "failure" if ends == "badly" else "success"
        ]

    @pytest.mark.parametrize("ends", ENDS)
    @pytest.mark.parametrize("way", WAYS)
    def test_nothing_of_ours_refers_to_anything(self, lines: Lines, way: str, ends: str) -> None:
        """An application is a circle by itself in most frameworks; once collected it is gone, its views included."""
        for _ in range(2):
            held = serve(WAYS[way], ends)
            gc.collect()
            assert (alive(held), "event" in held, "error" in held) == ([], True, ends == "badly")

    @pytest.mark.parametrize("way", ["flask", "django", "starlette"])
    @pytest.mark.usefixtures("without_collector")
    def test_a_request_of_a_framework_is_freed_at_once(self, lines: Lines, way: str) -> None:
        """All but the application, which is a circle."""
        held = serve(WAYS[way], "well")

        assert {*alive(held)} <= {"application", "view", "environ"}
        assert "event" in held


class TestCaches:
    """What is remembered is bounded, in number and in length: whoever sends it chooses both."""

    @staticmethod
    def longest(*caches: Any) -> int:
        """Return the characters of the longest key that is remembered."""
        return max(len(each) for cache in caches for each in cache)

    def test_of_queries_and_their_names(self) -> None:
        """A client may send 64 KB of either with each request, and none twice."""
        redaction = Redaction()
        redaction.query(f"{'a' * 2_000}=1&page=2&{'c' * 2_000}")
        for number in range(5_000):
            redaction.query(f"page{number}={number}")

        assert max(len(redaction._queries), len(redaction._verdicts)) <= 4_096
        redaction.query(f"{'a' * 2_000}=1&page=2&{'c' * 2_000}")
        assert self.longest(redaction._queries, redaction._verdicts) <= 512

    def test_of_keys(self, lines: Lines) -> None:
        """Invented as the application goes, and as long as it likes; each is written as ever."""
        keys = config.recorder().keys
        for number in range(5_000):
            keys.judge(f"{number}{'a' * 2_000}")
        caches = (keys._verdicts, keys._names, keys.plain, keys.crossed)

        assert max(map(len, caches)) <= KNOWN_LIMIT + len(fields.NAMES)
        assert self.longest(*caches) <= KEY_LENGTH + len(fields.USER_FIELDS)
        with event("job"):
            add_field(f"1{'a' * 2_000}", 1)
            add_field(f"new{'a' * 2_000}", 2)
        assert [lines.one[each + "a" * (KEY_LENGTH - len(each))] for each in ("1", "new")] == [1, 2]

    def test_of_texts_without_secrets(self, lines: Lines) -> None:
        """Most come again and again; those that do not make room for each other."""
        for number in range(3_000):
            with event(f"job {number}", text=f"text {number}", long="a" * 300 + str(number)):
                pass
        clean = config.recorder().keys.clean

        assert len(clean) <= CLEAN_LIMIT
        assert self.longest(clean) <= CLEAN_LENGTH

    def test_of_owners(self, lines: Lines) -> None:
        """An event may be called by what it is about, as none should be."""
        alert = config.recorder().pipeline.stages[0]
        for number in range(5_000):
            alert.owner(f"job {number}", None)  # type: ignore[attr-defined]

        assert len(alert._known) <= 4_096  # type: ignore[attr-defined]

    def test_of_sentences(self, lines: Lines) -> None:
        """Each is told once, and of too many only the number."""
        with event("job") as ended:
            pass
        for number in range(1_000):
            ended.put(f"late {number}", number)

        assert len(health._told) == health.TOLD_LIMIT
        assert health.faults.counts() == {health.Fault.LATE_WRITE: 1_000}


class TestGrowth:
    @pytest.mark.skipif(sys.platform != "linux", reason="the resident size is read from /proc")
    def test_it_does_not_grow_with_requests_of_which_no_two_are_alike(self) -> None:
        """
        Caches full, and then by less than what any object for each of the requests would take.

        `python -m tests.bench.memory` does the same with a million of them.
        """
        requests = 20_000
        ran = subprocess.run(
            [sys.executable, "-m", "tests.bench.memory", str(requests)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

        assert (ran.returncode, ran.stdout.split("\n")[-2].split()[0]) == (0, f"{requests:,}"), ran.stdout + ran.stderr
        assert MOST_KIB * 1_024 / requests < 64  # bytes: a short text takes 42, and its place in a dictionary 24 more
        assert WARM_UP > KNOWN_LIMIT
        assert REQUESTS >= 10**6
