"""Choose where lines go, and load what a process may not need."""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

from wideevents.assembly import Counted, Forwarder
from wideevents.errors import ConfigurationError
from wideevents.frames import Application
from wideevents.health import Fault, report
from wideevents.pipeline import Sink, Stage
from wideevents.recorder import Flight, Spans
from wideevents.redaction import Redaction
from wideevents.settings import MIRROR, traced
from wideevents.sinks.lines import STDOUT, LinesSink

if TYPE_CHECKING:
    from wideevents.sinks.background import Background

Target: TypeAlias = "str | os.PathLike[str] | Sink | Background"

AUTO, JSON, CONSOLE = "auto", "json", "console"
CONSOLE_SINK = "wideevents.sinks.console:ConsoleSink"
SENTRY_SINK = "wideevents.sinks.sentry:SentrySink"
METRICS = "wideevents.metrics:Metrics"
FLIGHT = "wideevents.flight:Flight"
SPANS, SHOW = "wideevents.spans:Spans", "wideevents.spans:mirror"

MINUTE_MS = 60_000
"""Milliseconds that a line waits for its reader where no request waits with it."""

OUTPUTS = '"auto", "json", "console", a path, a sink with write(entry) and close(), or several of them'


def targets(output: Target | Iterable[Target] | None) -> tuple[Target, ...]:
    """
    Return where *output* says that lines go; None is `WIDEEVENTS_OUTPUT`, or "auto".

    Raise `ConfigurationError` for what cannot be written to.
    """
    if output is None:
        output = os.environ.get("WIDEEVENTS_OUTPUT") or AUTO
    several = isinstance(output, Iterable) and not isinstance(output, str | bytes | Mapping | io.IOBase)
    named: tuple[Any, ...] = tuple(output) if several and not _is_sink(output) else (output,)  # type: ignore[arg-type]
    for target in named or (output,):
        inner = target.output if _is_background(target) else target
        text = isinstance(inner, str) and inner
        if not (text or isinstance(inner, os.PathLike) or _is_sink(inner)):
            hint = "; of an open file give the path" if isinstance(inner, io.IOBase) else ""
            raise ConfigurationError.of("output", inner, OUTPUTS + hint)
    return named


def opened(named: Iterable[Target], longest: int, forwarder: Forwarder | None) -> tuple[Sink, ...]:
    """Return the sinks of *named* targets, for lines of at most *longest* bytes, and then the *forwarder*."""
    forwarded = () if forwarder is None else (forwarder,)
    return (*(_sink(target, longest) for target in named), *forwarded)


def _is_sink(target: object) -> bool:
    methods = (getattr(target, name, None) for name in ("write", "close"))
    return all(map(callable, methods)) and not isinstance(target, io.IOBase)  # a file has both, and takes no events


def _is_background(target: object) -> TypeGuard[Background]:
    """Tell whether a thread shall write; who asks for it has imported that room, which nobody else needs."""
    return callable(getattr(target, "around", None))


def _sink(target: Any, longest: int, wait_ms: float | None = None) -> Sink:
    """Return the sink of one target; a thread may wait for its reader longer than a request may."""
    if _is_background(target):
        return target.around(_sink(target.output, longest, MINUTE_MS))
    if target == CONSOLE or (target == AUTO and sys.stdout is not None and sys.stdout.isatty()):
        return _console(required=target == CONSOLE) or LinesSink(STDOUT, longest=longest, wait_ms=wait_ms)
    if isinstance(target, str) and target in {AUTO, JSON}:
        return LinesSink(STDOUT, longest=longest, wait_ms=wait_ms)
    if isinstance(target, str | os.PathLike):
        return LinesSink.open(target, longest=longest, wait_ms=wait_ms)
    sink: Sink = target
    return sink


def _console(*, required: bool) -> Sink | None:
    """Return the console; where its packages are missing it is refused, or, if nobody asked for it, done without."""
    try:
        sink: Sink = load(CONSOLE_SINK)()
    except ImportError as missing:
        if required:
            raise ConfigurationError(str(missing)) from missing
        report(Fault.SETTING, CONSOLE, f"{missing} Until then lines on the terminal are JSON.")
        return None
    return sink


def load(path: str) -> Any:
    """Import what stands at *path*, "module:name": what a process may not need is not imported with the face."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def forwarder(
    sentry: str | bool | Forwarder | None, application: Application, redaction: Redaction
) -> Forwarder | None:
    """
    Return where errors are forwarded to: what *sentry* says, or None for `SENTRY_DSN`.

    Raise `ConfigurationError` for a DSN that cannot be used, and where a package is missing that was asked for. If
    nobody but the environment asked for it, it may be there for an SDK of the application's own.
    """
    built = _forwarder(sentry)
    if built is not None:
        built.join(application, redaction)
    return built


def counted(service: str, owner: str) -> Counted:
    """Return what counts for Prometheus; raise `ConfigurationError` where its package is missing."""
    try:
        built: Counted = load(METRICS)(service, owner=owner)
    except ImportError as missing:
        raise ConfigurationError(str(missing)) from missing
    return built


def spans(opentelemetry: object) -> tuple[Spans | None, tuple[Stage, ...]]:
    """
    Return what knows OpenTelemetry's spans, and the stage that shows events on them, as far as they are asked for.

    Raise `ConfigurationError` for what cannot be asked for, and where its package is missing.
    """
    asked = traced(opentelemetry)
    if asked is False:
        return None, ()
    try:
        built: Spans = load(SPANS)()
    except ImportError as missing:
        raise ConfigurationError(str(missing)) from missing
    return built, (load(SHOW),) if asked == MIRROR else ()


def flight(given: str | os.PathLike[str] | Flight | None) -> Flight | None:
    """
    Return the flight recorder of what is *given*, a directory or one that was made; None is none.

    Raise `ConfigurationError` for a directory that cannot be used.
    """
    if given is None or all(callable(getattr(given, name, None)) for name in ("begin", "end", "recover")):
        return given  # type: ignore[return-value]
    if isinstance(given, str | os.PathLike) and os.fspath(given):
        built: Flight = load(FLIGHT)(given)
        return built
    raise ConfigurationError.of("flight", given, "a directory, or a wideevents.flight.Flight")


def _forwarder(sentry: str | bool | Forwarder | None) -> Forwarder | None:
    if sentry is False or (sentry is None and not os.environ.get("SENTRY_DSN")):
        return None
    if sentry is None or sentry is True or isinstance(sentry, str):
        return _sentry(sentry if isinstance(sentry, str) else None, required=sentry is not None)
    if callable(getattr(sentry, "assign", None)) and _is_sink(sentry):
        return sentry
    raise ConfigurationError.of("sentry", sentry, "a DSN, a SentrySink, True for SENTRY_DSN, or False")


def _sentry(dsn: str | None, *, required: bool) -> Forwarder | None:
    try:
        built: Forwarder = load(SENTRY_SINK)(dsn)
    except ImportError as missing:
        if required:
            raise ConfigurationError(str(missing)) from missing
        report(Fault.SETTING, "sentry", f"SENTRY_DSN is set. {missing} Until then errors stand in the lines alone.")
        return None
    return built
