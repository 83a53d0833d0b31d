"""Report errors to a Sentry that the team runs itself."""

from __future__ import annotations

from wideevents.sinks.sentry.sink import SentrySink

__all__ = ["SentrySink"]
