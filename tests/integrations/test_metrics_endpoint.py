"""What the page of the metrics promises behind real servers: the sum of all processes, whoever answers."""

from __future__ import annotations

import os
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest

from tests.integrations.processes import HOST, Running, logged, running
from tests.integrations.servers import PATIENCE, eventually
from tests.metrics import Page, parsed
from wideevents.metrics.stage import DIRECTORY

APP = """
import os, signal
import wideevents
from prometheus_client import Gauge
from wideevents.integrations.wsgi import WideEvents
from wideevents.metrics import asgi_app, wsgi_app

wideevents.configure(service="shop", metrics=True)
with wideevents.event("load"):
    GAUGE = Gauge("shop_alive", "Whether a worker is there.", multiprocess_mode="liveall")

@WideEvents
def shop(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/crash":
        raise ValueError("broken")
    if path == "/die":
        os.kill(os.getpid(), signal.SIGKILL)
    GAUGE.set(1)
    start_response("200 OK", [("Content-Length", "2"), ("X-Process", str(os.getpid()))])
    return [b"ok"]

def app(environ, start_response):
    if environ["PATH_INFO"] != "/metrics":
        return shop(environ, start_response)
    def respond(status, headers):
        return start_response(status, [*headers, ("X-Process", str(os.getpid()))])
    return wsgi_app(environ, respond)
"""

COMMAND = (
    *("-m", "gunicorn", "--bind=fd://{fd}", "--no-control-socket", "--graceful-timeout=2"),
    "--logger-class=wideevents.integrations.gunicorn.Logger",
)

EVENTS, COUNT = "wideevents_events_total", "http_server_request_duration_seconds_count"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with the application, and a directory for its numbers."""
    (tmp_path / "shop.py").write_text(APP)
    (tmp_path / "numbers").mkdir()
    return tmp_path


def shared(folder: Path) -> dict[str, str]:
    """Return the environment that lets processes share their numbers, and write of events the errors alone."""
    return {DIRECTORY: os.fspath(folder / "numbers"), "LOG_LEVEL": "error"}


def ask(server: Running, path: str) -> tuple[int, str, bytes]:
    """Return the status of an answer, the process that gave it, and its body; 0 where there was none."""
    connection = HTTPConnection(HOST, server.port, timeout=PATIENCE)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.headers.get("X-Process", ""), response.read()
    except (OSError, HTTPException):
        return 0, "", b""
    finally:
        connection.close()


def ask_often(server: Running, times: int) -> Counter[str]:
    """Ask *times* times, several at once, and return how often each process has answered."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(server, "/"), range(times)))
    assert {status for status, _, _ in answers} == {200}
    return Counter(process for _, process, _ in answers)


def scrape(server: Running) -> tuple[str, Page]:
    """Return the process that answered a scrape, and the page."""
    status, process, body = ask(server, "/metrics")
    assert status == 200, body
    return process, parsed(body.decode())


def total(page: Page, name: str, **labels: str) -> float:
    """Return the sum of the values whose labels are those, and any other."""
    return sum(value for (has, pairs), value in page.items() if has == name and labels.items() <= dict(pairs).items())


def requests(page: Page) -> tuple[float, float]:
    """Return how many requests a page knows, by both metrics that count them."""
    return total(page, EVENTS, kind="request"), total(page, COUNT)


def scrapes_of_several(server: Running) -> list[Page]:
    """Scrape until several processes have answered."""
    pages: dict[str, Page] = {}

    def several() -> bool:
        process, page = scrape(server)
        pages[process] = page
        return len(pages) > 1

    eventually(several, "scrapes answered by several processes")
    return list(pages.values())


class TestFourWorkers:
    @pytest.mark.parametrize(
        "arguments",
        [(), ("--preload",), ("--worker-class=gthread", "--threads=4"), ("--worker-class=gevent",)],
        ids=["sync", "preload", "gthread", "gevent"],
    )
    def test_every_page_is_the_sum_of_all(self, folder: Path, arguments: tuple[str, ...]) -> None:
        """Whichever worker answers; below the level that is written, too, and a scrape is no request."""
        sent: Counter[str] = Counter()
        with running(folder, *COMMAND, "--workers=4", *arguments, "shop:app", **shared(folder)) as server:

            def by_all() -> bool:
                sent.update(ask_often(server, 100))
                return len(sent) == 4

            eventually(by_all, "answers of all four workers")
            assert ask(server, "/crash")[0] == 500
            pages = [*scrapes_of_several(server), *scrapes_of_several(server)]
            lines = server.stop()

        number = sent.total() + 1
        assert {requests(page) for page in pages} == {(number, number)}
        assert {total(page, COUNT, http_response_status_code="500", error_type="ValueError") for page in pages} == {1.0}
        # The application is loaded once before the fork, or once by each worker.
        assert {total(page, EVENTS, kind="task") for page in pages} == {1.0 if "--preload" in arguments else 4.0}
        assert [line["level"] for line in lines if line.get("event.kind") == "request"] == ["error"]

    def test_what_a_replaced_worker_has_counted_stays(self, folder: Path) -> None:
        """Workers come and go; a counter never falls."""
        often = ("--workers=2", "--max-requests=20")
        with running(folder, *COMMAND, *often, "shop:app", **shared(folder)) as server:
            sent = ask_often(server, 150)
            pages = [scrape(server)[1] for _ in range(5)]

        assert len(sent) > 2
        assert {requests(page) for page in pages} == {(150, 150)}

    def test_what_a_killed_worker_has_counted_stays(self, folder: Path) -> None:
        """Nothing waits for the end of a process; its last request alone has ended nowhere."""
        with running(folder, *COMMAND, "--workers=1", "shop:app", **shared(folder)) as server:
            sent = ask_often(server, 30)
            assert ask(server, "/die")[0] == 0
            page = scrape(server)[1]

        assert len(sent) == 1
        assert requests(page) == (30, 30)

    def test_the_gauges_of_a_worker_end_with_it(self, folder: Path) -> None:
        """One line of gunicorn's configuration file does that; counters stay."""
        (folder / "gunicorn.conf.py").write_text("from wideevents.metrics import child_exit\n")
        with running(folder, *COMMAND, "--workers=1", "shop:app", **shared(folder)) as server:
            ((first, _),) = ask_often(server, 1).items()
            ask(server, "/die")
            ((second, _),) = ask_often(server, 1).items()
            page = scrape(server)[1]

        alive = {dict(labels)["pid"] for name, labels in page if name == "shop_alive"}
        assert (alive, first != second) == ({second}, True)
        assert requests(page) == (2, 2)

    def test_lines_of_the_master_are_counted(self, folder: Path) -> None:
        """It tells of a worker that was killed, in a line that pages."""
        (folder / "gunicorn.conf.py").write_text(
            "import wideevents\nwideevents.configure(service='shop', metrics=True)\n"
        )
        with running(folder, *COMMAND, "--workers=1", "shop:app", **shared(folder)) as server:
            ask(server, "/die")
            server.said("SIGKILL")
            page = scrape(server)[1]

        assert total(page, "wideevents_log_lines_total", level="error", urgency="page") == 1.0

    def test_without_a_directory_the_page_says_what_is_wrong(self, folder: Path) -> None:
        """Once in every worker that is scraped, as a line."""
        with running(folder, *COMMAND, "--workers=2", "shop:app") as server:
            ask_often(server, 1)
            scrape(server)
            server.said("PROMETHEUS_MULTIPROC_DIR")
            lines = server.stop()

        told = logged(lines, "wideevents")
        assert [text.startswith("The page of the metrics shows one process") for text in told] == [True]


class TestUvicorn:
    def test_the_page_is_served_by_asgi(self, folder: Path) -> None:
        """The application of the page stands alone here; in a framework it is mounted."""
        command = ("-m", "uvicorn", "--fd={fd}", "--log-level=warning", "--lifespan=off", "shop:asgi_app")
        with running(folder, *command) as server:
            page = parsed(eventually(lambda: ask(server, "/metrics")[2], "a page").decode())

        assert total(page, EVENTS, kind="task", level="info") == 1.0
        assert total(page, EVENTS, kind="request") == 0.0


class TestConfigured:
    def test_a_worker_of_another_kind_may_serve_the_page_itself(self, folder: Path) -> None:
        """A process that serves nothing has a port for it."""
        (folder / "worker.py").write_text(
            "import sys, wideevents\n"
            "from wideevents.metrics import start_http_server\n"
            "wideevents.configure(service='worker', metrics=True)\n"
            "start_http_server(int(sys.argv[1]))\n"
            "with wideevents.event('report'):\n"
            "    pass\n"
            "sys.stdin.read() or __import__('time').sleep(60)\n"
        )
        with running(folder, "worker.py", "{port}") as server:
            page = parsed(eventually(lambda: ask(server, "/metrics")[2], "a page").decode())
            server.send(signal.SIGKILL)

        assert total(page, EVENTS, service="worker", kind="task", level="info") == 1.0
