"""Run what an order goes through, on loopback, for as long as a block lasts."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from examples.chain.errors import ChainError
from examples.demo import lines
from examples.demo.server import HOST, ROOT, open_socket

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from examples.demo.lines import Line

T = TypeVar("T")

PATIENCE_S = 30
FOREIGN = ("CELERY_", "CHAIN_", "GUNICORN_", "LOG_LEVEL", "OTEL_", "SENTRY_", "UVICORN_", "WIDEEVENTS_")
READY = " ready."
"""What the worker says when it begins to work."""

REDIS = ("--port", "0", "--save", "", "--appendonly", "no")
GUNICORN = ("gunicorn", "--no-control-socket", "--bind=fd://{fd}", "--threads=2")
UVICORN = ("uvicorn", "--fd={fd}", "--no-access-log")
CELERY = ("celery", "-A", "examples.chain.tasks", "worker", "--concurrency=1", "--without-gossip", "--without-mingle")


class Chain:
    """The processes that an order goes through; all of them write their lines to one file."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "events.jsonl"
        self._folder = folder
        self.environ = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)} | {
            "CELERY_BROKER_URL": f"redis+socket://{folder / 'redis'}",
            "PYTHONPATH": str(ROOT),
            "WIDEEVENTS_OUTPUT": str(self.path),
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def probe(self) -> None:
        """Place one order."""
        command = [sys.executable, "-m", "examples.chain.probe"]
        done = subprocess.run(command, cwd=self._folder, env=self.environ, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ChainError(f"The order was not taken: {self._last_words(done.stderr)}")

    def told(self) -> list[Line]:
        """Return the events so far; a line that is just being written is none yet."""
        whole, end, _ = self.path.read_bytes().rpartition(b"\n") if self.path.exists() else (b"", b"", b"")
        return [lines.parse(line) for line in whole.split(b"\n")] if end else []

    def events(self, number: int) -> list[Line]:
        """Wait for *number* events, and return them."""
        return self.wait(lambda: lines.events(self.told()), f"{number} events", number)

    def wait(self, look: Callable[[], list[T]], what: str, number: int = 1) -> list[T]:
        """Return what *look* gives as soon as there is enough of it; raise `ChainError` if somebody has given up."""
        deadline = time.monotonic() + PATIENCE_S
        while len(found := look()) < number:
            for name, process in self.processes.items():
                if process.poll() is not None:
                    said = self._log(name).read_text(errors="replace")
                    raise ChainError(f"{name} has ended. It said last: {self._last_words(said)}")
            if time.monotonic() > deadline:
                raise ChainError(f"Waited {PATIENCE_S} s for {what}; there are {len(found)}.")
            time.sleep(0.02)
        return found

    def serve(self, name: str, *command: str) -> None:
        """Start a server of the web on a port that is free, and let the others know its address."""
        with open_socket() as listener:
            self.environ[f"CHAIN_{name.upper()}"] = f"http://{HOST}:{listener.getsockname()[1]}"
            self.start(name, sys.executable, "-m", *command, f"examples.chain.{name}:app", listener=listener)

    def start(self, name: str, *command: str, listener: socket.socket | None = None) -> None:
        """Start a process; it inherits the socket that it listens at, so that nobody can take the port in between."""
        inherited = [] if listener is None else [listener.fileno()]
        with self._log(name).open("wb") as log:
            self.processes[name] = subprocess.Popen(
                [part.format(fd=inherited[0]) if inherited else part for part in command],
                cwd=self._folder,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=inherited,
                start_new_session=True,
            )

    def stop(self) -> None:
        """End everything that was started here, what came last first, and whatever it has started itself."""
        for process in reversed(self.processes.values()):
            process.terminate()
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)  # it leads a session of its own, so these are its children
                process.wait()

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def _last_words(self, printed: str) -> str:
        """Return why a process failed: the exception that was logged, or what it *printed* before it had a log."""
        broken = [str(line["exception.message"]) for line in self.told() if "exception.message" in line]
        return next(reversed([*printed.splitlines()[-1:], *broken]), "nothing")


@contextmanager
def running(folder: Path) -> Iterator[Chain]:
    """Give the chain, all of whose processes are ready."""
    redis = shutil.which("redis-server")
    if redis is None:
        raise ChainError("redis-server is not installed: apt-get install redis-server, or brew install redis.")
    chain = Chain(folder)
    with ExitStack() as stack:
        stack.callback(chain.stop)
        chain.start("redis", redis, *REDIS, "--unixsocket", str(folder / "redis"), "--dir", str(folder))
        chain.wait(lambda: list(folder.glob("redis")), "the socket of redis")
        chain.serve("ledger", *GUNICORN)
        chain.start("worker", sys.executable, "-m", *CELERY, "--loglevel=info")
        chain.serve("pricing", *UVICORN)
        chain.serve("front", *GUNICORN)
        chain.wait(lambda: [line for line in chain.told() if str(line.get("message")).endswith(READY)], "the worker")
        yield chain
