"""Say as Prometheus rules what a level promises: an error rings now, a warning waits for the morning."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from wideevents.alerts.annotations import LOST, Templates, of_failures, of_losses, quoted
from wideevents.alerts.direct import NAMES, SEVERITIES
from wideevents.alerts.settings import Alerts
from wideevents.levels import Urgency

QUIET = timedelta(minutes=5)
"""After so long without another failure an error resolves. Two scrapes at least have to fall into it."""

KNOWN = timedelta(hours=1)
"""For so long a counter that is out of sight is remembered, so that what it had counted before calls nobody again."""

EVERY = {Urgency.PAGE: timedelta(seconds=5), Urgency.BUSINESS_HOURS: timedelta(seconds=30)}
"""How often the rules are looked at; Prometheus would do it once a minute."""

SLACK = timedelta(hours=1)
"""How long a warning goes on once people are back: until Alertmanager looks again."""

LABELS = ("service", "environment", "owner", "route")
"""What an alert is told apart by; `environment` is there where Prometheus adds it to all that it scrapes."""

LOST_LABELS = ("service", "environment", "sink")
"""And an alert of lines that could not be written."""

FAILURES = '__name__=~"wideevents_(events|log_lines)_total"'
LOSSES = '__name__="wideevents_lost_total"'


def rules(alerts: Alerts, service: str) -> dict[str, Any]:
    """
    Return the rules for *service*, as data.

    They are general: a new route, team or process needs no other rules. Urgencies that call nobody have none.
    """
    page, warning = Urgency.PAGE, Urgency.BUSINESS_HOURS
    kept = kept_for(alerts)
    waiting = [
        *_recorded("wideevents_warnings", LABELS, _failures(alerts, service, warning), service, kept),
        *_recorded("wideevents_lost", LOST_LABELS, _losses(service), service, kept),
    ]
    return {
        "groups": [
            _group(service, page, [_failures(alerts, service, page)]),
            _group(service, warning, waiting),
        ]
    }


def kept_for(alerts: Alerts) -> timedelta:
    """
    Return how long a warning is kept: as long as all can be closed, in whole hours, and a little more.

    Alertmanager drops what resolves outside the hours; so nothing may resolve before they have begun.
    """
    hours = -(-alerts.hours.longest_closed // timedelta(hours=1))
    return timedelta(hours=hours) + SLACK


def new(selector: str) -> str:
    """
    Return the PromQL that finds the counters of *selector* which have grown lately.

    The functions are those of ranges: a process that failed and was gone before anybody looked is in no instant. What
    comes back in sight, after the network or Prometheus itself was away, has grown if it is not what was seen last;
    unless it is zero, where the process has begun anew.
    """
    quiet, known, both = written(QUIET), written(KNOWN), written(QUIET + KNOWN)
    return f"""\
  # It grows.
  increase({selector}[{quiet}]) > 0
or
  # Nobody has seen it before: one that is born at 1 has not grown.
  last_over_time({selector}[{quiet}]) > 0
  unless last_over_time({selector}[{known}] offset {quiet})
or
  # It comes back in sight, and is not what it was.
  last_over_time({selector}[{quiet}]) > 0
  and changes({selector}[{both}]) > changes({selector}[{known}] offset {quiet})"""


def written(duration: timedelta) -> str:
    """Write a *duration* of whole seconds as Prometheus and Alertmanager do: 65h, 5m, 30s."""
    seconds = round(duration.total_seconds())
    size, unit = next((size, unit) for size, unit in ((3600, "h"), (60, "m"), (1, "s")) if seconds % size == 0)
    return f"{seconds // size}{unit}"


def _group(service: str, urgency: Urgency, rules: list[dict[str, Any]]) -> dict[str, Any]:
    return {"name": f"wideevents {service}: {urgency}", "interval": written(EVERY[urgency]), "rules": rules}


def _recorded(
    metric: str, labels: tuple[str, ...], rule: dict[str, Any], service: str, kept: timedelta
) -> list[dict[str, Any]]:
    """
    Return the *rule* such that it is kept, behind one that records what it is about.

    What is recorded is stored. With `keep_firing_for` a Prometheus that begins anew would forget what it has kept. The
    name is a level, a metric and an operation: https://prometheus.io/docs/practices/rules/#naming.
    """
    name = f"{'_'.join(labels)}:{metric}:new{written(QUIET)}"
    stored = f"last_over_time({name}{{service={quoted(service)}}}[{written(kept)}])"
    return [
        {"record": name, "expr": rule["expr"]},
        {**rule, "expr": f"group by ({', '.join(labels)}) (\n  {stored}\n)\n"},
    ]


def _failures(alerts: Alerts, service: str, urgency: Urgency) -> dict[str, Any]:
    """Return the rule for events, and for lines outside any event."""
    found = new(f'{{{FAILURES}, service={quoted(service)}, urgency="{urgency}"}}')
    return {
        "alert": NAMES[urgency],
        "expr": f"group by ({', '.join(LABELS)}) (\n{found}\n)\n",
        "labels": {"severity": SEVERITIES[urgency], "urgency": urgency.value},
        "annotations": of_failures(urgency, Templates(alerts.runbooks)),
    }


def _losses(service: str) -> dict[str, Any]:
    found, urgency = new(f"{{{LOSSES}, service={quoted(service)}}}"), Urgency.BUSINESS_HOURS
    return {
        "alert": LOST,
        "expr": f"group by ({', '.join(LOST_LABELS)}) (\n{found}\n)\n",
        "labels": {"severity": SEVERITIES[urgency], "urgency": urgency.value},
        "annotations": of_losses(Templates({})),
    }
