"""Test signing up, in and out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from wideevents.testing import WideEvents

ADA = {"email": "ada@example.org", "password": "hunter2 hunter2", "plan": "PLUS", "country": "CA"}


class TestSignUp:
    def test_says_who_came(self, client: FlaskClient, wide_events: WideEvents) -> None:
        """The event of the sign-up knows the new customer's id and plan."""
        response = client.post("/accounts", json=ADA)

        event = wide_events.one()
        assert response.status_code == 201
        assert (event["user.id"], event["user.plan"], event["user.country"]) == (1, "PLUS", "CA")

    def test_takes_an_address_once(self, customer: FlaskClient, wide_events: WideEvents) -> None:
        """A second account with the same address is a conflict, in any case of its letters."""
        response = customer.post("/accounts", json={**ADA, "email": "ADA@example.org"})

        assert response.status_code == 409
        assert wide_events.one()["error.type"] == "examples.flask_app.errors.EmailTakenError"

    def test_refuses_an_unknown_plan(self, client: FlaskClient) -> None:
        """The answer names what is allowed."""
        response = client.post("/accounts", json={**ADA, "plan": "GOLD"})

        assert response.json
        assert response.json["detail"] == "plan must be one of STARTER, PLUS, BUSINESS"

    def test_refuses_what_is_no_address(self, client: FlaskClient) -> None:
        """An address has an @ in it."""
        assert client.post("/accounts", json={**ADA, "email": "ada"}).status_code == 400


class TestSignIn:
    def test_is_remembered(self, client: FlaskClient, wide_events: WideEvents) -> None:
        """Every later event of the session names the customer."""
        client.post("/accounts", json=ADA)
        client.delete("/session")
        client.post("/session", json=ADA)
        client.get("/accounts/me")

        assert [event.get("user.id") for event in wide_events.all()] == [1, 1, 1, 1]

    def test_says_why_it_failed(self, customer: FlaskClient, wide_events: WideEvents) -> None:
        """The customer is told less than the event knows."""
        responses = [
            customer.post("/session", json={**ADA, "email": email}) for email in ("ada@example.org", "b@c.org")
        ]

        assert [response.status_code for response in responses] == [401, 401]
        reasons = [event["sign_in.reason"] for event in wide_events.all()]
        assert reasons == ["wrong_password", "unknown_account"]

    def test_is_needed(self, client: FlaskClient, wide_events: WideEvents) -> None:
        """A page of one's own is closed to strangers, and their event has no user."""
        assert client.get("/accounts/me").status_code == 401
        assert "user.id" not in wide_events.one()


class TestSignOut:
    def test_forgets_the_customer(self, customer: FlaskClient) -> None:
        """The cart is closed afterwards."""
        assert customer.delete("/session").status_code == 204
        assert customer.get("/cart").status_code == 401
