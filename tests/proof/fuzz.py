"""
Try anything: `python -m tests.proof.fuzz --examples 100000`.

The face, by a state machine with a model; the heads of requests, by WSGI and ASGI, beside the same application without
us; query strings with secrets in them. The tests run the same for a moment, with examples that are always the same.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable
from urllib.parse import unquote_plus

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

import wideevents
from tests.proof.exchanges import compare, watched
from tests.proof.heads import BROKEN_ENVIRONS, BROKEN_SCOPES, ENVIRONS, SCOPES, SCRIPTS, Script
from tests.proof.machine import Face
from tests.proof.queries import Query, queries
from wideevents.redaction import Redaction
from wideevents.sinks.memory import MemorySink

proxies = st.integers(0, 2)


def face(chosen: settings) -> None:
    """Do anything with the face, in any order."""
    run_state_machine_as_test(Face, settings=settings(chosen, stateful_step_count=30))


def heads(kind: str, what: st.SearchStrategy[dict[str, object]]) -> Callable[[settings], None]:
    """Return what serves requests of a *kind* with any head, beside the same without us."""

    def run(chosen: settings) -> None:
        with watched() as sink:

            @chosen
            @given(SCRIPTS, what, proxies)
            def serve(script: Script, head: dict[str, object], behind: int) -> None:
                compare(sink, kind, script, head, behind)

            serve()

    return run


def asked(chosen: settings) -> None:
    """Ask with query strings, in which secrets stand: none is told, and all else is."""
    redaction = Redaction()

    @chosen
    @given(queries())
    def ask(query: Query) -> None:
        shown = redaction.query(query.text)
        decoded = shown
        for _ in range(4):
            assert not any(secret in decoded for secret in query.secrets), f"{query.text} became {shown}"
            decoded = unquote_plus(decoded)
        assert all(mark in shown for mark in query.marks), f"{query.text} became {shown}"

    ask()


PROPERTIES: dict[str, Callable[[settings], None]] = {
    "the face": face,
    "wsgi": heads("wsgi", ENVIRONS),
    "asgi": heads("asgi", SCOPES),
    "wsgi, broken": heads("wsgi", BROKEN_ENVIRONS),
    "asgi, broken": heads("asgi", BROKEN_SCOPES),
    "queries": asked,
}


def chosen(examples: int, *, always: bool) -> settings:
    """Return how to run: so many *examples*, *always* the same ones or each time others."""
    return settings(
        max_examples=examples,
        derandomize=always,
        deadline=None,
        database=None,
        print_blob=False,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )


def main() -> int:
    """Run for long, and tell what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.proof.fuzz", description=__doc__)
    parser.add_argument("--examples", type=int, default=10_000)
    parser.add_argument("--only", default="", help="what begins like this")
    given = parser.parse_args()
    logging.getLogger("wideevents").setLevel(logging.CRITICAL)  # what it has to say of all this
    wideevents.configure(service="fuzz", output=MemorySink(), logging=False)
    bad = 0
    for name, run in PROPERTIES.items():
        if not name.startswith(given.only):
            continue
        began = time.monotonic()
        try:
            run(chosen(given.examples, always=False))
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            notes = "\n".join(getattr(error, "__notes__", ()))
            print(f"{name}: {type(error).__name__}: {error}\n{notes}")
            bad += 1
        else:
            print(f"{name}: {given.examples:,} examples in {time.monotonic() - began:.0f} s", flush=True)
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
