"""Run a call wherever an application may run it: in threads, pools, tasks, generators, and copies of the context."""

from __future__ import annotations

import _thread
import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event as Flag
from threading import Thread

import wideevents

PATIENCE = 10.0

Call = Callable[[], object]


def in_thread(call: Call) -> None:
    """Run it in a thread that is started here."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:
            raised.append(error)

    thread = Thread(target=run)
    thread.start()
    thread.join(PATIENCE)
    assert raised == [], f"raised in a thread: {raised}"


def in_pool(call: Call) -> None:
    """Run it in a pool whose threads have served others."""
    POOL.submit(call).result(PATIENCE)


def in_native(call: Call) -> None:
    """Run it in a thread that nobody can see start."""
    done = Flag()
    carried = wideevents.carry(call)

    def run() -> None:
        try:
            carried()
            done.set()
        except BaseException as error:
            FAILED.append(error)

    _thread.start_new_thread(run, ())
    assert done.wait(PATIENCE), f"raised in a thread, or stuck: {FAILED}"


def in_task(call: Call) -> None:
    """Run it in a task, and in the thread of one."""

    async def run() -> None:
        await asyncio.to_thread(call)

    LOOP.run_until_complete(run())


def in_copy(call: Call) -> None:
    """Run it in a copy of the context."""
    contextvars.copy_context().run(call)


def in_generator(call: Call) -> None:
    """Run it while a generator runs."""
    for _ in (call() for _ in range(1)):
        pass


POOL = ThreadPoolExecutor(1)
LOOP = asyncio.new_event_loop()
FAILED: list[BaseException] = []
WAYS: dict[str, Callable[[Call], object]] = {
    "here": lambda call: call(),
    "thread": in_thread,
    "pool": in_pool,
    "native": in_native,
    "task": in_task,
    "copy": in_copy,
    "generator": in_generator,
}
