"""What is promised about a warning that waits for people: also a Prometheus that begins anew meanwhile keeps it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.alerts.generated import causes, hastened
from tests.integrations.servers import eventually
from tests.parts.alerting import Prometheus, prometheus, scraping
from wideevents.alerts import Alerts
from wideevents.alerts.rules import rules

COUNTED = b"""\
# TYPE wideevents_events_total counter
wideevents_events_total{service="shop",kind="request",level="warning",urgency="business_hours",route="/stock"} 1
# TYPE wideevents_lost_total counter
wideevents_lost_total{service="shop",sink="lines"} 1
"""

KEPT = {("WideEventsWarning", "/stock"), ("WideEventsLost", "")}
NOBODY = "127.0.0.1:9"


@contextmanager
def shop() -> Iterator[str]:
    """Be a shop in which everything has happened once, and return where it is."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(COUNTED)))
            self.end_headers()
            self.wfile.write(COUNTED)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def firing(watching: Prometheus) -> set[tuple[str, str]]:
    """Return the alerts that fire, and their routes."""
    labels = [each["labels"] for each in watching.alerts() if each["state"] == "firing"]
    return {(each["alertname"], each.get("route", "")) for each in labels}


class TestAWarning:
    def test_outlives_the_prometheus_that_has_seen_it(self, tmp_path: Path) -> None:
        """Its cause is over by then, and its process gone: only what Prometheus has stored can tell."""
        generated = hastened(rules(Alerts(), "shop"))
        path = tmp_path / "rules.json"
        path.write_text(json.dumps(generated))
        with ExitStack() as stack:
            config = scraping({"shop": stack.enter_context(shop())}, NOBODY, path)
            with prometheus(tmp_path, config) as watching:
                eventually(lambda: firing(watching) == KEPT, "the warnings to fire")
                stack.close()
                eventually(lambda: not any(map(watching.query, causes(generated))), "their causes to be over")
                assert firing(watching) == KEPT
                watching.stop()
        with prometheus(tmp_path, config) as again:
            eventually(lambda: firing(again) == KEPT, "the warnings to fire again")
            assert [again.query(cause) for cause in causes(generated)] == [[], []]
