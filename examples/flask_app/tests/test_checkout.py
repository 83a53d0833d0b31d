"""Test what each fate of a payment leaves behind: the answer, the shelves and the event."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from examples.flask_app.payments import TEST_CARDS
from examples.flask_app.tests.conftest import read, write

if TYPE_CHECKING:
    from flask import Flask
    from flask.testing import FlaskClient

    from wideevents.testing import WideEvents

CARDS = {fate: card for card, fate in TEST_CARDS.items()}
STOCK = "SELECT stock FROM products WHERE id = 19"


class TestApproved:
    def test_knows_the_whole_purchase(self, buyer: FlaskClient, wide_events: WideEvents) -> None:
        """One event tells who bought what for how much, and how it was paid."""
        response = buyer.post("/checkout", json={"card": CARDS["approved"]})

        assert response.status_code == 201
        event = wide_events.one()
        names = ("user.id", "cart.items", "cart.value_cents", "coupon.codes", "order.id", "payment.outcome")
        assert [event[name] for name in names] == [7, 3, 12_330, ["SPRING"], 1, "approved"]
        assert (event["level"], event["outcome"], event["payment.count"]) == ("info", "success", 1)

    def test_takes_the_goods(self, app: Flask, buyer: FlaskClient) -> None:
        """The shelf has two less, and the cart is empty."""
        buyer.post("/checkout", json={"card": CARDS["approved"]})

        assert read(app, STOCK) == 78
        assert read(app, "SELECT count(*) FROM cart_items") == 0

    def test_hears_of_its_threads(self, app: Flask, buyer: FlaskClient, wide_events: WideEvents) -> None:
        """A thread of the request and the mailroom's thread both write into this event."""
        write(app, "UPDATE products SET stock = 2 WHERE id = 19")
        buyer.post("/checkout", json={"card": CARDS["approved"]})

        event = wide_events.one()
        assert (event["stock.low_products"], event["confirmation.size"]) == (1, 38)

    def test_keeps_two_customers_apart(self, app: Flask, buyer: FlaskClient, wide_events: WideEvents) -> None:
        """The mailroom's thread outlives the first request, and serves the second one's event."""
        buyer.post("/checkout", json={"card": CARDS["approved"]})
        write(app, "INSERT INTO cart_items VALUES (7, 3, 1)")
        buyer.post("/checkout", json={"card": CARDS["approved"]})

        assert [event["order.id"] for event in wide_events.all()] == [1, 2]
        assert all("confirmation.size" in event for event in wide_events.all())


class TestNotPaid:
    @pytest.mark.parametrize(
        ("fate", "status", "level", "outcome"),
        [
            ("declined", 402, "info", "success"),
            ("timeout", 504, "error", "failure"),
            ("crash", 500, "error", "failure"),
        ],
    )
    def test_tells_what_happened(
        self, buyer: FlaskClient, wide_events: WideEvents, fate: str, status: int, level: str, outcome: str
    ) -> None:
        """A card that is declined is the customer's business; a provider that fails is ours."""
        response = buyer.post("/checkout", json={"card": CARDS[fate]})

        event = wide_events.one()
        assert response.status_code == event["http.response.status_code"] == status
        assert (event["level"], event["outcome"]) == (level, outcome)

    @pytest.mark.parametrize(("fate", "handled"), [("declined", True), ("timeout", True), ("crash", False)])
    def test_names_the_exception(
        self, buyer: FlaskClient, wide_events: WideEvents, fate: str, *, handled: bool
    ) -> None:
        """What an errorhandler answered is marked as handled; the crash is not."""
        buyer.post("/checkout", json={"card": CARDS[fate]})

        event = wide_events.one()
        assert event["exception.handled"] is handled
        assert event["payment.outcome"] == {"crash": "crashed"}.get(fate, fate)

    @pytest.mark.parametrize("fate", ["declined", "timeout", "crash"])
    def test_puts_the_goods_back(self, app: Flask, buyer: FlaskClient, fate: str) -> None:
        """Who has not paid can try again: the cart is as it was."""
        buyer.post("/checkout", json={"card": CARDS[fate]})

        assert read(app, STOCK) == 80
        assert read(app, "SELECT count(*) FROM cart_items") == 2


class TestNotPlaced:
    def test_needs_something_to_buy(self, customer: FlaskClient, wide_events: WideEvents) -> None:
        """Nobody was asked for money."""
        assert customer.post("/checkout", json={"card": CARDS["approved"]}).status_code == 409
        assert "payment.provider" not in wide_events.one()

    def test_needs_the_goods(self, app: Flask, buyer: FlaskClient, wide_events: WideEvents) -> None:
        """An order that cannot be filled reserves nothing at all."""
        write(app, "UPDATE products SET stock = 0 WHERE id = 20")
        response = buyer.post("/checkout", json={"card": CARDS["approved"]})

        assert response.status_code == 409
        assert read(app, STOCK) == 80
        assert wide_events.one()["error.type"] == "examples.flask_app.errors.OutOfStockError"
