"""Set up the logging module, and undo it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeAlias

from wideevents.fields import USER_FIELDS
from wideevents.levels import Level
from wideevents.logs.hooks import Hooks
from wideevents.logs.lines import Loggers
from wideevents.logs.stdlib import Handler

Levels: TypeAlias = dict[str, tuple[int, int]]
"""By the name of a logger: the level that it had, and the one that it was given."""

Originals: TypeAlias = dict[str, Callable[..., Any]]
"""Methods of all loggers, by their names, as they were before they were wrapped."""

FORBIDDEN = frozenset({"message", "asctime"})
"""What the logging module takes from no `extra`, beside what every record has."""


class Takeover:
    """
    Make one handler of ours the one way out of the root logger.

    Only handlers that write to the console are replaced: the test runner's stay, and those of a file or a service.
    """

    def __init__(self, handler: Handler, loggers: Loggers) -> None:
        handler.is_last = True
        self._handler = handler
        self._loggers = loggers
        self._hooks = Hooks()
        self._before: list[logging.Handler] = []
        self._levels: Levels = {}
        self._originals: Originals = {}

    def install(self, former: Takeover | None = None) -> None:
        """
        Take over, or take over from *former*, which is undone; also again, after it was undone.

        Other threads may be logging: each of their lines goes to the handler of the one or of the other.
        """
        root = logging.getLogger()
        self._before, levels, originals = (root.handlers[:], {}, {}) if former is None else former.hand_over()
        self._hooks.install()
        self._levels = {}
        # The first of them: what another handler raises must not keep the line from being written.
        root.handlers[:] = [self._handler, *(each for each in self._before if not _replaced(each))]
        self._set_level("", self._loggers.level, levels)
        for name in self._loggers.debug:
            self._set_level(name, Level.DEBUG, levels)
        self._wrap("makeRecord", _taking_any_extra, originals)
        if self._loggers.debug:
            self._wrap("handle", self._keeping, originals)
        _give_back(levels, originals)

    def undo(self) -> None:
        """Give back what was taken; what somebody has changed since is theirs."""
        handlers, levels, originals = self.hand_over()
        logging.getLogger().handlers[:] = handlers
        _give_back(levels, originals)

    def hand_over(self) -> tuple[list[logging.Handler], Levels, Originals]:
        """Return what is to be given back, by whoever takes over from here: handlers, levels and methods."""
        self._hooks.undo()
        root = logging.getLogger()
        handlers = [each for each in root.handlers if each is not self._handler]
        if len(handlers) < len(root.handlers):
            replaced = [each for each in self._before if each in handlers or _replaced(each)]
            handlers = [*replaced, *(each for each in handlers if each not in replaced)]
        else:  # somebody has set up the root logger anew
            self._levels.pop("", None)
        return handlers, self._levels, self._originals

    def _wrap(self, name: str, wrapper: Callable[..., Any], before: Originals) -> None:
        """Wrap a method of all loggers; where somebody wraps ours later, theirs stays, and ours under it."""
        taken = name in before and _wraps(name, before[name])
        self._originals[name] = original = before[name] if taken else getattr(logging.Logger, name)
        setattr(logging.Logger, name, wrapper(original))
        if taken:
            del before[name]

    def _keeping(self, handle: Callable[..., None]) -> Callable[..., None]:
        """
        Keep lines below the level with their event before any handler sees them.

        Their loggers are enabled for our sake alone: nobody else's handler is to write them.
        """

        @wraps(handle)
        def keeping(logger: logging.Logger, record: logging.LogRecord) -> None:
            if not self._originals or not self._loggers.keeps(record.name, record.levelno):
                handle(logger, record)
            elif not logger.disabled and logger.filter(record):
                self._handler.keep(record)

        return keeping

    def _set_level(self, name: str, level: Level, before: Levels) -> None:
        logger = logging.getLogger(name)
        found, ours = before.pop(name, self._levels.get(name, (0, -1)))
        self._levels[name] = (found if logger.level == ours else logger.level, int(level))
        logger.setLevel(level)


def writes_to_console(handler: logging.Handler) -> bool:
    """Tell whether *handler* writes to standard output or error, as `logging.basicConfig` makes it."""
    if isinstance(handler, logging.FileHandler) or not isinstance(handler, logging.StreamHandler):
        return False
    own = getattr(handler, "stream", None)  # a subclass may open it later
    return own is not None and any(own is stream for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__))


def _give_back(levels: Levels, originals: Originals) -> None:
    """Set what nobody has changed, or taken over, as it was before."""
    for name, (before, ours) in levels.items():
        logger = logging.getLogger(name)
        if logger.level == ours:
            logger.setLevel(before)
    while originals:
        name, original = originals.popitem()
        if _wraps(name, original):
            setattr(logging.Logger, name, original)


def _wraps(name: str, original: Callable[..., Any]) -> bool:
    """Tell whether the method of all loggers is a wrapper right around *original*."""
    return getattr(getattr(logging.Logger, name), "__wrapped__", None) is original


def _replaced(handler: logging.Handler) -> bool:
    """Tell whether *handler* would write what ours writes once more; a dictConfig may have made one of ours."""
    return writes_to_console(handler) or isinstance(handler, Handler)


def _taking_any_extra(make_record: Callable[..., logging.LogRecord]) -> Callable[..., logging.LogRecord]:
    """
    Let `extra` have any key.

    The logging module raises KeyError for `name`, `module`, `args` and the like: in the middle of the application's
    work, and the line is gone.
    """

    @wraps(make_record)
    def taking_any_extra(  # noqa: PLR0913, PLR0917 - the logging module's own signature
        logger: logging.Logger,
        name: str,
        level: int,
        fn: str,
        lno: int,
        msg: object,
        args: Any,
        exc_info: Any,
        func: str | None = None,
        extra: Mapping[str, Any] | None = None,
        sinfo: str | None = None,
    ) -> logging.LogRecord:
        record = make_record(logger, name, level, fn, lno, msg, args, exc_info, func, None, sinfo)
        if extra is not None:
            attributes = record.__dict__
            if FORBIDDEN.isdisjoint(extra) and attributes.keys().isdisjoint(extra):
                attributes.update(extra)
            else:
                _add(attributes, extra)
        return record

    return taking_any_extra


def _add(attributes: dict[str, Any], extra: Mapping[str, Any]) -> None:
    for key in extra:
        taken = key in FORBIDDEN or key in attributes
        attributes[f"{USER_FIELDS}{key}" if taken else key] = extra[key]
