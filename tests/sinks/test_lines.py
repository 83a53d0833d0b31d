"""What the lines sink promises beyond what every sink does."""

from __future__ import annotations

import fcntl
import gc
import importlib.util
import os
import random
import resource
import select
import signal
import socket
import stat
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Event as Flag
from threading import Thread, Timer
from types import ModuleType
from typing import Any

import pytest

import wideevents
from tests.conftest import at_once, in_child
from tests.sinks import event_of, padded
from tests.sinks.pipes import LONGEST, Pipe, fork
from tests.strict import parse_line, strict_loads
from wideevents import health
from wideevents.errors import ConfigurationError
from wideevents.events import Event
from wideevents.health import Fault
from wideevents.sinks import lines as lines_room
from wideevents.sinks.lines import PATIENCE, LinesSink

LONGER_THAN_A_PIPE = 100_000
"""Bytes that Linux does not take at once, whatever else is in the pipe."""

ENOUGH = PATIENCE * 1.5
"""Seconds that tell one wait from two."""


ENDING = 10.0
"""Seconds after which a thread that should end is stuck."""


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """Give a pipe whose writer somebody has made non-blocking."""
    made = Pipe(blocking=False)
    yield made
    made.close()


def seconds_to_fail(sink: LinesSink, line: bytes) -> float:
    """Return how long the sink waits before it gives *line* up."""
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        sink.write(event_of(line))
    return time.monotonic() - started


def shortest(attempt: Callable[[], float]) -> float:
    """Return the shortest of some waits: a busy machine adds to most of them, and a defect to all."""
    waits = [attempt()]
    while min(waits) > ENOUGH and len(waits) < 20:
        waits.append(attempt())
    return min(waits)


def received(reader: socket.socket) -> bytes:
    """Return what has arrived."""
    try:
        return reader.recv(65_536)
    except BlockingIOError:
        return b""


def only_sockets(_: object, descriptors: tuple[int, ...], *__: object) -> object:
    """Do what `select.select` does on Windows with anything that is no socket."""
    raise OSError(10038, "An operation was attempted on something that is not a socket")


def give_up(sink: LinesSink, line: bytes) -> None:
    """Write *line*, or not."""
    with suppress(TimeoutError):
        sink.write(event_of(line))


class TestOneWrite:
    @pytest.mark.parametrize("size", [100, 4_097, LONGEST])
    def test_a_line_is_one_write(self, size: int) -> None:
        """Each datagram is one write: what is killed between two of them leaves no half line."""
        reader, writer = socket.socketpair(type=socket.SOCK_DGRAM)
        with reader, writer:
            sink = LinesSink(writer.fileno(), longest=LONGEST)
            for mark in "ab":
                sink.write(event_of(padded(size, mark)))

                assert reader.recv(2 * LONGEST) == padded(size, mark)

    def test_nothing_is_held_back(self, tmp_path: Path) -> None:
        """When write() is back the line is with the kernel, where a kill cannot reach it."""
        sink = LinesSink.open(tmp_path / "events.jsonl", longest=LONGEST)

        for number in range(1, 4):
            sink.write(event_of(b"{}\n"))
            assert 3 * number == (tmp_path / "events.jsonl").stat().st_size


class TestShortWrites:
    @pytest.fixture
    def stingy(self, pipe: Pipe) -> list[int]:
        """Let the kernel take at most 1,000 bytes of the pipe at once; gives the sizes it was asked to write."""
        asked: list[int] = []

        def short(descriptor: int, data: bytes) -> int:
            asked.append(len(data))
            return os.write(descriptor, data[:1_000])

        pipe.sink = LinesSink(pipe.writer, longest=LONGEST, write=short)
        return asked

    def test_a_short_write_is_completed(self, pipe: Pipe, stingy: list[int]) -> None:
        """The kernel may take less than it was given; the rest follows at once."""
        pipe.sink.write(event_of(padded(2_500)))

        assert padded(2_500) == pipe.read()
        assert stingy == [2_500, 1_500, 500]

    def test_the_next_line_follows_without_an_empty_one(self, pipe: Pipe, stingy: list[int]) -> None:
        """A line that was completed is a whole line."""
        pipe.sink.write(event_of(padded(2_500)))
        pipe.sink.write(event_of(padded(100)))

        assert padded(2_500) + padded(100) == pipe.read()

    def test_a_full_pipe_is_waited_for(self, pipe: Pipe) -> None:
        """A reader that comes in time gets the line whole."""
        pipe.sink = LinesSink(pipe.writer, wait_ms=1_000 * ENDING)
        pipe.fill()
        found: list[bytes] = []

        def read_late() -> None:
            time.sleep(PATIENCE / 3)
            deadline = time.monotonic() + ENDING
            while time.monotonic() < deadline and b"}" not in b"".join(found):
                found.append(pipe.read())

        reader = Thread(target=read_late)
        reader.start()
        pipe.sink.write(event_of(padded(30_000)))
        reader.join()

        assert padded(30_000) == (b"".join(found) + pipe.read()).lstrip(b"\n")


class TestShortWritesToAFile:
    """A disk that is nearly full, or a signal, may take a part of a line only."""

    def test_the_rest_is_written(self, tmp_path: Path) -> None:
        """The line arrives whole, whatever each write takes of it."""
        sink = LinesSink.open(tmp_path / "events.jsonl", write=lambda descriptor, line: os.write(descriptor, line[:7]))
        sink.write(event_of(padded(100, "a")))
        sink.write(event_of(padded(50, "b")))

        assert (tmp_path / "events.jsonl").read_bytes() == padded(100, "a") + padded(50, "b")

    def test_a_broken_line_does_not_spoil_the_next(self, tmp_path: Path) -> None:
        """What is left of it stands on a line of its own."""
        takes = iter([7, 0])

        def full(descriptor: int, line: bytes) -> int:
            if (room := next(takes, len(line))) == 0:
                raise OSError("no space left on device")
            return os.write(descriptor, line[:room])

        sink = LinesSink.open(tmp_path / "events.jsonl", write=full)
        with pytest.raises(OSError, match="no space"):
            sink.write(event_of(padded(100, "a")))
        sink.write(event_of(padded(50, "b")))

        assert (tmp_path / "events.jsonl").read_bytes() == padded(100, "a")[:7] + b"\n" + padded(50, "b")


class TestSlowReader:
    def test_a_line_is_given_up_after_its_patience(self, pipe: Pipe) -> None:
        """A request waits a tenth of a second for whoever reads its line, and no longer."""
        pipe.fill()

        assert PATIENCE * 0.9 <= shortest(lambda: seconds_to_fail(pipe.sink, padded(1_000))) <= ENOUGH

    @pytest.mark.skipif(sys.platform != "linux", reason="the size of a pipe is Linux's")
    def test_a_line_of_which_a_part_is_out_is_given_up_too(self, pipe: Pipe) -> None:
        """The rest of a line is worth waiting for, but not for ever."""

        def attempt() -> float:
            pipe.read()
            return seconds_to_fail(pipe.sink, padded(LONGER_THAN_A_PIPE))

        assert PATIENCE * 0.9 <= shortest(attempt) <= ENOUGH

    def test_all_its_waiting_together_is_one_patience(self, pipe: Pipe) -> None:
        """The turn, the first byte and the last byte share one deadline: a request waits 100 ms in all."""

        def read_a_little() -> None:
            time.sleep(PATIENCE * 0.8)
            os.read(pipe.reader, 4_096)

        def attempt() -> float:
            pipe.fill()
            trickle = Thread(target=read_a_little)
            trickle.start()
            waited = seconds_to_fail(pipe.sink, padded(30_000))
            trickle.join()
            return waited

        assert shortest(attempt) <= ENOUGH

    def test_a_torn_line_does_not_spoil_the_next(self, pipe: Pipe) -> None:
        """What is left of it is ended by a newline, so that the next line is one of its own."""
        seconds_to_fail(pipe.sink, padded(LONGER_THAN_A_PIPE, "t"))
        assert pipe.read()
        for mark in "ab":
            pipe.sink.write(event_of(padded(500, mark)))

        assert [padded(500, "a"), padded(500, "b")] == pipe.lines()

    def test_a_torn_line_is_ended_even_if_the_next_cannot_be_written_either(self, pipe: Pipe) -> None:
        """However many lines are lost in a row, the first that is written stands alone."""
        for mark in "tu":
            seconds_to_fail(pipe.sink, padded(LONGER_THAN_A_PIPE, mark))
        assert pipe.read().strip(b"\n").startswith(b'{"pad":"ttt')
        pipe.sink.write(event_of(padded(500, "a")))

        assert b"\n" + padded(500, "a") == pipe.read()

    def test_a_lost_line_is_counted_and_told_on_the_next(self, pipe: Pipe, reconfigurable: None) -> None:
        """The work goes on as if nothing was, and the next line says that one is missing."""
        wideevents.configure(output=pipe.sink)
        pipe.fill()
        with wideevents.event("lost"):
            pass
        pipe.read()
        with wideevents.event("written"):
            pass
        (line,) = pipe.lines()

        assert (parse_line(line)["event.name"], parse_line(line)["events.lost"]) == ("written", 1)
        assert health.faults.counts() == {Fault.LOST: 1}

    @pytest.mark.parametrize("size", [1_000, 30_000])
    def test_a_blocking_pipe_keeps_its_patience_too(self, size: int) -> None:
        """Standard output is inherited, and blocks: a reader that stops must not stop the service."""
        pipe = Pipe(blocking=True)

        def attempt() -> float:
            pipe.fill()
            rescue = Timer(ENDING, pipe.read)
            rescue.start()
            waited = seconds_to_fail(pipe.sink, padded(size))
            rescue.cancel()
            return waited

        waited = shortest(attempt)
        pipe.close()

        assert PATIENCE * 0.9 <= waited <= ENOUGH

    def test_a_socket_that_does_not_block_keeps_its_patience_too(self) -> None:
        """Its reader is waited for, and then the line is given up; the next one is whole."""
        reader, writer = socket.socketpair()
        with reader, writer:
            writer.settimeout(0)
            sink = LinesSink(writer.fileno(), longest=LONGEST)
            with suppress(BlockingIOError):
                while True:
                    writer.send(b"\n" * 4_096)

            assert PATIENCE * 0.9 <= shortest(lambda: seconds_to_fail(sink, padded(1_000))) <= ENOUGH
            sink = LinesSink(writer.fileno(), longest=LONGEST, wait_ms=1_000 * ENDING)
            reader.settimeout(0)
            found: list[bytes] = []
            late = Timer(PATIENCE / 3, lambda: found.extend(iter(partial(received, reader), b"")))
            late.start()
            sink.write(event_of(padded(1_000)))
            late.join()

            assert (b"".join(found) + received(reader)).lstrip(b"\n") == padded(1_000)

    def test_on_a_blocking_pipe_a_line_of_which_a_part_is_out_is_finished(self) -> None:
        """It cannot be taken back, and the descriptor waits by itself: the one case that may take longer."""
        pipe = Pipe(blocking=True)
        found: list[bytes] = []
        rescue = Timer(2 * PATIENCE, lambda: found.append(pipe.read()))
        rescue.start()
        pipe.sink.write(event_of(padded(LONGER_THAN_A_PIPE)))
        rescue.join()
        found.append(pipe.read())
        pipe.close()

        assert b"".join(found) == padded(LONGER_THAN_A_PIPE)

    @pytest.mark.skipif(resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 4_096, reason="few files may be open here")
    def test_the_number_of_the_descriptor_does_not_matter(self, pipe: Pipe) -> None:
        """A server with many connections has given the low numbers away when it configures itself."""
        high = fcntl.fcntl(pipe.writer, fcntl.F_DUPFD_CLOEXEC, 2_000)
        try:
            LinesSink(high, longest=LONGEST).write(event_of(padded(100)))
        finally:
            os.close(high)

        assert pipe.read() == padded(100)

    def test_what_others_write_to_the_same_pipe_still_blocks(self) -> None:
        """Standard output is shared with print(): it must not become non-blocking because of us."""
        pipe = Pipe(blocking=True)
        pipe.sink.write(event_of(padded(100)))

        assert os.get_blocking(pipe.writer)
        pipe.close()


class TestTurns:
    def test_lines_of_several_processes_and_threads_do_not_mix(self) -> None:
        """Four processes of two threads on one pipe, lines of 1 to 60 KB: none is torn, and what is lost is counted."""
        pipe = Pipe(blocking=True, wait_ms=10_000)
        children = [fork(partial(write_many, pipe, mark)) for mark in "abcd"]
        os.close(pipe.writer)
        del pipe.sink  # it may hold a description of its own
        gc.collect()
        os.set_blocking(pipe.reader, True)
        received = b""
        while part := os.read(pipe.reader, 65_536):
            received += part
        os.close(pipe.reader)
        lost = sum(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)
        marks = [set(strict_loads(line.decode())["pad"]) for line in received.splitlines()]

        assert all(len(mark) == 1 for mark in marks)
        assert len(marks) + lost == 4 * 2 * 30
        assert len(marks) > lost

    def test_lines_of_several_sinks_of_a_process_do_not_mix(self) -> None:
        """Standard output and error lead to one pipe; or requests that began before a `configure()` still end."""
        pipe = Pipe(blocking=True, longest=2 * LONGER_THAN_A_PIPE, wait_ms=20_000)
        again = LinesSink(os.dup(pipe.writer), longest=2 * LONGER_THAN_A_PIPE, wait_ms=20_000)
        received = bytearray()

        def write(sink: LinesSink, mark: str) -> None:
            for _ in range(20):
                sink.write(event_of(padded(LONGER_THAN_A_PIPE, mark)))

        def read() -> None:
            while part := os.read(pipe.reader, 4_096):
                received.extend(part)

        os.set_blocking(pipe.reader, True)
        threads = [Thread(target=write, args=(sink, mark)) for sink, mark in ((pipe.sink, "a"), (again, "b"))]
        reading = Thread(target=read)
        for thread in (*threads, reading):
            thread.start()
        for thread in threads:
            thread.join()
        for descriptor in (pipe.writer, again._descriptor):
            os.close(descriptor)
        reading.join()
        os.close(pipe.reader)

        assert [len(set(strict_loads(line.decode())["pad"])) for line in received.splitlines()] == [1] * 40

    def test_a_line_that_one_sink_has_torn_is_ended_by_another(self, pipe: Pipe) -> None:
        """The next line of the process stands alone, whoever writes it."""
        seconds_to_fail(pipe.sink, padded(LONGER_THAN_A_PIPE, "t"))
        assert pipe.read()
        LinesSink(pipe.writer).write(event_of(padded(500, "a")))

        assert pipe.read() == b"\n" + padded(500, "a")

    def test_another_process_that_keeps_the_pipe_is_waited_for_no_longer_than_the_patience(self, pipe: Pipe) -> None:
        """A process that was stopped while it held the turn must not stop the others."""
        child = fork(lambda: hold(pipe))
        os.set_blocking(pipe.reader, True)
        assert os.read(pipe.reader, 5) == b"held\n"
        try:
            assert PATIENCE * 0.9 <= shortest(lambda: seconds_to_fail(pipe.sink, padded(100))) <= ENOUGH
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        os.set_blocking(pipe.reader, False)
        pipe.sink.write(event_of(padded(100)))

        assert padded(100) == pipe.read()

    def test_another_thread_that_keeps_the_pipe_is_waited_for_no_longer_than_the_patience(self, pipe: Pipe) -> None:
        """A thread that waits for the reader holds the turn; the next one gives up when its own time is over."""
        pipe.fill()

        def attempt() -> float:
            work = partial(seconds_to_fail, pipe.sink, padded(9_000))
            return max(wait for wait in at_once(work, work) if isinstance(wait, float))

        assert shortest(attempt) <= ENOUGH

    def test_a_fork_beside_a_thread_that_writes_locks_nobody_out(self, pipe: Pipe) -> None:
        """The thread that holds the turn is not in the child: there the lock is made anew."""
        pipe.fill()
        writing = Thread(target=lambda: give_up(pipe.sink, padded(9_000)))
        writing.start()
        time.sleep(PATIENCE / 3)

        def write() -> str:
            deadline = time.monotonic() + 5
            while time.monotonic() < deadline:
                try:
                    pipe.read()
                    pipe.sink.write(event_of(padded(100)))
                except TimeoutError:
                    continue
                return "written"
            return "locked out"

        answer = in_child(write)
        writing.join()

        assert answer == "written"

    def test_a_signal_handler_that_ends_an_event_locks_nobody_out(self, pipe: Pipe) -> None:
        """It runs in the thread that holds the turn, which takes its line along; what is lost even so is counted."""
        pipe.fill()
        before = signal.signal(signal.SIGALRM, lambda *_: pipe.sink.write(event_of(padded(100))))
        try:
            signal.setitimer(signal.ITIMER_REAL, PATIENCE / 4)
            seconds_to_fail(pipe.sink, padded(9_000))
        finally:
            signal.signal(signal.SIGALRM, before)
        pipe.read()
        pipe.sink.write(event_of(padded(100)))

        assert health.faults.counts() == {Fault.LOST: 1}
        assert padded(100) == pipe.read()

    def test_the_turn_is_given_back_after_a_failure(self, pipe: Pipe) -> None:
        """Another process may write at once after a line of ours was given up."""
        pipe.fill()
        seconds_to_fail(pipe.sink, padded(9_000))

        assert in_child(lambda: fcntl.lockf(pipe.writer, fcntl.LOCK_EX | fcntl.LOCK_NB) or "free") == "free"

    def test_short_lines_on_a_pipe_need_none(self) -> None:
        """Up to PIPE_BUF the kernel keeps lines apart by itself (POSIX): nobody waits for a turn."""
        pipe = Pipe(blocking=False, longest=select.PIPE_BUF)
        child = fork(lambda: hold(pipe))
        os.set_blocking(pipe.reader, True)
        assert os.read(pipe.reader, 5) == b"held\n"
        pipe.sink.write(event_of(padded(select.PIPE_BUF)))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)

        assert padded(select.PIPE_BUF) == os.read(pipe.reader, LONGEST)
        pipe.close()


class TestDescriptor:
    def test_one_that_is_not_open_is_refused_in_a_sentence(self) -> None:
        """A daemon may have closed its standard output."""
        with pytest.raises(ConfigurationError, match=r"cannot be written to the descriptor 9999: "):
            LinesSink(9_999, longest=16_000)


class TestFailures:
    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has a device that is always full")
    def test_a_full_disk_costs_the_line_and_is_counted(
        self, reconfigurable: None, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The work goes on; the sentence says that no space is left, once."""
        wideevents.configure(output="/dev/full")
        answers = []
        for number in range(3):
            with wideevents.event("job"):
                answers.append(number)

        assert answers == [0, 1, 2]
        assert health.faults.counts() == {Fault.LOST: 3}
        assert sum("No space left" in record.getMessage() for record in caplog.records) == 1

    def test_a_reader_that_is_gone_costs_the_line_and_not_the_process(self, reconfigurable: None) -> None:
        """`serve | head -1` ends the reader first."""
        pipe = Pipe(blocking=True)
        wideevents.configure(output=pipe.sink)
        os.close(pipe.reader)
        with wideevents.event("job"):
            pass
        os.close(pipe.writer)

        assert health.faults.counts() == {Fault.LOST: 1}

    def test_a_descriptor_that_somebody_closed_costs_the_line(self, reconfigurable: None) -> None:
        """A daemon may close what it inherited."""
        pipe = Pipe(blocking=True)
        wideevents.configure(output=pipe.sink)
        pipe.close()
        with wideevents.event("job"):
            pass

        assert health.faults.counts() == {Fault.LOST: 1}


class TestWindows:
    @pytest.fixture
    def lines(self, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
        """Load the room once more, as it is on Windows."""
        monkeypatch.setattr(sys, "platform", "win32")
        for name in ("PIPE_BUF", "poll"):
            monkeypatch.delattr(select, name)
        monkeypatch.setattr(select, "select", only_sockets)
        spec = importlib.util.spec_from_file_location("lines_on_windows", lines_room.__file__)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def test_the_plain_write_works(self, lines: ModuleType) -> None:
        """There are no locks between processes there; the lines of one process still take turns."""
        pipe = Pipe(blocking=True)
        sink = lines.LinesSink(pipe.writer, longest=LONGEST)
        for mark in "ab":
            sink.write(event_of(padded(5_000, mark)))

        assert pipe.lines() == [padded(5_000, "a"), padded(5_000, "b")]
        assert not hasattr(lines, "fcntl")
        pipe.close()


class TestFile:
    def test_lines_are_appended_to_what_is_there(self, tmp_path: Path) -> None:
        """A restart goes on where the last process ended."""
        path = tmp_path / "events.jsonl"
        path.write_bytes(b'{"n":0}\n')
        for number in (1, 2):
            LinesSink.open(path, longest=LONGEST).write(event_of(b'{"n":%d}\n' % number))

        assert path.read_bytes() == b'{"n":0}\n{"n":1}\n{"n":2}\n'

    def test_two_processes_share_a_file(self, tmp_path: Path) -> None:
        """It is opened to append: none writes over the other's lines."""
        path = tmp_path / "events.jsonl"
        sink = LinesSink.open(path, longest=LONGEST)

        def write() -> int:
            other = LinesSink.open(path, longest=LONGEST)
            for _ in range(50):
                other.write(event_of(padded(5_000, "c")))
            return 0

        child = fork(write)
        for _ in range(50):
            sink.write(event_of(padded(5_000, "p")))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

        assert sorted([padded(5_000, "c")] * 50 + [padded(5_000, "p")] * 50) == sorted(
            path.read_bytes().splitlines(keepends=True)
        )

    def test_a_new_file_is_readable_by_others_and_writable_by_its_owner(self, tmp_path: Path) -> None:
        """A log shipper that runs as another user can read it."""
        path = tmp_path / "events.jsonl"
        before = os.umask(0)
        try:
            LinesSink.open(path, longest=LONGEST)
        finally:
            os.umask(before)

        assert stat.S_IMODE(path.stat().st_mode) == 0o644

    @pytest.mark.parametrize("path", ["", "missing/events.jsonl"], ids=["a folder", "in a folder that is not there"])
    def test_a_path_that_cannot_be_written_is_refused_at_once(self, path: str, tmp_path: Path) -> None:
        """The sentence says which path and why, before the first request."""
        with pytest.raises(ConfigurationError) as refused:
            LinesSink.open(tmp_path / path, longest=LONGEST)

        assert str(refused.value).startswith(f"output='{tmp_path / path}' cannot be used: it must be a file that")
        assert isinstance(refused.value.__cause__, OSError)

    def test_it_is_closed_when_the_sink_is_dropped(self, tmp_path: Path) -> None:
        """A process that configures itself again and again keeps no descriptor."""
        before = descriptors(tmp_path)
        sink = LinesSink.open(tmp_path / "events.jsonl", longest=LONGEST)
        assert before + 1 == descriptors(tmp_path)
        sink.close()
        del sink
        gc.collect()

        assert before == descriptors(tmp_path)

    def test_it_is_not_closed_before_an_event_in_progress_is_written(
        self, tmp_path: Path, reconfigurable: None
    ) -> None:
        """A request that began before a new configure() ends in the file it began with."""
        first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
        wideevents.configure(output=first)
        with wideevents.event("before"):
            wideevents.configure(output=second)
            gc.collect()
            with wideevents.event("after"):
                pass

        assert [parse_line(line)["event.name"] for line in first.read_bytes().splitlines(keepends=True)] == ["before"]
        assert [parse_line(line)["event.name"] for line in second.read_bytes().splitlines(keepends=True)] == ["after"]
        gc.collect()
        assert descriptors(tmp_path) == 1

    def test_a_program_that_is_started_does_not_inherit_it(self, tmp_path: Path) -> None:
        """A descriptor that leaks into a child keeps the file open for as long as that runs."""
        sink = LinesSink.open(tmp_path / "events.jsonl", longest=LONGEST)
        links = [Path("/dev/fd") / name for name in os.listdir("/dev/fd")]
        opened = [int(link.name) for link in links if os.path.exists(link) and same(link, tmp_path / "events.jsonl")]

        assert sink
        assert [os.get_inheritable(descriptor) for descriptor in opened] == [False]


def same(link: Path, path: Path) -> bool:
    """Tell whether *link*, of /dev/fd, is the file at *path*."""
    try:
        return os.path.samefile(link, path)
    except OSError:
        return False


def descriptors(folder: Path) -> int:
    """Return how many files of *folder* this process has open."""
    files = [path for path in folder.iterdir() if path.is_file()]
    links = [Path("/dev/fd") / name for name in os.listdir("/dev/fd")]
    return sum(1 for link in links if any(same(link, path) for path in files))


def hold(pipe: Pipe) -> int:
    """Take the turn of the pipe, say so, and keep it."""
    fcntl.lockf(pipe.writer, fcntl.LOCK_EX)
    os.write(pipe.writer, b"held\n")
    time.sleep(30)
    return 0


def write_many(pipe: Pipe, mark: str) -> int:
    """Write thirty lines from each of two threads; return how many were lost."""
    os.close(pipe.reader)
    lost: list[int] = []

    def write(seed: int) -> None:
        sizes = random.Random(f"{mark}{seed}")
        for _ in range(30):
            try:
                pipe.sink.write(event_of(padded(sizes.choice([1_000, 4_096, 9_000, 20_000, LONGEST]), mark)))
            except TimeoutError:
                lost.append(1)

    threads = [Thread(target=write, args=(seed,)) for seed in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(lost)


class Emptied(deque[bytes]):
    """Be empty when it is looked into, because another thread was faster."""

    def __bool__(self) -> bool:
        return True


@contextmanager
def interrupted(work: Callable[[], object], seconds: float) -> Iterator[None]:
    """Run *work* in a signal handler, again and again, so many *seconds* after it ended."""
    over: list[bool] = []

    def handle(*_: object) -> None:
        work()
        if not over:
            signal.setitimer(signal.ITIMER_REAL, seconds)

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        over.append(True)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class TestSignalHandlers:
    """A signal handler runs in the middle of what the main thread does, a write of a line included."""

    def test_a_line_in_the_middle_of_a_write_comes_after_it(self, pipe: Pipe) -> None:
        """Not into it, and not never."""
        pipe.sink = LinesSink(pipe.writer, longest=LONGEST, wait_ms=10_000)
        pipe.fill(room=8_192)
        interrupting = Flag()
        taken: list[bytes] = []

        def late() -> None:
            if pipe.sink._turn.busy and not interrupting.is_set():
                pipe.sink.write(event_of(padded(100, "s")))
                interrupting.set()

        def read() -> None:
            assert interrupting.wait(ENDING)
            taken.append(pipe.read())

        reader = Thread(target=read)
        with interrupted(late, 0.01):
            reader.start()
            pipe.sink.write(event_of(padded(20_000)))
            reader.join()

        lines = [line + b"\n" for line in (b"".join(taken) + pipe.read()).split(b"\n") if line]
        assert [padded(20_000), padded(100, "s")] == lines

    def test_a_line_in_the_middle_of_one_that_is_lost_is_written(self, pipe: Pipe) -> None:
        """Its own fate is its own."""
        pipe.sink = LinesSink(pipe.writer, longest=LONGEST, wait_ms=1_000)
        pipe.fill()
        reader = Timer(1.5, lambda: taken.append(pipe.read()))
        taken: list[bytes] = []
        with interrupted(once(lambda: pipe.sink.write(event_of(padded(100, "s")))), 0.3):
            reader.start()
            with pytest.raises(TimeoutError):
                pipe.sink.write(event_of(padded(100)))
        reader.join()

        assert padded(100, "s") in b"".join(taken) + pipe.read()

    def test_a_line_that_could_not_be_taken_along_is_counted(self, pipe: Pipe) -> None:
        """The handler has gone on, and can be told nothing any more; the line it interrupted is not to blame."""
        pipe.sink = LinesSink(pipe.writer, longest=LONGEST, wait_ms=1_000)
        pipe.fill()
        late = once(lambda: pipe.sink.write(event_of(padded(100, "s"))))
        with interrupted(late, 0.3), pytest.raises(TimeoutError):
            pipe.sink.write(event_of(padded(100)))

        assert 1 == health.faults.counts()[Fault.LOST]

    def test_any_number_of_lines_may_wait(self, pipe: Pipe) -> None:
        """They are written one after the other, and not one inside the other."""
        pipe.sink._turn.waiting.extend(padded(20, mark) for mark in "ab" * 1_000)
        pipe.sink.write(event_of(padded(20)))

        assert [padded(20), *(padded(20, mark) for mark in "ab" * 1_000)] == pipe.lines()

    def test_a_line_that_another_thread_took_is_nothing_to_do(self, pipe: Pipe) -> None:
        """Two threads may see the same line waiting."""
        pipe.sink._turn.waiting = Emptied()
        pipe.sink.write(event_of(padded(20)))

        assert [padded(20)] == pipe.lines()

    @pytest.mark.parametrize(("size", "seconds"), [(200, 0.001), (9_000, 0.001), (9_000, 0.0003), (LONGEST, 0.001)])
    def test_nothing_is_lost_and_nothing_torn(self, size: int, seconds: float) -> None:
        """A main loop that logs without a pause, a handler that logs as well, and a reader."""
        made = Pipe(blocking=True, wait_ms=1_000 * ENDING)
        os.set_blocking(made.reader, True)
        written, found = Counter[bytes](), bytearray()

        def read() -> None:
            while part := os.read(made.reader, 65_536):
                found.extend(part)

        def write(event: Event) -> None:
            written[event.line] += 1
            made.sink.write(event)

        main, handler = event_of(padded(size, "m")), event_of(padded(size + 1, "s"))
        reader = Thread(target=read)
        reader.start()
        with interrupted(partial(write, handler), seconds):
            until = time.monotonic() + 1.0
            while time.monotonic() < until:
                write(main)
        os.close(made.writer)
        reader.join(ENDING)
        os.close(made.reader)

        assert (dict(written), {}) == (dict(Counter(bytes(found).splitlines(keepends=True))), health.faults.counts())
        assert written[handler.line] > 50

    def test_threads_and_a_signal_handler_do_not_mix(self, eager_switching: None) -> None:
        """Several threads write while the main one is interrupted."""
        made = Pipe(blocking=True)
        os.set_blocking(made.reader, True)
        found, done = bytearray(), Flag()
        written: list[bytes] = []

        def read() -> None:
            while part := os.read(made.reader, 65_536):
                found.extend(part)

        def write(event: Event) -> None:
            with suppress(TimeoutError):  # two cores, and threads that never pause: a turn may come too late
                made.sink.write(event)
                written.append(event.line)

        def work(event: Event) -> None:
            while not done.is_set():
                write(event)

        main, first, second, handler = (event_of(padded(5_000, mark)) for mark in "mabs")
        threads = [Thread(target=read), Thread(target=work, args=(first,)), Thread(target=work, args=(second,))]
        for thread in threads:
            thread.start()
        with interrupted(partial(write, handler), 0.001):
            until = time.monotonic() + 1.0
            while time.monotonic() < until:
                write(main)
        done.set()
        for thread in threads[1:]:
            thread.join(ENDING)
        os.close(made.writer)
        threads[0].join(ENDING)
        os.close(made.reader)

        read_lines = Counter(bytes(found).splitlines(keepends=True))
        lost = health.faults.counts().get(Fault.LOST, 0)  # of those that the handler left to the write it interrupted
        assert Counter() == read_lines - Counter(written)
        assert Counter({handler.line: lost}) == Counter(written) - read_lines
        assert {main.line, first.line, second.line, handler.line} == set(written)


def once(work: Callable[[], object]) -> Callable[[], None]:
    """Return what runs *work* the first time that it is called."""
    left = [work]

    def run() -> None:
        if left:
            left.pop()()

    return run


class TestPath:
    """Where the lines can be read again, for who recovers lost events."""

    def test_a_file_can_be_read(self, tmp_path: Path) -> None:
        """What was written is there, also after it was renamed."""
        sink = LinesSink.open(tmp_path / "events.jsonl", longest=16_000)
        sink.write(event_of(b"one\n"))
        (tmp_path / "events.jsonl").rename(tmp_path / "events.jsonl.1")

        assert sink.path is not None
        assert Path(sink.path).read_bytes() == b"one\n"

    def test_a_pipe_cannot(self) -> None:
        """Its reader has what was written."""
        reading, writing = os.pipe()
        try:
            assert LinesSink(writing, longest=16_000).path is None
        finally:
            os.close(reading)
            os.close(writing)


class Slow(LinesSink):
    """Take long to look where the file is."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.looks, self.may_go_on = Flag(), Flag()

    def _look(self) -> None:
        self.looks.set()
        assert self.may_go_on.wait(10)
        super()._look()


class Interrupted(LinesSink):
    """Be interrupted by a signal handler that logs, while it looks where the file is."""

    def _look(self) -> None:
        self.write(event_of(b"handler\n"))
        super()._look()


class TestLook:
    """One thread looks where the file is by now; the others go on."""

    def test_a_signal_handler_may_log_in_the_middle(self, tmp_path: Path) -> None:
        """It does not look, too, and waits for nobody."""
        seconds = [0.0]
        sink = Interrupted.open(tmp_path / "events.jsonl", longest=16_000, clock=lambda: seconds[0])
        seconds[0] = 5.0
        sink.write(event_of(b"first\n"))

        assert (tmp_path / "events.jsonl").read_bytes() == b"handler\nfirst\n"

    def test_nobody_waits_for_who_looks(self, tmp_path: Path) -> None:
        """Of many threads some would wait too long, and lose their lines."""
        seconds = [0.0]
        sink = Slow.open(tmp_path / "events.jsonl", longest=16_000, clock=lambda: seconds[0])
        assert isinstance(sink, Slow)
        seconds[0] = 5.0
        looking = Thread(target=sink.write, args=[event_of(b"first\n")], daemon=True)
        looking.start()
        assert sink.looks.wait(10)
        sink.write(event_of(b"second\n"))
        meanwhile = (tmp_path / "events.jsonl").read_bytes()
        sink.may_go_on.set()
        looking.join(10)

        assert meanwhile == b"second\n"
        assert (tmp_path / "events.jsonl").read_bytes() == b"second\nfirst\n"
