"""Send a finished event through the stages, and then to the sinks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, TypeVar

from wideevents import health
from wideevents.events import Event
from wideevents.health import Fault

R = TypeVar("R")

Stage: TypeAlias = Callable[[Event], Event | None]
"""Take a sealed event and return it, or None to drop it. What a stage changes is `event.record`."""


class Sink(Protocol):
    """Take what the stages let through."""

    def write(self, event: Event) -> None:
        """Write `event.line`: one whole line of JSON, in bytes, that ends in a newline."""

    def close(self) -> None:
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
                return
            event = passed
        for sink in self.sinks:
            self._attempt(sink, sink.write, event)

    def close(self) -> None:
        """Close the sinks."""
        for sink in self.sinks:
            sink.close()

    def _attempt(self, step: Any, call: Callable[[Event], R], event: Event) -> R | Event | None:
        try:
            return call(event)
        except Exception as error:  # noqa: BLE001 - the one broad except, so that nothing of ours reaches the application
            lost = call is not step or getattr(step, "essential", False)
            name = getattr(step, "__name__", type(step).__name__)
            sentence = f"{name} failed, and {'the line is lost' if lost else 'the event went on without it'}: {error!r}"
            health.report(Fault.LOST if lost else Fault.STAGE, name, sentence, error=error)
            return None if lost else event
