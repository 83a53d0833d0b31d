"""A Sentry in trouble is no trouble for anybody else: requests do not wait, lines are written, losses are counted."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable
from functools import partial, wraps
from threading import Thread, current_thread
from typing import Any

import pytest
from flask import Flask

from tests.conftest import PATIENCE, at_once
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


USES = ("__init__", "connect", "connect_ex", "send", "sendall", "sendmsg", "recv", "recv_into")
"""What a thread does that uses a socket."""


@pytest.fixture
def users(monkeypatch: pytest.MonkeyPatch) -> Counter[Thread]:
    """Give the threads that use sockets during the test, or look up a name."""
    threads: Counter[Thread] = Counter()

    def noted(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def noting(*arguments: Any, **named: Any) -> Any:
            threads[current_thread()] += 1
            return function(*arguments, **named)

        return noting

    for name in USES:
        monkeypatch.setattr(socket.socket, name, noted(getattr(socket.socket, name)))
    monkeypatch.setattr(socket, "getaddrinfo", noted(socket.getaddrinfo))
    return threads


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


def ask(app: Flask, clients: set[Thread]) -> None:
    """Send requests, every other of which fails."""
    clients.add(current_thread())
    client = app.test_client()
    for number in range(REQUESTS):
        expected = 200 if number % 2 else 500
        assert client.get("/well" if number % 2 else f"/fail/{number // 2 % 4}").status_code == expected


@pytest.mark.parametrize("answer", [*TROUBLE.values(), None], ids=[*TROUBLE, "down"])
class TestASentryInTrouble:
    def test_nobody_waits_nothing_is_missing_and_all_is_counted(
        self,
        answer: Answer | None,
        configure: Configure,
        users: Counter[Thread],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A thousand requests in four threads, half of them failing."""
        monkeypatch.setattr(posts, "ANSWER_S", 0.5)
        with inbox(answer or hanging) as server:
            sink = SentrySink(server.dsn if answer else nobody())
            lines = configure(sink)
            app, clients = shop(), set[Thread]()
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
    def test_half_of_the_requests_fail(self, configure: Configure, users: Counter[Thread]) -> None:
        """Everything that has an id arrives, once, and nothing else does."""
        with inbox() as server:
            sink = SentrySink(server.dsn)
            lines = configure(sink)
            app, clients = shop(), set[Thread]()
            at_once(*[partial(ask, app, clients)] * CLIENTS)
            sink._mail.close(10 * PATIENCE)
            told = [report["event_id"] for report in server.reports]

        ids = [line["sentry.event_id"] for line in lines.events if "sentry.event_id" in line]
        assert sorted(ids) == sorted(told)
        assert (len(ids) + withheld(), lost()) == (500, 0)
        kinds = {report["exception"]["values"][0]["type"] for report in server.reports}
        assert len(kinds) == 4
        assert clients & users.keys() == set()
        assert users
