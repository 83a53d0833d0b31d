"""Make any head of a request as clients send it, and as a broken middleware hands it on; and any way to answer it."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from tests.test_line_contract import Maker

TOKEN = "s3cr3t0123456789Zq"
"""What must not be in a line, wherever a client puts it."""


@dataclass(frozen=True)
class Script:
    """
    Say what an application does with one request, and what its server does with the answer.

    *raises* is where it raises: "first", "started", "closing", or before the part of that number. *again* says that it
    starts its response twice, as for an error. The server takes *taken* parts, and may not close.
    """

    status: str = "200 OK"
    headers: tuple[tuple[str, str], ...] = ()
    parts: tuple[bytes, ...] = (b"page",)
    body: str = "list"
    raises: str = ""
    again: bool = False
    taken: int = 9
    closes: bool = True


PLACES = ("", "", "", "first", "started", "closing", "0", "1")
ANSWERED = st.lists(
    st.tuples(
        st.sampled_from(["Content-Length", "X-Request-ID", "content-type", "x-request-id", "Set-Cookie"]),
        st.one_of(st.integers(-1, 99).map(str), st.text(st.characters(max_codepoint=255), max_size=9), st.just("id-1")),
    ),
    max_size=3,
).map(tuple)
STATUSES = st.one_of(
    st.sampled_from(
        ["200 OK", "204 No Content", "304 Not Modified", "404 Not Found", "500 Oops", "503 Busy", "", "abc"]
    ),
    st.integers(0, 999).map(str),
)
SCRIPTS = st.builds(
    Script,
    status=STATUSES,
    headers=ANSWERED,
    parts=st.lists(st.binary(max_size=5), max_size=3).map(tuple),
    body=st.sampled_from(["list", "generator", "tuple", "written", "closable"]),
    raises=st.sampled_from(PLACES),
    again=st.booleans(),
    taken=st.sampled_from([0, 1, 9, 9, 9]),
    closes=st.sampled_from([True, True, True, False]),
)

# What clients send.

HEXES = st.sampled_from(
    ["0" * 32, "a" * 32, "A" * 32, "b" * 16, "0" * 16, "g" * 32, "1" * 31, "00", "01", "ff", "0", ""]
)
PARENTS = st.one_of(
    st.just("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    st.lists(HEXES, min_size=3, max_size=5).map("-".join),
    st.lists(HEXES, min_size=3, max_size=5).map(" - ".join),
)
STATES = st.one_of(
    st.just("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
    st.just("a" * 600),
    st.just(f"vendor=Bearer {TOKEN}"),
    st.just(",,="),
)
ADDRESSES = st.sampled_from(
    [
        "",
        "1.2.3.4",
        "::1",
        "[::1]:80",
        "unknown",
        "1.2.3.4, 5.6.7.8",
        ",,,",
        "1" * 500,
        "[",
        "]:",
        "fe80::1%eth0",
        "[::1%25]",
    ]
)
PLAIN_SECRETS = st.sampled_from(
    [
        *(f"Bearer {TOKEN}", f"x Bearer {TOKEN}", f"https://u:{TOKEN}@h/", f"password={TOKEN}", f'"token": "{TOKEN}"'),
        *(f"sk_live_{TOKEN}", f"sk_live_{TOKEN}"),  # it would do as the id of a request
    ]
)
LATIN = st.text(st.characters(max_codepoint=255), max_size=30)
NUMBERS = st.one_of(st.integers(-5, 10**30).map(str), st.sampled_from(["", "0x1", "1e9", "\xb2", " 7", "7,7"]))
TEXTS = st.one_of(LATIN, PARENTS, STATES, ADDRESSES, NUMBERS, PLAIN_SECRETS, st.just("x" * 20_000))

# What a broken middleware makes of it.

WRONG = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.binary(max_size=9),
    st.lists(LATIN, max_size=2),
    st.tuples(LATIN, st.integers()),
    st.sampled_from([Maker(name) for name in ("long name", "path", "object", "enum", "uuid", "proxy")]),
)

HEADS = {
    "HTTP_HOST": TEXTS,
    "HTTP_USER_AGENT": TEXTS,
    "HTTP_X_REQUEST_ID": TEXTS,
    "HTTP_TRACEPARENT": PARENTS | TEXTS,
    "HTTP_TRACESTATE": STATES | TEXTS,
    "HTTP_X_FORWARDED_FOR": ADDRESSES | TEXTS,
    "CONTENT_LENGTH": NUMBERS | TEXTS,
    "QUERY_STRING": TEXTS,
    "PATH_INFO": LATIN.map("/{}".format) | PLAIN_SECRETS.map("/{}".format),
    "SCRIPT_NAME": st.just("/mounted") | LATIN,
    "REQUEST_METHOD": st.sampled_from(["GET", "HEAD", "POST", "QUERY", "get", "", "BREW", "\xff"]),
    "REMOTE_ADDR": ADDRESSES,
    "SERVER_NAME": TEXTS,
    "wsgi.url_scheme": st.sampled_from(["http", "https", "", "x\xff"]),
}
ENVIRONS = st.fixed_dictionaries({}, optional=HEADS)
BROKEN_ENVIRONS = st.tuples(
    ENVIRONS, st.dictionaries(st.sampled_from(sorted(HEADS)), WRONG, min_size=1, max_size=3)
).map(lambda both: both[0] | both[1])

NAMES = st.sampled_from(
    [
        "host",
        "user-agent",
        "x-request-id",
        "traceparent",
        "tracestate",
        "x-forwarded-for",
        "content-length",
        "Host",
        "x",
    ]
)
RAW = st.one_of(TEXTS.map(lambda text: text.encode("latin-1")), st.binary(max_size=20))
FIELDS = st.lists(st.tuples(NAMES.map(str.encode) | st.binary(max_size=9), RAW), max_size=6)
SCOPES = st.fixed_dictionaries(
    {"headers": FIELDS},
    optional={
        "method": HEADS["REQUEST_METHOD"],
        "path": st.text(max_size=20) | st.sampled_from(["", "/\ud800", f"/Bearer {TOKEN}"]),
        "raw_path": st.none() | RAW,
        "query_string": RAW,
        "scheme": HEADS["wsgi.url_scheme"],
        "root_path": st.sampled_from(["", "/mounted"]),
        "client": st.one_of(st.none(), st.tuples(ADDRESSES, st.integers(0, 65_535))),
        "server": st.one_of(st.none(), st.tuples(ADDRESSES, st.none() | st.integers(0, 65_535))),
        "http_version": st.sampled_from(["1.0", "1.1", "2", ""]),
    },
)
PAIRS = st.one_of(
    st.tuples(NAMES, LATIN),
    st.tuples(NAMES.map(str.encode), WRONG),
    st.tuples(WRONG, st.just(b"value")),
    st.lists(RAW, min_size=2, max_size=2),
    st.lists(RAW, max_size=3),
    WRONG,
)
BROKEN_SCOPES = st.tuples(
    SCOPES,
    st.fixed_dictionaries(
        {},
        optional={
            "headers": st.one_of(st.lists(PAIRS, max_size=4), st.lists(PAIRS, max_size=2).map(tuple), WRONG),
            **dict.fromkeys(("method", "path", "query_string", "scheme", "root_path", "client", "server"), WRONG),
            "asgi": st.one_of(WRONG, st.just({}), st.fixed_dictionaries({"spec_version": WRONG})),
            "app": WRONG,
            "router": WRONG,
            "route": WRONG,
            "endpoint": WRONG,
            "path_params": WRONG,
        },
    ),
).map(lambda both: both[0] | both[1])
