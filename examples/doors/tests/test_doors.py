"""Test every example as a newcomer tries it: by its one line, and with a look at what it writes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from websockets.sync.client import connect

from examples.doors.tests.conftest import DOORS, Start, commands
from tests.integrations.servers import eventually
from tests.parts.redis import RedisServer

NOWHERE = "redis://127.0.0.1:9"
"""A port that nobody listens at."""

EXAMPLES = sorted(path.stem for path in DOORS.glob("[a-z]*.py"))


class Page(NamedTuple):
    """A request to an example, what it is answered, and what stands in its line."""

    path: str
    answer: str
    fields: dict[str, Any]


DJANGO = Page(
    "/articles/spring?lang=de",
    '{"slug": "spring", "language": "de", "views": 7}',
    {
        "event.name": "GET /articles/<slug:slug>",
        "framework.name": "django",
        "django.view": "article",
        "article.language": "de",
        "db.count": 1,
        "db.slowest": "SELECT ? + %s",
        "service.name": "newsroom",
    },
)

PAGES = {
    "gunicorn examples.doors.wsgi_app:app": Page(
        "/?name=Ann",
        "Hello, Ann!\n",
        {"event.name": "GET", "url.query": "name=Ann", "greeting.length": 3, "service.name": "greeter"},
    ),
    "uvicorn examples.doors.asgi_app:app": Page(
        "/",
        "Hello!\n",
        {"event.name": "GET", "greeting.words": 1, "http.response.body.size": 7, "service.name": "echo"},
    ),
    "uvicorn examples.doors.starlette_app:app": Page(
        "/books/7",
        '{"title":"Middlemarch"}',
        {
            "event.name": "GET /books/{book_id:int}",
            "framework.name": "starlette",
            "book.id": 7,
            "service.name": "library",
        },
    ),
    "uvicorn examples.doors.litestar_app:app": Page(
        "/flights/LH1/seats",
        '{"free":12}',
        {
            "event.name": "GET /flights/{number:str}/seats",
            "framework.name": "litestar",
            "flight.number": "LH1",
            "flight.seats": 12,
            "service.name": "seats",
        },
    ),
    "gunicorn examples.doors.django_app:application": DJANGO,
    "uvicorn examples.doors.django_app:asgi_application": DJANGO,
}


class TestEveryExample:
    @pytest.mark.parametrize("example", EXAMPLES)
    def test_says_how_it_starts(self, example: str) -> None:
        """In one line, which a newcomer can copy."""
        assert [command for command in commands(example) if f"examples.doors.{example}" in command] != []

    @pytest.mark.parametrize("example", EXAMPLES)
    def test_is_small(self, example: str) -> None:
        """It is read before it is copied."""
        assert len((DOORS / f"{example}.py").read_text().splitlines()) <= 70


class TestAServer:
    @pytest.mark.parametrize("command", PAGES)
    def test_answers_and_writes_one_line(self, start: Start, command: str) -> None:
        """What was asked for stands in it by its template, beside what the code knows."""
        page = PAGES[command]
        with start(command) as example:
            answered = example.get(page.path)
            (event,) = example.events()

        assert answered == (200, page.answer.encode())
        assert {name: event.get(name) for name in page.fields} == page.fields

    def test_is_told_to_be_started_in_every_way(self) -> None:
        """The lines above are those of the docstrings."""
        told = {command for example in EXAMPLES for command in commands(example)}

        assert set(PAGES) <= told


class TestRaw:
    def test_a_conversation_is_one_event(self, start: Start) -> None:
        """From its opening to its close, with what went either way."""
        with start(*commands("asgi_app")) as example:
            example.get("/")
            with connect(f"ws://127.0.0.1:{example.process.port}/echo", proxy=None) as client:
                for said in ("one", "two"):
                    client.send(said)
                    assert client.recv() == said
            event = example.events(2)[1]

        assert (event["event.kind"], event["echo.count"]) == ("websocket", 2)
        assert (event["websocket.received.count"], event["websocket.sent.count"]) == (2, 2)


class TestStarlette:
    def test_a_stream_is_timed_to_its_last_byte(self, start: Start) -> None:
        """What its generator adds is in the line, too."""
        with start(*commands("starlette_app")) as example:
            _, body = example.get("/books/export.csv")
            (event,) = example.events()

        assert (event["event.name"], event["export.rows"]) == ("GET /books/export.csv", 3)
        assert (event["http.response.streamed"], event["http.response.body.size"]) == (True, len(body))


class TestFastAPI:
    def test_all_parts_of_a_request_add_to_its_line(self, start: Start) -> None:
        """The dependency, the call out, and the background task; the callee has a line of its own in the same trace."""
        with start(*commands("fastapi_app")) as example:
            answered = example.get("/prices/A1")
            callee, caller = example.events(2)

        assert answered == (200, b'{"plan":"STARTER","price":12.5}')
        assert (caller["event.name"], callee["event.name"]) == ("GET /prices/{sku}", "GET /rates/{currency}")
        assert (caller["user.plan"], caller["price.remembered"], caller["http.client.count"]) == ("STARTER", "A1", 1)
        assert (callee["trace.id"], callee["parent.id"]) == (caller["trace.id"], caller["event.id"])
        assert (callee["http.request.id"], callee["rate.currency"]) == (caller["http.request.id"], "EUR")

    def test_a_conversation_is_one_event(self, start: Start) -> None:
        """By the template of its route."""
        with start(*commands("fastapi_app")) as example:
            example.get("/rates/EUR")
            with connect(f"ws://127.0.0.1:{example.process.port}/prices", proxy=None) as client:
                client.send("A1")
                assert json.loads(client.recv()) == {"sku": "A1", "price": 12.5}
            event = example.events(2)[1]

        assert (event["event.kind"], event["http.route"], event["price.skus"]) == ("websocket", "/prices", ["A1"])


class TestQueues:
    @pytest.mark.parametrize(
        ("example", "task", "fields"),
        [
            ("celery_app", "examples.doors.celery_app.welcome", {"user.id": 42, "mail.template": "welcome"}),
            ("rq_app", "examples.doors.rq_app.shrink", {"picture.name": "cat.png", "picture.width": 200}),
        ],
    )
    def test_a_task_carries_on_the_trace(
        self, start: Start, redis_server: RedisServer, example: str, task: str, fields: dict[str, Any]
    ) -> None:
        """The event of the script that sends it is its parent."""
        worker, sender = commands(example)
        url = redis_server.database(200 + len(example))
        with start(worker, REDIS_URL=url, CELERY_BROKER_URL=url) as working:
            with start(sender, REDIS_URL=url, CELERY_BROKER_URL=url) as sending:
                (sent,) = sending.events()
            (ran,) = working.events()

        assert (ran["event.name"], ran["event.kind"], ran["task.outcome"]) == (task, "task", "success")
        assert (ran["trace.id"], ran["parent.id"]) == (sent["trace.id"], sent["event.id"])
        assert {name: ran.get(name) for name in fields} == fields


class TestNightly:
    def test_every_page_is_an_event_linked_to_the_run(self, start: Start) -> None:
        """With a trace of its own, and the run tells how many there were."""
        with start(*commands("nightly")) as example:
            *pages, run = example.events(4)

        assert [page["batch.index"] for page in pages] == [0, 1, 2]
        links = {(page["link.trace.id"], page["link.event.id"]) for page in pages}
        assert (links, len({page["trace.id"] for page in pages})) == ({(run["trace.id"], run["event.id"])}, 3)
        assert (run["event.kind"], run["course_report.count"], run["course_report.failures"]) == ("script", 3, 0)
        assert [page["report.students"] for page in pages] == [200, 200, 200]


class TestCallsOut:
    def test_are_counted_each_by_its_kind(self, start: Start) -> None:
        """Both clients of HTTP, SQLAlchemy, and a Redis that nobody has to run."""
        with start(*commands("calls_out"), REDIS_URL=NOWHERE) as example:
            status, body = example.get("/products/17")
            events = {event["http.route"]: event for event in example.events(3)}

        product = events["/products/<int:product_id>"]
        assert (status, json.loads(body)) == (200, {"price": 42, "visits": None, "left": 7, "stars": 3})
        assert (product["http.client.count"], product["db.count"]) == (2, 1)
        assert (product["cache.count"], product["cache.failures"], product["level"]) == (1, 1, "info")
        assert product["db.slowest"] == "SELECT ? * ?"

    def test_join_the_trace_of_who_calls(self, start: Start) -> None:
        """What is called has its parent, whichever library has called it; sqlite3 is counted there."""
        with start(*commands("calls_out"), REDIS_URL=NOWHERE) as example:
            example.get("/products/17")
            events = {event["http.route"].split("/")[1]: event for event in example.events(3)}

        product, callees = events.pop("products"), list(events.values())
        assert {each["trace.id"] for each in callees} == {product["trace.id"]}
        assert {each["parent.id"] for each in callees} == {product["event.id"]}
        assert events["stock"]["db.slowest"] == "SELECT ? % ?"

    def test_reach_a_redis_that_is_there(self, start: Start, redis_server: RedisServer) -> None:
        """Then the visits are counted."""
        with start(*commands("calls_out"), REDIS_URL=redis_server.database(210)) as example:
            answers = [json.loads(example.get("/products/17")[1])["visits"] for _ in range(2)]
            events = [event for event in example.events(6) if "cache.count" in event]

        assert answers == [1, 2]
        assert [(event["cache.slowest"], event.get("cache.failures")) for event in events] == [("INCRBY", None)] * 2


@pytest.fixture
def collector() -> Iterator[tuple[str, dict[str, list[bytes]]]]:
    """Be a collector of OpenTelemetry: give its address, and what it was sent, by path."""
    taken: dict[str, list[bytes]] = {"/v1/logs": [], "/v1/traces": []}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken[self.path].append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the name is the base class's
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", taken
        server.shutdown()
        thread.join()


class TestOpenTelemetry:
    def test_the_event_is_in_the_trace_of_its_spans(
        self, start: Start, collector: tuple[str, dict[str, list[bytes]]]
    ) -> None:
        """And the collector has both: the span, and the line as a log record."""
        url, taken = collector
        faster = {"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_EXPORTER_OTLP_COMPRESSION": "none"}
        with start(*commands("opentelemetry_app"), OTEL_EXPORTER_OTLP_ENDPOINT=url, **faster) as example:
            example.get("/carts/7/total")
            (event,) = example.events()
            eventually(lambda: taken["/v1/traces"] and taken["/v1/logs"], "the collector")

        traces = ExportTraceServiceRequest.FromString(taken["/v1/traces"][0])
        logs = ExportLogsServiceRequest.FromString(taken["/v1/logs"][0])
        (span,) = traces.resource_spans[0].scope_spans[0].spans
        record = logs.resource_logs[0].scope_logs[0].log_records[0]
        assert (span.name, span.trace_id.hex()) == ("add up", event["trace.id"])
        assert (record.trace_id.hex(), record.span_id.hex()) == (event["trace.id"], event["event.id"])
        assert event["cart.cents"] == 4_599
