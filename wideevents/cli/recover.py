"""Write a line for each event that was in progress when its process was killed, from a flight recorder's directory."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Set
from pathlib import Path

from wideevents import config
from wideevents.cli.applications import refuse
from wideevents.cli.files import lines
from wideevents.errors import ConfigurationError
from wideevents.flight import Flight
from wideevents.flight.written import written
from wideevents.outputs import JSON

STDOUT = "-"


def add_arguments(parser: ArgumentParser) -> None:
    """Say what the command takes."""
    parser.epilog = (
        "Processes that are still alive are left alone. Exit status: 0 where all was written, 2 where nothing was done."
    )
    add = parser.add_argument
    add("directory", metavar="DIR", help="what configure(flight=DIR) was given")
    add(
        "--output",
        metavar="FILE",
        help="where the lines go, and where an event may have its line already: a file to append to, or - for the "
        "standard output (default: WIDEEVENTS_OUTPUT, or -)",
    )
    add("--lines", nargs="+", default=[], metavar="FILE", help="more files whose events are passed over, also .gz ones")


def run(options: Namespace) -> int:
    """Write the lines, and return the exit status."""
    try:
        if not Path(options.directory).is_dir():
            raise ConfigurationError.of("DIR", options.directory, "the directory of a flight recorder")
        for path in options.lines:
            open(path, "rb").close()
        config.configure(output=_output(options.output), logging=False, threads=False)
        flight = Flight(options.directory)
    except (ConfigurationError, OSError) as error:
        return refuse("recover", error)
    count = flight.recover(config.recorder(), known=lambda asked: set(_known(options.lines, asked)))
    sys.stderr.write(f"wideevents recover: {count:,} {'event' if count == 1 else 'events'}\n")
    return 0


def _output(given: str | None) -> str | None:
    return JSON if given == STDOUT else given


def _known(paths: list[str], asked: Set[str]) -> Iterator[str]:
    for path in paths:
        yield from written(lines(path), asked)
