"""Find lines that are lost, written twice, or written as text: what is wrong with loggers and handlers."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from logging.handlers import QueueHandler
from typing import Any

from wideevents.doctor.calls import Setup
from wideevents.doctor.findings import Finding, Illness, Severity, listed
from wideevents.doctor.handlers import (
    chain,
    described,
    is_ours,
    loggers,
    record,
    speaks,
    stream_of,
    takes,
    titled,
    writes_json,
)
from wideevents.levels import Level
from wideevents.logs import root as takeover
from wideevents.sinks.jsonlogger import LoggingSink

SERVERS = ("gunicorn", "uvicorn", "hypercorn")
SWITCHED_OFF = ("gunicorn.access", "uvicorn.access", "hypercorn.access", "werkzeug")
"""Loggers that are silenced on purpose: access lines are of no use beside events."""

ASKED = (logging.INFO, logging.ERROR)

DUPLICATE = Illness(
    "duplicate-handlers",
    Severity.ERROR,
    "Every record is written more than once: counts and alerts are wrong, and the bill is higher.",
    "Leave the handler to wideevents.configure(), and take the other one away: logger.handlers.clear(), or no "
    '"handlers" for that logger in the dictConfig.',
)
NOT_PROPAGATED = Illness(
    "not-propagated",
    Severity.ERROR,
    "Its records end there: info lines are nowhere, warnings and errors are bare text on standard error.",
    'Set propagate = True, or leave "propagate" out of the dictConfig.',
)
DISABLED = Illness(
    "disabled-loggers",
    Severity.ERROR,
    "What they log is nowhere, errors included. dictConfig and fileConfig do this to every logger that they do not "
    "name, unless they are told not to.",
    'Give "disable_existing_loggers": False to dictConfig, or disable_existing_loggers=False to fileConfig.',
)
HANDLER_MISSING = Illness(
    "handler-missing",
    Severity.ERROR,
    "Log lines are not where events are, and know nothing of their event; an error that is only logged alerts nobody.",
    "Configure the logging module first and call wideevents.configure() last, without basicConfig(force=True) or a "
    "dictConfig with a root after it.",
)
NOWHERE = Illness(
    "last-resort",
    Severity.WARNING,
    "The logging module's last resort serves: warnings and errors as bare text on standard error, and no info line.",
    "Let wideevents write log lines: wideevents.configure() without logging=False, at the start of the process.",
)
LEVEL = Illness(
    "level-swallows",
    Severity.ERROR,
    "Lines that are asked for are dropped before wideevents sees them.",
    "Give the level to wideevents.configure(level=...) or LOG_LEVEL alone, and set none on the root logger or its "
    "handlers afterwards; undo logging.disable() with logging.disable(logging.NOTSET).",
)
PLAIN = Illness(
    "plain-handler",
    Severity.WARNING,
    "Its lines are bare text among lines of JSON: no level, no event, a traceback is many lines, and an aggregator "
    "cannot read them.",
    "Take the handler away, and let the records go up to the root logger, where wideevents' handler writes them.",
)
SERVER = Illness(
    "server-handlers",
    Severity.WARNING,
    "The server's own lines, its errors among them, are bare text beside the lines of JSON.",
    "Give the server's logger the handler wideevents.integrations.logging.Handler.",
)
WAYS_OF_SERVERS = {
    "gunicorn.access": "Leave accesslog out: the event of a request says more than its access line.",
    "gunicorn": 'In the configuration of gunicorn: logger_class = "wideevents.integrations.gunicorn.Logger"',
    "uvicorn": "uvicorn.run(..., log_config=LOG_CONFIG), from wideevents.integrations.uvicorn; for the command line "
    "`python -m wideevents.integrations.uvicorn` writes the file for --log-config.",
}


def examine(level: Level, setups: Sequence[Setup], sinks: Sequence[object]) -> list[Finding]:
    """
    Return what is wrong with the logging module.

    *level* is the configured one, *setups* are the calls that are known to have set up the module, *sinks* those that
    are configured.
    """
    duplicates = _duplicates(_handed_to(sinks))
    known = {logger.name for logger, _ in duplicates}
    return [
        *_on_root(level, setups),
        *(DUPLICATE.found(what) for _, what in duplicates),
        *_not_propagated(),
        *_disabled(setups),
        *_plain(known),
    ]


def is_taken_over() -> bool:
    """Tell whether `wideevents.configure` has set up the logging module: it lets `extra` have any key."""
    maker: Any = logging.Logger.makeRecord
    while maker is not None:
        if getattr(maker, "__globals__", {}).get("__name__") == takeover.__name__:
            return True
        maker = getattr(maker, "__wrapped__", None)
    return False


def writes_here() -> bool:
    """Tell whether a record that arrives at the root logger has to be written where events go, perhaps by a queue."""
    there = logging.getLogger().handlers
    queued = is_taken_over() and any(isinstance(handler, QueueHandler) for handler in there)
    return queued or any(map(is_ours, there))


def _on_root(level: Level, setups: Sequence[Setup]) -> list[Finding]:
    root = logging.getLogger()
    there = listed([described(handler) for handler in root.handlers]) if root.handlers else "no handler"
    if is_taken_over() and not writes_here():
        culprit = f"; {setups[-1]}" if setups else ""
        return [HANDLER_MISSING.found(f"wideevents' handler is gone from the root logger, which has {there}{culprit}.")]
    if not root.handlers:
        return [NOWHERE.found("Nobody has given the root logger a handler.")]
    return _swallowed(root, level) if is_taken_over() else []


def _swallowed(root: logging.Logger, level: Level) -> list[Finding]:
    levels = [
        *([f"the root logger has the level {logging.getLevelName(root.level)}"] if root.level > level else []),
        *(
            f"wideevents' handler has the level {logging.getLevelName(handler.level)}"
            for handler in root.handlers
            if is_ours(handler) and handler.level > level
        ),
    ]
    if root.manager.disable >= level:
        levels.append(f"logging.disable({logging.getLevelName(root.manager.disable)}) is in force")
    return [LEVEL.found(f"{_sentence(each)}, above the configured {level.label}.") for each in levels]


def _duplicates(handed_to: set[str]) -> list[tuple[logging.Logger, str]]:
    """Return the loggers that have a handler by which a record is written once more, and what to say of it."""
    found = []
    for logger in loggers():
        mine = [handler for handler in logger.handlers if _shows(handler)]
        above = [
            (at, handler) for at in chain(logger) if at is not logger for handler in at.handlers if _shows(handler)
        ]
        asked = [record(logger, level) for level in ASKED if speaks(logger, level)]
        writers = [*mine, *(handler for _, handler in above)]
        if logger.name in handed_to or not mine or not any(_twice(writers, each) for each in asked):
            continue
        own = listed([described(handler) for handler in mine])
        what = f"{_sentence(titled(logger))} has {own}"
        if above:
            at, handler = above[0]
            what += f", and its records go on to {titled(at)}, where {described(handler)} writes them again"
        found.append((logger, f"{what}."))
    return found


def _shows(handler: logging.Handler) -> bool:
    return is_ours(handler) or stream_of(handler) is not None


def _twice(handlers: list[logging.Handler], asked: logging.LogRecord) -> bool:
    return sum(takes(handler, asked) for handler in handlers) > 1


def _not_propagated() -> list[Finding]:
    mute = [
        repr(logger.name)
        for logger in loggers()[1:]
        if not logger.propagate and not logger.handlers and speaks(logger) and logger.name not in SWITCHED_OFF
    ]
    if not mute:
        return []
    subject = f"The logger {mute[0]} does" if len(mute) == 1 else f"The loggers {listed(mute)} do"
    return [NOT_PROPAGATED.found(f"{subject} not propagate, and nobody has given a handler of its own.")]


def _disabled(setups: Sequence[Setup]) -> list[Finding]:
    names = [repr(logger.name) for logger in loggers() if logger.disabled and logger.name not in SWITCHED_OFF]
    if not names:
        return []
    names.sort(key=lambda name: not name.startswith(("'wideevents", "'py.")))
    culprit = next((f"; {setup}" for setup in reversed(setups) if setup.disables), "")
    subject = f"The logger {names[0]} is" if len(names) == 1 else f"The loggers {listed(names)} are"
    return [DISABLED.found(f"{subject} disabled{culprit}.")]


def _plain(known: set[str]) -> list[Finding]:
    """Return the loggers whose lines are text on a standard stream; those in *known* were told of already."""
    found = []
    for logger in loggers():
        plain = [described(each) for each in logger.handlers if _is_plain(each, logger)]
        if not plain or logger.name in known or not speaks(logger) or (_is_root(logger) and is_taken_over()):
            continue
        what = f"{_sentence(titled(logger))} has {listed(plain)}, which writes no JSON."
        server = logger.name.partition(".")[0]
        if server in SERVERS:
            ways = WAYS_OF_SERVERS
            found.append(SERVER.found(what, ways.get(logger.name) or ways.get(server)))
        else:
            found.append(PLAIN.found(what))
    return found


def _is_plain(handler: logging.Handler, logger: logging.Logger) -> bool:
    return not is_ours(handler) and stream_of(handler) is not None and not writes_json(handler, logger)


def _is_root(logger: logging.Logger) -> bool:
    return logger is logging.getLogger()


def _handed_to(sinks: Sequence[object]) -> set[str]:
    """Return the loggers that events are handed to: our own handler passes such lines by."""
    return {str(getattr(sink, "_to", "")) for sink in sinks if isinstance(sink, LoggingSink)}


def _sentence(words: str) -> str:
    return words[0].upper() + words[1:]
