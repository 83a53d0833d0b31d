"""Make an event of every step of a batch."""

from __future__ import annotations

import opcode
import sys
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from inspect import CO_GENERATOR, currentframe
from types import FrameType, TracebackType
from typing import Any, Generic, Protocol, TypeVar, cast
from weakref import ref

from wideevents import config, outputs
from wideevents.context import Activation, current, variable
from wideevents.entries import Noted
from wideevents.errors import ConfigurationError
from wideevents.events import Event
from wideevents.levels import Level
from wideevents.recorder import Transaction
from wideevents.steps import Passed, Place, Steps, steps_of
from wideevents.values import guarded, text

T = TypeVar("T")
R = TypeVar("R", bound="Run[Any]")

BAR = "wideevents.progress:bar"

SUSPECTS = ("event.name", "batch.name")

LEAVING = frozenset(number for name, number in opcode.opmap.items() if name in {"POP_TOP", "POP_ITER"})
"""The instruction by which `break` and `return` drop an iterator; an exception drops it at the one that raised."""


class Bar(Protocol):
    """Show how far a batch has come."""

    def show(self, done: int, failures: int) -> None:
        """Show it."""

    def close(self) -> None:
        """Take it away."""


class batch(Generic[T]):  # noqa: N801 - a verb of the face, which reads as one
    """
    Make an event of every step of a loop: `for page in batch("report", pages)`, also `async for`.

    A step is in progress while the body of the loop runs, and has a trace of its own, so that one long report is no
    giant trace: `link.event.id` and `link.trace.id` lead to its parent, the event in progress when the loop begins. One
    is made, a "task" of the same name, where there is none. The parent is told `<name>.count`, `.failures`,
    `.duration_ms`, and `.p50_ms`, `.p95_ms` and `.max_ms` of its steps (nearest rank).

    A step fails with the exception that leaves the loop, if its parent sees it. In a loop without a parent nobody does:
    then both are cancelled. `with batch("report", pages) as pages:` around the loop is a parent that sees it.

    *total* is how many steps are to come, where `len(items)` does not say it. On a terminal a bar shows how far it has
    come. Raise `ConfigurationError` for a total that is no number of steps.
    """

    def __init__(self, name: str, items: Iterable[T] | AsyncIterable[T], /, *, total: int | None = None) -> None:
        if total is not None and (type(total) is not int or total < 0):
            raise ConfigurationError.of("total", total, "a number of steps, 0 or more")
        self._name = name if type(name) is str else text(name)
        self._items = items
        self._total = _length(items) if total is None else total
        self._steps: Steps | None = None
        self._transaction: Transaction | None = None
        self._run: ref[Run[Any]] | None = None

    def __iter__(self) -> Iterator[T]:
        return self._begun(Run[T], iter(cast("Iterable[T]", self._items)))

    def __aiter__(self) -> AsyncIterator[T]:
        items: Any = self._items
        return self._begun(AsyncRun[T], aiter(items) if hasattr(type(items), "__aiter__") else Ready(iter(items)))

    def __enter__(self) -> batch[T]:
        if current() is None:
            self._transaction = self._task()
            self._transaction.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        passed = Passed([] if error is None else [Noted(error, Level.ERROR, handled=False, expected=False)])
        run = self._run() if self._run is not None else None
        if run is not None:
            run.end(passed)
        if self._steps is not None:  # of another run there are no steps in progress, but some that were left
            self._steps.settle(passed)
        if self._transaction is not None:
            self._transaction.__exit__(kind, error, trace)

    def _begun(self, kind: type[R], items: object) -> R:
        """Return what goes through *items*, inside the event in progress, or one that is made for it."""
        parent, own = current(), None
        if parent is None:
            own = self._task()
            parent = own.begin()
        run = kind(items, self._name, self._total, parent, own)
        self._run, self._steps = ref(run), run.steps
        return run

    def _task(self) -> Transaction:
        return Transaction(config.recorder, self._name, "task", {})


class Run(Generic[T]):
    """
    Go through the items of a batch once, each in an event of its own.

    A step ends when the next item is asked for, when there is none, and when the loop lets go of its iterator, which is
    this: it is no generator, whose `finally` does not know why it is run.
    """

    __slots__ = (
        *("__weakref__", "_bar", "_before", "_index", "_items", "_lines"),
        *("_links", "_name", "_own", "_parent", "_step", "steps"),
    )

    def __init__(self, items: Any, name: str, total: int | None, parent: Event, own: Transaction | None) -> None:
        self._step: Event | None = None
        self._bar: Bar | None = None
        self._own = own
        self._items = items
        self._name = name
        self._index = 0
        self._lines: dict[int, int] = {}
        self._parent = parent
        self._links: dict[str, Any] = {
            "link.trace.id": parent.trace_id,
            "link.event.id": parent.id,
            "batch.name": name,
            "batch.id": parent.recorder.ids.span_id(),
        }
        if total is not None:
            self._links["batch.total"] = total
        self.steps = steps_of(parent, name)
        self.steps.runs.add(self)
        self._bar = _bar(name, total)

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        if self._step is not None:
            self._end(self._step)
        try:
            with Activation(self._fetching()):
                item: T = next(self._items)
                step = self._opened()
        except StopIteration:
            self._stop()
            raise
        except BaseException as error:
            self._stop(error)
            raise
        if not self._index:
            self._lines = {id(frame): frame.f_lineno for frame in _running(currentframe())}
        self._begin(step)
        return item

    def __del__(self) -> None:
        if self._step is not None:
            self._leave(self._step, tuple(_running(currentframe())))
        self._stop()

    def end(self, passed: Passed) -> None:
        """End the batch, and the step in progress, which failed if an exception *passed* through the loop."""
        self.parent_ends(passed)
        if self._step is not None:
            self._end(self._step)
        self._stop()

    def parent_ends(self, passed: Passed) -> None:
        """Fail with the exception that ends the parent, if it *passed* through this loop, which is still there."""
        step = self._step
        if step is not None and passed.blame(step, [Place(frame, 0, sys.maxsize) for frame in self._lines]):
            self._end(step)
        self._hide()

    def _opened(self) -> Event:
        """Open the next step, while its parent is in progress: who asks for spans of others sees that it has one."""
        parent = self._parent
        step: Event = parent.recorder.open(self._name, "batch")
        fields = step.fields or {}
        fields.update(self._links)
        fields["batch.index"] = self._index
        if self._name not in step.clean:
            step.suspects.update(SUSPECTS)
        step.request_id, step.waits = parent.request_id, parent.waits
        if step.recorder.flight is not None:
            step.recorder.flight.begin(step)
        return step

    def _begin(self, step: Event) -> None:
        """Make *step* the event in progress."""
        self._index += 1
        self._before = variable.get()
        self._step = step
        variable.set(step)

    def _suspend(self, step: Event) -> None:
        """Note when a step has ended, and go back to what was in progress before it."""
        self._step = None
        if variable.get() is step:
            variable.set(self._before)
        step.ended = step.recorder.clock.monotonic()

    def _end(self, step: Event) -> None:
        self._suspend(step)
        self.steps.finish(step)
        if self._bar is not None:
            self._bar.show(self._index, self.steps.failures)

    def _leave(self, step: Event, frames: tuple[FrameType, ...]) -> None:
        """End a step whose loop has let go of us: by `break`, or by an exception that its parent will be told of."""
        if any(each.f_code.co_code[each.f_lasti] in LEAVING for each in frames):
            self._end(step)
        elif self._own is None and not self._parent.sealed:
            self._suspend(step)
            self.steps.leave(step, tuple(map(self._place, frames)))
        else:
            step.outcome = "cancelled"
            if self._own is not None:
                self._parent.outcome = "cancelled"
            self._end(step)

    def _place(self, frame: FrameType) -> Place:
        """Return where the loop runs: from the line that asks for items to the one that *frame* has come to."""
        lines = sorted((self._lines.get(id(frame), frame.f_lineno), frame.f_lineno))
        return Place(id(frame), *lines)

    def _stop(self, error: BaseException | None = None) -> None:
        """End the batch; an *error* is that of the items, and no step's."""
        self._hide()
        self.steps.runs.discard(self)
        own, self._own = self._own, None
        self._items = iter(())  # what is held there ends before its parent
        if own is not None:
            own.end(error)

    def _hide(self) -> None:
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.close()

    def _fetching(self) -> Event | None:
        """Return what is in progress while the items are asked for the next one."""
        return variable.get() if self._own is None else self._parent


class AsyncRun(Run[T]):
    """Go through the items of a batch in an `async for`, also where they themselves are not asynchronous."""

    __slots__ = ()

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        if self._step is not None:
            self._end(self._step)
        try:
            with Activation(self._fetching()):
                item: T = await anext(self._items)
                step = self._opened()
        except StopAsyncIteration:
            self._stop()
            raise
        except BaseException as error:
            self._stop(error)
            raise
        if not self._index:
            self._lines = {id(frame): frame.f_lineno for frame in _running(currentframe())}
        self._begin(step)
        return item


class Ready(Generic[T]):
    """Be what can be waited for, over items that are there."""

    __slots__ = ("_items",)

    def __init__(self, items: Iterator[T]) -> None:
        self._items = items

    async def __anext__(self) -> T:
        try:
            return next(self._items)
        except StopIteration:
            raise StopAsyncIteration from None


def _running(own: FrameType | None) -> Iterator[FrameType]:
    """Yield the frame that called *own*; if it is a generator's what runs it, and so on: a loop may be spread so."""
    frame = own and own.f_back
    while frame is not None:
        yield frame
        frame = frame.f_back if frame.f_code.co_flags & CO_GENERATOR else None


def _length(items: object) -> int | None:
    """Return how many *items* there are, where that can be asked."""
    length = guarded(lambda: len(items), items) if hasattr(type(items), "__len__") else None  # type: ignore[arg-type]
    return length if type(length) is int else None


def _bar(name: str, total: int | None) -> Bar | None:
    """Return what shows a person how far the batch has come, if there is one who looks, and rich to show it with."""
    if guarded(lambda: sys.stderr.isatty(), None) is not True:  # noqa: PLW0108 - there may be no stderr
        return None
    try:
        bar: Bar | None = outputs.load(BAR)(name, total)
    except ImportError:
        return None
    return bar
