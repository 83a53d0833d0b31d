"""What the propagation room promises."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import wraps
from multiprocessing import get_context
from multiprocessing.pool import ThreadPool
from threading import Event as Flag
from threading import Thread, Timer
from typing import Any

import gevent
import pytest
from gevent.pool import Pool
from gevent.threadpool import ThreadPool as NativePool

import wideevents
from tests.conftest import PATIENCE, Written, at_once
from wideevents import add_field, current, health, propagation
from wideevents.context import variable
from wideevents.events import Event
from wideevents.sinks.memory import MemorySink

pytestmark = pytest.mark.usefixtures("recorder")


class Seen:
    """Note, when it is called, which event was in progress."""

    def __init__(self) -> None:
        self.events: list[Event | None] = []

    def __call__(self) -> None:
        self.events.append(current())


class Working(Thread):
    """A thread with a `run` of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Event | None = None

    def run(self) -> None:
        self.seen = current()


class Starting(Working):
    """A thread with a `start` of its own, too."""

    def start(self) -> None:
        super().start()


def run(thread: Thread) -> None:
    """Start *thread*, and wait for its end."""
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def hubbed(work: Callable[[], object]) -> object:
    """Run *work* with a hub of its own, in a thread: a hub belongs to one, and ends with it."""

    def run_hub() -> object:
        try:
            return work()
        finally:
            gevent.get_hub().destroy()

    (result,) = at_once(run_hub)
    return result


@pytest.fixture
def seen() -> Seen:
    """Give something that notes the event in progress."""
    return Seen()


@pytest.fixture
def uninstalled() -> Iterator[None]:
    """Begin with what Python itself does; afterwards threads are ours again."""
    propagation.uninstall()
    yield
    propagation.uninstall()
    propagation.install(variable)


class TestThreads:
    def test_write_into_the_event_that_started_them(self, written: Written) -> None:
        """A request that splits its work is still one line."""
        with wideevents.event("work"):
            run(Thread(target=add_field, args=("t.key", "from the thread")))
        assert written.one()["t.key"] == "from the thread"

    def test_have_no_event_that_are_started_outside_any(self, seen: Seen) -> None:
        """Nothing is carried where there is nothing."""
        run(Thread(target=seen))
        assert seen.events == [None]

    def test_have_the_event_of_their_start_and_not_of_their_making(self, seen: Seen) -> None:
        """What counts is the work that set them going."""
        with wideevents.event("made"):
            thread = Thread(target=seen)
        with wideevents.event("started") as event:
            run(thread)
        assert seen.events == [event]

    @pytest.mark.parametrize("kind", [Working, Starting])
    def test_of_a_subclass_have_it_too(self, kind: type[Working]) -> None:
        """Also where `run` or `start` are overridden."""
        thread = kind()
        with wideevents.event("work") as event:
            run(thread)
        assert thread.seen is event

    def test_whose_run_was_set_on_the_instance_have_it_too(self, seen: Seen) -> None:
        """And keep that `run` afterwards, as if we were not there."""
        thread = Thread()
        thread.run = seen  # type: ignore[method-assign]
        with wideevents.event("work") as event:
            run(thread)
        assert (seen.events, thread.__dict__["run"]) == ([event], seen)

    def test_see_nothing_of_us(self) -> None:
        """A running thread has no attribute of ours."""
        names: list[str] = []
        thread = Thread(target=lambda: names.extend(thread.__dict__))
        before = set(thread.__dict__)
        with wideevents.event("work"):
            run(thread)
        assert set(names) - before == set()

    def test_started_by_a_thread_have_it_too(self, seen: Seen) -> None:
        """The event goes down as deep as threads start threads."""
        with wideevents.event("work") as event:
            run(Thread(target=lambda: run(Thread(target=seen))))
        assert seen.events == [event]

    def test_have_an_event_of_their_own_inside(self, written: Written) -> None:
        """A nested event is the child of the one that started the thread, and of the same trace."""

        def work() -> None:
            with wideevents.event("inner"):
                add_field("t.key", 1)

        with wideevents.event("outer"):
            run(Thread(target=work))
        inner, outer = written.named("inner"), written.named("outer")
        assert (inner["parent.id"], inner["trace.id"]) == (outer["event.id"], outer["trace.id"])
        assert "t.key" not in outer

    def test_that_outlive_their_event_see_none(self, written: Written) -> None:
        """What they hold is an emptied shell; what they write is late, and in nobody's line."""
        go_on, results = Flag(), []

        def work() -> None:
            assert go_on.wait(PATIENCE)
            results.append(current())
            add_field("t.late", 1)

        thread = Thread(target=work)
        with wideevents.event("work"):
            thread.start()
        with wideevents.event("next"):
            go_on.set()
            thread.join(PATIENCE)
        assert (results, [line.get("t.late") for line in written.all()]) == ([None], [None, None])
        assert written.last()["events.late_writes"] == 1

    def test_report_their_errors_as_ever(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What a thread raises goes to `threading.excepthook`."""
        raised: list[Any] = []
        monkeypatch.setattr(threading, "excepthook", lambda arguments: raised.append(arguments.exc_type))

        def fail() -> None:
            raise KeyError

        with wideevents.event("work"):
            run(Thread(target=fail))
        assert raised == [KeyError]

    def test_that_wait_to_begin_have_it_too(self, seen: Seen) -> None:
        """A Timer runs later, in the event that started it, or in none if that has ended by then."""
        timer = Timer(0.01, seen)
        with wideevents.event("work") as event:
            timer.start()
            timer.join(PATIENCE)
        assert seen.events == [event]

    def test_are_freed_without_the_garbage_collector(self, seen: Seen) -> None:
        """Neither the thread nor its event stand in a circle of references."""
        gc.disable()
        try:
            thread = Thread(target=seen)
            gone = weakref.ref(thread)
            with wideevents.event("work") as event:
                run(thread)
            event_gone = weakref.ref(event)
            seen.events.clear()
            del thread, event
            assert (gone(), event_gone()) == (None, None)
        finally:
            gc.enable()

    def test_of_a_subclass_are_freed_without_the_garbage_collector(self) -> None:
        """The bound `run` of a subclass is a reference to the thread, which is let go of."""
        gc.disable()
        try:
            thread = Working()
            gone = weakref.ref(thread)
            with wideevents.event("work"):
                run(thread)
            del thread
            assert gone() is None
        finally:
            gc.enable()


class TestThreadsThatCannotStart:
    def test_leave_no_trace(self, uninstalled: None, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where the system has no more threads, the thread is as it was, and the error is the system's."""

        def start(_: Thread) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(Thread, "start", start)
        propagation.install(variable)
        thread = Thread()
        before = dict(thread.__dict__)
        with wideevents.event("work") as event:
            with pytest.raises(RuntimeError, match="can't start new thread"):
                thread.start()
            assert current() is event
        propagation.uninstall()
        assert thread.__dict__ == before

    def test_keep_a_run_of_their_own(self, uninstalled: None, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> None:
        """The `run` that stood on the instance stands there again."""

        def start(_: Thread) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(Thread, "start", start)
        propagation.install(variable)
        thread = Thread()
        thread.run = seen  # type: ignore[method-assign]
        with wideevents.event("work"), pytest.raises(RuntimeError):
            thread.start()
        propagation.uninstall()
        assert thread.__dict__["run"] is seen

    def test_are_freed_without_the_garbage_collector(self) -> None:
        """What did not start holds nothing."""
        gc.disable()
        try:
            thread = Working()
            gone = weakref.ref(thread)
            with wideevents.event("work"):
                run(thread)
                with pytest.raises(RuntimeError, match="once"):
                    thread.start()
            assert "run" not in thread.__dict__
            del thread
            assert gone() is None
        finally:
            gc.enable()


class TestPools:
    def test_write_into_the_event_that_submits(self, written: Written) -> None:
        """A cold pool begins its worker in that call."""
        with wideevents.event("work"), ThreadPoolExecutor(1) as pool:
            pool.submit(add_field, "t.key", "from the pool").result(PATIENCE)
        assert written.one()["t.key"] == "from the pool"

    def test_that_are_warm_do_so_too(self) -> None:
        """The worker was there before the event."""
        with ThreadPoolExecutor(1) as pool:
            pool.submit(int).result(PATIENCE)
            with wideevents.event("work") as event:
                assert pool.submit(current).result(PATIENCE) is event

    def test_do_not_keep_an_event_for_the_next_one(self) -> None:
        """A worker that was born in one event serves the next one, and work that is in none."""
        with ThreadPoolExecutor(1) as pool:
            with wideevents.event("first") as first:
                in_first = pool.submit(current).result(PATIENCE)
                bare = pool.submit(variable.get).result(PATIENCE)
            with wideevents.event("second") as second:
                in_second = pool.submit(current).result(PATIENCE)
            outside = pool.submit(variable.get).result(PATIENCE)
        assert (in_first, bare, in_second, outside) == (first, first, second, None)

    def test_do_not_keep_an_event_after_an_error(self) -> None:
        """The worker is clean again, whatever the work raised."""

        def fail() -> None:
            raise KeyError

        with ThreadPoolExecutor(1) as pool:
            with wideevents.event("work"), pytest.raises(KeyError):
                pool.submit(fail).result(PATIENCE)
            assert pool.submit(variable.get).result(PATIENCE) is None

    def test_that_map_do_so_too(self) -> None:
        """`map` submits, each item of it in the event of the call."""
        with ThreadPoolExecutor(2) as pool, wideevents.event("work") as event:
            assert list(pool.map(lambda _: current(), range(4))) == [event] * 4

    def test_take_every_argument(self) -> None:
        """Also those that are called as the wrapper's own would be."""

        def collect(*arguments: object, **named: object) -> object:
            return arguments, named

        with ThreadPoolExecutor(1) as pool, wideevents.event("work"):
            future = pool.submit(collect, 1, 2, function=3, pool=4, fn=5, self=6)
            assert future.result(PATIENCE) == ((1, 2), {"function": 3, "pool": 4, "fn": 5, "self": 6})

    def test_that_are_shut_down_raise_as_ever(self) -> None:
        """The error is the pool's, and the event still in progress."""
        pool = ThreadPoolExecutor(1)
        pool.shutdown()
        with wideevents.event("work") as event:
            with pytest.raises(RuntimeError, match="after shutdown"):
                pool.submit(int)
            assert current() is event

    def test_that_run_work_after_the_end_of_its_event_see_none(self) -> None:
        """What waited in the queue for too long is in no line."""
        go_on = Flag()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(go_on.wait, PATIENCE)
            with wideevents.event("work"):
                waiting = pool.submit(current)
            go_on.set()
            assert waiting.result(PATIENCE) is None

    def test_let_go_of_an_event(self) -> None:
        """A worker that idles holds nothing of the work that it did."""
        gc.disable()
        try:
            with ThreadPoolExecutor(1) as pool:
                with wideevents.event("work") as event:
                    pool.submit(int).result(PATIENCE)
                gone = weakref.ref(event)
                del event
                pool.submit(int).result(PATIENCE)  # a worker drops its last item when it takes the next one
                assert gone() is None
        finally:
            gc.enable()


class TestAsyncio:
    def test_to_thread_writes_into_the_event(self) -> None:
        """Blocking work of a coroutine is part of its event."""

        async def work() -> tuple[object, object]:
            with wideevents.event("work") as event:
                return event, await asyncio.to_thread(current)

        event, seen = asyncio.run(work())
        assert seen is event

    @pytest.mark.parametrize("own", [True, False], ids=["a pool", "the default pool"])
    def test_run_in_executor_writes_into_the_event(self, *, own: bool) -> None:
        """Although asyncio itself carries no context there."""

        async def work(pool: ThreadPoolExecutor) -> tuple[object, object, object]:
            loop = asyncio.get_running_loop()
            with wideevents.event("work") as event:
                seen = await loop.run_in_executor(pool if own else None, current)
                return event, seen, current()

        with ThreadPoolExecutor(1) as pool:
            event, seen, after = asyncio.run(work(pool))
        assert [seen, after] == [event, event]

    def test_tasks_write_into_the_event(self, written: Written) -> None:
        """A task has the event that it was made in, also in a TaskGroup."""

        async def step(name: str) -> None:
            await asyncio.sleep(0)
            add_field(name, current() is not None)

        async def work() -> None:
            with wideevents.event("work"):
                await asyncio.create_task(step("t.task"))
                async with asyncio.TaskGroup() as group:
                    group.create_task(step("t.group.one"))
                    group.create_task(step("t.group.two"))

        asyncio.run(work())
        line = written.one()
        assert [line[name] for name in ("t.task", "t.group.one", "t.group.two")] == [True, True, True]

    def test_events_of_tasks_do_not_mix(self, written: Written) -> None:
        """Requests that one loop serves at once each have their own."""

        async def request(number: int) -> None:
            with wideevents.event(f"request {number}"):
                for step in range(5):
                    await asyncio.sleep(0)
                    add_field(f"t.step.{step}", number)

        async def work() -> None:
            await asyncio.gather(*[request(number) for number in range(5)])

        asyncio.run(work())
        for number in range(5):
            line = written.named(f"request {number}")
            assert [line[f"t.step.{step}"] for step in range(5)] == [number] * 5

    def test_a_task_that_outlives_its_event_sees_none(self) -> None:
        """What goes on in the background belongs in an event of its own."""

        async def work() -> object:
            with wideevents.event("work"):
                later = asyncio.create_task(asyncio.sleep(0, result=None))
                waiting = asyncio.create_task(background(later))
            return await waiting

        async def background(later: asyncio.Task[None]) -> object:
            await later
            return current()

        assert asyncio.run(work()) is None


class TestPoolsOfProcesses:
    def test_have_threads_of_their_own_that_keep_house(self) -> None:
        """What they call back would be in the event that began the pool, whoever has submitted."""
        called, seen = Flag(), []

        def note(_: object) -> None:
            seen.append(variable.get())
            called.set()

        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool, wideevents.event("work"):
            pool.submit(int).add_done_callback(note)
            assert called.wait(PATIENCE)
        assert seen == [None]

    def test_of_multiprocessing_have_some_too(self) -> None:
        """Its workers are another matter: a pool of threads has the event that it was made in."""
        called, seen = Flag(), []

        def note(_: object) -> None:
            seen.append(variable.get())
            called.set()

        with wideevents.event("work") as event, ThreadPool(1) as pool:
            seen.append(pool.apply_async(current, callback=note).get(PATIENCE))
            assert called.wait(PATIENCE)
        assert seen == [None, event]


class TestGreenlets:
    def test_write_into_the_event_that_started_them(self, written: Written) -> None:
        """As threads do: a request that splits its work is still one line."""

        def work() -> None:
            with wideevents.event("work"):
                gevent.spawn(add_field, "t.greenlet", 1).join()
                gevent.spawn_later(0.001, add_field, "t.later", 2).join()
                Pool(2).map(lambda number: add_field(f"t.pool.{number}", number), range(3))

        hubbed(work)
        line = written.one()
        assert [line[f"t.{name}"] for name in ("greenlet", "later", "pool.0", "pool.1", "pool.2")] == [1, 2, 0, 1, 2]

    def test_have_no_event_that_are_started_outside_any(self) -> None:
        """Nothing is carried where there is nothing, and no context is made for it."""

        def work() -> object:
            greenlet = gevent.spawn(current)
            return greenlet.gr_context, greenlet.get()

        assert hubbed(work) == (None, None)

    def test_have_the_event_of_their_start_and_not_of_their_making(self) -> None:
        """What counts is the work that set them going."""

        def work() -> object:
            with wideevents.event("made"):
                greenlet = gevent.Greenlet(current)
            with wideevents.event("started") as event:
                greenlet.start()
                return greenlet.get() is event

        assert hubbed(work) is True

    def test_keep_a_context_of_their_own(self) -> None:
        """Who has given them one has decided what is in it."""

        def work() -> object:
            with wideevents.event("other") as other:
                context = contextvars.copy_context()
            with wideevents.event("work"):
                greenlet = gevent.Greenlet(variable.get)
                greenlet.gr_context = context
                greenlet.start()
                return greenlet.get() is other

        assert hubbed(work) is True

    def test_other_libraries_keep_their_own_context(self) -> None:
        """Only our variable travels: what others keep in theirs is their decision."""
        theirs: contextvars.ContextVar[str] = contextvars.ContextVar("theirs", default="default")

        def work() -> object:
            theirs.set("set")
            with wideevents.event("work"):
                return gevent.spawn(theirs.get).get()

        assert hubbed(work) == "default"

    def test_native_threads_write_into_the_event_too(self) -> None:
        """A pool of gevent's is one like any other, cold or warm, and keeps nothing."""

        def work() -> object:
            pool = NativePool(1)
            try:
                with wideevents.event("first") as first:
                    cold, spawned = pool.apply(current), pool.spawn(current).get()
                with wideevents.event("second") as second:
                    warm = pool.apply(current)
                return [cold is first, spawned is first, warm is second, pool.apply(variable.get)]
            finally:
                pool.kill()

        assert hubbed(work) == [True, True, True, None]

    def test_are_followed_once(self) -> None:
        """`configure()` and every door may ask for it."""
        spawn = NativePool.spawn
        propagation.install(variable)
        assert NativePool.spawn is spawn

    def test_are_left_alone_when_it_is_undone(self, uninstalled: None) -> None:
        """Gevent begins an empty context by itself, and its pool is its own again."""
        propagation.install(variable)
        ours = NativePool.spawn
        propagation.uninstall()

        def work() -> object:
            with wideevents.event("work"):
                return gevent.spawn(current).get()

        assert (hubbed(work), NativePool.spawn is ours.__wrapped__) == (None, True)  # type: ignore[attr-defined]

    def test_can_be_followed_later(self, uninstalled: None, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where gevent is imported after the first call; without it nothing is."""
        with monkeypatch.context() as patch:
            patch.delitem(sys.modules, "gevent")
            propagation.install(variable)
            bare = NativePool.spawn
        propagation.install(variable)
        assert NativePool.spawn.__wrapped__ is bare  # type: ignore[attr-defined]


class TestInstall:
    def test_wraps_once(self) -> None:
        """`configure()` and every door may ask for it."""
        start, submit = Thread.start, ThreadPoolExecutor.submit
        propagation.install(variable)
        assert (Thread.start, ThreadPoolExecutor.submit) == (start, submit)

    def test_keeps_what_is_known_of_the_methods(self) -> None:
        """Name, text and signature are those of Python's own."""
        assert (Thread.start.__name__, Thread.start.__qualname__) == ("start", "Thread.start")
        assert ThreadPoolExecutor.submit.__doc__ is ThreadPoolExecutor.submit.__wrapped__.__doc__  # type: ignore[attr-defined]

    def test_can_be_done_again(self, uninstalled: None, seen: Seen) -> None:
        """After it was undone."""
        propagation.install(variable)
        with wideevents.event("work") as event:
            run(Thread(target=seen))
        propagation.uninstall()
        assert seen.events == [event]


class TestUninstall:
    def test_restores_pythons_own(self, uninstalled: None) -> None:
        """The very methods that stood there before."""
        start, submit = Thread.start, ThreadPoolExecutor.submit
        propagation.install(variable)
        wrapped = (Thread.start, ThreadPoolExecutor.submit)
        propagation.uninstall()
        assert (Thread.start, ThreadPoolExecutor.submit) == (start, submit)
        assert wrapped[0] is not start
        assert wrapped[1] is not submit

    def test_can_be_done_twice(self, uninstalled: None) -> None:
        """What is not there need not be undone."""
        before = (Thread.start, ThreadPoolExecutor.submit)
        propagation.uninstall()
        assert (Thread.start, ThreadPoolExecutor.submit) == before

    def test_leaves_threads_and_pools_without_an_event(self, uninstalled: None, seen: Seen) -> None:
        """What Python does itself is to begin an empty context."""
        with wideevents.event("work"), ThreadPoolExecutor(1) as pool:
            run(Thread(target=seen))
            pool.submit(seen).result(PATIENCE)
        assert seen.events == [None, None]

    @pytest.mark.parametrize(("owner", "name"), [(Thread, "start"), (ThreadPoolExecutor, "submit")])
    def test_leaves_what_somebody_wrapped_meanwhile(self, uninstalled: None, seen: Seen, owner: Any, name: str) -> None:
        """Theirs stays; ours under it carries nothing any more; the other method is Python's own again."""
        pythons = {Thread: Thread.start, ThreadPoolExecutor: ThreadPoolExecutor.submit}
        propagation.install(variable)
        ours, called = getattr(owner, name), []

        @wraps(ours)
        def theirs(*arguments: Any, **named: Any) -> Any:
            called.append(name)
            return ours(*arguments, **named)

        setattr(owner, name, theirs)
        try:
            propagation.uninstall()
            after = {Thread: Thread.start, ThreadPoolExecutor: ThreadPoolExecutor.submit}
            with wideevents.event("work"), ThreadPoolExecutor(1) as pool:
                run(Thread(target=seen))
                pool.submit(seen).result(PATIENCE)
        finally:
            setattr(owner, name, pythons[owner])
        assert after == {**pythons, owner: theirs}
        assert (called[:1], seen.events) == ([name], [None, None])

    @pytest.mark.parametrize("threads", [True, False])
    @pytest.mark.usefixtures("reconfigurable")
    def test_is_what_threads_says(self, seen: Seen, *, threads: bool) -> None:
        """`configure(threads=False)` leaves Python's threads alone."""
        wideevents.configure(output=MemorySink(), threads=threads)
        with wideevents.event("work") as event:
            run(Thread(target=seen))
        assert (seen.events, health.faults.counts()) == ([event if threads else None], {})


class TestOrder:
    def test_other_libraries_keep_their_own_context(self) -> None:
        """Only our variable travels: what others keep in theirs is their decision."""
        theirs: contextvars.ContextVar[str] = contextvars.ContextVar("theirs", default="default")
        results: list[str] = []
        theirs.set("set")
        with wideevents.event("work"), ThreadPoolExecutor(1) as pool:
            run(Thread(target=lambda: results.append(theirs.get())))
            results.append(pool.submit(theirs.get).result(PATIENCE))
        assert results == ["default", "default"]


class TestCollections:
    def test_nothing_of_ours_runs_in_them(self, uninstalled: None) -> None:
        """What a signal handler raises there, such as Ctrl-C, is printed by Python, and ends nothing."""
        before = gc.callbacks[:]
        propagation.install(variable)
        assert gc.callbacks == before
