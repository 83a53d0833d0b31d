"""Write with loguru, serialised: a dictionary is collected, and bound at the end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from loguru import logger

from tests.bench.applications import Fields, Hooks, collecting
from tests.bench.events import Groups

INSIDE = ("record", "extra")


def use(path: Path) -> None:
    """Write to the file at *path* alone, with the message as the text: the default one has colours to parse."""
    logger.remove()
    logger.add(path, serialize=True, format="{message}", level="INFO")


def event(path: Path) -> Callable[[Groups], None]:
    use(path)

    def write(groups: Groups) -> None:
        fields: Fields = {}
        for group in groups:
            fields.update(group)
        logger.bind(**fields).info("checkout")

    return write


def hooks(path: Path) -> Hooks:
    use(path)
    return collecting(lambda fields: logger.bind(**fields).info("request"))
