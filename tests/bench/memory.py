"""
Look at whether memory grows with the number of requests: `python -m tests.bench.memory`, 1,000,000 of them by default.

One process serves requests of a raw WSGI application, of which no two are alike: paths, queries, ids, users, agents and
keys are new each time, some are longer than anything that comes again, and some fail, each with a message of its own.
First come so many that every cache is full; from then on the resident size may grow by `MOST_KIB`.
"""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import Any

import wideevents
from tests.bench.report import Table, show
from wideevents.integrations.wsgi import WideEvents

REQUESTS = 1_000_000
WARM_UP = 6_000
"""More than any cache of ours holds."""

MOST_KIB = 1_024
"""Over a million requests it is one byte for each of them, over 60,000 it is 17: less than any object takes."""

LOOKS = 10
LONG = "a" * 4_000

STATM = Path("/proc/self/statm")


class DeclinedError(Exception):
    """Say why a payment was declined; `slug` groups those that are alike."""

    def __init__(self, number: int) -> None:
        super().__init__(f"order {number} was declined by terminal-{number:x}")
        self.slug = f"declined-{number}"


def resident() -> int:
    """Return the KiB of memory that this process holds."""
    gc.collect()
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGESIZE") // 1_024


def app(environ: Any, start_response: Any) -> list[bytes]:
    """Answer a request, of which everything is new."""
    number: int = environ["number"]
    if number < WARM_UP or not number % 5:  # a key that is not remembered costs more than all the rest
        wideevents.add_field(f"key.{number}.{LONG}", number)
        wideevents.add_field(f"nested{number}", {"a": [number], "b": {"c": str(number)}})
    wideevents.add_fields({"user.id": f"user-{number}", "cart": {"total": number}})
    wideevents.increment(f"count.{number % 1_009}")
    wideevents.append("list", f"item {number}")
    with wideevents.timer(f"step{number % 1_013}"):
        pass
    if not number % 10:
        with wideevents.event(f"inner {number}", n=number):
            wideevents.add_field("text", f"text {number} {LONG[:200]}")
    if not number % 50:
        try:
            raise DeclinedError(number)
        except DeclinedError as error:
            wideevents.add_error(error)
    if not number % 70:
        raise DeclinedError(number)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


def environ(number: int) -> dict[str, Any]:
    """Return a request that never comes again."""
    long = f"&{LONG}{number}=1" if not number % 100 else ""
    return {
        "number": number,
        "REQUEST_METHOD": "GET",
        "PATH_INFO": f"/orders/{number}/{LONG[: number % 300]}",
        "QUERY_STRING": f"page={number}&p{number}=1{long}",
        "HTTP_HOST": f"shop-{number}.example",
        "HTTP_USER_AGENT": f"agent/{number}",
        "HTTP_X_REQUEST_ID": f"request-{number}",
        "HTTP_TRACEPARENT": f"00-{number + 1:032x}-{number + 1:016x}-01",
        "REMOTE_ADDR": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
    }


def serve(door: Any, first: int, last: int) -> None:
    """Serve the requests with these numbers, as a server does."""
    for number in range(first, last):
        try:
            body = door(environ(number), start)
            list(body)
            body.close()
        except DeclinedError:
            pass  # the server answers for it


def start(status: str, headers: object, exc_info: object = None) -> None:
    """Take the status."""


def grown(requests: int) -> list[int]:
    """Serve so many requests, and return by how many KiB the process had grown after each tenth of them."""
    wideevents.configure(service="shop", output=os.devnull, logging=False)
    door = WideEvents(app)
    serve(door, 0, WARM_UP)
    before, each = resident(), requests // LOOKS
    found = []
    for look in range(LOOKS):
        serve(door, WARM_UP + look * each, WARM_UP + (look + 1) * each)
        found.append(resident() - before)
    return found


def table(requests: int) -> Table:
    """Serve so many requests, and return the table."""
    found = grown(requests)
    rows = tuple((f"{requests // LOOKS * (look + 1):,}", f"{kib:,}") for look, kib in enumerate(found))
    note = f"Resident size after so many requests, no two of them alike, beyond that after {WARM_UP:,}; in KiB."
    return Table("Memory", note, ("requests", "grown by"), rows)


def run() -> Table:
    """Measure a tenth of what a run of its own does, and return the table."""
    return table(REQUESTS // 10)


def main(requests: int) -> int:
    """Print the table; return 1 where the process has grown by more than is allowed."""
    made = table(requests)
    show([made])
    return int(int(made.rows[-1][1].replace(",", "")) > MOST_KIB)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1].replace(",", "")) if sys.argv[1:] else REQUESTS))
