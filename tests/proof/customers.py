"""Ask for numbered orders over raw sockets, and note of each whether its whole answer came, from whom, and when."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from threading import Thread

from tests.proof import orders

HOST = "127.0.0.1"
PATIENCE = 60.0
"""Seconds after which an answer does not come any more."""

END = b"\r\n\r\n"
LINE = b"\r\n"


@dataclass(frozen=True, slots=True)
class Note:
    """
    Hold what a customer saw of one order; times are seconds of the monotonic clock.

    *worker* is who answered, as "process/thread"; it is empty where the server itself did. *wrong* says what was wrong
    with a whole answer.
    """

    number: int
    began: float
    ended: float
    answered: bool
    worker: str = ""
    wrong: str = ""

    @property
    def pid(self) -> int:
        """The process that answered, or 0."""
        return int(self.worker.partition("/")[0] or 0)


class BrokenOffError(Exception):
    """The connection ended before the answer did."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold one whole answer."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


class Connection:
    """Speak just enough HTTP/1.1 (RFC 9112) on one socket; an answer is whole, or `BrokenOffError` is raised."""

    def __init__(self, wire: socket.socket) -> None:
        self.wire = wire
        self.rest = b""

    def ask(self, path: str, *, close: bool) -> Answer:
        """Send a request, and return its answer."""
        ending = b"Connection: close\r\n" if close else b""
        self.wire.sendall(b"GET %s HTTP/1.1\r\nHost: shop\r\n%s\r\n" % (path.encode(), ending))
        head = self.until(END)
        first, *lines = head.split(LINE)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        status = int(first.split(b" ", 2)[1])
        if headers.get(b"transfer-encoding") == b"chunked":
            return Answer(status, headers, self.chunks())
        return Answer(status, headers, self.exactly(int(headers[b"content-length"])))

    def chunks(self) -> bytes:
        """Return a body that comes in chunks, to its last one."""
        whole = b""
        while size := int(self.until(LINE), 16):
            whole += self.exactly(size)
            self.expect(LINE)
        self.expect(LINE)
        return whole

    def expect(self, text: bytes) -> None:
        """Read *text*, which must come next."""
        found = self.exactly(len(text))
        if found != text:
            raise BrokenOffError(f"{found!r} in place of {text!r}")

    def until(self, mark: bytes) -> bytes:
        """Return what comes before *mark*."""
        while mark not in self.rest:
            self.more()
        found, _, self.rest = self.rest.partition(mark)
        return found

    def exactly(self, size: int) -> bytes:
        """Return so many bytes."""
        while len(self.rest) < size:
            self.more()
        found, self.rest = self.rest[:size], self.rest[size:]
        return found

    def more(self) -> None:
        """Wait for more to come."""
        part = self.wire.recv(65_536)
        if not part:
            raise BrokenOffError
        self.rest += part


@dataclass(eq=False)
class Customer(Thread):
    """
    Take the next number, ask for it, note what came of it, and so on; every number is asked for once.

    One that is *loyal* keeps its connection, as far as the server does.
    """

    port: int
    numbers: Iterable[int]
    loyal: bool
    told: Callable[[Note], object]
    connection: Connection | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        super().__init__(name="customer", daemon=True)

    def run(self) -> None:
        """Go on until there are no more numbers."""
        for number in self.numbers:
            self.told(self.order(number))
        self.leave()

    def order(self, number: int) -> Note:
        """Ask for one, and see whether its answer is whole and right."""
        began = time.monotonic()
        try:
            if self.connection is None:
                self.connection = Connection(socket.create_connection((HOST, self.port), PATIENCE))
            answer = self.connection.ask(orders.path(number), close=not self.loyal)
        except (OSError, BrokenOffError) as error:
            self.leave()
            wrong = "no answer in time" if isinstance(error, TimeoutError) else ""
            return Note(number, began, time.monotonic(), answered=False, wrong=wrong)
        ended = time.monotonic()
        if not self.loyal or answer.headers.get(b"connection", b"").lower() == b"close":
            self.leave()
        worker = answer.headers.get(b"x-worker", b"").decode()
        return Note(number, began, ended, answered=True, worker=worker, wrong=wrong_of(number, answer))

    def leave(self) -> None:
        """Hang up."""
        if self.connection is not None:
            self.connection.wire.close()
            self.connection = None


def wrong_of(number: int, answer: Answer) -> str:
    """Say what is wrong with a whole answer; a worker that is stopped may refuse what it has not begun."""
    if answer.status != orders.status(number):
        return f"the order {number} was answered with {answer.status}"
    if orders.kind(number) != "raises" and answer.body != orders.body(number):
        return f"the answer to the order {number} is not its own"
    return ""
