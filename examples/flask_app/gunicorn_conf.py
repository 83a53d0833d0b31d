"""Run the shop the way a small production does: `gunicorn -c examples/flask_app/gunicorn_conf.py`."""

from __future__ import annotations

import wideevents

wideevents.configure(service="shop")  # the master's lines, too: it has not the application's own configure()

wsgi_app = "examples.flask_app:create_app()"
logger_class = "wideevents.integrations.gunicorn.Logger"
workers = 2
worker_class = "gthread"
threads = 8
graceful_timeout = 10
control_socket_disable = True
