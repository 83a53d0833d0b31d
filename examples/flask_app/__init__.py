"""A small shop in Flask and SQLite whose every request leaves one wide event."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from flask import Flask, json
from werkzeug.exceptions import HTTPException

import wideevents
from examples.flask_app import accounts, cart, checkout, commands, database, health, products, reports
from examples.flask_app.alerts import ALERTS
from examples.flask_app.mailroom import Mailroom
from examples.flask_app.payments import PaymentProvider
from examples.flask_app.recommendations import Recommender
from wideevents.integrations.flask import WideEvents

if TYPE_CHECKING:
    from collections.abc import Mapping

    from werkzeug.sansio.response import Response

__version__ = "1.4.0"

extension = WideEvents(metrics="/metrics", problems=True)


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Build the shop: `gunicorn 'examples.flask_app:create_app()'`, from the root of the project."""
    app = Flask(__name__)
    app.config.from_object("examples.flask_app.settings")
    app.config.from_prefixed_env("SHOP")
    app.config.from_mapping(config or {})
    watch(app)
    database.init_app(app)
    hire(app)
    for room in (accounts, cart, checkout, commands, health, products, reports):
        app.register_blueprint(room.blueprint)
    app.register_error_handler(HTTPException, explain_http)

    return app


def watch(app: Flask) -> None:
    """Have every request leave an event; a test says itself where events go."""
    if not app.testing:
        wideevents.configure(
            service="shop",
            version=__version__,
            environment=app.config["ENVIRONMENT"],
            output=app.config["OUTPUT"],
            flight=app.config["FLIGHT"],
            owner="platform",
            alerts=ALERTS,
            metrics=True,
        )
    extension.init_app(app)


def hire(app: Flask) -> None:
    """Bring in those who work for the shop from outside."""
    app.extensions["shop.cache"] = {}
    app.extensions["shop.mailroom"] = Mailroom()
    app.extensions["shop.payments"] = PaymentProvider(
        failure_rate=app.config["PAYMENT_FAILURE_RATE"],
        patience_s=app.config["PAYMENT_PATIENCE_S"],
        random=Random(app.config["PAYMENT_SEED"]),
    )
    app.extensions["shop.recommender"] = Recommender(
        failure_rate=app.config["RECOMMENDATIONS_FAILURE_RATE"],
        random=Random(app.config["RECOMMENDATIONS_SEED"]),
    )


def explain_http(error: HTTPException) -> Response:
    """Answer as the shop's own errors do (RFC 9457), and keep the headers of the status, such as `Allow`."""
    response = error.get_response()
    response.content_type = "application/problem+json"
    event = wideevents.current()
    instance = f"urn:wideevents:event:{event.id}" if event else None
    problem = {"title": error.name, "status": error.code, "detail": error.description, "instance": instance}
    response.set_data(json.dumps(problem))

    return response
