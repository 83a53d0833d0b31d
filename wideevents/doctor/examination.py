"""Examine an application: watch, load, make the request, and put together what was found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wideevents import config, health
from wideevents.doctor import libraries, loggers, requests
from wideevents.doctor.applications import check
from wideevents.doctor.calls import noted
from wideevents.doctor.findings import Finding, Severity
from wideevents.doctor.probe import request
from wideevents.doctor.watch import Watch
from wideevents.health import Fault
from wideevents.sinks.lines import LinesSink
from wideevents.sinks.memory import MemorySink

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


EXPLAIN_LINES = {"duplicate-handlers", "handler-missing", "last-resort", "level-swallows"}
"""Findings that say already why a line does not arrive once."""

EXPLAIN_TEXT = {"duplicate-handlers", "handler-missing", "last-resort", "plain-handler", "server-handlers"}
"""Findings that say already who writes text to a standard stream past Python's own."""


@dataclass(frozen=True, slots=True)
class Visit:
    """Hold what was found, errors first, and what the request was answered with."""

    findings: list[Finding]
    status: str | None
    events: int


def visit(load: Callable[[], WSGIApplication], path: str = "/") -> Visit:
    """
    Let *load* give the application, make one request for *path*, and tell what was found.

    The settings of the process, the logging module as wideevents set it up, and the standard streams are afterwards as
    they were. Raise what *load* raises, and `ConfigurationError` for what is no WSGI application.
    """
    counted = health.faults.counts()
    with config.kept(), Watch() as watch:
        with noted() as calls:
            app = load()
        check(app)
        sinks = config.recorder().pipeline.sinks
        sink = MemorySink()
        with config.diverted(sink):
            seen = request(app, path, sink)
            watch.end(all_lines=all(isinstance(sink, LinesSink) for sink in sinks))
            level = config.logs().loggers.level
            own = loggers.examine(level, [*calls.setups, *seen.setups], sinks)
            slugs = {finding.slug for finding in own}
            lines = [] if slugs & EXPLAIN_LINES else requests.of_lines(seen, expected=loggers.writes_here())
            findings = [*requests.examine(seen, app, level), *own, *lines, *libraries.examine()]
            known = bool({finding.slug for finding in findings} & EXPLAIN_TEXT)
            redaction = config.recorder().keys.redaction
            findings += requests.of_streams(watch.lines(), watch.closed, redaction, known=known)
            findings += requests.of_faults(_since(counted), seen)
    return Visit(sorted(findings, key=_order), seen.status, len(seen.events))


def _since(before: dict[Fault, int]) -> dict[Fault, int]:
    """Return the faults that were counted since."""
    now = health.faults.counts()
    return {fault: number - before.get(fault, 0) for fault, number in now.items() if number > before.get(fault, 0)}


def _order(finding: Finding) -> bool:
    return finding.severity is not Severity.ERROR
