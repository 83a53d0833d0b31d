"""What is measured in one process does what it says: it runs, its lines are whole, and what is left out is left out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bench import cachegrind, growth, imports, sampled_out, shares, timing
from wideevents import Level, add_error, add_field, current
from wideevents.hiding import CLEAN_LIMIT
from wideevents.recorder import Recorder, Transaction

CARD = "4111 1111 1111 1111"
LONG = "x" * 5_000
SEPARATOR = "\u2028"

pytestmark = pytest.mark.usefixtures("reconfigurable")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Let the test run in a directory of its own."""
    before = Path.cwd()
    os.chdir(tmp_path)
    yield tmp_path
    os.chdir(before)


def told(recorder: Recorder, add: Callable[[], Any]) -> str:
    """Return what *recorder* writes of an event to which *add* adds something."""
    with Transaction(lambda: recorder, "page", "task", {}):
        add()
    lines = shares.LINES.read_text()
    shares.LINES.write_text("")
    return lines


def lower() -> None:
    event = current()
    assert event is not None
    event.level = Level.DEBUG


LEFT_OUT: tuple[tuple[str, Callable[[], Any], str], ...] = (
    ("redaction of values", lambda: add_field("note", CARD), CARD),
    ("redaction of keys", lambda: add_field("password", "hunter2"), "hunter2"),
    ("trimming", lambda: add_field("note", LONG), LONG),
    ("trimming and escapes", lambda: add_field("note", SEPARATOR), SEPARATOR),
    ("alerts", lambda: add_error(ValueError()), "alert.fingerprint"),
    ("gate", lower, "event.name"),
    ("fields of service and process", int, "service.name"),
    ("write to a file, not to /dev/null", int, "event.name"),
    ("write", int, "event.name"),
)
"""What is added to an event, and what is then in its line either with a part or without it, and not both ways."""


class TestTiming:
    def test_every_work_has_its_rounds(self) -> None:
        """And one before them, which warms up and is not counted."""
        done: list[str] = []

        taken = timing.interleaved({"a": lambda: done.append("a"), "b": lambda: done.append("b")}, rounds=3)

        assert sorted(done) == ["a"] * 4 + ["b"] * 4
        assert {*done[:2]} == {*done[2:4]} == {"a", "b"}
        assert taken.keys() == {"a", "b"}
        assert min(taken.values()) > 0

    def test_what_warms_up_is_not_counted(self) -> None:
        """The first time takes as long as it likes."""
        beginning = iter([2_000_000])

        taken = timing.interleaved({"a": lambda: sum(range(next(beginning, 0)))}, rounds=1)

        assert taken["a"] < 2_000


@pytest.mark.usefixtures("folder")
class TestShares:
    @pytest.mark.parametrize(("part", "add", "seen"), LEFT_OUT, ids=[case[0] for case in LEFT_OUT])
    def test_what_is_left_out_does_not_happen(self, part: str, add: Callable[[], Any], seen: str) -> None:
        """A share of something that is still there would be nothing."""
        recorders = shares.lessened()

        usual, less = told(recorders[shares.WHOLE], add), told(recorders[part], add)

        assert (seen in usual) is not (seen in less)
        assert bool(less) is not part.startswith("write")

    def test_every_safety_is_tried(self) -> None:
        """The list above is that of the table."""
        assert tuple(part for part, _, _ in LEFT_OUT) == shares.SAFETIES

    def test_texts_that_are_new_are_new(self) -> None:
        """No two events share one, so that none is remembered as clean when it comes."""
        texts = [value for event in shares.new(8) for group in event for value in group.values() if type(value) is str]

        assert len(texts) == len(set(texts)) > 2 * CLEAN_LIMIT

    def test_the_tables_tell_what_is_less_and_what_is_more(self) -> None:
        """A share is what goes where a part is left out; an option's is what comes where it is on."""
        names = [shares.WHOLE, shares.NEW, *shares.SAFETIES, *shares.EXTRAS, shares.NEW_VALUES]
        us = {shares.named(name, size): 8.0 for name in names for size in shares.SIZES}
        us |= {shares.named(name, size): 10.0 for name in (shares.WHOLE, "metrics") for size in shares.SIZES}

        safeties, options = shares.tables((us, {}))

        assert safeties.rows[0][1:5] == ("10.00", "", "", "")
        assert safeties.rows[1][:5] == ("redaction of values", "2.00", "20.0%", "", "")
        assert options.rows[1][:3] == ("sample=10", "-2.00", "-20.0%")
        assert {len(row) for row in (*safeties.rows, *options.rows)} == {len(safeties.columns)}


class TestBenchmarks:
    def test_shares_are_measured(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Every variant writes what it should; else it fails."""
        monkeypatch.setattr(shares, "ROUNDS", 1)
        monkeypatch.setattr(shares, "EVENTS", 20)
        monkeypatch.setattr(shares, "SIZES", (8,))

        taken = shares.timed()

        assert len(taken) == 3 + len(shares.SAFETIES) + len(shares.EXTRAS)
        assert min(taken.values()) > 0

    def test_requests_that_are_sampled_out_are_measured(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nearly none of them has a line; else it fails."""
        monkeypatch.setattr(sampled_out, "ROUNDS", 1)
        monkeypatch.setattr(sampled_out, "REQUESTS", 20)
        monkeypatch.setattr(cachegrind, "installed", lambda: None)

        table, aimed = sampled_out.run()

        assert [row[0] for row in table.rows] == [sampled_out.BARE, sampled_out.WRITTEN, sampled_out.SAMPLED_OUT]
        assert {row[3:] for row in table.rows} == {("", "")}
        assert aimed.rows[0][3] == table.rows[2][2]

    def test_growth_is_measured(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Fields, events in flight, bytes and threads, each in a table of its own."""
        small = {"ROUNDS": 1, "FIELDS": (1, 300), "ADDED": 310, "KILOBYTES": (1, 64), "ESTIMATE": 100}
        for name, value in (small | {"IN_FLIGHT": (1, 30), "THREADS": (1, 2), "EVENTS": 40}).items():
            monkeypatch.setattr(growth, name, value)

        fields, flight, size, threads = growth.run()

        assert [row[0] for table in (fields, flight, size, threads) for row in table.rows] == (
            ["1", "300", "1", "30", "1 KB", "64 KB", "1", "2"]
        )
        assert 64 * 1024 < int(size.rows[1][1].replace(",", "")) < 72 * 1024
        assert 500 < int(flight.rows[1][3].replace(",", "")) < int(flight.rows[1][4].replace(",", "")) < 10_000

    def test_texts_grow_as_they_say(self) -> None:
        """One of so many kilobytes, which is another every time."""
        (one,), (other,) = growth.of_text(2, 1).values(), growth.of_text(2, 2).values()

        assert len(one) == len(other) == 2_048
        assert one != other

    def test_imports_are_measured(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Ours are told by module, others by package."""
        monkeypatch.setattr(imports, "ROUNDS", 1)
        monkeypatch.setattr(imports, "MOST", 1_000)

        table, modules, aimed = imports.run()

        milliseconds = {row[0]: float(row[1]) for row in table.rows}
        told = {row[0] for row in modules.rows}
        assert (
            milliseconds["pass"] < milliseconds["import wideevents"] < milliseconds["import structlog, wideevents"] * 2
        )
        assert {"wideevents.config", "wideevents.events", "orjson", "logging"} <= told
        assert not {"encodings", "structlog", "flask", "wideevents.integrations"} & told
        assert aimed.rows[0][0] == imports.GOAL.what

    def test_what_python_tells_of_imports_is_read(self) -> None:
        """The microseconds of a module by itself, and not with what it imports."""
        told = (
            "import time: self [us] | cumulative | imported package\nimport time:  469 |  13083 |   wideevents.events\n"
        )

        assert imports.parsed(told) == {"wideevents.events": 0.469}
