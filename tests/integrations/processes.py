"""Run a real process for a test, and read both of its streams as strictly as lines can be read."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from tests.integrations.servers import PATIENCE, environment, eventually, parse_any

HOST = "127.0.0.1"

Fields = dict[str, Any]


@dataclass
class Running:
    """A process that was started here, and the files that its streams go to."""

    process: subprocess.Popen[bytes]
    port: int
    folder: Path

    @property
    def out(self) -> list[bytes]:
        """The lines of its standard output so far, the last one whole or not."""
        return (self.folder / "out").read_bytes().splitlines(keepends=True)

    @property
    def err(self) -> list[bytes]:
        """The lines of its standard error so far."""
        return (self.folder / "err").read_bytes().splitlines(keepends=True)

    @property
    def lines(self) -> list[Fields]:
        """The fields of all lines of both streams."""
        return [parse_any(line) for line in self.out + self.err]

    def said(self, text: str, *, times: int = 1) -> None:
        """Wait until *text* stands in its standard output."""
        eventually(lambda: b"".join(self.out).count(text.encode()) >= times, f"{text!r} in {self.folder}/out")

    def get(self, path: str) -> int:
        """Ask for *path*, and return the status; 0 where no answer comes."""
        connection = HTTPConnection(HOST, self.port, timeout=PATIENCE)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            response.read()
            return response.status
        except (OSError, HTTPException):
            return 0
        finally:
            connection.close()

    def send(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def stop(self, number: int = signal.SIGTERM) -> list[Fields]:
        """Let it end, and return all that it wrote."""
        self.send(number)
        return self.ended()

    def ended(self) -> list[Fields]:
        """Wait until it has ended by itself, and return all that it wrote."""
        self.process.wait(PATIENCE)
        return self.lines


@contextmanager
def running(folder: Path, *command: str, **environ: str) -> Iterator[Running]:
    """Run Python with the arguments *command*, where {fd} is a socket that listens, and {port} a free port."""
    with (
        socket.create_server((HOST, 0)) as listening,
        (folder / "out").open("wb") as out,
        (folder / "err").open("wb") as err,
    ):
        port = listening.getsockname()[1]
        inherits = any("{fd}" in part for part in command)
        if not inherits:
            listening.close()
        process = subprocess.Popen(
            [sys.executable, *(part.format(fd=listening.fileno(), port=port) for part in command)],
            pass_fds=[listening.fileno()] if inherits else [],
            cwd=folder,
            env=environment(OTEL_SERVICE_NAME="served", **environ),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
    try:
        yield Running(process, port, folder)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # it leads a session of its own, so these are its children
        process.wait(PATIENCE)


def events(lines: list[Fields]) -> list[Fields]:
    """Return those that are events."""
    return [line for line in lines if "event.kind" in line]


def logged(lines: list[Fields], logger: str) -> list[str]:
    """Return what a logger said."""
    return [line["message"] for line in lines if line.get("log.logger") == logger]


def doubled(lines: list[Fields]) -> list[Any]:
    """Return what one process said twice at the same time."""
    said = Counter((line["process.pid"], line["timestamp"], line["message"]) for line in lines if "message" in line)
    return [each for each, times in said.items() if times > 1]


def stop(server: Running) -> list[Fields]:
    """Stop the server, check that nothing went past the stream or came twice, and return the lines."""
    lines = server.stop()
    assert server.err == []
    assert doubled(lines) == []
    return lines
