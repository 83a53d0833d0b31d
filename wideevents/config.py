"""Hold the settings of the process, and the recorder that is built from them."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Lock, RLock

from wideevents import context, outputs, propagation, resource, settings
from wideevents.alerts.settings import Alerts
from wideevents.assembly import Assembly, Counted, Forwarder
from wideevents.errors import ConfigurationError
from wideevents.frames import Application
from wideevents.health import Fault, report
from wideevents.keys import Keys
from wideevents.levels import Level
from wideevents.logs.lines import Loggers, Logs
from wideevents.logs.root import Takeover
from wideevents.logs.stdlib import Handler
from wideevents.outputs import Target
from wideevents.owners import Files, Owners
from wideevents.pipeline import Pipeline, Sink, Stage
from wideevents.recorder import Flight, Recorder
from wideevents.redaction import Redaction
from wideevents.sampling import Sampling
from wideevents.signatures import Signer
from wideevents.sinks.lines import STDOUT
from wideevents.stages.alert import Alert
from wideevents.stages.encode import Encode, Limits
from wideevents.stages.enrich import Enrich
from wideevents.stages.redact import Redact
from wideevents.stages.sample import Sample
from wideevents.values import guarded


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
        self.alerts = Alerts()
        self.service = ""
        self.assembly: Assembly | None = None

    def keep(self, alerts: Alerts, service: str, assembly: Assembly | None) -> None:
        """Keep what is configured for who asks later; one alone counts."""
        if self.assembly is not assembly:
            for each in (self.assembly, assembly):
                if each is not None and each.counted is not None:
                    (each.counted.open if each is assembly else each.counted.close)()
        self.alerts, self.service, self.assembly = alerts, service, assembly


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
    sample: int | Sampling | None = None,
    flight: str | os.PathLike[str] | Flight | None = None,
    stages: Iterable[Stage] = (),
    in_app: Collection[str] = (),
    alerts: Alerts | None = None,
    sentry: str | bool | Forwarder | None = None,
    metrics: bool = False,
    opentelemetry: bool | str = False,
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
    - *sample*: one event in so many is written, errors and the like always; or a `wideevents.sampling.Sampling`.
      Its secret, by which a request may ask to be kept, is else `WIDEEVENTS_KEEP_SECRET`.
    - *flight*: a directory, or a `wideevents.flight.Flight`, for what open events know: it survives a kill.
    - *stages*: your own, run on every event that passed the gate, before it is redacted and encoded.
    - *in_app*: installed packages that are code of yours, too: tracebacks mark it, and fingerprints are made of it.
    - *alerts*: whom failures call, and when; a `wideevents.alerts.Alerts`.
    - *sentry*: the DSN of a Sentry that you run yourselves, or a `wideevents.sinks.sentry.SentrySink`; False is none.
      Else `SENTRY_DSN`.
    - *metrics*: whether events are counted for Prometheus, which `wideevents.metrics` offers to be scraped.
    - *opentelemetry*: whether events take their ids from the current span; "mirror" shows their fields on it, too.

    Raise `ConfigurationError` for a setting that cannot be used.
    """
    redact = settings.instance(Redaction, redact, "redact", "wideevents.Redaction")
    limits = settings.instance(Limits, limits, "limits", "wideevents.Limits")
    alerts = settings.instance(Alerts, alerts, "alerts", "wideevents.alerts.Alerts")
    settings.check_switches(threads=threads, logging=logging, metrics=metrics)
    described = _described(service=service, version=version, environment=environment, owner=owner)
    loggers = Loggers.of(settings.emitted(level), raising_loggers, debug_lines)
    own, application = settings.functions(stages), Application(_packages(in_app))
    alert = Alert(_owners(alerts, described.pop("owner.team", None)), application, described)
    targets, keys, forwarder = outputs.targets(output), Keys(redact), outputs.forwarder(sentry, application, redact)
    counted, (sampled, accepts) = _counted(metrics, described, alert), _sampled(sample)
    last = Redact(keys, limits.max_bytes, thorough=bool(own)), Encode(limits, thorough=bool(own))
    assembly = Assembly(loggers, alert, counted, sampled, Enrich(described), own, forwarder, *last)
    spans, shown = outputs.spans(opentelemetry)
    pipeline = Pipeline((*assembly.of_events(), *shown), _sinks(targets, limits, forwarder))
    made = Recorder(pipeline, keys, application, spans, outputs.flight(flight), accepts)
    _process.keep(alerts, described["service.name"], assembly)
    _begin(made, assembly, threads=threads, takes_over=logging)


def recorder() -> Recorder:
    """Return the recorder that is configured now; the default one, where none is yet."""
    return _process.recorder or _default()[0]


def logs() -> Logs:
    """Return the way of log lines that is configured now; the default one, where none is yet."""
    return _process.logs or _default()[1]


def alerts() -> Alerts:
    """Return whom failures call, and when, as it is configured now."""
    return _process.alerts


def service() -> str:
    """Return the name of the service, as it is configured now."""
    return _process.service


def expect(routes: Iterable[tuple[str, object]]) -> None:
    """
    Take the routes of an application, each with the function that serves it: their counters begin at zero.

    A door tells them in the middle of its first request, which nothing of it must break.
    """
    assembly = _process.assembly
    if assembly is None or assembly.counted is None:
        return
    counted, owner = assembly.counted, assembly.alert.owner
    told = guarded(lambda: counted.expect([(route, owner(route, handler) or "") for route, handler in routes]), routes)
    if isinstance(told, str):
        report(
            Fault.SETTING, "metrics", "The counters of the routes could not begin at zero; they begin when they count."
        )


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
            replace(before, pipeline=Pipeline(before.pipeline.stages, (sink,)), in_progress={}),
            Logs(Pipeline(lines.pipeline.stages, (sink,)), lines.keys, lines.loggers, lines.application),
        )
        try:
            yield _process.used
        finally:
            _process.diverted, _process.used = diverted, used


@contextmanager
def kept() -> Iterator[None]:
    """Put back what is configured now when the block ends: the recorder, the way of log lines, the logging module."""
    recorder, logs, takeover = _process.recorder, _process.logs, _process.takeover
    asked = _process.alerts, _process.service, _process.assembly
    try:
        yield
    finally:
        _process.recorder, _process.logs = recorder, logs
        _process.keep(*asked)
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
                configure(
                    output=_whatever_is_open(),
                    level=Level.INFO,
                    logging=False,
                    sentry=False,
                    sample=Sampling(secret=()),
                )
    return recorder(), logs()


def _whatever_is_open() -> str:
    """Return an output that is never refused: a daemon may have closed its standard output."""
    try:
        os.fstat(STDOUT)
    except OSError:
        return os.devnull
    return outputs.JSON


def _packages(in_app: object) -> tuple[str, ...]:
    return settings.identifiers("in_app", in_app, 'names of packages, such as ("shop",)')


def _described(**texts: str | None) -> dict[str, str]:
    """Describe what runs, by what is given and the environment; refuse what is no text."""
    settings.check_texts(**texts)
    return resource.describe(resource.named(**texts), os.environ)


def _counted(metrics: bool, described: dict[str, str], alert: Alert) -> Counted | None:
    return outputs.counted(described["service.name"], alert.default) if metrics else None


def _sampled(given: object) -> tuple[Sample | None, Callable[[str], bool] | None]:
    """Return the stage that samples, and what tells whether a request may ask to be kept."""
    sampling = Sampling.of(given)
    signer = Signer.of(None if sampling is None else sampling.secret, os.environ)
    return None if sampling is None else Sample(sampling), None if signer is None else signer.accepts


def _sinks(targets: tuple[Target, ...], limits: Limits, forwarder: Forwarder | None) -> tuple[Sink, ...]:
    return _process.diverted or outputs.opened(targets, limits.max_bytes, forwarder)


def _begin(made: Recorder, assembly: Assembly, *, threads: bool, takes_over: bool) -> None:
    """Let *made* serve, let log lines go the same way, and tell of what was lost before."""
    _follow_threads(threads)
    sinks, loggers, before = made.pipeline.sinks, assembly.loggers, _process.recorder
    use(made, Logs(Pipeline(assembly.of_lines(), sinks), made.keys, loggers, made.application))
    _take_over(Takeover(Handler(logs=logs), loggers) if takes_over else None)
    known = None if before is None else getattr(before.flight, "directory", None)
    is_new = known is None or known != getattr(made.flight, "directory", None)  # else our parent tells, or we have told
    if made.flight is not None and is_new and not _process.diverted:  # a test's lines are not where anybody looks
        made.flight.recover(made)


def _follow_threads(threads: bool) -> None:
    """Let the threads and pools that an event starts write into it, or let them be."""
    if threads:
        propagation.install(context.variable)
    else:
        propagation.uninstall()


def _take_over(takeover: Takeover | None) -> None:
    """Set up the logging module anew, or undo what was done to it."""
    with _process.building:
        former, _process.takeover = _process.takeover, takeover
        if takeover is not None:
            takeover.install(former)
        elif former is not None:
            former.undo()


def _close() -> None:
    """Let the sinks write what they hold, when the process ends."""
    if _process.recorder is not None:
        _process.recorder.pipeline.close()


atexit.register(_close)


def _owners(alerts: Alerts, default: str | None) -> Owners:
    return Owners(alerts.owners, alerts.runbooks, Files.found(alerts.codeowners, Path.cwd()), default)
