"""What Celery's events promise behind real workers and a real Redis: on every pool, and when processes are killed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from signal import SIGTERM
from typing import Any

import pytest

from tests.integrations.processes import Running, doubled, events, running
from tests.integrations.servers import PATIENCE, environment, parse_any
from tests.parts.redis import RedisServer

APP = """
import os, signal, sys, time
import wideevents
from celery import Celery
from celery.exceptions import Ignore, Reject
from wideevents.integrations.celery import WideEvents

wideevents.configure(service="jobs", flight=os.environ.get("FLIGHT"))
app = Celery("jobs", broker=os.environ["REDIS"], backend=os.environ["REDIS"])
app.conf.update(broker_connection_retry_on_startup=True, worker_prefetch_multiplier=16)
app.conf.update(result_expires=60, worker_pool_start_method=os.environ.get("START", "fork"))
WideEvents(app, quiet=("jobs.tidy",))

@app.task
def mix(number):
    wideevents.add_field(f"only.{number}", number)
    time.sleep(0.002 * (number % 5))
    wideevents.add_fields(number=number, known=wideevents.current().id)

@app.task
def crash():
    raise ValueError("broken")

@app.task(bind=True, max_retries=1)
def again(self):
    raise self.retry(exc=ConnectionError("down"), countdown=0)

@app.task
def ignore():
    raise Ignore

@app.task
def reject():
    raise Reject("no", requeue=False)

@app.task
def tidy():
    pass

@app.task
def step(number):
    return number + 1

@app.task
def parent():
    mix.delay(1_000)

@app.task
def kill(number):
    wideevents.add_field("before", 1)
    os.kill(os.getpid(), number)
    time.sleep(30)

@app.task
def leave():
    sys.exit(3)

@app.task(time_limit=1)
def limited():
    wideevents.add_field("before", 1)
    time.sleep(30)

@app.task(soft_time_limit=1)
def limited_softly():
    time.sleep(30)

@app.task(time_limit=1)
def stubborn():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    wideevents.add_field("before", 1)
    while True:
        wideevents.add_field("again", "x" * 100)

@app.task
def endless():
    wideevents.add_field("before", 1)
    print("endless", flush=True)
    time.sleep(30)
"""

SEND = """
import json, sys
import jobs, wideevents

wideevents.configure(output="json", logging=False)
ids = {}
with wideevents.event("sender") as event:
    event.request_id = "r-1"
    CALLS
print(json.dumps(ids))
"""

EVERYWHERE = """
    for number in range(60):
        jobs.mix.delay(number)
    for name in ("crash", "again", "ignore", "reject", "tidy", "parent"):
        jobs.app.tasks[f"jobs.{name}"].delay()
    (jobs.step.s(1) | jobs.step.s()).delay()
"""

DEATHS = """
    ids["SIGKILL"] = jobs.kill.delay(9).id
    ids["SIGTERM"] = jobs.kill.delay(15).id
    for name in ("leave", "limited", "limited_softly"):
        ids[name] = jobs.app.tasks[f"jobs.{name}"].delay().id
    jobs.step.apply_async((1,), expires=-1)
"""

KILLED = """
    for name in {names}:
        ids[name] = jobs.app.tasks[f"jobs.{{name}}"].delay(*((9,) if name == "kill" else ())).id
"""

ENDINGS = {
    "kill": ("lost", "lost", "billiard.exceptions.WorkerLostError"),
    "limited": ("failure", "failure", "billiard.exceptions.TimeLimitExceeded"),
    "stubborn": ("failure", "failure", "billiard.exceptions.TimeLimitExceeded"),
    "endless": ("revoked", "cancelled", None),
}
"""What becomes of tasks whose processes are killed: two outcomes, and the type of the error."""

WORKER = ("-m", "celery", "-A", "jobs", "worker", "--loglevel=info", "--without-gossip", "--without-mingle")
DATABASES = {"prefork": 1, "threads": 2, "gevent": 3, "solo": 4, "deaths": 5, "revoked": 6, "kept": 7}


def python(folder: Path, code: str, redis: str) -> list[dict[str, Any]]:
    """Run *code* beside the application, and return the lines that it printed."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment(REDIS=redis),
        stdout=subprocess.PIPE,
        timeout=PATIENCE,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def send(folder: Path, calls: str, redis: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Send tasks, and return the event that sent them, and their ids."""
    event, ids = python(folder, SEND.replace("CALLS", calls.strip()), redis)
    return event, ids


def recovered(folder: Path, flight: str) -> list[dict[str, Any]]:
    """Return the lines of what dead processes have left."""
    command = [sys.executable, "-m", "wideevents", "recover", flight, "--output=-"]
    done = subprocess.run(command, env=environment(), stdout=subprocess.PIPE, timeout=PATIENCE, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def done(server: Running, number: int) -> None:
    """Wait until so many runs have their lines."""
    server.said('"event.kind":"task"', times=number)


def stopped(server: Running) -> list[dict[str, Any]]:
    """Stop a worker, and return its events; nothing went past the stream, and nothing came twice."""
    lines = server.stop()
    assert server.err == []
    assert doubled(lines) == []
    return events(lines)


def runs(lines: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Return the lines of a task."""
    return [line for line in lines if line["task.name"] == f"jobs.{name}"]


def one(lines: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """Return the only line of a task."""
    (line,) = runs(lines, name)
    return line


class Worked:
    """What a worker wrote, and what sent it its tasks."""

    def __init__(self, pool: str, folder: Path, redis: RedisServer) -> None:
        url = redis.database(DATABASES[pool])
        (folder / "jobs.py").write_text(APP)
        concurrency = "--concurrency=2" if pool == "prefork" else "--concurrency=20"
        with running(folder, *WORKER, f"--pool={pool}", concurrency, REDIS=url) as server:
            server.said(" ready.")
            self.sender, _ = send(folder, EVERYWHERE, url)
            done(server, 69)
            self.lines = stopped(server)


@pytest.fixture(scope="module", params=["prefork", "threads", "gevent", "solo"])
def worked(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    redis_server: RedisServer,
) -> Worked:
    """Give what a worker with a pool did."""
    return Worked(request.param, tmp_path_factory.mktemp(request.param), redis_server)


class TestEveryPool:
    def test_there_is_one_line_for_a_run(self, worked: Worked) -> None:
        """No run is lost, none is told twice, and none has the id of another."""
        counted = Counter(line["task.name"].removeprefix("jobs.") for line in worked.lines)

        assert counted == {"mix": 61, "crash": 1, "again": 2, "ignore": 1, "reject": 1, "parent": 1, "step": 2}
        assert len({line["event.id"] for line in worked.lines}) == len(worked.lines)

    def test_many_at_once_never_mix(self, worked: Worked) -> None:
        """Nor do two after one another share a field."""
        for line in runs(worked.lines, "mix"):
            own = [name for name in line if name.startswith("only.")]

            assert own == [f"only.{line['number']}"]
            assert line["known"] == line["event.id"]

    def test_they_are_children_of_the_event_that_sent_them(self, worked: Worked) -> None:
        """In its trace, and of its request; a retry, too. What a task sends is that task's child."""
        parents = {line["parent.id"] for line in worked.lines if line.get("number") != 1_000} - {
            line["event.id"] for line in runs(worked.lines, "step")
        }
        (grandchild,) = [line for line in worked.lines if line.get("number") == 1_000]

        assert parents == {worked.sender["event.id"]}
        assert {line["trace.id"] for line in worked.lines} == {worked.sender["trace.id"]}
        assert {line["http.request.id"] for line in worked.lines} == {"r-1"}
        assert grandchild["parent.id"] == one(worked.lines, "parent")["event.id"]

    def test_a_chain_is_one(self, worked: Worked) -> None:
        """From link to link."""
        first, second = sorted(runs(worked.lines, "step"), key=lambda line: line["timestamp"])

        assert second["parent.id"] == first["event.id"]

    @pytest.mark.parametrize(
        ("name", "outcome", "level"),
        [
            ("crash", "failure", "error"),
            ("ignore", "ignored", "info"),
            ("reject", "rejected", "info"),
            ("parent", "success", "info"),
        ],
    )
    def test_outcomes(self, worked: Worked, name: str, outcome: str, level: str) -> None:
        """They are what Celery says."""
        line = one(worked.lines, name)

        assert (line["task.outcome"], line["level"]) == (outcome, level)

    def test_attempts(self, worked: Worked) -> None:
        """The last one fails."""
        told = {line["task.attempt"]: (line["task.outcome"], line["level"]) for line in runs(worked.lines, "again")}

        assert told == {1: ("retry", "info"), 2: ("failure", "error")}

    def test_what_the_queue_knows(self, worked: Worked) -> None:
        """Is on every line."""
        for line in worked.lines:
            assert (line["task.queue"], line["framework.name"], line["service.name"]) == ("celery", "celery", "jobs")
            assert line["task.waited_ms"] >= 0
            assert line["event.name"] == line["task.name"]


@pytest.fixture(scope="module", params=["fork", "spawn"])
def deaths(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    redis_server: RedisServer,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give the event that sent tasks that do not live, and their lines, by what has become of them."""
    folder, url = tmp_path_factory.mktemp("deaths"), redis_server.database(DATABASES["deaths"])
    (folder / "jobs.py").write_text(APP)
    with running(folder, *WORKER, "--pool=prefork", "--concurrency=3", REDIS=url, START=request.param) as server:
        server.said(" ready.")
        sender, ids = send(folder, DEATHS, url)
        done(server, 6)
        server.send(SIGTERM)
        server.process.wait(PATIENCE)
        everything = [parse_any(line) for line in server.out]  # billiard tells its streams of a process that it spawns
    lines = events(everything)
    assert len(lines) == 6, "one line for a run"
    pages = [line for line in everything if line.get("alert.urgency") == "page" and "event.kind" not in line]
    assert pages == [], "an event calls, and no line beside it"
    told = {name: line for name, run in ids.items() for line in lines if line["task.id"] == run}
    return sender, told | {"expired": one(lines, "step"), "start": request.param}


class TestProcessesThatDie:
    @pytest.mark.parametrize(
        ("cause", "outcomes", "error"),
        [
            ("SIGKILL", ("lost", "lost", "error"), "billiard.exceptions.WorkerLostError"),
            ("SIGTERM", ("lost", "lost", "error"), "billiard.exceptions.WorkerLostError"),
            ("leave", ("failure", "failure", "error"), "SystemExit"),
            ("limited", ("failure", "failure", "error"), "billiard.exceptions.TimeLimitExceeded"),
            ("limited_softly", ("failure", "failure", "error"), "billiard.exceptions.SoftTimeLimitExceeded"),
            ("expired", ("revoked", "cancelled", "info"), None),
        ],
    )
    def test_have_one_line(self, deaths: Any, cause: str, outcomes: tuple[str, ...], error: str | None) -> None:
        """Whoever writes it."""
        sender, lines = deaths
        line = lines[cause]

        assert (line["task.outcome"], line["outcome"], line["level"]) == outcomes
        assert line.get("error.type") == error
        assert (line["parent.id"], line["http.request.id"]) == (sender["event.id"], "r-1")

    def test_say_which_signal_it_was(self, deaths: Any) -> None:
        """A task that was told to end could write what it knew; not one that was killed, or knew not who writes."""
        _, lines = deaths

        assert [lines[name]["process.exit.signal"] for name in ("SIGKILL", "SIGTERM")] == ["SIGKILL", "SIGTERM"]
        assert "before" not in lines["SIGKILL"]
        assert ("before" in lines["SIGTERM"]) == (lines["start"] == "fork")

    def test_say_how_long_they_ran(self, deaths: Any) -> None:
        """To the time limit, though nobody who was there can tell."""
        _, lines = deaths

        assert 900 < lines["limited"]["duration_ms"] < 10_000


class TestRevokedTasks:
    @pytest.fixture(params=[("prefork", "SIGTERM"), ("prefork", "SIGKILL"), ("gevent", "SIGTERM")], ids="-".join)
    def line(
        self,
        request: pytest.FixtureRequest,
        tmp_path: Path,
        redis_server: RedisServer,
    ) -> Iterator[dict[str, Any]]:
        """Give the line of a task that was revoked while it ran."""
        (tmp_path / "jobs.py").write_text(APP)
        url = redis_server.database(DATABASES["revoked"])
        pool, number = request.param
        with running(tmp_path, *WORKER, f"--pool={pool}", "--concurrency=1", REDIS=url) as server:
            server.said(" ready.")
            _, ids = send(tmp_path, 'ids["endless"] = jobs.endless.delay().id', url)
            server.said('"message":"endless"')
            revoke(tmp_path, ids["endless"], url, number)
            done(server, 1)
            (line,) = stopped(server) if pool == "gevent" else events(server.stop())
            yield line

    def test_are_cancelled(self, line: dict[str, Any]) -> None:
        """Somebody wanted it so, and nobody is called."""
        assert (line["task.outcome"], line["outcome"], line["level"]) == ("revoked", "cancelled", "info")


def revoke(folder: Path, task: str, redis: str, number: str) -> None:
    """Kill a task with a signal, since nobody wants it any more."""
    python(folder, f"import jobs; jobs.app.control.revoke({task!r}, terminate=True, signal={number!r})", redis)


@pytest.fixture(scope="module", params=["fork", "spawn"])
def kept(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    redis_server: RedisServer,
) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """Give the lines of tasks that were killed while a flight recorder was on, and what was to be recovered later."""
    folder, url = tmp_path_factory.mktemp("kept"), redis_server.database(DATABASES["kept"])
    (folder / "jobs.py").write_text(APP)
    start, flight = request.param, str(folder / "flight")
    # One that is spawned recovers when it starts: there is one, and the next one after it.
    processes, names = (4, tuple(ENDINGS)) if start == "fork" else (1, ("kill", "endless"))
    with running(folder, *WORKER, f"--concurrency={processes}", REDIS=url, START=start, FLIGHT=flight) as server:
        server.said(" ready.")
        _, ids = send(folder, KILLED.format(names=names), url)
        server.said('"message":"endless"')
        revoke(folder, ids["endless"], url, "SIGKILL")
        done(server, len(names))
        server.send(SIGTERM)
        server.process.wait(PATIENCE)
        lines = events([parse_any(line) for line in server.out])
    told = {name: line for name, run in ids.items() for line in lines if line["task.id"] == run}
    assert len(lines) == len({line["event.id"] for line in lines}) == len(told) == len(names), "one line for a run"
    return told, recovered(folder, flight)


class TestProcessesThatAreKilledWithAFlightRecorder:
    def test_have_one_line(self, kept: Any) -> None:
        """Nobody tells them once more: not the processes that take their place, and not by hand."""
        lines, later = kept
        told = {name: (line["task.outcome"], line["outcome"], line.get("error.type")) for name, line in lines.items()}

        assert told == {name: ENDINGS[name] for name in lines}
        assert later == []

    def test_tell_all_that_is_known(self, kept: Any) -> None:
        """What the task had added, and when it did so last."""
        lines, _ = kept

        assert {line["before"] for line in lines.values()} == {1}
        assert all(line["lost.touched"] > line["timestamp"] for line in lines.values())
        assert ["again" in line for line in lines.values()] == [name == "stubborn" for name in lines]


class TestTheTimeLimitOfAGreenlet:
    def test_is_a_failure(self, tmp_path: Path, redis_server: RedisServer) -> None:
        """What the task had added is there: its process lives."""
        (tmp_path / "jobs.py").write_text(APP)
        url = redis_server.database(DATABASES["revoked"])
        with running(tmp_path, *WORKER, "--pool=gevent", "--concurrency=4", REDIS=url) as server:
            server.said(" ready.")
            send(tmp_path, "jobs.limited.delay()", url)
            done(server, 1)
            (line,) = stopped(server)

        assert (line["task.outcome"], line["error.type"]) == ("failure", "billiard.exceptions.TimeLimitExceeded")
        assert line["before"] == 1
