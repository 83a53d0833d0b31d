"""The promise of the whole: under a real server, what an application says is one stream of lines, and all of it."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from threading import Event

import pytest

from tests.integrations.processes import HOST, Fields, Running, doubled, events, running, stop
from tests.integrations.servers import PATIENCE, ROOT, eventually

CUSTOMERS = 8
REQUESTS = 500
APPLICATION = ("examples.flask_app", "examples.flask_app.checkout", "examples.flask_app.accounts")
SHOP = "examples.flask_app.checkout"

CARDS = {
    "4242 4242 4242 4242": ["order placed"],
    "4000 0000 0000 0002": ["payment declined", "order cancelled"],
    "4000 0000 0000 0341": ["did not answer", "order cancelled"],
    "4000 0000 0000 0119": ["order cancelled", "Exception on /checkout [POST]"],
}
"""What the shop logs for each of them; the last line of a crash is Flask's."""


ASGI_APP = """
import logging
import sys
import wideevents
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route
from wideevents.integrations.asgi import WideEvents

wideevents.configure(service="shop")
logger = logging.getLogger("shop")

async def parts():
    yield b"part"
    raise ValueError("in mid-stream")

async def page(request):
    logger.warning("asked for %s", request.url.path)
    print("printed", request.url.path)
    if request.url.path == "/crash":
        raise ValueError("nobody handles this")
    return StreamingResponse(parts()) if request.url.path == "/broken" else PlainTextResponse("ok")

async def raw(scope, receive, send):
    path = scope["path"]
    logger.warning("asked for %s", path)
    print("printed", path)
    if path.endswith("/crash"):
        raise ValueError("nobody handles this")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"part", "more_body": True})
    if path.endswith("/broken"):
        raise ValueError("in mid-stream")
    await send({"type": "http.response.body"})

starlette = Starlette(routes=[Route(path, page) for path in ("/", "/crash", "/broken")])

@WideEvents
async def app(scope, receive, send):
    await (raw if scope.get("path", "").startswith("/raw") else starlette)(scope, receive, send)
"""

LINES = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"default": {}, "access": {}},
    "handlers": {"lines": {"class": "wideevents.integrations.uvicorn.Handler"}},
    "loggers": {
        name: {"handlers": ["lines"], "level": "INFO", "propagate": False}
        for name in ("uvicorn", "hypercorn.error", "_granian")
    }
    | {"_granian.utils": {"level": "CRITICAL"}},
}
"""
What a server takes that has no door for its log of its own: every one of them knows `dictConfig`.

granian tells what an application raised as text, without the exception: nobody can say which event it belongs to, and
that alerts already.
"""

GUNICORN = ("gunicorn", "--no-control-socket", "--logger-class=wideevents.integrations.gunicorn.Logger")
ASGI_SERVERS = {
    "uvicorn": ("uvicorn", "--fd={fd}", "--log-config=lines.json"),
    "hypercorn": ("hypercorn", "--workers=0", "--bind=fd://{fd}", "--log-config=json:lines.json"),
    "granian": ("granian", "--port={port}", "--interface=asgi", "--log-config=lines.json"),
    "gunicorn": (*GUNICORN, "--worker-class=asgi", "--workers=2", "--bind=fd://{fd}"),
}
PAGES = {f"{where}/{what}": what for where in ("", "/raw") for what in ("", "crash", "broken")}


@dataclass
class Sent:
    """One request, the status its customer saw (0 for none), and what the shop logs for it."""

    id: str
    status: int
    logs: list[str]


@dataclass
class Customer:
    """Send requests one after another, and remember what must have been logged for each."""

    port: int
    name: str
    going: Callable[[], bool]
    sent: list[Sent] = field(default_factory=list)
    cookie: str = ""

    def send(self, method: str, path: str, body: object = None, logs: list[str] | None = None) -> None:
        request_id = f"{self.name}-{len(self.sent)}"
        headers = {"X-Request-ID": request_id, "Cookie": self.cookie, "Content-Type": "application/json"}
        connection = HTTPConnection(HOST, self.port, timeout=PATIENCE)
        status = 0
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            response.read()
            status = response.status
            self.cookie = response.headers.get("Set-Cookie", self.cookie).partition(";")[0]
        except (OSError, HTTPException):
            pass  # its worker was killed
        finally:
            connection.close()
        empty = status == 409  # what should have been in the cart was lost with its worker
        self.sent.append(Sent(request_id, status, [] if empty else logs or []))

    def visit(self) -> list[Sent]:
        """Sign up, and then buy and look around until it is enough."""
        account = {"email": f"{self.name}@example.org", "password": "pass word", "plan": "PLUS", "country": "DE"}
        self.send("POST", "/accounts", account, ["account opened"])
        while self.going():
            for card, logs in CARDS.items():
                self.send("POST", "/cart/items", {"product_id": 1 + len(self.sent) % 9, "quantity": 1})
                self.send("POST", "/checkout", {"card": card}, logs)
            for path in ("/products?q=tea", "/products/3", "/nowhere", "/products/999999"):
                self.send("GET", path)
        return self.sent


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Running]:
    """
    Run the shop with its own recipe: two workers, which are replaced after a hundred requests.

    Of the 250 before a test disturbs it one of the two has more than that, however they are shared out.
    """
    recipe = ROOT / "examples" / "flask_app" / "gunicorn_conf.py"
    command = ("-m", "gunicorn", f"--config={recipe}", "--bind=fd://{fd}", "--max-requests=100")
    settings = {"SHOP_DATABASE": str(tmp_path / "shop.sqlite3"), "SHOP_RECOMMENDATIONS_FAILURE_RATE": "0"}
    with running(tmp_path, *command, **settings) as server:
        server.said("Booting worker", times=2)
        yield server


def serve(shop: Running, disturb: Callable[[Running], None]) -> list[Sent]:
    """Let all customers shop at once; in the middle of it *disturb* the server; return what was sent."""
    enough = Event()
    customers = [Customer(shop.port, f"customer{number}", lambda: not enough.is_set()) for number in range(CUSTOMERS)]
    with ThreadPoolExecutor(CUSTOMERS) as pool:
        visits = [pool.submit(customer.visit) for customer in customers]
        wait_for(customers, REQUESTS // 2)
        disturb(shop)
        wait_for(customers, REQUESTS)
        enough.set()
        return [sent for visit in visits for sent in visit.result()]


def wait_for(customers: list[Customer], number: int) -> None:
    """Wait until so many requests were sent."""
    deadline = time.monotonic() + 6 * PATIENCE
    while sum(len(customer.sent) for customer in customers) < number:
        assert time.monotonic() < deadline, f"{number} requests take too long"
        time.sleep(0.01)


def by_request(lines: list[Fields]) -> dict[str, list[str]]:
    """Return what the application said in each request, in its order."""
    said: dict[str, list[str]] = {}
    for line in lines:
        if line.get("log.logger") in APPLICATION:
            said.setdefault(line["http.request.id"], []).append(line["message"])
    return said


def matches(said: list[str], expected: list[str]) -> bool:
    return len(said) == len(expected) and all(part in text for part, text in zip(expected, said, strict=True))


def check(shop: Running, sent: list[Sent], *, killed: bool) -> list[Fields]:
    """Stop the shop, and check what it wrote against what was sent."""
    lines = shop.stop()
    found = events(lines)
    assert shop.err == []
    assert doubled(lines) == []
    # Every request that was answered has one event, with the status its customer saw; what was killed has at most one.
    answered = {each.id: each.status for each in sent if each.status}
    by_id = Counter(each["http.request.id"] for each in found)
    assert (set(answered) - set(by_id), {key for key, times in by_id.items() if times > 1}) == (set(), set())
    statuses = {each["http.request.id"]: each.get("http.response.status_code") for each in found}
    assert {key: statuses[key] for key in answered} == answered
    assert killed or len(found) == len(sent) == len(answered)
    # Every line of the application has the ids of exactly one event, and no urgency beside the event's.
    ids = Counter(each["event.id"] for each in found)
    logs = [line for line in lines if line.get("log.logger") in APPLICATION]
    lost = {each.id for each in sent if not each.status}
    assert [line for line in logs if ids[line["event.id"]] != 1 and line["http.request.id"] not in lost] == []
    assert [line for line in logs if "alert.urgency" in line] == []
    # Lines in = lines out: what the shop logs for a request is known by its card.
    said = by_request(lines)
    assert [each for each in sent if each.status and not matches(said.get(each.id, []), each.logs)] == []
    assert killed or len(logs) == sum(len(each.logs) for each in sent)
    # Everything else is the server's.
    assert {line["log.logger"] for line in lines if "log.logger" in line} <= {*APPLICATION, "gunicorn.error"}
    assert {line["service.name"] for line in lines} == {"shop"}
    return lines


def workers(lines: list[Fields]) -> list[int]:
    """Return the ids of all workers so far."""
    return [line["process.pid"] for line in lines if line.get("message", "").startswith("Booting worker")]


class TestOneStream:
    def test_requests_errors_restarts_and_a_reload(self, shop: Running) -> None:
        """500 requests by several customers, workers that restart by themselves, and a HUP in the middle."""
        sent = serve(shop, lambda server: server.send(signal.SIGHUP))
        lines = check(shop, sent, killed=False)

        said = [line["message"] for line in lines if line.get("log.logger") == "gunicorn.error"]
        assert len(sent) >= REQUESTS
        assert {200, 201, 402, 404, 500, 504} <= {each.status for each in sent}
        assert "Autorestarting worker after current request." in said
        assert "Handling signal: hup" in said
        assert said[-1] == "Shutting down: Master"

    def test_a_worker_that_is_killed(self, shop: Running) -> None:
        """What it had in its hands is lost, and nothing else; the master tells of it."""
        sent = serve(shop, lambda server: os.kill(workers(server.lines)[-1], signal.SIGKILL))
        lines = check(shop, sent, killed=True)

        assert [line["level"] for line in lines if "SIGKILL" in line.get("message", "")] == ["error"]
        assert sum(not each.status for each in sent) <= CUSTOMERS


class TestAsgi:
    """The same under the servers for ASGI, where an application raises through its server."""

    @pytest.mark.parametrize("name", ASGI_SERVERS)
    def test_requests_and_errors(self, tmp_path: Path, name: str) -> None:
        """Each request has one event; what the server says of an error belongs to the event, which alerts alone."""
        (tmp_path / "shop.py").write_text(ASGI_APP)
        (tmp_path / "lines.json").write_text(json.dumps(LINES))
        with running(tmp_path, "-m", *ASGI_SERVERS[name], "shop:app") as server:
            eventually(lambda: server.get("/"), f"{name} to answer")
            with ThreadPoolExecutor(CUSTOMERS) as pool:
                statuses = list(pool.map(server.get, [*PAGES] * 8))
            lines = stop(server)

        found = {each["event.id"]: each for each in events(lines)}
        assert set(statuses) == {0, 200, 500}  # 0 is an answer that broke off
        assert Counter(each["url.path"] for each in found.values()) == Counter([*PAGES] * 8 + ["/"])
        said = [line for line in lines if line.get("log.logger") in {"shop", "py.stdout"}]
        paths = [found[line["event.id"]]["url.path"] for line in said]
        assert (len(said), paths) == (2 * len(found), [line["message"].split()[-1] for line in said])

        broken = {key: each["url.path"] for key, each in found.items() if PAGES[each["url.path"]]}
        assert {key for key, each in found.items() if each["alert.urgency"] == "page"} == broken.keys()
        told = {line.get("event.id") for line in lines if "message" in line and "exception.stacktrace" in line}
        raw = {key for key, path in broken.items() if path.startswith("/raw")}
        assert told <= broken.keys()
        assert told >= raw or name == "granian"
        assert [line for line in lines if "message" in line and line.get("alert.urgency") == "page"] == []
