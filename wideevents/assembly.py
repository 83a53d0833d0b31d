"""Put the stages in their order, which is the whole configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from wideevents.entries import E, Entry
from wideevents.events import Event
from wideevents.frames import Application
from wideevents.logs.lines import Line, Loggers
from wideevents.pipeline import Stage
from wideevents.redaction import Redaction
from wideevents.stages.alert import Alert
from wideevents.stages.encode import Encode
from wideevents.stages.enrich import Enrich
from wideevents.stages.gate import Gate
from wideevents.stages.held import attach_lines
from wideevents.stages.redact import Redact
from wideevents.stages.sample import Sample


class Forwarder(Protocol):
    """Forward errors: give an entry the id of its report before it is encoded, and send the report after."""

    def join(self, application: Application, redaction: Redaction) -> object:
        """Take what is the application's own code, and what is hidden."""

    def assign(self, entry: E) -> E:
        """Decide whether *entry* is reported, and note the id of the report."""

    def write(self, entry: Entry, /) -> object:
        """Report what was decided."""

    def close(self) -> object:
        """Send what waits, within bounds."""


class Counted(Protocol):
    """Count events and lines, whatever becomes of them."""

    def event(self, event: Event, /) -> Event:
        """Count an event."""

    def line(self, line: Line, /) -> Line:
        """Count a log line that is outside any event."""

    def expect(self, routes: Iterable[tuple[str, str]], /) -> object:
        """Begin at zero for (route, owner), so that the first error of a route is an increase."""

    def open(self) -> object:
        """Be told of faults, and be shown: from the first, and again after `close`."""

    def close(self) -> object:
        """Be told nothing any more."""


@dataclass(frozen=True, slots=True)
class Assembly:
    """
    Hold the stages of one process, for its events and for its log lines.

    Whom it calls is known before it is counted, and counted before anything is dropped. A report of an error gets its
    id before the line is encoded. What is *own*, the user's, shapes events alone; *redact* and *encode* then look at
    everything.
    """

    loggers: Loggers
    alert: Alert
    counted: Counted | None
    sample: Sample | None
    enrich: Enrich
    own: tuple[Stage, ...]
    forwarder: Forwarder | None
    redact: Redact
    encode: Encode

    def of_events(self) -> tuple[Stage, ...]:
        """Return the stages of an event."""
        count = (self.counted.event,) if self.counted else ()
        sample = (self.sample,) if self.sample else ()
        lines = (attach_lines,) if self.loggers.debug else ()
        gate = Gate(self.loggers.level)
        return (
            self.alert,
            *count,
            *sample,
            gate,
            *lines,
            self.enrich,
            *self.own,
            *self._assign(),
            self.redact,
            self.encode,
        )

    def of_lines(self) -> tuple[Callable[[Line], Line | None], ...]:
        """Return the stages of a log line."""
        count = (self.counted.line,) if self.counted else ()
        return (self.alert.line, *count, self.enrich.identify, *self._assign(), self.redact, self.encode)

    def _assign(self) -> tuple[Callable[[Any], Any], ...]:
        return (self.forwarder.assign,) if self.forwarder else ()
