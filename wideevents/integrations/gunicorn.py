"""
The doors for gunicorn: what its master and its workers say are lines, and so is what a dead worker leaves behind.

In gunicorn.conf.py, with a flight recorder, whose directory the application is configured with, too:

    from wideevents.integrations.gunicorn import child_exit, on_exit, post_worker_init, worker_abort

    wideevents.configure(service="shop", flight="/var/lib/shop/flight")
    logger_class = "wideevents.integrations.gunicorn.Logger"

A hook of your own calls ours of the same name.
"""

from __future__ import annotations

import logging
import signal
import time
from contextlib import suppress
from types import FrameType
from typing import Any

from wideevents import config
from wideevents.flight import Flight
from wideevents.health import Fault, report
from wideevents.integrations._endings import OUT_OF_MEMORY, Ending, callers, claims_memory
from wideevents.integrations._printed import Plain, capture
from wideevents.integrations._timeouts import WorkerTimeout, tell
from wideevents.integrations.logging import Handler

try:
    from gunicorn import glogging  # type: ignore[import-untyped]
    from gunicorn.errors import HaltServer  # type: ignore[import-untyped]
    from gunicorn.workers.base_async import AsyncWorker  # type: ignore[import-untyped]
    from gunicorn.workers.sync import SyncWorker  # type: ignore[import-untyped]
except ImportError as missing:
    raise ImportError(
        "wideevents.integrations.gunicorn needs gunicorn: pip install 'wideevents[gunicorn]'"
    ) from missing

__all__ = ["Logger", "WorkerTimeout", "child_exit", "on_exit", "post_worker_init", "worker_abort"]

STREAM = "-"
"""What gunicorn's settings call its own standard output or error."""

HANDLERS = frozenset({"handle_abort", "handle_abort_signal"})
"""What calls `worker_abort` in a worker, above the code that the signal came to."""

LAST_S = 2.0
"""Seconds that the master waits for workers that it has killed, before it ends itself."""


class Logger(glogging.Logger):  # type: ignore[misc]
    """
    Write what gunicorn says as lines, to where events go.

    In gunicorn.conf.py, where the first statement gives the lines of the master their service, which has not the
    application's own `configure()`; `OTEL_SERVICE_NAME` does, too:

        wideevents.configure(service="shop")
        logger_class = "wideevents.integrations.gunicorn.Logger"

    `--log-level` holds for gunicorn's lines. There is no access log, since the event replaces it; who wants one all the
    same gets its lines here by `--access-logfile -`. A file that somebody names, for `--access-logfile` or
    `--error-logfile`, is theirs: gunicorn writes it as it always does, and those lines are not in the stream. So it is
    with syslog and `--log-config`.

    What is printed in the master and the workers becomes lines, too: gunicorn prints why a worker did not boot. What it
    refuses before it has a logger, such as an option that it does not know, it tells in plain text.
    """

    def __init__(self, cfg: Any) -> None:
        config.prepare()
        super().__init__(cfg)
        capture()

    def _set_handler(self, log: logging.Logger, output: str | None, fmt: logging.Formatter, stream: Any = None) -> None:
        """Write to the stream by lines, and to a file as gunicorn does; it is called again on every reload."""
        super()._set_handler(log, None if output == STREAM else output, fmt, stream)
        if output == STREAM:
            log.addHandler(_Lines())


class _Lines(Handler):
    """Be what gunicorn replaces when it is reloaded: it looks for its mark. Some workers bring uvicorn's colours."""

    _gunicorn = True

    def __init__(self) -> None:
        super().__init__()
        self.addFilter(Plain())


def child_exit(server: Any, worker: Any) -> None:
    """
    Write a line for every event that *worker* was at when it ended: its outcome is lost.

    It is gunicorn's hook of this name, and runs in the master, which is configured with the same directory of the
    flight recorder as the workers. `lost.reason` is "worker timed out", "graceful timeout passed", "out of memory",
    "killed by SIGSEGV" or "exited with code 3".
    """
    recorder = config.recorder()
    flight = recorder.flight
    if not isinstance(flight, Flight):
        sentence = (
            "gunicorn's master has no flight recorder, so that child_exit finds no lost events. In gunicorn.conf.py: "
            "wideevents.configure(service=..., flight=DIR), with the directory of the application."
        )
        report(Fault.SETTING, "child_exit", sentence)
        return
    ending = Ending.of(worker, callers())
    reason = OUT_OF_MEMORY if ending.is_unexplained and claims_memory(server) else ending.reason
    flight.recover(recorder, pid=worker.pid, reason=reason, **ending.fields)


def on_exit(server: Any) -> None:
    """
    See to it that workers which gunicorn has killed at the very end go through `child_exit`, too.

    It is gunicorn's hook of this name: the master does not wait for what it kills when the graceful time-out is over.
    """
    deadline = time.monotonic() + LAST_S
    with suppress(HaltServer):  # it halts
        while server.WORKERS and time.monotonic() < deadline:
            server.reap_workers()
            time.sleep(0.01)


def worker_abort(worker: Any) -> None:
    """
    Finish the events of a worker that is about to be killed by gunicorn's time-out: as failed, with their stacks.

    It is gunicorn's hook of this name, and runs in the worker. The exception is `WorkerTimeout`, and its traceback the
    code that the event hangs in. In a gevent worker that is the greenlet that keeps all others waiting; they go on.
    """
    frames = list(callers())
    handler = next((frame for frame in frames if frame.f_code.co_name in HANDLERS), frames[0])
    _tell(worker, handler.f_back)


def post_worker_init(worker: Any) -> None:
    """
    Let `worker_abort` be called at once in workers that wait for their event loop to do so: asgi, and uvicorn's.

    It is gunicorn's hook of this name. A loop that hangs handles no signal; a handler of Python's does. What stood
    there for SIGABRT is called afterwards; a `faulthandler.enable()` belongs after it.
    """
    before = signal.getsignal(signal.SIGABRT)
    if getattr(before, "__name__", None) in HANDLERS:  # gunicorn's own is one
        return

    def aborted(number: int, frame: FrameType | None) -> None:
        _tell(worker, frame)
        if callable(before):
            before(number, frame)
        else:
            signal.signal(number, before or signal.SIG_DFL)
            signal.raise_signal(number)

    signal.signal(signal.SIGABRT, aborted)


def _tell(worker: Any, interrupted: FrameType | None) -> None:
    recorder = config.recorder()
    answers, alone = isinstance(worker, SyncWorker), isinstance(worker, AsyncWorker)
    tell(recorder.in_progress.values(), interrupted, worker.cfg.timeout, answers=answers, alone=alone)
    recorder.pipeline.close()
