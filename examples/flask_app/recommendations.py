"""Stand in for a recommendation service that is down now and then."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

    from examples.flask_app.database import Database


class RecommenderDownError(ConnectionError):
    """The service did not answer; nobody has to know but the people who run it."""


@dataclass(frozen=True, slots=True)
class Recommender:
    """Recommend what stands on the same shelf; *failure_rate* of the calls fail."""

    failure_rate: float = 0.0
    random: Random = field(default_factory=Random)

    def similar(self, database: Database, product: sqlite3.Row) -> list[str]:
        if self.random.random() < self.failure_rate:
            raise RecommenderDownError("recommendations.internal:8080 refused the connection")

        found = database.rows(
            "SELECT name FROM products WHERE category = ? AND id != ? ORDER BY abs(price_cents - ?), id LIMIT 3",
            *(product["category"], product["id"], product["price_cents"]),
        )

        return [row["name"] for row in found]
