"""Tell one error from another, whatever line, process or host it came from."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from hashlib import blake2b

from wideevents.causes import chain, members
from wideevents.frames import MAINS, Application, Frame, module_name

MOST = 200
"""Exceptions of one error that are read: causes, members of groups, and theirs."""

DEEPEST_GROUP = 10

# The slots of `type` itself: a metaclass can neither make them raise nor lie.
_module = type.__dict__["__module__"].__get__
_qualname = type.__dict__["__qualname__"].__get__


def fingerprint(error: BaseException, application: Application) -> str:
    """
    Return what makes two errors one: 16 hex digits.

    It is made of the type and the modules and functions of the application on the way to where it was raised, and the
    same of its causes. Lines, messages, addresses and libraries are left out: they change without the error changing.
    So do the depth of a recursion, the attempts of a loop that tries again, and the number and order of a group.
    """
    return digest(_links(error, application, set(), DEEPEST_GROUP))


def raised_in(frames: list[Frame]) -> Frame | None:
    """Return the frame that tells where an error comes from: the application's last, else the last of all."""
    own = [frame for frame in frames if frame.in_app]
    return (own or frames or [None])[-1]


def digest(parts: Iterable[str]) -> str:
    """Return 16 hex digits that stand for *parts*."""
    return blake2b("\n".join(parts).encode("utf-8", "backslashreplace"), digest_size=8).hexdigest()


def type_name(kind: type) -> str:
    """Return the name of a class with its module, which builtins do without; a hostile class has one, too."""
    module = _module(kind)
    return str(_qualname(kind)) if module == "builtins" else f"{module if type(module) is str else '?'}.{_qualname(kind)}"


def _links(error: BaseException, application: Application, seen: set[int], depth: int) -> list[str]:
    """Describe *error* and its causes, each kind once: they repeat where something was tried again."""
    links: dict[str, None] = {}
    for link in chain(error):
        if id(link) not in seen and len(seen) < MOST:  # a member may be raised while its group is being handled
            seen.add(id(link))
            links["\n".join(_parts(link, application, seen, depth))] = None
    return list(links)


def _parts(link: BaseException, application: Application, seen: set[int], depth: int) -> list[str]:
    frames = application.frames(link)
    places = [frame.place for frame in frames if frame.in_app]
    if not places and frames:
        places = [frames[-1].place]
    inside = {digest(_links(member, application, seen, depth - 1)) for member in members(link)} if depth else ()
    way = _round(places) if issubclass(type(link), RecursionError) else _straight(places)
    return [_stable_name(type(link)), *way, *sorted(inside)]


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
    module = _module(kind)
    if module in MAINS and module in sys.modules:
        return f"{module_name(vars(sys.modules[module]))}.{_qualname(kind)}"
    return type_name(kind)
