"""Say what runs: the service, its release, the process and the host."""

from __future__ import annotations

import os
import platform
import socket
import uuid
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

VALUE_LENGTH = 128
"""Characters of a value; these fields stand on every line, and a line must hold them all within 2,048 bytes."""

REVISIONS = ("SOURCE_COMMIT", "GIT_COMMIT", "GITHUB_SHA", "CI_COMMIT_SHA", "HEROKU_SLUG_COMMIT", "RENDER_GIT_COMMIT")
"""Where builders and platforms leave the commit."""


def named(
    service: str | None, version: str | None, environment: str | None, owner: str | None
) -> dict[str, str | None]:
    """Return what code says of the service, by the names of the fields."""
    return {
        "service.name": service,
        "service.version": version,
        "deployment.environment.name": environment,
        "owner.team": owner,
    }


def describe(given: Mapping[str, str | None], environ: Mapping[str, str], folder: Path | None = None) -> dict[str, str]:
    """
    Return the fields of the service that never change while it runs.

    What is *given* in code goes before the environment: `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` (its names are
    OpenTelemetry's), the commit where builders leave it; then the Git checkout that *folder* stands in.
    """
    found = {
        "service.name": "unknown_service",  # the default that OpenTelemetry asks for
        "host.name": socket.gethostname(),
        "process.runtime.version": platform.python_version(),
        **attributes(environ.get("OTEL_RESOURCE_ATTRIBUTES", "")),
    }
    if environ.get("OTEL_SERVICE_NAME"):
        found["service.name"] = environ["OTEL_SERVICE_NAME"]
    if "vcs.ref.head.revision" not in found:
        commit = next((environ[name] for name in REVISIONS if environ.get(name)), None) or revision(folder)
        found.update({"vcs.ref.head.revision": commit} if commit else {})
    found.update({name: value for name, value in given.items() if value is not None})
    return {name: value[:VALUE_LENGTH] for name, value in found.items()}


def identify(resource: Mapping[str, str]) -> dict[str, str | int]:
    """Add what is true of this process alone; a forked child asks again."""
    return {"service.instance.id": str(uuid.uuid4()), **resource, "process.pid": os.getpid()}


def attributes(text: str) -> dict[str, str]:
    """
    Read `OTEL_RESOURCE_ATTRIBUTES`: `name=value` pairs behind commas, percent-encoded.

    Only the names of our field table are taken, since the variable is shared with other tools. What is malformed is
    left out.
    """
    pairs = (part.partition("=") for part in text.split(","))
    read = {name.strip(): unquote(value.strip()) for name, _, value in pairs if value.strip()}
    return {name: value for name, value in read.items() if name in NAMES}


NAMES = frozenset(
    {
        "service.name",
        "service.version",
        "service.instance.id",
        "deployment.environment.name",
        "host.name",
        "vcs.ref.head.revision",
    }
)


def revision(folder: Path | None) -> str | None:
    """
    Return the commit of the Git checkout around *folder*, by default the working directory, or None.

    Files are read; git itself need not be there.
    """
    try:
        start = folder or Path.cwd()
        place = next((place for place in (start, *start.parents) if (place / ".git").exists()), None)
        if place is None:
            return None
        git = _directory(place / ".git")
        reference = (git / "HEAD").read_text().strip()
        kind, _, name = reference.partition(" ")
        return reference if kind != "ref:" else _resolved(git, name)
    except (OSError, ValueError):  # gone, unreadable, or no text
        return None


def _directory(git: Path) -> Path:
    """Follow the file that stands for the directory in a linked worktree and in a submodule."""
    return git if git.is_dir() else git.parent / git.read_text().strip().removeprefix("gitdir: ")


def _resolved(git: Path, name: str) -> str | None:
    """Look a branch up in the directory that worktrees share, also where `git gc` puts it: rows of commit and name."""
    shared = git / "commondir"
    common = git / shared.read_text().strip() if shared.exists() else git
    if (common / name).exists():
        return (common / name).read_text().strip()
    rows = (common / "packed-refs").read_text().splitlines()
    return next((row.partition(" ")[0] for row in rows if row.endswith(f" {name}")), None)
