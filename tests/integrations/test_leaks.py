"""What holds wherever work runs: what it adds is in its own event, or in none, and never in another one."""

from __future__ import annotations

import _thread
import asyncio
import ctypes
import gc
import json
import multiprocessing
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing.pool import ThreadPool
from threading import Event as Flag
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async

import wideevents
from tests.conftest import PATIENCE, at_once
from tests.integrations.processes import running
from tests.integrations.servers import Lines, parse_any
from wideevents import add_field, current, health

CROWD = 200
THREE = ("0", "1", "2")
WAYS = (*THREE, "greenlet", "native", "pool", "thread")

every_start = pytest.mark.parametrize("method", ["fork", "spawn"])
may_fork = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def name() -> str | None:
    """Return the name of the event in progress here."""
    event = current()
    return None if event is None or event.fields is None else event.fields["event.name"]


def adopted() -> str | None:
    """Begin an event of one's own, and return the parent that it has."""
    with wideevents.event("inner") as event:
        return None if event.fields is None else event.fields.get("parent.id")


def mixed(lines: Iterable[dict[str, Any]], ways: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return what stands in the wrong line, or is missing in its own: each is named for who has added it."""
    found = [{key: value for key, value in line.items() if key.startswith("t.")} for line in lines]
    expected = [{f"t.{number}.{way}": number for way in ways} for number in range(CROWD)]
    return [each for each in found if each not in expected] + [each for each in expected if each not in found]


async def serve(number: int, step: Callable[[str, int], Awaitable[object]]) -> None:
    """Be one request of many that are served at once."""
    with wideevents.event(f"request {number}"):
        for way in THREE:
            await step(f"t.{number}.{way}", number)


async def add_here(key: str, number: int) -> None:
    await asyncio.sleep(0)
    add_field(key, number)


async def add_in_group(key: str, number: int) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(add_here(key, number))


async def add_in_executor(key: str, number: int) -> None:
    await asyncio.get_running_loop().run_in_executor(None, add_field, key, number)


async def add_by_callback(key: str, number: int) -> None:
    loop = asyncio.get_running_loop()
    loop.call_soon(add_field, key, number)
    loop.call_later(0.001, add_field, key, number)
    await asyncio.sleep(0.002)


async def add_in_thread_and_back(key: str, number: int) -> None:
    """From the loop to a thread, and from there to the loop again, as asgiref has it."""
    await sync_to_async(lambda: async_to_sync(add_here)(key, number), thread_sensitive=False)()


async def add_in_the_thread(key: str, number: int) -> None:
    """In the one thread that asgiref keeps for everybody who is no coroutine."""
    await sync_to_async(add_field)(key, number)


EVERY_STEP: dict[str, Callable[[str, int], Awaitable[object]]] = {
    "coroutine": add_here,
    "TaskGroup": add_in_group,
    "to_thread": lambda key, number: asyncio.to_thread(add_field, key, number),
    "run_in_executor": add_in_executor,
    "call_soon": add_by_callback,
    "sync_to_async": add_in_the_thread,
    "async_to_sync": add_in_thread_and_back,
}


class TestACrowd:
    @pytest.mark.parametrize("step", EVERY_STEP.values(), ids=EVERY_STEP)
    def test_of_tasks_does_not_mix(self, lines: Lines, step: Callable[[str, int], Awaitable[object]]) -> None:
        """One loop serves 200 requests at once, each of which does its work elsewhere."""

        async def work() -> None:
            await asyncio.gather(*[serve(number, step) for number in range(CROWD)])

        asyncio.run(work())

        assert mixed(lines.all, THREE) == []

    def test_of_two_loops_does_not_mix(self, lines: Lines) -> None:
        """Each in a thread of its own."""

        async def work(numbers: range) -> None:
            await asyncio.gather(*[serve(number, add_here) for number in numbers])

        at_once(*(lambda numbers=range(start, CROWD, 2): asyncio.run(work(numbers)) for start in (0, 1)))  # type: ignore[misc]

        assert mixed(lines.all, THREE) == []

    def test_of_threads_does_not_mix(self, lines: Lines, eager_switching: None) -> None:
        """They share a pool, which is small, and warm before the first one is done."""

        def work(number: int, pool: ThreadPoolExecutor) -> None:
            with wideevents.event(f"request {number}"):
                for way in ("0", "1"):
                    pool.submit(add_field, f"t.{number}.{way}", number).result(PATIENCE)
                thread = threading.Thread(target=add_field, args=(f"t.{number}.2", number))
                thread.start()
                thread.join(PATIENCE)

        with ThreadPoolExecutor(4) as pool:
            at_once(*(lambda number=number: work(number, pool) for number in range(CROWD)))  # type: ignore[misc]

        assert mixed(lines.all, THREE) == []


class TestLoops:
    def test_what_is_sent_to_another_loop_runs_in_the_event_that_sends_it(self) -> None:
        """The loop's own thread was started in an event, too, and has nothing to say."""
        loop = asyncio.new_event_loop()

        async def ask() -> str | None:
            return name()

        def send() -> str | None:
            return asyncio.run_coroutine_threadsafe(ask(), loop).result(PATIENCE)

        with wideevents.event("starting"):
            thread = threading.Thread(target=loop.run_forever)
            thread.start()
            seen = [send()]
            with wideevents.event("sending"):
                seen.append(send())
        seen.append(send())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE)
        loop.close()

        assert seen == ["starting", "sending", None]

    def test_callbacks_see_none_once_their_event_has_ended(self) -> None:
        """Also while another event is in progress."""
        seen: list[str | None] = []

        async def work() -> None:
            loop = asyncio.get_running_loop()
            with wideevents.event("first"):
                loop.call_soon(lambda: seen.append(name()))
                loop.call_later(0.001, lambda: seen.append(name()))
            with wideevents.event("second"):
                await asyncio.sleep(0.005)

        asyncio.run(work())

        assert seen == [None, None]

    def test_a_generator_that_is_finalised_elsewhere_ends_its_own_event(self, lines: Lines) -> None:
        """Its consumer left it behind; what finalises it is in the middle of another event."""
        seen: list[str | None] = []

        @wideevents.event("pages")
        async def pages() -> AsyncIterator[int]:
            try:
                yield 1
                yield 2
            finally:
                seen.append(name())

        async def take(left: list[AsyncIterator[int]]) -> None:
            left.append(pages())
            await anext(left[0])

        async def work() -> None:
            left: list[AsyncIterator[int]] = []
            await asyncio.create_task(take(left))
            with wideevents.event("other"):
                left.clear()
                gc.collect()
                await asyncio.sleep(0.001)
                seen.append(name())
                add_field("t.key", "of the other")

        asyncio.run(work())

        assert seen == ["pages", "other"]
        assert [(line["event.name"], line.get("t.key")) for line in lines.all] == [
            ("pages", None),
            ("other", "of the other"),
        ]

    def test_a_cancelled_task_takes_its_event_along(self, lines: Lines) -> None:
        """Who cancels it goes on in the event that it had."""
        seen: list[str | None] = []

        async def inner() -> None:
            with wideevents.event("inner"):
                await asyncio.sleep(60)

        async def work() -> None:
            with wideevents.event("outer"):
                task = asyncio.create_task(inner())
                await asyncio.sleep(0)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                seen.append(name())

        asyncio.run(work())

        assert seen == ["outer"]
        assert [(line["event.name"], line["outcome"]) for line in lines.all] == [
            ("inner", "cancelled"),
            ("outer", "success"),
        ]

    @may_fork
    @every_start
    def test_processes_of_an_executor_are_in_no_event(self, lines: Lines, method: str) -> None:
        """A process of its own writes lines of its own."""

        async def work() -> object:
            context = multiprocessing.get_context(method)
            with ProcessPoolExecutor(1, mp_context=context) as pool, wideevents.event("work"):
                return await asyncio.get_running_loop().run_in_executor(pool, name)

        assert asyncio.run(work()) is None


@may_fork
class TestProcesses:
    @every_start
    def test_of_a_pool_do_not_keep_the_event_that_they_were_born_in(self, method: str) -> None:
        """Or whatever the worker does later would belong to it, in its trace, for as long as the worker lives."""
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
            with wideevents.event("first"):
                born = pool.submit(name).result(PATIENCE)
            with wideevents.event("second"):
                parent = pool.submit(adopted).result(PATIENCE)

        assert (born, parent) == (None, None)

    @every_start
    def test_start_without_any(self, method: str) -> None:
        """However they are started; the fields of the parent's event stay the parent's."""
        context: Any = multiprocessing.get_context(method)
        with wideevents.event("work"):
            queue = context.SimpleQueue()
            process = context.Process(target=put_name, args=(queue,))
            process.start()
            seen = queue.get()
            process.join(PATIENCE)
            mine = name()

        assert (seen, mine) == (None, "work")

    def test_call_back_in_no_event(self, lines: Lines) -> None:
        """What calls is a thread of the pool that was born in the first event, which is still in progress."""
        called = Flag()

        def note(_: Future[Any]) -> None:
            add_field("t.callback", name())
            called.set()

        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=context) as pool, wideevents.event("first"):
            pool.submit(int).result(PATIENCE)
            with wideevents.event("second"):
                pool.submit(pow, 7, 7).add_done_callback(note)
                assert called.wait(PATIENCE)

        assert [line.get("t.callback") for line in lines.all] == [None, None]
        assert health.faults.counts() == {health.Fault.NO_EVENT: 1}

    def test_of_multiprocessing_call_back_in_no_event(self, lines: Lines) -> None:
        """Its pools have threads that serve everybody, too."""
        called, seen = Flag(), []

        def note(_: object) -> None:
            seen.append(name())
            called.set()

        context = multiprocessing.get_context("spawn")
        with wideevents.event("first"), context.Pool(1) as pool, wideevents.event("second"):
            pool.apply_async(int, callback=note)
            assert called.wait(PATIENCE)

        assert seen == [None]


def put_name(queue: Any) -> None:
    """Tell the parent which event is in progress in the child."""
    queue.put(name())


class TestPools:
    def test_of_multiprocessing_are_threads_of_the_event_that_made_them(self) -> None:
        """And of none once it has ended, although the pool goes on."""
        with wideevents.event("making"):
            pool = ThreadPool(1)
            made = pool.apply(name)
        with wideevents.event("using"):
            used = pool.apply(name)
            carried = pool.apply(wideevents.carry(name))
        pool.close()
        pool.join()

        assert (made, used, carried) == ("making", None, "using")

    def test_call_back_in_no_event(self) -> None:
        """The worker has done its work, and another event may be waiting for it."""
        called, go_on, seen = Flag(), Flag(), []

        def note(_: Future[Any]) -> None:
            seen.append(name())
            called.set()

        with ThreadPoolExecutor(1) as pool, wideevents.event("work"):
            future = pool.submit(go_on.wait, PATIENCE)
            future.add_done_callback(note)
            go_on.set()
            assert called.wait(PATIENCE)

        assert seen == [None]


class TestThreadsOfOthers:
    def test_see_no_event(self) -> None:
        """Of a thread below the threading module we learn nothing."""
        assert in_raw_thread(name) is None
        with wideevents.event("work"):
            assert in_raw_thread(name) is None

    def test_have_the_event_that_is_carried_there(self, lines: Lines) -> None:
        """For that `carry` is there."""
        with wideevents.event("work"):
            in_raw_thread(wideevents.carry(lambda: add_field("t.key", "from the thread")))
            in_c_thread(wideevents.carry(lambda: add_field("t.c", "from the thread of C")))

        (line,) = lines.all
        assert (line["t.key"], line["t.c"]) == ("from the thread", "from the thread of C")

    def test_have_it_for_that_one_call_alone(self) -> None:
        """The thread of a library serves the next caller, who has another event or none."""
        seen: list[str | None] = []
        with wideevents.event("first"):
            first = wideevents.carry(lambda: seen.append(name()))
        with wideevents.event("second"):
            second = wideevents.carry(lambda: seen.append(name()))

            def serve() -> None:
                for call in (second, first, second):
                    call()
                seen.append(name())

            in_raw_thread(serve)

        assert seen == ["second", None, "second", None]

    def test_that_come_too_late_write_into_no_line(self, lines: Lines) -> None:
        """Neither into their own, which is out, nor into the one that is in progress now."""
        with wideevents.event("first"):
            late = wideevents.carry(lambda: add_field("t.late", 1))
        with wideevents.event("second"):
            in_raw_thread(late)

        assert [line.get("t.late") for line in lines.all] == [None, None]
        assert health.faults.counts() == {health.Fault.LATE_WRITE: 1}

    def test_of_c_see_no_event(self) -> None:
        """One that Python has not made."""
        seen: list[str | None] = []
        with wideevents.event("work"):
            in_c_thread(lambda: seen.append(name()))

        assert seen == [None]

    def test_a_timer_of_an_event_that_has_ended_sees_none(self) -> None:
        """Whatever is in progress where it was started."""
        seen: list[str | None] = []
        with wideevents.event("first"):
            timer = threading.Timer(0.01, lambda: seen.append(name()))
            timer.start()
        with wideevents.event("second"):
            timer.join(PATIENCE)

        assert seen == [None]


def in_raw_thread(work: Callable[[], Any]) -> Any:
    """Run *work* in a thread that the threading module has not made, and return its result."""
    results: list[Any] = []
    done = Flag()

    def run() -> None:
        try:
            results.append(work())
        finally:
            done.set()

    _thread.start_new_thread(run, ())
    assert done.wait(PATIENCE)
    return results[0]


def in_c_thread(work: Callable[[], object]) -> None:
    """Run *work* in a thread that C has made, such as one of a driver or of a message queue."""
    library, thread = ctypes.CDLL(None), ctypes.c_void_p()
    entry = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(lambda _: work() and None)
    assert library.pthread_create(ctypes.byref(thread), None, entry, None) == 0
    assert library.pthread_join(thread, None) == 0


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Give what every scene saw in a process that gevent has patched, and its lines, each read strictly."""
    folder = tmp_path_factory.mktemp("greenlets")
    command = ("-m", "tests.integrations.greenlets")
    with running(folder, *command, WIDEEVENTS_OUTPUT=str(folder / "events")) as process:
        process.process.wait(60)
        assert process.process.returncode == 0, b"".join(process.err).decode()
        seen: dict[str, Any] = json.loads(b"".join(process.out))
    lines = [parse_any(line) for line in (folder / "events").read_bytes().splitlines(keepends=True)]
    return {**seen, "lines": lines}


class TestGreenlets:
    def test_a_crowd_does_not_mix(self, scenes: dict[str, Any]) -> None:
        """A server of greenlets, whose requests go on in greenlets, threads, pools and native threads."""
        requests = [line for line in scenes["lines"] if line["event.kind"] == "request"]

        assert scenes["crowd"] == CROWD
        assert mixed(requests, WAYS) == []

    def test_that_switch_have_each_their_own(self, scenes: dict[str, Any]) -> None:
        """Two are in the middle of an event, and who switches between them is in none."""
        assert scenes["switching"] == ["first", "second", "first", "second", None, None, None]

    def test_that_outlive_their_event_see_none(self, scenes: dict[str, Any]) -> None:
        """What they add then is counted, and in no other line."""
        (line,) = [line for line in scenes["lines"] if line["event.name"] == "next"]

        assert (scenes["outliving"], "t.late" in line) == (["short", None], False)
        assert scenes["faults"]["events.late_writes"] == 1

    def test_of_the_hub_see_none(self, scenes: dict[str, Any]) -> None:
        """Its callbacks, and those of links, run for everybody."""
        assert scenes["hub"] == [None, None]

    def test_a_warm_pool_has_the_event_that_uses_it(self, scenes: dict[str, Any]) -> None:
        """That of the standard library, and the native one of gevent."""
        assert scenes["pools"] == ["first", "first", "second", "second", None, None]

    def test_that_are_killed_end_their_event(self, scenes: dict[str, Any]) -> None:
        """It is cancelled, as a task's would be, and who kills is not in it."""
        (line,) = [line for line in scenes["lines"] if line["event.name"] == "killed"]

        assert (scenes["killed"], line["outcome"]) == (None, "cancelled")

    def test_that_serve_everybody_have_what_is_carried(self, scenes: dict[str, Any]) -> None:
        """An actor has the event of each message, for that message."""
        assert scenes["consumer"] == ["first", "second", None]
