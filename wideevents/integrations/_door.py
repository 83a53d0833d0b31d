"""Say what a door reads of a request, and how it is set."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from wideevents import settings
from wideevents.errors import ConfigurationError
from wideevents.recorder import TEMPLATE, roomy
from wideevents.values import text

PARAMETER = re.compile(r"<(?:(?P<converter>\w+)(?:\([^)]*\))?:)?\w+>|\{\w+(?::(?P<kind>\w+))?\}")
"""A parameter of a route template: `<int:id>` as in werkzeug and Django, `{id:int}` as in Starlette."""


Head: TypeAlias = tuple[
    str,  # method
    str,  # path
    str | None,  # query
    str | None,  # scheme
    str | None,  # host
    str | None,  # peer
    str | None,  # X-Forwarded-For
    str | None,  # User-Agent
    str | None,  # Content-Length
    str | None,  # X-Request-ID
    str | None,  # traceparent
    str | None,  # tracestate
    str | None,  # X-Wideevents-Keep
]
"""What a door reads of a request; None is what was not sent. A tuple with names would take longer to make."""

TEXTS = frozenset({str, type(None)})


def texts(read: Iterable[object]) -> tuple[Any, ...]:
    """Return what was *read* of a request as texts: a broken middleware may have put anything there."""
    return tuple(each if each is None else text(each) for each in read)


DESCRIBED = {
    "http.request.id": "",
    "http.request.method": "",
    "url.path": "",
    "url.scheme": None,
    "server.address": None,
    "client.address": None,
    "user_agent.original": None,
}
"""What is written of every request; those of None are left out where they were not sent."""


@dataclass(frozen=True, slots=True)
class Door:
    """
    Hold the settings of one door.

    - *quiet*: route templates, `/healthz` or `/static/<path:name>`, whose events are of the level debug as long as
      they succeed faster than *slow_ms*; failures and slow ones stay what they are.
    - *slow_ms*: milliseconds.
    - *proxies*: how many proxies of your own stand in front; that many entries of `X-Forwarded-For` are believed.
    - *template*: fields that every event of the door has, such as the name of the framework.
    - *problems*: whether an exception that explains itself, and that nobody takes, is answered with what it says of
      itself, as problem details (RFC 9457).

    *templates* are those that had to be searched for among the routes of a framework, by what it tells of them.
    *fields* are copied for every event.

    Raise `ConfigurationError` for a setting that cannot be used.
    """

    quiet: Collection[str] = ()
    slow_ms: float = 1_000
    proxies: int = 0
    template: Mapping[str, Any] = field(default_factory=dict)
    problems: bool = False
    _quiet_path: re.Pattern[str] = field(init=False, repr=False)
    _quiet_routes: dict[str, bool] = field(init=False, repr=False, default_factory=dict)
    templates: dict[str, str] = field(init=False, repr=False, default_factory=dict)
    fields: dict[str, Any] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        quiet = self.quiet
        several = isinstance(quiet, tuple | list | set | frozenset)
        if not several or not all(isinstance(route, str) and route.startswith("/") for route in quiet):
            raise ConfigurationError.of("quiet", quiet, 'a tuple of route templates, such as ("/healthz",)')
        if type(self.proxies) is not int or self.proxies < 0:
            raise ConfigurationError.of("proxies", self.proxies, "the number of proxies in front, 0 or more")
        if type(self.slow_ms) not in {int, float} or not self.slow_ms > 0:
            raise ConfigurationError.of("slow_ms", self.slow_ms, "a number of milliseconds above 0")
        settings.check_switches(problems=self.problems)
        object.__setattr__(self, "fields", roomy({**TEMPLATE, **self.template, **DESCRIBED}))
        object.__setattr__(self, "_quiet_path", re.compile("|".join(map(_pattern, quiet))))

    def is_quiet(self, route: str | None, path: str) -> bool:
        """Tell whether a request was for a quiet route: by its template, or where there is none by its whole path."""
        if route is None:
            return bool(self._quiet_path.fullmatch(path))
        quiet = self._quiet_routes.get(route)
        if quiet is None:  # parameters may have other names: /static/<path:name> is /static/<path:filename>
            patterns = {_pattern(template) for template in self.quiet}
            quiet = self._quiet_routes[route] = _pattern(route) in patterns
        return quiet


def _pattern(template: str) -> str:
    """Return the regular expression of a template; a parameter is one segment, one of the kind `path` any number."""
    parts, end = [], 0
    for found in PARAMETER.finditer(template):
        kind = found["converter"] or found["kind"]
        parts += [re.escape(template[end : found.start()]), ".+" if kind == "path" else "[^/]+"]
        end = found.end()
    return "".join([*parts, re.escape(template[end:])])
