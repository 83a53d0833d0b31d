"""Test how events look."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from examples.demo import screen, summary

if TYPE_CHECKING:
    import pytest

    from examples.demo.lines import Line


class TestShowEvent:
    def test_shows_every_field(self, events: list[Line], capsys: pytest.CaptureFixture[str]) -> None:
        """In full means in full."""
        line = summary.examples(events)["an error"]
        screen.show_event(line)

        shown = capsys.readouterr().out
        assert [key for key in line if key not in shown] == []


class TestPaint:
    def test_is_for_terminals(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A terminal gets colours unless its owner does not want them."""
        monkeypatch.delenv("NO_COLOR", raising=False)
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
        coloured = screen.paint("x", screen.RED)
        monkeypatch.setenv("NO_COLOR", "1")

        assert (coloured, screen.paint("x", screen.RED)) == ("\x1b[31mx\x1b[0m", "x")
