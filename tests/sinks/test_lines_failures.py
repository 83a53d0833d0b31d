"""What the lines sink does on its worst days: a full disk, a reader that stops or goes, a file that is moved."""

from __future__ import annotations

import fcntl
import gc
import io
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from typing import Any

import pytest

import wideevents
from tests.conftest import at_once, in_child
from tests.integrations.servers import eventually
from tests.sinks import event_of, padded
from tests.sinks.pipes import Pipe
from tests.strict import parse_line
from wideevents import health
from wideevents.descriptors import PIPE_BUF
from wideevents.errors import ConfigurationError
from wideevents.health import Fault
from wideevents.sinks.lines import FINISH, LinesSink

SLOW = 2.0
"""Seconds that a wait of a tenth of a second may take on a busy machine."""

LONGER_THAN_A_PIPE = 100_000

linux = pytest.mark.skipif(sys.platform != "linux", reason="the sizes of pipes are Linux's")


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """Give a pipe that blocks, as standard output does."""
    made = Pipe(blocking=True)
    yield made
    del made.sink
    for each in (made.reader, made.writer):
        with suppress(OSError):
            os.close(each)


class Time:
    """Stand still, or go on a little whenever somebody looks."""

    def __init__(self, step: float = 0.0) -> None:
        self.seconds = 100.0
        self.step = step

    def __call__(self) -> float:
        self.seconds += self.step
        return self.seconds


def given_up(sink: LinesSink, line: bytes) -> float:
    """Return the seconds after which *sink* gave the line up."""
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        sink.write(event_of(line))
    return time.monotonic() - started


def write_on(sink: LinesSink, line: bytes) -> None:
    """Write the line again and again, until that fails."""
    while True:
        sink.write(event_of(line))


def jobs(*names: str) -> None:
    """Let one event of each name begin and end."""
    for name in names:
        with wideevents.event(name):
            pass


class TestSettings:
    def refused(self, **settings: Any) -> str:
        with pytest.raises(ConfigurationError) as refused:
            LinesSink(**settings)
        return str(refused.value)

    def test_standard_output_is_the_default(self, capfd: pytest.CaptureFixture[str]) -> None:
        """`configure(output=LinesSink(on_full="drop"))` is all that somebody has to write."""
        LinesSink(on_full="drop").write(event_of(b"{}\n"))

        assert capfd.readouterr().out == "{}\n"

    @pytest.mark.parametrize(
        "given", ["events.jsonl", None, 1.0, True, io.StringIO()], ids=lambda given: type(given).__name__
    )
    def test_what_is_no_number_is_refused(self, given: object) -> None:
        """The sentence says what a path is for."""
        assert self.refused(descriptor=given) == (
            f"descriptor={given!r} cannot be used: it must be a number; of a path use LinesSink.open."
        )

    @pytest.mark.parametrize("number", [-1, 9_999, 2**40])
    def test_a_number_of_nothing_is_refused(self, number: int) -> None:
        """The sentence names it."""
        assert self.refused(descriptor=number).startswith(f"Lines cannot be written to the descriptor {number}: ")

    @pytest.mark.parametrize("given", ["block", "", None, 5, ["drop"]], ids=repr)
    def test_another_way_to_be_full_is_refused(self, given: object) -> None:
        """There are two."""
        assert self.refused(on_full=given) == f'on_full={given!r} cannot be used: it must be "wait" or "drop".'

    @pytest.mark.parametrize("given", [-1, 60_001, float("nan"), float("inf"), "5", True], ids=repr)
    def test_a_time_that_cannot_be_waited_is_refused(self, given: object) -> None:
        """A minute is more than any request has."""
        assert self.refused(wait_ms=given) == (
            f"wait_ms={given!r} cannot be used: it must be a number of milliseconds from 0 to 60,000, "
            'where on_full is "wait".'
        )

    def test_to_drop_is_not_to_wait(self) -> None:
        """More than 5 ms are no turn of another writer."""
        assert self.refused(on_full="drop", wait_ms=6) == (
            'wait_ms=6 cannot be used: it must be a number of milliseconds from 0 to 5, where on_full is "drop".'
        )

    @pytest.mark.parametrize("given", [0, -1, 1.5, "16000", True], ids=repr)
    def test_a_length_that_no_line_has_is_refused(self, given: object) -> None:
        """It is a number of bytes."""
        assert self.refused(longest=given) == (
            f"longest={given!r} cannot be used: it must be a number of bytes, 1 or more."
        )

    def test_a_path_that_is_none_is_refused(self) -> None:
        """The sentence names the setting that it would stand in."""
        with pytest.raises(ConfigurationError, match=r"^output=7\.5 cannot be used: it must be a file that"):
            LinesSink.open(7.5)  # type: ignore[arg-type]

    def test_a_file_is_closed_again_when_a_setting_is_refused(self, tmp_path: Path) -> None:
        """A process that tries again keeps no descriptor."""
        before = os.listdir("/dev/fd")
        with pytest.raises(ConfigurationError):
            LinesSink.open(tmp_path / "events.jsonl", wait_ms=-1)

        assert before == os.listdir("/dev/fd")

    def test_a_path_takes_the_same_settings(self, tmp_path: Path) -> None:
        """A named pipe has a reader, too."""
        os.mkfifo(tmp_path / "pipe")
        reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
        sink = LinesSink.open(tmp_path / "pipe", longest=PIPE_BUF, on_full="drop", wait_ms=2.5)
        with pytest.raises(TimeoutError, match=r"did not read for 2\.5 ms"):
            write_on(sink, padded(4_000))
        os.close(reader)


class TestStoppedReader:
    @pytest.mark.parametrize("longest", [PIPE_BUF, 60_000])
    @pytest.mark.parametrize(
        ("on_full", "wait_ms", "seconds"), [("wait", None, 0.1), ("wait", 30, 0.03), ("drop", None, 0.005)]
    )
    def test_a_line_waits_so_long_and_no_longer(
        self, pipe: Pipe, longest: int, on_full: Any, wait_ms: float | None, seconds: float
    ) -> None:
        """On a descriptor that blocks, as standard output does, and still does afterwards."""
        sink = LinesSink(pipe.writer, longest=longest, on_full=on_full, wait_ms=wait_ms)
        pipe.fill()

        assert seconds <= given_up(sink, padded(1_000)) < seconds + SLOW
        assert os.get_blocking(pipe.writer)
        with pytest.raises(TimeoutError, match=f"did not read for {seconds * 1000:g} ms"):
            sink.write(event_of(padded(1_000)))

    @linux
    def test_a_long_line_is_not_begun_before_it_fits(self, pipe: Pipe) -> None:
        """It would have to be finished, however long the reader takes its time."""
        pipe.fill(room=20_000)
        before = pipe.held()

        assert given_up(pipe.sink, padded(30_000)) < SLOW
        assert before == pipe.held()

    @linux
    def test_a_pipe_without_a_reader_is_not_waited_for(self, pipe: Pipe) -> None:
        """It will never have more room."""
        sink = LinesSink(pipe.writer, longest=60_000, wait_ms=60_000)
        pipe.fill(room=20_000)
        os.close(pipe.reader)
        with pytest.raises(BrokenPipeError):
            sink.write(event_of(padded(30_000)))

    def test_not_to_wait_at_all_is_to_try_once(self, pipe: Pipe) -> None:
        """What is read at once is written."""
        sink = LinesSink(pipe.writer, on_full="drop", wait_ms=0)
        for size in (100, 16_000):
            sink.write(event_of(padded(size)))
            assert pipe.read() == padded(size)
        pipe.fill()

        assert given_up(sink, padded(100)) < SLOW

    @pytest.mark.parametrize("longest", [PIPE_BUF, 60_000])
    def test_threads_do_not_wait_for_one_another_in_turn(self, pipe: Pipe, longest: int) -> None:
        """Sixteen requests at once take as long as one: each has its own time, and it runs for all together."""
        sink = LinesSink(pipe.writer, longest=longest)
        pipe.fill()
        waits = at_once(*[lambda: given_up(sink, padded(1_000))] * 16)

        assert max(waits) < 10 * 0.1  # type: ignore[type-var, operator]

    def test_what_is_lost_is_counted_exactly_and_told_on_the_first_good_line(
        self, pipe: Pipe, reconfigurable: None
    ) -> None:
        """In all, and by where it was lost."""
        wideevents.configure(output=LinesSink(pipe.writer, on_full="drop"), logging=False)
        pipe.fill()
        jobs(*["lost"] * 7)
        pipe.read()
        jobs("first", "second")
        first, second = map(parse_line, pipe.lines())

        assert (first["event.name"], first["events.lost"], first["events.lost_in.lines"]) == ("first", 7, 7)
        assert (second["event.name"], "events.lost" in second) == ("second", False)
        assert health.faults.counts() == {Fault.LOST: 7}

    def test_the_lines_of_signal_handlers_wait_for_it_once(self, pipe: Pipe, capfd: pytest.CaptureFixture[str]) -> None:
        """However many of them were left to the write that they interrupted; all of them are counted, and told."""
        sink = LinesSink(pipe.writer, clock=(now := Time(step=0.01)))
        pipe.fill()
        sink._turn.waiting.extend([padded(20)] * 1_000)
        began = time.monotonic()
        given_up(sink, padded(20))
        waited = time.monotonic() - began
        capfd.readouterr()
        now.seconds += 60.0
        given_up(sink, padded(20))

        assert waited < SLOW
        assert health.faults.counts() == {Fault.LOST: 1_000}
        assert capfd.readouterr().err.startswith(f"wideevents lost 1,001 lines of the descriptor {pipe.writer}: ")

    def test_a_socket_that_blocks_is_not_waited_for_longer(self) -> None:
        """The journal of systemd is one; the descriptor stays as it is."""
        reader, writer = socket.socketpair()
        with reader, writer:
            sink = LinesSink(writer.fileno(), on_full="drop")
            with pytest.raises(TimeoutError):
                write_on(sink, padded(4_096))

            assert os.get_blocking(writer.fileno())
            assert set(reader.recv(1_000_000).splitlines(keepends=True)) == {padded(4_096)}


@linux
class TestHalfALine:
    def test_it_is_finished(self, pipe: Pipe) -> None:
        """The reader comes back after the line should have been given up."""
        sink = LinesSink(pipe.writer, wait_ms=10)
        writing = Thread(target=sink.write, args=(event_of(padded(LONGER_THAN_A_PIPE)),))
        writing.start()
        eventually(lambda: pipe.held() == 65_536, "the first half")
        time.sleep(0.05)
        found = pipe.read()
        writing.join()

        assert found + pipe.read() == padded(LONGER_THAN_A_PIPE)

    def test_it_is_given_up_in_the_end(self, pipe: Pipe) -> None:
        """A reader that stays away does not keep a request for ever; the next line stands on its own."""
        takes: list[int] = [10]

        def write(descriptor: int, data: bytes) -> int:
            if not takes:
                raise BlockingIOError
            return os.write(descriptor, data[: takes.pop()])

        now = Time(step=0.25)
        sink = LinesSink(pipe.writer, write=write, clock=now)
        started = now.seconds
        with pytest.raises(TimeoutError):
            sink.write(event_of(padded(100, "a")))
        assert FINISH < now.seconds - started < FINISH + 5
        takes[:] = [101]
        sink.write(event_of(padded(100, "b")))

        assert pipe.read() == padded(100, "a")[:10] + b"\n" + padded(100, "b")

    def test_on_a_descriptor_that_does_not_block_it_is_not_waited_for(self, pipe: Pipe) -> None:
        """Whoever made it so has no time: half a line is given up in time, too."""
        os.set_blocking(pipe.writer, False)

        assert given_up(pipe.sink, padded(LONGER_THAN_A_PIPE)) < SLOW
        assert pipe.held() == 65_536

    @pytest.mark.parametrize("out", [1, 99, 100, 101])
    def test_what_follows_it_is_whole_and_no_empty_line_comes_between(self, tmp_path: Path, out: int) -> None:
        """Wherever it broke: in front of its newline, or in front of the line that was to follow."""
        lines = [padded(100, mark) for mark in "abc"]
        left = [out]

        def write(descriptor: int, data: bytes) -> int:
            if left[0] == 0:
                raise OSError("the disk is full")
            taken = min(left[0], len(data))
            left[0] -= taken
            return os.write(descriptor, data[:taken])

        sink = LinesSink.open(tmp_path / "events.jsonl", write=write)
        for line in lines[:2]:
            with suppress(OSError):
                sink.write(event_of(line))
        left[0] = 1_000
        sink.write(event_of(lines[2]))
        written = (tmp_path / "events.jsonl").read_bytes()

        assert written == (b"".join(lines)[:out] + b"\n" if out % 100 else b"".join(lines)[:out]) + lines[2]

    def test_it_is_remembered_even_if_its_rest_has_no_turn(self, tmp_path: Path) -> None:
        """Another thread keeps the turn for longer than the line waits; the next line stands on its own."""
        takes = [10]
        sink = LinesSink.open(
            tmp_path / "events.jsonl",
            wait_ms=10,
            write=lambda descriptor, data: os.write(descriptor, data[: takes.pop() if takes else len(data)]),
        )
        held, over = Flag(), Flag()

        def hold() -> None:
            with sink._turn.lock:
                held.set()
                over.wait(10)

        holding = Thread(target=hold)
        holding.start()
        held.wait(10)
        assert given_up(sink, padded(100, "a")) < SLOW
        over.set()
        holding.join()
        sink.write(event_of(padded(100, "b")))

        assert (tmp_path / "events.jsonl").read_bytes() == padded(100, "a")[:10] + b"\n" + padded(100, "b")


class TestGone:
    """A reader that is gone: `serve | head -1` ends the reader first."""

    @pytest.mark.parametrize("longest", [PIPE_BUF, 60_000])
    @pytest.mark.parametrize("when", ["before", "after"])
    def test_a_script_that_wants_to_be_ended_by_it_is_not_ended_by_a_line(self, longest: int, when: str) -> None:
        """`signal(SIGPIPE, SIG_DFL)` is about what it prints; no telemetry breaks the work it watches."""
        code = f"""
import os, signal, time, wideevents
from wideevents.sinks.lines import LinesSink
if {when == "before"}: signal.signal(signal.SIGPIPE, signal.SIG_DFL)
seconds = [0.0]
wideevents.configure(output=LinesSink(longest={longest}, clock=lambda: seconds[0]), logging=False)
with wideevents.event("read"): pass
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
seconds[0] += 1.0
while True:
    with wideevents.event("unread"): time.sleep(0.001)
    if wideevents.health.faults.counts(): break
os.write(2, b"alive")
"""
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            first = process.stdout.readline()
            process.stdout.close()
            told = process.stderr.read()

        assert parse_line(first)["event.name"] == "read"
        assert (told.endswith(b"alive"), process.wait()) == (True, 0)
        assert b"wideevents lost 1 line of standard output: [Errno 32] Broken pipe" in told

    def test_what_the_script_prints_ends_it_as_before(self, pipe: Pipe) -> None:
        """The signal is held back for the write of a line alone."""
        os.close(pipe.reader)

        def work() -> None:
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            sink = LinesSink(pipe.writer)
            with suppress(BrokenPipeError):
                sink.write(event_of(b"{}\n"))
            os.write(pipe.writer, b"printed\n")

        assert in_child(work) == "stuck"  # which is what `in_child` calls one that says nothing


class TestFullDisk:
    """`/dev/full` is a device that is always full."""

    CODE = """
import os, wideevents
from wideevents.sinks.lines import LinesSink
now = [0.0]
wideevents.configure(output=LinesSink.open("/dev/full", clock=lambda: now[0]), logging=False)
for second in (0.0, 30.0, 59.0, 61.0):
    now[0] = second
    for number in range(10):
        with wideevents.event("job"): pass
print(wideevents.health.faults.counts())
"""

    @linux
    def test_it_is_told_on_standard_error_once_a_minute(self) -> None:
        """With how many lines, and why; and the work goes on."""
        done = subprocess.run([sys.executable, "-c", self.CODE], capture_output=True, text=True, check=True)
        told = [line for line in done.stderr.splitlines() if line.startswith("wideevents lost")]

        assert told == [
            "wideevents lost 1 line of '/dev/full': [Errno 28] No space left on device",
            "wideevents lost 30 lines of '/dev/full': [Errno 28] No space left on device",
        ]
        assert done.stdout == "{<Fault.LOST: 'events.lost'>: 40}\n"

    @linux
    def test_where_standard_error_is_full_as_well_the_work_goes_on(self) -> None:
        """The same disk takes both, mostly."""
        with open("/dev/full", "wb", buffering=0) as full:
            done = subprocess.run([sys.executable, "-c", self.CODE], stdout=subprocess.PIPE, stderr=full, check=True)

        assert done.stdout == b"{<Fault.LOST: 'events.lost'>: 40, <Fault.UNTOLD: 'sentences.untold'>: 1}\n"

    @linux
    def test_a_file_system_that_fills_costs_what_does_not_fit(self, tmp_path: Path) -> None:
        """The kernel takes a part of the line that no longer fits; once there is room the next one is whole."""
        path = tmp_path / "events.jsonl"
        sink = LinesSink.open(path)
        before = resource.getrlimit(resource.RLIMIT_FSIZE)  # which ends a write just as a disk does that is full
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_050, before[1]))
        try:
            for mark in "abc":
                with suppress(OSError):
                    sink.write(event_of(padded(500, mark)))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        sink.write(event_of(padded(500, "d")))

        whole = padded(500, "a") + padded(500, "b")
        assert path.read_bytes() == whole + padded(500, "c")[:50] + b"\n" + padded(500, "d")


class TestTornFile:
    def test_a_file_that_ends_in_half_a_line_does_not_spoil_the_first(self, tmp_path: Path) -> None:
        """The process before this one died as it wrote, or its disk was full."""
        path = tmp_path / "events.jsonl"
        path.write_bytes(b'{"n":0}\n{"n":')
        sink = LinesSink.open(path)
        for number in (1, 2):
            sink.write(event_of(b'{"n":%d}\n' % number))

        assert path.read_bytes() == b'{"n":0}\n{"n":\n{"n":1}\n{"n":2}\n'

    @pytest.mark.parametrize("content", [b"", b"{}\n"], ids=["empty", "whole"])
    def test_no_empty_line_is_written_otherwise(self, tmp_path: Path, content: bytes) -> None:
        """What reads lines may not know what to do with one."""
        path = tmp_path / "events.jsonl"
        path.write_bytes(content)
        LinesSink.open(path).write(event_of(b"{}\n"))

        assert path.read_bytes() == content + b"{}\n"

    def test_one_that_is_being_written_to_is_none(self, tmp_path: Path) -> None:
        """Another process is in the middle of its line, and will end it."""
        path = tmp_path / "events.jsonl"
        path.write_bytes(b"{")
        growing = [True]

        def grow() -> None:
            with path.open("ab", buffering=0) as file:
                while growing:
                    file.write(b" ")
                    time.sleep(0.001)
                file.write(b"}\n")

        writing = Thread(target=grow)
        writing.start()
        sink = LinesSink.open(path)
        growing.clear()
        writing.join()
        sink.write(event_of(b'{"n":1}\n'))

        assert path.read_bytes().endswith(b' }\n{"n":1}\n')


class TestNotBlocking:
    def test_standard_output_that_somebody_made_non_blocking_is_waited_for(self, pipe: Pipe) -> None:
        """A program in the same terminal, or an event loop, may do that; the reader comes in time."""
        os.set_blocking(pipe.writer, False)
        sink = LinesSink(pipe.writer, wait_ms=10_000)
        pipe.fill()
        writing = Thread(target=sink.write, args=(event_of(padded(9_000)),))
        writing.start()
        time.sleep(0.01)
        found = pipe.read()
        writing.join()

        assert (found + pipe.read()).lstrip(b"\n") == padded(9_000)

    def test_a_pipe_is_written_to_whatever_becomes_of_its_descriptor(self, pipe: Pipe) -> None:
        """Each write is asked not to wait, and nobody has to know how the descriptor is."""
        for blocking in (True, False, True):
            os.set_blocking(pipe.writer, blocking)
            pipe.sink.write(event_of(padded(5_000)))
            assert pipe.read() == padded(5_000)
            pipe.fill()
            assert given_up(pipe.sink, padded(5_000)) < SLOW
            pipe.read()


@pytest.fixture
def now() -> Time:
    """Give a clock that stands still."""
    return Time()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give where lines go, in a folder of its own."""
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs" / "events.jsonl"


@pytest.fixture
def sink(path: Path, now: Time) -> LinesSink:
    """Give a sink that writes to *path*, and has written a line."""
    made = LinesSink.open(path, clock=now)
    made.write(event_of(b'{"n":0}\n'))
    return made


class TestMovedFile:
    def test_one_that_was_renamed_is_followed_by_a_new_one(self, sink: LinesSink, path: Path, now: Time) -> None:
        """As logrotate does: what comes within the next second is still in the old one, and nothing is lost."""
        path.rename(old := path.with_suffix(".1"))
        for number in (1, 2):
            sink.write(event_of(b'{"n":%d}\n' % number))
            now.seconds += 1.0

        assert (old.read_bytes(), path.read_bytes()) == (b'{"n":0}\n{"n":1}\n', b'{"n":2}\n')

    def test_one_that_was_removed_is_made_anew(self, sink: LinesSink, path: Path, now: Time) -> None:
        """By somebody who cleans up."""
        path.unlink()
        now.seconds += 1.0
        sink.write(event_of(b'{"n":1}\n'))

        assert path.read_bytes() == b'{"n":1}\n'

    def test_one_that_was_put_in_its_place_is_appended_to(self, sink: LinesSink, path: Path, now: Time) -> None:
        """The `create` of logrotate; another worker may have written to it already."""
        path.rename(path.with_suffix(".1"))
        path.write_bytes(b'{"n":1}\n')
        now.seconds += 1.0
        sink.write(event_of(b'{"n":2}\n'))

        assert path.read_bytes() == b'{"n":1}\n{"n":2}\n'

    def test_half_a_line_stays_behind_in_the_old_one(self, path: Path, now: Time) -> None:
        """The new one begins with a line."""
        room = [3, 0]

        def write(descriptor: int, line: bytes) -> int:
            if (taken := room.pop(0) if room else len(line)) == 0:
                raise OSError("the disk is full")
            return os.write(descriptor, line[:taken])

        sink = LinesSink.open(path, write=write, clock=now)
        with suppress(OSError):
            sink.write(event_of(b'{"n":0}\n'))
        path.rename(old := path.with_suffix(".1"))
        now.seconds += 1.0
        sink.write(event_of(b'{"n":1}\n'))

        assert (old.read_bytes(), path.read_bytes()) == (b'{"n', b'{"n":1}\n')

    def test_one_that_was_truncated_goes_on_at_its_beginning(self, sink: LinesSink, path: Path) -> None:
        """The `copytruncate` of logrotate: the file is opened to append, and has no hole of zeros."""
        os.truncate(path, 0)
        sink.write(event_of(b'{"n":1}\n'))

        assert path.read_bytes() == b'{"n":1}\n'

    def test_it_is_noticed_within_a_second(self, path: Path) -> None:
        """By the clock on the wall, and without any signal."""
        sink = LinesSink.open(path)
        path.unlink()
        began = time.monotonic()

        def write() -> bool:
            sink.write(event_of(b"{}\n"))
            return path.exists()

        eventually(write, "the new file")
        assert time.monotonic() - began < 1.0 + SLOW

    def test_a_process_that_changes_its_directory_does_not_take_the_file_along(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, now: Time
    ) -> None:
        """A path is what it was when it was given."""
        monkeypatch.chdir(tmp_path)
        sink = LinesSink.open("events.jsonl", clock=now)
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        now.seconds += 1.0
        sink.write(event_of(b"{}\n"))

        assert (tmp_path / "events.jsonl").read_bytes() == b"{}\n"
        assert os.listdir(tmp_path / "elsewhere") == []

    def test_one_that_was_renamed_is_kept_where_none_can_be_made(self, sink: LinesSink, path: Path, now: Time) -> None:
        """Its lines are found there, at least; as soon as it can be the file is made."""
        path.rename(old := path.with_suffix(".1"))
        path.mkdir()
        now.seconds += 1.0
        sink.write(event_of(b'{"n":1}\n'))
        path.rmdir()
        now.seconds += 1.0
        sink.write(event_of(b'{"n":2}\n'))

        assert (old.read_bytes(), path.read_bytes()) == (b'{"n":0}\n{"n":1}\n', b'{"n":2}\n')

    def test_lines_of_a_folder_that_is_gone_are_lost_and_counted(
        self, path: Path, now: Time, reconfigurable: None
    ) -> None:
        """They would be written to a file that nobody can find; when the folder is back they are not lost any more."""
        wideevents.configure(output=LinesSink.open(path, clock=now), logging=False)
        jobs("first")
        path.unlink()
        path.parent.rmdir()
        now.seconds += 1.0
        jobs("lost", "lost", "lost")
        path.parent.mkdir()
        jobs("found")
        (found,) = map(parse_line, path.read_bytes().splitlines(keepends=True))

        assert (found["event.name"], found["events.lost"]) == ("found", 3)
        assert health.faults.counts() == {Fault.LOST: 3}

    def test_the_number_of_the_descriptor_stays(self, sink: LinesSink, path: Path, now: Time) -> None:
        """Another thread may be about to write to it: it must not be somebody else's file by then."""
        before, fds = sink._descriptor, os.listdir("/dev/fd")
        path.rename(path.with_suffix(".1"))
        now.seconds += 1.0
        sink.write(event_of(b"{}\n"))

        assert (before, fds) == (sink._descriptor, os.listdir("/dev/fd"))
        assert not os.get_inheritable(before)

    def test_what_took_the_number_of_a_file_that_somebody_closed_is_left_alone(
        self, sink: LinesSink, path: Path, tmp_path: Path, now: Time
    ) -> None:
        """A daemon closes all there is; the next connection gets the number, and must get no lines."""
        number = sink._descriptor
        os.close(number)
        foreign = os.open(tmp_path / "foreign", os.O_WRONLY | os.O_CREAT)
        if foreign != number:
            os.dup2(foreign, number)
            os.close(foreign)
        now.seconds += 1.0
        sink.write(event_of(b'{"n":1}\n'))
        del sink
        gc.collect()

        assert path.read_bytes() == b'{"n":0}\n{"n":1}\n'
        assert os.fstat(number).st_size == 0
        os.close(number)

    def test_a_file_that_somebody_closed_and_that_is_gone_costs_the_line(
        self, sink: LinesSink, path: Path, now: Time
    ) -> None:
        """There is nothing left to write to."""
        os.close(sink._descriptor)
        path.rename(path.with_suffix(".1"))
        path.mkdir()
        now.seconds += 1.0
        with pytest.raises(IsADirectoryError):
            sink.write(event_of(b"{}\n"))
        assert sink._file is not None
        sink._file._closing.detach()

    @pytest.mark.parametrize("device", ["/dev/null", "/dev/stdout"])
    def test_a_device_is_no_file_that_could_be_moved(self, device: str, now: Time) -> None:
        """It is opened once."""
        sink = LinesSink.open(device, clock=now)
        now.seconds += 1.0
        before = os.stat(sink._descriptor)
        sink.write(event_of(b"{}\n"))

        assert os.path.samestat(before, os.stat(sink._descriptor))


class TestRedirected:
    def test_a_descriptor_that_leads_elsewhere_is_followed(self, pipe: Pipe, tmp_path: Path, now: Time) -> None:
        """`os.dup2` redirects standard output: a daemon to a file, gunicorn to its log, a test to where it looks."""
        sink = LinesSink(pipe.writer, clock=now)
        sink.write(event_of(b'{"n":0}\n'))
        file = os.open(tmp_path / "events.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, pipe.writer)
        os.close(file)
        now.seconds += 1.0
        for number in (1, 2):
            sink.write(event_of(b'{"n":%d}\n' % number))

        assert pipe.read() == b'{"n":0}\n'
        assert (tmp_path / "events.jsonl").read_bytes() == b'{"n":1}\n{"n":2}\n'

    def test_the_reader_sees_the_end_as_soon_as_it_does(self, pipe: Pipe, tmp_path: Path) -> None:
        """Whoever started a daemon waits for it: no second opening of the pipe stays behind."""
        pipe.sink.write(event_of(b"{}\n"))
        with (tmp_path / "file").open("wb") as file:
            os.dup2(file.fileno(), pipe.writer)

        assert (os.read(pipe.reader, 100), os.read(pipe.reader, 100)) == (b"{}\n", b"")

    def test_from_a_file_to_a_pipe_it_begins_to_take_turns(self, pipe: Pipe, tmp_path: Path, now: Time) -> None:
        """What a descriptor is says how it has to be written to."""
        with (tmp_path / "events.jsonl").open("ab") as file:
            sink = LinesSink(file.fileno(), clock=now)
            sink.write(event_of(b"{}\n"))
            os.dup2(pipe.writer, file.fileno())
            now.seconds += 1.0
            sink.write(event_of(b"{}\n"))
            pipe.fill()

            assert in_child(lambda: fcntl.lockf(pipe.writer, fcntl.LOCK_EX | fcntl.LOCK_NB) or "free") == "free"
            now.step = 0.01
            assert given_up(sink, padded(9_000)) < SLOW
