"""Let people sign up, sign in and stay signed in."""

from __future__ import annotations

import logging
import sqlite3
from typing import Any

from flask import Blueprint, current_app, g, session
from werkzeug.security import check_password_hash, generate_password_hash

import wideevents
from examples.flask_app import payload
from examples.flask_app.database import database
from examples.flask_app.errors import EmailTakenError, InvalidInputError, NotSignedInError, SignInError

PLANS = ("STARTER", "PLUS", "BUSINESS")
COUNTRIES = ("DE", "CA", "FR", "JP")

blueprint = Blueprint("accounts", __name__)
logger = logging.getLogger(__name__)


@blueprint.post("/accounts")
def sign_up() -> tuple[dict[str, Any], int]:
    account_id = insert_account(
        email(),
        generate_password_hash(payload.text("password"), current_app.config["PASSWORD_METHOD"]),
        payload.choice("plan", PLANS),
        payload.choice("country", COUNTRIES),
    )
    session["account_id"] = account_id
    remember_account()
    logger.info("account opened")

    return describe(account()), 201


@blueprint.post("/session")
def sign_in() -> dict[str, Any]:
    found = database().row("SELECT id, password_hash FROM accounts WHERE email = ?", email())
    if not found or not check_password_hash(found["password_hash"], payload.text("password")):
        wideevents.add_field("sign_in.reason", "wrong_password" if found else "unknown_account")
        raise SignInError("no account has this e-mail and password")

    session["account_id"] = found["id"]
    remember_account()

    return describe(account())


@blueprint.delete("/session")
def sign_out() -> tuple[str, int]:
    session.clear()

    return "", 204


@blueprint.get("/accounts/me")
def show_account() -> dict[str, Any]:
    return describe(account())


@blueprint.before_app_request
def remember_account() -> None:
    """Say in every event of a signed-in customer who they are, by an id and never by e-mail."""
    g.account = None
    if "account_id" not in session:
        return

    g.account = database().row("SELECT id, plan, country FROM accounts WHERE id = ?", session["account_id"])
    if g.account:
        wideevents.add_fields({"user": dict(g.account)})


def account() -> sqlite3.Row:
    """Return who is signed in."""
    if not g.account:
        raise NotSignedInError("sign in first")

    signed_in: sqlite3.Row = g.account

    return signed_in


def insert_account(address: str, password_hash: str, plan: str, country: str) -> int:
    try:
        return database().insert(
            "INSERT INTO accounts (email, password_hash, plan, country) VALUES (?, ?, ?, ?)",
            *(address, password_hash, plan, country),
        )
    except sqlite3.IntegrityError as error:
        raise EmailTakenError("an account with this e-mail exists") from error


def email() -> str:
    address = payload.text("email").lower()
    if "@" not in address:
        raise InvalidInputError("email must be an address")

    return address


def describe(row: sqlite3.Row) -> dict[str, Any]:
    return {"id": row["id"], "plan": row["plan"], "country": row["country"]}
