"""Say what an exception was, in plain fields."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from wideevents import stacks
from wideevents.causes import chain, members
from wideevents.errors import WideError
from wideevents.fingerprints import fingerprint, module_of, qualified_name, qualname_of, raised_in
from wideevents.frames import Application
from wideevents.values import guarded, text

EXPLANATIONS = {"why": "error.why", "fix": "error.fix", "link": "error.link", "code": "error.code"}
"""What an exception may say of itself, and the fields that it goes to."""

NAMES = (
    *("error.type", "error.fingerprint", "error.expected", *EXPLANATIONS.values()),
    *("exception.type", "exception.message", "exception.stacktrace", "exception.slug", "exception.causes"),
    *("code.file.path", "code.line.number", "code.function.name"),
)
"""All fields that an exception may have."""

CAUSES = 20
MESSAGE_LENGTH = 1_000
"""Causes that are told, and characters of the message of each."""

_everything = Application()


def describe(error: object, application: Application = _everything) -> dict[str, object]:
    """
    Return the fields of *error*: `error.*`, `exception.*` and `code.*`, named by OpenTelemetry's conventions.

    The text is taken at once, so that neither the exception nor its frames outlive the work. What is no exception,
    a message for example, is described as far as it goes.
    """
    kind = type(error)
    name = qualified_name(kind)
    described: dict[str, object] = {"error.type": name, "exception.type": name, "exception.message": text(error)}
    if issubclass(kind, BaseException):  # isinstance() would ask the object, which may be a proxy of nothing
        _describe_raised(described, error, application)  # type: ignore[arg-type]
    return described


def explained(error: BaseException) -> dict[str, str]:
    """Return what *error* says of itself in the attributes `why`, `fix`, `link` and `code`, where they are text."""
    if issubclass(type(error), SystemExit):  # its code is what the process ends with
        return {}
    found = {field: attribute(error, name) for name, field in EXPLANATIONS.items()}
    return {field: value for field, value in found.items() if type(value) is str and value}


def attribute(error: BaseException, name: str) -> object:
    """Return the attribute *name* of *error*, and None where there is none, or a property of that name raises."""
    found = guarded(lambda: (getattr(error, name, None),), error)
    return None if type(found) is str else found[0]


def fields_of(error: BaseException) -> Mapping[str, Any]:
    """Return the fields that *error* brings for its event."""
    fields = attribute(error, "fields") if issubclass(type(error), WideError) else None
    return fields if type(fields) is dict else {}


def given(exc_info: object) -> BaseException | None:
    """Return the exception of a log call's `exc_info`: itself, or in the tuple of `sys.exc_info()`; None for others."""
    if type(exc_info) is tuple and len(exc_info) == len(("type", "value", "trace")):
        exc_info = exc_info[1]
    # isinstance() would ask the object, which may be a proxy of nothing.
    return exc_info if issubclass(type(exc_info), BaseException) else None  # type: ignore[return-value]


def _describe_raised(described: dict[str, object], error: BaseException, application: Application) -> None:
    """Add the traceback, the place, what caused it, and what makes two errors one."""
    described["exception.stacktrace"] = guarded(lambda: stacks.printed(error, application.owns), error)
    described["error.fingerprint"] = guarded(lambda: fingerprint(error, application), error)
    place = raised_in(application.frames(error))
    if place is not None:
        described["code.file.path"], described["code.line.number"] = place.path, place.line
        described["code.function.name"] = place.place
    told = explained(error)
    described.update(told)
    kind = type(error)
    named = told.get("error.code") if _is_of(application, kind) else None
    described["exception.slug"] = named or ":".join(([place.place] if place else []) + [qualname_of(kind)])
    causes = _causes(error)
    if causes:
        described["exception.causes"] = causes
    if attribute(error, "expected") is True:
        described["error.expected"] = True


def _is_of(application: Application, kind: type) -> bool:
    """
    Tell whether a class of exceptions is the application's.

    The `code` of any other is a name for what happened, and none for where: all broken constraints are SQLAlchemy's
    "gkpj".
    """
    file = getattr(sys.modules.get(module_of(kind)), "__file__", None)
    return issubclass(kind, WideError) or (type(file) is str and application.owns(file))


def _causes(error: BaseException) -> list[str]:
    """Say what caused *error*, the nearest first, and what a group holds: "KeyError: 'sku'"."""
    return [_named(each) for each in islice(_with_causes(error, set()), 1, CAUSES + 1)]


def _with_causes(error: BaseException, seen: set[int]) -> Iterator[BaseException]:
    for link in chain(error):
        if id(link) not in seen:
            seen.add(id(link))
            yield link
            for member in members(link):
                yield from _with_causes(member, seen)


def _named(error: BaseException) -> str:
    name, message = qualified_name(type(error)), text(error)
    if len(message) > MESSAGE_LENGTH:  # between words: half a secret would not be recognised as one
        message = message[:MESSAGE_LENGTH].rsplit(None, 1)[0]
    return f"{name}: {message}" if message else name
