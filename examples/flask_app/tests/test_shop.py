"""Test what holds for every answer and every event of the shop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from wideevents.testing import WideEvents

PASSWORD = "correct horse battery staple"
CARD = "4242 4242 4242 4242"


class TestErrors:
    @pytest.mark.parametrize(
        ("method", "path", "status"), [("GET", "/nowhere", 404), ("DELETE", "/products", 405), ("GET", "/cart", 401)]
    )
    def test_name_their_event(
        self, client: FlaskClient, wide_events: WideEvents, method: str, path: str, status: int
    ) -> None:
        """What a customer reads out to the support is the id of the event."""
        response = client.open(path, method=method)

        assert response.status_code == status
        assert response.json
        assert response.content_type == "application/problem+json"
        assert response.json["instance"] == f"urn:wideevents:event:{wide_events.one()['event.id']}"

    def test_refuse_bad_json(self, customer: FlaskClient, wide_events: WideEvents) -> None:
        """A body that is cut off is the client's mistake, and no reason to wake anybody."""
        response = customer.post("/cart/items", data=b'{"product_id":', content_type="application/json")

        assert response.status_code == 400
        assert wide_events.one()["level"] == "info"

    def test_refuse_json_that_is_no_object(self, customer: FlaskClient) -> None:
        """A list is JSON, and still not what was asked for."""
        response = customer.post("/cart/items", json=[1])

        assert response.json
        assert response.json["detail"] == "the body must be a JSON object"

    def test_keep_the_headers_of_their_status(self, client: FlaskClient) -> None:
        """A method that is not allowed is answered with those that are."""
        assert set(client.delete("/products").headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


class TestSecrets:
    def test_are_in_no_line(self, client: FlaskClient, wide_events: WideEvents) -> None:
        """A whole visit leaves neither the password nor the card, the cookie or the address."""
        ada = {"email": "ada@example.org", "password": PASSWORD}
        client.post("/accounts", json=ada)
        client.post("/session", json=ada)
        client.post("/cart/items", json={"product_id": 3, "quantity": 2})
        client.post("/checkout", json={"card": CARD})
        client.post("/checkout", json={"card": CARD, "note": PASSWORD})

        cookie = client.get_cookie("session")
        assert cookie
        text = "".join(map(str, wide_events.all()))
        secrets = (PASSWORD, CARD, CARD.replace(" ", ""), cookie.value, "ada@example.org")
        assert [secret for secret in secrets if secret in text] == []
        assert text.count("/checkout") >= 2
