"""What the door for Flask promises of whom a request calls, and of the page that shows the metrics."""

from __future__ import annotations

import logging
import re
import sys
from types import ModuleType
from typing import Any

import flask
import pytest
from flask import Flask

import wideevents
from tests.strict import parse_line, parse_log_line
from wideevents import config
from wideevents.alerts import Alerts
from wideevents.errors import ConfigurationError
from wideevents.integrations.flask import WideEvents
from wideevents.logs.stdlib import Handler
from wideevents.sinks.memory import MemorySink

pytestmark = pytest.mark.usefixtures("reconfigurable")


class Shop:
    """A small shop, whose metrics are shown."""

    def __init__(self, **settings: Any) -> None:
        self.sink = MemorySink()
        wideevents.configure(service="shop", output=self.sink, logging=False, owner="platform", **settings)
        self.app = Flask("shop")
        WideEvents(self.app, metrics="/metrics")
        self.app.add_url_rule("/pay/<int:order>", "pay", pay)
        self.app.add_url_rule("/crash", "crash", crash)
        self.app.add_url_rule("/closed", "closed", closed)
        self.client = self.app.test_client()

    def get(self, path: str) -> dict[str, Any]:
        """Ask for *path*, and return the line."""
        self.client.get(path).close()
        return parse_line(self.sink.lines[-1])

    def handler(self) -> logging.Handler:
        """Return what makes lines of log calls."""
        return Handler(logs=config.logs)

    def page(self) -> str:
        """Return the metrics."""
        response = self.client.get("/metrics")
        assert response.status_code == 200
        return response.text


def pay(order: int) -> str:
    return f"{order} is paid"


def crash() -> str:
    raise RuntimeError("no answer")


def closed() -> tuple[str, int]:
    wideevents.add_error(RuntimeError("maintenance"), expected=True)
    return "we are closed", 503


@pytest.fixture
def owned(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Let the module of the views have an owner."""
    module = sys.modules[__name__]
    monkeypatch.setattr(module, "__owner__", "payments", raising=False)
    return module


class TestOwner:
    def test_the_view_says_whose_request_it_is(self, owned: ModuleType) -> None:
        """Its module does; a page that there is not is the process's."""
        shop = Shop()
        teams = [shop.get(path)["owner.team"] for path in ("/pay/7", "/crash", "/closed", "/nowhere")]

        assert teams == ["payments", "payments", "payments", "platform"]

    def test_a_route_goes_before_its_view(self, owned: ModuleType) -> None:
        """By its template, and with its runbook."""
        runbook = "https://wiki.example/crash"
        shop = Shop(alerts=Alerts(owners={"/crash": "crashes"}, runbooks={"/crash": runbook}))
        line = shop.get("/crash")

        assert (line["owner.team"], line["alert.runbook"]) == ("crashes", runbook)

    def test_the_view_of_a_decorator_stands_where_it_was_written(self, owned: ModuleType) -> None:
        """A decorator of somebody's that keeps what it wraps is looked through."""
        shop = Shop()
        shop.app.add_url_rule("/copied", "copied", flask.copy_current_request_context)
        shop.app.view_functions["copied"] = wrapped = lambda: "ok"
        wrapped.__wrapped__ = crash  # type: ignore[attr-defined]

        assert shop.get("/copied")["owner.team"] == "payments"


class TestExpected:
    def test_a_503_that_was_expected_pages_nobody(self) -> None:
        """It is a failure, and counted as one."""
        line = Shop().get("/closed")

        assert (line["level"], line["alert.urgency"], line["outcome"]) == ("info", "none", "failure")
        assert (line["error.expected"], line["http.response.status_code"]) == (True, 503)

    def test_one_that_was_not_does(self) -> None:
        """Whatever else was expected."""

        def broken() -> tuple[str, int]:
            wideevents.add_error(RuntimeError("maintenance"), expected=True)
            wideevents.add_error(RuntimeError("no answer"), level="debug")
            return "", 503

        shop = Shop()
        shop.app.add_url_rule("/broken", "broken", broken)

        assert shop.get("/broken")["alert.urgency"] == "page"


class TestMetrics:
    def test_every_request_is_counted_by_its_route_and_owner(self, owned: ModuleType) -> None:
        """Templates only."""
        shop = Shop(metrics=True)
        for path in ("/pay/7", "/pay/8", "/crash", "/nowhere"):
            shop.get(path)
        counted = set(re.findall(r"^wideevents_events_total\{(.*)\} (?!0)(\S+)$", shop.page(), re.MULTILINE))

        labels = 'kind="request",level="{}",owner="{}",route="{}",service="shop",urgency="{}"'
        assert counted == {
            (labels.format("info", "payments", "/pay/<int:order>", "none"), "2.0"),
            (labels.format("error", "payments", "/crash", "page"), "1.0"),
            (labels.format("info", "platform", "", "none"), "1.0"),
        }

    def test_the_counters_of_all_routes_begin_at_zero(self, owned: ModuleType) -> None:
        """As soon as they are known, so that the first error is an increase; an outer mount is part of a route."""
        shop = Shop(metrics=True)
        shop.client.get("/pay/7", base_url="http://localhost/mounted").close()

        for level, urgency in (("error", "page"), ("warning", "business_hours")):
            assert (
                f'wideevents_events_total{{kind="request",level="{level}",owner="payments",route="/mounted/crash",'
                f'service="shop",urgency="{urgency}"}} 0.0'
            ) in shop.page()

    def test_a_scrape_is_no_request(self) -> None:
        """It leaves no event, and is not counted."""
        shop = Shop(metrics=True)
        pages = [shop.page() for _ in range(2)]

        assert shop.sink.lines == []
        assert 'route="/metrics"' not in pages[1]

    @pytest.mark.parametrize("path", ["metrics", "", 7, b"/metrics"])
    def test_what_is_no_path_is_refused(self, path: Any) -> None:
        """Where it is given."""
        with pytest.raises(ConfigurationError, match='it must be a path, such as "/metrics"'):
            WideEvents(metrics=path)

    def test_without_its_package_it_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The sentence says what to install."""
        monkeypatch.setitem(sys.modules, "prometheus_client", None)
        for name in tuple(sys.modules):
            if name.startswith("wideevents.metrics"):
                monkeypatch.delitem(sys.modules, name)
        with pytest.raises(ConfigurationError, match=re.escape("pip install 'wideevents[prometheus]'")):
            WideEvents(metrics="/metrics")


class TestSecretParameters:
    def secret(self, token: str, work: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Ask for a page with *token* in its path, and return the lines: what was logged last, and the event's."""
        shop = Shop()
        shop.app.add_url_rule("/reset/<token>/<int:page>", "reset", lambda token, page: work(token))
        handler = shop.handler()
        logging.getLogger("shop").addHandler(handler)
        try:
            shop.client.get(f"/reset/{token}/1234").close()
        finally:
            logging.getLogger("shop").removeHandler(handler)
        return parse_log_line(shop.sink.log_lines[-1]), parse_line(shop.sink.lines[-1])

    def test_are_hidden_in_what_flask_logs_of_the_path(self) -> None:
        """It tells the path of every request that failed, and it is no secret by its shape."""

        def crash(token: str) -> None:
            raise RuntimeError({"asked": [f"for {token}"]})

        line, event = self.secret("opensesame", crash)

        assert line["message"] == "Exception on /reset/[redacted]/1234 [GET]"
        assert event["log.last_error"] == line["message"]
        assert "for [redacted]" in event["exception.message"]
        assert [each for each in (line, event) if "opensesame" in str(each)] == []

    def test_that_are_a_letter_or_two_are_hidden_in_the_path_alone(self) -> None:
        """Elsewhere they may be anything."""

        def crash(token: str) -> None:
            raise RuntimeError("a page")

        _, event = self.secret("a", crash)

        assert event["url.path"] == "/reset/[redacted]/1234"
        assert event["exception.message"] == "a page"
