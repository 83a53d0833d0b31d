"""Load an application as its server does, make one request, and tell what goes wrong with its lines and events."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from dataclasses import asdict
from importlib import import_module
from typing import Any, NamedTuple, TextIO

from wideevents.cli.applications import refuse, required
from wideevents.doctor.applications import FORMS, load
from wideevents.doctor.examination import Visit, visit
from wideevents.doctor.findings import Finding
from wideevents.errors import ConfigurationError
from wideevents.legible import harmless

try:
    from rich.console import Console
    from rich.text import Text
except ImportError:  # then there are no colours
    Console = None  # type: ignore[assignment, misc]

ASKED = "which application is to be examined?"

WIDTH = 100
LABEL = 6
STYLES = {"error": "bold red", "warning": "bold yellow", "well": "green", "label": "dim"}
TITLES = {"error": "ERRORS: lines are lost, or wrong", "warning": "WARNINGS: lines are harder to use"}


class Piece(NamedTuple):
    """Hold a part of the output, and the name of its style; "" is none."""

    text: str
    style: str = ""


def add_arguments(parser: ArgumentParser) -> None:
    """Say what the command takes."""
    add = parser.add_argument
    parser.epilog = "Exit status: 0 where all is well, 1 where something is wrong, 2 where nothing was examined."
    add("--app", metavar="APP", help=f"{FORMS}; may be left out where gunicorn's wsgi_app names it")
    add("--gunicorn", metavar="CONF", help="the configuration of gunicorn: a file, or python:MODULE")
    add("--path", default="/", help="what to ask for by GET (default: /)")
    add("--json", action="store_true", help="the findings as JSON")


def run(options: Namespace) -> int:
    """Examine, tell what was found, and return the exit status."""
    streams = sys.stdout, sys.stderr
    try:
        target, done = _visit(options)
    except (ConfigurationError, ImportError) as error:
        sys.stdout, sys.stderr = streams
        return refuse("doctor", error)
    sys.stdout, sys.stderr = streams  # an application may have put its own in their place
    if options.json:
        told = {"app": target, "path": options.path, "status": done.status, "events": done.events}
        findings = [asdict(finding) for finding in done.findings]
        sys.stdout.write(json.dumps({**told, "findings": findings}, indent=2) + "\n")
    else:
        _show(list(pieces(target, options.path, done)), sys.stdout)
    return 1 if done.findings else 0


def pieces(target: str, path: str, done: Visit) -> Iterator[Piece]:
    """Yield what to tell people."""
    answer = f"was answered with {done.status}" if done.status else "was not answered"
    left = {0: "left no event", 1: "left one event"}.get(done.events, f"left {done.events} events")
    yield Piece(harmless(f"{target}: GET {path} {answer}, and {left}.") + "\n")
    if not done.findings:
        yield Piece("All is well.\n", "well")
    for severity, title in TITLES.items():
        findings = [finding for finding in done.findings if finding.severity == severity]
        if findings:
            yield Piece(f"\n{title}\n", severity)
        for finding in findings:
            yield from _told(finding)


def _visit(options: Namespace) -> tuple[str, Visit]:
    if options.gunicorn is None:
        target = required(options.app, ASKED)
        return target, visit(lambda: load(target), options.path)
    served = import_module("wideevents.doctor.gunicorn").Configuration(options.gunicorn)
    target = required(options.app or served.target, ASKED)

    def as_served() -> Any:
        served.set_up()
        return load(target)

    done = visit(as_served, options.path)
    return target, Visit([*done.findings, *served.examine()], done.status, done.events)


def _told(finding: Finding) -> Iterator[Piece]:
    yield Piece(f"\n  {finding.slug}\n", finding.severity)
    yield Piece(_wrapped(finding.what, "    ", "    "))
    for label, text in (("why", finding.why), ("fix", finding.fix)):
        yield Piece(f"    {label:<{LABEL}}", "label")
        yield Piece(_wrapped(text, "", " " * (4 + LABEL), 4 + LABEL))


def _wrapped(text: str, first: str, others: str, taken: int = 0) -> str:
    """Return *text* in lines of the screen's width; *taken* columns of the first one are gone."""
    width = min(shutil.get_terminal_size().columns, WIDTH)
    start = "\0" * taken + first  # as wide as what stands there already
    wrapper = textwrap.TextWrapper(
        width, initial_indent=start, subsequent_indent=others, break_long_words=False, break_on_hyphens=False
    )
    return wrapper.fill(harmless(text)).lstrip("\0") + "\n"


def _show(told: list[Piece], stream: TextIO | None) -> None:
    """Write to *stream*, where there is one: in colours on a terminal, where rich is there."""
    if stream is None:
        return
    if Console is None or not stream.isatty() or os.environ.get("NO_COLOR"):
        stream.write("".join(piece.text for piece in told))
        return
    console = Console(file=stream, soft_wrap=True, highlight=False)
    console.print(Text.assemble(*((piece.text, STYLES.get(piece.style, "")) for piece in told)), end="")
