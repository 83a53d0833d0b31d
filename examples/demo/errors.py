"""The one error of the demo."""

from __future__ import annotations


class DemoError(Exception):
    """Say in one sentence what is missing or wrong."""
