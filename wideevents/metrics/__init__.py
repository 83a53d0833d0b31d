"""
Count events and log lines for Prometheus: every one, before anything is sampled or dropped.

`wideevents.configure(metrics=True)` counts; `wsgi_app`, `asgi_app` and `start_http_server` show what was counted. Where
several processes serve, each has its own numbers: `PROMETHEUS_MULTIPROC_DIR` names a directory that they share, which
must be empty when the server starts. In gunicorn.conf.py:

    from wideevents.metrics import child_exit
"""

from __future__ import annotations

try:
    import prometheus_client  # noqa: F401 - every room needs it, and here it is missed first
except ImportError as missing:
    raise ImportError("wideevents.metrics needs prometheus-client: pip install 'wideevents[prometheus]'") from missing

from wideevents.metrics.exposition import asgi_app, child_exit, start_http_server, wsgi_app
from wideevents.metrics.stage import Metrics

__all__ = ["Metrics", "asgi_app", "child_exit", "start_http_server", "wsgi_app"]
