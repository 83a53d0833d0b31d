"""Build the report of an error, from what is allowed in it and nothing else."""

from __future__ import annotations

import linecache
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from wideevents._version import __version__
from wideevents.frames import Frame
from wideevents.redaction import Redaction, without
from wideevents.serialize import encode
from wideevents.sinks.sentry.raised import Locals, Raised

TAGS = (
    *("event.id", "owner.team", "service.name", "service.version", "deployment.environment.name", "http.route"),
    "exception.slug",
)
FLAGS = "feature_flag."
FLAGS_MOST = 50

TAG_LENGTH = 200
"""Characters that Sentry takes of a tag: https://develop.sentry.dev/sdk/event-payloads/."""

MESSAGE_LENGTH = 4_000
VALUE_LENGTH = 4_000
"""Characters of a message, and of a local variable, after it was redacted."""

SOURCE_LENGTH = 300

_not_in_a_tag = re.compile(r"[^A-Za-z0-9_.:-]")
_not_in_a_release = re.compile(r"[\s/\\]+")


class Letter(NamedTuple):
    """
    Hold what a report is made of, until there is time to make it: plain values alone.

    *at* is in seconds since the epoch. *line* is what was written: what stands in it was redacted, and may be seen.
    *hidden* are texts that may be seen nowhere.
    """

    id: str
    at: float
    level: str
    handled: bool
    fingerprint: str
    line: bytes
    raised: tuple[Raised, ...]
    hidden: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reports:
    """
    Make reports of letters.

    *release* and *environment* serve where the line names none. Of the environment, the arguments of the process, the
    modules, headers, cookies, breadcrumbs, the user and the body nothing is ever read.
    """

    redaction: Redaction
    release: str | None = None
    environment: str | None = None

    def body(self, letter: Letter) -> bytes:
        """Return the report as JSON."""
        return encode(self.report(letter))

    def report(self, letter: Letter) -> dict[str, Any]:
        """Return the report, as Sentry's protocol names things: https://develop.sentry.dev/sdk/event-payloads/."""
        fields: dict[str, Any] = orjson.loads(letter.line)
        told = {
            "event_id": letter.id,
            "timestamp": letter.at,
            "platform": "python",
            "level": letter.level,
            "logger": fields.get("log.logger"),
            "transaction": fields.get("event.name"),
            "server_name": fields.get("host.name"),
            "release": _release(fields) or self.release,
            "environment": fields.get("deployment.environment.name") or self.environment,
            "fingerprint": [letter.fingerprint],
            "tags": dict(_tags(fields)),
            "contexts": {"wide_event": fields, **_trace(fields)},
            "sdk": {"name": "wideevents", "version": __version__},
            **(self._exception(letter) if letter.raised else _message(fields)),
        }
        return {name: value for name, value in told.items() if value is not None}

    def _exception(self, letter: Letter) -> dict[str, Any]:
        """Return the exceptions, of which the protocol has the one that came last at the end."""
        values = [self._value(number, raised, letter) for number, raised in enumerate(letter.raised)]
        return {"exception": {"values": without(values[::-1], letter.hidden)}}

    def _value(self, number: int, raised: Raised, letter: Letter) -> dict[str, Any]:
        mechanism: dict[str, Any] = {"type": "wideevents", "handled": letter.handled, "exception_id": number}
        if number:
            mechanism.update(type="chained", parent_id=raised.parent, source=raised.source)
        if raised.is_group:
            mechanism["is_exception_group"] = True
        value: dict[str, Any] = {
            "type": raised.type,
            "value": self.redaction.head(raised.message, MESSAGE_LENGTH),
            "mechanism": mechanism,
        }
        if raised.module != "builtins":
            value["module"] = raised.module
        if raised.frames:
            value["stacktrace"] = {"frames": [self._frame(*told) for told in raised.frames]}
        return value

    def _frame(self, frame: Frame, variables: Locals) -> dict[str, Any]:
        told: dict[str, Any] = {
            "filename": _filename(frame),
            "function": frame.function,
            "module": frame.module,
            "lineno": frame.line,
            "in_app": frame.in_app,
        }
        if frame.in_app:  # the stack trace of the line shows it, too, and no more than this
            told["context_line"] = self.redaction.head(linecache.getline(frame.path, frame.line).strip(), SOURCE_LENGTH)
        if variables:
            told["vars"] = {name: self._shown(value) for name, value in variables.items()}
        return told

    def _shown(self, value: Any) -> Any:
        """Return a variable without the secrets in it; a long one as the beginning of its text."""
        shown = self._redacted(value)
        text = shown if type(shown) is str else encode({"": shown})[len(b'{"":') : -1].decode()
        return shown if len(text) <= VALUE_LENGTH else self.redaction.head(text, VALUE_LENGTH)

    def _redacted(self, value: Any) -> Any:
        """Redact every text in *value*, which is plain; a number may be a card's."""
        kind = type(value)
        if kind is str:
            return self.redaction.text(value)
        if kind is list:
            return [self._redacted(item) for item in value]
        if kind is dict:
            return {self.redaction.text(key): self._redacted(item) for key, item in value.items()}
        if kind is int:
            shown = self.redaction.text(str(value))
            return value if shown == str(value) else shown
        return value


def _message(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Say what went wrong where there is no exception: what was logged, or what happened and how it ended."""
    name = fields.get("event.name", fields.get("log.logger", ""))
    said = fields.get("message") or fields.get("log.last_error") or f"{name}: {fields.get('error.type', 'error')}"
    return {"logentry": {"message": str(said)[:MESSAGE_LENGTH], "formatted": str(said)[:MESSAGE_LENGTH]}}


def _release(fields: Mapping[str, Any]) -> str | None:
    """Name the release as Sentry compares them, "checkout@1.4.0"; a release is what was built of a commit, else."""
    version = fields.get("service.version")
    named = f"{fields.get('service.name', '')}@{version}" if version else fields.get("vcs.ref.head.revision")
    return _not_in_a_release.sub("-", str(named))[:TAG_LENGTH] if named else None


def _tags(fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what reports are searched by; the names are those of the line."""
    flags = [name for name in fields if name.startswith(FLAGS)][:FLAGS_MOST]
    for name in (*TAGS, *flags):
        value = fields.get(name)
        if type(value) in {str, int, float, bool}:
            shown = str(value).lower() if type(value) is bool else " ".join(str(value).split())
            yield _not_in_a_tag.sub("_", name)[:TAG_LENGTH], shown[:TAG_LENGTH]


def _trace(fields: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the context that leads to the trace."""
    if "trace.id" not in fields:
        return {}
    names = {"trace_id": "trace.id", "span_id": "event.id", "parent_span_id": "parent.id", "op": "event.kind"}
    return {"trace": {name: fields[field] for name, field in names.items() if field in fields}}


def _filename(frame: Frame) -> str:
    """Return the path as the module has it, "shop/payments.py": where it is installed differs from host to host."""
    parts = frame.path.replace("\\", "/").split("/")
    names = frame.module.split(".")
    depth = len(names) + (parts[-1] == "__init__.py")
    found = parts[-depth:]
    is_there = [part.removesuffix(".py") for part in found][: len(names)] == names
    return "/".join(found) if is_there else parts[-1]
