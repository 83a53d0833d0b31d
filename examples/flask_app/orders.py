"""Turn a cart into an order, and take it back when it is not paid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from examples.flask_app.database import database
from examples.flask_app.errors import OutOfStockError

if TYPE_CHECKING:
    from examples.flask_app.cart import Cart


def place(account_id: int, cart: Cart) -> int:
    """Reserve the goods and return the order's id, or raise `OutOfStockError` and reserve nothing."""
    with database().transaction():
        order_id = database().insert(
            "INSERT INTO orders (account_id, total_cents) VALUES (?, ?)", account_id, cart.value_cents
        )
        for product_id, quantity in cart.items.items():
            reserve(product_id, quantity)
            database().insert("INSERT INTO order_items VALUES (?, ?, ?)", order_id, product_id, quantity)

    return order_id


def reserve(product_id: int, quantity: int) -> None:
    taken = "UPDATE products SET stock = stock - ? WHERE id = ? AND stock >= ?"
    if not database().change(taken, quantity, product_id, quantity):
        raise OutOfStockError(f"fewer than {quantity} of product {product_id} are left")


def settle(order_id: int) -> None:
    with database().transaction():
        database().change("UPDATE orders SET status = 'paid' WHERE id = ?", order_id)
        database().change(
            "INSERT INTO movements (product_id, quantity, reason)"
            " SELECT product_id, -quantity, 'sale' FROM order_items WHERE order_id = ?",
            order_id,
        )


def cancel(order_id: int) -> None:
    """Put the goods back on the shelf."""
    with database().transaction():
        database().change("UPDATE orders SET status = 'cancelled' WHERE id = ?", order_id)
        database().change(
            "UPDATE products SET stock = stock + bought.quantity"
            " FROM (SELECT product_id, quantity FROM order_items WHERE order_id = ?) AS bought"
            " WHERE id = bought.product_id",
            order_id,
        )
