"""Test the demo as people run it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from examples.demo import screen, server
from examples.demo.browser import Browser
from examples.demo.errors import DemoError

if TYPE_CHECKING:
    from pathlib import Path

    from examples.demo.tests.conftest import Run


class TestDemo:
    def test_finds_one_event_for_each_request(self, run: Run) -> None:
        """It ends well, and only if its own strict check does."""
        assert (run.code, run.complaint) == (0, "")
        assert "each left exactly one event" in run.output

    def test_fits_a_terminal(self, run: Run) -> None:
        """No table or event is wider than 100 columns, except for the steps of a traceback."""
        assert max(len(line) for line in run.output.splitlines() if not line.startswith("    ")) <= screen.WIDTH

    def test_is_plain_where_nobody_looks(self, run: Run) -> None:
        """Colours are for terminals."""
        assert "\x1b" not in run.output


class TestServer:
    def test_says_what_is_not_installed(self) -> None:
        """One sentence names what is missing and how to get it."""
        with pytest.raises(DemoError, match=r"^Not installed: no_such_server\. `make demo` installs"):
            server.require(("json", "no_such_server"))

    def test_says_that_no_port_is_free(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An address of somebody else's cannot be opened."""
        monkeypatch.setattr(server, "HOST", "203.0.113.1")

        with pytest.raises(DemoError, match=r"^No port can be opened on 203\.0\.113\.1: "):
            server.open_socket()

    def test_says_why_the_shop_did_not_open(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What gunicorn said last stands in the sentence."""
        monkeypatch.setattr(server, "ROOT", tmp_path)
        monkeypatch.delenv("PYTHONPATH", raising=False)

        with (
            pytest.raises(DemoError, match=r"does not answer .* No module named 'examples'"),
            server.running(tmp_path, tmp_path / "events.jsonl") as port,
        ):
            Browser(port, "nobody").send("GET", "/healthz")

    def test_keeps_foreign_settings_out(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The reader's own Sentry hears nothing of the demo."""
        monkeypatch.setenv("SENTRY_DSN", "https://key@sentry.example.org/1")

        environment = server.environment(tmp_path, tmp_path / "events.jsonl")
        assert "SENTRY_DSN" not in environment
        assert environment["WIDEEVENTS_OUTPUT"] == str(tmp_path / "events.jsonl")
