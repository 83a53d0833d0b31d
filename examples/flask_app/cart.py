"""Keep what a customer means to buy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Blueprint

import wideevents
from examples.flask_app import payload
from examples.flask_app.accounts import account
from examples.flask_app.database import database
from examples.flask_app.errors import InvalidInputError
from examples.flask_app.products import find

blueprint = Blueprint("cart", __name__, url_prefix="/cart")


@dataclass(frozen=True, slots=True)
class Cart:
    """Hold pairs of product and quantity, and the coupons that lower the price."""

    items: dict[int, int]
    coupons: list[str]
    value_cents: int


@blueprint.get("")
def show() -> dict[str, Any]:
    return describe(load(account()["id"]))


@blueprint.post("/items")
def put_item() -> tuple[dict[str, Any], int]:
    account_id = account()["id"]
    product = find(payload.number("product_id", 1, 1_000_000))
    database().change(
        "INSERT INTO cart_items VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET quantity = excluded.quantity",
        *(account_id, product["id"], payload.number("quantity", 1, 99)),
    )

    return describe(load(account_id)), 201


@blueprint.delete("/items/<int:product_id>")
def remove_item(product_id: int) -> dict[str, Any]:
    account_id = account()["id"]
    database().change("DELETE FROM cart_items WHERE account_id = ? AND product_id = ?", account_id, product_id)

    return describe(load(account_id))


@blueprint.post("/coupons")
def add_coupon() -> tuple[dict[str, Any], int]:
    account_id = account()["id"]
    code = payload.text("code", longest=20).upper()
    if not database().row("SELECT code FROM coupons WHERE code = ?", code):
        raise InvalidInputError("there is no such coupon")
    database().change("INSERT OR IGNORE INTO cart_coupons VALUES (?, ?)", account_id, code)

    return describe(load(account_id)), 201


def load(account_id: int) -> Cart:
    """Return the customer's cart, and say in the event what it is worth."""
    rows = database().rows(
        "SELECT product_id, quantity, price_cents FROM cart_items JOIN products ON products.id = product_id"
        " WHERE account_id = ? ORDER BY product_id",
        account_id,
    )
    coupons = database().rows(
        "SELECT code, percent FROM cart_coupons JOIN coupons USING (code) WHERE account_id = ? ORDER BY code",
        account_id,
    )
    full_price = sum(row["quantity"] * row["price_cents"] for row in rows)
    cart = Cart(
        items={row["product_id"]: row["quantity"] for row in rows},
        coupons=[row["code"] for row in coupons],
        value_cents=full_price * (100 - sum(row["percent"] for row in coupons)) // 100,
    )
    wideevents.add_fields({"cart.items": sum(cart.items.values()), "cart.value_cents": cart.value_cents})
    for code in cart.coupons:
        wideevents.append("coupon.codes", code)

    return cart


def empty(account_id: int) -> None:
    database().change("DELETE FROM cart_items WHERE account_id = ?", account_id)
    database().change("DELETE FROM cart_coupons WHERE account_id = ?", account_id)


def describe(cart: Cart) -> dict[str, Any]:
    items = [{"product_id": product_id, "quantity": quantity} for product_id, quantity in cart.items.items()]

    return {"items": items, "coupons": cart.coupons, "value_cents": cart.value_cents}
