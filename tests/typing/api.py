"""Use every name of the face, of the doors and of the test room as an application would; mypy is the test."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Generator, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_type

import structlog
from flask import Flask

import wideevents
from wideevents import ConfigurationError, Entry, Event, Level, Limits, Redaction, WideError, WideEventsError
from wideevents.alerts import Alerts, BusinessHours, Receiver
from wideevents.flight import Flight
from wideevents.integrations import structlog as structlog_door
from wideevents.integrations.flask import WideEvents as FlaskWideEvents
from wideevents.integrations.logging import EventFilter, Handler, JsonFormatter
from wideevents.integrations.wsgi import WideEvents as WsgiWideEvents
from wideevents.metrics import start_http_server, wsgi_app
from wideevents.pipeline import Sink, Stage
from wideevents.sampling import Dynamic, Sampling
from wideevents.sinks.background import Background
from wideevents.sinks.jsonlogger import LoggingSink
from wideevents.sinks.lines import LinesSink
from wideevents.sinks.memory import MemorySink
from wideevents.sinks.sentry import SentrySink
from wideevents.testing import WideEvents, capture

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

assert_type(wideevents.__version__, str)


class Queue:
    """A sink of the user's own: the Protocol asks for no base class."""

    def write(self, entry: Entry) -> None:
        assert_type(entry.line, bytes)
        assert_type(entry.level, Level)
        assert_type(entry.record, dict[str, Any])

    def close(self) -> None: ...


class Slow:
    """A stage of the user's own, as an object."""

    def __call__(self, event: Event) -> Event | None:
        return event if event.record["duration_ms"] > 500 else None


def add_region(event: Event) -> Event:
    assert_type(event.record, dict[str, Any])
    event.record["region"] = "eu-1"
    return event


def configure() -> None:
    sinks: list[Sink] = [Queue(), MemorySink(), LinesSink(1, longest=16_000), LinesSink.open("a", longest=16_000)]
    stages: tuple[Stage, ...] = (add_region, Slow(), lambda event: event)
    limits = Limits(max_bytes=8_000, max_fields=100, max_value_length=1_000)
    redact = Redaction(keys=("nickname",), values=(r"EMP-\d+",), safe=("token.kind",))
    wideevents.configure()
    wideevents.configure(service="shop", version="1.4", environment="production", owner="payments")
    wideevents.configure(output="json", level="warning", threads=False, redact=redact, limits=limits, stages=stages)
    wideevents.configure(output=Path("events.jsonl"), level=Level.DEBUG, stages=[add_region])
    wideevents.configure(output=Queue(), level=30)
    wideevents.configure(output="console", logging=False, debug_lines=("shop",), raising_loggers=["shop"])
    wideevents.configure(output=[LoggingSink(WatchedFileHandler("a")), LoggingSink("shop.events")])
    wideevents.configure(logging="yes")  # type: ignore[arg-type]
    wideevents.configure(output=[Path("events.jsonl"), "auto", Queue()])
    wideevents.configure(output=sinks)
    wideevents.configure("shop")  # type: ignore[call-arg]
    wideevents.configure(service=7)  # type: ignore[arg-type]
    wideevents.configure(output=7)  # type: ignore[arg-type]
    wideevents.configure(limits=16_000)  # type: ignore[arg-type]
    wideevents.configure(stages=[len])  # type: ignore[list-item]
    assert_type(limits.max_bytes, int)
    assert_type(redact.keys, tuple[str, ...])


def log() -> None:
    handler: logging.Handler = Handler(logging.WARNING)
    handler.setFormatter(JsonFormatter(rename_fields={"a": "b"}, static_fields={"c": 1}))
    handler.addFilter(EventFilter())
    structlog_door.configure()
    structlog_door.configure(through_logging=True)
    structlog.configure(processors=[structlog_door.add_event, structlog_door.JSONRenderer(as_bytes=True)])


def add() -> None:
    wideevents.add_field("user.id", 42)
    wideevents.add_field("anything", object())
    wideevents.add_field("gone", None)
    wideevents.add_fields({"cart.items": 3}, plan="STARTER")
    wideevents.add_fields(country="CA")
    wideevents.increment("cache.miss")
    wideevents.increment("bytes", 1.5)
    wideevents.append("coupon.codes", "SPRING")
    wideevents.add_error(ValueError("declined"))
    wideevents.add_error(ValueError("declined"), level="error", expected=True)
    wideevents.add_error(ValueError("declined"), level=Level.INFO)
    wideevents.add_field(key="user.id", value=42)  # type: ignore[call-arg]
    wideevents.add_field(42, 42)  # type: ignore[arg-type]
    wideevents.increment("cache.miss", "1")  # type: ignore[arg-type]
    wideevents.add_error("declined")  # type: ignore[arg-type]


def look() -> None:
    assert_type(wideevents.current(), Event | None)
    event = wideevents.current()
    if event is not None:
        assert_type(event.id, str)
        assert_type(event.trace_id, str)
        assert_type(event.level, Level)
        assert_type(event.sealed, bool)
        event.keep = True
    assert_type(Level.ERROR.label, str)
    assert_type(Level.parse("error"), Level)


def run_blocks() -> None:
    with wideevents.event("report.page", page=3) as event:
        assert_type(event, Event)
    with wideevents.timer("db") as nothing:
        assert_type(nothing, None)
    with wideevents.event("nightly", "script", page=3) as script:
        assert_type(script, Event)
    with wideevents.event("mail", "message"), wideevents.event("work", "batch"), wideevents.event("work", "task"):
        pass
    wideevents.event("work", "request")  # type: ignore[arg-type]


def run_batches(pages: list[str], rows: AsyncGenerator[bytes, None]) -> None:
    for page in wideevents.batch("report", pages):
        assert_type(page, str)
    with wideevents.batch("report", iter([1]), total=1) as numbers:
        for number in numbers:
            assert_type(number, int)

    async def main() -> None:
        async for row in wideevents.batch("report", rows):
            assert_type(row, bytes)
        async for page in wideevents.batch("report", pages):
            assert_type(page, str)

    print(main)
    wideevents.batch("report", 7)  # type: ignore[arg-type]
    wideevents.batch("report", pages, total="7")  # type: ignore[arg-type]
    wideevents.batch("report", pages, 7)  # type: ignore[call-arg]


@wideevents.event("job", queue="default")
def plain(number: int, *, text: str = "") -> str:
    return text * number


@wideevents.event("job")
async def awaited(number: int) -> str:
    return str(number)


@wideevents.timer("pages")
def generated(number: int) -> Iterator[int]:
    yield number


@wideevents.timer("pages")
def sent(number: int) -> Generator[int, str, bytes]:
    yield number
    return b""


@wideevents.event("stream")
async def streamed(number: int) -> AsyncGenerator[int, None]:
    yield number


class Job:
    @wideevents.timer("job")
    def run(self, number: int) -> str:
        return str(number)


async def decorated() -> None:
    assert_type(plain(1, text="x"), str)
    assert_type(await awaited(1), str)
    assert_type(generated(1), Iterator[int])
    assert_type(sent(1), Generator[int, str, bytes])
    assert_type(streamed(1), AsyncGenerator[int, None])
    assert_type(Job().run(1), str)
    plain("1")  # type: ignore[arg-type]
    await awaited()  # type: ignore[call-arg]


def carried() -> None:
    run = wideevents.carry(lambda: 42)
    assert_type(run(), int)
    wideevents.carry(plain)("1")  # type: ignore[arg-type]


def wrong_setting() -> None:
    try:
        wideevents.configure(level="loud")
    except ConfigurationError as error:
        as_value_error: ValueError = error
        as_ours: WideEventsError = error
        print(as_value_error, as_ours)


class DeclinedError(WideError):
    status = 402
    expected = True


def errors() -> None:
    error = WideError("declined", status=402, why="no money", fix="pay cash", link="https://x", code="no", sku=3)
    assert_type(error.status, int | None)
    assert_type(error.fields, dict[str, Any])
    wideevents.add_error(DeclinedError("declined"), level="error", expected=True)
    WideError("declined", status="402")  # type: ignore[arg-type]
    wideevents.add_error(error, expected="yes")  # type: ignore[arg-type]


def alerting() -> None:
    hours = BusinessHours("mon-fri 09:00-17:00", tz="Europe/Berlin", holidays=(date(2026, 12, 25),))
    assert_type(hours.is_open(datetime.now(UTC)), bool)
    assert_type(hours.next_open(datetime.now(UTC)), datetime)
    assert_type(hours.longest_closed, timedelta)
    pager, mail = Receiver(webhook="https://pager.example.org"), Receiver(email="shop@example.org")
    alerts = Alerts(hours=hours, owners={"/pay": "payments"}, receivers={"payments": pager}, default=mail)
    wideevents.configure(alerts=alerts, metrics=True, in_app=("shop",))
    wideevents.configure(sentry=SentrySink("https://key@errors.internal/1", locals=("order_id",), rate=5))
    wideevents.configure(sentry="https://key@errors.internal/1")
    wideevents.configure(sentry=False)
    wideevents.configure(sentry=7)  # type: ignore[arg-type]
    wideevents.configure(alerts={"payments": pager})  # type: ignore[arg-type]
    Alerts(owners={"/pay": 7})  # type: ignore[dict-item]


def shown() -> None:
    page: WSGIApplication = wsgi_app
    server, thread = start_http_server(9_464)
    print(page, server, thread)
    FlaskWideEvents(Flask(__name__), metrics="/metrics", problems=True)
    FlaskWideEvents(Flask(__name__), problems="yes")  # type: ignore[arg-type]


def wsgi_door(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [b""]


def wsgi() -> None:
    app = WsgiWideEvents(wsgi_door, quiet=("/healthz",), slow_ms=500, proxies=1)
    served: WSGIApplication = app
    print(served)
    WsgiWideEvents(wsgi_door, proxies="1")  # type: ignore[arg-type]
    WsgiWideEvents(7)  # type: ignore[arg-type]


def flask() -> None:
    app = Flask(__name__)
    FlaskWideEvents(app, quiet=["/healthz", "/static/<path:name>"], slow_ms=250.5, proxies=2)
    extension = FlaskWideEvents(quiet=("/healthz",))
    extension.init_app(app)
    app.wsgi_app = WsgiWideEvents(app.wsgi_app)  # type: ignore[method-assign]
    extension.init_app("app")  # type: ignore[arg-type]
    FlaskWideEvents(app, slow_ms="1")  # type: ignore[arg-type]


def test_with_the_fixture(wide_events: WideEvents) -> None:
    assert_type(wide_events.one(), dict[str, Any])
    assert_type(wide_events.one(level="error"), dict[str, Any])
    assert_type(wide_events.all(event__name="job"), list[dict[str, Any]])
    assert_type(wide_events.in_progress, list[str])
    assert_type(wide_events[0], dict[str, Any])
    assert_type(len(wide_events), int)
    assert_type([event["level"] for event in wide_events], list[Any])
    wide_events.clear()


def test_with_a_block() -> None:
    with capture() as events:
        assert_type(events, WideEvents)


def nothing_lost(sink: Sink) -> None:
    wideevents.configure(sample=10, flight="flight")
    wideevents.configure(
        sample=Sampling(rates={"GET /healthz": 100}, dynamic=Dynamic(per_second=5)), flight=Flight("flight")
    )
    wideevents.configure(sample="10")  # type: ignore[arg-type]
    wideevents.configure(output=[LinesSink(on_full="drop"), LinesSink.open("events.jsonl", wait_ms=50), sink])
    wideevents.configure(output=Background("events.jsonl", capacity=100))
    wideevents.keep()
    LinesSink(on_full="block")  # type: ignore[arg-type]
    Background(7)  # type: ignore[arg-type]
