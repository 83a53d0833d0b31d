"""Wrap whatever can be called, so that something happens around each call and nobody can tell from outside."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar, cast

if TYPE_CHECKING:
    from types import TracebackType

P = ParamSpec("P")
R = TypeVar("R")


class Around(Protocol):
    """
    What happens around one call.

    Nothing here may raise. It is entered when the body starts to run and exited once, when the body has ended: by
    return, by an error, closed, or collected. An `__exit__` that returns True swallows the error, and the call
    returns None.
    """

    def __enter__(self) -> object:
        """Start: the body runs next."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> bool | None:
        """End: the body has run, or will never run on."""

    def suspend(self) -> None:
        """Take our context off: a generator hands control to its consumer, whose code is not part of the call."""

    def resume(self) -> None:
        """Put our context on again: the consumer handed control back."""


Arounds = Callable[[], Around]
Function = Callable[..., Any]


def wrap(function: Callable[P, R], around: Arounds) -> Callable[P, R]:
    """
    Return *function* with a fresh `around()` around each of its calls.

    It stays of its kind (plain, coroutine function, generator function, async generator function) and keeps its name,
    its signature and the whole protocol of a generator (PEP 342, 380, 525). A staticmethod or classmethod is wrapped
    inside. Everything else, a partial too, becomes a function: one that stands in a class binds its instance.

    Raise `TypeError` for a class, which would no longer be one, and for what cannot be called.
    """
    candidate: Any = function
    if isinstance(candidate, staticmethod | classmethod):
        return cast("Callable[P, R]", type(candidate)(wrap(candidate.__func__, around)))
    refuse(candidate)
    core = innermost(candidate)
    run = functools.wraps(candidate)(dressing(core)(candidate, around))
    for name in ("__name__", "__qualname__"):  # a partial and a callable instance have none of their own
        setattr(run, name, getattr(candidate, name, getattr(core, name, type(core).__name__)))
    return cast("Callable[P, R]", run)


def refuse(candidate: object) -> None:
    """Raise `TypeError`, with what to do, unless *candidate* can be wrapped."""
    if isinstance(candidate, type):
        raise TypeError(f"The class {candidate.__qualname__} cannot be wrapped: decorate one of its methods instead.")
    if not callable(candidate):
        raise TypeError(
            f"A {type(candidate).__name__} cannot be wrapped: give a function, or another object with __call__."
        )


def innermost(candidate: Any) -> Any:
    """Return the function below any number of partials: its kind is theirs."""
    while isinstance(candidate, functools.partial):
        candidate = candidate.func
    return candidate


def dressing(core: Any) -> Callable[[Function, Arounds], Function]:
    """Return the wrapper for the kind of *core*, which a callable instance has from its `__call__`."""
    faces = (core, inspect.getattr_static(type(core), "__call__"))
    if any(map(is_coroutine_function, faces)):
        return around_coroutine
    if any(map(inspect.isasyncgenfunction, faces)):
        return around_async_generator
    if any(map(inspect.isgeneratorfunction, faces)):
        return around_generator
    return around_call


def is_coroutine_function(face: Any) -> bool:
    """
    Tell whether calling *face* gives a coroutine.

    The mark is what asgiref and mock set before Python 3.12 had `inspect.markcoroutinefunction`: a bare object. The
    flag is that of `types.coroutine`, whose generators can be awaited; ours could not.
    """
    marked = type(getattr(face, "_is_coroutine", None)) is object
    flags = getattr(getattr(face, "__code__", None), "co_flags", 0)
    return (
        marked
        or inspect.iscoroutinefunction(face)
        or flags & inspect.CO_ITERABLE_COROUTINE == inspect.CO_ITERABLE_COROUTINE
    )


def around_call(function: Function, around: Arounds) -> Function:
    """Wrap a plain function."""

    def run(*args: Any, **kwargs: Any) -> Any:
        with around():
            return function(*args, **kwargs)

    return run


def around_coroutine(function: Function, around: Arounds) -> Function:
    """Wrap a coroutine function. It is not suspended: while it waits, its context is its task's, and nobody sees it."""

    async def run(*args: Any, **kwargs: Any) -> Any:
        with around():
            return await function(*args, **kwargs)

    return run


def around_generator(function: Function, around: Arounds) -> Function:
    """
    Wrap a generator function, around each generator that it makes: `yield from` (PEP 380), but suspended at each yield.

    A close is thrown in as the GeneratorExit that it is, so that the consumer sees what the generator makes of it.
    """

    def run(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        surroundings = around()
        with surroundings:
            generator = function(*args, **kwargs)
            step, sent = generator.send, None
            while True:
                try:
                    item = step(sent)
                except StopIteration as stop:
                    return stop.value
                finally:
                    sent = None  # an error kept here would be a cycle with its own traceback
                surroundings.suspend()
                try:
                    sent = yield item
                    step = generator.send
                except BaseException as error:  # noqa: BLE001 - nothing is swallowed: it is thrown into the generator
                    step, sent = generator.throw, error
                surroundings.resume()

    return run


def around_async_generator(function: Function, around: Arounds) -> Function:
    """Wrap an async generator function: what `around_generator` does, with asend and athrow (PEP 525)."""

    async def run(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        surroundings = around()
        with surroundings:
            generator = function(*args, **kwargs)
            step, sent = generator.asend, None
            while True:
                try:
                    item = await step(sent)
                except StopAsyncIteration:
                    return
                finally:
                    sent = None
                surroundings.suspend()
                try:
                    sent = yield item
                    step = generator.asend
                except BaseException as error:  # noqa: BLE001 - nothing is swallowed: it is thrown into the generator
                    step, sent = generator.athrow, error
                surroundings.resume()

    return run
