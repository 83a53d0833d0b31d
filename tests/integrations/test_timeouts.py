"""What a worker tells before it is killed by gunicorn's time-out: where each of its events is."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import anyio.to_thread
import flask
import pytest
from django import urls
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponse
from gunicorn.config import Config
from gunicorn.workers.base import Worker
from gunicorn.workers.base_async import AsyncWorker
from gunicorn.workers.gthread import ThreadWorker
from gunicorn.workers.sync import SyncWorker
from werkzeug.test import EnvironBuilder, run_wsgi_app

import wideevents
from tests.conftest import Written
from tests.integrations.children import dying
from tests.integrations.dialogues import REQUEST, Dialogue
from tests.integrations.django_door import OURS as DJANGO
from tests.integrations.servers import PATIENCE
from tests.integrations.test_django import project
from wideevents import health
from wideevents.integrations import asgi, wsgi
from wideevents.integrations.flask import WideEvents
from wideevents.integrations.gunicorn import WorkerTimeout, post_worker_init, worker_abort
from wideevents.recorder import Recorder
from wideevents.sinks.memory import MemorySink

OURS = "wideevents.integrations.gunicorn.WorkerTimeout"


def worker(kind: type[Worker] = SyncWorker) -> Worker:
    """Return a worker as gunicorn makes it, which has not begun to serve."""
    cfg = Config()
    cfg.set("timeout", 30)
    cfg.set("worker_abort", worker_abort)
    made = kind(1, os.getppid(), [], None, 15.0, cfg, None)
    made.tmp.close()
    return made


@pytest.fixture
def abort() -> Iterator[Callable[[Worker], None]]:
    """Give what sends SIGABRT to a worker that lives in this process, as gunicorn's master does."""
    before = signal.getsignal(signal.SIGABRT)

    def send(aborted: Worker) -> None:
        signal.signal(signal.SIGABRT, aborted.handle_abort)
        signal.raise_signal(signal.SIGABRT)

    yield send
    signal.signal(signal.SIGABRT, before)


def answer(environ: object, start_response: Any) -> list[bytes]:
    """Answer as an application does that has nothing to say."""
    start_response("204 No Content", [])
    return []


class Threads:
    """Run work in threads that wait until the test is over."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.stack = ExitStack()

    def wait(self) -> None:
        """Wait, in a frame that a stack can be recognised by."""
        self.arrived.set()
        self.over.wait(PATIENCE)

    def serve(self) -> None:
        """Serve a request that waits."""

        def app(environ: object, start_response: Any) -> list[bytes]:
            self.wait()
            return answer(environ, start_response)

        run_wsgi_app(wsgi.WideEvents(app), EnvironBuilder().get_environ())

    def run(self, work: Callable[[], object]) -> None:
        """Begin *work*, and go on as soon as it waits."""
        self.arrived = threading.Event()
        thread = threading.Thread(target=work)
        thread.start()
        self.stack.callback(thread.join, PATIENCE)
        assert self.arrived.wait(PATIENCE)


@pytest.fixture
def threads() -> Iterator[Threads]:
    """Give threads that end with the test."""
    made = Threads()
    with made.stack:
        yield made
        made.over.set()


def stack(line: dict[str, Any]) -> list[str]:
    """Return the functions of this file in the stack of a line, the outermost first."""
    rows = line["exception.stacktrace"].splitlines()
    return [row.rpartition(" in ")[2] for row in rows if row.startswith(f'> File "{__file__}"')]


class TestInterrupted:
    def test_the_event_tells_where_it_hangs(self, recorder: Recorder, written: Written, abort: Any) -> None:
        """In a sync worker the signal interrupts the code itself, which then is left by a SystemExit."""

        def hang() -> None:
            abort(worker())

        with pytest.raises(SystemExit), wideevents.event("report", page=3):
            hang()

        line = written.one()
        assert (line["outcome"], line["level"], line["page"]) == ("failure", "error", 3)
        assert (line["error.type"], line["exception.handled"], line["error.count"]) == (OURS, False, 1)
        assert line["exception.message"] == "The worker gave no sign of life for 30 s, and was aborted."
        assert line["error.why"] == "The code at the end of the stack kept the worker from giving one."
        assert "time-out of its own" in line["error.fix"]
        assert stack(line)[-3:] == ["test_the_event_tells_where_it_hangs", "hang", "send"]
        assert "handle_abort" not in line["exception.stacktrace"]

    def test_a_request_has_its_route_and_what_the_client_sees(
        self, recorder: Recorder, written: Written, abort: Any
    ) -> None:
        """Gunicorn's sync worker answers for it with a 500; a route is told by Flask, which has not come to that."""
        app = flask.Flask(__name__)
        WideEvents(app)

        @app.get("/orders/<int:number>")
        def order(number: int) -> str:
            with wideevents.event("charge"):
                abort(worker())
            return ""

        with pytest.raises(SystemExit):
            run_wsgi_app(app, EnvironBuilder("/orders/7").get_environ())

        inner, outer = written.all()
        assert (inner["event.name"], outer["event.name"]) == ("charge", "GET /orders/<int:number>")
        assert (outer["http.route"], outer["http.response.status_code"]) == ("/orders/<int:number>", 500)
        assert (outer["error.type"], inner["error.type"]) == (OURS, OURS)
        assert stack(outer) == stack(inner) == ["order", "send"]

    def test_a_request_of_django_has_them_too(self, recorder: Recorder, written: Written, abort: Any) -> None:
        """Its route is known before its view runs, and nobody has asked for it by then."""

        def order(request: object, number: int) -> None:
            abort(worker())

        with pytest.raises(SystemExit), project(urls.path("orders/<int:number>/", order, name="order")):
            run_wsgi_app(WSGIHandler(), EnvironBuilder("/orders/7/").get_environ())

        line = written.one()
        assert (line["event.name"], line["http.route"]) == ("GET /orders/<int:number>/", "/orders/<int:number>/")
        assert (line["django.view"], line["http.response.status_code"], line["error.type"]) == ("order", 500, OURS)
        assert stack(line) == ["order", "send"]
        assert health.faults.counts() == {}

    def test_what_hangs_before_its_route_is_known_has_none(
        self, recorder: Recorder, written: Written, abort: Any
    ) -> None:
        """A middleware comes before Django looks for one."""

        def hanging(get_response: object) -> Callable[[object], None]:
            return lambda _: abort(worker())

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(sys.modules[__name__], "hanging", hanging, raising=False)
            with pytest.raises(SystemExit), project(middleware=(DJANGO, f"{__name__}.hanging")):
                run_wsgi_app(WSGIHandler(), EnvironBuilder("/orders/7/").get_environ())

        line = written.one()
        assert (line["event.name"], line.get("http.route"), stack(line)) == ("GET", None, ["<lambda>", "send"])

    def test_a_body_that_hangs_is_that_of_its_request(self, recorder: Recorder, written: Written, abort: Any) -> None:
        """Its status is out, and stays; the parts that were sent are counted."""

        def app(environ: object, start_response: Any) -> Iterator[bytes]:
            start_response("200 OK", [])

            def parts() -> Iterator[bytes]:
                yield b"part"
                abort(worker())

            return parts()

        with pytest.raises(SystemExit):
            run_wsgi_app(wsgi.WideEvents(app), EnvironBuilder("/").get_environ(), buffered=True)

        line = written.one()
        assert (line["http.response.status_code"], line["http.response.body.size"]) == (200, 4)
        assert (line["outcome"], stack(line)) == ("failure", ["parts", "send"])

    def test_a_step_of_a_batch_fails_with_its_parent(self, recorder: Recorder, written: Written, abort: Any) -> None:
        """And is counted there."""
        steps = wideevents.batch("report", [lambda: None, lambda: abort(worker())])

        def run() -> None:
            with steps as works:
                for work in works:
                    work()

        with pytest.raises(SystemExit):
            run()

        first, second, parent = written.all()
        assert [each["outcome"] for each in (first, second, parent)] == ["success", "failure", "failure"]
        assert (parent["report.count"], parent["report.failures"], second["error.type"]) == (2, 1, OURS)
        assert health.faults.counts() == {}

    def test_the_exit_that_follows_comes_too_late_for_nobody(
        self, recorder: Recorder, written: Written, abort: Any
    ) -> None:
        """The events have ended, and are written once."""
        with pytest.raises(SystemExit), wideevents.event("outer"), wideevents.event("inner"):
            abort(worker())

        inner, outer = written.all()
        assert (inner["event.name"], outer["event.name"]) == ("inner", "outer")
        assert stack(inner) == stack(outer) != []
        assert health.faults.counts() == {}

    def test_what_waits_to_be_sent_is_sent(self, reconfigurable: None, abort: Any) -> None:
        """Some sinks send in the background, and there is no later."""
        done: list[str] = []

        class Sending(MemorySink):
            def write(self, entry: Any) -> None:
                done.append("written")

            def close(self) -> None:
                done.append("sent")

        wideevents.configure(service="tests", output=Sending(), logging=False)
        with pytest.raises(SystemExit), wideevents.event("report"):
            abort(worker())

        assert done == ["written", "sent"]

    def test_without_events_nothing_is_told(self, recorder: Recorder, written: Written, abort: Any) -> None:
        """An idle worker may be killed, too."""
        with pytest.raises(SystemExit):
            abort(worker())

        assert written.all() == []

    def test_a_hook_that_is_called_by_others_begins_there(self, recorder: Recorder, written: Written) -> None:
        """Another worker has a handler of another name, which then stands in the stack."""

        def app(environ: object, start_response: Any) -> list[bytes]:
            worker_abort(worker())
            return answer(environ, start_response)

        run_wsgi_app(wsgi.WideEvents(app), EnvironBuilder().get_environ())

        assert stack(written.one()) == ["app"]

    def test_what_other_threads_of_it_serve_is_not_answered(
        self, recorder: Recorder, written: Written, threads: Threads, abort: Any
    ) -> None:
        """The 500 is for the request that was interrupted."""
        threads.run(threads.serve)
        with pytest.raises(SystemExit):
            abort(worker())

        assert "http.response.status_code" not in written.one()


class TestThreads:
    def test_every_thread_tells_its_own(
        self, recorder: Recorder, written: Written, threads: Threads, abort: Any
    ) -> None:
        """In a gthread worker the signal comes to the main thread, which serves nobody; no client is answered."""

        def app(environ: Any, start_response: Any) -> list[bytes]:
            wideevents.add_field("path", environ["PATH_INFO"])
            (first if environ["PATH_INFO"] == "/first" else second)()
            return answer(environ, start_response)

        def first() -> None:
            threads.wait()

        def second() -> None:
            threads.wait()

        served = wsgi.WideEvents(app)
        for path in ("/first", "/second"):
            threads.run(lambda path=path: run_wsgi_app(served, EnvironBuilder(path).get_environ()))  # type: ignore[misc]
        with pytest.raises(SystemExit):
            abort(worker(ThreadWorker))

        lines = {line["path"]: line for line in written.all()}
        assert [stack(lines[f"/{name}"]) for name in ("first", "second")] == [
            ["app", "first", "wait"],
            ["app", "second", "wait"],
        ]
        assert {line["outcome"] for line in lines.values()} == {"failure"}
        assert not any("http.response.status_code" in line for line in lines.values())
        assert "it is not known what" in lines["/first"]["error.why"]

    def test_a_request_of_django_is_found_in_its_thread(
        self, recorder: Recorder, written: Written, threads: Threads, abort: Any
    ) -> None:
        """With its route; it is answered by nobody."""

        def order(request: object, number: int) -> HttpResponse:
            threads.wait()
            return HttpResponse()

        with project(urls.path("orders/<int:number>/", order)):
            served = WSGIHandler()
            threads.run(lambda: run_wsgi_app(served, EnvironBuilder("/orders/7/").get_environ()))
            with pytest.raises(SystemExit):
                abort(worker(ThreadWorker))
            threads.over.set()
            threads.stack.close()

        line = written.one()
        assert (line["http.route"], stack(line)) == ("/orders/<int:number>/", ["order", "wait"])
        assert "http.response.status_code" not in line

    def test_what_is_told_is_told_once(
        self, recorder: Recorder, written: Written, threads: Threads, abort: Any
    ) -> None:
        """Its thread goes on until the process is killed, and nothing of that is its event's."""
        threads.run(threads.serve)
        for _ in range(2):
            with pytest.raises(SystemExit):
                abort(worker(ThreadWorker))

        assert len(written.all()) == 1

    def test_a_worker_without_asyncio_has_no_tasks(
        self, recorder: Recorder, written: Written, threads: Threads, abort: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is not imported for this."""
        threads.run(threads.serve)
        monkeypatch.delitem(sys.modules, "asyncio")
        with pytest.raises(SystemExit):
            abort(worker(ThreadWorker))

        assert stack(written.one()) == ["app", "wait"]

    def test_who_kept_the_worker_is_named(
        self, recorder: Recorder, written: Written, threads: Threads, abort: Any
    ) -> None:
        """The others did nothing wrong; it is told first, since there may be no time for all."""

        def hog() -> None:
            threads.run(threads.serve)
            abort(worker(ThreadWorker))

        with pytest.raises(SystemExit), wideevents.event("hog"):
            hog()

        hog, other = written.all()
        assert hog["event.name"] == "hog"
        assert other["error.why"] == f"Another event, {hog['event.id']}, kept the worker from giving one."

    def test_work_that_was_handed_to_a_thread_is_told_there(
        self, recorder: Recorder, written: Written, threads: Threads, abort: Any
    ) -> None:
        """Of an event without a frame of ours elsewhere: the thread was given it."""

        def load() -> None:
            threads.wait()

        def task() -> None:
            with wideevents.event("import"), ThreadPoolExecutor(1) as pool:
                pool.submit(load).result()

        threads.run(task)
        with pytest.raises(SystemExit):
            abort(worker(ThreadWorker))

        assert stack(written.one()) == ["load", "wait"]

    def test_so_is_work_that_has_a_thread_of_its_own(
        self, recorder: Recorder, written: Written, threads: Threads, abort: Any
    ) -> None:
        """It was given the event when it was started."""

        def load() -> None:
            threads.wait()

        def task() -> None:
            with wideevents.event("import"):
                thread = threading.Thread(target=load)
                thread.start()
                thread.join()

        threads.run(task)
        with pytest.raises(SystemExit):
            abort(worker(ThreadWorker))

        assert stack(written.one()) == ["load", "wait"]

    def test_an_event_inside_a_request_is_where_that_is(
        self, recorder: Recorder, written: Written, threads: Threads, abort: Any
    ) -> None:
        """A block has no frame of its own."""

        def app(environ: object, start_response: Any) -> list[bytes]:
            with wideevents.event("charge"):
                threads.wait()
            return answer(environ, start_response)

        threads.run(lambda: run_wsgi_app(wsgi.WideEvents(app), EnvironBuilder().get_environ()))
        with pytest.raises(SystemExit):
            abort(worker(ThreadWorker))

        inner, outer = written.all()
        assert (inner["event.name"], stack(inner), stack(outer)) == ("charge", ["app", "wait"], ["app", "wait"])

    def test_a_generator_is_found_by_what_is_around_it(
        self, recorder: Recorder, written: Written, threads: Threads, abort: Any
    ) -> None:
        """The decorator holds its event as long as it runs."""

        @wideevents.event("rows")
        def rows() -> Iterator[int]:
            threads.wait()
            yield 1

        threads.run(lambda: list(rows()))
        with pytest.raises(SystemExit):
            abort(worker(ThreadWorker))

        assert stack(written.one()) == ["rows", "wait"]

    def test_of_several_threads_the_one_of_the_door_counts(
        self, recorder: Recorder, written: Written, threads: Threads, abort: Any
    ) -> None:
        """A request waits for its helpers, or does not."""

        def helper() -> None:
            threads.wait()

        def app(environ: object, start_response: Any) -> list[bytes]:
            with ThreadPoolExecutor(1) as pool:
                pool.submit(helper)
                threads.over.wait(PATIENCE)
            return answer(environ, start_response)

        threads.run(lambda: run_wsgi_app(wsgi.WideEvents(app), EnvironBuilder().get_environ()))
        with pytest.raises(SystemExit):
            abort(worker(ThreadWorker))

        assert stack(written.one()) == ["app"]

    def test_the_others_of_a_gevent_worker_go_on(
        self, recorder: Recorder, written: Written, threads: Threads, abort: Any
    ) -> None:
        """Its SystemExit ends one greenlet, and gunicorn waits for the rest: they are answered."""
        threads.run(threads.serve)
        with pytest.raises(SystemExit), wideevents.event("hog"):
            abort(worker(AsyncWorker))

        assert written.one()["event.name"] == "hog"
        assert len(recorder.in_progress) == 1


async def ask(app: Any, path: str) -> None:
    """Ask an ASGI application as a server does."""
    scope = {"type": "http", "method": "GET", "path": path, "headers": [], "asgi": {"spec_version": "2.3"}}

    async def pass_on(*_: object) -> None:
        await asyncio.sleep(0)

    await asgi.WideEvents(app)(scope, pass_on, pass_on)


def abort_loop(handled: Callable[[], object]) -> None:
    """Send SIGABRT to a worker whose loop, the running one, handles it when it comes to that: gunicorn's asgi is."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGABRT, handled)
    post_worker_init(worker(Worker))
    signal.raise_signal(signal.SIGABRT)


class TestTasks:
    def test_every_task_tells_what_it_waits_for(self, recorder: Recorder, written: Written) -> None:
        """The one that keeps the loop is interrupted; the others wait, and are lost with it."""

        async def app(scope: Any, receive: object, send: object) -> None:
            wideevents.add_field("path", scope["path"])
            await (hog() if scope["path"] == "/hog" else rest())

        async def rest() -> None:
            await asyncio.sleep(PATIENCE)

        async def hog() -> None:
            await asyncio.sleep(0)
            abort_loop(lambda: None)

        async def serve() -> None:
            resting = asyncio.create_task(ask(app, "/rest"))
            await asyncio.sleep(0)
            await asyncio.create_task(ask(app, "/hog"))
            resting.cancel()

        asyncio.run(serve())

        first, second = written.all()
        assert (first["path"], stack(first)[-3:]) == ("/hog", ["app", "hog", "abort_loop"])
        assert (second["path"], stack(second)) == ("/rest", ["app", "rest"])
        assert second["error.why"].startswith(f"Another event, {first['event.id']},")
        assert not any("http.response.status_code" in line for line in (first, second))

    def test_a_task_of_django_has_its_route(self, recorder: Recorder, written: Written) -> None:
        """The loop is interrupted in its view."""

        async def order(request: object, number: int) -> HttpResponse:
            abort_loop(lambda: None)
            return HttpResponse()

        with project(urls.path("orders/<int:number>/", order)):
            Dialogue(REQUEST, path="/orders/7/").run(ASGIHandler())

        line = written.one()
        assert (line["http.route"], stack(line)) == ("/orders/<int:number>/", ["order", "abort_loop"])

    def test_what_a_task_has_handed_to_a_thread_is_told_there(
        self, recorder: Recorder, written: Written, threads: Threads
    ) -> None:
        """Frameworks run functions that are not asynchronous in threads; their stack says more than the task's."""

        def handler() -> None:
            threads.wait()

        async def app(scope: object, receive: object, send: object) -> None:
            await anyio.to_thread.run_sync(handler)

        async def serve() -> None:
            await anyio.to_thread.run_sync(lambda: None)  # its thread is there before, and was given no event
            threads.arrived = threading.Event()
            asking = asyncio.create_task(ask(app, "/"))
            while not threads.arrived.is_set():
                await asyncio.sleep(0.001)
            abort_loop(lambda: None)
            threads.over.set()
            await asking

        asyncio.run(serve())

        assert stack(written.one()) == ["handler", "wait"]


class TestHandler:
    def test_a_loop_that_hangs_is_interrupted_all_the_same(self, recorder: Recorder, written: Written) -> None:
        """Its own handler waits until it has stopped hanging, and is called then."""
        handled: list[object] = []

        async def serve() -> None:
            with wideevents.event("hog"):
                abort_loop(lambda: handled.append(1))
                assert (len(written.all()), handled) == (1, [])
            await asyncio.sleep(0.01)

        asyncio.run(serve())

        assert stack(written.one())[-1] == "abort_loop"
        assert handled == [1]

    def test_what_has_no_handler_dies_of_the_signal(self) -> None:
        """As before: uvicorn's worker for gunicorn leaves the signal to the system."""

        def work() -> None:
            signal.signal(signal.SIGABRT, signal.SIG_DFL)
            post_worker_init(worker(Worker))
            signal.raise_signal(signal.SIGABRT)

        assert os.WTERMSIG(os.waitpid(dying(work), 0)[1]) == signal.SIGABRT

    def test_a_handler_of_somebodys_is_called_afterwards(
        self, recorder: Recorder, written: Written, abort: Any
    ) -> None:
        """It sees the worker die as it would without us."""
        seen: list[tuple[int, int]] = []
        signal.signal(signal.SIGABRT, lambda number, _: seen.append((number, len(written.all()))))
        post_worker_init(worker(Worker))
        with wideevents.event("report"):
            signal.raise_signal(signal.SIGABRT)

        assert seen == [(signal.SIGABRT, 1)]

    def test_what_was_ignored_is_ignored_again(self, recorder: Recorder, written: Written, abort: Any) -> None:
        """Whoever set it so knows why; the events have ended all the same."""
        signal.signal(signal.SIGABRT, signal.SIG_IGN)
        post_worker_init(worker(Worker))
        with wideevents.event("report"):
            signal.raise_signal(signal.SIGABRT)

        assert written.one()["error.type"] == OURS
        assert signal.getsignal(signal.SIGABRT) is signal.SIG_IGN

    def test_gunicorns_own_handler_is_left_alone(self, abort: Any) -> None:
        """It calls `worker_abort` at once, and somebody's faulthandler may stand before it."""
        own = worker()
        signal.signal(signal.SIGABRT, own.handle_abort)
        post_worker_init(own)

        assert signal.getsignal(signal.SIGABRT) == own.handle_abort


class TestWorkerTimeout:
    def test_it_explains_itself(self) -> None:
        """In the words of whoever reads the event: which code, whose code, or nobody knows."""
        told = [WorkerTimeout(2.5, "abc", own=True), WorkerTimeout(2.5, "abc"), WorkerTimeout(2.5)]

        assert {str(each) for each in told} == {"The worker gave no sign of life for 2.5 s, and was aborted."}
        assert [each.why.split(",")[0] for each in told] == [
            "The code at the end of the stack kept the worker from giving one.",
            "Another event",
            "Something kept the worker from giving one",
        ]
