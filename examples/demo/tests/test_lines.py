"""Test that the strict reader is strict."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from examples.demo import lines
from examples.demo.browser import Sent
from examples.demo.errors import DemoError

if TYPE_CHECKING:
    from pathlib import Path

    from examples.demo.lines import Line

SENT = [Sent("a", "GET /products", 200), Sent("b", "GET /nowhere", 404), Sent("c", "GET /healthz", 200, quiet=True)]


def line(id_: str, status: int) -> Line:
    return {"http.request.id": id_, "http.response.status_code": status}


class TestParse:
    def test_takes_a_flat_object(self) -> None:
        """Lists may stand in it."""
        assert lines.parse(b'{"a":1,"b":["x"]}') == {"a": 1, "b": ["x"]}

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            (b'{"a":NaN}', "NaN is not JSON"),
            (b'{"a":1,"a":2}', "a key stands in it twice"),
            (b'{"a":"\xff"}', "Not strict JSON"),
            (b'{"a":', "Not strict JSON"),
            (b'{"a":"\x1f"}', "Not strict JSON"),
            ('{"a":"\u2028"}'.encode(), "A control character"),
            (b'{"a":"\x7f"}', "A control character"),
            (b'{"a":{"b":1}}', "No flat object"),
            (b"[1]", "No flat object"),
        ],
    )
    def test_refuses(self, text: bytes, reason: str) -> None:
        """What one aggregator or another would stumble over is refused with its reason."""
        with pytest.raises(DemoError, match=reason):
            lines.parse(text)


class TestRead:
    def test_refuses_half_a_line(self, tmp_path: Path) -> None:
        """A file is whole if its last line is."""
        path = tmp_path / "events.jsonl"
        path.write_text('{"a":1}\n{"a":')

        with pytest.raises(DemoError, match="ends in the middle"):
            lines.read(path)

    def test_names_the_line(self, tmp_path: Path) -> None:
        """The number helps to find it."""
        path = tmp_path / "events.jsonl"
        path.write_text('{"a":1}\n\n')

        with pytest.raises(DemoError, match=r"line 2 of events\.jsonl"):
            lines.read(path)

    def test_refuses_an_empty_file(self, tmp_path: Path) -> None:
        """No line at all is no success."""
        with pytest.raises(DemoError, match="Nothing was written"):
            lines.read(tmp_path / "events.jsonl")


class TestCheck:
    def test_accepts_one_line_each(self) -> None:
        """A quiet request may leave a line, and need not."""
        lines.check(SENT, [line("a", 200), line("b", 404)])
        lines.check(SENT, [line("a", 200), line("b", 404), line("c", 200)])

    @pytest.mark.parametrize(
        ("found", "reason"),
        [
            ([line("a", 200)], "1 requests without a line: b"),
            ([line("a", 200), line("a", 200), line("b", 404)], "1 requests with more than one line: a"),
            ([line("a", 200), line("b", 404), line("x", 200)], "1 requests in the file that nobody sent: x"),
            ([line("a", 200), line("b", 200)], "1 requests with a wrong status: b"),
        ],
    )
    def test_complains(self, found: list[Line], reason: str) -> None:
        """The sentence names the requests."""
        with pytest.raises(DemoError, match=reason):
            lines.check(SENT, found)

    def test_knows_events_from_what_was_logged(self) -> None:
        """A line that belongs to a request names an event that is there; gunicorn's belong to none."""
        event = {"event.kind": "request", "event.id": "1"}
        found = [event, {"message": "sold", "event.id": "1"}, {"message": "Booting worker"}]
        lines.check_logged(found)

        assert lines.events(found) == [event]
        with pytest.raises(DemoError, match="1 requests logged a line, and have no event: 2"):
            lines.check_logged([*found, {"message": "lost", "event.id": "2"}])

    def test_finds_secrets(self, tmp_path: Path) -> None:
        """Wherever it stands in the file."""
        path = tmp_path / "events.jsonl"
        path.write_text('{"a":"my hunter2"}\n')

        with pytest.raises(DemoError, match="secret"):
            lines.check_secrets(path, ["hunter2"])
