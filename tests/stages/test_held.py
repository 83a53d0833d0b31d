"""What the stage that attaches log lines promises."""

from __future__ import annotations

import logging
from collections import deque

import pytest

import wideevents
from tests.logs import caught, handler, logger_with
from tests.stages import sealed
from tests.strict import parse_line
from wideevents import Level
from wideevents.events import SLOW_MS, Event
from wideevents.stages.held import attach_lines


def ended(*lines: str, level: Level = Level.INFO, duration_ms: float = 1.0) -> Event:
    """Return an event that has ended, with *lines* kept."""
    event = sealed({"duration_ms": duration_ms}, level=level)
    event.held = deque(lines) if lines else None
    return event


def _fail(shop: logging.Logger) -> None:
    shop.debug("paid \u2028")
    raise ValueError("failed")


class TestWhichEventsTellThem:
    @pytest.mark.parametrize(
        ("level", "told"), [(Level.ERROR, True), (Level.WARNING, False), (Level.INFO, False), (Level.DEBUG, False)]
    )
    def test_an_error_does(self, level: Level, told: bool) -> None:
        """Somebody will look for what led to it."""
        assert told is ("log.lines" in attach_lines(ended("a", level=level)).record)

    @pytest.mark.parametrize(("duration_ms", "told"), [(999.999, False), (1_000.0, True), (5_000.0, True)])
    def test_a_slow_one_does(self, duration_ms: float, told: bool) -> None:
        """From just the limit on."""
        event = attach_lines(ended("a", duration_ms=duration_ms))

        assert (1_000.0, told) == (SLOW_MS, "log.lines" in event.record)

    @pytest.mark.parametrize(("slow_ms", "told"), [(10.0, True), (60_000.0, False)])
    def test_its_door_says_what_is_slow(self, slow_ms: float, told: bool) -> None:
        """Two seconds are nothing for a report."""
        event = ended("a", duration_ms=2_000.0)
        event.slow_ms = slow_ms

        assert told is ("log.lines" in attach_lines(event).record)

    def test_one_that_asked_to_be_kept_does(self) -> None:
        """Debug output that somebody switched on for one request must reach them."""
        event = ended("a")
        event.keep = True

        assert ["a"] == attach_lines(event).record["log.lines"]

    def test_one_without_lines_has_no_field(self) -> None:
        """Absent means none."""
        assert "log.lines" not in attach_lines(ended(level=Level.ERROR)).record


class TestWhatIsTold:
    def test_the_lines_in_their_order(self) -> None:
        """As they were logged."""
        assert ["a", "b"] == attach_lines(ended("a", "b", level=Level.ERROR)).record["log.lines"]

    def test_a_copy_of_them(self) -> None:
        """A line that comes too late changes no record."""
        event = attach_lines(ended("a", level=Level.ERROR))
        assert event.held is not None
        event.held.append("late")

        assert ["a"] == event.record["log.lines"]

    def test_every_event_passes(self) -> None:
        """The stage drops none."""
        for event in (ended(), ended("a"), ended("a", level=Level.ERROR)):
            assert event is attach_lines(event)

    def test_the_stage_is_there_where_lines_are_kept(self) -> None:
        """Also for a failure that nobody logged."""
        with (
            caught(debug_lines=("shop",)) as logged,
            logger_with(handler()) as shop,
            pytest.raises(ValueError, match="failed"),
            wideevents.event("job"),
        ):
            _fail(shop)

        (line,) = parse_line(logged.sink.lines[0])["log.lines"]
        assert line.endswith("debug shop paid \u2028")
