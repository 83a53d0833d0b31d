"""Watch with sentry-sdk's integrations, which write nothing of a request that is well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from tests.bench.applications import flask_app, starlette_app


class Dropped(Transport):
    """Send nothing."""

    def capture_envelope(self, envelope: Envelope) -> None:
        pass


def flask(path: Path) -> Any:
    sentry_sdk.init("http://key@127.0.0.1:9/1", transport=Dropped)
    return flask_app(sentry_sdk.set_tags)


def starlette(path: Path) -> Any:
    sentry_sdk.init("http://key@127.0.0.1:9/1", transport=Dropped)
    return starlette_app(sentry_sdk.set_tags)
