"""Name the metrics and their labels: a contract with every rule and every dashboard."""

from __future__ import annotations

from dataclasses import dataclass

OTHER = "other"
"""The label of what is counted together, because there was too much to count it apart."""

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""The boundaries that OpenTelemetry's HTTP conventions advise for the duration of a request."""


@dataclass(frozen=True, slots=True)
class Family:
    """
    Describe one metric: a counter, or where it has *bounds* a histogram.

    *name* is without the `_total` of a counter. *open* are those of its *labels* that an application could invent
    values for without end.
    """

    name: str
    help: str
    labels: tuple[str, ...]
    open: frozenset[str] = frozenset()
    bounds: tuple[float, ...] = ()

    def together(self, values: tuple[object, ...]) -> tuple[object, ...]:
        """Return the label values of what is counted together, where *values* are too many to be counted apart."""
        return tuple(OTHER if label in self.open else value for label, value in zip(self.labels, values, strict=True))


EVENTS = Family(
    "wideevents_events",
    "Events that have ended, whatever of them was written.",
    ("service", "kind", "level", "urgency", "owner", "route"),
    frozenset({"owner", "route"}),
)

LINES = Family(
    "wideevents_log_lines",
    "Log lines outside any event; a line inside one alerts by its event.",
    ("service", "level", "urgency", "owner"),
    frozenset({"owner"}),
)

REQUESTS = Family(
    "http_server_request_duration_seconds",
    "Duration of HTTP requests, from the first byte to the last.",
    ("http_request_method", "http_route", "http_response_status_code", "error_type"),
    frozenset({"http_route", "http_response_status_code", "error_type"}),
    SECONDS,
)

LOST = Family(
    "wideevents_lost",
    "Lines and reports that did not arrive where the sink leads.",
    ("service", "sink"),
    frozenset({"sink"}),
)

WITHHELD = Family("wideevents_sentry_withheld", "Reports to Sentry that were too many to be sent.", ("service",))

CAPPED = Family(
    "wideevents_metrics_capped",
    'What was counted with the label "other", because the metric has too many labels already.',
    ("service", "metric"),
)

FAMILIES = (EVENTS, LINES, REQUESTS, LOST, WITHHELD, CAPPED)
