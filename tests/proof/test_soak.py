"""What a long day must not leave behind: a line that nobody knows of, or anything that grows."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import wideevents
from tests.integrations.servers import ROOT, environment
from tests.proof.places import Full, Read, Tap
from tests.proof.soak import Sample, Soak, grown, growth
from wideevents import config, context, health, propagation
from wideevents.health import Fault

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it looks at itself in /proc, and fills /dev/full")

CALM = Sample(rss_mb=50.0, descriptors=20, threads=5, recorded=False)


class TestSoak:
    def test_everything_is_accounted_for(self) -> None:
        """In a process of its own, as it runs for long, and for as long as a test may take."""
        command = [sys.executable, "-m", "tests.proof.soak", "8", "--seed", "6", "--growth", "12"]
        ran = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
        assert (ran.returncode, ran.stdout.splitlines()[-1:]) == (0, ["everything is accounted for"]), ran.stdout


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Soak:
    """Give one that has run for a moment in this process, and is over."""
    with config.kept():
        health.forget()
        soak = Soak(tmp_path_factory.mktemp("soak"), seed=1)
        soak.run(0.8)
    propagation.install(context.variable)
    assert soak.account() == []
    return soak


@pytest.fixture
def soak(ran: Soak) -> Soak:
    """Give a copy of it, whose accounts may be spoiled."""
    spoiled = copy.copy(ran)
    spoiled.tap, spoiled.read, spoiled.lost = copy.copy(ran.tap), copy.copy(ran.read), ran.lost.copy()
    spoiled.tap.seen, spoiled.tap.told, spoiled.read.told = (
        ran.tap.seen.copy(),
        ran.tap.told.copy(),
        ran.read.told.copy(),
    )
    spoiled.faults, spoiled.recorders = [], []
    return spoiled


def lose_an_event(soak: Soak) -> None:
    soak.tap.seen["event"] -= 1


def write_one_twice(soak: Soak) -> None:
    soak.read.lines += 1


def lose_a_log_line(soak: Soak) -> None:
    soak.tap.seen["log"] -= 1


def forget_a_loss(soak: Soak) -> None:
    soak.lost["lines"] += 1


def forget_a_failure(soak: Soak) -> None:
    soak.tap.failed += 1


def tell_a_loss_twice(soak: Soak) -> None:
    soak.tap.told[Fault.LOST] += 1


def tell_a_late_write_twice(soak: Soak) -> None:
    soak.read.told[Fault.LATE_WRITE] += 1


def drop_one_too_many(soak: Soak) -> None:
    soak.dropped += 1


def tear_a_line(soak: Soak) -> None:
    soak.read.fragments += soak.lost["lines"] + 1


class TestAccounts:
    """Who looks for faults sees them."""

    @pytest.mark.parametrize(
        "spoil",
        [
            lose_an_event,
            write_one_twice,
            lose_a_log_line,
            forget_a_loss,
            forget_a_failure,
            tell_a_loss_twice,
            tell_a_late_write_twice,
            drop_one_too_many,
            tear_a_line,
        ],
    )
    def test_one_that_is_off_is_seen(self, soak: Soak, spoil: Callable[[Soak], None]) -> None:
        """By one event, of all."""
        spoil(soak)
        assert soak.account() != []

    def test_an_event_that_is_left_open_is_seen(self, soak: Soak) -> None:
        """At every look."""
        with config.kept():
            wideevents.configure(output=Tap(), logging=False)
            soak.recorders.append(config.recorder())
            with wideevents.event("left"):
                soak.settle(Full(soak.folder, soak.read))
        assert [fault.split(":")[0] for fault in soak.faults] == ["left open", "an event is left in the context"]

    def test_a_line_that_is_not_strict_is_seen(self) -> None:
        """One of many is read as the strictest reader would."""
        read = Read(Tap())
        read.lines = 39
        read.line(b'{"timestamp":"now"}\n')
        assert len(read.faults) == 1

    def test_what_is_calm_has_not_grown(self) -> None:
        """Memory goes up and down."""
        samples = [replace(CALM, rss_mb=50 + each % 2) for each in range(20)]
        assert grown(samples, 2.0) == []

    @pytest.mark.parametrize("changed", [{"descriptors": 21}, {"threads": 6}, {"rss_mb": 90.0}], ids=str)
    def test_what_grows_is_seen(self, changed: dict[str, Any]) -> None:
        """A descriptor, a thread, memory."""
        assert len(grown([CALM] * 10 + [CALM] * 5 + [replace(CALM, **changed)] * 5, 2.0)) == 1

    def test_growth_is_that_of_the_line_that_fits_best(self) -> None:
        """In MB from the first sample to the last."""
        assert round(growth([replace(CALM, rss_mb=50 + each / 10) for each in range(11)]), 6) == 1.0


def test_the_process_is_left_as_it_was(soak: Soak) -> None:
    """A soak that is over listens to nothing, and holds nothing open."""
    assert [each for each in os.listdir(soak.folder) if each.startswith("events-")] == []
