"""What the turns of an output promise: one for all that write there, and fresh in a child."""

from __future__ import annotations

import gc
import os
import socket
from collections.abc import Iterator

import pytest

from tests.conftest import in_child
from wideevents.turns import Turn, shared


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Give the two ends of a pipe."""
    ends = os.pipe()
    yield ends
    for each in ends:
        os.close(each)


class TestShared:
    def test_all_ways_to_one_pipe_have_one(self, pipe: tuple[int, int]) -> None:
        """As `2>&1` gives them: by whatever number, it is the same pipe."""
        again = os.dup(pipe[1])
        turn = shared(os.fstat(pipe[1]))

        assert turn is shared(os.fstat(again))
        os.close(again)

    def test_each_output_has_its_own(self, pipe: tuple[int, int]) -> None:
        """Nobody waits for the reader of another pipe."""
        others = os.pipe()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            turns = [shared(os.fstat(each)) for each in (pipe[1], others[1], ours.fileno(), theirs.fileno())]
        for each in others:
            os.close(each)

        assert len(set(map(id, turns))) == 4

    def test_is_forgotten_with_the_last_who_writes_there(self, pipe: tuple[int, int]) -> None:
        """The number of a pipe may be another one's later."""
        turn: Turn | None = shared(os.fstat(pipe[1]))
        assert turn is not None
        turn.torn = True
        turn = None
        gc.collect()

        assert not shared(os.fstat(pipe[1])).torn


class TestTurn:
    def test_a_child_does_not_wait_for_a_thread_of_its_parent(self) -> None:
        """What was held at the fork, and what waited, is the parent's; a line that is torn is so for both."""
        turn = Turn()
        turn.torn = turn.busy = True
        turn.waiting.append(b"{}\n")
        turn.lock.acquire()
        lock = turn.lock
        found = in_child(lambda: [turn.lock is not lock, turn.busy, len(turn.waiting), turn.torn])
        turn.lock.release()

        assert found == [True, False, 0, True]
