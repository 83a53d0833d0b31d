"""Hold what is known about one transaction until it has ended."""

from __future__ import annotations

import sys
from collections import deque
from typing import TYPE_CHECKING, Any

from wideevents import exceptions, health
from wideevents.entries import CLOSE, NOTHING, Entry, Noted
from wideevents.health import Fault
from wideevents.levels import Level
from wideevents.redaction import MARKER
from wideevents.tallies import Tally
from wideevents.tracecontext import TraceParent
from wideevents.values import plain

if TYPE_CHECKING:
    from wideevents.keys import Keys

SMALL = 10**12
"""Integers below it need no care: they fit 64 bits, and none of them is a card number."""

INFO = Level.INFO
INT64 = 2**63 - 1
LARGEST = sys.float_info.max
LIST_LIMIT = 1_000

ERRORS_KEPT = 10
"""Exceptions that an event holds while it is in progress, with all their frames; more are only counted."""

SLOW_MS = 1_000.0
"""Milliseconds from which work is slow, where its door does not say so."""

COUNTS = {Level.WARNING: "log.count.warning", Level.ERROR: "log.count.error"}


class Event(Entry):
    """
    Gather the fields of one transaction; it is the canonical log line, and the span.

    There is one mutable object for each transaction, never re-bound, so that every thread and middleware sees the same.
    `fields` takes what is added while the work runs, and is None once the event is sealed: from then on it is an
    `Entry` for the stages and sinks. A name goes to `suspects` before its value goes into `fields`, so that no racing
    write passes by the redaction. `held` holds the log lines that are told only if it ends badly. `handler` is the
    function that serves it, where that is known: whose code it is says whose event it is. `parent` is what caused it,
    and `request_id` is that of the request it belongs to: both go on with every call that it makes. `batches` hold what
    is known of their steps, by their names.
    """

    __slots__ = (
        "__weakref__",
        "_tallies",
        "batches",
        "clean",
        "ended",
        "fields",
        "handler",
        "held",
        "id",
        "keep",
        "keys",
        "outcome",
        "parent",
        "plain",
        "recorder",
        "request_id",
        "slow_ms",
        "started",
        "trace_id",
    )

    def __init__(
        self, keys: Keys, recorder: Any, fields: dict[str, Any], started: int, parent: TraceParent | None = None
    ) -> None:
        self.keys = keys
        self.plain = keys.plain
        self.clean = keys.clean
        self.suspects: set[str] = set()
        self.recorder = recorder
        self.fields: dict[str, Any] | None = fields
        self.id: str = fields["event.id"]
        self.trace_id: str = fields["trace.id"]
        self.level = INFO
        self.outcome = "success"
        self.keep = False
        self.slow_ms = SLOW_MS
        self.held: deque[str] | None = None
        self.started = started
        self.ended = 0
        self.parent = parent
        self.request_id: str | None = None
        self._tallies: dict[str, Tally] | None = None
        self.batches: dict[str, Any] | None = None
        self.errors = ()
        self.hidden = ()
        self.waits = None
        self.handler: object = None

    def __repr__(self) -> str:
        state = "sealed" if self.sealed else "in progress"
        return f"<Event {self.id} {state}>"

    @property
    def sealed(self) -> bool:
        """Whether the event has ended; what is added now comes too late."""
        return self.fields is None

    def put(self, key: object, value: object) -> None:
        """
        Add a field the careful way: any key, any value.

        A mapping is flattened into dotted keys; None takes the field away; a secret is hidden by its key, and an
        integer that is a card number by its value; a name that is ours goes to `user_fields.<name>`.
        """
        for name, part, suspect in self.keys.parts(key, value):
            if suspect:
                self.suspects.add(name)
            self._store(name, part)

    def add(self, key: object, amount: object = 1) -> None:
        """Add *amount* to the number under *key*, exactly, from any number of threads."""
        if type(key) is str and key in self.plain:
            name, hidden = key, False
        else:
            name, hidden = self.keys.named(key)
        if hidden:
            self._store(name, MARKER)
            return
        number = amount if type(amount) is int and -SMALL < amount < SMALL else _number(amount, name)
        with self.keys.lock:
            if self.fields is not None:
                _grow(self.fields, name, number)
                return
        _report_late(name)

    def append(self, key: object, value: object) -> None:
        """Let the list under *key* grow by *value*; a field that is no list yet becomes the first item of one."""
        name, hidden = self.keys.named(key, list)
        secret = hidden and value is not None and type(value) is not bool
        item = MARKER if secret else plain(value, self.keys.redaction.hides)
        self.suspects.add(name)
        with self.keys.lock:
            if self.fields is not None:
                items = self.fields.setdefault(name, [])
                if type(items) is not list:
                    items = self.fields[name] = [items]
                if len(items) < LIST_LIMIT:
                    items.append(item)
                    if type(self.fields) is not dict:
                        self.fields.grew(name, item)  # type: ignore[attr-defined]
                return
        _report_late(name)

    @property
    def span(self) -> TraceParent:
        """What a callee is told of its caller: this event, whose flags and state are those that came in."""
        parent = self.parent
        if parent is None:
            return TraceParent(self.trace_id, self.id)
        return TraceParent(self.trace_id, self.id, parent.flags, parent.state)

    def spend(self, name: str, nanoseconds: int, subject: str | None = None, *, failed: bool = False) -> None:
        """
        Add a stretch of time: `<name>.duration_ms` adds up, `<name>.count` counts, and `<name>.failures` what *failed*.

        Where it was a call, *subject* says what was asked, without its parameters: `<name>.slowest` is the one that
        took longest, and `<name>.most_repeated` the one that was asked most often, `<name>.repeated` times.
        """
        total, count = self._plain_name(f"{name}.duration_ms"), self._plain_name(f"{name}.count")
        with self.keys.lock:
            if self.fields is not None:
                if self._tallies is None:
                    self._tallies = {}
                tally = self._tallies.get(name)
                if tally is None:
                    tally = self._tallies[name] = Tally()
                told = tally.add(nanoseconds, subject, failed=failed)
                self.fields[total] = tally.spent // 1000 / 1000
                _grow(self.fields, count, 1)
                for key, value in told.items():
                    if type(value) is str:
                        self.suspects.add(f"{name}.{key}")
                    self.fields[f"{name}.{key}"] = value
                return
        _report_late(total)

    def fail(
        self, error: BaseException, *, level: Level = Level.ERROR, handled: bool = False, expected: bool = False
    ) -> None:
        """
        Note an exception. Of several the unhandled one stands on the event, else the first.

        The same exception may be noted on its way through several layers: it counts once. An *expected* one leaves the
        level as it is; so does one that says so itself.
        """
        described = exceptions.describe(error, self.recorder.application)  # may run its own code: not under the lock
        if expected:
            described["error.expected"] = True
        noted = Noted(error, level, handled, expected="error.expected" in described)
        self.explain(noted, described)

    def explain(self, noted: Noted, described: dict[str, object]) -> None:
        """Take up an exception that is *described* already."""
        with self.keys.lock:
            taken = self._take(noted, described)
        if not taken:
            _report_late("error.type")
            return
        if not noted.expected:
            self.raise_level(noted.level)
        for name, value in exceptions.fields_of(noted.error).items():
            self.put(name, value)

    @property
    def is_expected(self) -> bool:
        """Whether something went wrong, and nothing but what was expected."""
        return bool(self.errors) and all(noted.expected for noted in self.errors)

    @property
    def went_well(self) -> bool:
        """Whether it has ended, faster than `slow_ms`, and nothing in it is worth a look."""
        fast = self.ended - self.started < self.slow_ms * 1_000_000
        return fast and self.level is INFO and self.outcome == "success"

    def raise_level(self, level: Level) -> None:
        """Let the event matter at least as much as *level*."""
        with self.keys.lock:
            self.level = max(self.level, level)

    def logged(self, level: Level, message: str, *, raises: bool) -> None:
        """Count a log line of this event; the last error's message stays, and a line that *raises* raises the level."""
        count = COUNTS.get(level)
        if count is None:
            return
        with self.keys.lock:
            if self.fields is not None:
                _grow(self.fields, count, 1)
                if level is Level.ERROR:
                    self.suspects.add("log.last_error")
                    self.fields["log.last_error"] = message
                if raises:
                    self.level = max(self.level, level)

    def keep_line(self, line: str, most: int, size: int) -> None:
        """Keep a log line in `held`, with at most *most* others and *size* bytes of all; the newest stay."""
        with self.keys.lock:  # threads of one event must not drop the same line twice
            if self.held is None:
                self.held = deque(maxlen=most)
            self.held.append(line)
            # A copy is measured: a signal handler may log meanwhile.
            while sum(len(each.encode("utf-8", "replace")) for each in tuple(self.held)) > size:
                self.held.popleft()

    def land(self) -> dict[str, Any]:
        """Take the fields from the flight recorder; whoever adds one meanwhile finds others, and adds it again."""
        with self.keys.lock:
            fields = (self.fields or {}).copy()
            if self.fields is not None:
                self.fields = fields
        return fields

    def seal(self) -> bool:
        """
        Detach the fields, and tell whether this was the call that did: it is true exactly once.

        `add_field` takes no lock. It looks again after it has written, and by then finds the fields detached: its
        write is in the copy that is made here, or it is late.
        """
        keys = self.keys
        lock = keys.lock
        lock.acquire()  # a with block costs twice as much
        try:
            fields = self.fields
            if fields is None:
                return False
            self.fields = None
            self.record = fields.copy()
        finally:
            lock.release()
        self.static, self.tail, self.line = NOTHING, CLOSE, b""
        if keys.crossed:
            self.suspects.update(keys.part(self.record))
        return True

    def clear(self) -> None:
        """Let go of what was told, so that what a thread still holds is an empty shell."""
        self.record = {}
        self.line = b""
        self.held = None
        self.errors = ()
        self.handler = None

    def _take(self, noted: Noted, described: dict[str, object]) -> bool:
        """Take an error up, and tell whether there was still an event to take it up."""
        fields = self.fields
        if fields is None:
            return False
        handled = noted.handled
        known = next((each for each in self.errors if each.error is noted.error), None)
        if known is None:
            fields["error.count"] = fields.get("error.count", 0) + 1
            self._hold(noted)
        else:
            self.errors = tuple(each.merged(noted) if each is known else each for each in self.errors)
        first = fields["error.count"] == 1 and (known is None or not handled)
        if first or (not handled and fields["exception.handled"]):
            self._stand(described, handled=handled)
        if not handled:
            self.outcome = "failure"
        return True

    def _hold(self, noted: Noted) -> None:
        """Hold an error with the others; of too many the newest goes that says least: expected, then handled."""
        if not issubclass(type(noted.error), BaseException):  # what is none; isinstance() would ask it
            return
        held = [*self.errors]
        if len(held) == ERRORS_KEPT:
            spare = [each for each in held[1:] if each.handled]
            if not spare:
                return
            held.remove(next((each for each in reversed(spare) if each.expected), spare[-1]))
        self.errors = (*held, noted)

    def _stand(self, described: dict[str, object], *, handled: bool) -> None:
        """Let an error stand on the event, in place of what stood there."""
        fields = self.fields or {}
        for name in exceptions.NAMES:
            fields.pop(name, None)
        fields["exception.handled"] = handled
        self.suspects.update(described)
        fields.update(described)

    def _plain_name(self, key: object) -> str:
        return key if type(key) is str and key in self.plain else self.keys.named(key)[0]

    def _store(self, name: str, value: object) -> None:
        fields = self.fields
        if fields is None:
            self._late(name, value)
        elif value is None:
            fields.pop(name, None)
        else:
            fields[name] = value
            if self.fields is not fields:
                self._late(name, value)

    def _late(self, name: str, value: object) -> None:
        with self.keys.lock:  # until seal() has made its copy
            if value is None or self.record.get(name) is value:
                return
        _report_late(name)


def _report_late(name: str) -> None:
    sentence = (
        f"The field {name!r} was added after its event had ended, and is not in the line. Work that goes on after the "
        f"response belongs in an event of its own: with wideevents.event(...)."
    )
    health.report(Fault.LATE_WRITE, name, sentence)


def _number(amount: object, name: str) -> int | float:
    number = plain(amount, bool) if type(amount) is not int else _bounded(amount)
    if type(number) in {int, float}:
        return number  # type: ignore[return-value]
    sentence = f"The counter {name!r} was to grow by something that is no number; it stays as it is."
    health.report(Fault.BAD_VALUE, name, sentence)
    return 0


def _grow(fields: dict[str, Any], name: str, number: float) -> None:
    """
    Add to a number, under the lock of its event, and lose nothing that a signal handler adds to it meanwhile.

    The handler runs in this very thread, which the lock lets in. CPython looks for signals at calls and jumps alone, so
    that none comes between the last look and the write.
    """
    while True:
        before = fields.get(name, 0)
        after = _sum(before, number)
        if (fields[name] if name in fields else 0) is before:  # noqa: SIM401 - a call would let a signal in
            fields[name] = after
            return


def _sum(before: Any, number: float) -> int | float:
    """Add to what may be no number yet; a whole sum beyond 64 bits goes on as a float, and none becomes infinite."""
    if type(before) not in {int, float}:
        return number
    total: int | float = before + number
    return _bounded(total)


def _bounded(number: float) -> int | float:
    if -INT64 <= number <= INT64:
        return number
    return float(max(-LARGEST, min(LARGEST, number)))
