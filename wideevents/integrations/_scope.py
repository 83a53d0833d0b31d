"""Read the head of a request from its ASGI scope."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from operator import itemgetter
from typing import Any, TypeAlias

from wideevents.context import REQUEST_ID
from wideevents.integrations._door import TEXTS, Head, texts
from wideevents.values import guarded, text

Scope: TypeAlias = MutableMapping[str, Any]

ID, LENGTH = REQUEST_ID.encode(), b"content-length"

HEADERS = (
    *(b"host", b"x-forwarded-for", b"user-agent", LENGTH, ID, b"traceparent", b"tracestate", b"x-wideevents-keep"),
)
"""What is read of a request's headers."""

NONE = dict.fromkeys(HEADERS, b"")
_named = itemgetter(*HEADERS)


def head(scope: Scope) -> Head:
    """Read the head of a request, also of a scope that a broken middleware has changed."""
    try:
        read = _read(scope)
    except (TypeError, ValueError, AttributeError, LookupError):
        read = _read_carefully(scope)
    if TEXTS.issuperset(map(type, read)) and read[0] is not None and read[1] is not None:
        return read
    return texts(("GET" if read[0] is None else read[0], "" if read[1] is None else read[1], *read[2:]))


def _read(scope: Scope) -> Head:
    headers = scope["headers"]
    if type(headers) is not list:
        headers = list(headers)
    found = dict(headers)
    if len(found) != len(headers):
        found = _joined(headers)
    asked = scope.get
    query, client, server = asked("query_string"), asked("client"), asked("server")
    # One text is made of all, and divided again: a header holds no line feed.
    values = b"\n".join(_named({**NONE, **found})).decode("latin-1").split("\n", len(HEADERS) - 1)
    host, forwarded_for, user_agent, length, own, parent, state, keep = values
    return (
        asked("method", "GET"),
        scope["path"],
        query.decode("latin-1") if query else None,
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


def _read_carefully(scope: Scope) -> Head:
    """Read what can be read."""
    found: dict[bytes, bytes] = {}
    pairs = guarded(lambda: [(_bytes(name), _bytes(value)) for name, value in scope["headers"]], scope)
    for name, value in pairs if type(pairs) is list else ():
        found[name] = value if name not in found else found[name] + b"," + value
    whole = {**scope, "headers": list(found.items()), "path": scope.get("path", "")}
    whole["query_string"] = _bytes(scope.get("query_string", b""))
    for end in ("client", "server"):
        if type(whole.get(end)) not in {tuple, list} or not whole[end]:
            whole[end] = None
    return _read(whole)


def _bytes(value: object) -> bytes:
    return value if type(value) is bytes else b"" if value is None else text(value).encode("latin-1", "replace")
