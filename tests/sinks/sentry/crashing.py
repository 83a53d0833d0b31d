"""The shop, with secrets in every place that a report could take them from, and a payment that crashes."""

from __future__ import annotations

import logging
import os
import sqlite3
from dataclasses import dataclass
from typing import Any, NoReturn

import sentry_sdk
from flask import Flask, session

import examples.flask_app
import wideevents
from examples.flask_app.payments import PaymentProvider
from wideevents.sinks.sentry import SentrySink

CARD = "4000 0000 0000 0119"
"""The one whose payment crashes."""

SECRETS = {
    "the header Authorization": "3f8a9c0d1e2b4a5f60718293",
    "the header X-Api-Key": "91c2-api-key",
    "a header of the application's own": "77d0-own-header",
    "a cookie": "a52e-cookie",
    "the card in the body": CARD,
    "the rest of the body": "c0de-body",
    "the query string": "5ed1-query",
    "the referrer": "b1b2-referrer",
    "the user agent": "0b5e-user-agent",
    "the message of the exception": "d00d-message",
    "the message of its cause": "feedf00d5a5a0123456789ab",
    "the message of what was being handled": "beef-context",
    "a member of a group": "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
    "a note of the exception": "1ead-note",
    "an attribute of the exception": "cafe-attribute",
    "credentials in a URL": "2b2b-url-credentials",
    "parameters of SQL": "9a9a-sql-parameter",
    "parameters of SQL in a message": "8c8c-sql-message",
    "a local variable": "ab1e-local",
    "a nested local variable": "c1a0-nested-local",
    "a field of a dataclass": "babe-dataclass-field",
    "a local variable with a secret name": "face-named-local",
    "the text of a local variable": "d1ce-text-of-local",
    "an attribute of a class": "f00d-class-attribute",
    "a global variable": "0dd5-global",
    "the environment": "ace0-environment",
    "the arguments of the process": "a1b5-argument",
    "the configuration of the application": "c0f1-configuration",
    "a breadcrumb": "b4ea-breadcrumb",
    "the user of a scope": "5c0e-user@example.org",
    "an argument of a log call": "1095-log-argument",
    "a field with a secret name": "f1e1-field",
    "the text of a field": "7e87-text-of-field",
    "the session": "5e55-session",
}
"""Where each stands. Those that stand in a text are there as such things stand in texts: behind a name and a sign."""

GLOBAL = SECRETS["a global variable"]

ROUTE_PARAMETER = "e77a-route-parameter"

logger = logging.getLogger(__name__)


@dataclass
class Order:
    """An order, with what should not be in it."""

    id: int
    card_number: str


class PlantedError(RuntimeError):
    """An exception with more than a message."""

    key = SECRETS["an attribute of the exception"]

    def __init__(self, message: str, answer: str) -> None:
        super().__init__(message)
        self.answer = answer


class Provider(PaymentProvider):
    """A provider that knows too much."""

    key = SECRETS["an attribute of a class"]

    def charge(self, card: str, amount_cents: int) -> str:
        local = SECRETS["a local variable"]
        nested = {"provider": {"keys": [{"live": SECRETS["a nested local variable"]}]}}
        order = Order(17, SECRETS["a field of a dataclass"])
        api_token = SECRETS["a local variable with a secret name"]
        sentence = f"asked with password={SECRETS['the text of a local variable']} and waited"
        wideevents.add_fields({"user.password": SECRETS["a field with a secret name"], "order.items": 3})
        wideevents.add_field("order.remark", f"client_secret={SECRETS['the text of a field']}")
        sentry_sdk.add_breadcrumb(message=SECRETS["a breadcrumb"])
        sentry_sdk.set_user({"email": SECRETS["the user of a scope"]})
        logger.error("charging with %s", {"api_key": SECRETS["an argument of a log call"], "card": card})
        try:
            self.ask(card, amount_cents)
        except Exception as error:
            crash(error, local, nested, order, api_token, sentence)
        raise AssertionError("it did not crash")

    def ask(self, card: str, amount_cents: int) -> None:
        """Fail several times over, each failure while another is being handled."""
        try:
            remember(SECRETS["parameters of SQL"])
        except sqlite3.Error as error:
            parameters = f"[parameters: {{'password': '{SECRETS['parameters of SQL in a message']}'}}]"
            raise ExceptionGroup(
                "two ways failed",
                [
                    ValueError(f"(IntegrityError) {error} {parameters}"),
                    ConnectionError(f"no answer for {SECRETS['a member of a group']}"),
                ],
            ) from OSError(f"postgres://shop:{SECRETS['credentials in a URL']}@db.internal/shop")


def remember(parameter: str) -> None:
    """Write the same row twice."""
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute("CREATE TABLE cards (number TEXT UNIQUE)")
        for _ in range(2):
            connection.execute("INSERT INTO cards VALUES (?)", (parameter,))
    finally:
        connection.close()


def crash(error: Exception, *details: object) -> NoReturn:
    """Raise what the shop does not reckon with, from what has failed, while something else is being handled."""
    try:
        raise KeyError(f"access_token={SECRETS['the message of what was being handled']}") from error
    except KeyError:
        try:
            raise TypeError(f"Authorization: Bearer {SECRETS['the message of its cause']}")
        except TypeError as cause:
            planted = PlantedError(f"password={SECRETS['the message of the exception']}", str(details))
            planted.add_note(f"secret_key={SECRETS['a note of the exception']}")
            raise planted from cause


def reset(token: str) -> str:
    """Serve a route whose parameter is a secret."""
    raise PlantedError(f"nobody has the token={token}", token)


def create_app(*names: str) -> Flask:
    """Build the shop; of local variables those called so are reported, too."""
    app = examples.flask_app.create_app(
        {
            "TESTING": True,
            "SECRET_KEY": SECRETS["the configuration of the application"],
            "DATABASE": os.environ["SHOP_DATABASE"],
            "RECOMMENDATIONS_FAILURE_RATE": 0,
        }
    )
    app.testing = False
    app.extensions["shop.payments"] = Provider()
    app.add_url_rule("/reset/<token>", "reset", reset)

    @app.before_request
    def remember_more() -> None:
        session["remark"] = SECRETS["the session"]

    allowed: tuple[str, ...] = ("order", "api_token", "sentence", "order_id", *names)
    wideevents.configure(
        service="shop", version="1.4.0", environment="test", output="json", sentry=SentrySink(locals=allowed)
    )
    return app


def payment() -> tuple[str, dict[str, Any], dict[str, str]]:
    """Return the path, the body and the headers of the payment."""
    headers = {
        "Authorization": f"Bearer {SECRETS['the header Authorization']}",
        "X-Api-Key": SECRETS["the header X-Api-Key"],
        "X-Internal": SECRETS["a header of the application's own"],
        "Referer": f"http://shop.example/?token={SECRETS['the referrer']}",
        "User-Agent": f"robot/1.0 (password={SECRETS['the user agent']})",
    }
    body = {"card": SECRETS["the card in the body"], "remark": SECRETS["the rest of the body"]}
    return f"/checkout?page=2&access_token={SECRETS['the query string']}", body, headers
