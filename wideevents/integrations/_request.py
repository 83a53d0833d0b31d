"""Follow one request from its first byte to its last, and tell the truth about it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

from wideevents import config, tracecontext
from wideevents.context import variable
from wideevents.events import Event
from wideevents.integrations._door import DESCRIBED, Door, Head
from wideevents.levels import Level
from wideevents.logs.lines import Origin
from wideevents.logs.stdlib import ORIGIN
from wideevents.recorder import note_raised
from wideevents.redaction import Redaction
from wideevents.values import guarded

REQUEST_ID = "X-Request-ID"
"""The header that an id of a request comes in with, and goes out with on every response."""

METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"})
"""What OpenTelemetry's HTTP conventions know; anything else is _OTHER, so that a client cannot invent groups."""

LEAST_SECRET = 4
"""Characters below which a secret parameter is hidden in the path alone: elsewhere it may be anything."""

BODILESS = frozenset({204, 304})

_request_id = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII).fullmatch


class Request:
    """
    Follow one request.

    A door calls `routed` when it knows the route, `started` when the status is known, `sent` for every part of the
    body, `failed` for what the application raised, and `finish` or `closed` when the request has ended: the first call
    counts.
    """

    __slots__ = (
        "_door",
        "_first",
        "_length",
        "_lost",
        "_method",
        "_outside",
        "_parameters",
        "_path",
        "_raised",
        "_sent",
        "_stopped",
        "event",
        "id",
        "route",
        "status",
    )

    def __init__(self, door: Door, head: Head, kind: str = "request") -> None:
        recorder = config.recorder()
        parent = tracecontext.parse(head[10], head[11]) if head[10] else None
        self._method = method = head[0]
        self.event = event = recorder.open(method, kind, parent, door.fields)
        event.slow_ms = door.slow_ms
        self.id = (head[9] and checked(head[9], event.keys.redaction)) or recorder.ids.trace_id()
        event.request_id = self.id
        if kind == "request":  # a WebSocket may last for days
            event.waits = []
        self.status = 0
        self.route: str | None = None
        self._parameters: Mapping[str, object] | None = None
        self._door = door
        self._path = head[1]
        self._sent: int | None = 0  # None where the server sends the body itself, and nobody knows its length
        self._first = 0
        self._length: int | None = None
        self._raised = self._stopped = False
        self._lost: BaseException | None = None
        self._describe(event, head)
        outside = variable.get()  # a server's leftover has ended; a test's own event has not
        self._outside = None if outside is None or outside.fields is None else outside
        if recorder.flight is not None:
            recorder.flight.begin(event)
        if head[12] and recorder.accepts is not None and recorder.accepts(head[12]):
            event.keep = True
        variable.set(event)

    def routed(self, route: str, parameters: Mapping[str, object] | None, handler: object = None) -> None:
        """Take the route template, the values of its parameters, and the function that serves it."""
        event = self.event
        told, self.route = self.route, route
        event.handler = handler
        if parameters and event.keys.redaction.hides_any(route, parameters):
            self._hide(parameters)
        if event.recorder.flight is not None and told != route and event.fields is not None:
            self._name(event.fields, route)  # what is killed has its route, too

    def started(self, status: int, length: int | None) -> None:
        """Take the status, and the length of the body in bytes where it is known beforehand."""
        self.status = status
        self._length = length
        event = self.event
        if event.recorder.flight is not None and event.fields is not None:
            event.fields["http.response.status_code"] = status

    def measured(self, length: int) -> None:
        """Take the length of a body that is whole in memory, and was not announced by a header."""
        if self._length is None and not self._sent:
            self._length = length

    def adopt(self, request_id: str) -> None:
        """Take the request id that the application itself answers with: it is the one that the client will see."""
        event = self.event
        if event.fields is not None and checked(request_id, event.keys.redaction):
            self.id = event.request_id = event.fields["http.request.id"] = request_id

    def sent(self, size: int) -> None:
        """Count a part of the body, in bytes, that is handed to the server; the last one ends the request."""
        if size:
            self.passed(size)
            if self._length is not None and (self._sent or 0) >= self._length:
                self.finish()

    def passed(self, size: int) -> None:
        """Count a part of the body, in bytes, whatever comes after it; none of the answer to a HEAD is sent."""
        if size and self._method != "HEAD":
            if not self._first:
                self._first = self.event.recorder.clock.monotonic()
            self._sent = size + (self._sent or 0)

    def stopped(self) -> None:
        """Stop the clock, as the last byte is out; what the application still does belongs to the event, too."""
        self._stopped = True
        self.event.ended = self.event.recorder.clock.monotonic()

    def left(self) -> None:
        """Take that the client has gone; after the last byte that means nothing."""
        if not self._complete():
            self._disconnected()

    def returned(self) -> None:
        """Leave the request's context, as its application has returned; what has no body has ended."""
        variable.set(self._outside)
        if self._complete():
            self.finish()

    def handed_over(self) -> None:
        """End a request whose body was sent by the server itself, such as a file."""
        self._sent = self._length if self._method != "HEAD" else 0
        self.finish()

    def lost(self, error: BaseException) -> None:
        """Take what the server raised when it was given a part of the body: the client is gone."""
        self._lost = error

    def failed(self, error: BaseException) -> None:
        """Note what the application raised out of itself."""
        if error is self._lost:
            self._disconnected()
        else:
            self._raised = True
            note_raised(self.event, error)
            self.sign(error)

    def sign(self, error: BaseException) -> None:
        """Let the line of the server, which logs what the application raised once more, belong to this event."""
        origin = tuple(Origin.of(self.event))
        guarded(lambda: vars(error).update({ORIGIN: origin}), error)

    def closed(self) -> None:
        """End a request whose body was closed; before its end that means that the client has left."""
        if self.event.outcome == "success" and not self._complete():
            self._disconnected()
        self.finish()

    def finish(self) -> None:
        """End the request, and send its event on its way."""
        event = self.event
        fields = event.fields
        if fields is None:
            return
        recorder = event.recorder
        if not event.ended:
            event.ended = recorder.clock.monotonic()
        if recorder.flight is not None:
            fields = event.land()
        self._conclude(fields)
        if self._door.quiet and self.status < 400:
            self._quieten()
        self._lost = None
        recorder.finish(event)

    def _disconnected(self) -> None:
        if self.event.fields is not None:
            self.event.fields["client.disconnected"] = True
            self.event.outcome = "cancelled"

    def _describe(self, event: Event, head: Head) -> None:
        """Write what was asked; a text that a client writes as it likes is looked at, unless it is known as clean."""
        method, path, query, scheme, host, peer, forwarded_for, user_agent, length, _, _, _, _ = head
        fields: Any = event.fields
        clean, suspects = event.clean, event.suspects
        fields["http.request.id"] = self.id
        fields["http.request.method"] = method
        fields["url.path"] = path
        if path not in clean:
            suspects.add("url.path")
        fields["url.scheme"] = scheme
        if host and ":" in host:
            host = _hostname(host)
        fields["server.address"] = host
        if host not in clean:
            suspects.add("server.address")
        proxies = self._door.proxies
        fields["client.address"] = peer = (_forwarded(forwarded_for or "", proxies) or peer) if proxies else peer
        fields["user_agent.original"] = user_agent
        if user_agent not in clean:
            suspects.add("user_agent.original")
        if query:
            fields["url.query"] = event.keys.redaction.query(query)
        if length and (size := number(length)) is not None:
            fields["http.request.body.size"] = size
        if method not in METHODS:
            self._mask_method(fields, method)
        if not (scheme and host and peer and user_agent):
            self._leave_out(fields)

    def _leave_out(self, fields: dict[str, Any]) -> None:
        """Leave out what was not sent."""
        for name, default in DESCRIBED.items():
            if default is None and not fields[name]:
                del fields[name]

    def _mask_method(self, fields: dict[str, Any], method: str) -> None:
        fields["event.name"] = fields["http.request.method"] = "_OTHER"
        fields["http.request.method_original"] = method
        self.event.suspects.add("http.request.method_original")

    def _conclude(self, fields: dict[str, Any]) -> None:
        event, status, first = self.event, self.status, self._first
        if self._raised and event.outcome == "failure" and not self._begun():
            status = 500  # nothing is out yet: the server answers for the application that raised
        if status:
            fields["http.response.status_code"] = status
        if status >= 500:
            event.outcome = "failure"
            if not event.is_expected:
                event.raise_level(Level.ERROR)
            fields.setdefault("error.type", str(status))
        if self._sent is not None:
            fields["http.response.body.size"] = self._sent
        if first:
            fields["ttfb_ms"] = (first - event.started) // 1000 / 1000
            if self._length is None:
                fields["http.response.streamed"] = True
        if self.route is not None:
            self._name(fields, self.route)

    def _name(self, fields: dict[str, Any], route: str) -> None:
        """Write what the route tells: a name, and a path without the values of secret parameters."""
        fields["http.route"] = route
        fields["event.name"] = f"{fields['http.request.method']} {route}"
        if self._parameters or self.event.recorder.flight is not None:
            self.event.suspects.add("url.path")
            fields["url.path"] = self.event.keys.redaction.path(self._path, self._parameters or {})

    def _hide(self, parameters: Mapping[str, object]) -> None:
        """Hide the values of secret *parameters*, also where a framework tells the path in a message of its own."""
        self._parameters = parameters
        hides = self.event.keys.redaction.hides
        secrets = (str(value) for name, value in parameters.items() if hides(name))
        self.event.hidden = tuple(secret for secret in secrets if len(secret) >= LEAST_SECRET)

    def _quieten(self) -> None:
        if self.event.went_well and self._door.is_quiet(self.route, self._path):
            self.event.level = Level.DEBUG

    def _begun(self) -> bool:
        """Tell whether the response is under way, so that its status stands: a WSGI server waits for the first part."""
        return bool(self._first)

    def _complete(self) -> bool:
        """Tell whether the last byte is out: of what was announced, or where there is none (RFC 9110, 6.4.1)."""
        if not self.status:
            return False
        if self._stopped:
            return True
        if self._length is not None and (self._sent or 0) >= self._length:
            return True
        return self._method == "HEAD" or self.status in BODILESS


def checked(request_id: str, redaction: Redaction) -> str | None:
    """Return an id that may be used: of harmless characters, bounded, and no secret that somebody sent as one."""
    if _request_id(request_id) and redaction.text(request_id) is request_id:
        return request_id
    return None


def _hostname(host: str) -> str:
    """Return *host* without its port: "shop.example:443", "[::1]:8000"."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _forwarded(forwarded_for: str, proxies: int) -> str | None:
    """
    Return the address of the client behind *proxies* proxies, or None if it is not told.

    Each proxy appends the address it was called from, so that the entries beyond ours may be anybody's invention.
    """
    entries = forwarded_for.split(",")
    if len(entries) < proxies:
        return None
    entry = entries[-proxies].strip()
    address = _hostname(entry) if entry.startswith("[") or entry.count(":") == 1 else entry
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return None


def number(digits: str | bytes) -> int | None:
    """Read a header that is a whole number (RFC 9110, 8.6); None for anything else, or for what 64 bits cannot hold."""
    return int(digits) if digits.isdigit() and digits.isascii() and len(digits) < 19 else None
