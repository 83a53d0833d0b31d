"""Test the cart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from wideevents.testing import WideEvents


class TestCart:
    def test_shows_its_value(self, buyer: FlaskClient, wide_events: WideEvents) -> None:
        """The coupon is taken off; the event says what the customer saw."""
        shown = buyer.get("/cart").json

        assert shown
        assert shown["value_cents"] == 12_330
        event = wide_events.one()
        assert (event["cart.items"], event["cart.value_cents"], event["coupon.codes"]) == (3, 12_330, ["SPRING"])

    def test_replaces_the_quantity(self, buyer: FlaskClient, wide_events: WideEvents) -> None:
        """Putting the same product in again sets how many there are."""
        response = buyer.post("/cart/items", json={"product_id": 19, "quantity": 5})

        assert response.status_code == 201
        assert wide_events.one()["cart.items"] == 6

    def test_gives_a_product_back(self, buyer: FlaskClient, wide_events: WideEvents) -> None:
        """What was taken out is not counted."""
        buyer.delete("/cart/items/19")

        assert wide_events.one()["cart.items"] == 1

    def test_collects_coupons(self, buyer: FlaskClient, wide_events: WideEvents) -> None:
        """A second coupon adds up with the first."""
        buyer.post("/cart/coupons", json={"code": "welcome"})

        event = wide_events.one()
        assert (event["coupon.codes"], event["cart.value_cents"]) == (["SPRING", "WELCOME"], 11_645)

    def test_refuses_an_unknown_coupon(self, buyer: FlaskClient) -> None:
        """The cart stays as it is."""
        assert buyer.post("/cart/coupons", json={"code": "FREE"}).status_code == 400

    @pytest.mark.parametrize("quantity", [0, 100, "1", True, None])
    def test_refuses_what_is_no_quantity(self, customer: FlaskClient, quantity: object) -> None:
        """A quantity is a number from 1 to 99."""
        response = customer.post("/cart/items", json={"product_id": 3, "quantity": quantity})

        assert response.json
        assert response.json["detail"] == "quantity must be a number from 1 to 99"
