"""Tell statements of a database apart by their text, without what was asked of whom."""

from __future__ import annotations

import re
from functools import lru_cache

from wideevents.values import name_of

READ = 8_000
"""Characters of a statement that are read; what one is can be told by then, and all of it costs time and memory."""

LONGEST, CUT = 1_000, "..."
"""Characters of what is told of a statement."""

# One token after another, so that no quote in a comment begins a string, and no dash in a string a comment. Whatever
# has no end goes to the end. A backslash before a quote escapes it in MySQL, and nowhere else: what follows may be a
# value or not, and is left out. No token is looked at twice: the quantifiers are possessive.
TOKEN = re.compile(
    r"""
      (?P<comment> /\*.*?(?:\*/|\Z) | --[^\n]*+ | \#[ \t][^\n]*+ )
    | (?P<value>
        (?<![\w$]) [eE]'(?:[^'\\]|''|\\.)*+(?:'|\\?\Z)
      | (?:(?<![\w$])(?:[nNxXbB]|[uU]&))? '(?:[^'\\]|''|\\[^'])*+(?:'|\\'.*|\\?\Z)
      | (?<![\w$]) \$(?P<tag>(?:[^\W\d]\w*+)?+)\$.*?(?:\$(?P=tag)\$|\Z)
      | (?<![\w$@:?.\]"`]) \.?\d[\w.]*+(?:(?<=[eE])[+-]\d++)?+
      )
    | (?P<quoted> "(?:[^"\\]|""|\\[^"])*+(?:"|\\".*|\\?\Z) )
    | (?P<kept> `(?:[^`]|``)*+(?:`|\Z) | \[[^\W\d][\w $.]*+\] )
    """,
    re.VERBOSE | re.DOTALL,
)

NAME = re.compile(r'"[\w $.-]{1,128}"')
"""What a name in double quotes may be; MySQL has strings in them."""

SIGNED = re.compile(r"((?:[(,=<>]|\b(?:IN|AND|OR|LIMIT|SET|VALUES)) ?)[-+] ?(?=\?)", re.IGNORECASE)

ITEM = r"(?:\?\d*+|%s|%\(\w++\)s|[:@$]\w++|NULL|TRUE|FALSE|DEFAULT)(?:::\w++(?: \w++)*+)?+"
ROW = rf"\( ?{ITEM}(?: ?, ?{ITEM})*+(?: ?\)|[ ,]*+\Z)"
LISTS = re.compile(rf"\b(IN|VALUES?) ?{ROW}(?: ?, ?{ROW})*+(?:[ ,(]*+\Z)?+", re.IGNORECASE)
"""A list of values, and rows of them: how many there are makes no other statement."""


def shortened(statement: object) -> str:
    """
    Return *statement* without its parameters: literals are `?`, lists of them `(?)`, and comments are gone.

    Placeholders and names stay. It never raises, and its time is bounded, whatever it is given: at most 8,000
    characters are read, and 1,000 are returned. What is no text is told by its type: an object may hold the values.
    """
    if isinstance(statement, bytes):
        statement = statement[:READ].decode("utf-8", "replace")
    if not isinstance(statement, str):
        return name_of(type(statement))
    text = statement if type(statement) is str else str.__str__(statement)
    return _shortened(text if len(text) <= READ else _cut(text[:READ]))


@lru_cache(maxsize=512)
def _shortened(text: str) -> str:
    quotes_names_otherwise = "`" in text

    def replace(token: re.Match[str]) -> str:
        kind, found = token.lastgroup, token[0]
        if kind == "comment":
            return " "
        if kind == "kept" or (kind == "quoted" and NAME.fullmatch(found) and not quotes_names_otherwise):
            return found
        return "?"

    bare = SIGNED.sub(r"\1", " ".join(TOKEN.sub(replace, text).split()))
    short = LISTS.sub(r"\1 (?)", bare)
    return short if len(short) <= LONGEST else f"{short[: LONGEST - len(CUT)]}{CUT}"


def _cut(text: str) -> str:
    """Return what stands before the last comma or space: half a word may be anything."""
    return text[: max(text.rfind(","), text.rfind(" "), 0)] or text
