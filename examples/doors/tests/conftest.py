"""Start an example by the line in its docstring, for as long as a block lasts."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.integrations.processes import HOST, Running, running
from tests.integrations.servers import PATIENCE, eventually, parse_any
from tests.parts.redis import redis_server  # noqa: F401 - a fixture

T = TypeVar("T")

DOORS = Path(__file__).parents[1]
COMMAND = re.compile(r"^(?:Start it|Send a \w+) with `([^`]+)`\.", re.MULTILINE)

SERVED_AT = {"gunicorn": ("--bind=fd://{fd}", "--no-control-socket"), "uvicorn": ("--port={port}",)}
"""What a server of the web is told of its socket, which goes behind the line."""

MODULES = {"rq": "rq.cli"}
"""What a command is called as a module, where that is another name."""


def commands(example: str) -> list[str]:
    """Return the lines that the docstring of an example says it is started with."""
    return COMMAND.findall(ast.get_docstring(ast.parse((DOORS / f"{example}.py").read_text())) or "")


@dataclass
class Started:
    """An example that runs."""

    process: Running

    @property
    def lines(self) -> list[dict[str, Any]]:
        """All lines so far, each read strictly; a server also says what is no line."""
        written = self.process.out + self.process.err
        return [parse_any(line) for line in written if line.startswith(b"{") and line.endswith(b"\n")]

    def events(self, number: int = 1) -> list[dict[str, Any]]:
        """Wait for so many events, and return them."""

        def found() -> list[dict[str, Any]]:
            events = [line for line in self.lines if "event.kind" in line]
            return events if len(events) >= number else []

        return self._wait(found, f"{number} events")

    def get(self, path: str) -> tuple[int, bytes]:
        """Ask for *path* as soon as somebody listens, and return the status and the body."""
        return self._wait(lambda: self._answers(path), "an answer")[0]

    def _wait(self, look: Callable[[], list[T]], what: str) -> list[T]:
        try:
            return eventually(look, what)
        except AssertionError as waited:
            said = b"".join(self.process.out + self.process.err)[-2_000:].decode(errors="replace")
            raise AssertionError(f"{waited}; it said: {said}") from None

    def _answers(self, path: str) -> list[tuple[int, bytes]]:
        connection = HTTPConnection(HOST, self.process.port, timeout=PATIENCE)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return [(response.status, response.read())]
        except (OSError, HTTPException):
            return []
        finally:
            connection.close()


Start = Callable[..., AbstractContextManager[Started]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Give a function that runs a command of an example."""

    @contextmanager
    def run(command: str, **environ: str) -> Iterator[Started]:
        program, *rest = shlex.split(command)
        arguments = rest if program == "python" else ["-m", MODULES.get(program, program), *rest]
        folder = tmp_path / program
        folder.mkdir()
        with running(folder, *arguments, *SERVED_AT.get(program, ()), **environ) as process:
            yield Started(process)

    return run
