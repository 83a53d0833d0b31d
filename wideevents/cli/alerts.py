"""Write what Prometheus and Alertmanager need to call the right person, from the settings of an application."""

from __future__ import annotations

import shlex
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path

from wideevents import config
from wideevents.alerts.files import ROUTING, RULES, TESTS, files
from wideevents.alerts.routing import repeated_after
from wideevents.alerts.rules import kept_for, written
from wideevents.alerts.settings import Alerts
from wideevents.cli.applications import refuse, required
from wideevents.doctor.applications import FORMS, make
from wideevents.errors import ConfigurationError
from wideevents.legible import harmless

CHANGED = 1
"""The exit status of --check where a file is not as it would be written."""

RETENTION = timedelta(hours=120)
"""For so long Alertmanager remembers by default what it has told."""

STORAGE = timedelta(days=15)
"""For so long Prometheus stores by default what it has recorded."""


def add_arguments(parser: ArgumentParser) -> None:
    """Say what the command takes."""
    add = parser.add_argument
    parser.epilog = "Exit status: 0 where all is well, 1 where --check found a difference, 2 where nothing was done."
    add(
        "--app",
        metavar="APP",
        help=f"whose settings: {FORMS}; what it gives to wideevents.configure(alerts=...) counts",
    )
    add("--out", metavar="DIR", required=True, help="where the files go; it is made if it is not there")
    add("--check", action="store_true", help="write nothing, and tell whether the files in DIR are up to date")


def run(options: Namespace) -> int:
    """Write the files, or check them, and return the exit status."""
    streams = sys.stdout, sys.stderr
    try:
        make(required(options.app, "whose alerts are they?"))
        made = files(config.alerts(), config.service())
    except (ConfigurationError, ImportError) as error:
        sys.stdout, sys.stderr = streams
        return refuse("alerts", error)
    sys.stdout, sys.stderr = streams  # an application may have put its own in their place
    folder = Path(options.out)
    try:
        return _check(folder, made) if options.check else _write(folder, made)
    except OSError as error:
        return refuse("alerts", error)


def _write(folder: Path, made: Mapping[str, str]) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in made.items():
        (folder / name).write_bytes(text.encode())
    _say(told(config.alerts(), config.service(), folder))
    return 0


def _check(folder: Path, made: Mapping[str, str]) -> int:
    """Tell which files are not as they would be written, so that a build fails where somebody forgot to."""
    stale = [folder / name for name, text in made.items() if _content(folder / name) != text.encode()]
    _say([f"{path} is not up to date: run the command again, without --check." for path in stale])
    if not stale:
        _say([f"The files in {folder} are up to date."])
    return CHANGED if stale else 0


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def told(alerts: Alerts, service: str, folder: Path) -> Iterator[str]:
    """Yield what was written, what it means for people, and how to check it, in rows."""
    rules, tests, routing = (shlex.quote(str(folder / name)) for name in (RULES, TESTS, ROUTING))
    yield f"Wrote the alerts of {service} to {folder}: {RULES}, {TESTS} and {ROUTING}."
    yield "Errors ring at once, at any time."
    hours, longest = alerts.hours, written(kept_for(alerts))
    yield f"Warnings are delivered {hours.hours} ({hours.tz}), and kept for that {longest} if they have to."
    if teams := sorted({*alerts.owners.values()} - {*alerts.receivers}):
        yield f"Without a receiver of their own: {', '.join(teams)}. The default receiver gets what is theirs."
    if alerts.default is None:
        yield "There is no default receiver: what is nobody's goes to all of them. Alerts(default=...) changes that."
    if (again := repeated_after(alerts)) > RETENTION:
        yield f"Run Alertmanager with --data.retention={written(again)} or more, or it tells things twice."
    if (kept := kept_for(alerts)) > STORAGE:
        yield f"Run Prometheus with --storage.tsdb.retention.time={written(kept)} or more, or it forgets warnings."
    yield "Check them:"
    yield f"  promtool check rules {rules}"
    yield f"  promtool test rules {tests}"
    yield f"  amtool check-config {routing}"


def _say(rows: Iterable[str]) -> None:
    if sys.stdout is not None:  # closed by whoever started us
        sys.stdout.write("".join(f"{harmless(row)}\n" for row in rows))
