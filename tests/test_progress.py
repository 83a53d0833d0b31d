"""What the progress room promises."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

import wideevents
from tests.conftest import Written
from tests.integrations.servers import environment
from tests.sinks.test_console import Seconds
from tests.terminals import Terminal, terminal
from wideevents import batch, event, progress
from wideevents.progress import EVERY, PATIENCE, ProgressBar, bar

SILENCERS = ("CI", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS", "LINES")


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    """Give a terminal of 80 columns and 10 lines, as rich believes in one."""
    for name in SILENCERS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    with terminal() as made:
        yield made
    if progress._bottom.locked():
        progress._bottom.release()
        pytest.fail("a bar was left")


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


def shown(
    screen: Terminal, monkeypatch: pytest.MonkeyPatch, name: str, total: int | None, seconds: Seconds
) -> ProgressBar:
    """Return a bar on *screen* that is drawn once, and knows the time from *seconds*."""
    monkeypatch.setattr(sys, "stderr", screen.stream)
    made = bar(name, total, seconds)
    assert made is not None
    seconds.now += PATIENCE
    made.show(0, 0)
    seconds.now += EVERY
    return made


class TestBar:
    def test_shows_how_far_it_has_come(
        self, screen: Terminal, monkeypatch: pytest.MonkeyPatch, seconds: Seconds
    ) -> None:
        """Its name, done and total, on the last line; the failures, where there are any."""
        made = shown(screen, monkeypatch, "report", 12, seconds)
        screen.read()
        assert screen.screen.rows[-1].startswith("report ━")
        assert " 0/12 " in screen.screen.rows[-1]
        made.show(7, 2)
        screen.read()
        assert " 7/12 " in screen.screen.rows[-1]
        assert screen.screen.rows[-1].endswith("2 failed")
        assert len(screen.screen.rows[-1]) == 79  # what stands in the last column may wrap
        made.close()
        screen.read()
        assert screen.screen.rows == [""] * 10

    def test_is_none_for_a_batch_that_is_soon_over(
        self, screen: Terminal, monkeypatch: pytest.MonkeyPatch, seconds: Seconds
    ) -> None:
        """Nobody could read it; nothing is written at all."""
        monkeypatch.setattr(sys, "stderr", screen.stream)
        made = bar("report", 12, seconds)
        assert made is not None
        made.show(1, 0)
        seconds.now += PATIENCE - 0.01
        made.show(12, 0)
        made.close()
        assert screen.read() == ""

    def test_shows_how_fast_it_is(self, screen: Terminal, monkeypatch: pytest.MonkeyPatch, seconds: Seconds) -> None:
        """Steps a second, and the time that is left."""
        made = shown(screen, monkeypatch, "report", 1_000, seconds)
        for step in range(1, 4):
            seconds.now += 0.5
            made.show(step * 10, 0)
        screen.read()
        assert " 20.0/s 0:00:49" in screen.screen.rows[-1]
        made.close()

    def test_does_without_a_total(self, screen: Terminal, monkeypatch: pytest.MonkeyPatch, seconds: Seconds) -> None:
        """It counts."""
        made = shown(screen, monkeypatch, "report", None, seconds)
        made.show(7, 0)
        screen.read()
        assert " 7/? " in screen.screen.rows[-1]
        made.close()

    def test_is_not_drawn_more_often_than_eyes_see(
        self, screen: Terminal, monkeypatch: pytest.MonkeyPatch, seconds: Seconds
    ) -> None:
        """A hundred thousand steps are not a hundred thousand pictures."""
        made = shown(screen, monkeypatch, "report", 12, seconds)
        made.show(1, 0)
        screen.read()
        made.show(2, 0)
        assert screen.read() == ""
        seconds.now += EVERY
        made.show(3, 0)
        screen.read()
        assert " 3/12 " in screen.screen.rows[-1]
        made.close()

    @pytest.mark.parametrize("name", ["[red]a[/nothing]", "a\x1b[2Jb\nc", "{task.id}", "x" * 500])
    def test_shows_any_name(
        self, screen: Terminal, monkeypatch: pytest.MonkeyPatch, seconds: Seconds, name: str
    ) -> None:
        """One that is markup, drives a terminal, or is too long for it."""
        made = shown(screen, monkeypatch, name, 12, seconds)
        screen.read()
        assert screen.screen.rows[:-1] == [""] * 9
        assert screen.screen.rows[-1].startswith(name[0])
        assert "0/12" in screen.screen.rows[-1] or len(name) == 500
        made.close()

    def test_lets_everything_else_scroll_above_it(
        self, screen: Terminal, monkeypatch: pytest.MonkeyPatch, seconds: Seconds
    ) -> None:
        """Whoever writes, whatever, and wherever the cursor was."""
        screen.stream.write("before\nhalf a line")
        screen.stream.flush()
        made = shown(screen, monkeypatch, "report", 12, seconds)
        screen.stream.write(", and its end\n")
        for number in range(12):
            seconds.now += 1
            made.show(number, 0)
            screen.stream.write(f"line {number}\n")
            screen.stream.flush()
        screen.read()
        assert [*screen.screen.scrolled, *screen.screen.rows[:8]] == [
            *("before", "half a line, and its end"),
            *(f"line {number}" for number in range(12)),
        ]
        assert " 11/12 " in screen.screen.rows[-1]
        made.close()
        screen.stream.write("after\n")
        screen.stream.flush()
        screen.read()
        assert (screen.screen.rows[-2:], screen.screen.region) == (["after", ""], (0, 9))

    def test_makes_room_on_the_last_line(
        self, screen: Terminal, monkeypatch: pytest.MonkeyPatch, seconds: Seconds
    ) -> None:
        """Where a prompt usually stands: what is there moves up."""
        screen.stream.write("\n" * 9 + "$ ")
        screen.stream.flush()
        made = shown(screen, monkeypatch, "report", 12, seconds)
        screen.stream.write("python report.py\n")
        screen.stream.flush()
        screen.read()
        assert screen.screen.rows[-3:-1] == ["$ python report.py", ""]
        assert screen.screen.rows[-1].startswith("report ")
        made.close()

    def test_follows_the_size(self, screen: Terminal, monkeypatch: pytest.MonkeyPatch, seconds: Seconds) -> None:
        """Of the moment; on one without room for it nothing is drawn."""
        made = shown(screen, monkeypatch, "report", 12, seconds)
        screen.read()
        for columns, lines, row in ((60, 6, "\x1b[6;1H"), (20, 3, "\x1b[3;1H"), (80, 2, "")):
            screen.resize(columns, lines)
            seconds.now += 1
            made.show(3, 0)
            written = screen.read()
            assert (row in written, bool(written)) == (True, bool(row))
            assert f"\x1b[1;{lines - 1}r" in written or not row
        made.close()

    def test_has_no_colours_where_nobody_wants_them(
        self, screen: Terminal, monkeypatch: pytest.MonkeyPatch, seconds: Seconds
    ) -> None:
        """As https://no-color.org has it."""
        made = shown(screen, monkeypatch, "report", 12, seconds)
        assert "\x1b[38;5;" in screen.read()
        made.close()
        monkeypatch.setenv("NO_COLOR", "1")
        made = shown(screen, monkeypatch, "report", 12, seconds)
        assert "\x1b[38;5;" not in screen.read()
        made.close()

    def test_is_one_at_a_time(self, screen: Terminal, monkeypatch: pytest.MonkeyPatch, seconds: Seconds) -> None:
        """A terminal has one last line."""
        made = shown(screen, monkeypatch, "report", 12, seconds)
        assert bar("inner", 3) is None
        made.close()
        again = bar("report", 3)
        assert again is not None
        again.close()

    @pytest.mark.parametrize(
        ("name", "value"), [("TERM", "dumb"), ("TERM", "unknown"), ("CI", "true"), ("TTY_COMPATIBLE", "0")]
    )
    def test_is_none_where_it_would_not_be_seen(
        self, screen: Terminal, monkeypatch: pytest.MonkeyPatch, name: str, value: str
    ) -> None:
        """A terminal that can do nothing, and a log."""
        monkeypatch.setattr(sys, "stderr", screen.stream)
        monkeypatch.setenv(name, value)
        assert bar("report", 12) is None

    def test_is_none_on_an_old_windows(self, screen: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whose console knows no sequences."""
        monkeypatch.setattr(sys, "stderr", screen.stream)
        monkeypatch.setattr(Console, "legacy_windows", True, raising=False)
        monkeypatch.setattr("wideevents.progress.Console", lambda **_: Console(stderr=True, legacy_windows=True))
        assert bar("report", 12) is None

    @pytest.mark.parametrize("gone", ["closed", "hung up", "no terminal"])
    def test_does_not_mind_that_the_terminal_goes(
        self, screen: Terminal, monkeypatch: pytest.MonkeyPatch, seconds: Seconds, tmp_path: Path, gone: str
    ) -> None:
        """The work goes on."""
        made = shown(screen, monkeypatch, "report", 12, seconds)
        with (tmp_path / "file").open("w") as file:
            if gone == "closed":
                screen.stream.close()
            elif gone == "hung up":
                os.close(screen.reader)
                screen.reader = os.dup(file.fileno())
            else:
                made._stream = file
            seconds.now += 1
            made.show(3, 0)
            assert made._stream is None
            seconds.now += 1
            made.show(4, 0)
            made.close()


class TestBatch:
    def test_shows_its_bar_and_its_lines(
        self, screen: Terminal, monkeypatch: pytest.MonkeyPatch, reconfigurable: None
    ) -> None:
        """The console's events, the user's words, and below them the bar, which goes with the loop."""
        monkeypatch.setattr(sys, "stderr", screen.stream)
        monkeypatch.setattr(sys, "stdout", screen.stream)
        monkeypatch.setattr(progress, "PATIENCE", 0)
        monkeypatch.setattr(progress, "EVERY", 0)
        wideevents.configure(output="console", logging=False)
        with event("nightly"):
            for page in batch("report", range(4)):
                print("page", page)
                screen.read()
                assert screen.screen.rows[-1].startswith("report ") is (page > 0)
                for _ in batch("row", "ab"):
                    pass
        screen.read()
        text = [*screen.screen.scrolled, *screen.screen.rows]
        assert [row for row in text if row.startswith("page")] == [f"page {page}" for page in range(4)]
        assert len([row for row in text if row.endswith("batch report")]) == 4
        assert not [row for row in text if "━" in row]
        assert screen.screen.region == (0, 9)

    def test_has_no_bar_where_standard_error_is_no_terminal(self, screen: Terminal, written: Written) -> None:
        """A log file must not be full of pictures."""
        script = "import wideevents\nfor _ in wideevents.batch('report', 'ab'): pass"
        done = subprocess.run(
            [sys.executable, "-c", script],
            stdout=screen.stream,
            stderr=subprocess.PIPE,
            env=environment(TERM="xterm"),
            check=True,
        )
        assert (done.stderr, "━" in screen.read()) == (b"", False)

    def test_takes_the_bar_away_when_it_is_killed(self, screen: Terminal) -> None:
        """The terminal is as it was."""
        script = (
            "import os, signal, time, wideevents\n"
            "for page in wideevents.batch('report', range(2)):\n"
            "    page and os.kill(os.getpid(), signal.SIGTERM)\n"
            "    time.sleep(0.6)"
        )
        kept = {name: value for name, value in environment(TERM="xterm").items() if name not in SILENCERS}
        done = subprocess.run(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=screen.stream, env=kept, check=False
        )
        assert (done.returncode, "━" in screen.read()) == (-15, True)
        assert (screen.screen.rows, screen.screen.region) == ([""] * 10, (0, 9))


class TestImport:
    def test_names_the_extra_that_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As every room does that needs one."""
        monkeypatch.setitem(sys.modules, "rich.progress", None)
        with pytest.raises(ImportError, match=re.escape("progress needs rich: pip install 'wideevents[console]'")):
            runpy.run_path(str(progress.__file__))
