"""What Celery's worker says by itself, and what it knows of a task whose process was killed."""

from __future__ import annotations

import logging
import re
import sys
from logging.handlers import WatchedFileHandler
from signal import Signals
from typing import Any

from wideevents import config
from wideevents.integrations._printed import capture, is_captured
from wideevents.integrations._tasks import FAILURE, LOST, REVOKED, Endings, Message, Run, Tasks
from wideevents.integrations.logging import JsonFormatter

try:
    from celery import signals
    from celery.app.task import Context
    from celery.exceptions import (
        TimeLimitExceeded,
        WorkerLostError,
        WorkerShutdown,
        WorkerTerminate,
    )
    from celery.utils.time import maybe_iso8601, maybe_make_aware
except ImportError as missing:
    raise ImportError("wideevents.integrations.celery needs Celery: pip install 'wideevents[celery]'") from missing

logger = logging.getLogger("celery.worker")

_event_id = re.compile("[0-9a-f]{16}").fullmatch

EVENT_ID, WATCHER = "wideevents-event-id", "wideevents-watcher"
"""What a worker adds to the headers of a message: the id of the event of this one run, and who watches over it."""

PROGRAM = "celery.apps.worker"
"""The module of the worker as a program, which is not imported for a process that only sends tasks."""

SIGNAL = re.compile(r"\((SIG[A-Z0-9+]+)\)")
"""How billiard tells which signal has ended a process: "signal 9 (SIGKILL)"."""


def keep_logging() -> None:
    """
    Keep Celery from setting up the logging module; call it in the module of the Celery application.

    A worker replaces the handlers of the root logger when it starts, and with them what `wideevents.configure()` has
    set up, whichever came first; so does beat. Now they leave it alone, and their lines go where events go.
    `--loglevel` holds for Celery's own loggers, those of `get_task_logger` among them; a file for `--logfile` is
    written in addition, line by line.

    What is printed becomes lines, too. A worker's banner is left out, as with `--quiet`, unless it is for a terminal;
    that of beat comes before it asks anybody, so that beat needs `celery --quiet`.

    `WideEvents(app)` does it, too.
    """
    config.prepare()
    signals.setup_logging.connect(set_up, weak=False, dispatch_uid=f"{__name__}.set_up")
    signals.celeryd_after_setup.connect(_quieten, weak=False, dispatch_uid=f"{__name__}.quieten")


def set_up(loglevel: int | None = None, logfile: str | None = None, **_: Any) -> None:
    """Stand in for Celery's set-up: it does nothing of it where somebody else does."""
    logging.getLogger("celery").setLevel(loglevel or logging.NOTSET)
    if logfile:
        handler = WatchedFileHandler(logfile, encoding="utf-8")
        handler.setFormatter(JsonFormatter())
        logging.getLogger().addHandler(handler)
    capture()


def _quieten(instance: Any, **_: Any) -> None:
    """Leave out the banner of a worker, and log what it says past `sys.stdout` when it is told to stop."""
    if is_captured():
        instance.quiet = True
        sys.modules[PROGRAM].safe_say = _say  # type: ignore[attr-defined]


def _say(message: str, *_: Any, **__: Any) -> None:
    logger.info("%s", message)


def drawn_for(request: Any) -> str | None:
    """Return the id that the worker has drawn for the event of this run; a header of somebody else's may be any."""
    found = request.get(EVENT_ID)
    return found if isinstance(found, str) and _event_id(found) else None


def message_of(task: Any, request: Any) -> Message:
    """Return what the *request* of a run tells of it."""
    eta = maybe_iso8601(request.eta)
    return Message(
        task.name,
        request.id,
        (request.delivery_info or {}).get("routing_key"),
        (request.retries or 0) + 1,
        None if eta is None else maybe_make_aware(eta, task.app.timezone).timestamp(),
        request.headers or {},
        task.run,
    )


def stopped(error: Any) -> tuple[str, BaseException | None, str | None]:
    """
    Return what it means that a task was left by *error*, which is no `Exception`: outcome, reason, and signal.

    A process of a pool that is told to end raises `SystemExit` in its task, of a code that no task gives itself; a
    greenlet is left by its time limit, or is killed.
    """
    left_by_time_limit: Any = getattr(sys.modules.get("gevent"), "Timeout", ())
    if isinstance(error, left_by_time_limit):
        return FAILURE, TimeLimitExceeded(error.seconds).with_traceback(error.__traceback__), None
    if isinstance(error, WorkerShutdown | WorkerTerminate):
        return LOST, error, None
    if not isinstance(error, SystemExit):
        return REVOKED, None, None
    code: Any = error.code
    try:
        signal = Signals(code + 256).name
    except (TypeError, ValueError):
        return FAILURE, error, None
    reason = WorkerLostError(f"Worker exited prematurely: {signal}.")
    return LOST, reason.with_traceback(error.__traceback__), signal


class Watched:
    """
    Note what becomes of a task whose process is killed: a mixin for the class of Celery's requests.

    It is in the worker's main process, and stands there for each message ("Custom task requests" in Celery's
    documentation). It draws the id of the event, which goes to the process that runs the task, so that a line that is
    written here has the id that the task's own calls out have told as their parent.
    """

    tasks: Tasks
    endings: Endings
    _takes_over = False
    _timed_out: Run | None = None

    # What Celery's own class has; this one stands before it.
    task: Any
    time_start: float | None
    worker_pid: int | None
    request_dict: dict[str, Any]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.event_id = self.request_dict[EVENT_ID] = config.recorder().ids.span_id()
        self.request_dict[WATCHER] = self.endings.watcher

    def terminate(self, pool: Any, signal: Any = None) -> None:
        """Kill the task, since somebody has revoked it."""
        self.endings.revoked.add(self.event_id)
        super().terminate(pool, signal)  # type: ignore[misc]

    def cancel(self, pool: Any, *args: Any, **options: Any) -> None:
        """Kill the task, since the connection is gone, and another worker is given its message."""
        self.endings.revoked.add(self.event_id)
        super().cancel(pool, *args, **options)  # type: ignore[misc]

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> None:
        """Take what went wrong; unless the task itself has returned it, its process is gone, and its event with it."""
        outer = super().on_failure  # type: ignore[misc]
        if return_ok:
            outer(exc_info, send_failed_event, return_ok)
            return
        run = self._open()
        error = getattr(exc_info.exception, "exc", exc_info.exception)
        revoked = self.event_id in self.endings.revoked
        if not revoked:
            run.failed(error)
        try:
            outer(exc_info, send_failed_event, return_ok)
        finally:
            run.leave()
            if isinstance(error, TimeLimitExceeded):
                self._timed_out = run  # on_timeout follows
            else:
                found = SIGNAL.search(str(error))
                outcome = FAILURE if isinstance(error, SystemExit) else LOST  # the task has left by itself
                self._close(run, REVOKED if revoked else outcome, signal=found and found[1])

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """Take that a time limit has passed; the soft one raises in the task, the hard one kills its process."""
        run = self._timed_out
        if run is None:
            run = self._open(takes_over=not soft)
        else:
            run.enter()
        try:
            super().on_timeout(soft, timeout)  # type: ignore[misc]
        finally:
            run.leave()
            self._close(run, FAILURE, None if run.event.errors else TimeLimitExceeded(timeout))

    def _open(self, *, takes_over: bool = True) -> Run:
        """
        Return the run, and enter it: what Celery logs here of the task belongs to its event.

        Who *takes over* writes its line, unless the process that ran it has done so. What that one has added is claimed
        at once: it may take a while until the backend has the result, and processes that start recover what they find.
        """
        self._takes_over = takes_over and self.endings.written.add(self.event_id)
        message = message_of(self.task, Context(self.request_dict))
        run = Run(self.tasks, message, event_id=self.event_id, began=self.time_start or 0.0, elsewhere=True)
        run.enter()
        if self._takes_over:
            run.claim(self.worker_pid)
        return run

    def _close(self, run: Run, outcome: str, error: BaseException | None = None, signal: str | None = None) -> None:
        if self._takes_over:
            run.end(outcome, error, signal=signal)
        else:
            run.drop()
