"""
Measure what it costs to describe an exception, beside what Python takes to print it.

Run `python -m tests.bench.exception`. The stack is that of a view of Flask's: twelve frames of libraries above three of
the application. Absolute figures are the machine's; the ratio is what can be compared.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from time import process_time

from flask import Flask

from tests.bench.report import Table, show
from wideevents.exceptions import describe
from wideevents.frames import Application

TURNS, CALLS = 7, 200

NOTE = f"""\
Microseconds of processor time to describe an exception raised in a view of Flask's, three calls deep: the best of
{TURNS} turns of {CALLS}. A healthy request describes none."""


def caught() -> BaseException:
    """Return what a view raises three calls deep."""
    app = Flask(__name__)
    app.testing = True
    app.add_url_rule("/", "view", view)
    try:
        app.test_client().get("/")
    except KeyError as error:
        return error
    raise AssertionError("the view raises")


def view() -> str:
    return price({})


def price(cart: dict[str, str]) -> str:
    return look_up(cart, "sku")


def look_up(cart: dict[str, str], key: str) -> str:
    return cart[key]


def microseconds(work: Callable[[], object]) -> float:
    """Return the processor time of one call, in microseconds."""
    started = process_time()
    for _ in range(CALLS):
        work()
    return (process_time() - started) / CALLS * 1_000_000


def run() -> Table:
    """Measure both in turns, and return the best of each."""
    error, application = caught(), Application()
    turns = [
        (microseconds(lambda: describe(error, application)), microseconds(lambda: traceback.format_exception(error)))
        for _ in range(TURNS)
    ]
    ours, theirs = (min(figures) for figures in zip(*turns, strict=True))
    rows = (
        ("described: type, message, traceback, place, causes, fingerprint", f"{ours:.1f}", f"{ours / theirs:.2f}"),
        ("printed by Python itself", f"{theirs:.1f}", "1.00"),
    )
    return Table("An exception", NOTE, ("", "us", "times Python"), rows)


if __name__ == "__main__":
    show([run()])
