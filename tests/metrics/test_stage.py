"""What is counted, under which labels, and what it costs nobody."""

from __future__ import annotations

import importlib.util
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, Counter

import wideevents.metrics
from tests.conftest import at_once
from tests.metrics import Counting, log_line, sealed
from wideevents import health
from wideevents.errors import ConfigurationError
from wideevents.health import Fault
from wideevents.levels import Level
from wideevents.metrics import Metrics
from wideevents.metrics.families import FAMILIES
from wideevents.metrics.stage import KINDS

Make = Callable[..., Counting]

EVENTS, LINES = "wideevents_events_total", "wideevents_log_lines_total"
SECONDS = "http_server_request_duration_seconds"
CAPPED = "wideevents_metrics_capped_total"


class TestEvents:
    def test_are_counted_by_what_an_alert_asks_for(self, counting: Counting) -> None:
        """Service, kind, level, urgency, owner and route are the labels, and no others."""
        counting.request(http__route="/pay", owner__team="payments")
        counting.event("request", Level.ERROR, "failure", http__route="/pay", owner__team="payments", duration_ms=1.0)
        counting.event("request", Level.ERROR, "failure", http__route="/pay", owner__team="payments", duration_ms=1.0)

        labels = {"service": "shop", "kind": "request", "owner": "payments", "route": "/pay"}
        assert counting.values(EVENTS, route="/pay") == [
            ({**labels, "level": "info", "urgency": "none"}, 1.0),
            ({**labels, "level": "error", "urgency": "page"}, 2.0),
        ]

    def test_have_empty_labels_for_what_they_have_not(self, counting: Counting) -> None:
        """The name of a task is no route: there may be as many as there are functions."""
        counting.event("task")

        assert counting.values(EVENTS, level="info") == [
            ({"service": "shop", "kind": "task", "level": "info", "urgency": "none", "owner": "", "route": ""}, 1.0)
        ]

    def test_have_the_urgency_of_their_own(self, counting: Counting) -> None:
        """An error that was expected pages nobody, and its metric does not either."""
        counting.event("task", Level.ERROR, alert__urgency="none")

        assert counting.value(EVENTS, level="error", urgency="none", kind="task") == 1.0
        assert counting.value(EVENTS, level="error", urgency="page", kind="task") == 0.0

    def test_that_nobody_owns_are_the_default_owners(self, make: Make) -> None:
        """From the first: what begins at zero is the default owner's, too."""
        counting = make(owner="platform")
        counting.event("task", Level.ERROR)
        counting.event("task", Level.ERROR, owner__team="shop")
        counting.line()

        assert counting.value(EVENTS, kind="task", level="error", owner="platform") == 1.0
        assert counting.value(LINES, level="error", owner="platform") == 1.0
        assert counting.values(EVENTS, owner="") + counting.values(LINES, owner="") == []

    def test_pass_as_they_are(self, counting: Counting) -> None:
        """Counting changes nothing, and drops nothing."""
        event = sealed("request", duration_ms=1.0)
        before = event.record.copy()

        assert counting.metrics.event(event) is event
        assert before == event.record

    def test_labels_are_escaped(self, counting: Counting) -> None:
        """Whatever stands in a template or a name is one label value on the page."""
        nasty = 'a"b\\c\nd{x="y"} 1 é'
        counting.event("task", owner__team=nasty)

        assert counting.value(EVENTS, owner=nasty) == 1.0


class TestRequests:
    def test_are_measured_by_method_route_status_and_error(self, counting: Counting) -> None:
        """The labels are those of OpenTelemetry's metric, as Prometheus spells them."""
        counting.request(http__route="/pay", duration_ms=20.0)
        counting.request(
            http__route="/pay", duration_ms=1500.0, http__response__status_code=500, outcome="failure", error__type="E"
        )

        labels = {"http_request_method": "GET", "http_route": "/pay"}
        assert counting.values(f"{SECONDS}_count") == [
            ({**labels, "http_response_status_code": "200", "error_type": ""}, 1.0),
            ({**labels, "http_response_status_code": "500", "error_type": "E"}, 1.0),
        ]
        assert counting.value(f"{SECONDS}_sum", error_type="E") == 1.5
        assert counting.value(f"{SECONDS}_sum", error_type="") == 0.02

    def test_an_error_that_was_dealt_with_is_none_of_the_answer(self, counting: Counting) -> None:
        """A 200 whose handler caught something is no error to its client."""
        counting.request(error__type="KeyError", exception__handled=True)

        assert counting.value(f"{SECONDS}_count", error_type="") == 1.0

    def test_without_an_answer_have_no_status(self, counting: Counting) -> None:
        """The client was gone before there was one."""
        counting.event("request", outcome="cancelled", duration_ms=3.0)

        labels = ({"http_request_method": "", "http_route": "", "http_response_status_code": "", "error_type": ""}, 1.0)
        assert counting.values(f"{SECONDS}_count") == [labels]

    @pytest.mark.parametrize(
        ("milliseconds", "least"),
        [(0.0, "0.005"), (5.0, "0.005"), (5.001, "0.01"), (75.0, "0.075"), (10_000.0, "10.0"), (10_000.001, "+Inf")],
    )
    def test_stand_in_their_bucket(self, counting: Counting, milliseconds: float, least: str) -> None:
        """A boundary is in the bucket that it ends; every bucket holds those below it."""
        counting.request(duration_ms=milliseconds)

        buckets = [(labels["le"], value) for labels, value in counting.values(f"{SECONDS}_bucket")]
        assert next(le for le, value in buckets if value == 1.0) == least
        assert [value for _, value in buckets] == sorted(value for _, value in buckets)

    def test_have_the_buckets_of_opentelemetry(self, counting: Counting) -> None:
        """So dashboards for them fit; all of them are there from the first request on."""
        counting.request()

        bounds = "0.005 0.01 0.025 0.05 0.075 0.1 0.25 0.5 0.75 1.0 2.5 5.0 7.5 10.0 +Inf"
        assert [labels["le"] for labels, _ in counting.values(f"{SECONDS}_bucket")] == bounds.split()

    @pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "request"])
    def test_are_alone_measured(self, counting: Counting, kind: str) -> None:
        """A websocket of an hour is no slow request."""
        counting.event(kind, duration_ms=1.0)

        assert counting.values(f"{SECONDS}_count") == []
        assert counting.value(EVENTS, kind=kind, level="info") == 1.0


class TestLines:
    def test_outside_an_event_are_counted(self, counting: Counting) -> None:
        """By level, urgency and owner."""
        counting.line()
        counting.line("info", "none", owner__team="shop")

        labels = {"service": "shop", "level": "info", "urgency": "none", "owner": "shop"}
        assert counting.values(LINES, level="info") == [(labels, 1.0)]
        assert counting.value(LINES, level="error", urgency="page", owner="") == 1.0

    def test_inside_an_event_are_not(self, counting: Counting) -> None:
        """A failure alerts once: by its event."""
        counting.line("error", None)

        assert counting.total(LINES) == 0.0


class TestZeros:
    def test_what_pages_begins_at_zero(self, counting: Counting) -> None:
        """A counter that is first seen at 1 has not increased: the first error would call nobody."""
        calling = [("error", "page"), ("warning", "business_hours")]
        known = [labels for labels, value in counting.values(EVENTS, owner="", route="") if value == 0.0]

        assert sorted((each["kind"], each["level"], each["urgency"]) for each in known) == sorted(
            (kind, *each) for kind in KINDS for each in calling
        )
        assert [(labels["level"], labels["urgency"], value) for labels, value in counting.values(LINES)] == [
            (*each, 0.0) for each in calling
        ]

    def test_a_route_that_is_expected_begins_at_zero(self, counting: Counting) -> None:
        """A door tells its routes before the first request."""
        counting.metrics.expect([("/pay", "payments"), ("/", "")])

        assert {
            (labels["route"], labels["owner"], labels["level"], labels["urgency"], labels["kind"], value)
            for labels, value in counting.values(EVENTS)
            if labels["route"]
        } == {
            (*route, *calling, "request", 0.0)
            for route in (("/pay", "payments"), ("/", ""))
            for calling in (("error", "page"), ("warning", "business_hours"))
        }

    def test_a_route_may_be_expected_again(self, counting: Counting) -> None:
        """What was counted meanwhile stays, and the first error goes from 0 to 1."""
        counting.metrics.expect([("/pay", "")])
        counting.event("request", Level.ERROR, http__route="/pay", duration_ms=1.0)
        counting.metrics.expect([("/pay", "")])

        assert counting.value(EVENTS, route="/pay", level="error") == 1.0

    def test_a_route_that_nobody_owns_is_the_default_owners(self, make: Make) -> None:
        """Or its errors would be counted elsewhere than where they began at zero."""
        counting = make(owner="platform")
        counting.metrics.expect([("/", "")])

        assert {labels["owner"] for labels, _ in counting.values(EVENTS, route="/")} == {"platform"}


class TestFaults:
    def test_losses_are_counted_by_sink(self, counting: Counting) -> None:
        """Each sink of ours begins at zero."""
        health.lost("lines", "LinesSink", "A line is lost.")
        health.lost("lines", "LinesSink", "A line is lost.", number=4)
        health.lost("theirs", "TheirSink", "A line is lost.")

        losses = {labels["sink"]: value for labels, value in counting.values("wideevents_lost_total", service="shop")}
        assert losses == {"lines": 5.0, "console": 0.0, "logging": 0.0, "sentry": 0.0, "otlp": 0.0, "other": 1.0}

    def test_what_was_withheld_from_sentry_is_counted(self, counting: Counting) -> None:
        """A storm is seen in its numbers, where its reports are few."""
        assert counting.values("wideevents_sentry_withheld_total") == [({"service": "shop"}, 0.0)]
        health.report(Fault.WITHHELD, "sentry", "Too many.", number=7)

        assert counting.value("wideevents_sentry_withheld_total") == 7.0

    def test_other_faults_are_not(self, counting: Counting) -> None:
        """They are told in a sentence, and lose nothing."""
        health.report(Fault.LATE_WRITE, "x", "Too late.")

        assert counting.total("wideevents_lost_total") + counting.total("wideevents_sentry_withheld_total") == 0.0

    def test_a_fault_that_cannot_be_counted_is_reported_all_the_same(self, make: Make, tmp_path: Path) -> None:
        """Whoever loses a line is not told of a missing directory, too."""
        counting = make(directory=str(tmp_path / "gone" / "") if (tmp_path / "gone").mkdir() is None else None)
        counting.metrics._ledger.renew()
        for file in (tmp_path / "gone").iterdir():
            file.unlink()
        (tmp_path / "gone").rmdir()
        health.lost("lines", "LinesSink", "A line is lost.")

        assert health.faults.counts() == {Fault.LOST: 1}


class TestTooManyLabels:
    def test_are_counted_together(self, make: Make) -> None:
        """An application that invents routes costs itself and Prometheus no memory."""
        counting = make(most=20)
        for number in range(100):
            counting.request(http__route=f"/{number}", owner__team=f"team-{number}")

        assert counting.total(EVENTS, kind="request") == counting.total(f"{SECONDS}_count") == 100.0
        others = counting.values(EVENTS, kind="request", route="other")
        assert [(labels["owner"], labels["level"]) for labels, _ in others] == [("other", "info")]
        assert len(counting.values(EVENTS)) == 21
        assert len(counting.values(f"{SECONDS}_count")) == 21

    def test_are_told(self, make: Make, caplog: pytest.LogCaptureFixture) -> None:
        """By a number for each metric, and once in a sentence."""
        counting = make(most=20)
        with caplog.at_level(logging.WARNING, "wideevents"):
            for number in range(50):
                counting.request(http__route=f"/{number}")
                counting.line(owner__team=f"team-{number}")

        # Twelve series of events begin at zero, and two of lines.
        capped = {labels["metric"]: value for labels, value in counting.values(CAPPED, service="shop")}
        assert capped == {"wideevents_events": 42.0, "wideevents_log_lines": 32.0, SECONDS: 30.0}
        told = [record.getMessage().partition(", and what is new")[0] for record in caplog.records]
        assert sorted(told) == [f"The metric {name} has 20 sets of labels" for name in sorted(capped)]

    def test_leave_those_that_are_known(self, make: Make) -> None:
        """What was there before goes on, with its own labels."""
        counting = make(most=20)
        counting.request(http__route="/pay")
        for number in range(50):
            counting.request(http__route=f"/{number}")
        counting.request(http__route="/pay")

        assert counting.value(EVENTS, route="/pay", level="info") == 2.0
        assert counting.value(f"{SECONDS}_count", http_route="/pay") == 2.0

    def test_keep_what_cannot_be_invented(self, make: Make) -> None:
        """An error among the others still pages, and a slow method is still known."""
        counting = make(most=13)
        counting.request(http__route="/a")
        counting.event("request", Level.ERROR, "failure", http__route="/b", duration_ms=1.0)
        counting.event("task", Level.ERROR, owner__team="c")

        known = {(labels["kind"], labels["level"]) for labels, _ in counting.values(EVENTS, route="other")}
        assert known == {("request", "error")} | {("task", "error")}

    def test_are_no_matter_of_what_has_no_open_label(self, make: Make) -> None:
        """What was withheld, and what was counted together, are counted in any case."""
        counting = make(most=1)
        counting.event("task")

        assert counting.value("wideevents_sentry_withheld_total") == 0.0
        assert counting.values(CAPPED, metric="wideevents_events") != []


class TestThreads:
    @pytest.mark.usefixtures("eager_switching")
    def test_the_numbers_are_exact(self, counting: Counting) -> None:
        """Eight threads count as much as they are asked to, also those that meet a label for the first time."""
        known, line = sealed("request", http__route="/", duration_ms=1000.0), log_line()
        tasks = [sealed("task", owner__team=f"team-{number}") for number in range(20)]

        def work() -> None:
            for task in tasks:
                for _ in range(10):
                    counting.metrics.event(task)
                    counting.metrics.event(known)
                    counting.metrics.line(line)

        at_once(*[work] * 8)

        assert counting.value(EVENTS, kind="request", level="info") == 1_600.0
        assert counting.value(f"{SECONDS}_sum") == counting.value(f"{SECONDS}_count") == 1_600.0
        assert [value for _, value in counting.values(EVENTS, kind="task", level="info")] == [80.0] * 20
        assert counting.value(LINES, level="error") == 1_600.0


class TestConfiguredAgain:
    def test_the_counts_go_on(self, counting: Counting) -> None:
        """Also those of events that began before: there is one page, and nothing stands on it twice."""
        before = counting.metrics
        counting.event("task")
        counting.metrics = counting.again()
        before.close()
        counting.event("task")
        before.event(sealed("task"))

        assert counting.value(EVENTS, kind="task", level="info") == 3.0

    def test_the_counts_go_on_where_the_old_ones_were_closed_first(self, counting: Counting) -> None:
        """Somebody may turn the metrics off, and on again."""
        before = counting.metrics
        counting.event("task")
        before.close()
        counting.metrics = counting.again()
        counting.event("task")
        before.event(sealed("task"))

        assert counting.value(EVENTS, kind="task", level="info") == 3.0

    def test_another_service_is_counted_beside_the_first(self, counting: Counting) -> None:
        """Its name is a label."""
        counting.event("task")
        counting.service = "other"
        before, counting.metrics = counting.metrics, counting.again()
        before.close()
        counting.event("task")

        assert [(labels["service"], value) for labels, value in counting.values(EVENTS, level="info")] == [
            ("shop", 1.0),
            ("other", 1.0),
        ]

    def test_a_loss_is_counted_once(self, counting: Counting) -> None:
        """The old ones listen no more."""
        before, counting.metrics = counting.metrics, counting.again()
        before.close()
        health.lost("lines", "LinesSink", "A line is lost.")

        assert counting.value("wideevents_lost_total", sink="lines") == 1.0


class TestClose:
    def test_takes_the_metrics_off_the_page(self, make: Make) -> None:
        """A registry of somebody else's is left as it was; a second time does nothing."""
        counting = make()
        counting.metrics.close()
        counting.metrics.close()

        assert counting.page() == {}

    def test_can_be_undone(self, counting: Counting) -> None:
        """What was configured before a test serves again after it, with what it had counted; once, however often."""
        counting.event("task")
        counting.metrics.close()
        for _ in range(2):
            counting.metrics.open()
        health.lost("lines", "LinesSink", "A line is lost.")
        counting.event("task")

        assert counting.value(EVENTS, kind="task", level="info") == 2.0
        assert counting.value("wideevents_lost_total", sink="lines") == 1.0
        assert counting.metrics._ledger.users == 1

    def test_leaves_the_page_to_others_who_count_there(self, make: Make) -> None:
        """The last one takes it down."""
        counting = make()
        another = counting.again()
        another.close()
        assert counting.page() != {}
        counting.metrics.close()
        assert counting.page() == {}

    def test_the_first_one_does_not_take_down_the_second(self, make: Make) -> None:
        """Closing twice counts once."""
        counting = make()
        first, counting.metrics = counting.metrics, counting.again()
        first.close()
        first.close()

        assert counting.page() != {}


class TestTheRegistry:
    def test_is_that_of_the_application_by_default(self) -> None:
        """One page has its own metrics, and ours."""
        metrics = Metrics("shop")
        try:
            metrics.event(sealed("task", Level.ERROR))
            labels = {"kind": "task", "level": "error", "urgency": "page", "owner": "", "route": ""}
            assert REGISTRY.get_sample_value(EVENTS, {"service": "shop", **labels}) == 1.0
        finally:
            metrics.close()
        assert REGISTRY.get_sample_value("wideevents_sentry_withheld_total", {"service": "shop"}) is None

    def test_of_somebody_else_has_its_own_numbers(self, make: Make) -> None:
        """Two applications in one process may have a page each."""
        one, two = make(), make()
        one.event("task")

        assert (one.total(EVENTS), two.total(EVENTS)) == (1.0, 0.0)

    def test_that_has_such_a_metric_is_refused(self) -> None:
        """The sentence names it; two collectors of one name would make a page that no Prometheus reads."""
        registry = CollectorRegistry()
        Counter("wideevents_lost", "Somebody else's.", registry=registry)
        with pytest.raises(ConfigurationError, match=r"cannot be counted: .*wideevents_lost.* of its own"):
            Metrics("shop", registry)

    def test_shows_what_is_asked_for(self, make: Make) -> None:
        """Prometheus may ask for some of the metrics by their names."""
        counting = make()
        some = counting.registry.restricted_registry(["wideevents_sentry_withheld_total"])

        assert [metric.name for metric in some.collect()] == ["wideevents_sentry_withheld"]

    def test_shows_every_family_with_its_help(self, make: Make) -> None:
        """A name that is promised is there from the start."""
        metrics = list(make().registry.collect())

        assert [(each.name, each.documentation) for each in metrics] == [(each.name, each.help) for each in FAMILIES]


class TestTheDirectory:
    def test_that_is_missing_is_refused(self, make: Make, tmp_path: Path) -> None:
        """Where it is given, in a sentence."""
        with pytest.raises(ConfigurationError, match=r"PROMETHEUS_MULTIPROC_DIR='.*nowhere' cannot be used"):
            make(directory=str(tmp_path / "nowhere"))

    @pytest.mark.parametrize("content", [b"x", b"\x40\0\0\0" + b"\xff" * 60])
    def test_with_a_broken_file_is_refused(
        self, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
    ) -> None:
        """A process that had our number may have been killed in the middle."""
        monkeypatch.setattr("os.getpid", lambda: 4711)
        (tmp_path / "counter_wideevents_4711.db").write_bytes(content)
        with pytest.raises(ConfigurationError, match=r"emptied before the server starts \(.*4711.db holds no metrics"):
            make(directory=str(tmp_path))

    def test_has_no_place_in_a_registry(self, make: Make, tmp_path: Path) -> None:
        """Its sums stand on the page, and would stand there twice."""
        assert list(make(directory=str(tmp_path)).registry.collect()) == []


class TestWithoutPrometheus:
    def test_the_sentence_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is an extra: who imports the room without it is told its name."""
        monkeypatch.setitem(sys.modules, "prometheus_client", None)
        spec = importlib.util.spec_from_file_location("room", wideevents.metrics.__file__)
        assert spec is not None
        assert spec.loader is not None
        room: Any = importlib.util.module_from_spec(spec)
        with pytest.raises(ImportError, match=r"needs prometheus-client: pip install 'wideevents\[prometheus\]'"):
            spec.loader.exec_module(room)
