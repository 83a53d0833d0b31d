"""How long a request waits, in all, for a reader that has stopped; and what has its time for each line."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

import wideevents
from tests.sinks import event_of, padded
from tests.sinks.pipes import Pipe
from tests.strict import parse_log_line
from wideevents import health
from wideevents.events import Event
from wideevents.health import Fault
from wideevents.integrations._door import Door
from wideevents.integrations._request import Request
from wideevents.integrations.wsgi import WideEvents, head
from wideevents.recorder import Recorder
from wideevents.sinks.lines import LinesSink

WAIT = 0.2
"""Seconds that a line waits here."""

ONCE = 5 * WAIT
"""Seconds that one wait may take on a busy machine; that of every line would take longer."""

LINES = 14
"""What the work writes."""

log = logging.getLogger("shop")


@pytest.fixture
def pipe(reconfigurable: None) -> Iterator[Pipe]:
    """Give a full pipe that the process writes to, and that nobody reads."""
    made = Pipe(blocking=True, wait_ms=1000 * WAIT)
    wideevents.configure(output=made.sink)
    made.fill()
    yield made
    made.close()


def give_up(sink: LinesSink, entry: Event) -> None:
    """Write a line that is lost."""
    with pytest.raises(TimeoutError):
        sink.write(entry)


def seconds(work: Callable[[], object]) -> float:
    """Return how long *work* took."""
    started = time.monotonic()
    work()
    return time.monotonic() - started


def write_lines() -> None:
    """Write lines: of the work itself, of an event inside it, and of the steps of a batch."""
    log.info("one")
    log.info("two")
    with wideevents.event("inner"):
        for number in range(5):
            log.info("inside %s", number)
    for number in wideevents.batch("steps", range(3)):
        log.info("step %s", number)


def request(work: Callable[[], object]) -> None:
    """Serve a request that does *work*."""

    def app(_: Any, start_response: Any) -> Iterable[bytes]:
        work()
        start_response("204 No Content", [])
        return []

    body: Any = WideEvents(app)({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *_: None)
    body.close()


class TestPatience:
    def test_all_lines_of_a_request_wait_once(self, pipe: Pipe) -> None:
        """Its log lines, the events inside it and its own: all are lost and counted, and one time was waited."""
        taken = seconds(lambda: request(write_lines))
        lost = health.faults.counts()[Fault.LOST]
        pipe.read()
        log.info("read on")

        assert (0.9 * WAIT <= taken < ONCE, lost) == (True, LINES + 1)
        assert [parse_log_line(line)["events.lost"] for line in pipe.lines()] == [lost]

    def test_the_next_request_waits_again(self, pipe: Pipe) -> None:
        """A reader that comes back in time finds its line."""
        taken = [seconds(lambda: request(write_lines)) for _ in range(2)]

        assert [0.9 * WAIT <= each < ONCE for each in taken] == [True, True]

    def test_what_is_left_of_the_time_is_waited(self, pipe: Pipe) -> None:
        """A line that was waited for, and written, takes only its own part of it."""
        entry = event_of(padded(1_000))
        entry.waits = waits = [2.9]
        taken = seconds(lambda: give_up(LinesSink(pipe.writer, wait_ms=3_000), entry))

        assert (0.09 <= waits[1] <= taken < 2.0, len(waits)) == (True, 2)

    def test_a_line_that_goes_out_at_once_takes_nothing_of_it(self, pipe: Pipe) -> None:
        """A request of any number of lines holds nothing for them."""
        pipe.read()
        entry = event_of(padded(100))
        entry.waits = waits = []
        for _ in range(20):
            pipe.sink.write(entry)

        assert (len(pipe.lines()), len(waits) < 10) == (20, True)  # a busy machine may take some time over one

    def test_work_that_nobody_waits_for_has_it_for_each_line(self, pipe: Pipe) -> None:
        """A job goes on as fast as its reader reads: it loses no line that is read in time."""

        def job() -> None:
            with wideevents.event("job"):
                log.info("one")

        assert seconds(job) >= 2 * 0.9 * WAIT
        assert seconds(lambda: log.info("outside any event")) >= 0.9 * WAIT

    def test_a_websocket_has_it_for_each_line(self, recorder: Recorder) -> None:
        """It may last for days, and would not be waited for any more."""
        followed = {kind: Request(Door(), head({}), kind) for kind in ("websocket", "request")}
        for each in reversed(followed.values()):
            each.finish()
            each.returned()

        assert {kind: each.event.waits for kind, each in followed.items()} == {"websocket": None, "request": []}
