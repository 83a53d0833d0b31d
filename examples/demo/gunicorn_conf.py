"""Run the shop the way a small production does."""

from __future__ import annotations

workers = 2
worker_class = "gthread"
threads = 8
graceful_timeout = 10
control_socket_disable = True
