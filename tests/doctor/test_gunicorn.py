"""What is found in the configuration of gunicorn, each fault planted for real."""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
from collections.abc import Iterator
from logging.handlers import QueueHandler
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import gunicorn.config
import pytest

from tests.doctor.conftest import shop
from wideevents.doctor import Finding, examine
from wideevents.doctor import gunicorn as room
from wideevents.doctor.gunicorn import Configuration
from wideevents.errors import ConfigurationError


@pytest.fixture(autouse=True)
def _process_as_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Stand in a folder of our own, and put back what gunicorn sets up."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(logging.Logger.manager, "emittedNoHandlerWarning", True)
    monkeypatch.setattr(gunicorn.config.Chdir, "default", str(tmp_path))  # it remembers where it was imported
    monkeypatch.chdir(tmp_path)
    yield
    sys.modules.pop("__config__", None)


def served(text: str, **settings: Any) -> list[Finding]:
    """Examine a shop with these *settings* that is served by the configuration *text*."""
    Path("conf.py").write_text(text)
    configuration = Configuration("conf.py")
    configuration.set_up()
    findings = [*examine(shop(**settings)), *configuration.examine()]
    for name in ("gunicorn.error", "gunicorn.access"):
        for handler in logging.getLogger(name).handlers:
            handler.close()
    return findings


class TestFindings:
    def test_gunicorn_writes_text(self) -> None:
        """Its logger has a handler of its own, unless it is told otherwise."""
        (finding,) = served("")

        assert (finding.slug, finding.what) == (
            "server-handlers",
            "The logger 'gunicorn.error' has a StreamHandler to standard error, which writes no JSON.",
        )

    def test_the_fix_mends_it(self) -> None:
        """It can be copied from the finding."""
        _, _, advice = served("")[0].fix.partition(": ")
        before = sys.stdout, sys.stderr
        findings = served(advice)
        sys.stdout, sys.stderr = before

        assert findings == []

    def test_access_lines(self) -> None:
        """The event says more."""
        findings = served("accesslog = '-'")

        assert {finding.what.split("'")[1]: finding.fix.split()[0] for finding in findings} == {
            "gunicorn.access": "Leave",
            "gunicorn.error": "In",
        }

    def test_a_logger_class_of_ones_own_may_do_better(self) -> None:
        """What counts is what it leaves on the loggers."""
        text = "from gunicorn.glogging import Logger\nclass Quiet(Logger):\n    def setup(self, cfg):\n        pass\n"
        findings = served(f"{text}logger_class = Quiet\n")

        assert [finding.slug for finding in findings] == ["not-propagated"]  # gunicorn.error: its lines are nowhere

    def test_both_streams_go_into_the_error_log(self) -> None:
        """And events with them; the doctor opens no such file."""
        assert [finding.slug for finding in served("capture_output = True\nerrorlog = 'error.log'\n")] == [
            "gunicorn-captures-output"
        ]
        assert not Path("error.log").exists()

    def test_without_a_file_nothing_is_captured(self) -> None:
        """Gunicorn leaves the streams alone."""
        assert [finding.slug for finding in served("capture_output = True")] == ["server-handlers"]

    def test_logs_in_files_are_none_of_our_business(self) -> None:
        """They are another place, and are not opened."""
        assert served("errorlog = 'error.log'\naccesslog = 'access.log'\nsyslog = True") == []
        assert list(Path().glob("*.log")) == []

    def test_a_queue_does_not_survive_a_fork(self) -> None:
        """Its thread stays in the master process; without preload_app each worker makes its own."""
        logging.getLogger("shop.queue").addHandler(QueueHandler(SimpleQueue()))
        found = {finding.slug: finding for finding in served("preload_app = True")}

        assert found["preloaded-queue"].what == "preload_app is set, and a QueueHandler serves the logger 'shop.queue'."
        assert "preloaded-queue" not in {finding.slug for finding in served("")}
        assert "preloaded-queue" not in {finding.slug for finding in served_without_queue("preload_app = True")}


HOOK = "from wideevents.integrations.gunicorn import child_exit"


class TestFlight:
    @pytest.mark.parametrize("text", ["", "from wideevents.metrics import child_exit"], ids=["none", "metrics"])
    def test_nobody_tells_what_dead_workers_left(self, tmp_path: Path, text: str) -> None:
        """Until the next start, which does not know what they died of."""
        found = {finding.slug: finding for finding in served(text, flight=tmp_path / "flight")}

        assert found["flight-without-child-exit"].what == "There is a flight recorder, and child_exit is not ours."
        assert HOOK in found["flight-without-child-exit"].fix

    def test_the_master_does_not_know_where_to_look(self) -> None:
        """It has a configuration of its own."""
        found = {finding.slug: finding for finding in served(HOOK)}

        assert "child_exit is ours, and there is no flight" in found["child-exit-without-flight"].what

    @pytest.mark.parametrize(
        ("text", "flies"),
        [("", False), (HOOK, True), ("def child_exit(server, worker): pass", True)],
        ids=["neither", "both", "own"],
    )
    def test_what_fits_together_is_fine(self, tmp_path: Path, text: str, flies: bool) -> None:
        """A hook of somebody's own is believed to call ours."""
        findings = served(text, **({"flight": tmp_path / "flight"} if flies else {}))

        assert [each.slug for each in findings if "flight" in each.slug] == []


def served_without_queue(text: str) -> list[Finding]:
    """Examine the same without the queue."""
    logging.getLogger("shop.queue").handlers.clear()
    return served(text)


class TestConfiguration:
    def test_the_process_is_set_up_as_gunicorn_does(self, tmp_path: Path) -> None:
        """Environment, folder and path are what the application finds."""
        (tmp_path / "inner").mkdir()
        served("raw_env = ['SHOP_DEBT=7']\nchdir = 'inner'\npythonpath = '/srv/lib,'")

        assert (os.environ["SHOP_DEBT"], Path.cwd().name, sys.path.count("/srv/lib")) == ("7", "inner", 1)

    @pytest.mark.parametrize(("text", "target"), [("wsgi_app = 'shop:app'", "shop:app"), ("", None)])
    def test_it_may_name_the_application(self, text: str, target: str | None) -> None:
        """Then it need not be given."""
        Path("conf.py").write_text(text)

        assert target == Configuration("conf.py").target

    def test_the_environment_goes_before_the_file(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As gunicorn has it."""
        os.environ["GUNICORN_CMD_ARGS"] = "--preload --workers 3"
        Path("conf.py").write_text("workers = 2\nbacklog = 7\n")
        configuration: Any = Configuration("conf.py").cfg

        assert (configuration.workers, configuration.backlog, configuration.preload_app) == (3, 7, True)

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            (None, "'conf.py' doesn't exist"),
            ("workers = 'many'", "invalid literal for int() with base 0: 'many'"),
            ("1 / 0", "its own code failed"),
        ],
    )
    def test_what_cannot_be_read_is_told(self, text: str | None, reason: str) -> None:
        """Gunicorn would end the process."""
        if text is not None:
            Path("conf.py").write_text(text)
        with pytest.raises(ConfigurationError) as refused:
            Configuration("conf.py")

        assert str(refused.value) == f"gunicorn cannot read 'conf.py': {reason}."

    def test_a_logger_that_raises_is_told(self) -> None:
        """A logconfig_dict that dictConfig does not take, for example."""
        with pytest.raises(ConfigurationError, match=r"gunicorn's logger raised RuntimeError: .*\.$"):
            served("logconfig_dict = {'handlers': {'wide': {'class': 'nowhere.Handler'}}}")

    def test_without_gunicorn_the_sentence_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It belongs where the application is."""
        monkeypatch.setitem(sys.modules, "gunicorn.app.base", None)
        spec = importlib.util.spec_from_file_location("room_without_gunicorn", room.__file__)
        assert spec is not None
        assert spec.loader is not None
        with pytest.raises(ImportError, match="--gunicorn needs gunicorn where the application is: pip install"):
            spec.loader.exec_module(importlib.util.module_from_spec(spec))
