"""The door for RQ: a worker that writes one event for every run of a job, and a queue that tells it its trace."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Collection
from importlib.metadata import version
from typing import Any

from wideevents import config
from wideevents.integrations._rq import (
    KEY,
    RETRIES,
    loaded,
    message_of,
    name_of,
)
from wideevents.integrations._tasks import (
    FAILURE,
    LOST,
    RETRY,
    REVOKED,
    SUCCESS,
    Marks,
    Run,
    Tasks,
    departing,
    known,
)

try:
    import rq
    from rq.job import Job, JobStatus
except ImportError as missing:
    raise ImportError("wideevents.integrations.rq needs RQ: pip install 'wideevents[rq]'") from missing

LOGGER = "rq.worker"

TEMPLATE = {"framework.name": "rq", "framework.version": version("rq")}
AT_ONCE = Tasks(template=TEMPLATE)


class WorkHorseKilledError(Exception):
    """The process that ran a job, its work horse, was killed by a *signal*, or ended by itself."""

    def __init__(self, status: int) -> None:
        self.signal = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else None
        super().__init__(f"The work horse ended with {self.signal or os.waitstatus_to_exitcode(status)}.")


class RetriesExceededError(Exception):
    """A job has returned a `Retry`, and has had all of them."""


class Queue(rq.Queue):
    """
    Be a queue whose jobs carry on the trace: `from wideevents.integrations.rq import Queue`.

    The event in progress is the parent of the job's, of every attempt at it. What a queue of RQ's own sends begins a
    trace of its own. With `is_async=False`, a job has an event of its own inside its caller's.
    """

    def create_job(self, *args: Any, **options: Any) -> Job:
        """Create a job that knows its trace; every way to send one goes through here."""
        job = super().create_job(*args, **options)
        job.meta = {**job.meta, KEY: {**departing(), RETRIES: job.retries_left or 0}}
        return job

    def run_job(self, job: Job) -> Job:
        """Run a job at once, where the queue is not asynchronous."""
        run = Run(AT_ONCE, message_of(job), inside=True)
        run.enter()
        error: BaseException | None = None
        try:
            return super().run_job(job)
        except BaseException as raised:
            error = raised
            raise
        finally:
            run.leave()
            run.end(SUCCESS if error is None else FAILURE, error)


class WideEvents:
    """
    Write one event for every run of a job: what makes a worker of any class one of ours.

    `Worker` and `SimpleWorker` are made of it: `rq worker --worker-class wideevents.integrations.rq.Worker`. Outcomes:
    `task.outcome`.

    - An exception is a failure, and an error, a `JobTimeoutException` too. If the job is tried again it is info, with
      the exception noted as handled: it is planned, and nobody's page. The attempt that is the last one fails.
    - A job that somebody stops is info.
    - A job whose work horse is killed is an error. Its line is written by the worker. It has the fields that the job
      itself had added if the worker has a flight recorder, `configure(flight=...)`, and none of them otherwise.

    *quiet* are names of functions whose events are of the level debug as long as they succeed faster than *slow_ms*:
    set them in a class of your own. A worker raises `ConfigurationError` for a setting that cannot be used.
    """

    quiet: Collection[str] = ()
    slow_ms: float = 1_000

    # What RQ's own class has; this one stands before it.
    is_horse: bool
    horse_pid: int
    _run: Run

    def __init__(self, *args: Any, **options: Any) -> None:
        self._tasks = Tasks(self.quiet, self.slow_ms, TEMPLATE)
        self._written = Marks()
        self._event_id: str | None = None
        self._error: BaseException | None = None
        self._killed: int | None = None
        self._horse: int | None = None
        config.prepare()  # what is wrong with the defaults is told now, and threads are wrapped
        logging.getLogger(LOGGER).addFilter(known)
        super().__init__(*args, **options)

    def execute_job(self, job: Job, queue: rq.Queue) -> None:
        """Give a job to a work horse, and tell what becomes of one that is killed."""
        run = Run(self._tasks, message_of(job), elsewhere=True)
        self._event_id, self._error, self._killed, self._horse = run.event.id, None, None, None
        run.enter()  # what RQ logs of it belongs to the event
        try:
            super().execute_job(job, queue)  # type: ignore[misc]
        except SystemExit:  # a cold shutdown, which kills the horse first
            self._killed = self._killed or signal.SIGKILL
            raise
        finally:
            run.leave()
            self._account_for(run, job)

    def perform_job(self, job: Job, *rest: Any) -> bool:
        """Run a job, in the work horse, or where there is none."""
        run = self._run = Run(self._tasks, message_of(job), event_id=self._event_id)
        run.enter()
        try:
            done: bool = super().perform_job(job, *rest)  # type: ignore[misc]
        except BaseException as raised:
            self._error = self._error or raised
            raise
        finally:
            run.leave()
            self._written.add(run.event.id)
            run.event.handler = loaded(run.name)
            run.end(*self._outcome(job))
            if self.is_horse:
                config.recorder().pipeline.close()  # it ends without what Python does at the end of a process
        return done

    def monitor_work_horse(self, *args: Any) -> None:
        """Wait for a work horse; RQ forgets which one it was."""
        self._horse = self.horse_pid
        super().monitor_work_horse(*args)  # type: ignore[misc]

    def handle_execution_ended(self, *args: Any) -> None:
        """Stop the clock; what RQ stores, and the callbacks of the job, are no time of its own."""
        self._run.ended()
        super().handle_execution_ended(*args)  # type: ignore[misc]

    def handle_exception(self, job: Job, *exc_info: Any) -> None:
        """Take what a job raised; whether it is tried again is not known yet."""
        self._error = exc_info[1]
        super().handle_exception(job, *exc_info)  # type: ignore[misc]

    def handle_work_horse_killed(self, job: Job, retpid: Any, ret_val: Any, rusage: Any) -> None:
        """Take how a work horse ended, as `os.wait` tells it; None is one that RQ has killed for its time."""
        self._killed = signal.SIGKILL if ret_val is None else ret_val
        super().handle_work_horse_killed(job, retpid, ret_val, rusage)  # type: ignore[misc]

    def _outcome(self, job: Job) -> tuple[str, BaseException | None]:
        status = job.get_status(refresh=False)
        if status in {JobStatus.QUEUED, JobStatus.SCHEDULED}:
            return RETRY, self._error
        if status == JobStatus.FAILED or self._error is not None:
            return FAILURE, self._error or RetriesExceededError(f"{name_of(job)} was tried as often as it may be.")
        return SUCCESS, None

    def _account_for(self, run: Run, job: Job) -> None:
        """Write the line of a job that could not write it, or let go of it."""
        stopped = job.get_status(refresh=False) == JobStatus.STOPPED
        if (self._killed is None and not stopped) or not self._written.add(run.event.id):
            run.drop()
        elif self._killed is None:
            run.claim(self._horse)
            run.end(REVOKED)
        else:
            run.claim(self._horse)
            error = WorkHorseKilledError(self._killed)
            run.end(LOST, error, signal=error.signal)


class Worker(WideEvents, rq.Worker):
    """Run every job in a work horse, a process of its own."""


class SimpleWorker(WideEvents, rq.SimpleWorker):
    """Run the jobs in the process of the worker."""
