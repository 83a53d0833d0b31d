"""Test searching and looking at what the shop sells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from examples.flask_app.recommendations import Recommender

if TYPE_CHECKING:
    from flask import Flask
    from flask.testing import FlaskClient

    from wideevents.testing import WideEvents


class TestSearch:
    def test_gives_one_page(self, client: FlaskClient, wide_events: WideEvents) -> None:
        """Eleven products have tea in their names; the second page of eight holds three of them."""
        found = client.get("/products?q=tea&page=2&size=8").json

        assert found
        assert [product["name"] for product in found["products"]] == ["Rooibos tea", "Sencha tea", "Tea strainer"]
        event = wide_events.one()
        assert (event["search.results"], event["search.page"], event["http.route"]) == (11, 2, "/products")

    def test_narrows_to_a_category(self, client: FlaskClient) -> None:
        """A strainer is no tea."""
        found = client.get("/products?q=tea&category=tea").json

        assert found
        assert found["total"] == 10

    def test_asks_for_the_categories_once(self, client: FlaskClient, wide_events: WideEvents) -> None:
        """The second search finds them in the cache, and needs one statement less."""
        client.get("/products")
        client.get("/products")

        first, second = wide_events.all()
        assert (first["cache.miss"], second["cache.hit"]) == (1, 1)
        assert (first["db.count"], second["db.count"]) == (3, 2)


class TestShow:
    def test_recommends_what_is_close(self, client: FlaskClient, wide_events: WideEvents) -> None:
        """The same shelf, the nearest price first."""
        product = client.get("/products/3").json

        assert product
        assert product["recommended"] == ["Assam tea", "Jasmine tea", "Darjeeling tea"]
        event = wide_events.one()
        assert (event["product.id"], event["product.category"], event["recommendations.count"]) == (3, "tea", 1)

    def test_does_without_recommendations(self, app: Flask, client: FlaskClient, wide_events: WideEvents) -> None:
        """A service that is down costs the customer nothing, and is a warning in the event."""
        app.extensions["shop.recommender"] = Recommender(failure_rate=1.0)
        product = client.get("/products/3").json

        assert product
        assert product["recommended"] == []
        event = wide_events.one()
        assert (event["level"], event["outcome"], event["exception.handled"]) == ("warning", "success", True)

    def test_answers_304_to_who_has_it(self, client: FlaskClient, wide_events: WideEvents) -> None:
        """A conditional request gets no body, and its event says so."""
        seen = client.get("/products/3")
        response = client.get("/products/3", headers={"If-None-Match": seen.headers["ETag"]})

        assert response.status_code == 304
        assert wide_events.all()[-1]["http.response.status_code"] == 304

    def test_knows_only_what_is_sold(self, client: FlaskClient, wide_events: WideEvents) -> None:
        """The route of a product that is missing is still the route."""
        assert client.get("/products/999").status_code == 404

        event = wide_events.one()
        assert (event["http.route"], event["level"]) == ("/products/<int:product_id>", "info")
