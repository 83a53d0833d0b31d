"""What the servers of the contract suite promise themselves: a check that cannot fail would check nothing."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.integrations.asgi_servers import CHUNK, Checker, Exchange, InProcess, scope
from tests.integrations.doors import DOORS
from tests.integrations.servers import Answered, Ask, Lines

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
BODY = {"type": "http.response.body", "body": b"ok"}
MORE = {"type": "http.response.body", "body": b"o", "more_body": True}
STREAM = {"type": "http.response.start", "status": 200, "headers": []}
FILE = {"type": "http.response.pathsend", "path": __file__}


def complaints(*messages: dict[str, Any], method: str = "GET", given: Any = None) -> list[str]:
    """Return what the checker says of an application that sends *messages*, or of the scope that it is *given*."""
    found: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    async def accept(message: Any) -> None:
        """Take everything."""

    async def wait() -> None:
        raise NotImplementedError

    asked = scope(Ask(method, "/")) if given is None else given
    with suppress(AssertionError):
        asyncio.run(Checker(found)(application)(asked, wait, accept))
    return found


def served(application: Any, *, leaves: bool = False, body: bytes | None = None) -> Answered:
    """Return what a client of the careful server sees of an application."""

    async def run() -> Exchange:
        exchange = Exchange(Ask("GET", "/", body=body), leaves=leaves)
        await exchange.run(application)
        return exchange

    return asyncio.run(run()).answered(Lines())


class TestChecker:
    """Whatever ASGI does not allow is told."""

    @pytest.mark.parametrize(
        "messages",
        [(START, BODY), (STREAM, MORE, BODY), (STREAM, FILE)],
        ids=["whole", "streamed", "file"],
    )
    def test_a_good_response_passes(self, messages: tuple[dict[str, Any], ...]) -> None:
        """A whole body, a streamed one and a file are what applications send."""
        assert complaints(*messages) == []

    @pytest.mark.parametrize("status", [204, 304])
    def test_a_body_that_is_not_there_has_any_length(self, status: int) -> None:
        """The answer to a HEAD, a 204 and a 304 may announce what they do not send (RFC 9110, 8.6)."""
        empty = {"type": "http.response.body"}
        assert complaints({**START, "status": status}, empty) == complaints(START, empty, method="HEAD") == []

    @pytest.mark.parametrize(
        ("told", "messages"),
        [
            ("before the head", (BODY,)),
            ("a second head", (STREAM, STREAM)),
            ("has ended", (START, BODY, BODY)),
            ("before the end", (STREAM, MORE)),
            ("before the end", ()),
            ("2' bytes were announced, 1 sent", (START, {**BODY, "body": b"o"})),
            ("not for a server", (STREAM, {"type": "http.request"})),
            ("no status", ({**STREAM, "status": 100},)),
            ("capitals", ({**STREAM, "headers": [(b"X-Request-ID", b"1")]},)),
            ("no bytes", ({**STREAM, "headers": [(b"x-request-id", "1")]},)),
            ("several lines", ({**STREAM, "headers": [(b"x-request-id", b"1\r\n2")]},)),
            ("unknown: {'reason'}", ({**STREAM, "reason": "OK"},)),
            ("body of http.response.body", (STREAM, {**BODY, "body": "ok"})),
            ("after a part of the body", (STREAM, MORE, FILE)),
        ],
    )
    def test_a_bad_one_does_not(self, told: str, messages: tuple[dict[str, Any], ...]) -> None:
        """It is told in a few words."""
        (complaint,) = complaints(*messages)
        assert told in complaint

    def test_a_file_is_sent_by_a_server_that_offers_it(self) -> None:
        """Where the extension is not in the scope, the message is unknown."""
        without = {**scope(Ask("GET", "/")), "extensions": {}}
        (complaint,) = complaints(STREAM, FILE, given=without)
        assert complaint == "this server sends no files by itself"

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("type", "websocket"),
            ("asgi", {"version": "3.0"}),
            ("method", "get"),
            ("path", b"/"),
            ("raw_path", "/"),
            ("query_string", ""),
            ("headers", [("host", "shop.example")]),
            ("headers", [(b"Host", b"shop.example")]),
            ("state", None),
        ],
    )
    def test_a_scope_that_was_changed_does_not_pass(self, name: str, value: Any) -> None:
        """A door hands on what it was given."""
        assert len(complaints(START, BODY, given={**scope(Ask("GET", "/")), name: value})) == 1

    @pytest.mark.parametrize(
        "received",
        [
            {"type": "http.response.start"},
            {"type": "http.request", "body": "text"},
            {"type": "http.request", "more_body": 1},
            {"type": "http.request", "size": 1},
        ],
        ids=["another's", "text", "a number", "unknown"],
    )
    def test_what_an_application_receives_is_checked_too(self, received: dict[str, Any]) -> None:
        """A door that makes messages up is found out, even if the application answers for the error."""
        assert len(overheard([received])) == 1

    def test_nobody_answers_a_client_that_has_left(self) -> None:
        """An application that was told so may return in the middle of its response."""
        found: list[str] = []

        async def application(scope: Any, receive: Any, send: Any) -> None:
            await send(STREAM)
            await receive()

        async def receive() -> Any:
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            """Take everything."""

        asyncio.run(Checker(found)(application)(scope(Ask("GET", "/")), receive, send))
        assert found == []

    def test_nothing_comes_after_the_end_of_a_request(self) -> None:
        """The last part of the body is the last, but for the client's leaving."""
        end = {"type": "http.request"}
        assert overheard([end, {"type": "http.disconnect"}]) == []
        assert overheard([end, end]) == ["the body of the request has ended, and another part comes"]


def overheard(received: list[dict[str, Any]]) -> list[str]:
    """Return the complaints about what an application receives that answers its own errors."""
    found: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        with suppress(AssertionError):
            for _ in range(len(received)):
                await receive()
        await send(START)
        await send(BODY)

    messages = iter(received)

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        """Take everything."""

    asyncio.run(Checker(found)(application)(scope(Ask("GET", "/")), receive, send))
    return found


class TestExchange:
    """The careful server does what the specification says, and no more."""

    def test_a_body_comes_in_parts(self) -> None:
        """A large body is received in several messages, the last of which says nothing of more."""
        parts: list[dict[str, Any]] = []

        async def application(scope: Any, receive: Any, send: Any) -> None:
            while not parts or parts[-1].get("more_body"):
                parts.append(await receive())
            await send(START)
            await send(BODY)

        served(application, body=b"x" * (2 * CHUNK + 1))
        assert [len(part["body"]) for part in parts] == [CHUNK, CHUNK, 1]
        assert [part.get("more_body") for part in parts] == [True, True, None]

    def test_the_head_waits_for_the_body(self) -> None:
        """What fails between the two is a 500; what fails later breaks off."""

        async def stillborn(scope: Any, receive: Any, send: Any) -> None:
            await send(START)
            raise LookupError

        async def broken(scope: Any, receive: Any, send: Any) -> None:
            await send(STREAM)
            await send(MORE)
            raise LookupError

        seen = [served(application) for application in (stillborn, broken)]
        assert [(each.status, each.body) for each in seen] == [(500, b""), (200, b"o")]

    def test_a_client_that_leaves_is_told_twice(self) -> None:
        """Sending raises an OSError (ASGI 2.4), and receiving returns http.disconnect."""
        told: list[object] = []

        async def application(scope: Any, receive: Any, send: Any) -> None:
            await send(STREAM)
            await send(MORE)
            try:
                await send(MORE)
            except OSError as error:
                told.append(type(error))
            told.append(await receive())

        answered = served(application, leaves=True)
        assert (answered.body, told) == (b"o", [BrokenPipeError, {"type": "http.disconnect"}])

    def test_a_file_is_sent(self) -> None:
        """The client sees its contents."""

        async def application(scope: Any, receive: Any, send: Any) -> None:
            await send(STREAM)
            await send(FILE)

        assert served(application).body == Path(__file__).read_bytes()

    def test_a_complaint_fails_whoever_asks(self, tmp_path: Path) -> None:
        """An application or a door that breaks the rules fails the test, whatever it answers."""
        server = InProcess(DOORS["asgi"], tmp_path)
        server.complaints.append("a header with capitals")
        try:
            with pytest.raises(AssertionError, match="capitals"):
                server.converse([Ask("GET", "/plain")])
        finally:
            server.stop()
