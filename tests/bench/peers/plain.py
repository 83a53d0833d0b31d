"""Do the least that writes a line: a dictionary, orjson, one os.write."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from tests.bench.applications import Fields, Hooks, collecting
from tests.bench.events import Groups
from tests.bench.flask_request import Plain


def appended(path: Path) -> int:
    """Open the file at *path* to append to it."""
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def event(path: Path) -> Callable[[Groups], None]:
    descriptor = appended(path)

    def write(groups: Groups) -> None:
        fields: Fields = {}
        for group in groups:
            for key, value in group.items():
                fields[key] = value
        os.write(descriptor, orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE))

    return write


def flask(path: Path) -> Any:
    return Plain(appended(path))


def hooks(path: Path) -> Hooks:
    descriptor = appended(path)
    return collecting(lambda fields: os.write(descriptor, orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)))
