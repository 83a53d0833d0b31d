"""Try the rules on the counters that others fell over: the unit tests that `promtool test rules` runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from wideevents.alerts.annotations import LOST, Filled, of_failures, of_losses, quoted
from wideevents.alerts.direct import NAMES, SEVERITIES
from wideevents.alerts.rules import kept_for, written
from wideevents.alerts.settings import Alerts
from wideevents.levels import URGENCY, Urgency

MINUTE = timedelta(minutes=1)

EVENTS, LINES, LOSSES = "wideevents_events_total", "wideevents_log_lines_total", "wideevents_lost_total"

LEVELS = {urgency: level for level, urgency in URGENCY.items()}

PAGE, WAITS = Urgency.PAGE, Urgency.BUSINESS_HOURS


@dataclass(frozen=True, slots=True)
class Scenario:
    """
    Hold what becomes of a counter, and whether its alert rings at each of some minutes after the first sample.

    *samples* are one a minute, as promtool writes them: `0x9` is ten times zero, `_x3` no sample for three minutes, and
    `stale` a process that is gone; behind a bar are those of another process. *urgency* is what was counted; what calls
    nobody must not ring as anything else either.
    """

    name: str
    samples: str
    rings: Mapping[int, bool]
    urgency: Urgency = PAGE
    counter: str = EVENTS
    route: str = "/checkout"
    owner: str = "payments"
    environment: str = ""

    @property
    def labels(self) -> dict[str, str]:
        """What the counter and the alert are told apart by, without the service."""
        if self.counter == LOSSES:
            return {"sink": "lines", "environment": self.environment}
        route = {} if self.counter == LINES else {"route": self.route}
        return {**route, "owner": self.owner, "environment": self.environment}


ERRORS = (
    Scenario("the first error of a process whose counters began at zero", "0x5 1x20", {5: False, 6: True, 9: True}),
    Scenario("a counter that is first seen at 1", "_x5 1x20", {4: False, 5: True, 9: True, 12: False}),
    Scenario("a counter that is first seen at 1, and all is new", "1x20", {0: True, 4: True, 7: False}),
    Scenario("an error resolves after some quiet minutes", "0x5 1x90", {10: True, 12: False, 72: False, 90: False}),
    Scenario("the next error of a route", "0x5 1x30 2x20", {30: False, 37: True, 41: True, 43: False}),
    Scenario("errors of long ago", "7x200", {7: False, 60: False, 66: False, 71: False, 150: False}),
    Scenario("a process begins anew at zero", "0x5 3x30 0x30", {36: False, 37: False, 40: False}),
    Scenario("a process begins anew with an error", "0x5 3x30 1x30", {36: False, 37: True, 43: False}),
    Scenario("another process takes over", "0x5 3x30 stale | _x37 0x30", {36: False, 38: False, 45: False}),
    Scenario(
        "another process takes over with an error", "0x5 3x30 stale | _x37 1x30", {36: False, 37: True, 43: False}
    ),
    Scenario("old errors come back in sight", "7x30 _x20 7x60", {30: False, 51: False, 53: False, 60: False}),
    Scenario("an error comes in sight later", "7x30 _x20 8x60", {30: False, 51: True, 60: False}),
    Scenario("a process counts anew while it is out of sight", "7x30 _x20 0x60", {51: False, 55: False, 60: False}),
    Scenario("a process fails and is gone", "0x5 1 stale", {6: True, 8: True, 20: False}),
    Scenario("a process that nobody has seen fails and is gone", "_x6 1 stale", {6: True, 8: True, 20: False}),
    Scenario("a process fails and begins anew", "0x5 1 0x20", {6: True, 8: True, 20: False}),
    Scenario("two processes fail in one way", "0x5 1x20 | 0x6 1x20", {6: True, 8: True, 15: False}),
    Scenario("an error in a line outside any event", "0x5 1x20", {5: False, 6: True, 15: False}, counter=LINES),
    Scenario("an error in an environment that Prometheus knows", "0x5 1x20", {6: True}, environment="staging"),
    Scenario("an error on no route, of nobody", "0x5 1x20", {6: True}, route="", owner=""),
    Scenario("an info calls nobody", "0x5 1x20", {0: False, 6: False, 15: False}, Urgency.NONE),
    Scenario("a line for debugging calls nobody", "0x5 1x20", {0: False, 6: False}, Urgency.ON_REQUEST, LINES),
)


def unit_tests(alerts: Alerts, service: str, rules: str) -> dict[str, Any]:
    """Return the tests of the rules in the file *rules*, as data."""
    every = (*ERRORS, *warnings(kept_for(alerts)), *runbooks(alerts))
    return {
        "rule_files": [rules],
        "evaluation_interval": written(MINUTE),
        "tests": [_test(alerts, service, scenario) for scenario in every],
    }


def warnings(kept: timedelta) -> Iterator[Scenario]:
    """Yield what a warning has to be found in: it rings until people have been back for a while."""
    last = 6 + kept // MINUTE
    later = {6: True, min(last, 180): True}  # to the end it is slow to try
    yield Scenario("a warning waits for people", "0x5 1x20", {5: False, 6: True, last: True, last + 15: False}, WAITS)
    yield Scenario("a warning that is first seen at 1 waits for people", "_x6 1x20", later, WAITS)
    yield Scenario("a warning in a line waits for people", "0x5 1x20", later, WAITS, LINES)
    yield Scenario("a warning of a process that is gone waits for people", "0x5 1 stale", later, WAITS)
    yield Scenario("a warning in an environment waits for people", "0x5 1x20", later, WAITS, environment="staging")
    yield Scenario("lines that are lost wait for people", "0x5 1x20", later, WAITS, LOSSES, environment="staging")


def runbooks(alerts: Alerts) -> Iterator[Scenario]:
    """Yield an error for each runbook, of a team or of a route."""
    teams = {*alerts.owners.values(), *alerts.receivers}
    for key in sorted(alerts.runbooks):
        route, owner = ("", key) if key in teams else (key, "")
        yield Scenario(f"the runbook of {key}", "0x5 1x20", {6: True}, route=route, owner=owner)


def _test(alerts: Alerts, service: str, scenario: Scenario) -> dict[str, Any]:
    looks = [
        {"eval_time": written(minute * MINUTE), "alertname": name, "exp_alerts": expected}
        for minute, ringing in scenario.rings.items()
        for name, expected in _expected(alerts, service, scenario, ringing=ringing)
    ]
    series = [*_series(service, scenario)]
    return {"name": scenario.name, "interval": written(MINUTE), "input_series": series, "alert_rule_test": looks}


def _expected(
    alerts: Alerts, service: str, scenario: Scenario, *, ringing: bool
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield each alert that is looked at, and how it has to be."""
    if scenario.counter == LOSSES:
        yield LOST, [_alert(alerts, service, scenario)] if ringing else []
        return
    for urgency, name in NAMES.items():
        if urgency is scenario.urgency or scenario.urgency not in NAMES:
            yield name, [_alert(alerts, service, scenario)] if ringing else []


def _series(service: str, scenario: Scenario) -> Iterator[dict[str, str]]:
    counted = {"kind": "request"} if scenario.counter == EVENTS else {}
    if scenario.counter != LOSSES:
        counted |= {"level": LEVELS[scenario.urgency].label, "urgency": scenario.urgency.value}
    for number, samples in enumerate(scenario.samples.split("|")):
        labels = {"service": service, "instance": f"process {number}", **counted, **scenario.labels}
        inside = ", ".join(f"{name}={quoted(text)}" for name, text in labels.items() if text)
        yield {"series": f"{scenario.counter}{{{inside}}}", "values": samples.strip()}


def _alert(alerts: Alerts, service: str, scenario: Scenario) -> dict[str, Any]:
    """Return the alert as it has to be, to the letter."""
    labels = {name: text for name, text in {"service": service, **scenario.labels}.items() if text}
    words = Filled(alerts.runbooks, labels)
    told = of_losses(words) if scenario.counter == LOSSES else of_failures(scenario.urgency, words)
    severity = {"severity": SEVERITIES[scenario.urgency], "urgency": scenario.urgency.value}
    return {"exp_labels": {**labels, **severity}, "exp_annotations": told}
