"""Make the events that every contender writes: fields of the kinds that real ones have."""

from __future__ import annotations

from typing import Any

Fields = dict[str, Any]
Groups = list[Fields]
"""The fields of one event, in the groups in which the code that knows them adds them."""

SIZES = (10, 40, 100)
VARIANTS = 64
IN_A_GROUP = 4
NUMBER = "user.id"
"""The field that numbers the events of a run: a line that is missing, or there twice, is seen."""

NAMESPACES = ("user", "cart", "order", "payment", "shipping", "coupon", "stock", "search", "experiment", "tax")
PLANS = ("starter", "team", "business")


def named(namespace: str, number: int) -> Fields:
    """Return ten fields: four short strings, three integers, two floats and a truth."""
    return {
        f"{namespace}.id": number,
        f"{namespace}.plan": PLANS[number % 3],
        f"{namespace}.items": number % 7 + 1,
        f"{namespace}.approved": number % 5 > 0,
        f"{namespace}.total_cents": 4_599 + 17 * number,
        f"{namespace}.provider": f"paperplane-{number % 11}",
        f"{namespace}.rate": (number + 1) / 32,
        f"{namespace}.day": f"2026-03-{number % 28 + 1:02}",
        f"{namespace}.reference": f"SPRING-{4_711 * (number + 1)}",
        f"{namespace}.score": round(1 / (number + 3), 4),
    }


def fields(size: int, number: int) -> Fields:
    """Return the *size* fields of event *number*; the values come again after `VARIANTS` events, but for the number."""
    found: Fields = {}
    for place, namespace in enumerate(NAMESPACES):
        found |= named(namespace, number % VARIANTS + place)
    return {**dict(list(found.items())[:size]), NUMBER: number}


def variants(size: int) -> list[Groups]:
    """Return the events to write, each in groups of four fields."""
    made = [list(fields(size, number).items()) for number in range(VARIANTS)]
    return [[dict(each[at : at + IN_A_GROUP]) for at in range(0, size, IN_A_GROUP)] for each in made]
