"""What the door for any ASGI application promises beyond the contract (ASGI 3.0, its HTTP message format)."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import warnings
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import Any

import httpx
import litestar
import pytest
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException
from litestar.middleware import DefineMiddleware
from litestar.testing import TestClient as LitestarClient
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket as StarletteWebSocket

import wideevents
from tests.conftest import FakeClock, Written
from tests.integrations.dialogues import (
    BODY,
    CONNECT,
    LEFT,
    REQUEST,
    START,
    Dialogue,
    Message,
    ask,
    part,
    scope_of,
    sending,
    told,
)
from tests.integrations.servers import Lines, lines_caught
from tests.strict import parse_line
from wideevents import ConfigurationError, add_field, config, context
from wideevents.integrations._connection import KEY
from wideevents.integrations._printed import Plain
from wideevents.integrations._scope import head
from wideevents.integrations.asgi import WideEvents
from wideevents.recorder import Recorder

with warnings.catch_warnings():  # it would rather have another client than httpx
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

STATUS, SIZE = "http.response.status_code", "http.response.body.size"
GONE, STREAMED = "client.disconnected", "http.response.streamed"
ENDING = (STATUS, "outcome", "level", GONE, "error.type", "exception.handled")

FILE = Path(__file__)


class ShopError(Exception):
    """Stand for an error that an exception handler answers."""


async def crash(request: Request) -> Response:
    raise ShopError("nobody handles this")


def ending(line: dict[str, Any]) -> dict[str, Any]:
    """Return how a line says that its request has ended, as far as it is worth a word."""
    return {name: value for name, value in told(line, ENDING).items() if (name, value) != ("level", "info")}


def start(status: int = 200, *headers: tuple[bytes, bytes], **more: Any) -> Message:
    """Return the start of a response."""
    return {"type": "http.response.start", "status": status, "headers": [*headers], **more}


class TestSettings:
    """What cannot be used is refused where it is given."""

    @pytest.mark.parametrize("app", [None, "myapp:app", 42], ids=repr)
    def test_what_is_no_application_is_refused(self, app: Any) -> None:
        """A sentence names the setting, the value, and what is allowed."""
        with pytest.raises(ConfigurationError, match=r"app=.* cannot be used: it must be an ASGI application"):
            WideEvents(app)

    @pytest.mark.parametrize("wrong", [{"quiet": "/healthz"}, {"slow_ms": 0}, {"proxies": -1}], ids=str)
    def test_settings_of_the_door_are_refused(self, wrong: dict[str, Any]) -> None:
        """The door's own settings are looked at when it is built."""
        with pytest.raises(ConfigurationError, match="cannot be used"):
            WideEvents(sending(), **wrong)

    def test_a_quiet_route_leaves_no_line_unless_it_is_slow(
        self, recorder: Recorder, written: Written, clock: FakeClock
    ) -> None:
        """It has *slow_ms* for that."""

        async def healthz(request: Request) -> Response:
            clock.advance(float(request.query_params.get("takes", 0)))
            return PlainTextResponse("fine")

        app = WideEvents(Starlette(routes=[Route("/healthz", healthz)]), quiet=("/healthz",), slow_ms=300)
        ask(app, "/healthz", query_string=b"takes=0.3")
        ask(app, "/healthz", query_string=b"takes=0.2")

        assert written.one()["duration_ms"] == 300


class TestHead:
    """What a server says of a request is in its line."""

    def test_a_head_is_read(self, lines: Lines) -> None:
        """The fields that every request has."""
        headers = [(b"host", b"shop.example:8443"), (b"user-agent", b"curl/8"), (b"content-length", b"12")]
        ask(WideEvents(sending(START, BODY)), "/a b", "POST", headers=headers, query_string=b"page=2&token=abc")

        assert told(
            lines.one,
            (
                *("http.request.method", "url.path", "url.scheme", "url.query", "server.address", "client.address"),
                *("user_agent.original", "http.request.body.size", "event.kind", "event.name"),
            ),
        ) == {
            "http.request.method": "POST",
            "url.path": "/a b",
            "url.scheme": "http",
            "url.query": "page=2&token=[redacted]",
            "server.address": "shop.example",
            "client.address": "192.0.2.7",
            "user_agent.original": "curl/8",
            "http.request.body.size": 12,
            "event.kind": "request",
            "event.name": "POST",
        }

    def test_a_header_that_was_sent_twice_is_joined(self) -> None:
        """As one with a comma (RFC 9110, 5.3); a proxy that appends to X-Forwarded-For may send it so."""
        scope = scope_of(headers=[(b"x-forwarded-for", b"192.0.2.1"), (b"x-forwarded-for", b"192.0.2.2")])

        assert head(scope)[6] == "192.0.2.1,192.0.2.2"

    def test_what_a_server_need_not_say_may_be_missing(self, lines: Lines) -> None:
        """The specification allows it."""
        dialogue = Dialogue(REQUEST)
        dialogue.scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "client": None, "server": None}
        dialogue.run(WideEvents(sending(START, BODY)))

        assert ending(lines.one) == {STATUS: 200, "outcome": "success"}
        assert {"server.address", "client.address", "url.query", "url.scheme"}.isdisjoint(lines.one)

    def test_the_name_of_the_server_stands_in_for_a_host(self) -> None:
        """HTTP/1.0 has no Host."""
        assert head(scope_of(headers=[], server=("shop.example", 80)))[4] == "shop.example"

    def test_headers_need_be_no_list(self) -> None:
        """They are an iterable, says the specification."""

        class Headers:
            def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
                return iter([(b"host", b"shop.example"), (b"user-agent", b"curl/8")])

        assert head(scope_of(headers=Headers()))[7] == "curl/8"


class TestPassedOn:
    """The application is called as by the server, and the server is answered as by the application."""

    def test_the_scope_is_the_same(self) -> None:
        """The object itself is passed on, and is as it was afterwards."""
        dialogue, seen = Dialogue(REQUEST), []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            seen.append(scope)
            assert set(scope) == {*before, KEY}
            await sending(START, BODY)(scope, receive, send)

        before = dict(dialogue.scope)
        dialogue.run(WideEvents(app))

        assert seen[0] is dialogue.scope
        assert dialogue.scope == before

    def test_what_is_returned_is_returned(self) -> None:
        """A server may refuse it; that is its matter."""

        async def app(scope: Any, receive: Any, send: Any) -> str:
            await sending(START, BODY)(scope, receive, send)
            return "returned"

        assert Dialogue(REQUEST).run(WideEvents(app)) == "returned"

    def test_messages_are_not_changed(self) -> None:
        """An application may send the same start for every response."""
        before = {**START, "headers": [*START["headers"]]}
        first, second = (ask(WideEvents(sending(START, BODY))) for _ in range(2))

        assert before == START
        assert len(first.sent[0]["headers"]) == len(second.sent[0]["headers"]) == 2

    def test_a_message_is_the_same_but_for_the_id(self) -> None:
        """The order of headers, and whatever else it holds."""
        message = start(200, (b"b", b"1"), (b"A", b"2"), trailers=False, **{"x-own": 1})
        sent = ask(WideEvents(sending(message, BODY))).sent

        assert sent[0] == {**message, "headers": [(b"b", b"1"), (b"A", b"2"), sent[0]["headers"][-1]]}
        assert sent[1] is BODY

    def test_headers_may_be_any_iterable(self, lines: Lines) -> None:
        """One that can be read once is read once."""
        message = {**START, "headers": iter([(b"content-length", b"5"), (b"x-request-id", b"own")])}
        dialogue = ask(WideEvents(sending(message, BODY)))

        assert [*dialogue.sent[0]["headers"]] == [(b"content-length", b"5"), (b"x-request-id", b"own")]
        assert lines.one["http.request.id"] == "own"

    @pytest.mark.parametrize("length", [b"lots", b"", b"-1", b"9" * 19], ids=repr)
    def test_a_length_that_is_none_is_the_servers_matter(self, length: bytes, lines: Lines) -> None:
        """It goes by, and is not believed."""
        dialogue = ask(WideEvents(sending(start(200, (b"content-length", length)), BODY)))

        assert dialogue.headers[b"content-length"] == length
        assert told(lines.one, (SIZE, STREAMED)) == {SIZE: 5, STREAMED: True}

    def test_the_names_of_headers_may_be_in_any_case(self, lines: Lines) -> None:
        """They should be in lower case, and servers make them so."""
        dialogue = ask(WideEvents(sending(start(200, (b"Content-Length", b"5"), (b"X-Request-ID", b"own")), BODY)))

        assert len(dialogue.sent[0]["headers"]) == 2
        assert told(lines.one, ("http.request.id", STREAMED)) == {"http.request.id": "own"}

    def test_headers_may_be_missing(self) -> None:
        """The specification says that they are optional."""
        dialogue = ask(WideEvents(sending({"type": "http.response.start", "status": 200}, BODY)))

        assert [name for name, _ in dialogue.sent[0]["headers"]] == [b"x-request-id"]

    def test_the_awaitable_of_the_server_is_returned(self) -> None:
        """The door puts no coroutine of its own around what is sent whole, to a server that does not raise."""
        awaited: list[Any] = []

        def send(message: Message) -> Awaitable[None]:
            awaited.append(dialogue.send(message))
            return awaited[-1]  # type: ignore[no-any-return]

        async def app(scope: Any, receive: Any, send: Any) -> None:
            for message in (START, BODY):
                given = send(message)
                assert given is awaited[-1]
                await given

        dialogue = Dialogue(REQUEST)
        asyncio.run(WideEvents(app)(dialogue.scope, dialogue.receive, send))

        assert len(dialogue.sent) == 2

    @pytest.mark.parametrize("kind", ["http.response.debug", "http.response.push", "http.response.early_hint"])
    def test_what_nobody_knows_goes_by(self, kind: str, lines: Lines) -> None:
        """Extensions of a server are between it and the application."""
        extra = {"type": kind, "links": [b"</a.css>"]}
        dialogue = ask(WideEvents(sending(extra, START, BODY)))

        assert dialogue.sent[0] is extra
        assert ending(lines.one) == {STATUS: 200, "outcome": "success"}

    def test_an_interim_response_goes_by(self, lines: Lines) -> None:
        """It is no answer: the status of the line is that of the answer."""
        hints = start(103, (b"link", b"</a.css>"))
        dialogue = ask(WideEvents(sending(hints, START, BODY)))

        assert dialogue.sent[0] is hints
        assert lines.one[STATUS] == 200

    def test_a_server_sees_an_application_of_asgi_3(self) -> None:
        """Servers look at `__call__` to tell it from ASGI 2."""
        assert asyncio.iscoroutinefunction(WideEvents(sending()).__call__) if sys.version_info < (3, 12) else True

    def test_attributes_are_those_of_the_application(self) -> None:
        """`app.state` and `app.get` work as before it was wrapped."""
        app = WideEvents(Starlette())
        app.state.ready = True
        app.add_route("/late", lambda request: PlainTextResponse("late"))
        decorated = WideEvents(wraps(sending)(sending(START, BODY)))

        assert ask(app, "/late").body == b"late"
        with pytest.raises(AttributeError, match="no attribute '__wrapped__'"):
            decorated.__wrapped__  # noqa: B018 - it is no decorated function itself
        with pytest.raises(AttributeError, match="no attribute 'app'"):
            WideEvents.__new__(WideEvents).app  # noqa: B018 - as `copy` does

    def test_an_application_is_freed(self) -> None:
        """Nothing of a request keeps it alive."""
        inner = sending(START, BODY)
        app = WideEvents(inner)
        ask(app)
        freed = weakref.ref(inner)
        del app, inner
        gc.collect()

        assert freed() is None

    @pytest.mark.parametrize("flies", [False, True], ids=["plain", "flight"])
    def test_a_request_leaves_no_circle(self, flies: bool, tmp_path: Path) -> None:
        """Its scope, and all that hangs on it, is freed at once, and not by a collector that stops the process."""

        class Scope(dict[str, Any]):
            """Be a scope that can be watched."""

        dialogue = Dialogue(REQUEST)
        scope = Scope(dialogue.scope)
        app, freed = WideEvents(sending(START, BODY)), weakref.ref(scope)
        with lines_caught(flight=tmp_path if flies else None):
            asyncio.run(app(scope, dialogue.receive, dialogue.send))
        gc.collect()
        gc.disable()
        try:
            del scope
            assert freed() is None
        finally:
            gc.enable()


class TestRequestId:
    """One id joins the response, the line, and the calls out."""

    def test_the_id_goes_out(self, lines: Lines) -> None:
        """In a header of the response."""
        dialogue = ask(WideEvents(sending(START, BODY)), headers=[(b"x-request-id", b"given")])

        assert dialogue.headers[b"x-request-id"] == b"given"
        assert lines.one["http.request.id"] == "given"

    def test_the_trace_is_continued(self, lines: Lines) -> None:
        """As `traceparent` says."""
        trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
        ask(WideEvents(sending(START, BODY)), headers=[(b"traceparent", f"00-{trace}-{span}-01".encode())])

        assert told(lines.one, ("trace.id", "parent.id")) == {"trace.id": trace, "parent.id": span}


class TestBody:
    """Sizes and times are those of the bytes."""

    def test_a_body_is_counted(self, lines: Lines) -> None:
        """Whatever it is sent in; without `more_body` a part is the last."""
        ask(WideEvents(sending(START, part(b"one,"), part(b""), BODY)))

        assert told(lines.one, (SIZE, STREAMED, "outcome")) == {SIZE: 9, STREAMED: True, "outcome": "success"}

    @pytest.mark.parametrize("body", [bytearray(b"Hello"), memoryview(b"Hello")], ids=["bytearray", "memoryview"])
    def test_a_body_may_be_like_bytes(self, body: Any, lines: Lines) -> None:
        """Frameworks send such."""
        ask(WideEvents(sending(START, {"type": "http.response.body", "body": body})))

        assert lines.one[SIZE] == 5

    @pytest.mark.parametrize("empty", [{}, {"body": b""}, {"body": None}], ids=str)
    def test_a_body_may_be_empty(self, empty: Message, lines: Lines) -> None:
        """There is no first byte then."""
        ask(WideEvents(sending(start(204), {"type": "http.response.body", **empty})))

        assert told(lines.one, (SIZE, "ttfb_ms", "outcome")) == {SIZE: 0, "outcome": "success"}

    def test_nothing_of_the_answer_to_a_head_is_counted(self, lines: Lines) -> None:
        """Servers do not send it."""
        ask(WideEvents(sending(start(200, (b"content-length", b"5")), BODY)), method="HEAD")

        assert ending(lines.one) | told(lines.one, (SIZE,)) == {STATUS: 200, SIZE: 0, "outcome": "success"}

    def test_an_event_ends_with_its_last_byte(self, recorder: Recorder, written: Written, clock: FakeClock) -> None:
        """What the application still does is told in the event, and is not its time."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            clock.advance(0.1)
            await send(START)
            clock.advance(0.1)
            await send(part(b"one"))
            clock.advance(0.1)
            await send(BODY)
            clock.advance(0.7)
            add_field("afterwards", 1)

        ask(WideEvents(app))

        assert told(written.one(), ("ttfb_ms", "duration_ms", "afterwards")) == {
            "ttfb_ms": 200,
            "duration_ms": 300,
            "afterwards": 1,
        }

    def test_an_event_with_trailers_ends_with_them(
        self, recorder: Recorder, written: Written, clock: FakeClock
    ) -> None:
        """Where the start says that there are some."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            for message in (start(trailers=True), BODY, trailers | {"more_trailers": True}, trailers):
                clock.advance(0.1)
                await send(message)

        trailers = {"type": "http.response.trailers", "headers": [(b"x-sum", b"7")]}
        dialogue = ask(WideEvents(app))

        assert told(written.one(), ("duration_ms", "outcome")) == {"duration_ms": 400, "outcome": "success"}
        assert len(dialogue.sent) == 4

    @pytest.mark.parametrize(
        "messages",
        [
            (start(trailers=True), BODY),
            (start(trailers=True), BODY, {"type": "http.response.trailers", "headers": [], "more_trailers": True}),
            (START, {"type": "http.response.zerocopysend", "file": 3, "count": 4, "more_body": True}),
        ],
        ids=["no trailers", "some trailers", "a part of a file"],
    )
    def test_a_response_of_which_something_is_missing_is_not_complete(
        self, messages: tuple[Message, ...], lines: Lines
    ) -> None:
        """Servers close the connection."""
        ask(WideEvents(sending(*messages)))

        assert told(lines.one, ("outcome", "error.type")) == {"outcome": "failure", "error.type": "IncompleteResponse"}

    @pytest.mark.parametrize(("headers", "size"), [([], FILE.stat().st_size), ([(b"content-length", b"7")], 7)])
    def test_a_file_that_the_server_sends_is_counted(
        self, headers: list[Any], size: int, recorder: Recorder, written: Written, clock: FakeClock
    ) -> None:
        """What was announced of it, else all of it."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(start(200, *headers))
            await send({"type": "http.response.pathsend", "path": str(FILE)})
            clock.advance(1)

        ask(WideEvents(app))

        assert told(written.one(), (SIZE, "duration_ms", "outcome")) == {
            SIZE: size,
            "duration_ms": 0,
            "outcome": "success",
        }

    def test_a_file_that_is_not_there_is_the_servers_matter(self, lines: Lines) -> None:
        """Its size is not known."""
        ask(WideEvents(sending(START, {"type": "http.response.pathsend", "path": "/nowhere/at/all"})))

        assert told(lines.one, (SIZE, "outcome")) == {"outcome": "success"}

    def test_parts_of_a_file_are_counted(self, recorder: Recorder, written: Written, clock: FakeClock) -> None:
        """Where their length is said; the last of them ends the response."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            for message in (START, piece | {"more_body": True}, piece):
                clock.advance(0.1)
                await send(message)
            clock.advance(1)

        piece = {"type": "http.response.zerocopysend", "file": 3, "count": 4}
        ask(WideEvents(app))

        assert told(written.one(), (SIZE, "duration_ms", "outcome")) == {
            SIZE: 8,
            "duration_ms": 300,
            "outcome": "success",
        }

    def test_an_error_of_the_server_at_a_part_of_a_file(self, lines: Lines) -> None:
        """It says that the client has gone, as at any other part."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(START)
            dialogue.raising = BrokenPipeError()
            await send({"type": "http.response.zerocopysend", "file": 3, "count": 4, "more_body": True})

        dialogue = Dialogue(REQUEST)
        with pytest.raises(BrokenPipeError):
            dialogue.run(WideEvents(app))

        assert ending(lines.one) == {STATUS: 200, "outcome": "cancelled", GONE: True}

    def test_the_rest_of_a_file_is_as_long_as_was_announced(self, lines: Lines) -> None:
        """Where the length of the part is not said."""
        ask(
            WideEvents(
                sending(start(200, (b"content-length", b"9")), {"type": "http.response.zerocopysend", "file": 3})
            )
        )

        assert told(lines.one, (SIZE, "outcome")) == {SIZE: 9, "outcome": "success"}

    def test_no_file_is_sent_for_a_head(self, lines: Lines) -> None:
        """Not even by the server."""
        ask(WideEvents(sending(START, {"type": "http.response.pathsend", "path": str(FILE)})), method="HEAD")

        assert told(lines.one, (SIZE, "outcome")) == {SIZE: 0, "outcome": "success"}


class TestErrors:
    """An error is told as what its client sees of it."""

    def test_an_error_before_the_start_is_a_500(self, lines: Lines) -> None:
        """That is what the server answers."""
        with pytest.raises(ShopError):
            ask(WideEvents(sending(ShopError())))

        assert ending(lines.one) == {
            STATUS: 500,
            "outcome": "failure",
            "level": "error",
            "error.type": f"{__name__}.ShopError",
            "exception.handled": False,
        }

    def test_an_error_after_the_first_byte_keeps_the_status(self, lines: Lines) -> None:
        """It is out."""
        with pytest.raises(ShopError):
            ask(WideEvents(sending(START, part(b"one"), ShopError())))

        assert told(lines.one, (STATUS, SIZE, "outcome", "level")) == {
            STATUS: 200,
            SIZE: 3,
            "outcome": "failure",
            "level": "error",
        }

    @pytest.mark.parametrize("status", [200, 204])
    def test_an_error_after_the_last_byte_keeps_the_status(self, status: int, lines: Lines) -> None:
        """It is a failure all the same: a background task did not do what it should."""
        with pytest.raises(ShopError):
            ask(WideEvents(sending(start(status), {"type": "http.response.body"}, ShopError())))

        assert told(lines.one, (STATUS, "outcome", "level")) == {
            STATUS: status,
            "outcome": "failure",
            "level": "error",
        }

    def test_an_application_that_does_not_answer_is_a_500(self, lines: Lines) -> None:
        """Servers answer so, and the line says why."""
        ask(WideEvents(sending()))

        assert ending(lines.one) == {STATUS: 500, "outcome": "failure", "level": "error", "error.type": "500"}
        assert lines.one["error.why"] == "The application returned before it had started its response."

    def test_a_body_without_a_start_is_no_answer(self, lines: Lines) -> None:
        """Servers refuse it; one that does not has sent nothing that has a status."""
        ask(WideEvents(sending(BODY)))

        assert told(lines.one, (STATUS, "outcome", "error.why")) == {
            STATUS: 500,
            "outcome": "failure",
            "error.why": "The application returned before it had started its response.",
        }

    @pytest.mark.parametrize("messages", [(START,), (START, part(b"one"))], ids=["start", "part"])
    def test_an_application_that_stops_in_the_middle_is_a_failure(
        self, messages: tuple[Message, ...], lines: Lines
    ) -> None:
        """Servers close the connection, and the line says why."""
        ask(WideEvents(sending(*messages)))

        assert ending(lines.one) == {
            STATUS: 200,
            "outcome": "failure",
            "level": "error",
            "error.type": "IncompleteResponse",
        }
        assert lines.one["error.why"] == "The application returned before its response was complete."

    def test_bytes_that_were_announced_are_all(self, lines: Lines) -> None:
        """Nothing is missing, though the last part said that there is more."""
        ask(WideEvents(sending(start(200, (b"content-length", b"5")), part(b"Hello"))))

        assert lines.one["outcome"] == "success"

    def test_what_the_server_raises_of_a_wrong_message_is_a_failure(self, lines: Lines) -> None:
        """It is no client that has left."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(START)
            dialogue.raising = RuntimeError("Unexpected message")
            await send(part(b"one"))

        dialogue = Dialogue(REQUEST)
        with pytest.raises(RuntimeError):
            dialogue.run(WideEvents(app))

        assert told(lines.one, ("outcome", GONE)) == {"outcome": "failure"}

    @pytest.mark.parametrize(("messages", "outcome"), [((REQUEST,), "failure"), ((LEFT,), "cancelled")])
    def test_the_line_of_the_server_belongs_to_the_event(
        self, messages: tuple[Message, ...], outcome: str, lines: Lines
    ) -> None:
        """The event alerts, or does not, and the server's own line of the same error never does."""

        class ClientDisconnect(ShopError):  # noqa: N818 - its name is what counts
            """Be an error of the application, unless its client has left."""

        wideevents.configure(service="contract", output=lines)
        server = logging.getLogger("a.server")  # uvicorn's own may be configured by another test
        server.addFilter(plain := Plain())  # as the door for uvicorn's own log has it
        try:
            Dialogue(*messages).run(WideEvents(sending(ClientDisconnect(), reads=1)))
        except ShopError:
            server.exception("Exception in ASGI application")
        finally:
            server.removeFilter(plain)

        event, (said,) = parse_line(lines.raw[0]), lines.logged
        assert (said["event.id"], event["outcome"]) == (event["event.id"], outcome)


class TestLeaving:
    """A client that leaves is no failure, however the server tells it."""

    def test_a_disconnect_before_the_last_byte(self, lines: Lines) -> None:
        """It is received."""
        Dialogue(REQUEST, LEFT).run(WideEvents(sending(reads=2)))

        assert ending(lines.one) == {"outcome": "cancelled", GONE: True}

    def test_a_disconnect_in_the_middle(self, lines: Lines) -> None:
        """The status is what went out."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(START)
            await send(part(b"one"))
            await receive()

        Dialogue(LEFT).run(WideEvents(app))

        assert ending(lines.one) == {STATUS: 200, "outcome": "cancelled", GONE: True}

    def test_a_disconnect_after_the_last_byte_is_none(self, lines: Lines) -> None:
        """Servers tell it of every complete response."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(START)
            await send(BODY)
            await receive()

        Dialogue(LEFT).run(WideEvents(app))

        assert ending(lines.one) == {STATUS: 200, "outcome": "success"}

    def test_an_answer_to_a_client_that_has_left_is_none(self, lines: Lines) -> None:
        """The application may send it; nobody sees it."""
        Dialogue(LEFT).run(WideEvents(sending(START, BODY, reads=1)))

        assert ending(lines.one) == {STATUS: 200, "outcome": "cancelled", GONE: True}

    @pytest.mark.parametrize("spec", ["2.3", "2.4", "2.5"])
    def test_an_error_of_the_server_in_the_middle(self, spec: str, lines: Lines) -> None:
        """An OSError says that the client has gone (ASGI 2.4)."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(START)
            dialogue.raising = BrokenPipeError()
            await send(part(b"one"))

        dialogue = Dialogue(REQUEST, spec=spec)
        with pytest.raises(BrokenPipeError):
            dialogue.run(WideEvents(app))

        assert ending(lines.one) == {STATUS: 200, "outcome": "cancelled", GONE: True}

    @pytest.mark.parametrize("last", [START, {**BODY}], ids=["start", "body"])
    def test_an_error_of_the_server_at_any_message(self, last: Message, lines: Lines) -> None:
        """At the first, and at the last."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if last is not START:
                await send(start(200, (b"content-length", b"5")))
            dialogue.raising = BrokenPipeError()
            await send(last)

        dialogue = Dialogue(REQUEST, spec="2.4")
        with pytest.raises(BrokenPipeError):
            dialogue.run(WideEvents(app))

        assert ending(lines.one) == {STATUS: 200, "outcome": "cancelled", GONE: True}

    def test_an_error_of_the_server_that_is_dealt_with(self, lines: Lines) -> None:
        """The application stops, and that is well."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(START)
            dialogue.raising = BrokenPipeError()
            with suppress(OSError):
                await send(part(b"one"))

        dialogue = Dialogue(REQUEST, spec="2.4")
        dialogue.run(WideEvents(app))

        assert ending(lines.one) == {STATUS: 200, "outcome": "cancelled", GONE: True}

    def test_an_error_of_its_own_is_a_failure(self, lines: Lines) -> None:
        """An OSError may come from anywhere: a file, a database."""
        with pytest.raises(ConnectionResetError):
            Dialogue(LEFT, spec="2.4").run(WideEvents(sending(ConnectionResetError(), reads=1)))

        assert ending(lines.one) == {
            STATUS: 500,
            "outcome": "failure",
            "level": "error",
            "error.type": "ConnectionResetError",
            "exception.handled": False,
            GONE: True,
        }

    @pytest.mark.parametrize("last", [False, True], ids=["part", "last"])
    def test_what_starlette_makes_of_it(self, last: bool, lines: Lines) -> None:
        """Its ClientDisconnect is raised out of the application, and is no failure of it."""

        async def parts() -> AsyncIterator[bytes]:
            yield b"one"
            if not last:
                dialogue.raising = BrokenPipeError()
            yield b"two"
            dialogue.raising = BrokenPipeError()

        async def stream(request: Request) -> Response:
            return StreamingResponse(parts())

        dialogue = Dialogue(REQUEST, spec="2.4")
        with suppress(Exception):  # it is raised
            dialogue.run(WideEvents(Starlette(routes=[Route("/plain", stream)])))

        assert ending(lines.one) == {STATUS: 200, "outcome": "cancelled", GONE: True}

    def test_what_starlette_makes_of_a_body_that_does_not_come(self, lines: Lines) -> None:
        """A request whose client left before it was complete is answered with an error that nobody sees."""

        async def upload(request: Request) -> Response:
            return PlainTextResponse(str(len(await request.body())))

        app = WideEvents(Starlette(routes=[Route("/plain", upload, methods=["POST"])]))
        with suppress(Exception):  # it is raised
            Dialogue({**REQUEST, "more_body": True}, LEFT, method="POST").run(app)

        assert told(lines.one, ("outcome", "level", GONE, "error.type")) == {
            "outcome": "cancelled",
            "level": "info",
            GONE: True,
        }

    def test_what_a_task_group_makes_of_it(self, lines: Lines) -> None:
        """A group of leavings is one."""

        class ClientDisconnect(Exception):  # noqa: N818 - its name is what counts
            """Stand for a framework's."""

        group = ExceptionGroup("two", [ClientDisconnect(), ClientDisconnect()])
        with suppress(ExceptionGroup):
            Dialogue(LEFT).run(WideEvents(sending(group, reads=1)))
        mixed = ExceptionGroup("two", [ClientDisconnect(), ShopError()])
        with suppress(ExceptionGroup):
            Dialogue(LEFT).run(WideEvents(sending(mixed, reads=1)))

        assert [line["outcome"] for line in lines.all] == ["cancelled", "failure"]

    def test_what_a_task_group_makes_of_an_error_of_the_server(self, lines: Lines) -> None:
        """It is in a group then, as in older Starlettes."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(START)
            dialogue.raising = BrokenPipeError()
            async with asyncio.TaskGroup() as group:
                group.create_task(send(part(b"one")))

        dialogue = Dialogue(REQUEST)
        with suppress(ExceptionGroup):
            dialogue.run(WideEvents(app))

        assert ending(lines.one) == {STATUS: 200, "outcome": "cancelled", GONE: True}

    def test_a_leaving_that_is_none_is_a_failure(self, lines: Lines) -> None:
        """Its name alone says nothing: the client is still there."""

        class ClientDisconnect(Exception):  # noqa: N818 - its name is what counts
            """Stand for another service's client."""

        with pytest.raises(ClientDisconnect):
            ask(WideEvents(sending(ClientDisconnect())))

        assert told(lines.one, ("outcome", GONE)) == {"outcome": "failure"}


class TestCancelling:
    """A task that is cancelled did not fail; whether its client left is asked of the server."""

    @pytest.mark.parametrize(
        ("waiting", "gone"),
        [((), {}), ((LEFT,), {GONE: True}), ((REQUEST, REQUEST, LEFT), {GONE: True}), ((REQUEST,), {})],
        ids=["here", "left", "left after a body", "here after a body"],
    )
    def test_a_cancelled_task(self, waiting: tuple[Message, ...], gone: dict[str, Any], lines: Lines) -> None:
        """By a server that is stopped, or for a client that has left."""
        dialogue = Dialogue(*waiting)
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(_cancelled(WideEvents(sending(START, part(b"one"), *_waiting())), dialogue))

        assert ending(lines.one) == {STATUS: 200, "outcome": "cancelled", **gone}

    def test_a_server_that_talks_on_is_not_asked_for_ever(self, lines: Lines) -> None:
        """It may have messages without end."""

        class Endless(Dialogue):
            async def receive(self) -> Message:
                return {**REQUEST, "more_body": True}

        with pytest.raises(asyncio.CancelledError):
            asyncio.run(_cancelled(WideEvents(sending(*_waiting())), Endless()))

        assert ending(lines.one) == {"outcome": "cancelled"}

    def test_a_server_that_raises_when_it_is_asked_costs_nothing(self, lines: Lines) -> None:
        """The cancelling goes on as it would."""
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(_cancelled(WideEvents(sending(*_waiting())), Dialogue(RuntimeError("too late"))))

        assert ending(lines.one) == {"outcome": "cancelled"}

    def test_an_application_that_is_collected_was_cancelled(self, lines: Lines) -> None:
        """As when its loop is closed while it waits."""

        class Never:
            def __await__(self) -> Iterator[None]:
                yield

        dialogue = Dialogue()
        running = WideEvents(sending(START, reads=1))(dialogue.scope, Never, dialogue.send)
        running.send(None)
        running.close()

        assert ending(lines.one) == {"outcome": "cancelled"}

    def test_a_background_task_that_is_cancelled(self, lines: Lines) -> None:
        """The response is out: its client has not left."""
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(_cancelled(WideEvents(sending(START, BODY, *_waiting())), Dialogue(LEFT)))

        assert ending(lines.one) == {STATUS: 200, "outcome": "cancelled"}


def _waiting() -> tuple[Any, ...]:
    """Return a message at which `_cancelled` cancels."""
    return ({"type": "wait"},)


async def _cancelled(app: Any, dialogue: Dialogue) -> None:
    """Run the application until it waits, and cancel it."""
    waiting = asyncio.Event()

    async def send(message: Message) -> None:
        if message["type"] == "wait":
            waiting.set()
            await asyncio.Event().wait()
        await dialogue.send(message)

    task = asyncio.ensure_future(app(dialogue.scope, dialogue.receive, send))
    await waiting.wait()
    task.cancel()
    await task


class TestHandledErrors:
    """What an exception handler of the framework answers is told; how much it matters says the status."""

    @staticmethod
    def application(framework: str, error: Exception, status: int, *, sync: bool = False) -> Any:
        """Build an application that raises *error*, which a handler of its own answers with *status*."""

        async def answer(request: Any, raised: Exception) -> Response:
            return PlainTextResponse("sorry", status)

        def answer_in_a_thread(request: Any, raised: Exception) -> Response:
            return PlainTextResponse("sorry", status)

        async def fail() -> None:
            raise error

        async def fail_on(request: Request) -> Response:
            raise error

        handlers: Any = {type(error): answer_in_a_thread if sync else answer}
        if framework == "starlette":
            return Starlette(routes=[Route("/plain", fail_on)], exception_handlers=handlers)
        if framework == "fastapi":
            app = FastAPI(exception_handlers=handlers)
            app.get("/plain")(fail)
            return app
        answering = {type(error): lambda request, raised: litestar.Response("sorry", status_code=status)}
        return litestar.Litestar(
            [litestar.get("/plain")(fail)],
            exception_handlers=answering,  # type: ignore[arg-type]
            openapi_config=None,
            logging_config=None,
        )

    @pytest.mark.parametrize(("status", "level", "outcome"), [(409, "info", "success"), (503, "error", "failure")])
    @pytest.mark.parametrize(
        ("framework", "sync"),
        [("starlette", False), ("starlette", True), ("fastapi", False), ("fastapi", True), ("litestar", False)],
    )
    def test_it_is_handled(
        self, framework: str, sync: bool, status: int, level: str, outcome: str, lines: Lines
    ) -> None:
        """Below 500 it is worth no more than the answer."""
        dialogue = ask(WideEvents(self.application(framework, ShopError("no"), status, sync=sync)))

        assert dialogue.status == status
        assert told(lines.one, (*ENDING, "exception.message")) == {
            STATUS: status,
            "outcome": outcome,
            "level": level,
            "error.type": f"{__name__}.ShopError",
            "exception.handled": True,
            "exception.message": "no",
        }

    @pytest.mark.parametrize("framework", ["starlette", "fastapi", "litestar"])
    def test_what_nobody_handles_is_not(self, framework: str, lines: Lines) -> None:
        """Whether the framework raises it once more, after its answer, or not."""

        async def fail() -> None:
            raise ShopError

        app: Any = Starlette(routes=[Route("/plain", crash)])
        if framework == "fastapi":
            app = FastAPI()
            app.get("/plain")(fail)
        elif framework == "litestar":
            app = litestar.Litestar([litestar.get("/plain")(fail)], openapi_config=None, logging_config=None)
        with suppress(ShopError):
            ask(WideEvents(app))

        assert ending(lines.one) | told(lines.one, ("error.count",)) == {
            STATUS: 500,
            "outcome": "failure",
            "level": "error",
            "error.type": f"{__name__}.ShopError",
            "exception.handled": False,
            "error.count": 1,
        }

    def test_a_page_for_every_error_does_not_handle_it(self, lines: Lines) -> None:
        """Starlette raises it once more; the status is what the page says."""

        async def page(request: Request, error: Exception) -> Response:
            return PlainTextResponse("later", 503)

        with suppress(ShopError):
            ask(WideEvents(Starlette(routes=[Route("/plain", crash)], exception_handlers={Exception: page})))

        assert told(lines.one, (STATUS, "exception.handled", "level")) == {
            STATUS: 503,
            "exception.handled": False,
            "level": "error",
        }

    @pytest.mark.parametrize("framework", ["starlette", "fastapi", "litestar"])
    @pytest.mark.parametrize("status", [404, 500])
    def test_the_frameworks_own_way_to_answer_is_no_error(self, framework: str, status: int, lines: Lines) -> None:
        """An HTTPException says nothing beyond its status; one that is derived from it, too."""
        app: Any

        class OwnError(HTTPException):
            """Be an error of the application, which knows its status."""

        async def fail(request: Any) -> Any:
            raise OwnError(status)

        async def refuse() -> None:
            raise litestar.exceptions.HTTPException(status_code=status)

        if framework == "litestar":
            app = litestar.Litestar([litestar.get("/plain")(refuse)], openapi_config=None, logging_config=None)
        else:
            app = Starlette(routes=[Route("/plain", fail)]) if framework == "starlette" else FastAPI()
            app.add_route("/plain", fail)
        ask(WideEvents(app))

        assert ("exception.type" in lines.one, lines.one[STATUS]) == (False, status)

    def test_what_is_not_valid_is_no_error(self, lines: Lines) -> None:
        """FastAPI answers with a 422."""
        app = FastAPI()

        @app.get("/items/{number}")
        async def item(number: int) -> int:
            return number

        ask(WideEvents(app), "/items/seven")

        assert ending(lines.one) == {STATUS: 422, "outcome": "success"}

    def test_an_error_that_a_raw_application_answers(self, lines: Lines) -> None:
        """Inside of the `except`, it is being handled."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            try:
                raise ShopError
            except ShopError:
                await send(start(402))
                await send(BODY)

        ask(WideEvents(app))

        assert told(lines.one, (STATUS, "exception.handled", "level")) == {
            STATUS: 402,
            "exception.handled": True,
            "level": "info",
        }

    def test_a_cancelling_that_is_answered_is_no_error(self, lines: Lines) -> None:
        """It is no Exception."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            try:
                raise asyncio.CancelledError
            except asyncio.CancelledError:
                await sending(start(504), BODY)(scope, receive, send)

        ask(WideEvents(app))

        assert ending(lines.one) == {STATUS: 504, "outcome": "failure", "level": "error", "error.type": "504"}

    def test_what_is_handled_around_the_door_is_not_ours(self, lines: Lines) -> None:
        """As in a test, or in a service that asks another one when something is wrong."""

        async def outside() -> None:
            try:
                raise ShopError
            except ShopError:
                dialogue = Dialogue(REQUEST)
                await WideEvents(sending(START, BODY))(dialogue.scope, dialogue.receive, dialogue.send)

        asyncio.run(outside())

        assert ending(lines.one) == {STATUS: 200, "outcome": "success"}


class TestNesting:
    """One request is one event, however many doors it goes through."""

    def test_a_door_in_a_door_adds_to_the_outer_event(self, lines: Lines) -> None:
        """Its settings are without effect."""
        ask(WideEvents(WideEvents(sending(START, BODY), quiet=("/plain",))))

        assert ending(lines.one) == {STATUS: 200, "outcome": "success"}

    def test_a_mounted_application_adds_to_the_outer_event(self, lines: Lines) -> None:
        """It has a door of its own, for when it runs alone."""

        async def hello(request: Request) -> Response:
            add_field("inner", 1)
            return PlainTextResponse("Hello")

        inner = WideEvents(Starlette(routes=[Route("/x/{id}", hello)]))
        ask(WideEvents(Starlette(routes=[Mount("/m", inner)])), "/m/x/7")

        assert told(lines.one, ("http.route", "inner")) == {"http.route": "/m/x/{id}", "inner": 1}

    def test_a_call_in_process_is_a_request_of_its_own(self, lines: Lines) -> None:
        """Afterwards the event of the caller is in progress again."""
        called = WideEvents(Starlette(routes=[Route("/called", lambda request: PlainTextResponse("called"))]))

        async def calls(request: Request) -> Response:
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(called), base_url="http://other.example"
            ) as client:
                await client.get("/called", headers=wideevents.context.outgoing())
            add_field("afterwards", 1)
            return PlainTextResponse("calls")

        ask(WideEvents(Starlette(routes=[Route("/plain", calls)])))
        inner, outer = lines.all

        assert (inner["http.route"], outer["http.route"], outer["afterwards"]) == ("/called", "/plain", 1)
        assert (inner["parent.id"], inner["trace.id"]) == (outer["event.id"], outer["trace.id"])

    def test_nothing_is_in_progress_afterwards(self, lines: Lines) -> None:
        """The task of a server may serve the next request."""

        async def twice() -> list[object]:
            found = []
            for _ in range(2):
                await Dialogue(REQUEST).play(WideEvents(sending(START, BODY)))
                found.append(context.current())
            return found

        assert asyncio.run(twice()) == [None, None]

    def test_a_scope_may_be_used_again(self, lines: Lines) -> None:
        """A middleware that tries again makes an event of every try."""
        tries = [sending(ShopError()), sending(START, BODY)]

        async def inner(scope: Any, receive: Any, send: Any) -> None:
            await tries.pop(0)(scope, receive, send)

        app = WideEvents(inner)

        async def retry(scope: Any, receive: Any, send: Any) -> None:
            with suppress(ShopError):
                await app(scope, receive, send)
            await app(scope, receive, send)

        ask(retry)

        assert [line[STATUS] for line in lines.all] == [500, 200]


class TestFrameworks:
    """The door is put around an application, or into it, as frameworks have it."""

    def test_it_is_a_middleware_of_starlette(self, lines: Lines) -> None:
        """By `add_middleware`, with its settings, and by `Middleware`."""
        for app in (Starlette(), Starlette(middleware=[Middleware(WideEvents, quiet=("/plain",))])):
            if not app.user_middleware:
                app.add_middleware(WideEvents, quiet=("/healthz",))
            app.add_route("/plain", lambda request: PlainTextResponse("Hello"))
            TestClient(app).get("/plain")

        assert lines.one["http.route"] == "/plain"

    def test_an_error_inside_of_starlette_is_a_500(self, lines: Lines) -> None:
        """It is answered outside of the door."""
        app = Starlette(routes=[Route("/crash", crash)])
        app.add_middleware(WideEvents)
        answer = TestClient(app, raise_server_exceptions=False).get("/crash")

        assert answer.status_code == 500
        assert told(lines.one, (STATUS, "exception.handled", "http.route")) == {
            STATUS: 500,
            "exception.handled": False,
            "http.route": "/crash",
        }

    def test_it_is_a_middleware_of_litestar(self, lines: Lines) -> None:
        """By `DefineMiddleware`, with its settings."""

        @litestar.get("/items/{name:str}")
        async def item() -> str:
            return "item"

        app = litestar.Litestar(
            [item],
            middleware=[DefineMiddleware(WideEvents, quiet=("/healthz",))],
            openapi_config=None,
            logging_config=None,
        )
        with LitestarClient(app) as client:
            client.get("/items/pen")

        assert told(lines.one, ("http.route", "url.path", STATUS)) == {
            "http.route": "/items/{name:str}",
            "url.path": "/items/pen",
            STATUS: 200,
        }

    @pytest.mark.parametrize("client", [TestClient, LitestarClient])
    def test_the_clients_of_frameworks_take_a_wrapped_application(self, client: Any, lines: Lines) -> None:
        """Its lifespan is run."""
        said: list[str] = []

        @asynccontextmanager
        async def lifespan(app: Any) -> AsyncIterator[None]:
            said.append("started")
            yield
            said.append("stopped")

        app = WideEvents(Starlette(routes=[Route("/", lambda request: PlainTextResponse("Hello"))], lifespan=lifespan))
        with client(app) as running:
            assert running.get("/").text == "Hello"

        assert said == ["started", "stopped"]
        assert lines.one["http.route"] == "/"

    def test_a_lifespan_that_fails_is_told(self, lines: Lines) -> None:
        """An exception at the start stops the server, and is no event."""

        @asynccontextmanager
        async def lifespan(app: Any) -> AsyncIterator[None]:
            raise ShopError
            yield

        with pytest.raises(ShopError), TestClient(WideEvents(Starlette(lifespan=lifespan))):
            pass

        assert lines.raw == []

    def test_what_fastapi_has_adds_to_the_event(self, lines: Lines) -> None:
        """Dependencies, sync and async, handlers in threads, and background tasks."""
        app = FastAPI()

        def dependency() -> Iterator[None]:
            wideevents.increment("added")
            yield
            wideevents.increment("added")

        async def other() -> None:
            wideevents.increment("added")

        @app.get("/sync", dependencies=[Depends(dependency), Depends(other)])
        def sync(tasks: BackgroundTasks) -> str:
            tasks.add_task(wideevents.increment, "added")
            wideevents.increment("added")
            return "sync"

        ask(WideEvents(app), "/sync")

        assert lines.one["added"] == 5

    def test_an_error_in_a_background_task_is_a_failure(self, lines: Lines) -> None:
        """The answer was good."""

        def fail() -> None:
            raise ShopError

        async def hello(request: Request) -> Response:
            return JSONResponse({}, background=BackgroundTask(fail))

        with suppress(ShopError):
            ask(WideEvents(Starlette(routes=[Route("/plain", hello)])))

        assert told(lines.one, (STATUS, "outcome", "level")) == {STATUS: 200, "outcome": "failure", "level": "error"}

    def test_a_middleware_in_between_loses_nothing(self, lines: Lines) -> None:
        """`@app.middleware("http")` runs the application in a task of its own."""
        app = FastAPI()

        @app.middleware("http")
        async def between(request: Any, call_next: Any) -> Any:
            return await call_next(request)

        @app.get("/items/{number}")
        async def item(number: int) -> int:
            add_field("number", number)
            return number

        ask(WideEvents(app), "/items/7")

        assert told(lines.one, ("http.route", "number", SIZE)) == {
            "http.route": "/items/{number}",
            "number": 7,
            SIZE: 1,
        }


class TestCounters:
    """The counters of routes begin at zero, so that the first error of each is an increase."""

    @pytest.mark.parametrize("root", ["", "/shop"])
    def test_all_routes_are_expected_with_the_first_request(self, root: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """As the lines will name them, and once."""
        expected: list[str] = []
        monkeypatch.setattr(config, "expect", lambda routes: expected.extend(route for route, _ in routes))
        app = WideEvents(Starlette(routes=[Mount("/m", routes=[Route("/a", crash), Route("/b", crash)])]))
        for path in ("/m/none", "/none"):
            ask(app, root + path, root_path=root)

        assert expected == [f"{root}/m/a", f"{root}/m/b"]

    def test_those_of_litestar_are_expected(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """They stand elsewhere."""
        expected: list[str] = []
        monkeypatch.setattr(config, "expect", lambda routes: expected.extend(route for route, _ in routes))

        @litestar.get("/items/{name:str}")
        async def item() -> str:
            return "item"

        ask(WideEvents(litestar.Litestar([item], openapi_config=None, logging_config=None)))

        assert expected == ["/items/{name:str}"]


SECRETS = (b"tiger", b"t1ger")
"""A secret parameter that looks like a word of a route, and one that does not."""


class Around(BaseHTTPMiddleware):
    """Be a middleware that runs what is below it in a task of its own."""

    async def dispatch(self, request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        request.state.status = response.status_code
        return response


def look(seen: list[Any], folder: Path) -> None:
    """Note what the event in progress has of its route, and whether the file holds a secret."""
    (file,) = folder.glob("*.flight")
    event = wideevents.current()
    assert event is not None
    fields = event.fields or {}
    names = ("http.route", "event.name", "url.path", "framework.name")
    seen.append([*(fields.get(name) for name in names), any(secret in file.read_bytes() for secret in SECRETS)])


def starlette(note: Callable[[], None]) -> Any:
    async def view(request: Request) -> Response:
        note()
        return PlainTextResponse("done")

    def in_thread(request: Request) -> Response:
        note()
        return PlainTextResponse("done")

    mounted = Starlette(routes=[Route("/{token}", view)])

    async def hidden(scope: Any, receive: Any, send: Any) -> None:
        note()
        await mounted(scope, receive, send)

    routes = [Route("/a/{token}", view), Route("/t/{id}", in_thread), Mount("/m/{id}", routes=[Route("/x", view)])]
    return Starlette(routes=[*routes, Mount("/h", app=hidden)], middleware=[Middleware(Around)])


def fastapi(note: Callable[[], None]) -> Any:
    router = APIRouter()

    @router.get("/a/{token}")
    async def view(token: str) -> None:
        note()

    @router.get("/t/{number}")
    def in_thread(number: int) -> None:
        note()

    app = FastAPI(openapi_url=None)
    app.include_router(router, prefix="/p")
    return app


def of_litestar(note: Callable[[], None]) -> Any:
    @litestar.get("/a/{token:str}")
    async def view() -> None:
        note()

    @litestar.get("/t/{number:int}", sync_to_thread=True)
    def in_thread() -> None:
        note()

    return litestar.Litestar([view, in_thread], openapi_config=None, logging_config=None)


class TestFlightRecorder:
    """Where there is one, a request that is killed in its endpoint has a route, too."""

    @pytest.mark.parametrize(
        ("build", "path", "route", "shown"),
        [
            (starlette, "/a/tiger", "/a/{token}", "/a/[redacted]"),
            (starlette, "/t/7", "/t/{id}", "/t/7"),
            (starlette, "/m/7/x", "/m/{id}/x", "/m/7/x"),
            (fastapi, "/p/a/tiger", "/p/a/{token}", "/p/a/[redacted]"),
            (fastapi, "/p/t/7", "/p/t/{number}", "/p/t/7"),
            (of_litestar, "/a/tiger", "/a/{token:str}", "/a/[redacted]"),
            (of_litestar, "/t/7", "/t/{number:int}", "/t/7"),
        ],
    )
    def test_the_route_is_told_before_the_endpoint_runs(
        self, build: Callable[..., Any], path: str, route: str, shown: str, tmp_path: Path
    ) -> None:
        """With the path as the line will have it, and the file holds no secret parameter."""
        seen: list[Any] = []
        with lines_caught(flight=tmp_path) as lines:
            ask(WideEvents(build(lambda: look(seen, tmp_path))), path)

        framework = lines.one["framework.name"]
        assert seen == [[route, f"GET {route}", shown, framework, False]]
        assert told(lines.one, ("http.route", "url.path", STATUS)) == {
            "http.route": route,
            "url.path": shown,
            STATUS: 200,
        }

    def test_a_mount_alone_is_no_route(self, tmp_path: Path) -> None:
        """What is mounted may have secret parameters: nothing is told until its router has chosen, too."""
        seen: list[Any] = []
        with lines_caught(flight=tmp_path):
            ask(WideEvents(starlette(lambda: look(seen, tmp_path))), "/h/t1ger")

        assert [each[0] for each in seen] == [None, "/h/{token}"]
        assert [each[-1] for each in seen] == [False, False]

    def test_a_websocket_has_it_too(self, tmp_path: Path) -> None:
        """Before it is accepted."""
        seen: list[Any] = []

        async def chat(socket: StarletteWebSocket) -> None:
            look(seen, tmp_path)
            await socket.accept()
            await socket.close()

        dialogue = Dialogue(CONNECT, kind="websocket", path="/chat/7")
        with lines_caught(flight=tmp_path):
            dialogue.run(WideEvents(Starlette(routes=[WebSocketRoute("/chat/{room}", chat)])))

        assert [each[:2] for each in seen] == [["/chat/{room}", "WEBSOCKET /chat/{room}"]]

    def test_who_stands_around_the_door_sees_what_is_written_inside(self, tmp_path: Path) -> None:
        """As without a recorder: the state that an endpoint leaves, and what a router has chosen."""
        written: dict[str, Any] = {}

        async def view(request: Request) -> Response:
            request.state.customer = 7
            return PlainTextResponse("done")

        app = Starlette(routes=[Route("/a/{id}", view)])
        app.add_middleware(WideEvents)

        async def around(scope: Any, receive: Any, send: Any) -> None:
            await app(scope, receive, send)
            written.update(scope)

        with lines_caught(flight=tmp_path):
            ask(around, "/a/1")

        assert (written["state"]["customer"], written["path_params"], KEY in written) == (7, {"id": "1"}, False)


class TestLateAnswers:
    """What an application does after it has returned is nobody's request."""

    def test_an_answer_that_comes_too_late_goes_by(self, lines: Lines) -> None:
        """It is the server's matter; the line is written."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            scope["app"] = Starlette()
            left.append(asyncio.create_task(sending(start(201), BODY)(scope, receive, send)))

        async def late() -> None:
            await dialogue.play(WideEvents(app))
            await left[0]

        left: list[Any] = []
        dialogue = Dialogue(REQUEST)
        asyncio.run(late())

        assert [message["type"] for message in dialogue.sent] == ["http.response.start", "http.response.body"]
        assert ending(lines.one) == {STATUS: 500, "outcome": "failure", "level": "error", "error.type": "500"}


class TestConcurrency:
    """Requests that are served at once do not mix."""

    def test_many_requests_at_once_keep_their_fields(self, lines: Lines) -> None:
        """Two hundred of them, on one event loop."""

        async def echo(request: Request) -> Response:
            mark = request.path_params["mark"]
            add_field(f"echo.{mark}", mark)
            await asyncio.sleep(0.001)
            await asyncio.to_thread(add_field, "last", mark)
            return PlainTextResponse(mark)

        app = WideEvents(Starlette(routes=[Route("/echo/{mark}", echo)]))

        async def many() -> None:
            await asyncio.gather(*(Dialogue(REQUEST, path=f"/echo/{number}").play(app) for number in range(200)))

        asyncio.run(many())

        own = [{name for name in line if name.startswith("echo.")} for line in lines.all]
        assert own == [{f"echo.{line['last']}"} for line in lines.all]
        assert {line["url.path"] for line in lines.all} == {f"/echo/{number}" for number in range(200)}
