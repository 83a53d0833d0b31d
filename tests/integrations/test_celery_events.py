"""What the door for Celery promises in one process: tasks that are run at once, messages, and processes that die."""

from __future__ import annotations

import logging
import re
import signal
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from billiard.einfo import ExceptionInfo
from celery import Celery, signals
from celery.exceptions import (
    Ignore,
    Reject,
    SoftTimeLimitExceeded,
    Terminated,
    TimeLimitExceeded,
    WorkerLostError,
    WorkerShutdown,
)
from celery.worker.request import Request

import wideevents
from tests.conftest import FakeClock, Written, in_child
from tests.flight import killed
from tests.integrations.test_tasks import message
from wideevents.errors import ConfigurationError
from wideevents.flight import Flight
from wideevents.integrations._celery import EVENT_ID, WATCHER, Watched, stopped
from wideevents.integrations._tasks import SENT_AT, Run, Tasks
from wideevents.integrations.celery import LOGGERS, WideEvents
from wideevents.integrations.logging import Handler
from wideevents.recorder import Recorder

USED = (
    "before_task_publish",
    "celeryd_after_setup",
    "setup_logging",
    "task_postrun",
    "task_prerun",
    "task_revoked",
    "worker_init",
    "worker_process_shutdown",
)
"""The signals that the door listens to."""


class App(Celery):
    """An application whose tasks are its own: Celery gives them to all others, too."""

    def task(self, *args: Any, **options: Any) -> Any:
        return super().task(*args, **{"shared": False, **options})


@dataclass(eq=False)
class Starting:
    """A worker that starts."""

    app: Celery


@pytest.fixture
def receivers() -> Iterator[None]:
    """Put back who listens to Celery's signals, and what its loggers are filtered by."""
    heard = {name: list(getattr(signals, name).receivers) for name in USED}
    filters = {name: list(logging.getLogger(name).filters) for name in LOGGERS}
    yield
    for name, known in heard.items():
        getattr(signals, name).receivers[:] = known
    for name, before in filters.items():
        logging.getLogger(name).filters[:] = before


@pytest.fixture
def app(receivers: None, recorder: Recorder) -> Iterator[Celery]:
    """Give an application with a door, whose broker is in memory."""
    made = App("shop", broker="memory://", backend="cache+memory://", set_as_current=False)
    made.conf.task_default_queue = uuid.uuid4().hex
    WideEvents(made, quiet=("tidy",), logging=False)
    handler = Handler()  # what Celery logs is in the stream, and an event knows of it
    logging.getLogger().addHandler(handler)
    yield made
    logging.getLogger().removeHandler(handler)
    made.close()


def sent(app: Celery) -> Any:
    """Return the message that was sent first."""
    with app.connection_for_read() as connection:
        return app.amqp.queues[app.conf.task_default_queue].bind(connection.default_channel).get(no_ack=True)


def received(app: Celery) -> Any:
    """Return the request of the message that was sent first, as a worker has it."""
    signals.worker_init.send(sender=Starting(app))
    message = sent(app)
    task = app.tasks[message.headers["task"]]
    return task.Request(message, app=app, task=task)


def information(error: BaseException) -> ExceptionInfo:
    """Return how a pool tells of an exception."""
    try:
        raise error
    except BaseException:
        return ExceptionInfo()


def nothing() -> None:
    """Be a task."""


def advance(number: int) -> int:
    """Be a step of a chain."""
    return number + 1


class TestSettings:
    @pytest.mark.parametrize("given", [None, "shop", Celery])
    def test_it_takes_an_application(self, receivers: None, given: object) -> None:
        """Anything else is refused where it is given."""
        with pytest.raises(ConfigurationError, match="a Celery application"):
            WideEvents(given)

    def test_one_door_is_enough(self, app: Celery) -> None:
        """A second one would write every line twice."""
        with pytest.raises(ConfigurationError, match="has wideevents already"):
            WideEvents(app)

    @pytest.mark.parametrize("setting", [{"quiet": "tidy"}, {"slow_ms": 0}, {"logging": 1}], ids=str)
    def test_a_wrong_one_is_refused(self, receivers: None, setting: dict[str, Any]) -> None:
        """In a sentence that names it."""
        with pytest.raises(ConfigurationError, match=next(iter(setting))):
            WideEvents(Celery("shop", set_as_current=False), **setting)

    def test_one_line_installs_all(self, receivers: None) -> None:
        """The lines of the worker, too, unless somebody wants them as they are."""
        for asked in (False, True):
            before = len(signals.setup_logging.receivers)
            WideEvents(Celery("shop", set_as_current=False), logging=asked)

            assert len(signals.setup_logging.receivers) - before == asked


class TestTasksAtOnce:
    def test_a_task_is_an_event_inside_its_callers(self, app: Celery, written: Written) -> None:
        """Its own, with what it adds; the caller's has none of it."""

        @app.task(name="add")
        def add(a: int, b: int) -> int:
            wideevents.add_field("sum", a + b)
            return a + b

        with wideevents.event("caller") as caller:
            caller.request_id = "r-1"
            add.apply((1, 2))
            wideevents.add_field("after", 1)
        line, outer = written.named("add"), written.named("caller")

        assert (line["trace.id"], line["parent.id"]) == (outer["trace.id"], outer["event.id"])
        assert (line["sum"], line["http.request.id"], line["task.outcome"]) == (3, "r-1", "success")
        assert (line["framework.name"], line["task.attempt"]) == ("celery", 1)
        assert (outer["after"], "sum" in outer, "task.queue" in line) == (1, False, False)

    def test_nested_ones_are_nested(self, app: Celery, written: Written) -> None:
        """With `task_always_eager`, too."""
        app.conf.task_always_eager = True

        @app.task(name="inner")
        def inner() -> None:
            wideevents.add_field("where", "inner")

        @app.task(name="outer")
        def outer() -> None:
            inner.delay()
            wideevents.add_field("where", "outer")

        outer.delay()
        lines = written.named("inner"), written.named("outer")

        assert [line["where"] for line in lines] == ["inner", "outer"]
        assert lines[0]["parent.id"] == lines[1]["event.id"]

    def test_calling_a_task_is_a_call(self, app: Celery, written: Written) -> None:
        """Of a function, which adds to whatever is in progress."""

        @app.task(name="add")
        def add() -> None:
            wideevents.add_field("called", 1)

        with wideevents.event("caller"):
            add()

        assert written.one()["called"] == 1

    def test_another_application_is_left_alone(self, app: Celery, written: Written) -> None:
        """It has no door; its messages carry the trace all the same, as signals do not tell whose they are."""
        other = App("other", broker="memory://", set_as_current=False)
        other.conf.task_default_queue = uuid.uuid4().hex
        task = other.task(name="other")(nothing)
        task.apply()
        task.delay()
        signals.worker_init.send(sender=Starting(other))
        signals.task_revoked.send(sender=task, request=task.request, terminated=False, signum=None, expired=False)

        assert written.all() == []
        assert SENT_AT in sent(other).headers
        assert "Request" not in vars(task)
        assert [each for each in app.tasks.values() if "Request" in vars(each)] == []

    def test_a_copy_of_the_application_is_the_same(self, app: Celery, written: Written) -> None:
        """The process of a pool that is spawned has one."""
        copy = App(app.main, set_as_current=False)
        copy.task(name="plain")(nothing).apply()

        assert written.one()["task.name"] == "plain"

    def test_another_one_of_the_same_name_has_its_own_door(self, app: Celery, written: Written) -> None:
        """A task is told by its application's alone."""
        other = App(app.main, set_as_current=False)
        WideEvents(other, quiet=("plain",), logging=False)
        other.task(name="plain")(nothing).apply()

        assert written.all() == []

    def test_an_exit_of_a_task_at_once_is_told_there(self, app: Celery, written: Written) -> None:
        """No other process knows of it."""

        @app.task(name="leave")
        def leave() -> None:
            raise SystemExit(3)

        with pytest.raises(SystemExit):
            leave.apply()

        assert written.one()["error.type"] == "SystemExit"

    def test_a_failure_is_an_error(self, app: Celery, written: Written) -> None:
        """With the traceback of the task; what Celery logs of it is not counted again."""

        @app.task(name="crash")
        def crash() -> None:
            raise ValueError("broken")

        crash.apply()
        line = written.one()

        assert (line["level"], line["outcome"], line["task.outcome"]) == ("error", "failure", "failure")
        assert (line["error.type"], line["error.count"], line["exception.handled"]) == ("ValueError", 1, False)
        assert "log.count.error" not in line

    def test_a_failure_that_goes_through_is_one_too(self, app: Celery, written: Written) -> None:
        """With `task_eager_propagates` Celery tells nobody what it was."""
        app.conf.task_eager_propagates = True

        @app.task(name="crash")
        def crash() -> None:
            raise ValueError("broken")

        with pytest.raises(ValueError, match="broken"):
            crash.apply()

        assert (written.one()["error.type"], written.one()["task.outcome"]) == ("ValueError", "failure")

    def test_an_error_of_the_callers_is_not_the_tasks(self, app: Celery, written: Written) -> None:
        """A task that is run while somebody deals with an exception may succeed."""
        task = app.task(name="repair")(nothing)
        app.conf.task_eager_propagates = True
        try:
            raise ValueError("broken")
        except ValueError:
            task.apply()

        assert written.one()["task.outcome"] == "success"

    def test_an_error_of_the_callers_may_become_the_tasks(self, app: Celery, written: Written) -> None:
        """One that it is given, and raises."""

        @app.task(name="raise")
        def raise_(error: Exception) -> None:
            raise error

        app.conf.task_eager_propagates = True
        try:
            raise ValueError("broken")
        except ValueError as error:
            with pytest.raises(ValueError, match="broken"):
                raise_.apply((error,))

        assert written.one()["task.outcome"] == "failure"

    def test_an_exception_that_cannot_be_pickled_stays_what_it_is(self, app: Celery, written: Written) -> None:
        """Celery tells of another one."""

        class LocalError(Exception):
            def __reduce__(self) -> str:
                raise TypeError

        @app.task(name="crash")
        def crash() -> None:
            raise LocalError

        crash.apply()

        assert written.one()["error.type"].endswith("LocalError")
        assert written.one()["error.count"] == 1

    def test_what_a_task_throws_is_expected(self, app: Celery, written: Written) -> None:
        """It declares it, and it is nobody's time."""

        @app.task(name="look", throws=(KeyError,))
        def look() -> None:
            raise KeyError("nothing")

        look.apply()
        line = written.one()

        assert (line["level"], line["outcome"], line["error.expected"]) == ("info", "failure", 1)

    def test_a_retry_is_info_until_the_last_one(self, app: Celery, written: Written) -> None:
        """Every attempt has its line, and all the same parent."""

        @app.task(name="call", bind=True, max_retries=1)
        def call(self: Any) -> None:
            raise self.retry(exc=ConnectionError("down"))

        with wideevents.event("caller"):
            call.apply()
        *attempts, caller = written.all()

        assert {line["task.attempt"]: (line["task.outcome"], line["level"]) for line in attempts} == {
            1: ("retry", "info"),
            2: ("failure", "error"),
        }
        assert {line["parent.id"] for line in attempts} == {caller["event.id"]}
        assert {line["error.type"] for line in attempts} == {"ConnectionError"}

    @pytest.mark.parametrize(("reason", "outcome"), [(Ignore, "ignored"), (Reject, "rejected")])
    def test_a_task_may_decide_otherwise(
        self, app: Celery, written: Written, reason: type[Exception], outcome: str
    ) -> None:
        """Neither is a failure, and what Celery logs of it raises no level."""

        @app.task(name="decide")
        def decide() -> None:
            raise reason

        decide.apply()
        line = written.one()

        assert (line["task.outcome"], line["level"], line["outcome"]) == (outcome, "info", "success")
        assert "log.count.warning" not in line

    def test_a_quiet_task_is_debug(self, app: Celery, written: Written) -> None:
        """As long as it succeeds."""
        app.task(name="tidy")(nothing).apply()

        assert written.all() == []

    def test_handlers_between_add_to_the_event(self, app: Celery, written: Written) -> None:
        """What other libraries know of a task is known on its line."""

        def add(**_: Any) -> None:
            wideevents.add_field("handled", 1)

        signals.task_success.connect(add)
        app.task(name="plain")(nothing).apply()
        signals.task_success.disconnect(add)

        assert written.one()["handled"] == 1


class TestMessages:
    @pytest.fixture
    def send(self, app: Celery) -> Any:
        """Give a task that is sent, and says what is in progress while it runs."""

        @app.task(name="send", bind=True, max_retries=3)
        def send(self: Any, again: bool = False) -> None:
            wideevents.add_field("ran", 1)
            if again:
                raise self.retry(countdown=0)

        return send

    def test_they_carry_the_trace_and_the_event(self, app: Celery, send: Any) -> None:
        """By the headers that everybody knows, and when they were sent."""
        with wideevents.event("request") as event:
            event.request_id = "r-1"
            send.delay()
        headers = sent(app).headers

        assert headers["traceparent"] == f"00-{event.trace_id}-{event.id}-01"
        assert (headers["x-request-id"], headers[SENT_AT]) == ("r-1", 1_767_323_045.678901)

    def test_outside_any_event_they_carry_none(self, app: Celery, send: Any) -> None:
        """As those of beat."""
        send.delay()

        assert "traceparent" not in sent(app).headers

    def test_what_somebody_gives_them_stays(self, app: Celery, send: Any) -> None:
        """Another tracer's headers are its own."""
        with wideevents.event("request"):
            send.apply_async(headers={"traceparent": "theirs", EVENT_ID: "stale", WATCHER: "stale", SENT_AT: 1})
        headers = sent(app).headers

        assert {EVENT_ID, WATCHER}.isdisjoint(headers)
        assert (headers["traceparent"], headers[SENT_AT] > 1) == ("theirs", 1)

    def test_the_run_carries_on(self, app: Celery, send: Any, written: Written, clock: FakeClock) -> None:
        """Its parent is the event that sent it, its request the one that caused it; it was in a queue, and waited."""
        with wideevents.event("request") as event:
            event.request_id = "r-1"
            send.delay()
        clock.advance(2)
        request = received(app)
        request.execute()
        line = written.named("send")

        assert (line["trace.id"], line["parent.id"]) == (event.trace_id, event.id)
        assert (line["http.request.id"], line["ran"]) == ("r-1", 1)
        assert (line["task.id"], line["task.queue"]) == (request.id, app.conf.task_default_queue)
        assert (line["task.waited_ms"], line["event.id"]) == (2000.0, request.event_id)

    @pytest.mark.parametrize("theirs", ["", "zz", "b7ad6b716920333", "b7ad6b7169203331\n", "f" * 1_000, 7, ["id"]])
    def test_an_id_that_somebody_else_has_sent_is_none(
        self, app: Celery, send: Any, written: Written, theirs: Any
    ) -> None:
        """Where no worker's main process watches, who would have drawn one."""
        send.delay()
        message = sent(app)
        message.headers[EVENT_ID] = theirs
        Request(message, app=app, task=app.tasks["send"]).execute()

        assert re.fullmatch("[0-9a-f]{16}", written.one()["event.id"])

    def test_the_wait_counts_from_when_it_was_due(
        self, app: Celery, send: Any, written: Written, clock: FakeClock
    ) -> None:
        """Not from when it was sent."""
        due = datetime.fromtimestamp(clock.seconds, UTC) + timedelta(seconds=60)
        send.apply_async(eta=due)
        clock.advance(61)
        received(app).execute()

        assert written.one()["task.waited_ms"] == 1000.0

    def test_a_retry_has_the_parent_of_the_first_attempt(
        self, app: Celery, send: Any, written: Written, clock: FakeClock
    ) -> None:
        """And an event of its own; its wait begins anew."""
        with wideevents.event("request") as event:
            send.delay(again=True)
        for _ in range(2):
            clock.advance(1)
            received(app).execute()
        first, second = [line for line in written.all() if line["event.name"] == "send"]

        assert [line["parent.id"] for line in (first, second)] == [event.id, event.id]
        assert [line["task.attempt"] for line in (first, second)] == [1, 2]
        assert first["event.id"] != second["event.id"]

    def test_a_task_that_a_task_sends_is_its_child(self, app: Celery, written: Written) -> None:
        """A chain is one, from link to link."""
        step = app.task(name="step")(advance)
        (step.s(1) | step.s()).apply_async()
        received(app).execute()
        received(app).execute()
        first, second = written.all()

        assert (second["parent.id"], second["trace.id"]) == (first["event.id"], first["trace.id"])

    def test_two_after_one_another_share_nothing(self, app: Celery, written: Written) -> None:
        """The context is as clean as it was before."""

        @app.task(name="mark")
        def mark(number: int) -> None:
            wideevents.add_field(f"mark.{number}", 1)

        for number in (1, 2):
            mark.delay(number)
        for _ in range(2):
            received(app).execute()
            assert wideevents.current() is None
        first, second = written.all()

        assert ("mark.2" in first, "mark.1" in second, first["trace.id"] == second["trace.id"]) == (False,) * 3

    def test_a_revoked_one_has_its_line(self, app: Celery, send: Any, written: Written) -> None:
        """It never ran; and a task that has expired is one that nobody has revoked, but time."""
        with wideevents.event("request") as event:
            send.apply_async(expires=datetime.now(UTC) - timedelta(days=1))
        request = received(app)
        request.execute()
        line = written.named("send")

        assert (line["task.outcome"], line["outcome"], line["level"]) == ("revoked", "cancelled", "info")
        assert (line["parent.id"], line["event.id"], "ran" in line) == (event.id, request.event_id, False)


class TestAProcessThatDies:
    @pytest.fixture
    def request_(self, app: Celery) -> Any:
        """Give the request of a task, as the main process of a worker has it."""
        task = app.task(name="work")(nothing)
        with wideevents.event("request"):
            task.delay()
        request = received(app)
        request.time_start = 1_767_323_045.678901 - 3
        return request

    def test_has_its_line_all_the_same(self, request_: Any, written: Written) -> None:
        """Lost, with the signal, under the id that the task itself knew, and from when it began."""
        error = WorkerLostError("Worker exited prematurely: signal 9 (SIGKILL) Job: 3.")
        request_.on_failure(information(error))
        line, sender = written.named("work"), written.named("request")

        assert (line["task.outcome"], line["outcome"], line["level"]) == ("lost", "lost", "error")
        assert (line["error.type"], line["process.exit.signal"]) == (
            "billiard.exceptions.WorkerLostError",
            "SIGKILL",
        )
        assert (line["event.id"], line["parent.id"]) == (request_.event_id, sender["event.id"])
        assert (line["duration_ms"], line["error.count"]) == (3000.0, 1)

    def test_what_celery_logs_of_it_is_of_its_event(
        self, request_: Any, written: Written, caplog: pytest.LogCaptureFixture
    ) -> None:
        """So that it does not call somebody, too."""
        request_.on_failure(information(WorkerLostError("gone")))
        (record,) = [each for each in caplog.records if "raised error" in each.message]
        origin = vars(record)["_wideevents_origin"]

        assert (origin[0], written.named("work")["event.id"]) == (request_.event_id,) * 2
        assert "process.exit.signal" not in written.named("work")
        assert wideevents.current() is None

    def test_by_its_time_limit_has_failed(self, request_: Any, written: Written) -> None:
        """The pool tells that twice, and there is one line."""
        request_.on_failure(information(TimeLimitExceeded(3)))
        assert [line["event.name"] for line in written.all()] == ["request"]
        request_.on_timeout(soft=False, timeout=3)
        line = written.named("work")

        assert (line["task.outcome"], line["outcome"], line["level"]) == ("failure", "failure", "error")
        assert (line["error.type"], line["error.count"]) == ("billiard.exceptions.TimeLimitExceeded", 1)

    def test_by_its_time_limit_alone(self, request_: Any, written: Written) -> None:
        """A pool of greenlets tells it once."""
        request_.on_timeout(soft=False, timeout=3)

        assert written.named("work")["error.type"] == "billiard.exceptions.TimeLimitExceeded"

    def test_after_its_line_has_no_second_one(self, request_: Any, written: Written) -> None:
        """The task was done when it died."""
        request_.execute()
        request_.on_failure(information(WorkerLostError("gone")))
        request_.on_timeout(soft=False, timeout=3)

        assert written.named("work")["task.outcome"] == "success"

    def test_has_no_second_line_of_its_own(self, request_: Any, written: Written) -> None:
        """The main process has written it, and the task comes to an end after all."""
        request_.on_timeout(soft=False, timeout=3)
        request_.execute()

        assert written.named("work")["task.outcome"] == "failure"

    def test_a_soft_time_limit_leaves_the_line_to_the_task(
        self, request_: Any, written: Written, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It is raised there; the warning of Celery belongs to the event."""
        request_.on_timeout(soft=True, timeout=1)
        (record,) = [each for each in caplog.records if "Soft time limit" in each.message]
        origin = vars(record)["_wideevents_origin"]
        request_.execute()
        line = written.named("work")

        assert (origin[0], line["event.id"], line["task.outcome"]) == (*(request_.event_id,) * 2, "success")

    def test_what_a_task_returns_as_failed_is_its_own(self, request_: Any, written: Written) -> None:
        """Its process has written the line."""
        request_.on_failure(information(ValueError("broken")), return_ok=True)

        assert [line["event.name"] for line in written.all()] == ["request"]

    @pytest.mark.parametrize("kill", ["terminate", "cancel"])
    def test_that_was_asked_for_is_revoked(self, request_: Any, written: Written, kill: str) -> None:
        """Nobody's failure."""
        pool = SimpleNamespace(terminate_job=lambda pid, number: None)
        getattr(request_, kill)(pool, signal="KILL")
        request_.on_failure(information(Terminated(9)))
        line = written.named("work")

        assert (line["task.outcome"], line["outcome"], line["level"]) == ("revoked", "cancelled", "info")

    @pytest.mark.parametrize(
        ("error", "outcome"), [(WorkerLostError("gone"), "lost"), (TimeLimitExceeded(3), "failure")], ids=str
    )
    def test_tells_what_the_flight_recorder_has(
        self, request_: Any, recorder: Recorder, written: Written, tmp_path: Path, error: Exception, outcome: str
    ) -> None:
        """What the task had added is on the one line."""
        recorder.flight = flight = Flight(tmp_path)

        def work() -> None:
            Run(Tasks(), message(), event_id=request_.event_id).event.put("before", 1)

        request_.worker_pid = killed(work)
        request_.on_failure(information(error))
        if outcome == "failure":
            request_.on_timeout(soft=False, timeout=3)
        line = written.named("work")

        assert (line["before"], line["task.outcome"], line["error.type"].rpartition(".")[2]) == (
            1,
            outcome,
            type(error).__name__,
        )
        assert (flight.recover(recorder), list(tmp_path.iterdir())) == (0, [])

    def test_is_claimed_before_the_backend_knows(
        self, request_: Any, recorder: Recorder, written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """That may take a while, and somebody may start and recover what there is."""
        recorder.flight = flight = Flight(tmp_path)
        request_.worker_pid = killed(lambda: Run(Tasks(), message(), event_id=request_.event_id))
        recovered: list[int] = []
        outer = Request.on_failure

        def on_failure(*args: Any) -> None:
            recovered.append(in_child(lambda: flight.recover(recorder)))
            outer(*args)

        monkeypatch.setattr(Request, "on_failure", on_failure)
        request_.on_failure(information(WorkerLostError("gone")))

        assert (recovered, written.named("work")["task.outcome"]) == ([0], "lost")

    def test_that_it_has_ended_itself_is_a_failure(self, request_: Any, written: Written) -> None:
        """Its pool tells of an exit."""
        request_.on_failure(information(SystemExit(3)))
        line = written.named("work")

        assert (line["task.outcome"], line["outcome"], line["error.type"]) == ("failure", "failure", "SystemExit")

    def test_lets_the_sinks_send_what_they_hold(self, app: Celery, recorder: Recorder) -> None:
        """It ends without what Python does at the end of a process."""
        closed: list[bool] = []
        recorder.pipeline.sinks[0].close = lambda: closed.append(True)  # type: ignore[method-assign]
        signals.worker_process_shutdown.send(sender="worker", pid=1, exitcode=0)

        assert closed == [True]


class TestRequests:
    def test_a_class_of_the_applications_stays_one(self, app: Celery) -> None:
        """Ours stands before it, once."""

        class Own(Request):
            """A request of the application's."""

        task = app.task(name="own", Request=Own)(nothing)
        answers = [answer for _ in range(2) for answer in signals.worker_init.send(sender=Starting(app))]

        assert [raised for _, raised in answers if raised is not None] == []
        assert [each for each in task.Request.__mro__ if each in {Watched, Own, Request}] == [Watched, Own, Request]
        assert task.Request.__mro__.index(Watched) == 1


class TestWhatLeavesATask:
    @pytest.fixture
    def ended(self, app: Celery, written: Written) -> Callable[..., dict[str, Any]]:
        """Give a function that lets an exception go through a task, and returns the line."""

        def run(error: BaseException, revoked: bool = False) -> dict[str, Any]:
            @app.task(name="leave")
            def leave() -> None:
                raise error

            leave.delay()
            request = received(app)
            if revoked:
                request.endings.revoked.add(request.event_id)
            with pytest.raises(type(error)):
                request.execute()
            return written.one()

        return run

    def test_a_signal_ends_its_process(self, ended: Any) -> None:
        """The task is lost; what it had added is on the line."""
        line = ended(SystemExit(-(256 - signal.SIGTERM)))

        assert (line["task.outcome"], line["outcome"], line["level"]) == ("lost", "lost", "error")
        assert (line["process.exit.signal"], line["error.type"]) == ("SIGTERM", "billiard.exceptions.WorkerLostError")
        assert "in leave" in line["exception.stacktrace"]

    def test_a_signal_ends_what_was_revoked(self, ended: Any) -> None:
        """The main process has sent it, as somebody asked for it."""
        line = ended(SystemExit(-(256 - signal.SIGTERM)), revoked=True)

        assert (line["task.outcome"], line["outcome"], line["level"]) == ("revoked", "cancelled", "info")
        assert line["process.exit.signal"] == "SIGTERM"

    @pytest.mark.parametrize("code", [0, 3, None, "no such shop"])
    def test_an_exit_of_its_own_is_a_failure(self, ended: Any, code: Any) -> None:
        """As Celery has it, whatever the code is: a task is no program."""
        line = ended(SystemExit(code))

        assert (line["task.outcome"], line["level"], line["error.type"]) == ("failure", "error", "SystemExit")

    def test_a_shutdown_of_the_worker_loses_it(self, ended: Any) -> None:
        """One that does not wait."""
        line = ended(WorkerShutdown(0))

        assert (line["task.outcome"], line["outcome"]) == ("lost", "lost")

    def test_one_that_shares_no_memory_leaves_the_line_to_the_main_process(self, app: Celery, written: Written) -> None:
        """It cannot know whether there is one."""
        for kind, raised in ((SystemExit, SystemExit), (ValueError, None)):

            @app.task(name=kind.__name__)
            def leave(kind: type[BaseException] = kind) -> None:
                raise kind

            leave.delay()
            request = received(app)
            request.request_dict[WATCHER] = "00000000000000ff"
            with pytest.raises(SystemExit) if raised else nullcontext():
                request.execute()

        assert [line["error.type"] for line in written.all()] == ["ValueError"]

    def test_an_interrupt_cancels_it(self, ended: Any) -> None:
        """Somebody sits there."""
        line = ended(KeyboardInterrupt())

        assert (line["task.outcome"], line["outcome"], line["level"]) == ("revoked", "cancelled", "info")

    def test_a_soft_time_limit_is_a_failure(self, app: Celery, written: Written) -> None:
        """An exception like any other."""

        @app.task(name="work")
        def work() -> None:
            raise SoftTimeLimitExceeded(1)

        work.apply()

        assert written.one()["error.type"] == "billiard.exceptions.SoftTimeLimitExceeded"

    def test_the_time_limit_of_a_greenlet_is_a_failure(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """With gevent it is an exception of its own kind."""

        class Timeout(BaseException):
            seconds = 3

        monkeypatch.setitem(sys.modules, "gevent", SimpleNamespace(Timeout=Timeout))
        outcome, error, signalled = stopped(Timeout())

        assert (outcome, type(error), signalled) == ("failure", TimeLimitExceeded, None)
        assert "3" in str(error)
