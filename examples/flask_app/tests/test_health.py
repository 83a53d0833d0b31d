"""Test that those who ask all the time leave no line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from flask import Flask
    from flask.testing import FlaskClient

    from wideevents.testing import WideEvents


class TestQuietRoutes:
    @pytest.mark.parametrize("path", ["/healthz", "/static/shop.css"])
    def test_leave_no_line(self, client: FlaskClient, wide_events: WideEvents, path: str) -> None:
        """A good answer to a health check is no news."""
        with client.get(path) as response:
            assert response.status_code == 200

        assert wide_events.all() == []

    def test_speak_up_when_they_fail(
        self, app: Flask, client: FlaskClient, wide_events: WideEvents, tmp_path: Path
    ) -> None:
        """A database that is gone is news."""
        app.config["DATABASE"] = str(tmp_path / "missing" / "shop.sqlite3")

        assert client.get("/healthz").status_code == 500
        assert wide_events.one()["level"] == "error"
