"""What the count stage promises."""

from __future__ import annotations

from threading import Barrier, Thread

import wideevents
from tests.stages import configured, sealed
from wideevents import config
from wideevents.levels import Level
from wideevents.stages.count import Count


class TestCount:
    def test_events_are_counted_by_kind_level_and_outcome(self) -> None:
        """These three say how a service is, and there are few enough of their combinations to keep."""
        count = Count()
        for event in (sealed(), sealed(), sealed({"outcome": "failure"}, level=Level.ERROR, kind="request")):
            count(event)

        assert count.totals.counts() == {("task", "info", "success"): 2, ("request", "error", "failure"): 1}

    def test_an_event_passes_as_it_is(self) -> None:
        """Counting changes nothing, and drops nothing."""
        event = sealed()
        before = event.record.copy()

        assert event is Count()(event)
        assert before == event.record

    def test_the_numbers_are_exact_from_threads(self) -> None:
        """A read and a write apart would lose some: eight threads count as much as they are asked to."""
        count, event, barrier = Count(), sealed(), Barrier(8)

        def work() -> None:
            barrier.wait()
            for _ in range(2_000):
                count(event)

        threads = [Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert count.totals.counts() == {("task", "info", "success"): 16_000}

    def test_what_is_dropped_later_has_been_counted(self) -> None:
        """It is the first stage of the default pipeline: the numbers are true, whatever the gate drops."""
        with configured() as sink:
            count = config.recorder().pipeline.stages[0]
            with wideevents.event("quiet") as event:
                event.level = Level.DEBUG

        assert sink.lines == []
        assert isinstance(count, Count)
        assert count.totals.counts() == {("task", "debug", "success"): 1}
