"""Load the application that a command is about, or tell why it cannot be."""

from __future__ import annotations

import sys
import traceback

from wideevents.doctor.applications import FORMS
from wideevents.doctor.places import seen_by_application
from wideevents.errors import ConfigurationError
from wideevents.legible import harmless

UNUSABLE = 2
"""The exit status for arguments that cannot be used, and for an application that cannot be loaded."""


def required(target: str | None, asked: str) -> str:
    """Return the *target* that was given; raise `ConfigurationError` with what is *asked* if none was."""
    if not target:
        raise ConfigurationError(f"{asked} Give --app {FORMS}.")
    return target


def refuse(command: str, error: Exception) -> int:
    """Tell why nothing was done, what the application's own code raised with its traceback; return the exit status."""
    cause = error.__cause__ if isinstance(error, ConfigurationError) else None
    if cause is not None:
        traceback.print_exception(type(cause), cause, seen_by_application(cause))
    sys.stderr.write(f"wideevents {command}: {harmless(str(error))}\n")
    return UNUSABLE
