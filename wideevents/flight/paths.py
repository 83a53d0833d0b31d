"""Tell what of a path may be seen before its route is known."""

from __future__ import annotations

import re

from wideevents.redaction import MARKER

KNOWN = 2_048

_word = re.compile(r"(?:[A-Za-z]+(?:[._-][A-Za-z]+)*|v\d{1,2})?")
"""A segment that is written into a route, and is no value of a parameter: `orders`, `robots.txt`, `v2`."""


class Paths(dict[str, "str | None"]):
    """
    Hold what may be told of paths before their routes are known; None is all of it.

    A parameter of a route may be a secret, by its name. Until the route says so, only what looks like a word is told.
    """

    def __missing__(self, path: str) -> str | None:
        if len(self) >= KNOWN:
            self.clear()
        shown = "/".join(each if _word.fullmatch(each) else MARKER for each in path.split("/"))
        told = self[path] = None if shown == path else shown
        return told
