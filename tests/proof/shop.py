"""
The application that the storm goes over: gunicorn serves `tests.proof.shop:app`.

Before it works on a request it writes down, in a journal of its own, that the fields are noted: what the telemetry says
is checked against that, and not against itself.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import wideevents
from tests.proof import orders
from wideevents import health
from wideevents.health import Fault
from wideevents.integrations.wsgi import WideEvents

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

journal = os.open(orders.JOURNAL, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def worker() -> str:
    """Say who serves: the process, and its thread."""
    return f"{os.getpid()}/{threading.get_native_id()}"


def note(number: int) -> None:
    """Write down that the fields of a request are noted, or that a line of this thread is lost."""
    os.write(journal, f"{worker()} {number}\n".encode())


def observe(fault: Fault, _subject: str, number: int) -> None:
    """Write down what the telemetry counts as lost: whoever is killed cannot tell it in a line any more."""
    if fault is Fault.LOST:
        for _ in range(number):
            note(orders.LOST)


health.observers.append(observe)


@WideEvents
def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Serve one order."""
    number = int(environ["QUERY_STRING"].partition("=")[2])
    wideevents.add_fields(orders.noted(number))
    note(number)
    work(number)
    return answer(number, environ, start_response)


def work(number: int) -> None:
    """Do a little, and tell it."""
    with wideevents.timer("order.work"):
        for _ in range(3):
            wideevents.increment("order.steps")
        if orders.kind(number) == "slow":
            time.sleep(orders.seconds(number))
        if orders.kind(number) == "raises":
            raise ValueError(f"order {number} cannot be served")
    wideevents.add_field("order.paid", orders.kind(number) != "refused")


def answer(number: int, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer in one of the ways in which WSGI can."""
    kind, body = orders.kind(number), orders.body(number)
    status = "503 Service Unavailable" if kind == "refused" else "200 OK"
    headers = [("Content-Type", "text/plain"), ("X-Worker", worker())]
    if kind != "chunked":
        headers.append(("Content-Length", str(len(body))))
    write = start_response(status, headers)
    if kind == "written":
        write(body)
        return []
    if kind == "file":
        file = Path(orders.PAGE_FILE).open("rb")  # noqa: SIM115 - the server closes it
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](file)
        return wrapped
    return parts() if kind in {"parts", "chunked"} else [body]


def parts() -> Iterator[bytes]:
    """Send a body bit by bit, and go on telling."""
    for _ in range(orders.PARTS):
        wideevents.increment("order.parts")
        yield orders.PART
