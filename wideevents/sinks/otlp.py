"""Send events and log lines to an OpenTelemetry collector, as log records."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Sequence
from contextvars import Context
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import orjson

from wideevents import health
from wideevents._version import __version__
from wideevents.entries import Entry
from wideevents.errors import ConfigurationError
from wideevents.events import Event
from wideevents.forks import renew_in_child
from wideevents.levels import Level
from wideevents.tracecontext import SAMPLED
from wideevents.values import guarded

try:
    from opentelemetry._logs import LogRecord, SeverityNumber
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.sdk._logs import LogRecordLimits, ReadableLogRecord, ReadWriteLogRecord
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter, LogRecordExportResult
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import TraceFlags
except ImportError as missing:
    raise ImportError("wideevents.sinks.otlp needs opentelemetry-sdk 1.39: pip install 'wideevents[otel]'") from missing

NAME = "otlp"

SEVERITIES = {
    Level.DEBUG: SeverityNumber.DEBUG,
    Level.INFO: SeverityNumber.INFO,
    Level.WARNING: SeverityNumber.WARN,
    Level.ERROR: SeverityNumber.ERROR,
}
"""5, 9, 13 and 17: https://opentelemetry.io/docs/specs/otel/logs/data-model/#field-severitynumber"""

QUEUE, BATCH, DELAY = "OTEL_BLRP_MAX_QUEUE_SIZE", "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "OTEL_BLRP_SCHEDULE_DELAY"
DEFAULTS = {QUEUE: 2_048, BATCH: 512, DELAY: 200}
"""As specified, but for the milliseconds between two batches (1,000): the end of a process waits for the next one."""

CLOSE_S = 1.8
"""Seconds that the end of the process waits for the collector."""

SCOPE = InstrumentationScope("wideevents", __version__)
EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)

_is_hex = re.compile(r"[0-9a-f]+").fullmatch


class Held(NamedTuple):
    """Hold a line until it is sent; *static* is what every line of the process has, and its resource tells."""

    line: bytes
    static: dict[str, Any]
    level: Level
    flags: int


class OTLPSink:
    """
    Send every event and log line to a collector as a log record, beside what else is written.

    - *endpoint*: the URL it takes logs at, `http://collector:4318/v1/logs`; else `OTEL_EXPORTER_OTLP_LOGS_ENDPOINT`,
      `OTEL_EXPORTER_OTLP_ENDPOINT` with /v1/logs, or the collector on this machine. `OTEL_EXPORTER_OTLP_*` (headers,
      timeout, compression, certificates) and `OTEL_BLRP_*` (queue, batch, delay in milliseconds) are read, too.
    - *exporter*: another one that the SDK knows, in place of OTLP over HTTP.

    A batch is sent by a thread of the SDK's, so that nobody waits for it. What did not arrive, as far as the SDK tells,
    is counted (`events.lost_in.otlp`). A kill loses what waits: keep a line on standard output, or in a file, too.

    Raise `ConfigurationError` for a setting that cannot be used.
    """

    name = NAME

    def __init__(self, exporter: LogRecordExporter | None = None, *, endpoint: str | None = None) -> None:
        if exporter is not None and not isinstance(exporter, LogRecordExporter):
            raise ConfigurationError.of("exporter", exporter, "a LogRecordExporter of opentelemetry.sdk._logs.export")
        if exporter is not None and endpoint is not None:
            raise ConfigurationError.of("endpoint", endpoint, "left out beside an exporter, which has its own")
        self._most, self._batch, self._delay = (_number(name) for name in (QUEUE, BATCH, DELAY))
        if self._batch > self._most:
            raise ConfigurationError.of(BATCH, self._batch, f"{QUEUE}={self._most} at most")
        self._courier = Courier(exporter, endpoint)
        self._limits = _limits()
        self._processor: BatchLogRecordProcessor | None = None
        self._described: tuple[dict[str, Any], Resource] | None = None
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """Make the lock anew: in a forked child it may be held by a thread that is not there."""
        self._lock = threading.RLock()

    def write(self, entry: Entry) -> None:
        """Hand the line over to be sent; raise `BlockingIOError` where too many wait."""
        courier = self._courier
        if courier.is_at_work:  # what is logged about the sending would have to be sent, and so on
            return
        held: Any = Held(entry.line, entry.static, entry.level, _flags(entry))
        waiting = ReadWriteLogRecord(LogRecord(body=held), self._resource(entry.static), SCOPE, self._limits)
        with self._lock:
            if courier.waiting >= self._most:
                raise BlockingIOError(f"{self._most} lines wait to be sent")
            processor = self._processor or self._hire()
            courier.expect()
            processor.on_emit(waiting)

    def close(self) -> None:
        """Wait until all is sent, less than two seconds; what is not sent by then is lost. What comes later is sent."""
        if not self._courier.await_answers(CLOSE_S):
            return
        with self._lock:
            if self._processor is None or self._courier.waiting:
                return
            processor, self._processor = self._processor, None
        processor.shutdown()  # type: ignore[no-untyped-call]

    def _resource(self, static: dict[str, Any]) -> Resource:
        """Return what every line tells, and what the environment and the SDK's detectors know beside it."""
        known = self._described
        if known is None or known[0] is not static:
            self._described = static, Resource(static)  # for what is logged meanwhile, in threads of the SDK's, too
            self._described = known = static, Resource.create(static)
        return known[1]

    def _hire(self) -> BatchLogRecordProcessor:
        """Begin to send, in a context that is nobody's: the thread must not hold the event of a request."""
        processor = self._processor = Context().run(
            BatchLogRecordProcessor, self._courier, self._delay, self._batch, None, self._most
        )
        return processor


class Courier(LogRecordExporter):
    """
    Make records of the lines, hand them to the exporter, and count those that are not taken.

    An exporter of our own is made anew in a forked child, which must not write to its parent's connections.
    """

    _exporter: LogRecordExporter | None

    def __init__(self, exporter: LogRecordExporter | None, endpoint: str | None) -> None:
        self._given, self._endpoint = exporter, endpoint
        self.renew()
        self._exporter = exporter or _exporter(endpoint)  # now, so that a wrong setting is told now
        renew_in_child(self)

    def renew(self) -> None:
        """Begin anew: in a forked child what waits is the parent's."""
        self._answered = threading.Condition(threading.RLock())
        self._local = threading.local()
        self._exporter = self._given
        self._given_up = 0
        self.waiting = 0

    @property
    def is_at_work(self) -> bool:
        """Whether this thread is sending in this moment."""
        return hasattr(self._local, "at_work")

    def expect(self) -> None:
        """Count a line that will be sent."""
        with self._answered:
            self.waiting += 1

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Send a batch; that it was not taken is not raised, since the SDK would log it, and it would be sent."""
        self._local.at_work, self._local.trouble = True, "the collector did not take it"
        result = guarded(lambda: self._send(batch), batch)
        del self._local.at_work
        taken = result is LogRecordExportResult.SUCCESS
        self._answer(len(batch), "" if taken else self._local.trouble)
        return LogRecordExportResult.SUCCESS if taken else LogRecordExportResult.FAILURE

    def await_answers(self, seconds: float) -> bool:
        """Tell whether everything was sent, or lost, within so many seconds; if not, all that waits is given up."""
        with self._answered:
            if self._answered.wait_for(lambda: not self.waiting, seconds):
                return True
            lost, self._given_up = self.waiting - self._given_up, self.waiting
        _lose("the process ends", lost)
        return False

    def shutdown(self) -> None:
        """Let go of an exporter of our own; one that was given is somebody else's."""
        exporter, self._exporter = self._exporter, self._given
        if exporter is not None and exporter is not self._given:
            exporter.shutdown()  # type: ignore[no-untyped-call]

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Let the exporter send what it holds itself."""
        return self._exporter is None or self._exporter.force_flush(timeout_millis)

    def _send(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        try:
            if self._exporter is None:
                self._exporter = _exporter(self._endpoint)
            return self._exporter.export([_finished(record) for record in batch])
        except BaseException as error:
            self._local.trouble = f"the exporter raised {type(error).__name__}"
            raise

    def _answer(self, number: int, trouble: str) -> None:
        with self._answered:
            self.waiting -= number
            known = min(number, self._given_up)  # counted as lost already
            self._given_up -= known
            self._answered.notify_all()
        if trouble:
            _lose(trouble, number - known)


def _exporter(endpoint: str | None) -> OTLPLogExporter:
    """Return the SDK's own exporter; raise `ConfigurationError` for what it would only warn of, or fail with."""
    if endpoint is not None and not _is_url(endpoint):
        raise ConfigurationError.of("endpoint", endpoint, URL)
    for name, usable, allowed in CHECKS:
        for variable in (f"OTEL_EXPORTER_OTLP_LOGS_{name}", f"OTEL_EXPORTER_OTLP_{name}"):
            given = os.environ.get(variable)
            if given and not usable(given):
                raise ConfigurationError.of(variable, given, allowed)
    return OTLPLogExporter(endpoint)


def _limits() -> LogRecordLimits:
    """
    Return what the SDK asks for beside a record. It limits none of ours, since a line has its own limits.

    By default the oldest of more than 128 attributes would be thrown out: the ids.
    """
    try:
        return LogRecordLimits()
    except ValueError as refused:
        raise ConfigurationError(f"The environment cannot be used: {refused}.") from None


def _is_url(url: object) -> bool:
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _is_time(seconds: str) -> bool:
    try:
        return 0 < float(seconds) < inf
    except ValueError:
        return False


def _is_compression(name: str) -> bool:
    return name.strip().lower() in {"none", "gzip", "deflate"}


URL = "a URL, such as http://collector:4318/v1/logs"

CHECKS = (
    ("ENDPOINT", _is_url, URL),
    ("TIMEOUT", _is_time, "a number of seconds above 0"),
    ("COMPRESSION", _is_compression, "none, gzip or deflate"),
)


def _number(name: str) -> int:
    """Read a number of the environment; raise `ConfigurationError` for one that cannot be used."""
    given = os.environ.get(name) or str(DEFAULTS[name])
    if not given.isascii() or not given.isdigit() or not int(given):
        raise ConfigurationError.of(name, given, "a whole number, 1 or more")
    return int(given)


def _flags(entry: Entry) -> int:
    """Return the flags of the trace: what came in, or that its line is kept."""
    event = entry if isinstance(entry, Event) else getattr(entry, "event", None)
    return SAMPLED if event is None or event.parent is None else event.parent.flags


def _finished(waiting: ReadableLogRecord) -> ReadableLogRecord:
    """
    Return the record that a line becomes; what has a place of its own there is no attribute.

    The body is what a person reads first: the message, or what happened (semantic conventions for events).
    """
    held: Any = waiting.log_record.body
    line, static, level, flags = held
    fields = orjson.loads(line)
    name = _text(fields, "event.name")
    if fields.get("level") == level.label:
        del fields["level"]
    record = LogRecord(
        timestamp=_moment(fields),
        observed_timestamp=waiting.log_record.observed_timestamp,
        severity_number=SEVERITIES[level],
        severity_text=level.label,
        body=_text(fields, "message") or name,
        event_name=name,
    )
    record.trace_id, record.span_id = _taken(fields, "trace.id", 32), _taken(fields, "event.id", 16)
    record.trace_flags = TraceFlags(flags if record.trace_id else 0)
    record.attributes = {key: value for key, value in fields.items() if key not in static or static[key] != value}
    return ReadableLogRecord(record, waiting.resource, waiting.instrumentation_scope)


def _text(fields: dict[str, Any], name: str) -> str | None:
    """Take a text out of *fields*; a stage may have put there what is none, and stays."""
    return fields.pop(name) if type(fields.get(name)) is str else None


def _moment(fields: dict[str, Any]) -> int | None:
    """Take the time out of *fields*, in nanoseconds since the epoch; what is none stays."""
    try:
        moment = datetime.fromisoformat(fields["timestamp"])
        nanoseconds = (moment - EPOCH) // MICROSECOND * 1_000
    except (KeyError, TypeError, ValueError):
        return None
    del fields["timestamp"]
    return max(nanoseconds, 0)


def _taken(fields: dict[str, Any], name: str, digits: int) -> int:
    """Take an id out of *fields*; what is none stays, and is 0."""
    given = fields.get(name)
    if type(given) is not str or len(given) != digits or not _is_hex(given):
        return 0
    del fields[name]
    return int(given, 16)


def _lose(trouble: str, number: int) -> None:
    """Count lines that do not arrive. No lock is held: who is told of it may be slow."""
    if number:
        sentence = (
            f"Lines did not reach OpenTelemetry: {trouble}. They are counted; the loggers opentelemetry.* say why."
        )
        health.lost(NAME, f"{NAME}: {trouble}", sentence, number=number)
