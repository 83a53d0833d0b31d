"""What uvicorn's lines promise: with `LOG_CONFIG` all of them are ours, whatever becomes of the server."""

from __future__ import annotations

import json
import logging
import logging.config
import runpy
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from tests.integrations.processes import events, logged, running, stop
from tests.integrations.servers import Lines
from wideevents.integrations._printed import Printed
from wideevents.integrations.uvicorn import LOG_CONFIG, Handler

NAME = "uvicorn.error"

APP = """
import logging
import wideevents

wideevents.configure(service="shop")
logger = logging.getLogger("shop")

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    with wideevents.event("page", path=scope["path"]):
        logger.info("shown")
    if scope["path"] == "/crash":
        raise ValueError("broken")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
"""

COMMAND = ("-m", "uvicorn", "--port={port}", "--log-config=uvicorn.json")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with the application and the file for the command line."""
    (tmp_path / "shop.py").write_text(APP)
    (tmp_path / "uvicorn.json").write_text(json.dumps(LOG_CONFIG))
    return tmp_path


class TestProcesses:
    def test_every_line_of_its_life_is_ours(self, folder: Path) -> None:
        """Start, a request, a crash and shutdown; the event replaces the access log."""
        with running(folder, *COMMAND, "shop:app") as server:
            server.said("Uvicorn running on")
            assert [server.get(path) for path in ("/", "/crash")] == [200, 500]
            lines = stop(server)

        said = logged(lines, NAME)
        expected = ["Started server process", "Application startup complete", "Exception in ASGI", "Finished server"]
        assert [any(text in each for each in said) for text in expected] == [True] * len(expected)
        assert [each["path"] for each in events(lines)] == ["/", "/crash"]
        assert [line["event.id"] for line in lines if line.get("log.logger") == "shop"] == [
            each["event.id"] for each in events(lines)
        ]
        assert logged(lines, "uvicorn.access") == []
        assert {"color_message"} & {key for line in lines for key in line} == set()

    @pytest.mark.parametrize("how", ["--workers=2", "--reload"])
    def test_several_processes_are_served_too(self, folder: Path, how: str) -> None:
        """Each of them is configured anew by uvicorn."""
        with running(folder, *COMMAND, how, "shop:app") as server:
            server.said("Application startup complete", times=2 if how == "--workers=2" else 1)
            assert server.get("/") == 200
            lines = stop(server)

        assert len(events(lines)) == 1
        assert any("Stopping" in each for each in logged(lines, NAME))

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (("broken:app",), "Uncaught exception: LookupError"),
            (("nowhere:app",), 'Error loading ASGI app. Could not import module "nowhere".'),
        ],
    )
    def test_what_does_not_start_says_so_in_lines(self, folder: Path, arguments: tuple[str, ...], told: str) -> None:
        """The lines are ours before the application is imported; their service is that of the environment."""
        (folder / "broken.py").write_text("raise LookupError('broken at import')")
        with running(folder, *COMMAND, *arguments) as server:
            lines = server.ended()

        assert server.err == []
        assert [(line["message"], line["level"], line["service.name"]) for line in lines] == [(told, "error", "served")]

    def test_workers_that_do_not_start_print_it_in_lines(self, folder: Path) -> None:
        """The multiprocessing module prints what ends a process, whatever is logged."""
        (folder / "broken.py").write_text("raise LookupError('broken at import')")
        with running(folder, *COMMAND, "--workers=2", "broken:app") as server:
            server.said("LookupError", times=2)
            lines = stop(server)

        tracebacks = [line for line in lines if "exception.stacktrace" in line]
        assert {line["message"] for line in tracebacks} == {"LookupError: broken at import"}

    def test_the_application_can_run_it_itself(self, folder: Path) -> None:
        """`uvicorn.run(log_config=LOG_CONFIG)`; the loggers that are there stay in use, and Ctrl-C is quiet."""
        (folder / "main.py").write_text(
            "import sys, uvicorn, shop\n"
            "from wideevents.integrations.uvicorn import LOG_CONFIG\n"
            "uvicorn.run(shop.app, port=int(sys.argv[1]), log_config=LOG_CONFIG, use_colors=True)\n"
        )
        with running(folder, "main.py", "{port}") as server:
            server.said("Uvicorn running on")
            assert server.get("/") == 200
            lines = server.stop(signal.SIGINT)

        assert (server.err, logged(lines, "shop")) == ([], ["shown"])
        assert "\\u001b" not in b"".join(server.out).decode()


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put back the streams and the loggers that uvicorn's configuration takes."""
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    yield
    for name in ("uvicorn", NAME, "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.propagate = True
        logger.setLevel(logging.NOTSET)
        for handler in tuple(logger.handlers):
            logger.removeHandler(handler)
            handler.close()


@pytest.mark.usefixtures("streams")
class TestConfiguration:
    def test_it_makes_lines_without_colours(self, lines: Lines) -> None:
        """What uvicorn adds for a terminal is no field."""
        uvicorn.Config("app", log_config=LOG_CONFIG)
        logging.getLogger(NAME).info("up: %d", 7, extra={"color_message": "\x1b[36m%d\x1b[0m"})

        (line,) = lines.logged
        assert (line["message"], line["log.logger"]) == ("up: 7", NAME)
        assert "color_message" not in line

    def test_there_is_no_access_log(self) -> None:
        """Uvicorn asks for the handlers, and does not collect what nobody takes; the test runner's is one."""
        uvicorn.Config("app", log_config=LOG_CONFIG)
        access = logging.getLogger("uvicorn.access")
        assert [handler for handler in access.handlers if isinstance(handler, Handler)] == []
        assert access.propagate is False

    def test_the_level_of_the_command_line_holds(self, lines: Lines) -> None:
        """--log-level is uvicorn's."""
        uvicorn.Config("app", log_config=LOG_CONFIG, log_level="warning")
        logging.getLogger(NAME).info("up")
        assert lines.raw == []

    def test_other_loggers_stay_in_use(self) -> None:
        """Those that the application has made before."""
        logger = logging.getLogger("tests.before")
        uvicorn.Config("app", log_config=LOG_CONFIG)
        assert logger.disabled is False

    def test_it_makes_lines_of_what_is_printed(self) -> None:
        """Each of several workers prints why it did not start."""
        Handler()
        assert (type(sys.stdout), type(sys.stderr)) == (Printed, Printed)


class TestFile:
    def test_the_room_writes_it(self, capsys: pytest.CaptureFixture[str]) -> None:
        """`python -m wideevents.integrations.uvicorn > uvicorn.json`."""
        runpy.run_path(sys.modules[Handler.__module__].__file__ or "", run_name="__main__")
        assert json.loads(capsys.readouterr().out) == LOG_CONFIG
