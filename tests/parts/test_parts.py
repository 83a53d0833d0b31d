"""What the tests can rely on where they use real servers."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import sentry_sdk
from _pytest.outcomes import Failed, Skipped

from tests import parts
from tests.integrations.servers import PATIENCE, eventually
from tests.parts import PROGRAMS, need, started
from tests.parts.bugsink import Bugsink, Project


@pytest.fixture
def nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let no part be installed."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(parts, "BUGSINK", tmp_path)


every_part = pytest.mark.parametrize("name", [*PROGRAMS, "bugsink"])


class TestAMissingPart:
    @every_part
    def test_skips_its_tests_and_says_what_installs_it(
        self, nothing: None, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        """Where somebody has not asked for it."""
        monkeypatch.delenv("WIDEEVENTS_PARTS", raising=False)

        with pytest.raises(Skipped, match=f"^{name} is not installed: make parts installs it$"):
            need(name)

    @every_part
    def test_fails_its_tests_where_all_are_required(
        self, nothing: None, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        """A check that is skipped for ever checks nothing."""
        monkeypatch.setenv("WIDEEVENTS_PARTS", "required")

        with pytest.raises(Failed, match=f"^{name} is not installed: make parts installs it$"):
            need(name)

    def test_is_one_whose_installation_has_not_gone_through(self, nothing: None, tmp_path: Path) -> None:
        """A folder with half of it is not enough."""
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "python").touch()
        with pytest.raises((Skipped, Failed)):
            need("bugsink")
        (tmp_path / ".installed").touch()

        assert need("bugsink") == tmp_path / "bin" / "python"


class TestAServer:
    def test_ends_with_its_test_however_that_ends(self, tmp_path: Path) -> None:
        """With the processes that it has started: a pipe that they all hold is closed."""
        code = "import os, time; os.fork(); print('up', flush=True); time.sleep(600)"
        reading, writing = os.pipe()

        def fail() -> None:
            with started(tmp_path, sys.executable, "-c", code, descriptors=(writing,)) as part:
                os.close(writing)
                part.once(lambda: part.said.count("up") == 2, "both processes")
                raise ValueError

        with pytest.raises(ValueError, match=r"^$"):
            fail()
        with open(reading, "rb") as pipe:
            assert select.select([pipe], [], [], PATIENCE)[0] == [pipe]
            assert pipe.read() == b""

    def test_that_ends_by_itself_fails_the_test_at_once(self, tmp_path: Path) -> None:
        """With what it said, and not after having waited for it."""
        with (
            started(tmp_path, sys.executable, "-c", "raise SystemExit('no such flag')") as part,
            pytest.raises(AssertionError, match=r"ended while an answer was waited for: no such flag"),
        ):
            part.once(lambda: False, "an answer")


class TestBugsink:
    @pytest.fixture
    def report(self, bugsink: Project) -> Callable[[str], None]:
        """Give a function that reports an exception as any application would."""

        def run(message: str) -> None:
            client = sentry_sdk.Client(bugsink.dsn, default_integrations=False, auto_session_tracking=False)
            try:
                raise ValueError(message)
            except ValueError as error:
                event, hint = sentry_sdk.utils.event_from_exception(error, client_options=client.options)
            client.capture_event(event, hint)
            client.close(timeout=10)

        return run

    def test_gives_back_what_was_reported(
        self, bugsink: Project, bugsink_server: Bugsink, report: Callable[[str], None]
    ) -> None:
        """In its order, complete, and to its own project alone."""
        for message in ("first", "second"):
            report(message)
        eventually(lambda: len(bugsink.events()) == 2, "two events")
        messages = [event["exception"]["values"][0]["value"] for event in bugsink.events()]

        assert messages == ["first", "second"]
        assert bugsink_server.project().events() == []

    def test_hides_nothing_that_it_has_stored(self, bugsink: Project, report: Callable[[str], None]) -> None:
        """Or no secret would ever be found in it."""
        assert b"planted-7c0ffee" not in bugsink.everything()
        report("planted-7c0ffee")
        eventually(bugsink.events, "the event")

        assert b"planted-7c0ffee" in bugsink.everything()
