"""Post what calls somebody straight from the log to Alertmanager, without Prometheus."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
import zlib
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import takewhile
from math import inf

from wideevents.alerts.delivery import Alertmanager, Courier
from wideevents.alerts.direct import Alert, read_alert, seconds
from wideevents.alerts.outbox import Lifetimes, Outbox
from wideevents.cli.dialects import Row, read
from wideevents.cli.durations import duration, is_duration
from wideevents.cli.files import STDIN, Follower, followed, lines
from wideevents.errors import ConfigurationError
from wideevents.hours import BusinessHours
from wideevents.legible import harmless

INTERVAL = 0.2
"""Seconds between two looks at a file."""

PARTING = 2.0
"""Seconds in which is delivered what is left when Ctrl-C ends it."""

SHOWN = 5
"""Alerts that are named when they were not delivered."""

OPENING = 7200.0
"""Seconds that a warning is kept beyond: Alertmanager looks every `group_interval`, and clocks are set back an hour."""

KEEP = BusinessHours("mon-fri 09:00-17:00").longest_closed.total_seconds() + OPENING


def add_arguments(parser: ArgumentParser) -> None:
    """Say what the command takes."""
    parser.epilog = "Exit status: 0 where all was delivered, 1 where something was not, or a file could not be read."
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument(
        "--alertmanager", type=target, metavar="URL", help="where Alertmanager is: http://127.0.0.1:9093"
    )
    where.add_argument("--dry-run", action="store_true", help="print the alerts, and post none")
    add = parser.add_argument
    add("files", nargs="*", metavar="FILE", help="a file, also a .gz one; - or none is the standard input")
    add("-f", "--follow", action="store_true", help="go on as the files grow, are rotated, or appear")
    add(
        "--since",
        type=since,
        metavar="WHEN",
        help="only what happened since: 90s, 15m, 2h, 1d, or 2026-11-21T22:00Z "
        "(default: all; with -f as long ago as --quiet)",
    )
    add(
        "--quiet",
        type=duration,
        default=300.0,
        metavar="TIME",
        help="an error resolves when it has not happened for so long (default: 5m)",
    )
    add(
        "--keep",
        type=duration,
        default=KEEP,
        metavar="TIME",
        help="a warning is kept for so long: more than the "
        f"longest time that the business hours are closed (default: {KEEP / 3600:.0f}h)",
    )
    add(
        "--timeout",
        type=duration,
        default=30.0,
        metavar="TIME",
        help="try so long to deliver at the end (default: 30s)",
    )


def run(options: Namespace) -> int:
    """Post what calls somebody; return 1 if something was not delivered, or a file could not be read, else 0."""
    with _stopped_by_sigterm():
        return Forwarding(options).run()


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Let SIGTERM, by which a service is stopped, end the command as Ctrl-C does: what waits is delivered first."""
    if threading.current_thread() is not threading.main_thread():  # signals are the main one's
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def target(text: str) -> Alertmanager:
    """Read the URL of Alertmanager; raise `ArgumentTypeError` for one that cannot be used."""
    try:
        return Alertmanager.at(text)
    except ConfigurationError as error:
        raise ArgumentTypeError(str(error)) from error


def since(text: str) -> float:
    """Read a moment, or how long ago it was, as seconds since the epoch; raise `ArgumentTypeError` for all else."""
    if is_duration(text):
        return time.time() - duration(text)
    found = seconds(text)
    if found is None:
        raise ArgumentTypeError(f"{text!r} is no time such as 90s, 15m, 2h, 1d or 2026-11-21T22:00Z")
    return found


class Forwarding:
    """Read the files in their order, then follow those that grow; whoever is called is called at once."""

    def __init__(self, options: Namespace) -> None:
        self._options = options
        self._files: list[str] = options.files or [STDIN]
        self._since: float = -inf if options.since is None else options.since
        self._outbox = Outbox(Lifetimes(options.quiet, options.keep), time.time)
        self._courier: Courier | None = None
        self._status = 0
        self._illegible = 0

    def run(self) -> int:
        """Read to the end, deliver what is left, and return the exit status."""
        target: Alertmanager | None = self._options.alertmanager
        if target is not None:
            self._courier = Courier(self._outbox, target, _say)
        try:
            self._read()
        except KeyboardInterrupt:
            self._finish(min(PARTING, self._options.timeout))
            raise
        self._finish(self._options.timeout)
        return self._status

    def _read(self) -> None:
        begin = self._begin if self._options.follow else None
        with followed(self._files, begin, lambda path: self._forward(path, lines(path))) as growing:
            while growing:
                time.sleep(INTERVAL)
                for path, follower in growing.items():
                    self._forward(path, follower.poll())

    def _begin(self, path: str, follower: Follower) -> None:
        """Take up what has happened lately in a file that is to be followed, if it is there."""
        try:
            there = follower.begin()
        except FileNotFoundError:
            _say(f"{harmless(path)} is not there yet; waiting for it")
            return
        except OSError as error:
            self._complain(path, error)
            return
        since = time.time() - self._options.quiet if self._options.since is None else self._since
        # The last line comes first: one that is too old ends it, since all before are older.
        lately = takewhile(lambda row: happened(row) >= since, self._rows(path, there))
        self._send(reversed([row for row in lately if calls(row)]))

    def _forward(self, path: str, source: Iterable[bytes]) -> None:
        self._send(row for row in self._rows(path, source) if happened(row) >= self._since)

    def _rows(self, path: str, source: Iterable[bytes]) -> Iterator[Row]:
        """Read lines, and count what is no JSON; the reading may end in a complaint, but in nothing else."""
        try:
            for row in map(read, source):
                if row.fields is not None:
                    yield row
                elif row.raw.strip():
                    self._illegible += 1
        except (OSError, EOFError, zlib.error) as error:
            self._complain(path, error)

    def _send(self, rows: Iterable[Row]) -> None:
        for row in rows:
            alert = read_alert(row.fields or {}, time.time())
            if alert is None:
                continue
            if self._courier is not None:
                self._courier.send(alert)
            elif self._outbox.add(alert):
                self._print()

    def _print(self) -> None:
        """Show new alerts as they would be posted, and take them for delivered."""
        batch = self._outbox.take()
        for posted in self._outbox.posted(batch):
            sys.stdout.write(json.dumps(posted) + "\n")
        sys.stdout.flush()
        self._outbox.delivered(batch)

    def _finish(self, seconds: float) -> None:
        """Deliver what is left in so many seconds, and tell what was not delivered, and not read."""
        if self._illegible:
            _say(
                f"passed over {counted(self._illegible, 'line')} that {'is' if self._illegible == 1 else 'are'} no JSON"
            )
        left = [] if self._courier is None else self._courier.close(seconds)
        if left:
            _say(undelivered(left, str(self._options.alertmanager)))
        if self._outbox.lost:
            _say(f"{counted(self._outbox.lost, 'alert')} could not be kept: too many waited to be delivered")
        if left or self._outbox.lost or self._outbox.refused:
            self._status = 1

    def _complain(self, path: str, error: Exception) -> None:
        name = "the standard input" if path == STDIN else harmless(path)
        _say(f"{name} cannot be read ({getattr(error, 'strerror', None) or error})")
        self._status = 1


def calls(row: Row) -> bool:
    """Tell whether a line calls somebody."""
    return read_alert(row.fields or {}, 0.0) is not None


def happened(row: Row) -> float:
    """Return when a line was written, in seconds since the epoch: an event when it ended. What is untold is to come."""
    fields = row.fields or {}
    began, lasted = seconds(fields.get("timestamp")), fields.get("duration_ms")
    return inf if began is None else began + lasted / 1000 if isinstance(lasted, int | float) else began


def undelivered(alerts: list[Alert], target: str) -> str:
    """Say what was not delivered; the first few by their names."""
    named = "; ".join(alert.summary for alert in alerts[:SHOWN])
    more = f"; and {len(alerts) - SHOWN} more" if len(alerts) > SHOWN else ""
    return f"{counted(len(alerts), 'alert')} could not be delivered to {target}: {named}{more}"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _say(sentence: str) -> None:
    sys.stderr.write(f"wideevents alert: {sentence}\n")
    sys.stderr.flush()
