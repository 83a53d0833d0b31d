"""How a report is sent, and what a Sentry may do in place of taking it."""

from __future__ import annotations

import socket
import ssl
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from tests.sinks.sentry import (
    CERTIFICATE,
    OK,
    Answer,
    Inbox,
    answering,
    dripping,
    flooding,
    hanging,
    inbox,
    nobody,
    saying,
)
from wideevents.sinks.sentry import posts
from wideevents.sinks.sentry.addresses import Address
from wideevents.sinks.sentry.posts import Post, RefusedError


def deliver(answer: Answer) -> tuple[float, Inbox]:
    """Post a report to what answers so; return the pause that was asked for, and what came there."""
    with inbox(answer) as server:
        return Post(Address.of(server.dsn)).deliver("1" * 32, b'{"event_id":"1"}'), server


def refusal(answer: Answer) -> RefusedError:
    """Return what is raised where the report is not taken."""
    with pytest.raises(RefusedError) as refused:
        deliver(answer)
    return refused.value


def hastily(monkeypatch: pytest.MonkeyPatch, answer: Answer) -> None:
    """Post a report with little patience."""
    monkeypatch.setattr(posts, "ANSWER_S", 0.2)
    deliver(answer)


class TestDelivery:
    def test_the_report_arrives(self) -> None:
        """As an envelope, compressed, with the key in a header and not in the path."""
        pause, server = deliver(OK)
        head = server.heads[0]

        assert (pause, server.reports) == (0.0, [{"event_id": "1"}])
        assert head.startswith("POST /api/7/envelope/ HTTP/1.1\r\n")
        assert "X-Sentry-Auth: Sentry sentry_key=publickey, sentry_version=7" in head
        assert "Content-Encoding: gzip" in head

    @pytest.mark.parametrize("status", ["201 Created", "202 Accepted", "200"])
    def test_any_success_is_one(self, status: str) -> None:
        """Whatever the words."""
        assert deliver(answering(status))[0] == 0.0

    @pytest.mark.parametrize("status", ["400 Bad Request", "403 Forbidden", "413 Too Large", "500 Oops", "503 Down"])
    def test_a_refusal_says_its_status(self, status: str) -> None:
        """The number is what a person looks up."""
        refused = refusal(answering(status))

        assert str(refused).endswith(f"answered {status[:3]}")
        assert refused.pause_s == 0.0

    def test_a_redirect_is_not_followed(self) -> None:
        """A report goes to the host that was judged, or nowhere."""
        with inbox() as elsewhere:
            refused = refusal(
                answering("307 Temporary", f"Location: http://127.0.0.1:{elsewhere.port}/api/7/envelope/")
            )

            assert elsewhere.visits == 0
        assert str(refused).endswith("answered 307")

    def test_no_proxy_of_the_environment_is_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Reports would leave by it, and nobody has said that they may."""
        with inbox() as proxy:
            for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            deliver(OK)

            assert proxy.visits == 0

    @pytest.mark.parametrize(
        "garbage",
        [
            b"",
            b"\0\xff\xfe garbage \r\n\r\n",
            b"220 mail.example.org ESMTP\r\n\r\n",
            b"HTTP/1.1 2000 OK\r\n\r\n",
            b"HTTP/9.9 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
            b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000,
            b"HTTP/1.1 200 OK\r\n",
            b"HTTP/1.1 200 OK",
        ],
        ids=["nothing", "noise", "mail", "number", "version", "headers", "endless", "half", "line"],
    )
    def test_garbage_is_no_answer(self, garbage: bytes) -> None:
        """And not endless: of an answer that never ends no more is read than of any other."""
        assert "answered what is no HTTP" in str(refusal(saying(garbage)))

    def test_an_endless_answer_is_none(self) -> None:
        """It is not read to an end that never comes."""
        assert "answered what is no HTTP" in str(refusal(flooding))

    @pytest.mark.parametrize("answer", [hanging, dripping])
    def test_whoever_does_not_answer_in_time_does_not_answer(
        self, answer: Answer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The time is one for the whole, and not one for each byte."""
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            hastily(monkeypatch, answer)

        assert time.monotonic() - began < 5

    def test_the_time_is_over_before_the_next_byte_is_asked_for(self) -> None:
        """Whoever always has another byte would go on for ever."""
        here, there = socket.socketpair()
        with here, there:
            there.sendall(b"HTTP/1.1 200 OK")
            with pytest.raises(TimeoutError, match="timed out"):
                posts._head(here, time.monotonic())

    def test_nobody_is_there(self) -> None:
        """It is told as what it is."""
        with pytest.raises(ConnectionRefusedError):
            Post(Address.of(nobody())).deliver("1", b"{}")

    def test_a_certificate_that_nobody_trusts(self) -> None:
        """Whoever stands in the way could have made it."""
        with inbox(secure=True) as server, pytest.raises(ssl.SSLCertVerificationError):
            Post(Address.of(server.dsn)).deliver("1", b"{}")

    def test_a_certificate_authority_of_ones_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is named as OpenSSL has it; what is trusted is read once."""
        monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
        with inbox(secure=True) as server:
            post = Post(Address.of(server.dsn))
            post.deliver("1", b"{}")
            monkeypatch.delenv("SSL_CERT_FILE")
            post.deliver("2", b"{}")

            assert len(server.reports) == 2


class TestPauses:
    @pytest.mark.parametrize(
        ("headers", "pause"),
        [
            (["Retry-After: 7"], 7.0),
            (["Retry-After: 1.5"], 1.5),
            ([], 60.0),
            (["Retry-After: soon"], 60.0),
            (["Retry-After: -5"], 60.0),
            (["Retry-After: nan"], 60.0),
            (["Retry-After: inf"], 60.0),
            (["Retry-After: 1e300"], 86_400.0),
            (["X-Sentry-Rate-Limits: 9::organization"], 9.0),
            (["X-Sentry-Rate-Limits: 9:error:key", "Retry-After: 100"], 9.0),
            (["X-Sentry-Rate-Limits: 5:default;transaction:key, 11:error:key:quota"], 11.0),
            (["X-Sentry-Rate-Limits: 5:transaction:key"], 60.0),
            (["X-Sentry-Rate-Limits: garbage,,:::,5"], 5.0),
            (["X-Sentry-Rate-Limits: 999999999999999999999999999::"], 86_400.0),
        ],
    )
    def test_too_many_are_followed_by_a_pause(self, headers: list[str], pause: float) -> None:
        """As long as it asks for, or a minute; what it writes is not believed blindly."""
        assert refusal(answering("429 Too Many Requests", *headers)).pause_s == pause

    def test_a_date_is_a_pause_too(self) -> None:
        """RFC 9110, 10.2.3; one in the past is none."""
        later = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
        past = format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True)

        assert 90 < refusal(answering("429 Too Many", f"Retry-After: {later}")).pause_s <= 100
        assert refusal(answering("503 Down", f"Retry-After: {past}")).pause_s == 0.0

    def test_a_date_without_a_zone_is_none(self) -> None:
        """It cannot be told when that is."""
        assert refusal(answering("503 Down", "Retry-After: Fri, 31 Dec 2100 23:59:59")).pause_s == 0.0

    def test_whoever_takes_a_report_may_ask_for_a_pause(self) -> None:
        """The limit was reached with this one."""
        assert deliver(answering("200 OK", "X-Sentry-Rate-Limits: 4:error:key"))[0] == 4.0
        assert deliver(answering("200 OK"))[0] == 0.0
