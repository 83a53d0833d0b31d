"""Add up the steps of a batch, and find out what became of those that were left in the middle."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from math import ceil
from typing import NamedTuple, Protocol
from weakref import WeakSet

from wideevents.causes import chain, members, traces
from wideevents.entries import Noted
from wideevents.events import Event
from wideevents.recorder import note_raised

MOST_LEFT = 100
"""Steps left in the middle that wait for the end of their parent, to learn why; the oldest ends before that."""

PERCENTILES = {"p50_ms": 50, "p95_ms": 95, "max_ms": 100}


class Place(NamedTuple):
    """Be a loop in progress: the frame it runs in, by its `id`, and lines that all of its body stands between."""

    frame: int
    first: int
    last: int


class Left(NamedTuple):
    """Hold a step that was left in the middle, and the places that it ran in, the innermost first."""

    step: Event
    places: tuple[Place, ...]


class Entry(NamedTuple):
    """Be one entry of a traceback: the line, and the exception that went through it."""

    line: int
    noted: Noted


class Run(Protocol):
    """Be one run of a batch that has not ended."""

    def parent_ends(self, passed: Passed) -> None:
        """End with the parent, if an exception *passed* through the loop; there is nobody to be told any more."""


class Steps:
    """
    Know the steps of all batches of one name in one event.

    A loop drops its iterator before anybody can see the exception by which it is left. So a step that is left in the
    middle waits for its parent to end, and failed if an exception that the parent knows of went through its loop.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.runs: WeakSet[Run] = WeakSet()
        self._durations: array[int] = array("q")
        self._failed = array("b")
        self._left: deque[Left] = deque()

    @property
    def failures(self) -> int:
        """How many have failed. To count is to append, which is atomic, from whatever thread."""
        return len(self._failed)

    def count(self, step: Event) -> None:
        """Count a step that has ended."""
        self._durations.append(step.ended - step.started)
        if step.outcome == "failure":
            self._failed.append(1)

    def finish(self, step: Event) -> None:
        """Write the line of a step, and count it."""
        step.recorder.finish(step)
        self.count(step)

    def leave(self, step: Event, places: tuple[Place, ...]) -> None:
        """Let a step that has ended wait, to learn why."""
        step.recorder.in_progress.pop(step.id, None)
        self._left.append(Left(step, places))
        if len(self._left) > MOST_LEFT:
            self.finish(self._left.popleft().step)

    def settle(self, passed: Passed, otherwise: str = "success") -> None:
        """End the steps that wait: those that an exception *passed* through failed, the others were *otherwise*."""
        while (left := self._newest()) is not None:  # of two in one place the older was left by what is handled
            if not passed.blame(*left):
                left.step.outcome = otherwise
            self.finish(left.step)

    def conclude(self, event: Event) -> None:
        """Tell *event*, the parent, what its steps came to; it ends now."""
        passed = Passed(event.errors)
        for run in tuple(self.runs):
            run.parent_ends(passed)
        self.settle(passed, "cancelled" if event.outcome == "cancelled" else "success")
        fields = event.fields or {}
        for name, value in summary(self._durations, self.failures).items():
            fields[event.keys.named(f"{self.name}.{name}")[0]] = value

    def _newest(self) -> Left | None:
        """Take the step that was left last; another thread may do so, too."""
        with suppress(IndexError):
            return self._left.pop()
        return None


class Passed:
    """Know where exceptions went through, and let each entry of a traceback explain one step."""

    def __init__(self, errors: Sequence[Noted]) -> None:
        self._by_frame: dict[int, list[Entry]] = {}
        for noted in reversed(errors):  # as the steps are asked for: the newest first
            for link in chain(noted.error):
                for each in (link, *members(link)):
                    for trace in traces(each):
                        entry = Entry(trace.tb_lineno, noted._replace(error=each))
                        self._by_frame.setdefault(id(trace.tb_frame), []).append(entry)

    def blame(self, step: Event, places: Iterable[Place]) -> bool:
        """Let *step* fail if an exception went through one of its *places*, and tell whether it was so."""
        for place in places:
            entries = self._by_frame.get(place.frame, [])
            for position, entry in enumerate(entries):
                if place.first <= entry.line <= place.last:
                    del entries[position]
                    _fail(step, entry.noted)
                    return True
        return False


def _fail(step: Event, noted: Noted) -> None:
    """Note in *step* what its parent has noted, too."""
    if noted.handled:
        step.fail(noted.error, level=noted.level, expected=noted.expected)
    else:
        note_raised(step, noted.error)


def steps_of(event: Event, name: str) -> Steps:
    """Return the steps of the batches called *name* in *event*, which knows of them from now on."""
    batches = event.batches
    if batches is None:
        batches = event.batches = {}
    steps: Steps = batches.setdefault(name, Steps(name))
    return steps


def summary(durations: Sequence[int], failures: int) -> dict[str, int | float]:
    """
    Return what steps came to: how many, how long in all, how many failed, and percentiles of how long each took.

    A percentile is the nearest rank: the shortest duration that this many in a hundred do not exceed. *durations* are
    nanoseconds.
    """
    ordered = sorted(durations)
    told = {"count": len(ordered), "duration_ms": _milliseconds(sum(ordered)), "failures": failures}
    if ordered:
        told |= {
            name: _milliseconds(ordered[ceil(rank * len(ordered) / 100) - 1]) for name, rank in PERCENTILES.items()
        }
    return told


def _milliseconds(nanoseconds: int) -> float:
    return nanoseconds // 1000 / 1000
