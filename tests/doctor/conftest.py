"""What the tests of the doctor share: a logging module that nobody has touched, and a healthy shop."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask

import wideevents
from wideevents import config, propagation
from wideevents.context import variable
from wideevents.doctor import Finding, examine
from wideevents.integrations.flask import WideEvents
from wideevents.sinks.memory import MemorySink


def everything() -> dict[str, object]:
    """Return what an examination has to leave as it was: the logging module, the streams, the settings."""
    loggers = {
        name: (list(logger.handlers), logger.level, logger.propagate, logger.disabled, list(logger.filters))
        for name, logger in [*logging.Logger.manager.loggerDict.items(), ("", logging.getLogger())]
        if isinstance(logger, logging.Logger) and name != "wideevents.doctor"
    }
    hooks = (sys.excepthook, sys.unraisablehook, logging.Logger.makeRecord, sys.getprofile())
    return {
        "loggers": loggers,
        "hooks": hooks,
        "streams": (sys.stdout, sys.stderr),
        "settings": (config.recorder(), config.logs(), variable.get()),
    }


def found(app: Any, path: str = "/", *, changes: bool = False) -> dict[str, Finding]:
    """
    Examine *app*, and return what was found by its slug.

    Fail if the process is not as it was, unless it is the application that *changes* it.
    """
    before = everything()
    findings = examine(app, path)
    assert changes or before == everything()
    assert len({finding.slug for finding in findings}) == len(findings), findings
    return {finding.slug: finding for finding in findings}


def alone() -> None:
    """Take the handlers of the test runner away, which no application has; it finds them again in the next test."""
    logging.getLogger().handlers.clear()


def shop(**settings: Any) -> Flask:
    """Build a healthy application: whatever is wrong with it afterwards was planted."""
    alone()
    wideevents.configure(**{"service": "shop", "output": MemorySink(), **settings})
    logging.getLogger("shop.stock")  # loggers are there before a request needs them
    app = Flask("shop")
    app.add_url_rule("/", "index", lambda: "welcome")
    WideEvents(app, quiet=("/healthz",))
    return app


def serving(view: Callable[[], Any], **settings: Any) -> Flask:
    """Build the same, which does *view* for a request."""
    app = shop(**settings)
    app.view_functions["index"] = view
    return app


@pytest.fixture(autouse=True)
def _fresh_logging() -> Iterator[None]:
    """Begin with loggers as Python makes them, whatever other tests have done, and put back what was there."""
    known = [each for each in logging.Logger.manager.loggerDict.values() if isinstance(each, logging.Logger)]
    names = set(logging.Logger.manager.loggerDict)
    loggers = [*known, logging.getLogger()]
    before = [(list(each.handlers), each.level, each.propagate, each.disabled, list(each.filters)) for each in loggers]
    disabled = logging.root.manager.disable
    for logger in loggers:
        logger.handlers[:], logger.filters[:], logger.propagate, logger.disabled = [], [], True, False
        logger.setLevel(logging.NOTSET if logger is not logging.root else logging.WARNING)
    with config.kept():
        yield
    for logger, state in zip(loggers, before, strict=True):
        logger.handlers[:], level, logger.propagate, logger.disabled, logger.filters[:] = state
        logger.setLevel(level)
    for name in set(logging.Logger.manager.loggerDict) - names:
        planted = logging.Logger.manager.loggerDict[name]
        if isinstance(planted, logging.Logger):
            planted.handlers[:], planted.propagate, planted.disabled = [], True, False
            planted.setLevel(logging.NOTSET)
    logging.disable(disabled)
    propagation.install(variable)
