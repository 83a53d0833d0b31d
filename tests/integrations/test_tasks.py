"""What holds for every run of a task, whichever queue has brought it."""

from __future__ import annotations

import logging
from pathlib import Path
from random import Random
from typing import Any

import pytest

import wideevents
from tests.conftest import FakeClock, Written, in_child
from tests.flight import killed
from wideevents import context
from wideevents.errors import ConfigurationError
from wideevents.flight import Flight
from wideevents.flight.wrecks import claimed
from wideevents.integrations._tasks import SENT_AT, SETS, WAYS, Marks, Message, Run, Tasks, departing, known
from wideevents.levels import Level
from wideevents.logs.stdlib import ORIGIN
from wideevents.recorder import Recorder

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
NOW = 1_767_323_045.678901


def message(**said: Any) -> Message:
    """Return what a queue tells of a run."""
    plain = Message("shop.send", "4f1c", "mail", 1, None, {}, None)
    return plain._replace(**said)


def run(outcome: str = "success", error: BaseException | None = None, **said: Any) -> None:
    """Follow a run from its message to its end."""
    Run(Tasks(), message(**said)).end(outcome, error)


class TestSettings:
    @pytest.mark.parametrize("quiet", ["shop.tidy", [""], [1], None])
    def test_quiet_takes_names(self, quiet: Any) -> None:
        """One text alone would be read letter by letter."""
        with pytest.raises(ConfigurationError, match="quiet"):
            Tasks(quiet)

    @pytest.mark.parametrize("slow_ms", [0, -1, "1", True, float("nan")])
    def test_slow_takes_a_time(self, slow_ms: Any) -> None:
        """It is told where it is given, as at every door."""
        with pytest.raises(ConfigurationError, match="slow_ms"):
            Tasks(slow_ms=slow_ms)


class TestFields:
    def test_a_run_tells_what_the_queue_knows(self, recorder: Recorder, written: Written, clock: FakeClock) -> None:
        """Its name, its id, its queue, which attempt it is, how long it has waited and how long it took."""
        followed = Run(Tasks(template={"framework.name": "celery"}), message(attempt=2, due=NOW - 1.5))
        clock.advance(0.25)
        followed.end("success")
        line = written.one()

        assert (line["event.kind"], line["event.name"], line["framework.name"]) == ("task", "shop.send", "celery")
        assert (line["task.name"], line["task.id"], line["task.queue"]) == ("shop.send", "4f1c", "mail")
        assert (line["task.attempt"], line["task.waited_ms"], line["duration_ms"]) == (2, 1500.0, 250.0)
        assert (line["task.outcome"], line["outcome"], line["level"]) == ("success", "success", "info")

    def test_what_is_due_goes_before_what_was_sent(self, recorder: Recorder, written: Written) -> None:
        """A task that is planned for tomorrow does not wait until then."""
        run(due=NOW - 1, headers={SENT_AT: NOW - 3_600})
        run(headers={SENT_AT: NOW - 2})

        assert [line["task.waited_ms"] for line in written.all()] == [1000.0, 2000.0]

    def test_the_wait_is_never_negative(self, recorder: Recorder, written: Written) -> None:
        """The clocks of two machines differ."""
        run(due=NOW + 5)

        assert written.one()["task.waited_ms"] == 0

    @pytest.mark.parametrize("sent", [None, "yesterday", float("nan"), float("inf"), -1, 0, 10**400, [1]], ids=range(8))
    def test_a_time_that_is_none_is_left_out(self, recorder: Recorder, written: Written, sent: Any) -> None:
        """Whoever sends a message writes what they like."""
        run(headers={SENT_AT: sent})

        assert "task.waited_ms" not in written.one()

    def test_what_others_write_is_redacted(self, recorder: Recorder, written: Written) -> None:
        """The id of a task and the name of its queue are any text."""
        run(id="4111 1111 1111 1111", queue="key=AKIAIOSFODNN7EXAMPLE")
        line = written.one()

        assert "4111" not in line["task.id"]
        assert "AKIAIOSFODNN7EXAMPLE" not in line["task.queue"]

    def test_the_wait_is_over_when_it_begins(self, recorder: Recorder, written: Written) -> None:
        """Also where that was long before its line."""
        Run(Tasks(), message(due=NOW - 5), began=NOW - 3).end("lost")

        assert written.one()["task.waited_ms"] == 2000.0

    def test_no_queue_is_left_out(self, recorder: Recorder, written: Written) -> None:
        """A task that is run at once was in none."""
        run(queue=None)

        assert "task.queue" not in written.one()

    def test_its_function_says_whose_it_is(self, recorder: Recorder) -> None:
        """The event is its owner's."""
        followed = Run(Tasks(), message(function=run))
        handler = followed.event.handler
        followed.drop()

        assert handler is run


class TestTrace:
    def test_the_sender_is_the_parent(self, recorder: Recorder, written: Written) -> None:
        """As its message tells; the id of the request goes on, too."""
        with wideevents.event("sender") as sender:
            sender.request_id = "r-1"
            headers = departing()
        run(headers=headers)
        line, sent = written.named("shop.send"), written.named("sender")

        assert (line["trace.id"], line["parent.id"]) == (sent["trace.id"], sent["event.id"])
        assert line["http.request.id"] == "r-1"
        assert headers[SENT_AT] == NOW

    def test_the_request_goes_on_with_its_own_calls_out(self, recorder: Recorder) -> None:
        """And so does the trace, with the run as the parent, and the state as it came."""
        headers = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "a=1", "x-request-id": "r-1"}
        followed = Run(Tasks(), message(headers=headers))
        followed.enter()
        gone = context.outgoing()
        followed.leave()
        followed.drop()

        assert gone == {
            "traceparent": f"00-{TRACE}-{followed.event.id}-01",
            "tracestate": "a=1",
            "x-request-id": "r-1",
        }

    @pytest.mark.parametrize("sent", ["a b", "x" * 129, 7, b"r-1"], ids=range(4))
    def test_an_id_of_a_request_that_is_none_is_left_out(
        self, recorder: Recorder, written: Written, sent: object
    ) -> None:
        """It would be sent on to others as a header."""
        run(headers={"x-request-id": sent})

        assert "http.request.id" not in written.one()

    @pytest.mark.parametrize("header", ["nonsense", 7, f"00-{'0' * 32}-{SPAN}-01"])
    def test_a_trace_that_is_none_is_left_out(self, recorder: Recorder, written: Written, header: object) -> None:
        """The run begins one of its own."""
        run(headers={"traceparent": header})
        line = written.one()

        assert "parent.id" not in line
        assert line["trace.id"] != TRACE

    def test_nobody_is_the_parent_of_what_nobody_sent(self, recorder: Recorder, written: Written) -> None:
        """An event that is in progress where the queue is read has not asked for it."""
        with wideevents.event("around"):
            run()

        assert "parent.id" not in written.named("shop.send")

    def test_inside_its_caller_that_is_the_parent(self, recorder: Recorder, written: Written) -> None:
        """A run without any message; whatever headers it was given."""
        with wideevents.event("caller") as caller:
            caller.request_id = "r-2"
            Run(Tasks(), message(headers={"traceparent": f"00-{TRACE}-{SPAN}-01"}), inside=True).end("success")
        line, outer = written.named("shop.send"), written.named("caller")

        assert (line["trace.id"], line["parent.id"]) == (outer["trace.id"], outer["event.id"])
        assert line["http.request.id"] == "r-2"

    def test_inside_of_nothing_it_begins_a_trace(self, recorder: Recorder, written: Written) -> None:
        """In a script, or in the test of an application."""
        Run(Tasks(), message(), inside=True).end("success")

        assert "parent.id" not in written.one()

    def test_outside_any_event_a_message_says_when_it_was_sent(self, recorder: Recorder) -> None:
        """And nothing else."""
        assert departing() == {SENT_AT: NOW}


class TestOutcomes:
    def test_a_failure_is_an_error(self, recorder: Recorder, written: Written) -> None:
        """Somebody is called."""
        run("failure", ValueError("broken"))
        line = written.one()

        assert (line["outcome"], line["level"], line["task.outcome"]) == ("failure", "error", "failure")
        assert (line["error.type"], line["exception.handled"]) == ("ValueError", False)

    def test_what_is_expected_is_nobodys_time(self, recorder: Recorder, written: Written) -> None:
        """It failed all the same."""
        followed = Run(Tasks(), message())
        followed.failed(ValueError("broken"), expected=True)
        followed.end("failure")
        line = written.one()

        assert (line["outcome"], line["level"], line["error.expected"]) == ("failure", "info", True)

    def test_a_retry_is_planned(self, recorder: Recorder, written: Written) -> None:
        """Info, with the exception noted as handled: it is the last attempt that fails."""
        run("retry", ConnectionError("down"))
        line = written.one()

        assert (line["outcome"], line["level"], line["task.outcome"]) == ("success", "info", "retry")
        assert (line["error.type"], line["exception.handled"]) == ("ConnectionError", True)

    @pytest.mark.parametrize("outcome", ["ignored", "rejected", "retry"])
    def test_what_a_task_decides_is_info(self, recorder: Recorder, written: Written, outcome: str) -> None:
        """Nothing went wrong."""
        run(outcome)
        line = written.one()

        assert (line["outcome"], line["level"], line["task.outcome"]) == ("success", "info", outcome)

    def test_a_revoked_task_is_cancelled(self, recorder: Recorder, written: Written) -> None:
        """Somebody wanted it so."""
        run("revoked")
        line = written.one()

        assert (line["outcome"], line["level"], line["task.outcome"]) == ("cancelled", "info", "revoked")

    def test_a_lost_task_is_an_error(self, recorder: Recorder, written: Written) -> None:
        """With the signal that has ended its process, and the time at which it began."""
        followed = Run(Tasks(), message(), event_id=SPAN, began=NOW - 2)
        followed.end("lost", RuntimeError("gone"), signal="SIGKILL")
        line = written.one()

        assert (line["outcome"], line["level"], line["task.outcome"]) == ("lost", "error", "lost")
        assert (line["event.id"], line["process.exit.signal"]) == (SPAN, "SIGKILL")
        assert (line["timestamp"], line["duration_ms"]) == ("2026-01-02T03:04:03.678901Z", 2000.0)

    def test_the_end_may_come_before_the_line(self, recorder: Recorder, written: Written, clock: FakeClock) -> None:
        """What a queue does after a task is no time of the task's; nor is it less than none."""
        followed = Run(Tasks(), message(), began=NOW + 60)
        for _ in range(2):
            followed.ended()
            clock.advance(1)
        followed.end("success")

        assert written.one()["duration_ms"] == 0

    def test_a_second_end_does_nothing(self, recorder: Recorder, written: Written) -> None:
        """There is one line for a run."""
        followed = Run(Tasks(), message())
        followed.end("success")
        followed.end("failure", ValueError())

        assert written.one()["task.outcome"] == "success"

    def test_a_run_that_is_dropped_has_no_line(self, recorder: Recorder, written: Written) -> None:
        """It is written elsewhere; nothing of it stays in progress."""
        followed = Run(Tasks(), message())
        followed.drop()

        assert (written.all(), recorder.in_progress, followed.event.sealed) == ([], {}, True)
        assert followed.event.record == {}


class TestElsewhere:
    """A run that another process does is only watched over here."""

    @pytest.fixture
    def flight(self, recorder: Recorder, tmp_path: Path) -> Flight:
        """Give the flight recorder of both."""
        recorder.flight = made = Flight(tmp_path)
        return made

    def lose(self) -> int:
        """Let the process of a run be killed, and return its pid."""

        def work() -> None:
            Run(Tasks(), message(), event_id=SPAN).event.put("before", 1)

        return killed(work)

    def test_one_that_is_killed_tells_what_it_had_added(self, flight: Flight, written: Written) -> None:
        """In the one line that there is, and how it ended."""
        followed = Run(Tasks(), message(), event_id=SPAN, elsewhere=True)
        followed.claim(self.lose())
        followed.end("lost", RuntimeError("gone"), signal="SIGKILL")
        line = written.one()

        assert (line["before"], line["task.outcome"], line["outcome"]) == (1, "lost", "lost")
        assert (line["error.type"], line["process.exit.signal"]) == ("RuntimeError", "SIGKILL")
        assert ("lost.touched" in line, flight.recover(followed.event.recorder)) == (True, 0)

    def test_one_that_somebody_has_told_of_has_no_other_line(
        self, recorder: Recorder, flight: Flight, written: Written, tmp_path: Path
    ) -> None:
        """They came first."""
        followed = Run(Tasks(), message(), event_id=SPAN, elsewhere=True)
        child = self.lose()
        for wreck in claimed(tmp_path, child):
            wreck.told(*wreck.lost())
            wreck.close(remove=False)
        followed.claim(child)
        followed.end("lost")

        assert (written.all(), recorder.in_progress) == ([], {})

    def test_one_that_nobody_claims_is_left_to_who_recovers(
        self, recorder: Recorder, flight: Flight, written: Written
    ) -> None:
        """It is not known which process it was."""
        followed = Run(Tasks(), message(), event_id=SPAN, elsewhere=True)
        self.lose()
        followed.claim(None)
        followed.end("lost")

        assert "before" not in written.one()
        assert flight.recover(recorder) == 1

    def test_without_a_flight_recorder_there_is_nothing_to_claim(self, recorder: Recorder, written: Written) -> None:
        """All is as it was."""
        followed = Run(Tasks(), message(), elsewhere=True)
        followed.claim(1)
        followed.end("lost")

        assert "lost.touched" not in written.one()

    def test_is_recorded_there_alone(self, flight: Flight, tmp_path: Path) -> None:
        """A process that dies as the one that watches leaves no second one to be recovered."""
        followed = Run(Tasks(), message(), elsewhere=True)
        watched = list(tmp_path.iterdir())
        followed.drop()
        done = Run(Tasks(), message())
        itself = list(tmp_path.iterdir())
        done.drop()

        assert (len(watched), len(itself)) == (0, 1)


class TestQuiet:
    @pytest.fixture
    def level(self, recorder: Recorder, clock: FakeClock) -> Any:
        """Give a function that follows a quiet run, and returns the level of its event."""

        def follow(seconds: float = 0.1, outcome: str = "success", name: str = "shop.tidy") -> Level:
            followed = Run(Tasks(("shop.tidy",), slow_ms=500), message(name=name))
            clock.advance(seconds)
            followed.end(outcome)
            return followed.event.level

        return follow

    def test_a_fast_success_is_debug(self, level: Any) -> None:
        """It runs every minute, and nobody reads it."""
        assert (level(), level(name="shop.send")) == (Level.DEBUG, Level.INFO)

    def test_a_slow_one_stays_what_it_is(self, level: Any) -> None:
        """From the time on that its door calls slow."""
        assert (level(0.499), level(0.5)) == (Level.DEBUG, Level.INFO)

    def test_another_ending_stays_what_it_is(self, level: Any) -> None:
        """It is what somebody looks for."""
        assert {level(outcome=outcome) for outcome in ("retry", "ignored", "rejected", "revoked")} == {Level.INFO}

    def test_a_warning_stays_one(self, recorder: Recorder, written: Written) -> None:
        """Whatever its outcome is."""
        followed = Run(Tasks(("shop.send",)), message())
        followed.event.fail(ValueError(), level=Level.WARNING, handled=True)
        followed.end("success")

        assert written.one()["level"] == "warning"


class TestMarks:
    def test_the_first_one_knows(self) -> None:
        """Whoever marks a run first writes its line."""
        marks = Marks()

        assert (SPAN in marks, marks.add(SPAN), SPAN in marks, marks.add(SPAN)) == (False, True, True, False)

    def test_many_runs_later_it_is_still_known(self) -> None:
        """A queue that is busy, or one that holds tasks for a later time, forgets none that is in progress."""
        marks, ids = Marks(), Random(0)
        marks.add(SPAN)
        others = [f"{ids.getrandbits(64):016x}" for _ in range(10_000)]

        assert [other for other in others if not marks.add(other)] == []
        assert [run for run in (SPAN, *others) if run not in marks] == []

    def test_the_oldest_of_its_set_is_forgotten(self) -> None:
        """There is room for so many, whatever their ids are."""
        marks = Marks()
        alike = [f"{number:016x}" for number in range(7, 7 + SETS * (WAYS + 2), SETS)]
        for run in alike:
            marks.add(run)

        assert [run for run in alike if run not in marks] == alike[:2]
        assert "0000000000000008" not in marks

    def test_a_child_and_its_parent_see_the_same(self) -> None:
        """The one runs the task, and the other one watches it."""
        marks, other = Marks(), "00000000000000ff"
        marks.add(SPAN)

        assert in_child(lambda: [marks.add(SPAN), marks.add(other)]) == [False, True]
        assert marks.add(other) is False


class TestWhatAQueueLogs:
    def record(self, function: str) -> logging.LogRecord:
        """Return an error that a queue has logged in *function*."""
        return logging.LogRecord("celery.app.trace", logging.ERROR, "trace.py", 1, "raised", (), None, function)

    def test_of_the_ending_belongs_to_the_event(self, recorder: Recorder) -> None:
        """It knows of it, and whether it matters."""
        with wideevents.event("task") as event:
            record = self.record("_log_error")
            passed = known(record)

        assert (passed, record.__dict__[ORIGIN][:2]) == (True, (event.id, event.trace_id))

    def test_of_anything_else_is_a_line_like_others(self, recorder: Recorder) -> None:
        """Also where there is no event."""
        with wideevents.event("task"):
            other = self.record("send")
            passed = known(other)
        outside = self.record("_log_error")

        assert (passed, known(outside), ORIGIN in vars(other), ORIGIN in vars(outside)) == (True, True, False, False)
