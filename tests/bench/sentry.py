"""
Measure what a Sentry that hangs costs the requests that are well, and what a report costs.

Run `python -m tests.bench.sentry`. Of 5,000 requests every other one fails: turns of 50 without a Sentry, with one that
accepts and never answers, and with one that is well, each in a process of its own. Absolute figures are the machine's;
the ratios are what can be compared, where nothing else runs.
"""

from __future__ import annotations

import logging
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask

import wideevents
from tests.bench import goals
from tests.bench.flask_request import ENVIRON
from tests.bench.goals import Goal
from tests.bench.report import Table, show
from tests.integrations.servers import environment
from tests.sinks.sentry import OK, hanging, inbox
from wideevents import config, health
from wideevents.health import Fault
from wideevents.integrations.flask import WideEvents
from wideevents.sinks.sentry import SentrySink
from wideevents.sinks.sentry.sink import BURST, RATE

TURNS = 100
REQUESTS = 50
"""Of each turn; every other one fails."""

NOTE = f"""\
{TURNS * REQUESTS:,} requests for each, of which every other one fails: those that are well take these microseconds of
the clock, and those that fail. A Sentry that hangs accepts, and never answers."""
GOAL = Goal("99th percentile of requests that are well beside a Sentry that hangs, times that without any", 1.2)

ANSWERS = {"hung": hanging, "well": OK}

Configured = tuple[Any, Any]
Wsgi = Callable[..., Iterable[bytes]]
Taken = dict[str, dict[str, list[float]]]


def serve(name: str) -> None:
    """Be a Sentry until standard input ends."""
    with inbox(ANSWERS[name]) as server:
        print(server.dsn, flush=True)
        sys.stdin.read()


@contextmanager
def sentry(name: str) -> Iterator[SentrySink]:
    """Give a sink that sends to a Sentry in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.sentry", name]
    with subprocess.Popen(
        command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        sink = SentrySink(process.stdout.readline().strip())
        yield sink
        sink.close()
        process.communicate()


def shop() -> Flask:
    """Return the application."""
    app = Flask("shop")
    app.logger.disabled = True
    WideEvents(app)

    @app.get("/well")
    def well() -> str:
        wideevents.add_fields({"user.id": 42, "cart.items": 3})
        return "well"

    @app.get("/fail")
    def fail() -> str:
        wideevents.add_fields({"user.id": 42, "cart.items": 3})
        return charge({"id": 17})

    return app


def charge(order: dict[str, int]) -> str:
    """Fail as things fail: for a reason."""
    try:
        return str(order["price"])
    except KeyError as error:
        raise RuntimeError("not paid") from error


def ask(app: Wsgi, path: str) -> float:
    """Send one request, and return the microseconds until its last byte."""
    environ = {**ENVIRON, "PATH_INFO": path}
    began = time.perf_counter_ns()
    body = app(environ, lambda status, headers, exc_info=None: None)
    for _ in body:
        pass
    body.close()  # type: ignore[attr-defined]
    return (time.perf_counter_ns() - began) / 1000


def configured(path: Path, sink: SentrySink | bool) -> Configured:
    """Configure the process, and return what can be put in use again."""
    wideevents.configure(service="bench", version="1.0.0", environment="test", output=path, sentry=sink, logging=False)
    return config.recorder(), config.logs()


def measure(app: Wsgi, contenders: dict[str, Configured]) -> Taken:
    """Return the microseconds of every request, by contender and path, once all is warm."""
    taken: Taken = {}
    for turn in range(-10, TURNS):
        if not turn:
            taken = {name: {"/well": [], "/fail": []} for name in contenders}
        for name, used in contenders.items():
            config.use(*used)
            for number in range(REQUESTS):
                path = "/fail" if number % 2 else "/well"
                took = ask(app, path)
                if turn >= 0:
                    taken[name][path].append(took)
    return taken


def percentile(taken: list[float], share: int) -> float:
    """Return the percentile: 99 is what one of a hundred takes longer than."""
    return statistics.quantiles(taken, n=100, method="inclusive")[share - 1]


def check(folder: Path, names: Iterable[str]) -> None:
    """See that every line was written."""
    for name in names:
        lines = (folder / name).read_bytes().splitlines()
        assert len(lines) == (TURNS + 10) * REQUESTS, f"{name}: {len(lines)} lines"


def cost(app: Wsgi, used: Configured, sink: SentrySink) -> tuple[float, float]:
    """Return the microseconds of processor time of a failing request: one that is reported, and one that is not."""
    config.use(*used)
    found = []
    for _ in range(3):
        time.sleep(BURST / RATE)
        before = health.faults.counts().get(Fault.WITHHELD, 0)
        reported = processor_time(lambda: fail(app, 20), sink.close) / 20
        assert health.faults.counts().get(Fault.WITHHELD, 0) == before
        fail(app, 20)
        found.append((reported, processor_time(lambda: fail(app, 200)) / 200))
    return statistics.median(each for each, _ in found), statistics.median(each for _, each in found)


def fail(app: Wsgi, number: int) -> None:
    """Send requests that fail."""
    for _ in range(number):
        ask(app, "/fail")


def processor_time(*works: Callable[[], object]) -> float:
    """Return the microseconds of processor time that *works* take, one after the other, in all threads."""
    began = time.process_time_ns()
    for work in works:
        work()
    return (time.process_time_ns() - began) / 1000


def run() -> tuple[Table, ...]:
    """Measure, and check that every line was written."""
    logging.disable(logging.CRITICAL)  # what is lost and withheld is counted, and need not be told here
    with tempfile.TemporaryDirectory() as folder, sentry("hung") as hung, sentry("well") as well:
        sinks: dict[str, SentrySink | bool] = {"none": False, "hung": hung, "well": well}
        contenders = {name: configured(Path(folder, name), sink) for name, sink in sinks.items()}
        shopping = shop()
        taken = measure(shopping.wsgi_app, contenders)
        check(Path(folder), contenders)
        reported, withheld = cost(shopping.wsgi_app, contenders["well"], well)
    faults = health.faults.counts()
    told = (
        f"A failing request takes {reported:,.0f} us of processor time where it is reported, and {withheld:,.0f} where "
        f"that is withheld. {faults.get(Fault.WITHHELD, 0):,} reports were withheld, {faults.get(Fault.LOST, 0)} lost."
    )
    rows = []
    for name, paths in taken.items():
        figures = [f"{percentile(paths[path], share):.0f}" for path in paths for share in (50, 99)]
        rows.append((name, *figures, f"{slowed(taken, name):.2f}"))
    columns = ("Sentry", "well, p50 us", "well, p99 us", "failing, p50 us", "failing, p99 us", "p99 well, times none")
    aimed = goals.table("Sentry", [(GOAL, slowed(taken, "hung"))])
    return Table("Requests beside a Sentry", f"{NOTE} {told}", columns, tuple(rows)), aimed


def slowed(taken: Taken, name: str) -> float:
    """Return the 99th percentile of requests that are well, in times of that without a Sentry."""
    return percentile(taken[name]["/well"], 99) / percentile(taken["none"]["/well"], 99)


def main(name: str = "") -> None:
    """Measure; or be the Sentry called so."""
    if name:
        serve(name)
    else:
        show(run())


if __name__ == "__main__":
    main(*sys.argv[1:])
