"""Send a finished event through the stages, and then to the sinks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from wideevents import health
from wideevents.events import Event
from wideevents.health import Fault
from wideevents.values import guarded

FAILED = object()

Stage: TypeAlias = Callable[[Event], Event | None]
"""Take a sealed event and return it, or None to drop it. What a stage changes is `event.record`."""


class Sink(Protocol):
    """Take what the stages let through."""

    def write(self, event: Event) -> object:
        """Write `event.line`: one whole line of JSON, in bytes, that ends in a newline."""

    def close(self) -> object:
        """Let go of what is held."""


class Pipeline:
    """
    Hold the stages in their order, which is the whole configuration, and the sinks.

    Telemetry never breaks the work it watches: what a stage or a sink raises ends here, counted, and told once.
    """

    __slots__ = ("sinks", "stages")

    def __init__(self, stages: tuple[Stage, ...], sinks: tuple[Sink, ...]) -> None:
        self.stages = stages
        self.sinks = sinks

    def __call__(self, event: Event) -> None:
        """
        Send *event*.

        A stage that fails is left out for this event. One that is `essential` (redact, encode) takes the line with
        it: a line that is lost and counted is better than one that tells a secret.
        """
        for stage in self.stages:
            passed = self._attempt(stage, stage, event)
            if passed is None:
                health.give_back(event.record)
                return
            event = passed
        told = [self._attempt(sink, sink.write, event) is not FAILED for sink in self.sinks]
        if not any(told):
            health.give_back(event.record)

    def close(self) -> None:
        """Close the sinks."""
        for sink in self.sinks:
            self._attempt(sink, _close, sink)

    def _attempt(self, step: Any, call: Callable[[Any], Any], argument: Any) -> Any:
        try:
            return call(argument)
        except Exception as error:  # noqa: BLE001 - nothing of ours reaches the application
            if call is step and not getattr(step, "essential", False):
                _tell(Fault.STAGE, step, "the event went on without it", error)
                return argument
            _tell(Fault.LOST, step, "the line is lost", error)
            return None if call is step else FAILED


def _tell(fault: Fault, step: object, outcome: str, error: Exception) -> None:
    name = getattr(step, "__name__", type(step).__name__)
    health.report(fault, name, f"{name} failed, and {outcome}: {guarded(lambda: repr(error), error)}", error=error)


def _close(sink: Sink) -> None:
    sink.close()
