"""Run Prometheus and Alertmanager, and be the pager that Alertmanager calls."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.integrations.servers import PATIENCE, eventually
from tests.parts import Part, ask, need, started

LISTENING = re.compile(r'msg="Listening on" address=(127\.0\.0\.1:\d+)')
"""Where both servers say which port they have found free."""


@dataclass(frozen=True)
class Call:
    """
    One alert of a notification.

    *receiver* is who was called, *status* firing or resolved, *arrived* in seconds since the epoch.
    """

    receiver: str
    status: str
    labels: dict[str, str]
    annotations: dict[str, str]
    arrived: float


@dataclass
class Webhook:
    """Take what Alertmanager posts: a receiver has the address `url(NAME)`."""

    port: int
    notifications: list[tuple[str, dict[str, Any], float]] = field(default_factory=list)

    def url(self, receiver: str) -> str:
        """Return the address at which *receiver* is called."""
        return f"http://127.0.0.1:{self.port}/{receiver}"

    def calls(self, receiver: str | None = None, status: str = "firing", **labels: str) -> list[Call]:
        """Return the alerts that came so far, those of *receiver* with *labels*."""
        calls = [
            Call(name, alert["status"], alert["labels"], alert["annotations"], arrived)
            for name, body, arrived in list(self.notifications)
            for alert in body["alerts"]
        ]
        return [
            call
            for call in calls
            if receiver in {None, call.receiver} and call.status == status and labels.items() <= call.labels.items()
        ]

    def call(self, receiver: str | None = None, status: str = "firing", **labels: str) -> Call:
        """Wait for an alert, and return it."""
        found: list[Call] = eventually(
            lambda: self.calls(receiver, status, **labels), f"{receiver or 'anybody'} to be called about {labels}"
        )
        return found[0]


@contextmanager
def webhook() -> Iterator[Webhook]:
    """Listen to what Alertmanager posts."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            hook.notifications.append((self.path.strip("/"), body, time.time()))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hook = Webhook(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield hook
        finally:
            server.shutdown()
            thread.join()


@dataclass
class Alertmanager:
    """A running Alertmanager."""

    part: Part
    address: str

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{self.address}"

    def alerts(self, **labels: str) -> list[dict[str, Any]]:
        """Return the alerts that it holds, those with *labels*."""
        return [each for each in ask(f"{self.url}/api/v2/alerts") if labels.items() <= each["labels"].items()]


@dataclass
class Prometheus:
    """A running Prometheus."""

    part: Part
    address: str

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{self.address}"

    def alerts(self, **labels: str) -> list[dict[str, Any]]:
        """Return the alerts that are pending or firing, those with *labels*."""
        found = ask(f"{self.url}/api/v1/alerts")["data"]["alerts"]
        return [each for each in found if labels.items() <= each["labels"].items()]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return what *expression* gives now."""
        found: list[dict[str, Any]] = ask(f"{self.url}/api/v1/query?{urlencode({'query': expression})}")["data"][
            "result"
        ]
        return found

    def stop(self) -> None:
        """Let it end as a service does that is updated; another one in its folder goes on with what it has stored."""
        self.part.process.terminate()
        self.part.process.wait(PATIENCE)


@contextmanager
def alertmanager(folder: Path, config: str | Path, port: int = 0, **environ: str) -> Iterator[Alertmanager]:
    """Run Alertmanager with a configuration, given as text or as a file; by default on a port that is free."""
    command = [need("alertmanager"), f"--config.file={written(folder / 'alertmanager.yml', config)}"]
    command += [f"--storage.path={folder / 'alertmanager'}", "--cluster.listen-address="]
    with started(folder, *command, f"--web.listen-address=127.0.0.1:{port}", **environ) as part:
        running = Alertmanager(part, address(part))
        part.once(lambda: ask(f"{running.url}/-/ready"), "Alertmanager to be ready")
        yield running


@contextmanager
def prometheus(folder: Path, config: str | Path) -> Iterator[Prometheus]:
    """Run Prometheus with a configuration, given as text or as a file; what it names is relative to *folder*."""
    command = [need("prometheus"), f"--config.file={written(folder / 'prometheus.yml', config)}"]
    command += [f"--storage.tsdb.path={folder / 'prometheus'}", "--web.listen-address=127.0.0.1:0"]
    with started(folder, *command) as part:
        running = Prometheus(part, address(part))
        part.once(lambda: "Server is ready to receive web requests" in part.said, "Prometheus to be ready")
        yield running


def written(path: Path, config: str | Path) -> Path:
    """Return the file of a configuration, which a text becomes at *path*."""
    if isinstance(config, str):
        path.write_text(config)
        return path
    return config


def address(part: Part) -> str:
    """Return where a server listens, as soon as it tells."""
    found: list[str] = part.once(lambda: LISTENING.findall(part.said), "an address")
    return found[0]


def scraping(targets: dict[str, str], alertmanager: str, *rules: Path) -> str:
    """
    Return a configuration of Prometheus that scrapes and evaluates every second, and sends alerts to *alertmanager*.

    *targets* are jobs and their addresses; the metrics are at /metrics.
    """
    jobs = [{"job_name": name, "static_configs": [{"targets": [target]}]} for name, target in targets.items()]
    return json.dumps(
        {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(path) for path in rules],
            "scrape_configs": jobs,
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
        }
    )
