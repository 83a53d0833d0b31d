"""One wide event per transaction: built while it runs, written once, as one line of JSON, when it has really ended."""

from __future__ import annotations

from wideevents._version import __version__ as __version__
from wideevents.batches import batch
from wideevents.config import configure
from wideevents.context import add_error, add_field, add_fields, append, carry, current, increment, keep, timer
from wideevents.entries import Entry
from wideevents.errors import ConfigurationError, WideError, WideEventsError
from wideevents.events import Event
from wideevents.levels import Level
from wideevents.redaction import Redaction
from wideevents.stages.encode import Limits
from wideevents.transactions import event

__all__ = [
    "ConfigurationError",
    "Entry",
    "Event",
    "Level",
    "Limits",
    "Redaction",
    "WideError",
    "WideEventsError",
    "add_error",
    "add_field",
    "add_fields",
    "append",
    "batch",
    "carry",
    "configure",
    "current",
    "event",
    "increment",
    "keep",
    "timer",
]
