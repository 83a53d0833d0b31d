"""What Django knows of routes, users and errors, and what it says by itself."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from typing import Any

from wideevents.integrations import werkzeug
from wideevents.integrations._printed import has_taken_over
from wideevents.integrations._request import Request
from wideevents.integrations.wsgi import KEY
from wideevents.levels import Level
from wideevents.logs.root import writes_to_console
from wideevents.logs.stdlib import HANDLED, MARK, ORIGIN
from wideevents.values import guarded

try:
    from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
    from django.core.signals import got_request_exception
    from django.http import Http404
    from django.http.multipartparser import MultiPartParserError
    from django.urls import URLPattern
    from django.utils.functional import LazyObject, empty
except ImportError as missing:
    raise ImportError("wideevents.integrations.django needs Django: pip install 'wideevents[django]'") from missing

ANSWERS = (Http404, PermissionDenied, BadRequest, SuspiciousOperation, MultiPartParserError)
"""Exceptions that are Django's way to answer with 404, 403 and 400."""

ASKED = "_acached_user"
"""Where a request holds what `request.auser()` has found."""

RESPONSE_LINE = "%s: %s"
"""The message of a line that Django logs for a response of 400 or more: what went wrong, and the path."""


def take_route(followed: Request, request: Any) -> None:
    """Tell *followed* its route and its user, by Django's own request, as far as they are known by now."""
    match, fields = request.resolver_match, followed.event.fields
    if match is not None and fields is not None:
        route = f"{request.META['SCRIPT_NAME'].rstrip('/')}/{(match.route or '').removeprefix('^')}"
        followed.routed(route, _secrets(followed, match, request.path), _handler(match.func))
        fields["django.view"] = match.view_name
        if match.namespace:
            fields["django.namespace"] = match.namespace
    known = vars(request)
    if ("user" in known or ASKED in known) and fields is not None and "user.id" not in fields:
        user = guarded(lambda: [_user(known)], request)
        if type(user) is list and user[0] is not None:
            followed.event.put("user.id", user[0])


def _secrets(followed: Request, match: Any, path: str) -> dict[str, object] | None:
    """Return the parameters with secret names; where a converter has made something else of one, it is all the path."""
    if not match.captured_kwargs:
        return None
    redaction, secrets = followed.event.keys.redaction, {}
    for name, value in match.captured_kwargs.items():
        if redaction.hides(name):
            secrets[name] = value if redaction.path(path, {name: value}) != path else path
    return secrets


def _handler(view: Any) -> object:
    """Return what the application calls its view: the class that Django has made a function of."""
    return getattr(view, "view_class", view)


def _user(known: dict[str, Any]) -> object:
    """
    Return the id of the user, if the application has asked who it is; *known* is what its request holds.

    `request.user` is a promise: to look at it would read the session, and ask the database.
    """
    user: Any = known.get("user", empty)
    if isinstance(user, LazyObject):
        user = vars(user)["_wrapped"]
    if user is empty:
        user = known.get(ASKED)
    return user.pk if getattr(user, "is_authenticated", False) else None


def routes(resolver: Any, prefix: str) -> Iterator[tuple[str, object]]:
    """Yield all routes below *resolver*, with the views that serve them."""
    for pattern in resolver.url_patterns:
        route = prefix + str(pattern.pattern).removeprefix("^")
        if isinstance(pattern, URLPattern):
            yield route, _handler(pattern.callback)
        else:
            yield from routes(pattern, route)


def note_route(request: Any, *_: object) -> None:
    """Tell the route before the view runs: a flight recorder has it then, should the view be killed."""
    followed = _followed(request)
    if followed is not None:
        take_route(followed, request)


async def note_route_async(request: Any, *_: object) -> None:
    """Do so for ASGI: Django would hand a function that is no coroutine to a thread."""
    note_route(request)


def note_unhandled(request: Any = None, **_: Any) -> None:
    """Note an exception that Django is about to answer with a 500."""
    followed, error = _followed(request), sys.exc_info()[1]
    if followed is not None and error is not None:
        followed.event.fail(error)
        if followed.status:  # what the door had for an answer goes nowhere: a middleware before it has raised
            followed.status = 500
            followed.finish()


def note_handled(request: Any, error: BaseException) -> None:
    """Note what a view has raised as handled, until somebody says that it is not; the status says how bad it is."""
    followed = _followed(request)
    if followed is not None and not isinstance(error, ANSWERS):
        followed.event.fail(error, level=Level.DEBUG, handled=True)


def _followed(request: Any) -> Request | None:
    """Return who follows *request*; runserver logs a socket as its request, which nobody does."""
    followed: Request | None = getattr(request, "META", {}).get(KEY)
    return followed


def take_errors() -> None:
    """Learn of unhandled exceptions from now on."""
    got_request_exception.connect(note_unhandled)


class ResponseLines(logging.Handler):
    """
    Join Django's own lines to the events of their requests, without an alert of their own.

    Django logs every response of 400 or more, as a warning or an error, and some of them when the middleware has been
    left. Where such a line says no more than the event, it is not written by us. It stands at the logger "django", so
    that it comes before the root logger's handler. Other handlers, such as the one that mails to `ADMINS`, get all.
    """

    def createLock(self) -> None:  # noqa: N802 - the logging module's name
        """Have no lock: nothing is written here."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Mark *record*."""
        followed = _followed(getattr(record, "request", None))
        if followed is not None:
            event = followed.event
            record.__dict__[ORIGIN] = (event.id, event.trace_id, followed.id)
            of_response = record.name == "django.request" and record.msg == RESPONSE_LINE
            if of_response and (not record.exc_info or record.__dict__["status_code"] >= 500):
                record.__dict__[HANDLED] = MARK
        return True


RESPONSE_LINES = ResponseLines()


def take_lines() -> None:
    """Let what Django and its development server say be lines, once each."""
    django, server = logging.getLogger("django"), logging.getLogger("django.server")
    django.addHandler(RESPONSE_LINES)
    server.addFilter(werkzeug.REQUEST_LINES)
    if has_taken_over():
        for logger in (django, server):
            for handler in filter(writes_to_console, tuple(logger.handlers)):
                logger.removeHandler(handler)
                logger.propagate = True
