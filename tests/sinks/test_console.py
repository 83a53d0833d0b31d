"""What the console sink promises."""

from __future__ import annotations

import gc
import io
import os
import signal
import sys
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from tests.conftest import at_once, in_child
from tests.entries import detach
from wideevents.entries import Entry
from wideevents.sinks import console
from wideevents.sinks.console import MOST_HELD, PATIENCE, ConsoleSink

EVENT = {"event.kind": "script", "duration_ms": 1.0, "outcome": "success", "level": "info"}


@dataclass
class Work:
    """Be an event in progress."""

    sealed: bool = False


class Logged(Entry):
    """Be a log line's entry, which knows the event it was logged in."""

    event: Work | None


class Seconds:
    """Be a clock that stands still until it is told the time."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def ended(event_id: str = "a", **fields: Any) -> Entry:
    """Return the entry of an event."""
    entry = Entry()
    detach(entry, {**EVENT, "event.id": event_id, "event.name": f"work.{event_id}", **fields})
    return entry


def logged(message: str, event: Work | None = None, event_id: str = "a") -> Logged:
    """Return the entry of a log line."""
    entry = Logged()
    detach(entry, {"level": "info", "message": message} | ({"event.id": event_id} if event else {}))
    entry.event = event
    return entry


def told(text: str) -> list[str]:
    """Return which events and messages were printed, those under an event indented."""
    rows = [row.replace("event.id=", "in ").split() for row in text.splitlines() if "info" in row]
    indents = [
        "  " if row.startswith("  ") and "script" not in row else "" for row in text.splitlines() if "info" in row
    ]
    return [indent + " ".join(row[row.index("info") + 1 :]) for indent, row in zip(indents, rows, strict=True)]


@pytest.fixture
def seconds() -> Seconds:
    """Give the clock of `sink`."""
    return Seconds()


@pytest.fixture
def sink(seconds: Seconds) -> ConsoleSink:
    """Give a sink that nothing was written to."""
    return ConsoleSink(monotonic=seconds, later=lambda *_: None)


class TestEvents:
    def test_are_printed_at_once(self, sink: ConsoleSink, capsys: pytest.CaptureFixture[str]) -> None:
        """To the standard output of the moment; what is static stands with the rest."""
        entry = ended()
        entry.static = {"service.name": "shop"}
        sink.write(entry)

        assert capsys.readouterr().out.splitlines()[0] == "              info         1.00 ms  script work.a"
        sink.write(entry)
        assert "  event.id=a  shop" in capsys.readouterr().out

    def test_have_the_lines_logged_inside_them_below(
        self, sink: ConsoleSink, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A line waits for the end of its event, and stands under it, and not under another one."""
        work, other = Work(), Work()
        for entry in (logged("one", work), logged("theirs", other, "b"), logged("two", work)):
            sink.write(entry)
        before = capsys.readouterr().out
        sink.write(ended("a"))
        sink.write(ended("b"))

        assert before == ""
        assert told(capsys.readouterr().out) == [
            "1.00 ms script work.a",
            "  one",
            "  two",
            "1.00 ms script work.b",
            "  theirs",
        ]


class TestLines:
    def test_outside_any_event_are_printed_at_once(self, sink: ConsoleSink, capsys: pytest.CaptureFixture[str]) -> None:
        """There is nothing to wait for; nor has a plain entry an event."""
        entry = Entry()
        detach(entry, {"level": "info", "message": "two"})
        sink.write(logged("one"))
        sink.write(entry)

        assert told(capsys.readouterr().out) == ["one", "two"]

    def test_logged_after_the_end_of_their_event_are_printed_at_once(
        self, sink: ConsoleSink, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A thread may go on when its event has been written."""
        sink.write(logged("late", Work(sealed=True)))

        assert told(capsys.readouterr().out) == ["late in a"]

    def test_wait_no_longer_than_is_bearable(
        self, sink: ConsoleSink, seconds: Seconds, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Somebody who waits for a slow request sees what it has logged at the next line of anybody."""
        sink.write(logged("early", work := Work()))
        seconds.now = PATIENCE - 0.001
        sink.write(logged("meanwhile"))
        first = told(capsys.readouterr().out)
        seconds.now = PATIENCE
        sink.write(logged("more", work))
        seconds.now = 2 * PATIENCE
        sink.write(ended("a"))

        assert (first, told(capsys.readouterr().out)) == (
            ["meanwhile"],
            ["early in a", "more in a", "1.00 ms script work.a"],
        )

    def test_of_an_event_that_was_dropped_are_printed_at_the_next_write(
        self, sink: ConsoleSink, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The gate may have let it go; its lines have passed the gate themselves."""
        sink.write(logged("kept", work := Work()))
        work.sealed = True
        sink.write(ended("b"))

        assert told(capsys.readouterr().out) == ["kept in a", "1.00 ms script work.b"]

    def test_that_are_too_many_do_not_wait(self, sink: ConsoleSink, capsys: pytest.CaptureFixture[str]) -> None:
        """Memory is bounded, and nothing is lost: all are there, in their order."""
        work = Work()
        for number in range(MOST_HELD):
            sink.write(logged(str(number), work))
        before = capsys.readouterr().out
        sink.write(logged(str(MOST_HELD), work))
        after = told(capsys.readouterr().out)
        sink.write(ended("a"))

        assert (before, after) == ("", [f"{number} in a" for number in range(MOST_HELD + 1)])
        assert told(capsys.readouterr().out) == ["1.00 ms script work.a"]

    def test_that_still_wait_are_printed_when_the_sink_is_closed(
        self, sink: ConsoleSink, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A process that ends in the middle of its work shows what it did; closing twice shows it once."""
        sink.write(logged("one", Work()))
        sink.write(logged("two", Work(), "b"))
        sink.close()
        sink.close()
        sink.write(logged("after"))

        assert told(capsys.readouterr().out) == ["one in a", "two in b", "after"]


class TestStdout:
    def test_gets_a_text_by_one_write(self, sink: ConsoleSink, monkeypatch: pytest.MonkeyPatch) -> None:
        """An event and its lines are not torn apart by another process, and do not wait in a buffer."""
        calls: list[str] = []
        stream = type("Stream", (io.StringIO,), {"flush": lambda self: calls.append("flush")})()
        stream.write = calls.append
        monkeypatch.setattr(sys, "stdout", stream)
        sink.write(logged("one", Work()))
        sink.write(ended())

        assert [len(calls), told(calls[0]), calls[1]] == [2, ["1.00 ms script work.a", "  one"], "flush"]

    @pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
    def test_may_lack_characters(self, sink: ConsoleSink, monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
        """They become question marks; the line is not lost."""
        written = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
        sink.write(logged("a duck 🦆"))

        assert written.getvalue() == b"info     a duck ?\n"

    def test_that_is_missing_is_told(self, sink: ConsoleSink, monkeypatch: pytest.MonkeyPatch) -> None:
        """A line that nobody can see is one that is lost, and the pipeline counts it."""
        monkeypatch.setattr(sys, "stdout", None)

        with pytest.raises(OSError, match="there is no standard output"):
            sink.write(logged("one"))

    def test_that_fails_once_is_tried_again(
        self, sink: ConsoleSink, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A failure costs its own text, and leaves nothing locked."""
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO()))
            sys.stdout.close()
            with pytest.raises(ValueError, match="closed"):
                sink.write(logged("one"))
        sink.write(logged("two"))

        assert told(capsys.readouterr().out) == ["two"]

    def test_may_log_what_it_is_given(
        self, sink: ConsoleSink, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Celery's does: its line goes to the original output, where it ends."""
        original = io.StringIO()
        stream = io.StringIO()
        stream.write = lambda text: sink.write(logged("redirected"))  # type: ignore[assignment,func-returns-value]
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(sys, "__stdout__", original)
        sink.write(logged("one"))

        assert told(original.getvalue()) == ["redirected"]

    def test_has_colors_where_it_is_a_terminal(self, sink: ConsoleSink, monkeypatch: pytest.MonkeyPatch) -> None:
        """As it is at the time of each write."""
        plain, colored = io.StringIO(), io.StringIO()
        monkeypatch.delenv("NO_COLOR", raising=False)
        monkeypatch.setattr(sys, "stdout", plain)
        sink.write(logged("one"))
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr(sys, "stdout", colored)
        sink.write(logged("one"))

        assert ["\x1b[32minfo" in stream.getvalue() for stream in (plain, colored)] == [False, True]


class TestThreads:
    def test_write_at_the_same_time_and_nothing_is_lost(
        self, sink: ConsoleSink, eager_switching: None, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Every event has its own lines below it, in their order."""

        def work(name: str) -> None:
            for number in range(20):
                event, event_id = Work(), f"{name}{number}"
                sink.write(logged(f"first-{event_id}", event, event_id))
                sink.write(logged(f"second-{event_id}", event, event_id))
                sink.write(ended(event_id))

        at_once(*[partial(work, name) for name in "abcd"])

        rows = told(capsys.readouterr().out)
        ids = [row.partition("work.")[2] for row in rows[::3]]
        assert sorted(ids) == sorted(f"{name}{number}" for name in "abcd" for number in range(20))
        assert rows == [
            row for each in ids for row in (f"1.00 ms script work.{each}", f"  first-{each}", f"  second-{each}")
        ]

    def test_do_not_wait_for_a_slow_terminal(self, sink: ConsoleSink, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whoever finds somebody printing leaves the text to them."""
        slow = Gate()
        monkeypatch.setattr(sys, "stdout", slow)
        first = threading.Thread(target=sink.write, args=(logged("one"),))
        first.start()
        assert slow.entered.wait(10)
        sink.write(logged("two"))
        before = slow.getvalue()
        slow.opened.set()
        first.join(10)

        assert (before, told(slow.getvalue())) == ("", ["one", "two"])

    def test_a_signal_handler_may_log_in_the_middle_of_a_write(
        self, sink: ConsoleSink, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It does not hang, and its line comes after the one that it interrupted."""
        stream = Interrupted()
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(sys, "__stdout__", stream)
        before = signal.signal(signal.SIGUSR1, lambda *_: sink.write(logged("from the handler")))
        try:
            sink.write(logged("interrupted"))
        finally:
            signal.signal(signal.SIGUSR1, before)

        assert told(stream.getvalue()) == ["interrupted", "from the handler"]

    def test_a_forked_child_does_not_print_the_lines_of_its_parent(
        self, sink: ConsoleSink, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """They are the parent's to print, and the child begins with none."""
        sink.write(logged("of the parent", Work()))

        in_the_child = in_child(partial(printed_by, sink, lambda: sink.write(logged("of the child"))))
        sink.close()

        assert (in_the_child, told(capsys.readouterr().out)) == (["of the child"], ["of the parent in a"])

    def test_a_child_forked_in_the_middle_of_a_write_prints(
        self, sink: ConsoleSink, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The thread that was at work is not there, and its turn is over."""
        slow = Gate()
        monkeypatch.setattr(sys, "stdout", slow)
        first = threading.Thread(target=sink.write, args=(logged("one"),))
        first.start()
        assert slow.entered.wait(10)
        in_the_child = in_child(partial(printed_by, sink, lambda: sink.write(logged("of the child"))))
        slow.opened.set()
        first.join(10)

        assert (in_the_child, told(slow.getvalue())) == (["of the child"], ["one"])


class Gate(io.StringIO):
    """Let nobody through until it is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.opened = threading.Event(), threading.Event()

    def write(self, text: str) -> int:
        self.entered.set()
        assert self.opened.wait(10)
        return super().write(text)


class Interrupted(io.StringIO):
    """Be interrupted by a signal when it is written to for the first time."""

    calls = 0

    def write(self, text: str) -> int:
        self.calls += 1
        if self.calls == 1:
            os.kill(os.getpid(), signal.SIGUSR1)
        return super().write(text)


def printed_by(sink: ConsoleSink, work: Callable[[], object]) -> list[str]:
    """Return what *work* and the closing of *sink* print."""
    sys.stdout = io.StringIO()
    work()
    sink.close()
    return told(sys.stdout.getvalue())


class TestLater:
    """All else may stand still: a request at a breakpoint, and nobody who writes."""

    def test_what_waits_is_looked_at_when_its_time_is_over(
        self, seconds: Seconds, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """One look is asked for, however many lines wait; it prints them, and asks for no other."""
        looks: list[tuple[float, Callable[[], None]]] = []
        sink = ConsoleSink(monotonic=seconds, later=lambda *asked: looks.append(asked))
        sink.write(logged("before the breakpoint", Work()))
        sink.write(logged("another", Work()))
        seconds.now = PATIENCE
        ((after, look),) = looks
        look()

        assert after == PATIENCE
        assert told(capsys.readouterr().out) == ["before the breakpoint in a", "another in a"]
        assert len(looks) == 1

    def test_it_is_looked_at_again_as_long_as_something_waits(self, seconds: Seconds) -> None:
        """What came meanwhile has its own time."""
        looks: list[Callable[[], None]] = []
        sink = ConsoleSink(monotonic=seconds, later=lambda _, look: looks.append(look))
        sink.write(logged("waits", Work()))
        looks[0]()

        assert len(looks) == 2

    def test_a_sink_that_is_gone_is_not_kept(self, seconds: Seconds) -> None:
        """Nor does the look fail."""
        looks: list[Callable[[], None]] = []
        sink = ConsoleSink(monotonic=seconds, later=lambda _, look: looks.append(look))
        sink.write(logged("waits", Work()))
        reference = weakref.ref(sink)
        del sink
        gc.collect()

        assert reference() is None
        looks[0]()

    def test_a_thread_of_its_own_looks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It does not keep the process from ending."""
        monkeypatch.setattr(console, "PATIENCE", 0.05)
        monkeypatch.setattr(sys, "stdout", shown := io.StringIO())
        sink = ConsoleSink()
        sink.write(logged("before the breakpoint", Work()))
        timers = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
        for timer in timers:
            timer.join(10)

        assert [timer.daemon for timer in timers] == [True]
        assert told(shown.getvalue()) == ["before the breakpoint in a"]
