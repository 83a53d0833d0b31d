"""What Celery's lines promise: a worker leaves the logging module as it was configured, and its lines are ours."""

from __future__ import annotations

import importlib.util
import io
import logging
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from celery import Celery, signals
from celery.app.log import Logging

import wideevents
from tests.integrations.processes import Running, doubled, logged, running
from tests.integrations.servers import PATIENCE, Lines, environment, parse_any
from wideevents.integrations import _celery as room
from wideevents.integrations import celery as door
from wideevents.integrations._printed import Printed
from wideevents.integrations.celery import keep_logging

CONFIGURE = 'wideevents.configure(service="jobs")\n'

APP = """
import logging, os
import wideevents
from celery import Celery
from celery.utils.log import get_task_logger
from wideevents.integrations.celery import keep_logging

{first}
app = Celery("jobs", broker="filesystem://localhost")
folders = dict.fromkeys(("data_folder_in", "data_folder_out", "control_folder"), os.path.join(os.getcwd(), "queue"))
app.conf.broker_transport_options = folders | {{"polling_interval": 0.05}}
app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True)
keep_logging()
{last}
logger, task_logger = logging.getLogger("shop"), get_task_logger(__name__)

@app.task
def add(a, b):
    print("printed")
    logger.info("logged")
    with wideevents.event("add"):
        task_logger.info("logged by the task")
    return a + b

@app.task
def crash():
    raise ValueError("broken")
"""

WORKER = ("-m", "celery", "-A", "jobs", "worker", "--concurrency=1", "--without-gossip", "--without-mingle")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with the application, and a queue that lies there as files."""
    (tmp_path / "jobs.py").write_text(APP.format(first=CONFIGURE, last=""))
    (tmp_path / "queue").mkdir()
    return tmp_path


def work(server: Running) -> None:
    """Send the worker its tasks, and wait until it has done them."""
    sending = "import jobs; jobs.add.delay(1, 2); jobs.crash.delay()"
    subprocess.run(
        [sys.executable, "-c", sending],
        cwd=server.folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        timeout=PATIENCE,
        check=True,
    )
    server.said("raised unexpected")


class TestProcesses:
    @pytest.mark.parametrize(("pool", "configured"), [("solo", "before"), ("solo", "after"), ("prefork", "before")])
    def test_every_line_of_a_worker_is_ours(self, folder: Path, pool: str, configured: str) -> None:
        """Start, tasks, what they log and print, a crash, shutdown; wherever `configure()` stands."""
        if configured == "after":
            (folder / "jobs.py").write_text(APP.format(first="", last=CONFIGURE))
        with running(folder, *WORKER, f"--pool={pool}", "--loglevel=info") as server:
            server.said(" ready.")
            work(server)
            lines = server.stop()

        assert server.err == []
        assert doubled(lines) == []
        assert [logged(lines, name) for name in ("shop", "py.stdout")] == [["logged"], ["printed"]]
        (line,) = [line for line in lines if line.get("message") == "logged by the task"]
        (event,) = [line for line in lines if "event.kind" in line]
        assert (line["event.id"], line["service.name"]) == (event["event.id"], "jobs")
        assert logged(lines, "celery.worker") == ["worker: Warm shutdown (MainProcess)"]
        (crash,) = [line for line in lines if line.get("exception.type") == "ValueError"]
        assert (crash["level"], crash["log.logger"]) == ("error", "celery.app.trace")

    def test_its_level_and_its_file_are_as_asked_for(self, folder: Path) -> None:
        """--loglevel is for Celery's own loggers; --logfile is written in addition, line by line."""
        with running(folder, *WORKER, "--pool=solo", "--loglevel=error", "--logfile=worker.log") as server:
            work(server)
            lines = server.stop()

        in_file = [parse_any(line) for line in (folder / "worker.log").read_bytes().splitlines(keepends=True)]
        assert [line["level"] for line in lines if line.get("log.logger", "").startswith("celery")] == ["error"]
        assert logged(lines, "shop") == logged(in_file, "shop") == ["logged"]

    def test_every_line_of_beat_is_ours(self, folder: Path) -> None:
        """With --quiet, since it shows its banner before it sets up anything."""
        with running(folder, "-m", "celery", "--quiet", "-A", "jobs", "beat", "--loglevel=debug") as server:
            server.said("beat: Waking up")  # one that is told to end while it opens its schedule may hang there
            lines = server.stop()

        assert server.err == []
        assert "beat: Starting..." in logged(lines, "celery.beat")

    def test_an_interrupt_is_told_too(self, folder: Path) -> None:
        """Ctrl-C makes a worker say how to hurry, past every stream of Python's."""
        with running(folder, *WORKER, "--pool=solo", "--loglevel=info") as server:
            server.said(" ready.")
            lines = server.stop(signal.SIGINT)

        assert server.err == []
        assert "worker: Warm shutdown (MainProcess)" in logged(lines, "celery.worker")


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put back the signals, the streams and the loggers that Celery's set-up takes."""
    root, own = logging.getLogger(), logging.getLogger("celery")
    handlers, level, receivers = list(root.handlers), own.level, (signals.setup_logging, signals.celeryd_after_setup)
    before = [list(each.receivers) for each in receivers]
    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(sys, stream, io.StringIO())
    monkeypatch.setattr(Logging, "_setup", False)
    yield
    for handler in set(root.handlers) - set(handlers):
        root.removeHandler(handler)
        handler.close()
    own.setLevel(level)
    for signal_, known in zip(receivers, before, strict=True):
        signal_.receivers[:] = known


@pytest.mark.usefixtures("connected")
class TestKeepLogging:
    def test_the_root_logger_stays_as_it_was(self, reconfigurable: None, monkeypatch: pytest.MonkeyPatch) -> None:
        """Celery would replace its handlers and its level; its own loggers have the level of the command line."""
        written = Lines()
        wideevents.configure(service="contract", output=written)
        handlers, level = list(logging.getLogger().handlers), logging.getLogger().level
        keep_logging()
        app = Celery("jobs", set_as_current=False)
        for name in ("_MP_FORK_LOGLEVEL_", "_MP_FORK_LOGFILE_", "_MP_FORK_LOGFORMAT_"):
            monkeypatch.setenv(name, "")
        assert app.log.setup_logging_subsystem(loglevel="ERROR")

        assert (logging.getLogger().handlers, logging.getLogger().level) == (handlers, level)
        assert logging.getLogger("celery").level == logging.ERROR
        assert type(sys.stderr) is Printed
        logging.getLogger("celery.task").error("told")
        assert [line["message"] for line in written.logged] == ["told"]

    def test_a_file_has_lines_too(self, reconfigurable: None, tmp_path: Path) -> None:
        """Beside the stream, which may be closed when a worker is detached."""
        written = Lines()
        wideevents.configure(service="contract", output=written)
        room.set_up(logfile=str(tmp_path / "worker.log"))
        logging.getLogger("celery").error("told")

        in_file = [parse_any(line) for line in (tmp_path / "worker.log").read_bytes().splitlines(keepends=True)]
        assert [line["message"] for line in in_file] == [line["message"] for line in written.logged] == ["told"]
        assert logging.getLogger("celery").level == logging.NOTSET

    def test_the_banner_is_left_out_where_lines_are_written(
        self, reconfigurable: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And what a worker says past all streams is logged; for a terminal both stay."""
        program, worker = SimpleNamespace(safe_say=print), SimpleNamespace(quiet=False)
        monkeypatch.setitem(sys.modules, room.PROGRAM, program)
        keep_logging()
        signals.celeryd_after_setup.send(sender="worker", instance=worker, conf=None)
        assert (worker.quiet, program.safe_say) == (False, print)
        wideevents.configure(service="contract", output=tmp_path / "lines")
        room.set_up()
        signals.celeryd_after_setup.send(sender="worker", instance=worker, conf=None)
        say: Any = program.safe_say
        say("worker: Warm shutdown", None)

        assert worker.quiet is True
        assert parse_any((tmp_path / "lines").read_bytes())["message"] == "worker: Warm shutdown"

    @pytest.mark.parametrize("module", [door, room], ids=["celery", "_celery"])
    def test_without_celery_the_sentence_says_what_to_install(
        self, monkeypatch: pytest.MonkeyPatch, module: ModuleType
    ) -> None:
        """It is an extra: who imports the room without it is told its name."""
        monkeypatch.setitem(sys.modules, "celery", None)
        spec = importlib.util.spec_from_file_location("room", module.__file__ or "")
        assert spec is not None
        assert spec.loader is not None
        with pytest.raises(ImportError, match=r"needs Celery: pip install 'wideevents\[celery\]'"):
            spec.loader.exec_module(importlib.util.module_from_spec(spec))
