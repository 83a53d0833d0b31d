"""What all doors promise of any request, however odd: their settings, and whatever a client may send."""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.integrations.doors import DOORS, SETTINGS
from tests.integrations.servers import Ask, Lines, environ, lines_caught
from wideevents import ConfigurationError
from wideevents.integrations import asgi
from wideevents.integrations._door import Door
from wideevents.integrations._request import Request
from wideevents.integrations.wsgi import WideEvents, head
from wideevents.sampling import Sampling
from wideevents.signatures import Signer

App = Callable[..., Iterable[bytes]]

SECRET = "a secret of the tests, and of nobody else"


def hello(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"Hello"]


def send(app: App, **head: Any) -> tuple[str, dict[str, str], bytes]:
    """Let a server ask once, with *head* in the environ; None takes a key out."""
    started: list[tuple[str, list[tuple[str, str]]]] = []
    whole = {**environ(Ask("GET", "/plain", id="given")), **head}
    body = app(
        {name: value for name, value in whole.items() if value is not None},
        lambda status, headers, exc_info=None: started.append((status, headers)),
    )
    try:
        sent = b"".join(body)
    finally:
        if hasattr(body, "close"):
            body.close()
    ((status, headers),) = started
    return status, dict(headers), sent


class TestSettings:
    """What cannot be used is refused where it is given, in a sentence that says what can."""

    @pytest.mark.parametrize("quiet", ["/healthz", ["healthz"], [""], [1], [None], [b"/healthz"], 42, None], ids=repr)
    def test_quiet_is_a_tuple_of_templates(self, quiet: Any) -> None:
        """One string is no list of its letters, and a template begins with a slash."""
        with pytest.raises(ConfigurationError, match=r"quiet=.* cannot be used: it must be a tuple of route templates"):
            WideEvents(hello, quiet=quiet)

    @pytest.mark.parametrize("proxies", [-1, 1.0, "1", True, None], ids=repr)
    def test_proxies_is_a_number_of_proxies(self, proxies: Any) -> None:
        """A number of proxies is whole and not negative; True is none."""
        with pytest.raises(
            ConfigurationError, match=rf"proxies={proxies!r} cannot be used: it must be the number of proxies"
        ):
            WideEvents(hello, proxies=proxies)

    @pytest.mark.parametrize("slow_ms", [0, -1, "1000", True, None, float("nan")], ids=repr)
    def test_slow_is_a_time(self, slow_ms: Any) -> None:
        """A time is a number above zero."""
        with pytest.raises(
            ConfigurationError,
            match=rf"slow_ms={slow_ms!r} cannot be used: it must be a number of milliseconds above 0",
        ):
            WideEvents(hello, slow_ms=slow_ms)

    def test_a_collection_that_can_be_read_once_is_not_ignored(self, lines: Lines) -> None:
        """Routes that come from a generator are quiet, or refused; they are not lost in silence."""
        try:
            app = WideEvents(hello, quiet=(route for route in ["/plain"]))  # type: ignore[arg-type]
        except ConfigurationError:
            return
        send(app)
        assert lines.raw == []

    @pytest.mark.parametrize("quiet", [(), ["/a", "/b"], ("/a",), {"/a"}], ids=repr)
    def test_what_can_be_used_is_taken(self, lines: Lines, quiet: Any) -> None:
        """Any collection of templates will do, also an empty one."""
        send(WideEvents(hello, quiet=quiet, proxies=3, slow_ms=0.5))
        assert lines.one["url.path"] == "/plain"


class TestQuietPaths:
    """Templates are matched against whole paths where a framework does not say its route."""

    @pytest.mark.parametrize(
        ("template", "path", "quiet"),
        [
            ("/healthz", "/healthz", True),
            ("/healthz", "/healthz2", False),
            ("/healthz", "/healthz/", False),
            ("/healthz", "/a/healthz", False),
            ("/healthz", "/HEALTHZ", False),
            ("/healthz", "/healthz\n", False),
            ("/", "/", True),
            ("/", "/a", False),
            ("/items/<id>", "/items/7", True),
            ("/items/<int:id>", "/items/7", True),
            ("/items/<int:id>", "/items/7/parts", False),
            ("/items/<int:id>", "/items/", False),
            ("/items/<int:id>/parts", "/items/7/parts", True),
            ("/<string(length=2):lang>/a", "/de/a", True),
            ("/static/<path:name>", "/static/css/shop.css", True),
            ("/static/<path:name>", "/static/", False),
            ("/static/<path:name>", "/static", False),
            ("/items/{id}", "/items/7", True),
            ("/items/{id}", "/items/7/parts", False),
            ("/static/{name:path}", "/static/css/shop.css", True),
            ("/v{number}/health", "/v2/health", True),
            ("/a.b", "/a.b", True),
            ("/a.b", "/axb", False),
            ("/a+(b)", "/a+(b)", True),
            ("/a|/b", "/b", False),
            ("/caf\xe9", "/caf\xe9", True),
        ],
    )
    def test_a_template_is_the_whole_path(self, lines: Lines, template: str, path: str, quiet: bool) -> None:
        """A parameter is one segment, one of the kind `path` any number; all else is what it says, and all of it."""
        app = WideEvents(hello, quiet=[template, "/never"], slow_ms=60_000)
        send(app, PATH_INFO=path.encode().decode("latin-1"))
        assert quiet == (lines.raw == [])

    def test_a_quiet_one_is_written_where_debug_is(self) -> None:
        """A quiet route is a matter of the level: who wants to see all of them can."""
        with lines_caught(level="debug") as lines:
            send(WideEvents(hello, quiet=["/plain"], slow_ms=60_000))
        assert (lines.one["level"], lines.one["alert.urgency"]) == ("debug", "on_request")

    def test_slow_begins_at_the_limit(self, lines: Lines) -> None:
        """The time limit is the door's own: nothing is faster than a nanosecond."""
        send(WideEvents(hello, quiet=["/plain"], slow_ms=0.000_001))
        assert lines.one["level"] == "info"


class TestClientAddress:
    """Who asked, where the server cannot say."""

    @pytest.mark.parametrize("peer", ["", None])
    def test_behind_a_unix_socket_the_proxy_is_believed(self, lines: Lines, peer: str | None) -> None:
        """A server on a unix socket has no peer address; the configured proxy in front of it has told the client's."""
        send(WideEvents(hello, proxies=1), REMOTE_ADDR=peer, HTTP_X_FORWARDED_FOR="203.0.113.7")
        assert lines.one.get("client.address") == "203.0.113.7"

    @pytest.mark.parametrize("peer", ["", None])
    def test_without_a_proxy_it_is_left_out(self, lines: Lines, peer: str | None) -> None:
        """What nobody can know is not in the line."""
        send(WideEvents(hello), REMOTE_ADDR=peer, HTTP_X_FORWARDED_FOR="203.0.113.7")
        assert "client.address" not in lines.one

    @pytest.mark.parametrize(
        ("entry", "address"),
        [
            ("203.0.113.7", "203.0.113.7"),
            (" 203.0.113.7 ", "203.0.113.7"),
            ("203.0.113.7:80", "203.0.113.7"),
            ("2001:DB8::7", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("[2001:db8::7]:80", "2001:db8::7"),
            ("unknown", "127.0.0.1"),
            ("203.0.113", "127.0.0.1"),
            ("203.0.113.7.example", "127.0.0.1"),
            ("<script>", "127.0.0.1"),
            ("", "127.0.0.1"),
            ("203.0.113.7,", "127.0.0.1"),
        ],
    )
    def test_an_entry_is_an_address_or_nothing(self, lines: Lines, entry: str, address: str) -> None:
        """An entry may have a port or brackets; what is no address is not written, and the peer stands in."""
        send(WideEvents(hello, proxies=1), HTTP_X_FORWARDED_FOR=entry)
        assert address == lines.one["client.address"]


AWKWARD = '\x00\n\r\t\x1b\x7f\x85\xa0\u2028\u2029\u202e\u2066\ufeff\ufffe\ud800\udfff\U0001f600é€"\\{}<>%&=;,:[]'
TEXTS = st.one_of(
    st.text(max_size=60),
    st.text(st.characters(categories=["Cs", "Cc", "Cf", "Zl", "Zp", "L", "N", "P"]), max_size=60),
    st.text(st.sampled_from(AWKWARD), max_size=60),
    st.text(st.sampled_from("abc0-._"), min_size=1, max_size=140),
    st.sampled_from(
        ["", "0", "-1", "\xb2", "9" * 5_000, "x" * 20_000, "%00%ff%", "a=b&a=%zz&&=", "[::1", "]:80", "..%2f"]
    ),
)
LATIN = st.one_of(st.text(st.characters(max_codepoint=255), max_size=60), TEXTS.filter(lambda text: text.isascii()))
KEYS = (
    "REQUEST_METHOD",
    "SCRIPT_NAME",
    "PATH_INFO",
    "QUERY_STRING",
    "CONTENT_LENGTH",
    "SERVER_NAME",
    "REMOTE_ADDR",
    "wsgi.url_scheme",
    "HTTP_HOST",
    "HTTP_USER_AGENT",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_REQUEST_ID",
    "HTTP_TRACEPARENT",
    "HTTP_COOKIE",
)
HEADS = st.dictionaries(st.sampled_from(KEYS), st.one_of(TEXTS, st.none()))
VALID = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)

BARE, WATCHED = DOORS["flask"].bare(), DOORS["flask"].watched(**SETTINGS)


def outcome(app: App, head: dict[str, Any]) -> Any:
    """Return what an application answers, without our header, or the type of what it raises."""
    try:
        status, headers, body = send(app, **head)
    except Exception as error:
        return type(error)
    headers.pop("X-Request-ID", None)
    return status, headers, body


class TestHostileRequests:
    """Nothing that a client or a server sends costs the request, or its line."""

    @given(HEADS)
    @example({"HTTP_HOST": "[", "HTTP_X_FORWARDED_FOR": "[", "HTTP_X_REQUEST_ID": "\n", "HTTP_TRACEPARENT": "\n"})
    @example({"PATH_INFO": "/\ud800\x00", "QUERY_STRING": "token=\ud800", "HTTP_USER_AGENT": "\u202e\udfff"})
    @example({"CONTENT_LENGTH": "9" * 5_000, "REQUEST_METHOD": "\ud800"})
    @example(dict.fromkeys(KEYS))
    def test_any_text_gives_one_strict_line(self, head: dict[str, Any]) -> None:
        """Whatever stands in the environ, the answer is the application's and there is one line, read strictly."""
        with lines_caught() as lines:
            status, headers, body = send(WideEvents(hello, quiet=["/a/<b>"], proxies=1), **head)
        assert (status, body, lines.one["http.response.status_code"]) == ("200 OK", b"Hello", 200)
        assert headers["X-Request-ID"] == lines.one["http.request.id"]

    @given(st.dictionaries(st.sampled_from(KEYS), LATIN))
    @example({"PATH_INFO": "/reset/\xff", "HTTP_HOST": "a b"})
    @example({"PATH_INFO": "/greet/\xff\x00", "REQUEST_METHOD": "BREW"})
    @example({"SCRIPT_NAME": "/\xe9", "PATH_INFO": "/plain"})
    def test_flask_answers_as_it_would_without_us(self, head: dict[str, Any]) -> None:
        """What Flask makes of an odd request, be it an answer or an exception, is the same; and there is one line."""
        expected = outcome(BARE, head)
        with lines_caught() as lines:
            actual = outcome(WATCHED, head)
        assert expected == actual
        assert len(lines.all) == 1

    @given(TEXTS)
    @example("x" * 128)
    @example("x" * 129)
    @example("a\n")
    @example("\u0661")
    def test_a_request_id_is_always_a_valid_one(self, given: str) -> None:
        """What goes out is what came in if that is valid, and something valid if it is not."""
        with lines_caught():
            shown = send(WideEvents(hello), HTTP_X_REQUEST_ID=given)[1]["X-Request-ID"]
        assert VALID.fullmatch(shown)
        assert bool(VALID.fullmatch(given)) == (given == shown)

    @given(TEXTS, st.integers(0, 3))
    @example("6.6.6.6, 10.0.0.1", 2)
    def test_a_client_address_is_always_an_address(self, forwarded: str, proxies: int) -> None:
        """Whatever a client invents, the line holds an address that the server or a proxy has seen."""
        with lines_caught() as lines:
            send(WideEvents(hello, proxies=proxies), HTTP_X_FORWARDED_FOR=forwarded)
        address = lines.one["client.address"]
        assert str(ipaddress.ip_address(address)) == address
        assert proxies or address == "127.0.0.1"

    @given(TEXTS, st.lists(st.tuples(st.sampled_from(["Content-Length", "X-Request-ID", "A"]), TEXTS)), st.binary())
    @example("\xb200 OK", [], b"")
    @example("200 OK", [("Content-Length", "\xb2")], b"")
    def test_any_answer_goes_out_as_it_is(self, status: str, headers: list[tuple[str, str]], body: bytes) -> None:
        """Status, headers and body are handed to the server, which may refuse them; we do not."""

        def app(environ: Any, start_response: Any) -> Any:
            start_response(status, headers)
            return iter([body])

        with lines_caught() as lines:
            sent = send(WideEvents(app))
        assert (status, body, len(body)) == (sent[0], sent[2], lines.one["http.response.body.size"])
        assert dict(headers).items() <= sent[1].items()


class TestLimits:
    """A line has its size, whatever a client sends."""

    def test_a_huge_head_is_cut_and_named(self, lines: Lines) -> None:
        """Path, query and user agent of a megabyte give a line as short as any, which says what was cut."""
        huge = "x" * 1_000_000
        send(WideEvents(hello), PATH_INFO=f"/{huge}", QUERY_STRING=huge, HTTP_USER_AGENT=huge, HTTP_HOST=huge)
        line = lines.one
        assert {"url.path", "url.query", "user_agent.original", "server.address"} <= set(line["event.trimmed"])
        assert (line["http.response.status_code"], line["event.name"]) == (200, "GET")

    def test_a_declared_length_beyond_all_numbers_does_no_harm(self, lines: Lines) -> None:
        """A client may declare any number of bytes; the line stays one that every aggregator takes."""
        send(WideEvents(hello), CONTENT_LENGTH="9" * 5_000)
        assert lines.one.get("http.request.body.size", 0) < 2**63


class TestEnd:
    """The first end of a request counts, whatever comes after it."""

    def test_what_comes_after_it_changes_nothing(self, lines: Lines) -> None:
        """A part that the server refuses when all is over, a route, a request id, a second end."""
        gone = BrokenPipeError()
        request = Request(Door(), head({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}))
        request.returned()
        request.finish()
        request.lost(gone)
        request.failed(gone)
        request.routed("/late", None)
        request.adopt("late")
        request.closed()

        assert (lines.one["outcome"], lines.one["event.name"], "client.disconnected" in lines.one) == (
            "success",
            "GET",
            False,
        )


def ask_wsgi(header: str) -> None:
    """Send a request with *header* to a WSGI application."""
    send(WideEvents(hello), HTTP_X_WIDEEVENTS_KEEP=header)


def ask_asgi(header: str) -> None:
    """Send a request with *header* to an ASGI application."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"Hello"})

    async def ignore(message: Any) -> None:
        """Be a client that looks at nothing."""

    headers = [(b"x-wideevents-keep", header.encode())]
    scope = {"type": "http", "method": "GET", "path": "/", "headers": headers}
    asyncio.run(asgi.WideEvents(application)(scope, None, ignore))  # type: ignore[arg-type]


class TestKeep:
    """A request that shall be kept says so in a header, which somebody who may has signed."""

    @pytest.mark.parametrize("ask", [ask_wsgi, ask_asgi])
    def test_a_signature_keeps_a_request(self, ask: Callable[[str], None]) -> None:
        """What somebody else has signed, or nobody, keeps nothing."""
        with lines_caught(sample=Sampling(rate=1_000_000, firsts=0, secret=SECRET)) as lines:
            for header in (Signer((SECRET,)).sign(60), Signer((SECRET[::-1],)).sign(60), "1", ""):
                ask(header)

        assert [line["sample.reason"] for line in lines.all] == ["asked"]

    @pytest.mark.parametrize("ask", [ask_wsgi, ask_asgi])
    def test_without_a_secret_nobody_can_ask(self, ask: Callable[[str], None]) -> None:
        """Where nothing is configured, the header says nothing."""
        with lines_caught(sample=Sampling(rate=1_000_000, firsts=0)) as lines:
            ask(Signer((SECRET,)).sign(60))

        assert lines.all == []
