"""Give a pytest suite the events that its code writes: the fixture `wide_events`."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from wideevents.testing import WideEvents


@pytest.fixture
def wide_events() -> Iterator[WideEvents]:
    """
    Catch the events of a test: `wide_events.one()` is the only one, as a dictionary.

    A test that leaves an event open, or adds a field outside any event, fails.
    """
    # Pytest imports plugins before it measures coverage: what is imported here, and not above, is measured.
    with import_module("wideevents.testing").capture() as events:
        yield events
