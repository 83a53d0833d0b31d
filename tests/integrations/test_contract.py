"""What every door promises of every request, whatever server stands in front of it."""

from __future__ import annotations

import uuid
from collections import Counter
from datetime import datetime
from typing import NamedTuple

import pytest

from tests.integrations.doors import DOORS
from tests.integrations.servers import Answered, Ask, Served
from tests.integrations.views import FILE, PARTS, PAUSE, ROUTES

STREAM_MS = len(PARTS) * PAUSE * 1000
TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"

CRASH = "tests.integrations.views.CrashError"


class Case(NamedTuple):
    """A request, and what is true of it."""

    method: str
    path: str
    template: str | None
    status: int
    level: str = "info"
    urgency: str = "none"
    outcome: str = "success"

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


WELL = (
    Case("GET", "/plain", "/plain", 200),
    Case("HEAD", "/plain", "/plain", 200),
    Case("GET", "/streamed", "/streamed", 200),
    Case("HEAD", "/streamed", "/streamed", 200),
    Case("GET", "/nothing", "/nothing", 204),
    Case("GET", "/unchanged", "/unchanged", 304),
    Case("GET", "/moved", "/moved", 302),
    Case("POST", "/upload", "/upload", 201),
    Case("GET", "/slow", "/slow", 200),
    Case("GET", "/healthz2", "/healthz2", 200),
    Case("GET", "/many", "/many", 200),
    Case("GET", "/file", "/file", 200),
    Case("HEAD", "/file", "/file", 200),
    Case("GET", "/reset/kitten", "/reset/<token>", 200),
    Case("GET", "/greet/h%C3%A9llo%20%E2%82%AC", "/greet/<name>", 200),
)
NOT_WELL = (
    Case("GET", "/refused", "/refused", 403),
    Case("GET", "/missing", None, 404),
    Case("HEAD", "/missing", None, 404),
    Case("DELETE", "/plain", "/plain", 405),
    Case("GET", "/declined", "/declined", 409),
    Case("GET", "/unavailable", "/unavailable", 503, "error", "page", "failure"),
)
FAILED = Case("GET", "/crash", "/crash", 500, "error", "page", "failure")
BROKEN = Case("GET", "/broken", "/broken", 200, "error", "page", "failure")
STILLBORN = Case("GET", "/stillborn", "/stillborn", 500, "error", "page", "failure")
ANSWERED = (*WELL, *NOT_WELL)
CASES = (*ANSWERED, FAILED, BROKEN, STILLBORN)

all_cases = pytest.mark.parametrize("case", CASES, ids=str)
answered_cases = pytest.mark.parametrize("case", ANSWERED, ids=str)


def body_of(case: Case) -> bytes | None:
    return b"12345" if case.method == "POST" else None


def ask(served: Served, case: Case) -> Answered:
    return served.once(case.method, case.path, body_of(case))


def seen(served: Served, case: Case) -> int:
    """Return the status that the client sees, which is the server's own where it does not send the application's."""
    if case is STILLBORN:
        return served.server.stillborn
    return 500 if is_lost(served, case) else case.status


def is_lost(served: Served, case: Case) -> bool:
    """Tell whether an answer has a body without a part, and the server sends none such."""
    empty = case.method == "HEAD" or case.status in {204, 304}
    return empty and not served.door.empty_part and not served.server.sends_empty


def endless(served: Served) -> str:
    """Return what streams until its client has gone, or not much longer than that where nobody tells of it."""
    return "/endless" if served.server.tells else "/endless?parts=20"


def is_late(served: Served) -> bool:
    """
    Tell whether a generator is left to the garbage collector when its client has gone.

    What it adds to the event at its end goes to the work in whose middle Python collects it.
    """
    return served.server.tells not in {*served.door.closes, ""}


class TestOneLine:
    """Every request leaves one line, which says how it went."""

    @all_cases
    def test_it_tells_how_the_request_went(self, served: Served, case: Case) -> None:
        """Status, level, urgency and outcome are in the only line, and the client saw what its server does with it."""
        answered = ask(served, case)
        line = answered.line
        told = (line["http.response.status_code"], line["level"], line["alert.urgency"], line["outcome"])
        assert case[3:] == told
        assert seen(served, case) == answered.status

    @all_cases
    def test_it_tells_what_was_asked(self, served: Served, case: Case) -> None:
        """The method, and the route as its template; a raw path is never a route, nor part of the event's name."""
        line = ask(served, case).line
        route = case.template and served.door.route(case.template)
        name = f"{case.method} {route}" if route else case.method
        told = (line["http.request.method"], line.get("http.route"), line["event.name"], line["event.kind"])
        assert (case.method, route, name, "request") == told

    @answered_cases
    def test_it_counts_the_bytes_of_the_answer(self, served: Served, case: Case) -> None:
        """The size of the response is what the client received; of an answer without a body it is zero."""
        answered = ask(served, case)
        assert len(answered.body) == answered.line["http.response.body.size"]

    @answered_cases
    def test_it_carries_no_error_that_did_not_happen(self, served: Served, case: Case) -> None:
        """An answer that the application gives on purpose, a 4xx too, is no exception."""
        line = ask(served, case).line
        noted = {"/declined", "/unavailable"}
        assert (case.path in noted) == ("exception.type" in line)

    @pytest.mark.parametrize("case", [*ANSWERED, FAILED], ids=str)
    def test_the_application_answers_as_it_would_without_us(self, served: Served, case: Case) -> None:
        """Status, headers and body are those of the same application without a door, but for the request id."""
        bare = served.ask(case.method, case.path, body=body_of(case), variant="bare")
        ours = {"x-request-id", "date"}
        seen = [
            (each.status, [pair for pair in each.headers.items() if pair[0].lower() not in ours], each.body)
            for each in (bare, ask(served, case))
        ]
        assert seen[0] == seen[1]


class TestRequest:
    """What is known of a request from its head."""

    def test_it_says_who_asked_for_what(self, served: Served) -> None:
        """Scheme, host, path, query, client and user agent are those of the request."""
        line = served.get("/plain?page=2&sort=price").line
        expected = {
            "url.scheme": "http",
            "url.path": "/plain",
            "url.query": "page=2&sort=price",
            "server.address": "shop.example",
            "client.address": "127.0.0.1",
            "user_agent.original": "contract/1.0",
            "service.name": "contract",
        }
        assert expected == {name: line.get(name) for name in expected}

    def test_it_says_which_framework_served_it(self, served: Served) -> None:
        """The framework has a name and a version, where there is one."""
        line = served.get("/plain").line
        assert (served.door.framework, bool(served.door.framework)) == (
            line.get("framework.name"),
            "framework.version" in line,
        )

    def test_a_path_is_text(self, served: Served) -> None:
        """A path in UTF-8 is read as such, whatever WSGI makes of it."""
        assert served.get("/greet/h%C3%A9llo%20%E2%82%AC").line["url.path"] == "/greet/héllo €"

    def test_a_secret_in_the_query_is_hidden(self, served: Served) -> None:
        """The value of a parameter with a secret name is not in the line."""
        line = served.get("/plain?page=2&access_token=kitten").line
        assert "kitten" not in str(line)
        assert line["url.query"].startswith("page=2&access_token=")

    def test_a_secret_in_the_path_is_hidden(self, served: Served) -> None:
        """The value of a route's parameter with a secret name is not in the line, where routes are known."""
        line = served.get("/reset/kitten").line
        assert served.door.masks == ("kitten" not in str(line))

    def test_a_declared_body_is_measured(self, served: Served) -> None:
        """The size of the request is in the line, and the application still reads all of it."""
        answered = served.ask("POST", "/upload", body=b"x" * 70_000)
        assert (answered.body, answered.line["http.request.body.size"]) == (b"70000", 70_000)

    def test_a_request_without_a_body_has_no_size(self, served: Served) -> None:
        """What was not declared is left out, and is no zero."""
        assert "http.request.body.size" not in served.get("/plain").line

    def test_every_field_of_the_application_is_there(self, served: Served) -> None:
        """A hundred fields are added, and a hundred are written."""
        line = served.get("/many").line
        assert {f"many.field_{n}": n for n in range(100)} == {k: v for k, v in line.items() if k.startswith("many.")}


class TestTime:
    """How long a request took is how long it took."""

    def test_a_streamed_body_lasts_until_its_last_byte(self, served: Served) -> None:
        """The time of a request ends with the body, not with the handler; the client waited at least that long."""
        answered = served.once("GET", "/streamed")
        assert STREAM_MS <= answered.line["duration_ms"] <= answered.took_ms

    def test_the_first_byte_comes_before_the_last(self, served: Served) -> None:
        """Time to first byte is when the first part was there, before which there was one pause of several."""
        line = served.once("GET", "/streamed").line
        assert PAUSE * 1000 <= line["ttfb_ms"] <= line["duration_ms"] - 2 * PAUSE * 1000

    def test_a_slow_handler_is_slow(self, served: Served) -> None:
        """The time before the first byte counts too."""
        line = served.once("GET", "/slow").line
        assert line["ttfb_ms"] >= 60
        assert line["duration_ms"] >= line["ttfb_ms"]

    def test_the_timestamp_is_the_start(self, served: Served) -> None:
        """The timestamp lies between the client's beginning and its end less the duration."""
        answered = served.once("GET", "/streamed")
        started = datetime.fromisoformat(answered.line["timestamp"]).timestamp()
        tolerance = 0.002  # two clocks are read
        assert answered.began - tolerance <= started <= answered.ended - STREAM_MS / 1000 + tolerance


class TestStreaming:
    """A body whose length nobody knows beforehand."""

    def test_it_is_marked(self, served: Served) -> None:
        """A body is streamed if its length was not announced; a whole one and a file are not."""
        told = [
            served.once("GET", path).line.get("http.response.streamed") for path in ("/streamed", "/plain", "/file")
        ]
        assert told == [True, None, None]

    def test_the_event_is_in_progress_while_the_body_is_made(self, served: Served) -> None:
        """What a generator adds between its parts is in the line."""
        assert served.once("GET", "/streamed").line["parts"] == len(PARTS)

    def test_an_error_in_the_middle(self, served: Served) -> None:
        """The status was sent and stays; the error pages somebody all the same, and what was sent is counted."""
        line = served.once("GET", "/broken").line
        expected = {
            "http.response.status_code": 200,
            "http.response.body.size": len(PARTS[0]),
            "http.response.streamed": True,
            "level": "error",
            "outcome": "failure",
            "exception.type": served.door.wraps or CRASH,
            "exception.handled": False,
            "error.count": 1,
            "client.disconnected": None,
        }
        assert expected == {name: line.get(name) for name in expected}
        first = [f"{line['exception.type']}: {line['exception.message']}", *line.get("exception.causes", [])][-1]
        assert first == f"{CRASH}: in mid-stream"

    def test_a_client_that_leaves(self, served: Served) -> None:
        """A client that is gone in the middle is nobody's fault: info, cancelled, and no exception."""
        noticed = bool(served.server.tells)
        line = served.leave_once(endless(served)).line
        expected = {
            "http.response.status_code": 200,
            "level": "info",
            "alert.urgency": "none",
            "outcome": "cancelled" if noticed else "success",
            "client.disconnected": noticed or None,
            "exception.type": None,
        }
        assert expected == {name: line.get(name) for name in expected}
        assert line["http.response.body.size"] >= 1_000

    def test_what_is_cleaned_up_for_a_client_that_left_is_told(self, served: Served) -> None:
        """The event is still in progress when a generator is closed: its `finally` may add to it."""
        line = served.leave_once(endless(served)).line
        assert line.get("cleaned_up") == (None if is_late(served) else 1)


class TestWriting:
    """The `write` of PEP 3333, which no framework offers."""

    doors = ("wsgi",)

    def test_written_by_the_write_callable(self, served: Served) -> None:
        """What goes out by the `write` of PEP 3333 is counted and timed like any streamed body."""
        answered = served.get("/written")
        line = answered.line
        told = [line.get(f"http.response.{name}") for name in ("status_code", "body.size", "streamed")]
        assert (b"".join(PARTS), [200, 13, True]) == (answered.body, told)

    def test_a_client_that_leaves_while_it_is_written_to(self, served: Served) -> None:
        """The broken pipe that `write` raises through the application is the client's leaving, and no error."""
        line = served.leave("/writing").line
        told = [line.get(name) for name in ("level", "outcome", "client.disconnected", "exception.type")]
        assert told == ["info", "cancelled", True, None]


class TestErrors:
    """What an exception leaves in the line."""

    def test_an_unhandled_one_pages_somebody(self, served: Served) -> None:
        """It is a 500 and an error, and its type, message and stack are there; it counts once."""
        line = served.get("/crash").line
        expected = {
            "http.response.status_code": 500,
            "level": "error",
            "alert.urgency": "page",
            "outcome": "failure",
            "exception.type": CRASH,
            "exception.message": "nobody handles this",
            "exception.handled": False,
            "error.type": CRASH,
            "error.count": 1,
        }
        assert expected == {name: line.get(name) for name in expected}
        assert "in crash\n" in line["exception.stacktrace"]

    @pytest.mark.parametrize(("path", "level"), [("/declined", "info"), ("/unavailable", "error")])
    def test_a_handled_one_is_as_bad_as_its_status(self, served: Served, path: str, level: str) -> None:
        """The exception is on the line as a handled one; whether it pages somebody is what its answer says."""
        line = served.get(path).line
        told = (line["level"], line["exception.handled"], line["error.count"])
        assert (level, True, 1) == told
        assert line["exception.type"].startswith("tests.integrations.views.")


class TestRequestId:
    """The id that a client, a proxy and a line have in common."""

    @pytest.mark.parametrize("given", ["a", "A-Z_0.9", "x" * 128])
    def test_a_valid_one_is_taken(self, served: Served, given: str) -> None:
        """1 to 128 characters of letters, digits, dot, underscore and dash go into the line and out again."""
        given = f"{uuid.uuid4().hex}-{given}"[-max(len(given), 40) :]
        answered = served.get("/plain", headers={"X-Request-ID": given})
        assert (given, given) == (answered.headers["X-Request-ID"], answered.line["http.request.id"])

    @pytest.mark.parametrize("given", ["x" * 129, "a b", "caf\xe9", "a/b", "a,b", "{}", "", None])
    def test_any_other_is_replaced(self, served: Served, given: str | None) -> None:
        """What could not be trusted in a line is not taken; the client is told the id that is."""
        answered = served.get("/plain", headers={"X-Request-ID": given})
        shown = answered.headers["X-Request-ID"]
        assert len(shown) == 32
        assert (int(shown, 16) > 0, shown) == (True, answered.line["http.request.id"])

    @answered_cases
    def test_it_goes_out_on_every_answer(self, served: Served, case: Case) -> None:
        """There is one X-Request-ID on every response of the application, and it is the one of the line."""
        answered = ask(served, case)
        shown = answered.headers.get_all("X-Request-ID", [])
        assert [answered.line["http.request.id"]] * (not is_lost(served, case)) == shown

    def test_it_goes_out_on_a_500_that_the_framework_answers(self, served: Served) -> None:
        """The answer that most needs an id has one, unless it is the server's own."""
        answered = served.get("/crash", headers={"X-Request-ID": f"crash-{uuid.uuid4().hex}"})
        shown = answered.headers.get_all("X-Request-ID", [])
        assert [answered.line["http.request.id"]] * served.door.answers_errors == shown

    def test_the_one_of_the_application_is_adopted(self, served: Served) -> None:
        """An application that answers with an id of its own keeps it, and the line has it too."""
        own = f"own-{uuid.uuid4().hex}"
        answered = served.get(f"/own-id?id={own}")
        assert ([own], own) == (answered.headers.get_all("X-Request-ID"), answered.line["http.request.id"])


class TestTrace:
    """A trace that began elsewhere goes on (W3C Trace Context)."""

    def test_it_is_continued(self, served: Served) -> None:
        """The trace id is the caller's, and the parent is its span."""
        line = served.get("/plain", headers={"traceparent": f"00-{TRACE}-{SPAN}-01"}).line
        assert (line["trace.id"], line["parent.id"]) == (TRACE, SPAN)
        assert line["event.id"] != SPAN

    @pytest.mark.parametrize(
        "header",
        [
            f"ff-{TRACE}-{SPAN}-01",
            f"00-{'0' * 32}-{SPAN}-01",
            f"00-{TRACE}-{'0' * 16}-01",
            f"00-{TRACE.upper()}-{SPAN}-01",
            f"00-{TRACE}-{SPAN}-01-more",
            f"00-{TRACE[:-1]}-{SPAN}-01",
            "nonsense",
            "",
        ],
    )
    def test_a_malformed_one_is_refused(self, served: Served, header: str) -> None:
        """What the specification wants ignored begins a new trace, without a parent."""
        line = served.get("/plain", headers={"traceparent": header}).line
        assert line["trace.id"].lower() != TRACE
        assert (len(line["trace.id"]), line.get("parent.id")) == (32, None)


class TestClientAddress:
    """Who asked, as far as the configured proxies can know."""

    @pytest.mark.parametrize(
        ("variant", "header", "address"),
        [
            ("watched", "203.0.113.7", "127.0.0.1"),
            ("one proxy", "203.0.113.7", "203.0.113.7"),
            ("one proxy", "6.6.6.6, 203.0.113.7", "203.0.113.7"),
            ("one proxy", "6.6.6.6,203.0.113.7:4711", "203.0.113.7"),
            ("one proxy", "2001:db8::7", "2001:db8::7"),
            ("one proxy", "[2001:db8::7]:4711", "2001:db8::7"),
            ("one proxy", "203.0.113.7, not an address", "127.0.0.1"),
            ("one proxy", "", "127.0.0.1"),
            ("one proxy", None, "127.0.0.1"),
            ("two proxies", "203.0.113.7, 10.0.0.1", "203.0.113.7"),
            ("two proxies", "6.6.6.6, 203.0.113.7, 10.0.0.1", "203.0.113.7"),
            ("two proxies", "203.0.113.7", "127.0.0.1"),
        ],
    )
    def test_only_the_configured_proxies_are_believed(
        self, served: Served, variant: str, header: str | None, address: str
    ) -> None:
        """The entries that our own proxies wrote count from the right; those before them may be anybody's invention."""
        answered = served.get("/plain", variant=variant, headers={"X-Forwarded-For": header})
        assert address == answered.line["client.address"]


class TestQuietRoutes:
    """Health checks and static files leave no line unless there is something to tell."""

    @pytest.mark.parametrize("path", ["/healthz", "/healthz?page=2", "/assets/css/shop.css"])
    def test_a_fast_success_is_dropped(self, served: Served, path: str) -> None:
        """A quiet route that succeeds in time is not written; the request after it is."""
        quiet, after = served.converse([Ask("GET", path, quiet=True), Ask("GET", "/plain")])
        assert after.line["url.path"] == "/plain"
        ids = [line["http.request.id"] for line in served.server.everything()]
        assert (quiet.status, ids.count(quiet.headers["X-Request-ID"])) == (200, 0)

    @pytest.mark.parametrize(
        ("query", "status", "level"),
        [("status=503", 503, "error"), ("status=404", 404, "info"), ("sleep=.32", 200, "info")],
    )
    def test_a_failure_and_a_slow_one_are_kept(self, served: Served, query: str, status: int, level: str) -> None:
        """A health check that fails or is slow is what the line is for."""
        line = served.get(f"/healthz?{query}").line
        assert (status, level) == (line["http.response.status_code"], line["level"])

    @pytest.mark.parametrize(("path", "status"), [("/healthz2", 200), ("/healthz/2", 404), ("/assets", 404)])
    def test_it_is_the_whole_path_that_is_quiet(self, served: Served, path: str, status: int) -> None:
        """Quiet routes are templates: a path that only begins like one is not quiet."""
        answered = served.get(path)
        assert (status, path) == (answered.status, answered.line["url.path"])


class TestThreads:
    """What a request starts elsewhere belongs to it."""

    def test_their_fields_are_in_the_line(self, served: Served) -> None:
        """A thread, a new pool and a warm pool write into the event of the request that uses them, time and again."""
        for mark in ("first", "second"):
            line = served.get(f"/threads?mark={mark}").line
            marks = {name: value for name, value in line.items() if name.startswith("marks.")}
            assert {"marks.thread": mark, "marks.pool": mark, "marks.warm": mark} == marks


class TestIsolation:
    """No request knows of another."""

    @pytest.mark.parametrize("path", ["/echo?mark=1", "/crash", "/declined", "/broken", "/many"])
    def test_nothing_stays_behind_in_the_worker(self, served: Served, path: str) -> None:
        """A request has the same fields after any other as it has after its like."""
        served.get("/collected")  # what clients that left have left to the garbage collector is collected anywhere
        served.get("/plain")
        names = set(served.get("/plain").line)
        served.get(path)
        own = {"thread.name", "parent.id"}
        assert names - own == set(served.get("/plain").line) - own

    def test_nothing_stays_behind_when_a_client_has_left(self, served: Served) -> None:
        """The event of a client that has gone is not the next one's, and what it was stays with it."""
        served.leave(endless(served)).line  # noqa: B018 - its end is waited for
        collected, line = served.get("/collected").line, served.get("/plain").line
        assert (line.get("client.disconnected"), line.get("cleaned_up"), line["outcome"]) == (None, None, "success")
        assert collected.get("cleaned_up") in ({None, 1} if is_late(served) else {None})

    def test_nothing_stays_behind_on_a_connection(self, served: Served) -> None:
        """Requests that follow each other on one connection have an event each, with fields and ids of their own."""
        answers = served.converse([Ask("GET", f"/echo?mark={number}") for number in range(10)])
        marks = [{name for name in each.line if name.startswith("echo.")} for each in answers]
        assert [{f"echo.{number}"} for number in range(10)] == marks
        for name in ("event.id", "trace.id", "http.request.id"):
            assert len({each.line[name] for each in answers}) == 10

    def test_requests_at_once_never_mix(self, served: Served) -> None:
        """Of two hundred concurrent requests each has its own fields and no other's."""
        answers = served.at_once([Ask("GET", f"/echo?mark={number}") for number in range(200)])
        marks = [
            ({name for name in each.line if name.startswith("echo.")}, each.line["echo_last"], each.body.decode())
            for each in answers
        ]
        assert [({f"echo.{number}"}, str(number), str(number)) for number in range(200)] == marks


class TestLedger:
    """The books are balanced at last: this class stands at the end of the file."""

    def test_no_event_id_comes_twice(self, served: Served) -> None:
        """Every event of a process has an id of its own."""
        served.get("/plain").line  # noqa: B018 - its end is waited for
        ids = [line["event.id"] for line in served.server.everything()]
        assert len(ids) == len(set(ids))

    def test_every_request_has_exactly_one_line(self, served: Served) -> None:
        """Of all requests above, when the server has ended, each has one line, and there is no line beyond them."""
        served.get("/plain").line  # noqa: B018 - its end is waited for, since not every server waits
        served.server.stop()
        written = Counter(line["http.request.id"] for line in served.server.everything())
        expected = {request_id: number for request_id, number in served.expected.items() if number}
        assert expected == written


class TestDoors:
    """What the contract itself relies on."""

    def test_the_file_that_is_sent_is_no_small_one(self) -> None:
        """A file of several blocks is what tells a size that was counted from one that was guessed."""
        assert FILE.stat().st_size > 4_096

    def test_no_route_of_the_application_is_forgotten(self) -> None:
        """Every route of the little application is asked for above."""
        asked = {case.template for case in CASES}
        alone = {"/endless", "/healthz", "/assets/<path:name>", "/threads", "/echo", "/own-id", "/collected"}
        assert {route.template for route in ROUTES} == (asked | alone) - {None}

    def test_a_door_without_routes_says_so(self) -> None:
        """Raw WSGI and raw ASGI have no router, so that nothing there can know a template."""
        assert [DOORS[name].route("/plain") for name in ("wsgi", "asgi")] == [None, None]
