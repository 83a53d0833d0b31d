"""Name the fields that wideevents itself writes, and hold those names for it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

NUMBERS = frozenset({int, float, type(None)})
TEXTS = frozenset({str, type(None)})

USER_FIELDS = "user_fields."
MESSAGE = "message"


class Status(StrEnum):
    """Tell how firm a name is: OpenTelemetry's semantic conventions 1.44, or our own."""

    STABLE = "stable"
    DEVELOPMENT = "development"
    OWN = "own"


@dataclass(frozen=True, slots=True)
class Field:
    """
    Describe one default field.

    *shared* fields are ours by name, but a user may write to them what is of their kind: numbers to what `timer("db")`
    writes, text to an event's `message`.
    """

    name: str
    type: type
    status: Status
    note: str
    shared: bool = False


def _fields(status: Status, rows: str, kind: type = str, *, shared: bool = False) -> tuple[Field, ...]:
    """Read rows of a name and its note, one a line."""
    pairs = (row.split(None, 1) for row in rows.strip().splitlines())
    return tuple(Field(name, kind, status, note.strip(), shared) for name, note in pairs)


FIELDS: tuple[Field, ...] = (
    *_fields(
        Status.OWN,
        """
        timestamp           start of the transaction, UTC, RFC 3339
        event.name          what happened, of low cardinality: "GET /products/<int:id>"
        event.id            16 hex digits, a W3C span id
        event.kind          request, websocket, task, batch, script or message
        outcome             success, failure, cancelled or lost
        level               debug, info, warning or error
        alert.urgency       page, business_hours, none or on_request
        alert.fingerprint   what makes two alerts one
        trace.id            32 hex digits, a W3C trace id
        parent.id           the event or span that caused this one
        framework.name      the framework behind the door
        framework.version   its version
        http.request.id     the X-Request-ID that came in, or a new one
        exception.slug      a stable name for the place it was raised, or the error's own
        error.fingerprint   what makes two errors one
        error.why           why it happened, for the person on call
        error.fix           what to do about it
        error.link          where to read more
        error.code          the name that the error gives itself
        sentry.event_id     the same error in Sentry
        sample.reason       why the line was kept
        lost.reason         why the process that the event was in did not write its line
        lost.touched        when its last field was added, UTC, RFC 3339
        log.logger          the logger of a log line
        log.last_error      the message of the last error that was logged
        flask.endpoint      the endpoint that answered
        flask.blueprint     its blueprint
        django.view         the view that answered, by its name in the URLconf or its path
        django.namespace    the namespaces of its URLconf
        link.trace.id       the trace of the event that this one was started by, and is no part of
        link.event.id       that event
        batch.name          the batch that this step belongs to
        batch.id            which run of it
        task.name           the task, as the queue knows it
        task.id             which run of it was asked for
        task.queue          the queue it waited in
        task.outcome        success, failure, retry, ignored, rejected, revoked or lost
        process.exit.signal the signal that ended the work
        websocket.closed_by client or server
        websocket.reason    what was said when it was closed
        db.slowest          the statement that took longest, without its parameters
        db.most_repeated    the statement that ran most often
        http.client.slowest         the call out that took longest
        http.client.most_repeated   the call out that was made most often
        """,
    ),
    *_fields(
        Status.STABLE,
        """
        service.name                   what runs
        service.version                which release of it
        service.instance.id            which process of it
        deployment.environment.name    production, staging ...
        http.request.method            the method, or _OTHER
        http.request.method_original   what stood there, where the method is _OTHER
        http.route                     the template, never the raw path
        url.path                       the path, secret parameters masked
        url.scheme                     http or https
        url.query                      the query string, redacted
        server.address                 the host that was asked for
        client.address                 who asked, behind the configured proxies
        user_agent.original            what they asked with
        error.type                     the class of the exception, or the status
        exception.type                 the class of the exception
        exception.message              its message, redacted
        exception.stacktrace           its traceback
        code.file.path                 where an exception was raised, or a line was logged
        code.function.name             in which function
        code.stacktrace                the stack that a log call asked for
        """,
    ),
    *_fields(
        Status.DEVELOPMENT,
        """
        host.name                 the machine
        thread.name               the thread, where it is not the main one
        process.runtime.version   the version of Python
        vcs.ref.head.revision     the commit
        """,
    ),
    *_fields(
        Status.OWN,
        """
        duration_ms   start to last byte
        ttfb_ms       start to first byte
        uptime_s      age of the process
        cpu_ms        processor time of the thread
        task.waited_ms          from when the task was due to its start
        db.slowest_ms           how long the slowest statement took
        http.client.slowest_ms  how long the slowest call out took
        """,
        float,
    ),
    *_fields(
        Status.OWN,
        """
        in_flight                events in progress in this process, this one included
        error.count              errors noted on this event
        log.count.warning        warnings logged
        log.count.error          errors logged
        sample.rate              one line stands for N
        events.late_writes       writes that came after their event had ended, since the last line
        events.lost              lines and reports that could not be written, since the last line
        events.lost_in.lines     those lost on standard output, or in a file
        events.lost_in.console   on the terminal
        events.lost_in.logging   in a handler of the logging module
        events.lost_in.sentry    on the way to Sentry
        events.lost_in.otlp      on the way to an OpenTelemetry collector
        events.lost_in.other     in a sink of your own
        events.withheld          reports that were too many to be sent, since the last line
        batch.index              the number of the step, from 0
        batch.total              how many steps are to come, where that is known
        task.attempt             1, and more after retries
        websocket.received.count    messages from the client
        websocket.received.size     bytes of them
        websocket.sent.count        messages to the client
        websocket.sent.size         bytes of them
        websocket.close_code        RFC 6455, 7.4
        db.repeated                 how often the most repeated statement ran: N+1
        db.failures                 statements that raised
        http.client.repeated        how often the most repeated call out was made
        http.client.failures        calls out that raised, or were answered with 5xx
        """,
        int,
    ),
    *_fields(
        Status.STABLE,
        """
        http.response.status_code   the status
        code.line.number            the line of it
        """,
        int,
    ),
    *_fields(
        Status.DEVELOPMENT,
        """
        process.pid               the process
        process.exit.code         what it ended with
        http.request.body.size    bytes, as the client declared them
        http.response.body.size   bytes handed to the server
        """,
        int,
    ),
    *_fields(
        Status.OWN,
        """
        http.response.streamed   the length was not known beforehand
        client.disconnected      the client left before the last byte
        exception.handled        the application dealt with it
        error.expected           worth knowing, and nobody's time
        """,
        bool,
    ),
    *_fields(
        Status.OWN,
        """
        log.lines          lines of this event: time level logger message
        log.arguments      what the format string of a log call did not take
        exception.causes   what caused it, nearest first, and what a group holds
        event.trimmed      what was cut to keep the line within its size
        """,
        list,
    ),
    *_fields(Status.OWN, f"{MESSAGE}   what a log line says, or, in an event, what the user does", shared=True),
    *_fields(Status.OWN, "owner.team      who is called", shared=True),
    *_fields(Status.OWN, "alert.runbook   where to read what to do", shared=True),
    *_fields(Status.OWN, "db.count         calls of the database", int, shared=True),
    *_fields(Status.OWN, "db.duration_ms   time spent in it", float, shared=True),
    *_fields(Status.OWN, "http.client.count         calls out", int, shared=True),
    *_fields(Status.OWN, "http.client.duration_ms   time spent in them", float, shared=True),
)

NAMES = frozenset(field.name for field in FIELDS)
SHARED = {field.name: TEXTS if field.type is str else NUMBERS for field in FIELDS if field.shared}
"""Names that are ours and the user's, with the kinds of values that they take; None takes a field away."""

RESERVED = NAMES - SHARED.keys()


def ancestors(name: str) -> list[str]:
    """Return the dotted prefixes of *name*, shortest first: "a.b.c" has "a" and "a.b"."""
    parts = name.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts))]


def reserved(name: str) -> bool:
    """Tell whether *name*, or a name it would stand under, is ours."""
    return name in RESERVED or not RESERVED.isdisjoint(ancestors(name))
