"""Run the shop the way a small production does: `gunicorn -c examples/flask_app/gunicorn_conf.py`."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import Any

COUNTS = "PROMETHEUS_MULTIPROC_DIR"

# Each worker counts for itself: they share a folder, which must be known before anything counts, and be empty at first.
# A reload reads this file again, and goes on with what was counted.
if COUNTS not in os.environ:
    os.environ[COUNTS] = tempfile.mkdtemp(prefix="shop-metrics-")

import wideevents  # noqa: E402 - prometheus_client reads the variable when it is imported
from wideevents.metrics import child_exit  # noqa: E402, F401 - a hook of gunicorn

wideevents.configure(service="shop")  # the master's lines, too: it has not the application's own configure()

wsgi_app = "examples.flask_app:create_app()"
logger_class = "wideevents.integrations.gunicorn.Logger"
workers = 2
worker_class = "gthread"
threads = 8
graceful_timeout = 10
control_socket_disable = True


def on_exit(_: Any) -> None:
    """Leave no counts behind: the next start begins at zero."""
    shutil.rmtree(os.environ[COUNTS], ignore_errors=True)
