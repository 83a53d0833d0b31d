"""Read the head of a request from its ASGI scope."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from operator import itemgetter
from typing import Any, TypeAlias

from wideevents.context import REQUEST_ID
from wideevents.integrations._door import Head

Scope: TypeAlias = MutableMapping[str, Any]

ID, LENGTH = REQUEST_ID.encode(), b"content-length"

HEADERS = (
    *(b"host", b"x-forwarded-for", b"user-agent", LENGTH, ID, b"traceparent", b"tracestate", b"x-wideevents-keep"),
)
"""What is read of a request's headers."""

NONE = dict.fromkeys(HEADERS, b"")
_named = itemgetter(*HEADERS)


def head(scope: Scope) -> Head:
    """Read the head of a request."""
    headers = scope["headers"]
    if type(headers) is not list:
        headers = list(headers)
    found = dict(headers)
    if len(found) != len(headers):
        found = _joined(headers)
    asked = scope.get
    query, client, server = asked("query_string"), asked("client"), asked("server")
    # One text is made of all, and divided again: a header holds no line feed.
    texts = b"\n".join(_named({**NONE, **found})).decode("latin-1").split("\n", len(HEADERS) - 1)
    host, forwarded_for, user_agent, length, own, parent, state, keep = texts
    return (
        asked("method", "GET"),
        scope["path"],
        query and query.decode("latin-1"),
        asked("scheme"),
        host or (server and server[0]),
        client and client[0],
        forwarded_for,
        user_agent,
        length,
        own,
        parent,
        state,
        keep,
    )


def _joined(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Return headers of which some were sent several times: these are joined by commas (RFC 9110, 5.3)."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        found[name] = value if name not in found else found[name] + b"," + value
    return found
