"""Print the header by which a request asks to be kept, signed with the secret in WIDEEVENTS_KEEP_SECRET."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace

from wideevents.cli.applications import refuse
from wideevents.cli.durations import duration
from wideevents.errors import ConfigurationError
from wideevents.signatures import HEADER, SECRET, Signer

VALIDITY = 900.0
"""Seconds: time enough to look at one thing."""


def add_arguments(parser: ArgumentParser) -> None:
    """Say what the command takes: no secret, which others would see in the list of processes."""
    parser.epilog = 'curl -H "$(python -m wideevents keep --for 15m)" https://shop.example/checkout'
    parser.add_argument(
        "--for",
        dest="seconds",
        type=duration,
        default=VALIDITY,
        metavar="TIME",
        help="how long it is good: 90s, 15m, 2h, at most 7d (default: 15m)",
    )


def run(options: Namespace) -> int:
    """Print the header as one line, and return the exit status."""
    try:
        signer = Signer.of(None, os.environ)
        if signer is None:
            raise ConfigurationError(
                f"There is no secret to sign with. Set {SECRET} to the one that the application has."
            )
        header = f"{HEADER}: {signer.sign(options.seconds)}"
    except ConfigurationError as error:
        return refuse("keep", error)
    sys.stdout.write(f"{header}\n")
    return 0
