"""Find what goes wrong in practice: load an application, make one request, and look at what came out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wideevents.doctor.examination import visit
from wideevents.doctor.findings import Finding, Severity

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

__all__ = ["Finding", "Severity", "examine"]


def examine(app: WSGIApplication, path: str = "/") -> list[Finding]:
    """
    Make one GET request for *path* to *app*, in this process, and return what is wrong; nothing for a healthy one.

    For a test of your own: `assert examine(create_app()) == []`. The request is a real one, and the application does
    for it what it does for everybody; its event and its log lines are caught, and what it prints is swallowed. One log
    line of the logger `wideevents.doctor` goes the way of all others. Raise `ConfigurationError` for what is no WSGI
    application.
    """
    return visit(lambda: app, path).findings
