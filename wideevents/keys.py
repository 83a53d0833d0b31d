"""Judge a key once: what it is called in the line, and whether its value may be seen."""

from __future__ import annotations

from _thread import RLock  # what threading.RLock() returns, without the call of a Python function around it
from collections.abc import Iterator
from typing import Any, NamedTuple

from wideevents import fields, health
from wideevents.forks import renew_in_child
from wideevents.health import Fault
from wideevents.redaction import MARKER, Redaction
from wideevents.values import flatten, text

KNOWN_LIMIT = 4_096
"""Keys remembered; an application that invents keys as it goes pays for its judgements, not with memory."""

KEY_LENGTH = 200

UNKNOWN = ""
"""Stands among the crossed names for all that are not remembered; no field is called so."""


class Verdict(NamedTuple):
    """Say how a key is written."""

    name: str
    hidden: bool
    reserved: bool


class Keys:
    """
    Remember the verdicts on the keys that one recorder has seen.

    `plain` holds the keys that need no care at all: finding a key there is the one look-up of the hot path. `clean`
    holds texts in which no secret was found: most texts of a service come again and again, and are looked at once.
    `lock` is that of the events: one for all of them costs less than one for each, and is held for a moment only.
    """

    __slots__ = (
        "__weakref__",
        "_branches",
        "_names",
        "_ours",
        "_verdicts",
        "clean",
        "crossed",
        "lock",
        "plain",
        "redaction",
    )

    def __init__(self, redaction: Redaction) -> None:
        self.redaction = redaction
        self.plain: set[str] = set()
        self.clean: set[str] = set()
        self._verdicts: dict[str, Verdict] = {}
        self._names: set[str] = set(fields.NAMES)
        self._branches = {branch for name in fields.NAMES for branch in fields.ancestors(name)}
        self.crossed: set[str] = set()
        self._ours = frozenset(self._branches)
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """Make the lock of the events anew: in a forked child it may be held by a thread that is not there."""
        self.lock = RLock()

    def judge(self, key: object) -> Verdict:
        """Return the verdict on *key*, which may be anything; what is no string becomes one."""
        name = key if type(key) is str else text(key)
        verdict = self._verdicts.get(name)
        return verdict if verdict is not None else self._first_verdict(name)

    def named(self, key: object, kind: type = int) -> tuple[str, bool]:
        """Return what *key* is called in the line, for a value of *kind*, and whether its value is hidden."""
        name, hidden, reserved = self.judge(key)
        if name in fields.SHARED and kind not in fields.SHARED[name]:
            name, reserved = self.judge(fields.USER_FIELDS + name).name, True
        if reserved:
            sentence = f"The field {name!r} is named so because wideevents writes the name without the prefix itself."
            health.report(Fault.RESERVED, name, sentence)
        return name, hidden

    def parts(self, key: object, value: object) -> Iterator[tuple[str, Any, bool]]:
        """
        Yield the fields that *value* gives under *key*: name, plain value, and whether the value must be looked at.

        A mapping is flattened into dotted keys; a secret is hidden by its key; a name that is ours goes to
        `user_fields.<name>`.
        """
        name, hidden = self.named(key, type(value))
        if value is None or type(value) is bool:
            yield name, value, False
        elif hidden:
            yield name, MARKER, False
        elif type(value) is str:
            yield name, value, True
        else:
            for branch, part in flatten(name, value, self.redaction.hides):
                own, hidden = self.named(branch, type(part))
                secret = hidden and part is not None and type(part) is not bool
                yield own, MARKER if secret else part, True

    def part(self, record: dict[str, object]) -> list[str]:
        """
        Write a scalar `a` that stands beside `a.b` as `a.value`, and return the new names.

        Stores that read dots as nesting (ClickHouse, Elasticsearch) refuse the whole insert otherwise.
        """
        if len(self._verdicts) >= KNOWN_LIMIT:  # not every key is remembered: look at them all
            suspects = record.keys() & (self._ours | {branch for name in record for branch in fields.ancestors(name)})
        else:
            suspects = record.keys() & self.crossed
        # Beside a branch of ours there is always a field of ours, in the record or in what every line has.
        return [
            _rename(record, scalar)
            for scalar in suspects
            if scalar in self._ours or any(name.startswith(f"{scalar}.") for name in record)
        ]

    def _first_verdict(self, key: str) -> Verdict:
        if len(key) > KEY_LENGTH:  # remembered by what is written of it
            return self.judge(key[:KEY_LENGTH])
        name = _tidy(key)
        reserved = fields.reserved(name)
        verdict = Verdict(fields.USER_FIELDS + name if reserved else name, self.redaction.hides(name), reserved)
        if len(self._verdicts) < KNOWN_LIMIT:
            self._remember(key, verdict)
        else:
            self.crossed.add(UNKNOWN)  # what is not remembered may cross anything: part() must look
        return verdict

    def _remember(self, key: str, verdict: Verdict) -> None:
        self._note_crossing(verdict.name)
        self._verdicts[key] = verdict
        if verdict == (key, False, False) and key not in fields.SHARED:
            self.plain.add(key)

    def _note_crossing(self, name: str) -> None:
        above = fields.ancestors(name)
        # Known before it looks: of two threads that meet, one at least sees the other's name.
        self._names.add(name)
        self._branches.update(above)
        self.crossed.update(self._names.intersection(above))
        if name in self._branches:
            self.crossed.add(name)


def _rename(record: dict[str, object], scalar: str) -> str:
    """Move *scalar* out of the way of the names below it, and return its new name."""
    name = f"{scalar}.value"
    while name in record or any(other.startswith(f"{name}.") for other in record):
        name += "_"
    record[name] = record.pop(scalar)
    return name


def _tidy(key: str) -> str:
    """Make *key* something that every aggregator can store: not empty, not endless, valid Unicode."""
    if not key:
        return "_"
    return key[:KEY_LENGTH].encode("utf-8", "backslashreplace").decode()
