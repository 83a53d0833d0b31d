"""Know what must be in the line of an event, by what was done to it: a model that is too simple to be wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from wideevents import Level

HIDDEN = "[redacted]"
PREFIX = "model."
"""How the names begin that the model answers for; nothing else in an event is called so."""

SECRET = ("password", "token")
"""Last segments of names whose values are hidden."""

SIXTY_FOUR_BITS = 2**63 - 1


class Time:
    """Stand for a duration: any number of milliseconds that is none below zero."""

    def __eq__(self, other: object) -> bool:
        return type(other) is float and other >= 0

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "<some time>"


TIME = Time()


@dataclass
class Model:
    """Hold one event."""

    id: str
    trace: str
    parent: str | None
    kind: str
    fields: dict[str, Any] = field(default_factory=dict)
    errors: list[BaseException] = field(default_factory=list)
    handled: bool = True
    standing: str = ""
    odd_errors: bool = False
    level: Level = Level.INFO
    outcome: str = "success"
    counts: dict[str, int] = field(default_factory=dict)
    exit: dict[str, Any] = field(default_factory=dict)

    def put(self, key: str, value: Any) -> int:
        """Let the last value win, and None remove; return how many fields it was, for those that come too late."""
        leaves = flat(key, value)
        for name, leaf in leaves:
            if leaf is None:
                self.fields.pop(name, None)
            else:
                self.fields[name] = leaf
        return sum(leaf is not None for _, leaf in leaves)

    def add(self, key: str, amount: Any) -> None:
        """Let a counter add up."""
        if hides(key):
            self.fields[key] = HIDDEN
        else:
            self.fields[key] = total(self.fields.get(key, 0), amount)

    def append(self, key: str, value: Any) -> None:
        """Let a list grow."""
        items = self.fields.setdefault(key, [])
        if type(items) is not list:
            items = self.fields[key] = [items]
        shown = HIDDEN if hides(key) and value is not None and type(value) is not bool else copy(value)
        items.append(shown)

    def time(self, key: str, _: None = None) -> None:
        """Let a step be timed."""
        self.fields[f"{key}.duration_ms"] = TIME
        self.add(f"{key}.count", 1)

    def fail(self, error: BaseException, level: Level, *, handled: bool, expected: bool) -> None:
        """Note an exception: the first stands on the event, and an unhandled one in its place."""
        known = any(each is error for each in self.errors)
        if not known:
            self.errors.append(error)
        first = len(self.errors) == 1 and (not known or not handled)
        if first or (not handled and self.handled):
            self.handled, self.standing = handled, str(error)
        if not handled:
            self.outcome = "failure"
        if not expected:
            self.level = max(self.level, level)

    def logged(self, level: Level) -> None:
        """Count a log line of the event."""
        if level >= Level.WARNING:
            self.counts[f"log.count.{level.label}"] = self.counts.get(f"log.count.{level.label}", 0) + 1
            self.level = max(self.level, level)

    def expected(self) -> dict[str, Any]:
        """Return the fields that the line must have; a scalar beside its branches makes way."""
        made = dict(self.fields)
        for name in self.fields:
            if any(other.startswith(f"{name}.") for other in self.fields):
                made[f"{name}.value"] = made.pop(name)
        return made

    def wrong(self, line: dict[str, Any]) -> dict[str, Any]:
        """Return what is in the *line* and should be otherwise; what was cut, it names."""
        cut = line.get("event.trimmed", [])
        expected = self.expected() | self.counts | self.exit | self.own()
        actual = {name: value for name, value in line.items() if name.startswith(PREFIX)}
        names = expected.keys() | actual.keys()
        many = any(name.startswith("+") for name in cut)
        return {
            name: (line.get(name), expected.get(name))
            for name in names
            if not same(line.get(name), expected.get(name)) and name not in cut and not (many and name not in line)
        }

    def own(self) -> dict[str, Any]:
        """Return the fields that are not the user's."""
        own: dict[str, Any] = {"event.id": self.id, "trace.id": self.trace, "event.kind": self.kind}
        if self.parent is not None:
            own["parent.id"] = self.parent
        if not self.odd_errors:
            own |= {"level": self.level.label, "outcome": self.outcome}
            own |= {"error.count": len(self.errors) or None}
            if self.errors:
                own |= {"exception.handled": self.handled, "exception.message": self.standing}
        return own


def hides(key: str) -> bool:
    """Tell whether the value of *key* is hidden."""
    return key.rpartition(".")[2] in SECRET


def flat(key: str, value: Any) -> list[tuple[str, Any]]:
    """Return the fields that a value gives."""
    if value is None or type(value) is bool:
        return [(key, value)]
    if hides(key):
        return [(key, HIDDEN)]
    if type(value) is not dict:
        return [(key, copy(value))]
    leaves = [pair for name, each in value.items() for pair in flat(f"{key}.{name}", each) if pair[1] is not None]
    return leaves if value else [(key, "{}")]


def copy(value: Any) -> Any:
    """Return what stands in the line for a value."""
    kind = type(value)
    if kind is str:
        return value.encode("utf-8", "backslashreplace").decode()
    if kind is float and not isfinite(value):
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    if kind is int and not -SIXTY_FOUR_BITS - 1 <= value <= SIXTY_FOUR_BITS:
        return str(value)
    if kind in {list, tuple}:
        return [copy(each) for each in value]
    if kind is dict:
        return {name: HIDDEN if secret(name, each) else copy(each) for name, each in value.items()}
    return value


def secret(name: str, value: Any) -> bool:
    """Tell whether a member of a mapping is hidden."""
    return hides(name) and value is not None and type(value) is not bool


def total(before: Any, amount: Any) -> Any:
    """Return the sum of a counter: what is no number counts as none, and a whole sum beyond 64 bits is a float."""
    number = bounded(amount) if type(amount) in {int, float} and amount - amount == 0 else 0
    if type(before) not in {int, float}:
        return number
    return bounded(before + number)


def bounded(number: float) -> int | float:
    """Return a number that a line can hold."""
    return number if -SIXTY_FOUR_BITS <= number <= SIXTY_FOUR_BITS else float(number)


def same(actual: Any, expected: Any) -> bool:
    """Compare, and tell 1 from True and from 1.0."""
    return bool(actual == expected) and (expected is TIME or type(actual) is type(expected))
