"""The door for uvicorn's own log: a `log_config` that makes lines of what the server says."""

from __future__ import annotations

import json
import sys
from typing import Any

from wideevents import config
from wideevents.integrations import logging
from wideevents.integrations._printed import Plain, capture

HANDLER = "wideevents.integrations.uvicorn.Handler"

LOG_CONFIG: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"default": {}, "access": {}},
    "handlers": {"wideevents": {"class": HANDLER}},
    "loggers": {
        "uvicorn": {"handlers": ["wideevents"], "level": "INFO", "propagate": False},
        "uvicorn.error": {"level": "INFO"},
        "uvicorn.access": {"handlers": [], "level": "INFO", "propagate": False},
    },
}
"""
What uvicorn takes: `uvicorn.run("app:app", log_config=LOG_CONFIG)`.

On the command line it takes a file, which `python -m wideevents.integrations.uvicorn > uvicorn.json` writes:
`uvicorn app:app --log-config uvicorn.json`, or `UVICORN_LOG_CONFIG=uvicorn.json`. The server's first lines are written
before the application is imported, and so before its `configure()`: `OTEL_SERVICE_NAME` gives them their service.

There is no access log, since the event replaces it; the formatters are there for `--use-colors`, which writes to them.
"""


class Handler(logging.Handler):
    """
    Write what uvicorn says as lines, to where events go.

    It configures the process if nobody has, and makes lines of what is printed: each of several workers is a process of
    its own, which prints why it did not start.
    """

    def __init__(self) -> None:
        config.prepare()
        super().__init__()
        self.addFilter(Plain())
        capture()


if __name__ == "__main__":
    sys.stdout.write(json.dumps(LOG_CONFIG, indent=2) + "\n")
