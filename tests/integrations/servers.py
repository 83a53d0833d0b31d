"""
The servers that the doors are tested behind: one in this process, between two validators, and real ones on loopback.

Run as a module it is one of the real ones: `python -m tests.integrations.servers werkzeug DOOR DESCRIPTOR`.
"""

from __future__ import annotations

import io
import os
import socket
import struct
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPMessage, HTTPResponse, IncompleteRead, RemoteDisconnected
from pathlib import Path
from typing import IO, Any, Protocol, TypeVar
from urllib.parse import unquote_to_bytes
from wsgiref.handlers import SimpleHandler
from wsgiref.validate import validator

import waitress
from werkzeug.serving import make_server

import wideevents
from tests.integrations import doors
from tests.strict import parse_line, parse_log_line
from wideevents import config

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
CLIENTS = 16
"""How many of them ask at once."""

PATIENCE = 15.0
"""Seconds after which something that has not happened never will."""

RST = struct.pack("ii", 1, 0)
"""A lingering time of zero: the socket is reset when it is closed, as by a browser that is killed."""


def eventually(look: Callable[[], T], what: str, patience: float = PATIENCE) -> T:
    """Return what *look* gives as soon as that is true; fail after *patience*, in seconds."""
    deadline = time.monotonic() + patience
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited {patience:.0f} s for {what}"
        time.sleep(0.002)
    return found


@dataclass(frozen=True)
class Ask:
    """One request; its id goes out as X-Request-ID unless *headers* say otherwise (None: without one)."""

    method: str
    path: str
    headers: Mapping[str, str | None] = field(default_factory=dict)
    body: bytes | None = None
    variant: str = "watched"
    quiet: bool = False
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def sent_id(self) -> str:
        """The id that the line has if no other one is answered."""
        return self.sent_headers.get("X-Request-ID", self.id)

    @property
    def sent_headers(self) -> dict[str, str]:
        """The headers as they are sent."""
        headers: dict[str, str | None] = {
            "Host": "shop.example:8443",
            "User-Agent": "contract/1.0",
            "X-Request-ID": self.id,
            "X-Variant": self.variant,
            "Content-Length": None if self.body is None else str(len(self.body)),
            **self.headers,
        }
        return {name: value for name, value in headers.items() if value is not None}


@dataclass
class Answered:
    """What the client saw of an answer, and when (seconds since the epoch)."""

    status: int
    headers: HTTPMessage
    body: bytes
    began: float
    ended: float
    look: Callable[[], list[dict[str, Any]]]

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The lines of the request, as soon as there is one."""
        return self.look()

    @property
    def line(self) -> dict[str, Any]:
        """The only line of the request."""
        (line,) = self.lines
        return line

    @property
    def took_ms(self) -> float:
        """How long the client waited, to the last byte."""
        return (self.ended - self.began) * 1000


class Server(Protocol):
    """
    Serve one door.

    - *stillborn*: the status that a client sees where an answer fails between its head and the first part of its body.
      The specifications let the head wait for that part (PEP 3333, ASGI 3.0), so that it can still be a 500; where the
      head is out, it is a 200 that breaks off; and 0 is a connection that is closed without a word.
    - *sends_empty*: an answer whose body has no part goes out as it is, and does not become the server's own 500.
    - *tells*: how an application that streams is told that its client has gone. "close": its body is closed, or it gets
      a message; "error": sending raises (ASGI 2.4); "": it streams on to nobody.
    """

    name: str
    stillborn: int
    sends_empty: bool
    tells: str

    def __init__(self, door: doors.Door, folder: Path) -> None: ...

    def converse(self, asks: list[Ask]) -> list[Answered]:
        """Send requests one after another, on one connection where the server keeps it."""

    def at_once(self, asks: list[Ask]) -> list[Answered]:
        """Send many requests at the same time, from several clients; whoever takes one at a time lets them queue."""

    def leave(self, ask: Ask) -> Answered:
        """Send a request, and leave as soon as a part of the body has come."""

    def stop(self) -> None:
        """End the server; the next request starts it anew."""

    def everything(self) -> list[dict[str, Any]]:
        """Return all lines so far."""


@dataclass
class Served:
    """A door behind a server, and the number of lines that every request must have written in the end."""

    door: doors.Door
    server: Server
    expected: dict[str, int] = field(default_factory=dict)
    known: dict[tuple[str, str], Answered] = field(default_factory=dict)

    def once(self, method: str, path: str, body: bytes | None = None) -> Answered:
        """Ask once, and look at the same answer ever after."""
        if (method, path) not in self.known:
            self.known[method, path] = self.ask(method, path, body=body)
        return self.known[method, path]

    def ask(self, method: str, path: str, **options: Any) -> Answered:
        return self.converse([Ask(method, path, **options)])[0]

    def get(self, path: str, **options: Any) -> Answered:
        return self.ask("GET", path, **options)

    def converse(self, asks: list[Ask]) -> list[Answered]:
        return self.note(asks, self.server.converse(asks))

    def at_once(self, asks: list[Ask]) -> list[Answered]:
        return self.note(asks, self.server.at_once(asks))

    def note(self, asks: list[Ask], answers: list[Answered]) -> list[Answered]:
        for ask, answered in zip(asks, answers, strict=True):
            shown = answered.headers.get("X-Request-ID", ask.sent_id)
            self.expected[shown] = 0 if ask.quiet or ask.variant == "bare" else 1
        return answers

    def leave_once(self, path: str) -> Answered:
        """Leave once, and look at the same line ever after."""
        if ("leave", path) not in self.known:
            self.known["leave", path] = self.leave(path)
        return self.known["leave", path]

    def leave(self, path: str) -> Answered:
        ask = Ask("GET", path)
        self.expected[ask.id] = 1
        return self.server.leave(ask)


class InProcess:
    """The server of the standard library, without its socket; wsgiref.validate stands on both sides of the door."""

    name = "in_process"
    stillborn = 500
    sends_empty = True
    tells = "close"

    def __init__(self, door: doors.Door, folder: Path) -> None:
        self.variants = {name: validator(app) for name, app in doors.variants(door, validator).items()}
        self.written: list[Lines] = []

    def converse(self, asks: list[Ask]) -> list[Answered]:
        return [self.run(ask, io.BytesIO()) for ask in asks]

    def at_once(self, asks: list[Ask]) -> list[Answered]:
        with lines_caught() as caught, ThreadPoolExecutor(CLIENTS) as threads:
            answers = list(threads.map(lambda ask: self.handle(ask, io.BytesIO(), caught), asks))
        self.written.append(caught)
        return share(caught.all, answers)

    def leave(self, ask: Ask) -> Answered:
        return self.run(ask, Leaving())

    def run(self, ask: Ask, out: io.BytesIO) -> Answered:
        with lines_caught() as caught:
            answered = self.handle(ask, out, caught)
        self.written.append(caught)
        return answered

    def handle(self, ask: Ask, out: io.BytesIO, caught: Lines) -> Answered:
        handler = Handler(io.BytesIO(ask.body or b""), out, io.StringIO(), environ(ask), multithread=True)
        began = time.time()
        handler.run(self.variants[ask.variant])
        ended = time.time()
        status, headers, body = parse_answer(out.getvalue(), ask.method)
        return Answered(status, headers, body, began, ended, lambda: caught.all)

    def stop(self) -> None:
        """Do nothing: there is no process to end."""

    def everything(self) -> list[dict[str, Any]]:
        return [line for lines in self.written for line in lines.all]


class Handler(SimpleHandler):
    """Answer like a server of HTTP, from what is given alone."""

    os_environ: dict[str, str] = {}  # noqa: RUF012 - declared so by the standard library
    wsgi_run_once = False


class Leaving(io.BytesIO):
    """Break the pipe as soon as a part of the body has come."""

    def write(self, data: Any) -> int:
        if self.getvalue().partition(b"\r\n\r\n")[2]:
            raise BrokenPipeError
        return super().write(data)


class Lines:
    """Be a sink that keeps the lines, and reads them strictly."""

    def __init__(self) -> None:
        self.raw: list[bytes] = []

    def write(self, event: wideevents.Event) -> None:
        self.raw.append(event.line)

    def close(self) -> None:
        """Hold nothing back."""

    @property
    def all(self) -> list[dict[str, Any]]:
        """All lines so far."""
        return [parse_line(line) for line in self.raw]

    @property
    def logged(self) -> list[dict[str, Any]]:
        """All lines of log calls so far."""
        return [parse_log_line(line) for line in self.raw if b'"event.kind":' not in line]

    @property
    def one(self) -> dict[str, Any]:
        """The only line so far."""
        (line,) = self.all
        return line


@contextmanager
def lines_caught(**settings: Any) -> Iterator[Lines]:
    """Configure the process to write its lines here, and to do what it did before afterwards."""
    lines = Lines()
    with config.kept():
        wideevents.configure(service="contract", output=lines, logging=False, **settings)
        yield lines


def share(lines: list[dict[str, Any]], answers: list[Answered]) -> list[Answered]:
    """Let each of *answers* look at its own lines alone."""
    mine: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        mine.setdefault(line["http.request.id"], []).append(line)
    for answered in answers:
        answered.look = partial(mine.get, answered.headers["X-Request-ID"], [])
    return answers


def environ(ask: Ask, **more: str) -> dict[str, str]:
    """Return what a server makes of a request; wsgiref adds the rest."""
    path, _, query = ask.path.partition("?")
    headers = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in ask.sent_headers.items()}
    length = headers.pop("HTTP_CONTENT_LENGTH", "")
    return {
        "REQUEST_METHOD": ask.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "CONTENT_LENGTH": length,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        **headers,
        **more,
    }


def parse_answer(answer: bytes, method: str) -> tuple[int, HTTPMessage, bytes]:
    """Read an answer as a client does."""

    class Wire:
        def makefile(self, mode: str) -> io.BytesIO:
            return io.BytesIO(answer)

    response = HTTPResponse(Wire(), method=method)  # type: ignore[arg-type]
    response.begin()
    return response.status, response.headers, read_body(response)


def read_body(response: HTTPResponse) -> bytes:
    """Read a body to its end, or to where it breaks off."""
    try:
        return response.read()
    except IncompleteRead as broken:
        return broken.partial
    except ConnectionError:
        return b""


def parse_any(line: bytes) -> dict[str, Any]:
    """Return the fields of an event or of a log line; raise `AssertionError` for what is neither."""
    return parse_line(line) if b'"event.kind":' in line else parse_log_line(line)


class LineFile:
    """Read the events that another process writes, as they come; what it logs is checked, too, and left out."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.position = 0
        self.read: list[dict[str, Any]] = []
        self.lock = threading.Lock()

    def all(self) -> list[dict[str, Any]]:
        """Return all whole lines so far."""
        with self.lock:
            if self.path.exists():
                with self.path.open("rb") as file:
                    file.seek(self.position)
                    news, end, _ = file.read().rpartition(b"\n")
                self.position += len(news) + len(end)
                found = [parse_any(line + b"\n") for line in news.split(b"\n") if line]
                self.read += [line for line in found if "event.kind" in line]
            return list(self.read)

    def of(self, request_id: str) -> list[dict[str, Any]]:
        """Return the lines of a request, as soon as there is one."""
        return eventually(
            lambda: [line for line in self.all() if line["http.request.id"] == request_id],
            f"a line of the request {request_id}",
        )


class Process:
    """A real server in a process of its own, which is started by the first request."""

    name: str
    stillborn = 500
    sends_empty = True
    tells = "close"

    def __init__(self, door: doors.Door, folder: Path) -> None:
        self.door = door
        self.lines = LineFile(folder / "events.jsonl")
        self.log = folder / "server.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def command(self, descriptor: int) -> list[str]:
        """Return the command that serves on a socket."""
        return [sys.executable, "-m", __name__, self.name, self.door.name, str(descriptor)]

    def start(self) -> None:
        """Start the server on a socket that listens already, so that no request comes too early."""
        with socket.create_server(("127.0.0.1", 0)) as listening, self.log.open("ab") as log:
            self.port = listening.getsockname()[1]
            self.process = self.spawn(self.command(listening.fileno()), log, [listening.fileno()])

    def spawn(self, command: list[str], log: IO[bytes], inherited: list[int]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            pass_fds=inherited,
            cwd=self.log.parent,
            env=environment(WIDEEVENTS_OUTPUT=str(self.lines.path), OTEL_SERVICE_NAME="contract"),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )

    def converse(self, asks: list[Ask]) -> list[Answered]:
        if self.process is None:
            self.start()
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            return [self.exchange(connection, ask) for ask in asks]
        except (OSError, HTTPException) as error:
            raise AssertionError(f"{self.name} did not answer: {error!r}; {self.told()}") from error
        finally:
            connection.close()

    def at_once(self, asks: list[Ask]) -> list[Answered]:
        with ThreadPoolExecutor(CLIENTS) as clients:
            return [answered for (answered,) in clients.map(lambda ask: self.converse([ask]), asks)]

    def exchange(self, connection: HTTPConnection, ask: Ask) -> Answered:
        began = time.time()
        connection.putrequest(ask.method, ask.path, skip_host=True, skip_accept_encoding=True)
        for name, value in ask.sent_headers.items():
            connection.putheader(name, value.encode("latin-1"))
        connection.endheaders(ask.body)
        try:
            response = connection.getresponse()
        except RemoteDisconnected:
            if self.stillborn:
                raise
            return Answered(0, HTTPMessage(), b"", began, time.time(), lambda: self.lines.of(ask.sent_id))
        body = read_body(response)
        ended = time.time()
        shown = response.headers.get("X-Request-ID", ask.sent_id)
        return Answered(response.status, response.headers, body, began, ended, lambda: self.lines.of(shown))

    def leave(self, ask: Ask) -> Answered:
        if self.process is None:
            self.start()
        began = time.time()
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as client:
            head = "".join(f"{name}: {value}\r\n" for name, value in ask.sent_headers.items())
            client.sendall(f"{ask.method} {ask.path} HTTP/1.1\r\n{head}\r\n".encode("latin-1"))
            received = b""
            while not received.partition(b"\r\n\r\n")[2]:
                some = client.recv(65_536)
                assert some, f"{self.name} closed the connection before a part had come; {self.told()}"
                received += some
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
        status, headers, _ = parse_answer(received.partition(b"\r\n\r\n")[0] + b"\r\n\r\n", "HEAD")
        return Answered(status, headers, b"", began, time.time(), lambda: self.lines.of(ask.id))

    def stop(self) -> None:
        if self.process is not None:
            end(self.process)
            self.process = None

    def everything(self) -> list[dict[str, Any]]:
        return self.lines.all()

    def told(self) -> str:
        """Return the end of what the server said."""
        return f"it said: {self.log.read_text(errors='replace')[-2_000:]}"


def end(process: subprocess.Popen[Any]) -> None:
    """End a process that was started here, and wait until it has."""
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(PATIENCE)


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a process that imports this very tree, and measures no coverage."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST"))}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **more}


class Werkzeug(Process):
    """The development server; it closes every connection."""

    name = "werkzeug"


class GunicornSync(Process):
    """One process that serves one request after another."""

    name = "gunicorn_sync"
    workers: tuple[str, ...] = ("--worker-class=sync",)

    def command(self, descriptor: int) -> list[str]:
        return [*gunicorn(descriptor), *self.workers, f'tests.integrations.doors:serve("{self.door.name}")']


class GunicornThreads(GunicornSync):
    """One process with a pool of threads, whose contexts are used again and again."""

    name = "gunicorn_gthread"
    workers = ("--worker-class=gthread", "--threads=8")


class GunicornGevent(GunicornSync):
    """One process that is patched by gevent: every request is a greenlet, and none of them a thread."""

    name = "gunicorn_gevent"
    workers = ("--worker-class=gevent",)


class Waitress(Process):
    """A pool of threads, behind one that reads and writes."""

    name = "waitress"


SERVERS: dict[str, type[Server]] = {
    server.name: server for server in (InProcess, Werkzeug, GunicornSync, GunicornThreads, GunicornGevent, Waitress)
}


def gunicorn(descriptor: int, workers: int = 1) -> list[str]:
    """Return the beginning of a command; what runs there follows."""
    return [
        sys.executable,
        "-m",
        "gunicorn",
        f"--bind=fd://{descriptor}",
        f"--workers={workers}",
        "--no-control-socket",
        "--graceful-timeout=2",
        "--log-level=warning",
    ]


def main(server: str, door: str, descriptor: str) -> None:
    """Serve a door on a socket that was inherited."""
    app = doors.serve(door)
    with suppress(KeyboardInterrupt):
        if server == "werkzeug":
            make_server("127.0.0.1", 0, app, threaded=True, fd=int(descriptor)).serve_forever()
        else:
            inherited = socket.socket(fileno=int(descriptor))
            waitress.serve(app, sockets=[inherited], threads=8, clear_untrusted_proxy_headers=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
