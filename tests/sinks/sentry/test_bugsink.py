"""What a real Sentry stores when the shop crashes in its payment step: the event, and no secret."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from tests.integrations.processes import HOST, Running, events, running
from tests.integrations.servers import PATIENCE, eventually
from tests.parts.bugsink import Project
from tests.sinks.sentry.crashing import ROUTE_PARAMETER, SECRETS, payment

SERVE = ("-m", "gunicorn", "--bind=fd://{fd}", "--workers=1", "--no-control-socket", "--log-level=warning")
LEAK = "local"
"""A local variable of the payment that holds a secret in plain words, and is not to be reported."""


@contextmanager
def shop(folder: Path, dsn: str, *names: str) -> Iterator[Running]:
    """Run the shop, which reports to *dsn*, and of its local variables those called *names*, too."""
    app = f"tests.sinks.sentry.crashing:create_app({', '.join(map(repr, names))})"
    arguments = (*SERVE, f"--name={SECRETS['the arguments of the process']}", app)
    environ = {
        "SENTRY_DSN": dsn,
        "SHOP_DATABASE": str(folder / "shop.sqlite3"),
        "PAYMENT_KEY": SECRETS["the environment"],
    }
    with running(folder, *arguments, **environ) as server:
        yield server


def send(server: Running, cookie: str, path: str, body: Any = None, **headers: str) -> tuple[int, str]:
    """Send a request; return the status, and the cookie that came back."""
    connection = HTTPConnection(HOST, server.port, timeout=PATIENCE)
    try:
        headers = {"Content-Type": "application/json", "Cookie": cookie, **headers}
        connection.request("GET" if body is None else "POST", path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        response.read()
        return response.status, response.headers.get("Set-Cookie", cookie).partition(";")[0]
    finally:
        connection.close()


def crash(server: Running) -> list[dict[str, Any]]:
    """Let a customer pay with the card that crashes, and return all lines once the server has ended."""
    account = {"email": "ada@example.org", "password": "pass word", "plan": "PLUS", "country": "DE"}
    _, cookie = send(server, "", "/accounts", account)
    _, cookie = send(server, cookie, "/cart/items", {"product_id": 3, "quantity": 1})
    path, body, headers = payment()
    status, cookie = send(server, f"{cookie}; other={SECRETS['a cookie']}", path, body, **headers)
    assert status == 500
    assert send(server, cookie, f"/reset/{ROUTE_PARAMETER}")[0] == 500
    return server.stop()


def found(secret: str, stored: bytes) -> bool:
    """Tell whether *secret* stands in what was stored, in any form that it may have taken on its way."""
    forms = {
        secret,
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        repr(secret)[1:-1],
    }
    forms |= {secret.replace(" ", ""), secret.replace(" ", "-"), b64encode(secret.encode()).decode().rstrip("=")}
    return any(form.encode() in stored for form in forms)


def leaked(stored: bytes) -> list[str]:
    """Return where the secrets stood that are in what was stored."""
    return [place for place, secret in SECRETS.items() if found(secret, stored)]


@pytest.fixture(scope="module")
def crashed(bugsink_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Give what lets the shop crash, and returns its lines, its streams, and the project that was reported to."""

    def run(*names: str) -> tuple[list[dict[str, Any]], bytes, Project]:
        project: Project = bugsink_server.project()
        with shop(tmp_path_factory.mktemp("shop"), project.dsn, *names) as server:
            lines = crash(server)
            return lines, b"".join(server.out + server.err), project

    return run


@pytest.fixture(scope="module")
def told(crashed: Callable[..., Any]) -> Any:
    """Give what the shop has told."""
    return crashed()


class TestTheShopCrashes:
    def test_the_exception_stands_in_bugsink_with_the_wide_event(self, told: Any) -> None:
        """The line points to it, and it to the line; it arrived although the server was told to end at once."""
        lines, _, project = told
        (line,) = [each for each in events(lines) if each["event.name"] == "POST /checkout"]
        stored = {event["event_id"]: event for event in eventually(project.events, "the reports")}
        report = stored[line["sentry.event_id"]]
        values = {value["type"]: value for value in report["exception"]["values"]}

        assert report["contexts"]["wide_event"] == line
        assert (report["transaction"], report["release"], report["environment"]) == (
            "POST /checkout",
            "shop@1.4.0",
            "test",
        )
        assert report["tags"]["event.id"] == line["event.id"]
        assert report["fingerprint"] == [line["error.fingerprint"]]
        assert values["PlantedError"]["value"] == "password=[redacted]"
        assert list(values)[-1] == "PlantedError"
        assert values.keys() >= {"TypeError", "KeyError", "ExceptionGroup", "OSError", "ValueError", "ConnectionError"}
        assert line["payment.outcome"] == "crashed"

    def test_there_is_one_report_for_each_crash(self, told: Any) -> None:
        """Each crash was noted by the door and logged by Flask, and one of them was logged as an error before."""
        lines, _, project = told
        failed = [each for each in events(lines) if each["level"] == "error"]

        assert len(failed) == 2
        assert sorted(event["event_id"] for event in project.events()) == sorted(
            each["sentry.event_id"] for each in failed
        )

    def test_variables_that_are_allowed_are_there(self, told: Any) -> None:
        """Without what is secret in them."""
        _, _, project = told
        (report,) = [event for event in project.events() if event["transaction"] == "POST /checkout"]
        frames = [
            frame
            for value in report["exception"]["values"]
            if "stacktrace" in value
            for frame in value["stacktrace"]["frames"]
        ]
        variables = next(
            frame["vars"] for frame in frames if frame["function"] == "Provider.charge" and "vars" in frame
        )

        assert variables == {
            "order": {"id": 17, "card_number": "[redacted]"},
            "api_token": "[redacted]",
            "sentence": "asked with password=[redacted] and waited",
        }

    def test_no_secret_is_stored(self, told: Any) -> None:
        """Neither in Bugsink, in whatever form, nor in any line of the shop."""
        _, out, project = told

        assert len(SECRETS) >= 25
        assert leaked(project.everything()) == []
        assert leaked(out) == []

    def test_a_secret_of_the_path_is_not_stored(self, told: Any) -> None:
        """A parameter is secret by its name: also in the message in which Flask logs the path."""
        _, out, project = told

        assert [each for each in (project.everything(), out) if ROUTE_PARAMETER.encode() in each] == []

    def test_a_leak_would_be_seen(self, crashed: Callable[..., Any]) -> None:
        """One variable too many is allowed: it stands in what Bugsink has stored."""
        _, out, project = crashed(LEAK)

        assert leaked(project.everything()) == ["a local variable"]
        assert leaked(out) == []
