"""Write nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.bench.applications import flask_app, ignore, starlette_app


def flask(path: Path) -> Any:
    return flask_app(ignore)


def starlette(path: Path) -> Any:
    return starlette_app(ignore)
