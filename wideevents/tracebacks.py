"""Show a traceback to people: what is their own stands out, and what is a library's stands back."""

from __future__ import annotations

import re

from wideevents.legible import cut, harmless

try:
    from rich.syntax import Syntax
    from rich.text import Text
except ImportError as missing:
    raise ImportError("wideevents.console needs rich: pip install 'wideevents[console]'") from missing

LENGTH = 65_536

OURS, OWN = "dim", "bold red"
"""How a library's rows look, and the mark of a frame that is the application's."""

LIBRARY = re.compile(r"[/\\](site-packages|dist-packages|lib[/\\]python[\d.]+)[/\\]")
LIBRARY_FRAME = re.compile(rf'^(?P<margin>[ |]*)File ".*?{LIBRARY.pattern}')
"""The row of a frame that is not of the application itself."""

OWN_FRAME = re.compile(r'(?P<margin>[ |]*)> File "')
"""The row of one that is, as it stands in `exception.stacktrace`."""

FOLDED = re.compile(r"[ |]*\.\.\. \d+ frames? of ")
"""The row that stands for several frames of libraries."""

MARKS = re.compile(r"[ |]*[~^]+ *$")
"""The row that underlines a part of the one above it."""


def rows(stack: str) -> list[Text]:
    """Return the rows of a traceback, highlighted; the frames of libraries stand back, without the marks below them."""
    told = cut(stack, LENGTH).rstrip().replace("\r\n", "\n").expandtabs(4).split("\n")
    made: list[Text] = []
    margin: str | None = None
    for row in _highlighted([harmless(row) for row in told]):
        found = LIBRARY_FRAME.match(row.plain)
        if found:
            margin = found["margin"] + "  "
        elif margin is not None and not row.plain.startswith(margin):
            margin = None
        if margin is None:
            made.append(row)
        elif not MARKS.match(row.plain):
            made.append(Text(row.plain, OURS))
    return made


def _highlighted(told: list[str]) -> list[Text]:
    """Highlight what Python prints; it knows neither the marks of frames nor rows that stand for several."""
    code = "\n".join(_plain(row) for row in told if not FOLDED.match(row))
    shown = iter(Syntax(code, "pytb", theme="ansi_dark").highlight(code).split("\n"))
    made = []
    for row in told:
        text = Text(row, OURS) if FOLDED.match(row) else next(shown)
        own = OWN_FRAME.match(row)
        if own:
            mark = len(own["margin"])
            text = Text.assemble(text[:mark], (">", OWN), text[mark + 1 :])
        made.append(text)
    return made


def _plain(row: str) -> str:
    """Return a row as Python prints it."""
    own = OWN_FRAME.match(row)
    return row if own is None else f"{own['margin']}  {row[len(own['margin']) + 2 :]}"
