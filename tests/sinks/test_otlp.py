"""What the sink for OpenTelemetry collectors promises."""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, LogRecordExporter, LogRecordExportResult
from opentelemetry.trace import TraceFlags

import wideevents
from tests.conftest import ENVIRONMENT, at_once, in_child
from tests.integrations.servers import eventually
from tests.sinks import event_of
from tests.sinks.collector import Collector, Received, collector
from tests.test_assembly import without
from wideevents import ConfigurationError, Level, config, context, health
from wideevents._version import __version__
from wideevents.events import Event
from wideevents.health import Fault
from wideevents.logs.stdlib import Handler
from wideevents.redaction import MARKER
from wideevents.serialize import encode
from wideevents.sinks import otlp
from wideevents.sinks.memory import MemorySink
from wideevents.sinks.otlp import OTLPSink
from wideevents.tracecontext import TraceParent

pytestmark = pytest.mark.usefixtures("reconfigurable", "_quick")

ROOT = Path(__file__).parents[2]
TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
NOWHERE = "http://127.0.0.1:9/v1/logs"


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin without what stands in the environment, but send soon, and do not try for long."""
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OTEL_BLRP_SCHEDULE_DELAY", "10")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "5")


@pytest.fixture
def house() -> Iterator[Collector]:
    """Give a collector that takes everything."""
    with collector() as running:
        yield running


@pytest.fixture
def use() -> Iterator[Callable[..., OTLPSink]]:
    """Give what makes a sink; at the end of the test its thread ends."""
    made: list[OTLPSink] = []

    def make(*given: Any, **settings: Any) -> OTLPSink:
        made.append(OTLPSink(*given, **settings))
        return made[-1]

    yield make
    for sink in made:
        sink.close()


class Sent:
    """What was written by a process that writes to *house*, and what has arrived there."""

    def __init__(self, house: Collector, sink: OTLPSink, **settings: Any) -> None:
        self.house, self.sink, self.memory = house, sink, MemorySink()
        wideevents.configure(output=[self.memory, sink], **{"service": "shop", "logging": False, **settings})

    def one(self) -> Received:
        """Return the only record, when all was sent."""
        self.sink.close()
        return self.house.one()

    def line(self) -> dict[str, Any]:
        """Return the line of the only event."""
        (line,) = self.memory.events
        return line


@pytest.fixture
def sent(house: Collector, use: Callable[..., OTLPSink]) -> Sent:
    """Configure the process to write to `house`."""
    return Sent(house, use(endpoint=house.endpoint))


def lost() -> int:
    """Return how many lines are counted as lost so far."""
    return health.faults.counts().get(Fault.LOST, 0)


def logged(name: str, level: int, message: str, **extra: Any) -> None:
    """Log a line by a logger whose lines go our way."""
    record = logging.LogRecord(name, level, "shop.py", 7, message, (), None)
    vars(record).update(extra)
    Handler(logs=config.logs).handle(record)


class TestAnEvent:
    def test_is_a_record_with_its_ids_and_times(self, sent: Sent) -> None:
        """The span is the event; it happened when it began, and was seen when it was written."""
        with wideevents.event("report.page") as event:
            pass
        found = sent.one().record
        moment = datetime.fromisoformat(sent.line()["timestamp"])

        assert (found.trace_id.hex(), found.span_id.hex(), found.flags) == (event.trace_id, event.id, 1)
        assert datetime.fromtimestamp(found.time_unix_nano // 1_000 / 1e6, UTC) == moment
        assert found.time_unix_nano % 1_000_000_000 == moment.microsecond * 1_000
        assert found.time_unix_nano < found.observed_time_unix_nano

    def test_has_all_other_fields_as_attributes(self, sent: Sent) -> None:
        """Of their own types; what has a place of its own in a record is none, nor what the resource tells."""
        with wideevents.event("job", plan="STARTER"):
            wideevents.add_fields({"user.id": 42, "ratio": 0.5, "vip": True, "tags": ["a", 1, None, {"b": 2.5}]})
        found, line = sent.one(), sent.line()
        elsewhere = {"timestamp", "level", "event.name", "event.id", "trace.id"} | found.resource.keys()

        assert {name: value for name, value in line.items() if name not in elsewhere} == found.attributes
        assert [type(found.attributes[name]) for name in ("plan", "user.id", "ratio", "vip")] == [str, int, float, bool]
        assert found.attributes["tags"] == ["a", 1, None, {"b": 2.5}]

    def test_is_called_what_happened(self, sent: Sent) -> None:
        """A person reads that first, too, where there is no message."""
        with wideevents.event("report.page"):
            pass
        found = sent.one()

        assert (found.record.event_name, found.body) == ("report.page", "report.page")

    def test_has_its_message_as_the_body(self, sent: Sent) -> None:
        """It was written for people."""
        with wideevents.event("report.page", message="page 3 of 7"):
            pass
        found = sent.one()

        assert (found.record.event_name, found.body) == ("report.page", "page 3 of 7")
        assert "message" not in found.attributes

    @pytest.mark.parametrize(
        ("level", "number"), [(Level.DEBUG, 5), (Level.INFO, 9), (Level.WARNING, 13), (Level.ERROR, 17)]
    )
    def test_is_as_severe_as_its_level(
        self, house: Collector, use: Callable[..., OTLPSink], level: Level, number: int
    ) -> None:
        """By the numbers of the data model; the text is ours."""
        sent = Sent(house, use(endpoint=house.endpoint), level="debug")
        with wideevents.event("job") as event:
            event.level = level
        found = sent.one().record

        assert (found.severity_number, found.severity_text) == (number, level.label)

    @pytest.mark.parametrize("flags", [0, 1, 3])
    def test_has_the_flags_of_its_trace(self, sent: Sent, flags: int) -> None:
        """One that nobody records says so."""
        recorder = config.recorder()
        recorder.finish(recorder.open("GET", "request", TraceParent(TRACE, CALLER, flags)))
        found = sent.one()

        assert (found.record.trace_id.hex(), found.record.flags) == (TRACE, flags)
        assert found.attributes["parent.id"] == CALLER

    def test_is_as_redacted_as_its_line(self, sent: Sent) -> None:
        """And as short: it is read from it."""
        with wideevents.event("job"):
            wideevents.add_fields({"note": "paid with 4111 1111 1111 1111", "password": "hunter2", "long": "x" * 9_999})
        found = sent.one().attributes

        assert (found["note"], found["password"]) == (f"paid with {MARKER}", MARKER)
        assert found["long"] == sent.line()["long"]

    def test_has_more_than_a_hundred_and_twenty_eight_attributes(
        self, house: Collector, use: Callable[..., OTLPSink], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Which is where the SDK throws out the oldest, by default; a line has limits of its own."""
        monkeypatch.setenv("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "2")
        sent = Sent(house, use(endpoint=house.endpoint))
        fields = {f"field.{number}": "long enough" for number in range(300)}
        with wideevents.event("job", **fields):
            pass
        found = sent.one()

        assert fields.items() <= found.attributes.items()
        assert found.record.dropped_attributes_count == 0

    def test_may_hold_any_text(self, sent: Sent) -> None:
        """One value that cannot be encoded would cost the whole batch."""
        with wideevents.event("job"):
            wideevents.add_fields({"lone": "\ud800", "nul": "\0", "wide": "é🦆\u2028"})
        found = sent.one().attributes

        assert (found["lone"], found["nul"], found["wide"]) == ("\\ud800", "\0", "é🦆\u2028")

    def test_arrives_whatever_a_stage_has_made_of_it(self, house: Collector, use: Callable[..., OTLPSink]) -> None:
        """What is no time and no id stays an attribute; what differs from the resource, too."""
        strange = {
            "timestamp": "yesterday",
            "trace.id": "x" * 32,
            "event.id": "12",
            "event.name": 3,
            "message": [1],
            "service.name": "other",
            "level": 7,
        }

        def spoil(event: Event) -> Event:
            event.record.update(strange)
            return event

        sent = Sent(house, use(endpoint=house.endpoint), stages=[spoil])
        with wideevents.event("job"):
            pass
        found = sent.one()

        assert strange.items() <= found.attributes.items()
        assert (found.record.event_name, found.body) == ("", None)
        assert (found.record.trace_id, found.record.span_id, found.record.flags) == (b"", b"", 0)
        assert (found.record.time_unix_nano, found.record.severity_number) == (0, 9)

    @pytest.mark.parametrize("timestamp", [None, 7, "2026-01-02T03:04:05", "1950-01-02T03:04:05Z"])
    def test_has_no_time_where_it_cannot_be_told(self, use: Callable[..., OTLPSink], timestamp: object) -> None:
        """One without a zone, and one that an unsigned number cannot hold."""
        exporter = InMemoryLogRecordExporter()
        sink = use(exporter)
        sink.write(event_of(encode({"timestamp": timestamp}) + b"\n"))
        sink.close()

        assert not exporter.get_finished_logs()[0].log_record.timestamp


class TestALogLine:
    def test_is_a_record_of_the_event_in_progress(self, sent: Sent) -> None:
        """Its body is what was said; it is no event itself, and has no name."""
        with wideevents.event("job") as event:
            logged("shop", logging.WARNING, "no answer", order=7)
        sent.sink.close()
        found = sent.house.named("no answer")

        assert (found.record.trace_id.hex(), found.record.span_id.hex()) == (event.trace_id, event.id)
        assert (found.record.event_name, found.record.severity_number, found.record.flags) == ("", 13, 1)
        assert (found.attributes["log.logger"], found.attributes["order"]) == ("shop", 7)
        assert not {"message", "level", "timestamp", "service.name"} & found.attributes.keys()

    def test_has_the_flags_of_the_event_in_progress(self, sent: Sent) -> None:
        """It belongs to the same trace."""
        recorder = config.recorder()
        event = recorder.open("GET", "request", TraceParent(TRACE, CALLER, 0))
        with context.Activation(event):
            logged("shop", logging.INFO, "hello")
        recorder.finish(event)
        sent.sink.close()

        assert [each.record.flags for each in sent.house.received] == [0, 0]

    def test_has_no_ids_outside_any_event(self, sent: Sent) -> None:
        """Nor flags, which are those of a trace."""
        logged("shop", logging.ERROR, "no answer")
        found = sent.one()

        assert (found.record.trace_id, found.record.span_id, found.record.flags) == (b"", b"", 0)
        assert (found.body, found.attributes["alert.urgency"]) == ("no answer", "page")


class TestResource:
    def test_tells_what_is_the_same_for_every_line(self, house: Collector, use: Callable[..., OTLPSink]) -> None:
        """The service, the process, the host; by the names that OpenTelemetry gives them."""
        sent = Sent(house, use(endpoint=house.endpoint), version="1.4", environment="production")
        with wideevents.event("job"):
            pass
        found, line = sent.one(), sent.line()
        names = ("service.name", "service.version", "deployment.environment.name", "service.instance.id", "host.name")

        assert {name: line[name] for name in (*names, "process.pid", "process.runtime.version")}.items() <= (
            found.resource.items()
        )
        assert (found.resource["process.pid"], found.resource["telemetry.sdk.language"]) == (os.getpid(), "python")
        assert found.scope == ("wideevents", __version__)
        assert not found.resource.keys() & found.attributes.keys()

    def test_tells_what_the_environment_says_beside_it(self, sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
        """Names that are none of our fields; code goes before the environment."""
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "k8s.pod.name=shop-7,service.name=other")
        with wideevents.event("job"):
            pass
        found = sent.one().resource

        assert (found["k8s.pod.name"], found["service.name"]) == ("shop-7", "shop")

    def test_is_that_of_the_last_configuration(self, sent: Sent, house: Collector) -> None:
        """One sink may be given to `configure` twice."""
        for service in ("one", "two", "two"):
            wideevents.configure(service=service, output=sent.sink, logging=False)
            with wideevents.event(service):
                pass
        sent.sink.close()

        assert [each.resource["service.name"] for each in house.received] == ["one", "two", "two"]

    def test_is_told_also_where_the_sdk_has_something_to_say_of_it(
        self, house: Collector, use: Callable[..., OTLPSink], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It says so while it makes one, in a thread of its own: that line must not wait for itself."""
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "nonsense")
        sent = Sent(house, use(endpoint=house.endpoint), logging=True)
        with wideevents.event("job"):
            pass
        sent.sink.close()

        assert {"job"} < {each.body for each in house.received}
        assert len(house.received) < 9


class TestSettings:
    @pytest.mark.parametrize(
        ("variable", "ending", "path"),
        [
            ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "/take", "/take"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "", "/v1/logs"),
        ],
    )
    def test_the_endpoint_may_stand_in_the_environment(
        self,
        house: Collector,
        use: Callable[..., OTLPSink],
        monkeypatch: pytest.MonkeyPatch,
        variable: str,
        ending: str,
        path: str,
    ) -> None:
        """Under the names that every SDK of OpenTelemetry reads."""
        monkeypatch.setenv(variable, house.endpoint.removesuffix("/v1/logs") + ending)
        sink = use()
        sink.write(event_of(b'{"n":1}\n'))
        sink.close()

        assert house.one().headers["path"] == path

    def test_headers_and_compression_may_stand_there_too(
        self, house: Collector, use: Callable[..., OTLPSink], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The exporter is the SDK's own."""
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=shop")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        sink = use(endpoint=house.endpoint)
        sink.write(event_of(b'{"n":1}\n'))
        sink.close()
        found = house.one()

        assert (found.headers["x-tenant"], found.headers["Content-Encoding"]) == ("shop", "gzip")

    def test_the_size_of_a_batch_may_stand_there(
        self, house: Collector, use: Callable[..., OTLPSink], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And the delay, and what may wait."""
        monkeypatch.setenv("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "1")
        exporter = Counting()
        sink = use(exporter)
        for _ in range(5):
            sink.write(event_of(b'{"n":1}\n'))
        sink.close()

        assert exporter.batches == [1] * 5

    @pytest.mark.parametrize(
        ("settings", "sentence"),
        [
            ({"endpoint": "collector:4318"}, "endpoint='collector:4318' cannot be used: it must be a URL"),
            ({"endpoint": "ftp://collector"}, "endpoint='ftp://collector' cannot be used"),
            ({"endpoint": "http://"}, "endpoint='http://' cannot be used"),
            ({"endpoint": "http://a:b"}, "endpoint='http://a:b' cannot be used"),
            ({"endpoint": 7}, "endpoint=7 cannot be used"),
            ({"endpoint": ""}, "endpoint='' cannot be used"),
            ({"exporter": 7}, "exporter=7 cannot be used: it must be a LogRecordExporter"),
            ({"exporter": InMemoryLogRecordExporter(), "endpoint": NOWHERE}, f"endpoint={NOWHERE!r} cannot be used"),
        ],
        ids=["no scheme", "scheme", "no host", "port", "number", "empty", "no exporter", "both"],
    )
    def test_what_cannot_be_used_is_refused(self, settings: dict[str, Any], sentence: str) -> None:
        """Where it is given, in a sentence."""
        with pytest.raises(ConfigurationError) as refused:
            OTLPSink(**settings)

        assert sentence in str(refused.value)

    @pytest.mark.parametrize(
        ("variable", "value", "sentence"),
        [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "OTEL_EXPORTER_OTLP_ENDPOINT='collector:4318' cannot be"),
            ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "x", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT='x' cannot be used"),
            (
                "OTEL_EXPORTER_OTLP_COMPRESSION",
                "zip",
                "OTEL_EXPORTER_OTLP_COMPRESSION='zip' cannot be used: it must be n",
            ),
            (
                "OTEL_EXPORTER_OTLP_TIMEOUT",
                "soon",
                "OTEL_EXPORTER_OTLP_TIMEOUT='soon' cannot be used: it must be a number",
            ),
            ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "inf", "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT='inf' cannot be used"),
            ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "0", "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT='0' cannot be used"),
            ("OTEL_BLRP_MAX_QUEUE_SIZE", "many", "OTEL_BLRP_MAX_QUEUE_SIZE='many' cannot be used: it must be a whole"),
            ("OTEL_BLRP_MAX_QUEUE_SIZE", "0", "OTEL_BLRP_MAX_QUEUE_SIZE='0' cannot be used"),
            ("OTEL_BLRP_SCHEDULE_DELAY", "-1", "OTEL_BLRP_SCHEDULE_DELAY='-1' cannot be used"),
            ("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "²", "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE='²' cannot be used"),
            ("OTEL_ATTRIBUTE_COUNT_LIMIT", "-1", "The environment cannot be used: OTEL_ATTRIBUTE_COUNT_LIMIT must be"),
            ("OTEL_BLRP_MAX_QUEUE_SIZE", "9", "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE=512 cannot be used"),
        ],
    )
    def test_what_stands_in_the_environment_is_refused_as_well(
        self, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, sentence: str
    ) -> None:
        """By its name there."""
        monkeypatch.setenv(variable, value)
        with pytest.raises(ConfigurationError) as refused:
            OTLPSink()

        assert sentence in str(refused.value)

    def test_what_is_empty_there_is_not_set(
        self, use: Callable[..., OTLPSink], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As OpenTelemetry has it."""
        for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_BLRP_MAX_QUEUE_SIZE", "OTEL_BLRP_SCHEDULE_DELAY"):
            monkeypatch.setenv(name, "")

        assert use().name == "otlp"

    def test_a_package_that_is_missing_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The sentence says what to install."""
        without(monkeypatch, "opentelemetry", "wideevents.sinks.otlp")
        with pytest.raises(ImportError) as refused:
            __import__("wideevents.sinks.otlp")

        assert "pip install 'wideevents[otel]'" in str(refused.value)


class Counting(LogRecordExporter):
    """Take everything, and remember how much at once."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.shut_down = 0
        self.flushed: list[int] = []

    def export(self, batch: Any) -> LogRecordExportResult:
        self.batches.append(len(batch))
        return LogRecordExportResult.SUCCESS

    def shutdown(self) -> None:
        self.shut_down += 1

    def force_flush(self, timeout_millis: int = 0) -> bool:
        self.flushed.append(timeout_millis)
        return False


class Failing(Counting):
    """Take nothing, in one way or the other."""

    def __init__(self, error: BaseException | None = None) -> None:
        super().__init__()
        self.error = error

    def export(self, batch: Any) -> LogRecordExportResult:
        super().export(batch)
        logging.getLogger("opentelemetry.tests").error("I cannot")
        if self.error is not None:
            raise self.error
        return LogRecordExportResult.FAILURE


class TestAnExporterThatIsGiven:
    def test_is_handed_finished_records(self, use: Callable[..., OTLPSink]) -> None:
        """Of the SDK's own types, so that any exporter takes them."""
        exporter = InMemoryLogRecordExporter()
        wideevents.configure(output=use(exporter), service="shop", logging=False)
        with wideevents.event("job") as event:
            pass
        config.recorder().pipeline.close()
        (found,) = exporter.get_finished_logs()

        assert (found.log_record.event_name, found.log_record.span_id) == ("job", int(event.id, 16))
        assert type(found.log_record.trace_flags) is TraceFlags
        assert found.resource.attributes["service.name"] == "shop"

    def test_stays_open(self, use: Callable[..., OTLPSink]) -> None:
        """It is somebody else's."""
        exporter = Counting()
        sink = use(exporter)
        for _ in range(2):
            sink.write(event_of(b'{"n":1}\n'))
            sink.close()

        assert (exporter.batches, exporter.shut_down) == ([1, 1], 0)

    def test_is_asked_to_send_what_it_holds(self) -> None:
        """It may hold something itself; one of our own does not."""
        exporter = Counting()

        assert [otlp.Courier(exporter, None).force_flush(7), exporter.flushed] == [False, [7]]
        assert otlp.Courier(None, NOWHERE).force_flush()

    @pytest.mark.parametrize(
        ("error", "trouble"),
        [
            (None, "the collector did not take it"),
            (OSError("no"), "the exporter raised OSError"),
            (RuntimeError("no"), "the exporter raised RuntimeError"),
            (SystemExit(), "the exporter raised SystemExit"),
        ],
        ids=repr,
    )
    def test_that_fails_costs_lines_which_are_counted(
        self, use: Callable[..., OTLPSink], error: BaseException | None, trouble: str
    ) -> None:
        """Whichever way it fails, it is told once, and nothing goes round in circles."""
        exporter, memory = Failing(error), MemorySink()
        sink = use(exporter)
        wideevents.configure(output=[memory, sink])
        for _ in range(3):
            with wideevents.event("job"):
                pass
            sink.close()

        told = [line["message"] for line in memory.logged if line["log.logger"] == "wideevents"]
        assert len(told) == 1
        assert told[0].startswith(f"Lines did not reach OpenTelemetry: {trouble}. They are counted;")
        assert sum(exporter.batches) == lost() == 4  # three events, and the sentence
        assert {line["message"] for line in memory.logged} > {"I cannot"}


class TestTrouble:
    def test_one_that_is_down_costs_lines_which_are_counted(
        self, use: Callable[..., OTLPSink], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """All of them, and the next line says so; what the SDK logs of it is not sent in turn."""
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.5")
        sink, memory = use(endpoint=NOWHERE), MemorySink()
        wideevents.configure(output=[memory, sink])
        for _ in range(7):
            with wideevents.event("job"):
                pass
        eventually(lambda: lost() >= 8, "seven lost events, and the sentence that tells of them")
        sink.close()
        with wideevents.event("next"):
            pass

        assert lost() == 8
        assert sum(event.get("events.lost", 0) for event in memory.events + memory.logged) == 8
        assert any(line["log.logger"].startswith("opentelemetry.") for line in memory.logged)

    @pytest.mark.parametrize("status", [429, 502, 503, 504])
    def test_one_that_is_busy_is_asked_again(self, use: Callable[..., OTLPSink], status: int) -> None:
        """By the SDK, as long as its timeout lasts."""
        with collector(status, status) as house:
            sink = use(endpoint=house.endpoint)
            sink.write(event_of(b'{"n":1}\n'))
            house.wait(1)
            sink.close()

            assert (house.one().attributes, house.refused, lost()) == ({"n": 1}, 2, 0)

    @pytest.mark.parametrize("status", [400, 401, 404, 413, 500])
    def test_one_that_refuses_is_not_asked_again(self, use: Callable[..., OTLPSink], status: int) -> None:
        """What it refused is lost, and the rest is not."""
        with collector(status) as house:
            sink = use(endpoint=house.endpoint)
            for number in range(2):
                sink.write(event_of(b'{"n":%d}\n' % number))
                sink.close()

            assert (house.one().attributes, house.refused, lost()) == ({"n": 1}, 1, 1)

    def test_one_that_is_slow_holds_nobody_up(
        self, use: Callable[..., OTLPSink], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The work goes on while it does not answer; at the end all is there."""
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "20")
        with collector(busy=True) as house:
            sink = use(endpoint=house.endpoint)
            sink.write(event_of(b'{"n":0}\n'))
            eventually(house.asked.is_set, "the first request")
            for number in range(1, 100):
                sink.write(event_of(b'{"n":%d}\n' % number))
            waiting = len(house.received)
            house.idle.set()
            house.wait(100)

            assert (waiting, lost()) == (0, 0)
            assert [each.attributes["n"] for each in house.received] == list(range(100))

    def test_the_end_of_a_process_waits_for_a_while(
        self, use: Callable[..., OTLPSink], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is not sent by then is lost, and counted once, whatever becomes of it."""
        monkeypatch.setattr(otlp, "CLOSE_S", 0.05)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "20")
        with collector(400, busy=True) as house:
            sink = use(endpoint=house.endpoint)
            sink.write(event_of(b'{"n":0}\n'))
            eventually(house.asked.is_set, "the first request")
            sink.write(event_of(b'{"n":1}\n'))
            sink.close()
            counted = [lost()]
            sink.close()
            counted.append(lost())
            sink.write(event_of(b'{"n":2}\n'))
            house.idle.set()
            house.wait(2)
            monkeypatch.setattr(otlp, "CLOSE_S", 10)
            sink.close()

            counted.append(lost())
            house.answers.append(400)
            sink.write(event_of(b'{"n":3}\n'))
            sink.close()

            assert [*counted, lost()] == [2, 2, 2, 3]
            assert [each.attributes["n"] for each in house.received] == [1, 2]

    def test_too_many_are_refused_and_counted(
        self, use: Callable[..., OTLPSink], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The newest: those that wait are kept, and none is thrown out without a word."""
        monkeypatch.setenv("OTEL_BLRP_MAX_QUEUE_SIZE", "3")
        monkeypatch.setenv("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "2")
        with collector(busy=True) as house:
            sink, memory = use(endpoint=house.endpoint), MemorySink()
            wideevents.configure(output=[memory, sink], logging=False)
            for number in range(5):
                with wideevents.event(f"job.{number}"):
                    pass
            counted = lost()
            house.idle.set()
            house.wait(3)
            sink.close()

            assert [each.body for each in house.received] == ["job.0", "job.1", "job.2"]
            assert (len(memory.events), counted, lost()) == (5, 2, 2)

    def test_losses_are_told_by_name(self, use: Callable[..., OTLPSink]) -> None:
        """So that nobody takes them for lines that are written nowhere."""
        sink = use(Failing())
        sink.write(event_of(b'{"n":1}\n'))
        sink.close()

        assert health.take_unreported() == {"events.lost": 1, "events.lost_in.otlp": 1}

    def test_what_is_logged_where_it_is_sent_is_not_sent(self, use: Callable[..., OTLPSink]) -> None:
        """It is written elsewhere; in any other thread it is sent like any line."""

        class Talking(InMemoryLogRecordExporter):
            def export(self, batch: Any) -> LogRecordExportResult:
                logging.getLogger("shop.inside").warning("sending")
                return super().export(batch)

        exporter, memory = Talking(), MemorySink()
        sink = use(exporter)
        wideevents.configure(output=[memory, sink])
        for message in ("one", "two"):
            logging.getLogger("shop").warning(message)
            sink.close()

        assert [each.log_record.body for each in exporter.get_finished_logs()] == ["one", "two"]
        assert [line["message"] for line in memory.logged] == ["one", "sending", "two", "sending"]


class TestThread:
    def test_begins_with_the_first_line_and_ends_with_the_last(self, use: Callable[..., OTLPSink]) -> None:
        """A process that forks before it writes has none to fork beside."""

        def threads() -> list[str]:
            return [thread.name for thread in threading.enumerate() if "OtelBatch" in thread.name]

        sink = use(Counting())
        found = [threads()]
        sink.write(event_of(b'{"n":1}\n'))
        found.append(threads())
        sink.close()
        found.append(threads())

        assert [len(each) for each in found] == [0, 1, 0]

    def test_holds_no_event(self, use: Callable[..., OTLPSink]) -> None:
        """A line may be the first of a request, and the thread outlives it."""
        seen: list[Event | None] = []

        class Looking(Counting):
            def export(self, batch: Any) -> LogRecordExportResult:
                seen.append(context.variable.get())
                return super().export(batch)

        sink = use(Looking())
        with wideevents.event("job"):
            sink.write(event_of(b'{"n":1}\n'))
            sink.close()

        assert seen == [None]

    def test_takes_lines_of_many_threads(self, use: Callable[..., OTLPSink]) -> None:
        """None is lost, and the count comes out even."""
        exporter = Counting()
        sink = use(exporter)

        def write() -> None:
            for _ in range(200):
                sink.write(event_of(b'{"n":1}\n'))

        at_once(*[write] * 4)
        sink.close()

        assert (sum(exporter.batches), lost()) == (800, 0)


class TestFork:
    def test_a_child_sends_what_is_its_own(self, house: Collector, use: Callable[..., OTLPSink]) -> None:
        """Over connections of its own, and not what waits in its parent; both know who they are."""
        sink = use(endpoint=house.endpoint)
        wideevents.configure(output=sink, logging=False)

        def write(name: str) -> int:
            with wideevents.event(name):
                pass
            sink.close()
            return os.getpid()

        write("before")
        with wideevents.event("waiting"):
            pass
        child = in_child(lambda: write("child"))
        write("after")

        bodies = sorted(each.body for each in house.received)
        pids = {each.body: each.resource["process.pid"] for each in house.received}
        assert bodies == ["after", "before", "child", "waiting"]
        assert (pids["child"], pids["after"]) == (child, os.getpid())
        assert len({each.resource["service.instance.id"] for each in house.received}) == 2

    def test_a_child_begins_anew(self, use: Callable[..., OTLPSink]) -> None:
        """Locks may be held by threads that are not there, and what waits is not its own."""
        sink = use(endpoint=NOWHERE)
        courier, lock = sink._courier, sink._lock
        courier.expect()
        exporter, answered = courier._exporter, courier._answered
        for each in (sink, courier):
            each.renew()

        assert (courier.waiting, courier._exporter) == (0, None)
        assert exporter is not None
        assert sink._lock is not lock
        assert courier._answered is not answered


@contextmanager
def started(code: str, *command: str, folder: Path, house: Collector) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Python of its own on *code*, which writes to *house*, and to `out` in the *folder*."""
    (folder / "shop.py").write_text(textwrap.dedent(code))
    known = {name: value for name, value in os.environ.items() if name not in ENVIRONMENT}
    told = {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": house.endpoint}
    with (folder / "out").open("wb") as out:
        process = subprocess.Popen([sys.executable, *command], env=known | told, stdout=out, stderr=out, cwd=folder)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def listening(folder: Path) -> int:
    """Return the port at which gunicorn says that it listens."""
    said = folder / "out"
    found = eventually(lambda: re.search(rb"Listening at: http://127.0.0.1:(\d+)", said.read_bytes()), "gunicorn")
    return int(found[1])


def ask(port: int) -> int:
    """Return the process that answers."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/")
    answer = int(connection.getresponse().read())
    connection.close()
    return answer


class TestProcess:
    def test_that_ends_has_sent_everything(self, house: Collector, tmp_path: Path) -> None:
        """What was written last, too."""
        code = """
            import wideevents
            from wideevents.sinks.otlp import OTLPSink

            wideevents.configure(output=["json", OTLPSink()])
            for number in range(700):
                with wideevents.event("job", number=number):
                    pass
        """
        with started(code, "shop.py", folder=tmp_path, house=house) as process:
            process.wait(30)

        assert (process.returncode, len((tmp_path / "out").read_bytes().splitlines())) == (0, 700)
        assert [each.attributes["number"] for each in house.received] == list(range(700))

    @pytest.mark.parametrize(
        "options", [(), ("--preload",), ("--worker-class=gthread", "--threads=4"), ("--worker-class=gevent",)], ids=str
    )
    def test_that_serves_sends_what_its_workers_write(
        self, house: Collector, tmp_path: Path, options: tuple[str, ...]
    ) -> None:
        """Also where the sink was made, and has written, before they were forked."""
        code = """
            import os
            import wideevents
            from wideevents.integrations.wsgi import WideEvents
            from wideevents.sinks.otlp import OTLPSink

            wideevents.configure(service="shop", output=["json", OTLPSink()])
            with wideevents.event("loaded"):
                pass

            def application(environ, start_response):
                start_response("200 OK", [("Content-Length", "5")])
                return [b"%5d" % os.getpid()]

            app = WideEvents(application)
        """
        command = ("-m", "gunicorn", "--bind=127.0.0.1:0", "--workers=2", "--no-control-socket", *options, "shop:app")
        with started(code, *command, folder=tmp_path, house=house) as process:
            port = listening(tmp_path)
            times = 1 if "--preload" in options else 2
            eventually(lambda: (tmp_path / "out").read_bytes().count(b'"loaded"') == times, "what was loaded")
            workers = {ask(port) for _ in range(60)}
            process.send_signal(signal.SIGTERM)
            process.wait(30)

        requests = [each for each in house.received if each.record.event_name == "GET"]
        assert len(requests) == 60
        assert {each.resource["process.pid"] for each in requests} == workers
        assert len([each for each in house.received if each.body == "loaded"]) == times
        assert len({each.record.span_id for each in house.received if each.record.event_name}) >= 61
