"""Send a finished event through the stages, and then to the sinks."""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Generic, Protocol, TypeAlias

from wideevents import health
from wideevents.entries import E, Entry
from wideevents.events import Event
from wideevents.health import Fault
from wideevents.values import guarded

Stage: TypeAlias = Callable[[Event], Event | None]
"""Take a sealed event and return it, or None to drop it. What a stage changes is `event.record`."""


class Sink(Protocol):
    """
    Take what the stages let through.

    One of ours has a `name`, by which its losses are counted; all others are "other" together.
    """

    def write(self, entry: Entry, /) -> object:
        """Write `entry.line`, of an event or of a log call: one line of JSON, in bytes, that ends in a newline."""

    def close(self) -> object:
        """Let go of what is held."""


class Pipeline(Generic[E]):
    """
    Hold the stages in their order, which is the whole configuration, and the sinks.

    Telemetry never breaks the work it watches: what a stage or a sink raises ends here, counted, and told once.
    """

    __slots__ = ("_steps", "_ways", "sinks", "stages")

    def __init__(self, stages: tuple[Callable[[E], E | None], ...], sinks: tuple[Sink, ...]) -> None:
        self.stages = stages
        self.sinks = sinks
        self._steps = tuple(map(_bound, stages))
        self._ways = tuple((sink, not forwards(sink)) for sink in sinks)

    def send(self, entry: E) -> None:
        """
        Send *entry* on its way.

        A stage that fails is left out for this entry. One that is `essential` (redact, encode) takes the line with
        it: a line that is lost and counted is better than one that tells a secret.
        """
        for step in self._steps:
            try:
                passed = step(entry)
            except Exception as error:  # noqa: BLE001 - nothing of ours reaches the application
                passed = _without(self._stage_of(step), entry, error)
            if passed is None:
                health.give_back(entry.record)
                return
            entry = passed
        written = False
        for sink, writes in self._ways:
            try:
                sink.write(entry)
                written = written or writes
            except Exception as error:  # noqa: BLE001 - nothing of ours reaches the application
                _lose(sink, error)
        if not written:
            health.give_back(entry.record)

    def _stage_of(self, step: object) -> object:
        """Return the stage that does *step*; none is compared with another, which would run code of its own."""
        return next(stage for stage, each in zip(self.stages, self._steps, strict=True) if each is step)

    def close(self) -> None:
        """Close the sinks."""
        for sink in self.sinks:
            try:
                sink.close()
            except Exception as error:  # noqa: BLE001 - nothing of ours reaches the application
                _lose(sink, error)


def _bound(stage: Callable[[E], E | None]) -> Callable[[E], E | None]:
    """Return the method of an object that can be called: Python calls it twice as fast as the object."""
    call = getattr(stage, "__call__", None)  # noqa: B004 - what it is, and not whether it is there
    return call if type(call) is MethodType else stage


def forwards(sink: object) -> bool:
    """Tell whether *sink* only reports what is wrong, and writes no line."""
    return hasattr(sink, "assign")


def _without(stage: object, entry: E, error: Exception) -> E | None:
    """Return the entry if it can go on without the stage that failed."""
    if getattr(stage, "essential", False):
        _lose(stage, error)
        return None
    name = _name(stage)
    health.report(Fault.STAGE, name, _sentence(name, "the line went on without it", error), error=error)
    return entry


def _lose(step: object, error: Exception) -> None:
    """Report a line that a sink, or a stage, did not write."""
    name = _name(step)
    health.lost(getattr(step, "name", ""), name, _sentence(name, "the line is lost", error), error=error)


def _name(step: object) -> str:
    return str(getattr(step, "__name__", type(step).__name__))


def _sentence(name: str, outcome: str, error: Exception) -> str:
    return f"{name} failed, and {outcome}: {guarded(lambda: repr(error), error)}"
