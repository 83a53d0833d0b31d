"""
Measure what an event costs under gunicorn, with two sync workers, and wrk on the other side.

Run `python -m tests.bench.served`. The servers of all contenders stand side by side, and are driven in interleaved
rounds; the processor time of the workers is read from /proc. Every answered request must have its line.
"""

from __future__ import annotations

import http.client
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.contenders import CONTENDERS, SILENT
from tests.bench.flask_request import FIELDS
from tests.bench.report import Table, show
from tests.bench.rounds import ROOT, application, check_lines, peer

ROUNDS = 9
SECONDS = 1
WORKERS = 2
CONNECTIONS = 4
URL = "/hello/world?page=2&sort=price"
NAMES = (
    *("bare", "plain", "wideevents", "structlog_contextvars", "python_json_logger"),
    *("loguru", "opentelemetry", "sentry"),
)
TICK = os.sysconf("SC_CLK_TCK")

TITLE = "A request under gunicorn"
NOTE = f"""\
gunicorn with {WORKERS} sync workers answers wrk, which holds {CONNECTIONS} connections for {SECONDS} s: the medians \
of {ROUNDS} interleaved rounds, all on one machine. The processor time is that of the workers, per 1,000 requests; "us \
added" is what of it the contender added to each. The lines were parsed, have all {len(FIELDS)} fields, and were \
counted against the answers: wrk leaves when its time is up, so that up to {CONNECTIONS} requests a round have a line \
and an answer that it does not count. OpenTelemetry writes its spans as they end; sentry-sdk writes no line."""


def app(name: str, path: str) -> Any:
    """Return the Flask application of contender *name*: gunicorn calls this in every worker."""
    return application(peer(name), "flask", Path(path))


@dataclass(slots=True)
class Round:
    """Hold what one round found: *busy* is the processor time of the workers in seconds."""

    requests: int
    seconds: float
    busy: float


@dataclass(slots=True)
class Server:
    """Serve one contender under gunicorn, from its start until its workers have left."""

    name: str
    path: Path
    asked: int = 0
    rounds: list[Round] = field(default_factory=list)
    listener: socket.socket = field(init=False)
    process: subprocess.Popen[bytes] = field(init=False)

    def __enter__(self) -> Server:
        self.listener = socket.create_server(("127.0.0.1", 0))
        descriptor = self.listener.fileno()
        command = [sys.executable, "-m", "gunicorn", "--workers", str(WORKERS), "--bind", f"fd://{descriptor}"]
        command += ["--log-level", "error", f"tests.bench.served:app({self.name!r}, {str(self.path)!r})"]
        self.process = subprocess.Popen(command, cwd=ROOT, pass_fds=[descriptor])
        try:
            while self.asked < 20 or len(self.workers()) < WORKERS:
                self.ask()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *raised: object) -> None:
        self.process.terminate()
        self.process.wait(timeout=60)
        self.listener.close()

    @property
    def port(self) -> int:
        port: int = self.listener.getsockname()[1]
        return port

    def ask(self) -> None:
        """Send one request; the socket listens from the start, so that it waits until there is a worker."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", URL)
        assert connection.getresponse().read() == b"Hello, world"
        connection.close()
        self.asked += 1

    def workers(self) -> list[str]:
        """Return the process ids of the workers."""
        main = self.process.pid
        return Path(f"/proc/{main}/task/{main}/children").read_text().split()

    def busy(self) -> float:
        """Return the processor time of the workers so far, in seconds: user and system, proc_pid_stat(5)."""
        stats = [Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split() for worker in self.workers()]
        return sum(int(stat[11]) + int(stat[12]) for stat in stats) / TICK

    def run(self) -> None:
        """Drive one round."""
        before = self.busy()
        command = ["wrk", "-t", "1", "-c", str(CONNECTIONS), "-d", str(SECONDS), f"http://127.0.0.1:{self.port}{URL}"]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found = re.search(r"(\d+) requests in ([\d.]+)s", told)
        assert found, told
        assert "Non-2xx" not in told, f"{self.name}: {told}"
        time.sleep(0.1)  # what wrk left behind is answered
        self.rounds.append(Round(int(found[1]), float(found[2]), self.busy() - before))

    def check(self) -> int:
        """See that every answer has its line, and return how many more there are: what wrk did not wait for."""
        answered = self.asked + sum(each.requests for each in self.rounds)
        more = check_lines(self.path, peer(self.name), lambda _: FIELDS) - answered
        assert 0 <= more <= CONNECTIONS * len(self.rounds), f"{self.name}: {more} more lines than {answered} answers"
        return more


def measure(folder: Path) -> list[Server]:
    """Return the servers, after their rounds and their end."""
    with ExitStack() as stack:
        servers = [stack.enter_context(Server(name, folder / f"{name}.jsonl")) for name in NAMES]
        for _ in range(ROUNDS):
            for server in servers:
                server.run()
    return servers


def row(server: Server, bare: float) -> tuple[str, ...]:
    """Return what the table says of *server*, beside the milliseconds that a request of the *bare* one takes."""
    requests = sum(each.requests for each in server.rounds)
    speed, taken = statistics.median(each.requests / each.seconds for each in server.rounds), cost(server)
    lines = ("", "") if server.name in SILENT else (f"{requests + server.asked:,}", f"{server.check()}")
    title = next(each.title for each in CONTENDERS if each.name == server.name)
    return title, f"{speed:,.0f}", f"{taken:.3f}", f"{(taken - bare) * 1000:.0f}", *lines


def cost(server: Server) -> float:
    """Return the seconds of processor time of the workers for 1,000 requests."""
    return statistics.median(each.busy / each.requests * 1000 for each in server.rounds)


def run() -> Table:
    """Measure, where wrk is there."""
    columns = ("contender", "requests/s", "CPU s per 1,000", "us added", "answers", "lines beyond")
    if shutil.which("wrk") is None:
        return Table(TITLE, "Not measured: there is no wrk here (apt-get install wrk).", columns, ())
    with tempfile.TemporaryDirectory() as folder:
        servers = measure(Path(folder))
        bare = cost(servers[0])
        return Table(TITLE, NOTE, columns, tuple(row(server, bare) for server in servers))


if __name__ == "__main__":
    show([run()])
