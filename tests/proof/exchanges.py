"""Make any exchange of a request and its answer, by WSGI and by ASGI, and see it with us and without us."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import wideevents
from tests.proof.heads import TOKEN, Script
from tests.strict import parse_line
from tests.test_line_contract import real
from wideevents import config, context, health
from wideevents.health import Fault
from wideevents.integrations.asgi import WideEvents as AsgiEvents
from wideevents.integrations.wsgi import WideEvents as WsgiEvents
from wideevents.sinks.memory import MemorySink

Outcome = dict[str, Any]


class RefusedError(Exception):
    """What the application raises of its own."""


@dataclass
class Side:
    """Be a server, and the application behind it, for one exchange; note all that can be seen of it."""

    script: Script
    seen: Outcome = field(default_factory=dict)

    def refuse(self, place: str) -> None:
        """Raise, where the script says so."""
        if self.script.raises == place:
            raise RefusedError(place)

    def note(self, what: str, seen: object) -> None:
        """Note what was seen."""
        self.seen.setdefault(what, []).append(seen)


class Wsgi(Side):
    """Be those of WSGI."""

    def app(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        """Follow the script."""
        script = self.script
        wideevents.add_field("app.was", "here")
        self.refuse("first")
        write = start_response(script.status, [*script.headers])
        if script.again:
            try:
                raise RefusedError("again")
            except RefusedError as error:
                write = start_response("500 Again", [*script.headers], (RefusedError, error, error.__traceback__))
        self.refuse("started")
        if script.body == "written":
            for part in script.parts:
                write(part)
            return []
        bodies: dict[str, Any] = {"list": list, "tuple": tuple, "generator": self.generate, "closable": self.closable}
        body: Iterable[bytes] = bodies[script.body](script.parts)
        return body

    def generate(self, parts: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the parts."""
        try:
            for number, part in enumerate(parts):
                self.refuse(str(number))
                wideevents.add_field("app.part", number)
                yield part
        finally:
            self.note("cleaned", 1)

    def closable(self, parts: Iterable[bytes]) -> Any:
        """Return a body that is an object of its own."""
        outer = self

        class Body:
            def __iter__(self) -> Iterator[bytes]:
                return outer.generate(parts)

            def close(self) -> None:
                outer.note("closed", 1)
                outer.refuse("closing")

        return Body()

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], object]:
        """Be the server's."""
        self.note("started", (status, hidden(headers), None if exc_info is None else exc_info[0]))
        return lambda data: self.note("written", data)

    def serve(self, app: Any, environ: Any) -> Outcome:
        """Serve it, and return what was seen."""
        body: Any = None
        try:
            body = app(environ, self.start_response)
            parts = iter(body)
            for _ in range(self.script.taken):
                self.note("part", next(parts))
        except StopIteration:
            self.note("end", 1)
        except RefusedError as error:
            self.note("raised", str(error))
        if body is not None and self.script.closes and hasattr(body, "close"):
            try:
                body.close()
            except RefusedError as error:
                self.note("raised in close", str(error))
        return self.seen


def hidden(headers: Iterable[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Return headers without the request id, which is ours to add."""
    return [(name, value) for name, value in headers if name.lower() not in {"x-request-id", b"x-request-id"}]


class Asgi(Side):
    """Be those of ASGI."""

    async def app(self, scope: Any, receive: Any, send: Any) -> str:
        """Follow the script, as far as ASGI has the same."""
        script = self.script
        wideevents.add_field("app.was", "here")
        await receive()
        self.refuse("first")
        status = int(script.status[:3]) if script.status[:3].isdigit() and script.status.isascii() else 200
        headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in script.headers]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        self.refuse("started")
        for number, part in enumerate(script.parts):
            self.refuse(str(number))
            await send({"type": "http.response.body", "body": part, "more_body": True})
        if script.closes:
            await send({"type": "http.response.body"})
        self.refuse("closing")
        return "returned"

    async def receive(self) -> Any:
        """Be the server's."""
        return {"type": "http.request"}

    async def send(self, message: Any) -> None:
        """Be the server's; one whose client is gone raises (ASGI 2.4)."""
        shown = {**message, "headers": hidden(message["headers"])} if "headers" in message else message
        self.note("sent", shown)
        if len(self.seen["sent"]) > self.script.taken + 1:
            raise OSError("the client is gone")

    def serve(self, app: Any, scope: Any) -> Outcome:
        """Serve it, and return what was seen."""
        try:
            self.note("returned", asyncio.run(app(scope, self.receive, self.send)))
        except (RefusedError, OSError) as error:
            self.note("raised", repr(error))
        return self.seen


WSGI_BASE: dict[str, Any] = {
    "REQUEST_METHOD": "GET",
    "SCRIPT_NAME": "",
    "PATH_INFO": "/page",
    "QUERY_STRING": "",
    "SERVER_NAME": "shop.example",
    "REMOTE_ADDR": "127.0.0.1",
    "wsgi.url_scheme": "http",
}
ASGI_BASE: dict[str, Any] = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.4"},
    "method": "GET",
    "path": "/page",
    "query_string": b"",
    "scheme": "http",
    "headers": [],
    "client": ("127.0.0.1", 5),
    "server": ("127.0.0.1", 80),
}


@contextmanager
def watched() -> Iterator[MemorySink]:
    """Configure the process for any number of exchanges, and give what they write."""
    sink = MemorySink()
    with config.kept():
        wideevents.configure(service="fuzz", output=sink, logging=False)
        yield sink


def compare(sink: MemorySink, kind: str, script: Script, head: dict[str, Any], proxies: int = 0) -> dict[str, Any]:
    """Run one exchange without us and with us, see that nobody can tell the difference, and return the line."""
    sides: dict[str, Any] = {"wsgi": (Wsgi, WsgiEvents, WSGI_BASE), "asgi": (Asgi, AsgiEvents, ASGI_BASE)}
    side, events, base = sides[kind]
    without, within = side(script), side(script)
    expected = without.serve(without.app, filled(base, head))
    health.forget()  # what it added to no event
    sink.lines.clear()
    try:
        asked = filled(base, head)
        actual = within.serve(events(within.app, proxies=proxies), asked)
        assert kind == "wsgi" or asked.keys() == filled(base, head).keys(), "left in the scope"
        assert config.recorder().in_progress == {}, "left open"
        assert context.variable.get() is None, "left in the context"
    finally:  # one that fails must not spoil the next
        config.recorder().in_progress.clear()
        context.variable.set(None)
    assert actual == expected, f"with us {actual}, without us {expected}"
    faults = health.faults.counts()
    assert {Fault.LOST, Fault.STAGE}.isdisjoint(faults), faults
    (line,) = sink.lines
    assert TOKEN.encode() not in line, f"a secret is told: {line!r}"
    fields = parse_line(line)
    assert fields["app.was"] == "here"
    if fails(script, expected) and fields["http.request.method"] != "HEAD":  # whose body is none, and already over
        assert (fields["outcome"], fields["exception.message"]) == ("failure", script.raises)
    return fields


def fails(script: Script, seen: Outcome) -> bool:
    """Tell whether what the application raised must be told: it came out, and before the last byte for sure."""
    whole = any(name.lower() == "content-length" for name, _ in script.headers) or script.status[:3] in {"204", "304"}
    return script.raises in {"first", "0"} and script.raises in str(seen.get("raised")) and not whole


def filled(base: dict[str, Any], head: dict[str, Any]) -> dict[str, Any]:
    """Return what a server hands over, with what stands in *head*."""
    return copy.deepcopy(base) | {name: real(value) for name, value in head.items()}
