"""What `configure` promises of the parts that are there on request: alerts, Sentry, metrics."""

from __future__ import annotations

import logging
import re
import sys
from typing import Any

import pytest
from prometheus_client import generate_latest

import wideevents
from tests.test_config import event_with, refused
from wideevents import Level, Redaction, config, outputs, testing
from wideevents.alerts import Alerts
from wideevents.entries import E
from wideevents.frames import Application
from wideevents.integrations.logging import JsonFormatter
from wideevents.metrics import Metrics
from wideevents.sinks.memory import MemorySink

pytestmark = pytest.mark.usefixtures("reconfigurable")


def without(monkeypatch: pytest.MonkeyPatch, package: str, *modules: str) -> None:
    """Let *package* be missing, and *modules* be not imported yet."""
    for name in {package, *(name for name in sys.modules if name.startswith(f"{package}."))}:
        monkeypatch.setitem(sys.modules, name, None)
    for name in tuple(sys.modules):
        if any(name == module or name.startswith(f"{module}.") for module in modules):
            monkeypatch.delitem(sys.modules, name)


class Forwarding(MemorySink):
    """Forward what it is asked to: note an id before the line is encoded, and take the entry after."""

    name = "sentry"

    def __init__(self) -> None:
        super().__init__()
        self.joined: list[tuple[Application, Redaction]] = []

    def join(self, application: Application, redaction: Redaction) -> None:
        """Take what is the application's own."""
        self.joined.append((application, redaction))

    def assign(self, entry: E) -> E:
        """Note an id on what is wrong."""
        if entry.level >= Level.WARNING:
            entry.record["sentry.event_id"] = "ab" * 16
        return entry


class TestSentry:
    def test_it_notes_its_id_before_the_line_is_encoded_and_takes_what_was_written(self) -> None:
        """So both point at each other. Log lines go the same way."""
        forwarding, redaction = Forwarding(), Redaction(keys=("loyalty",))
        (line,) = event_with(Level.ERROR, sentry=forwarding, redact=redaction, in_app=("shop",))
        logging.getLogger("shop").error("outside any event")

        assert line["sentry.event_id"] == "ab" * 16
        assert forwarding.events[0]["event.id"] == line["event.id"]
        assert [each["sentry.event_id"] for each in forwarding.logged] == ["ab" * 16]
        assert [(app.packages, given) for app, given in forwarding.joined] == [(("shop",), redaction)]

    def test_there_is_none_by_default(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nor with an empty variable, and False leaves `SENTRY_DSN` to an SDK of the application's own."""
        assert outputs.forwarder(None, Application(), Redaction()) is None
        monkeypatch.setenv("SENTRY_DSN", "")
        assert outputs.forwarder(None, Application(), Redaction()) is None
        monkeypatch.setenv("SENTRY_DSN", "https://key@sentry.io/1")
        assert outputs.forwarder(sentry=False, application=Application(), redaction=Redaction()) is None

    @pytest.mark.parametrize("sentry", [7, object(), MemorySink(), b"https://key@errors.internal/1"])
    def test_what_is_no_sentry_is_refused(self, sentry: Any) -> None:
        """A sink alone is none: it has no id to give."""
        assert "a DSN, a SentrySink, True for SENTRY_DSN, or False" in refused(sentry=sentry)

    def test_one_that_was_asked_for_without_its_package_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The sentence says what to install."""
        without(monkeypatch, "sentry_sdk", "wideevents.sinks.sentry")
        for sentry in ("https://key@errors.internal/1", True):
            assert "pip install 'wideevents[sentry]'" in refused(sentry=sentry)

    def test_one_that_only_the_environment_names_is_done_without(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The variable may be there for another program; it is told once."""
        without(monkeypatch, "sentry_sdk", "wideevents.sinks.sentry")
        monkeypatch.setenv("SENTRY_DSN", "https://key@errors.internal/1")

        assert len(event_with()) == 1
        assert "pip install 'wideevents[sentry]'" in caplog.text

    def test_a_line_that_somebody_else_writes_is_forwarded_all_the_same(self) -> None:
        """A formatter asks for the line alone; it is reported as if it were written here."""
        forwarding = Forwarding()
        wideevents.configure(sentry=forwarding, output=MemorySink(), logging=False)
        JsonFormatter().format(logging.makeLogRecord({"msg": "no answer", "levelno": 40, "levelname": "ERROR"}))

        assert [each["message"] for each in forwarding.logged] == ["no answer"]

    def test_tests_forward_nothing(self) -> None:
        """What a test breaks on purpose is nobody's error."""
        forwarding = Forwarding()
        with testing.capture():
            wideevents.configure(sentry=forwarding)
            with wideevents.event("job"):
                wideevents.add_error(ValueError("on purpose"))

        assert forwarding.lines == []


class TestMetrics:
    def test_events_are_counted_before_anything_is_dropped(self) -> None:
        """What is not written happened all the same."""
        assert event_with(level="error", metrics=True, service="counted") == []
        logging.getLogger("shop").error("outside any event")
        page = generate_latest().decode()

        kind = 'kind="task",level="info",owner="",route="",service="counted",urgency="none"'
        assert f"wideevents_events_total{{{kind}}} 1.0" in page
        line = 'level="error",owner="",service="counted",urgency="page"'
        assert f"wideevents_log_lines_total{{{line}}} 1.0" in page

    def test_what_is_configured_last_is_shown_and_what_was_before_when_a_test_ends(self) -> None:
        """One alone counts, and none is left behind."""

        def shown() -> set[str]:
            return set(re.findall(r'wideevents_log_lines_total.*service="(\w+)"', generate_latest().decode()))

        pages = [shown()]
        with config.kept():
            wideevents.configure(metrics=True, service="outer", logging=False)
            with config.kept():
                wideevents.configure(metrics=True, service="inner", logging=False)
                wideevents.configure(service="silent", logging=False)
                pages.append(shown())
            pages.append(shown())
        pages.append(shown())

        assert [pages[0], pages[1], pages[3]] == [set()] * 3
        assert "outer" in pages[2]
        assert config.service() != "outer"

    def test_they_need_a_package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The sentence says what to install."""
        without(monkeypatch, "prometheus_client", "wideevents.metrics")

        assert "pip install 'wideevents[prometheus]'" in refused(metrics=True)

    def test_routes_are_expected_with_their_owners(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The first error of a route is then an increase, and no birth."""
        wideevents.configure(metrics=True, owner="platform", alerts=Alerts(owners={"/pay": "payments"}), logging=False)
        expected: list[tuple[str, str]] = []
        monkeypatch.setattr(Metrics, "expect", lambda _, routes: expected.extend(routes))
        config.expect([("/pay", None), ("/cart", print)])

        assert expected == [("/pay", "payments"), ("/cart", "platform")]

    def test_what_goes_wrong_there_breaks_nothing(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A door tells its routes in the middle of a request; a disk may be full then."""

        def full(*_: object) -> None:
            raise OSError("the disk is full")

        wideevents.configure(metrics=True, logging=False)
        monkeypatch.setattr(Metrics, "expect", full)
        config.expect([("/pay", None)])

        assert "The counters of the routes could not begin at zero" in caplog.text

    def test_without_them_nothing_is_expected(self) -> None:
        """A door tells its routes in any case."""
        wideevents.configure(logging=False)
        config.expect([("/pay", None)])


class TestAlerts:
    def test_they_are_kept_for_who_asks(self) -> None:
        """With the name of the service, for the files that are made of them."""
        alerts = Alerts(owners={"/pay": "payments"})
        wideevents.configure(service="shop", alerts=alerts, logging=False)

        assert (config.alerts(), config.service()) == (alerts, "shop")

    def test_anything_else_is_refused(self) -> None:
        """The sentence says what it must be."""
        assert "alerts={'/pay': 'payments'} cannot be used: it must be a wideevents.alerts.Alerts" in refused(
            alerts={"/pay": "payments"}
        )


class TestInApp:
    @pytest.mark.parametrize("packages", ["shop", ("shop.payments",), (7,), {"shop": 1}, None])
    def test_packages_are_named_by_their_first_word(self, packages: Any) -> None:
        """A text alone would be its letters."""
        assert 'a tuple of names of packages, such as ("shop",)' in refused(in_app=packages)
