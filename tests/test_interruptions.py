"""What the interruptions room promises."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

import pytest

from tests.conftest import PATIENCE, FakeClock, Written, at_once
from tests.integrations.processes import Fields, running
from tests.integrations.servers import eventually
from wideevents import config, event
from wideevents.interruptions import SIGNALS, Watch, watch
from wideevents.recorder import Clock, Recorder

BEGIN = """
import asyncio, itertools, multiprocessing, os, signal, sys, threading, time
import wideevents

wideevents.configure(service="killed", output="json")


def ready(name="ready"):
    open(name, "w").close()


"""

FIRST_LETTERS = ("event.name", "outcome", "process.exit.signal")


@pytest.fixture(autouse=True)
def _begins_with_the_default_actions() -> Iterator[None]:
    """Let no event before have set anything; fail a test after which a signal does what is neither ours nor default."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    yield
    handlers = {signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    assert [handler for handler in handlers if handler != signal.SIG_DFL and type(handler) is not Watch] == []


def killed(folder: Path, script: str, number: int = signal.SIGTERM) -> tuple[int, list[Fields]]:
    """Run *script* until it says that it is ready, send it the signal, and return its exit status and its lines."""
    (folder / "script.py").write_text(BEGIN + textwrap.dedent(script))
    with running(folder, "script.py") as process:
        eventually((folder / "ready").exists, "the script")
        process.send(number)
        process.process.wait(PATIENCE)
        return process.process.returncode, process.lines


def told(lines: list[Fields]) -> list[tuple[Any, ...]]:
    """Return how each event ended."""
    return [tuple(line.get(name) for name in FIRST_LETTERS) for line in lines]


class TestProcess:
    @pytest.mark.parametrize("number", SIGNALS)
    def test_tells_every_event_and_dies_of_the_signal(self, tmp_path: Path, number: int) -> None:
        """The innermost first, each as cancelled; the parent process sees what it would have seen without us."""
        script = """
            with wideevents.event("report", "script"), wideevents.event("page", page=3):
                ready()
                time.sleep(30)
        """
        status, lines = killed(tmp_path, script, number)
        name = signal.Signals(number).name
        assert (status, told(lines)) == (-number, [("page", "cancelled", name), ("report", "cancelled", name)])
        assert [(line["level"], line.get("page")) for line in lines] == [("info", 3), ("info", None)]

    def test_is_told_while_it_computes(self, tmp_path: Path) -> None:
        """Nothing waits, and nothing is slept."""
        script = """
            with wideevents.event("report"):
                ready()
                while True:
                    sum(range(1000))
        """
        assert killed(tmp_path, script)[0] == -signal.SIGTERM

    def test_is_told_while_lines_are_written(self, tmp_path: Path) -> None:
        """A line that is just being written is whole, and every event that began is told."""
        script = """
            with wideevents.event("report"):
                for number in itertools.count():
                    with wideevents.event("page"):
                        pass
                    if number == 100:
                        ready()
        """
        status, lines = killed(tmp_path, script)
        assert (status, lines[-1]["event.name"], lines[-1]["outcome"]) == (-signal.SIGTERM, "report", "cancelled")
        pages = [line["outcome"] for line in lines[:-1]]
        assert set(pages[:-1]) == {"success"}

    def test_is_told_of_the_step_of_a_batch(self, tmp_path: Path) -> None:
        """A script that is nothing but a loop is looked after, too."""
        script = """
            for page in wideevents.batch("report", range(9)):
                if page == 2:
                    ready()
                    time.sleep(30)
        """
        status, lines = killed(tmp_path, script)
        step, parent = lines[2:]
        assert (status, step["batch.index"], step["outcome"]) == (-signal.SIGTERM, 2, "cancelled")
        assert (parent["event.kind"], parent["outcome"], parent["report.count"]) == ("task", "cancelled", 2)

    def test_is_told_of_what_other_threads_are_at(self, tmp_path: Path) -> None:
        """Their events began inside the one of the main thread."""
        script = """
            def work():
                with wideevents.event("thread"):
                    started.set()
                    time.sleep(30)

            started = threading.Event()
            with wideevents.event("main"):
                threading.Thread(target=work, daemon=True).start()
                started.wait()
                ready()
                time.sleep(30)
        """
        status, lines = killed(tmp_path, script)
        assert (status, [line["event.name"] for line in lines]) == (-signal.SIGTERM, ["thread", "main"])

    def test_is_told_by_a_coroutine(self, tmp_path: Path) -> None:
        """A loop that waits is woken by the signal."""
        script = """
            @wideevents.event("main")
            async def main():
                ready()
                await asyncio.sleep(30)

            asyncio.run(main())
        """
        assert killed(tmp_path, script)[0] == -signal.SIGTERM

    @pytest.mark.parametrize(
        "install",
        [
            "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))",
            "loop.add_signal_handler(signal.SIGTERM, print); signal.signal(signal.SIGTERM, bye)",
        ],
    )
    @pytest.mark.parametrize("inside", [False, True])
    def test_leaves_a_handler_of_the_users_alone(self, tmp_path: Path, install: str, inside: bool) -> None:
        """One that was there before, and one that is set meanwhile; it stays when the event has ended."""
        script = f"""
            loop = asyncio.new_event_loop()  # one that is collected takes its handlers away

            def bye(*_):
                sys.exit(7)

            def install():
                {install}

            {"" if inside else "install()"}
            try:
                with wideevents.event("report"):
                    {"install()" if inside else ""}
                    ready()
                    time.sleep(30)
            finally:
                assert signal.getsignal(signal.SIGTERM).__name__ in ("bye", "<lambda>")
        """
        status, lines = killed(tmp_path, script)
        assert (status, [(line["outcome"], line["process.exit.code"]) for line in lines]) == (7, [("failure", 7)])

    def test_leaves_nothing_to_a_forked_child(self, tmp_path: Path) -> None:
        """A child that is terminated dies of it, tells its own events, and none of its parent's."""
        script = """
            def work(name):
                if name:
                    with wideevents.event(name):
                        ready(f"child.{name}")
                        time.sleep(30)
                ready("child.")
                time.sleep(30)

            with wideevents.event("parent"):
                context = multiprocessing.get_context("fork")
                codes = []
                for name in ("", "child"):
                    child = context.Process(target=work, args=(name,))
                    child.start()
                    while not os.path.exists(f"child.{name}"):
                        time.sleep(0.01)
                    child.terminate()
                    child.join()
                    codes.append(child.exitcode)
                wideevents.add_field("codes", codes)
                ready()
                time.sleep(30)
        """
        status, lines = killed(tmp_path, script)
        assert (status, [line.get("codes") for line in lines]) == (-signal.SIGTERM, [None, [-15, -15]])
        assert told(lines) == [("child", "cancelled", "SIGTERM"), ("parent", "cancelled", "SIGTERM")]

    def test_is_told_by_the_recorder_that_is_configured_last(self, tmp_path: Path) -> None:
        """Events of the one before are told as they began."""
        script = """
            with wideevents.event("outer"):
                wideevents.configure(service="again", output="json")
                with wideevents.event("inner"):
                    ready()
                    time.sleep(30)
        """
        status, lines = killed(tmp_path, script)
        assert (status, {line["event.name"]: line["service.name"] for line in lines}) == (
            -signal.SIGTERM,
            {"inner": "again", "outer": "killed"},
        )


class Kill:
    """Be what sends a signal, and keep what was sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, int]] = []

    def __call__(self, process: int, number: int) -> None:
        self.sent.append((process, number))


@pytest.fixture
def kill() -> Kill:
    return Kill()


def called_by(module: str, work: Callable[[FrameType], Any]) -> Any:
    """Return what *work* does, called by code of *module*, with a frame of it."""
    space: dict[str, Any] = {"__name__": module, "work": work, "sys": sys}
    exec("def call():\n    return work(sys._getframe())\n", space)
    return space["call"]()


@pytest.fixture
def without_gevent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave signals to us: where gevent is imported, as other tests have it, its handlers could not be seen."""
    monkeypatch.delitem(sys.modules, "gevent", raising=False)


@pytest.mark.usefixtures("without_gevent")
class TestWatch:
    def test_is_there_from_the_first_event_on(self, recorder: Recorder) -> None:
        """The next ones find it, and nothing is set again, which would be a system call for each of them."""
        with event("work"):
            handlers = [signal.getsignal(number) for number in SIGNALS]
        with event("more"):
            pass
        assert [type(handler) for handler in handlers] == [Watch] * len(SIGNALS)
        assert [signal.getsignal(number) for number in SIGNALS] == handlers

    def test_knows_no_event_that_has_ended(self, recorder: Recorder) -> None:
        """It keeps nothing of them alive."""
        with event("work") as opened:
            handler = signal.getsignal(signal.SIGTERM)
            assert isinstance(handler, Watch)
            assert list(handler._events) == [opened.id]
        assert handler._events == {}

    def test_dies_of_a_signal_between_two_events(self, recorder: Recorder, kill: Kill) -> None:
        """Nothing is in progress, and the process ends as it would without us."""
        handler = Watch(config.recorder, kill)
        opened = recorder.open("work", "task")
        handler.begin(opened)
        recorder.finish(opened)
        handler.end(opened)
        handler(signal.SIGTERM, None)
        assert (kill.sent, signal.getsignal(signal.SIGTERM)) == ([(os.getpid(), signal.SIGTERM)], signal.SIG_DFL)

    def test_is_one_for_events_side_by_side(self, recorder: Recorder) -> None:
        """Tasks of one loop."""

        @event("work")
        async def work(naps: int) -> object:
            for _ in range(naps):
                await asyncio.sleep(0)
            return signal.getsignal(signal.SIGTERM)

        async def main() -> list[object]:
            return list(await asyncio.gather(work(1), work(3), work(2)))

        handlers = asyncio.run(main())
        assert [type(handler) for handler in handlers] == [Watch] * 3
        assert len({id(handler) for handler in handlers}) == 1

    def test_is_no_business_of_other_threads(self, recorder: Recorder) -> None:
        """The main thread gets the signals."""

        def work() -> object:
            with event("work"):
                return signal.getsignal(signal.SIGTERM)

        assert at_once(work) == [signal.SIG_DFL]

    def test_is_no_business_of_inner_events(self, recorder: Recorder) -> None:
        """The outer one looks after them."""
        with event("outer") as outer:
            handler = signal.getsignal(signal.SIGTERM)
            with event("inner"):
                assert isinstance(handler, Watch)
                assert list(handler._events) == [outer.id]
            assert signal.getsignal(signal.SIGTERM) is handler

    def test_is_not_where_gevent_may_have_handlers(self, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
        """They are set below Python, and would be lost."""
        monkeypatch.setitem(sys.modules, "gevent", SimpleNamespace())
        with event("work"):
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

    def test_is_not_where_somebody_handles_all(self, recorder: Recorder) -> None:
        """Ignoring is handling, as `nohup` does."""
        before = {number: signal.signal(number, signal.SIG_IGN) for number in SIGNALS}
        try:
            with event("work") as opened:
                assert watch(opened, config.recorder) is None
                assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
        finally:
            for number, action in before.items():
                signal.signal(number, action)

    def test_leaves_a_handler_that_is_set_meanwhile(self, recorder: Recorder) -> None:
        """It stays when the event has ended."""

        def handler(number: int, frame: FrameType | None) -> None:
            """Do nothing."""

        try:
            with event("work"):
                signal.signal(signal.SIGTERM, handler)
            assert signal.getsignal(signal.SIGTERM) is handler
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def test_does_nothing_where_it_is_refused(self, recorder: Recorder) -> None:
        """Another interpreter's main thread may set no handler; nor may a thread that takes itself for the main one."""
        seen: list[object] = []

        def work() -> None:
            before = threading.main_thread()
            threading._main_thread = threading.current_thread()  # type: ignore[attr-defined]
            try:
                opened = recorder.open("work", "task")
                seen.append(watch(opened, config.recorder))
                recorder.finish(opened)
            finally:
                threading._main_thread = before  # type: ignore[attr-defined]

        at_once(work)
        assert seen == [None]

    def test_finishes_what_is_in_progress(self, recorder: Recorder, written: Written, kill: Kill) -> None:
        """A failure stays one, and what has ended already did not end by this."""
        handler = Watch(config.recorder, kill)
        events = [recorder.open(name, "task") for name in ("outer", "failed", "answered", "inner")]
        events[1].fail(ValueError("x"))
        events[2].ended = recorder.clock.monotonic()
        assert handler.begin(events[0])
        called_by("shop", lambda frame: handler(signal.SIGTERM, frame))
        assert told(written.all()) == [
            ("inner", "cancelled", "SIGTERM"),
            ("answered", "success", None),
            ("failed", "failure", "SIGTERM"),
            ("outer", "cancelled", "SIGTERM"),
        ]
        assert (kill.sent, signal.getsignal(signal.SIGTERM)) == ([(os.getpid(), signal.SIGTERM)], signal.SIG_DFL)
        handler.end(events[0])

    def test_closes_the_pipeline(self, recorder: Recorder, written: Written, kill: Kill) -> None:
        """What waits in a sink is sent before the process dies."""
        closed: list[int] = []
        written.sink.close = lambda: closed.append(len(kill.sent))  # type: ignore[method-assign]
        handler = Watch(config.recorder, kill)
        opened = recorder.open("work", "task")
        handler.begin(opened)
        handler(signal.SIGTERM, None)
        handler.end(opened)
        assert (closed, len(kill.sent)) == ([0], 1)

    def test_finishes_events_of_every_recorder(
        self, recorder: Recorder, written: Written, clock: FakeClock, kill: Kill
    ) -> None:
        """Of the one that is configured now, and of the one that the outer event began with."""
        newer = Recorder(recorder.pipeline, recorder.keys, clock=Clock(clock.wall, clock.monotonic))
        handler = Watch(lambda: newer, kill)
        outer, inner = recorder.open("outer", "task"), newer.open("inner", "task")
        handler.begin(outer)
        handler(signal.SIGTERM, None)
        handler.end(outer)
        assert (outer.sealed, inner.sealed) == (True, True)

    def test_dies_even_if_it_cannot_tell(self, recorder: Recorder, kill: Kill) -> None:
        """Whatever happens, the signal does what it is for."""

        def broken() -> Any:
            raise KeyboardInterrupt

        handler = Watch(broken, kill)
        opened = recorder.open("work", "task")
        handler.begin(opened)
        with pytest.raises(KeyboardInterrupt):
            handler(signal.SIGTERM, None)
        assert kill.sent == [(os.getpid(), signal.SIGTERM)]
        recorder.finish(opened)
        handler.end(opened)

    def test_does_nothing_for_who_took_its_place(self, recorder: Recorder, kill: Kill) -> None:
        """A handler that calls the one before it would have found the default action there, which cannot be called."""
        handler = Watch(config.recorder, kill)
        opened = recorder.open("work", "task")
        handler.begin(opened)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        handler(signal.SIGTERM, None)
        assert (kill.sent, opened.sealed) == ([], False)
        recorder.finish(opened)
        handler.end(opened)

    @pytest.mark.parametrize("module", ["wideevents.recorder", "wideevents.pipeline"])
    def test_waits_where_a_line_is_being_written(self, recorder: Recorder, kill: Kill, module: str) -> None:
        """Until the line is out, and not an instruction longer."""
        handler = Watch(config.recorder, kill)
        opened = recorder.open("work", "task")
        handler.begin(opened)
        traced = sys.gettrace()
        sealed = called_by(module, lambda frame: (handler(signal.SIGTERM, frame), opened.sealed)[1])
        assert (sealed, opened.sealed) == (False, True)
        assert kill.sent == [(os.getpid(), signal.SIGTERM)]
        assert sys.gettrace() is traced
        handler.end(opened)

    def test_waits_by_tracing_who_called(self, recorder: Recorder, kill: Kill) -> None:
        """The next thing that happens there ends it; what was traced before is traced again."""
        traced: list[Any] = []
        handler = Watch(config.recorder, kill, traced.append)
        opened = recorder.open("work", "task")
        handler.begin(opened)
        frames: list[FrameType] = []

        def work(frame: FrameType) -> None:
            handler(signal.SIGTERM, frame)
            frames.append(frame.f_back)  # type: ignore[arg-type]

        called_by("wideevents.pipeline", work)
        (frame,) = frames
        assert (len(traced), traced[0](frame, "call", None), kill.sent) == (1, None, [])
        frame.f_trace(frame, "return", None)  # type: ignore[misc]
        assert (traced[1:], kill.sent) == ([sys.gettrace()], [(os.getpid(), signal.SIGTERM)])
        handler.end(opened)

    def test_waits_for_the_outermost_work(self, recorder: Recorder, kill: Kill) -> None:
        """A stage of the user's may make an event, too."""
        handler = Watch(config.recorder, kill)
        opened = recorder.open("work", "task")
        handler.begin(opened)

        def stage() -> bool:
            return called_by("wideevents.pipeline", lambda frame: (handler(signal.SIGTERM, frame), opened.sealed)[1])

        sealed = called_by("wideevents.recorder", lambda _: (stage(), opened.sealed)[1])
        assert (sealed, opened.sealed) == (False, True)
        handler.end(opened)

    def test_does_not_wait_when_it_comes_again(self, recorder: Recorder, kill: Kill) -> None:
        """A sink that hangs does not keep the process alive."""
        handler = Watch(config.recorder, kill)
        opened = recorder.open("work", "task")
        handler.begin(opened)

        def work(frame: FrameType) -> bool:
            handler(signal.SIGTERM, frame)
            handler(signal.SIGTERM, frame)
            return opened.sealed

        assert called_by("wideevents.pipeline", work)
        handler.end(opened)

    def test_dies_at_the_end_of_an_event_that_ended_meanwhile(
        self, recorder: Recorder, written: Written, kill: Kill
    ) -> None:
        """The signal that came while its last line was written is not forgotten; the event has succeeded."""
        handler = Watch(config.recorder, kill)
        opened = recorder.open("work", "task")
        handler.begin(opened)

        def work(frame: FrameType) -> list[tuple[int, int]]:
            handler(signal.SIGTERM, frame)
            recorder.finish(opened)
            handler.end(opened)
            return [*kill.sent]

        assert called_by("wideevents.recorder", work) == [(os.getpid(), signal.SIGTERM)]
        assert written.one()["outcome"] == "success"

    def test_may_end_in_another_thread(self, recorder: Recorder) -> None:
        """A generator that is collected there."""
        opened = recorder.open("work", "task")
        handler = watch(opened, config.recorder)
        assert handler is not None
        at_once(lambda: handler.end(opened))
        recorder.finish(opened)
        assert (handler._events, signal.getsignal(signal.SIGTERM)) == ({}, handler)
