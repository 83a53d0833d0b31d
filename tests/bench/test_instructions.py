"""What an event costs in instructions is written down, and no change raises it unseen."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bench import cachegrind, instructions
from tests.bench.instructions import (
    ALONE,
    FIGURES,
    PACKAGES,
    Build,
    Record,
    added,
    held,
    judge,
    measure,
    names,
    read,
    rendered,
    table,
    written,
)
from tests.parts import missing

HELD = ("Flask", "ASGI")
"""What is counted here; the others are as the lines below them."""

MORE = (1, 2)
"""The layouts that are counted too where the first alone is not well: it may be that."""

HERE = Build("3.11.2 (main) [GCC]", {"flask": "3.1.3"})
OTHER = Build("3.11.9 (main) [GCC]", {"flask": "3.1.3"})


def entry(flask: int, *why: str, **parts: str) -> dict[str, Any]:
    """Return what is written down of one build."""
    return {"why": [*why], "parts": parts or {"flask": "3.1.3"}, "instructions": {"Flask": flask}}


RECORD: Record = {HERE.python: entry(100_000), "3.11.7 (main) [GCC]": entry(120_000), "3.13.0 (main)": entry(200_000)}


def wrong(counts: list[dict[str, float]]) -> list[str]:
    """Return what is wrong with the median of *counts*, in sentences."""
    middle = {figure: statistics.median(added(each, figure) for each in counts) for figure in HELD}
    return [told for figure, each in middle.items() if (told := judge(read(), Build.here(), figure, each))]


class TestFigures:
    def test_a_request_takes_no_more_instructions_than_are_written_down(self) -> None:
        """Who raises a figure lowers it again, or writes down why; who lowers one writes it down, so that it stays."""
        if cachegrind.installed() is None:
            missing("valgrind")

        first = measure(HELD, [0])
        if wrong(first) and (told := wrong([*first, *measure(HELD, MORE)])):
            pytest.fail("\n".join(told), pytrace=False)


class TestCounting:
    def test_a_count_has_two_children_of_its_own(self, tmp_path: Path) -> None:
        """One does the work N times and one 2N times; their lines are there, and checked."""
        told = cachegrind._run(
            [sys.executable, "-m", cachegrind.__name__, instructions.CASES, "0", "2", "ASGI"], str(tmp_path)
        )

        name, once, twice = told.split()
        assert name == "ASGI"
        assert once != twice
        assert (tmp_path / "lines.jsonl").read_bytes().count(b"\n") == cachegrind.WARM + 2 + 4

    def test_what_cannot_be_counted_says_why(self, tmp_path: Path) -> None:
        """The error of the process is told, and not valgrind's own lines."""
        command = [sys.executable, "-c", "import sys; sys.exit('==1== Cachegrind\\nno such case')"]

        with pytest.raises(RuntimeError, match=r"failed:\nno such case$"):
            cachegrind._run(command, str(tmp_path))

    def test_a_child_that_fails_is_no_figure(self, tmp_path: Path) -> None:
        """Half the work would be counted as all of it."""
        script = "from tests.bench.cachegrind import forked; forked(lambda number: 1 / (number - 2), 2)"

        with pytest.raises(RuntimeError, match=r"(?s)ZeroDivisionError.*ended with 1"):
            cachegrind._run([sys.executable, "-c", script], str(tmp_path))

    def test_a_layout_moves_what_comes_after_it(self) -> None:
        """Each takes up more memory than the one before; the first takes none."""
        assert [len(cachegrind.displaced(layout)) for layout in range(3)] == [0, 37, 74]

    def test_what_is_added_is_beyond_the_bare_request(self) -> None:
        """An event outside any request is beyond nothing."""
        counted = {"Flask": 450_000.0, "Flask, bare": 300_000.0, ALONE[0]: 200_000.0}

        assert [names(figure) for figure in ("Flask", ALONE[0])] == [("Flask", "Flask, bare"), (ALONE[0],)]
        assert [added(counted, figure) for figure in ("Flask", ALONE[0])] == [150_000, 200_000]


class TestJudging:
    @pytest.mark.parametrize("counted", [97_000, 100_000, 101_000])
    def test_a_figure_may_lie_near_what_is_written_down(self, counted: int) -> None:
        """Up to 1 % above, which the layout of the memory may be, and up to 3 % below."""
        assert judge(RECORD, HERE, "Flask", counted) == ""

    def test_a_higher_figure_is_lowered_or_explained(self) -> None:
        """The sentence says by how much it is too high, and how it is written down."""
        told = judge(RECORD, HERE, "Flask", 101_100)

        assert told.startswith("Flask: 101,100 instructions; 100,000 are written down (+1.1%). Lower the cost")
        assert told.endswith('--write --why "...".')

    def test_a_lower_figure_is_to_be_written_down(self) -> None:
        """Else the next change may give it back, and nobody sees."""
        told = judge(RECORD, HERE, "Flask", 96_900)

        assert told.endswith("(-3.1%). That is better: write it down, so that it stays so: " + instructions.WRITE + ".")

    @pytest.mark.parametrize("counted", [50_000, 137_900])
    def test_a_build_that_was_not_measured_is_held_to_the_highest_like_it(self, counted: int) -> None:
        """Another compiler makes other instructions: 15 % more than the highest of the same minor version are well."""
        assert held(RECORD, OTHER, "Flask") == (120_000, False)
        assert judge(RECORD, OTHER, "Flask", counted) == ""

    def test_what_no_build_explains_is_told_there_too(self) -> None:
        """It is not held to less than others, and not to nothing."""
        assert "Lower the cost; or, if it is this build's own" in judge(RECORD, OTHER, "Flask", 138_100)

    def test_other_packages_are_another_build(self) -> None:
        """A new Flask is no fault of a change here."""
        upgraded = Build(HERE.python, {"flask": "3.2.0"})

        assert held(RECORD, upgraded, "Flask") == (120_000, False)
        assert judge(RECORD, upgraded, "Flask", 101_100) == ""

    def test_a_new_minor_version_is_held_to_the_highest_of_all(self) -> None:
        """Where nothing is written down at all, nothing is held."""
        newest = Build("3.14.0 (main)", {})

        assert held(RECORD, newest, "Flask") == (200_000, False)
        assert judge({}, newest, "Flask", 10**9) == ""


class TestWriting:
    def test_a_new_build_stands_beside_the_others(self) -> None:
        """In their order, with a line that says what it is."""
        record = written(RECORD, OTHER, {"Flask": 110_000}, None)

        assert list(record) == sorted([*RECORD, OTHER.python])
        assert record[OTHER.python] == entry(110_000, "The first figures of this build.")
        assert {python: record[python] for python in RECORD} == RECORD

    def test_a_figure_may_be_lowered_without_a_word(self) -> None:
        """What was said before stays."""
        record = written({HERE.python: entry(100_000, "First.")}, HERE, {"Flask": 90_000}, None)

        assert record == {HERE.python: entry(90_000, "First.")}

    def test_a_figure_that_has_risen_needs_a_reason(self) -> None:
        """It is refused without one."""
        with pytest.raises(ValueError, match=r"Flask from 100,000 to 101,100: say what that buys"):
            written(RECORD, HERE, {"Flask": 101_100}, None)

    def test_the_reason_stands_in_the_record(self) -> None:
        """With what it was for."""
        record = written(RECORD, HERE, {"Flask": 110_000}, "it tells the weather")

        assert record[HERE.python] == entry(110_000, "Flask from 100,000 to 110,000: it tells the weather")

    def test_the_record_is_whole(self) -> None:
        """Every build has all figures, what they were measured with, and a line that explains them."""
        record = read()

        assert instructions.RECORD.read_text() == rendered(dict(sorted(record.items())))
        for python, each in record.items():
            assert each["instructions"].keys() == FIGURES.keys(), python
            assert {"machine", "libc", *PACKAGES} == each["parts"].keys(), python
            assert each["why"], python

    def test_the_table_tells_the_median_and_the_spread(self) -> None:
        """Of the layouts that were counted."""
        counts = [
            {name: 1_000.0 + more * (name in FIGURES) for figure in FIGURES for name in names(figure)}
            for more in (100, 102, 110)
        ]

        assert table(counts).rows[0][1:5] == ("1,000", "1,102", "102", "9.80%")
