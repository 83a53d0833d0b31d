"""Post a report to Sentry: one connection, one deadline, no redirect, and no proxy that nobody asked for."""

from __future__ import annotations

import encodings.idna  # noqa: F401 - see below
import gzip
import io
import re
import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPMessage, HTTPSConnection, parse_headers
from math import isfinite
from time import monotonic
from typing import Any

from sentry_sdk.envelope import Envelope, Item

from wideevents.sinks.sentry.addresses import Address

# Python imports that codec when the first name is looked up. A fork at that moment would leave the child with half of
# it, and without any name ever.

ANSWER_S = 5.0
"""Seconds in which Sentry has to answer, from the connection to the end of the answer's head."""

END = b"\r\n\r\n"
HEAD = 65_536
"""Bytes that the head of an answer may have; of the body nothing is read."""

PAUSE_S, LONGEST_PAUSE_S = 60.0, 86_400.0
"""Seconds that a Sentry is left alone that says 429 and not how long, and those it may ask for."""

CATEGORIES = frozenset({"", "error", "default"})
"""Kinds of items, in `X-Sentry-Rate-Limits`, that mean reports of errors."""

COMPRESSION = 3
"""The level of gzip: the report is text, and above this the time grows and the size hardly shrinks."""

_status = re.compile(rb"HTTP/1\.[01] (\d{3})(?: |\r|\n|$)").match


class RefusedError(OSError):
    """Say why Sentry did not take a report, and how many seconds it wants to be left alone."""

    def __init__(self, why: str, pause_s: float) -> None:
        super().__init__(why)
        self.pause_s = pause_s


class Post:
    """
    Know the way to a Sentry.

    The environment's proxies are not asked: a report goes to the host that was judged, or nowhere. Nor is a redirect
    followed. A private certificate authority is named by `SSL_CERT_FILE`, as OpenSSL has it.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self._trusted: ssl.SSLContext | None = None

    def deliver(self, report_id: str, body: bytes) -> float:
        """
        Post the report that is *body*, and return the seconds that Sentry wants to be left alone.

        Raise `RefusedError` where it does not take the report, and `OSError` where it does not answer.
        """
        envelope = Envelope(headers={"event_id": report_id, "sent_at": datetime.now(UTC).isoformat()})
        envelope.add_item(Item(body, type="event", content_type="application/json"))
        try:
            status, headers = self._exchange(gzip.compress(envelope.serialize(), COMPRESSION))
        except HTTPException as error:
            raise RefusedError(f"{self.address} answered what is no HTTP ({type(error).__name__})", 0.0) from None
        pause = max(_asked(headers), PAUSE_S if status == 429 and not _asked(headers) else 0.0)
        if status // 100 != 2:
            raise RefusedError(f"{self.address} answered {status}", pause)
        return pause

    def _exchange(self, data: bytes) -> tuple[int, HTTPMessage]:
        deadline = monotonic() + ANSWER_S
        connection = self._connection()
        headers = {
            "Content-Type": "application/x-sentry-envelope",
            "Content-Encoding": "gzip",
            "User-Agent": "wideevents",
            "X-Sentry-Auth": self.address.authorization,
            "Connection": "close",
        }
        try:
            connection.request("POST", self.address.path, data, headers)
            return _head(connection.sock, deadline)
        finally:
            connection.close()

    def _connection(self) -> HTTPConnection:
        address = self.address
        if not address.secure:
            return HTTPConnection(address.host, address.port, timeout=ANSWER_S)
        if self._trusted is None:
            self._trusted = ssl.create_default_context()
        return HTTPSConnection(address.host, address.port, timeout=ANSWER_S, context=self._trusted)


def _head(sock: Any, deadline: float) -> tuple[int, HTTPMessage]:
    """Read the status and the headers of an answer; whoever sends it byte by byte gets no more time than others."""
    head = b""
    while END not in head:
        left = deadline - monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        sock.settimeout(left)
        part = sock.recv(HEAD)
        head += part
        if not part or len(head) > HEAD:
            raise HTTPException
    first, _, rest = head.partition(b"\r\n")
    status = _status(first)
    if status is None:
        raise HTTPException
    return int(status[1]), parse_headers(io.BytesIO(rest))


def _asked(headers: HTTPMessage) -> float:
    """
    Return the seconds for which no report of an error is to be sent, whatever the status.

    `X-Sentry-Rate-Limits: 60:error;transaction:key, 2700:default:...` goes before `Retry-After` (RFC 9110, 10.2.3).
    """
    limits = headers.get("X-Sentry-Rate-Limits")
    if limits is None:
        return _bounded(_seconds(headers.get("Retry-After", "")))
    pauses = [0.0]
    for limit in limits.split(","):
        seconds, _, rest = limit.strip().partition(":")
        if CATEGORIES & {*rest.partition(":")[0].split(";")}:
            pauses.append(_bounded(_number(seconds)))
    return max(pauses)


def _seconds(text: str) -> float:
    """Read a `Retry-After`: seconds, or a date."""
    try:
        return (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
    except (TypeError, ValueError):
        return _number(text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _bounded(seconds: float) -> float:
    return min(max(0.0, seconds), LONGEST_PAUSE_S) if isfinite(seconds) else 0.0
