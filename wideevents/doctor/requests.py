"""Find what is wrong with what came of the request: its event, its doors, its lines, and what else was written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wideevents.doctor.findings import Finding, Illness, Severity, listed
from wideevents.doctor.probe import Seen
from wideevents.doctor.watch import Piece
from wideevents.health import Fault
from wideevents.levels import Level
from wideevents.redaction import Redaction

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

DOOR_MISSING = Illness(
    "door-missing",
    Severity.ERROR,
    "Requests leave no event, and what the code adds with add_field() is in no line.",
    "from wideevents.integrations.wsgi import WideEvents; app = WideEvents(app), outside all other middleware.",
)
FOR_FLASK = "from wideevents.integrations.flask import WideEvents; WideEvents(app), in the factory."
EVENT_MISSING = Illness(
    "event-missing",
    Severity.ERROR,
    "The request was followed, and still there is no line of it.",
    "Look at the stages that are given to wideevents.configure(stages=...): one that returns None drops the event.",
)
DOOR_TWICE = Illness(
    "door-twice",
    Severity.WARNING,
    "The outer door follows the request. What the inner one was given (quiet, slow_ms, proxies) is without effect.",
    "Keep one: that of the framework, which knows routes.",
)
EVENT_TWICE = Illness(
    "event-twice",
    Severity.ERROR,
    "Each request is counted and billed several times, and each failure alerts several times.",
    "Keep one door, and have no middleware that calls the application again with an environ of its own.",
)
REQUEST_FAILED = Illness(
    "request-failed",
    Severity.WARNING,
    "Only an error was seen: what goes wrong after success was not.",
    "Give a path that succeeds, --path /healthz for example, and what the application needs to serve it.",
)
LEVEL_HIGH = Illness(
    "level-high",
    Severity.WARNING,
    "Events of requests that succeed are dropped: no rate, no duration, nothing to compare a failure with.",
    'Configure the level "info": wideevents.configure(level="info"), or LOG_LEVEL=info.',
)
LINES_LOST = Illness(
    "lines-lost",
    Severity.ERROR,
    "What the application logs during a request does not arrive.",
    "Look for filters on the root logger's handlers, and for a queue that nobody reads.",
)
LINES_TWICE = Illness(
    "lines-twice",
    Severity.ERROR,
    "Every record is written more than once: counts and alerts are wrong.",
    "Look for a handler that hands records on to another logger, or to a queue beside wideevents' own handler.",
)
CONTEXT_LOST = Illness(
    "context-lost",
    Severity.ERROR,
    "A line cannot be found by its request, does not raise the level of its event, and alerts beside it.",
    "Write lines in the thread that logs them: nothing but wideevents' handler on the root logger. Where there must be "
    "a QueueHandler, add the filter wideevents.integrations.logging.EventFilter to it.",
)
PRINTED = Illness(
    "plain-output",
    Severity.WARNING,
    "Such text stands among the lines of JSON, unreadable to an aggregator. On a pipe Python writes it by the buffer, "
    "in the middle of a line perhaps.",
    "Log it, or add it to the event: wideevents.add_field(...).",
)
STREAM_CLOSED = Illness(
    "stream-closed",
    Severity.ERROR,
    "The descriptor goes to the next file or socket that is opened: lines would be written into it, or are lost.",
    "Start the process with its standard streams open; send what nobody reads to /dev/null.",
)
SERVICE_UNNAMED = Illness(
    "service-unnamed",
    Severity.WARNING,
    "Where lines of several services come together, nobody can tell whose a line is.",
    'wideevents.configure(service="..."), or OTEL_SERVICE_NAME in the environment.',
)
DEBUG = Illness(
    "debug-in-production",
    Severity.ERROR,
    "Visitors see tracebacks, and may run code in the debugger.",
    "Leave debug mode out where the environment is production: no FLASK_DEBUG, no app.debug = True.",
)
FAULTY = Illness("faults", Severity.ERROR, "", "")
FAULTS = {
    Fault.LATE_WRITE: (
        "Fields were added to an event that had ended, and are in no line.",
        "Wait for the thread or task within the request, or give it an event of its own.",
    ),
    Fault.LOST: ("Lines were lost.", "See the cause in the line of the logger wideevents."),
    Fault.NO_EVENT: (
        "Fields were added outside any event, and are in no line.",
        "Put work that is no request into an event of its own: with wideevents.event(...).",
    ),
    Fault.STAGE: ("Lines went on without a stage that failed.", "Mend the stage; its traceback is in the log."),
    Fault.SETTING: ("A setting was refused, and is without effect.", "Correct it: the sentence says how."),
    Fault.RECURSION: ("A sink or a filter logs for every line.", "Let it log less, or nothing."),
}
OTHERWISE = ("A value or a name could not be taken as it was given.", "See the sentence in the log.")

LONGEST = 60
"""Characters that are shown of what was printed."""


def examine(seen: Seen, app: WSGIApplication, level: Level) -> list[Finding]:
    """Return what is wrong with the event of the request; *level* is the configured one."""
    return [*_failed(seen), *_doors(seen, app, level), *_described(seen, app)]


def of_lines(seen: Seen, *, expected: bool) -> list[Finding]:
    """Return what became of the line that was logged during the request; *expected* tells that it had to arrive."""
    heard = seen.canaries
    if seen.sung and expected and not heard:
        return [LINES_LOST.found("A line that was logged during the request did not arrive.")]
    if len(heard) > 1:
        return [LINES_TWICE.found(f"A line that was logged once during the request arrived {len(heard)} times.")]
    if heard and seen.event_id is not None and heard[0].get("event.id") != seen.event_id:
        return [CONTEXT_LOST.found("A line that was logged during the request arrived without the id of its event.")]
    return []


def of_faults(counts: Mapping[Fault, int], seen: Seen) -> list[Finding]:
    """Return what wideevents itself has counted: *counts* are those since the examination began."""
    told = [line["message"] for line in seen.lines if line["log.logger"] == "wideevents"]
    said = f': "{told[0]}"' if told else "."
    return [
        Finding(FAULTY.slug, FAULTY.severity, f"wideevents counted {fault} {number} times{said}", why, fix)
        for fault, number in counts.items()
        for why, fix in [FAULTS.get(fault, OTHERWISE)]
    ]


def of_streams(pieces: Sequence[Piece], closed: Sequence[str], redaction: Redaction, *, known: bool) -> list[Finding]:
    """
    Return what was written beside the lines; *known* tells that handlers were found that write.

    *closed* are the streams that are not open.
    """
    found = [STREAM_CLOSED.found(f"The {stream} is closed.") for stream in closed]
    for stream in dict.fromkeys(piece.stream for piece in pieces):
        texts: dict[str | None, str] = {}
        for piece in pieces:
            if piece.stream == stream and not (known and piece.place is None):
                texts.setdefault(piece.place, piece.text)
        told = [_told(place, redaction.text(text)) for place, text in texts.items()]
        if told:
            found.append(PRINTED.found(f"{listed(told, 3)}, to {stream}."))
    return found


def _told(place: str | None, text: str) -> str:
    shown = text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
    return f"{place or 'Somebody'} wrote {shown!r}"


def _failed(seen: Seen) -> list[Finding]:
    if seen.error is not None:
        return [REQUEST_FAILED.found(f"The application raised {type(seen.error).__name__} for GET {seen.path}.")]
    if seen.status is None or seen.status.startswith("5"):
        return [REQUEST_FAILED.found(f"GET {seen.path} was answered with {seen.status or 'nothing'}.")]
    return []


def _doors(seen: Seen, app: object, level: Level) -> list[Finding]:
    nested = [(door, around) for door, _, around in seen.passages if around]
    twice = [DOOR_TWICE.found(f"The request came by {door} within {around}.") for door, around in nested]
    if not seen.passages:
        is_flask = any(kind.__module__.partition(".")[0] == "flask" for kind in type(app).__mro__)
        what = f"GET {seen.path} came by no door of wideevents, and left no event."
        return [DOOR_MISSING.found(what, FOR_FLASK if is_flask else None)]
    if level > Level.INFO:
        twice.append(LEVEL_HIGH.found(f"The configured level is {level.label}."))
    if len(seen.requests) > 1:
        names = listed([str(event["event.name"]) for event in seen.requests])
        return [*twice, EVENT_TWICE.found(f"GET {seen.path} left {len(seen.requests)} events: {names}.")]
    return [*twice, *_written(seen, level)]


def _written(seen: Seen, level: Level) -> list[Finding]:
    """Return what is wrong where the one event of the request is not among what was written."""
    if not seen.requests:
        return [EVENT_MISSING.found(f"The event of GET {seen.path} did not end.", "Report it: this is a bug.")]
    (event,) = seen.requests
    is_written = any(written["event.id"] == event["event.id"] for written in seen.events)
    if is_written or Level.parse(event["level"]) < level:
        return []  # a quiet route, or the level that was told of already
    return [EVENT_MISSING.found(f"The event of GET {seen.path} ended, and was dropped by a stage.")]


def _described(seen: Seen, app: Any) -> list[Finding]:
    """Return what the event says of the process that it should not."""
    if not seen.events:
        return []
    event, found = seen.events[-1], []
    if str(event.get("service.name", "")).startswith("unknown_service"):
        found.append(SERVICE_UNNAMED.found("The service has no name."))
    environment = str(event.get("deployment.environment.name", ""))
    if environment.lower().startswith("prod") and getattr(app, "debug", False) is True:
        found.append(DEBUG.found(f"The application is in debug mode, and the environment is {environment!r}."))
    return found
