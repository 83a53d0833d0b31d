"""Say which events are written, where not all of them are."""

from __future__ import annotations

from dataclasses import dataclass

from wideevents.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Sampling:
    """Keep one in *rate* of what nothing else speaks for."""

    rate: int = 1

    @classmethod
    def of(cls, given: object) -> Sampling | None:
        """Return what was *given* for `configure(sample=...)`: a number is a rate; None is none."""
        if given is None or isinstance(given, Sampling):
            return given
        if type(given) is int:
            return cls(given)
        raise ConfigurationError.of("sample", given, "a whole number, for one in so many, or a Sampling")
