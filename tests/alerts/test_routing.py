"""What the configuration of Alertmanager promises: who is called, and when."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.alerts.generated import ALWAYS, FULL, MAIL, PAGER, SEARCH, TEAM, generate, run
from wideevents.alerts import Alerts, BusinessHours, Mail, Receiver
from wideevents.alerts.files import ROUTING
from wideevents.alerts.routing import HOLIDAYS, HOURS, repeated_after, routing
from wideevents.errors import ConfigurationError

OFFICE = BusinessHours("mon-fri 09:00-17:00", tz="Europe/Berlin")
LONE = Alerts(default=PAGER)

EVERY = {
    "one receiver": LONE,
    "everything": FULL,
    "no default": Alerts(receivers={"payments": PAGER, "search": MAIL}),
    "mail": Alerts(default=MAIL, mail=Mail("smtp.example.org:587", "a@example.org", "wide", "/run/secrets/mail")),
    "always open": Alerts(hours=ALWAYS, default=PAGER),
    "minutes": Alerts(hours=BusinessHours("mon 00:00-00:01 23:59-24:00, wed 09:07-09:08"), default=PAGER),
}


def reached(alerts: Alerts, severity: str) -> dict[str, dict[str, Any]]:
    """Return the route that an alert of each team ends at, and that of anybody else's, which is under ""."""
    (route,) = [each for each in routing(alerts)["route"]["routes"] if each["matchers"] == [f'severity="{severity}"']]
    return {"": route, **{each["receiver"]: each for each in route["routes"]}}


def receiver(alerts: Alerts, name: str) -> dict[str, Any]:
    """Return what the receiver *name* does."""
    (found,) = [each for each in routing(alerts)["receivers"] if each["name"] == name]
    return {key: value for key, value in found.items() if key != "name"}


def intervals(hours: BusinessHours) -> dict[str, Any]:
    """Return the intervals by their names."""
    found = routing(Alerts(hours=hours, default=PAGER))["time_intervals"]
    return {each["name"]: each["time_intervals"] for each in found}


class TestConfiguration:
    @pytest.mark.parametrize("name", EVERY)
    def test_alertmanager_accepts_it(self, name: str, tmp_path: Path) -> None:
        """Whatever is configured."""
        done = run("amtool", "check-config", generate(tmp_path, EVERY[name]) / ROUTING)

        assert (done.returncode, "SUCCESS" in done.stdout) == (0, True), done.stdout + done.stderr

    def test_without_a_receiver_it_is_refused(self) -> None:
        """A receiver that does nothing would drop every alert, silently."""
        with pytest.raises(ConfigurationError) as refused:
            routing(Alerts(owners={"/checkout": "payments"}))

        assert str(refused.value) == (
            "Nobody would be called: no receiver is configured. Give one to wideevents.configure(), such as "
            'alerts=Alerts(default=Receiver(webhook="https://...")) or '
            'Receiver(email="team@example.org").'
        )

    @pytest.mark.parametrize("name", EVERY)
    def test_no_receiver_is_without_an_integration(self, name: str) -> None:
        """And no name stands for nothing."""
        made = routing(EVERY[name])
        named = {
            each["receiver"]
            for kind in ("error", "warning")
            for each in reached(EVERY[name], kind).values()
            if "receiver" in each
        }

        assert [each["name"] for each in made["receivers"] if len(each) < 2] == []
        assert {made["route"]["receiver"], *named} == {each["name"] for each in made["receivers"]}


class TestWho:
    @pytest.mark.parametrize("severity", ["error", "warning"])
    @pytest.mark.parametrize(
        ("owner", "called"), [("payments", "payments"), ("search", "search"), ("reports", "default"), ("", "default")]
    )
    def test_an_alert_goes_to_the_receiver_of_its_owner(
        self, severity: str, owner: str, called: str, tmp_path: Path
    ) -> None:
        """Whoever has none is called by the default."""
        file = generate(tmp_path, FULL) / ROUTING
        labels = [f"severity={severity}", f"urgency={severity}", "alertname=WideEventsError", "route=/x"]
        done = run("amtool", "config", "routes", "test", f"--config.file={file}", *labels, f"owner={owner}")

        assert done.stdout.splitlines() == [called], done.stderr

    def test_an_alert_of_somebody_else_goes_to_the_default(self, tmp_path: Path) -> None:
        """An Alertmanager may serve more than us."""
        file = generate(tmp_path, FULL) / ROUTING
        done = run(
            "amtool", "config", "routes", "test", f"--config.file={file}", "alertname=DiskFull", "owner=payments"
        )

        assert done.stdout.splitlines() == ["default"], done.stderr

    def test_a_receiver_posts_or_mails(self) -> None:
        """What it was configured to do, and no more."""
        assert receiver(FULL, "default") == {"webhook_configs": [{"url": PAGER.webhook}]}
        assert receiver(FULL, TEAM) == {"email_configs": [{"to": "team@example.org"}]}

    def test_without_a_default_all_get_what_is_nobodys(self) -> None:
        """Each once, so that nothing is dropped."""
        alerts = Alerts(receivers={"a": PAGER, "b": SEARCH, "c": MAIL, "d": PAGER})

        assert receiver(alerts, "default") == {
            "webhook_configs": [{"url": PAGER.webhook}, {"url": SEARCH.webhook}],
            "email_configs": [{"to": "team@example.org"}],
        }

    def test_a_strange_team_is_quoted(self) -> None:
        """As Alertmanager reads it."""
        assert reached(FULL, "error")[TEAM]["matchers"] == ['owner="a \\"b\\", {c}\\\\d é"']

    def test_a_warning_is_inhibited_by_the_error_of_the_same_place(self) -> None:
        """Whoever looks at the error sees it anyway."""
        assert routing(LONE)["inhibit_rules"] == [
            {
                "source_matchers": ['severity="error"'],
                "target_matchers": ['severity="warning"'],
                "equal": ["service", "environment", "owner", "route"],
            }
        ]


class TestWhen:
    def test_an_error_rings_at_any_time(self) -> None:
        """At once, for every team."""
        routes = reached(FULL, "error")

        assert [
            each for each in routes.values() if each.keys() & {"active_time_intervals", "mute_time_intervals"}
        ] == []
        assert (routes[""]["group_wait"], routes[""]["group_interval"]) == ("1s", "1m")
        assert [team for team, each in routes.items() if team and "group_wait" in each] == []

    @pytest.mark.parametrize("name", EVERY)
    def test_a_warning_waits_wherever_it_goes(self, name: str) -> None:
        """Intervals are not handed down: each route needs its own."""
        alerts = EVERY[name]
        muted = [HOLIDAYS] if alerts.hours.holidays else None
        found = [
            (each["active_time_intervals"], each.get("mute_time_intervals"))
            for each in reached(alerts, "warning").values()
        ]

        assert found == [([HOURS], muted)] * (1 + len(alerts.receivers))

    def test_the_root_has_no_intervals(self) -> None:
        """Alertmanager refuses them there."""
        assert routing(FULL)["route"].keys() == {"receiver", "group_by", "routes"}

    def test_alerts_of_one_place_come_together(self) -> None:
        """An error storm is one call for each failure of each route, and not for each process."""
        labels = ["alertname", "service", "environment", "owner", "route", "fingerprint"]
        assert routing(FULL)["route"]["group_by"] == labels

    @pytest.mark.parametrize(("hours", "again"), [(OFFICE, "67h"), (ALWAYS, "2h")])
    def test_a_warning_is_not_told_again_while_it_is_kept(self, hours: BusinessHours, again: str) -> None:
        """It rings on only so that it is there in the morning."""
        alerts = Alerts(hours=hours, default=PAGER)

        assert repeated_after(alerts) > hours.longest_closed + timedelta(hours=1)
        assert reached(alerts, "warning")[""]["repeat_interval"] == again

    def test_the_hours_are_those_of_their_zone(self) -> None:
        """Days are listed: a range that goes round the week is refused. Without a location it would be UTC."""
        hours = BusinessHours("sat-mon 09:00-12:00 13:00-24:00, wed 07:05-08:00", tz="Asia/Kathmandu")

        assert intervals(hours) == {
            HOURS: [
                {
                    "weekdays": ["monday", "saturday", "sunday"],
                    "times": [
                        {"start_time": "09:00", "end_time": "12:00"},
                        {"start_time": "13:00", "end_time": "24:00"},
                    ],
                    "location": "Asia/Kathmandu",
                },
                {
                    "weekdays": ["wednesday"],
                    "times": [{"start_time": "07:05", "end_time": "08:00"}],
                    "location": "Asia/Kathmandu",
                },
            ]
        }

    def test_holidays_are_muted(self) -> None:
        """Each of them, from midnight to midnight where people are."""
        hours = BusinessHours(OFFICE.hours, OFFICE.tz, (date(2026, 12, 25), date(2027, 1, 1)))

        assert intervals(hours)[HOLIDAYS] == [
            {"years": ["2026"], "months": ["12"], "days_of_month": ["25"], "location": "Europe/Berlin"},
            {"years": ["2027"], "months": ["1"], "days_of_month": ["1"], "location": "Europe/Berlin"},
        ]


class TestMail:
    def test_who_mails_needs_a_relay(self) -> None:
        """Which is spoken to in TLS, with a password that stands in no generated file."""
        assert routing(EVERY["mail"])["global"] == {
            "smtp_smarthost": "smtp.example.org:587",
            "smtp_from": "a@example.org",
            "smtp_require_tls": True,
            "smtp_auth_username": "wide",
            "smtp_auth_password_file": "/run/secrets/mail",
        }

    def test_a_relay_on_the_same_machine_needs_no_tls(self) -> None:
        """Most of them have no certificate."""
        assert routing(EVERY["no default"])["global"] == {
            "smtp_smarthost": "localhost:25",
            "smtp_from": "alertmanager@localhost",
            "smtp_require_tls": False,
        }

    def test_who_posts_needs_none(self) -> None:
        """Nothing is said of mail."""
        assert "global" not in routing(Alerts(receivers={"payments": Receiver(webhook="http://x")}, default=PAGER))
