"""
Let a storm of kills go over gunicorn, and settle the books: `python -m tests.proof.storm`.

Four workers, sync and gthread, write to a file and to a pipe, with the flight recorder and without; customers ask for
numbered orders; SIGKILL and SIGTERM hit random workers, and SIGHUP the master, at random moments.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.integrations.servers import environment, eventually
from tests.proof import orders
from tests.proof.books import TOLD, Books, Found, Kill, settle
from tests.proof.customers import HOST, Customer, Note

WORKERS = 4
CUSTOMERS = 12
PATIENCE = 60.0
"""Seconds after which something that has not happened never will."""

WEATHER = {signal.SIGKILL: 7, signal.SIGTERM: 2, signal.SIGHUP: 1}
"""How often which signal comes, of ten."""

CALM = 0.97
"""The part of the requests after which no more signals come: what they hit is still served."""

WAIT_MS = 20_000
"""
Milliseconds that a line waits for its turn on the pipe.

This is a storm of kills; by default a line is dropped, and counted, after 100 ms, which a busy machine may well take.
"""

LASTING = 0.001
"""Seconds between a line and the end of its event: in real life a hundredth of it, in which hardly any kill comes."""

EVENTS, READ, LOG, FLIGHT = "events.jsonl", "read.jsonl", "server.log", "flight"

GUNICORN = """
import wideevents
from tests.proof.moments import Lasting
from wideevents.sinks.lines import LinesSink

wideevents.configure(service="storm", output=[{output}, Lasting({lasting})], flight={flight!r})
bind = "fd://{descriptor}"
workers = {workers}
worker_class = {kind!r}
threads = {threads}
control_socket_disable = True
logger_class = "wideevents.integrations.gunicorn.Logger"
graceful_timeout = 20
"""
HOOKS = "from wideevents.integrations.gunicorn import child_exit, on_exit, post_worker_init, worker_abort\n"


@dataclass(frozen=True, slots=True)
class Mode:
    """Say how the shop runs: the *kind* of gunicorn's workers, where lines go, and whether they are recorded."""

    kind: str
    output: str
    recorded: bool

    def __str__(self) -> str:
        return f"{self.kind}, {self.output}, {'recorded' if self.recorded else 'plain'}"


MODES = [Mode(*each) for each in itertools.product(("sync", "gthread"), ("file", "pipe"), (False, True))]


@dataclass
class Shop:
    """A shop that is open: its master, its port, and the folder in which all is written."""

    mode: Mode
    folder: Path
    port: int
    master: subprocess.Popen[bytes]
    seen: set[int] = field(default_factory=set)

    def workers(self) -> list[int]:
        """Return the workers that are alive and have served somebody: one that is not ready cannot be stopped well."""
        try:
            children = Path(f"/proc/{self.master.pid}/task/{self.master.pid}/children").read_text()
        except OSError:
            return []
        return [pid for pid in map(int, children.split()) if pid in self.seen]

    def close(self) -> None:
        """Stop the server as a deployment would."""
        self.master.send_signal(signal.SIGTERM)
        self.master.wait(PATIENCE)

    def journal(self) -> list[tuple[str, int]]:
        """Return (worker, number) of all that was noted."""
        rows = (row.split() for row in (self.folder / orders.JOURNAL).read_text().splitlines())
        return [(worker, int(number)) for worker, number in rows]


@contextmanager
def opened(mode: Mode, folder: Path) -> Iterator[Shop]:
    """Open a shop; whoever reads its pipe does nothing else, so that nobody waits for it."""
    (folder / orders.PAGE_FILE).write_bytes(orders.PAGE)
    (folder / FLIGHT).mkdir(exist_ok=True)
    with ExitStack() as stack:
        listening = stack.enter_context(socket.create_server((HOST, 0), backlog=512))
        log = stack.enter_context((folder / LOG).open("ab"))
        reader = None
        out: int = log.fileno()
        if mode.output == "pipe":
            reading, out = os.pipe()
            with (folder / READ).open("wb") as file:
                reader = subprocess.Popen(["cat"], stdin=reading, stdout=file)
            os.close(reading)
        (folder / "gunicorn.conf.py").write_text(configuration(mode, listening.fileno()))
        master = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "--config=gunicorn.conf.py", "tests.proof.shop:app"],
            pass_fds=[listening.fileno()],
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=log,
            start_new_session=True,
        )
        if reader is not None:
            os.close(out)
        port = listening.getsockname()[1]
    try:
        yield Shop(mode, folder, port, master)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(master.pid, signal.SIGKILL)  # it leads a session of its own, so these are its children
        master.wait(PATIENCE)
        if reader is not None:
            reader.wait(PATIENCE)  # the pipe ends with its last writer


def configuration(mode: Mode, descriptor: int) -> str:
    """Return what stands in gunicorn's configuration file."""
    settings = GUNICORN.format(
        output=repr(EVENTS) if mode.output == "file" else f"LinesSink(wait_ms={WAIT_MS})",
        lasting=LASTING,
        flight=FLIGHT if mode.recorded else None,
        descriptor=descriptor,
        workers=WORKERS,
        kind=mode.kind,
        threads=4 if mode.kind == "gthread" else 1,
    )
    return settings + HOOKS * mode.recorded


def storm(mode: Mode, folder: Path, requests: int, kills: int, seed: int) -> Books:
    """Let so many *requests* and *kills* come over a shop, and settle its books."""
    notes: list[Note] = []
    with opened(mode, folder) as shop:

        def told(note: Note) -> None:
            notes.append(note)
            if note.pid:
                shop.seen.add(note.pid)

        numbers = iter(range(requests))  # its next() is atomic
        customers = [Customer(shop.port, numbers, each % 2 == 0, told) for each in range(CUSTOMERS)]
        for customer in customers:
            customer.start()
        killed = rage(shop, random.Random(seed), requests, kills, lambda: len(notes))
        for customer in customers:
            customer.join(PATIENCE)
        assert not any(customer.is_alive() for customer in customers), "a customer is stuck"
        shop.close()
    return settle(
        Found(notes, shop.journal(), killed, recovered(shop), recorded=mode.recorded, readable=mode.output == "file")
    )


def rage(shop: Shop, chance: random.Random, requests: int, kills: int, served: Callable[[], int]) -> list[Kill]:
    """Send so many signals, at random moments, to random workers; return what was sent."""
    killed = []
    for moment in sorted(chance.sample(range(WORKERS, int(requests * CALM)), kills)):
        eventually(partial(reached, served, moment), f"{moment} requests", PATIENCE)
        time.sleep(chance.random() / 100)
        number = chance.choices([*WEATHER], [*WEATHER.values()])[0]
        hung_up = number == signal.SIGHUP
        pid = shop.master.pid if hung_up else chance.choice(eventually(shop.workers, "a worker", PATIENCE))
        with suppress(ProcessLookupError):
            os.kill(pid, number)
            killed.append(Kill(number, pid, time.monotonic()))
    return killed


def reached(served: Callable[[], int], moment: int) -> bool:
    """Tell whether so many requests are over."""
    return served() >= moment


def recovered(shop: Shop) -> bytes:
    """Return all that was written, after `recover` has given back what no hook of gunicorn's could."""
    written = shop.folder / (EVENTS if shop.mode.output == "file" else READ)
    if shop.mode.recorded:
        subprocess.run(
            [sys.executable, "-m", "wideevents", "recover", FLIGHT],
            cwd=shop.folder,
            env=environment(WIDEEVENTS_OUTPUT=EVENTS),
            check=True,
            capture_output=True,
        )
    return written.read_bytes()


COLUMNS = ("requests", "answered", "lines", "lost", "missing", "gone", "doubled", "both", "torn", "dropped", "told")


def row(mode: str, books: Books, seconds: float) -> str:
    """Return one row of the table."""
    numbers = "".join(f"{getattr(books, column):>10,}" for column in COLUMNS)
    kills = ", ".join(f"{number} {name}" for name, number in sorted(books.kills.items()))
    return f"{mode:24}{numbers}{seconds:>8.0f} s  {kills}"


def main() -> int:
    """Let the whole storm come, and print what it came to."""
    parser = argparse.ArgumentParser(prog="python -m tests.proof.storm", description=__doc__)
    parser.add_argument("--requests", type=int, default=25_000, help="for each of the eight modes")
    parser.add_argument("--kills", type=int, default=50, help="for each of the eight modes")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--only", default="", help="modes whose names contain this")
    parser.add_argument("--keep", type=Path, help="a folder that what was written stays in")
    given = parser.parse_args()
    print(f"seed {given.seed}\n{'':24}{''.join(f'{column:>10}' for column in COLUMNS)}", flush=True)
    bad = 0
    for mode in MODES:
        if given.only not in str(mode):
            continue
        with tempfile.TemporaryDirectory(prefix="storm-") as temporary:
            folder = Path(temporary) if given.keep is None else given.keep / str(mode).replace(", ", "-")
            folder.mkdir(parents=True, exist_ok=True)
            began = time.monotonic()
            books = storm(mode, folder, given.requests, given.kills, given.seed)
            print(row(str(mode), books, time.monotonic() - began), flush=True)
        for fault in books.faults[:TOLD]:
            print(f"    {fault}")
        bad += len(books.faults)
    print(f"{bad} faults" if bad else "nothing is lost that should not be")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
