"""What is counted of the calls that httpx makes, and whom they tell of the event."""

from __future__ import annotations

import asyncio
import gc
import re
import runpy
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import pytest

import wideevents
from tests.conftest import Written, at_once
from tests.integrations.callees import PART, Callee, callee_served, port_closed, without_faults  # noqa: F401 - fixtures
from tests.integrations.servers import eventually
from wideevents.errors import ConfigurationError
from wideevents.integrations import httpx as room
from wideevents.integrations.httpx import AsyncTransport, Transport, watch

pytestmark = pytest.mark.usefixtures("recorder", "faultless")

IDS = ("traceparent", "tracestate", "x-request-id")

Ask: TypeAlias = "Callable[..., httpx.Response]"


def ask_by_transport(method: str, url: str, *, propagate: Any = True, **options: Any) -> httpx.Response:
    with httpx.Client(transport=Transport(propagate=propagate), follow_redirects=True) as client:
        return client.request(method, url, **options)


def ask_by_watching(method: str, url: str, *, propagate: Any = True, **options: Any) -> httpx.Response:
    with watch(httpx.Client(follow_redirects=True), propagate=propagate) as client:
        return client.request(method, url, **options)


def ask_by_async_transport(method: str, url: str, *, propagate: Any = True, **options: Any) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = AsyncTransport(propagate=propagate)
        async with httpx.AsyncClient(transport=transport, follow_redirects=True) as client:
            return await client.request(method, url, **options)

    return asyncio.run(ask())


def ask_by_watching_async(method: str, url: str, *, propagate: Any = True, **options: Any) -> httpx.Response:
    async def ask() -> httpx.Response:
        async with watch(httpx.AsyncClient(follow_redirects=True), propagate=propagate) as client:
            return await client.request(method, url, **options)

    return asyncio.run(ask())


WAYS = (ask_by_transport, ask_by_watching, ask_by_async_transport, ask_by_watching_async)

every_way = pytest.mark.parametrize("ask", WAYS)


async def cancelled(task: asyncio.Task[Any]) -> None:
    """Let a task begin, and cancel it."""
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


class TestCounting:
    @every_way
    def test_counts_a_call(self, ask: Ask, callee: Callee, written: Written) -> None:
        """How many there were, how long they took, and which took longest; none has failed."""
        with wideevents.event("work"):
            answered = ask("GET", callee.url("/a?secret=1"))

        line = written.one()
        assert (answered.status_code, answered.content) == (200, PART)
        assert line["http.client.count"] == 1
        assert line["http.client.slowest"] == f"GET {callee.address}"
        assert 0 < line["http.client.slowest_ms"] == line["http.client.duration_ms"]
        assert "http.client.failures" not in line

    @every_way
    def test_counts_each_redirect(self, ask: Ask, callee: Callee, written: Written) -> None:
        """It is a call like any other."""
        with wideevents.event("work"):
            answered = ask("GET", callee.url(f"/redirect?to={callee.url('/a')}"))

        line = written.one()
        assert [each.status_code for each in (*answered.history, answered)] == [302, 200]
        assert (line["http.client.count"], line["http.client.repeated"]) == (2, 2)
        assert line["http.client.most_repeated"] == f"GET {callee.address}"

    @every_way
    @pytest.mark.parametrize(("status", "failures"), [(499, None), (500, 1), (503, 1)])
    def test_counts_an_answer_of_5xx_as_failed(
        self, ask: Ask, status: int, failures: int | None, callee: Callee, written: Written
    ) -> None:
        """The server has failed; a 4xx is its answer."""
        with wideevents.event("work"):
            assert ask("POST", callee.url(f"/status/{status}"), content=b"body").status_code == status

        assert written.one().get("http.client.failures") == failures

    @every_way
    def test_counts_what_raises_as_failed(self, ask: Ask, closed_port: int, written: Written) -> None:
        """A connection that is refused raises what it raises without us."""
        with wideevents.event("work"), pytest.raises(httpx.ConnectError):
            ask("GET", f"http://127.0.0.1:{closed_port}/")

        line = written.one()
        assert (line["http.client.count"], line["http.client.failures"]) == (1, 1)

    @every_way
    def test_counts_a_timeout_as_failed(self, ask: Ask, callee: Callee, written: Written) -> None:
        """It took as long as it was waited for."""
        with wideevents.event("work"), pytest.raises(httpx.ReadTimeout):
            ask("GET", callee.url("/late"), timeout=0.05)

        line = written.one()
        assert (line["http.client.count"], line["http.client.failures"]) == (1, 1)
        assert line["http.client.duration_ms"] >= 50

    @every_way
    def test_counts_a_body_that_breaks_as_failed(self, ask: Ask, callee: Callee, written: Written) -> None:
        """The head promised more than came."""
        with wideevents.event("work"), pytest.raises(httpx.RemoteProtocolError):
            ask("GET", callee.url("/broken"))

        line = written.one()
        assert (line["http.client.count"], line["http.client.failures"]) == (1, 1)

    @every_way
    def test_works_outside_any_event(self, ask: Ask, callee: Callee, closed_port: int, written: Written) -> None:
        """As without us: nothing is sent, written or counted."""
        assert ask("GET", callee.url("/a")).content == PART
        with pytest.raises(httpx.ConnectError):
            ask("GET", f"http://127.0.0.1:{closed_port}/")

        assert [name for name in IDS if name in callee.last] == []
        assert written.all() == []

    def test_counts_calls_of_many_threads_exactly(self, callee: Callee, written: Written) -> None:
        """None is lost, and none counts in another event."""
        with httpx.Client(transport=Transport()) as client, wideevents.event("work"):
            at_once(*[wideevents.carry(lambda: [client.get(callee.url("/a")) for _ in range(5)])] * 8)

        assert written.one()["http.client.count"] == 40

    def test_counts_in_the_event_that_the_call_was_made_in(self, callee: Callee, written: Written) -> None:
        """Tasks of one loop have an event each, and share a client."""

        async def work(client: httpx.AsyncClient, number: int) -> None:
            with wideevents.event(f"work {number}"):
                await asyncio.gather(*[client.get(callee.url("/a")) for _ in range(number)])

        async def main() -> None:
            async with httpx.AsyncClient(transport=AsyncTransport()) as client:
                await asyncio.gather(*[work(client, number) for number in (1, 2, 3)])

        asyncio.run(main())

        assert [written.named(f"work {number}")["http.client.count"] for number in (1, 2, 3)] == [1, 2, 3]


class TestStreaming:
    def test_a_call_lasts_until_its_body_has_been_read(self, callee: Callee, written: Written) -> None:
        """Its head alone would be a lie."""
        with (
            httpx.Client(transport=Transport()) as client,
            wideevents.event("work") as event,
            client.stream("GET", callee.url("/parts")) as answered,
        ):
            began = time.perf_counter()
            parts = answered.iter_bytes(len(PART))
            assert next(parts) == PART
            assert "http.client.count" not in (event.fields or {})
            waited = time.perf_counter() - began
            callee.release.set()
            assert list(parts) == [PART]
            assert (event.fields or {})["http.client.count"] == 1

        line = written.one()
        assert line["http.client.duration_ms"] >= waited * 1000
        assert "http.client.failures" not in line

    def test_an_async_call_lasts_until_its_body_has_been_read(self, callee: Callee, written: Written) -> None:
        """As a sync one does."""

        async def main() -> None:
            async with httpx.AsyncClient(transport=AsyncTransport()) as client:
                with wideevents.event("work") as event:
                    async with client.stream("GET", callee.url("/parts")) as answered:
                        parts = answered.aiter_bytes(len(PART))
                        assert await anext(parts) == PART
                        assert "http.client.count" not in (event.fields or {})
                        callee.release.set()
                        assert [part async for part in parts] == [PART]
                        assert (event.fields or {})["http.client.count"] == 1

        asyncio.run(main())

        assert "http.client.failures" not in written.one()

    def test_a_reader_that_stops_ends_the_call(self, callee: Callee, written: Written) -> None:
        """It has what it wanted, and nothing has failed."""
        with (
            httpx.Client(transport=Transport()) as client,
            wideevents.event("work"),
            client.stream("GET", callee.url("/parts")) as answered,
        ):
            next(answered.iter_bytes(len(PART)))

        line = written.one()
        assert line["http.client.count"] == 1
        assert "http.client.failures" not in line

    def test_a_reader_that_is_cancelled_has_no_answer(self, callee: Callee, written: Written) -> None:
        """Neither while it waits for the head, nor for the body."""

        async def main() -> None:
            async with httpx.AsyncClient(transport=AsyncTransport()) as client:
                with wideevents.event("work"):
                    asking = asyncio.create_task(client.get(callee.url("/late")))
                    await asyncio.to_thread(eventually, lambda: callee.asked, "the request")
                    await cancelled(asking)
                    async with client.stream("GET", callee.url("/parts")) as answered:
                        await cancelled(asyncio.create_task(answered.aread()))

        asyncio.run(main())

        line = written.one()
        assert (line["http.client.count"], line["http.client.failures"]) == (2, 2)

    def test_a_response_that_is_never_closed_counts_once_it_is_collected(
        self, callee: Callee, written: Written
    ) -> None:
        """As good as it gets."""
        with httpx.Client(transport=Transport()) as client, wideevents.event("work") as event:
            answered: Any = client.send(client.build_request("GET", callee.url("/status/500")), stream=True)
            assert "http.client.count" not in (event.fields or {})
            del answered
            gc.collect()

        line = written.one()
        assert (line["http.client.count"], line["http.client.failures"]) == (1, 1)

    def test_a_response_that_is_whole_counts_at_once(self, written: Written) -> None:
        """A stand-in for a server has no body to wait for."""
        inner = httpx.MockTransport(lambda request: httpx.Response(500, json={"a": 1}))
        with httpx.Client(transport=Transport(inner)) as client, wideevents.event("work") as event:
            assert client.get("http://a.example/").json() == {"a": 1}
            assert (event.fields or {})["http.client.count"] == 1

        assert written.one()["http.client.failures"] == 1

    def test_an_async_response_that_is_whole_counts_at_once(self, written: Written) -> None:
        """As a sync one does."""
        inner = httpx.MockTransport(lambda request: httpx.Response(500, json={"a": 1}))

        async def main() -> None:
            async with httpx.AsyncClient(transport=AsyncTransport(inner)) as client:
                with wideevents.event("work") as event:
                    answered = await client.get("http://a.example/")
                    assert answered.json() == {"a": 1}
                    assert (event.fields or {})["http.client.count"] == 1

        asyncio.run(main())

        assert written.one()["http.client.failures"] == 1

    def test_streams_a_request(self, callee: Callee, written: Written) -> None:
        """What is sent with the ids is the same stream."""

        def parts() -> Iterator[bytes]:
            yield PART

        with httpx.Client(transport=Transport()) as client, wideevents.event("work"):
            assert client.post(callee.url("/a"), content=parts(), headers={"Content-Length": str(len(PART))}).is_success

        assert callee.last["Content-Length"] == str(len(PART))


class TestPropagation:
    @every_way
    def test_tells_the_callee_of_the_event(self, ask: Ask, callee: Callee, written: Written) -> None:
        """Its event is the parent, and the id of the request goes on."""
        with wideevents.event("work") as event:
            event.request_id = "r-1"
            answered = ask("GET", callee.url("/a"))

        line = written.one()
        assert callee.last["traceparent"] == f"00-{line['trace.id']}-{line['event.id']}-01"
        assert callee.last["x-request-id"] == "r-1"
        assert [name for name in IDS if name in answered.request.headers] == []

    @every_way
    def test_leaves_the_headers_of_others(self, ask: Ask, callee: Callee) -> None:
        """Whoever has set them has had a reason."""
        theirs = {"Traceparent": "00-1-2-03", "X-Request-ID": "mine"}
        with wideevents.event("work") as event:
            event.request_id = "r-1"
            ask("GET", callee.url("/a"), headers=theirs)

        assert callee.last.get_all("traceparent") == ["00-1-2-03"]
        assert callee.last.get_all("x-request-id") == ["mine"]

    @every_way
    def test_tells_only_the_hosts_that_are_named(self, ask: Ask, callee: Callee) -> None:
        """Not even the one that a host of ours redirects to."""
        with wideevents.event("work"):
            ask("GET", callee.url(f"/redirect?to={callee.url('/a', 'localhost')}"), propagate=("127.0.0.1",))

        assert ["traceparent" in each.headers for each in callee.asked] == [True, False]

    @every_way
    @pytest.mark.parametrize("nobody", [False, ()])
    def test_tells_nobody(self, ask: Ask, nobody: Any, callee: Callee, written: Written) -> None:
        """The calls are counted all the same."""
        with wideevents.event("work"):
            ask("GET", callee.url("/a"), propagate=nobody)

        assert [name for name in IDS if name in callee.last] == []
        assert written.one()["http.client.count"] == 1


class TestTransport:
    def test_takes_the_options_of_the_one_that_it_goes_by(self, callee: Callee, written: Written) -> None:
        """A client that is given a transport has none of its own."""
        with httpx.Client(transport=Transport(retries=1, http1=True)) as client, wideevents.event("work"):
            assert client.get(callee.url("/a")).is_success

        assert written.one()["http.client.count"] == 1

    @pytest.mark.parametrize("kind", [Transport, AsyncTransport])
    def test_refuses_what_it_cannot_go_by(self, kind: Any) -> None:
        """It says so when it is built."""
        inner = httpx.HTTPTransport() if kind is Transport else httpx.AsyncHTTPTransport()

        with pytest.raises(
            ConfigurationError, match=r"inner='no transport' cannot be used: it must be a .*BaseTransport"
        ):
            kind("no transport")
        with pytest.raises(ConfigurationError, match="retries= cannot be used: it belongs to what is given as inner"):
            kind(inner, retries=1)
        with pytest.raises(ConfigurationError, match="propagate="):
            kind(propagate="shop.example")

    def test_opens_and_closes_what_it_goes_by(self) -> None:
        """It may have to be entered, and is closed once."""
        seen: list[str] = []

        class Inner(httpx.BaseTransport):
            def __enter__(self) -> Any:
                seen.append("enter")
                return self

            def __exit__(self, *raised: Any) -> None:
                seen.append("exit")

            def close(self) -> None:
                seen.append("close")

        with httpx.Client(transport=Transport(Inner())):
            pass
        httpx.Client(transport=Transport(Inner())).close()

        assert seen == ["enter", "exit", "close"]

    def test_opens_and_closes_an_async_one(self) -> None:
        """As a sync one."""
        seen: list[str] = []

        class Inner(httpx.AsyncBaseTransport):
            async def __aenter__(self) -> Any:
                seen.append("enter")
                return self

            async def __aexit__(self, *raised: Any) -> None:
                seen.append("exit")

            async def aclose(self) -> None:
                seen.append("close")

        async def main() -> None:
            async with httpx.AsyncClient(transport=AsyncTransport(Inner())):
                pass
            await httpx.AsyncClient(transport=AsyncTransport(Inner())).aclose()

        asyncio.run(main())

        assert seen == ["enter", "exit", "close"]

    def test_gives_a_stream_that_is_no_stream_as_it_is(self, written: Written) -> None:
        """What httpx says of it is httpx's to say; the call is counted."""

        async def parts() -> AsyncIterator[bytes]:
            yield PART

        inner = httpx.MockTransport(lambda request: httpx.Response(200, content=parts()))
        with (
            httpx.Client(transport=Transport(inner)) as client,
            wideevents.event("work"),
            pytest.raises(AssertionError),
        ):
            client.get("http://a.example/")

        assert written.one()["http.client.count"] == 1


class TestWatch:
    @pytest.mark.parametrize("kind", [httpx.Client, httpx.AsyncClient])
    def test_returns_the_client_and_may_be_called_again(self, kind: Any) -> None:
        """A second time changes nothing."""
        client = kind(mounts={"http://proxied.example": None})
        once = watch(client)._transport

        assert watch(client) is client
        assert client._transport is once

    def test_counts_what_goes_by_a_proxy(self, callee: Callee, written: Written) -> None:
        """A client has a transport for each."""
        with watch(httpx.Client(proxy=callee.url(""))) as client, wideevents.event("work"):
            assert client.get("http://shop.example/a").is_success

        assert callee.asked[-1].path == "http://shop.example/a"
        assert written.one()["http.client.slowest"] == "GET shop.example"

    def test_refuses_what_is_no_client(self) -> None:
        """It says what it takes."""
        client: Any = httpx

        with pytest.raises(ConfigurationError, match=r"it must be an httpx\.Client or an httpx\.AsyncClient"):
            watch(client)

    def test_nothing_is_watched_by_an_import(self) -> None:
        """Counting is asked for by name."""
        code = (
            "import httpx; before = dict(vars(httpx.Client)), dict(vars(httpx.HTTPTransport));"
            "import wideevents.integrations.httpx;"
            "assert before == (dict(vars(httpx.Client)), dict(vars(httpx.HTTPTransport)))"
        )

        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class TestImport:
    @pytest.mark.parametrize("name", ["httpx.py", "_httpx.py"])
    def test_names_the_extra_that_is_missing(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whoever has no httpx is told what to install."""
        monkeypatch.setitem(sys.modules, "httpx", None)

        with pytest.raises(ImportError, match=re.escape("httpx needs httpx: pip install 'wideevents[httpx]'")):
            runpy.run_path(str(Path(room.__file__).with_name(name)))
