"""What the lines of werkzeug's development server promise: no colours, and none that says what an event says."""

from __future__ import annotations

import io
import logging
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import flask
import pytest
from flask import cli
from flask.logging import default_handler

import wideevents
from tests.integrations.processes import HOST, events, logged, running, stop
from tests.integrations.servers import PATIENCE, Ask, Lines, environ, lines_caught
from wideevents.integrations import werkzeug, wsgi
from wideevents.integrations._printed import Printed
from wideevents.integrations.flask import WideEvents

LINE = '127.0.0.1 - - [01/Jan/2026 00:00:00] "%s" %s %s'

APP = """
import sys
from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware
import wideevents
from wideevents.integrations.flask import WideEvents

wideevents.configure(service="shop")
app, bare = Flask(__name__), Flask("bare")
WideEvents(app)

@app.get("/")
def index():
    app.logger.warning("logged")
    print("printed")
    return "ok"

@app.get("/crash")
def crash():
    raise ValueError("broken")

@bare.get("/")
def bare_index():
    return "bare"

app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/bare": bare})

if __name__ == "__main__":
    app.run(port=int(sys.argv[1]))
"""

RUN = ("-m", "flask", "--app=shop", "run", "--port={port}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with the application, behind a dispatcher that serves a part of it past the door."""
    (tmp_path / "shop.py").write_text(APP)
    return tmp_path


class TestProcesses:
    @pytest.mark.parametrize("command", [RUN, (*RUN, "--debug"), ("shop.py", "{port}")], ids=["run", "debug", "app"])
    def test_every_line_of_its_life_is_ours(self, folder: Path, command: tuple[str, ...]) -> None:
        """The banner, its own lines and what is printed; a request that has an event has no other line."""
        with running(folder, *command) as server:
            server.said("Debugger PIN" if "--debug" in command else "Press CTRL+C")
            assert [server.get(path) for path in ("/", "/crash", "/nowhere", "/bare/")] == [200, 500, 404, 200]
            lines = stop(server)

        assert " * Serving Flask app 'shop'" in logged(lines, "py.stdout")
        assert any("This is a development server" in text for text in logged(lines, "werkzeug"))
        assert [each["url.path"] for each in events(lines)] == ["/", "/crash", "/nowhere"]
        (request,) = [text for text in logged(lines, "werkzeug") if "HTTP/1.1" in text]
        assert '"GET /bare/ HTTP/1.1" 200' in request
        assert b"u001b" not in b"".join(server.out)
        inside = [line for line in lines if line.get("message") in {"logged", "printed"}]
        assert [line["event.id"] for line in inside] == [events(lines)[0]["event.id"]] * 2

    def test_what_it_refuses_says_so(self, folder: Path) -> None:
        """A request that is none never comes to a door, and its line stays."""
        with running(folder, *RUN) as server:
            server.said("Press CTRL+C")
            with socket.create_connection((HOST, server.port), PATIENCE) as client:
                client.sendall(b"GET / NONSENSE\r\n\r\n")
                assert b"400" in client.recv(1_000)
            lines = stop(server)

        assert events(lines) == []
        assert [line["level"] for line in lines if "code 400" in line.get("message", "")] == ["error"]


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """Give the server's logger, with our filter, and put it back afterwards."""
    logger = logging.getLogger("werkzeug")
    filters, handlers, level = list(logger.filters), list(logger.handlers), logger.level
    logger.setLevel(logging.INFO)
    yield logger
    logger.filters[:], logger.handlers[:] = filters, handlers
    logger.setLevel(level)


@pytest.fixture
def taken(reconfigurable: None) -> Lines:
    """Give the lines of a process whose root logger writes lines."""
    lines = Lines()
    wideevents.configure(service="contract", output=lines)
    return lines


class TestRequestLines:
    def test_the_line_of_a_request_with_an_event_is_left_out(self, logger: logging.Logger, taken: Lines) -> None:
        """Once: the next line of this thread is of another request."""
        werkzeug.install()
        werkzeug.follow()
        logger.info("\x1b[33m * Detected change\x1b[0m")
        logger.info(LINE, "GET / HTTP/1.1", "200", "-")
        logger.info(LINE, "\x1b[33mGET /favicon.ico HTTP/1.1\x1b[0m", "404", "-")

        change, request = (line["message"] for line in taken.logged)
        assert (change, request.partition("] ")[2]) == (" * Detected change", '"GET /favicon.ico HTTP/1.1" 404 -')

    def test_a_door_tells_that_it_follows(self, logger: logging.Logger, taken: Lines) -> None:
        """The server is known by what it puts into the environ; others log no such lines."""
        door = wsgi.WideEvents(lambda environ, start_response: start_response("204 No Content", []) and [])
        for head in ({}, {werkzeug.SOCKET: object()}):
            list(door({**environ(Ask("GET", "/")), **head}, lambda *_: lambda _: None))
            logger.info(LINE, f"GET /{len(head)} HTTP/1.1", "204", "-")

        (line,) = taken.logged
        assert '"GET /0 HTTP/1.1"' in line["message"]

    def test_while_the_root_logger_is_left_alone_so_is_this_one(self, logger: logging.Logger, lines: Lines) -> None:
        """Whoever writes the lines then may want all of them, and in colours."""
        werkzeug.install()
        werkzeug.follow()
        seen: list[str] = []
        logger.addFilter(lambda record: seen.append(record.getMessage()) is None)
        logger.info(LINE, "\x1b[33mGET / HTTP/1.1\x1b[0m", "404", "-")
        werkzeug._thread.followed = False

        assert [text.partition("] ")[2] for text in seen] == ['"\x1b[33mGET / HTTP/1.1\x1b[0m" 404 -']

    def test_it_is_installed_once(self, logger: logging.Logger, taken: Lines) -> None:
        """Every application does it; the handler that the server has made for itself is removed."""
        logger.addHandler(logging.StreamHandler(sys.stderr))
        other = logging.StreamHandler(io.StringIO())
        logger.addHandler(other)
        werkzeug.install()
        werkzeug.install()

        assert logger.filters.count(werkzeug.REQUEST_LINES) == 1
        assert [handler for handler in logger.handlers if type(handler) is logging.StreamHandler] == [other]

    def test_its_own_handler_stays_while_it_is_the_only_one(self, logger: logging.Logger, lines: Lines) -> None:
        """Without our root handler nobody else would write its lines."""
        own = logging.StreamHandler(sys.stderr)
        logger.addHandler(own)
        werkzeug.install()

        assert own in logger.handlers


class TestFlask:
    def test_its_own_handler_goes_where_lines_are_written(self, taken: Lines) -> None:
        """An application whose logger was used before `configure` has one, and would tell everything twice."""
        app = flask.Flask("early")
        app.logger.addHandler(default_handler)
        WideEvents(app)

        assert default_handler not in app.logger.handlers

    def test_its_own_handler_stays_where_they_are_not(self) -> None:
        """With logging=False the logging module is the application's."""
        app = flask.Flask("late")
        app.logger.addHandler(default_handler)
        with lines_caught():
            WideEvents(app)

        assert default_handler in app.logger.handlers
        app.logger.removeHandler(default_handler)

    def test_the_banner_makes_lines_of_what_is_printed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is what Flask shows last before it serves; whichever applications there are, it is wrapped once."""
        WideEvents(flask.Flask("one"))
        WideEvents(flask.Flask("two"))
        shown: list[tuple[object, ...]] = []
        monkeypatch.setattr(sys, "stdout", io.StringIO())
        monkeypatch.setattr(sys, "stderr", io.StringIO())
        monkeypatch.setattr(cli, "is_running_from_reloader", lambda: bool(shown.append((sys.stdout,))) or True)
        cli.show_server_banner(debug=False, app_import_path="shop")

        assert [type(stream) for (stream,) in shown] == [Printed]
        assert not hasattr(cli.show_server_banner.__wrapped__, "__wrapped__")  # type: ignore[attr-defined]
