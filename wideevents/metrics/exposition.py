"""Show what was counted, in the formats that Prometheus reads: by WSGI, by ASGI, or on a port of its own."""

from __future__ import annotations

import os
from collections.abc import Iterable
from threading import Thread
from typing import TYPE_CHECKING, Any

import prometheus_client
from prometheus_client import REGISTRY, CollectorRegistry, make_asgi_app, make_wsgi_app
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from wideevents.health import Fault, report
from wideevents.metrics.stage import DIRECTORY

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

APART = (
    f"The page of the metrics shows one process, and several serve: every scrape meets another one, so that its "
    f"counters seem to jump and to fall. Set {DIRECTORY} to a directory that is emptied before the server starts: "
    f"then every page shows the sum."
)


def wsgi_app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """
    Be a WSGI application that answers with all metrics, wherever it is mounted.

    It shows prometheus_client's own registry, or the sum of all processes where they share a directory.
    """
    if environ.get("wsgi.multiprocess") and not os.environ.get(DIRECTORY):
        report(Fault.SETTING, "metrics", APART)
    page: Iterable[bytes] = make_wsgi_app(_shown())(environ, start_response)
    return page


async def asgi_app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Be an ASGI application that answers with all metrics, like `wsgi_app`."""
    await make_asgi_app(_shown())(scope, receive, send)


def start_http_server(
    port: int, addr: str = "127.0.0.1", registry: CollectorRegistry | None = None
) -> tuple[WSGIServer, Thread]:
    """
    Answer with all metrics on a port of its own, from a thread; return the server and the thread.

    For a process that serves nothing else, such as a worker of a queue. By default only this machine is answered;
    *addr* "0.0.0.0" answers everybody. Where processes share a directory, one of them is enough. Raise `OSError` for a
    port that is taken. To end it: `server.shutdown()`, `server.server_close()`.
    """
    return prometheus_client.start_http_server(port, addr, _shown(registry or REGISTRY))


def child_exit(_: object, worker: Any) -> None:
    """
    Forget the gauges of a worker that has ended; its counters stay in the sum.

    It is gunicorn's hook of this name: `from wideevents.metrics import child_exit` in gunicorn.conf.py is all it needs.
    """
    if os.environ.get(DIRECTORY):
        mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def _shown(registry: CollectorRegistry = REGISTRY) -> CollectorRegistry:
    """Return what is to be shown: a registry, or a fresh one that reads the files of all processes."""
    directory = os.environ.get(DIRECTORY)
    if not directory:
        return registry
    files = CollectorRegistry(support_collectors_without_names=True)
    MultiProcessCollector(files, directory)  # type: ignore[no-untyped-call]
    return files
