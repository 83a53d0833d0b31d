"""Print a traceback as Python does, with the application's own frames marked and the others folded."""

from __future__ import annotations

import linecache
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, islice, pairwise
from traceback import FrameSummary, StackSummary, TracebackException
from types import TracebackType
from typing import Any, NamedTuple, TypeAlias

from wideevents.causes import chain, direct_cause, members, traces
from wideevents.frames import module_name
from wideevents.values import guarded, name_of, text

FEW = 2
"""Frames of libraries in a row that are not worth folding."""

MOST = 50
"""Frames of one traceback that are printed."""

REPEATED = 3
"""Times that Python prints a frame that follows itself."""

MEMBERS = 15
EXCEPTIONS = 50
"""Members of a group, which is Python's own limit, and exceptions in all, that are printed."""

MARK = ">"
NEWLINE = "\n"
LINE_LENGTH = 1_000
STACK_LENGTH = 32_768
"""Characters of a traceback that are kept in memory; its ends say more than its middle."""


Owns: TypeAlias = Callable[[str], bool]
"""Tells whether the file at a path is the application's."""

_summaries = StackSummary()


class _Stack(list[str]):
    """Hold the printed frames where a `TracebackException` looks for them."""

    def format(self, **_: Any) -> list[str]:
        """Return them, whatever the version of Python asks for: colours, for example."""
        return self


def printed(error: BaseException, owns: Owns) -> str:
    """
    Return the traceback of *error*, causes and members of groups included; *owns* tells whose file it is.

    Frames of the application begin with ">". Of a long run of others the last one is printed alone, unless all are. The
    middle of an endless traceback is left out.
    """
    told = _told(error, owns, frozenset(), iter(range(EXCEPTIONS)))
    return _cut("".join(told.format()).rstrip("\n"))


def _told(error: BaseException, owns: Owns, above: frozenset[int], left: Iterator[int]) -> Any:
    """Return *error* with its causes and members as Python's own printer takes them, or None if it is left out."""
    told: list[tuple[BaseException, Any]] = []
    for link in chain(error):
        # A member of a group may be raised while the group is being handled, which then is its cause.
        if id(link) in above or next(left, None) is None:
            break
        above |= {id(link)}
        told.append((link, _alone(link, owns)))
        held = members(link)
        if held:
            shown = [each for member in held[:MEMBERS] if (each := _told(member, owns, above, left))]
            rest = [None] * (len(held) - MEMBERS) if len(shown) == MEMBERS else []  # they are only counted
            told[-1][1].exceptions = shown + rest
    for (link, each), (_, cause) in pairwise(told):
        setattr(each, "__cause__" if direct_cause(link) is not None else "__context__", cause)
    return told[0][1] if told else None


def _alone(error: BaseException, owns: Owns) -> Any:
    """Return *error* without its causes and members, as Python's own printer takes it."""
    alone: Any = guarded(lambda: _checked(error), error)
    if type(alone) is str:  # its class or its notes lie
        nameable = type(name_of(type(error)), (Exception,), {"__module__": "builtins"})
        alone = _checked(nameable(text(error)))
    alone.stack = _Stack(_lines(traces(error), owns))
    return alone


def _checked(error: BaseException) -> Any:
    """Return *error* alone, or raise whatever it raises when it is printed."""
    # With a set of what was seen before, it is taken for a cause, and causes do not look for their own: a chain without
    # an end would be followed to the last. The traceback is read here.
    told: Any = TracebackException(type(error), error, None, compact=True, _seen=set())
    told.__cause__ = told.__context__ = told.exceptions = None
    list(told.format_exception_only())
    return told


def _lines(entries: Iterable[TracebackType], owns: Owns) -> list[str]:
    """Print *entries*, as many as help."""
    rows = [_Row.of(list(same), owns) for _, same in groupby(entries, _place)]
    mixed = any(row.own for row in rows)
    parts: list[tuple[bool, list[_Row]]] = []
    for own, several in groupby(rows, lambda row: row.own):
        run = list(several)
        folded = len(run) - 1 if mixed and not own and len(run) > FEW else 0
        parts += [(True, run[:folded])] if folded else []
        parts += [(False, [row]) for row in run[folded:]]
    if len(parts) > MOST:
        middle = parts[MOST // 2 : -MOST // 2]
        parts[MOST // 2 : -MOST // 2] = [(True, [row for _, run in middle for row in run])]
    return [_folded(run) if folded else run[0].printed() for folded, run in parts]


class _Row(NamedTuple):
    """Hold an entry of a traceback, which follows itself *times* times, and whose it is."""

    trace: TracebackType
    times: int
    own: bool

    @classmethod
    def of(cls, same: list[TracebackType], owns: Owns) -> _Row:
        return cls(same[0], len(same), owns(same[0].tb_frame.f_code.co_filename))

    def printed(self) -> str:
        """Return what Python prints of it: the place, the line, and below one of the application's its marks."""
        frame, code = self.trace.tb_frame, self.trace.tb_frame.f_code
        linecache.lazycache(code.co_filename, frame.f_globals)
        linecache.checkcache(code.co_filename)
        _, end, start_column, end_column = self._positions()
        summary = FrameSummary(
            code.co_filename,
            self.trace.tb_lineno,
            code.co_name,
            lookup_line=False,
            end_lineno=end,
            colno=start_column,
            end_colno=end_column,
        )
        row = _summaries.format_frame_summary(summary)
        row = f"{MARK}{row[1:]}" if self.own else row
        more = self.times - REPEATED
        note = f"  [Previous line repeated {more} more time{'s' * (more > 1)}]\n" if more > 0 else ""
        return row * min(self.times, REPEATED) + note

    def _positions(self) -> tuple[int | None, int | None, int | None, int | None]:
        if not self.own or self.trace.tb_lasti < 0:
            return None, None, None, None
        return next(islice(self.trace.tb_frame.f_code.co_positions(), self.trace.tb_lasti // 2, None))


def _place(trace: TracebackType) -> tuple[str, int | None, str]:
    """Return what two entries have in common that print the same; functions in two files may be equal to Python."""
    code = trace.tb_frame.f_code
    return code.co_filename, trace.tb_lineno, code.co_name


def _folded(rows: list[_Row]) -> str:
    """Say how many frames were left out, and whose they were."""
    number = sum(row.times for row in rows)
    names = dict.fromkeys(module_name(row.trace.tb_frame.f_globals).partition(".")[0] for row in rows)
    return f"  ... {number} frame{'s' * (number > 1)} of {', '.join(names)}\n"


def _cut(text: str) -> str:
    """Leave out the middle of an endless text, between lines: half a secret would not be recognised as one."""
    if len(text) <= STACK_LENGTH:
        return text
    half = STACK_LENGTH // 2
    head, tail = text[:half], text[-half:]
    end, start = head.rfind(NEWLINE, half - LINE_LENGTH), tail.find(NEWLINE, 0, LINE_LENGTH)
    return f"{head[:end] if end > 0 else head}\n  ...\n{tail[start + 1 :]}"
