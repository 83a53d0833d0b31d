"""
The errors that wideevents raises.

    WideEventsError
    └── ConfigurationError (also a ValueError)

    WideError, which is yours to raise

Telemetry never breaks the work it watches: once the settings are accepted, nothing of this is raised any more.
"""

from __future__ import annotations

import copyreg
from typing import Any


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


class WideError(Exception):
    """
    Explain an error to whoever reads of it: `raise WideError("payment failed", status=402, why="...", fix="...")`.

    - *status*: the HTTP status that it should be answered with, 400 to 599.
    - *why*, *fix*, *link*: why it happened, what to do about it, and where to read more.
    - *code*: a stable name for it, which also is its `exception.slug`.
    - *expected*: it is worth knowing, and nobody's time: it pages nobody, whatever the status.
    - *fields* go to the event, and to nobody else.

    The message, *why*, *fix*, *link* and *code* are for everybody: a door may answer with them. A subclass may set them
    as class attributes. Any other exception with such attributes explains itself, too.
    """

    status: int | None = None
    why: str | None = None
    fix: str | None = None
    link: str | None = None
    code: str | None = None
    expected: bool = False
    fields: dict[str, Any]

    def __init__(
        self,
        message: str = "",
        /,
        *,
        status: int | None = None,
        why: str | None = None,
        fix: str | None = None,
        link: str | None = None,
        code: str | None = None,
        expected: bool | None = None,
        **fields: Any,
    ) -> None:
        super().__init__(message)
        given = {"status": status, "why": why, "fix": fix, "link": link, "code": code, "expected": expected}
        # What is not given is the class's; an instance attribute would hide that of a subclass.
        vars(self).update({name: value for name, value in given.items() if value is not None})
        self.fields = fields

    def __reduce__(self) -> tuple[Any, ...]:
        """Let a copy have everything, also in another process: a subclass may ask for other arguments than it keeps."""
        return copyreg.__newobj__, (type(self), *self.args), vars(self)  # type: ignore[attr-defined]
