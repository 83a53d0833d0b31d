"""Take what werkzeug's development server logs: without colours, and no line for a request that has an event."""

from __future__ import annotations

import logging
import threading

from wideevents.integrations._printed import Plain, has_taken_over
from wideevents.logs.root import writes_to_console

SOCKET = "werkzeug.socket"
"""Key of the environ that tells the development server from others."""

REQUEST_LINE = '"%s" %s %s'
"""How the message ends that the server logs for every request, with its first line, the status and the size."""


class _Thread(threading.local):
    """Remember that the request this thread serves has an event."""

    followed = False


_thread = _Thread()


class RequestLines(Plain):
    """
    Drop the server's line for a request that a door of ours follows: it says what the event says.

    What else the server logs stays: the banner, errors, and requests that never came to a door. While the root logger
    is left alone (`configure(logging=False)`), so is this one.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether *record* is to be written; the line of a request comes once, with the head of the response."""
        if not has_taken_over():
            return True
        if _thread.followed and str(record.msg).endswith(REQUEST_LINE):
            _thread.followed = False
            return False
        return super().filter(record)


REQUEST_LINES = RequestLines()


def install() -> None:
    """Filter what the server logs, once; its own handler is removed, which it makes when it logs before `configure`."""
    logger = logging.getLogger("werkzeug")
    logger.addFilter(REQUEST_LINES)
    if has_taken_over():
        for handler in filter(writes_to_console, tuple(logger.handlers)):
            logger.removeHandler(handler)


def follow() -> None:
    """Note that the request which this thread serves has an event."""
    _thread.followed = True
