"""Do everything at once that an application can do with its events, and count what ought to come of it."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from typing import Any

import wideevents
from tests.test_line_contract import MAKERS
from wideevents.integrations.asgi import WideEvents as AsgiEvents
from wideevents.integrations.logging import Handler
from wideevents.integrations.wsgi import WideEvents as WsgiEvents

logger = logging.getLogger("soak")
logger.setLevel(logging.INFO)
logger.propagate = False
logger.addHandler(Handler())

SLOW = {"hugest int", "long chain", "growing", "endless mapping", "deep list", "deep dict", "long dict", "long text"}
"""What takes its time: it comes, too, and seldom."""

QUICK = sorted(MAKERS.keys() - SLOW)
PAGE = [b"part of a page\n"] * 4


class Expected(Counter[str]):
    """Count what must come out, from one thread: "event" and "log" lines, and what a stage has "dropped"."""


class Bustle:
    """
    Be one thread of an application; *chance* decides what it does, *pool* is everybody's.

    Whatever it raises by itself it catches itself; what comes out of `do` is a fault of ours.
    """

    def __init__(self, seed: int, pool: ThreadPoolExecutor) -> None:
        self.chance = random.Random(seed)
        self.expected = Expected()
        self.pool = pool
        self.loop = asyncio.new_event_loop()
        self.wsgi = WsgiEvents(self.serve)
        self.asgi = AsgiEvents(self.serve_async)
        self.numbers = itertools.count()
        self.deeds: list[Callable[[], object]] = [
            *[self.request] * 6,
            *[self.requests_async] * 2,
            *[self.task] * 3,
            self.batch,
            self.log,
            self.crowd,
        ]

    def do(self) -> None:
        """Do one thing."""
        self.chance.choice(self.deeds)()

    def close(self) -> None:
        """Let the event loop go."""
        self.loop.close()

    # What adds to the event in progress.

    def add(self) -> None:
        """Add a handful of everything."""
        chance = self.chance
        number = next(self.numbers)
        wideevents.add_fields({"soak.number": number, "soak.user": f"user {number % 500}"}, plan="STARTER")
        for _ in range(chance.randrange(6)):
            chance.choice(ADDING)(f"soak.{chance.randrange(40)}", number)
        if chance.random() < 0.1:
            wideevents.add_field(MAKERS[chance.choice(QUICK)](), MAKERS[chance.choice(QUICK)]())
        if chance.random() < 0.003:
            wideevents.add_field("soak.slow", MAKERS[chance.choice(sorted(SLOW))]())
        if chance.random() < 0.05:
            wideevents.add_field(f"new.{number}.{id(self)}", "a key that never comes again")
        if chance.random() < 0.02:
            wideevents.add_field("soak.drop", "please")
            self.expected["dropped"] += 1

    def log(self) -> None:
        """Log, inside an event or outside any."""
        level = self.chance.choice((logging.DEBUG, logging.INFO, logging.WARNING))
        if level >= logging.INFO:
            self.expected["log"] += 1
        extra = {"soak.extra": MAKERS[self.chance.choice(QUICK)]()} if self.chance.random() < 0.1 else None
        logger.log(level, "said %s", self.chance.randrange(100), extra=extra)

    def threads(self) -> None:
        """Add from threads, some of which outlive the event."""
        own = [threading.Thread(target=wideevents.add_field, args=(f"thread.{each}", each)) for each in range(2)]
        for thread in own:
            thread.start()
        wait([self.pool.submit(wideevents.increment, "pool.done") for _ in range(3)])
        late = self.pool.submit(wideevents.append, "pool.late", 1)
        for thread in own:
            thread.join()
        if self.chance.random() < 0.5:
            late.result()

    def fill(self) -> None:
        """Do what the code of a request does."""
        self.add()
        if self.chance.random() < 0.1:
            self.log()
        if self.chance.random() < 0.05:
            self.threads()
        if self.chance.random() < 0.1:
            self.nested()
        if self.chance.random() < 0.1:
            raise ValueError(f"failed {self.chance.randrange(5)}") from KeyError("cause")

    def nested(self) -> None:
        """Be an event inside of another."""
        self.expected["event"] += 1
        with wideevents.event("soak.nested"):
            self.add()

    # What is an event.

    def task(self) -> None:
        """Be a task, which may fail."""
        self.expected["event"] += 1
        try:
            with wideevents.event("soak.task", self.chance.choice(("task", "script", "message")), soak=1):
                self.fill()
        except ValueError:
            return

    def batch(self) -> None:
        """Be a batch, whose parent is made for it, or not."""
        steps = self.chance.randrange(1, 6)
        self.expected["event"] += 1 + steps
        for _ in wideevents.batch("soak.batch", range(steps)):
            self.add()

    def crowd(self) -> None:
        """Be several tasks of a pool."""
        self.expected["event"] += 4
        wait([self.pool.submit(in_pool) for _ in range(4)])

    def request(self) -> None:
        """Be a request of WSGI, whose client may leave before its end, or never read."""
        self.expected["event"] += 1
        started = lambda status, headers, exc_info=None: lambda data: None  # noqa: E731
        try:
            body = self.wsgi(environ(self.chance), started)
        except ValueError:
            return
        fate = self.chance.random()
        if fate < 0.05:
            next(iter(body), None)
        if fate > 0.02:
            try:
                consume(body if fate > 0.05 else ())
            except ValueError:
                return
            finally:
                close = getattr(body, "close", None)
                if close is not None and fate < 0.99:
                    close()

    def serve(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        """Serve it."""
        self.fill()
        start_response("200 OK", [("Content-Type", "text/plain")])
        return self.chance.choice((lambda: [b"page"], self.stream))()

    def stream(self) -> Iterator[bytes]:
        """Send parts, and go on telling."""
        for number, part in enumerate(PAGE):
            wideevents.add_field("soak.part", number)
            if number == 2 and self.chance.random() < 0.1:
                raise ValueError("failed in mid-stream")
            yield part

    def requests_async(self) -> None:
        """Be several requests of ASGI at the same time."""
        several = self.chance.randrange(1, 5)
        self.expected["event"] += several

        async def together() -> None:
            await asyncio.gather(*(self.ask() for _ in range(several)))

        self.loop.run_until_complete(together())

    async def ask(self) -> None:
        """Be one of them; now and then the client is gone, and the task is cancelled."""
        received = itertools.chain([{"type": "http.request"}], itertools.repeat({"type": "http.disconnect"}))

        async def receive() -> Any:
            return next(received)

        async def send(message: Any) -> None:
            await asyncio.sleep(0)

        serving = asyncio.ensure_future(self.asgi(scope(self.chance), receive, send))
        if self.chance.random() < 0.05:
            await asyncio.sleep(0)
            serving.cancel()
        try:
            await serving
        except (ValueError, asyncio.CancelledError):
            return

    async def serve_async(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve it."""
        await receive()
        self.fill()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for part in PAGE:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body"})


def timed(key: str, _number: int) -> None:
    """Time a step."""
    with wideevents.timer(key):
        pass


def noted(_key: str, number: int) -> None:
    """Note an error that was handled."""
    wideevents.add_error(RuntimeError(f"handled {number % 7}"), expected=number % 2 == 0)


ADDING: tuple[Callable[[str, int], object], ...] = (
    wideevents.add_field,
    wideevents.increment,
    wideevents.append,
    timed,
    noted,
    lambda key, number: wideevents.add_field(key, "text " * (number % 50)),
    lambda key, number: wideevents.add_field(key, {"a": number, "b": {"password": "hunter2", "c": [number]}}),
    lambda key, _: wideevents.add_field(key, "Bearer 0123456789abcdef"),
    lambda key, _: wideevents.add_field(key, None),
    lambda _key, _number: wideevents.keep(),
    lambda key, number: wideevents.carry(partial(wideevents.add_field, key))(number),
)


def in_pool() -> None:
    """Be a task of a pool."""
    with wideevents.event("soak.pool"):
        wideevents.add_field("pool.thread", threading.current_thread().name)


def consume(body: Iterable[bytes]) -> None:
    """Read a body to its end."""
    for _ in body:
        pass


HEADERS = ("HTTP_HOST", "HTTP_USER_AGENT", "HTTP_X_REQUEST_ID", "HTTP_TRACEPARENT", "CONTENT_LENGTH")
GARBAGE = ("", "\xff\x00", "x" * 300, "00-" + "a" * 32 + "-" + "b" * 16 + "-01", "7", "[::1", "a\u2028b")


def environ(chance: random.Random) -> dict[str, Any]:
    """Return what a server makes of a request, which may be an odd one."""
    made = {
        "REQUEST_METHOD": chance.choice(("GET", "POST", "HEAD", "BREW")),
        "PATH_INFO": f"/page/{chance.randrange(1000)}",
        "QUERY_STRING": f"q={chance.randrange(1000)}&token=hunter2",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http",
    }
    if chance.random() < 0.3:
        made[chance.choice(HEADERS)] = chance.choice(GARBAGE)
    return made


def scope(chance: random.Random) -> dict[str, Any]:
    """Return what a server makes of a request, which may be an odd one."""
    headers = [(b"host", b"shop.example"), (b"user-agent", b"soak/1.0")]
    if chance.random() < 0.3:
        name = chance.choice((b"x-request-id", b"traceparent", b"host", b"content-length"))
        headers.append((name, chance.choice(GARBAGE).encode()))
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "method": chance.choice(("GET", "POST")),
        "scheme": "http",
        "path": f"/page/{chance.randrange(1000)}",
        "query_string": b"q=1&token=hunter2",
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 80),
    }
