"""What the Prometheus rules promise, and that their own unit tests would notice if they did not."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.alerts.generated import ALWAYS, FULL, SERVICE, TEAM, failed, generate, only, recording, run, without
from wideevents.alerts import Alerts, BusinessHours, Receiver
from wideevents.alerts.direct import NAMES
from wideevents.alerts.files import RULES, TESTS, files
from wideevents.alerts.rules import kept_for, rules, written
from wideevents.alerts.scenarios import ERRORS, unit_tests
from wideevents.levels import Urgency

QUICK = Alerts(hours=ALWAYS, default=Receiver(webhook="http://127.0.0.1:9/pager"))


WARNED = "service_environment_owner_route:wideevents_warnings:new5m"
LOSSES = "service_environment_sink:wideevents_lost:new5m"
"""What is recorded."""


def by_name(alerts: Alerts) -> dict[str, dict[str, Any]]:
    """Return the rules by the names of their alerts, or of what they record."""
    every = [rule for group in rules(alerts, "shop")["groups"] for rule in group["rules"]]
    return {rule.get("alert") or rule["record"]: rule for rule in every}


class TestRules:
    @pytest.mark.parametrize(("alerts", "service"), [(QUICK, "shop"), (FULL, SERVICE)], ids=["few", "all"])
    def test_prometheus_accepts_them(self, alerts: Alerts, service: str, tmp_path: Path) -> None:
        """Whatever names the service and its teams have."""
        done = run("promtool", "check", "rules", generate(tmp_path, alerts, service) / RULES)

        assert (done.returncode, "SUCCESS: 5 rules found" in done.stdout) == (0, True), done.stderr

    @pytest.mark.parametrize(("alerts", "service"), [(QUICK, "shop"), (FULL, SERVICE)], ids=["few", "all"])
    def test_they_do_what_their_unit_tests_say(self, alerts: Alerts, service: str, tmp_path: Path) -> None:
        """Every row, at every time."""
        assert failed(generate(tmp_path, alerts, service)) == set()

    def test_a_page_rings_at_once(self) -> None:
        """Nothing waits: neither for the error to go on, nor for the next look."""
        rule = by_name(QUICK)[NAMES[Urgency.PAGE]]

        assert {"for", "keep_firing_for"} & rule.keys() == set()
        assert rule["labels"] == {"severity": "error", "urgency": "page"}
        assert [group["interval"] for group in rules(QUICK, "shop")["groups"]] == ["5s", "30s"]

    def test_what_calls_nobody_has_no_rule(self) -> None:
        """Info and debug are no alerts; and of those that there are each says how urgent it is."""
        assert {name: rule["labels"]["urgency"] for name, rule in by_name(FULL).items() if "alert" in rule} == {
            "WideEventsError": "page",
            "WideEventsWarning": "business_hours",
            "WideEventsLost": "business_hours",
        }

    def test_a_service_has_rules_of_its_own(self) -> None:
        """Two services can be in one Prometheus: what is one's does not alert as the other's."""
        assert all('service="shop"' in rule["expr"] for rule in by_name(FULL).values())

    def test_a_service_keeps_nothing_of_another(self, tmp_path: Path) -> None:
        """All that is recorded in one Prometheus has the same name."""
        shop, barn = tmp_path / "shop", tmp_path / "barn"
        for folder in (shop, barn):
            folder.mkdir()
            generate(folder, QUICK, folder.name)
        recording(only(shop, {WAITS, LOST}))
        without(shop / TESTS, "- rules.yml", f"- rules.yml\n- {barn / RULES}")

        assert failed(shop) == set()
        without(barn / RULES, '(:new5m){service="barn"}', r"\1")
        assert failed(shop) == {WAITS, LOST}


class TestKept:
    @pytest.mark.parametrize(
        ("hours", "kept"),
        [
            (BusinessHours("mon-fri 09:00-17:00"), "65h"),
            (BusinessHours("mon-fri 09:00-17:00", tz="Europe/Berlin"), "66h"),
            (BusinessHours("mon-fri 09:00-17:30"), "65h"),
            (BusinessHours("mon-fri 09:00-17:00", holidays=[date(2026, 12, 25)]), "89h"),
            (ALWAYS, "1h"),
        ],
    )
    def test_a_warning_is_kept_until_people_are_back(self, hours: BusinessHours, kept: str) -> None:
        """In whole hours, and one more, in which Alertmanager notices that they are."""
        named = by_name(Alerts(hours=hours))

        assert written(kept_for(Alerts(hours=hours))) == kept
        assert f'last_over_time({WARNED}{{service="shop"}}[{kept}])' in named["WideEventsWarning"]["expr"]
        assert f'last_over_time({LOSSES}{{service="shop"}}[{kept}])' in named["WideEventsLost"]["expr"]

    def test_what_is_kept_is_stored(self) -> None:
        """A Prometheus that begins anew knows only that. An error is not kept, so it has nothing to store."""
        named = by_name(QUICK)

        assert [*named] == ["WideEventsError", WARNED, "WideEventsWarning", LOSSES, "WideEventsLost"]
        assert [name for name, rule in named.items() if {"for", "keep_firing_for"} & rule.keys()] == []

    @pytest.mark.parametrize(
        ("seconds", "text"), [(30, "30s"), (60, "1m"), (90, "90s"), (3600, "1h"), (234_000, "65h")]
    )
    def test_durations_are_written_in_one_unit(self, seconds: int, text: str) -> None:
        """Which both programs read."""
        assert written(timedelta(seconds=seconds)) == text


FIRST = {
    "a counter that is first seen at 1",
    "a counter that is first seen at 1, and all is new",
    "another process takes over with an error",
    "a process that nobody has seen fails and is gone",
    "a warning that is first seen at 1 waits for people",
}

LINES = {"an error in a line outside any event", "a warning in a line waits for people"}
INFO = {"an info calls nobody", "a line for debugging calls nobody"}
ENVIRONMENT = {"an error in an environment that Prometheus knows"}
HERE = "a warning in an environment waits for people"
WAITS = "a warning waits for people"
LOST = "lines that are lost wait for people"

GUARDS: dict[str, tuple[str, str, set[str]]] = {
    "first seen": (r"\n +or\n +# Nobody.*\n.*\n.*", "", FIRST),
    "known": (r"\n +unless .*", "", {"errors of long ago", "old errors come back in sight"}),
    "out of sight": (r"(unless .*)\[1h\]", r"\1[1m]", {"old errors come back in sight"}),
    "back in sight": (r"\n +or\n +# It comes back.*\n.*\n.*", "", {"an error comes in sight later"}),
    "another than before": (r"changes\((.*)\) > changes\(.*\)", r"changes(\1) >= 0", {"errors of long ago"}),
    "from zero": (r"> 0\n( +and changes)", r">= 0\n\1", {"a process begins anew at zero"}),
    "grows": (r"# It grows.\n.*\n +or\n", "", {"a process fails and begins anew"}),
    "gone": (r"last_over_time\(({.*?})\[5m\]\)", r"\1", {"a process that nobody has seen fails and is gone"}),
    "urgency": (r', urgency="page"', "", INFO),
    "lines": (r"wideevents_\(events\|log_lines\)_total", "wideevents_events_total", LINES),
    "route": (r"environment, owner, route\)", "environment, owner)", {"the next error of a route"}),
    "environment": (r"service, environment, owner", "service, owner", ENVIRONMENT),
    "processes": (r"owner, route\)", "owner, route, instance)", {"two processes fail in one way"}),
    "quiet": (r"increase\((.*)\[5m\]\)", r"increase(\1[2h])", {"an error resolves after some quiet minutes"}),
    "kept": (r"last_over_time\((\w+:.*)\[1h\]\)", r"\1", {WAITS, LOST}),
    "not for ever": (r"(\w+:.*)\[1h\]", r"\1[2h]", {WAITS}),
    "route of what is kept": (r", route(\) \(\n +last)", r"\1", {WAITS}),
    "environment of what is kept": (r"environment, (.*\n +last)", r"\1", {HERE, LOST}),
    "processes that lose lines": (r"environment, sink\)", "environment, sink, instance)", {LOST}),
    "recorded first": (r"(?s)( +- record:.*?\n)( +- alert: .*?)(?= +- record|\Z)", r"\2\1", {WAITS, LOST}),
    "severity": (r"severity: warning", "severity: error", {WAITS, LOST}),
    "at once": (r"(alert: WideEvents(?:Warning|Lost)\n)( +)", r"\1\2for: 5m\n\2", {WAITS, LOST}),
}
"""What each part of the rules is for: without it, or with something else instead, these tests fail."""


class TestUnitTests:
    @pytest.mark.parametrize("guard", GUARDS)
    def test_they_notice_when_a_guard_is_removed(self, guard: str, tmp_path: Path) -> None:
        """So that whoever changes the rules by hand is told what they broke."""
        pattern, instead, expected = GUARDS[guard]

        folder = only(generate(tmp_path, QUICK), expected)
        without(folder / RULES, pattern, instead)

        assert failed(folder) == expected

    def test_each_can_fail(self) -> None:
        """One that never rings in its time would be as good as none, but for what must not ring."""
        silent = [each.name for each in ERRORS if True not in each.rings.values()]

        assert silent == [
            "errors of long ago",
            "a process begins anew at zero",
            "another process takes over",
            "old errors come back in sight",
            "a process counts anew while it is out of sight",
            "an info calls nobody",
            "a line for debugging calls nobody",
        ]

    def test_there_is_one_for_each_runbook(self) -> None:
        """Of a route, and of a team."""
        names = [test["name"] for test in unit_tests(FULL, "shop", RULES)["tests"]]

        assert names[-2:] == ["the runbook of /carts/<int:cart>", "the runbook of payments"]
        assert len(names) == len(set(names))

    def test_they_read_the_rules_beside_them(self) -> None:
        """Wherever the folder is."""
        assert yaml.safe_load(files(QUICK, "shop")[TESTS])["rule_files"] == [RULES]


class TestAnnotations:
    def expected(self, alerts: Alerts, name: str) -> dict[str, Any]:
        """Return the alert that the unit test *name* expects, which promtool has compared with what Prometheus says."""
        (test,) = [test for test in unit_tests(alerts, "shop", RULES)["tests"] if test["name"] == name]
        (alert,) = next(look["exp_alerts"] for look in test["alert_rule_test"] if look["exp_alerts"])
        return dict(alert["exp_annotations"])

    def test_an_error_says_what_it_means_and_where_to_look(self) -> None:
        """To somebody who has just been woken."""
        assert self.expected(FULL, "an error in an environment that Prometheus knows") == {
            "summary": "Error in shop: /checkout",
            "description": (
                "An error: look at it now, whatever the time. It resolves after some minutes without another one.\n"
                "Service: shop\nRoute: /checkout\nOwner: payments\n"
                "Its lines: python -m wideevents tail LOG -w alert.urgency=page -w 'service.name=shop' "
                "-w 'http.route=/checkout' -w 'owner.team=payments'"
            ),
            "runbook_url": 'https://wiki.example.org/?q="pay"',
        }

    def test_what_is_not_known_is_said(self) -> None:
        """And not asked for."""
        told = self.expected(QUICK, "an error on no route, of nobody")

        assert told["summary"] == "Error in shop: no route"
        assert told["description"].endswith(
            "Route: no route\nOwner: nobody\nIts lines: python -m wideevents tail LOG -w alert.urgency=page "
            "-w 'service.name=shop'"
        )
        assert "runbook_url" not in told

    def test_a_warning_says_that_it_has_waited(self) -> None:
        """It may be over when somebody reads it."""
        told = self.expected(QUICK, "a warning waits for people")

        assert told["summary"] == "Warning in shop: /checkout"
        assert told["description"].startswith("A warning: it is for business hours, and has waited for them.")
        assert "-w alert.urgency=business_hours -w" in told["description"]

    def test_lost_lines_say_what_to_look_at(self) -> None:
        """No line can say it."""
        told = self.expected(FULL, "lines that are lost wait for people")

        assert told["summary"] == "Lines of shop are lost in lines"
        assert "Is the disk full" in told["description"]

    @pytest.mark.parametrize(
        ("key", "url"),
        [
            ("/carts/<int:cart>", "https://wiki.example.org/{{carts}}"),
            ("payments", 'https://wiki.example.org/?q="pay"'),
        ],
    )
    def test_the_runbook_of_a_route_or_a_team_is_there(self, key: str, url: str) -> None:
        """One rule serves them all."""
        assert self.expected(FULL, f"the runbook of {key}")["runbook_url"] == url

    def test_the_runbook_of_the_route_goes_before_that_of_the_team(self, tmp_path: Path) -> None:
        """It knows more."""
        alerts = Alerts(
            QUICK.hours, runbooks={"payments": "https://team", "/checkout": "https://route"}, default=QUICK.default
        )

        assert self.expected(alerts, "the next error of a route")["runbook_url"] == "https://route"
        assert failed(generate(tmp_path, alerts)) == set()

    def test_a_strange_team_is_written_as_it_is(self, tmp_path: Path) -> None:
        """In the matcher of a test, in a template, and in what comes of them."""
        alerts = Alerts(
            QUICK.hours, runbooks={TEAM: "https://wiki/strange"}, receivers={TEAM: Receiver(webhook="http://x")}
        )

        assert failed(generate(tmp_path, alerts, SERVICE)) == set()
