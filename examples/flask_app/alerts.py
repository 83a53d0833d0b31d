"""Say whom the shop calls when it fails, and when."""

from __future__ import annotations

from datetime import date

from wideevents.alerts import Alerts, BusinessHours, Receiver

HOURS = BusinessHours(
    "mon-fri 09:00-17:00", tz="Europe/Berlin", holidays=(date(2026, 12, 25), date(2027, 1, 1), date(2027, 4, 2))
)

ALERTS = Alerts(
    hours=HOURS,
    owners={"/reports/movements.csv": "data"},
    runbooks={
        "payments": "https://wiki.shop.example/runbooks/payments",
        "/checkout": "https://wiki.shop.example/runbooks/checkout",
    },
    receivers={
        "payments": Receiver(webhook="https://pager.shop.example/payments"),
        "data": Receiver(email="data@shop.example"),
    },
    default=Receiver(webhook="https://pager.shop.example/platform"),
)
