"""
Measure what a log line costs beside structlog's and python-json-logger's own fastest set-ups, for the same content.

Run `make bench`. Everything runs in one process: rounds of each contender in turn, processor time of the process, the
median of the rounds. Absolute figures are the machine's; the ratios are what can be compared. Ours redacts and trims,
and the others do not.
"""

from __future__ import annotations

import inspect
import json
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from pathlib import Path
from types import MethodType
from typing import Any

import orjson
import structlog
from pythonjsonlogger.orjson import OrjsonFormatter
from structlog.processors import CallsiteParameter, CallsiteParameterAdder

import wideevents
from tests.bench.report import Table, show
from wideevents import resource
from wideevents.integrations import structlog as door

ROUNDS = 31
LINES = 2_000
SERVICE, NAME = "shop", "shop.payments"

EXTRAS: dict[str, Any] = {
    "order_id": 4_711,
    "amount_cents": 4_599,
    "currency": "CAD",
    "provider": "paperplane",
    "retried": False,
}

PLACE = {"code.file.path", "code.line.number", "code.function.name"}

NOTE = f"""\
Microseconds of processor time for a log line with five fields and two ids, the median of {ROUNDS} interleaved rounds in
one process. The others are set up in their own fastest way, write the same fields, and redact nothing."""

Work = Callable[[int], None]
ids: ContextVar[dict[str, str]] = ContextVar("ids")


class Ids(logging.Filter):
    """Put the ids of the request on every record, as the users of python-json-logger do."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.__dict__.update(ids.get())
        return True


def statics() -> dict[str, Any]:
    """Return the fields that every line of ours has, so that the others write them, too."""
    described = resource.describe(resource.named(SERVICE, None, None, None), os.environ)
    return dict(resource.identify(described))


def through_logging(logger: logging.Logger) -> Work:
    def work(number: int) -> None:
        logger.info("payment %d taken", number, extra=EXTRAS)

    return work


def ours_through_logging() -> Work:
    return through_logging(logging.getLogger(NAME))


def python_json_logger(path: Path) -> Work:
    names = {
        "levelname": "level",
        "name": "log.logger",
        "pathname": "code.file.path",
        "lineno": "code.line.number",
        "funcName": "code.function.name",
    }
    formatter = OrjsonFormatter(
        ["message", *names],
        rename_fields=names,
        static_fields=statics(),
        timestamp=True,
    )
    handler = logging.FileHandler(path)
    handler.setFormatter(formatter)
    handler.addFilter(Ids())
    logger = logging.getLogger(f"{NAME}.plain")
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)
    logger.makeRecord = MethodType(inspect.unwrap(logging.Logger.makeRecord), logger)  # type: ignore[method-assign]
    return through_logging(logger)


def through_structlog() -> Work:
    logger = structlog.get_logger(NAME).bind()

    def work(number: int) -> None:
        logger.info("payment %d taken", number, **EXTRAS)

    return work


def ours_through_structlog() -> Work:
    door.configure()
    return through_structlog()


def plain_structlog(path: Path, *, places: bool = True) -> Work:
    adder = CallsiteParameterAdder((CallsiteParameter.PATHNAME, CallsiteParameter.LINENO, CallsiteParameter.FUNC_NAME))
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([adder] if places else []),
            structlog.processors.JSONRenderer(serializer=orjson.dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.BytesLoggerFactory(path.open("ab")),
        cache_logger_on_first_use=True,
    )
    logger = structlog.get_logger(NAME).bind(**{"log.logger": NAME}, **statics())

    def work(number: int) -> None:
        logger.info("payment %d taken", number, **EXTRAS)

    return work


def measure(contenders: dict[str, Work]) -> dict[str, float]:
    """Return the microseconds of processor time for a line of each, the median of the rounds."""
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, work in contenders.items():
            started = time.process_time_ns()
            for number in range(LINES):
                work(number)
            taken[name].append((time.process_time_ns() - started) / LINES / 1_000)
    return {name: statistics.median(rounds) for name, rounds in taken.items()}


def with_ids(work: Work, bound: dict[str, str]) -> Work:
    """Run *work* with the ids of the event bound the way that the others' users bind them."""
    context = copy_context()
    context.run(structlog.contextvars.bind_contextvars, **bound)
    context.run(ids.set, bound)
    return lambda number: context.run(work, number)


def compare(paths: dict[str, Path]) -> None:
    """Fail if another writes less than we do; structlog calls the message and the place by names of its own."""
    lines = {name: json.loads(path.read_bytes().splitlines()[-1]) for name, path in paths.items()}
    names = {"event": "message", "pathname": "code.file.path", "lineno": "code.line.number"}
    names["func_name"] = "code.function.name"
    for name, line in lines.items():
        missing = lines["wideevents"].keys() - {names.get(key, key) for key in line}
        assert missing == (PLACE if name == "placeless" else set()), f"{name} writes no {missing}"


def run() -> Table:
    """Measure, and check that the others write what we do."""
    with tempfile.TemporaryDirectory() as folder, wideevents.event("request") as event:
        paths = {name: Path(folder, f"{name}.jsonl") for name in ("wideevents", "structlog", "placeless", "plain")}
        wideevents.configure(service=SERVICE, output=paths["wideevents"])
        bound = {"event.id": event.id, "trace.id": event.trace_id}
        contenders = {"structlog, wideevents": ours_through_structlog()}
        contenders["structlog, wideevents"](0)
        contenders |= {
            "structlog, its own fastest": with_ids(plain_structlog(paths["structlog"]), bound),
            "structlog, without the place of the call": with_ids(
                plain_structlog(paths["placeless"], places=False), bound
            ),
            "logging, wideevents": ours_through_logging(),
            "logging, python-json-logger": with_ids(python_json_logger(paths["plain"]), bound),
        }
        for work in contenders.values():
            work(4_711)
        taken = measure(contenders)
        compare(paths)
    rows = []
    for name, microseconds in taken.items():
        ours = taken[f"{name.partition(', ')[0]}, wideevents"]
        rows.append((name, f"{microseconds:.2f}", f"{ours / microseconds:.2f}"))
    return Table("A log line", NOTE, ("", "us", "wideevents, times that"), tuple(rows))


if __name__ == "__main__":
    show([run()])
