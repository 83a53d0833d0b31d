"""Hold the settings of the process, and the recorder that is built from them."""

from __future__ import annotations

import atexit
import importlib
import io
import os
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock, RLock
from typing import Any, TypeAlias, TypeVar

from wideevents import context, propagation, resource
from wideevents.errors import ConfigurationError
from wideevents.health import Fault, report
from wideevents.keys import Keys
from wideevents.levels import Level
from wideevents.logs.lines import Loggers, Logs
from wideevents.logs.root import Takeover
from wideevents.logs.stdlib import Handler
from wideevents.pipeline import Pipeline, Sink, Stage
from wideevents.recorder import Recorder
from wideevents.redaction import Redaction
from wideevents.sinks.lines import STDOUT, LinesSink
from wideevents.stages.count import Count
from wideevents.stages.encode import Encode, Limits
from wideevents.stages.enrich import Enrich
from wideevents.stages.flight import attach_lines
from wideevents.stages.gate import Gate
from wideevents.stages.redact import Redact

S = TypeVar("S", Redaction, Limits)
Target: TypeAlias = "str | os.PathLike[str] | Sink"

AUTO, JSON, CONSOLE = "auto", "json", "console"
CONSOLE_SINK = "wideevents.sinks.console:ConsoleSink"

OUTPUTS = '"auto", "json", "console", a path, a sink with write(entry) and close(), or several of them'


class _Process:
    """The one recorder of the process, the way of its log lines, and what it has done to the logging module."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.building = RLock()
        self.recorder: Recorder | None = None
        self.logs: Logs | None = None
        self.takeover: Takeover | None = None
        self.diverted: tuple[Sink, ...] = ()
        self.used: list[Recorder] = []


_process = _Process()


def configure(  # noqa: PLR0913 - the settings of a process are many, and each is named
    *,
    service: str | None = None,
    version: str | None = None,
    environment: str | None = None,
    owner: str | None = None,
    output: Target | Iterable[Target] | None = None,
    level: Level | str | int | None = None,
    logging: bool = True,
    debug_lines: Collection[str] = (),
    raising_loggers: Collection[str] | None = None,
    threads: bool = True,
    redact: Redaction | None = None,
    limits: Limits | None = None,
    stages: Iterable[Stage] = (),
) -> None:
    """
    Set up the process: once, at its start, before the first request. Without it the defaults serve.

    Code goes before the environment, and that before the default. It can be called again: events in progress end as
    they began, new ones are as configured last.

    - *service*, *version*, *environment*, *owner*: what runs, where, and whose it is. Else `OTEL_SERVICE_NAME` and
      `OTEL_RESOURCE_ATTRIBUTES`.
    - *output*: "json" is lines on standard output, "console" the same for people, "auto" the console on a terminal,
      else JSON; a path is a file to append to; a `Sink`; or several of these. Else `WIDEEVENTS_OUTPUT`, else "auto".
    - *level*: events below it are dropped, and log lines, but for loggers that have a level of their own. Else
      `LOG_LEVEL`, else info.
    - *logging*: whether the root logger, warnings and uncaught exceptions write their lines there, too.
    - *debug_lines*: loggers, by name, whose lines below *level* are kept with the event in progress, and told in
      `log.lines` if it ends in an error, is slow, or asked to be kept.
    - *raising_loggers*: the loggers whose warnings and errors raise the level of the event in progress; by default all
      but "py.warnings" and "wideevents".
    - *threads*: whether threads and thread pools that a request starts write into its event.
    - *redact*, *limits*: what is hidden, and how long a line may be.
    - *stages*: your own, run on every event that passed the gate, before it is redacted and encoded.

    Raise `ConfigurationError` for a setting that cannot be used.
    """
    redact, limits = _of(Redaction, redact, "redact"), _of(Limits, limits, "limits")
    _check_texts(service=service, version=version, environment=environment, owner=owner)
    _check_switches(threads=threads, logging=logging)
    loggers = Loggers.of(_level(level), raising_loggers, debug_lines)
    described = {
        "service.name": service,
        "service.version": version,
        "deployment.environment.name": environment,
        "owner.team": owner,
    }
    enrich = Enrich(resource.describe(described, os.environ))
    keys, own, sinks = Keys(redact), _functions(stages), _sinks(output, limits.max_bytes)
    encode = (Redact(keys, limits.max_bytes, thorough=bool(own)), Encode(limits, thorough=bool(own)))
    gates: tuple[Stage, ...] = (Count(), Gate(loggers.level), *((attach_lines,) if loggers.debug else ()))
    if threads:
        propagation.install(context.variable)
    else:
        propagation.uninstall()
    # A log call's line takes the same way; but what is counted, and shaped by the user, are events.
    use(
        Recorder(Pipeline((*gates, enrich, *own, *encode), sinks), keys),
        Logs(Pipeline((enrich.identify, *encode), sinks), keys, loggers),
    )
    _take_over(Takeover(Handler(logs=logs), loggers) if logging else None)


def recorder() -> Recorder:
    """Return the recorder that is configured now; the default one, where none is yet."""
    return _process.recorder or _default()[0]


def logs() -> Logs:
    """Return the way of log lines that is configured now; the default one, where none is yet."""
    return _process.logs or _default()[1]


def prepare() -> None:
    """Configure with the defaults, if nobody has: a door does it when it is built, so that a wrong one is told then."""
    with _process.building:
        if _process.recorder is None:
            configure()


def use(recorder: Recorder, logs: Logs) -> None:
    """Make *recorder* and *logs* those of the process."""
    with _process.lock:
        _process.recorder, _process.logs = recorder, logs
        if _process.diverted:
            _process.used.append(recorder)


@contextmanager
def diverted(sink: Sink) -> Iterator[list[Recorder]]:
    """
    Send all events to *sink* instead, for a test; also those of a `configure` that the test itself runs.

    Gives the recorders used meanwhile; the first has the stages of the one that is configured. At the end all is as
    it was, the logging module included.
    """
    before, lines, diverted, used = recorder(), logs(), _process.diverted, _process.used
    _process.diverted, _process.used = (sink,), []
    with kept():
        use(
            Recorder(Pipeline(before.pipeline.stages, (sink,)), before.keys, before.clock, before.ids),
            Logs(Pipeline(lines.pipeline.stages, (sink,)), lines.keys, lines.loggers),
        )
        try:
            yield _process.used
        finally:
            _process.diverted, _process.used = diverted, used


@contextmanager
def kept() -> Iterator[None]:
    """Put back what is configured now when the block ends: the recorder, the way of log lines, the logging module."""
    recorder, logs, takeover = _process.recorder, _process.logs, _process.takeover
    try:
        yield
    finally:
        _process.recorder, _process.logs = recorder, logs
        if _process.takeover is not takeover:
            _take_over(takeover)


def _default() -> tuple[Recorder, Logs]:
    """
    Configure with the defaults in the middle of the work, which a wrong environment must not break.

    The logging module is left alone: a library that makes an event of its own does not own the process.
    """
    with _process.building:
        if _process.recorder is None:
            try:
                configure(logging=False)
            except ConfigurationError as refused:
                report(Fault.SETTING, "environment", f"{refused} It is left out.")
                configure(output=_whatever_is_open(), level=Level.INFO, logging=False)
    return recorder(), logs()


def _whatever_is_open() -> str:
    """Return an output that is never refused: a daemon may have closed its standard output."""
    try:
        os.fstat(STDOUT)
    except OSError:
        return os.devnull
    return JSON


def _take_over(takeover: Takeover | None) -> None:
    """Set up the logging module anew, or undo what was done to it."""
    with _process.building:
        if _process.takeover is not None:
            _process.takeover.undo()
        _process.takeover = takeover
        if takeover is not None:
            takeover.install()


def _close() -> None:
    """Let the sinks write what they hold, when the process ends."""
    if _process.recorder is not None:
        _process.recorder.pipeline.close()


atexit.register(_close)


def _of(kind: type[S], given: S | None, name: str) -> S:
    if given is None:
        return kind()
    if not isinstance(given, kind):
        raise ConfigurationError.of(name, given, f"a wideevents.{kind.__name__}")
    return given


def _check_texts(**texts: object) -> None:
    for name, text in texts.items():
        if text is not None and (not isinstance(text, str) or not text.strip()):
            raise ConfigurationError.of(name, text, "text that is not empty")


def _check_switches(**switches: object) -> None:
    for name, switch in switches.items():
        if type(switch) is not bool:
            raise ConfigurationError.of(name, switch, "True or False")


def _level(given: Level | str | int | None) -> Level:
    if given is not None:
        return Level.parse(given)
    return Level.parse(os.environ.get("LOG_LEVEL") or Level.INFO, setting="LOG_LEVEL")


def _functions(stages: Iterable[Stage]) -> tuple[Stage, ...]:
    functions = tuple(stages) if isinstance(stages, Iterable) else (stages,)
    for function in functions:
        if not callable(function):
            raise ConfigurationError.of(
                "stages", function, "functions that take an event and return it, or None to drop it"
            )
    return functions


def _sinks(output: Target | Iterable[Target] | None, longest: int) -> tuple[Sink, ...]:
    if output is None:
        output = os.environ.get("WIDEEVENTS_OUTPUT") or "auto"
    several = isinstance(output, Iterable) and not isinstance(output, str | bytes | Mapping | io.IOBase)
    targets: tuple[Any, ...] = tuple(output) if several and not _is_sink(output) else (output,)  # type: ignore[arg-type]
    for target in targets or (output,):
        named = isinstance(target, str) and target
        if not (named or isinstance(target, os.PathLike) or _is_sink(target)):
            hint = "; of an open file give the path" if isinstance(target, io.IOBase) else ""
            raise ConfigurationError.of("output", target, OUTPUTS + hint)
    return _process.diverted or tuple(_sink(target, longest) for target in targets)


def _is_sink(target: object) -> bool:
    methods = (getattr(target, name, None) for name in ("write", "close"))
    return all(map(callable, methods)) and not isinstance(target, io.IOBase)  # a file has both, and takes no events


def _sink(target: Any, longest: int) -> Sink:
    if target == CONSOLE or (target == AUTO and sys.stdout is not None and sys.stdout.isatty()):
        return _console(required=target == CONSOLE) or LinesSink(STDOUT, longest=longest)
    if isinstance(target, str) and target in {AUTO, JSON}:
        return LinesSink(STDOUT, longest=longest)
    if isinstance(target, str | os.PathLike):
        return LinesSink.open(target, longest=longest)
    sink: Sink = target
    return sink


def _console(*, required: bool) -> Sink | None:
    """Return the console; where its packages are missing it is refused, or, if nobody asked for it, done without."""
    try:
        sink: Sink = _load(CONSOLE_SINK)()
    except ImportError as missing:
        if required:
            raise ConfigurationError(str(missing)) from missing
        report(Fault.SETTING, CONSOLE, f"{missing} Until then lines on the terminal are JSON.")
        return None
    return sink


def _load(path: str) -> Any:
    """Import what stands at *path*, "module:name": what a process may not need is not imported with the face."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
