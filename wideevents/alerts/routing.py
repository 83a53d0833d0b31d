"""Say as a configuration of Alertmanager who is called, and when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from wideevents.alerts.annotations import quoted
from wideevents.alerts.rules import LABELS, kept_for, written
from wideevents.alerts.settings import DEFAULT, Alerts, Receiver
from wideevents.errors import ConfigurationError
from wideevents.hours import WEEKDAYS, BusinessHours, Stretch

HOURS, HOLIDAYS = "business hours", "holidays"
"""The names of the intervals."""

AT_ONCE = {"group_wait": "1s", "group_interval": "1m", "repeat_interval": "4h"}
"""For an error: it rings, the next one of the same route a minute later, and again every four hours while it lasts."""

NOTHING = (
    "Nobody would be called: no receiver is configured. Give one to wideevents.configure(), such as "
    'alerts=Alerts(default=Receiver(webhook="https://...")) or Receiver(email="team@example.org").'
)


def routing(alerts: Alerts) -> dict[str, Any]:
    """
    Return the configuration, as data.

    Raise `ConfigurationError` where no receiver is configured: one without an integration drops alerts silently.
    """
    return {
        **_mail(alerts),
        "route": _root(alerts),
        "inhibit_rules": [
            {
                "source_matchers": ['severity="error"'],
                "target_matchers": ['severity="warning"'],
                "equal": list(LABELS),
            }
        ],
        "time_intervals": list(_intervals(alerts.hours)),
        "receivers": list(_receivers(alerts)),
    }


def repeated_after(alerts: Alerts) -> timedelta:
    """Return after how long a warning is told again: not while it is only kept for the morning."""
    return kept_for(alerts) + timedelta(hours=1)


def _root(alerts: Alerts) -> dict[str, Any]:
    """Return the routes: the root has no intervals, and a warning's route has them again at every team."""
    closed = {"mute_time_intervals": [HOLIDAYS]} if alerts.hours.holidays else {}
    waiting = {"active_time_intervals": [HOURS], **closed}
    pace = {"group_wait": "30s", "group_interval": "1m", "repeat_interval": written(repeated_after(alerts))}
    return {
        "receiver": DEFAULT,
        # What comes straight from a line has a fingerprint: another failure of the same route rings by itself.
        "group_by": ["alertname", *LABELS, "fingerprint"],
        "routes": [
            {"matchers": ['severity="error"'], **AT_ONCE, "routes": [*_teams(alerts, {})]},
            {"matchers": ['severity="warning"'], **waiting, **pace, "routes": [*_teams(alerts, waiting)]},
        ],
    }


def _teams(alerts: Alerts, intervals: dict[str, list[str]]) -> Iterator[dict[str, Any]]:
    for team in sorted(alerts.receivers):
        yield {"matchers": [f"owner={quoted(team)}"], "receiver": team, **intervals}


def _receivers(alerts: Alerts) -> Iterator[dict[str, Any]]:
    everybody = list(dict.fromkeys(alerts.receivers[team] for team in sorted(alerts.receivers)))
    default = [alerts.default] if alerts.default is not None else everybody
    if not default:
        raise ConfigurationError(NOTHING)
    yield _receiver(DEFAULT, default)
    for team in sorted(alerts.receivers):
        yield _receiver(team, [alerts.receivers[team]])


def _receiver(name: str, receivers: Iterable[Receiver]) -> dict[str, Any]:
    webhooks = [{"url": each.webhook} for each in receivers if each.webhook is not None]
    emails = [{"to": each.email} for each in receivers if each.email is not None]
    configs = {"webhook_configs": webhooks, "email_configs": emails}
    return {"name": name, **{kind: several for kind, several in configs.items() if several}}


def _mail(alerts: Alerts) -> dict[str, Any]:
    """Return how mail is sent, if any is."""
    receivers = [*alerts.receivers.values(), *filter(None, [alerts.default])]
    if all(receiver.email is None for receiver in receivers):
        return {}
    mail = alerts.mail
    settings = {
        "smtp_smarthost": mail.smarthost,
        "smtp_from": mail.sender,
        "smtp_require_tls": not mail.is_local,
        "smtp_auth_username": mail.username,
        "smtp_auth_password_file": mail.password_file,
    }
    return {"global": {name: value for name, value in settings.items() if value is not None}}


def _intervals(hours: BusinessHours) -> Iterator[dict[str, Any]]:
    """Yield the intervals; Alertmanager takes them to be in UTC where they say nothing."""
    by_stretches: dict[tuple[Stretch, ...], list[str]] = {}
    for name, stretches in zip(WEEKDAYS, hours.week, strict=True):
        by_stretches.setdefault(stretches, []).append(name)
    opened = [
        {"weekdays": days, "times": [_times(stretch) for stretch in stretches], "location": hours.tz}
        for stretches, days in by_stretches.items()
        if stretches
    ]
    yield {"name": HOURS, "time_intervals": opened}
    if hours.holidays:
        days = [
            {
                "years": [str(day.year)],
                "months": [str(day.month)],
                "days_of_month": [str(day.day)],
                "location": hours.tz,
            }
            for day in hours.holidays
        ]
        yield {"name": HOLIDAYS, "time_intervals": days}


def _times(stretch: Stretch) -> dict[str, str]:
    return {"start_time": _clock(stretch.start), "end_time": _clock(stretch.end)}


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
