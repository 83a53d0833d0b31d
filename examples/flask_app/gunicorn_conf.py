"""Run the shop the way a small production does: `gunicorn -c examples/flask_app/gunicorn_conf.py`."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import Any

# Each worker counts for itself: they share a folder, which must be known before anything counts, and be empty.
os.environ["PROMETHEUS_MULTIPROC_DIR"] = counts = tempfile.mkdtemp(prefix="shop-metrics-")

import wideevents
from wideevents.metrics import child_exit  # noqa: F401 - a hook of gunicorn

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
    shutil.rmtree(counts, ignore_errors=True)
