"""Say what an exception was, in plain fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wideevents import stacks
from wideevents.errors import WideError
from wideevents.fingerprints import chain, fingerprint, members, raised_in
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

MESSAGE_LENGTH = 1_000
"""Characters of a message that are told of a cause."""

_everything = Application()


def describe(error: object, application: Application = _everything) -> dict[str, object]:
    """
    Return the fields of *error*: `error.*`, `exception.*` and `code.*`, named by OpenTelemetry's conventions.

    The text is taken at once, so that neither the exception nor its frames outlive the work. What is no exception,
    a message for example, is described as far as it goes.
    """
    kind = type(error)
    name = guarded(lambda: qualified_name(kind), error)
    described: dict[str, object] = {"error.type": name, "exception.type": name, "exception.message": text(error)}
    if issubclass(kind, BaseException):  # isinstance() would ask the object, which may be a proxy of nothing
        _describe_raised(described, error, application)  # type: ignore[arg-type]
    return described


def explained(error: BaseException) -> dict[str, str]:
    """Return what *error* says of itself in the attributes `why`, `fix`, `link` and `code`, where they are text."""
    found = {field: guarded(lambda name=name: getattr(error, name, None), error) for name, field in EXPLANATIONS.items()}  # type: ignore[misc]
    return {field: value for field, value in found.items() if type(value) is str and value}


def fields_of(error: BaseException) -> Mapping[str, Any]:
    """Return the fields that *error* brings for its event."""
    return error.fields if issubclass(type(error), WideError) else {}


def given(exc_info: object) -> BaseException | None:
    """Return the exception of a log call's `exc_info`: itself, or in the tuple of `sys.exc_info()`; None for others."""
    if type(exc_info) is tuple and len(exc_info) == len(("type", "value", "trace")):
        exc_info = exc_info[1]
    # isinstance() would ask the object, which may be a proxy of nothing.
    return exc_info if issubclass(type(exc_info), BaseException) else None  # type: ignore[return-value]


def qualified_name(kind: type) -> str:
    """Return the name of a class with its module, which builtins do without."""
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def _describe_raised(described: dict[str, object], error: BaseException, application: Application) -> None:
    """Add the traceback, the place, what caused it, and what makes two errors one."""
    described["exception.stacktrace"] = guarded(lambda: stacks.printed(error, application.owns), error)
    described["error.fingerprint"] = guarded(lambda: fingerprint(error, application), error)
    place = raised_in(application.frames(error))
    if place is not None:
        described["code.file.path"], described["code.line.number"] = place.path, place.line
        described["code.function.name"] = place.place
    told = explained(error)
    slug = told.get("error.code") or f"{place.place if place else ''}:{type(error).__qualname__}".removeprefix(":")
    described["exception.slug"] = slug
    described.update(told)
    causes = _causes(error)
    if causes:
        described["exception.causes"] = causes
    if guarded(lambda: getattr(error, "expected", False), error) is True:
        described["error.expected"] = True


def _causes(error: BaseException) -> list[str]:
    """Say what caused *error*, the nearest first, and what a group holds: "KeyError: 'sku'"."""
    links = chain(error)
    return [_named(each) for link in links for each in ((link,) if link is not error else ()) + members(link)]


def _named(error: BaseException) -> str:
    name = guarded(lambda: qualified_name(type(error)), error)
    message = text(error)[:MESSAGE_LENGTH]
    return f"{name}: {message}" if message else name
