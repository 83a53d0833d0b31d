"""Test the figures on the lines of a real run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from examples.demo import summary

if TYPE_CHECKING:
    from examples.demo.lines import Line


class TestFigures:
    def test_add_up(self, events: list[Line]) -> None:
        """Every event is in one route, one status and one level."""
        statuses = sum(number for _, number in summary.by_status(events))
        levels = sum(number for _, number in summary.by_level(events))
        routes = sum(figures.count for figures in summary.by_route(events))

        assert [statuses, levels, routes] == [len(events)] * 3

    def test_name_what_matters_first(self, events: list[Line]) -> None:
        """The run has errors, warnings and ordinary events."""
        assert [level for level, _ in summary.by_level(events)] == ["error", "warning", "info"]
        assert summary.urgencies(events) == {"error": "page", "warning": "business_hours", "info": "none"}

    def test_are_in_order(self, events: list[Line]) -> None:
        """The busiest route stands first, and no median is above its 99th percentile."""
        figures = summary.by_route(events)

        assert figures[0].count == max(figure.count for figure in figures)
        assert all(figure.p50 <= figure.p99 for figure in figures)

    def test_know_the_failures(self, events: list[Line]) -> None:
        """Only payments fail in this shop."""
        failed = {figures.route for figures in summary.by_route(events) if figures.failures}

        assert failed == {"POST /checkout"}

    def test_find_the_slowest(self, events: list[Line]) -> None:
        """Nothing took longer."""
        assert summary.slowest(events)["duration_ms"] == max(event["duration_ms"] for event in events)


class TestPercentile:
    @pytest.mark.parametrize(("percent", "expected"), [(1, 1), (50, 50), (99, 99), (100, 100)])
    def test_is_a_measured_value(self, percent: int, expected: float) -> None:
        """The nearest rank of a hundred values is the value of that rank."""
        assert summary.percentile([float(value) for value in range(100, 0, -1)], percent) == expected

    def test_of_one_value(self) -> None:
        """It is all there is."""
        assert summary.percentile([7.0], 50) == 7.0


class TestExamples:
    def test_tell_three_stories(self, events: list[Line]) -> None:
        """A success, a checkout with what it knows, and a crash with its traceback."""
        plain, checkout, error = summary.examples(events).values()

        assert plain["level"] == "info"
        assert {"user.id", "cart.value_cents", "confirmation.size", "stock.low_products"} <= set(checkout)
        assert error["exception.stacktrace"].startswith("Traceback")

    def test_do_without(self) -> None:
        """What did not happen is not shown."""
        assert summary.examples([]) == {}
