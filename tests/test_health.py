"""What the health room promises."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from functools import partial

import pytest

from tests.conftest import PATIENCE, at_once, in_child
from wideevents import health
from wideevents.health import (
    TOLD_LIMIT,
    Fault,
    Tally,
    Untold,
    faults,
    forget,
    give_back,
    lost,
    observers,
    report,
    take_unreported,
    unreported,
)

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how much a pipe holds")


class Reentrant:
    """A key that counts while it is being counted, as a signal handler or a `__del__` may."""

    def __init__(self, tally: Tally[object]) -> None:
        self.tally = tally
        self.entered = False

    def __hash__(self) -> int:
        if not self.entered:
            self.entered = True
            self.tally.add("inner")
        return 1


class TestTally:
    def test_counts_by_key(self) -> None:
        """What is added under a key adds up."""
        tally: Tally[str] = Tally()
        tally.add("a")
        tally.add("a", 2)
        tally.add("b")

        assert tally.counts() == {"a": 3, "b": 1}

    def test_gives_a_copy(self) -> None:
        """Whoever reads the counts cannot change them."""
        tally: Tally[str] = Tally()
        tally.add("a")
        tally.counts()["a"] = 99

        assert tally.counts() == {"a": 1}

    def test_begins_anew_when_taken(self) -> None:
        """Each count is taken once."""
        tally: Tally[str] = Tally()
        tally.add("a")

        assert (tally.take(), tally.take()) == ({"a": 1}, {})

    def test_says_whether_there_is_something_to_take(self) -> None:
        """To look costs nothing, and what was taken is no longer there."""
        tally: Tally[str] = Tally()
        before = tally.some
        tally.add("a")
        between = tally.some
        tally.take()

        assert (before, between, tally.some) == (False, True, False)

    @pytest.mark.usefixtures("eager_switching")
    def test_loses_nothing_when_threads_add_at_once(self) -> None:
        """The counts are exact from any number of threads."""
        tally: Tally[str] = Tally()

        def add() -> None:
            for _ in range(2_000):
                tally.add("a")

        at_once(*[add] * 8)

        assert tally.counts() == {"a": 16_000}

    @pytest.mark.usefixtures("eager_switching")
    def test_loses_nothing_between_adding_and_taking(self) -> None:
        """What is added while somebody takes is in this taking, or in the next one."""
        tally: Tally[str] = Tally()
        taken: list[int] = []

        def add() -> None:
            for _ in range(5_000):
                tally.add("a")

        def take() -> None:
            taken.extend(tally.take().get("a", 0) for _ in range(2_000))

        at_once(add, add, take, take)

        assert sum(taken) + tally.counts().get("a", 0) == 10_000

    def test_can_be_added_to_while_it_is_added_to(self) -> None:
        """A signal handler or a `__del__` that counts in the middle of a count does not stop the thread for ever."""
        tally: Tally[object] = Tally()
        at_once(lambda: tally.add(Reentrant(tally)))

        assert sorted(tally.counts().values()) == [1, 1]

    def test_can_be_used_in_a_child_that_was_forked_while_a_thread_counted(self) -> None:
        """The lock that a thread of the parent held at the fork is a new one in the child."""
        tally: Tally[object] = Tally()
        children: list[object] = []

        class Forking:
            def __hash__(self) -> int:
                if not children:
                    children.append(None)
                    at_once(partial(fork, children))
                return 1

        def fork(children: list[object]) -> None:
            children.append(in_child(lambda: tally.add("a") or tally.counts()["a"]))

        tally.add(Forking())
        tally.counts()

        assert children == [None, 1]


class TestReport:
    def test_counts_every_time(self) -> None:
        """A fault is counted as often as it happens."""
        for _ in range(3):
            report(Fault.BAD_VALUE, "key", "It went wrong.")

        assert faults.counts() == {Fault.BAD_VALUE: 3}

    def test_tells_it_once(self, caplog: pytest.LogCaptureFixture) -> None:
        """The sentence is logged, as a warning of the logger `wideevents`, the first time it happens to a subject."""
        for _ in range(3):
            report(Fault.BAD_VALUE, "key", "100 % of it went wrong.")

        assert caplog.record_tuples == [("wideevents", logging.WARNING, "100 % of it went wrong.")]

    def test_tells_it_again_of_another_subject_and_of_another_fault(self, caplog: pytest.LogCaptureFixture) -> None:
        """Each key and each kind of trouble is told of."""
        report(Fault.BAD_VALUE, "one", "A")
        report(Fault.BAD_VALUE, "two", "B")
        report(Fault.RESERVED, "one", "C")

        assert caplog.messages == ["A", "B", "C"]

    def test_shows_the_error_that_it_is_about(self, caplog: pytest.LogCaptureFixture) -> None:
        """Where a stage or a sink raised, its traceback is logged too."""
        error = ValueError("why")
        report(Fault.STAGE, "stage", "It failed.", error=error)

        (record,) = caplog.records
        assert record.exc_info is not None
        assert record.exc_info[1] is error

    def test_keeps_late_writes_and_lost_lines_for_the_next_line(self) -> None:
        """Three faults are fields of the next line; the others are only counted."""
        for fault in Fault:
            report(fault, "key", "It went wrong.")

        assert unreported.counts() == {"events.late_writes": 1, "events.lost": 1, "events.withheld": 1}

    def test_counts_what_was_lost_by_where_it_was_to_go(self) -> None:
        """A disk that is full and a Sentry that is down are two matters; sinks that are not ours are one."""
        lost("sentry", "SentrySink", "It is down.", number=3)
        lost("lines", "LinesSink", "The disk is full.")
        lost("TheirSink", "TheirSink", "It went wrong.")

        counts = {"sentry": 3, "lines": 1, "other": 1}
        told = {f"events.lost_in.{sink}": number for sink, number in counts.items()}
        assert take_unreported() == {"events.lost": 5, **told}

    def test_gives_back_what_was_not_written_after_all(self) -> None:
        """The line that was to tell of a loss may be lost itself."""
        lost("sentry", "SentrySink", "It is down.", number=3)
        report(Fault.WITHHELD, "sentry", "Too many.", number=2)
        told = take_unreported()
        give_back({**told, "level": "info"})

        assert take_unreported() == told == {"events.lost": 3, "events.lost_in.sentry": 3, "events.withheld": 2}

    def test_tells_observers_every_time(self) -> None:
        """Metrics count what a sentence says once."""
        seen: list[tuple[Fault, str, int]] = []
        observers.append(observe := lambda *told: seen.append(told))
        try:
            lost("TheirSink", "Theirs", "It went wrong.", number=2)
            for _ in range(2):
                report(Fault.WITHHELD, "sentry", "Too many.")
        finally:
            observers.remove(observe)

        assert seen == [(Fault.LOST, "other", 2), *[(Fault.WITHHELD, "sentry", 1)] * 2]

    def test_stops_telling_when_there_is_no_end_of_subjects(self, caplog: pytest.LogCaptureFixture) -> None:
        """Hostile keys cost neither memory nor a flood of log lines; they are counted all the same."""
        for number in range(TOLD_LIMIT + 10):
            report(Fault.RESERVED, f"key {number}", f"It went wrong {number} times.")

        assert len(caplog.messages) == TOLD_LIMIT
        assert faults.counts() == {Fault.RESERVED: TOLD_LIMIT + 10}

    def test_does_not_run_in_circles(self) -> None:
        """A log handler of the application that adds a field, which is reported itself, comes to an end."""

        class Reporting(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                report(Fault.NO_EVENT, "add_field", "It went wrong.")

        handler = Reporting()
        health.logger.addHandler(handler)
        try:
            report(Fault.NO_EVENT, "add_field", "It went wrong.")
        finally:
            health.logger.removeHandler(handler)

        assert faults.counts() == {Fault.NO_EVENT: 2}

    def test_survives_a_handler_that_raises(self) -> None:
        """A broken filter or handler of the application does not break its work by way of us; it is counted."""

        def refuse(_: logging.LogRecord) -> bool:
            raise ValueError

        health.logger.addFilter(refuse)
        try:
            report(Fault.LOST, "sink", "It went wrong.")
        finally:
            health.logger.removeFilter(refuse)

        assert faults.counts() == {Fault.LOST: 1, Fault.UNTOLD: 1}


class TestWhereNobodyListens:
    """Python would print to `sys.stderr`, which waits for a reader that stopped, and costs the exit status if full."""

    REPORT = "health.report(health.Fault.STAGE, 'stage', '100 % of it failed.', error=ZeroDivisionError('why'))\n"
    COUNTS = "print(*map(int, map(health.faults.counts().get, (health.Fault.STAGE, health.Fault.UNTOLD), (0, 0))))\n"

    def run(self, code: str, stderr: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
        """Run *code* in a process that never configured logging."""
        code = "import io, logging, sys\nfrom wideevents import health\n" + code + self.COUNTS
        return subprocess.run(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=stderr, check=True, text=True, timeout=PATIENCE
        )

    def test_it_is_told_on_standard_error_itself(self) -> None:
        """The sentence first, for the rest may be cut."""
        done = self.run(self.REPORT)
        assert (done.stderr, done.stdout) == ("100 % of it failed.\nZeroDivisionError: why\n", "1 0\n")

    def test_it_is_told_to_a_stream_that_stands_in_its_place(self) -> None:
        """A notebook shows what is printed, and nobody looks at the terminal behind it."""
        done = self.run(f"sys.stderr = page = io.StringIO()\n{self.REPORT}print(len(page.getvalue().splitlines()))\n")
        assert (done.stderr, done.stdout) == ("", "2\n1 0\n")

    @pytest.mark.parametrize(
        "ask",
        [
            "logging.lastResort, logging.raiseExceptions = None, False",
            "logging.getLogger('wideevents').setLevel('ERROR')",
            "logging.disable()",
        ],
    )
    def test_who_asks_for_silence_has_it(self, ask: str) -> None:
        """In logging's own ways."""
        done = self.run(f"{ask}\n{self.REPORT}")
        assert (done.stderr, done.stdout) == ("", "1 0\n")

    @linux
    def test_a_reader_that_stopped_costs_nothing_but_the_sentence(self) -> None:
        """It is counted that nobody could be told, and nobody waits."""
        reader, writer = os.pipe()
        try:
            fill = "import fcntl, os\nos.write(2, bytes(fcntl.fcntl(2, fcntl.F_GETPIPE_SZ)))\n"
            done = self.run(fill + self.REPORT, stderr=writer)
        finally:
            os.close(reader)
            os.close(writer)

        assert done.stdout == "1 1\n"


class TestTakeUnreported:
    def test_gives_fields_for_the_next_line_once(self) -> None:
        """What no line has told yet, by the names of its fields."""
        for fault in (Fault.LATE_WRITE, Fault.LATE_WRITE, Fault.LOST, Fault.STAGE):
            report(fault, "key", "It went wrong.")

        assert (take_unreported(), take_unreported()) == ({"events.late_writes": 2, "events.lost": 1}, {})


class TestGiveBack:
    def test_keeps_what_a_lost_line_was_to_tell(self) -> None:
        """It is told by the line after that, together with what came meanwhile."""
        report(Fault.LOST, "sink", "It went wrong.")
        give_back({"events.lost": 2, "events.late_writes": 3, "user.id": 4})

        assert take_unreported() == {"events.lost": 3, "events.late_writes": 3}

    def test_keeps_nothing_of_a_line_that_had_nothing_to_tell(self) -> None:
        """Most lines have not."""
        give_back({"user.id": 4})

        assert take_unreported() == {}


class TestForget:
    def test_begins_anew(self, caplog: pytest.LogCaptureFixture) -> None:
        """After it nothing is counted, and each sentence is told again."""
        report(Fault.LOST, "sink", "A")
        forget()
        counts = (faults.counts(), unreported.counts())
        report(Fault.LOST, "sink", "A")

        assert counts == ({}, {})
        assert caplog.messages == ["A", "A"]


class TestUntold:
    def test_a_forked_child_has_nothing_to_tell(self) -> None:
        """Its parent tells it, and both would be too many."""
        untold = Untold()
        untold.add("events.lost", 3)
        untold.renew()

        assert (untold.some, untold.take()) == (False, {})
