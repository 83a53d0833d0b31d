"""
Let greenlets of a process that gevent has patched do what could let one event run into another.

Run as a module it prints what every scene saw, as JSON; the events go where the environment says. It is a process of
its own, since gevent wants to be the first.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402 - after the patch
import sys  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402
from concurrent.futures import ThreadPoolExecutor  # noqa: E402
from http.client import HTTPConnection  # noqa: E402
from queue import SimpleQueue  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402
from gevent.pool import Pool  # noqa: E402
from gevent.pywsgi import WSGIServer  # noqa: E402
from greenlet import greenlet  # noqa: E402

import wideevents  # noqa: E402
from wideevents import add_field, current, health  # noqa: E402
from wideevents.integrations.wsgi import WideEvents  # noqa: E402

CROWD = 200
STEPS = 3


def name() -> str | None:
    """Return the name of the event in progress here."""
    event = current()
    return None if event is None or event.fields is None else event.fields["event.name"]


def crowd() -> int:
    """Let many requests be served at once, each of which does some of its work in greenlets, threads and pools."""
    pool = ThreadPoolExecutor(4)

    def step(number: int, way: str) -> None:
        gevent.sleep(0.001)
        add_field(f"t.{number}.{way}", number)

    def shop(environ: Any, start_response: Any) -> list[bytes]:
        number = int(environ["PATH_INFO"][1:])
        for way in range(STEPS):
            step(number, str(way))
        thread = threading.Thread(target=step, args=(number, "thread"))
        thread.start()
        spawned = gevent.spawn(step, number, "greenlet")
        pooled = pool.submit(step, number, "pool")
        gevent.get_hub().threadpool.apply(step, (number, "native"))
        gevent.joinall([spawned])
        thread.join()
        pooled.result()
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    def ask(number: int) -> int:
        connection = HTTPConnection("127.0.0.1", server.server_port, timeout=30)
        connection.request("GET", f"/{number}")
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status

    server = WSGIServer(("127.0.0.1", 0), WideEvents(shop), log=None)
    server.start()
    statuses = Pool(CROWD).map(ask, range(CROWD))
    server.stop()
    return statuses.count(200)


def switching() -> list[str | None]:
    """Switch between two events by hand, as a hub does, and note which one is in progress after each switch."""
    seen: list[str | None] = []

    def work(own: str) -> None:
        with wideevents.event(own):
            for _ in range(2):
                seen.append(name())
                main.switch()
        seen.append(name())

    main = greenlet.getcurrent()
    first, second = greenlet(lambda: work("first")), greenlet(lambda: work("second"))
    for each in (first, second, first, second, first, second):
        each.switch()
    return [*seen, name()]


def outliving() -> list[str | None]:
    """Let a greenlet go on after its event has ended, while another event is in progress."""
    go_on, seen = gevent.event.Event(), []

    def late() -> None:
        seen.append(name())
        go_on.wait()
        seen.append(name())
        add_field("t.late", "late")

    with wideevents.event("short"):
        spawned = gevent.spawn(late)
        gevent.sleep(0)
    with wideevents.event("next"):
        go_on.set()
        spawned.join()
    return seen


def hub() -> list[str | None]:
    """Note what the hub's own callbacks see, those of links among them."""
    seen: list[str | None] = []
    with wideevents.event("work"):
        spawned = gevent.spawn(int)
        spawned.rawlink(lambda _: seen.append(name()))
        gevent.get_hub().loop.run_callback(lambda: seen.append(name()))
        gevent.sleep(0.01)
    return seen


def pools() -> list[str | None]:
    """Warm a pool up in one event, and use it in another one and outside any."""
    seen: list[str | None] = []
    with ThreadPoolExecutor(1) as pool:
        for each in ("first", "second"):
            with wideevents.event(each):
                seen.append(pool.submit(name).result())
                seen.append(gevent.get_hub().threadpool.apply(name))
        seen.append(pool.submit(name).result())
        seen.append(gevent.get_hub().threadpool.apply(name))
    return seen


def killed() -> str | None:
    """Kill a greenlet in the middle of its event."""

    def work() -> None:
        with wideevents.event("killed"):
            gevent.sleep(60)

    spawned = gevent.spawn(work)
    gevent.sleep(0)
    spawned.kill()
    return name()


def consumer() -> list[str | None]:
    """Serve several events from one greenlet, as an actor does; `carry` takes each message its event along."""
    messages: SimpleQueue[Any] = SimpleQueue()
    seen: list[str | None] = []

    def serve() -> None:
        while (message := messages.get()) is not None:
            seen.append(message())
        seen.append(name())

    actor = gevent.spawn(serve)
    for each in ("first", "second"):
        with wideevents.event(each):
            messages.put(wideevents.carry(name))
            time.sleep(0.001)
    messages.put(None)
    actor.join()
    return seen


def main() -> None:
    wideevents.configure(service="greenlets", logging=False)
    scenes = (crowd, switching, outliving, hub, pools, killed, consumer)
    seen = {scene.__name__: scene() for scene in scenes}
    json.dump({**seen, "faults": health.faults.counts()}, sys.stdout)


if __name__ == "__main__":
    main()
