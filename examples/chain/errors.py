"""The one error of the chain."""

from __future__ import annotations


class ChainError(Exception):
    """Say in one sentence what is missing or wrong."""
