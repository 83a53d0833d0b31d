"""Open a shop of its own for every test."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from examples.flask_app import create_app

if TYPE_CHECKING:
    from pathlib import Path

    from flask import Flask
    from flask.testing import FlaskClient


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    """Have a shop in which nothing fails by chance and passwords are hashed fast."""
    return create_app(
        {
            "TESTING": True,
            "PROPAGATE_EXCEPTIONS": False,
            "DATABASE": str(tmp_path / "shop.sqlite3"),
            "PASSWORD_METHOD": "pbkdf2:sha256:1",
            "PAYMENT_PATIENCE_S": 0.0,
            "RECOMMENDATIONS_FAILURE_RATE": 0.0,
        }
    )


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def customer(app: Flask, client: FlaskClient) -> FlaskClient:
    """Be signed in already; no request was needed for it, so no event was written."""
    write(app, "INSERT INTO accounts VALUES (7, 'ada@example.org', 'unusable', 'PLUS', 'CA')")
    with client.session_transaction() as session:
        session["account_id"] = 7

    return client


@pytest.fixture
def buyer(app: Flask, customer: FlaskClient) -> FlaskClient:
    """Have two French presses and a kettle in the cart, for 137.00 less 10 %."""
    write(app, "INSERT INTO cart_items VALUES (7, 19, 2), (7, 20, 1)")
    write(app, "INSERT INTO cart_coupons VALUES (7, 'SPRING')")

    return customer


def write(app: Flask, sql: str) -> None:
    with closing(sqlite3.connect(app.config["DATABASE"])) as connection, connection:
        connection.execute(sql)


def read(app: Flask, sql: str) -> int:
    with closing(sqlite3.connect(app.config["DATABASE"])) as connection:
        return int(connection.execute(sql).fetchone()[0])
