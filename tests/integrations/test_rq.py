"""What the door for RQ promises, with a real Redis: in one process, and when work horses are killed."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import signal
import subprocess
import sys
import uuid
import warnings
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import rq
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry
from rq.job import Job, JobStatus
from rq.registry import ScheduledJobRegistry

import wideevents
from tests.conftest import FakeClock, Written
from tests.flight import killed
from tests.integrations.processes import Running, doubled, events, running
from tests.integrations.servers import PATIENCE, environment
from tests.parts.redis import RedisServer
from wideevents.errors import ConfigurationError
from wideevents.flight import Flight
from wideevents.integrations import _rq
from wideevents.integrations import rq as door
from wideevents.integrations._tasks import SENT_AT
from wideevents.integrations.logging import Handler
from wideevents.integrations.rq import LOGGER, Queue, SimpleWorker, WideEvents, WorkHorseKilledError
from wideevents.recorder import Recorder

DATABASE = 90


def add(a: int, b: int) -> int:
    """Add to the event, and be a job."""
    wideevents.add_field("sum", a + b)
    return a + b


def crash() -> None:
    """Fail."""
    raise ValueError("broken")


def die() -> None:
    """Be killed."""
    wideevents.add_field("before", 1)
    os.kill(os.getpid(), signal.SIGKILL)


def again(most: int) -> rq.Retry:
    """Ask for another try."""
    return rq.Retry(max=most)


def called_back(job: Job, connection: Redis, result: object) -> None:
    """Add to the event of the job that has succeeded."""
    wideevents.add_field("called", str(result))


class Unreadable:
    """Read nothing that was written."""

    dumps = staticmethod(lambda *_: b"")

    @staticmethod
    def loads(*_: object) -> None:
        """Fail."""
        raise ValueError


class Contained:
    """Leave the process alone: its signals, and its threads."""

    def _install_signal_handlers(self) -> None:
        """Do nothing."""

    def subscribe(self) -> None:
        """Listen to no commands."""


class Patient(Contained, rq.SimpleWorker):
    """Work in this process."""


class Worker(WideEvents, Patient):
    """A worker of ours in this process."""


@pytest.fixture
def connection(redis_server: RedisServer) -> Iterator[Redis]:
    """Give a connection to a database that is empty."""
    with Redis.from_url(redis_server.database(DATABASE)) as made:
        made.flushdb()
        yield made


@pytest.fixture
def queue(connection: Redis, recorder: Recorder) -> Iterator[Queue]:
    """Give a queue, and let what RQ logs be in the stream."""
    loggers = {name: logging.getLogger(name) for name in ("rq.worker", "rq.queue", "rq.job", "rq.scheduler")}
    before = {name: (list(each.handlers), each.level, list(each.filters)) for name, each in loggers.items()}
    handler = Handler()
    logging.getLogger().addHandler(handler)
    yield Queue(uuid.uuid4().hex, connection=connection)
    logging.getLogger().removeHandler(handler)
    for name, (handlers, level, filters) in before.items():
        loggers[name].handlers[:], loggers[name].filters[:] = handlers, filters
        loggers[name].setLevel(level)


def work(queue: rq.Queue, kind: type[Any] = Worker, times: int = 1) -> Any:
    """Do what is in the queue."""
    worker = kind([queue], connection=queue.connection)
    for _ in range(times):
        worker.work(burst=True)
    return worker


class TestSettings:
    def test_quiet_jobs_are_debug(self, queue: Queue, written: Written) -> None:
        """By the names that RQ knows them by."""

        class Quiet(Worker):
            quiet = (f"{__name__}.add",)

        queue.enqueue(add, 1, 2)
        queue.enqueue(crash)
        work(queue, Quiet)

        assert [line["task.name"] for line in written.all()] == [f"{__name__}.crash"]

    @pytest.mark.parametrize("setting", [{"quiet": "add"}, {"slow_ms": 0}], ids=str)
    def test_a_wrong_one_is_refused(self, queue: Queue, setting: dict[str, Any]) -> None:
        """When the worker is made."""
        wrong = type("Wrong", (Worker,), setting)
        with pytest.raises(ConfigurationError, match=next(iter(setting))):
            wrong([queue], connection=queue.connection)

    @pytest.mark.parametrize("module", [door, _rq], ids=["rq", "_rq"])
    def test_without_rq_the_sentence_says_what_to_install(
        self, monkeypatch: pytest.MonkeyPatch, module: ModuleType
    ) -> None:
        """It is an extra: who imports the room without it is told its name."""
        for name in ("rq", "rq.job", "rq.exceptions"):
            monkeypatch.setitem(sys.modules, name, None)
        spec = importlib.util.spec_from_file_location("room", module.__file__ or "")
        assert spec is not None
        assert spec.loader is not None
        with pytest.raises(ImportError, match=r"needs RQ: pip install 'wideevents\[rq\]'"):
            spec.loader.exec_module(importlib.util.module_from_spec(spec))


class TestJobs:
    def test_a_job_is_an_event(self, queue: Queue, written: Written, clock: FakeClock) -> None:
        """With what the queue knows, and what the job and its callbacks add."""
        job = queue.enqueue(add, 1, 2, on_success=rq.Callback(called_back))
        work(queue)
        line = written.one()

        assert (line["event.kind"], line["event.name"], line["task.name"]) == ("task", *(f"{__name__}.add",) * 2)
        assert (line["task.id"], line["task.queue"], line["task.attempt"]) == (job.id, queue.name, 1)
        assert (line["framework.name"], line["task.outcome"], line["outcome"]) == ("rq", "success", "success")
        assert (line["sum"], line["called"], line["level"]) == (3, "3", "info")

    def test_its_duration_is_its_own(self, queue: Queue, written: Written, clock: FakeClock) -> None:
        """What RQ stores afterwards, and its callbacks, take a time of theirs."""

        class Slow(Worker):
            def handle_job_success(self, *args: Any, **options: Any) -> None:
                clock.advance(5)
                super().handle_job_success(*args, **options)

        queue.enqueue(add, 1, 2)
        work(queue, Slow)

        assert written.one()["duration_ms"] == 0

    def test_its_owner_is_its_functions(self, queue: Queue, recorder: Recorder) -> None:
        """The worker need not import it for that."""
        handlers: list[object] = []
        recorder.pipeline.sinks[0].write = lambda event: handlers.append(getattr(event, "handler", None))  # type: ignore[method-assign]
        queue.enqueue(add, 1, 2)
        queue.enqueue("no.such.job")
        work(queue)

        assert [each for each in handlers if each is not None] == [add]

    def test_its_parent_sent_it(self, queue: Queue, written: Written) -> None:
        """Its trace goes on, and so does its request; whichever way it was sent."""
        with wideevents.event("sender") as sender:
            sender.request_id = "r-1"
            queue.enqueue(add, 1, 2, meta={"own": 1})
            queue.enqueue_call(add, (1, 2))
            queue.enqueue_many([Queue.prepare_data(add, (1, 2))])
        work(queue)
        *lines, sent = written.all()[1:] + written.all()[:1]

        assert [line["parent.id"] for line in lines] == [sent["event.id"]] * 3
        assert {line["trace.id"] for line in lines} == {sent["trace.id"]}
        assert {line["http.request.id"] for line in lines} == {"r-1"}

    def test_what_is_in_its_meta_stays(self, queue: Queue, clock: FakeClock) -> None:
        """Beside what it carries."""
        given = {"own": 1}
        job = queue.enqueue(add, 1, 2, meta=given)

        assert (job.meta["own"], given) == (1, {"own": 1})
        assert job.meta["wideevents"] == {SENT_AT: clock.seconds, "retries": 0}

    def test_what_another_queue_sends_begins_a_trace(self, queue: Queue, written: Written) -> None:
        """It tells of none; and what is no mapping is none."""
        plain = rq.Queue(queue.name, connection=queue.connection)
        with wideevents.event("sender"):
            plain.enqueue(add, 1, 2)
            plain.enqueue(add, 1, 2, meta={"wideevents": "theirs"})
        work(queue)

        assert ["parent.id" in line for line in written.all()] == [False, False, False]

    def test_it_waits_from_when_it_was_queued(self, queue: Queue, written: Written, clock: FakeClock) -> None:
        """Which is when it was due, if it was planned."""
        job = queue.enqueue(add, 1, 2)
        assert job.enqueued_at is not None
        clock.seconds = job.enqueued_at.timestamp() + 2
        work(queue)

        assert written.one()["task.waited_ms"] == pytest.approx(2_000, abs=1)

    def test_two_after_one_another_share_nothing(self, queue: Queue, written: Written) -> None:
        """The context is as clean as it was before."""
        queue.enqueue(add, 1, 2)
        queue.enqueue(again, 0)
        work(queue)
        first, second = written.all()

        assert ("sum" in first, "sum" in second, first["event.id"] == second["event.id"]) == (True, False, False)
        assert wideevents.current() is None

    def test_a_failure_is_an_error(self, queue: Queue, written: Written) -> None:
        """With its traceback; what RQ logs of it is not counted again."""
        queue.enqueue(crash)
        work(queue)
        line = written.one()

        assert (line["task.outcome"], line["outcome"], line["level"]) == ("failure", "failure", "error")
        assert (line["error.type"], line["error.count"], "log.count.error" in line) == ("ValueError", 1, False)

    def test_a_job_that_takes_too_long_has_failed(self, queue: Queue, written: Written) -> None:
        """RQ raises in it."""
        queue.enqueue("time.sleep", 30, job_timeout=1)
        work(queue)
        line = written.one()

        assert (line["task.outcome"], line["error.type"]) == ("failure", "rq.timeouts.JobTimeoutException")

    def test_a_failure_is_info_until_the_last_one(self, queue: Queue, written: Written) -> None:
        """Every attempt has its line, and all have the same parent."""
        with wideevents.event("sender"):
            queue.enqueue(crash, retry=rq.Retry(max=2))
        work(queue)
        sent, *attempts = written.all()

        assert [(line["task.attempt"], line["task.outcome"], line["level"]) for line in attempts] == [
            (1, "retry", "info"),
            (2, "retry", "info"),
            (3, "failure", "error"),
        ]
        assert {line["parent.id"] for line in attempts} == {sent["event.id"]}
        assert [line["exception.handled"] for line in attempts] == [True, True, False]

    def test_a_retry_that_is_planned_is_one(self, queue: Queue, written: Written) -> None:
        """It is not queued yet."""
        queue.enqueue(crash, retry=rq.Retry(max=1, interval=600))
        work(queue)

        assert written.one()["task.outcome"] == "retry"
        assert len(ScheduledJobRegistry(queue=queue)) == 1

    def test_a_job_may_ask_for_another_try(self, queue: Queue, written: Written) -> None:
        """The last one that asks has failed, though it raised nothing."""
        queue.enqueue(again, 1)
        work(queue)
        first, last = written.all()

        assert (first["task.attempt"], first["task.outcome"], first["level"]) == (1, "retry", "info")
        assert (last["task.attempt"], last["task.outcome"], last["level"]) == (2, "failure", "error")
        assert last["error.type"] == "wideevents.integrations.rq.RetriesExceededError"

    def test_a_callback_that_fails_is_a_failure(self, queue: Queue, written: Written) -> None:
        """As RQ has it."""
        queue.enqueue(add, 1, 2, on_success=rq.Callback(f"{__name__}.crash"))
        work(queue)

        assert (written.one()["task.outcome"], written.one()["error.type"]) == ("failure", "TypeError")

    def test_one_that_cannot_be_read_has_its_line(self, queue: Queue, written: Written) -> None:
        """A worker with another serializer does not even know its name."""
        job = queue.enqueue(add, 1, 2)
        worker = Worker([queue], connection=queue.connection)
        job = Job.fetch(job.id, connection=queue.connection, serializer=Unreadable)
        worker.perform_job(job, queue, worker.prepare_execution(job))

        assert (written.one()["task.name"], written.one()["task.outcome"]) == ("unknown", "failure")

    def test_one_that_cannot_be_noted_down_has_its_line(self, queue: Queue, written: Written) -> None:
        """Redis is gone in the middle of it."""
        job = queue.enqueue(add, 1, 2)
        worker = Worker([queue], connection=queue.connection)
        execution = worker.prepare_execution(job)
        worker.connection = Redis(port=1, retry=Retry(NoBackoff(), 0))
        job.connection = worker.connection
        with pytest.raises(RedisConnectionError, match="refused"):
            worker.perform_job(job, queue, execution)
        line = written.one()

        assert (line["task.outcome"], line["error.type"]) == ("failure", "redis.exceptions.ConnectionError")


class TestJobsAtOnce:
    def test_one_is_an_event_inside_its_callers(self, connection: Redis, written: Written, recorder: Recorder) -> None:
        """A queue that is not asynchronous runs it there and then."""
        queue = Queue("now", connection=connection, is_async=False)
        with wideevents.event("caller"):
            queue.enqueue(add, 1, 2)
            wideevents.add_field("after", 1)
        line, caller = written.named(f"{__name__}.add"), written.named("caller")

        assert (line["parent.id"], line["sum"], line["task.outcome"]) == (caller["event.id"], 3, "success")
        assert (caller["after"], "sum" in caller) == (1, False)

    def test_its_failure_is_one(self, connection: Redis, written: Written, recorder: Recorder) -> None:
        """RQ keeps it from its caller."""
        job = Queue("now", connection=connection, is_async=False).enqueue(crash)

        assert (written.one()["error.type"], written.one()["task.outcome"]) == ("ValueError", "failure")
        assert job.get_status() == JobStatus.FAILED


class TestAWorkHorseThatDies:
    """RQ's own worker forks one, which no line of a test's is measured in; here it is told how one has ended."""

    def ended(self, queue: Queue, status: int | None, *, stopped: bool = False) -> None:
        """Do a job whose work horse ends with a status, as `os.wait` tells it."""

        class Forking(Patient):
            def execute_job(self, job: Job, queue: rq.Queue) -> None:
                if stopped:
                    job.set_status(JobStatus.STOPPED)
                else:
                    self.handle_work_horse_killed(job, 1, status, None)

        queue.enqueue(add, 1, 2)
        work(queue, type("Worker", (WideEvents, Forking), {}))

    @pytest.mark.parametrize(
        ("status", "signal", "message"),
        [(9, "SIGKILL", "SIGKILL"), (None, "SIGKILL", "SIGKILL"), (256, None, "ended with 1")],
    )
    def test_has_a_line(
        self, queue: Queue, written: Written, status: int | None, signal: str | None, message: str
    ) -> None:
        """Which the worker writes: lost, and how."""
        self.ended(queue, status)
        line = written.one()

        assert (line["task.outcome"], line["outcome"], line["level"]) == ("lost", "lost", "error")
        assert line["error.type"] == "wideevents.integrations.rq.WorkHorseKilledError"
        assert (line.get("process.exit.signal"), message in line["exception.message"]) == (signal, True)
        assert "log.count.warning" not in line

    def test_that_somebody_stops_is_revoked(self, queue: Queue, written: Written) -> None:
        """Nobody's failure."""
        self.ended(queue, None, stopped=True)
        line = written.one()

        assert (line["task.outcome"], line["outcome"], line["level"]) == ("revoked", "cancelled", "info")

    def test_after_its_line_has_no_second_one(self, queue: Queue, written: Written) -> None:
        """The job was done."""

        class Forking(Patient):
            def execute_job(self, job: Job, queue: rq.Queue) -> None:
                super().execute_job(job, queue)
                self.handle_work_horse_killed(job, 1, 9, None)

        queue.enqueue(add, 1, 2)
        work(queue, type("Worker", (WideEvents, Forking), {}))

        assert written.one()["task.outcome"] == "success"

    def test_with_its_worker_has_a_line(self, queue: Queue, written: Written) -> None:
        """A cold shutdown kills the one, and ends the other."""

        class Forking(Patient):
            def execute_job(self, job: Job, queue: rq.Queue) -> None:
                raise SystemExit

        job = queue.enqueue(add, 1, 2)
        worker = type("Worker", (WideEvents, Forking), {})([queue], connection=queue.connection)
        with pytest.raises(SystemExit):
            worker.execute_job(job, queue)

        assert (written.one()["task.outcome"], written.one()["process.exit.signal"]) == ("lost", "SIGKILL")

    def test_lets_the_sinks_send_what_they_hold(self, queue: Queue, recorder: Recorder, written: Written) -> None:
        """It ends without what Python does at the end of a process."""
        closed: list[int] = []
        recorder.pipeline.sinks[0].close = lambda: closed.append(len(written.all()))  # type: ignore[method-assign]
        queue.enqueue(add, 1, 2)
        work(queue)
        assert closed == []
        queue.enqueue(add, 1, 2)
        work(queue, type("Horse", (Worker,), {"is_horse": True}))

        assert closed == [2]

    def test_tells_of_a_signal(self) -> None:
        """By its name."""
        assert [WorkHorseKilledError(status).signal for status in (15, 512)] == ["SIGTERM", None]


class TestAWorkHorseThatIsKilled:
    """RQ's own worker forks it, in this process."""

    @pytest.fixture
    def flight(self, recorder: Recorder, tmp_path: Path) -> Flight:
        """Give the flight recorder of both."""
        recorder.flight = made = Flight(tmp_path)
        return made

    @pytest.mark.parametrize("stopped", [False, True])
    def test_tells_what_the_flight_recorder_has(
        self, queue: Queue, recorder: Recorder, written: Written, flight: Flight, *, stopped: bool
    ) -> None:
        """What the job had added is on the one line, whoever has killed it."""

        class Forking(Contained, rq.Worker):
            def fork_work_horse(self, job: Job, queue: rq.Queue) -> None:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads
                    super().fork_work_horse(job, queue)
                self._stopped_job_id = job.id if stopped else None

        queue.enqueue(die)
        work(queue, type("Worker", (WideEvents, Forking), {}))
        line = written.one()

        assert (line["before"], line["task.outcome"]) == (1, "revoked" if stopped else "lost")
        assert ("error.type" in line, "lost.touched" in line) == (not stopped, True)
        assert flight.recover(recorder) == 0

    def test_with_all_of_its_worker_is_lost_once(
        self, queue: Queue, recorder: Recorder, written: Written, flight: Flight
    ) -> None:
        """One that works by itself knows of the job twice."""
        queue.enqueue(die)
        killed(lambda: work(queue))

        assert flight.recover(recorder) == 1
        assert (written.one()["before"], written.one()["outcome"]) == (1, "lost")


JOBS = """
import logging, os, time
import wideevents

def add(number):
    wideevents.add_field(f"only.{number}", number)
    wideevents.add_fields(number=number, known=wideevents.current().id)

def crash():
    raise ValueError("broken")

def kill(number):
    wideevents.add_field("before", 1)
    os.kill(os.getpid(), number)
    time.sleep(30)

def endless():
    wideevents.add_field("before", 1)
    logging.getLogger("jobs").info("endless")
    time.sleep(30)
"""

CONF = """
import os
import wideevents
wideevents.configure(service="jobs", flight=os.environ.get("FLIGHT"))
"""

SEND = """
import json, os
import wideevents
from redis import Redis
from rq import Retry
from wideevents.integrations.rq import Queue

wideevents.configure(output="json", logging=False)
queue = Queue("mail", connection=Redis.from_url(os.environ["REDIS"]))
ids = {}
with wideevents.event("sender") as event:
    event.request_id = "r-1"
    for number in range(5):
        queue.enqueue("jobs.add", number)
    ids["crash"] = queue.enqueue("jobs.crash", retry=Retry(max=1)).id
    ids["killed"] = queue.enqueue("jobs.kill", 9).id
    ids["limited"] = queue.enqueue("jobs.endless", job_timeout=1).id
    ids["endless"] = queue.enqueue("jobs.endless", job_timeout=60).id
print(json.dumps(ids))
"""

KILLED = """
import json, os
from redis import Redis
from wideevents.integrations.rq import Queue

queue = Queue("mail", connection=Redis.from_url(os.environ["REDIS"]))
print(json.dumps({"killed": queue.enqueue("jobs.kill", 9).id, "endless": queue.enqueue("jobs.endless").id}))
"""

STOP = """
import os
from redis import Redis
from rq.command import send_stop_job_command
send_stop_job_command(Redis.from_url(os.environ["REDIS"]), {!r})
"""

RQ = ("-m", "rq.cli", "worker", "-c", "conf", "--worker-class", "wideevents.integrations.rq.Worker")


def python(folder: Path, code: str, redis: str) -> list[dict[str, Any]]:
    """Run *code* beside the jobs, and return the lines that it printed."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment(REDIS=redis),
        stdout=subprocess.PIPE,
        timeout=PATIENCE,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def worked(
    tmp_path_factory: pytest.TempPathFactory,
    redis_server: RedisServer,
) -> tuple[dict[str, Any], dict[str, str], list[dict[str, Any]]]:
    """Give the event that sent jobs to a real worker, their ids, and all that it wrote."""
    folder, url = tmp_path_factory.mktemp("rq"), redis_server.database(DATABASE + 1)
    (folder / "jobs.py").write_text(JOBS)
    (folder / "conf.py").write_text(CONF)
    with running(folder, *RQ, "--url", url, "mail", PYTHONPATH=f"{environment()['PYTHONPATH']}{os.pathsep}.") as server:
        sender, ids = python(folder, SEND, url)
        done(server, 8)
        server.said('"message":"endless"', times=2)
        python(folder, STOP.format(ids["endless"]), url)
        done(server, 10)
        lines = server.stop()
    assert server.err == []
    assert doubled(lines) == []
    return sender, ids, lines


def done(server: Running, number: int) -> None:
    """Wait until so many runs have their lines."""
    server.said('"event.kind":"task"', times=number)


class TestARealWorker:
    def test_writes_one_line_for_a_run(self, worked: Any) -> None:
        """All are children of the event that sent them, in its trace, and of its request."""
        sender, _, lines = worked
        told = events(lines)

        assert len(told) == len({line["event.id"] for line in told}) == 10
        assert {line["parent.id"] for line in told} == {sender["event.id"]}
        assert {line["trace.id"] for line in told} == {sender["trace.id"]}
        assert {line["http.request.id"] for line in told} == {"r-1"}

    def test_never_mixes_them(self, worked: Any) -> None:
        """Each has what it added itself."""
        _, _, lines = worked
        added = [line for line in events(lines) if line["task.name"] == "jobs.add"]

        assert [line["number"] for line in added] == [0, 1, 2, 3, 4]
        for line in added:
            assert [name for name in line if name.startswith("only.")] == [f"only.{line['number']}"]
            assert line["known"] == line["event.id"]

    @pytest.mark.parametrize(
        ("name", "told"),
        [
            ("crash", [("retry", "success", "info"), ("failure", "failure", "error")]),
            ("killed", [("lost", "lost", "error")]),
            ("limited", [("failure", "failure", "error")]),
            ("endless", [("revoked", "cancelled", "info")]),
        ],
    )
    def test_tells_what_has_become_of_them(self, worked: Any, name: str, told: list[tuple[str, ...]]) -> None:
        """Whoever writes it."""
        _, ids, lines = worked
        own = [line for line in events(lines) if line["task.id"] == ids[name]]

        assert [(line["task.outcome"], line["outcome"], line["level"]) for line in own] == told

    def test_calls_nobody_twice(self, worked: Any) -> None:
        """What RQ logs of a job belongs to its event."""
        _, _, lines = worked

        assert [line for line in lines if line.get("alert.urgency") == "page" and "event.kind" not in line] == []


class TestARealWorkerWithAFlightRecorder:
    def test_tells_all_of_a_job_that_is_killed(self, tmp_path: Path, redis_server: RedisServer) -> None:
        """In one line, by whomever it was killed; nothing is left to be recovered."""
        url, flight = redis_server.database(DATABASE + 2), str(tmp_path / "flight")
        (tmp_path / "jobs.py").write_text(JOBS)
        (tmp_path / "conf.py").write_text(CONF)
        path = f"{environment()['PYTHONPATH']}{os.pathsep}."
        with running(tmp_path, *RQ, "--url", url, "mail", PYTHONPATH=path, FLIGHT=flight) as server:
            (ids,) = python(tmp_path, KILLED, url)
            server.said('"message":"endless"')
            python(tmp_path, STOP.format(ids["endless"]), url)
            done(server, 2)
            killed, stopped = events(server.stop())

        assert [(line["before"], line["task.outcome"]) for line in (killed, stopped)] == [(1, "lost"), (1, "revoked")]
        assert [line["task.id"] for line in (killed, stopped)] == [ids["killed"], ids["endless"]]
        assert all(line["lost.touched"] > line["timestamp"] for line in (killed, stopped))
        recovering = subprocess.run(
            [sys.executable, "-m", "wideevents", "recover", flight, "--output=-"],
            env=environment(),
            stdout=subprocess.PIPE,
            timeout=PATIENCE,
            check=True,
        )
        assert recovering.stdout == b""


class TestTheFace:
    def test_there_is_a_worker_of_each_kind(self) -> None:
        """They are RQ's own."""
        assert issubclass(door.Worker, rq.Worker)
        assert issubclass(SimpleWorker, rq.SimpleWorker)
        assert LOGGER == "rq.worker"

    def test_a_planned_job_is_sent_like_any_other(self, queue: Queue) -> None:
        """It carries its trace until then."""
        job = queue.enqueue_in(timedelta(hours=1), add, 1, 2)

        assert SENT_AT in job.meta["wideevents"]
