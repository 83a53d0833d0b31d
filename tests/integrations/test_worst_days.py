"""What holds on the worst days of a process: every request that was answered has its line, once, and as its own."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from tests.integrations.processes import HOST, Fields, Running, events, running
from tests.integrations.servers import PATIENCE, environment, eventually
from tests.strict import parse_line, parse_log_line

CUSTOMERS = 4

PID = re.compile(rb'"process\.pid":(\d+)[,}]')

APP = """
import os, signal, sys, time
import wideevents
from wideevents.integrations.wsgi import WideEvents

@WideEvents
def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/exit":
        sys.exit(7)
    if path == "/hang":
        time.sleep(30)
    if path == "/stuck":
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGABRT])
        time.sleep(30)
    wideevents.add_field("shop.pid", os.getpid())
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""

BACKGROUND = """
import wideevents
from wideevents.sinks.background import Background
wideevents.configure(output=Background("json"))
"""

COMMAND = (
    *("-m", "gunicorn", "--bind=fd://{fd}", "--no-control-socket", "--graceful-timeout=5", "--workers=2"),
    *("--max-requests=60", "--timeout=1", "--logger-class=wideevents.integrations.gunicorn.Logger"),
)


@dataclass
class Customers:
    """Send numbered requests, several at once, and remember what was answered: 0 is nothing."""

    port: int
    numbers: count[int] = field(default_factory=count)
    answers: dict[str, int] = field(default_factory=dict)
    enough: Event = field(default_factory=Event)

    def ask(self, path: str = "/") -> int:
        """Send one request, and return the status of its answer."""
        number = f"request-{next(self.numbers)}"
        connection = HTTPConnection(HOST, self.port, timeout=PATIENCE)
        status = 0
        try:
            connection.request("GET", path, headers={"X-Request-ID": number})
            response = connection.getresponse()
            status = response.status if response.read() == b"ok" or response.status >= 400 else 0
        except (OSError, HTTPException):
            pass  # its worker is gone
        finally:
            connection.close()
        self.answers[number] = status
        return status

    def visit(self) -> None:
        """Send requests until it is enough; a server that has gone is left alone."""
        while not self.enough.is_set():
            if not self.ask():
                time.sleep(0.02)

    def answered(self, more: int) -> None:
        """Wait until so many more were answered."""
        before = len(self.statuses)
        eventually(lambda: len(self.statuses) >= before + more, f"{more} answers")

    @property
    def statuses(self) -> dict[str, int]:
        """The answers that came."""
        return {number: status for number, status in self.answers.copy().items() if status}  # a list is no atom


@contextmanager
def shopping(server: Running) -> Iterator[Customers]:
    """Let all customers send requests for as long as the block runs."""
    customers = Customers(server.port)
    with ThreadPoolExecutor(CUSTOMERS) as pool:
        visits = [pool.submit(customers.visit) for _ in range(CUSTOMERS)]
        try:
            yield customers
        finally:
            customers.enough.set()
    for visit in visits:
        visit.result()


def workers(server: Running) -> set[bytes]:
    """Return the processes whose answers have their lines by now; there are more as long as customers ask."""
    return {found[1] for line in server.out if b'"event.kind":' in line and (found := PID.search(line))}


def check(customers: Customers, lines: list[Fields]) -> dict[str, Fields]:
    """See that each request that was answered has one line, with its status, and no other has two; return them."""
    told = Counter(each["http.request.id"] for each in events(lines))
    statuses = {each["http.request.id"]: each.get("http.response.status_code") for each in events(lines)}
    assert [number for number in customers.statuses if told[number] != 1] == []
    assert [number for number, times in told.items() if times > 1 or number not in customers.answers] == []
    assert {number: statuses[number] for number in customers.statuses} == customers.statuses
    assert sum(line.get("events.lost", 0) for line in lines) == 0
    return {each["http.request.id"]: each for each in events(lines)}


def fresh(lines: list[Fields]) -> None:
    """See that no id of a process, or of a request, is there twice."""
    found = [line for line in events(lines) if "shop.pid" in line]
    processes = {each["process.pid"]: each["service.instance.id"] for each in found}
    assert len(set(processes.values())) == len(processes) > 1
    assert [each for each in found if each["shop.pid"] != each["process.pid"]] == []
    assert [each for each in found if processes[each["process.pid"]] != each["service.instance.id"]] == []
    for name in ("event.id", "trace.id", "http.request.id"):
        assert len({each[name] for each in found}) == len(found), name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with the application, and the configuration of one that has its lines written by a thread."""
    (tmp_path / "shop.py").write_text(APP)
    (tmp_path / "background.py").write_text(BACKGROUND)
    return tmp_path


class TestGunicorn:
    @pytest.mark.parametrize("output", ["the request", "a thread"])
    @pytest.mark.parametrize("kind", ["sync", "gthread", "gevent"])
    def test_every_way_that_a_worker_ends(self, folder: Path, kind: str, output: str) -> None:
        """Recycling, a reload, an exit in a handler, an abort and the end, while customers go on asking."""
        options = [f"--worker-class={kind}", *(["--config=background.py"] if output == "a thread" else [])]
        with running(folder, *COMMAND, *options, "shop:app") as server:
            server.said("Booting worker", times=2)
            with shopping(server) as customers:
                customers.answered(150)
                server.send(signal.SIGHUP)
                server.said("Hang up: Master")
                customers.answered(50)
                exits = customers.ask("/exit")
                if kind == "sync":  # a second after the abort it is killed, which may be too soon on a busy machine
                    eventually(lambda: customers.ask("/hang") == 500, "an answer of a worker that was aborted")
                eventually(lambda: len(workers(server)) > 4, "answers of a fifth worker")
                server.send(signal.SIGTERM)
                server.said("Shutting down: Master")
            lines = server.ended()

        found = check(customers, lines)
        fresh(lines)
        (left,) = [each for each in found.values() if each["url.path"] == "/exit"]
        assert (server.err, exits in {0, 500}) == ([], True)
        assert (left["outcome"], left["exception.type"]) == ("failure", "SystemExit")
        assert len({each["process.pid"] for each in found.values()}) > 4  # and each answer of theirs has its line
        assert any("Autorestarting worker" in line.get("message", "") for line in lines)

    def test_a_worker_that_is_killed_as_it_takes_too_long(self, folder: Path) -> None:
        """It does not even hear the abort: what it had in its hands is lost, and nothing that was answered."""
        with running(folder, *COMMAND, "--preload", "shop:app") as server:
            server.said("Booting worker", times=2)
            with shopping(server) as customers:
                customers.answered(50)
                stuck = customers.ask("/stuck")
                customers.answered(50)
            lines = server.stop()

        found = check(customers, lines)
        fresh(lines)
        assert (stuck, [each for each in found.values() if each["url.path"] == "/stuck"]) == (0, [])
        assert any("SIGKILL" in line.get("message", "") for line in lines)


BEGIN = """
import json, logging, multiprocessing, os, select, signal, sys, threading, time
import wideevents
from wideevents import health
from wideevents.integrations.wsgi import WideEvents
from wideevents.sinks.background import Background
from wideevents.sinks.lines import LinesSink

# Whoever reads may be slow, and a thread beside a busy one is: that is no matter here.
output = LinesSink(1, longest=130_000, wait_ms=20_000)
if sys.argv[1:] == ["a thread"]:
    output = Background(output, capacity=1_000_000, close_s=20).around(output)
wideevents.configure(service="shop", output=output, limits=wideevents.Limits(130_000, max_value_length=120_000))
log = logging.getLogger("shop")


def app(environ, start_response):
    wideevents.add_fields({"shop.pid": os.getpid(), "t.who": environ["who"], "t.number": environ["number"]})
    wideevents.add_field("t.text", "m" * environ["size"])
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


def serve(who, number, size):
    body = door({"REQUEST_METHOD": "GET", "who": who, "number": number, "size": size}, lambda *_: None)
    assert list(body) == [b"ok"]
    body.close()


def serve_all(who, most):
    signal.alarm(30)  # it is stuck, and not slow
    for number in range(most):
        serve(who, number, SIZES[number % len(SIZES)])


def say(what):
    os.write(2, json.dumps(what).encode() + b"\\n")


SIZES = (10, 1_500, 5_000, 9_000)
door = WideEvents(app)
"""


@dataclass
class Script:
    """A script whose standard output is a pipe: what came out of it, and what it has said of itself."""

    process: subprocess.Popen[bytes]
    said: list[Any] = field(default_factory=list)

    def hear(self) -> Any:
        """Wait until it says something, and return that."""
        assert self.process.stderr is not None
        assert select.select([self.process.stderr], [], [], 4 * PATIENCE)[0], "it says nothing"
        return parse_said(self.process.stderr.readline())

    def read(self) -> list[Fields]:
        """Read all that it writes, to its end; raise `AssertionError` for a line that is not whole."""
        out, err = self.process.communicate(timeout=4 * PATIENCE)
        self.said = [parse_said(line) for line in err.splitlines() if line.startswith(b"{")]
        assert self.process.returncode == 0, err[-2_000:].decode()
        return [parse(line) for line in out.splitlines(keepends=True)]


def parse(line: bytes) -> Fields:
    """Return the fields of a line, which may be as long as `BEGIN` has it."""
    return (parse_line if b'"event.kind":' in line else parse_log_line)(line, 130_000)


def parse_said(line: bytes) -> Any:
    """Return what a script has said."""
    return json.loads(line)


@contextmanager
def script(code: str, *arguments: str) -> Iterator[Script]:
    """Run *code* behind `BEGIN` in a process of its own, which ends with the block."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", BEGIN + textwrap.dedent(code), *arguments],
        env=environment(OTEL_SERVICE_NAME="shop"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield Script(process)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # it leads a session of its own, so these are its children
        process.wait(PATIENCE)
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()


def numbers(lines: list[Fields]) -> dict[str, list[int]]:
    """Return the numbers of the requests that have a line, of everybody who has sent some, in their order."""
    found: dict[str, list[int]] = {}
    for line in lines:
        if "t.who" in line:
            found.setdefault(line["t.who"], []).append(line["t.number"])
    return found


every_output = pytest.mark.parametrize("output", ["the request", "a thread"])


class TestFork:
    @every_output
    def test_in_the_middle_of_a_write(self, output: str) -> None:
        """
        A thread stands in the write of a line that is longer than the pipe, and nobody reads, when the others fork.

        Both children end, and every line is there, whole and once.
        """
        code = """
        writing = threading.Thread(target=serve, args=("thread", 0, 110_000))
        writing.start()
        while select.select([], [1], [], 0)[1]:
            time.sleep(0.001)
        def child():
            for number in range(20):
                serve_all(f"child {number}", 1)
                time.sleep(0.02)
        processes = [multiprocessing.get_context("fork").Process(target=child)]
        processes[0].start()
        forked = os.fork()
        if not forked:
            signal.alarm(30)
            serve_all("forked", 1)
            time.sleep(0.2)
            serve_all("forked again", 20)
            sys.exit(0)
        say({"forked": forked})
        writing.join()
        serve_all("parent", 20)
        processes[0].join()
        say({"codes": [processes[0].exitcode, os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1])]})
        """
        with script(code, output) as process:
            assert process.hear().keys() == {"forked"}
            lines = process.read()

        found = numbers(lines)
        assert process.said == [{"codes": [0, 0]}]
        assert {who: len(each) for who, each in found.items()} == {
            "thread": 1,
            "forked": 1,
            "forked again": 20,
            "parent": 20,
            **{f"child {number}": 1 for number in range(20)},
        }
        fresh(lines)

    @every_output
    def test_again_and_again_beside_threads_that_write(self, output: str) -> None:
        """By `os.fork` and by multiprocessing: no child is stuck, none tells what another one has to tell."""
        code = """
        going, counts, codes = True, {}, []
        def work(who):
            number = 0
            while going:
                serve(who, number, SIZES[number % len(SIZES)])
                number += 1
                time.sleep(0.001)
            counts[who] = number
        def add():
            with wideevents.event("busy"):
                while going:
                    wideevents.increment("t.busy")
        threads = [threading.Thread(target=work, args=(f"thread {number}",)) for number in range(3)]
        threads.append(threading.Thread(target=add))
        for thread in threads:
            thread.start()
        for number in range(8):
            if number % 2:
                child = multiprocessing.get_context("fork").Process(target=serve_all, args=(f"child {number}", 4))
                child.start()
                child.join()
                codes.append(child.exitcode)
                continue
            forked = os.fork()
            if not forked:
                serve_all(f"child {number}", 4)
                sys.exit(0)
            codes.append(os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1]))
        going = False
        for thread in threads:
            thread.join()
        serve("last", 0, 10)
        say({"codes": codes, "counts": counts})
        """
        with script(code, output) as process:
            lines = process.read()

        (said,) = process.said
        found = numbers(lines)
        asked = {**said["counts"], **{f"child {number}": 4 for number in range(8)}, "last": 1}
        assert said["codes"] == [0] * 8
        assert found == {who: list(range(most)) for who, most in asked.items()}
        fresh(lines)
        assert len({line["process.pid"] for line in lines}) == 9

    def test_a_loss_that_no_line_has_told_is_told_by_one_process(self) -> None:
        """What its parent has lost is no loss of a child's: added up over all lines, it would be there twice."""
        code = """
        for _ in range(2):
            health.lost("lines", "test", "A line is lost.")
        forked = os.fork()
        serve("parent" if forked else "child", 0, 10)
        if forked:
            os.waitpid(forked, 0)
        """
        with script(code) as process:
            lines = process.read()

        assert {line["t.who"]: line.get("events.lost") for line in lines if "t.who" in line} == {
            "parent": 1,
            "child": None,
        }


class TestInterruptions:
    @every_output
    def test_signals_finalisers_and_representations_that_log(self, output: str) -> None:
        """Thousands of times a second, in the middle of whatever there is: lines are whole, and all counts exact."""
        code = """
        said = {"ticks": 0, "inside": 0, "jobs": 0}
        going = True

        def tick(*_):
            said["ticks"] += 1
            inside = wideevents.current() is not None
            if inside:
                said["inside"] += 1
                wideevents.increment("t.ticks")
                wideevents.append("t.moments", said["ticks"])
            log.info("tick %s", inside)
            with wideevents.event("tick", number=said["ticks"]):
                wideevents.add_field("t.inner", 1)
            if going:
                signal.setitimer(signal.ITIMER_REAL, 0.0003)

        class Cart:
            def __repr__(self):
                wideevents.increment("t.printed")
                wideevents.add_field("t.inside", {"a": 1, "b": "x"})
                log.info("printed")
                return "cart"

            def __del__(self):
                wideevents.increment("t.deleted")
                log.info("deleted")

        signal.signal(signal.SIGALRM, tick)
        signal.setitimer(signal.ITIMER_REAL, 0.0003)
        until = time.monotonic() + 1
        while time.monotonic() < until:
            with wideevents.event("job", number=said["jobs"]):
                wideevents.add_field("t.cart", Cart())
            said["jobs"] += 1
        going = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        say({**said, "faults": health.faults.counts()})
        """
        with script(code, output) as process:
            lines = process.read()

        (said,) = process.said
        jobs = [line for line in lines if line.get("event.name") == "job"]
        ticks = [line for line in lines if line.get("event.name") == "tick"]
        messages = Counter(line["message"] for line in lines if "message" in line)
        assert (said["inside"] > 50, said["faults"]) == (True, {})
        assert [job["number"] for job in jobs] == list(range(said["jobs"]))
        assert sorted(each["number"] for each in ticks) == [*range(1, said["ticks"] + 1)]
        assert {(job["t.cart"], job["t.printed"], job["t.deleted"], job["t.inside.b"]) for job in jobs} == {
            ("cart", 1, 1, "x")
        }
        assert sum(job.get("t.ticks", 0) for job in jobs) == said["inside"]
        assert sum(len(job.get("t.moments", ())) for job in jobs) == said["inside"]
        assert messages == {
            "printed": said["jobs"],
            "deleted": said["jobs"],
            "tick True": said["inside"],
            "tick False": said["ticks"] - said["inside"],
        }

    def test_a_counter_that_a_signal_handler_counts_with_is_exact(self) -> None:
        """Also in the middle of its being counted by who was interrupted; so are the warnings and lists of both."""
        code = """
        said = {"inside": 0, "jobs": 0}
        going = True
        left = 0

        def tick(*_):
            global left
            if wideevents.current() is not None and left:
                left -= 1  # a list holds so many items, and a busy machine takes its time
                said["inside"] += 1
                wideevents.increment("t.both")
                wideevents.append("t.list", 1)
                log.warning("tick")
            if going:
                signal.setitimer(signal.ITIMER_REAL, 0.0002)

        signal.signal(signal.SIGALRM, tick)
        signal.setitimer(signal.ITIMER_REAL, 0.0002)
        until = time.monotonic() + 0.7
        while time.monotonic() < until:
            left = 50
            with wideevents.event("job"):
                for _ in range(50):
                    wideevents.increment("t.both")
                wideevents.append("t.list", 1)
                log.warning("job")
            said["jobs"] += 1
        going = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        say(said)
        """
        with script(code) as process:
            lines = process.read()

        (said,) = process.said
        counted = sum(line["t.both"] for line in events(lines))
        warned = sum(line["log.count.warning"] for line in events(lines))
        listed = sum(len(line["t.list"]) for line in events(lines))
        once = said["jobs"] + said["inside"]
        assert (counted, warned, listed) == (50 * said["jobs"] + said["inside"], once, once)
