"""Say what an alert of Prometheus tells whoever it reaches."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from wideevents.alerts.direct import SEVERITIES
from wideevents.levels import Urgency

LOST = "WideEventsLost"
"""The alert of lines that could not be written; the names of the others are those of the direct path."""

MEANINGS = {
    Urgency.PAGE: "An error: look at it now, whatever the time. It resolves after some minutes without another one.",
    Urgency.BUSINESS_HOURS: "A warning: it is for business hours, and has waited for them. It may be over by now.",
}

FIELDS = {"service": "service.name", "route": "http.route", "owner": "owner.team"}
"""The labels that lines are found by, and their fields."""


class Words(Protocol):
    """Put in what differs from alert to alert."""

    @property
    def runbooks(self) -> Mapping[str, str]:
        """What there is to read, by route or team."""

    def label(self, name: str, otherwise: str) -> str:
        """Return the label *name*, or *otherwise* where there is none."""

    def condition(self, name: str) -> str:
        """Return the argument of `wideevents tail` for the label *name*, or nothing where there is none."""

    def runbook(self) -> str:
        """Return the URL for the route, else for the team, else nothing."""


@dataclass(frozen=True, slots=True)
class Templates:
    """Write for all alerts of a rule at once: Prometheus fills them in. https://pkg.go.dev/text/template."""

    runbooks: Mapping[str, str]

    def label(self, name: str, otherwise: str) -> str:
        """Return what stands for the label *name*."""
        return f"{{{{ or $labels.{name} {quoted(otherwise)} }}}}"

    def condition(self, name: str) -> str:
        """Return what stands for the argument."""
        return f"{{{{ if $labels.{name} }}}} -w '{FIELDS[name]}={{{{ $labels.{name} }}}}'{{{{ end }}}}"

    def runbook(self) -> str:
        """Return what stands for the URL, where there are any: one rule serves all routes and teams."""
        known = [(name, key, url) for name in ("route", "owner") for key, url in sorted(self.runbooks.items())]
        rows = [f"if eq $labels.{name} {quoted(key)} }}}}{{{{ {quoted(url)} }}}}" for name, key, url in known]
        return "{{ " + "{{ else ".join(rows) + "{{ end }}"


@dataclass(frozen=True, slots=True)
class Filled:
    """Write for one alert, what Prometheus makes of the templates."""

    runbooks: Mapping[str, str]
    labels: Mapping[str, str]

    def label(self, name: str, otherwise: str) -> str:
        """Return the label *name*, or *otherwise*."""
        return self.labels.get(name) or otherwise

    def condition(self, name: str) -> str:
        """Return the argument, or nothing."""
        return f" -w '{FIELDS[name]}={self.labels[name]}'" if self.labels.get(name) else ""

    def runbook(self) -> str:
        """Return the URL, or nothing."""
        urls = (self.runbooks.get(self.labels.get(name, "")) for name in ("route", "owner"))
        return next((url for url in urls if url is not None), "")


def of_failures(urgency: Urgency, words: Words) -> dict[str, str]:
    """Return the annotations of what has failed: what it means for a person, and where to look."""
    service, route = words.label("service", "no service"), words.label("route", "no route")
    conditions = "".join(words.condition(name) for name in FIELDS)
    description = (
        MEANINGS[urgency],
        f"Service: {service}",
        f"Route: {route}",
        f"Owner: {words.label('owner', 'nobody')}",
        f"Its lines: python -m wideevents tail LOG -w alert.urgency={urgency}{conditions}",
    )
    severity = SEVERITIES[urgency].capitalize()
    runbook = {"runbook_url": words.runbook()} if words.runbooks else {}
    return {"summary": f"{severity} in {service}: {route}", "description": "\n".join(description), **runbook}


def of_losses(words: Words) -> dict[str, str]:
    """Return the annotations of lines that could not be written."""
    service, sink = words.label("service", "no service"), words.label("sink", "unknown")
    description = (
        MEANINGS[Urgency.BUSINESS_HOURS],
        f"Service: {service}",
        "What could not be written is nowhere else. Is the disk full, or the server down that it is sent to?",
        "The logger wideevents says what went wrong, and events.lost on the next line how often.",
    )
    return {"summary": f"Lines of {service} are lost in {sink}", "description": "\n".join(description)}


def quoted(text: str) -> str:
    """Write *text* as a string of Go, PromQL and Alertmanager's matchers, which escape as JSON does."""
    return json.dumps(text, ensure_ascii=False)
