"""Judge a key once: what it is called in the line, and whether its value may be seen."""

from __future__ import annotations

from typing import NamedTuple

from wideevents import fields
from wideevents.redaction import Redaction
from wideevents.values import text

KNOWN_LIMIT = 4_096
"""Keys remembered; an application that invents keys as it goes pays for its judgements, not with memory."""

KEY_LENGTH = 200


class Verdict(NamedTuple):
    """Say how a key is written."""

    name: str
    hidden: bool
    reserved: bool


class Keys:
    """
    Remember the verdicts on the keys that one recorder has seen.

    `plain` holds the keys that need no care at all: finding a key there is the one look-up of the hot path.
    """

    __slots__ = ("_branches", "_crossed", "_names", "_verdicts", "plain", "redaction")

    def __init__(self, redaction: Redaction) -> None:
        self.redaction = redaction
        self.plain: set[str] = set()
        self._verdicts: dict[str, Verdict] = {}
        self._names: set[str] = set(fields.NAMES)
        self._branches = {branch for name in fields.NAMES for branch in fields.ancestors(name)}
        self._crossed: set[str] = set()

    def judge(self, key: object) -> Verdict:
        """Return the verdict on *key*, which may be anything; what is no string becomes one."""
        name = key if type(key) is str else text(key)
        verdict = self._verdicts.get(name)
        return verdict if verdict is not None else self._first_verdict(name)

    def part(self, record: dict[str, object]) -> None:
        """
        Write a scalar `a` that stands beside `a.b` as `a.value`.

        Stores that read dots as nesting (ClickHouse, Elasticsearch) refuse the whole insert otherwise.
        """
        if len(self._verdicts) >= KNOWN_LIMIT:  # not every key is remembered: look at them all
            suspects = {branch for name in record for branch in fields.ancestors(name)} & record.keys()
        elif self._crossed:
            suspects = self._crossed & record.keys()
        else:
            return
        for scalar in suspects:
            if any(name.startswith(f"{scalar}.") for name in record):
                _rename(record, scalar)

    def _first_verdict(self, key: str) -> Verdict:
        name = _tidy(key)
        reserved = fields.reserved(name)
        verdict = Verdict(fields.USER_FIELDS + name if reserved else name, self.redaction.hides(name), reserved)
        if len(self._verdicts) < KNOWN_LIMIT:
            self._remember(key, verdict)
        return verdict

    def _remember(self, key: str, verdict: Verdict) -> None:
        self._note_crossing(verdict.name)
        self._verdicts[key] = verdict
        if verdict == (key, False, False):
            self.plain.add(key)

    def _note_crossing(self, name: str) -> None:
        above = fields.ancestors(name)
        self._crossed.update(self._names.intersection(above))
        if name in self._branches:
            self._crossed.add(name)
        self._branches.update(above)
        self._names.add(name)


def _rename(record: dict[str, object], scalar: str) -> None:
    """Move *scalar* out of the way of the names below it."""
    name = f"{scalar}.value"
    while name in record:
        name += "_"
    record[name] = record.pop(scalar)


def _tidy(key: str) -> str:
    """Make *key* something that every aggregator can store: not empty, not endless, valid Unicode."""
    if not key:
        return "_"
    return key[:KEY_LENGTH].encode("utf-8", "backslashreplace").decode()
