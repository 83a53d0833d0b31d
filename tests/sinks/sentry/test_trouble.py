"""A Sentry in trouble is no trouble for anybody else: requests do not wait, lines are written, losses are counted."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from flask import Flask

from tests.conftest import at_once
from tests.sinks.sentry import Answer, answering, dripping, hanging, inbox, lost, nobody, saying, withheld
from tests.sinks.sentry.conftest import Configure
from wideevents import config
from wideevents.integrations.flask import WideEvents
from wideevents.sinks.sentry import SentrySink, posts
from wideevents.sinks.sentry.mail import MOST

pytestmark = pytest.mark.usefixtures("reconfigurable")

CLIENTS, REQUESTS = 4, 250

TROUBLE = {
    "hung": hanging,
    "slow": dripping,
    "too many": answering("429 Too Many Requests", "Retry-After: 3600"),
    "broken": answering("500 Internal Server Error"),
    "garbage": saying(b"\0\xff garbage"),
}


class Watch:
    """
    Note which threads use sockets.

    A hook of the interpreter cannot be taken off; it is quiet when nobody watches.
    """

    def __init__(self) -> None:
        self.threads: Counter[int] | None = None
        sys.addaudithook(self._note)

    def _note(self, what: str, arguments: Any) -> None:
        if self.threads is not None and what.startswith("socket."):
            self.threads[threading.get_ident()] += 1


@pytest.fixture(scope="module")
def watch() -> Watch:
    return Watch()


@pytest.fixture
def users(watch: Watch) -> Iterator[Counter[int]]:
    """Give the threads that use sockets during the test."""
    watch.threads = Counter()
    yield watch.threads
    watch.threads = None


def shop() -> Flask:
    """Return an application with a route that works, and four that fail in their own ways."""
    app = Flask(__name__)
    WideEvents(app)

    @app.get("/well")
    def well() -> str:
        return "well"

    @app.get("/fail/<int:kind>")
    def fail(kind: int) -> str:
        raise (KeyError, ValueError, OSError, TypeError)[kind](f"no {kind}")

    return app


def ask(app: Flask, clients: set[int]) -> None:
    """Send requests, every other of which fails."""
    clients.add(threading.get_ident())
    client = app.test_client()
    for number in range(REQUESTS):
        expected = 200 if number % 2 else 500
        assert client.get("/well" if number % 2 else f"/fail/{number // 2 % 4}").status_code == expected


@pytest.mark.parametrize("answer", [*TROUBLE.values(), None], ids=[*TROUBLE, "down"])
class TestASentryInTrouble:
    def test_nobody_waits_nothing_is_missing_and_all_is_counted(
        self, answer: Answer | None, configure: Configure, users: Counter[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A thousand requests in four threads, half of them failing."""
        monkeypatch.setattr(posts, "ANSWER_S", 0.5)
        with inbox(answer or hanging) as server:
            sink = SentrySink(server.dsn if answer else nobody())
            lines = configure(sink)
            app, clients = shop(), set[int]()
            at_once(*[partial(ask, app, clients)] * CLIENTS)
            waiting = sink._mail._waiting.qsize()
            sink.close()
            written = lines.events

        reported = [line for line in written if "sentry.event_id" in line]
        assert len(written) == CLIENTS * REQUESTS
        assert Counter(line["http.response.status_code"] for line in written) == {200: 500, 500: 500}
        assert len(reported) + withheld() == 500
        assert lost() == len(reported) > 0
        assert waiting <= MOST + CLIENTS
        assert clients & users.keys() == set()
        assert config.recorder().in_progress == {}


class TestASentryThatIsWell:
    def test_half_of_the_requests_fail(self, configure: Configure, users: Counter[int]) -> None:
        """Everything that has an id arrives, once, and nothing else does."""
        with inbox() as server:
            sink = SentrySink(server.dsn)
            lines = configure(sink)
            app, clients = shop(), set[int]()
            at_once(*[partial(ask, app, clients)] * CLIENTS)
            sink.close()
            told = [report["event_id"] for report in server.reports]

        ids = [line["sentry.event_id"] for line in lines.events if "sentry.event_id" in line]
        assert sorted(ids) == sorted(told)
        assert (len(ids) + withheld(), lost()) == (500, 0)
        kinds = {report["exception"]["values"][0]["type"] for report in server.reports}
        assert len(kinds) == 4
        assert clients & users.keys() == set()
        assert users
