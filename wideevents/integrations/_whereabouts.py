"""Find where every event in progress is: which code serves it, in which thread or task, and who follows it there."""

from __future__ import annotations

import sys
from _thread import get_ident
from collections.abc import Callable, Iterable, Iterator
from contextvars import Context
from dataclasses import dataclass, field
from functools import partial
from types import FrameType, TracebackType
from typing import Any, NamedTuple

from wideevents.context import variable
from wideevents.events import Event
from wideevents.fingerprints import module_of
from wideevents.integrations._request import Request

PACKAGE = "wideevents."

DEEPEST = 2_000
"""Frames of one thread or task that are read, the innermost."""

NEAR, THREAD, CARRIED, TASK = range(4)
"""How well the frames tell what an event is at: those that were interrupted; those of a thread that a door runs in, or
that was given the event; those of a task, which may wait for such a thread."""

AWAITED = (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"), ("ag_frame", "ag_await"))
"""Where a coroutine and a generator keep their frame, and what they wait for."""

HOLDERS = ("event", "value", "followed")
"""What an event, or the request that follows it, is called in the objects of ours that hold one."""


@dataclass(slots=True)
class Whereabouts:
    """
    Say where an event is.

    *frames* are those of the code that serves it, the outermost first, and *rank* says how they were found; without any
    it is None. *request* follows the event, where it is one, and *route* tells that its route.
    """

    frames: list[FrameType] = field(default_factory=list)
    rank: int | None = None
    request: Request | None = None
    route: Callable[[], object] | None = None

    @property
    def trace(self) -> TracebackType | None:
        """The frames as the traceback that an exception would have here."""
        trace = None
        for frame in reversed(self.frames):
            trace = TracebackType(trace, frame, frame.f_lasti, frame.f_lineno or frame.f_code.co_firstlineno)
        return trace


class _Sighting(NamedTuple):
    """Be a frame in which an event is seen, with those below it."""

    rank: int
    event: Event
    frames: list[FrameType]
    request: Request | None = None
    route: Callable[[], object] | None = None


def find(events: Iterable[Event], interrupted: FrameType | None) -> dict[str, Whereabouts]:
    """
    Return where *events* are, by their ids, as far as that can be seen; *interrupted* is the frame of this thread.

    Nothing is noted beforehand, since that would cost every request: it is read from the frames of all threads, and of
    the tasks of the loop that runs in this one. An event that has no frame of its own there is where one inside it is,
    or the one around it.
    """
    wanted = {event.id: event for event in events}
    found: dict[str, Whereabouts] = {}
    for seen in sorted(_sightings(interrupted), key=lambda each: each.rank):
        if seen.event.id not in wanted:
            continue
        place = found.setdefault(seen.event.id, Whereabouts(seen.frames, seen.rank))
        place.request, place.route = place.request or seen.request, place.route or seen.route
    around = {event.id: _around(event) for event in wanted.values()}
    pairs = [(inner, outer) for inner, outer in around.items() if outer in wanted]
    for inner, outer in [*pairs[::-1], *((outer, inner) for inner, outer in pairs)]:  # to the outermost, and back
        if inner in found and outer not in found:
            found[outer] = Whereabouts(found[inner].frames, found[inner].rank)
    return {identity: found.get(identity, Whereabouts()) for identity in wanted}


def _around(event: Event) -> str | None:
    """Return the id of the event that *event* is inside of: the step of a batch has a trace of its own."""
    link: str | None = (event.fields or {}).get("link.event.id")
    return link if link is not None or event.parent is None else event.parent.parent_id


def _sightings(interrupted: FrameType | None) -> Iterator[_Sighting]:
    own = get_ident()
    near = _stack(interrupted)
    yield from _seen(near, NEAR, NEAR)
    event = variable.get()
    if event is not None:
        yield _Sighting(NEAR, event, next((seen.frames for seen in _seen(near, NEAR, NEAR)), near))
    for thread, frame in sys._current_frames().items():  # noqa: SLF001 - it is how Python offers them
        if thread != own:
            yield from _seen(_stack(frame), THREAD, CARRIED)
    for frames in _tasks():
        yield from _seen(frames, TASK, TASK)


def _stack(frame: FrameType | None) -> list[FrameType]:
    """Return *frame* and those that called it, the outermost first."""
    frames: list[FrameType] = []
    while frame is not None and len(frames) < DEEPEST:
        frames.append(frame)
        frame = frame.f_back
    return frames[::-1]


def _tasks() -> Iterator[list[FrameType]]:
    """Yield the frames of every task of the loop that runs in this thread."""
    asyncio: Any = sys.modules.get("asyncio")  # who has not imported it has no tasks
    if asyncio is None:
        return
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return
    for task in asyncio.all_tasks(loop):
        yield _awaited(task.get_coro())


def _awaited(coroutine: Any) -> list[FrameType]:
    """Return the frame of *coroutine*, of what it waits for, and so on."""
    frames: list[FrameType] = []
    while coroutine is not None and len(frames) < DEEPEST:
        frame, coroutine = next(
            (
                (getattr(coroutine, frame), getattr(coroutine, inner))
                for frame, inner in AWAITED
                if hasattr(coroutine, frame)
            ),
            (None, None),
        )
        frames += [frame] if frame is not None else []
    return frames


def _seen(frames: list[FrameType], followed: int, carried: int) -> Iterator[_Sighting]:
    """Yield the events that *frames* hold; they rank as *followed* where a door follows them, else as *carried*."""
    for position, frame in enumerate(frames):
        for value in _held(frame):
            request = next((each for each in value if isinstance(each, Request)), None)
            event = request.event if request else next((each for each in value if type(each) is Event), None)
            if event is not None:
                rank = carried if request is None else followed
                yield _Sighting(rank, event, frames[position:], request, _route(frame, value[0], request))


def _held(frame: FrameType) -> Iterator[list[Any]]:
    """Yield what may be, or hold, an event in a frame: what is ours, and the context that other code is run in."""
    if str(frame.f_globals.get("__name__")).startswith(PACKAGE):
        for value in tuple(frame.f_locals.values()):
            kind = type(value)
            if module_of(kind).startswith(PACKAGE):
                # An instance may invent attributes: it is the class that is asked.
                yield [value, *(getattr(value, name, None) for name in HOLDERS if hasattr(kind, name))]
    elif "context" in frame.f_code.co_varnames:  # as in anyio's threads
        context = frame.f_locals.get("context")
        if type(context) is Context:
            yield [context, context.get(variable)]


def _route(frame: FrameType, value: Any, request: Request | None) -> Callable[[], object] | None:
    """Return what tells the route to *request*."""
    routing = frame.f_locals.get("routing") if request is not None else None
    if routing is not None:
        return partial(routing, request, frame.f_locals.get("environ"))
    return getattr(value, "tell_route", None) if hasattr(type(value), "tell_route") else None
