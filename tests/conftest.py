"""What all tests share: a clean process before and after each, and a recorder whose time and ids are known."""

from __future__ import annotations

import inspect
import json
import logging
import os
import select
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Barrier, Thread
from typing import Any

import pytest
from hypothesis import settings

import wideevents
from tests.parts.bugsink import bugsink, bugsink_server  # noqa: F401 - fixtures, which are here for all
from tests.parts.redis import redis_server  # noqa: F401
from tests.strict import parse_line
from wideevents import config, context, health, propagation, resource
from wideevents.recorder import Clock, Recorder
from wideevents.sinks.memory import MemorySink
from wideevents.tracecontext import Ids

settings.register_profile("tests", deadline=None, print_blob=True)
settings.register_profile("ci", settings.get_profile("tests"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "tests")

ENVIRONMENT = (
    *resource.REVISIONS,
    "LOG_LEVEL",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_SERVICE_NAME",
    "PROMETHEUS_MULTIPROC_DIR",
    "PYTHONUNBUFFERED",
    "SENTRY_DSN",
    "SENTRY_ENVIRONMENT",
    "SENTRY_RELEASE",
    "WIDEEVENTS_KEEP_SECRET",
    "WIDEEVENTS_OUTPUT",
)
"""What the process, and those that it starts, is configured by; the tests begin without it."""

PATIENCE = 10.0
"""Seconds after which a thread or a child is stuck, and not slow."""


class FakeClock:
    """
    Stand still until `advance` is called.

    It begins at 2026-01-02T03:04:05.678901Z.
    """

    def __init__(self) -> None:
        self.nanoseconds = 1_000_000_000
        self.seconds = 1_767_323_045.678901

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.nanoseconds += round(seconds * 1_000_000_000)
        self.seconds += seconds

    def now(self) -> float:
        """Return seconds since the epoch."""
        return self.seconds

    def wall(self) -> int:
        """Return nanoseconds since the epoch, to the microsecond."""
        return round(self.seconds * 1_000_000) * 1_000

    def monotonic(self) -> int:
        """Return nanoseconds since some day."""
        return self.nanoseconds


class FixedIds(Ids):
    """Number the ids in the order in which they are drawn: ...01, ...02."""

    __slots__ = ("spans", "traces")

    def __init__(self) -> None:
        super().__init__()
        self.spans = self.traces = 0

    def span_id(self) -> str:
        """Return 16 hex digits."""
        self.spans += 1
        return f"{self.spans:016x}"

    def trace_id(self) -> str:
        """Return 32 hex digits."""
        self.traces += 1
        return f"{self.traces:032x}"


@dataclass
class Written:
    """Read what was written, strictly: every line is checked against the whole contract."""

    sink: MemorySink = field(default_factory=MemorySink)

    def all(self) -> list[dict[str, Any]]:
        """Return the events, in the order in which they ended."""
        return [parse_line(line) for line in self.sink.lines]

    def one(self) -> dict[str, Any]:
        """Return the only event."""
        (event,) = self.all()
        return event

    def last(self) -> dict[str, Any]:
        """Return the event that ended last."""
        return parse_line(self.sink.lines[-1])

    def named(self, name: str) -> dict[str, Any]:
        """Return the only event called *name*."""
        (event,) = [each for each in self.all() if each["event.name"] == name]
        return event


def state() -> dict[str, object]:
    """Return what a test has to leave as it found it."""
    return {
        "the event in progress": context.variable.get(),
        "the recorder": config.recorder(),
        "the way of log lines": config.logs(),
        "the handlers of the root logger": list(logging.getLogger().handlers),
        "the level of the root logger": logging.getLogger().level,
        "Logger.makeRecord": logging.Logger.makeRecord,
        "the hooks of what nobody caught": (sys.excepthook, threading.excepthook, sys.unraisablehook),
        "what shows warnings": warnings.showwarning,
        "the events open": dict(config.recorder().in_progress),
        "Thread.start": layers(Thread.start),
        "ThreadPoolExecutor.submit": layers(ThreadPoolExecutor.submit),
    }


def layers(function: Any) -> list[str]:
    """Return the name of the module of each function that *function* wraps, itself first."""
    found = [function.__code__.co_filename]
    while function is not inspect.unwrap(function):
        function = function.__wrapped__
        found.append(function.__code__.co_filename)
    return found


@pytest.fixture(scope="session", autouse=True)
def _configured_process() -> Iterator[None]:
    """Configure the process once, without what stands in the environment, and write nowhere."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ENVIRONMENT:
            patch.delenv(name, raising=False)
        wideevents.configure(service="tests", output=MemorySink(), logging=False)
        yield
        propagation.uninstall()


@pytest.fixture(autouse=True)
def _leaves_nothing_behind(_configured_process: None) -> Iterator[None]:
    """Fail a test that leaves an event open, or the process configured differently; begin with no faults counted."""
    health.forget()
    before = state()
    with config.kept():
        yield
        after = state()
    context.variable.set(None)
    config.recorder().in_progress.clear()
    propagation.install(context.variable)
    left = {name: value for name, value in after.items() if value is not before[name] and value != before[name]}
    assert left == {}, f"the test left something behind: {left}"


@pytest.fixture
def reconfigurable() -> Iterator[None]:
    """Let a test call `configure()` as it likes; what was configured before serves again afterwards."""
    with config.kept():
        yield
    propagation.install(context.variable)


@pytest.fixture
def clock() -> FakeClock:
    """Give the clock of `recorder`."""
    return FakeClock()


@pytest.fixture
def written() -> Written:
    """Give what `recorder` wrote, parsed strictly."""
    return Written()


@pytest.fixture
def recorder(clock: FakeClock, written: Written) -> Iterator[Recorder]:
    """Configure the process anew for one test, with a clock that stands still, and known ids."""
    with config.kept():
        wideevents.configure(service="tests", output=written.sink, logging=False)
        configured = config.recorder()
        timed = Clock(clock.wall, clock.monotonic)
        made = Recorder(configured.pipeline, configured.keys, clock=timed, ids=FixedIds())
        config.use(made, config.logs())
        yield made
        assert made.in_progress == {}, f"left open: {made.in_progress}"


@pytest.fixture
def eager_switching() -> Iterator[None]:
    """Let Python switch between threads as often as it can, so that what is not exact is seen."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def at_once(*works: Callable[[], object]) -> list[object]:
    """Run every one of *works* in a thread of its own, all beginning at the same time; return what they returned."""
    barrier = Barrier(len(works))
    results: list[object] = [None] * len(works)
    raised: list[BaseException] = []

    def run(position: int, work: Callable[[], object]) -> None:
        barrier.wait(PATIENCE)
        try:
            results[position] = work()
        except BaseException as error:
            raised.append(error)

    threads = [Thread(target=run, args=pair, daemon=True) for pair in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert raised == [], f"raised in a thread: {raised}"
    assert [thread for thread in threads if thread.is_alive()] == [], "a thread is stuck"
    return results


def in_child(work: Callable[[], object]) -> Any:
    """Run *work* in a forked child, and return what it returned, by way of JSON."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Python 3.12 warns of a fork beside threads, after it: raised in the parent, it would leave the child running.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            os.write(writing, json.dumps(work()).encode())
        except BaseException as error:
            os.write(writing, json.dumps(f"raised {type(error).__name__}").encode())
        finally:
            os._exit(0)
    os.close(writing)
    try:
        if not select.select([reading], [], [], PATIENCE)[0]:
            os.kill(child, signal.SIGKILL)
        return json.loads(os.read(reading, 65_536) or b'"stuck"')
    finally:
        os.close(reading)
        os.waitpid(child, 0)
