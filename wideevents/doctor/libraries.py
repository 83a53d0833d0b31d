"""Find what libraries do beside wideevents: Sentry, and structlog. They are looked at only where they are loaded."""

from __future__ import annotations

import sys
from typing import Any

from wideevents import config
from wideevents.doctor.attempts import attempt
from wideevents.doctor.findings import Finding, Illness, Severity, listed
from wideevents.doctor.watch import is_json

SENTRY = Illness(
    "sentry-double-capture",
    Severity.WARNING,
    "Each logged error becomes an issue of its own, beside the one of the exception: one failure is counted twice, "
    "alerts twice, and uses up the quota twice.",
    "sentry_sdk.init(..., integrations=[LoggingIntegration(event_level=None)]): log lines stay with the issue, as "
    "breadcrumbs, and make none.",
)
BOTH = Illness(
    SENTRY.slug,
    Severity.WARNING,
    "Each exception is two issues, of which the line knows one: one failure is counted twice, alerts twice, and the "
    "second one holds what wideevents would have hidden.",
    "Leave it to one of them: wideevents.configure(sentry=False), or "
    "sentry_sdk.init(..., default_integrations=False, auto_enabling_integrations=False).",
)
STRUCTLOG = Illness(
    "structlog-not-json",
    Severity.WARNING,
    "The lines of structlog are text for a terminal, beside lines of JSON or inside them: without an event, and with "
    "secrets that nobody hides.",
    "Call wideevents.integrations.structlog.configure() where structlog.configure() is called.",
)
FRAMEWORKS = ("flask", "django", "wsgi", "bottle", "pyramid", "falcon")
"""Integrations of Sentry that capture what an application raises."""


def examine() -> list[Finding]:
    """Return what is wrong with them."""
    return [*_sentry(), *_structlog()]


def _sentry() -> list[Finding]:
    client: Any = getattr(sys.modules.get("sentry_sdk"), "get_client", bool)()
    if getattr(client, "transport", None) is None:
        return []
    handler = getattr(client.get_integration("logging"), "_handler", None)
    others = [name for name in FRAMEWORKS if client.get_integration(name) is not None]
    if _forwards() and (others or handler is not None):
        told = listed([*others, *(["logging"] if handler is not None else [])])
        return [
            BOTH.found(f"wideevents reports errors to Sentry, and so does sentry_sdk, by its integration for {told}.")
        ]
    if handler is None:
        return []
    beside = f", and its integration for {listed(others)} captures exceptions" if others else ""
    return [SENTRY.found(f"Sentry's LoggingIntegration makes an issue of every logged error{beside}.")]


def _forwards() -> bool:
    """Tell whether wideevents itself reports to Sentry: one of its stages is the sink's."""
    stages = config.recorder().pipeline.stages
    return any(getattr(getattr(stage, "__self__", None), "name", None) == "sentry" for stage in stages)


def _structlog() -> list[Finding]:
    structlog: Any = sys.modules.get("structlog")
    if structlog is None or not structlog.is_configured():
        return []
    processors = list(structlog.get_config()["processors"])
    if not processors:
        return []
    last = processors[-1]
    kind = last if hasattr(last, "__qualname__") else type(last)
    module = str(kind.__module__)
    if module.partition(".")[0] == "wideevents" or not _renders_text(last):
        return []
    name = f"{module}.{kind.__qualname__}"
    return [STRUCTLOG.found(f"structlog is configured with {name} as its last processor, which renders no JSON.")]


def _renders_text(processor: Any) -> bool:
    """Tell whether *processor* makes a text that is no JSON; what makes arguments for a logger makes no text."""
    made = attempt(lambda: processor(None, "info", {"event": "a line of wideevents.doctor", "level": "info"}))
    return isinstance(made, str | bytes) and not is_json(made)
