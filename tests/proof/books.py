"""Settle the books of a storm: what customers saw, what the shop noted, whom the storm killed, and what was written."""

from __future__ import annotations

import json
import signal
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.integrations.servers import parse_any
from tests.proof import orders
from tests.proof.customers import Note

Fields = dict[str, Any]

TOLD = 20
"""Faults that are told in words; the others are counted."""


@dataclass(frozen=True, slots=True)
class Kill:
    """Hold one signal of the storm: which, to which process, and when (seconds of the monotonic clock)."""

    signal: int
    pid: int
    at: float


@dataclass(frozen=True, slots=True)
class Found:
    """
    Hold all that is known after a storm.

    - *journal*: (worker, number) of every request whose fields were noted, in the order of each worker.
    - *stream*: all that was written, and afterwards recovered.
    - *recorded*: whether the flight recorder was on.
    - *readable*: whether who recovers can read what is written; else a line and its lost line may both be there.
    """

    notes: list[Note]
    journal: list[tuple[str, int]]
    kills: list[Kill]
    stream: bytes
    recorded: bool
    readable: bool


class Journal:
    """
    Know who served which order, which one was the last of each worker, and whose line was *dropped*.

    A thread writes a line right after its order is served, and says so right then if it could not.
    """

    def __init__(self, rows: Iterable[tuple[str, int]]) -> None:
        self.workers: dict[int, str] = {}
        self.last: dict[str, int] = {}
        self.dropped: set[int] = set()
        for worker, number in rows:
            if number != orders.LOST:
                self.workers[number] = worker
                self.last[worker] = number
            elif worker in self.last:
                self.dropped.add(self.last[worker])


@dataclass
class Books:
    """
    Hold what a storm came to; *faults* are what must not be.

    *missing* were answered and have no line, *gone* were noted and neither answered nor written; *both* have a line and
    a lost line of the same event; *dropped* were lost and counted, by a pipe that was full for too long, and *told* is
    what the lines say of that.
    """

    requests: int = 0
    answered: int = 0
    lines: int = 0
    lost: int = 0
    missing: int = 0
    gone: int = 0
    doubled: int = 0
    both: int = 0
    torn: int = 0
    dropped: int = 0
    told: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def fault(self, sentence: str) -> None:
        """Note what must not be."""
        self.faults.append(sentence)


def settle(found: Found) -> Books:
    """Compare everything with everything."""
    books = Books(requests=len(found.notes), kills=Counter(signal.Signals(kill.signal).name for kill in found.kills))
    for note in found.notes:
        books.answered += note.answered
        if note.wrong:
            books.fault(note.wrong)
    events = [line for line in read(found.stream, books) if "event.kind" in line]
    by_number = numbered(events, books)
    asked = {note.number for note in found.notes}
    if len(asked) != len(found.notes) or by_number.keys() - asked:
        books.fault("a number was asked for twice, or written without being asked for")
    check_once(events, found, books)
    journal = Journal(found.journal)
    workers = journal.workers
    killed = {kill.pid: kill.at for kill in found.kills if kill.signal == signal.SIGKILL}
    for number, lines in by_number.items():
        for line in lines:
            check_line(number, line, workers.get(number), killed, books)
    check_missing(found, by_number, journal, killed, books)
    return books


def read(stream: bytes, books: Books) -> list[Fields]:
    """Read every line of the stream strictly; what cannot be read is torn."""
    lines = []
    *whole, rest = stream.split(b"\n")
    for line in [each + b"\n" for each in whole] + [rest] * bool(rest):
        try:
            lines.append(parse_any(line))
        except (AssertionError, UnicodeDecodeError, json.JSONDecodeError) as error:
            books.torn += 1
            books.fault(f"torn: {str(error)[:100]}: {line[:60]!r} ... {line[-60:]!r}")
    return lines


def numbered(events: Iterable[Fields], books: Books) -> dict[int, list[Fields]]:
    """Return the events by the number that was asked for; count them, and what they tell of losses."""
    by_number: dict[int, list[Fields]] = defaultdict(list)
    for event in events:
        books.told += event.get("events.lost", 0)
        if event["outcome"] == "lost":
            books.lost += 1
        else:
            books.lines += 1
        by_number[int(event.get("url.query", "n=-1").removeprefix("n="))].append(event)
    return by_number


def check_once(events: Iterable[Fields], found: Found, books: Books) -> None:
    """See that no event, and no number, is told twice."""
    for key in ("event.id", "url.query"):
        told: dict[Any, list[Fields]] = defaultdict(list)
        for event in events:
            told[event.get(key)].append(event)
        for value, same in told.items():
            if len(same) == 1:
                continue
            outcomes = sorted(event["outcome"] == "lost" for event in same)
            one = len({event["event.id"] for event in same}) == 1
            if one and outcomes == [False, True] and found.recorded and not found.readable:
                books.both += key == "event.id"
            else:
                books.doubled += 1
                books.fault(f"{len(same)} lines of {key} {value}: {[event['outcome'] for event in same]}")


def check_line(number: int, line: Fields, worker: str | None, killed: dict[int, float], books: Books) -> None:
    """See that a line holds what its request noted: all of it, or, if it was lost, what came before its journal."""
    expected: Fields = {}
    if line["outcome"] != "lost":
        expected = orders.noted(number)
        if orders.kind(number) != "raises":
            expected |= orders.done(number) | {"http.response.status_code": orders.status(number)}
    elif worker is not None:
        expected = orders.noted(number)
        if process(worker) not in killed:
            books.fault(f"the order {number} is told as lost, and nobody killed its worker {worker}")
    wrong = {name: line.get(name) for name, value in expected.items() if line.get(name) != value}
    if wrong or "event.trimmed" in line:
        books.fault(f"the line of the order {number} ({orders.kind(number)}, {line['outcome']}): {str(wrong)[:200]}")


def check_missing(
    found: Found, by_number: dict[int, list[Fields]], journal: Journal, killed: dict[int, float], books: Books
) -> None:
    """See that what has no line is what a kill explains, and with the flight recorder nothing but what was counted."""
    unexplained = []
    notes = {note.number: note for note in found.notes}
    answered = {note.number for note in found.notes if note.answered}
    for number in sorted((answered | journal.workers.keys()) - by_number.keys()):
        if number in journal.dropped:
            books.dropped += 1
        elif number in answered:
            books.missing += 1
        else:
            books.gone += 1
        counted = number in journal.dropped
        if not counted and (found.recorded or not explained(notes[number], journal, killed)):
            unexplained.append(number)
    if unexplained:
        books.fault(f"{len(unexplained)} orders have no line: {describe(unexplained, journal.workers, killed)}")


def explained(note: Note, journal: Journal, killed: dict[int, float]) -> bool:
    """
    Tell whether a kill took the line with it.

    So it is if its worker was killed after it had been asked, and its thread served nothing more.
    """
    worker = journal.workers.get(note.number)
    if worker is None or journal.last[worker] != note.number or (note.worker and note.worker != worker):
        return False
    return killed.get(process(worker), 0) >= note.began


def describe(numbers: list[int], workers: dict[int, str], killed: dict[int, float]) -> str:
    """Say which they are, what they did, and what became of their workers."""
    shown = []
    for number in numbers[:TOLD]:
        worker = workers.get(number, "0/0")
        fate = "killed" if process(worker) in killed else "alive"
        shown.append(f"{number} ({orders.kind(number)}, of {worker}, {fate})")
    return ", ".join(shown)


def process(worker: str) -> int:
    """Return the process of a worker, "process/thread"."""
    return int(worker.partition("/")[0])
