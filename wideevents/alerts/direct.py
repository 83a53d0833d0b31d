"""Read in a line whom it calls, and say it as Alertmanager wants to hear it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from wideevents.legible import lasting, moment, words
from wideevents.levels import Urgency

SEVERITIES = {Urgency.PAGE: "error", Urgency.BUSINESS_HOURS: "warning"}
"""What an alert of each urgency is; the other urgencies are no alerts."""

NAMES = {Urgency.PAGE: "WideEventsError", Urgency.BUSINESS_HOURS: "WideEventsWarning"}

LABELS = {
    "service": "service.name",
    "environment": "deployment.environment.name",
    "owner": "owner.team",
    "route": "http.route",
    "fingerprint": "alert.fingerprint",
}
"""The labels that are fields of the line: they say where an alert goes, and which alerts are one."""

ANNOTATIONS = {
    "event_id": "event.id",
    "trace_id": "trace.id",
    "request_id": "http.request.id",
    "sentry_event_id": "sentry.event_id",
    "occurred_at": "timestamp",
}
"""The annotations that are fields of the line: where to look on."""

WHOLE = ("service", "environment", "severity", "fingerprint")
"""The labels that make two alerts one, where the line has a fingerprint."""

LONGEST_LABEL = 200
LONGEST = 1_000
"""Characters of an annotation: what is kept until Alertmanager has it is bounded."""


@dataclass(frozen=True, slots=True)
class Alert:
    """
    Hold what is told of a line that calls somebody; *began* is in seconds since the epoch.

    Alertmanager takes alerts with the same *labels* for one. The *annotations* are for people, and may differ.
    """

    urgency: Urgency
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    began: float

    @property
    def key(self) -> tuple[str, ...]:
        """What makes two alerts one: the fingerprint, else all labels."""
        if "fingerprint" in self.labels:
            return tuple(self.labels.get(name, "") for name in WHOLE)
        return tuple(f"{name}={value}" for name, value in self.labels.items())

    @property
    def summary(self) -> str:
        """The alert in one line, with the service that it is of."""
        service = self.labels.get("service")
        return self.annotations["summary"] + (f" ({service})" if service else "")

    def posted(self, ends: float) -> dict[str, Any]:
        """
        Return the alert as the API takes it, which holds it until *ends*, in seconds since the epoch.

        https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml, `postableAlert`.
        """
        times = {"startsAt": _written(self.began), "endsAt": _written(ends)}
        return {"labels": dict(self.labels), "annotations": dict(self.annotations), **times}


def read_alert(fields: Mapping[str, Any], now: float) -> Alert | None:
    """
    Return the alert that a line with *fields* raises, or None for one that calls nobody.

    A line inside an event has no `alert.urgency`, since its event alerts. One that does not say when it was, or says
    that it will be, is of *now*.
    """
    told = fields.get("alert.urgency")
    if not isinstance(told, str) or told not in SEVERITIES:
        return None
    urgency = Urgency(told)
    began = seconds(fields.get("timestamp"))
    labels = {"alertname": NAMES[urgency], "severity": SEVERITIES[urgency], "urgency": urgency.value}
    labels |= _texts(fields, LABELS, LONGEST_LABEL)
    annotations = {"summary": _summary(fields), "description": _description(fields), "runbook_url": _runbook(fields)}
    annotations |= _texts(fields, ANNOTATIONS, LONGEST)
    return Alert(
        urgency,
        labels,
        {name: text for name, text in annotations.items() if text},
        now if began is None else min(began, now),
    )


def seconds(timestamp: object) -> float | None:
    """Return the seconds since the epoch that a *timestamp* tells, or None; without a zone it is UTC."""
    found = moment(timestamp)
    if found is None:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _texts(fields: Mapping[str, Any], names: Mapping[str, str], longest: int) -> dict[str, str]:
    texts = {ours: _text(fields, theirs, longest) for ours, theirs in names.items()}
    return {name: text for name, text in texts.items() if text}


def _text(fields: Mapping[str, Any], name: str, longest: int = LONGEST) -> str:
    value = fields.get(name)
    return "" if value is None else words(value, longest)


def _summary(fields: Mapping[str, Any]) -> str:
    """Say what went wrong: the exception, else what was logged last, else what it happened in."""
    kind, message = _text(fields, "exception.type"), _text(fields, "exception.message")
    told = ": ".join(filter(None, [kind, message])) or _text(fields, "log.last_error") or _text(fields, "message")
    return told or _happened(fields) or "A line without words"


def _runbook(fields: Mapping[str, Any]) -> str:
    return _text(fields, "alert.runbook") or _text(fields, "error.link")


def _description(fields: Mapping[str, Any]) -> str:
    """Say what whoever was woken asks first, a sentence a row."""
    told = {
        "": _happened(fields),
        "Why: ": _text(fields, "error.why"),
        "What to do: ": _text(fields, "error.fix"),
        "In: ": _place(fields),
        "Version: ": _text(fields, "service.version"),
        "Host: ": _text(fields, "host.name"),
    }
    return "\n".join(title + text for title, text in told.items() if text)


def _happened(fields: Mapping[str, Any]) -> str:
    """Say what the event was, and how it ended; or which logger spoke."""
    name = _text(fields, "event.name") or _text(fields, "log.logger")
    parts = [_text(fields, "http.response.status_code"), _text(fields, "outcome")]
    if "duration_ms" in fields:
        parts.append(lasting(fields["duration_ms"]))
    ending = ", ".join(filter(None, parts))
    return f"{name}: {ending}" if name and ending else name or ending


def _place(fields: Mapping[str, Any]) -> str:
    function, file = _text(fields, "code.function.name"), _text(fields, "code.file.path")
    line = _text(fields, "code.line.number")
    stands = ":".join(filter(None, [file, line]))
    return f"{function} ({stands})" if function and stands else function or stands


def _written(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
