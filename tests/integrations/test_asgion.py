"""What another package finds wrong with an application, it finds behind the door, too, and nothing more."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

from tests.integrations.dialogues import (
    ACCEPT,
    BODY,
    CLOSE,
    CONNECT,
    LEFT,
    REQUEST,
    START,
    Dialogue,
    Message,
    closed,
    part,
    sending,
)
from wideevents.integrations.asgi import WideEvents

asgion = pytest.importorskip("asgion", reason="asgion needs Python 3.12")

LENGTH = (b"content-length", b"5")
SENT = {"type": "websocket.send", "text": "x"}

REQUESTS: dict[str, tuple[Any, ...]] = {
    "plain": (START, BODY),
    "no more_body": (START, {"type": "http.response.body", "body": b"x"}),
    "length": ({**START, "headers": [*START["headers"], LENGTH]}, BODY),
    "wrong length": ({**START, "headers": [LENGTH]}, part(b"Hello, "), BODY),
    "own id": ({**START, "headers": [*START["headers"], (b"x-request-id", b"own")]}, BODY),
    "stream": (START, part(b"one"), part(b"two"), BODY),
    "empty": ({**START, "status": 204}, {"type": "http.response.body"}),
    "trailers": ({**START, "trailers": True}, BODY, {"type": "http.response.trailers", "headers": []}),
    "pathsend": (START, {"type": "http.response.pathsend", "path": __file__}),
    "early hint": ({"type": "http.response.early_hint", "links": []}, START, BODY),
    "raises": (RuntimeError(),),
    "raises after the start": (START, RuntimeError()),
    "raises after the end": (START, BODY, RuntimeError()),
    "no answer": (),
    "half an answer": (START, part(b"one")),
    "body first": (BODY,),
    "two starts": (START, START, BODY),
    "two ends": (START, BODY, BODY),
    "headers of text": ({**START, "headers": [("content-type", "text/plain")]}, BODY),
    "headers of three": ({**START, "headers": [[b"content-type", b"text/plain"]]}, BODY),
    "upper case": ({**START, "headers": [(b"Content-Type", b"text/plain")]}, BODY),
    "a body of text": (START, {"type": "http.response.body", "body": "text"}),
    "a status of text": ({**START, "status": "200"}, BODY),
    "no type": ({"status": 200},),
    "another protocol": (ACCEPT,),
}

SOCKETS: dict[str, tuple[Any, ...]] = {
    "plain": (ACCEPT, SENT, CLOSE),
    "own headers": ({**ACCEPT, "headers": [(b"x-own", b"1")]}, CLOSE),
    "refused": (CLOSE,),
    "denied": (
        {"type": "websocket.http.response.start", "status": 403, "headers": []},
        {"type": "websocket.http.response.body", "body": b"no"},
    ),
    "silent": (),
    "no close": (ACCEPT,),
    "send first": (SENT,),
    "two accepts": (ACCEPT, ACCEPT),
    "send after close": (ACCEPT, CLOSE, SENT),
    "empty send": (ACCEPT, {"type": "websocket.send"}, CLOSE),
    "wrong code": (ACCEPT, {**CLOSE, "code": "1000"}),
    "raises": (RuntimeError(),),
    "raises after the accept": (ACCEPT, RuntimeError()),
}

LIFESPANS: dict[str, tuple[Any, ...]] = {
    "plain": ({"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.complete"}),
    "failed": ({"type": "lifespan.startup.failed", "message": "no"},),
    "wrong": ({"type": "lifespan.shutdown.complete"},),
    "raises": (RuntimeError(),),
}


async def hello(request: Request) -> Response:
    return PlainTextResponse("Hello")


async def crash(request: Request) -> Response:
    raise RuntimeError


async def stream(request: Request) -> Response:
    async def parts() -> Any:
        yield b"one"
        yield b"two"

    return StreamingResponse(parts())


async def file(request: Request) -> Response:
    return FileResponse(__file__)


async def chat(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(await websocket.receive_text())
    await websocket.close()


def framework() -> Any:
    """Build an application with what frameworks send."""
    app = FastAPI()
    for path, handler in (("/plain", hello), ("/crash", crash), ("/stream", stream), ("/file", file)):
        app.add_route(path, handler)
    app.add_api_websocket_route("/chat", chat)
    app.mount("/m", Starlette(routes=[Route("/plain", hello), WebSocketRoute("/chat", chat)]))
    app.mount("/static", StaticFiles(directory=Path(__file__).parent))
    app.router.routes.append(Mount("/inner", WideEvents(Starlette(routes=[Route("/plain", hello)]))))
    return app


def found(application: Any, *messages: Message | BaseException, **scope: Any) -> tuple[list[Any], list[Any]]:
    """Return what is found wrong outside of the door, and inside of it."""
    inside = asgion.Inspector(application)
    outside = asgion.Inspector(WideEvents(inside))
    dialogue = Dialogue(*messages, **scope)
    with suppress(RuntimeError, KeyError, TypeError, AttributeError):  # a server would raise them, too
        asyncio.run(dialogue.play(outside))
    return ([(each.rule_id, each.message) for each in inspector.violations] for inspector in (outside, inside))  # type: ignore[return-value]


class TestPeer:
    """An inspector on either side of the door finds the same."""

    @pytest.mark.parametrize("name", REQUESTS)
    @pytest.mark.parametrize("messages", [(REQUEST,), (REQUEST, LEFT), (LEFT,)], ids=["stays", "leaves", "left"])
    def test_a_request(self, name: str, messages: tuple[Message, ...]) -> None:
        """Whatever the application sends, rightly or wrongly."""
        outside, inside = found(sending(*REQUESTS[name], reads=1), *messages)

        assert outside == inside

    @pytest.mark.parametrize("name", SOCKETS)
    @pytest.mark.parametrize("code", [1000, 1006])
    def test_a_websocket(self, name: str, code: int) -> None:
        """Whatever the application sends, rightly or wrongly."""
        outside, inside = found(sending(*SOCKETS[name], reads=1), CONNECT, closed(code), kind="websocket")

        assert outside == inside

    @pytest.mark.parametrize("name", LIFESPANS)
    def test_a_lifespan(self, name: str) -> None:
        """The door has nothing to say to it."""
        messages = ({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
        outside, inside = found(sending(*LIFESPANS[name], reads=1), *messages, kind="lifespan")

        assert outside == inside

    @pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
    @pytest.mark.parametrize(
        "path",
        [
            "/plain",
            "/crash",
            "/stream",
            "/file",
            "/m/plain",
            "/static/test_asgi.py",
            "/none",
            "/inner/plain",
            "/docs",
        ],
    )
    def test_a_request_of_a_framework(self, path: str, method: str) -> None:
        """Its answers are the same on both sides, but for the id."""
        extensions = {"http.response.pathsend": {}}
        outside, inside = found(framework(), REQUEST, LEFT, path=path, method=method, extensions=extensions)

        assert outside == inside

    @pytest.mark.parametrize("path", ["/chat", "/m/chat", "/none"])
    def test_a_websocket_of_a_framework(self, path: str) -> None:
        """Its messages are the same on both sides, but for the id."""
        said = {"type": "websocket.receive", "text": "x"}
        outside, inside = found(framework(), CONNECT, said, closed(1000), kind="websocket", path=path)

        assert outside == inside

    def test_something_is_found(self) -> None:
        """Else these tests could not fail."""
        outside, _ = found(sending(BODY, reads=1), REQUEST)

        assert "HF-002" in dict(outside)
