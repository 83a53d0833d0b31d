"""Test the jobs of the night."""

from __future__ import annotations

from typing import TYPE_CHECKING

from examples.flask_app.tests.conftest import read, write

if TYPE_CHECKING:
    from flask import Flask
    from flask.testing import FlaskClient

    from wideevents.testing import WideEvents


class TestRestock:
    def test_is_one_event_with_its_shelves(self, app: Flask, wide_events: WideEvents) -> None:
        """Each shelf has an event of its own, which names the night's as its parent."""
        result = app.test_cli_runner().invoke(args=["restock"])

        assert result.output == "2 products ordered\n"
        *shelves, night = wide_events.all()
        assert (night["event.name"], night["restock.products"]) == ("shop.restock", 2)
        assert night["restock.categories"] == [shelf["category"] for shelf in shelves] == ["cups", "tools"]
        assert {shelf["parent.id"] for shelf in shelves} == {night["event.id"]}

    def test_fills_the_shelf(self, app: Flask, wide_events: WideEvents) -> None:
        """Five travel mugs become a hundred and five."""
        app.test_cli_runner().invoke(args=["restock", "--below", "10"])

        assert read(app, "SELECT stock FROM products WHERE name = 'Travel mug'") == 105
        assert wide_events.all()[-1]["restock.below"] == 10


class TestEmptyCarts:
    def test_counts_what_it_threw_away(self, app: Flask, buyer: FlaskClient, wide_events: WideEvents) -> None:
        """A job that is no request has an event like one."""
        del buyer
        write(app, "INSERT INTO cart_coupons VALUES (7, 'WELCOME')")
        app.test_cli_runner().invoke(args=["empty-carts"])

        event = wide_events.one()
        assert (event["event.name"], event["carts.items"], event["carts.coupons"]) == ("shop.empty_carts", 2, 2)
