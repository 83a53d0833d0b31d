"""
Measure what an event adds to a Flask request, and what it costs beside a plain dictionary.

Run `make bench`. Everything runs in one process: rounds of each contender in turn, processor time of the process, the
median of the rounds. Absolute figures are the machine's; the ratios are what can be compared.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import orjson
from flask import Flask

import wideevents
from tests.bench.report import Table, show
from wideevents.integrations.flask import WideEvents

ROUNDS = 25
REQUESTS = 1_000

FIELDS: dict[str, Any] = {
    "user.id": 42,
    "user.plan": "STARTER",
    "user.country": "CA",
    "cart.items": 3,
    "cart.value_cents": 4_599,
    "payment.provider": "acme",
    "payment.approved": True,
    "coupon.code": "SPRING-2026",
}

NOTE = f"""\
Microseconds of processor time for a request, the median of {ROUNDS} interleaved rounds of all contenders in one
process. The plain one is a wrapper like ours around a dictionary, orjson and one os.write."""

ENVIRON: dict[str, Any] = {
    "REQUEST_METHOD": "GET",
    "SCRIPT_NAME": "",
    "PATH_INFO": "/hello/world",
    "QUERY_STRING": "page=2&sort=price",
    "SERVER_NAME": "127.0.0.1",
    "SERVER_PORT": "8000",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "HTTP_HOST": "shop.example.com",
    "HTTP_USER_AGENT": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0",
    "REMOTE_ADDR": "127.0.0.1",
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "http",
    "wsgi.multithread": False,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
}


def hello(add: Callable[[str, Any], None] | None) -> Flask:
    """Return the application: eight fields are added, or nothing is."""
    app = Flask("hello")

    @app.get("/hello/<name>")
    def greet(name: str) -> str:
        if add is not None:
            for key, value in FIELDS.items():
                add(key, value)
        return f"Hello, {name}"

    return app


class Plain:
    """Do the least that writes a line for each request: a dictionary, orjson, one os.write, in a wrapper like ours."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.fields: dict[str, Any] = {}
        app = hello(self.add)
        self.inner = app.wsgi_app

    def add(self, key: str, value: Any) -> None:
        self.fields[key] = value

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self.fields = {"method": environ["REQUEST_METHOD"], "path": environ["PATH_INFO"]}
        started = time.perf_counter_ns()

        def respond(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            self.fields["status"] = int(status[:3])
            return start_response(status, headers, exc_info)

        body = self.inner(environ, respond)
        try:
            yield from body
        finally:
            body.close()  # type: ignore[attr-defined]
            self.fields["duration_ms"] = (time.perf_counter_ns() - started) / 1e6
            os.write(self.descriptor, orjson.dumps(self.fields, option=orjson.OPT_APPEND_NEWLINE))


def serve(app: Callable[..., Iterable[bytes]], number: int) -> None:
    """Call *app* as a server does, *number* times."""
    for _ in range(number):
        body = app(dict(ENVIRON), lambda status, headers, exc_info=None: None)
        for _ in body:
            pass
        body.close()  # type: ignore[attr-defined]


def measure(contenders: dict[str, Callable[..., Iterable[bytes]]]) -> dict[str, float]:
    """Return microseconds of processor time per request: the median over interleaved rounds."""
    rounds: dict[str, list[float]] = {name: [] for name in contenders}
    for app in contenders.values():
        serve(app, REQUESTS)
    for _ in range(ROUNDS):
        for name, app in contenders.items():
            before = time.process_time_ns()
            serve(app, REQUESTS)
            rounds[name].append((time.process_time_ns() - before) / REQUESTS / 1000)
    return {name: statistics.median(taken) for name, taken in rounds.items()}


def run() -> Table:
    """Measure, and check that every contender wrote its lines."""
    with tempfile.TemporaryDirectory() as folder:
        ours, plain = Path(folder, "ours.jsonl"), Path(folder, "plain.jsonl")
        wideevents.configure(service="bench", version="1.0.0", environment="test", output=ours)
        app = hello(wideevents.add_field)
        WideEvents(app)
        descriptor = os.open(plain, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        taken = measure({"bare": hello(None).wsgi_app, "plain": Plain(descriptor), "wideevents": app.wsgi_app})
        for path in (ours, plain):
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            assert len(lines) == REQUESTS * (ROUNDS + 1), path
            assert all(FIELDS.items() <= line.items() for line in lines), path
        fields, size = len(json.loads(ours.read_text().splitlines()[-1])), ours.stat().st_size // len(lines)
    added = {name: each - taken["bare"] for name, each in taken.items()}
    rows = tuple(
        (name, f"{taken[name]:.1f}", f"{each:.1f}", f"{each / added['plain']:.2f}") for name, each in added.items()
    )
    note = f"{NOTE} A line of ours has {fields} fields and {size:,} bytes."
    return Table("A request of Flask, in one process", note, ("", "us", "us added", "times plain"), rows)


if __name__ == "__main__":
    show([run()])
