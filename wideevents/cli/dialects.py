"""Read a line of a JSON log, whoever wrote it, under the names that wideevents has for its fields."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from wideevents.errors import ConfigurationError
from wideevents.legible import moment
from wideevents.levels import Level
from wideevents.values import flatten

MOST_DIGITS = 1_000
"""Digits of an integer; a longer one stays a text, since Python refuses to read it."""

ALIASES = {
    "timestamp": ("@timestamp", "asctime", "time", "ts"),
    "level": ("log.level", "levelname", "severity"),
    "message": ("msg", "event"),
    "log.logger": ("logger", "logger_name"),
    "exception.stacktrace": ("error.stack_trace", "exc_info", "exception", "exc_text"),
    "exception.type": ("error.type",),
    "exception.message": ("error.message",),
}
"""What ECS, structlog, python-json-logger and their like call a field, by what we call it."""

LEVELS = {
    "trace": Level.DEBUG,
    "notice": Level.INFO,
    "exception": Level.ERROR,
    "alert": Level.ERROR,
    "emergency": Level.ERROR,
    "panic": Level.ERROR,
}
"""What others call levels, beyond the names that we read in a setting."""

CAUSED = "\n\nThe above exception was the direct cause of the following exception:\n\n"
MEANWHILE = "\n\nDuring handling of the above exception, another exception occurred:\n\n"


@dataclass(frozen=True, slots=True)
class Row:
    """
    Hold one line: *raw* as it stood there, without its newline, and what was read in it.

    *fields* go by our names, *given* by those of whoever wrote the line; both are None for a line that is no JSON
    object.
    """

    raw: bytes
    fields: dict[str, Any] | None = None
    given: dict[str, Any] | None = None

    @property
    def text(self) -> str:
        """The line as text; a byte that is no UTF-8 is escaped by a backslash."""
        return self.raw.decode("utf-8", "backslashreplace")

    @property
    def is_event(self) -> bool:
        """Whether this is an event of ours; `event.kind` alone is a name of ECS, too."""
        return self.fields is not None and {"event.kind", "duration_ms"} <= self.fields.keys()

    @property
    def level(self) -> Level | None:
        """The level of the line, or None where it has none that is known."""
        told = (self.fields or {}).get("level")
        if isinstance(told, str) and told.strip().lower() in LEVELS:
            return LEVELS[told.strip().lower()]
        with suppress(ConfigurationError):
            return Level.parse(told)  # type: ignore[arg-type]
        return None

    @property
    def askable(self) -> dict[str, Any]:
        """All that can be asked for: the fields under both of their names."""
        return {**(self.given or {}), **(self.fields or {})}


def read(line: bytes) -> Row:
    """Read *line*, without its newline; nothing that it may hold is an error."""
    # Zeros are the hole that is left where a file was cut; an editor may have put a byte order mark there.
    raw = line.rstrip(b"\r\n").lstrip(b"\0").removeprefix(b"\xef\xbb\xbf")
    row = Row(raw)
    if not raw.lstrip().startswith(b"{"):
        return row
    try:
        parsed = DECODER.decode(raw.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return row
    if not parsed:
        return row
    told = told_by_structlog(parsed.get("exception"))
    given = {key.removeprefix("."): value for key, value in flatten("", parsed, _hides_nothing)}
    fields = dict(given)
    if told:
        fields["exception"] = told
    return Row(raw, fields if "event.kind" in fields and "duration_ms" in fields else translated(fields), given)


def translated(fields: dict[str, Any]) -> dict[str, Any]:
    """Return *fields* under our names, where they have others; a name that we have stays."""
    names = dict(ALIASES)
    if "levelname" in fields or "asctime" in fields:
        names["log.logger"] = (*ALIASES["log.logger"], "name")
    renamed = {}
    for ours, theirs in names.items():
        if ours not in fields:
            found = next((name for name in theirs if name in fields and means(ours, fields[name])), None)
            renamed.update({found: ours} if found else {})
    return {renamed.get(key, key): value for key, value in fields.items()}


def means(ours: str, value: object) -> bool:
    """Tell whether *value* can be what we call *ours*."""
    if ours == "timestamp":
        return moment(value) is not None
    return isinstance(value, str) or (ours == "level" and isinstance(value, int))


def told_by_structlog(stacks: object) -> str:
    """Return the traceback in what structlog's `dict_tracebacks` writes, without the variables that it may hold."""
    if not isinstance(stacks, list) or not all(isinstance(stack, Mapping) for stack in stacks):
        return ""
    told = ""
    for stack in reversed(stacks):
        frames = stack.get("frames")
        rows = [_frame(frame) for frame in (frames if isinstance(frames, list) else []) if isinstance(frame, Mapping)]
        last = f"{stack.get('exc_type')}: {stack.get('exc_value')}"
        told += "\n".join(["Traceback (most recent call last):", *rows, last])
        if stack is not stacks[0]:
            told += CAUSED if stack.get("is_cause") else MEANWHILE
    return told


def _frame(frame: Mapping[str, Any]) -> str:
    return f'  File "{frame.get("filename")}", line {frame.get("lineno")}, in {frame.get("name")}'


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) < MOST_DIGITS else digits


def _hides_nothing(_: str) -> bool:
    return False


DECODER = json.JSONDecoder(parse_int=_integer, strict=False)
