"""What is counted of the calls that requests makes, and whom they tell of the event."""

from __future__ import annotations

import copy
import functools
import gc
import pickle
import re
import runpy
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pytest
import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.auth import HTTPDigestAuth

import wideevents
from tests.conftest import Written, at_once
from tests.integrations.callees import PART, Callee, callee_served, port_closed, without_faults  # noqa: F401 - fixtures
from wideevents.errors import ConfigurationError
from wideevents.integrations import requests as room
from wideevents.integrations.requests import Adapter, install, uninstall, watch

pytestmark = pytest.mark.usefixtures("recorder", "faultless")

IDS = ("traceparent", "tracestate", "x-request-id")

Ask: TypeAlias = "Callable[..., requests.Response]"


def ask_by_adapter(method: str, url: str, *, propagate: Any = True, **options: Any) -> requests.Response:
    with requests.Session() as session:
        session.mount("http://", Adapter(propagate=propagate))
        return session.request(method, url, **options)


def ask_by_watching(method: str, url: str, *, propagate: Any = True, **options: Any) -> requests.Response:
    with watch(requests.Session(), propagate=propagate) as session:
        return session.request(method, url, **options)


def ask_by_installing(method: str, url: str, *, propagate: Any = True, **options: Any) -> requests.Response:
    install(propagate=propagate)
    try:
        return requests.request(method, url, **options)
    finally:
        uninstall()


every_way = pytest.mark.parametrize("ask", [ask_by_adapter, ask_by_watching, ask_by_installing])


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """Give a session that is watched."""
    with watch(requests.Session()) as session:
        yield session


class Canned(BaseAdapter):
    """Answer without a server, as the adapters of tests and caches do."""

    def __init__(self, kind: type[requests.Response] = requests.Response, raw: Any = None) -> None:
        super().__init__()
        self.kind = kind
        self.raw = raw

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        response = self.kind()
        response.status_code, response.raw, response.url = 500, self.raw, request.url or ""
        return response

    def close(self) -> None:
        """Close nothing."""


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

    @every_way
    @pytest.mark.parametrize(("status", "failures"), [(499, None), (500, 1), (503, 1)])
    def test_counts_an_answer_of_5xx_as_failed(
        self, ask: Ask, status: int, failures: int | None, callee: Callee, written: Written
    ) -> None:
        """The server has failed; a 4xx is its answer."""
        with wideevents.event("work"):
            assert ask("POST", callee.url(f"/status/{status}"), data=b"body").status_code == status

        assert written.one().get("http.client.failures") == failures

    @every_way
    def test_counts_what_raises_as_failed(self, ask: Ask, closed_port: int, written: Written) -> None:
        """A connection that is refused raises what it raises without us."""
        with wideevents.event("work"), pytest.raises(requests.ConnectionError):
            ask("GET", f"http://127.0.0.1:{closed_port}/")

        line = written.one()
        assert (line["http.client.count"], line["http.client.failures"]) == (1, 1)

    @every_way
    def test_counts_a_timeout_as_failed(self, ask: Ask, callee: Callee, written: Written) -> None:
        """It took as long as it was waited for."""
        with wideevents.event("work"), pytest.raises(requests.ReadTimeout):
            ask("GET", callee.url("/late"), timeout=0.05)

        line = written.one()
        assert (line["http.client.count"], line["http.client.failures"]) == (1, 1)
        assert line["http.client.duration_ms"] >= 50

    @every_way
    def test_counts_a_body_that_breaks_as_failed(self, ask: Ask, callee: Callee, written: Written) -> None:
        """The head promised more than came."""
        with wideevents.event("work"), pytest.raises(requests.exceptions.ChunkedEncodingError):
            ask("GET", callee.url("/broken"))

        line = written.one()
        assert (line["http.client.count"], line["http.client.failures"]) == (1, 1)

    @every_way
    def test_works_outside_any_event(self, ask: Ask, callee: Callee, closed_port: int, written: Written) -> None:
        """As without us: nothing is sent, written or counted."""
        answered = ask("GET", callee.url("/a"))
        with pytest.raises(requests.ConnectionError):
            ask("GET", f"http://127.0.0.1:{closed_port}/")

        assert (type(answered), answered.content) == (requests.Response, PART)
        assert [name for name in IDS if name in callee.last] == []
        assert written.all() == []

    def test_counts_calls_of_many_threads_exactly(
        self, callee: Callee, written: Written, session: requests.Session
    ) -> None:
        """None is lost, and none counts in another event."""
        with wideevents.event("work"):
            at_once(*[wideevents.carry(lambda: [session.get(callee.url("/a")) for _ in range(5)])] * 8)

        assert written.one()["http.client.count"] == 40

    def test_counts_what_authentication_sends_once_more(
        self, callee: Callee, written: Written, session: requests.Session
    ) -> None:
        """A digest is asked for, and given."""
        with wideevents.event("work"):
            answered = session.get(callee.url("/private"), auth=HTTPDigestAuth("ann", "secret"))

        assert (answered.status_code, written.one()["http.client.count"]) == (200, 2)
        assert ["traceparent" in each.headers for each in callee.asked] == [True, True]


class TestStreaming:
    def test_a_call_lasts_until_its_body_has_been_read(
        self, callee: Callee, written: Written, session: requests.Session
    ) -> None:
        """Its head alone would be a lie."""
        with wideevents.event("work") as event:
            answered = session.get(callee.url("/parts"), stream=True)
            began = time.perf_counter()
            parts = answered.iter_content(len(PART))
            assert next(parts) == PART
            assert "http.client.count" not in (event.fields or {})
            waited = time.perf_counter() - began
            callee.release.set()
            assert list(parts) == [PART]
            assert (event.fields or {})["http.client.count"] == 1

        line = written.one()
        assert line["http.client.duration_ms"] >= waited * 1000
        assert "http.client.failures" not in line

    def test_a_reader_that_stops_ends_the_call(
        self, callee: Callee, written: Written, session: requests.Session
    ) -> None:
        """It has what it wanted, and nothing has failed."""
        with wideevents.event("work") as event:
            with session.get(callee.url("/parts"), stream=True) as answered:
                assert next(answered.iter_lines(chunk_size=1)) == PART.strip()
                assert "http.client.count" not in (event.fields or {})
            assert (event.fields or {})["http.client.count"] == 1

        assert "http.client.failures" not in written.one()

    def test_reading_what_is_below_ends_with_the_response(
        self, callee: Callee, written: Written, session: requests.Session
    ) -> None:
        """Nobody tells when urllib3's own response has been read."""
        with wideevents.event("work") as event:
            with session.get(callee.url("/status/500"), stream=True) as answered:
                assert answered.raw.read() == PART
                assert "http.client.count" not in (event.fields or {})
            assert (event.fields or {})["http.client.count"] == 1

        assert written.one()["http.client.failures"] == 1

    def test_a_response_that_is_never_closed_counts_once_it_is_collected(
        self, callee: Callee, written: Written, session: requests.Session
    ) -> None:
        """As good as it gets."""
        with wideevents.event("work") as event:
            answered: Any = session.get(callee.url("/status/500"), stream=True)
            assert "http.client.count" not in (event.fields or {})
            del answered
            gc.collect()

        assert written.one()["http.client.failures"] == 1

    def test_a_response_is_what_it_is_without_us(self, callee: Callee, session: requests.Session) -> None:
        """Also in another process, or in a cache, where it is a plain one."""
        with wideevents.event("work"):
            answered = session.get(callee.url("/a"))

        for again in (pickle.loads(pickle.dumps(answered)), copy.copy(answered)):
            assert (type(again), again.content, again.url) == (requests.Response, PART, answered.url)
        assert isinstance(answered, requests.Response)
        assert answered.raw.isclosed()
        assert answered.iter_content(4).__next__() == PART[:4]
        with pytest.raises(TypeError):
            answered.iter_content("4")  # type: ignore[call-overload]

    @pytest.mark.parametrize("kind", [requests.Response, type("Own", (requests.Response,), {})])
    def test_counts_a_response_that_it_cannot_follow_at_once(self, kind: Any, written: Written) -> None:
        """One without a body, or of a class that an adapter of the user's own has."""
        raw = None if kind is requests.Response else object()
        adapter = Adapter(Canned(kind, raw))
        with wideevents.event("work") as event:
            answered = adapter.send(requests.Request("GET", "http://shop.example").prepare())
            assert type(answered) is kind
            assert (event.fields or {})["http.client.count"] == 1

        assert written.one()["http.client.failures"] == 1

    @pytest.mark.parametrize("url", [None, "http://[", "http://shop.example:port/"])
    def test_counts_what_has_no_address(self, url: str | None, written: Written) -> None:
        """An adapter of the user's own may take whatever it likes."""
        asked = requests.PreparedRequest()
        asked.method, asked.url, asked.headers = "GET", url, requests.structures.CaseInsensitiveDict()
        with wideevents.event("work"):
            Adapter(Canned()).send(asked)

        assert written.one()["http.client.slowest"] == "GET "


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
    def test_tells_nobody(self, ask: Ask, callee: Callee, written: Written) -> None:
        """The calls are counted all the same."""
        with wideevents.event("work"):
            ask("GET", callee.url("/a"), propagate=False)

        assert [name for name in IDS if name in callee.last] == []
        assert written.one()["http.client.count"] == 1


class TestAdapter:
    def test_refuses_what_it_cannot_send_by(self) -> None:
        """It says so when it is built."""
        nothing: Any = "no adapter"

        with pytest.raises(ConfigurationError, match="inner='no adapter' cannot be used: it must be a BaseAdapter"):
            Adapter(nothing)
        with pytest.raises(
            ConfigurationError, match="max_retries= cannot be used: it belongs to what is given as inner"
        ):
            Adapter(HTTPAdapter(), max_retries=1)
        with pytest.raises(ConfigurationError, match="propagate="):
            Adapter(propagate="shop.example")  # type: ignore[arg-type]

    def test_has_the_attributes_of_the_one_that_it_sends_by(self) -> None:
        """They are read and set there."""
        inner = HTTPAdapter()
        adapter: Any = Adapter(inner)
        adapter.max_retries = 5

        assert (inner.max_retries, adapter.max_retries) == (5, 5)
        assert adapter.poolmanager is inner.poolmanager
        assert not hasattr(adapter, "nothing")

    def test_takes_options(self) -> None:
        """They are those of requests' own adapter."""
        adapter: Any = Adapter(max_retries=3)

        assert adapter.max_retries.total == 3

    def test_is_copied_and_pickled_with_its_session(self, callee: Callee, written: Written) -> None:
        """As requests' own adapters are."""
        session = pickle.loads(pickle.dumps(watch(requests.Session(), propagate=("shop.example",))))
        with wideevents.event("work"):
            copy.copy(session.get_adapter("http://")).send(requests.Request("GET", callee.url("/a")).prepare()).close()

        assert written.one()["http.client.count"] == 1
        assert "traceparent" not in callee.last

    def test_closes_what_it_sends_by(self) -> None:
        """A session closes its adapters."""
        closed = []
        inner = HTTPAdapter()
        inner.close = lambda: closed.append(inner)  # type: ignore[method-assign]
        Adapter(inner).close()

        assert closed == [inner]


class TestWatch:
    def test_returns_the_session_and_may_be_called_again(self) -> None:
        """A second time changes nothing; the adapters are the ones that were mounted."""
        session = requests.Session()
        session.mount("http://shop.example", Canned())
        once = dict(watch(session).adapters)

        assert watch(session) is session
        assert dict(session.adapters) == once
        assert list(once) == ["http://shop.example", "https://", "http://"]
        assert {type(each) for each in once.values()} == {Adapter}

    def test_refuses_what_is_no_session(self) -> None:
        """The module is none."""
        nothing: Any = requests

        with pytest.raises(ConfigurationError, match=r"it must be a requests\.Session"):
            watch(nothing)


class TestInstall:
    def test_counts_once_what_is_watched_already(self, callee: Callee, written: Written) -> None:
        """Twice would be a lie."""
        with wideevents.event("work"):
            install()
            install()
            ask_by_watching("GET", callee.url("/a"))
            uninstall()

        assert written.one()["http.client.count"] == 1

    def test_is_undone(self, callee: Callee, written: Written) -> None:
        """Nothing of it is left; a second time there is nothing to undo."""
        before = requests.Session.get_adapter
        install()
        installed = requests.Session.get_adapter
        uninstall()
        uninstall()

        assert requests.Session.get_adapter is before is not installed

    def test_leaves_alone_who_has_wrapped_it_since(self) -> None:
        """Theirs stays."""
        before = requests.Session.get_adapter
        install()
        ours = requests.Session.get_adapter

        @functools.wraps(ours)
        def theirs(session: requests.Session, url: str) -> BaseAdapter:
            return ours(session, url)

        requests.Session.get_adapter = theirs  # type: ignore[assignment, method-assign]
        uninstall()

        assert requests.Session.get_adapter is theirs
        requests.Session.get_adapter = before  # type: ignore[method-assign]

    def test_refuses_hosts_that_are_none(self) -> None:
        """Nothing is installed then."""
        before = requests.Session.get_adapter
        with pytest.raises(ConfigurationError, match="propagate=5 cannot be used"):
            install(propagate=5)  # type: ignore[arg-type]

        assert requests.Session.get_adapter is before

    def test_nothing_is_installed_by_an_import(self) -> None:
        """Counting is asked for by name."""
        code = (
            "import requests; before = dict(vars(requests.Session)); import wideevents.integrations.requests;"
            "assert before == dict(vars(requests.Session))"
        )

        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class TestImport:
    def test_names_the_extra_that_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whoever has no requests is told what to install."""
        monkeypatch.setitem(sys.modules, "requests", None)

        with pytest.raises(ImportError, match=re.escape("requests needs requests: pip install 'wideevents[requests]'")):
            runpy.run_path(str(room.__file__))
