"""
The errors that wideevents raises.

    WideEventsError
    └── ConfigurationError (also a ValueError)

Telemetry never breaks the work it watches: once the settings are accepted, nothing of this is raised any more.
"""

from __future__ import annotations


class WideEventsError(Exception):
    """Catch every error of this package by its one root."""


class ConfigurationError(WideEventsError, ValueError):
    """
    Refuse a setting where it is given.

    The message names the setting, the value that was given, and what is allowed.
    """

    @classmethod
    def of(cls, setting: str, value: object, allowed: str) -> ConfigurationError:
        """Word the refusal of *value* for *setting* in the one form that all of them have."""
        return cls(f"{setting}={value!r} cannot be used: it must be {allowed}.")
