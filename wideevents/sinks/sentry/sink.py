"""Report errors to Sentry: one report for each exception, and a healthy request costs nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from math import isfinite
from threading import RLock
from uuid import uuid4

from wideevents import health
from wideevents.entries import E, Entry, standing
from wideevents.errors import ConfigurationError
from wideevents.fingerprints import fingerprint
from wideevents.forks import renew_in_child
from wideevents.frames import Application
from wideevents.health import Fault
from wideevents.levels import Level
from wideevents.redaction import Redaction
from wideevents.settings import check_switches, identifiers
from wideevents.sinks.sentry import marks
from wideevents.sinks.sentry.addresses import Address
from wideevents.sinks.sentry.buckets import Buckets
from wideevents.sinks.sentry.failures import Failure, failures, speaks_for_itself
from wideevents.sinks.sentry.mail import NAME, Mail, lose
from wideevents.sinks.sentry.posts import Post
from wideevents.sinks.sentry.raised import Raised, snapshot
from wideevents.sinks.sentry.reports import Letter, Reports

ID = "sentry.event_id"
DSN = "SENTRY_DSN"

RATE, BURST = 20.0, 100
"""Reports a second, and at once: one costs about a millisecond of a processor, in all."""

CLOSE_S = 1.8
"""Seconds that the end of the process waits for reports."""

WARNING, ERROR = Level.WARNING, Level.ERROR

FULL = "too many wait to be sent"
TOO_MANY = (
    "There are more errors than reports are sent of, so that they do not cost more than the work itself. Their lines "
    "are written, all of them; SentrySink(rate=..., burst=...) says how many reports are sent."
)


@dataclass(frozen=True, slots=True)
class Clock:
    """Tell the time: *now* in seconds since the epoch, *monotonic* in seconds."""

    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic


class SentrySink:
    """
    Forward errors to a Sentry of your own: what fails, what is logged as an error, what `add_error` notes.

    - *dsn*: where to, else `SENTRY_DSN`. That of a hosted service (sentry.io, glitchtip.com, bugsink.com) is refused,
      and plain http to a public host, unless *allow_hosted*.
    - *locals*: names of local variables of the application that are sent with its frames; none by default.
    - *rate*, *burst*: reports a second, and at once. What is beyond is withheld, and counted (`events.withheld`).

    An exception is reported once, however often it is noted on its way; every line that tells of it has the id of the
    report. What did not arrive is counted (`events.lost_in.sentry`). `sentry_sdk` itself is left alone, so that the
    application may use it: a second client in a process would stop the profiler of the first.

    Raise `ConfigurationError` for a setting that cannot be used.
    """

    name = NAME

    def __init__(
        self,
        dsn: str | None = None,
        *,
        allow_hosted: bool = False,
        locals: Collection[str] = (),  # noqa: A002 - it is what everybody calls them
        rate: float = RATE,
        burst: int = BURST,
        clock: Clock | None = None,
    ) -> None:
        environment = os.environ.get(DSN)
        given = environment if dsn is None else dsn
        if not given:
            raise ConfigurationError(f"sentry=True needs a DSN: give it in place of True, or set {DSN}.")
        check_switches(allow_hosted=allow_hosted)
        setting = DSN if given == environment else NAME
        self._address = Address.of(given, setting=setting, allow_hosted=allow_hosted)
        self._locals = frozenset(identifiers("locals", locals, 'names of variables, such as ("order_id",)'))
        self._clock = clock or Clock()
        self._buckets = Buckets(_reports("rate", rate, 0), _reports("burst", burst, 1), self._clock.monotonic())
        self.join(Application(), Redaction())
        self._mail = Mail(Post(self._address), lambda: self._reports)
        self.renew()
        renew_in_child(self)

    def __repr__(self) -> str:
        return f"<SentrySink {self._address}>"

    def renew(self) -> None:
        """Make the lock anew: in a forked child it may be held by a thread that is not there."""
        self._lock = RLock()

    def join(self, application: Application, redaction: Redaction) -> None:
        """Take what is the application's own code, and what is hidden."""
        self._application = application
        environ = os.environ.get
        self._reports = Reports(redaction, environ("SENTRY_RELEASE"), environ("SENTRY_ENVIRONMENT"))

    def assign(self, entry: E) -> E:
        """Decide what of *entry* is reported, and note the id of the report in it; a stage before it is encoded."""
        if entry.level < WARNING or not speaks_for_itself(entry):
            return entry
        failed = failures(entry)
        if failed:
            given = [self._given(entry, failure) for failure in failed]
        else:
            given = [self._granted(_kind(entry))] if entry.level >= ERROR else []
        report = next(filter(None, given), None)
        if report is not None:
            entry.record[ID] = report
        return entry

    def write(self, entry: Entry) -> None:
        """Send what was decided; what is sent is made later, in a thread of its own."""
        report = entry.record.get(ID)
        if report is None:
            return
        failed = failures(entry)
        for failure in failed:
            due = marks.claim(failure.error)
            if due is not None:
                self._send(entry, due, failure)
        if not failed:
            self._send(entry, marks.Due(report, _kind(entry)), None)

    def close(self) -> None:
        """Wait until the reports are sent, less than two seconds; what comes later is sent, too."""
        self._mail.close(CLOSE_S)

    def _given(self, entry: Entry, failure: Failure) -> str:
        """Return the id of the report that tells of a failure, which may be an earlier one; "" where it is withheld."""
        error, now, trace_id = failure.error, self._clock.now(), entry.record.get("trace.id")
        noted = standing(entry.errors)
        if noted is not None and noted.error is error and "error.fingerprint" in entry.record:
            kind = str(entry.record["error.fingerprint"])
        else:
            kind = fingerprint(error, self._application)
        with self._lock:  # another event may tell of the same exception in this moment
            known = marks.report_of(error, trace_id, now)
            if known is not None:
                return known
            report = self._granted(kind)
            marks.mark(error, report, trace_id, now)
            for each in failure.below:
                if marks.report_of(each, trace_id, now) is None:
                    marks.mark(each, report, trace_id, now)
            if report:
                marks.make_due(error, report, kind)
            return report

    def _granted(self, kind: str) -> str:
        """Return a new id, or "" where there are too many reports, of all or of one *kind*."""
        with self._lock:
            granted = self._buckets.take(kind, self._clock.monotonic())
        if granted:
            return uuid4().hex
        health.report(Fault.WITHHELD, NAME, TOO_MANY)
        return ""

    def _send(self, entry: Entry, due: marks.Due, failure: Failure | None) -> None:
        if self._mail.is_full:  # before anything is done for it
            lose(FULL)
            return
        level, handled = (entry.level, True) if failure is None else (failure.level, failure.handled)
        raised = () if failure is None else self._snapshot(failure.error)
        self._mail.send(
            Letter(
                due.report, self._clock.now(), level.label, handled, due.fingerprint, entry.line, raised, entry.hidden
            )
        )

    def _snapshot(self, error: BaseException) -> tuple[Raised, ...]:
        return tuple(snapshot(error, self._application, self._locals, self._reports.redaction.hides))


def _kind(entry: Entry) -> str:
    """Return what makes one issue of entries without an exception."""
    return str(entry.record.get("alert.fingerprint", entry.record.get("event.name", "")))


def _reports(setting: str, number: float, least: float) -> float:
    """Return how many reports may be sent; a bucket that never holds a whole token would let none through."""
    if type(number) not in {int, float} or not isfinite(number) or not number > 0 or number < least:
        raise ConfigurationError.of(setting, number, f"a number of reports, {'1 or more' if least else 'more than 0'}")
    return float(number)
