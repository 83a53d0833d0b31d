"""Say what each numbered request asks for, and what its line must hold: the shop, its customers and the books agree."""

from __future__ import annotations

import random
from typing import Any

SHARES = {
    "plain": 59,
    "parts": 8,
    "chunked": 6,
    "file": 6,
    "written": 6,
    "slow": 3,
    "raises": 4,
    "refused": 3,
    "long": 5,
}
"""What requests do, in percent. The last byte of "file" and "written" is out before anybody can write their line."""

KINDS = random.Random(1).sample([*SHARES], counts=[*SHARES.values()], k=100)

STATUSES = {"raises": 500, "refused": 503}
SLOWEST_MS = 50

JOURNAL, PAGE_FILE = "journal", "page"
"""Files in the folder that the server runs in: where noted requests are written down, and what "file" sends."""

LOST = -1
"""What stands in the journal for a line that its thread has lost, and counted."""

PART = b"all the work and no play\n"
PARTS = 6
PAGE = PART * 40


def kind(number: int) -> str:
    """Return what the request *number* does."""
    return KINDS[number % 100]


def status(number: int) -> int:
    """Return what it is answered with."""
    return STATUSES.get(kind(number), 200)


def body(number: int) -> bytes:
    """Return what a whole answer to it holds; of one that raises, the server's own page is not ours to say."""
    what = kind(number)
    if what in {"parts", "chunked"}:
        return PART * PARTS
    return PAGE if what == "file" else b"%d\n" % number + PART


def path(number: int) -> str:
    """Return what is asked for."""
    return f"/{kind(number)}?n={number}"


def seconds(number: int) -> float:
    """Return how long a slow one takes in the middle: 5 to 50 ms."""
    return (5 + number * 7 % (SLOWEST_MS - 4)) / 1000


def noted(number: int) -> dict[str, Any]:
    """Return the fields that are added first; whoever is killed later has them all."""
    fields: dict[str, Any] = {
        "order.number": number,
        "order.kind": kind(number),
        "order.customer": f"customer {number % 997}",
        "order.total": number / 4,
        "order.gift": number % 2 == 0,
        "order.items": [number, "tea", None],
    }
    if kind(number) == "long":  # 4,096 bytes are what a pipe takes at once, and 16,000 what a line may have
        count, length = 1 + number % 4, 3_300
        fields |= {f"order.letter.{each}": f"{number} " + "x" * length for each in range(count)}
    return fields


def done(number: int) -> dict[str, Any]:
    """Return the fields that are added last; a line that is no lost one has them, too."""
    return {"order.paid": kind(number) != "refused", "order.steps": 3}
