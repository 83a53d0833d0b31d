"""Show what the shop sells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Blueprint, current_app, jsonify, request

import wideevents
from examples.flask_app.database import database
from examples.flask_app.errors import NotOnSaleError
from examples.flask_app.recommendations import Recommender, RecommenderDownError

if TYPE_CHECKING:
    import sqlite3

    from flask import Response

MATCHING = "FROM products WHERE name LIKE '%' || ? || '%' AND (category = ? OR ? = '')"

blueprint = Blueprint("products", __name__, url_prefix="/products")


@blueprint.get("")
def search() -> dict[str, Any]:
    page = max(1, request.args.get("page", 1, type=int))
    size = min(50, max(1, request.args.get("size", 10, type=int)))
    category = request.args.get("category", "")
    wanted = (request.args.get("q", ""), category, category)
    total = database().value(f"SELECT count(*) {MATCHING}", *wanted)
    found = database().rows(f"SELECT * {MATCHING} ORDER BY name LIMIT ? OFFSET ?", *wanted, size, (page - 1) * size)
    wideevents.add_fields({"search.results": total, "search.page": page})

    return {"products": [dict(row) for row in found], "total": total, "page": page, "categories": categories()}


@blueprint.get("/<int:product_id>")
def show(product_id: int) -> Response:
    product = find(product_id)
    response = jsonify({**dict(product), "recommended": recommended(product)})
    response.add_etag()
    response.make_conditional(request)

    return response


def find(product_id: int) -> sqlite3.Row:
    wideevents.add_field("product.id", product_id)
    product = database().row("SELECT * FROM products WHERE id = ?", product_id)
    if not product:
        raise NotOnSaleError(f"the shop has no product {product_id}")

    wideevents.add_field("product.category", product["category"])

    return product


def recommended(product: sqlite3.Row) -> list[str]:
    """Return what else might please, or nothing: a product page does not fail because of its extras."""
    recommender: Recommender = current_app.extensions["shop.recommender"]
    try:
        with wideevents.timer("recommendations"):
            return recommender.similar(database(), product)
    except RecommenderDownError as error:
        wideevents.add_error(error)

        return []


def categories() -> list[str]:
    """Return the names of the categories, which hardly ever change: asked for once per process."""
    cache: dict[str, list[str]] = current_app.extensions["shop.cache"]
    if "categories" in cache:
        wideevents.increment("cache.hit")
    else:
        wideevents.increment("cache.miss")
        found = database().rows("SELECT DISTINCT category FROM products ORDER BY category")
        cache["categories"] = [row["category"] for row in found]

    return cache["categories"]
