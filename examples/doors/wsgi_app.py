"""
A WSGI application that knows no framework.

Start it with `gunicorn examples.doors.wsgi_app:app`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import wideevents
from wideevents.integrations.wsgi import WideEvents

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

wideevents.configure(service="greeter")


def greet(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    name = parse_qs(environ["QUERY_STRING"]).get("name", ["world"])[0]
    wideevents.add_field("greeting.length", len(name))
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [f"Hello, {name}!\n".encode()]


app = WideEvents(greet)
