"""What holds for every file of the package."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pytest_wideevents
import wideevents

PACKAGE = Path(wideevents.__file__).parent
PLUGIN = Path(pytest_wideevents.__file__)
FILES = [*sorted(PACKAGE.rglob("*.py")), PLUGIN]
LINES_OF_A_ROOM = 400
LINES_OF_A_FUNCTION = 40

SWALLOWERS = {"pipeline.py": 3, "values.py": 1, "health.py": 1, "hooks.py": 1, "attempts.py": 1}
"""
Telemetry never breaks the work it watches (the pipeline), no value costs an event (the values), nor a sentence (health,
hooks), and what a foreign application raises is a finding (the doctor's attempts).
"""

HANDING_ON = {"wrapping.py": 2}
"""What a consumer throws into a generator is thrown into the one that is wrapped: it is caught, and goes on."""

every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE.parent).as_posix())


def nodes(path: Path, *kinds: type[ast.AST]) -> Iterator[Any]:
    """Yield the nodes of *kinds* in the file at *path*."""
    yield from (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds))


def functions(path: Path) -> Iterator[Any]:
    """Yield the functions and methods of the file at *path*."""
    yield from nodes(path, ast.FunctionDef, ast.AsyncFunctionDef)


def length(function: ast.FunctionDef) -> int:
    """Return the lines of *function* without those of its docstring, which may have much to say."""
    first = function.body[0]
    documented = ast.get_docstring(function) is not None
    return function.end_lineno - function.lineno + 1 - (first.end_lineno - first.lineno + 1 if documented else 0)  # type: ignore[operator]


def is_broad(handler: ast.ExceptHandler) -> bool:
    """Tell whether *handler* catches everything."""
    named = [] if handler.type is None else [node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)]
    return handler.type is None or not {"Exception", "BaseException"}.isdisjoint(named)


def raises_again(handler: ast.ExceptHandler) -> bool:
    """Tell whether *handler* ends by raising what it caught."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


class TestFloors:
    def test_imports_run_down_and_only_the_doors_know_a_framework(self) -> None:
        """The contracts in setup.cfg are kept; `lint-imports` says which import breaks one."""
        # In a process of its own, since it configures logging and takes our loggers out of use.
        lint = Path(sys.executable).with_name("lint-imports")
        done = subprocess.run([lint, "--no-cache"], cwd=PACKAGE.parent, capture_output=True, text=True, check=False)

        assert done.returncode == 0, done.stdout


class TestFiles:
    @every_file
    def test_a_file_begins_with_one_line_about_itself(self, path: Path) -> None:
        """It says what the room is for, in a sentence."""
        documentation = ast.get_docstring(ast.parse(path.read_text())) or ""
        summary, _, rest = documentation.partition("\n")

        assert summary.endswith("."), summary
        assert not rest or rest.startswith("\n"), "an empty line follows the summary"

    @every_file
    def test_a_room_is_not_too_large(self, path: Path) -> None:
        """Who enters can look around."""
        lines = len(path.read_text().splitlines())

        assert lines <= LINES_OF_A_ROOM

    @every_file
    def test_no_function_is_too_long(self, path: Path) -> None:
        """It can be read without scrolling; there is no list of excuses."""
        too_long = {each.name: length(each) for each in functions(path) if length(each) > LINES_OF_A_FUNCTION}

        assert too_long == {}

    @every_file
    def test_no_import_is_hidden_in_a_function(self, path: Path) -> None:
        """What a room needs stands at its top, and fails there if it is missing."""
        hidden = [
            each.name
            for each in functions(path)
            for node in ast.walk(each)
            if isinstance(node, ast.Import | ast.ImportFrom)
        ]

        assert hidden == []


class TestErrors:
    def test_few_places_swallow_whatever_is_raised(self) -> None:
        """Each has its reason; anywhere else a bug would be hidden."""
        found: Counter[str] = Counter()
        for path in FILES:
            broad = [each for each in nodes(path, ast.ExceptHandler) if is_broad(each) and not raises_again(each)]
            found.update({path.relative_to(PACKAGE.parent).name: len(broad)} if broad else {})

        assert found == SWALLOWERS | HANDING_ON

    def test_suppressing_names_what_it_suppresses(self) -> None:
        """`suppress(Exception)` is a broad except by another name."""
        calls = [
            node for path in FILES for node in nodes(path, ast.Call) if ast.unparse(node.func).endswith("suppress")
        ]

        assert [
            ast.unparse(call) for call in calls if {"Exception", "BaseException"} & {ast.unparse(a) for a in call.args}
        ] == []


class TestNames:
    def test_rooms_are_called_by_what_they_are(self) -> None:
        """A room called utils has everything in it."""
        vague = {"utils", "util", "helpers", "helper", "common", "consts", "constants", "misc", "base"}

        assert set() == {path.stem for path in FILES} & vague

    def test_classes_are_called_by_what_they_are(self) -> None:
        """A Manager manages what nobody could name."""
        names = [each.name for path in FILES for each in nodes(path, ast.ClassDef)]

        assert [name for name in names if name.endswith(("Manager", "Helper", "Util", "Utils", "Base"))] == []
