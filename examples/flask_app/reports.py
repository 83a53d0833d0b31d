"""Stream what is too long for one piece."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Response, stream_with_context

import wideevents
from examples.flask_app.accounts import account
from examples.flask_app.database import database

if TYPE_CHECKING:
    from collections.abc import Iterator

MOVEMENTS = (
    "SELECT day, name, quantity, reason FROM movements JOIN products ON products.id = product_id ORDER BY movements.id"
)

blueprint = Blueprint("reports", __name__, url_prefix="/reports")


@blueprint.get("/movements.csv")
def movements() -> Response:
    account()

    return Response(stream_with_context(csv_lines()), mimetype="text/csv")


def csv_lines() -> Iterator[str]:
    """Give the report page by page; the event is open until the last one is out, so its count is true."""
    yield "day,product,quantity,reason\n"
    for page in database().pages(MOVEMENTS):
        wideevents.increment("report.rows", len(page))
        yield "".join(f"{','.join(map(str, row))}\n" for row in page)
