"""From the level of a line to a ringing phone."""

from __future__ import annotations

from wideevents.alerts.settings import Alerts, Mail, Receiver
from wideevents.hours import BusinessHours

__all__ = ["Alerts", "BusinessHours", "Mail", "Receiver"]
