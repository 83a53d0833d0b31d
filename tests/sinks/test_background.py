"""How lines wait for a thread that writes them, and what becomes of them when they cannot be written."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from textwrap import dedent
from threading import Event as Flag
from typing import Any

import pytest

import wideevents
from tests.conftest import PATIENCE, at_once, in_child
from tests.integrations.servers import eventually
from tests.logs import Ran, read, run
from tests.sinks import event_of, test_contract
from tests.strict import parse_line
from wideevents import health
from wideevents.context import current
from wideevents.entries import Entry
from wideevents.errors import ConfigurationError
from wideevents.health import Fault
from wideevents.pipeline import Pipeline, Sink
from wideevents.sinks.background import THREAD, Background, BackgroundSink
from wideevents.sinks.lines import LinesSink
from wideevents.sinks.memory import MemorySink

LONGEST = 60_000


class Gate:
    """Be a sink of somebody's that stands still until it is opened, and keeps what it is given."""

    name = "console"

    def __init__(self, *, is_open: bool = False) -> None:
        self.open, self.reached = Flag(), Flag()
        self.entries: list[Entry] = []
        self.seen: list[tuple[str, bool, object]] = []
        if is_open:
            self.open.set()

    def write(self, entry: Entry) -> None:
        self.reached.set()
        assert self.open.wait(PATIENCE)
        self.seen.append((threading.current_thread().name, threading.current_thread().daemon, current()))
        self.entries.append(entry)

    def close(self) -> None:
        """Hold nothing back."""

    @property
    def lines(self) -> list[bytes]:
        return [entry.line for entry in self.entries]


class Raising:
    """Be a sink of somebody's that raises what it has been given, in its order, and then takes every line."""

    name = "console"

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.lines: list[bytes] = []

    def write(self, entry: Entry) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.lines.append(entry.line)

    def close(self) -> None:
        """Hold nothing back."""


class NotedError(Exception):
    """Can be referred to weakly, which a KeyError cannot."""


def numbered(count: int) -> list[bytes]:
    return [b'{"n":%d}\n' % number for number in range(count)]


def threads() -> list[threading.Thread]:
    """Return the threads that write lines."""
    return [thread for thread in threading.enumerate() if thread.name == THREAD]


@contextmanager
def waiting(sink: Sink, *, capacity: int = 10_000, close_s: float = 1.8) -> Iterator[BackgroundSink]:
    """Give what hands its lines on to *sink*; its thread has ended afterwards."""
    made = Background(sink, capacity, close_s).around(sink)
    try:
        yield made
    finally:
        if isinstance(sink, Gate):
            sink.open.set()
        made.close()
        eventually(lambda: threads() == [], "the thread to end")


class InBackground(test_contract.OnDisk):
    """A path that a thread writes to."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        super().__init__(stack, folder)
        self.sink = Background(self.path).around(self.sink)
        stack.callback(self.sink.close)

    def written(self) -> bytes:
        self.sink.close()
        return super().written()

    def leave(self) -> None:
        self.sink.close()


class TestContract(test_contract.TestEverySink):
    """What every sink promises."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Iterator[test_contract.Place]:
        with ExitStack() as stack:
            yield InBackground(stack, tmp_path)


class TestSettings:
    @pytest.mark.parametrize("capacity", [0, -1, 1.5, True, "1"])
    def test_a_capacity_that_holds_nothing_is_refused(self, capacity: Any) -> None:
        """The sentence says what it may be."""
        with pytest.raises(ConfigurationError, match="it must be a number of lines, 1 or more"):
            Background("events.jsonl", capacity)

    @pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), True, "1", None])
    def test_a_time_that_is_none_is_refused(self, seconds: Any) -> None:
        """The end of a process waits for so long."""
        with pytest.raises(ConfigurationError, match="it must be a number of seconds, 0 or more"):
            Background("events.jsonl", close_s=seconds)

    @pytest.mark.parametrize("seconds", [0, 0.5, 3])
    def test_any_other_is_taken(self, seconds: float) -> None:
        """Whole or not; with 0 nobody waits."""
        assert Background("events.jsonl", 1, seconds) == Background("events.jsonl", capacity=1, close_s=seconds)


class TestWriting:
    def test_nobody_waits_for_a_sink_that_stands_still(self) -> None:
        """That is what it is for; the lines arrive in their order when it goes on."""
        gate, lines = Gate(), numbered(50)
        with waiting(gate) as sink:
            for line in lines:
                sink.write(event_of(line))
            assert gate.reached.wait(PATIENCE)
            assert gate.lines == []
            gate.open.set()
            eventually(lambda: gate.lines == lines, "all lines")

    def test_the_thread_keeps_no_process_alive_and_is_in_no_event(self, reconfigurable: None) -> None:
        """It is born in a request, and serves them all."""
        gate = Gate(is_open=True)
        with waiting(gate) as sink:
            wideevents.configure(output=sink, logging=False)
            with wideevents.event("outer"), wideevents.event("inner"):
                pass
            eventually(lambda: len(gate.seen) == 2, "both lines")

        assert gate.seen == [(THREAD, True, None)] * 2

    def test_there_is_one_thread_however_many_begin(self) -> None:
        """Requests that come at once after the start of a worker; none of their lines is left behind."""
        for _ in range(20):
            gate = Gate(is_open=True)
            with waiting(gate) as sink:
                at_once(*[partial(sink.write, event_of(line)) for line in numbered(16)])
                assert len(threads()) == 1
                eventually(lambda gate=gate: sorted(gate.lines) == sorted(numbered(16)), "all lines")  # type: ignore[misc]

    def test_it_sleeps_and_wakes(self) -> None:
        """A line that comes after a pause is written, too, and by the same thread."""
        gate = Gate(is_open=True)
        with waiting(gate) as sink:
            for number in range(1, 20):
                sink.write(event_of(b"{}\n"))
                eventually(lambda number=number: len(gate.lines) == number, "the line")  # type: ignore[misc]
            backlog: Any = sink._backlog
            eventually(lambda: backlog._asleep, "the thread to sleep")
            cpu = time.process_time()
            time.sleep(0.1)
            assert time.process_time() - cpu < 0.05

        assert len(gate.lines) == 19

    def test_a_line_that_comes_just_before_it_sleeps_is_seen(self) -> None:
        """The thread has found nothing, and does not sleep yet: nobody wakes it."""
        gate = Gate(is_open=True)
        with waiting(gate) as sink:
            sink._backlog._waiting = Overtaken(lambda: sink.write(event_of(b'{"n":1}\n')))
            sink.write(event_of(b'{"n":0}\n'))
            eventually(lambda: gate.lines == numbered(2), "both lines")

    def test_what_was_told_is_there_when_the_event_is_empty(self, reconfigurable: None) -> None:
        """The event is emptied as soon as it has gone through: its line and its record are held, and no exception."""
        gate = Gate()
        with waiting(gate) as sink:
            wideevents.configure(service="shop", output=sink, logging=False)
            with wideevents.event("job", n=1):
                wideevents.add_error(KeyError("sku"))
            gate.open.set()
            (entry,) = eventually(lambda: gate.entries, "the line")

        fields = parse_line(entry.line)
        assert {**entry.static, **entry.record}.keys() == fields.keys()
        assert (fields["n"], entry.record["n"], entry.level.label, entry.tail in entry.line) == (1, 1, "warning", True)
        assert (entry.errors, entry.hidden, entry.suspects) == ((), (), set())

    def test_neither_event_nor_exception_waits(self, reconfigurable: None) -> None:
        """Their frames would keep a request's whole world alive."""
        gate = Gate()
        with waiting(gate) as sink:
            wideevents.configure(output=sink, logging=False)
            gc.disable()
            try:
                with wideevents.event("job") as event:
                    error = NotedError("sku")
                    wideevents.add_error(error)
                held = [weakref.ref(event), weakref.ref(error)]
                del event, error
                assert gate.reached.wait(PATIENCE)
                assert [each() for each in held] == [None, None]
            finally:
                gc.enable()

    @pytest.mark.parametrize("error", [RuntimeError("x"), MemoryError()])
    def test_a_sink_that_cannot_begin_a_thread_writes_at_once(
        self, monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        """Where there are too many already, or the interpreter is about to end; the next line tries again."""

        def refuse(thread: threading.Thread) -> None:
            raise error

        gate = Gate(is_open=True)
        with waiting(gate) as sink:
            with monkeypatch.context() as patch:
                patch.setattr(threading.Thread, "start", refuse)
                if isinstance(error, RuntimeError):
                    sink.write(event_of(b'{"n":0}\n'))
                    assert (gate.lines, threads()) == ([b'{"n":0}\n'], [])
                else:  # what is no lack of threads is told
                    with pytest.raises(MemoryError):
                        sink.write(event_of(b'{"n":0}\n'))
            sink.write(event_of(b'{"n":1}\n'))
            sink.close()

        assert gate.lines == [b'{"n":0}\n', b'{"n":1}\n']
        assert gate.seen[0][0] == ("MainThread" if isinstance(error, RuntimeError) else THREAD)


class TestFull:
    def test_one_more_is_dropped_and_counted_at_once(self, reconfigurable: None) -> None:
        """Under the name of the sink that it would have gone to; the first line that finds room tells it."""
        gate = Gate()
        with waiting(gate, capacity=3) as sink:
            wideevents.configure(output=sink, logging=False)
            for number in range(5):
                with wideevents.event(f"job {number}"):
                    pass
            assert health.faults.counts() == {Fault.LOST: 2}
            gate.open.set()
            eventually(lambda: len(gate.lines) == 3, "the lines that waited")
            eventually(lambda: len(sink._backlog._room) == 3, "room")
            with wideevents.event("next"):
                pass
            eventually(lambda: len(gate.lines) == 4, "the next line")

        told = [parse_line(line) for line in gate.lines]
        assert [each["event.name"] for each in told] == ["job 0", "job 1", "job 2", "next"]
        assert [each.get("events.lost") for each in told] == [None, None, None, 2]
        assert told[-1]["events.lost_in.console"] == 2

    def test_it_says_how_many_wait(self) -> None:
        """A person reads that once, on the logger `wideevents`."""
        gate = Gate()
        with waiting(gate, capacity=2) as sink:
            for _ in range(2):
                sink.write(event_of(b"{}\n"))
            with pytest.raises(BlockingIOError, match=r"^2 lines wait to be written$"):
                sink.write(event_of(b"{}\n"))

    def test_never_do_more_wait_than_were_allowed(self, eager_switching: None) -> None:
        """However many threads write at the same time: every line is written or refused, and all are counted."""
        gate, refused = Gate(), []

        def write() -> None:
            for _ in range(100):
                try:
                    sink.write(event_of(b"{}\n"))
                except BlockingIOError:
                    refused.append(1)

        with waiting(gate, capacity=37) as sink:
            at_once(*[write] * 8)
            assert len(refused) == 800 - 37
            gate.open.set()
            eventually(lambda: len(gate.lines) == 37, "the lines that waited")

        assert len(gate.lines) == 37

    def test_room_comes_back(self) -> None:
        """Also that of lines that could not be written."""
        sink_below = Raising(*[OSError("full")] * 3, SystemExit(), OSError("full"))
        with waiting(sink_below, capacity=1) as sink:
            for _ in range(9):
                eventually(lambda: sink._backlog._room, "room")
                sink.write(event_of(b"{}\n"))

        assert (len(sink_below.lines), health.faults.counts()) == (4, {Fault.LOST: 5})


class TestFailing:
    @pytest.mark.parametrize("error", [OSError("full"), SystemExit(1), KeyboardInterrupt()], ids=repr)
    def test_a_sink_that_raises_loses_its_line_alone(self, reconfigurable: None, error: BaseException) -> None:
        """Counted under its name, and told by the next one; the thread goes on."""
        below = Raising(error)
        with waiting(below) as sink:
            wideevents.configure(output=sink, logging=False)
            with wideevents.event("lost"):
                pass
            eventually(health.faults.counts, "the loss")
            with wideevents.event("next"):
                pass

        (fields,) = map(parse_line, below.lines)
        assert (fields["event.name"], fields["events.lost"], fields["events.lost_in.console"]) == ("next", 1, 1)

    def test_what_a_lost_line_would_have_told_is_told_by_the_next(self, reconfigurable: None) -> None:
        """Or of two losses in a row only one would be known."""
        below = Raising(OSError("full"), OSError("full"))
        with waiting(below) as sink:
            wideevents.configure(output=sink, logging=False)
            for number in (1, 2):
                with wideevents.event("lost"):
                    pass
                eventually(lambda number=number: health.faults.counts().get(Fault.LOST) == number, "the loss")  # type: ignore[misc]
            with wideevents.event("next"):
                pass

        assert [parse_line(line)["events.lost"] for line in below.lines] == [2]

    def test_a_sink_without_a_name_is_another(self) -> None:
        """One of somebody's own."""
        below = MemorySink()
        with waiting(below) as sink:
            Pipeline[Entry]((), (sink,)).send(event_of(b"{}\n"))

        assert (sink.name, len(below.lines + below.log_lines)) == ("", 1)

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has a device that is always full")
    def test_that_lines_cannot_be_written_is_told_on_standard_error(self) -> None:
        """That sentence does not wait behind the lines: it would share their fate."""
        ran = run("""
            import wideevents
            from wideevents.sinks.background import Background
            from wideevents.sinks.lines import LinesSink
            below = LinesSink.open("/dev/full", longest=16_000)
            wideevents.configure(output=Background(below).around(below))
            for _ in range(3):
                with wideevents.event("job"):
                    pass
        """)
        told = [read(line.encode() + b"\n")["message"] for line in ran.err.splitlines() if line.startswith("{")]

        assert [text for text in told if "No space left on device" in text] == told[:1] != []
        assert (ran.code, ran.out) == (0, b"")


class Interrupting:
    """Let a signal come every so many seconds, and do *work* in its handler, which no other one interrupts."""

    def __init__(self, work: Callable[[], object], seconds: float) -> None:
        self.work, self.seconds = work, seconds
        self.times = 0
        self.going = True

    def __call__(self, *_: object) -> None:
        self.times += 1
        self.work()
        if self.going:
            signal.setitimer(signal.ITIMER_REAL, self.seconds)

    def __enter__(self) -> Interrupting:
        self.before = signal.signal(signal.SIGALRM, self)
        signal.setitimer(signal.ITIMER_REAL, self.seconds)
        return self

    def __exit__(self, *_: object) -> None:
        self.going = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self.before)


class TestReentrance:
    def test_signals_at_any_moment_lose_and_lock_nothing(self, tmp_path: Path) -> None:
        """A handler that writes in the middle of a write of its own thread, thousands of times."""
        path = tmp_path / "events.jsonl"
        with waiting(LinesSink.open(path, longest=LONGEST)) as sink:
            main, until = 0, time.monotonic() + 0.7
            with Interrupting(lambda: sink.write(event_of(b'{"s":1}\n')), 0.0001) as signals:
                while time.monotonic() < until:
                    try:
                        sink.write(event_of(b'{"n":%d}\n' % main))
                    except BlockingIOError:
                        time.sleep(0.01)
                        continue
                    main += 1

        lines = path.read_bytes().splitlines(keepends=True)
        assert signals.times > 100
        assert [line for line in lines if line != b'{"s":1}\n'] == [b'{"n":%d}\n' % number for number in range(main)]
        assert len(lines) == main + signals.times

    def test_a_handler_that_writes_while_the_thread_is_begun(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It begins no second one, and its line is written."""
        gate, start = Gate(is_open=True), threading.Thread.start

        def interrupted(thread: threading.Thread) -> None:
            sink.write(event_of(b'{"n":1}\n'))
            start(thread)

        with waiting(gate) as sink:
            with monkeypatch.context() as patch:
                patch.setattr(threading.Thread, "start", interrupted)
                sink.write(event_of(b'{"n":0}\n'))
            assert len(threads()) == 1
            eventually(lambda: gate.lines == numbered(2), "both lines")

    def test_who_finds_somebody_beginning_it_goes_on(self) -> None:
        """That may be itself, below a signal handler: it cannot wait, and its line is looked at all the same."""
        gate = Gate(is_open=True)
        with waiting(gate) as sink:
            with sink._backlog._hiring:
                sink.write(event_of(b'{"n":0}\n'))
                assert threads() == []
            sink.write(event_of(b'{"n":1}\n'))
            eventually(lambda: gate.lines == numbered(2), "both lines")

    def test_two_that_find_no_thread(self) -> None:
        """Who comes second finds that the first one has begun it."""
        gate = Gate(is_open=True)
        with waiting(gate) as sink:
            sink.write(event_of(b"{}\n"))
            sink._backlog._hire()
            assert len(threads()) == 1


class Overtaken(deque[Any]):
    """Be empty when it is looked into, and hold a line right after: another thread was faster."""

    def __init__(self, write: Callable[[], object]) -> None:
        super().__init__()
        self.write: Callable[[], object] | None = write

    def popleft(self) -> Any:
        try:
            return super().popleft()
        except IndexError:
            write, self.write = self.write, None
            if write is not None:
                write()
            raise


class Closing(Entry):
    """Close *sink* when its line is read: as another thread may, in the middle of a write."""

    def __init__(self, sink: Sink) -> None:
        made = event_of(b"{}\n")
        self.record, self.static, self.tail, self.level = made.record, made.static, made.tail, made.level
        self.sink = sink

    @property
    def line(self) -> bytes:  # type: ignore[override]
        self.sink.close()
        return b'{"n":1}\n'


class TestClose:
    def test_all_that_waits_is_written(self) -> None:
        """And the thread has ended."""
        gate = Gate()
        with waiting(gate) as sink:
            for line in numbered(100):
                sink.write(event_of(line))
            threading.Timer(0.05, gate.open.set).start()
            sink.close()
            assert (gate.lines, threads()) == (numbered(100), [])

    def test_what_is_not_written_in_time_is_lost_and_counted(self) -> None:
        """The one in hand, too, which may be written after all; no other is, and nobody waits twice."""
        gate = Gate()
        with waiting(gate, close_s=1.5) as sink:
            for line in numbered(10):
                sink.write(event_of(line))
            assert gate.reached.wait(PATIENCE)
            began = time.monotonic()
            sink.close()
            sink.close()
            took = time.monotonic() - began
            assert health.faults.counts() == {Fault.LOST: 10}
            gate.open.set()
            eventually(lambda: threads() == [], "the thread to end")

        assert 1.5 <= took < 2.95
        assert (gate.lines, health.take_unreported()["events.lost_in.console"]) == (numbered(1), 10)

    def test_a_thread_that_has_nothing_to_do_has_lost_nothing(self) -> None:
        """Also where nobody waits for its end."""
        gate = Gate(is_open=True)
        with waiting(gate, close_s=0) as sink:
            sink.write(event_of(b"{}\n"))
            eventually(lambda: len(sink._backlog._room) == 10_000, "the line")
            sink.close()

        assert health.faults.counts() == {}

    def test_what_comes_afterwards_is_written_at_once(self) -> None:
        """A request that ends after the end of the worker was begun; what the sink raises then is its caller's."""
        below = Raising()
        with waiting(below) as sink:
            sink.close()
            sink.write(event_of(b"{}\n"))
            below.errors.append(OSError("full"))
            with pytest.raises(OSError, match="full"):
                sink.write(event_of(b"{}\n"))

        assert below.lines == [b"{}\n"]

    @pytest.mark.parametrize("begun", [False, True])
    def test_a_line_that_comes_in_the_middle_of_it_is_written(self, begun: bool) -> None:
        """The thread has looked for the last time; who has brought the line writes it."""
        gate = Gate(is_open=True)
        with waiting(gate) as sink:
            if begun:
                sink.write(event_of(b'{"n":0}\n'))
            sink.write(Closing(sink))
            assert gate.lines == numbered(2)[0 if begun else 1 :]
            assert gate.seen[-1][0] == threading.current_thread().name

    def test_a_sink_that_nobody_refers_to_writes_all_and_lets_go(self, tmp_path: Path) -> None:
        """A process that is configured again and again keeps neither threads nor descriptors."""
        path = tmp_path / "events.jsonl"
        below: LinesSink | None = LinesSink.open(path, longest=LONGEST)
        assert below is not None
        gone = weakref.ref(below)
        sink: BackgroundSink | None = Background(path).around(below)
        below = None
        for line in numbered(1_000):
            assert sink is not None
            sink.write(event_of(line))
        sink = None
        eventually(lambda: threads() == [], "the thread to end")
        eventually(lambda: gone() is None, "the sink to be freed")

        assert path.read_bytes() == b"".join(numbered(1_000))

    def test_one_that_was_never_used_is_freed_at_once(self) -> None:
        """There is no thread to wait for."""
        below = MemorySink()
        gone = weakref.ref(below)
        gc.disable()
        try:
            sink: BackgroundSink | None = Background(below).around(below)
            del below
            assert gone() is not None
            sink = None
            assert (gone(), sink, threads()) == (None, None, [])
        finally:
            gc.enable()


class TestFork:
    def test_what_waits_is_the_parents(self, tmp_path: Path) -> None:
        """The child has a thread of its own, and writes none of its parent's lines once more."""
        gate, path = Gate(), tmp_path / "child.jsonl"
        with waiting(gate) as sink:
            for line in numbered(3):
                sink.write(event_of(line))
            assert gate.reached.wait(PATIENCE)

            def work() -> list[object]:
                gate.open.set()
                before = len(threads())
                sink.write(event_of(b'{"who":"child"}\n'))
                during = len(threads())
                sink.close()
                path.write_bytes(b"".join(gate.lines))
                return [before, during]

            assert in_child(work) == [0, 1]
            gate.open.set()

        assert path.read_bytes() == b'{"who":"child"}\n'
        assert gate.lines == numbered(3)

    def test_the_room_is_the_childs_own(self) -> None:
        """The parent has none left."""
        gate = Gate()
        with waiting(gate, capacity=2) as sink:
            for line in numbered(2):
                sink.write(event_of(line))

            def work() -> list[int]:
                gate.open.set()
                for line in numbered(2):
                    sink.write(event_of(line))
                sink.close()
                return [len(gate.lines), health.faults.counts().get(Fault.LOST, 0)]

            assert in_child(work) == [2, 0]

    def test_a_child_of_a_parent_that_is_closed_begins_anew(self) -> None:
        """Its lines wait, too."""
        gate = Gate(is_open=True)
        with waiting(gate) as sink:
            sink.write(event_of(b"{}\n"))
            sink.close()

            def work() -> int:
                sink.write(event_of(b"{}\n"))
                number = len(threads())
                sink.close()
                return number

            assert in_child(work) == 1


BEGIN = """
import atexit, gc, logging, multiprocessing, os, signal, sys, threading, time
import wideevents
from wideevents.sinks.background import Background
from wideevents.sinks.lines import LinesSink
below = LinesSink(1, longest=16_000, wait_ms=10_000)
wideevents.configure(service="shop", output=Background(below, close_s=5).around(below), logging=False)
def events(count, name="job"):
    for number in range(count):
        with wideevents.event(name, n=number): pass
"""


IN_AN_EVENT = """
with wideevents.event("last"):
    wideevents.add_field("n", 500)
    os.kill(os.getpid(), signal.SIGTERM); time.sleep(30)
"""


def in_process(code: str) -> Ran:
    """Run *code* in a process of its own."""
    return run(BEGIN + dedent(code), seconds=30)


class TestTheEndOfAProcess:
    @pytest.mark.parametrize(
        ("end", "code"),
        [
            ("pass", 0),
            ("sys.exit(3)", 3),
            ("1 / 0", 1),
            ("signal.signal(signal.SIGTERM, lambda *_: sys.exit(4)); os.kill(os.getpid(), signal.SIGTERM)", 4),
            ("wideevents.configure(output=os.devnull, logging=False); gc.collect()", 0),
            (IN_AN_EVENT, -signal.SIGTERM),
            ("threading.Thread(target=lambda: (time.sleep(0.1), events(1, 'thread'))).start()", 0),
        ],
        ids=["normal", "exit", "error", "handled signal", "configured again", "signal in an event", "a thread is left"],
    )
    def test_waits_until_all_is_written(self, end: str, code: int) -> None:
        """However it ends: every line once, in its order."""
        ran = in_process(f"events(500)\n{end}")
        numbers = [line["n"] for line in ran.all()]

        assert ran.code == code
        assert numbers[:500] == list(range(500))
        assert len(numbers) == 500 + (code == -signal.SIGTERM) + ("thread" in end)

    def test_waits_in_a_child_of_multiprocessing_and_in_one_of_fork(self) -> None:
        """The first ends without `atexit`, and none tells what its parent had to tell."""
        ran = in_process("""
            events(100, "parent")
            child = multiprocessing.get_context("fork").Process(target=events, args=(300, "child"))
            child.start(); child.join()
            pid = os.fork()
            if not pid:
                events(300, "forked")
                sys.exit(0)
            os.waitpid(pid, 0)
            events(100, "after")
        """)
        told = [(line["event.name"], line["n"], line["process.pid"]) for line in ran.all()]
        expected = {"parent": 100, "child": 300, "forked": 300, "after": 100}

        assert {name: [n for own, n, _ in told if own == name] for name in expected} == {
            name: list(range(number)) for name, number in expected.items()
        }
        assert len({pid for _, _, pid in told}) == 3

    def test_writes_at_once_what_comes_after_it(self) -> None:
        """In what was registered before us, and in the last `__del__`."""
        ran = run(
            "import atexit\natexit.register(lambda: events(2, 'at exit'))\n"
            + BEGIN
            + dedent("""
            class Cart:
                def __del__(self): events(1, "deleted")
            cart = Cart()
            events(3)
            """)
        )

        assert [line["event.name"] for line in ran.all()] == ["job"] * 3 + ["at exit"] * 2 + ["deleted"]
        assert ran.err == ""

    def test_does_not_wait_for_ever(self) -> None:
        """What stands still at the end is told, with its number."""
        began = time.monotonic()
        ran = run(f"""
            import os, sys, time
            import wideevents
            from wideevents.sinks.background import Background
            class Still:
                def write(self, entry):
                    if b"wideevents" in entry.record.get("log.logger", "").encode(): os.write(2, entry.line)
                    else: time.sleep(60)
                def close(self): pass
            below = Still()
            wideevents.configure(output=Background(below, close_s=0.3).around(below))
            for _ in range(8):
                with wideevents.event("job"): pass
            time.sleep(0.1)
            assert {sys.maxsize}
        """)
        (told,) = [read(line.encode() + b"\n") for line in ran.err.splitlines()]

        assert time.monotonic() - began < PATIENCE
        assert "the process ends" in told["message"]
        assert (ran.code, told["events.lost"]) == (0, 8)

    def test_gevent_may_come_after_us(self) -> None:
        """A worker is patched when the sink is there already, as one that a configuration file made before the fork."""
        ran = in_process("""
            from gevent import monkey
            monkey.patch_all()
            import gevent
            from gevent.pool import Pool
            pool = Pool(50)
            for number in range(20):
                pool.spawn(events, 10, f"greenlet {number}")
            pool.join()
            gevent.sleep(0.01)
        """)

        assert sorted((line["event.name"], line["n"]) for line in ran.all()) == sorted(
            (f"greenlet {number}", n) for number in range(20) for n in range(10)
        )
        assert ran.code == 0


class TestOutput:
    def test_a_path_is_opened_and_written_to_in_the_background(self, tmp_path: Path, reconfigurable: None) -> None:
        """`configure(output=Background("events.jsonl"))` is all it takes."""
        path = tmp_path / "events.jsonl"
        wideevents.configure(output=Background(path, capacity=10), logging=False)
        with wideevents.event("job"):
            pass
        (thread,) = threads()
        wideevents.configure(output=os.devnull, logging=False)
        thread.join(PATIENCE)

        assert parse_line(path.read_bytes())["event.name"] == "job"

    def test_a_sink_of_ones_own_among_others(self, reconfigurable: None) -> None:
        """Each of several outputs may wait or not."""
        gate, memory = Gate(is_open=True), MemorySink()
        wideevents.configure(output=[Background(gate), memory], logging=False)
        with wideevents.event("job"):
            pass
        assert len(memory.lines) == 1
        eventually(lambda: gate.lines == memory.lines, "the line")
        wideevents.configure(output=os.devnull, logging=False)
        eventually(lambda: threads() == [], "the thread to end")

    @pytest.mark.parametrize("output", [7, "", None, sys.stdout], ids=["number", "empty", "nothing", "file"])
    def test_what_is_no_output_is_none_in_the_background(self, output: Any) -> None:
        """It is refused where it is given, in the sentence that holds for all outputs."""
        with pytest.raises(ConfigurationError, match=r"^output=.* cannot be used: it must be"):
            wideevents.configure(output=Background(output))
