"""What is counted of the calls that urllib3 makes, and whom they tell of the event."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import urllib3

import wideevents
from tests.conftest import Written, at_once
from tests.integrations.callees import PART, Callee, callee_served, port_closed, without_faults  # noqa: F401 - fixtures
from wideevents.errors import ConfigurationError
from wideevents.integrations import requests as requests_door
from wideevents.integrations import urllib3 as room
from wideevents.integrations.urllib3 import watch

pytestmark = pytest.mark.usefixtures("recorder", "faultless")

IDS = ("traceparent", "tracestate", "x-request-id")


@pytest.fixture
def manager() -> Iterator[urllib3.PoolManager]:
    """Give a manager that is watched."""
    with watch(urllib3.PoolManager()) as manager:
        yield manager


class TestCounting:
    def test_counts_a_call(self, callee: Callee, written: Written, manager: urllib3.PoolManager) -> None:
        """How many there were, how long they took, and which took longest; none has failed."""
        with wideevents.event("work"):
            answered = manager.request("GET", callee.url("/a?secret=1"))

        line = written.one()
        assert (answered.status, answered.data) == (200, PART)
        assert line["http.client.count"] == 1
        assert line["http.client.slowest"] == f"GET {callee.address}"
        assert 0 < line["http.client.slowest_ms"] == line["http.client.duration_ms"]
        assert "http.client.failures" not in line

    def test_counts_each_redirect(self, callee: Callee, written: Written, manager: urllib3.PoolManager) -> None:
        """It is a call like any other."""
        with wideevents.event("work"):
            assert manager.request("GET", callee.url(f"/redirect?to={callee.url('/a')}")).status == 200

        line = written.one()
        assert (line["http.client.count"], line["http.client.repeated"]) == (2, 2)

    @pytest.mark.parametrize(("status", "failures"), [(499, None), (500, 1), (503, 1)])
    def test_counts_an_answer_of_5xx_as_failed(
        self, status: int, failures: int | None, callee: Callee, written: Written, manager: urllib3.PoolManager
    ) -> None:
        """The server has failed; a 4xx is its answer."""
        with wideevents.event("work"):
            assert manager.request("POST", callee.url(f"/status/{status}"), body=b"body").status == status

        assert written.one().get("http.client.failures") == failures

    def test_counts_what_raises_as_failed(
        self, closed_port: int, written: Written, manager: urllib3.PoolManager
    ) -> None:
        """A connection that is refused raises what it raises without us, and so does the next call."""
        with wideevents.event("work"):
            for _ in range(2):
                with pytest.raises(urllib3.exceptions.MaxRetryError):
                    manager.request("GET", f"http://127.0.0.1:{closed_port}/", retries=0)

        line = written.one()
        assert (line["http.client.count"], line["http.client.failures"]) == (2, 2)

    def test_counts_a_call_with_its_retries_once(
        self, callee: Callee, written: Written, manager: urllib3.PoolManager
    ) -> None:
        """The pool tries again by calling itself."""
        retries = urllib3.Retry(total=2, status_forcelist=[503])
        with wideevents.event("work"):
            assert manager.request("GET", callee.url("/flaky"), retries=retries).status == 200

        line = written.one()
        assert (len(callee.asked), line["http.client.count"]) == (2, 1)
        assert "http.client.failures" not in line
        assert len({each.headers["traceparent"] for each in callee.asked}) == 1

    def test_counts_a_body_that_breaks_as_failed(
        self, callee: Callee, written: Written, manager: urllib3.PoolManager
    ) -> None:
        """The head promised more than came."""
        with wideevents.event("work"), pytest.raises(urllib3.exceptions.ProtocolError):
            manager.request("GET", callee.url("/broken"), retries=False)

        line = written.one()
        assert (line["http.client.count"], line["http.client.failures"]) == (1, 1)

    def test_a_call_whose_body_is_read_later_lasts_until_its_head(
        self, callee: Callee, written: Written, manager: urllib3.PoolManager
    ) -> None:
        """Nobody tells when urllib3's response has been read."""
        with wideevents.event("work") as event:
            answered = manager.request("GET", callee.url("/parts"), preload_content=False)
            assert (event.fields or {})["http.client.count"] == 1
            callee.release.set()
            assert answered.read() == PART + PART

        assert written.one()["http.client.count"] == 1

    def test_works_outside_any_event(
        self, callee: Callee, closed_port: int, written: Written, manager: urllib3.PoolManager
    ) -> None:
        """As without us: nothing is sent, written or counted."""
        assert manager.request("GET", callee.url("/a")).data == PART
        with pytest.raises(urllib3.exceptions.NewConnectionError):
            manager.request("GET", f"http://127.0.0.1:{closed_port}/", retries=False)

        assert [name for name in IDS if name in callee.last] == []
        assert written.all() == []

    def test_counts_calls_of_many_threads_exactly(
        self, callee: Callee, written: Written, manager: urllib3.PoolManager
    ) -> None:
        """One pool serves them all."""
        with wideevents.event("work"):
            at_once(*[wideevents.carry(lambda: [manager.request("GET", callee.url("/a")) for _ in range(5)])] * 8)

        assert written.one()["http.client.count"] == 40

    def test_counts_a_call_of_requests_once(
        self, callee: Callee, written: Written, manager: urllib3.PoolManager
    ) -> None:
        """It has a manager of its own."""
        with requests_door.watch(requests.Session()) as session, wideevents.event("work"):
            session.get(callee.url("/a"))
            manager.request("GET", callee.url("/a"))

        assert written.one()["http.client.count"] == 2

    def test_counts_what_a_pool_is_asked_for_itself(
        self, callee: Callee, written: Written, manager: urllib3.PoolManager
    ) -> None:
        """It follows redirects by calling itself: that is one call."""
        pool = manager.connection_from_url(callee.url("/"))
        with wideevents.event("work"):
            assert pool.request("GET", "/redirect?to=/a&status=303").status == 200

        assert (len(callee.asked), written.one()["http.client.count"]) == (2, 1)


class TestPropagation:
    def test_tells_the_callee_of_the_event(
        self, callee: Callee, written: Written, manager: urllib3.PoolManager
    ) -> None:
        """Its event is the parent, and the id of the request goes on; what the user gave stays as it was."""
        given = {"a": "b"}
        with wideevents.event("work") as event:
            event.request_id = "r-1"
            manager.request("GET", callee.url("/a"), headers=given)

        line = written.one()
        assert callee.last["traceparent"] == f"00-{line['trace.id']}-{line['event.id']}-01"
        assert (callee.last["x-request-id"], callee.last["a"]) == ("r-1", "b")
        assert given == {"a": "b"}

    def test_leaves_the_headers_of_others(self, callee: Callee, manager: urllib3.PoolManager) -> None:
        """Whoever has set them has had a reason; those of the manager count, too."""
        manager.headers = {"Traceparent": "00-1-2-03"}
        with wideevents.event("work") as event:
            event.request_id = "r-1"
            manager.request("GET", callee.url("/a"))

        assert callee.last.get_all("traceparent") == ["00-1-2-03"]
        assert callee.last.get_all("x-request-id") == ["r-1"]

    def test_keeps_the_headers_of_the_pool(self, callee: Callee, manager: urllib3.PoolManager) -> None:
        """Who asks it without headers means its own."""
        pool = manager.connection_from_url(callee.url("/"))
        pool.headers = {"a": "b"}
        with wideevents.event("work"):
            pool.urlopen("GET", "/a")

        assert (callee.last["a"], callee.last["traceparent"] is not None) == ("b", True)

    def test_tells_only_the_hosts_that_are_named(self, callee: Callee, written: Written) -> None:
        """Not even the one that a host of ours redirects to."""
        with watch(urllib3.PoolManager(), propagate=("127.0.0.1",)) as manager, wideevents.event("work"):
            manager.request("GET", callee.url(f"/redirect?to={callee.url('/a', 'localhost')}"))

        assert ["traceparent" in each.headers for each in callee.asked] == [True, False]
        assert written.one()["http.client.count"] == 2

    def test_tells_the_host_that_is_asked_and_not_its_proxy(self, callee: Callee, written: Written) -> None:
        """A proxy hands on what is meant for another host."""
        manager = watch(urllib3.ProxyManager(callee.url("")), propagate=("shop.example",))
        with manager, wideevents.event("work"):
            assert manager.request("GET", "http://shop.example/a").status == 200
            manager.request("GET", "http://shop.example:8080/a")
            manager.request("GET", "http://other.example/a")

        line = written.one()
        assert ["traceparent" in each.headers for each in callee.asked] == [True, True, False]
        assert line["http.client.count"] == 3
        assert "http.client.repeated" not in line


class TestWatch:
    def test_returns_the_manager_and_may_be_called_again(self, callee: Callee, written: Written) -> None:
        """The second time replaces the first: nothing counts twice."""
        manager = urllib3.PoolManager()
        manager.request("GET", callee.url("/a"))

        assert watch(manager) is watch(manager, propagate=False) is manager
        with wideevents.event("work"):
            manager.request("GET", callee.url("/a"))
        assert written.one()["http.client.count"] == 1
        assert "traceparent" not in callee.last

    def test_keeps_the_classes_of_pools(self) -> None:
        """Also of one's own, and those of other managers."""

        class Own(urllib3.HTTPConnectionPool):
            """A pool of the user's."""

        manager = urllib3.PoolManager()
        manager.pool_classes_by_scheme = {**manager.pool_classes_by_scheme, "http": Own}
        pool = watch(manager).connection_from_url("http://shop.example")

        assert isinstance(pool, Own)
        assert (type(pool).__qualname__, type(pool).__module__) == (Own.__qualname__, Own.__module__)
        assert type(urllib3.PoolManager().connection_from_url("http://shop.example")) is urllib3.HTTPConnectionPool

    def test_refuses_what_it_cannot_use(self) -> None:
        """Where it is given."""
        nothing: Any = urllib3

        with pytest.raises(ConfigurationError, match=r"it must be a urllib3\.PoolManager"):
            watch(nothing)
        with pytest.raises(ConfigurationError, match="propagate="):
            watch(urllib3.PoolManager(), propagate=("http://shop.example",))

    def test_nothing_is_watched_by_an_import(self) -> None:
        """Counting is asked for by name."""
        code = (
            "import urllib3; before = dict(vars(urllib3.PoolManager)), dict(vars(urllib3.HTTPConnectionPool));"
            "import wideevents.integrations.urllib3;"
            "assert before == (dict(vars(urllib3.PoolManager)), dict(vars(urllib3.HTTPConnectionPool)))"
        )

        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class TestImport:
    def test_names_the_extra_that_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whoever has no urllib3 is told what to install."""
        monkeypatch.setitem(sys.modules, "urllib3", None)

        with pytest.raises(ImportError, match=re.escape("urllib3 needs urllib3: pip install 'wideevents[urllib3]'")):
            runpy.run_path(str(room.__file__))
