"""Test the streamed report."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from wideevents.testing import WideEvents

ROWS = 365 * 30


class TestMovements:
    def test_counts_what_went_out(self, customer: FlaskClient, wide_events: WideEvents) -> None:
        """The event waits for the last row, long after the view has returned."""
        report = customer.get("/reports/movements.csv").text

        event = wide_events.one()
        assert len(report.splitlines()) == event["report.rows"] + 1 == ROWS + 1
        assert event["http.response.body.size"] == len(report.encode())
        assert event["http.response.streamed"] is True

    def test_tells_of_a_reader_who_left(self, customer: FlaskClient, wide_events: WideEvents) -> None:
        """What was not sent is not counted, and nobody is woken for it."""
        response = customer.get("/reports/movements.csv")
        chunks = response.iter_encoded()
        next(chunks)
        next(chunks)
        response.close()

        event = wide_events.one()
        assert (event["client.disconnected"], event["outcome"], event["level"]) == (True, "cancelled", "info")
        assert event["report.rows"] == 100

    def test_is_for_customers(self, client: FlaskClient, wide_events: WideEvents) -> None:
        """A stranger gets no row."""
        assert client.get("/reports/movements.csv").status_code == 401
        assert "report.rows" not in wide_events.one()
