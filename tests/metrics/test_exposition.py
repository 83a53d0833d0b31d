"""How what was counted is shown: by WSGI, by ASGI, and on a port."""

from __future__ import annotations

import asyncio
import gzip
import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest
from asgiref.testing import ApplicationCommunicator
from prometheus_client import REGISTRY, CollectorRegistry, Counter
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.metrics import Counting, Page, parsed, sealed
from wideevents import health
from wideevents.errors import ConfigurationError
from wideevents.levels import Level
from wideevents.metrics import Metrics, asgi_app, child_exit, start_http_server, wsgi_app
from wideevents.metrics.stage import DIRECTORY

Make = Callable[..., Counting]

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"
TASK = ("wideevents_events_total", (("kind", "task"), ("level", "error"), ("owner", ""), ("route", "")))


@pytest.fixture
def counted() -> Iterator[Metrics]:
    """Give metrics on the page of the process, on which an error of a task stands."""
    metrics = Metrics("shop")
    metrics.event(sealed("task", Level.ERROR))
    yield metrics
    metrics.close()


def errors(page: Page) -> float:
    """Return how many errors of tasks stand on a page."""
    return sum(
        value
        for (name, labels), value in page.items()
        if name == "wideevents_events_total" and {("kind", "task"), ("level", "error")} <= set(labels)
    )


def by_wsgi(query: str = "", **environ: Any) -> tuple[str, dict[str, str], bytes]:
    """Ask the WSGI application, between two validators."""
    told: list[Any] = []
    asked: dict[str, Any] = {"QUERY_STRING": query, **environ}
    setup_testing_defaults(asked)
    asked["wsgi.multiprocess"] = environ.get("wsgi.multiprocess", False)
    with closing(validator(wsgi_app)(asked, lambda *told_: told.extend(told_))) as parts:  # type: ignore[arg-type, type-var]
        body = b"".join(parts)
    return told[0], dict(told[1]), body


def by_asgi(*headers: tuple[bytes, bytes], query: bytes = b"") -> tuple[int, dict[bytes, bytes], bytes]:
    """Ask the ASGI application."""

    async def ask() -> tuple[int, dict[bytes, bytes], bytes]:
        scope = {"type": "http", "method": "GET", "path": "/metrics", "headers": list(headers), "query_string": query}
        one = ApplicationCommunicator(asgi_app, scope)
        await one.send_input({"type": "http.request", "body": b""})
        start, body = await one.receive_output(5), await one.receive_output(5)
        return start["status"], dict(start["headers"]), body["body"]

    return asyncio.run(ask())


@contextmanager
def served(**settings: Any) -> Iterator[HTTPConnection]:
    """Serve the metrics on a free port."""
    server, thread = start_http_server(0, **settings)
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    try:
        yield connection
    finally:
        connection.close()
        server.shutdown()
        server.server_close()
        thread.join(10)


@pytest.mark.usefixtures("counted")
class TestWsgi:
    def test_answers_with_the_page(self) -> None:
        """In the format that every Prometheus reads."""
        status, headers, body = by_wsgi()

        assert (status, headers["Content-Type"]) == ("200 OK", "text/plain; version=0.0.4; charset=utf-8")
        assert errors(parsed(body.decode())) == 1.0

    def test_answers_in_openmetrics_where_it_is_asked_for(self) -> None:
        """A Prometheus asks for it; the page ends as it must."""
        _, headers, body = by_wsgi(HTTP_ACCEPT=f"{OPEN_METRICS},text/plain;version=0.0.4;q=0.5")

        families = {family.name: family for family in text_string_to_metric_families(body.decode())}
        assert headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0; charset=utf-8")
        assert body.endswith(b"# EOF\n")
        assert families["wideevents_events"].type == "counter"

    def test_is_compressed_where_it_may_be(self) -> None:
        """A page of many routes is long, and alike."""
        _, headers, body = by_wsgi(HTTP_ACCEPT_ENCODING="gzip")

        assert headers["Content-Encoding"] == "gzip"
        assert errors(parsed(gzip.decompress(body).decode())) == 1.0

    def test_has_the_metrics_of_the_application(self) -> None:
        """One page is enough for all."""
        counter = Counter("shop_sales", "Sales.", registry=REGISTRY)
        counter.inc(3)
        try:
            assert parsed(by_wsgi()[2].decode())["shop_sales_total", ()] == 3.0
        finally:
            REGISTRY.unregister(counter)

    def test_shows_some_by_their_names(self) -> None:
        """As prometheus_client does: `?name[]=`."""
        page = parsed(by_wsgi("name[]=wideevents_sentry_withheld_total")[2].decode())

        assert page == {("wideevents_sentry_withheld_total", (("service", "shop"),)): 0.0}

    def test_several_processes_without_a_directory_are_told(self, caplog: pytest.LogCaptureFixture) -> None:
        """The counters would seem to fall at every scrape; the sentence says what to set, once."""
        with caplog.at_level(logging.WARNING, "wideevents"):
            for _ in range(2):
                assert by_wsgi(**{"wsgi.multiprocess": True})[0] == "200 OK"

        (told,) = [record.getMessage() for record in caplog.records]
        assert told.startswith("The page of the metrics shows one process, and several serve")
        assert "Set PROMETHEUS_MULTIPROC_DIR to a directory that is emptied before the server starts" in told

    def test_one_process_is_told_nothing(self) -> None:
        """Nothing is wrong with it."""
        by_wsgi()

        assert health.faults.counts() == {}


class TestADirectory:
    def test_is_summed_up_at_every_scrape(self, make: Make, tmp_path: Path) -> None:
        """A page that was asked for before is none of the next one."""
        counting = make(directory=str(tmp_path))
        found = []
        for _ in range(3):
            counting.event("task", Level.ERROR)
            found.append(errors(parsed(by_wsgi(**{"wsgi.multiprocess": True})[2].decode())))

        assert found == [1.0, 2.0, 3.0]
        assert health.faults.counts() == {}

    def test_is_shown_by_asgi(self, make: Make, tmp_path: Path) -> None:
        """The same sums, whichever way they go."""
        make(directory=str(tmp_path)).event("task", Level.ERROR)

        assert errors(parsed(by_asgi()[2].decode())) == 1.0

    def test_is_shown_on_a_port(self, make: Make, tmp_path: Path) -> None:
        """The server is started once, and shows what is counted later, too."""
        counting = make(directory=str(tmp_path))
        with served() as connection:
            counting.event("task", Level.ERROR)
            connection.request("GET", "/metrics")
            page = parsed(connection.getresponse().read().decode())

        assert errors(page) == 1.0

    def test_shows_some_by_their_names(self, make: Make, tmp_path: Path) -> None:
        """Also those that only the files know."""
        make(directory=str(tmp_path))

        page = parsed(by_wsgi("name[]=wideevents_sentry_withheld_total")[2].decode())
        assert page == {("wideevents_sentry_withheld_total", (("service", "shop"),)): 0.0}

    def test_is_readable_as_openmetrics(self, make: Make, tmp_path: Path) -> None:
        """With a histogram that is whole."""
        make(directory=str(tmp_path)).request(http__route='/a"b\\c')
        body = by_wsgi(HTTP_ACCEPT=OPEN_METRICS)[2].decode()

        families = {family.name: family for family in text_string_to_metric_families(body)}
        samples = families["http_server_request_duration_seconds"].samples
        assert {sample.labels["http_route"] for sample in samples} == {'/a"b\\c'}

    def test_that_is_named_by_nothing_is_none(self, monkeypatch: pytest.MonkeyPatch, counted: Metrics) -> None:
        """An empty variable is not set."""
        monkeypatch.setenv(DIRECTORY, "")

        assert errors(parsed(by_wsgi()[2].decode())) == 1.0


@pytest.mark.usefixtures("counted")
class TestAsgi:
    def test_answers_with_the_page(self) -> None:
        """In the format that every Prometheus reads."""
        status, headers, body = by_asgi()

        assert (status, headers[b"Content-Type"]) == (200, b"text/plain; version=0.0.4; charset=utf-8")
        assert errors(parsed(body.decode())) == 1.0

    def test_answers_in_openmetrics_where_it_is_asked_for(self) -> None:
        """A Prometheus asks for it."""
        _, headers, body = by_asgi((b"accept", OPEN_METRICS.encode()))

        assert headers[b"Content-Type"].startswith(b"application/openmetrics-text")
        assert body.endswith(b"# EOF\n")

    def test_shows_some_by_their_names(self) -> None:
        """As prometheus_client does."""
        page = parsed(by_asgi(query=b"name[]=wideevents_sentry_withheld_total")[2].decode())

        assert [name for name, _ in page] == ["wideevents_sentry_withheld_total"]


class TestAServerOfItsOwn:
    @pytest.mark.usefixtures("counted")
    def test_answers_with_the_page(self) -> None:
        """For a process that serves nothing else."""
        with served() as connection:
            connection.request("GET", "/metrics")
            page = parsed(connection.getresponse().read().decode())

        assert errors(page) == 1.0

    def test_answers_with_another_registry(self, make: Make) -> None:
        """Where the application keeps ours apart."""
        counting = make()
        counting.event("task", Level.ERROR)
        with served(registry=counting.registry) as connection:
            connection.request("GET", "/")
            page = parsed(connection.getresponse().read().decode())

        assert page == counting.page()

    def test_answers_this_machine_alone(self) -> None:
        """Who wants others to see it says so."""
        server, thread = start_http_server(0)
        try:
            assert server.server_address[0] == "127.0.0.1"
        finally:
            server.shutdown()
            server.server_close()
            thread.join(10)

    def test_refuses_a_port_that_is_taken(self) -> None:
        """It is told where it is started."""
        with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
            start_http_server(taken.getsockname()[1])


class TestChildExit:
    def test_forgets_the_gauges_of_a_worker(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """What is in progress there is so no more; what it has counted was counted."""
        monkeypatch.setenv(DIRECTORY, os.fspath(tmp_path))
        gauges = ("gauge_livesum_7.db", "gauge_liveall_7.db")
        kept = {"gauge_livesum_8.db", "gauge_sum_7.db", "counter_7.db", "counter_wideevents_7.db"}
        for name in (*gauges, *kept):
            (tmp_path / name).touch()
        child_exit(None, SimpleNamespace(pid=7))

        assert {path.name for path in tmp_path.iterdir()} == kept

    def test_does_nothing_without_a_directory(self) -> None:
        """One configuration file serves a laptop, too."""
        child_exit(None, SimpleNamespace(pid=7))


class TestTwoRegistries:
    def test_the_page_is_that_of_the_process(self, counted: Metrics) -> None:
        """Metrics with a registry of their own are shown by whoever has it."""
        own = Metrics("own", CollectorRegistry())
        try:
            own.event(sealed("task", Level.ERROR))
            assert errors(parsed(by_wsgi()[2].decode())) == 1.0
        finally:
            own.close()

    def test_a_name_that_is_taken_leaves_the_page_as_it_was(self) -> None:
        """Who was refused has registered nothing."""
        registry = CollectorRegistry()
        taken = Counter("wideevents_lost", "Somebody else's.", registry=registry)
        with pytest.raises(ConfigurationError):
            Metrics("shop", registry)
        registry.unregister(taken)
        metrics = Metrics("shop", registry)
        metrics.close()

        assert list(registry.collect()) == []
