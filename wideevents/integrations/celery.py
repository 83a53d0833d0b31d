"""The door for Celery's own log: what its workers say are lines, and the root logger stays as it was configured."""

from __future__ import annotations

import logging
import sys
from logging.handlers import WatchedFileHandler
from typing import Any

from wideevents import config
from wideevents.integrations._printed import capture, is_captured
from wideevents.integrations.logging import JsonFormatter

try:
    from celery import signals  # type: ignore[import-untyped]
except ImportError as missing:
    raise ImportError("wideevents.integrations.celery needs Celery: pip install 'wideevents[celery]'") from missing

logger = logging.getLogger("celery.worker")

PROGRAM = "celery.apps.worker"
"""The module of the worker as a program, which is not imported for a process that only sends tasks."""


def keep_logging() -> None:
    """
    Keep Celery from setting up the logging module; call it in the module of the Celery application.

    A worker replaces the handlers of the root logger when it starts, and with them what `wideevents.configure()` has
    set up, whichever came first; so does beat. Now they leave it alone, and their lines go where events go.
    `--loglevel` holds for Celery's own loggers, those of `get_task_logger` among them; a file for `--logfile` is
    written in addition, line by line.

    What is printed becomes lines, too. A worker's banner is left out, as with `--quiet`, unless it is for a terminal;
    that of beat comes before it asks anybody, so that beat needs `celery --quiet`.
    """
    config.prepare()
    signals.setup_logging.connect(_set_up, weak=False, dispatch_uid=f"{__name__}.set_up")
    signals.celeryd_after_setup.connect(_quieten, weak=False, dispatch_uid=f"{__name__}.quieten")


def _set_up(loglevel: int | None = None, logfile: str | None = None, **_: Any) -> None:
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
