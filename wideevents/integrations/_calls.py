"""Time a call out of the event in progress, and say whom it tells of the event."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Container, Mapping
from dataclasses import dataclass, field
from time import perf_counter_ns
from types import TracebackType
from typing import Any, TypeAlias

from wideevents import fields
from wideevents.context import REQUEST_ID, current, outgoing
from wideevents.errors import ConfigurationError
from wideevents.tracecontext import TRACEPARENT, TRACESTATE

DB, HTTP = "db", "http.client"
"""What calls of a database are counted under where nothing else is asked for, and calls by HTTP."""

NAME = re.compile(r"[a-z][a-z0-9_]{0,49}(?:\.[a-z][a-z0-9_]{0,49}){0,2}")

HOST = re.compile(r"(?:\*\.)?[a-z0-9_.:-]+")
"""A host, "*." and a domain for every host below it, or an address, which may be one of IPv6."""

USUAL = (None, 80, 443)
"""The ports that say nothing."""


Hosts: TypeAlias = bool | Collection[str]


class Call:
    """
    Time one call: the event that is in progress when it begins counts it when it ends, once. Outside any it is nothing.

    *asked* is what was asked, and *told* says it without its parameters; it is called where the call is counted, and
    must not raise. As a context manager, what raises has failed.
    """

    __slots__ = ("_asked", "_event", "_name", "_started", "_told")

    def __init__(self, name: str, asked: Any, told: Callable[[Any], str]) -> None:
        self._name = name
        self._asked = asked
        self._told = told
        self._event = current()
        self._started = perf_counter_ns()

    @property
    def counts(self) -> bool:
        """Whether there is an event that still has to count it."""
        return self._event is not None

    def end(self, *, failed: bool = False) -> None:
        """Count the call, unless it is counted already."""
        event, self._event = self._event, None
        if event is not None:
            event.spend(self._name, perf_counter_ns() - self._started, self._told(self._asked), failed=failed)

    def __enter__(self) -> None:
        """Begin: it has begun."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end(failed=kind is not None)


@dataclass(frozen=True, slots=True)
class Propagation:
    """
    Say which hosts are told of the event that calls them: True is every one, as OpenTelemetry has it.

    The ids say nothing about anybody, but a third party can tell by them which calls belong together. *hosts* names
    those that are yours: "api.shop.example", or "*.shop.example" for all below it; no port, and () is none.

    Raise `ConfigurationError` for anything else.
    """

    hosts: Hosts = True
    _named: frozenset[str] = field(init=False, repr=False, default=frozenset())
    _below: tuple[str, ...] = field(init=False, repr=False, default=())

    def __post_init__(self) -> None:
        hosts = self.hosts
        if isinstance(hosts, bool):
            return
        several = isinstance(hosts, tuple | list | set | frozenset)
        if not several or not all(isinstance(host, str) and HOST.fullmatch(host.lower()) for host in hosts):
            allowed = 'True, False, or a tuple of hosts, such as ("api.shop.example", "*.internal")'
            raise ConfigurationError.of("propagate", hosts, allowed)
        named = {host.lower().rstrip(".") for host in hosts}
        object.__setattr__(self, "_below", tuple(host[1:] for host in named if host.startswith("*.")))
        object.__setattr__(self, "_named", frozenset(named))

    def headers(self, host: str, present: Container[str]) -> dict[str, str]:
        """
        Return the headers that a request to *host* still needs; *present* tells, in any case, which ones it has.

        Those of the user or of another tracer stay, and no state of ours goes beside a parent of theirs.
        """
        if not self._reaches(host):
            return {}
        ids = outgoing()
        if not ids:
            return ids
        theirs = {REQUEST_ID} if REQUEST_ID in present else set()
        if TRACEPARENT in present or TRACESTATE in present:
            theirs |= {TRACEPARENT, TRACESTATE}
        return {name: value for name, value in ids.items() if name not in theirs} if theirs else ids

    def _reaches(self, host: str) -> bool:
        if isinstance(self.hosts, bool):
            return self.hosts
        host = host.lower().rstrip(".")
        return host in self._named or host.endswith(self._below)


def of_request(method: str, host: str, port: int | None) -> Call:
    """Begin a call by HTTP: "GET api.example.com", with a *port* that is not the usual one."""
    return Call(HTTP, (method, host, port), _request)


def check_inner(inner: object, kind: type, options: Mapping[str, object]) -> None:
    """Refuse what no call can go by: what is no *kind*, and *options* of something that is made already."""
    if inner is not None and not isinstance(inner, kind):
        raise ConfigurationError.of("inner", inner, f"a {kind.__name__}")
    if inner is not None and options:
        raise ConfigurationError(f"{next(iter(options))}= cannot be used: it belongs to what is given as inner.")


def checked(name: object) -> str:
    """Return *name*, under which calls are to be counted; raise `ConfigurationError` unless it can be a field's."""
    if isinstance(name, str) and (name == DB or (NAME.fullmatch(name) and not _is_ours(name))):
        return name
    raise ConfigurationError.of("name", name, 'a name in lower case that is not ours, such as "cache"')


def _is_ours(name: str) -> bool:
    """Tell whether fields of ours stand at *name*, above, or below it: <name>.count would be among them."""
    return (
        name in fields.NAMES
        or any(own.startswith(f"{name}.") for own in fields.NAMES)
        or not fields.NAMES.isdisjoint(fields.ancestors(name))
    )


def _request(asked: tuple[str, str, int | None]) -> str:
    method, host, port = asked
    if port in USUAL:
        return f"{method} {host}"
    return f"{method} [{host}]:{port}" if ":" in host else f"{method} {host}:{port}"
