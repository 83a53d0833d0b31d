"""The door for the logging module: what a `dictConfig` names by its dotted path."""

from __future__ import annotations

import logging
from typing import Any

from wideevents import config
from wideevents.logs import stdlib


class JsonFormatter(stdlib.JsonFormatter):
    """
    Format a record as a line of wideevents, for any handler: to a file, to syslog, to a socket.

    In a `dictConfig`: `{"formatters": {"wide": {"()": "wideevents.integrations.logging.JsonFormatter"}}}`. It takes the
    options of python-json-logger for what a call adds; the names of the contract stay.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, logs=config.logs, **options)


class EventFilter(stdlib.EventFilter):
    """
    Tell the event in progress of every record, and write its ids on the record, for formatters of your own.

    In a `dictConfig`: `{"filters": {"wide": {"()": "wideevents.integrations.logging.EventFilter"}}}`.
    """

    def __init__(self, name: str = "") -> None:
        super().__init__(name, logs=config.logs)


class Handler(stdlib.Handler):
    """
    Write records as lines to where events go, as `wideevents.configure()` set it.

    In a `dictConfig`: `{"handlers": {"wide": {"class": "wideevents.integrations.logging.Handler"}}}`.
    """

    def __init__(self, level: int | str = logging.NOTSET) -> None:
        super().__init__(level, logs=config.logs)
