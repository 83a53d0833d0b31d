"""What a storm of kills must not take: a line, and who looks for it must be able to see that one is missing."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.integrations.servers import environment, parse_any
from tests.proof import orders
from tests.proof.books import Found, Kill, settle
from tests.proof.customers import Answer, BrokenOffError, Connection, Customer, Note, wrong_of
from tests.proof.storm import MODES, storm

REQUESTS, KILLS = 1_000, 3
SHORT = ("sync, file, recorded", "gthread, pipe, recorded", "gthread, file, plain", "sync, pipe, plain")
"""Four of the eight; every kind of worker, every output, and both with the recorder and without."""

linux = pytest.mark.skipif(sys.platform != "linux", reason="who is killed is looked up in /proc")


@linux
class TestStorm:
    @pytest.mark.parametrize("name", SHORT)
    def test_takes_no_line(self, name: str, tmp_path: Path) -> None:
        """Every answered order has its line, or its lost line; none is torn, and none is there twice."""
        (mode,) = [mode for mode in MODES if str(mode) == name]
        books = storm(mode, tmp_path, REQUESTS, KILLS, seed=6)

        assert books.faults == []
        assert (books.requests, books.kills.total(), books.torn, books.doubled) == (REQUESTS, KILLS, 0, 0)
        assert books.lines > REQUESTS * 0.9

    def test_has_all_kinds(self) -> None:
        """The long one goes over every kind of worker and output, with the recorder and without."""
        assert len({str(mode) for mode in MODES}) == 8


KILLED_LAST = """
import wideevents
from tests.proof.moments import Last
wideevents.configure(service="shop", output=["events.jsonl", Last()], flight="flight")
with wideevents.event("work"):
    wideevents.add_field("number", 7)
"""


@linux
class TestTheLastMoment:
    def test_a_kill_between_the_line_and_its_end_tells_nothing_twice(self, tmp_path: Path) -> None:
        """Whoever recovers looks into the file first, where the line is."""
        recover = ("-m", "wideevents", "recover", "flight", "--output", "events.jsonl")
        codes = [
            subprocess.run([sys.executable, *arguments], cwd=tmp_path, env=environment(), check=False).returncode
            for arguments in (("-c", KILLED_LAST), recover)
        ]
        lines = (tmp_path / "events.jsonl").read_bytes().splitlines(keepends=True)
        assert codes == [-signal.SIGKILL, 0]
        assert [(each["number"], each["outcome"]) for each in map(parse_any, lines)] == [(7, "success")]


def line(number: int, *, lost: bool = False, event_id: str | None = None, **changed: Any) -> dict[str, Any]:
    """Return the line of an order, as it should be."""
    fields: dict[str, Any] = {
        "timestamp": "2026-01-02T03:04:05.678901Z",
        "event.name": "GET",
        "event.id": event_id or f"{number:016x}",
        "event.kind": "request",
        "duration_ms": 1.0,
        "outcome": "lost" if lost else "success",
        "level": "info",
        "alert.urgency": "none",
        "url.query": f"n={number}",
        **orders.noted(number),
    }
    if not lost:
        fields |= {**orders.done(number), "http.response.status_code": orders.status(number)}
    return fields | changed


PLAIN = [number for number in range(100) if orders.kind(number) == "plain"]
FIRST, SECOND, THIRD = PLAIN[:3]
WORKER, OTHER = "101/1", "202/2"


def encoded(*lines: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in lines)


def note(number: int, worker: str = WORKER, *, answered: bool = True) -> Note:
    return Note(number, began=number, ended=number + 1, answered=answered, worker=worker if answered else "")


def found(*lines: dict[str, Any], **changed: Any) -> Found:
    """Return what is known after a calm day on which two orders were served by one worker, and a third by another."""
    calm = Found(
        notes=[note(FIRST), note(SECOND), note(THIRD, OTHER)],
        journal=[(WORKER, FIRST), (WORKER, SECOND), (OTHER, THIRD)],
        kills=[],
        stream=encoded(*(lines or map(line, (FIRST, SECOND, THIRD)))),
        recorded=False,
        readable=True,
    )
    return replace(calm, **changed)


KILLED = [Kill(signal.SIGKILL, 101, at=1e9)]
RECORDED = {"kills": KILLED, "recorded": True}


class TestBooks:
    """Who looks for faults sees them: each of these is one."""

    def test_all_is_well(self) -> None:
        """Three orders, three lines."""
        books = settle(found())
        assert (books.requests, books.answered, books.lines, books.faults) == (3, 3, 3, [])

    @pytest.mark.parametrize(
        ("stream", "torn"),
        [
            (encoded(line(FIRST), line(SECOND))[:-40] + encoded(line(THIRD)), 1),
            (encoded(line(FIRST), line(SECOND), line(THIRD))[:-1], 1),
            (encoded(line(FIRST), line(SECOND), line(THIRD)) + b"\n", 1),
            (encoded(line(FIRST), line(SECOND), line(THIRD)) + b"wideevents\n", 1),
            (encoded(line(FIRST), line(SECOND)) + encoded(line(THIRD)).replace(b'"', b"\xff", 1), 1),
            (encoded(line(FIRST), line(SECOND), line(THIRD, duration_ms=float("nan"))), 1),
        ],
        ids=["in another", "at the end", "an empty one", "what is none", "no text", "not strict"],
    )
    def test_a_torn_line_is_seen(self, stream: bytes, torn: int) -> None:
        """Also one that is nearly right."""
        books = settle(found(stream=stream))
        assert (books.torn, [fault for fault in books.faults if fault.startswith("torn")] != []) == (torn, True)

    @pytest.mark.parametrize(
        "again",
        [line(FIRST), line(FIRST, event_id="f" * 16), line(FIRST, lost=True), line(THIRD, event_id=f"{FIRST:016x}")],
        ids=["the same", "the same number", "lost, too", "the same event"],
    )
    def test_a_doubled_line_is_seen(self, again: dict[str, Any]) -> None:
        """By its event, and by its number."""
        books = settle(found(line(FIRST), line(SECOND), line(THIRD), again, kills=KILLED))
        assert books.doubled > 0
        assert books.faults != []

    def test_a_line_beside_its_lost_line_is_forgiven_where_nobody_can_look(self) -> None:
        """A pipe cannot be read back: both carry the same event.id."""
        lines = line(FIRST), line(SECOND), line(THIRD), line(SECOND, lost=True)
        piped = settle(found(*lines, **RECORDED, readable=False))
        filed = settle(found(*lines, **RECORDED, readable=True))
        assert (piped.both, piped.doubled, piped.faults, filed.both, filed.doubled) == (1, 0, [], 0, 2)

    def test_a_missing_line_is_seen(self) -> None:
        """Nobody was killed."""
        books = settle(found(line(FIRST), line(THIRD)))
        assert (books.missing, len(books.faults)) == (1, 1)

    def test_a_missing_line_is_explained_by_a_kill(self) -> None:
        """It was the last thing that its worker did."""
        books = settle(found(line(FIRST), line(THIRD), kills=KILLED))
        assert (books.missing, books.faults) == (1, [])

    @pytest.mark.parametrize(
        ("missing", "kill"),
        [
            (FIRST, KILLED[0]),
            (THIRD, KILLED[0]),
            (SECOND, Kill(signal.SIGKILL, 101, at=SECOND - 0.5)),
            (SECOND, Kill(signal.SIGTERM, 101, at=1e9)),
            (SECOND, Kill(signal.SIGHUP, 101, at=1e9)),
        ],
        ids=["its worker went on", "another worker", "before it", "sigterm", "sighup"],
    )
    def test_no_other_kill_explains_it(self, missing: int, kill: Kill) -> None:
        """SIGTERM and SIGHUP let a worker finish what it is at."""
        rest = [line(number) for number in (FIRST, SECOND, THIRD) if number != missing]
        assert len(settle(found(*rest, kills=[kill])).faults) == 1

    def test_with_the_recorder_no_kill_explains_it(self) -> None:
        """Its fields were noted, so that they must be told."""
        books = settle(found(line(FIRST), line(THIRD), **RECORDED))
        assert (books.missing, len(books.faults)) == (1, 1)

    def test_with_the_recorder_what_was_not_answered_is_told_too(self) -> None:
        """It is in the journal, so that its fields were noted."""
        notes = [note(FIRST), note(SECOND, answered=False), note(THIRD, OTHER)]
        without = settle(found(line(FIRST), line(THIRD), notes=notes, **RECORDED))
        within = settle(found(line(FIRST), line(SECOND, lost=True), line(THIRD), notes=notes, **RECORDED))
        assert (without.gone, len(without.faults), within.lost, within.faults) == (1, 1, 1, [])

    def test_a_lost_line_of_a_worker_that_lives_is_seen(self) -> None:
        """Nobody killed it."""
        lines = line(FIRST), line(SECOND), line(THIRD, lost=True)
        assert len(settle(found(*lines, **RECORDED)).faults) == 1

    @pytest.mark.parametrize(
        "changed",
        [
            {"order.customer": "another"},
            {"order.total": 7},
            {"order.paid": False},
            {"http.response.status_code": 500},
            {"event.trimmed": ["order.items"]},
        ],
        ids=lambda changed: next(iter(changed)),
    )
    def test_a_line_that_holds_something_else_is_seen(self, changed: dict[str, Any]) -> None:
        """Each line is compared with what its request noted."""
        assert len(settle(found(line(FIRST), line(SECOND), line(THIRD, **changed))).faults) == 1

    def test_a_lost_line_that_lacks_a_field_is_seen(self) -> None:
        """What was noted before the journal must be there."""
        bare = line(SECOND, lost=True)
        del bare["order.customer"]
        assert len(settle(found(line(FIRST), bare, line(THIRD), **RECORDED)).faults) == 1

    def test_a_line_that_was_dropped_and_counted_is_told_so(self) -> None:
        """Its worker wrote down, right after it, that it was lost."""
        journal = [(WORKER, FIRST), (WORKER, orders.LOST), (WORKER, SECOND), (OTHER, THIRD)]
        books = settle(found(line(SECOND), line(THIRD), journal=journal, **RECORDED))
        assert (books.dropped, books.missing, books.faults) == (1, 0, [])

    def test_a_number_that_nobody_asked_for_is_seen(self) -> None:
        """And one that was asked for twice."""
        twice = [note(FIRST), note(SECOND), note(THIRD, OTHER), note(THIRD, OTHER)]
        assert len(settle(found(notes=twice)).faults) == 1
        assert settle(found(*map(line, PLAIN[:4]))).faults != []

    def test_an_answer_that_was_wrong_is_seen(self) -> None:
        """The customer says so."""
        notes = [note(FIRST), note(SECOND), replace(note(THIRD, OTHER), wrong="not its own")]
        assert settle(found(notes=notes)).faults == ["not its own"]


HEAD = b"HTTP/1.1 200 OK\r\nX-Worker: 7/8\r\n"
WHOLE = {
    "sized": HEAD + b"Content-Length: 5\r\n\r\nhello",
    "empty": HEAD + b"Content-Length: 0\r\n\r\n",
    "chunked": HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
}


def answered(sent: bytes, *, by: int = 7) -> Answer:
    """Return what a connection makes of an answer that comes in pieces."""
    ours, theirs = socket.socketpair()

    def send() -> None:
        with theirs:
            theirs.recv(65_536)
            for start in range(0, len(sent), by):
                theirs.sendall(sent[start : start + by])

    server = threading.Thread(target=send)
    server.start()
    with ours:
        try:
            return Connection(ours).ask("/", close=False)
        finally:  # it may have more to send than is asked for: nobody hangs up on it
            server.join()


class TestCustomers:
    """Whoever says that an answer was whole must know."""

    @pytest.mark.parametrize("kind", WHOLE)
    @pytest.mark.parametrize("by", [1, 7, 4_096])
    def test_a_whole_answer_is_one(self, kind: str, by: int) -> None:
        """However it comes."""
        answer = answered(WHOLE[kind], by=by)
        assert (answer.status, answer.headers[b"x-worker"]) == (200, b"7/8")
        assert answer.body == (b"" if kind == "empty" else b"hello")

    @pytest.mark.parametrize("kind", WHOLE)
    def test_any_part_of_one_is_none(self, kind: str) -> None:
        """Wherever it breaks off, but for its end."""
        for end in range(len(WHOLE[kind])):
            with pytest.raises(BrokenOffError):
                answered(WHOLE[kind][:end], by=4_096)

    def test_a_chunk_that_is_followed_by_something_else_is_none(self) -> None:
        """A chunk has an end of its own (RFC 9112, 7.1)."""
        with pytest.raises(BrokenOffError):
            answered(HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n")

    def test_the_answer_must_be_its_own(self) -> None:
        """Another status, or the body of another order, is wrong."""
        whole = Answer(200, {}, orders.body(FIRST))
        assert wrong_of(FIRST, whole) == ""
        assert wrong_of(FIRST, replace(whole, status=500)) != ""
        assert wrong_of(SECOND, whole) != ""

    def test_a_server_that_is_not_there_is_no_answer(self) -> None:
        """And no reason to stop."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
        notes: list[Note] = []
        Customer(port, [1, 2], loyal=True, told=notes.append).run()
        assert [(each.number, each.answered, each.worker) for each in notes] == [(1, False, ""), (2, False, "")]
