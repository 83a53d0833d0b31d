"""What gunicorn's lines promise: all of them are ours, from its first to its last, in every way that it can end."""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from gunicorn.config import Config

from tests.integrations.processes import doubled, events, logged, running, stop
from tests.integrations.servers import Lines, eventually
from wideevents.integrations._printed import Printed
from wideevents.integrations.gunicorn import Logger
from wideevents.integrations.logging import Handler

NAME = "gunicorn.error"

APP = """
import os, signal, sys, time
import wideevents
from wideevents.integrations.wsgi import WideEvents

print("imported")

@WideEvents
def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/crash":
        raise ValueError("broken")
    if path == "/sleep":
        time.sleep(30)
    if path == "/die":
        os.kill(os.getpid(), signal.SIGKILL)
    if path == "/print":
        print("printed", file=sys.stderr)
        environ["wsgi.errors"].write("told\\n")
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""

COMMAND = (
    *("-m", "gunicorn", "--bind=fd://{fd}", "--no-control-socket", "--graceful-timeout=2"),
    "--logger-class=wideevents.integrations.gunicorn.Logger",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with the application."""
    (tmp_path / "shop.py").write_text(APP)
    return tmp_path


KINDS = ("sync", "gthread", "gevent")


class TestProcesses:
    @pytest.mark.parametrize("kind", KINDS)
    def test_every_line_of_its_life_is_ours(self, folder: Path, kind: str) -> None:
        """Start, requests, a crash, a reload, reopened files and shutdown: of the master and of the workers."""
        with running(folder, *COMMAND, f"--worker-class={kind}", "shop:app") as server:
            assert [server.get(path) for path in ("/", "/crash", "/print")] == [200, 500, 200]
            server.send(signal.SIGHUP)
            server.said("Booting worker", times=2)
            server.said("Worker exiting")
            server.send(signal.SIGUSR1)
            server.said("Handling signal: usr1")
            assert server.get("/") == 200
            lines = stop(server)

        said = logged(lines, NAME)
        expected = ["Starting gunicorn", "Listening at", "Booting worker", "Hang up: Master", "Shutting down: Master"]
        assert [any(text in each for each in said) for text in expected] == [True] * len(expected)
        assert [each["url.path"] for each in events(lines)] == ["/", "/crash", "/print", "/"]
        assert {line["service.name"] for line in lines} == {"served"}
        assert logged(lines, "py.stdout") == ["imported"] * 2
        assert logged(lines, "py.stderr") == ["printed", "told"]

    def test_an_error_alerts_once(self, folder: Path) -> None:
        """Gunicorn logs what the application raised, after its event: the line has its ids, and no urgency."""
        with running(folder, *COMMAND, "shop:app") as server:
            server.get("/crash")
            lines = stop(server)

        (event,) = events(lines)
        (line,) = [line for line in lines if line.get("message") == "Error handling request GET /crash"]
        assert (event["alert.urgency"], line["level"], "alert.urgency" in line) == ("page", "error", False)
        assert (line["event.id"], line["http.request.id"]) == (event["event.id"], event["http.request.id"])

    def test_the_line_of_what_is_printed_names_its_event(self, folder: Path) -> None:
        """So it is found from the request, whose level it does not change."""
        with running(folder, *COMMAND, "shop:app") as server:
            server.get("/print")
            lines = stop(server)

        (event,) = events(lines)
        printed = [line for line in lines if line.get("log.logger") == "py.stderr"]
        assert [line["event.id"] for line in printed] == [event["event.id"]] * 2
        assert event["level"] == "info"
        assert "log.count.warning" not in event

    @pytest.mark.parametrize(
        ("arguments", "code", "told"),
        [
            (("broken:app",), 3, "Reason: Worker failed to boot."),
            (("--preload", "broken:app"), 1, "Uncaught exception: LookupError"),
            (("shop:nothing",), 4, "Failed to find attribute 'nothing' in 'shop'."),
            (("--preload", "shop:nothing"), 1, "Uncaught exception: AppImportError"),
            (("nowhere:app",), 3, "No module named 'nowhere'"),
        ],
    )
    def test_what_does_not_boot_says_so_in_lines(
        self, folder: Path, arguments: tuple[str, ...], code: int, told: str
    ) -> None:
        """Gunicorn prints some of it: that is a line, too."""
        (folder / "broken.py").write_text("raise LookupError('broken at import')")
        with running(folder, *COMMAND, *arguments) as server:
            lines = server.ended()

        assert (server.process.returncode, server.err) == (code, [])
        assert told in [line["message"] for line in lines]
        assert doubled(lines) == []

    def test_a_traceback_that_is_printed_is_one_line(self, folder: Path) -> None:
        """With LOG_LEVEL=debug gunicorn prints one, frame by frame."""
        with running(folder, *COMMAND, "shop:nothing", LOG_LEVEL="debug") as server:
            lines = server.ended()

        first, second = [line for line in lines if line.get("log.logger") == "py.stderr"]
        assert first["message"] == "AttributeError: module 'shop' has no attribute 'nothing'"
        assert first["exception.stacktrace"].startswith("Traceback (most recent call last):\n  File")
        assert second["message"] == "Failed to find attribute 'nothing' in 'shop'."

    def test_a_worker_that_is_killed_is_told_by_the_master(self, folder: Path) -> None:
        """The request is lost with its worker, and the next one is served."""
        with running(folder, *COMMAND, "shop:app") as server:
            assert [server.get("/die"), server.get("/")] == [0, 200]
            lines = stop(server)

        (line,) = [line for line in lines if "SIGKILL" in line.get("message", "")]
        assert (line["level"], line["alert.urgency"]) == ("error", "page")

    def test_a_worker_that_takes_too_long_is_told_by_the_master(self, folder: Path) -> None:
        """The abort is seen by its request, too."""
        with running(folder, *COMMAND, "--timeout=1", "shop:app") as server:
            # A second after the abort gunicorn kills the worker: a machine that is busy may not answer by then.
            eventually(lambda: server.get("/sleep") == 500, "an answer of a worker that was aborted")
            server.said('"url.path":"/sleep"')
            assert server.get("/") == 200
            lines = stop(server)

        assert [text for text in logged(lines, NAME) if text.startswith("WORKER TIMEOUT")] != []
        slow, fast = events(lines)
        assert (slow["url.path"], slow["exception.type"], fast["outcome"]) == ("/sleep", "SystemExit", "success")

    def test_workers_that_restart_lose_no_line(self, folder: Path) -> None:
        """With --max-requests and --preload every worker is forked from the process that has imported."""
        with running(folder, *COMMAND, "--preload", "--workers=2", "--max-requests=5", "shop:app") as server:
            statuses = [eventually(lambda: server.get("/"), "an answer") for _ in range(30)]
            lines = stop(server)

        assert (set(statuses), len(events(lines))) == ({200}, 30)
        assert "Autorestarting worker after current request." in logged(lines, NAME)
        assert logged(lines, "py.stdout") == ["imported"]

    def test_a_configuration_file_gives_the_master_its_service(self, folder: Path) -> None:
        """Its `configure()` runs in the master, and again on every reload."""
        (folder / "gunicorn.conf.py").write_text(
            "import wideevents\n"
            "wideevents.configure(service='configured')\n"
            "logger_class = 'wideevents.integrations.gunicorn.Logger'\n"
        )
        with running(folder, *COMMAND[:-1], "shop:app") as server:
            server.said("Booting worker")
            server.send(signal.SIGHUP)
            server.said("Booting worker", times=2)
            lines = stop(server)

        assert {line["service.name"] for line in lines} == {"configured"}

    def test_its_own_level_holds_for_its_lines(self, folder: Path) -> None:
        """--log-level is gunicorn's, LOG_LEVEL is the process's."""
        with running(folder, *COMMAND, "--log-level=warning", "shop:app") as server:
            assert server.get("/") == 200
            lines = stop(server)

        assert (logged(lines, NAME), len(events(lines))) == ([], 1)

    def test_files_that_are_asked_for_are_gunicorns(self, folder: Path) -> None:
        """They are written in its own format, and the stream has none of it."""
        files = ("--error-logfile=error.log", "--access-logfile=access.log")
        with running(folder, *COMMAND, *files, "shop:app") as server:
            assert server.get("/") == 200
            lines = stop(server)

        assert [logged(lines, name) for name in (NAME, "gunicorn.access")] == [[], []]
        assert "[INFO] Starting gunicorn" in (folder / "error.log").read_text()
        assert '"GET / HTTP/1.1" 200' in (folder / "access.log").read_text()

    def test_an_access_log_on_the_stream_is_lines(self, folder: Path) -> None:
        """Who asks for it gets it, beside the events."""
        with running(folder, *COMMAND, "--access-logfile=-", "shop:app") as server:
            server.get("/")
            lines = stop(server)

        (line,) = logged(lines, "gunicorn.access")
        assert '"GET / HTTP/1.1" 200 2' in line


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put back the streams and the loggers that gunicorn's logger takes."""
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    yield
    for name in (NAME, "gunicorn.access"):
        logger = logging.getLogger(name)
        for handler in tuple(logger.handlers):
            logger.removeHandler(handler)
            handler.close()


def ours(logger: logging.Logger) -> list[logging.Handler]:
    """Return the handlers of *logger* that write lines; the test runner has its own there."""
    return [handler for handler in logger.handlers if isinstance(handler, Handler)]


@pytest.mark.usefixtures("streams")
class TestLogger:
    def test_it_writes_lines_with_the_ids_of_the_event(self, lines: Lines) -> None:
        """And once, however often it is set up: gunicorn does it on every reload."""
        logger = Logger(Config())
        logger.setup(Config())
        logger.warning("slow: %s", "db")

        (line,) = lines.logged
        assert (line["message"], line["level"], line["log.logger"]) == ("slow: db", "warning", NAME)
        assert len(ours(logger.error_log)) == 1
        assert logger.error_log.propagate is False

    def test_colours_are_left_out(self, lines: Lines) -> None:
        """The worker class of uvicorn hands its lines over with what is meant for a terminal."""
        Logger(Config()).error_log.info("\x1b[1mup\x1b[0m", extra={"color_message": "\x1b[1mup\x1b[0m"})

        (line,) = lines.logged
        assert (line["message"], "color_message" in line) == ("up", False)

    def test_there_is_no_access_log_unless_it_is_asked_for(self) -> None:
        """The event replaces it, and gunicorn does not even collect what it would say."""
        config = Config()
        without = Logger(config)
        assert (without.access_log_enabled, ours(without.access_log)) == (False, [])
        config.set("accesslog", "-")
        without.setup(config)
        assert (without.access_log_enabled, len(ours(without.access_log))) == (True, 1)

    def test_a_file_is_written_as_gunicorn_does(self, tmp_path: Path, lines: Lines) -> None:
        """It is what somebody asked for; the stream is left without these lines."""
        config = Config()
        config.set("errorlog", os.fspath(tmp_path / "error.log"))
        Logger(config).info("hello")

        assert (tmp_path / "error.log").read_text().endswith("[INFO] hello\n")
        assert lines.raw == []

    def test_it_makes_lines_of_what_is_printed(self) -> None:
        """Gunicorn prints why a worker does not boot."""
        Logger(Config())
        assert (type(sys.stdout), type(sys.stderr)) == (Printed, Printed)

    def test_without_gunicorn_the_sentence_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is an extra: who imports the room without it is told its name."""
        monkeypatch.setitem(sys.modules, "gunicorn", None)
        spec = importlib.util.spec_from_file_location("room", sys.modules[Logger.__module__].__file__ or "")
        assert spec is not None
        assert spec.loader is not None
        with pytest.raises(ImportError, match=r"needs gunicorn: pip install 'wideevents\[gunicorn\]'"):
            spec.loader.exec_module(importlib.util.module_from_spec(spec))
