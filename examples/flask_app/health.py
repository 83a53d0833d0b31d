"""Tell a load balancer that the shop is open."""

from __future__ import annotations

from flask import Blueprint

from examples.flask_app.database import database

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def check() -> dict[str, str]:
    database().value("SELECT 1")

    return {"status": "ok"}
