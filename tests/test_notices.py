"""What the notices room promises."""

from __future__ import annotations

import os
import socket
import sys
import termios
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from signal import SIG_DFL, SIGPIPE, signal

import pytest

from tests.conftest import at_once, in_child
from wideevents.descriptors import PIPE_BUF
from wideevents.notices import Notices

FULL = OSError(28, "No space left on device")


class Pipe:
    """Standard error as a pipe, and whoever reads it; *seconds* is the time."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        self.seconds = 1_000.0
        self.notices = Notices("standard output", descriptor=self.writer, clock=lambda: self.seconds)

    def lose(self, number: int = 1) -> None:
        for _ in range(number):
            self.notices.lost(FULL)

    def fill(self) -> None:
        os.set_blocking(self.writer, False)
        with suppress(BlockingIOError):
            while True:
                os.write(self.writer, b"x" * 4_096)
        os.set_blocking(self.writer, True)

    def read(self) -> str:
        with suppress(BlockingIOError):
            return os.read(self.reader, 100_000).decode()
        return ""


@pytest.fixture
def stderr() -> Iterator[Pipe]:
    """Give a standard error."""
    made = Pipe()
    yield made
    for each in (made.reader, made.writer):
        with suppress(OSError):
            os.close(each)


class TestNotices:
    def test_the_first_loss_is_told_at_once(self, stderr: Pipe) -> None:
        """Where lines were to go, and why this one did not."""
        stderr.lose()

        assert stderr.read() == "wideevents lost 1 line of standard output: [Errno 28] No space left on device\n"

    def test_nothing_more_is_told_within_a_minute(self, stderr: Pipe) -> None:
        """A disk that is full loses thousands, and standard error may be on the same disk."""
        stderr.lose()
        stderr.read()
        stderr.seconds += 59.9
        stderr.lose(5_000)

        assert stderr.read() == ""

    def test_after_a_minute_all_since_are_told(self, stderr: Pipe) -> None:
        """None of them is told twice."""
        stderr.lose(1_234)
        stderr.read()
        told = []
        for _ in range(2):
            stderr.seconds += 60
            stderr.lose()
            told.append(stderr.read())

        assert told[0] == "wideevents lost 1,234 lines of standard output: [Errno 28] No space left on device\n"
        assert told[1].startswith("wideevents lost 1 line of ")

    @pytest.mark.usefixtures("eager_switching")
    def test_any_number_of_threads_may_lose_lines(self, stderr: Pipe) -> None:
        """The number is exact."""
        stderr.lose()
        at_once(*[lambda: stderr.lose(500)] * 8)
        stderr.read()
        stderr.seconds += 60
        stderr.lose()

        assert stderr.read().startswith("wideevents lost 4,001 lines")

    def test_a_standard_error_that_is_full_is_not_waited_for(self, stderr: Pipe) -> None:
        """Its reader may be the one that stopped; the next loss tells of this one."""
        stderr.fill()
        stderr.lose()
        stderr.read()
        stderr.lose()

        assert stderr.read().startswith("wideevents lost 2 lines")

    def test_one_whose_reader_is_gone_costs_nothing(self, stderr: Pipe) -> None:
        """Not even a process that wants to be ended by that."""
        os.close(stderr.reader)

        def lose() -> str:
            signal(SIGPIPE, SIG_DFL)
            stderr.lose()
            return "alive"

        assert in_child(lose) == "alive"
        stderr.lose()

    def test_one_that_is_closed_costs_nothing(self, stderr: Pipe) -> None:
        """A daemon has none."""
        os.close(stderr.writer)
        stderr.lose()

    def test_one_that_was_closed_from_the_beginning_is_left_alone(
        self, stderr: Pipe, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its number may be that of a connection to the database by now."""
        monkeypatch.setattr(sys, "__stderr__", None)
        stderr.lose()

        assert stderr.read() == ""

    def test_it_may_be_a_file(self, tmp_path: Path) -> None:
        """`2> errors.log`."""
        with (tmp_path / "errors.log").open("wb") as file:
            Notices("'a.jsonl'", descriptor=file.fileno()).lost(FULL)

        assert (tmp_path / "errors.log").read_text().startswith("wideevents lost 1 line of 'a.jsonl': ")

    def test_it_may_be_a_socket(self) -> None:
        """As the journal of systemd is."""
        reader, writer = socket.socketpair()
        with reader, writer:
            Notices("standard output", descriptor=writer.fileno()).lost(FULL)

            assert reader.recv(1_000).startswith(b"wideevents lost 1 line")

    def test_it_may_be_a_terminal_unless_somebody_stopped_it(self) -> None:
        """Ctrl-S stops whoever writes to it, and must not stop a request."""
        master, slave = os.openpty()
        notices = Notices("standard output", descriptor=slave)
        termios.tcflow(slave, termios.TCOOFF)
        notices.lost(FULL)
        termios.tcflow(slave, termios.TCOON)
        notices.lost(FULL)

        assert os.read(master, 1_000).startswith(b"wideevents lost 2 lines")
        os.close(master)
        os.close(slave)

    def test_it_is_one_line_that_a_pipe_takes_in_one_piece(self, stderr: Pipe) -> None:
        """Whatever an error has to say, in whatever characters."""
        stderr.notices.lost(OSError("\udce9" * 2_000))

        assert len(told := stderr.read()) == PIPE_BUF
        assert told.startswith("wideevents lost 1 line of standard output: \\udce9")
        assert told.endswith("\n")
