"""What the descriptors room promises."""

from __future__ import annotations

import errno
import fcntl
import importlib.util
import os
import random
import select
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

import pytest

from tests.conftest import in_child
from wideevents import descriptors
from wideevents.descriptors import PIPE_BUF, WAYS, Unblocked, Write, broken, fits, kills, spared, writable

FILLER = b"x" * PIPE_BUF

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux can be asked")
every_way = pytest.mark.parametrize("way", range(len(WAYS)), ids=lambda way: WAYS[way].__name__.strip("_"))


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Give the reader, which does not block, and the writer of a pipe, which does."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    yield reader, writer
    for each in (reader, writer):
        with suppress(OSError):
            os.close(each)


def beginning_with(way: int) -> Unblocked:
    """Return what knows the ways from *way* on alone."""
    write = Unblocked()
    write._ways = WAYS[way:]
    return write


def fill(write: Write, descriptor: int) -> int:
    """Write until nothing fits any more; return how many bytes did."""
    filled = 0
    with suppress(BlockingIOError):
        while True:
            filled += write(descriptor, FILLER)
    return filled


def drained(reader: int) -> int:
    """Return how many bytes were in the pipe."""
    found = 0
    with suppress(BlockingIOError):
        while part := os.read(reader, 65_536):
            found += len(part)
    return found


@contextmanager
def sigpipe(action: signal.Handlers) -> Iterator[None]:
    """Let a write without a reader do *action*."""
    before = signal.signal(signal.SIGPIPE, action)
    try:
        yield
    finally:
        signal.signal(signal.SIGPIPE, before)


class TestUnblocked:
    @every_way
    def test_a_full_pipe_is_not_waited_for(self, pipe: tuple[int, int], way: int) -> None:
        """What does not fit is refused, and the descriptor blocks for all others as before."""
        reader, writer = pipe
        filled = fill(beginning_with(way), writer)

        assert os.get_blocking(writer)
        assert filled == drained(reader) > 0

    @every_way
    def test_a_line_goes_out_in_one_piece(self, pipe: tuple[int, int], way: int) -> None:
        """As by `os.write`."""
        reader, writer = pipe

        assert beginning_with(way)(writer, b"{}\n" * 100) == 300
        assert os.read(reader, 1_000) == b"{}\n" * 100

    @linux
    @pytest.mark.parametrize("way", [0, 1])
    def test_what_fits_of_a_long_one_is_taken(self, pipe: tuple[int, int], way: int) -> None:
        """A pipe takes a part of what is longer than `PIPE_BUF`, without waiting for its reader."""
        reader, writer = pipe

        assert beginning_with(way)(writer, b"x" * 200_000) == drained(reader) == 65_536

    @pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["stream", "datagram"])
    @every_way
    def test_a_full_socket_is_not_waited_for(self, kind: int, way: int) -> None:
        """It cannot be opened a second time: an older Linux asks whether it would wait."""
        reader, writer = socket.socketpair(type=kind)
        with reader, writer:
            assert fill(beginning_with(way), writer.fileno()) > 0
            assert os.get_blocking(writer.fileno())
            assert reader.recv(10) == b"x" * 10

    @linux
    def test_a_way_that_is_unknown_here_is_not_tried_again(self) -> None:
        """A terminal knows no such flag, and no second opening of it is needed, as it may be for an older kernel."""
        master, slave = os.openpty()
        write = Unblocked()

        assert write(slave, b"a line\n") == 7
        assert write._ways == WAYS[2:]
        assert os.read(master, 100) == b"a line\r\n"
        os.close(master)
        os.close(slave)

    @linux
    def test_a_pipe_that_cannot_be_opened_again_is_asked(self, tmp_path: Path) -> None:
        """One with a name is refused without a reader, as one of another user is; the write itself tells why."""
        os.mkfifo(tmp_path / "pipe")
        reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
        writer = os.open(tmp_path / "pipe", os.O_WRONLY)
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4_096)
        os.close(reader)
        write = beginning_with(1)
        with pytest.raises(BrokenPipeError):
            write(writer, b"a line\n")
        os.close(writer)

        assert write._ways == WAYS[2:]

    @every_way
    def test_a_reader_that_is_gone_is_an_error(self, pipe: tuple[int, int], way: int) -> None:
        """And no reason to try another way."""
        reader, writer = pipe
        os.close(reader)
        write = beginning_with(way)
        with pytest.raises(BrokenPipeError):
            write(writer, b"a line\n")

        assert write._ways == WAYS[way:]

    def test_a_descriptor_that_is_closed_is_an_error(self) -> None:
        """The number is nobody's."""
        with pytest.raises(OSError, match="Bad file descriptor"):
            Unblocked()(9_999, b"a line\n")

    @linux
    def test_no_second_opening_stays_behind(self, pipe: tuple[int, int]) -> None:
        """The reader would never see the end of the pipe."""
        before = os.listdir("/proc/self/fd")
        fill(beginning_with(1), pipe[1])

        assert before == os.listdir("/proc/self/fd")


@linux
class TestFits:
    @pytest.mark.parametrize("seed", range(20))
    def test_what_is_said_to_fit_goes_out_in_one_piece(self, seed: int) -> None:
        """Whatever is in the pipe, and however it came to be there and was read; an empty pipe does what it can."""
        chance = random.Random(seed)
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        capacity = fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, chance.choice([4_096, 8_192, 65_536, 131_072]))
        promised = []
        for _ in range(300):
            size = chance.choice([1, 10, 1_000, 4_095, 4_096, 4_097, 5_000, 9_000, 20_000, 60_000, 65_536])
            if size <= capacity and fits(writer, size):
                promised.append((size, Unblocked()(writer, b"x" * size)))
            else:
                with suppress(BlockingIOError):
                    Unblocked()(writer, b"x" * size)
            if chance.random() < 0.5:
                with suppress(BlockingIOError):
                    os.read(reader, chance.choice([1, 10, 3_000, 4_096, 8_192, 65_536]))
        os.close(reader)
        os.close(writer)

        assert len(promised) > 5
        assert [size for size, _ in promised] == [written for _, written in promised]

    def test_a_pipe_that_is_nearly_full_takes_no_long_line(self, pipe: tuple[int, int]) -> None:
        """It would take a part of it."""
        os.write(pipe[1], b"x" * 50_000)

        assert (fits(pipe[1], 16_000), fits(pipe[1], 1)) == (False, False)

    def test_half_a_pipe_takes_a_line(self, pipe: tuple[int, int]) -> None:
        """Two lines of the default length at least are taken before anybody reads."""
        os.write(pipe[1], b"x" * 16_000)

        assert fits(pipe[1], 16_000)

    def test_an_empty_pipe_takes_what_it_can(self, pipe: tuple[int, int]) -> None:
        """Nothing is gained by waiting."""
        assert fits(pipe[1], 1_000_000)

    def test_of_what_is_no_pipe_nothing_is_known(self, tmp_path: Path) -> None:
        """It is tried, then."""
        with (tmp_path / "file").open("wb") as file:
            assert fits(file.fileno(), 1_000_000)


class TestReaders:
    def test_a_pipe_with_room_is_writable(self, pipe: tuple[int, int]) -> None:
        """At once."""
        assert writable(pipe[1], 0)

    def test_a_full_pipe_is_not(self, pipe: tuple[int, int]) -> None:
        """After the time that was given."""
        fill(Unblocked(), pipe[1])

        assert not writable(pipe[1], 0.01)

    def test_a_pipe_without_a_reader_is_writable_and_broken(self, pipe: tuple[int, int]) -> None:
        """To write to it fails, and that at once: full or not."""
        fill(Unblocked(), pipe[1])
        before = broken(pipe[1])
        os.close(pipe[0])

        assert (before, broken(pipe[1]), writable(pipe[1], 0)) == (False, True, True)


class TestSpared:
    def test_python_ignores_the_signal(self) -> None:
        """Then nothing has to be done."""
        assert not kills()

    def test_a_script_may_want_to_be_ended_by_it(self) -> None:
        """`signal(SIGPIPE, SIG_DFL)` stands in many, for the sake of `| head`."""
        with sigpipe(signal.SIG_DFL):
            assert kills()

    def test_a_write_does_not_end_the_process(self, pipe: tuple[int, int]) -> None:
        """It raises, as it does where the signal is ignored; and nothing is left that would end it later."""
        os.close(pipe[0])

        def write() -> str:
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            with suppress(BrokenPipeError):
                spared(os.write)(pipe[1], b"a line\n")
            return "alive"

        assert in_child(write) == "alive"

    def test_the_signal_is_taken_and_the_mask_left_as_it_was(self, pipe: tuple[int, int]) -> None:
        """Whoever prints next is ended by it, as the script wants it."""
        os.close(pipe[0])
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        with sigpipe(signal.SIG_DFL):
            with pytest.raises(BrokenPipeError):
                spared(os.write)(pipe[1], b"a line\n")

            assert (before, set()) == (signal.pthread_sigmask(signal.SIG_BLOCK, ()), signal.sigpending())

    @linux
    def test_an_error_that_comes_without_the_signal_is_one(self) -> None:
        """A datagram has none: to wait for it would be to wait for ever."""
        reader, writer = socket.socketpair(type=socket.SOCK_DGRAM)
        with reader, writer:
            reader.shutdown(socket.SHUT_RD)
            with pytest.raises(BrokenPipeError):
                spared(os.write)(writer.fileno(), b"a line\n")

    def test_where_it_is_ignored_it_is_an_error_as_well(self, pipe: tuple[int, int]) -> None:
        """As it is without this."""
        os.close(pipe[0])
        with pytest.raises(BrokenPipeError):
            spared(os.write)(pipe[1], b"a line\n")

    def test_one_that_somebody_blocked_stays_theirs(self, pipe: tuple[int, int]) -> None:
        """They wait for it in a way of their own."""
        os.close(pipe[0])
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGPIPE})
        try:
            with sigpipe(signal.SIG_DFL):
                with pytest.raises(BrokenPipeError):
                    spared(os.write)(pipe[1], b"a line\n")
                assert signal.sigpending() == {signal.SIGPIPE}
                assert signal.sigwait({signal.SIGPIPE}) == signal.SIGPIPE
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def test_what_was_written_is_returned(self, pipe: tuple[int, int]) -> None:
        """With a reader it is the write as it was."""
        assert spared(os.write)(pipe[1], b"a line\n") == 7


class TestElsewhere:
    def load(self, name: str) -> ModuleType:
        """Load the room once more, as it is on another system."""
        spec = importlib.util.spec_from_file_location(f"descriptors_on_{name}", descriptors.__file__)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def test_on_macos_it_is_asked_first(self, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
        """There is no such flag, no /proc, and no size of a pipe."""
        monkeypatch.setattr(sys, "platform", "darwin")
        monkeypatch.delattr(os, "RWF_NOWAIT")
        room = self.load("macos")
        write = room.Unblocked()

        assert fill(write, pipe[1]) == 65_536
        assert write._ways == room.WAYS[1:]
        assert room.fits(pipe[1], 60_000)

    def test_on_windows_it_is_written(self, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
        """There is neither a `poll`, nor a signal for a reader that is gone."""
        monkeypatch.setattr(sys, "platform", "win32")
        monkeypatch.delattr(os, "RWF_NOWAIT")
        for name in ("PIPE_BUF", "poll"):
            monkeypatch.delattr(select, name)
        monkeypatch.delattr(signal, "SIGPIPE")
        room = self.load("windows")

        assert room.Unblocked()(pipe[1], b"a line\n") == 7
        assert (room.PIPE_BUF, room.kills()) == (512, False)


def refusing(number: int) -> Callable[..., int]:
    """Return a system call that fails with *number*."""

    def call(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    return call


class TestOldKernels:
    @linux
    @pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM], ids=str)
    def test_a_flag_that_is_refused_is_done_without(
        self, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        """A kernel before 6.4, or a filter of system calls: the pipe is opened a second time when it fills."""
        monkeypatch.setattr(os, "pwritev", refusing(number))
        write = Unblocked()

        assert fill(write, pipe[1]) == 65_536
        assert write._ways == WAYS[1:]

    @linux
    def test_a_pipe_with_room_is_written_as_it_is(self, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
        """To open it takes longer than all the rest."""
        with monkeypatch.context() as patch:
            patch.setattr(os, "open", refusing(errno.EACCES))
            assert beginning_with(1)(pipe[1], b"a line\n") == 7
