"""Drive the lines sink through whatever a write may do, against a model of what its reader must see."""

from __future__ import annotations

import errno
import os
import socket
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.sinks import event_of
from wideevents import health
from wideevents.entries import Entry
from wideevents.health import Fault
from wideevents.pipeline import Pipeline
from wideevents.sinks.lines import LinesSink

ERRORS = (errno.ENOSPC, errno.EPIPE, errno.EIO)
PASSING = (errno.EAGAIN, errno.EINTR)

STEP = 0.013
"""Seconds that pass whenever the sink looks at the clock: a tenth of a second is over soon."""

outcomes = st.one_of(
    st.integers(1, 60),
    st.sampled_from((*ERRORS, *PASSING)).map(lambda number: OSError(number, os.strerror(number))),
    st.just("never"),
    st.just("signal"),
)


class Kernel:
    """
    Take what is written as it was planned: so many bytes, an error, or all of it.

    "never" is a reader that takes nothing until the line is given up. "signal" is a handler that logs just then; all
    of its line is taken if it does not wait for the one that it interrupted, since a file is written to without a lock.
    What is left of a line is at least two bytes: one that lacks its newline alone is read as a whole one.
    """

    def __init__(self) -> None:
        self.plan: deque[int | OSError | str] = deque()
        self.taken = bytearray()
        self.on_signal: Callable[[], None] = lambda: None

    def write(self, _: int, data: bytes) -> int:
        planned = self.plan.popleft() if self.plan else len(data)
        if planned == "signal":
            rest, self.plan = self.plan, deque()
            self.on_signal()
            self.plan = rest
            planned = len(data)
        if planned == "never":
            self.plan.appendleft("never")
            planned = BlockingIOError(errno.EAGAIN, "nobody reads")
        if isinstance(planned, OSError):
            raise planned
        assert isinstance(planned, int)
        count = planned if planned >= len(data) else max(0, min(planned, len(data) - 2))
        self.taken += data[:count]
        return min(count, len(data))


class Noting:
    """Note which lines the sink raised for, on their way to the pipeline, which counts them."""

    name = "lines"

    def __init__(self, sink: LinesSink) -> None:
        self.sink = sink
        self.refused: list[bytes] = []

    def write(self, entry: Entry) -> None:
        try:
            self.sink.write(entry)
        except OSError:
            self.refused.append(entry.line)
            raise

    def close(self) -> None:
        """Hold nothing."""


@contextmanager
def opened(kind: str) -> Iterator[int]:
    """Give a descriptor of the *kind*, which always has room; nothing is written to it."""
    with ExitStack() as stack:
        if kind == "file":
            yield stack.enter_context(tempfile.TemporaryFile(buffering=0)).fileno()
        elif kind == "socket":
            pair = [stack.enter_context(each) for each in socket.socketpair()]
            yield pair[0].fileno()
        else:
            reader, writer = os.pipe()
            stack.callback(os.close, reader)
            stack.callback(os.close, writer)
            os.set_blocking(writer, kind == "pipe")
            yield writer


class Lines(RuleBasedStateMachine):
    """Write lines, each with a number of its own, and let the kernel do to them what it may."""

    @initialize(
        kind=st.sampled_from(["file", "pipe", "pipe that does not block", "socket"]),
        longest=st.sampled_from([512, 60_000]),
    )
    def open(self, kind: str, longest: int) -> None:
        self.stack = ExitStack()
        self.kernel = Kernel()
        self.seconds = 0.0
        descriptor = self.stack.enter_context(opened(kind))
        self.sink = LinesSink(descriptor, longest=longest, write=self.kernel.write, clock=self.tick)
        self.noting = Noting(self.sink)
        self.pipeline: Pipeline[Entry] = Pipeline((), (self.noting,))
        self.kernel.on_signal = self.interrupt
        self.given: list[bytes] = []
        self.late: list[bytes] = []
        health.forget()

    def tick(self) -> float:
        self.seconds += STEP
        return self.seconds

    def line(self, size: int) -> bytes:
        number = b"%d:" % (len(self.given) + len(self.late))
        return number + b"x" * max(1, size - len(number) - 1) + b"\n"

    def interrupt(self) -> None:
        """Log in a signal handler, which runs in the middle of a write."""
        self.late.append(self.line(30))
        self.pipeline.send(event_of(self.late[-1]))

    @rule(plan=st.lists(outcomes, max_size=6), size=st.integers(4, 120))
    def write(self, plan: list[int | OSError | str], size: int) -> None:
        self.kernel.plan = deque(plan)
        self.given.append(self.line(size))
        self.pipeline.send(event_of(self.given[-1]))
        self.kernel.plan.clear()

    @rule(size=st.integers(4, 120))
    def write_well(self, size: int) -> None:
        """A line that meets no trouble is written, whatever went before."""
        self.write([], size)

        assert self.kernel.taken.endswith(self.given[-1])

    @precondition(lambda self: hasattr(self, "sink"))
    @rule()
    def look(self) -> None:
        """Let the second pass after which the sink looks at its descriptor."""
        self.seconds += 1.0

    def pieces(self) -> list[bytes]:
        """Return what stands between two newlines; the last has none, if it is there."""
        *ended, last = bytes(self.kernel.taken).split(b"\n")
        return [*(piece + b"\n" for piece in ended), *([last] if last else [])]

    @invariant()
    def every_line_is_written_or_counted(self) -> None:
        """Never neither, and never both."""
        if not hasattr(self, "sink"):
            return
        lines = [*self.given, *self.late]
        whole = [piece for piece in self.pieces() if piece in lines]

        assert len(whole) == len(set(whole))
        assert health.faults.counts().get(Fault.LOST, 0) == len(lines) - len(whole)
        assert not set(whole) & set(self.noting.refused)

    @invariant()
    def lines_stand_in_their_order(self) -> None:
        """But for those of signal handlers, which stand before or after what they interrupted."""
        if not hasattr(self, "sink"):
            return
        written = [piece for piece in self.pieces() if piece in self.given]

        assert written == [line for line in self.given if line in written]

    @invariant()
    def what_is_torn_is_the_beginning_of_a_line_that_is_lost(self) -> None:
        """And stands alone: no other line begins behind it, and none is empty."""
        if not hasattr(self, "sink"):
            return
        lines = [*self.given, *self.late]
        torn = [piece.removesuffix(b"\n") for piece in self.pieces() if piece not in lines]

        assert b"" not in torn
        assert [piece for piece in torn if not any(line.startswith(piece) for line in lines)] == []

    def teardown(self) -> None:
        if hasattr(self, "stack"):
            self.stack.close()


Lines.TestCase.settings = settings(max_examples=150, stateful_step_count=20, deadline=None)


class TestLines(Lines.TestCase):  # type: ignore[misc, valid-type]
    """What the reader sees is whole lines in their order; every other one is counted."""


@pytest.mark.parametrize("number", PASSING, ids=["EAGAIN", "EINTR"])
def test_what_passes_costs_no_line(number: int, tmp_path: Path) -> None:
    """The same write is tried again."""
    kernel = Kernel()
    kernel.plan.extend([OSError(number, ""), 3, OSError(number, ""), OSError(number, "")])
    LinesSink.open(tmp_path / "events.jsonl", write=kernel.write).write(event_of(b'{"n":1}\n'))

    assert kernel.taken == b'{"n":1}\n'
