"""Follow an exception to where it was raised, to what caused it, and to what it holds."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice
from types import TracebackType
from typing import Any

LONGEST_CHAIN = 20
"""Causes of one error that are read."""

DEEPEST = 2_000
"""Frames of one traceback that are read: an error that is kept and raised again grows by some each time."""

# The slots of Python itself: a subclass can neither make them raise nor lie. An exception may even be false.
_cause = BaseException.__dict__["__cause__"].__get__
_context = BaseException.__dict__["__context__"].__get__
_suppresses = BaseException.__dict__["__suppress_context__"].__get__
_traceback = BaseException.__dict__["__traceback__"].__get__
_exceptions = BaseExceptionGroup.__dict__["exceptions"].__get__


def direct_cause(error: BaseException) -> BaseException | None:
    """Return what *error* was raised from, explicitly."""
    explicit: BaseException | None = _cause(error)
    return explicit


def cause(error: BaseException) -> BaseException | None:
    """Return what Python prints before *error*: what it was raised from, else what was being handled."""
    explicit = direct_cause(error)
    if explicit is not None or _suppresses(error):
        return explicit
    implicit: BaseException | None = _context(error)
    return implicit


def chain(error: BaseException) -> list[BaseException]:
    """Return *error* and what caused it, each once, the nearest first: the root comes last."""
    links: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and len(links) < LONGEST_CHAIN and all(link is not known for known in links):
        links.append(link)
        link = cause(link)
    return links


def members(error: BaseException) -> tuple[BaseException, ...]:
    """Return the members of an exception group; nothing else has any."""
    # isinstance() would ask the object.
    return _exceptions(error) if issubclass(type(error), BaseExceptionGroup) else ()


def traces(error: BaseException) -> list[TracebackType]:
    """Return the entries of the traceback of *error*, the outermost first; of an endless one both ends."""
    entries = _entries(_traceback(error))
    first: list[Any] = list(islice(entries, DEEPEST // 2))
    return [*first, *deque(entries, maxlen=DEEPEST // 2)]


def _entries(trace: TracebackType | None) -> Iterator[TracebackType]:
    while trace is not None:
        yield trace
        trace = trace.tb_next
