"""Show events and log lines on the console, the lines of an event under it."""

from __future__ import annotations

import sys
import time
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock, Timer, get_ident
from typing import Any, Protocol, TypeAlias

from wideevents.console import Fields, Renderer, Screen, encodable
from wideevents.entries import Entry
from wideevents.forks import renew_in_child

MOST_HELD = 200
"""Lines of one event that wait for its end."""

PATIENCE = 2.0
"""Seconds that a line waits for the end of its event."""


ALL, DUE = True, False
"""What can be asked for beside the printing of an arrival: all that waits, or what has waited long enough."""

Look: TypeAlias = Callable[[], None]

Shown: TypeAlias = tuple[Fields | None, list[Fields]]
"""An event and the lines under it, or lines alone."""


class InProgress(Protocol):
    """Be the event that a line was logged in."""

    @property
    def sealed(self) -> bool:
        """Whether it has ended."""


@dataclass(slots=True)
class Held:
    """Keep the lines of an event that is in progress: what they hold, and since when the first one waits."""

    event: InProgress
    since: float
    lines: list[Fields] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Arrival:
    """Be what was written: an event, or a line and the event it was logged in, if any; *nested* in another write."""

    fields: dict[str, Any]
    event: InProgress | None
    nested: bool


def _later(seconds: float, look: Look) -> None:
    timer = Timer(seconds, look)
    timer.daemon = True
    timer.start()


def _looking(reference: weakref.ref[ConsoleSink]) -> Look:
    """Return what looks at the sink, if it is still there: an event in progress holds on to it, a timer must not."""

    def look() -> None:
        sink = reference()
        if sink is not None:
            sink.look()

    return look


class ConsoleSink:
    """
    Print what is written for people, to the standard output of the moment.

    A line that is logged inside an event waits for the event, to stand under it: at most `PATIENCE` seconds, with at
    most `MOST_HELD` others, and only as long as the event is in progress. *monotonic* returns seconds; *later* runs a
    function after so many of them, so that what waits is seen when all else stands still, as at a breakpoint.

    What arrives is queued, and whoever finds nobody at work works off the queue. So no thread waits for another, a
    signal handler that logs in the middle of a write is printed after it, and a lock that somebody waits for is never
    held.
    """

    name = "console"

    def __init__(
        self, *, monotonic: Callable[[], float] = time.monotonic, later: Callable[[float, Look], object] = _later
    ) -> None:
        self._monotonic = monotonic
        self._later = later
        self._renderer = Renderer(Screen())
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """Begin anew: in a forked child nobody is at work, and what waits is the parent's."""
        self._arrivals: deque[Arrival | bool] = deque()
        self._looks_later = False
        self._held: dict[str, Held] = {}
        self._turn = Lock()
        self._worker = 0

    def write(self, entry: Entry) -> None:
        """Print an event with the lines that wait for it, or a line, or let the line wait; raise what stdout raises."""
        nested = self._worker == get_ident()
        self._arrivals.append(Arrival({**entry.static, **entry.record}, getattr(entry, "event", None), nested))
        self._work()

    def close(self) -> None:
        """Print the lines that still wait. What is written afterwards is printed, too."""
        self._arrivals.append(ALL)
        self._work()

    def look(self) -> None:
        """Print the lines that have waited long enough."""
        self._looks_later = False
        self._arrivals.append(DUE)
        self._work()

    def _work(self) -> None:
        """Work off the queue, unless somebody does: they look again when they have ended their turn."""
        while self._arrivals and self._turn.acquire(blocking=False):
            self._worker = get_ident()
            try:
                arrival = self._arrivals.popleft()
                if isinstance(arrival, Arrival):
                    self._print(self._take(arrival), nested=arrival.nested)
                elif arrival is ALL:
                    self._print(self._release(lambda _: True))
                else:
                    self._print(self._release_due(self._monotonic()))
                self._look_again()
            finally:
                self._worker = 0
                self._turn.release()

    def _look_again(self) -> None:
        """See to it that what waits now is looked at when its time is over; nobody may write until then."""
        if self._held and not self._looks_later:
            self._looks_later = True
            self._later(PATIENCE, _looking(weakref.ref(self)))

    def _take(self, arrival: Arrival) -> list[Shown]:
        """Take an event or a line in, and return what is to be printed now, in its order."""
        fields, event, now = arrival.fields, arrival.event, self._monotonic()
        event_id = str(fields.get("event.id"))
        if "event.kind" in fields:
            held = self._held.pop(event_id, None)
            return [*self._release_due(now), (fields, held.lines if held else [])]
        if event is None:
            return [*self._release_due(now), (None, [fields])]
        self._held.setdefault(event_id, Held(event, now)).lines.append(fields)
        return self._release_due(now)

    def _release_due(self, now: float) -> list[Shown]:
        """Return the lines that have waited enough; those of an event that was dropped would wait in vain."""
        return self._release(
            lambda held: held.event.sealed or now - held.since >= PATIENCE or len(held.lines) > MOST_HELD
        )

    def _release(self, is_due: Callable[[Held], bool]) -> list[Shown]:
        due = [event_id for event_id, held in self._held.items() if is_due(held)]
        return [(None, self._held.pop(event_id).lines) for event_id in due]

    def _print(self, blocks: list[Shown], *, nested: bool = False) -> None:
        """Print by one write. What a standard output logs, because it logs, goes to the original one, where it ends."""
        if not blocks:
            return
        stream = sys.__stdout__ if nested else sys.stdout
        if stream is None:
            raise OSError("there is no standard output")
        screen = Screen.of(stream)
        if self._renderer.screen != screen:
            self._renderer = Renderer(screen)
        text = "".join(self._text(event, lines) for event, lines in blocks)
        stream.write(encodable(text, stream))
        stream.flush()

    def _text(self, event: Fields | None, lines: list[Fields]) -> str:
        if event is not None:
            return self._renderer.event(event, lines)
        return "".join(self._renderer.line(line) for line in lines)
