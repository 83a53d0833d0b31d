"""Say what an exception was, in plain fields."""

from __future__ import annotations

import traceback

from wideevents.values import guarded, text

NEWLINE = "\n"
LINE_LENGTH = 1_000
STACK_LENGTH = 32_768
"""Characters of a traceback that are kept in memory; its ends say more than its middle."""


def describe(error: object) -> dict[str, object]:
    """
    Return the fields of *error*: `error.type` and `exception.*`, named by OpenTelemetry's conventions.

    The text is taken at once, so that neither the exception nor its frames outlive the work. What is no exception,
    a message for example, is described as far as it goes.
    """
    kind = type(error)
    name = guarded(lambda: qualified_name(kind), error)
    described: dict[str, object] = {"error.type": name, "exception.type": name, "exception.message": text(error)}
    if issubclass(kind, BaseException):  # isinstance() would ask the object, which may be a proxy of nothing
        described["exception.stacktrace"] = guarded(lambda: stacktrace(error), error)  # type: ignore[arg-type]
    return described


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


def stacktrace(error: BaseException) -> str:
    """Return the traceback as Python prints it, causes included, the middle of an endless one left out."""
    lines = "".join(traceback.format_exception(error)).rstrip("\n")
    if len(lines) <= STACK_LENGTH:
        return lines
    half = STACK_LENGTH // 2
    # Cut between lines where there is one nearby: half a secret would not be recognised as one.
    head, tail = lines[:half], lines[-half:]
    end, start = head.rfind(NEWLINE, half - LINE_LENGTH), tail.find(NEWLINE, 0, LINE_LENGTH)
    return f"{head[:end] if end > 0 else head}\n  ...\n{tail[start + 1 :]}"
