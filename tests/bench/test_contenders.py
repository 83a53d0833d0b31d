"""What is measured does what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.bench import served
from tests.bench.contenders import CONTENDERS, SILENT, Contender, ahead, missing
from tests.bench.events import NUMBER, SIZES, VARIANTS, fields, variants
from tests.bench.flask_request import FIELDS
from tests.bench.goals import Goal
from tests.bench.rounds import Child, check, check_lines, lines

SIZE, NUMBER_OF_EVENTS = 10, VARIANTS + 1


class Room:
    """Be a contender that nests its fields."""

    INSIDE = ("record", "extra")


class TestContenders:
    @pytest.mark.parametrize("contender", CONTENDERS, ids=lambda contender: contender.name)
    def test_a_contender_writes_each_event_with_all_its_fields(self, contender: Contender, tmp_path: Path) -> None:
        """Events, requests in Flask, requests in Starlette: one line each, or none where it is known to write none."""
        if absent := missing([contender]):
            pytest.skip(f"the extra bench is not installed: there is no {', '.join(absent)}")

        with Child(contender.name, tmp_path) as child:
            for kind in contender.kinds:
                assert child.run(kind, SIZE, NUMBER_OF_EVENTS) > 0
                if contender.name not in SILENT:
                    assert check(tmp_path, contender.name, kind, SIZE, NUMBER_OF_EVENTS) > 100

        assert len(list(tmp_path.iterdir())) == (0 if contender.name in SILENT else len(contender.kinds))

    def test_a_contender_that_dies_is_named(self, tmp_path: Path) -> None:
        """It is no figure."""
        with Child("bare", tmp_path) as child, pytest.raises(AssertionError, match="bare has died in a round of event"):
            child.run("event", SIZE, 1)

    def test_the_floor_of_the_same_bytes_writes_as_many_as_we_do(self, tmp_path: Path) -> None:
        """Else the ratio says nothing; a time may have some digits less."""
        for name in ("wideevents", "same_bytes"):
            with Child(name, tmp_path) as child:
                child.run("event", SIZE, 1)
        ours, floor = (
            orjson.loads(lines(tmp_path, name, "event", SIZE).read_bytes()) for name in ("wideevents", "same_bytes")
        )

        assert ours.keys() == floor.keys()
        assert len(orjson.dumps(ours)) == pytest.approx(len(orjson.dumps(floor)), abs=20)

    @pytest.mark.parametrize("name", ["structlog_same_fields", "python_json_logger_same_fields"])
    def test_with_our_fields_a_peer_says_as_much_as_we_do(self, name: str, tmp_path: Path) -> None:
        """The level is called as it calls it."""
        for each in ("wideevents", name):
            with Child(each, tmp_path) as child:
                for kind in ("event", "flask", "starlette"):
                    child.run(kind, SIZE, 1)

        for kind in ("event", "flask", "starlette"):
            ours, theirs = (
                orjson.loads(lines(tmp_path, each, kind, SIZE).read_bytes()) for each in ("wideevents", name)
            )
            assert ours.keys() - theirs.keys() <= {"level"}

    def test_the_extra_is_not_missing_where_everything_is_there(self) -> None:
        """What is not installed is named, once."""
        absent = Contender("absent", "absent", distributions=("pytest", "no-such-thing", "no-such-thing"))

        assert missing([absent]) == ["no-such-thing"]


class TestCheck:
    @pytest.mark.parametrize(
        ("written", "complaint"),
        [
            pytest.param({}, "without", id="a field is missing"),
            pytest.param(fields(10, 0) | {"user.rate": 7.5}, "without", id="a field is another"),
            pytest.param(fields(10, 1), "without", id="an event is missing"),
        ],
    )
    def test_a_line_without_its_fields_is_found(self, written: dict[str, Any], complaint: str, tmp_path: Path) -> None:
        """A contender that does less is not faster."""
        path = tmp_path / "plain.event.10.jsonl"
        path.write_bytes(orjson.dumps(written) + b"\n")

        with pytest.raises(AssertionError, match=complaint):
            check(tmp_path, "plain", "event", 10, 1)

    def test_a_line_too_few_or_too_many_is_found(self, tmp_path: Path) -> None:
        """One line for each request."""
        (tmp_path / "plain.flask.8.jsonl").write_bytes((orjson.dumps(FIELDS) + b"\n") * 3)

        assert check(tmp_path, "plain", "flask", 8, 3) == len(orjson.dumps(FIELDS)) + 1
        for number in (2, 4):
            with pytest.raises(AssertionError, match=f"plain wrote 3 lines for {number} of flask"):
                check(tmp_path, "plain", "flask", 8, number)

    def test_fields_are_found_where_a_contender_puts_them(self, tmp_path: Path) -> None:
        """Some nest what they are given."""
        path = tmp_path / "nested.jsonl"
        path.write_bytes(orjson.dumps({"record": {"extra": FIELDS}}))

        assert check_lines(path, Room(), lambda _: FIELDS) == 1


class TestEvents:
    @pytest.mark.parametrize("size", SIZES)
    def test_the_groups_hold_the_fields_of_the_event(self, size: int) -> None:
        """What is written is what is expected."""
        for number, groups in enumerate(variants(size)):
            written = {key: value for group in groups for key, value in group.items()}

            assert written == fields(size, number)
            assert len(written) == size

    def test_only_the_number_differs_when_the_values_come_again(self) -> None:
        """An event is known by it."""
        first, again = fields(40, 3), fields(40, 3 + VARIANTS)

        assert {key for key in first if first[key] != again[key]} == {NUMBER}


class TestGoals:
    @pytest.mark.parametrize(("measured", "reached"), [(4.0, "stretch"), (4.1, "must"), (5.2, "must"), (5.3, "missed")])
    def test_a_goal_says_what_was_reached(self, measured: float, reached: str) -> None:
        """The stretch is the aim, and a miss is told."""
        assert Goal("cost", 5.2, 4.0).row(measured) == ("cost", "5.2", "4", f"{measured:.2f}", reached)

    def test_to_be_ahead_counts_in_the_worst_row(self) -> None:
        """One row in which a peer is cheaper is a miss."""
        rows = [{"wideevents": 9.0, "loguru": 10.0, "widelog": 1.0}, {"wideevents": 12.0, "loguru": 10.0}]

        assert [goal.row(worst) for goal, worst in ahead("it", rows)] == [
            ("it, times loguru, at worst", "1", "", "1.20", "missed")
        ]


class TestServed:
    def test_every_answer_of_a_server_has_its_line(self, tmp_path: Path) -> None:
        """Without wrk: what is asked before a round is answered, and counted."""
        with served.Server("plain", tmp_path / "plain.jsonl") as server:
            server.ask()
            assert server.busy() > 0

        assert server.asked >= 21
        assert server.check() == 0

    def test_a_lost_line_is_found(self, tmp_path: Path) -> None:
        """Fewer lines than answers are no result."""
        server = served.Server("plain", tmp_path / "plain.jsonl", asked=2)
        server.path.write_bytes(orjson.dumps(FIELDS) + b"\n")

        with pytest.raises(AssertionError, match="plain: -1 more lines than 2 answers"):
            server.check()
