"""Tell one error from another, whatever line, process or host it came from."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from typing import NamedTuple

from wideevents.causes import chain, members
from wideevents.frames import MAINS, Application, Frame, module_name

MOST = 200
"""Exceptions of one error that are read: causes, members of groups, and theirs."""

DEEPEST = 50
"""Exceptions above one another, as causes and as groups, below which a group is not looked into."""

# The slots of `type` itself: a metaclass can neither make them raise nor lie.
_module: Callable[[type], object] = type.__dict__["__module__"].__get__
qualname_of: Callable[[type], str] = type.__dict__["__qualname__"].__get__


def fingerprint(error: BaseException, application: Application) -> str:
    """
    Return what makes two errors one: 16 hex digits.

    It is made of the type and the modules and functions of the application on the way to where it was raised, and the
    same of its causes. Lines, messages, addresses and libraries are left out: they change without the error changing.
    So do the depth of a recursion, the attempts of a loop that tries again, and the number and order of a group.
    """
    return digest(_parts(error, application, frozenset(), iter(range(MOST))))


def raised_in(frames: list[Frame]) -> Frame | None:
    """Return the frame that tells where an error comes from: the application's last, else the last of all."""
    own = [frame for frame in frames if frame.in_app] or frames
    return own[-1] if own else None


def digest(parts: Iterable[str]) -> str:
    """Return 16 hex digits that stand for *parts*."""
    return blake2b("\n".join(parts).encode("utf-8", "backslashreplace"), digest_size=8).hexdigest()


def module_of(kind: type) -> str:
    """Return the name of the module that a class is from."""
    module = _module(kind)
    return module if type(module) is str else "?"


def qualified_name(kind: type) -> str:
    """Return the name of a class with its module, which builtins do without."""
    module = module_of(kind)
    return qualname_of(kind) if module == "builtins" else f"{module}.{qualname_of(kind)}"


class _Link(NamedTuple):
    """Say of one exception what its fingerprint is made of: its type, the way to it, and what it holds."""

    type: str
    way: list[str]
    inside: list[str]

    def repeats(self, other: _Link) -> bool:
        """Tell whether it is *other* once more: what is tried again in a function was caught there, on its way out."""
        same = (self.type, self.inside) == (other.type, other.inside)
        return same and self.way == other.way[len(other.way) - len(self.way) :]

    def __str__(self) -> str:
        return "\n".join([self.type, *self.way, *self.inside])


def _parts(error: BaseException, application: Application, above: frozenset[int], left: Iterator[int]) -> list[str]:
    """Describe *error* and its causes, but for those that repeat another."""
    links: list[_Link] = []
    for each in chain(error):
        if next(left, None) is not None:
            above |= {id(each)}
            link = _link(each, application, above, left)
            links += [] if any(map(link.repeats, links)) else [link]
    return list(map(str, links))


def _link(error: BaseException, application: Application, above: frozenset[int], left: Iterator[int]) -> _Link:
    frames = application.frames(error)
    places = [frame.place for frame in frames if frame.in_app]
    if not places and frames:
        places = [frames[-1].place]
    held = members(error)
    # A member of a group may be raised while the group is being handled, which then is its cause.
    if len(above) > DEEPEST or not above.isdisjoint(map(id, held)):
        held = ()
    inside = {digest(_parts(each, application, above, left)) for each in held}
    way = _round(places) if issubclass(type(error), RecursionError) else _straight(places)
    return _Link(_stable_name(type(error)), way, sorted(inside))


def _round(places: list[str]) -> list[str]:
    """Return what goes round in a recursion without an end: where the limit is met, and from where, is chance."""
    return sorted(place for place, number in Counter(places).items() if number > 1) or _straight(places)


def _straight(places: list[str]) -> list[str]:
    """
    Return the way without its loops: the shape of the data says how often a recursion goes round, and by which way.

    What is defined in another function, and what Python calls by itself, is no loop: a decorator stands around many.
    """
    way: dict[str, None] = {}
    for place in places:
        if place in way and not place.endswith("__") and ".<locals>." not in place:
            while next(reversed(way)) != place:
                way.popitem()
        way[place] = None
    return list(way)


def _stable_name(kind: type) -> str:
    """Return the name of a class with its module; that of a script's own class is the name of the script."""
    module = module_of(kind)
    if module in MAINS and module in sys.modules:
        return f"{module_name(vars(sys.modules[module]))}.{qualname_of(kind)}"
    return qualified_name(kind)
