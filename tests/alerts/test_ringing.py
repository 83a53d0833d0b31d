"""
What levels promise about people's time, from a failing request to a pager, through real servers.

An application is watched in both ways at once: Prometheus scrapes it, and `alert` follows its log. The generated files
are used as they are, but for the pace of warnings, which is made faster. All happens outside the business hours, which
open some seconds later: a zone of its own makes it noon then.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from zoneinfo import TZPATH

import pytest
import yaml

from tests.alerts.generated import causes, hastened
from tests.integrations.processes import Running, running
from tests.integrations.servers import PATIENCE, environment, eventually
from tests.parts import need
from tests.parts.alerting import (
    Alertmanager,
    Call,
    Prometheus,
    Webhook,
    alertmanager,
    prometheus,
    scraping,
    webhook,
)

SHOP = """
import logging
import os

from flask import Flask, request

import wideevents
from wideevents.alerts import Alerts, BusinessHours, Receiver
from wideevents.integrations.flask import WideEvents
from wideevents.metrics import wsgi_app

PAGER = os.environ["PAGER"]

wideevents.configure(
    service="shop",
    metrics=True,
    alerts=Alerts(
        hours=BusinessHours("mon-sun 12:00-15:00", tz="Tests/Here"),
        owners={"/pay": "payments", "/search/<term>": "search", "/stock": "stock", "/basket": "baskets"},
        receivers={team: Receiver(webhook=f"{PAGER}/{team}") for team in ("payments", "search", "stock", "baskets")},
        default=Receiver(webhook=f"{PAGER}/everybody"),
        runbooks={"/pay": "https://runbooks.example/pay"},
    ),
)
shop = Flask("shop")
WideEvents(shop)


logging.getLogger("shop.start").error("no list of suppliers")


@shop.get("/pay")
@shop.get("/search/<term>")
@shop.get("/basket")
@shop.get("/unowned")
def broken(term=""):
    if request.args.get("only") == "warning":
        return doubtful()
    raise ValueError("the bank is closed")


@shop.get("/stock")
def doubtful():
    wideevents.add_error(KeyError("gone"))
    return "sold out"


@shop.get("/fine")
def fine():
    logging.getLogger("shop").info("all is well")
    return "fine"


def app(environ, start_response):
    if environ["PATH_INFO"] == "/metrics":
        return wsgi_app(environ, start_response)
    return shop(environ, start_response)
"""

COMMAND = (
    *("-m", "gunicorn", "--bind=fd://{fd}", "--no-control-socket", "--graceful-timeout=2"),
    *("--logger-class=wideevents.integrations.gunicorn.Logger", "shop:app"),
)

NOON, DAY = 12 * 3_600, 24 * 3_600

UNTIL_NOON = 22.0
"""Seconds in which all has to begin, and the causes of the warnings to be over."""

TEAMS = {"/pay": "payments", "/search/<term>": "search", "/unowned": "everybody"}
DIRECT = "tests"
"""The environment, which lines know, and the counters do not."""

ways = pytest.mark.parametrize("way", ["", DIRECT], ids=["prometheus", "direct"])


@dataclass
class Town:
    """
    All that runs.

    *asked* is when the shop was first asked for a page, *over* when its warnings had no cause any more and were held,
    *noon* when the hours open; *called* are those who had been called about a warning when it was over.
    """

    pager: Webhook
    alertmanager: Alertmanager
    prometheus: Prometheus
    noon: float
    asked: float = 0.0
    over: float = 0.0
    called: list[Call] = field(default_factory=list)

    def call(self, way: str, receiver: str, severity: str, **labels: str) -> Call:
        """Wait for somebody to be called by Prometheus, or by the direct way."""
        eventually(lambda: self.calls(way, receiver, severity, **labels), f"{receiver} to be called about {labels}")
        return self.calls(way, receiver, severity, **labels)[0]

    def wait_for_noon(self) -> None:
        """Let the hours open."""
        time.sleep(max(0.0, self.noon - time.time()))

    def calls(self, way: str, receiver: str | None, severity: str, **labels: str) -> list[Call]:
        """Return who was called so far; only lines have a fingerprint."""
        calls = self.pager.calls(receiver, severity=severity, **labels)
        return [call for call in calls if call.labels.get("environment", "") == way]


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """Run everything, and let the shop fail, warn and succeed once, at once."""
    for part in ("prometheus", "alertmanager"):
        need(part)
    folder = tmp_path_factory.mktemp("town")
    noon = zone(folder / "zones" / "Tests" / "Here")
    (folder / "shop.py").write_text(SHOP)
    log = folder / "events.jsonl"
    log.touch()
    with ExitStack() as stack:
        pager = stack.enter_context(webhook())
        environ = {"PAGER": pager.url("")[:-1], "PYTHONTZPATH": os.pathsep.join([str(folder / "zones"), *TZPATH])}
        environ["PYTHONPATH"] = f"{environment()['PYTHONPATH']}:{folder}"
        rules, routing = generate(folder, environ)
        manager = stack.enter_context(alertmanager(folder, routing, ZONEINFO=str(folder / "zones")))
        stack.enter_context(following(folder, manager.url, log))
        names = f"deployment.environment.name={DIRECT}"
        environ |= {"WIDEEVENTS_OUTPUT": str(log), "OTEL_RESOURCE_ATTRIBUTES": names}
        shop = stack.enter_context(running(folder, *COMMAND, **environ))
        config = scraping({"shop": f"127.0.0.1:{shop.port}"}, manager.address, rules)
        watching = stack.enter_context(prometheus(folder, config))
        town = Town(pager, manager, watching, noon, time.time())
        visit(shop)
        let_pass(town, rules)
        yield town


def zone(path: Path) -> float:
    """
    Write a zone in which it is soon noon, and return when that is.

    Business hours have no seconds, but zones may: RFC 9636. It has one type of local time, and no transitions.
    """
    noon = time.time() + UNTIL_NOON
    offset = round(NOON - noon % DAY)
    path.parent.mkdir(parents=True)
    path.write_bytes(struct.pack(">4sB15x6LlBB5s", b"TZif", 0, 0, 0, 0, 0, 1, 5, offset, 0, 0, b"HERE\0"))
    return noon


def generate(folder: Path, environ: dict[str, str]) -> tuple[Path, str]:
    """Generate the files as everybody does, and return the rules, and how to call whom, at a faster pace."""
    command = [sys.executable, "-m", "wideevents", "alerts", "--app", "shop:shop", "--out", str(folder)]
    env = environment(**environ)
    done = subprocess.run(command, cwd=folder, env=env, timeout=PATIENCE, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    rules = hastened(yaml.safe_load((folder / "rules.yml").read_text()))
    routing = yaml.safe_load((folder / "alertmanager.yml").read_text())
    (warnings,) = [route for route in routing["route"]["routes"] if route["matchers"] == ['severity="warning"']]
    warnings |= {"group_wait": "1s", "group_interval": "1s"}
    faster = folder / "faster.yml"
    faster.write_text(json.dumps(rules))
    return faster, json.dumps(routing)


@contextmanager
def following(folder: Path, url: str, log: Path) -> Iterator[None]:
    """Follow a log, and ring straight from it."""
    command = [sys.executable, "-m", "wideevents", "alert", "-f", "--alertmanager", url, str(log)]
    with (folder / "alert.log").open("wb") as out:
        process = subprocess.Popen(command, env=environment(), stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        yield
    finally:
        process.kill()
        process.wait(PATIENCE)


def visit(shop: Running) -> None:
    """Ask for every page once: the first thing that the process ever does."""
    pages = ["/pay", "/search/a", "/unowned", "/basket", "/basket?only=warning", "/stock", "/fine", "/nowhere"]
    assert [shop.get(page) for page in pages] == [500, 500, 500, 500, 200, 200, 200, 404]


def let_pass(town: Town, rules: Path) -> None:
    """Wait until the warnings are held in both ways, and Prometheus has no reason to warn any more."""
    expressions = causes(json.loads(rules.read_text()))
    eventually(lambda: len(town.alertmanager.alerts(severity="warning", route="/stock")) == 2, "two warnings")
    eventually(lambda: not any(map(town.prometheus.query, expressions)), "the causes of the warnings to be over")
    town.called = town.pager.calls(severity="warning")
    town.over = time.time()


class TestAnError:
    def test_rings_within_three_seconds_by_the_direct_way(self, town: Town) -> None:
        """With what is needed to look on."""
        call = town.call(DIRECT, "payments", "error", route="/pay")

        assert call.arrived - town.asked < 3.0
        assert call.annotations["summary"] == "ValueError: the bank is closed"
        assert call.annotations["runbook_url"] == "https://runbooks.example/pay"
        assert len(call.annotations["event_id"]) == 16

    def test_of_a_fresh_process_rings_within_twenty_seconds_by_prometheus(self, town: Town) -> None:
        """It is the first that is counted there: no counter has grown yet."""
        call = town.call("", "payments", "error", route="/pay")

        assert call.arrived - town.asked < 20.0
        assert call.annotations["runbook_url"] == "https://runbooks.example/pay"

    @ways
    def test_goes_to_its_owner_and_to_nobody_else(self, town: Town, way: str) -> None:
        """What nobody owns goes to the default receiver."""
        for route, team in TEAMS.items():
            town.call(way, team, "error", route=route)
            assert {call.receiver for call in town.calls(way, None, "error", route=route)} == {team}

    @ways
    def test_in_a_line_outside_any_event_rings_too(self, town: Town, way: str) -> None:
        """Nothing was asked for when it was logged."""
        eventually(
            lambda: [call for call in town.calls(way, "everybody", "error") if "route" not in call.labels],
            "a call about the line",
        )

    @ways
    def test_keeps_its_warning_quiet(self, town: Town, way: str) -> None:
        """Both came from one route; also when the hours are open, who was woken by the error is not told again."""
        town.call(way, "baskets", "error", route="/basket")
        town.wait_for_noon()
        town.call(way, "stock", "warning", route="/stock")
        warnings = town.alertmanager.alerts(severity="warning", route="/basket")
        (warning,) = [each for each in warnings if each["labels"].get("environment", "") == way]

        assert len(warning["status"]["inhibitedBy"]) > 0
        assert town.calls(way, None, "warning", route="/basket") == []


class TestAWarning:
    def test_is_held_outside_the_hours(self, town: Town) -> None:
        """It has reached Alertmanager by then, and its cause is over."""
        assert (town.over < town.noon, town.called) == (True, [])

    @ways
    def test_is_delivered_when_they_open(self, town: Town, way: str) -> None:
        """Once, to its owner, although it was over by then."""
        town.wait_for_noon()
        call = town.call(way, "stock", "warning", route="/stock")

        assert call.arrived >= int(town.noon)
        assert [call.receiver for call in town.calls(way, None, "warning", route="/stock")] == ["stock"]


class TestAnInfo:
    def test_never_rings(self, town: Town) -> None:
        """Nor does a client's mistake, or a line: by the time that a warning rings, they would have."""
        town.wait_for_noon()
        for way in ("", DIRECT):
            town.call(way, "stock", "warning", route="/stock")
        told = {call.labels.get("route", "") for call in town.pager.calls()}

        assert told == {"/pay", "/search/<term>", "/unowned", "/basket", "/stock", ""}
        assert town.alertmanager.alerts(route="/fine") == []
        assert {call.labels["severity"] for call in town.pager.calls()} == {"error", "warning"}
