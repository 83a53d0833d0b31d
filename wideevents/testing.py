"""Catch events in tests, and fail a test that loses one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from wideevents import config, context, health
from wideevents.health import Fault
from wideevents.recorder import Recorder
from wideevents.sinks.memory import MemorySink


class WideEvents:
    """
    Hold the events of one test, as dictionaries of what would have been written, in the order in which they ended.

    `one()` is the usual way in; `all(level="error")` filters; it can be iterated, indexed and measured like a list.
    """

    def __init__(self, sink: MemorySink, recorders: list[Recorder]) -> None:
        self._sink = sink
        self._recorders = recorders

    def all(self, **fields: object) -> list[dict[str, Any]]:
        """Return the events that have all of *fields*; `__` in a name stands for a dot: `event__name="report"`."""
        wanted = {name.replace("__", "."): value for name, value in fields.items()}
        return [
            event
            for event in self._sink.events
            if all(name in event and event[name] == value for name, value in wanted.items())
        ]

    def one(self, **fields: object) -> dict[str, Any]:
        """Return the one event that has all of *fields*; fail, and show what there is, if there is none or several."""
        found = self.all(**fields)
        if len(found) != 1:
            asked = f" with {fields}" if fields else ""
            raise AssertionError(f"expected one event{asked}, found {len(found)}; {self._shown()}")
        return found[0]

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The log lines, as dictionaries of what would have been written, in the order in which they were logged."""
        return self._sink.logged

    def clear(self) -> None:
        """Forget the events and the log lines so far."""
        self._sink.lines.clear()
        self._sink.log_lines.clear()

    @property
    def in_progress(self) -> list[str]:
        """The names of the events that have not ended; also of those that began before a `configure` in the test."""
        open_events = [event for recorder in self._recorders for event in tuple(recorder.in_progress.values())]
        return [event.fields["event.name"] for event in open_events if event.fields is not None]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self._sink.events)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self._sink.events[index]

    def __len__(self) -> int:
        return len(self._sink.lines)

    def __repr__(self) -> str:
        return f"<WideEvents: {self._shown()}>"

    def _shown(self) -> str:
        events = self._sink.events
        if not events:
            return "no event was written"
        lines = "\n".join(json.dumps(event, indent=2, ensure_ascii=False) for event in events)
        return f"{len(events)} written:\n{lines}"


@contextmanager
def capture() -> Iterator[WideEvents]:
    """
    Catch the events of the block in memory, through the stages that are configured, instead of writing them.

    Raise `AssertionError` at its end for an event that was left open and for a field that was added outside any event.
    """
    sink = MemorySink()
    missed = health.faults.counts().get(Fault.NO_EVENT, 0)
    outside = context.variable.get()
    context.variable.set(None)
    with config.diverted(sink) as recorders:
        events = WideEvents(sink, recorders)
        try:
            yield events
        finally:
            context.variable.set(outside)
        names = events.in_progress
    _fail_if_open(names)
    _fail_if_missed(health.faults.counts().get(Fault.NO_EVENT, 0) - missed)


def _fail_if_open(names: list[str]) -> None:
    if names:
        raise AssertionError(
            f"left open: {', '.join(names)}. An event ends with its block, a request when its response is closed: "
            "close the response, or read it to its end."
        )


def _fail_if_missed(number: int) -> None:
    if number:
        raise AssertionError(
            f"{number} field(s) were added outside any event, and would be in no line. Work that is no request belongs "
            "in an event of its own: with wideevents.event(...)."
        )
