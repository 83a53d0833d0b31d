"""Say which events are written, where not all of them are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from wideevents import signatures
from wideevents.errors import ConfigurationError
from wideevents.events import Event
from wideevents.rates import LARGEST

LEAST = 0.0001
"""Lines a second below which there is no recent traffic to go by: it is one in three hours."""

RATE = f"a whole number from 1 to {LARGEST}, for one in so many"


@dataclass(frozen=True, slots=True)
class Dynamic:
    """
    Keep about so many lines of each key a second, in each process, however much traffic the key has.

    - *per_second*: lines of one key that are wanted, such as 5, or 0.1.
    - *keys*: how many keys are told apart; the rest is one together.

    The rate follows the traffic of the last seconds. A key that is new or was quiet is kept in full at first. Raise
    `ConfigurationError` for what cannot be used.
    """

    per_second: float = 1.0
    keys: int = 500

    def __post_init__(self) -> None:
        if not _is_number(self.per_second) or not self.per_second >= LEAST:
            raise ConfigurationError.of("per_second", self.per_second, f"a number of at least {LEAST}")
        if type(self.keys) is not int or not 1 <= self.keys <= 100_000:
            raise ConfigurationError.of("keys", self.keys, "a whole number from 1 to 100,000")


@dataclass(frozen=True, slots=True)
class Sampling:
    """
    Say which events are written: `wideevents.configure(sample=Sampling(rate=10))`.

    What speaks for itself is always kept: errors, warnings, failures, what was slow or asked for, and the first of its
    kind. Of the rest one in N stands for N: by the name of the event in *rates*, else by its route there, else by its
    key there, else *dynamic*, else *rate*. All services that are given the same N keep the same traces, and what is
    kept with a higher N is kept with a lower one.

    - *rate*: N for what nothing else is said of.
    - *rates*: N by the name of an event ("GET /healthz"), by a route ("/products/<int:id>"), or by the values of *by*:
      of one field the value, of several a tuple.
    - *by*: names of fields; their values make the key. By default the name of the event.
    - *dynamic*: an N that follows the traffic of each key, in place of *rate*.
    - *slow_ms*: milliseconds from which an event is slow, by its name or route; else its door says.
    - *firsts*: how many events of each name, and of each fingerprint of an error, a process keeps at its start.
    - *keep*: a function that takes an event, and tells whether it is kept; it reads `event.record`.
    - *secret*: what signs the header by which a request asks to be kept, at least 16 characters; of several the first
      signs, and all are good. By default `WIDEEVENTS_KEEP_SECRET`; () is none.

    Raise `ConfigurationError` for what cannot be used.
    """

    rate: int = 1
    rates: Mapping[Any, int] = field(default_factory=dict)
    by: tuple[str, ...] = ()
    dynamic: Dynamic | None = None
    slow_ms: Mapping[str, float] = field(default_factory=dict)
    firsts: int = 1
    keep: Callable[[Event], bool] | None = None
    secret: str | tuple[str, ...] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self._check_rates()
        self._check_dynamic()
        self._check_slow()
        if type(self.firsts) is not int or not 0 <= self.firsts <= 1_000:
            raise ConfigurationError.of("firsts", self.firsts, "a whole number from 0 to 1,000")
        if self.keep is not None and not callable(self.keep):
            raise ConfigurationError.of(
                "keep", self.keep, "a function that takes an event, and tells whether to keep it"
            )
        if self.secret is not None:
            object.__setattr__(self, "secret", signatures.checked(self.secret, "secret"))

    @classmethod
    def of(cls, given: object) -> Sampling | None:
        """Return what was *given* for `configure(sample=...)`: a number is a rate; None is none."""
        if given is None or isinstance(given, Sampling):
            return given
        if _is_rate(given):
            return cls(given)  # type: ignore[arg-type]
        raise ConfigurationError.of("sample", given, f"{RATE}, or a wideevents.sampling.Sampling")

    def _check_rates(self) -> None:
        if not _is_rate(self.rate):
            raise ConfigurationError.of("rate", self.rate, RATE)
        by, rates = self.by, self.rates
        if not isinstance(by, tuple) or not all(isinstance(name, str) and name for name in by):
            raise ConfigurationError.of("by", by, 'a tuple of names of fields, such as ("http.route", "plan")')
        if not isinstance(rates, Mapping):
            raise ConfigurationError.of("rates", rates, 'rates by name, route or key, such as {"GET /healthz": 100}')
        for key, rate in rates.items():
            if not isinstance(key, str) and len(by) != 1 and not (isinstance(key, tuple) and len(key) == len(by) > 1):
                wanted = f"keyed by a name, a route, or the values of by={by!r}, of several a tuple"
                raise ConfigurationError.of("rates", rates, wanted)
            if not _is_rate(rate):
                raise ConfigurationError.of(f"rates[{key!r}]", rate, RATE)

    def _check_dynamic(self) -> None:
        if self.dynamic is None:
            if self.by and not self.rates:
                raise ConfigurationError(f"by={self.by!r} is without effect: give it rates, or dynamic=Dynamic(), too.")
        elif not isinstance(self.dynamic, Dynamic):
            raise ConfigurationError.of("dynamic", self.dynamic, "a wideevents.sampling.Dynamic")
        elif self.rate != 1:
            raise ConfigurationError(
                f"rate={self.rate!r} is without effect beside dynamic, which finds its own: give one of the two."
            )

    def _check_slow(self) -> None:
        slow = self.slow_ms
        if not isinstance(slow, Mapping) or not all(isinstance(name, str) for name in slow):
            raise ConfigurationError.of("slow_ms", slow, 'milliseconds by name or route, such as {"/search": 300}')
        for name, milliseconds in slow.items():
            if not _is_number(milliseconds) or not milliseconds > 0:
                raise ConfigurationError.of(f"slow_ms[{name!r}]", milliseconds, "a number of milliseconds above 0")


def _is_rate(given: object) -> bool:
    return type(given) is int and 1 <= given <= LARGEST


def _is_number(given: object) -> bool:
    return type(given) is int or (type(given) is float and isfinite(given))
