"""What the face of the package promises."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import wideevents

PACKAGE = Path(wideevents.__file__).parent
HEAVY = (
    *("flask", "werkzeug", "django", "starlette", "celery", "structlog", "sentry_sdk", "duckdb", "asyncio", "pytest"),
    *("prometheus_client", "yaml", "rich", "ssl", "http.client"),
)


def imported_by(statement: str) -> set[str]:
    """Return the modules that *statement* imports in a Python of its own, beyond those that it begins with."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", statement], capture_output=True, text=True, timeout=60, check=True
    )
    return {match[1] for match in re.finditer(r"^import time:\s+\d+ \|\s+\d+ \|\s+(\S+)$", done.stderr, re.MULTILINE)}


def imports_of(path: Path) -> set[str]:
    """Return the modules that a file of ours names in its imports, as dotted paths of what could be meant."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


class TestNames:
    def test_they_are_sorted_and_at_most_twenty(self) -> None:
        """A person can read the whole face at once."""
        assert sorted(wideevents.__all__) == wideevents.__all__
        assert len(wideevents.__all__) == len(set(wideevents.__all__)) <= 20

    def test_they_are_complete(self) -> None:
        """What can be reached without an underscore is offered, and what is offered can be reached."""
        modules = {name for name, value in vars(wideevents).items() if inspect.ismodule(value)}
        public = {
            name for name in vars(wideevents) if not name.startswith("_") and name not in modules | {"annotations"}
        }

        assert public == set(wideevents.__all__)

    @pytest.mark.parametrize("name", wideevents.__all__)
    def test_each_says_what_it_is_for(self, name: str) -> None:
        """`help(wideevents.add_field)` is where people look first."""
        documentation = getattr(wideevents, name).__doc__

        assert documentation
        assert documentation.strip().splitlines()[0].endswith((".", ":"))

    def test_the_version_is_that_of_the_distribution(self) -> None:
        """One place says which release this is."""
        assert version("wideevents") == wideevents.__version__

    def test_its_types_are_for_everybody(self) -> None:
        """A type checker reads the annotations of an installed package only where this file is (PEP 561)."""
        assert (PACKAGE / "py.typed").exists()


class TestImports:
    def test_nothing_heavy_is_imported(self) -> None:
        """The face costs a script that uses none of the integrations next to nothing."""
        modules = imported_by("import wideevents")

        assert "wideevents" in modules
        assert set() == {name for name in modules if name.partition(".")[0] in HEAVY}

    def test_no_integration_and_no_test_room_is_imported(self) -> None:
        """The doors are imported by name, by who needs them."""
        modules = imported_by("import wideevents")

        assert set() == {name for name in modules if name.startswith(("wideevents.integrations", "wideevents.testing"))}

    def test_nobody_inside_imports_the_face(self) -> None:
        """It stands above all rooms: a room that imports it imports itself."""
        importers = {
            path.relative_to(PACKAGE).as_posix()
            for path in PACKAGE.rglob("*.py")
            if path != PACKAGE / "__init__.py"
            and imports_of(path) & {"wideevents", *(f"wideevents.{name}" for name in wideevents.__all__)}
        }

        assert set() == importers
