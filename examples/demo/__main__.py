"""Run the whole demo: `python -m examples.demo`, from the root of the project."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from examples.demo import lines, screen, server, summary
from examples.demo.browser import Browser, Sent
from examples.demo.customers import NAMES, SECRETS, crowd
from examples.demo.errors import DemoError

EVENTS = Path("events.jsonl")


def main() -> int:
    try:
        sent = shop_for_a_while()
        written = lines.read(EVENTS)
        events = lines.events(written)
        show(events)
        lines.check(sent, events)
        lines.check_logged(written)
        lines.check_secrets(EVENTS, SECRETS)
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr, flush=True)

        return 1
    conclude(sent, events, len(written) - len(events))

    return 0


def shop_for_a_while() -> list[Sent]:
    EVENTS.unlink(missing_ok=True)
    print(f"Starting the shop under gunicorn, and sending {len(NAMES)} customers ...", flush=True)
    started = perf_counter()
    with TemporaryDirectory() as folder, server.running(Path(folder), EVENTS.absolute()) as port:
        doorman = Browser(port, "ready")
        doorman.send("GET", "/healthz", quiet=True)
        sent = doorman.sent + crowd(port)
    print(f"{len(sent)} requests, and the server has stopped, after {perf_counter() - started:.1f} s.")

    return sent


def show(events: list[lines.Line]) -> None:
    for name, line in summary.examples(events).items():
        screen.title(f"{name}: {len(line)} fields")
        screen.show_event(line)
    screen.title("by route")
    screen.show_routes(events)
    screen.title("by status")
    screen.show_counts(summary.by_status(events))
    screen.title("by level, and whom it calls")
    screen.show_counts(summary.by_level(events), summary.urgencies(events))
    screen.title("the slowest request")
    screen.show_slowest(summary.slowest(events))


def conclude(sent: list[Sent], events: list[lines.Line], logged: int) -> None:
    quiet = [request for request in sent if request.quiet]
    kept = {line["http.request.id"] for line in events} & {request.id for request in quiet}
    screen.title("what was checked")
    lines_told = f"{len(events) + logged} lines in {EVENTS}"
    print(f"  {lines_told}: every one is strict JSON, and holds no password and no card number.")
    print(f"  {logged} were logged, by the shop and by gunicorn: those of a request name its event.")
    print(
        f"  {len(sent) - len(quiet)} requests were sent: each left exactly one event, with the status its sender saw."
    )
    print(
        f"  {len(quiet)} quiet requests (health checks, static files) leave one only if they fail or are slow:"
        f" {len(kept)} did."
    )


if __name__ == "__main__":
    sys.exit(main())
