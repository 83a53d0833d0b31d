"""Refuse what cannot be used where it is given, in a sentence."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, TypeVar

from wideevents.errors import ConfigurationError
from wideevents.levels import Level

T = TypeVar("T")

MIRROR = "mirror"
"""What `opentelemetry` is where the fields of an event are shown on its span."""


def instance(kind: type[T], given: T | None, name: str, called: str) -> T:
    """Return what was *given* for a setting that is a *kind*, which users know as *called*; its default for None."""
    if given is None:
        return kind()
    if not isinstance(given, kind):
        raise ConfigurationError.of(name, given, f"a {called}")
    return given


def check_texts(**texts: object) -> None:
    """Refuse what is no text, or empty."""
    for name, text in texts.items():
        if text is not None and (not isinstance(text, str) or not text.strip()):
            raise ConfigurationError.of(name, text, "text that is not empty")


def check_switches(**switches: object) -> None:
    """Refuse what is neither True nor False."""
    for name, switch in switches.items():
        if type(switch) is not bool:
            raise ConfigurationError.of(name, switch, "True or False")


def traced(given: object) -> bool | str:
    """Return whether OpenTelemetry's spans are looked at, or "mirror" where fields are shown on them, too."""
    if type(given) is bool or (isinstance(given, str) and given == MIRROR):
        return given
    raise ConfigurationError.of("opentelemetry", given, f'True, False, or "{MIRROR}"')


def emitted(given: Level | str | int | None) -> Level:
    """Return the level below which nothing is written: as given, else `LOG_LEVEL`, else info."""
    if given is not None:
        return Level.parse(given)
    return Level.parse(os.environ.get("LOG_LEVEL") or Level.INFO, setting="LOG_LEVEL")


def functions(stages: Iterable[Any]) -> tuple[Any, ...]:
    """Return the stages of the user's own; refuse what cannot be called."""
    given = tuple(stages) if isinstance(stages, Iterable) else (stages,)
    for function in given:
        if not callable(function):
            raise ConfigurationError.of(
                "stages", function, "functions that take an event and return it, or None to drop it"
            )
    return given


def identifiers(setting: str, names: object, called: str) -> tuple[str, ...]:
    """Return *names* as Python has them, which users know as *called*; refuse what is no collection of them."""
    several = isinstance(names, tuple | list | set | frozenset)
    if not several or not all(isinstance(name, str) and name.isidentifier() for name in names):  # type: ignore[attr-defined]
        raise ConfigurationError.of(setting, names, f"a tuple of {called}")
    return tuple(names)  # type: ignore[arg-type]
