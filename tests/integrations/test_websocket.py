"""What the line of a WebSocket says: one event for each connection, from its handshake to its close."""

from __future__ import annotations

import asyncio
import socket
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import litestar
import pytest
import uvicorn
import websockets.exceptions
import websockets.sync.client
from fastapi import APIRouter, FastAPI
from hypercorn.asyncio import serve
from hypercorn.config import Config
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

import wideevents
from tests.conftest import FakeClock, Written
from tests.integrations.dialogues import ACCEPT, CLOSE, CONNECT, Dialogue, Message, closed, sending, told
from tests.integrations.servers import PATIENCE, Lines, eventually
from wideevents import add_field
from wideevents.integrations.asgi import WideEvents
from wideevents.recorder import Recorder

with warnings.catch_warnings():  # it would rather have another client than httpx
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient, WebSocketDenialResponse

STATUS = "http.response.status_code"
CODE, BY, REASON = "websocket.close_code", "websocket.closed_by", "websocket.reason"
GONE = "client.disconnected"
ENDING = (STATUS, "outcome", "level", CODE, BY, REASON, GONE, "error.type")
COUNTS = tuple(f"websocket.{direction}.{kind}" for direction in ("received", "sent") for kind in ("count", "size"))


class ChatError(Exception):
    """Stand for an error that nobody handles."""


def converse(application: Any, *messages: Message | BaseException, **scope: Any) -> Dialogue:
    """Let a client connect, and say *messages*; what the application raises is left to it."""
    dialogue = Dialogue(CONNECT, *messages, kind="websocket", **scope)
    dialogue.run(WideEvents(application))
    return dialogue


def ending(line: dict[str, Any]) -> dict[str, Any]:
    """Return how a line says that its connection has ended, as far as it is worth a word."""
    return {name: value for name, value in told(line, ENDING).items() if (name, value) != ("level", "info")}


async def echo(websocket: WebSocket) -> None:
    """Say back what is said, until the client closes."""
    await websocket.accept()
    add_field("room", websocket.path_params.get("room"))
    with suppress(WebSocketDisconnect):
        while True:
            await websocket.send_text(await websocket.receive_text())


class TestConnection:
    """A connection is one event."""

    def test_a_connection_is_one_event(self, lines: Lines) -> None:
        """It is named by its route, and counts what went in and out."""
        app = WideEvents(Starlette(routes=[WebSocketRoute("/chat/{room}", echo)]))
        with TestClient(app).websocket_connect("/chat/lobby?token=abc") as client:
            for text in ("hello", "grüße"):
                client.send_text(text)
                client.receive_text()

        names = ("event.kind", "event.name", "http.request.method", "url.path", "url.query", "url.scheme", "room")
        assert told(lines.one, (*names, *COUNTS)) == {
            "event.kind": "websocket",
            "event.name": "WEBSOCKET /chat/{room}",
            "http.request.method": "GET",
            "url.path": "/chat/lobby",
            "url.query": "token=[redacted]",
            "url.scheme": "ws",
            "room": "lobby",
            "websocket.received.count": 2,
            "websocket.received.size": 12,
            "websocket.sent.count": 2,
            "websocket.sent.size": 12,
        }
        assert ending(lines.one) == {STATUS: 101, "outcome": "success", CODE: 1000, BY: "client"}
        assert {"http.response.body.size", "ttfb_ms", "http.response.streamed"}.isdisjoint(lines.one)

    @pytest.mark.parametrize(
        ("message", "size"),
        [
            ({"text": "grüße"}, 7),
            ({"text": "\ud800"}, 3),
            ({"bytes": b"1234", "text": None}, 4),
            ({"bytes": None, "text": "12"}, 2),
            ({}, 0),
        ],
        ids=["text", "surrogate", "bytes", "both", "none"],
    )
    def test_sizes_are_bytes(self, message: Message, size: int, lines: Lines) -> None:
        """Those of a text are what it has in UTF-8."""
        converse(
            sending(ACCEPT, {"type": "websocket.send", **message}, CLOSE, reads=2),
            {"type": "websocket.receive", **message},
        )

        assert [lines.one[name] for name in COUNTS] == [1, size, 1, size]

    def test_what_is_silent_counts_nothing(self, lines: Lines) -> None:
        """The numbers are there all the same, so that they can be added up."""
        converse(sending(ACCEPT, CLOSE, reads=1))

        assert [lines.one[name] for name in COUNTS] == [0, 0, 0, 0]

    def test_the_event_ends_with_the_close(self, recorder: Recorder, written: Written, clock: FakeClock) -> None:
        """What the application does afterwards is told in the event, and is not its time."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(ACCEPT)
            clock.advance(2)
            await send(CLOSE)
            clock.advance(3)
            add_field("afterwards", 1)

        converse(app)

        assert told(written.one(), ("duration_ms", "afterwards")) == {"duration_ms": 2_000, "afterwards": 1}

    def test_the_first_close_counts(self, lines: Lines) -> None:
        """The other side only confirms it: servers tell the application of its own close, too."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await sending(ACCEPT, CLOSE | {"code": 3000, "reason": "bye"}, reads=1)(scope, receive, send)
            await receive()

        converse(app, closed(1006))

        assert ending(lines.one) == {STATUS: 101, "outcome": "success", CODE: 3000, BY: "server", REASON: "bye"}

    def test_a_connection_that_lasts_is_not_slow(self, recorder: Recorder, written: Written, clock: FakeClock) -> None:
        """A quiet route stays quiet, however long."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(ACCEPT)
            clock.advance(10_000)

        Dialogue(CONNECT, kind="websocket").run(WideEvents(app, quiet=("/plain",)))

        assert written.all() == []

    def test_what_goes_by_is_the_same(self) -> None:
        """The door reads messages, and changes none but the one that carries its header."""
        message, said = {"type": "websocket.send", "text": "x"}, {"type": "websocket.receive", "text": "y"}
        heard: list[Any] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            heard.extend([await receive(), await receive()])
            await sending(ACCEPT, message, CLOSE)(scope, receive, send)

        dialogue = converse(app, said)

        assert heard[1] is said
        assert dialogue.sent[1] is message
        assert ACCEPT == {"type": "websocket.accept"}

    def test_what_nobody_knows_goes_by(self, lines: Lines) -> None:
        """Extensions of a server are between it and the application."""
        extra = {"type": "websocket.own.extension"}
        dialogue = converse(sending(ACCEPT, extra, CLOSE, reads=2), extra)

        assert dialogue.sent[1] is extra
        assert ending(lines.one) == {STATUS: 101, "outcome": "success", CODE: 1000, BY: "server"}

    def test_a_connection_in_a_connection_is_one(self, lines: Lines) -> None:
        """As with requests."""
        converse(WideEvents(sending(ACCEPT, CLOSE)))

        assert len(lines.all) == 1


class TestHandshake:
    """The status is what the client sees of the handshake."""

    def test_the_id_goes_out_with_it(self, lines: Lines) -> None:
        """After the application's own headers."""
        accept = {**ACCEPT, "headers": [(b"x-own", b"1")], "subprotocol": "chat"}
        dialogue = converse(sending(accept, CLOSE), headers=[(b"x-request-id", b"given")])

        assert dialogue.sent[0] == {**accept, "headers": [(b"x-own", b"1"), (b"x-request-id", b"given")]}
        assert lines.one["http.request.id"] == "given"

    def test_a_close_instead_of_it_is_a_403(self, recorder: Recorder, written: Written, clock: FakeClock) -> None:
        """Servers answer so; the event ends with it."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(CLOSE | {"code": 1008})
            clock.advance(1)

        converse(app)

        assert ending(written.one()) == {STATUS: 403, "outcome": "success"}
        assert written.one()["duration_ms"] == 0

    def test_it_may_be_denied_with_a_response(self, lines: Lines) -> None:
        """Of any status and body; the id goes out with it."""

        async def deny(websocket: WebSocket) -> None:
            await websocket.send_denial_response(PlainTextResponse("not yours", 401))

        app = WideEvents(Starlette(routes=[WebSocketRoute("/chat", deny)]))
        with pytest.raises(WebSocketDenialResponse) as denied, TestClient(app).websocket_connect("/chat"):
            pass

        assert ending(lines.one) == {STATUS: 401, "outcome": "success"}
        assert lines.one["http.response.body.size"] == 9
        assert denied.value.headers["x-request-id"] == lines.one["http.request.id"]

    def test_it_may_be_denied_without_a_body(self, lines: Lines) -> None:
        """There is one, of no bytes."""
        start = {"type": "websocket.http.response.start", "status": 404, "headers": []}
        converse(sending(start, {"type": "websocket.http.response.body"}))

        assert told(lines.one, (STATUS, "http.response.body.size")) == {STATUS: 404, "http.response.body.size": 0}

    def test_it_may_be_denied_in_parts(self, lines: Lines) -> None:
        """A 503 is a failure, as anywhere."""
        start = {"type": "websocket.http.response.start", "status": 503, "headers": []}
        piece = {"type": "websocket.http.response.body", "body": b"one"}
        converse(sending(start, piece | {"more_body": True}, piece))

        assert ending(lines.one) == {STATUS: 503, "outcome": "failure", "level": "error", "error.type": "503"}
        assert lines.one["http.response.body.size"] == 6

    def test_an_error_before_it_is_a_500(self, lines: Lines) -> None:
        """That is what servers answer."""
        with pytest.raises(ChatError):
            converse(sending(ChatError()))

        assert told(lines.one, (STATUS, "outcome", "level", CODE)) == {
            STATUS: 500,
            "outcome": "failure",
            "level": "error",
        }

    def test_an_application_that_says_nothing_is_a_500(self, lines: Lines) -> None:
        """That, too."""
        converse(sending(reads=1))

        assert ending(lines.one) == {STATUS: 500, "outcome": "failure", "level": "error", "error.type": "500"}

    def test_a_path_that_leads_nowhere_is_a_403(self, lines: Lines) -> None:
        """Starlette closes it."""
        converse(Starlette(), path="/none")

        assert (lines.one["event.name"], lines.one[STATUS]) == ("WEBSOCKET", 403)

    def test_a_client_that_leaves_before_it_is_gone(self, lines: Lines) -> None:
        """Nobody has answered it."""
        converse(sending(reads=2), closed(1006))

        assert ending(lines.one) == {"outcome": "cancelled", GONE: True}


class TestClose:
    """How a connection ended is told by the close code, and by who closed (RFC 6455, 7.4)."""

    @pytest.mark.parametrize("code", [1000, 1001, 1005, 4001])
    def test_a_client_may_go(self, code: int, lines: Lines) -> None:
        """It closed its tab, or the chat is over."""
        converse(sending(ACCEPT, reads=1), closed(code))  # never asked for
        converse(_reading, closed(code, "done"))

        assert ending(lines.all[1]) == {STATUS: 101, "outcome": "success", CODE: code, BY: "client", REASON: "done"}

    def test_a_close_without_a_code_is_1005(self, lines: Lines) -> None:
        """So says the specification."""
        converse(_reading, {"type": "websocket.disconnect"})

        assert ending(lines.one) == {STATUS: 101, "outcome": "success", CODE: 1005, BY: "client"}

    def test_a_client_that_is_gone_without_a_word(self, lines: Lines) -> None:
        """Its network is gone, or its battery."""
        converse(_reading, closed(1006))

        assert ending(lines.one) == {STATUS: 101, "outcome": "cancelled", CODE: 1006, BY: "client", GONE: True}

    def test_a_server_that_stops(self, lines: Lines) -> None:
        """It tells the application so, as if the client had closed."""
        converse(_reading, closed(1012))

        assert ending(lines.one) == {STATUS: 101, "outcome": "cancelled", CODE: 1012, BY: "server"}

    @pytest.mark.parametrize("code", [1000, 1001, 1008, 4000])
    def test_an_application_may_close(self, code: int, lines: Lines) -> None:
        """As it likes; without a code it is 1000."""
        converse(sending(ACCEPT, CLOSE | {"code": code, "reason": None}))
        converse(sending(ACCEPT, {"type": "websocket.close"}))

        assert ending(lines.all[0]) == {STATUS: 101, "outcome": "success", CODE: code, BY: "server"}
        assert lines.all[1][CODE] == 1000

    @pytest.mark.parametrize("code", [1011, 1013, 1014])
    def test_an_application_that_gives_up_is_a_failure(self, code: int, lines: Lines) -> None:
        """These codes are what 500, 503 and 502 are elsewhere; from a client they are its own matter."""
        converse(sending(ACCEPT, CLOSE | {"code": code}))
        converse(_reading, closed(code))

        assert ending(lines.all[0]) == {
            STATUS: 101,
            "outcome": "failure",
            "level": "error",
            CODE: code,
            BY: "server",
            "error.type": str(code),
        }
        assert ending(lines.all[1]) == {STATUS: 101, "outcome": "success", CODE: code, BY: "client"}

    def test_an_application_that_gives_up_as_expected_pages_nobody(self, lines: Lines) -> None:
        """What was expected leaves the level as it is."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(ACCEPT)
            wideevents.add_error(ChatError("full"), expected=True)
            await send(CLOSE | {"code": 1013})

        converse(app)

        assert told(lines.one, ("outcome", "level")) == {"outcome": "failure", "level": "info"}

    def test_an_error_is_a_failure(self, lines: Lines) -> None:
        """Servers close with 1011."""
        with pytest.raises(ChatError):
            converse(sending(ACCEPT, ChatError("broken")))

        assert ending(lines.one) == {
            STATUS: 101,
            "outcome": "failure",
            "level": "error",
            CODE: 1011,
            BY: "server",
            "error.type": f"{__name__}.ChatError",
        }

    def test_an_application_may_return_without_a_close(self, lines: Lines) -> None:
        """The server closes it, each in its way: there is no code."""
        converse(sending(ACCEPT))

        assert ending(lines.one) == {STATUS: 101, "outcome": "success"}

    def test_a_reason_is_redacted(self, lines: Lines) -> None:
        """A client writes what it likes."""
        converse(_reading, closed(4001, "password=hunter2hunter2"))

        assert "hunter2" not in lines.one[REASON]

    def test_what_is_no_code_is_left_out(self, lines: Lines) -> None:
        """It is the server's matter to refuse it."""
        for code in ("1000", None, []):
            converse(sending(ACCEPT, CLOSE | {"code": code, "reason": 7}))

        assert [ending(line) for line in lines.all] == [{STATUS: 101, "outcome": "success", BY: "server"}] * 3

    def test_a_cancelled_connection(self, lines: Lines) -> None:
        """Its server is stopped."""

        async def cancelled() -> None:
            dialogue = Dialogue(CONNECT, kind="websocket")
            task = asyncio.ensure_future(WideEvents(_reading)(dialogue.scope, dialogue.receive, dialogue.send))
            while not dialogue.sent:
                await asyncio.sleep(0)
            task.cancel()
            await task

        with pytest.raises(asyncio.CancelledError):
            asyncio.run(cancelled())

        assert ending(lines.one) == {STATUS: 101, "outcome": "cancelled"}


async def _reading(scope: Any, receive: Any, send: Any) -> None:
    """Accept, and read until the client has left."""
    await receive()
    await send(ACCEPT)
    while (await receive())["type"] != "websocket.disconnect":
        pass


class TestLeaving:
    """A client that leaves is no failure of the application, whatever it makes of that."""

    @pytest.mark.parametrize(("code", "outcome"), [(1000, "success"), (1001, "success"), (1006, "cancelled")])
    def test_starlettes_disconnect_is_no_error(self, code: int, outcome: str, lines: Lines) -> None:
        """It is raised out of a handler that only reads, and nobody need catch it."""

        async def read(websocket: WebSocket) -> None:
            await websocket.accept()
            await websocket.receive_text()

        with pytest.raises(WebSocketDisconnect):
            converse(Starlette(routes=[WebSocketRoute("/chat", read)]), closed(code), path="/chat")

        assert told(lines.one, ("outcome", "level", CODE, "exception.type")) == {
            "outcome": outcome,
            "level": "info",
            CODE: code,
        }

    def test_what_starlette_makes_of_an_error_of_the_server(self, lines: Lines) -> None:
        """A handler that only sends learns of it so."""

        async def tell(websocket: WebSocket) -> None:
            await websocket.accept()
            dialogue.raising = BrokenPipeError()
            await websocket.send_text("x")

        dialogue = Dialogue(CONNECT, kind="websocket", path="/chat")
        with pytest.raises(WebSocketDisconnect):
            dialogue.run(WideEvents(Starlette(routes=[WebSocketRoute("/chat", tell)])))

        assert ending(lines.one) == {STATUS: 101, "outcome": "cancelled", CODE: 1006, BY: "client", GONE: True}

    @pytest.mark.parametrize("last", [{"type": "websocket.send", "text": "x"}, CLOSE], ids=["send", "close"])
    def test_an_error_of_the_server(self, last: Message, lines: Lines) -> None:
        """An OSError says that the client has gone (ASGI 2.4): a close that failed is none."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(ACCEPT)
            dialogue.raising = BrokenPipeError()
            await send(last)

        dialogue = Dialogue(CONNECT, kind="websocket")
        with pytest.raises(BrokenPipeError):
            dialogue.run(WideEvents(app))

        assert ending(lines.one) == {STATUS: 101, "outcome": "cancelled", CODE: 1006, BY: "client", GONE: True}

    def test_an_error_of_the_server_after_a_good_bye(self, lines: Lines) -> None:
        """It was said before what became of the connection."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await _reading(scope, receive, send)
            dialogue.raising = BrokenPipeError()
            await send({"type": "websocket.send", "text": "x"})

        dialogue = Dialogue(CONNECT, closed(1000), kind="websocket")
        with pytest.raises(BrokenPipeError):
            dialogue.run(WideEvents(app))

        assert ending(lines.one) == {STATUS: 101, "outcome": "success", CODE: 1000, BY: "client"}

    def test_an_error_after_it_is_a_failure(self, lines: Lines) -> None:
        """It is the application's own."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await _reading(scope, receive, send)
            raise ChatError

        with pytest.raises(ChatError):
            converse(app, closed(1006))

        assert told(lines.one, ("outcome", CODE, BY, GONE)) == {
            "outcome": "failure",
            CODE: 1006,
            BY: "client",
            GONE: True,
        }


class TestFrameworks:
    """Routes and errors are told as those of requests are."""

    def test_starlettes_mounts_and_fastapis_prefixes_are_told(self, lines: Lines) -> None:
        """The template is whole."""
        app, router = FastAPI(), APIRouter(prefix="/rooms")
        router.add_api_websocket_route("/{token}", echo)
        app.include_router(router, prefix="/v1")
        app.add_api_websocket_route("/direct", echo)
        app.mount("/m", Starlette(routes=[Mount("/deep", routes=[WebSocketRoute("/chat", echo)])]))
        for path in ("/v1/rooms/s3cr3t", "/direct", "/m/deep/chat"):
            converse(app, closed(1000), path=path)

        names = [line["event.name"] for line in lines.all]
        assert names == ["WEBSOCKET /v1/rooms/{token}", "WEBSOCKET /direct", "WEBSOCKET /m/deep/chat"]
        assert lines.all[0]["url.path"] == "/v1/rooms/[redacted]"

    @pytest.mark.parametrize(("handled", "code", "level"), [(True, 4409, "info"), (False, 4500, "error")])
    def test_litestars_answer_to_an_error(self, handled: bool, code: int, level: str, lines: Lines) -> None:
        """It closes with the status and 4000: what it makes of an error that nobody handles is 4500."""

        @litestar.websocket("/chat")
        async def chat(socket: litestar.WebSocket[Any, Any, Any]) -> None:
            await socket.accept()
            if handled:
                try:
                    raise ChatError
                except ChatError:
                    await socket.close(code)
            else:
                raise ChatError

        app = litestar.Litestar([chat], openapi_config=None, logging_config=None)
        with suppress(Exception):  # it goes on after a close
            converse(app, path="/chat")

        assert told(lines.one, (CODE, BY, "level", "exception.handled", "http.route")) == {
            CODE: code,
            BY: "server",
            "level": level,
            "exception.handled": handled,
            "http.route": "/chat",
        }

    def test_an_error_that_is_answered_before_the_handshake(self, lines: Lines) -> None:
        """Starlette's handlers may close, too."""

        async def refuse(websocket: WebSocket, error: Exception) -> None:
            await websocket.close()

        async def fail(websocket: WebSocket) -> None:
            raise ChatError

        handlers: Any = {ChatError: refuse}
        converse(Starlette(routes=[WebSocketRoute("/chat", fail)], exception_handlers=handlers), path="/chat")

        assert told(lines.one, (STATUS, "level", "exception.handled", "http.route")) == {
            STATUS: 403,
            "level": "info",
            "exception.handled": True,
            "http.route": "/chat",
        }

    def test_many_connections_at_once_keep_their_fields(self, lines: Lines) -> None:
        """A hundred of them, on one event loop."""
        app = WideEvents(Starlette(routes=[WebSocketRoute("/chat/{room}", echo)]))
        said = {"type": "websocket.receive", "text": "x"}

        async def many() -> None:
            rooms = (Dialogue(CONNECT, said, closed(1000), kind="websocket", path=f"/chat/{n}") for n in range(100))
            await asyncio.gather(*(room.play(app) for room in rooms))

        asyncio.run(many())

        assert {(line["url.path"], line["room"]) for line in lines.all} == {(f"/chat/{n}", str(n)) for n in range(100)}


@contextmanager
def served_by_uvicorn(app: Any, ws: Any) -> Iterator[int]:
    """Serve *app* with uvicorn, in a thread, and give the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, ws=ws, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        eventually(lambda: server.started, "uvicorn")
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        listener.close()


@contextmanager
def served_by_hypercorn(app: Any) -> Iterator[int]:
    """Serve *app* with hypercorn, in a thread, and give the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    config, stopping = Config(), threading.Event()
    config.bind = [f"127.0.0.1:{port}"]
    config.graceful_timeout = 0.1

    async def stop() -> None:
        while not stopping.is_set():
            await asyncio.sleep(0.01)

    async def run() -> None:
        await serve(app, config, shutdown_trigger=stop)

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    try:
        eventually(lambda: listens(port), "hypercorn")
        yield port
    finally:
        stopping.set()
        thread.join(PATIENCE)


def listens(port: int) -> bool:
    """Tell whether somebody listens on *port*."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


NORMAL, LOST = ("success", 1000), ("cancelled", 1006)
"""What the line says of a client that closed, and of one that is gone, where the server can tell."""

SERVED: dict[str, Callable[[Any], Any]] = {
    "uvicorn-websockets": lambda app: served_by_uvicorn(app, "websockets-sansio"),
    "uvicorn-wsproto": lambda app: served_by_uvicorn(app, "wsproto"),
    "hypercorn": served_by_hypercorn,
}


class TestServers:
    """What real servers make of it is told in the same way."""

    @pytest.mark.parametrize("server", SERVED)
    def test_a_client_that_closes(self, server: str, lines: Lines) -> None:
        """The close code is what it said; hypercorn tells 1006 of every client. The id is in the handshake."""
        app = WideEvents(Starlette(routes=[WebSocketRoute("/chat/{room}", echo)]))
        with SERVED[server](app) as port:
            with websockets.sync.client.connect(f"ws://127.0.0.1:{port}/chat/lobby") as client:
                client.send("hello")
                assert client.recv() == "hello"
                assert client.response is not None
                sent_id = client.response.headers["X-Request-ID"]
            eventually(lambda: lines.raw, "the line")

        line = lines.one
        assert told(line, (STATUS, BY, "http.route", "room", *COUNTS[:2])) == {
            STATUS: 101,
            BY: "client",
            "http.route": "/chat/{room}",
            "room": "lobby",
            "websocket.received.count": 1,
            "websocket.received.size": 5,
        }
        assert line["http.request.id"] == sent_id
        assert (line["outcome"], line[CODE]) == (NORMAL if server != "hypercorn" else LOST)

    @pytest.mark.parametrize("server", SERVED)
    def test_a_client_that_is_reset(self, server: str, lines: Lines) -> None:
        """It is gone without a word; uvicorn says of it what it says of a close without a code."""
        app = WideEvents(Starlette(routes=[WebSocketRoute("/chat", echo)]))
        with SERVED[server](app) as port:
            client = websockets.sync.client.connect(f"ws://127.0.0.1:{port}/chat")
            client.socket.shutdown(socket.SHUT_RDWR)
            client.socket.close()
            eventually(lambda: lines.raw, "the line")

        gone = LOST if server == "hypercorn" else ("success", 1005)
        assert (lines.one["outcome"], lines.one[CODE], lines.one[BY]) == (*gone, "client")

    @pytest.mark.parametrize("server", SERVED)
    def test_an_application_that_raises(self, server: str, lines: Lines) -> None:
        """The client sees the code that the line has."""

        async def fail(websocket: WebSocket) -> None:
            await websocket.accept()
            raise ChatError

        app = WideEvents(Starlette(routes=[WebSocketRoute("/chat", fail)]))
        with SERVED[server](app) as port, websockets.sync.client.connect(f"ws://127.0.0.1:{port}/chat") as client:
            with pytest.raises(websockets.exceptions.ConnectionClosed) as seen:
                client.recv()
            eventually(lambda: lines.raw, "the line")

        assert (lines.one[CODE], lines.one["outcome"]) == (1011, "failure")
        assert seen.value.rcvd is None or seen.value.rcvd.code == 1011

    @pytest.mark.parametrize("server", SERVED)
    def test_a_handshake_that_is_refused(self, server: str, lines: Lines) -> None:
        """The client sees the status that the line has."""
        with SERVED[server](WideEvents(sending(CLOSE, reads=1))) as port:
            with pytest.raises(websockets.exceptions.InvalidStatus) as seen:
                websockets.sync.client.connect(f"ws://127.0.0.1:{port}/chat")
            eventually(lambda: lines.raw, "the line")

        assert seen.value.response.status_code == lines.one[STATUS] == 403
