"""Say how much a line matters, and whom it may wake."""

from __future__ import annotations

from enum import IntEnum, StrEnum

from wideevents.errors import ConfigurationError


class Urgency(StrEnum):
    """Tell when a person has to look."""

    PAGE = "page"
    BUSINESS_HOURS = "business_hours"
    NONE = "none"
    ON_REQUEST = "on_request"


class Level(IntEnum):
    """
    Order the four levels; the numbers are those of the logging module.

    A level is a promise about a person's time, which `urgency` spells out.
    """

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40

    @classmethod
    def parse(cls, level: str | int, setting: str = "level") -> Level:
        """
        Return the level that *level* names: ours, in any case, or the logging module's, or a number of it.

        Raise `ConfigurationError`, naming *setting*, for anything else.
        """
        given: object = level
        if isinstance(given, str):
            name = given.strip().upper()
            given = (
                ALIASES.get(name)
                or cls.__members__.get(name)
                or (int(name) if name.isdecimal() and len(name) < 5 else None)
            )
        if isinstance(given, int) and not isinstance(given, bool):
            return cls.from_number(given)
        raise ConfigurationError.of(setting, level, "debug, info, warning, error, or a number of the logging module")

    @classmethod
    def from_number(cls, number: int) -> Level:
        """Round a number of the logging module down: CRITICAL is error, a custom 25 is info, all below 20 is debug."""
        return next((level for level in reversed(cls) if number >= level), cls.DEBUG)

    @property
    def label(self) -> str:
        """The name as it stands in a line."""
        return LABELS[self]

    @property
    def urgency(self) -> Urgency:
        """What the level promises."""
        return URGENCY[self]


ALIASES = {"WARN": Level.WARNING, "CRITICAL": Level.ERROR, "FATAL": Level.ERROR}
"""What the logging module calls them, too."""

LABELS = {level: level.name.lower() for level in Level}

URGENCY = {
    Level.ERROR: Urgency.PAGE,  # page a person now
    Level.WARNING: Urgency.BUSINESS_HOURS,  # it waits for the morning, and is not lost
    Level.INFO: Urgency.NONE,  # the production record
    Level.DEBUG: Urgency.ON_REQUEST,  # staging, or when asked for
}
