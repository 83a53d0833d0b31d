"""Run what belongs to the application, whatever it raises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Raised:
    """Hold what was raised instead of a result."""

    error: BaseException


def attempt(work: Callable[[], T]) -> T | Raised:
    """Return what *work* gives, or what it raises: an application that is broken must not break who examines it."""
    try:
        return work()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - it is told, and not hidden
        return Raised(error)
