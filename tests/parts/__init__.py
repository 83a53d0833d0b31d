"""
Find the real servers that errors and alerts are tested with, and run them on loopback.

`make parts` installs them. Where one is missing its tests are skipped; with WIDEEVENTS_PARTS=required they fail.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn
from urllib.request import ProxyHandler, Request, build_opener

import pytest

from tests.integrations.servers import PATIENCE, ROOT, environment, eventually

PROGRAMS = {
    "alertmanager": ("prometheus-alertmanager", "alertmanager"),
    "amtool": ("amtool",),
    "prometheus": ("prometheus",),
    "promtool": ("promtool",),
    "redis-server": ("redis-server",),
    "valgrind": ("valgrind",),
}
"""What each is called: Debian gives Alertmanager a name of its own."""

BUGSINK = ROOT / ".parts" / "bugsink"
"""The environment that Bugsink has to itself; its stamp is there when the installation has gone through."""

OPENER = build_opener(ProxyHandler({}))
"""What a proxy in the environment is not asked for: the servers are on loopback."""


def need(name: str) -> Path:
    """
    Return the program of a part, one of PROGRAMS, or of bugsink, the Python that has it.

    Skip the test where it is not installed, or fail where WIDEEVENTS_PARTS=required.
    """
    if name == "bugsink":
        python = BUGSINK / "bin" / "python"
        return python if (BUGSINK / ".installed").exists() else missing(name)
    names = PROGRAMS[name.removeprefix("prometheus-")]
    found = next(filter(None, map(shutil.which, names)), None)
    return Path(found) if found else missing(name)


def missing(name: str) -> NoReturn:
    """Skip the test that needs a part, or fail it where all parts are required."""
    told = f"{name} is not installed: make parts installs it"
    if os.environ.get("WIDEEVENTS_PARTS") == "required":
        pytest.fail(told, pytrace=False)
    pytest.skip(told)


@dataclass
class Part:
    """A server that was started here, and the file that it logs to."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        """What it has logged so far."""
        return self.log.read_text(errors="replace")

    def once(self, look: Callable[[], Any], what: str) -> Any:
        """Return what *look* gives as soon as that is true; fail at once if the server has ended."""

        def alive() -> Any:
            assert self.process.poll() is None, (
                f"{self.log.stem} ended while {what} was waited for: {self.said[-2_000:]}"
            )
            return look()

        return eventually(alive, f"{what}; {self.log.stem} said: {self.said[-2_000:]}")


@contextmanager
def started(folder: Path, *command: object, descriptors: tuple[int, ...] = (), **environ: str) -> Iterator[Part]:
    """Run a server in *folder*, and end it, with every process that it started."""
    log = folder / f"{Path(str(command[0])).name}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=folder,
            env=environment(**environ),
            pass_fds=descriptors,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        yield Part(process, log)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # it leads a session of its own, so these are its children
        process.wait(PATIENCE)


def ask(url: str, body: Any = None, **headers: str) -> Any:
    """Return the JSON that a server answers, or its text; with *body*, post that as JSON."""
    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data, {"Content-Type": "application/json", **headers})
    with OPENER.open(request, timeout=PATIENCE) as response:
        answer = response.read()
        is_json = response.headers.get_content_type() == "application/json"
        return json.loads(answer) if is_json and answer else answer.decode()
