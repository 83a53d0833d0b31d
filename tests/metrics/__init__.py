"""Tests of the metrics: events and lines that are counted, and the page read as Prometheus reads it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.parser import text_string_to_metric_families

from tests.entries import detach
from wideevents.entries import Entry
from wideevents.events import Event
from wideevents.keys import Keys
from wideevents.levels import Level
from wideevents.metrics import Metrics
from wideevents.metrics.stage import MOST
from wideevents.pipeline import Pipeline
from wideevents.recorder import Recorder
from wideevents.redaction import Redaction

Page = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@dataclass
class Counting:
    """Hold metrics with a page of their own, in *directory* where one is given."""

    service: str = "shop"
    directory: str | None = None
    most: int = MOST
    owner: str = ""
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        self.metrics = self.again()

    def again(self) -> Metrics:
        """Return other metrics on the same page."""
        return Metrics(self.service, self.registry, owner=self.owner, most=self.most)

    def page(self) -> Page:
        """Return what Prometheus reads."""
        shown = self.registry
        if self.directory is not None:
            shown = CollectorRegistry()
            MultiProcessCollector(shown, self.directory)
        return parsed(generate_latest(shown).decode())

    def value(self, name: str, **labels: str) -> float | None:
        """Return the only value of *name* whose labels are those, and any other; None where there is none."""
        found = [value for _, value in self.values(name, **labels)]
        assert len(found) < 2, f"{name} {labels} stands there {len(found)} times"
        return found[0] if found else None

    def values(self, name: str, **labels: str) -> list[tuple[dict[str, str], float]]:
        """Return the values of *name* whose labels are those, and any other, with all labels."""
        page = ((sample, dict(pairs), value) for (sample, pairs), value in self.page().items())
        return [(has, value) for sample, has, value in page if sample == name and labels.items() <= has.items()]

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of these values."""
        return sum(value for _, value in self.values(name, **labels))

    def event(self, kind: str = "task", level: Level = Level.INFO, outcome: str = "success", **fields: Any) -> Event:
        """Let an event go through the stage; in the names of *fields* a double underscore is a dot."""
        event = sealed(kind, level, outcome, **fields)
        assert self.metrics.event(event) is event
        return event

    def request(self, **fields: Any) -> Event:
        """Let the event of a request go through the stage."""
        usual = {"http__request__method": "GET", "http__response__status_code": 200, "duration_ms": 20.0}
        return self.event("request", **{**usual, **fields})

    def line(self, level: str = "error", urgency: str | None = "page", **fields: Any) -> Entry:
        """Let a log line go through the stage."""
        line = log_line(level, urgency, **fields)
        assert self.metrics.line(line) is line
        return line


def parsed(text: str) -> Page:
    """Return the samples of a page; every one stands there once."""
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    page = {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in samples}
    assert len(page) == len(samples), "a sample stands on the page twice"
    return page


def sealed(kind: str, level: Level = Level.INFO, outcome: str = "success", **fields: Any) -> Event:
    """Return an event that has ended, and that no stage has seen."""
    event = Recorder(Pipeline((), ()), Keys(Redaction())).open("job", kind)
    event.seal()
    told = {"level": level.label, "alert.urgency": level.urgency.value, "outcome": outcome}
    event.record.update({**told, **named(fields)})
    return event


def log_line(level: str = "error", urgency: str | None = "page", **fields: Any) -> Entry:
    """Return a log line; one without an urgency was logged in an event."""
    line = Entry()
    detach(line, {"level": level, "log.logger": "shop", **({} if urgency is None else {"alert.urgency": urgency})})
    line.record.update(named(fields))
    return line


def named(fields: dict[str, Any]) -> dict[str, Any]:
    """Return fields by their own names."""
    return {name.replace("__", "."): value for name, value in fields.items()}
