"""Let the events of a worker that is about to be killed tell what they were at."""

from __future__ import annotations

from collections.abc import Iterable
from types import FrameType

from wideevents.events import Event
from wideevents.integrations._whereabouts import NEAR, Whereabouts, find
from wideevents.values import guarded

FIX = "Give the call that hangs, at the end of the stack, a time-out of its own, shorter than the server's."


class WorkerTimeout(Exception):  # noqa: N818 - what gunicorn calls it
    """
    Be what ended an event of a worker that gave no sign of life for some *seconds*; nobody raises it.

    *busy* is the id of the event that kept the worker from it, where that is known, and *own* says that it is this one.
    """

    __module__ = "wideevents.integrations.gunicorn"  # where it is looked for

    def __init__(self, seconds: float, busy: str | None = None, *, own: bool = False) -> None:
        super().__init__(f"The worker gave no sign of life for {seconds} s, and was aborted.")
        if own:
            self.why = "The code at the end of the stack kept the worker from giving one."
        elif busy is not None:
            self.why = f"Another event, {busy}, kept the worker from giving one."
        else:
            self.why = (
                "Something kept the worker from giving one, and it is not known what; this is where the event was."
            )
        self.fix = FIX


def tell(events: Iterable[Event], interrupted: FrameType | None, seconds: float, *, answers: bool, alone: bool) -> None:
    """
    Finish *events* as failed by a time-out of *seconds*, with the stacks they hang in; *interrupted* is of this thread.

    What was interrupted goes first: there may be no time for all. *answers* says whether the server answers it with a
    500, and *alone* whether only that ends, while the others go on.
    """
    opened = tuple(events)
    places = find(opened, interrupted)
    busy = next((event.id for event in opened if places[event.id].rank == NEAR), None)
    innermost = [*reversed(opened)]
    innermost.sort(key=lambda each: (places[each.id].rank != NEAR, _is_step(each)))
    for event in innermost:
        place = places[event.id]
        near = place.rank == NEAR
        if near or not alone:
            _finish(event, place, WorkerTimeout(seconds, busy, own=near), answered=answers and near)


def _is_step(event: Event) -> bool:
    """Tell whether *event* is a step of a batch, which ends with its parent, and fails with it."""
    return (event.fields or {}).get("event.kind") == "batch"


def _finish(event: Event, place: Whereabouts, error: WorkerTimeout, *, answered: bool) -> None:
    if event.sealed:
        return
    if place.route is not None:
        guarded(place.route, event)  # a framework may be at anything
    error.__traceback__ = place.trace
    request = place.request
    if request is not None and answered:
        request.failed(error)
    else:
        event.fail(error)
    (event.recorder.finish if request is None else lambda _: request.finish())(event)
