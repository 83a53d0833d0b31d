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

from wideevents.exceptions import describe
from wideevents.frames import Application

TURNS, CALLS = 7, 200


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


def main() -> None:
    """Measure both in turns, and print the best of each."""
    error, application = caught(), Application()
    turns = [
        (microseconds(lambda: describe(error, application)), microseconds(lambda: traceback.format_exception(error)))
        for _ in range(TURNS)
    ]
    ours, theirs = (min(figures) for figures in zip(*turns, strict=True))
    print(f"described     {ours:6.1f} us: type, message, traceback, place, causes, fingerprint")
    print(f"printed       {theirs:6.1f} us, by Python itself")
    print(f"ratio         {ours / theirs:6.2f}")


if __name__ == "__main__":
    main()
