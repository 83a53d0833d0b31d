"""The servers that the ASGI doors are tested behind: a careful one in this process, and real ones on loopback."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tests.integrations import doors
from tests.integrations.servers import (
    PATIENCE,
    Answered,
    Ask,
    GunicornSync,
    Lines,
    Process,
    eventually,
    lines_caught,
    parse_answer,
    share,
)

CHUNK = 16_384
"""Bytes of a request's body that come at once."""


class Exchange:
    """Be the server of one request, as the specification has it, and remember what the client sees of it."""

    def __init__(self, ask: Ask, *, leaves: bool) -> None:
        self.ask = ask
        self.leaves = leaves
        self.left = False
        self.over = asyncio.Event()
        self.head: Any = None
        self.parts: list[bytes] = []
        self.began = time.time()
        self.ended = 0.0
        body = ask.body or b""
        self.waiting = [body[start : start + CHUNK] for start in range(0, len(body) or 1, CHUNK)]

    async def run(self, application: doors.Application) -> None:
        """Call the application; what it raises is a 500 where nothing is out yet."""
        try:
            await asyncio.wait_for(application(scope(self.ask), self.receive, self.send), PATIENCE)
        except BaseException:
            self.crashed()
        self.ended = self.ended or time.time()

    def crashed(self) -> None:
        """Answer for an application that raised, unless a part of its own answer is out."""
        if not self.parts:
            self.head = {"status": 500, "headers": []}

    async def receive(self) -> dict[str, Any]:
        """Hand over the body of the request, and then wait for the client's leaving."""
        if not self.waiting or self.left:
            await self.over.wait()
            return {"type": "http.disconnect"}
        part = self.waiting.pop(0)
        return {"type": "http.request", "body": part} | ({"more_body": True} if self.waiting else {})

    async def send(self, message: Any) -> None:
        """Take a message of the application; the head waits for the first part of the body."""
        if self.left:
            raise BrokenPipeError
        if message["type"] == "http.response.start":
            self.head = message
            return
        if message["type"] == "http.response.pathsend":
            self.parts.append(Path(message["path"]).read_bytes())
        else:
            self.parts.append(message.get("body", b""))
        if self.leaves and self.parts[-1]:
            self.left = True
            self.over.set()
        elif not message.get("more_body", False):
            self.ended = time.time()
            self.over.set()

    def answered(self, caught: Lines) -> Answered:
        """Return what the client saw."""
        head = "".join(f"{name.decode()}: {value.decode('latin-1')}\r\n" for name, value in self.head["headers"])
        raw = f"HTTP/1.1 {self.head['status']} \r\n{head}\r\n".encode("latin-1")
        status, headers, body = parse_answer(raw + b"".join(self.parts), self.ask.method)
        return Answered(status, headers, body, self.began, self.ended, lambda: caught.all)


class InProcess:
    """A careful server without a socket, on one event loop; a checker stands on both sides of the door."""

    name = "in_process"
    stillborn = 500
    sends_empty = True
    tells = "error"

    def __init__(self, door: doors.Door, folder: Path) -> None:
        self.complaints: list[str] = []
        around = Checker(self.complaints)
        self.variants = {name: around(app) for name, app in doors.variants(door, around).items()}
        self.written: list[Lines] = []
        self.runner: asyncio.Runner | None = None

    def converse(self, asks: list[Ask]) -> list[Answered]:
        return [self.run([Exchange(ask, leaves=False)])[0] for ask in asks]

    def at_once(self, asks: list[Ask]) -> list[Answered]:
        answers = self.run([Exchange(ask, leaves=False) for ask in asks])
        return share(answers[0].lines, answers)

    def leave(self, ask: Ask) -> Answered:
        return self.run([Exchange(ask, leaves=True)])[0]

    def run(self, exchanges: list[Exchange]) -> list[Answered]:
        """Serve requests at once, each in a task of its own."""
        if self.runner is None:
            self.runner = asyncio.Runner()
        with lines_caught() as caught:
            self.runner.run(self.serve(exchanges))
        self.written.append(caught)
        told = list(self.complaints)
        self.complaints.clear()
        assert told == [], f"no ASGI: {told}"
        return [exchange.answered(caught) for exchange in exchanges]

    async def serve(self, exchanges: list[Exchange]) -> None:
        await asyncio.gather(*(exchange.run(self.variants[exchange.ask.variant]) for exchange in exchanges))

    def stop(self) -> None:
        if self.runner is not None:
            self.runner.close()
            self.runner = None

    def everything(self) -> list[dict[str, Any]]:
        return [line for lines in self.written for line in lines.all]


def scope(ask: Ask) -> dict[str, Any]:
    """Return what a server makes of a request (HTTP Connection Scope)."""
    path, _, query = ask.path.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "method": ask.method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in ask.sent_headers.items()],
        "client": ("127.0.0.1", 49_152),
        "server": ("127.0.0.1", 80),
        "state": {},
        "extensions": {"http.response.pathsend": {}},
    }


class Checker:
    """
    Put itself around an application, and complain of whatever ASGI does not allow, on either side.

    It is to ASGI what `wsgiref.validate` is to WSGI. A framework may take its AssertionError for an error of the
    application, and answer it: so every one is written down, too.
    """

    def __init__(self, complaints: list[str]) -> None:
        self.complaints = complaints

    def __call__(self, application: doors.Application) -> doors.Application:
        async def checked(scope: Any, receive: Any, send: Any) -> Any:
            dialogue = Dialogue(scope, receive, send, self)
            with self.listening():
                check_scope(scope)
            result = await application(scope, dialogue.receive, dialogue.send)
            with self.listening():
                dialogue.check_end()
            return result

        return checked

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Write down what is wrong, and raise it."""
        try:
            yield
        except AssertionError as wrong:
            self.complaints.append(str(wrong))
            raise


class Dialogue:
    """Follow the messages of one request."""

    def __init__(self, scope: Any, receive: Any, send: Any, checker: Checker) -> None:
        self.scope = scope
        self.inner_receive = receive
        self.inner_send = send
        self.checker = checker
        self.asked = True
        self.gone = False
        self.head: Any = None
        self.size = 0
        self.ended = False

    async def receive(self) -> Any:
        """Check what the server hands over: a body in parts, and at last the leaving of the client."""
        message = await self.inner_receive()
        with self.checker.listening():
            if message["type"] == "http.disconnect":
                self.gone = True
            else:
                assert message["type"] == "http.request", f"not for an application: {message}"
                assert self.asked, "the body of the request has ended, and another part comes"
                check_types(message, type=str, body=bytes, more_body=bool)
                self.asked = message.get("more_body", False)
        return message

    async def send(self, message: Any) -> None:
        """Check what the application sends: the head, and then the body in parts, as long as it was announced."""
        with self.checker.listening():
            assert not self.ended, f"the response has ended, and there comes {message['type']}"
            if message["type"] == "http.response.start":
                self.check_head(message)
            else:
                self.check_part(message)
        try:
            await self.inner_send(message)
        except OSError:
            self.gone = True
            raise

    def check_head(self, message: Any) -> None:
        assert self.head is None, "a second head"
        check_types(message, type=str, status=int, headers=object, trailers=bool)
        assert 200 <= message["status"] <= 599, f"no status of a response: {message['status']}"
        for name, value in message["headers"]:
            assert type(name) is type(value) is bytes, f"a header is no bytes: {name!r}: {value!r}"
            assert name == name.lower(), f"a header with capitals: {name!r}"
            assert not (set(value) & set(b"\r\n\0")), f"a header of several lines: {value!r}"
        self.head = dict(message["headers"])
        self.bodiless = message["status"] in {204, 304} or self.scope["method"] == "HEAD"

    def check_part(self, message: Any) -> None:
        assert self.head is not None, f"{message['type']} before the head"
        if message["type"] == "http.response.pathsend":
            assert "http.response.pathsend" in self.scope["extensions"], "this server sends no files by itself"
            assert self.size == 0, "a file after a part of the body"
            check_types(message, type=str, path=str)
            self.size, self.ended = Path(message["path"]).stat().st_size, True
        else:
            assert message["type"] == "http.response.body", f"not for a server: {message}"
            check_types(message, type=str, body=bytes, more_body=bool)
            self.size += len(message.get("body", b""))
            self.ended = not message.get("more_body", False)
        length = self.head.get(b"content-length")
        if self.ended and length is not None and not self.bodiless:
            assert int(length) == self.size, f"{length!r} bytes were announced, {self.size} sent"

    def check_end(self) -> None:
        """The application has returned: it has answered, unless there is nobody to answer."""
        assert self.ended or self.gone, "the application returned before the end of its response"


def check_types(message: Any, **kinds: type) -> None:
    """Check that a message has no other fields than these, each of its type."""
    assert type(message) is dict, f"a message is a dict, and no {type(message)}"
    assert message.keys() <= kinds.keys(), f"unknown: {message.keys() - kinds.keys()}"
    for name, value in message.items():
        assert isinstance(value, kinds[name]), f"{name} of {message['type']} is a {type(value)}"


def check_scope(scope: Any) -> None:
    """Check the scope of a request, which a door hands on as it is, and may only add to."""
    assert type(scope) is dict
    assert scope["type"] == "http"
    assert scope["asgi"] == {"version": "3.0", "spec_version": "2.5"}
    kinds = {"http_version": str, "method": str, "scheme": str, "path": str, "root_path": str}
    kinds |= {"raw_path": bytes, "query_string": bytes, "state": dict, "extensions": dict, "client": tuple}
    for name, kind in kinds.items():
        assert type(scope[name]) is kind, f"{name} is {scope[name]!r}"
    assert scope["method"] == scope["method"].upper()
    for name, value in scope["headers"]:
        assert type(name) is type(value) is bytes, f"a header is no bytes: {name!r}: {value!r}"
        assert name == name.lower(), f"a header with capitals: {name!r}"


class Uvicorn(Process):
    """One event loop, and nothing of its own between the client and the application."""

    name = "uvicorn"
    stillborn = 200
    code = """
import sys, uvicorn
from tests.integrations.doors import serve
door, descriptor = sys.argv[1:]
uvicorn.run(serve(door), fd=int(descriptor), proxy_headers=False, log_level="warning", timeout_graceful_shutdown=2)
"""

    def command(self, descriptor: int) -> list[str]:
        return [sys.executable, "-c", self.code, self.door.name, str(descriptor)]


class Hypercorn(Process):
    """One event loop, with a queue for every request."""

    name = "hypercorn"
    stillborn = 200

    def command(self, descriptor: int) -> list[str]:
        application = f'tests.integrations.doors:serve("{self.door.name}")'
        options = ("--workers=0", f"--bind=fd://{descriptor}", "--graceful-timeout=2", "--log-level=warning")
        return [sys.executable, "-m", "hypercorn", *options, application]


class HypercornWsgi(Hypercorn):
    """A pool of threads beside an event loop; it sends the head of an answer with the first part, and never without."""

    name = "hypercorn_wsgi"
    stillborn = 500
    sends_empty = False
    tells = ""


class Granian(Process):
    """A server written in Rust, which takes no socket that others opened: it gets a free port, and is waited for."""

    name = "granian"
    code = """
import sys
from granian import Granian
from granian.constants import Interfaces
from tests.integrations.doors import INTERFACES, serve
door, port = sys.argv[1:]
interface = Interfaces.WSGI if door in INTERFACES["wsgi"] else Interfaces.ASGI
Granian(door, port=int(port), interface=interface, log_level="warning").serve(target_loader=serve)
"""

    def start(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free, self.log.open("ab") as log:
            self.port = free.getsockname()[1]
            free.close()
            command = [sys.executable, "-c", self.code, self.door.name, str(self.port)]
            self.process = self.spawn(command, log, [])
        eventually(self.listens, "granian")

    def listens(self) -> bool:
        with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", self.port)):
            return True
        return False


class GranianWsgi(Granian):
    """The same with a pool of threads; the head of a streamed answer does not wait for its first part."""

    name = "granian_wsgi"
    stillborn = 200


class GunicornAsgi(GunicornSync):
    """gunicorn's own worker for ASGI."""

    name = "gunicorn_asgi"
    stillborn = 0
    workers = ("--worker-class=asgi", "--asgi-disconnect-grace-period=1")


ASGI_SERVERS = {server.name: server for server in (InProcess, Uvicorn, Hypercorn, Granian, GunicornAsgi)}
