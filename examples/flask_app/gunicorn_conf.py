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
from wideevents import metrics  # noqa: E402
from wideevents.integrations import gunicorn  # noqa: E402
from wideevents.integrations.gunicorn import post_worker_init, worker_abort  # noqa: E402, F401 - hooks of gunicorn

FLIGHT = os.environ.get("SHOP_FLIGHT")

# The master's lines, too: it has not the application's own configure(). It finds what killed workers left in FLIGHT.
wideevents.configure(service="shop", flight=FLIGHT)

wsgi_app = "examples.flask_app:create_app()"
logger_class = "wideevents.integrations.gunicorn.Logger"
workers = 2
worker_class = "gthread"
threads = 8
graceful_timeout = 10
control_socket_disable = True


def child_exit(server: Any, worker: Any) -> None:
    """Forget the gauges of a worker that has ended, and tell what it was at if it was killed."""
    metrics.child_exit(server, worker)
    if FLIGHT:
        gunicorn.child_exit(server, worker)


def on_exit(server: Any) -> None:
    """Wait for workers that were killed at the end, and leave no counts behind: the next start begins at zero."""
    gunicorn.on_exit(server)
    shutil.rmtree(os.environ[COUNTS], ignore_errors=True)
