"""Read the events' lines as strictly as a parser can, and compare them with what was sent."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, NoReturn

from examples.demo.errors import DemoError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from examples.demo.browser import Sent

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")

Line = dict[str, Any]


def read(path: Path) -> list[Line]:
    """Return the lines of the file; raise `DemoError` with the number of the first one that is wrong."""
    if not path.exists() or not path.stat().st_size:
        raise DemoError(f"Nothing was written to {path.name}.")
    *lines, rest = path.read_bytes().split(b"\n")
    if rest:
        raise DemoError(f"{path.name} ends in the middle of a line.")

    return [parse(line, f"line {number} of {path.name}") for number, line in enumerate(lines, 1)]


def events(lines: Iterable[Line]) -> list[Line]:
    """Return the lines that are events; the others were logged, by the shop or by gunicorn."""
    return [line for line in lines if "event.kind" in line]


def parse(line: bytes, place: str = "the line") -> Line:
    """Return one flat object; refuse whatever any aggregator might stumble over."""
    try:
        text = line.decode()
        fields = json.loads(text, object_pairs_hook=unique, parse_constant=refuse)
    except ValueError as error:
        raise DemoError(f"Not strict JSON: {place}: {error}.") from error
    if CONTROL.search(text):
        raise DemoError(f"A control character stands in {place}.")
    if not isinstance(fields, dict) or any(isinstance(value, dict) for value in fields.values()):
        raise DemoError(f"No flat object: {place}.")

    return fields


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a key stands in it twice")

    return fields


def refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def check(sent: Iterable[Sent], lines: Iterable[Line]) -> None:
    """
    Raise `DemoError` unless every request left exactly one line, with the status that its sender saw.

    A quiet request may leave one: it does when it failed or was slow.
    """
    requests = {request.id: request for request in sent}
    found = Counter(str(line.get("http.request.id")) for line in lines)
    complain("without a line", [id_ for id_, request in requests.items() if not request.quiet and id_ not in found])
    complain("with more than one line", [id_ for id_, count in found.items() if count > 1])
    complain("in the file that nobody sent", [id_ for id_ in found if id_ not in requests])
    statuses = {str(line["http.request.id"]): line.get("http.response.status_code") for line in lines}
    complain("with a wrong status", [id_ for id_, status in statuses.items() if status != requests[id_].status])


def check_logged(lines: Iterable[Line]) -> None:
    """Raise `DemoError` unless every line that the shop logged in a request names an event that is there."""
    known = {str(line["event.id"]) for line in events(lines)}
    logged = [line for line in lines if "event.kind" not in line and "event.id" in line]
    complain("logged a line, and have no event", [line["event.id"] for line in logged if line["event.id"] not in known])


def check_secrets(path: Path, secrets: Iterable[str]) -> None:
    text = path.read_text()
    complain("in the file: secrets", [secret for secret in secrets if secret in text])


def complain(what: str, ids: list[str]) -> None:
    if ids:
        raise DemoError(f"{len(ids)} requests {what}: {', '.join(ids[:5])}.")
