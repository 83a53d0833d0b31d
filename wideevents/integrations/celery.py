"""The door for Celery: one event for every run of a task, and its workers' own lines in the one stream."""

from __future__ import annotations

import logging as stdlib
import sys
from collections.abc import Collection
from importlib.metadata import version
from typing import Any

from wideevents import config, settings
from wideevents.errors import ConfigurationError
from wideevents.integrations._celery import EVENT_ID, WATCHER, Watched, drawn_for, keep_logging, message_of, stopped
from wideevents.integrations._tasks import (
    FAILURE,
    IGNORED,
    REJECTED,
    RETRY,
    REVOKED,
    SENT_AT,
    SUCCESS,
    Endings,
    Run,
    Tasks,
    departing,
    known,
)

try:
    from celery import Celery, signals
    from celery.exceptions import Ignore, Reject, Retry
    from celery.utils.imports import symbol_by_name
except ImportError as missing:
    raise ImportError("wideevents.integrations.celery needs Celery: pip install 'wideevents[celery]'") from missing

__all__ = ["WideEvents", "keep_logging"]

ATTRIBUTE = "wideevents"
"""Where an application has its door, and the request of a task its run."""

LOGGERS = ("celery.app.trace", "celery.worker.request")
"""Who logs what has become of a task."""

TEMPLATE = {"framework.name": "celery", "framework.version": version("celery")}


class WideEvents:
    """
    Write one event for every run of a task: `WideEvents(app)`, in the module of the Celery application.

    It is for both sides: what sends a task tells it its trace and the event in progress, and what runs it, on any pool,
    carries on from there. A task that is run at once, by `apply()` or `task_always_eager`, has an event of its own
    inside its caller's; one that is called as a function is just called. Outcomes: `task.outcome`.

    - An exception is a failure, and an error; one that the task declares in `throws` is expected.
    - A retry is info, with the exception noted as handled: it is planned, and nobody's page. The attempt that is the
      last one fails. All attempts have the same parent: the event that sent the task.
    - `Ignore`, `Reject` and a revoked task are info.
    - A task whose process is killed, by its hard time limit or by the kernel, is an error. Its line is written by the
      main process of the worker. It has the fields that the task itself had added if there is a flight recorder,
      `configure(flight=...)` in the module of the application, and none of them otherwise.

    *quiet* are names of tasks whose events are of the level debug as long as they succeed faster than *slow_ms*. With
    *logging*, it does what `keep_logging` does. Raise `ConfigurationError` for a setting that cannot be used, and for
    a second door.
    """

    def __init__(self, app: Any, *, quiet: Collection[str] = (), slow_ms: float = 1_000, logging: bool = True) -> None:
        settings.check_switches(logging=logging)
        if not isinstance(app, Celery):
            raise ConfigurationError.of("app", app, "a Celery application")
        if hasattr(app, ATTRIBUTE):
            raise ConfigurationError(f"{app!r} has wideevents already: one WideEvents(app) is enough.")
        self._app, self._tasks, self._endings = app, Tasks(quiet, slow_ms, TEMPLATE), Endings()
        config.prepare()  # what is wrong with the defaults is told now, and threads are wrapped
        if logging:
            keep_logging()
        for name in LOGGERS:
            stdlib.getLogger(name).addFilter(known)
        setattr(app, ATTRIBUTE, self)
        signals.before_task_publish.connect(_depart, weak=False, dispatch_uid=f"{__name__}.depart")
        signals.worker_process_shutdown.connect(_close, weak=False, dispatch_uid=f"{__name__}.close")
        signals.worker_init.connect(self._watch, weak=False)
        signals.task_prerun.connect(self._begin, weak=False)
        signals.task_postrun.connect(self._end, weak=False)
        signals.task_revoked.connect(self._revoke, weak=False)

    def _serves(self, app: Celery) -> bool:
        """Tell whether *app* is the one; the process of a pool that is spawned has a copy of it, which has no door."""
        return app is self._app or (app.main == self._app.main and not hasattr(app, ATTRIBUTE))

    def _watch(self, sender: Any, **_: Any) -> None:
        """Let the worker's main process watch over the tasks that it gives away."""
        if self._serves(sender.app):
            for task in sender.app.tasks.values():
                base = symbol_by_name(task.Request)
                if not issubclass(base, Watched):
                    task.Request = type("Request", (Watched, base), {"tasks": self._tasks, "endings": self._endings})

    def _begin(self, task: Any, **_: Any) -> None:
        if self._serves(task.app):
            request = task.request
            event_id, inside = drawn_for(request), request.is_eager
            run = Run(self._tasks, message_of(task, request), event_id=event_id, inside=inside)
            vars(request)[ATTRIBUTE] = run, sys.exc_info()[1]
            run.enter()

    def _end(self, task: Any, retval: Any, state: str | None, **_: Any) -> None:
        """End a run: by what goes through it right now, or by what Celery says of it."""
        run, outer = vars(task.request).pop(ATTRIBUTE, (None, None))
        if run is None:
            return
        run.leave()
        raised = sys.exc_info()[1]
        if state is not None and (raised is None or raised is outer):
            raised = None if state == "SUCCESS" else retval
        if self._is_ours(task.request, raised) and self._endings.written.add(run.event.id):
            self._conclude(run, raised, task.throws or ())
        else:
            run.drop()  # the main process tells it

    def _is_ours(self, request: Any, raised: BaseException | None) -> bool:
        """
        Tell whether a line is written where the task ran.

        A process that is spawned, and not forked, shares no memory with the main one: if it is killed it cannot know
        whether that tells of it. It will.
        """
        ended = raised is None or isinstance(raised, Exception)
        return ended or request.get(WATCHER, self._endings.watcher) == self._endings.watcher

    def _conclude(self, run: Run, error: BaseException | None, throws: tuple[type[BaseException], ...]) -> None:
        if error is None:
            run.end(SUCCESS)
        elif isinstance(error, Retry):
            run.end(RETRY, error.exc)
        elif isinstance(error, Ignore | Reject):
            run.end(IGNORED if isinstance(error, Ignore) else REJECTED)
        elif isinstance(error, Exception):
            run.failed(error, expected=isinstance(error, throws))
            run.end(FAILURE)
        else:
            outcome, reason, signal = stopped(error)
            if run.event.id in self._endings.revoked:
                outcome, reason = REVOKED, None
            run.end(outcome, reason, signal=signal)

    def _revoke(self, sender: Any, request: Any, terminated: bool, **_: Any) -> None:
        """Tell of a task that was revoked, or had expired, before it could run."""
        if self._serves(sender.app) and not terminated:
            Run(self._tasks, message_of(sender, request), event_id=drawn_for(request)).end(REVOKED)


def _depart(headers: dict[str, Any], **_: Any) -> None:
    """
    Let a message carry the trace and the event in progress; what it carries already, stays.

    A retry has the headers of the attempt before, and so the same parent; the id of its event is its own.
    """
    headers.pop(EVENT_ID, None)
    headers.pop(WATCHER, None)
    carried = departing()
    headers.update({**carried, **headers, SENT_AT: carried[SENT_AT]})


def _close(**_: Any) -> None:
    """Let the sinks send what they hold: a pool's process ends without what Python does at its end."""
    config.recorder().pipeline.close()
