"""Do at night what no request asks for: each job is an event of its own."""

from __future__ import annotations

import click
from flask import Blueprint

import wideevents
from examples.flask_app.database import database

blueprint = Blueprint("commands", __name__, cli_group=None)


@blueprint.cli.command("restock")
@click.option("--below", default=50, help="Order what has fewer pieces than this.")
def restock_command(below: int) -> None:
    """Fill the shelves that are nearly empty."""
    click.echo(f"{restock(below)} products ordered")


@blueprint.cli.command("empty-carts")
def empty_carts_command() -> None:
    """Throw away carts that nobody came back for."""
    with wideevents.event("shop.empty_carts"):
        items = database().change("DELETE FROM cart_items")
        coupons = database().change("DELETE FROM cart_coupons")
        wideevents.add_fields({"carts.items": items, "carts.coupons": coupons})
    click.echo(f"{items} items removed")


@wideevents.event("shop.restock")
def restock(below: int, pieces: int = 100) -> int:
    """Order *pieces* of every product with fewer than *below*, shelf by shelf; return how many products it were."""
    products = 0
    for row in database().rows("SELECT DISTINCT category FROM products WHERE stock < ? ORDER BY category", below):
        products += restock_shelf(row["category"], below, pieces)
        wideevents.append("restock.categories", row["category"])
    wideevents.add_fields({"restock.below": below, "restock.products": products})

    return products


def restock_shelf(category: str, below: int, pieces: int) -> int:
    """Fill one shelf, in an event that names the night's event as its parent."""
    with wideevents.event("shop.restock.shelf", category=category), database().transaction():
        database().change(
            "INSERT INTO movements (product_id, quantity, reason)"
            " SELECT id, ?, 'restock' FROM products WHERE category = ? AND stock < ?",
            *(pieces, category, below),
        )

        return database().change(
            "UPDATE products SET stock = stock + ? WHERE category = ? AND stock < ?", pieces, category, below
        )
