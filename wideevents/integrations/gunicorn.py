"""The door for gunicorn's own log: what its master and its workers say are lines, in the one stream."""

from __future__ import annotations

import logging
from typing import Any

from wideevents import config
from wideevents.integrations._printed import Plain, capture
from wideevents.integrations.logging import Handler

try:
    from gunicorn import glogging  # type: ignore[import-untyped]
except ImportError as missing:
    raise ImportError(
        "wideevents.integrations.gunicorn needs gunicorn: pip install 'wideevents[gunicorn]'"
    ) from missing

STREAM = "-"
"""What gunicorn's settings call its own standard output or error."""


class Logger(glogging.Logger):  # type: ignore[misc]
    """
    Write what gunicorn says as lines, to where events go.

    In gunicorn.conf.py, where the first statement gives the lines of the master their service, which has not the
    application's own `configure()`; `OTEL_SERVICE_NAME` does, too:

        wideevents.configure(service="shop")
        logger_class = "wideevents.integrations.gunicorn.Logger"

    `--log-level` holds for gunicorn's lines. There is no access log, since the event replaces it; who wants one all the
    same gets its lines here by `--access-logfile -`. A file that somebody names, for `--access-logfile` or
    `--error-logfile`, is theirs: gunicorn writes it as it always does, and those lines are not in the stream. So it is
    with syslog and `--log-config`.

    What is printed in the master and the workers becomes lines, too: gunicorn prints why a worker did not boot. What it
    refuses before it has a logger, such as an option that it does not know, it tells in plain text.
    """

    def __init__(self, cfg: Any) -> None:
        config.prepare()
        super().__init__(cfg)
        capture()

    def _set_handler(self, log: logging.Logger, output: str | None, fmt: logging.Formatter, stream: Any = None) -> None:
        """Write to the stream by lines, and to a file as gunicorn does; it is called again on every reload."""
        super()._set_handler(log, None if output == STREAM else output, fmt, stream)
        if output == STREAM:
            log.addHandler(_Lines())


class _Lines(Handler):
    """Be what gunicorn replaces when it is reloaded: it looks for its mark. Some workers bring uvicorn's colours."""

    _gunicorn = True

    def __init__(self) -> None:
        super().__init__()
        self.addFilter(Plain())
