"""Test how a trace looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from examples.chain import tree

if TYPE_CHECKING:
    from examples.demo.lines import Line


def line(id_: str, parent: str | None = None, begins: int = 0, lasts: float = 10) -> Line:
    cause = {} if parent is None else {"parent.id": parent}
    return {
        "event.id": id_,
        "event.name": id_.upper(),
        "event.kind": "task",
        "level": "info",
        "service.name": "shop",
        "timestamp": f"2026-11-21T22:38:44.{begins:03}Z",
        "duration_ms": lasts,
        **cause,
    }


class TestBranches:
    def test_stand_behind_what_caused_them(self) -> None:
        """In whatever order the lines were written: the innermost ends first."""
        lines = [line("c", "b", 2), line("b", "a", 1), line("d", "a", 3), line("a")]

        assert [(depth, each["event.id"]) for depth, each in tree.branches(lines)] == [
            *((0, "a"), (1, "b"), (2, "c"), (1, "d"))
        ]

    def test_whose_cause_is_elsewhere_are_roots(self) -> None:
        """A caller may write its lines to another place."""
        assert [depth for depth, _ in tree.branches([line("a", "elsewhere"), line("b", "a", 1)])] == [0, 1]


class TestRows:
    def test_say_what_and_how_long(self) -> None:
        """Each under its cause, with a bar from its beginning to its end."""
        rows = list(tree.rows([line("a", None, 0, 30), line("b", "a", 10, 10), line("c", "b", 30, 0.1)]))

        assert [row.split() for row in rows] == [
            ["A", "shop", "task", "30.0", "ms", "▇" * 30],
            ["└─", "B", "shop", "task", "10.0", "ms", "▇" * 10],
            ["└─", "C", "shop", "task", "0.1", "ms", "▇"],
        ]
        assert [row.index("▇") for row in rows] == [rows[0].index("▇") + begins for begins in (0, 10, 29)]

    def test_fit_a_terminal(self) -> None:
        """No row of a usual trace is wider than 100 columns."""
        assert max(map(len, tree.rows([line("a" * 30, None, 0, 12_345.6)]))) <= 100
