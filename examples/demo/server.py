"""Run the shop under gunicorn for as long as a block lasts."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from examples.demo.errors import DemoError

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "examples" / "flask_app" / "gunicorn_conf.py"
HOST = "127.0.0.1"
STOP_S = 15
NEEDED = ("flask", "gunicorn", "orjson", "wideevents")
FOREIGN = ("GUNICORN_", "LOG_LEVEL", "OTEL_", "SENTRY_", "SHOP_", "WIDEEVENTS_")


@contextmanager
def running(folder: Path, events: Path) -> Iterator[int]:
    """Give the port that the shop listens on; its database, and what gunicorn prints at first, go to *folder*."""
    require(NEEDED)
    with open_socket() as listener, Path(folder, "printed.log").open("wb") as log:
        process = start(listener, environment(folder, events), log.fileno())
        port: int = listener.getsockname()[1]
    try:
        yield port
    except OSError as error:
        raise DemoError(
            f"The shop does not answer ({error}). gunicorn said last: {last_words(folder, events)}"
        ) from error
    finally:
        stop(process)


def require(packages: tuple[str, ...]) -> None:
    missing = [package for package in packages if not find_spec(package)]
    if missing:
        raise DemoError(f"Not installed: {', '.join(missing)}. `make demo` installs what the demo needs.")


def open_socket() -> socket.socket:
    """
    Listen on a free port.

    gunicorn inherits the socket: nobody can take the port in between, and early requests wait until it is ready.
    """
    try:
        return socket.create_server((HOST, 0), backlog=128)
    except OSError as error:
        raise DemoError(f"No port can be opened on {HOST}: {error}.") from error


def environment(folder: Path, events: Path) -> dict[str, str]:
    """Return the environment without settings that are meant for the reader's own services."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}

    return own | {
        "SHOP_DATABASE": str(folder / "shop.sqlite3"),
        "SHOP_ENVIRONMENT": "demo",
        "SHOP_RECOMMENDATIONS_FAILURE_RATE": "0.1",
        "SHOP_RECOMMENDATIONS_SEED": "7",
        "WIDEEVENTS_OUTPUT": str(events),
    }


def start(listener: socket.socket, environ: dict[str, str], log: int) -> subprocess.Popen[bytes]:
    bind = f"fd://{listener.fileno()}"
    command = [sys.executable, "-m", "gunicorn", "--config", str(CONFIG), "--bind", bind]

    return subprocess.Popen(
        command, cwd=ROOT, env=environ, stdout=log, stderr=log, pass_fds=[listener.fileno()], start_new_session=True
    )


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired as error:
        process.kill()
        process.wait()
        raise DemoError(f"gunicorn did not stop within {STOP_S} s of SIGTERM.") from error


def last_words(folder: Path, events: Path) -> str:
    """Return why gunicorn failed: the exception that it logged, or what it printed before it had a log."""
    said = Path(folder, "printed.log").read_text(errors="replace").split()
    lines = [json.loads(line) for line in events.read_bytes().splitlines()] if events.exists() else []
    broken = [
        line["exception.message"]
        for line in lines
        if line.get("log.logger") == "gunicorn.error" and line["level"] == "error" and "exception.message" in line
    ]

    return next(reversed(broken), " ".join(said) or "nothing")
