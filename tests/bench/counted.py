"""Make the requests and the event whose instructions are counted."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import orjson
from flask import Flask

import wideevents
from tests.bench.applications import each, ignore, starlette_app
from tests.bench.cachegrind import Cases, Work
from tests.bench.events import VARIANTS, variants
from tests.bench.flask_request import FIELDS, hello, serve
from tests.bench.raw import raw_asgi, raw_wsgi, serve_asgi, serve_wsgi
from wideevents import add_field
from wideevents.integrations import asgi, flask, wsgi

BARE = ", bare"
"""What the name of a case without the door and the fields ends in."""

EVENT = "an event of 40 fields"
FORTY = variants(40)
NAMES = {name for group in FORTY[0] for name in group}
PAGE = "page"

numbers = itertools.count()


def cases() -> Cases:
    """Return what can be counted; the lines go to a file in the current directory."""
    path = Path("lines.jsonl")
    wideevents.configure(service="bench", version="1.0.0", environment="test", output=path, logging=False)
    watched = hello(add_field)
    flask.WideEvents(watched)
    works: dict[str, Work] = {
        "Flask": partial(serve_flask, watched),
        "Flask" + BARE: partial(serve_flask, hello(None)),
        "WSGI": partial(serve_wsgi, wsgi.WideEvents(raw_wsgi(add_field))),
        "WSGI" + BARE: partial(serve_wsgi, raw_wsgi(None)),
        "ASGI": partial(serve_asgi, asgi.WideEvents(raw_asgi(add_field))),
        "ASGI" + BARE: partial(serve_asgi, raw_asgi(None)),
        "Starlette": partial(serve_asgi, asgi.WideEvents(starlette_app(each(add_field)))),
        "Starlette" + BARE: partial(serve_asgi, starlette_app(ignore)),
        EVENT: make_events,
    }
    return Cases(works, partial(check, path))


def serve_flask(app: Flask, number: int) -> None:
    """Serve requests, and hold the application meanwhile: the door does not."""
    serve(app.wsgi_app, number)


def make_events(number: int) -> None:
    """Make events of 40 fields, one after the other."""
    for turn in itertools.islice(numbers, number):
        with wideevents.event(PAGE):
            for group in FORTY[turn % VARIANTS]:
                for key, value in group.items():
                    add_field(key, value)


def check(path: Path, served: Mapping[str, int]) -> None:
    """See that there is a line for each that was watched, and every field in it."""
    lines = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    pages = [line for line in lines if line["event.name"] == PAGE]
    requests = sum(number for name, number in served.items() if name != EVENT and not name.endswith(BARE))
    assert len(pages) == served.get(EVENT, 0), f"{len(pages)} lines of events"
    assert len(lines) - len(pages) == requests, f"{len(lines) - len(pages)} lines of {requests} requests"
    for line in lines:
        assert (NAMES if line["event.name"] == PAGE else FIELDS.keys()) <= line.keys(), line
