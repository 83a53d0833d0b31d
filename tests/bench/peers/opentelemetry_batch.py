"""Write spans of OpenTelemetry's SDK in a thread, in batches."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from tests.bench.events import Groups
from tests.bench.peers import opentelemetry

INSIDE = opentelemetry.INSIDE
WAITING = 100_000
"""More spans than a round makes: what finds the queue full is dropped."""

providers: list[TracerProvider] = []


def event(path: Path) -> Callable[[Groups], None]:
    providers.append(opentelemetry.provider(path, partial(BatchSpanProcessor, max_queue_size=WAITING)))
    return opentelemetry.spans(providers[-1])


def flush() -> None:
    """Write what waits: a round ends with its last line."""
    for provider in providers:
        provider.force_flush()
