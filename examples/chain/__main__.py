"""Run the chain, place an order, and show its trace: `python -m examples.chain`, from the root of the project."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from examples.chain import services, tree
from examples.chain.errors import ChainError
from examples.demo.errors import DemoError
from examples.demo.server import require

if TYPE_CHECKING:
    from examples.demo.lines import Line

NEEDED = ("celery", "fastapi", "flask", "gunicorn", "httpx", "redis", "requests", "uvicorn", "wideevents")
LINES = 5


def main() -> int:
    try:
        require(NEEDED)
        print("Starting redis, a worker of Celery, and three servers ...", flush=True)
        with TemporaryDirectory() as folder, services.running(Path(folder)) as chain:
            chain.probe()
            events = chain.events(LINES)
    except (ChainError, DemoError) as error:
        print(f"chain: {error}", file=sys.stderr, flush=True)
        return 1
    show(events)
    return 0


def show(events: list[Line]) -> None:
    traces = {event["trace.id"] for event in events}
    requests = {event["http.request.id"] for event in events if "http.request.id" in event}
    print(f"\n{len(events)} lines of {len(events)} processes, trace.id {', '.join(traces)}\n")
    for row in tree.rows(events):
        print(row)
    print(f"\nFrom the first server on they tell the same http.request.id, too: {', '.join(requests)}")


if __name__ == "__main__":
    sys.exit(main())
