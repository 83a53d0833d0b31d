"""Read the configuration of gunicorn as gunicorn does, set up the process by it, and find what breaks the lines."""

from __future__ import annotations

import os
import sys
from logging.handlers import QueueHandler
from pathlib import Path

from wideevents import config
from wideevents.doctor.attempts import Raised, attempt
from wideevents.doctor.findings import Finding, Illness, Severity, listed
from wideevents.doctor.handlers import loggers, titled
from wideevents.errors import ConfigurationError

try:
    from gunicorn.app.base import Application  # type: ignore[import-untyped]
except ImportError as missing:
    raise ImportError("--gunicorn needs gunicorn where the application is: pip install gunicorn") from missing

CAPTURED = Illness(
    "gunicorn-captures-output",
    Severity.ERROR,
    "gunicorn sends both standard streams into its error log: events are in that file, among gunicorn's own text, and "
    "not where lines are collected.",
    'Set capture_output = False, or errorlog = "-".',
)
PRELOADED = Illness(
    "preloaded-queue",
    Severity.ERROR,
    "The thread that takes records off the queue stays in gunicorn's master process: no worker writes a line.",
    "Set preload_app = False, or write lines without a queue: wideevents' handler needs none.",
)
UNREAPED = Illness(
    "flight-without-child-exit",
    Severity.WARNING,
    "What a worker was at when it was killed is told when gunicorn starts the next time, and without the reason.",
    "In gunicorn.conf.py: from wideevents.integrations.gunicorn import child_exit; a hook of your own calls it.",
)
BLIND = Illness(
    "child-exit-without-flight",
    Severity.WARNING,
    "The hook runs in gunicorn's master, which has not the application's own settings: it finds nothing to tell.",
    "In gunicorn.conf.py: wideevents.configure(service=..., flight=DIR), with the directory of the application.",
)

OURS = "wideevents.integrations.gunicorn"
OTHERS = frozenset({"gunicorn.config", "wideevents.metrics.exposition"})
"""Modules whose hooks tell nothing of lost events: gunicorn's own does nothing, and that of metrics forgets gauges."""


class Configuration(Application):  # type: ignore[misc]
    """
    Hold the configuration that gunicorn reads from *location*: a file, or `python:MODULE`; then from GUNICORN_CMD_ARGS.

    Raise `ConfigurationError` where it cannot be read.
    """

    def __init__(self, location: str) -> None:
        self._location = location
        self._captures = False
        super().__init__()

    def do_load_config(self) -> None:
        """Read it; gunicorn's own method ends the process where it cannot."""
        read = attempt(self._read)
        if isinstance(read, Raised):
            # gunicorn has printed what was raised, and exits
            reason = "its own code failed" if isinstance(read.error, SystemExit) else str(read.error).strip()
            told = f"gunicorn cannot read {self._location!r}: {reason}."
            raise ConfigurationError(told)

    def _read(self) -> None:
        self.load_default_config()
        self.load_config_from_file(self._location)
        given = vars(self.cfg.parser().parse_args(self.cfg.get_cmd_args_from_env()))
        for name, value in given.items():
            if value is not None and name != "args":
                self.cfg.set(name.lower(), value)
        self.cfg.validate()

    @property
    def target(self) -> str | None:
        """The application that is named there."""
        return self.cfg.wsgi_app or None

    def set_up(self) -> None:
        """
        Do what gunicorn does before it loads an application.

        No log file is opened, and no stream redirected: whoever examines may be somebody else than who serves.
        """
        cfg = self.cfg
        os.environ.update(cfg.env)
        self.chdir()
        sys.path[:0] = [str(Path(path).resolve()) for path in (cfg.pythonpath or "").split(",") if path]
        self._captures = cfg.capture_output and cfg.errorlog != "-"
        elsewhere = {name: os.devnull for name in ("errorlog", "accesslog") if getattr(cfg, name) not in {None, "-"}}
        for name, instead in {**elsewhere, "capture_output": False, "syslog": False}.items():
            cfg.set(name, instead)
        made = attempt(lambda: cfg.logger_class(cfg))
        if isinstance(made, Raised):
            error = made.error
            raise ConfigurationError(f"gunicorn's logger raised {type(error).__name__}: {error}.") from error

    def examine(self) -> list[Finding]:
        """Return what is wrong with the configuration, once the application is loaded."""
        found = []
        if self._captures:
            found.append(CAPTURED.found("capture_output is set, and errorlog is a file."))
        queued = [titled(each) for each in loggers() if any(isinstance(one, QueueHandler) for one in each.handlers)]
        if self.cfg.preload_app and queued:
            found.append(PRELOADED.found(f"preload_app is set, and a QueueHandler serves {listed(queued)}."))
        place, records = getattr(self.cfg.child_exit, "__module__", None), config.recorder().flight is not None
        if records and place in OTHERS:
            found.append(UNREAPED.found("There is a flight recorder, and child_exit is not ours."))
        if place == OURS and not records:
            found.append(BLIND.found("child_exit is ours, and there is no flight recorder in gunicorn.conf.py."))
        return found
