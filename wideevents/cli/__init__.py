"""The commands: `python -m wideevents COMMAND`."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from importlib import import_module

COMMANDS = {
    "alert": "post what calls somebody straight from the log to Alertmanager",
    "alerts": "write what Prometheus and Alertmanager need to call the right person",
    "doctor": "find what goes wrong with the lines of an application",
    "keep": "print the header by which a request asks to be kept",
    "recover": "write the events that were in progress when their process was killed",
    "tail": "show JSON logs to people, as they are written",
}
"""
The name of every command, which is that of its room, and what it does.

A room has `add_arguments(parser)`, and `run(options)`, which returns the exit status. Only the room of the command that
is asked for is imported, since another one may need an extra that is not installed.
"""

INTERRUPTED = 130  # what a shell says of a command that Ctrl-C ended


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the command that *argv* names, by default the arguments of the process, and return its exit status.

    Raise `SystemExit` for arguments that cannot be used, and after `--help`.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    name = _parser().parse_args(given[:1]).command
    try:
        command = import_module(f"wideevents.cli.{name}")
    except ImportError as missing:
        sys.stderr.write(f"wideevents {name}: {missing}\n")
        return 1
    parser = ArgumentParser(f"wideevents {name}", description=command.__doc__)
    command.add_arguments(parser)
    options = parser.parse_args(given[1:])
    try:
        status: int = command.run(options)
        if sys.stdout is not None:  # closed by whoever started us
            sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever read has seen enough
        _let_go_of_stdout()
        return 0
    return status


def _parser() -> ArgumentParser:
    width = max(len(name) for name in COMMANDS)
    table = "\n".join(f"  {name:<{width}}  {summary}" for name, summary in COMMANDS.items())
    parser = ArgumentParser(
        "wideevents",
        epilog=f"commands:\n{table}\n\n`wideevents COMMAND --help` tells more.",
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="one of those below")
    return parser


def _let_go_of_stdout() -> None:
    """Send what is still buffered nowhere: Python would complain when it flushes at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
