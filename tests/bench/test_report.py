"""What was measured is printed, and written down with what was aimed at."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench import __main__ as command
from tests.bench import goals
from tests.bench.goals import Goal
from tests.bench.report import NO_REASON, Table, document, grid, machine, markdown, show, versions

FOLDER = Path(command.__file__).parent
TABLE = Table("One event", "In microseconds.", ("contender", "us"), (("a | b", "1.50"), ("wideevents", "12.25")))
AIMED = goals.table("one event", [(Goal("40 fields", 5, 4), 6.5), (Goal("8 fields", 5, 4), 4.5)])


class TestPrinting:
    def test_columns_stand_below_each_other(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Names to the left, figures to the right."""
        show([TABLE])

        assert capsys.readouterr().out == (
            "\nOne event\n\nIn microseconds.\n\ncontender      us\na | b        1.50\nwideevents  12.25\n"
        )

    def test_a_table_is_a_section_of_markdown(self) -> None:
        """What is a bar in a cell is none of the table's."""
        assert markdown(TABLE) == (
            "## One event\n\nIn microseconds.\n\n"
            "| contender | us |\n| --- | ---: |\n| a \\| b | 1.50 |\n| wideevents | 12.25 |\n"
        )


class TestDocument:
    def test_all_goals_stand_together(self) -> None:
        """With what they must, the stretch, what was measured, and what was reached, before any other table."""
        told = document([TABLE, AIMED], {}, {}, [])

        assert (
            "| one event: 40 fields | 5 | 4 | 6.50 | missed |\n| one event: 8 fields | 5 | 4 | 4.50 | must |\n" in told
        )
        assert told.index("## Goals") < told.index("## Machine and versions") < told.index("## One event")
        assert "Goals: one event" not in told

    def test_a_goal_that_is_missed_says_why(self) -> None:
        """The reasons are written by hand, and stay when the benchmarks run again."""
        told = document([AIMED], {}, {"40 fields": "Values are scanned.", "8 fields": "It is met."}, [])

        assert told.count("- **") == 1
        assert "- **one event: 40 fields** (6.50, and not 5): Values are scanned.\n" in told

    def test_a_reason_that_is_missing_is_seen(self) -> None:
        """Nobody takes a goal for met that nobody explained."""
        assert f"(6.50, and not 5): {NO_REASON}\n" in document([AIMED], {}, {}, [])

    def test_without_a_goal_that_is_missed_there_is_nothing_to_explain(self) -> None:
        """The section is left out."""
        assert "What was missed" not in document([TABLE], {}, {}, [])

    def test_what_could_not_be_measured_is_told(self) -> None:
        """A table that is not there is not taken for one that nobody wrote."""
        assert "**sentry could not be measured.**" in document([TABLE], {}, {}, ["sentry"])

    def test_the_machine_and_the_versions_are_told(self) -> None:
        """A time says nothing without the processor that took it."""
        told = document([TABLE], versions(["flask", "orjson", "no-such-package"]), {}, [])

        assert [*machine()] == ["date", "processor", "cores", "kernel", "C library", "Python"]
        assert grid(("", ""), machine().items()) in told
        assert all(machine().values())
        assert "| flask | 3" in told
        assert "no-such-package" not in told


class TestCommand:
    def test_every_benchmark_is_run(self) -> None:
        """Whatever offers `run` is one."""
        offering = {
            path.stem
            for path in FOLDER.glob("*.py")
            for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.FunctionDef) and node.name == "run"
        }

        assert set(command.BENCHMARKS) == offering

    def test_a_benchmark_that_is_not_there_is_refused(self) -> None:
        """It says which there are."""
        asked = [sys.executable, "-m", "tests.bench", "nonsense"]

        done = subprocess.run(asked, cwd=FOLDER.parents[1], capture_output=True, text=True, check=False)

        assert done.returncode == 2
        assert "there is no benchmark nonsense" in done.stderr

    def test_tables_come_back_from_a_process_as_they_were(self, tmp_path: Path) -> None:
        """They are left in a file, as JSON."""
        command.write(tmp_path / "tables.json", [TABLE, AIMED])

        assert command.read(tmp_path / "tables.json") == (TABLE, AIMED)

    def test_all_are_run_and_written_down(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each in a process of its own; one that fails costs no other."""
        monkeypatch.setattr(command, "BENCHMARKS", ("nonsense", "exception"))

        failed = command.run_all(tmp_path / "RESULTS.md")

        told = (tmp_path / "RESULTS.md").read_text()
        assert failed == ["nonsense"]
        assert "**nonsense could not be measured.**" in told
        assert "## An exception" in told
        assert "| wideevents | " in told
