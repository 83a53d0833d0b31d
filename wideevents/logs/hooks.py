"""Log what nobody caught: in the main thread, in other threads, in `__del__`; and warnings."""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import Any

from wideevents.values import text

logger = logging.getLogger("py.uncaught")
"""Named as the logging module names the logger of warnings: py.warnings."""

Hook = Callable[..., Any]


class Hooks:
    """
    Log what Python itself would print on standard error, where it is no line.

    A hook that somebody else has set is called, too; Python's own is not, since it would tell everything twice.
    """

    def __init__(self) -> None:
        self._before: dict[tuple[Any, str], Hook] = {}
        self._ours: dict[tuple[Any, str], Hook] = {}
        self._warnings = False

    def install(self) -> None:
        """Set the hooks."""
        self._set(sys, "excepthook", sys.__excepthook__, _uncaught)
        self._set(threading, "excepthook", threading.__excepthook__, _uncaught_in_thread)
        self._set(sys, "unraisablehook", sys.__unraisablehook__, _unraisable)
        self._warnings = not _captured()  # else somebody has captured them before, and it stays so
        if self._warnings:
            _let_go_of_warnings()  # after a `catch_warnings` the logging module believes that it has them still
            logging.captureWarnings(capture=True)

    def undo(self) -> None:
        """Set what was there before; where somebody has hooked in since, theirs stays, and ours under it is idle."""
        for (owner, name), hook in self._before.items():
            if getattr(owner, name) is self._ours[owner, name]:
                setattr(owner, name, hook)
        self._ours.clear()
        if self._warnings:
            _let_go_of_warnings()

    def _set(self, owner: Any, name: str, default: Hook, log: Hook) -> None:
        before = getattr(owner, name)

        def hook(*raised: Any) -> None:
            idle = self._ours.get((owner, name)) is not hook
            if idle or not log(*raised) or before is not default:
                before(*raised)

        self._before[owner, name], self._ours[owner, name] = before, hook
        setattr(owner, name, hook)


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> bool:
    """Log what ends the process, and tell whether it was; Ctrl-C is no error."""
    if issubclass(kind, KeyboardInterrupt):
        return False
    return _log(logging.ERROR, "Uncaught exception: %s", kind.__name__, exc_info=(kind, error, trace))


def _uncaught_in_thread(raised: threading.ExceptHookArgs) -> bool:
    """Log what ends a thread; SystemExit ends one silently, as Python has it."""
    kind, error, thread = raised.exc_type, raised.exc_value, raised.thread
    if issubclass(kind, SystemExit):
        return False
    name = thread.name if thread is not None else "unknown"
    exc_info = (kind, error, raised.exc_traceback) if error is not None else None
    return _log(logging.ERROR, "Uncaught exception in the thread %s: %s", name, kind.__name__, exc_info=exc_info)


def _unraisable(raised: Any) -> bool:
    """Log what could not be raised, in a `__del__` for example: a warning, since all goes on."""
    error, kind = raised.exc_value, raised.exc_type
    exc_info = (kind, error, raised.exc_traceback) if error is not None else None
    message = raised.err_msg or "Exception ignored in"
    return _log(logging.WARNING, "%s: %s", message, text(raised.object), exc_info=exc_info)


def _log(number: int, message: str, *args: object, exc_info: Any) -> bool:
    """Log it, and tell whether that was done: else it is Python's own hook that must tell it."""
    # A dictConfig disables all loggers that it does not name; nobody means the one that tells why a process ended.
    logger.disabled = False
    if not logger.isEnabledFor(number):
        return False
    try:
        logger.log(number, message, *args, exc_info=exc_info)
    except Exception:  # noqa: BLE001 - a broken filter of somebody's must not hide the error
        return False
    return True


def _let_go_of_warnings() -> None:
    """Have the logging module release warnings; who shows them since then goes on showing them."""
    theirs = None if _captured() else warnings.showwarning
    logging.captureWarnings(capture=False)
    warnings.showwarning = theirs or warnings.showwarning


def _captured() -> bool:
    """Tell whether the logging module has warnings now."""
    return getattr(warnings.showwarning, "__module__", None) == logging.__name__
