"""The little application that every door serves: plain functions, which know no framework."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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

    body: bytes | Iterator[bytes] = b""
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    file: Path | None = None


View = Callable[..., Answer]


class Route(NamedTuple):
    """A path, and what answers there; a parameter is written as Flask and Django do."""

    template: str
    view: View
    method: str = "GET"


def plain(asked: Asked) -> Answer:
    wideevents.add_field("view", "plain")
    return Answer(b"Hello, world")


def streamed(asked: Asked) -> Answer:
    def parts() -> Iterator[bytes]:
        for part in PARTS:
            time.sleep(PAUSE)
            wideevents.increment("parts")
            yield part

    return Answer(parts())


def broken(asked: Asked) -> Answer:
    """Fail when a part of the body is out."""

    def parts() -> Iterator[bytes]:
        yield PARTS[0]
        raise CrashError("in mid-stream")

    return Answer(parts())


def stillborn(asked: Asked) -> Answer:
    """Fail before the first part, when the status is decided and not yet sent."""

    def parts() -> Iterator[bytes]:
        raise CrashError("before the first part")
        yield b""

    return Answer(parts())


def endless(asked: Asked) -> Answer:
    """Stream until the client has gone; for ten seconds, if it does not."""

    def parts() -> Iterator[bytes]:
        try:
            for _ in range(1_000):
                yield b"x" * 1_000
                time.sleep(0.01)
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


def slow(asked: Asked) -> Answer:
    time.sleep(0.06)
    return Answer(b"slow")


def healthz(asked: Asked) -> Answer:
    """Answer a health check: well, or too late, or badly, as asked."""
    time.sleep(float(asked.query.get("sleep", 0)))
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


def echo(asked: Asked) -> Answer:
    """Add fields that no other request has, with time between them for others to come in."""
    mark = asked.query["mark"]
    wideevents.add_field(f"echo.{mark}", mark)
    time.sleep(0.002)
    wideevents.add_field("echo_last", mark)
    return Answer(mark.encode())


def own_id(asked: Asked) -> Answer:
    return Answer(b"own", headers=(("X-Request-ID", asked.query["id"]),))


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
    Route("/file", file),
    Route("/reset/<token>", reset),
    Route("/greet/<name>", greet),
)
