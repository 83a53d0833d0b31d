"""Take a customer's money, and tell in one event how it went."""

from __future__ import annotations

import logging
from concurrent.futures import wait
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING, Any

from flask import Blueprint, current_app

import wideevents
from examples.flask_app import cart, orders, payload
from examples.flask_app.accounts import account
from examples.flask_app.database import Database
from examples.flask_app.errors import EmptyCartError, PaymentDeclinedError, PaymentTimeoutError

if TYPE_CHECKING:
    from examples.flask_app.mailroom import Mailroom
    from examples.flask_app.payments import PaymentProvider

__owner__ = "payments"

LOW_STOCK = 10
PATIENCE_S = 2.0

blueprint = Blueprint("checkout", __name__)
logger = logging.getLogger(__name__)


@blueprint.post("/checkout")
def check_out() -> tuple[dict[str, Any], int]:
    account_id = account()["id"]
    card = payload.text("card", longest=30)
    bought = cart.load(account_id)
    if not bought.items:
        raise EmptyCartError("there is nothing in the cart")

    order_id = orders.place(account_id, bought)
    wideevents.add_field("order.id", order_id)
    pay(order_id, card, bought.value_cents)
    cart.empty(account_id)
    follow_up(order_id)
    logger.info("order placed", extra={"order.id": order_id})

    return {"order_id": order_id, "value_cents": bought.value_cents}, 201


def pay(order_id: int, card: str, amount_cents: int) -> None:
    try:
        charge(card, amount_cents)
    except Exception:
        orders.cancel(order_id)
        logger.info("order cancelled: it was not paid", extra={"order.id": order_id})
        raise
    orders.settle(order_id)


def charge(card: str, amount_cents: int) -> None:
    """
    Charge the card, and tell who was asked, what came of it and how long it took; never the card.

    The outcome is a crash until something better is known, since no code of ours runs when the provider's breaks.
    """
    provider: PaymentProvider = current_app.extensions["shop.payments"]
    wideevents.add_fields({"payment.provider": provider.name, "payment.outcome": "crashed"})
    try:
        with wideevents.timer("payment"):
            reference = provider.charge(card, amount_cents)
    except PaymentDeclinedError:
        wideevents.add_field("payment.outcome", "declined")
        logger.info("payment declined")
        raise
    except PaymentTimeoutError:
        wideevents.add_field("payment.outcome", "timeout")
        logger.exception("%s did not answer", provider.name)
        raise
    wideevents.add_fields({"payment.outcome": "approved", "payment.reference": reference})


def follow_up(order_id: int) -> None:
    """
    Count the shelves and write the letter side by side.

    The thread is started in this request, so what it adds finds its event by itself. The mailroom's thread serves
    everybody: `carry` gives the letter its event.
    """
    mailroom: Mailroom = current_app.extensions["shop.mailroom"]
    counting = Thread(target=count_low_stock, args=(current_app.config["DATABASE"], order_id))
    counting.start()
    letter = mailroom.post(wideevents.carry(partial(write_confirmation, order_id)))
    wait([letter], PATIENCE_S)
    counting.join(PATIENCE_S)


def count_low_stock(path: str, order_id: int) -> None:
    # A SQLite connection stays in the thread that opened it.
    database = Database(path)
    low = database.value(
        "SELECT count(*) FROM order_items JOIN products ON products.id = product_id WHERE order_id = ? AND stock < ?",
        *(order_id, LOW_STOCK),
    )
    database.close()
    wideevents.add_field("stock.low_products", low)
    if low:
        logger.warning("stock is low", extra={"stock.low_products": low})


def write_confirmation(order_id: int) -> str:
    letter = f"Thank you! Your order {order_id} is on its way."
    wideevents.add_field("confirmation.size", len(letter))

    return letter
