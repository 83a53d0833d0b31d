"""Say which lines are wanted: `status=500`, `duration_ms>=100`, `user.id`."""

from __future__ import annotations

import json
import operator
import re
from argparse import ArgumentTypeError
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

FORM = re.compile(r"\s*(?P<key>[^=!<>]*[^=!<>\s])\s*(?:(?P<sign>!=|>=|<=|=|>|<)\s*(?P<value>.*?)\s*)?", re.DOTALL)

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}


@dataclass(frozen=True, slots=True)
class Condition:
    """
    Hold for a line by one of its fields.

    Without a *sign* the field has to be there. `=` compares texts, or numbers where both are some; what is not there
    is `!=` everything. The other signs compare numbers, and hold for nothing else.
    """

    key: str
    sign: str = ""
    value: str = ""

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Read `key`, `key=value`, `key!=value` or `key>=number`; raise `ArgumentTypeError` for anything else."""
        found = FORM.fullmatch(text)
        if found is None:
            raise ArgumentTypeError(f"{text!r} is none of key, key=value, key!=value, key>=number, key<=number")
        sign = found["sign"] or ""
        if sign in COMPARISONS and number(found["value"]) is None:
            raise ArgumentTypeError(f"{text!r} compares with {found['value']!r}, which is no number")
        return cls(found["key"], sign, found["value"] or "")

    def __call__(self, fields: Mapping[str, Any]) -> bool:
        """Tell whether *fields* are those of a line that is wanted."""
        if self.key not in fields:
            return self.sign == "!="
        field = fields[self.key]
        mine, wanted = number(field), number(self.value)
        if self.sign in COMPARISONS:
            return mine is not None and wanted is not None and COMPARISONS[self.sign](mine, wanted)
        told = field if isinstance(field, str) else json.dumps(field, ensure_ascii=False)
        is_same = told == self.value or (mine is not None and mine == wanted)
        return is_same if self.sign == "=" else not is_same if self.sign else True


def number(value: object) -> float | None:
    """Return the number that *value* is, or is the text of, or None."""
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        with suppress(ValueError):
            return float(value)
    return None
