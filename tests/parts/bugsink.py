"""Run Bugsink: a Sentry server that is real, and somebody's own."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.integrations.servers import environment
from tests.parts import Part, ask, need, started

SETTINGS = """
from bugsink.settings.default import *

SECRET_KEY = "not a secret: it signs the sessions of a server that nobody else reaches, and that ends with the tests"
ALLOWED_HOSTS = ["127.0.0.1"]
for name, database in DATABASES.items():
    database["NAME"] = {folder!r} + f"/{{name}}.sqlite3"
SNAPPEA = {{"TASK_ALWAYS_EAGER": True}}
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
BUGSINK = {{
    "BASE_URL": {url!r},
    "SINGLE_USER": True,
    "SINGLE_TEAM": True,
    "PHONEHOME": False,
    "INGEST_STORE_BASE_DIR": {folder!r} + "/ingest",
    "MAX_EVENTS_PER_5_MINUTES": 1_000_000,
    "MAX_EVENTS_PER_HOUR": 1_000_000,
    "MAX_EVENTS_PER_PROJECT_PER_5_MINUTES": 1_000_000,
    "MAX_EVENTS_PER_PROJECT_PER_HOUR": 1_000_000,
}}
"""

PREPARATION = """
import json
import django

django.setup()

from django.core.management import call_command

call_command("migrate", verbosity=0)
call_command("migrate", database="snappea", verbosity=0)

from bsmain.models import AuthToken
from teams.models import Team

print(json.dumps({"team": str(Team.objects.create(name="tests").id), "token": AuthToken.create_full_access().token}))
"""

LONG = 120
"""Seconds that the preparation may take; it takes six where nothing else runs."""


@dataclass
class Project:
    """One project of the server: what is sent to its *dsn* stands in its *events*."""

    server: Bugsink
    id: str
    dsn: str

    def events(self) -> list[dict[str, Any]]:
        """
        Return all events that are stored, in the order in which they came; each is what was sent, complete.

        An event stands there when its request has been answered: nothing is put off.
        """
        issues = self.server.pages(f"issues/?project={self.id}")
        found = [event for issue in issues for event in self.server.pages(f"events/?issue={issue['id']}")]
        found.sort(key=lambda event: event["digested_at"])
        return [self.server.get(f"events/{event['id']}/")["data"] for event in found]

    def everything(self) -> bytes:
        """Return all that the server has stored on the disk, of this project and all others."""
        return self.server.everything()


class Bugsink:
    """
    A running server.

    A test takes a `project()` of its own, so that none sees another's events.
    """

    def __init__(self, url: str, folder: Path, token: str, team: str) -> None:
        self.url = url
        self.folder = folder
        self._authorization = {"Authorization": f"Bearer {token}"}
        self._team = team
        self._numbers = count(1)

    def project(self) -> Project:
        """Create a project that is empty."""
        made = self.get("projects/", {"team": self._team, "name": f"project {next(self._numbers)}"})
        return Project(self, made["id"], self.get(f"projects/{made['id']}/")["dsn"])

    def get(self, path: str, body: Any = None) -> Any:
        """Ask the server's API; with *body*, post that."""
        return ask(path if "://" in path else f"{self.url}/api/canonical/0/{path}", body, **self._authorization)

    def pages(self, path: str) -> list[Any]:
        """Return the results on all pages of a list."""
        page = self.get(path)
        found: list[Any] = page["results"]
        while page["next"]:
            page = self.get(page["next"])
            found += page["results"]
        return found

    def everything(self) -> bytes:
        """Return all that the server has stored on the disk, its databases and its log included."""
        return b"\0".join(path.read_bytes() for path in sorted(self.folder.rglob("*")) if path.is_file())


def prepare(python: Path, folder: Path, **environ: str) -> dict[str, str]:
    """Make the databases, a team, and a token; return their names."""
    made = subprocess.run(
        [python, "-c", PREPARATION],
        cwd=folder,
        env=environment(**environ),
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )
    assert made.returncode == 0, f"Bugsink could not be prepared: {made.stderr[-2_000:]}"
    prepared: dict[str, str] = json.loads(made.stdout.splitlines()[-1])
    return prepared


@contextmanager
def serving(folder: Path) -> Iterator[Bugsink]:
    """Run a server that keeps all it knows in *folder*."""
    python = need("bugsink")
    settings, store = folder / "settings", folder / "store"
    settings.mkdir()
    store.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        (settings / "bugsink_conf.py").write_text(SETTINGS.format(folder=str(store), url=url))
        environ = {"PYTHONPATH": str(settings), "DJANGO_SETTINGS_MODULE": "bugsink_conf", "SENTRY_DSN": ""}
        prepared = prepare(python, folder, **environ)
        command = [python.with_name("gunicorn"), f"--bind=fd://{listening.fileno()}", "--threads=4"]
        command += ["--no-control-socket", "bugsink.wsgi"]
        with started(store, *command, descriptors=(listening.fileno(),), **environ) as part:
            part.once(lambda: is_ready(part, url), "Bugsink to be ready")
            yield Bugsink(url, store, prepared["token"], prepared["team"])


def is_ready(part: Part, url: str) -> bool:
    """Tell whether the server answers; the socket listens already, so that it does as soon as it can."""
    return "Booting worker" in part.said and isinstance(ask(f"{url}/health/ready"), dict | str)


@pytest.fixture(scope="session")
def bugsink_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bugsink]:
    """Give a Bugsink that runs as long as the tests do, one for each worker that needs it."""
    with serving(tmp_path_factory.mktemp("bugsink")) as server:
        yield server


@pytest.fixture
def bugsink(bugsink_server: Bugsink) -> Project:
    """Give a project that is empty."""
    return bugsink_server.project()
