"""Hold the settings of the process, and the recorder that is built from them."""

from __future__ import annotations

import atexit
import io
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock, RLock
from typing import Any, TypeAlias, TypeVar

from wideevents import context, propagation, resource
from wideevents.errors import ConfigurationError
from wideevents.health import Fault, report
from wideevents.keys import Keys
from wideevents.levels import Level
from wideevents.pipeline import Pipeline, Sink, Stage
from wideevents.recorder import Recorder
from wideevents.redaction import Redaction
from wideevents.sinks.lines import STDOUT, LinesSink
from wideevents.stages.count import Count
from wideevents.stages.encode import Encode, Limits
from wideevents.stages.enrich import Enrich
from wideevents.stages.gate import Gate
from wideevents.stages.redact import Redact

S = TypeVar("S", Redaction, Limits)
Target: TypeAlias = "str | os.PathLike[str] | Sink"

STANDARD_OUTPUT = frozenset({"auto", "json"})
CONSOLE = "console"
"""The name of an output to come: refused, lest it make a file."""

OUTPUTS = '"auto", "json", a path, a sink with write(event) and close(), or several of them'


class _Process:
    """The one recorder of the process."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.building = RLock()
        self.recorder: Recorder | None = None
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
    - *output*: "auto" and "json" are lines on standard output; a path is a file to append to; a `Sink`; or several of
      these. Else `WIDEEVENTS_OUTPUT`, else "auto".
    - *level*: events below it are dropped. Else `LOG_LEVEL`, else info.
    - *threads*: whether threads and thread pools that a request starts write into its event.
    - *redact*, *limits*: what is hidden, and how long a line may be.
    - *stages*: your own, run on every event that passed the gate, before it is redacted and encoded.

    Raise `ConfigurationError` for a setting that cannot be used.
    """
    redact, limits = _of(Redaction, redact, "redact"), _of(Limits, limits, "limits")
    _check_texts(service=service, version=version, environment=environment, owner=owner)
    if type(threads) is not bool:
        raise ConfigurationError.of("threads", threads, "True or False")
    described = {
        "service.name": service,
        "service.version": version,
        "deployment.environment.name": environment,
        "owner.team": owner,
    }
    keys, own = Keys(redact), _functions(stages)
    pipeline = Pipeline(
        stages=(
            Count(),
            Gate(_level(level)),
            Enrich(resource.describe(described, os.environ)),
            *own,
            Redact(keys, limits.max_bytes, thorough=bool(own)),
            Encode(limits, thorough=bool(own)),
        ),
        sinks=_sinks(output, limits.max_bytes),
    )
    if threads:
        propagation.install(context.variable)
    else:
        propagation.uninstall()
    use(Recorder(pipeline, keys))


def recorder() -> Recorder:
    """Return the recorder that is configured now; the default one, where none is yet."""
    return _process.recorder or _default()


def prepare() -> None:
    """Configure with the defaults, if nobody has: a door does it when it is built, so that a wrong one is told then."""
    with _process.building:
        if _process.recorder is None:
            configure()


def use(recorder: Recorder) -> None:
    """Make *recorder* the one of the process."""
    with _process.lock:
        _process.recorder = recorder
        if _process.diverted:
            _process.used.append(recorder)


@contextmanager
def diverted(sink: Sink) -> Iterator[list[Recorder]]:
    """
    Send all events to *sink* instead, for a test; also those of a `configure` that the test itself runs.

    Gives the recorders used meanwhile; the first has the stages of the one that is configured. At the end all is as
    it was.
    """
    before, diverted, used = recorder(), _process.diverted, _process.used
    _process.diverted, _process.used = (sink,), []
    use(Recorder(Pipeline(before.pipeline.stages, (sink,)), before.keys, before.clock, before.ids))
    try:
        yield _process.used
    finally:
        _process.diverted, _process.used = diverted, used
        _process.recorder = before


def _default() -> Recorder:
    """Configure with the defaults in the middle of the work, which a wrong environment must not break."""
    try:
        prepare()
    except ConfigurationError as refused:
        report(Fault.SETTING, "environment", f"{refused} It is left out.")
        configure(output="auto", level=Level.INFO)
    return recorder()


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
        named = isinstance(target, str) and target not in {"", CONSOLE}
        if not (named or isinstance(target, os.PathLike) or _is_sink(target)):
            hint = "; of an open file give the path" if isinstance(target, io.IOBase) else ""
            raise ConfigurationError.of("output", target, OUTPUTS + hint)
    return _process.diverted or tuple(_sink(target, longest) for target in targets)


def _is_sink(target: object) -> bool:
    methods = (getattr(target, name, None) for name in ("write", "close"))
    return all(map(callable, methods)) and not isinstance(target, io.IOBase)  # a file has both, and takes no events


def _sink(target: Any, longest: int) -> Sink:
    if isinstance(target, str) and target in STANDARD_OUTPUT:
        return LinesSink(STDOUT, longest=longest)
    if isinstance(target, str | os.PathLike):
        return LinesSink.open(target, longest=longest)
    sink: Sink = target
    return sink
