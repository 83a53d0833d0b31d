"""
Measure what an event adds to a request of Flask and of Starlette: ours, the peers', and the least that writes a line.

Run `python -m tests.bench.in_process`. Every contender runs in a process of its own, in interleaved rounds, and is
called as a server does it; its lines are parsed, and all eight fields must be there.
"""

from __future__ import annotations

from tests.bench import goals
from tests.bench.contenders import FLASK, ROUNDS, STARLETTE, ahead, measure, taking_part
from tests.bench.flask_request import FIELDS
from tests.bench.goals import Goal
from tests.bench.report import Table, show

REQUESTS = 400

NOTE = f"""\
Microseconds of processor time that a request takes, all threads, and what of it the contender added to the bare \
application: the median of {ROUNDS} interleaved rounds, one process for each contender. The handler adds \
{len(FIELDS)} fields; each line was parsed, and has them. What has an integration uses it: {{integrations}}. The \
others write one line at the end, by {{hooks}}, with method, path, status and duration; "our fields" means that it \
also has the fields that a line of ours has by default, as constants, and fresh ids. sentry-sdk traces nothing, drops \
what it would send, and writes no line: what it adds is what its integration costs a request that is well."""

NOTES = {
    FLASK: NOTE.format(
        integrations="OpenTelemetry, Logfire, sentry-sdk",
        hooks="before_request and after_request (the floor, and widelog-py, which knows no WSGI, by a wrapper)",
    ),
    STARLETTE: NOTE.format(
        integrations="OpenTelemetry (without its spans of messages), Logfire, sentry-sdk, widelog-py",
        hooks="a pure ASGI middleware",
    ),
}

GOALS = {FLASK: Goal("Flask, us added", 28, 20), STARLETTE: Goal("Starlette, us added", 16, 10)}


def of_kind(kind: str) -> tuple[Table, dict[str, float]]:
    """Return the table of the requests of *kind*, and the microseconds that each contender adds."""
    taken, bytes_ = measure(kind, len(FIELDS), REQUESTS)
    added = {name: each - taken["bare"] for name, each in taken.items()}
    rows = [("nothing", f"{taken['bare']:.1f}", "", "", "", "")]
    rows += [
        (
            each.title,
            f"{taken[each.name]:.1f}",
            f"{added[each.name]:.1f}",
            f"{added[each.name] / added['plain']:.2f}",
            f"{added[each.name] / added['wideevents']:.2f}",
            f"{bytes_[each.name]:,}" if each.name in bytes_ else "",
        )
        for each in taking_part(kind)
        if each.name != "bare"
    ]
    columns = ("contender", "us", "us added", "times the floor", "times wideevents", "bytes")
    return Table(f"A request in {kind.title()}", NOTES[kind], columns, tuple(rows)), added


def run() -> tuple[Table, ...]:
    """Measure requests of both frameworks."""
    measured = {kind: of_kind(kind) for kind in (FLASK, STARLETTE)}
    reached = [(GOALS[kind], added["wideevents"]) for kind, (_, added) in measured.items()]
    found = [added for _, added in measured.values()]
    return *(table for table, _ in measured.values()), goals.table("a request", [*reached, *ahead("a request", found)])


if __name__ == "__main__":
    show(run())
