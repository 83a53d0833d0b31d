"""Let threads, thread pools and greenlets write into the event of the work that started them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, ContextVar
from functools import wraps
from threading import Lock, Thread
from typing import Any

Run = Callable[..., Any]

HOUSEKEEPERS = frozenset({"concurrent.futures.process", "multiprocessing.pool"})
"""Modules whose own threads serve a pool of processes, whoever submits to it: what they call back is in no event."""

_installing = Lock()
_originals: dict[str, Run] = {}
_greenlets: dict[str, Any] = {}


def install(variable: ContextVar[Any]) -> None:
    """
    Carry the value of *variable* into threads and thread pools, from now on; a second call changes nothing.

    Where gevent is imported by now, into its greenlets and its thread pools, too. Only this variable travels, not the
    whole context: what other libraries keep in theirs is their decision. Tasks, `asyncio.to_thread` and
    `run_in_executor` need nothing more: they copy the context or submit to a pool.
    """
    with _installing:
        if not _originals:
            _originals.update(start=Thread.start, submit=ThreadPoolExecutor.submit)
            Thread.start = _carrying_start(Thread.start, variable)  # type: ignore[method-assign]
            ThreadPoolExecutor.submit = _carrying_submit(ThreadPoolExecutor.submit, variable)  # type: ignore[method-assign]
        gevent = sys.modules.get("gevent")
        if gevent is not None and not _greenlets:
            _follow_greenlets(gevent, variable)


def uninstall() -> None:
    """
    Undo `install`.

    Where somebody has wrapped our wrapper since, theirs stays, and ours under it: it costs a look-up and does no harm.
    """
    with _installing:
        for owner, name in ((Thread, "start"), (ThreadPoolExecutor, "submit")):
            _restore(owner, name, _originals.pop(name, None))
        if _greenlets:
            _greenlets["kind"].remove_spawn_callback(_greenlets["callback"])
            _restore(_greenlets["pool"], "spawn", _greenlets["spawn"])
            _greenlets.clear()


def _restore(owner: Any, name: str, original: Run | None) -> None:
    if original is not None and getattr(getattr(owner, name), "__wrapped__", None) is original:
        setattr(owner, name, original)


def _follow_greenlets(gevent: Any, variable: ContextVar[Any]) -> None:
    """Begin every greenlet with the value of the one that starts it; gevent itself begins an empty context."""

    def begin(greenlet: Any) -> None:
        value = variable.get()
        if value is not None and greenlet.gr_context is None:
            greenlet.gr_context = Context()
            greenlet.gr_context.run(variable.set, value)

    pool = gevent.config.threadpool  # the class, which gevent imports when it is asked for
    _greenlets.update(kind=gevent.Greenlet, callback=begin, pool=pool, spawn=pool.spawn)
    gevent.Greenlet.add_spawn_callback(begin)
    pool.spawn = _carrying_submit(pool.spawn, variable)


def _keeps_house(thread: Thread) -> bool:
    maker = getattr(thread, "_target", None) if type(thread) is Thread else type(thread)
    return getattr(maker, "__module__", None) in HOUSEKEEPERS


def _carrying_start(start: Run, variable: ContextVar[Any]) -> Run:
    @wraps(start)
    def carrying(thread: Thread) -> None:
        value = variable.get()
        if value is None or not _originals or _keeps_house(thread):  # uninstalled, and still under somebody's wrapper
            start(thread)
            return
        own = thread.__dict__.get("run")
        # A subclass overrides run(), so it is the instance that must be told; run() takes itself off again.
        thread.run = _Run(thread, thread.run, own, variable, value)  # type: ignore[method-assign]
        try:
            start(thread)
        except BaseException:
            _take_off(thread, own)
            raise

    return carrying


class _Run:
    """Run a thread's own `run` with the value of its starter, once."""

    __slots__ = ("own", "run", "thread", "value", "variable")

    def __init__(self, thread: Thread, run: Run, own: Run | None, variable: ContextVar[Any], value: object) -> None:
        self.thread = thread
        self.run = run
        self.own = own
        self.variable = variable
        self.value = value

    def __call__(self) -> None:
        thread, run = self.thread, self.run
        _take_off(thread, self.own)
        self.variable.set(self.value)
        run()


def _take_off(thread: Thread, own: Run | None) -> None:
    """Give *thread* its own `run` back, which also ends the circle of references."""
    if own is None:
        thread.__dict__.pop("run", None)
    else:
        thread.run = own  # type: ignore[method-assign]


def _carrying_submit(submit: Run, variable: ContextVar[Any]) -> Run:
    @wraps(submit)
    def carrying(pool: ThreadPoolExecutor, function: Run, /, *arguments: Any, **named: Any) -> Any:
        value = variable.get()
        if value is None or not _originals:
            return submit(pool, function, *arguments, **named)

        def carried() -> Any:
            before = variable.get()
            variable.set(value)
            try:
                return function(*arguments, **named)
            finally:
                variable.set(before)

        # A worker that is born in this call must not keep the value for all the work that comes to it later.
        variable.set(None)
        try:
            return submit(pool, carried)
        finally:
            variable.set(value)

    return carrying
