"""The little application that every door serves: plain functions, which know no framework and no way to wait."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import wideevents

FILE = Path(__file__)
"""What the route /file sends: a file that is there for certain."""

PARTS = (b"one,", b"two,", b"three")
PAUSE = 0.05
"""Seconds before each part of the streamed body."""

WARM = ThreadPoolExecutor(1)
"""A pool that outlives its requests; its one worker is born in the first of them."""


class DeclinedError(Exception):
    """Stand for an error that an errorhandler answers with 409."""


class UnavailableError(Exception):
    """Stand for an error that an errorhandler answers with 503."""


class RefusalError(Exception):
    """Ask the framework for its own way to answer 403 at once: `abort`."""


class CrashError(RuntimeError):
    """Stand for an error that nobody handles."""


HANDLED: dict[type[Exception], int] = {DeclinedError: 409, UnavailableError: 503}


@dataclass(frozen=True)
class Asked:
    """What a view sees of its request."""

    query: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """
    What a view answers.

    A body is bytes, whose length is announced, or an iterator, whose length is not; *file* is sent in its place.
    """

    body: bytes | Iterator[bytes] | AsyncIterator[bytes] = b""
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    file: Path | None = None


View = Callable[..., Answer]
Coroutine = Callable[..., Awaitable[Answer]]

Pause = float
"""Seconds: what a view, or the parts of its body, gives to whoever runs it, who waits that long in a way of his own."""

Waiting = Generator[Pause, None, Answer]
Plan = Callable[..., Answer | Waiting]
Parts = Generator[Pause | bytes, None, None]


def waiting(plan: Plan) -> View:
    """Return a function that does as planned, and sleeps where it pauses."""

    @wraps(plan)
    def view(asked: Asked, **parameters: str) -> Answer:
        answer = plan(asked, **parameters)
        while not isinstance(answer, Answer):
            try:
                time.sleep(next(answer))
            except StopIteration as returned:
                answer = returned.value
        return answer if isinstance(answer.body, bytes) else replace(answer, body=slept(answer.body))

    return view


def awaiting(plan: Plan) -> Coroutine:
    """Return a coroutine function that does as planned, and lets others run where it pauses."""

    @wraps(plan)
    async def view(asked: Asked, **parameters: str) -> Answer:
        answer = plan(asked, **parameters)
        while not isinstance(answer, Answer):
            try:
                await asyncio.sleep(next(answer))
            except StopIteration as returned:
                answer = returned.value
        return answer if isinstance(answer.body, bytes) else replace(answer, body=awaited(answer.body))

    return view


def slept(parts: Parts) -> Iterator[bytes]:
    """Hand on the parts of a body, and sleep between them."""
    with closing(parts):
        for part in parts:
            if isinstance(part, bytes):
                yield part
            else:
                time.sleep(part)


async def awaited(parts: Parts) -> AsyncIterator[bytes]:
    """Hand on the parts of a body, and let others run between them."""
    with closing(parts):
        for part in parts:
            if isinstance(part, bytes):
                yield part
            else:
                await asyncio.sleep(part)


class Route(NamedTuple):
    """A path, and what answers there; a parameter is written as Flask and Django do."""

    template: str
    plan: Plan
    method: str = "GET"

    @property
    def view(self) -> View:
        """What answers in a thread that may wait."""
        return waiting(self.plan)

    @property
    def coroutine(self) -> Coroutine:
        """What answers in an event loop."""
        return awaiting(self.plan)


def plain(asked: Asked) -> Answer:
    wideevents.add_field("view", "plain")
    return Answer(b"Hello, world")


def streamed(asked: Asked) -> Answer:
    def parts() -> Parts:
        for part in PARTS:
            yield PAUSE
            wideevents.increment("parts")
            yield part

    return Answer(parts())


def broken(asked: Asked) -> Answer:
    """Fail when a part of the body is out."""

    def parts() -> Parts:
        yield PARTS[0]
        raise CrashError("in mid-stream")

    return Answer(parts())


def stillborn(asked: Asked) -> Answer:
    """Fail before the first part, when the status is decided and not yet sent."""

    def parts() -> Parts:
        raise CrashError("before the first part")
        yield b""

    return Answer(parts())


def endless(asked: Asked) -> Answer:
    """Stream until the client has gone; for ten seconds, if it does not, or for as many parts as were asked for."""

    def parts() -> Parts:
        try:
            for _ in range(int(asked.query.get("parts", 1_000))):
                yield b"x" * 1_000
                yield 0.01
        finally:
            wideevents.add_field("cleaned_up", 1)

    return Answer(parts())


def declined(asked: Asked) -> Answer:
    raise DeclinedError("the card was declined")


def unavailable(asked: Asked) -> Answer:
    raise UnavailableError("the provider is down")


def refused(asked: Asked) -> Answer:
    raise RefusalError


def crash(asked: Asked) -> Answer:
    raise CrashError("nobody handles this")


def nothing(asked: Asked) -> Answer:
    return Answer(status=204)


def unchanged(asked: Asked) -> Answer:
    return Answer(status=304, headers=(("ETag", '"7"'),))


def moved(asked: Asked) -> Answer:
    return Answer(status=302, headers=(("Location", "/plain"),))


def upload(asked: Asked) -> Answer:
    return Answer(str(len(asked.body)).encode(), 201)


def slow(asked: Asked) -> Waiting:
    yield 0.06
    return Answer(b"slow")


def healthz(asked: Asked) -> Waiting:
    """Answer a health check: well, or too late, or badly, as asked."""
    yield float(asked.query.get("sleep", 0))
    return Answer(b"health", int(asked.query.get("status", 200)))


def not_quiet(asked: Asked) -> Answer:
    return Answer(b"begins like a quiet route, and is none")


def static(asked: Asked, name: str) -> Answer:
    return Answer(name.encode())


def threads(asked: Asked) -> Answer:
    """Add a field from a thread, from a pool made here, and from one that is warm."""
    mark = asked.query["mark"]
    thread = Thread(target=wideevents.add_field, args=("marks.thread", mark))
    thread.start()
    thread.join()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(wideevents.add_field, "marks.pool", mark).result()
    WARM.submit(wideevents.add_field, "marks.warm", mark).result()
    return Answer(b"threads")


def many(asked: Asked) -> Answer:
    wideevents.add_fields({f"many.field_{number}": number for number in range(100)})
    return Answer(b"many")


def echo(asked: Asked) -> Waiting:
    """Add fields that no other request has, with time between them for others to come in."""
    mark = asked.query["mark"]
    wideevents.add_field(f"echo.{mark}", mark)
    yield 0.002
    wideevents.add_field("echo_last", mark)
    return Answer(mark.encode())


def own_id(asked: Asked) -> Answer:
    return Answer(b"own", headers=(("X-Request-ID", asked.query["id"]),))


def collected(asked: Asked) -> Answer:
    """Clean up what requests before have left behind in circles."""
    gc.collect()
    return Answer(b"collected")


def file(asked: Asked) -> Answer:
    return Answer(file=FILE)


def reset(asked: Asked, token: str) -> Answer:
    return Answer(b"reset")


def greet(asked: Asked, name: str) -> Answer:
    return Answer(f"Hello, {name}".encode())


ROUTES = (
    Route("/plain", plain),
    Route("/streamed", streamed),
    Route("/broken", broken),
    Route("/stillborn", stillborn),
    Route("/endless", endless),
    Route("/declined", declined),
    Route("/unavailable", unavailable),
    Route("/refused", refused),
    Route("/crash", crash),
    Route("/nothing", nothing),
    Route("/unchanged", unchanged),
    Route("/moved", moved),
    Route("/upload", upload, "POST"),
    Route("/slow", slow),
    Route("/healthz", healthz),
    Route("/healthz2", not_quiet),
    Route("/assets/<path:name>", static),
    Route("/threads", threads),
    Route("/many", many),
    Route("/echo", echo),
    Route("/own-id", own_id),
    Route("/collected", collected),
    Route("/file", file),
    Route("/reset/<token>", reset),
    Route("/greet/<name>", greet),
)
