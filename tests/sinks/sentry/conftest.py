"""What the tests of the reports share: a Sentry on loopback, and a process that is configured to report to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

import wideevents
from tests.sinks.sentry import Inbox, inbox
from wideevents import config
from wideevents.sinks.memory import MemorySink
from wideevents.sinks.sentry import SentrySink

Configure = Callable[..., MemorySink]


@pytest.fixture
def sentry() -> Iterator[Inbox]:
    """Give a Sentry that takes every report."""
    with inbox() as server:
        yield server


@pytest.fixture
def configure() -> Iterator[Configure]:
    """Give what configures the process with a sink, and returns where its lines go; the sink is closed afterwards."""
    with ExitStack() as stack, config.kept():

        def configure(sink: SentrySink, **settings: Any) -> MemorySink:
            stack.callback(sink.close)
            memory = MemorySink()
            wideevents.configure(**{"service": "shop", "output": memory, "sentry": sink, "logging": False, **settings})
            return memory

        yield configure
