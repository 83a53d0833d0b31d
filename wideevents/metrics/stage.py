"""Count every event, and every log line outside of one, before anything can drop it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress

from prometheus_client import REGISTRY, CollectorRegistry

from wideevents import health
from wideevents.entries import E
from wideevents.errors import ConfigurationError
from wideevents.events import Event
from wideevents.health import Fault
from wideevents.levels import Level
from wideevents.metrics.families import CAPPED, EVENTS, LINES, LOST, REQUESTS, WITHHELD, Family
from wideevents.metrics.ledger import Labels, Ledger, Series

DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that names the directory of all processes; prometheus_client reads it, too."""

MOST = 2_000
"""Sets of labels that a metric has at most; beyond it they are counted together."""

TOO_MANY = (
    "The metric {} has {} sets of labels, and what is new is counted as 'other': something puts names into its labels "
    "that do not end, such as a route that is no template, or an owner of every user's own."
)

KINDS = ("request", "websocket", "task", "batch", "script", "message")
CALLING = tuple((level.label, level.urgency.value) for level in (Level.ERROR, Level.WARNING))
"""What calls a person, whose counters begin at zero: one that is first seen at 1 has not increased."""


class Metrics:
    """
    Count events and log lines, and measure the duration of requests.

    Its stages `event` and `line` belong behind the one that finds the owner, and before what samples or drops.
    *registry* is the one that is shown; by default prometheus_client's own, so that one page has the application's
    metrics, too. Where `PROMETHEUS_MULTIPROC_DIR` is set the numbers go to files in that directory instead. *owner* has
    what nobody else owns. *most* bounds the sets of labels of a metric: a series for every route that somebody invents
    would fill the memory of Prometheus.

    Several of them on one registry or directory count together. Raise `ConfigurationError` for a directory that cannot
    be written, and for a registry that has metrics of these names.
    """

    def __init__(
        self, service: str, registry: CollectorRegistry | None = None, *, owner: str = "", most: int = MOST
    ) -> None:
        directory = os.environ.get(DIRECTORY)
        self._service = service
        self._owner = owner
        self._most = most
        self._registry = None if directory else registry or REGISTRY
        self._ledger = Ledger.of(directory or registry or REGISTRY)
        self._events, self._lines, self._requests = (self._ledger.known[each] for each in (EVENTS, LINES, REQUESTS))
        try:
            self._begin()
        except OSError as error:
            allowed = f"a directory that can be written, and is emptied before the server starts ({error})"
            raise ConfigurationError.of(DIRECTORY, directory, allowed) from error
        self.open()

    def event(self, event: Event) -> Event:
        """Count an event, and measure it if it is a request."""
        record = event.record
        get, kind, route = record.get, record["event.kind"], record.get("http.route", "")
        owner = get("owner.team") or self._owner
        labels: Labels = (self._service, kind, record["level"], record["alert.urgency"], owner, route)
        counted = self._events.get(labels) or self._found(EVENTS, labels)
        if kind != "request":
            self._ledger.add((counted, 1.0))
            return event
        # An error that was dealt with is none of the answer's (OpenTelemetry's HTTP conventions, error.type).
        error = get("error.type", "") if record["outcome"] == "failure" else ""
        labels = (get("http.request.method", ""), route, get("http.response.status_code", ""), error)
        measured = self._requests.get(labels) or self._found(REQUESTS, labels)
        self._ledger.add((counted, 1.0), (measured, record["duration_ms"] / 1000))
        return event

    def line(self, line: E) -> E:
        """Count a log line, if it is outside any event: only then it has an urgency of its own."""
        record = line.record
        urgency = record.get("alert.urgency")
        if urgency is not None:
            labels = (self._service, record["level"], urgency, record.get("owner.team") or self._owner)
            self._ledger.add((self._lines.get(labels) or self._found(LINES, labels), 1.0))
        return line

    def expect(self, routes: Iterable[tuple[str, str]]) -> None:
        """
        Let the counters of errors and warnings of *routes* begin at zero: of pairs of a template and its owner, or "".

        A door calls it when it knows its routes, so that the first error of each is an increase.
        """
        for route, owner in routes:
            self._begin_events("request", owner or self._owner, route)

    def open(self) -> None:
        """Count faults, and show the metrics on the page: from the first, and again after `close`."""
        if self._observe in health.observers:
            return
        if self._registry is not None and not self._ledger.users:
            try:
                self._registry.register(self._ledger)
            except ValueError as taken:
                raise ConfigurationError(
                    f"The metrics cannot be counted: {taken}. Give Metrics a CollectorRegistry of its own, or take the "
                    f"other collector off this one."
                ) from taken
        self._ledger.users += 1
        health.observers.append(self._observe)

    def close(self) -> None:
        """Count no more faults, and take the metrics off the page, unless somebody else counts there."""
        if self._observe not in health.observers:
            return
        health.observers.remove(self._observe)
        self._ledger.users -= 1
        if not self._ledger.users:
            self._ledger.close()
            if self._registry is not None:
                self._registry.unregister(self._ledger)

    def _begin(self) -> None:
        """Let begin at zero what is known to call a person."""
        for kind in KINDS:
            self._begin_events(kind, self._owner, "")
        for calling in CALLING:
            self._add(LINES, (self._service, *calling, self._owner), 0.0)
        for sink in health.SINKS:
            self._add(LOST, (self._service, sink), 0.0)
        self._add(WITHHELD, (self._service,), 0.0)

    def _begin_events(self, kind: str, owner: str, route: str) -> None:
        for calling in CALLING:
            self._add(EVENTS, (self._service, kind, *calling, owner, route), 0.0)

    def _observe(self, fault: Fault, subject: str, number: int) -> None:
        with suppress(OSError):  # whoever reports a fault has enough to do with that one
            if fault is Fault.LOST:
                self._add(LOST, (self._service, subject), number)
            elif fault is Fault.WITHHELD:
                self._add(WITHHELD, (self._service,), number)

    def _add(self, family: Family, labels: Labels, amount: float) -> None:
        self._ledger.add((self._found(family, labels), amount))

    def _found(self, family: Family, labels: Labels) -> Series:
        """Return the series of *labels*, or where there are too many the one of what is counted together."""
        known = self._ledger.known[family]
        found = known.get(labels)
        if found is None and len(known) >= self._most and family.open:
            self._add(CAPPED, (self._service, family.name), 1.0)
            health.report(Fault.SETTING, family.name, TOO_MANY.format(family.name, self._most))
            labels = family.together(labels)
        return self._ledger.series(family, labels)
