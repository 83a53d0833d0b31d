"""What several processes promise that write lines to one file, pipe or socket."""

from __future__ import annotations

import fcntl
import os
import random
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from threading import Thread

import pytest

from tests.conftest import at_once
from tests.sinks import event_of, padded
from tests.sinks.pipes import Pipe, fork
from wideevents.descriptors import PIPE_BUF
from wideevents.sinks.lines import LinesSink

KIB = 1_024
SIZES = (1, 2, 100, 1_000, 4_095, 4_096, 4_097, 9_000, 16_000, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 256 * KIB)
LINES = 40
"""Lines of each process."""

WRITERS = "abcd"


def line_of(mark: str, size: int) -> bytes:
    """Return a line of *size* bytes that shows where it is torn or mixed with another."""
    return (mark * (size - 1)).encode() + b"\n"


def sizes_of(mark: str) -> list[int]:
    """Return the sizes of the lines that the writer called *mark* writes: every size, in an order of its own."""
    order = random.Random(mark)
    sizes = [SIZES[number % len(SIZES)] for number in range(LINES)]
    order.shuffle(sizes)
    return sizes


def expected() -> Counter[bytes]:
    """Return all lines of all writers."""
    return Counter(line_of(mark, size) for mark in WRITERS for size in sizes_of(mark))


def ended(pid: int) -> int:
    """Return the exit code of a child."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def write_all(sink: LinesSink, mark: str) -> int:
    """Write the lines of *mark*; return how many were lost."""
    lost = 0
    for size in sizes_of(mark):
        try:
            sink.write(event_of(line_of(mark, size)))
        except TimeoutError:
            lost += 1
    return lost


class Reader:
    """Read all that comes, until nobody can write any more."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self.found = bytearray()
        self.read = read
        self.thread = Thread(target=self.follow)
        self.thread.start()

    def follow(self) -> None:
        while part := self.read(65_536):
            self.found += part

    def lines(self) -> Counter[bytes]:
        self.thread.join()
        return Counter(bytes(self.found).splitlines(keepends=True))


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Close what a test has opened."""
    with ExitStack() as opened:
        yield opened


class TestManyWriters:
    """Four processes, lines of 1 byte to 256 KiB: every line arrives in one piece, and none is missing."""

    def test_of_a_file_that_each_of_them_opened(self, tmp_path: Path) -> None:
        """Workers that were started one by one."""
        path = tmp_path / "events.jsonl"
        children = [fork(lambda mark=mark: write_all(LinesSink.open(path), mark)) for mark in WRITERS]  # type: ignore[misc]

        assert [ended(child) for child in children] == [0] * len(WRITERS)
        assert Counter(path.read_bytes().splitlines(keepends=True)) == expected()

    def test_of_a_file_that_is_opened_again_and_again(self, tmp_path: Path) -> None:
        """Workers that are started while others write: no empty line, and no line in another."""
        path = tmp_path / "events.jsonl"

        def write(mark: str) -> int:
            for size in sizes_of(mark):
                LinesSink.open(path).write(event_of(line_of(mark, size)))
            return 0

        children = [fork(partial(write, mark)) for mark in WRITERS]

        assert [ended(child) for child in children] == [0] * len(WRITERS)
        assert Counter(path.read_bytes().splitlines(keepends=True)) == expected()

    def test_of_a_file_that_was_opened_before_the_fork(self, tmp_path: Path) -> None:
        """Workers of an application that was loaded before."""
        sink = LinesSink.open(tmp_path / "events.jsonl")
        children = [fork(partial(write_all, sink, mark)) for mark in WRITERS]

        assert [ended(child) for child in children] == [0] * len(WRITERS)
        assert Counter((tmp_path / "events.jsonl").read_bytes().splitlines(keepends=True)) == expected()

    @pytest.mark.parametrize("preloaded", [True, False], ids=["made before the fork", "made after it"])
    def test_of_a_pipe(self, preloaded: bool) -> None:
        """Standard output under a container or a supervisor."""
        reader, writer = os.pipe()
        self.check(writer, partial(os.read, reader), lambda: os.close(writer), preloaded=preloaded)
        os.close(reader)

    @pytest.mark.parametrize("preloaded", [True, False], ids=["made before the fork", "made after it"])
    @pytest.mark.parametrize("family", ["unix", "tcp"])
    def test_of_a_socket(self, stack: ExitStack, family: str, preloaded: bool) -> None:
        """Standard output under systemd, whose journal reads it, or of what was started by a connection."""
        reader, writer = map(stack.enter_context, connected(family))
        self.check(writer.fileno(), reader.recv, writer.close, preloaded=preloaded)

    def check(
        self, descriptor: int, read: Callable[[int], bytes], close: Callable[[], None], *, preloaded: bool
    ) -> None:
        made = partial(LinesSink, descriptor, wait_ms=60_000)
        sink = made()
        children = [
            fork(lambda mark=mark: write_all(sink if preloaded else made(), mark))  # type: ignore[misc]
            for mark in WRITERS
        ]
        close()
        reader = Reader(read)
        lines = reader.lines()

        assert [ended(child) for child in children] == [0] * len(WRITERS)
        assert lines == expected()


def connected(family: str) -> tuple[socket.socket, socket.socket]:
    """Return both ends of a connection."""
    if family == "unix":
        return socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as server:
        writer = socket.create_connection(server.getsockname())
        return server.accept()[0], writer


class TestStoppedReader:
    @pytest.mark.parametrize("longest", [PIPE_BUF, 16_000])
    def test_what_is_lost_is_counted_exactly(self, longest: int) -> None:
        """Four processes of four threads while nobody reads: what is not in the pipe was lost, line by line."""
        pipe = Pipe(blocking=True)
        sink = LinesSink(pipe.writer, longest=longest, on_full="drop")
        per_thread = 10

        def write(mark: str) -> int:
            lost: list[int] = []

            def give() -> None:
                for _ in range(per_thread):
                    try:
                        sink.write(event_of(padded(2_000, mark)))
                    except TimeoutError:
                        lost.append(1)

            at_once(*[give] * 4)
            return len(lost)

        children = [fork(partial(write, mark)) for mark in WRITERS]
        lost = sum(ended(child) for child in children)
        found = Counter(pipe.lines())
        pipe.close()

        assert set(found) <= {padded(2_000, mark) for mark in WRITERS}
        assert found.total() + lost == len(WRITERS) * 4 * per_thread
        assert lost > 0

    def test_a_process_that_is_killed_in_its_turn_keeps_nobody_out(self) -> None:
        """The kernel gives its turn back."""
        pipe = Pipe(blocking=True)
        sink = LinesSink(pipe.writer, wait_ms=60_000)
        pipe.fill()

        def wait() -> int:
            sink.write(event_of(padded(16_000)))
            return 0

        child = fork(wait)
        until = time.monotonic() + 10
        while free(pipe.writer):
            assert time.monotonic() < until, "the child never had its turn"
            time.sleep(0.002)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        pipe.read()
        sink.write(event_of(padded(100)))

        assert pipe.read() == padded(100)
        pipe.close()


def free(descriptor: int) -> bool:
    """Tell whether nobody has the turn."""
    with suppress(BlockingIOError):
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.lockf(descriptor, fcntl.LOCK_UN)
        return True
    return False
