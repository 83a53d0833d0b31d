"""
What a worker of gunicorn leaves behind when it is killed: a line for every request that it was at, with every field.

Run as a module it kills more of them: `python -m tests.integrations.test_gunicorn_flight 10000`.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.errors import HaltServer

import wideevents
from tests.conftest import Written
from tests.integrations.children import dying
from tests.integrations.processes import HOST, Fields, Running, events, logged, running, stop
from tests.integrations.servers import eventually
from wideevents.integrations import _endings
from wideevents.integrations import gunicorn as room
from wideevents.integrations.gunicorn import child_exit, on_exit
from wideevents.recorder import Recorder

CONF = """
import wideevents
from wideevents.integrations.gunicorn import child_exit, on_exit, post_worker_init, worker_abort

wideevents.configure(service="shop", flight="flight")
logger_class = "wideevents.integrations.gunicorn.Logger"
control_socket_disable = True
"""

APP = """
import ctypes, itertools, os, signal, threading, time
from urllib.parse import parse_qs
import wideevents
from wideevents.integrations.wsgi import WideEvents

wideevents.configure(service="shop", flight="flight")
signal.signal(signal.SIGUSR2, lambda *_: time.sleep(60))  # in the main thread
arrived = os.open("arrived", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def know(number):
    for index in range(20):
        wideevents.add_field(f"order.field_{index}", number * 100 + index)
    wideevents.add_fields({"order.number": number, "order.note": f"note {number}", "order.total": number / 4})
    wideevents.append("order.items", number)
    wideevents.increment("order.count", number)
    os.write(arrived, b"%d %d\\n" % (os.getpid(), number))

@WideEvents
def app(environ, start_response):
    asked = parse_qs(environ["QUERY_STRING"])
    know(int(asked.get("number", ["0"])[0]))
    WAYS.get(environ["PATH_INFO"], lambda: None)()
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]

def block():
    threading.Event().wait()

def spin():
    while True:
        time.monotonic()

def hold():
    sum(itertools.repeat(1, 10**12))  # in C: the interpreter is held, and nothing else runs

def freeze():
    os.kill(os.getpid(), signal.SIGUSR2)
    block()

WAYS = {
    "/block": block,
    "/spin": spin,
    "/hold": hold,
    "/freeze": freeze,
    "/kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "/segfault": lambda: ctypes.string_at(0),
    "/abort": os.abort,
    "/leave": lambda: os._exit(7),
    "/leave-well": lambda: os._exit(0),
    "/memory": lambda: bytearray(2**62),
}
"""

ASGI_APP = """
import asyncio, time
import wideevents
from wideevents.integrations.asgi import WideEvents

wideevents.configure(service="shop", flight="flight")

@WideEvents
async def app(scope, receive, send):
    if scope["path"] == "/hang":
        hang()
    await wait()

def hang():
    time.sleep(30)

async def wait():
    open("arrived", "a").write("1 1\\n")
    await asyncio.sleep(30)
"""

COMMAND = ("-m", "gunicorn", "--config=gunicorn.conf.py", "--bind=fd://{fd}", "--graceful-timeout=2")
"""A worker that is just being born misses the signal to stop, and is killed when the time is over."""

STANDARD = (
    *("timestamp", "event.id", "event.kind", "trace.id", "http.request.id", "http.request.method", "url.path"),
    *("server.address", "client.address", "in_flight", "host.name", "service.name", "uptime_s"),
)
"""Fields that a request has from its first moment, and that its process adds."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with the application."""
    return laid_out(tmp_path)


def laid_out(folder: Path) -> Path:
    """Lay out the applications and the configuration in *folder*."""
    for name, text in {"shop.py": APP, "asgi_shop.py": ASGI_APP, "gunicorn.conf.py": CONF}.items():
        (folder / name).write_text(text)
    return folder


def arrivals(folder: Path) -> list[tuple[int, int]]:
    """Return the requests that have added all their fields: the worker's pid, and the number."""
    path = folder / "arrived"
    rows = path.read_text().splitlines() if path.exists() else []
    return [(int(pid), int(number)) for pid, number in map(str.split, rows)]


@contextmanager
def asking(server: Running, *paths: str) -> Iterator[None]:
    """Ask for *paths* at the same time, and wait for no answer, as long as the block runs."""
    with ExitStack() as stack:
        for path in paths:
            client = stack.enter_context(socket.create_connection((HOST, server.port)))
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: shop.example\r\n\r\n".encode())
        yield


def lost(lines: list[Fields]) -> list[Fields]:
    """Return the lines of the events that were lost, ours among them or not."""
    return [line for line in events(lines) if line["outcome"] == "lost"]


def told(server: Running, number: int) -> list[Fields]:
    """Return the lines of lost events, as soon as there are so many."""
    eventually(lambda: b"".join(server.out).count(b'"outcome":"lost"') >= number, f"{number} lost lines")
    return lost(server.lines)


def kill_in_flight(folder: Path, requests: int, batch: int) -> list[Fields]:
    """Kill workers in the middle of *batch* requests each, until there were so many *requests*; return the lines."""
    settings = ("--worker-class=gthread", f"--threads={batch}", "--worker-connections=2000", "--log-level=critical")
    with running(folder, *COMMAND, *settings, "shop:app") as server:
        for first in range(0, requests, batch):
            numbers = range(first, min(first + batch, requests))
            with asking(server, *(f"/block?number={number}" for number in numbers)):
                there = eventually(lambda: arrivals(folder)[first:][len(numbers) - 1 :], "all of a batch")  # noqa: B023
                os.kill(there[0][0], signal.SIGKILL)
                told(server, numbers.stop)
        return stop(server)


def check_all_there(folder: Path, lines: list[Fields], requests: int) -> None:
    """Check that each of so many *requests* has one line, and every field in it."""
    found = lost(lines)
    pids = {number: pid for pid, number in arrivals(folder)}
    assert Counter(line["order.number"] for line in found) == Counter(range(requests))
    assert len({line["event.id"] for line in found}) == requests
    for line in found:
        number = line["order.number"]
        expected: Fields = {f"order.field_{index}": number * 100 + index for index in range(20)}
        expected |= {"order.note": f"note {number}", "order.total": number / 4, "order.items": [number]}
        expected |= {"order.count": number, "process.pid": pids[number], "service.name": "shop", "level": "error"}
        expected |= {"lost.reason": "killed by SIGKILL", "process.exit.signal": "SIGKILL", "url.path": "/block"}
        assert {name: line.get(name) for name in expected} == expected
        assert [name for name in (*STANDARD, "lost.touched") if name not in line] == []


class TestKilled:
    def test_a_thousand_requests_in_flight_keep_every_field(self, folder: Path) -> None:
        """Each has one line, with all that it knew, of the process that is gone."""
        lines = kill_in_flight(folder, 1_000, 250)

        check_all_there(folder, lines, 1_000)
        assert len(events(lines)) == 1_000

    def test_each_way_to_die_has_its_reason(self, folder: Path) -> None:
        """What a worker dies of is known to gunicorn alone; running out of memory in Python is no death."""
        ways = {
            "/kill": "killed by SIGKILL",
            "/segfault": "killed by SIGSEGV",
            "/abort": "killed by SIGABRT",
            "/leave": "exited with code 7",
            "/leave-well": "exited with code 0",
        }
        with running(folder, *COMMAND, "--workers=2", "shop:app") as server:
            assert [server.get(path) for path in ("/", *ways, "/memory", "/")] == [200, *(0 for _ in ways), 500, 200]
            told(server, len(ways))
            lines = server.stop()

        found = {line["url.path"]: line for line in lost(lines)}
        assert {path: line["lost.reason"] for path, line in found.items()} == ways
        assert found["/segfault"]["process.exit.signal"] == "SIGSEGV"
        assert found["/leave"]["process.exit.code"] == 7
        assert [line["outcome"] for line in events(lines) if line["url.path"] == "/memory"] == ["failure"]
        assert len(events(lines)) == len(ways) + 3

    def test_workers_that_die_one_after_another_have_their_reasons(self, folder: Path) -> None:
        """Those that come after them start at the same time, and leave it to the master, which knows the reason."""
        settings = ("--worker-class=gthread", "--threads=8", "--workers=4", "--log-level=critical", "shop:app")
        with running(folder, *COMMAND, *settings) as server:
            for first in range(0, 24, 8):
                with asking(server, *(f"/block?number={number}" for number in range(first, first + 8))):
                    eventually(lambda: len(arrivals(folder)) == first + 8, "all of a round")  # noqa: B023
                    for pid in {pid for pid, _ in arrivals(folder)[first:]}:
                        os.kill(pid, signal.SIGKILL)
                        time.sleep(0.05)  # the next one dies while the one before is replaced
                    told(server, first + 8)
            lines = stop(server)

        assert Counter(line["lost.reason"] for line in lost(lines)) == {"killed by SIGKILL": 24}

    def test_a_start_tells_what_the_last_one_left(self, folder: Path) -> None:
        """A machine that goes down takes gunicorn's master along."""
        settings = ("--worker-class=gthread", "--threads=4", "shop:app")
        with running(folder, *COMMAND, *settings) as server, asking(server, "/block?number=1", "/block?number=2"):
            eventually(lambda: len(arrivals(folder)) == 2, "two requests")
            os.killpg(server.process.pid, signal.SIGKILL)
            assert lost(server.ended()) == []
        with running(folder, *COMMAND, *settings) as server:
            found = told(server, 2)
            assert server.get("/") == 200
            lines = stop(server)

        assert sorted(line["order.number"] for line in found) == [1, 2]
        assert {line["process.pid"] for line in found} == {pid for pid, number in arrivals(folder) if number}
        assert len(lost(lines)) == 2

    def test_without_a_flight_recorder_the_hook_says_what_is_missing(self, folder: Path) -> None:
        """The master has not the application's own `configure()`; it is told once."""
        (folder / "gunicorn.conf.py").write_text(CONF.replace(', flight="flight"', ""))
        with running(folder, *COMMAND, "shop:app") as server:
            assert [server.get("/kill"), server.get("/kill"), server.get("/")] == [0, 0, 200]
            lines = stop(server)

        (sentence,) = logged(lines, "wideevents")
        assert "wideevents.configure(service=..., flight=DIR)" in sentence
        assert "killed by SIGKILL" not in [line["lost.reason"] for line in lost(lines)]


class TestStopped:
    def test_what_the_graceful_timeout_cuts_off_is_lost(self, folder: Path) -> None:
        """The master kills who has not ended by then, and does not wait; `on_exit` does."""
        settings = ("--worker-class=gthread", "--threads=4", "--graceful-timeout=1", "shop:app")
        with running(folder, *COMMAND, *settings) as server, asking(server, "/block?number=1", "/block?number=2"):
            eventually(lambda: len(arrivals(folder)) == 2, "two requests")
            lines = stop(server)

        assert [line["lost.reason"] for line in lost(lines)] == ["graceful timeout passed"] * 2
        assert sorted(line["order.number"] for line in lost(lines)) == [1, 2]

    def test_what_a_reload_leaves_hanging_is_told(self, folder: Path) -> None:
        """
        An old worker that does not end is taken for one that hangs, and aborted.

        It tells where, or, if Python itself misses the signal on its way to the last lock, the master tells for it.
        """
        settings = ("--worker-class=gthread", "--threads=4", "--graceful-timeout=1", "--timeout=1", "shop:app")
        with running(folder, *COMMAND, *settings) as server, asking(server, "/block?number=1"):
            eventually(lambda: len(arrivals(folder)) == 1, "a request")
            server.send(signal.SIGHUP)
            server.said('"order.number":1')
            lines = stop(server)

        (line,) = [line for line in events(lines) if line.get("order.number") == 1]
        assert (line.get("lost.reason"), *hung(lines)["/block"]) in {(None, "block"), ("worker timed out",)}


def hung(lines: list[Fields]) -> dict[str, Any]:
    """Return the last frame of the application in the stack of each event, by its path; each has one line."""
    found = events(lines)
    assert len({line["event.id"] for line in found}) == len(found)
    rows = {line["url.path"]: line.get("exception.stacktrace", "").splitlines() for line in found}
    return {
        path: [row.rpartition(" in ")[2] for row in stack if row.startswith(">")][-1:] for path, stack in rows.items()
    }


class TestTimedOut:
    def test_a_sync_worker_tells_where_it_hangs(self, folder: Path) -> None:
        """And answers with the 500 that it answers with without us."""
        with running(folder, *COMMAND, "--timeout=1", "shop:app") as server:
            # A second after the abort gunicorn kills the worker: a machine that is busy may not answer by then.
            eventually(lambda: server.get("/block?number=5") == 500, "an answer of a worker that was aborted")
            lines = stop(server)

        assert hung(lines) == {"/block": ["block"]}
        line = events(lines)[-1]
        assert (line["outcome"], line["level"], line["order.number"]) == ("failure", "error", 5)
        assert (line["error.type"], line["http.response.status_code"], line["error.count"]) == (
            "wideevents.integrations.gunicorn.WorkerTimeout",
            500,
            1,
        )

    def test_a_worker_with_threads_tells_of_all(self, folder: Path) -> None:
        """Its main thread, which serves nobody, gives no sign of life; which of the others did that is not known."""
        settings = ("--worker-class=gthread", "--threads=4", "--timeout=1", "shop:app")
        with running(folder, *COMMAND, *settings) as server, asking(server, "/block"):
            eventually(lambda: arrivals(folder), "a request")
            assert server.get("/freeze") == 0
            lines = stop(server)

        assert hung(lines) == {"/block": ["block"], "/freeze": ["block"]}
        assert {line["outcome"] for line in events(lines)} == {"failure"}

    def test_what_holds_the_interpreter_is_lost_with_a_reason(self, folder: Path) -> None:
        """No handler of a signal can run: what was written down before is what remains."""
        with running(folder, *COMMAND, "--timeout=1", "shop:app") as server:
            assert server.get("/hold?number=6") == 0
            told(server, 1)
            lines = stop(server)

        (line,) = events(lines)
        assert (line["outcome"], line["lost.reason"], line["order.number"]) == ("lost", "worker timed out", 6)
        assert line["process.exit.signal"] == "SIGKILL"

    def test_a_greenlet_tells_where_it_keeps_the_others(self, folder: Path) -> None:
        """It alone is ended; the others are answered."""
        settings = ("--worker-class=gevent", "--timeout=1", "--graceful-timeout=1", "shop:app")
        with running(folder, *COMMAND, *settings) as server:
            # A second after the abort gunicorn kills the worker: a machine that is busy may not tell by then.
            eventually(lambda: server.get("/spin") == 0 and b" in spin" in b"".join(server.out), "a worker that tells")
            lines = stop(server)

        assert ["spin"] in hung(lines).values()

    def test_a_loop_tells_what_keeps_it(self, folder: Path) -> None:
        """Gunicorn's own handler waits for the loop; ours does not, and tells of the tasks that wait, too."""
        settings = ("--worker-class=asgi", "--timeout=1", "asgi_shop:app")
        with running(folder, *COMMAND, *settings) as server, asking(server, "/wait"):
            eventually(lambda: arrivals(folder), "a request")
            assert server.get("/hang") == 0
            lines = stop(server)

        assert hung(lines) == {"/wait": ["wait"], "/hang": ["hang"]}


class Master:
    """Stand where gunicorn's master does: it has workers, which are dead, and reaps them."""

    def __init__(self, *pids: int) -> None:
        self.WORKERS = {pid: SimpleNamespace(pid=pid, aborted=False) for pid in pids}

    def reap_workers(self) -> None:
        """Take a dead worker, and call the hook from where the status is known."""
        for pid in self.WORKERS:
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        pid, status = os.waitpid(next(iter(self.WORKERS)), 0)
        assert status
        child_exit(self, self.WORKERS.pop(pid))


def killed(number: int = signal.SIGKILL) -> int:
    """Return the pid of a child that a signal ends in the middle of an event."""

    def work() -> None:
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
        with wideevents.event("report", page=3):
            os.kill(os.getpid(), number)

    return dying(work)


@pytest.fixture
def flight(tmp_path: Path, written: Written, reconfigurable: None) -> None:
    """Configure this process with a flight recorder."""
    wideevents.configure(service="tests", output=written.sink, logging=False, flight=tmp_path)


@pytest.mark.usefixtures("flight")
class TestChildExit:
    def test_the_events_of_the_dead_are_told_for_them(self, written: Written) -> None:
        """With its pid, the signal, and the reason; each on its own."""
        pid = killed(signal.SIGUSR1)
        master = Master(pid, killed())
        master.reap_workers()
        master.reap_workers()

        line, other = written.all()
        assert other["lost.reason"] == "killed by SIGKILL"
        assert (line["event.name"], line["page"], line["outcome"], line["level"]) == ("report", 3, "lost", "error")
        assert (line["process.pid"], line["lost.reason"]) == (pid, "killed by SIGUSR1")
        assert line["process.exit.signal"] == "SIGUSR1"

    def test_the_kernel_is_blamed_as_often_as_it_has_killed(
        self, written: Written, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Since gunicorn began; each kill explains one worker."""
        monkeypatch.setattr(_endings, "KILLED_BEFORE", _endings.memory_kills() - 1)
        master = Master(killed(), killed())
        master.reap_workers()
        master.reap_workers()

        assert [line["lost.reason"] for line in written.all()] == ["out of memory", "killed by SIGKILL"]
        assert {line["process.exit.signal"] for line in written.all()} == {"SIGKILL"}

    def test_it_is_not_blamed_for_what_gunicorn_has_killed(
        self, written: Written, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whatever else the kernel has killed meanwhile."""
        monkeypatch.setattr(_endings, "KILLED_BEFORE", _endings.memory_kills() - 1)
        master = Master(killed())
        (worker,) = master.WORKERS.values()
        worker.aborted = True
        master.reap_workers()

        assert written.one()["lost.reason"] == "worker timed out"


class TestWithoutFlight:
    def test_it_says_once_what_is_missing(
        self, recorder: Recorder, written: Written, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The master has not the application's own configuration."""
        for _ in range(2):
            child_exit(Master(), SimpleNamespace(pid=1, aborted=False))

        (message,) = caplog.messages
        assert "In gunicorn.conf.py: wideevents.configure(service=..., flight=DIR)" in message
        assert written.all() == []


@pytest.mark.usefixtures("flight")
class TestOnExit:
    def test_workers_that_were_killed_last_are_waited_for(self, written: Written) -> None:
        """They were given their time, and more."""
        on_exit(Master(killed(), killed()))

        assert [line["lost.reason"] for line in written.all()] == ["graceful timeout passed"] * 2

    def test_one_that_did_not_boot_stops_nobody(self) -> None:
        """Gunicorn raises where a worker ended so; it is ending already."""
        master = Master(1)

        def reap_workers() -> None:
            raise HaltServer("Worker failed to boot.", 3)

        master.reap_workers = reap_workers  # type: ignore[method-assign]
        on_exit(master)

    def test_one_that_does_not_end_is_not_waited_for_long(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The kernel may be at something that cannot be interrupted."""
        monkeypatch.setattr(room, "LAST_S", 0.03)
        asked: list[int] = []
        master = Master(1)
        master.reap_workers = lambda: asked.append(1)  # type: ignore[method-assign]
        on_exit(master)

        assert len(asked) >= 1


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        wanted = int(sys.argv[1])
        check_all_there(Path(name), kill_in_flight(laid_out(Path(name)), wanted, 250), wanted)
        print(f"{wanted} requests were killed in flight, and every field of them is there.")
