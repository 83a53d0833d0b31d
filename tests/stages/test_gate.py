"""What the gate stage promises."""

from __future__ import annotations

import dataclasses

import pytest

from tests.stages import sealed
from wideevents.levels import Level
from wideevents.stages.gate import Gate


class TestGate:
    @pytest.mark.parametrize("minimum", Level)
    @pytest.mark.parametrize("level", Level)
    def test_what_is_below_the_minimum_is_dropped(self, level: Level, minimum: Level) -> None:
        """An event of the minimum itself passes, as the same object."""
        event = sealed(level=level)

        assert (event if level >= minimum else None) is Gate(minimum)(event)

    def test_debug_is_dropped_unless_somebody_asks(self) -> None:
        """Debug is for staging, or when asked for."""
        assert Gate()(sealed(level=Level.DEBUG)) is None
        assert Gate()(sealed(level=Level.INFO)) is not None

    def test_an_event_that_asked_to_be_kept_passes(self) -> None:
        """Debug output that somebody switched on for one request reaches them."""
        event = sealed(level=Level.DEBUG)
        event.keep = True

        assert event is Gate(Level.ERROR)(event)

    def test_a_gate_cannot_be_changed(self) -> None:
        """What is configured is configured as a whole."""
        with pytest.raises(dataclasses.FrozenInstanceError):
            Gate().minimum = Level.ERROR  # type: ignore[misc]
