"""Take from an exception what a report may tell of it, so that neither it nor its frames are kept."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain, repeat
from typing import Any, NamedTuple

from wideevents.causes import cause, direct_cause, members, traces
from wideevents.fingerprints import module_of, qualname_of
from wideevents.frames import INLINED, Application, Frame
from wideevents.values import HIDDEN, Hides, plain, text

MOST = 30
"""Exceptions of one report: causes, and members of groups."""

OUTER, INNER = 20, 40
"""Frames of one exception: of an endless traceback the ends."""

Locals = Mapping[str, Any]
NONE: Locals = {}


class Link(NamedTuple):
    """An exception of a report, and how it came there: *source* says where it stands in its *parent*."""

    error: BaseException
    parent: int
    source: str


class Raised(NamedTuple):
    """What is told of one exception."""

    type: str
    module: str
    message: str
    frames: tuple[tuple[Frame, Locals], ...]
    parent: int
    source: str
    is_group: bool


def links(error: BaseException) -> list[Link]:
    """
    Return *error*, what caused it, and what groups hold, each once; a parent comes before its children.

    The sources are those of Sentry's protocol: `__cause__`, `__context__`, `exceptions[0]`.
    """
    found = [Link(error, 0, "")]
    known = {id(error)}
    for number, (each, _, _) in enumerate(found):  # it grows while it is read
        for source, inner in _inside(each):
            if id(inner) not in known and len(found) < MOST:
                known.add(id(inner))
                found.append(Link(inner, number, source))
    return found


def snapshot(error: BaseException, application: Application, names: frozenset[str], hides: Hides) -> list[Raised]:
    """
    Return what is told of *error*: of the local variables of the application those called *names*.

    A name that *hides* is hidden all the same, and so are such keys in the values.
    """
    return [_raised(link, application, names, hides) for link in links(error)]


def _inside(error: BaseException) -> list[tuple[str, BaseException]]:
    above = cause(error)
    source = "__context__" if direct_cause(error) is None else "__cause__"
    inside = [] if above is None else [(source, above)]
    return inside + [(f"exceptions[{number}]", member) for number, member in enumerate(members(error)[:MOST])]


def _raised(link: Link, application: Application, names: frozenset[str], hides: Hides) -> Raised:
    error, parent, source = link
    kind = type(error)
    frames = application.frames(error)
    variables = _locals(error, frames, names, hides) if names else ()
    told = [*zip(frames, chain(variables, repeat(NONE)), strict=False)]
    if len(told) > OUTER + INNER:
        told = told[:OUTER] + told[-INNER:]
    is_group = issubclass(kind, BaseExceptionGroup)
    return Raised(qualname_of(kind), module_of(kind), text(error), tuple(told), parent, source, is_group)


def _locals(error: BaseException, frames: list[Frame], names: frozenset[str], hides: Hides) -> list[Locals]:
    """Return the variables of each frame that may be told, made plain now: later they may be others."""
    walked = (trace.tb_frame for trace in traces(error) if trace.tb_frame.f_code.co_name not in INLINED)
    known = [frame.f_locals if told.in_app else NONE for told, frame in zip(frames, walked, strict=False)]
    return [
        {name: HIDDEN if hides(name) else plain(values[name], hides) for name in names if name in values}
        for values in known
    ]
