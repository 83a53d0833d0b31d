"""Build query strings as clients send them, with secrets and with what is none, encoded in any way, one in another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

from hypothesis import strategies as st

SECRET_NAMES = (
    "token",
    "access_token",
    "password",
    "user[password]",
    "api_key",
    "apiKey",
    "client-secret",
    "sig",
    "auth",
)
CLEAN_NAMES = ("page", "sort", "q", "max_tokens", "tag", "utm_source", "key", "next")
NESTS = ("next", "redirect_uri", "u", "return-to")

DEEPEST = 2
"""How deep one URL stands in the query of another; redirects are not nested deeper in practice."""


@dataclass(frozen=True)
class Query:
    """Hold a query string, the secrets in it, and the marks of what must be seen."""

    text: str
    secrets: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()


def every(text: str) -> str:
    """Encode every character, harmless ones too."""
    return "".join(f"%{byte:02x}" for byte in text.encode())


def some(text: str) -> str:
    """Encode every other character, and all that mean something."""
    return "".join(each if each.isalnum() and position % 2 else every(each) for position, each in enumerate(text))


ENCODINGS: tuple[Callable[[str], str], ...] = (quote_plus, quote, lambda text: quote(text, safe=""), every, some)
NAMES: tuple[Callable[[str], str], ...] = (str, quote_plus, every, some, str.upper, lambda name: f"x_{name}")

tokens = st.integers(0, 10**9).map("s3cr3tQ{}".format)
marks = st.integers(0, 10**9).map("seenQ{}".format)


@st.composite
def parameters(draw: st.DrawFn, depth: int) -> Query:
    """Return one parameter."""
    kind = draw(st.sampled_from(["clean", "secret", "shape", *(["nested"] * (depth > 0))]))
    encode = draw(st.sampled_from(ENCODINGS))
    if kind == "clean":
        mark = draw(marks)
        return Query(
            f"{draw(st.sampled_from(CLEAN_NAMES))}={encode(mark)}", marks=(mark,) * (encode not in {every, some})
        )
    if kind == "secret":
        token = draw(tokens)
        name = draw(st.sampled_from(NAMES))(draw(st.sampled_from(SECRET_NAMES[:-2])))
        return Query(f"{name}={encode(token)}", secrets=(token,))
    if kind == "shape":
        token = draw(tokens)
        shape = draw(st.sampled_from(["Bearer {}", "postgres://u:{}@h/db", "x Bearer {} y"])).format(token)
        return Query(f"{draw(st.sampled_from(CLEAN_NAMES))}={encode(shape)}", secrets=(token,))
    inner = draw(queries(depth - 1))
    url = f"https://shop.example/a?{inner.text}"
    return Query(f"{draw(st.sampled_from(NESTS))}={encode(url)}", inner.secrets)


@st.composite
def queries(draw: st.DrawFn, depth: int = DEEPEST) -> Query:
    """Return a query string of several parameters, and of what is none."""
    parts = draw(st.lists(parameters(depth), min_size=1, max_size=4))
    litter = draw(st.sampled_from(["", "&", "&&=", "&%", "&%zz", ";", "&a", "#x", "?"]))
    sign = draw(st.sampled_from(["&", "&", ";"]))
    return Query(
        sign.join(part.text for part in parts) + litter,
        tuple(secret for part in parts for secret in part.secrets),
        tuple(mark for part in parts for mark in part.marks),
    )
