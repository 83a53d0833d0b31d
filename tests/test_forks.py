"""What the forks room promises."""

from __future__ import annotations

import gc
import importlib.util
import os
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import in_child
from wideevents import forks
from wideevents.forks import renew_in_child


class Counted:
    """Count how often it was made anew."""

    def __init__(self) -> None:
        self.renewed = 0

    def renew(self) -> None:
        self.renewed += 1


def freshly_imported() -> Any:
    """Import the room once more, beside the one that is in use."""
    spec = importlib.util.spec_from_file_location("wideevents.forks", forks.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class TestRenewInChild:
    def test_renews_in_the_child_and_not_in_the_parent(self) -> None:
        """What a fork breaks is made anew, once, where it is broken."""
        counted = Counted()
        renew_in_child(counted)
        in_the_child = in_child(lambda: counted.renewed)

        assert (in_the_child, counted.renewed) == (1, 0)

    def test_renews_everything_that_lives(self) -> None:
        """There can be several: the locks of sinks, the ids, the events in progress."""
        several = [Counted(), Counted(), Counted()]
        for counted in several:
            renew_in_child(counted)

        assert in_child(lambda: [counted.renewed for counted in several]) == [1, 1, 1]

    def test_renews_again_in_a_child_of_the_child(self) -> None:
        """Servers fork workers from a process that was forked itself."""
        counted = Counted()
        renew_in_child(counted)

        assert in_child(lambda: in_child(lambda: counted.renewed)) == 2

    def test_keeps_nothing_alive(self) -> None:
        """A recorder or a sink that nobody refers to any more is freed at once."""
        counted = Counted()
        renew_in_child(counted)
        gone = weakref.ref(counted)
        gc.disable()
        try:
            del counted
            assert gone() is None
        finally:
            gc.enable()

    def test_runs_by_what_the_platform_offers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The one function that Python calls after a fork renews what is registered by then."""
        called_after: list[Callable[[], None]] = []
        monkeypatch.setattr(os, "register_at_fork", lambda *, after_in_child: called_after.append(after_in_child))
        room = freshly_imported()
        counted = Counted()
        room.renew_in_child(counted)
        for function in called_after:
            function()

        assert (len(called_after), counted.renewed) == (1, 1)

    def test_can_be_imported_where_there_is_no_fork(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """On Windows nothing forks, and the import works."""
        monkeypatch.delattr(os, "register_at_fork")
        counted = Counted()
        freshly_imported().renew_in_child(counted)

        assert counted.renewed == 0
