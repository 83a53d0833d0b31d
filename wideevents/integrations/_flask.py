"""What Flask knows of routes and errors, and what it says by itself."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import wraps
from typing import Any

from wideevents import config
from wideevents.integrations import werkzeug
from wideevents.integrations._printed import capture, has_taken_over
from wideevents.integrations._request import Request
from wideevents.integrations.wsgi import KEY
from wideevents.levels import Level
from wideevents.problems import problem

try:
    from flask import Flask, Response, cli, current_app, request
    from flask.logging import default_handler
    from werkzeug.exceptions import HTTPException, MethodNotAllowed
except ImportError as missing:
    raise ImportError("wideevents.integrations.flask needs Flask: pip install 'wideevents[flask]'") from missing


def take_lines(app: Flask) -> None:
    """Let what the application and the development server say be lines, and only that."""
    werkzeug.install()
    if has_taken_over():  # Flask adds it when its logger is used before `configure`
        logging.getLogger(app.name).removeHandler(default_handler)
    if not hasattr(cli.show_server_banner, "__wrapped__"):
        cli.show_server_banner = _capturing(cli.show_server_banner)


def _capturing(show: Callable[..., None]) -> Callable[..., None]:
    """Make lines of what is printed from the banner on, which `flask run` and `app.run` show before they serve."""

    @wraps(show)
    def show_server_banner(*arguments: Any, **named: Any) -> None:
        capture()
        show(*arguments, **named)

    return show_server_banner


def take_route(followed: Request, asked: Any, views: Mapping[str, object]) -> None:
    """Tell *followed* its route, by Flask's own request, and which of the *views* serves it."""
    rule, parameters = asked.url_rule, asked.view_args
    if rule is None and isinstance(asked.routing_exception, MethodNotAllowed):
        rule, parameters = _rule_for_another_method(asked)
    if rule is None:
        return
    endpoint, root = rule.endpoint, asked.environ.get("SCRIPT_NAME")
    followed.routed(root + rule.rule if root else rule.rule, parameters, views.get(endpoint))
    fields = followed.event.fields
    if fields is not None:
        fields["flask.endpoint"] = endpoint
        if "." in endpoint:
            fields["flask.blueprint"] = endpoint.rpartition(".")[0]


def _rule_for_another_method(asked: Any) -> tuple[Any, Any]:
    """A 405 has a route all the same, and its parameters may be secret."""
    rule = parameters = None
    with suppress(HTTPException, RuntimeError):  # a host that is not trusted, a redirect; or the context is gone
        adapter: Any = current_app.create_url_adapter(asked)
        rule, parameters = adapter.match(method=asked.routing_exception.valid_methods[0], return_rule=True)
    return rule, parameters


def note_unhandled(app: Flask, exception: BaseException, **__: Any) -> None:
    """Note an exception that Flask is about to answer with a 500, or to raise; then the route is known here alone."""
    followed = request.environ.get(KEY)
    if followed is not None:
        followed.event.fail(exception)
        take_route(followed, request, app.view_functions)


def note_route() -> None:
    """Tell the route before the view runs: a flight recorder has it then, should the view be killed."""
    followed = request.environ.get(KEY)
    if followed is not None:
        take_route(followed, request, current_app.view_functions)


def noting(answers: Callable[[], bool], handle: Callable[[Any], Callable[..., Any]]) -> Callable[..., Any]:
    """
    Wrap `handle_user_exception`, to note what an errorhandler dealt with; the status says how much it matters.

    Where it *answers*, an error that no errorhandler takes, and that explains itself, is answered with that.
    """

    def handle_user_exception(*arguments: Any) -> Any:
        followed, error = request.environ.get(KEY), arguments[-1]
        try:
            response = handle(current_app._get_current_object())(*arguments)  # type: ignore[attr-defined]  # noqa: SLF001
        except Exception as raised:
            answer = _answer(error, followed) if answers() and raised is error else None
            if answer is not None:
                return _noted(error, followed, answer)
            raise
        return _noted(error, followed, response)

    return handle_user_exception


def _noted(error: BaseException, followed: Request | None, response: Any) -> Any:
    if followed is not None and not isinstance(error, HTTPException):
        followed.event.fail(error, level=Level.DEBUG, handled=True)
    return response


def _answer(error: BaseException, followed: Request | None) -> Response | None:
    """Return what *error* says of itself; the application's own page for every 500 goes first."""
    instance = f"urn:wideevents:event:{followed.event.id}" if followed else None
    found = (
        None if isinstance(error, HTTPException) else problem(error, instance, config.recorder().keys.redaction.text)
    )
    if found is None or (found.status >= 500 and _has_page()):
        return None
    return Response(found.body, found.status, found.headers)


def _has_page() -> bool:
    """Tell whether the application has an errorhandler for the 500 itself, which Flask asks after all others."""
    handlers = current_app.error_handler_spec
    return any(handlers.get(name, {}).get(500) for name in (*request.blueprints, None))
