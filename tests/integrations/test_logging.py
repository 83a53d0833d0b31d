"""What the door for the logging module promises: what a dictConfig names, through handlers that people own."""

from __future__ import annotations

import logging
import logging.config
import logging.handlers
import pickle
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from textwrap import dedent
from typing import Any

import pytest

import wideevents
from tests.logs import Logged, bare_root, caught, logger_with, run
from tests.strict import parse_log_line
from wideevents import health
from wideevents.errors import ConfigurationError
from wideevents.integrations.logging import EventFilter, Handler, JsonFormatter
from wideevents.sinks.jsonlogger import LoggingSink

DOOR = "wideevents.integrations.logging"


@contextmanager
def dict_config(handler: dict[str, Any], formatter: dict[str, Any] | None = None) -> Iterator[logging.Logger]:
    """Configure the logger `shop` from a dictionary, with one handler; gives the logger."""
    with bare_root(), logger_with(name="shop") as shop:
        logging.config.dictConfig(
            {
                "version": 1,
                "disable_existing_loggers": False,
                "formatters": {"wide": formatter or {"()": f"{DOOR}.JsonFormatter"}},
                "filters": {"wide": {"()": f"{DOOR}.EventFilter"}},
                "handlers": {"h": handler},
                "loggers": {"shop": {"handlers": ["h"], "level": "DEBUG", "propagate": False}},
            }
        )
        yield shop
        for made in shop.handlers:
            made.close()


def lines_in(*files: Path) -> list[dict[str, Any]]:
    """Return the log lines in *files*."""
    return [parse_log_line(line) for file in files for line in file.read_bytes().splitlines(keepends=True)]


def log_all(shop: logging.Logger, number: int = 20) -> list[str]:
    """Log what others lose, and return the messages."""
    messages = [f"{position} \ud800 %s" for position in range(number)]
    for message in messages:
        shop.warning(message, extra={"user": {"id": 42}, "big": 2**70})
    return [message.replace("\ud800", "\\ud800") for message in messages]


class TestByDottedPath:
    def test_the_formatter(self, tmp_path: Path) -> None:
        """For any handler, with its options."""
        path = tmp_path / "app.log"
        formatter = {"()": f"{DOOR}.JsonFormatter", "rename_fields": {"a": "b"}, "static_fields": {"c": 3}}
        with (
            caught(),
            dict_config({"class": "logging.FileHandler", "filename": path, "formatter": "wide"}, formatter) as shop,
        ):
            shop.info("hello", extra={"a": 1})
        (line,) = lines_in(path)

        assert ("hello", 1, 3) == (line["message"], line["b"], line["c"])

    def test_the_formatter_as_a_class(self, tmp_path: Path) -> None:
        """As the key `class` has it: with a format, a date format and a style, which change nothing."""
        path = tmp_path / "app.log"
        formatter = {"class": f"{DOOR}.JsonFormatter", "format": "%(message)s", "datefmt": "%Y", "style": "%"}
        with (
            caught(),
            dict_config({"class": "logging.FileHandler", "filename": path, "formatter": "wide"}, formatter) as shop,
        ):
            shop.info("hello")

        assert ["hello"] == [line["message"] for line in lines_in(path)]

    def test_the_filter(self, tmp_path: Path) -> None:
        """With a format of one's own."""
        path = tmp_path / "app.log"
        handler = {"class": "logging.FileHandler", "filename": path, "formatter": "wide", "filters": ["wide"]}
        with (
            caught(),
            dict_config(handler, {"format": "%(event_id)s %(message)s"}) as shop,
            wideevents.event("job") as event,
        ):
            shop.info("hello")

        assert f"{event.id} hello\n" == path.read_text()

    def test_the_handler(self) -> None:
        """To where events go."""
        with caught() as logged, dict_config({"class": f"{DOOR}.Handler", "level": "WARNING"}) as shop:
            shop.info("no")
            shop.warning("yes")

        assert ["yes"] == logged.messages()

    def test_the_handler_with_our_formatter(self) -> None:
        """And its options."""
        formatter = {"()": f"{DOOR}.JsonFormatter", "static_fields": {"c": 3}}
        with caught() as logged, dict_config({"class": f"{DOOR}.Handler", "formatter": "wide"}, formatter) as shop:
            shop.info("hello")

        assert 3 == logged.one()["c"]

    def test_the_handler_with_another_formatter_is_refused(self) -> None:
        """Where it is configured, with the reason."""
        made = dict_config({"class": f"{DOOR}.Handler", "formatter": "wide"}, {"format": "%(message)s"})
        with caught(), pytest.raises(ValueError, match="'h'") as refused, made:
            pass

        assert isinstance(refused.value.__cause__, ConfigurationError)

    def test_the_sink_as_the_output(self, tmp_path: Path) -> None:
        """Events go through the handlers of a logger."""
        path = tmp_path / "app.log"
        file = dict_config({"class": "logging.FileHandler", "filename": path, "formatter": "wide"})
        with caught(output=LoggingSink("shop.events")), file as shop, wideevents.event("job"):
            shop.info("hello")

        assert 2 == len(path.read_bytes().splitlines())

    def test_from_a_file(self, tmp_path: Path) -> None:
        """As `fileConfig` has it."""
        path, ini = tmp_path / "app.log", tmp_path / "logging.ini"
        ini.write_text(
            dedent(f"""
            [loggers]
            keys=root
            [handlers]
            keys=h
            [formatters]
            keys=wide
            [logger_root]
            handlers=h
            level=INFO
            [handler_h]
            class=FileHandler
            args=({str(path)!r},)
            formatter=wide
            [formatter_wide]
            class={DOOR}.JsonFormatter
            """)
        )
        ran = run("import logging.config, sys; logging.config.fileConfig(sys.argv[1]); logging.warning('hello')", ini)

        assert ("", ["hello"]) == (ran.err, [line["message"] for line in lines_in(path)])


class TestWithoutConfigure:
    def test_they_are_what_is_configured_later(self) -> None:
        """A dictConfig often comes first."""
        made = [Handler(), JsonFormatter(), EventFilter("shop")]
        with caught(service="later") as logged, logger_with(made[0]) as shop:  # type: ignore[arg-type]
            shop.info("hello")

        assert ("later", "shop") == (logged.one()["service.name"], made[2].name)  # type: ignore[attr-defined]

    def test_the_handler_takes_a_level(self) -> None:
        """As the logging module's do."""
        assert [30, 40, 0] == [each.level for each in (Handler("WARNING"), Handler(logging.ERROR), Handler())]

    def test_the_default_serves(self) -> None:
        """On standard output."""
        code = (
            f"import logging; from {DOOR} import Handler; logging.basicConfig(handlers=[Handler()]); logging.error('x')"
        )
        ran = run(code)

        assert (["x"], "") == (ran.messages(), ran.err)


class TestFiles:
    def test_that_somebody_watches(self, tmp_path: Path) -> None:
        """Logrotate moves it away; every line is in one of the files."""
        path, moved = tmp_path / "app.log", tmp_path / "app.log.1"
        handler = {"class": "logging.handlers.WatchedFileHandler", "filename": path, "formatter": "wide"}
        with caught(), dict_config(handler) as shop:
            messages = log_all(shop)
            path.rename(moved)
            messages += log_all(shop)

        assert (messages, 20) == ([line["message"] for line in lines_in(moved, path)], len(lines_in(path)))

    def test_that_rotate_themselves(self, tmp_path: Path) -> None:
        """Between lines, and never in one."""
        handler = {
            "class": "logging.handlers.RotatingFileHandler",
            "filename": tmp_path / "app.log",
            "formatter": "wide",
            "maxBytes": 2_000,
            "backupCount": 99,
        }
        with caught(), dict_config(handler) as shop:
            messages = log_all(shop)
        files = list(tmp_path.iterdir())

        assert (set(messages), True) == ({line["message"] for line in lines_in(*files)}, len(files) > 3)


class TestSyslog:
    @pytest.mark.parametrize("kind", ["udp", "unix"])
    def test_takes_every_line(self, kind: str, tmp_path: Path) -> None:
        """By datagrams, with its priority before the line and a zero byte after it."""
        with socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET, socket.SOCK_DGRAM) as daemon:
            daemon.settimeout(10)
            daemon.bind(str(tmp_path / "log") if kind == "unix" else ("127.0.0.1", 0))
            handler = {"class": "logging.handlers.SysLogHandler", "address": daemon.getsockname(), "formatter": "wide"}
            with caught(), dict_config(handler) as shop:
                messages = log_all(shop, 5)  # a unix socket holds ten
                received = [daemon.recv(65_536) for _ in messages]

        lines = [parse_log_line(each.removeprefix(b"<12>").removesuffix(b"\0") + b"\n") for each in received]
        assert messages == [line["message"] for line in lines]


class TestQueues:
    def listened(self, *handlers: logging.Handler, formatter: logging.Formatter | None = None) -> Logged:
        """Log in a request, write in the thread of a listener, and return what came out where events go."""
        queue: SimpleQueue[logging.LogRecord] = SimpleQueue()
        made = logging.handlers.QueueHandler(queue)
        made.addFilter(EventFilter())
        made.setFormatter(formatter)
        listener = logging.handlers.QueueListener(queue, *handlers)
        with caught() as logged, logger_with(made) as shop:
            listener.start()
            with wideevents.event("request"):
                shop.error("failed %s", "twice", extra={"user.id": 42})
            shop.info("outside")
            listener.stop()
        return logged

    def test_a_line_has_the_event_that_it_was_logged_in(self) -> None:
        """Which is none of the thread that writes it."""
        logged = self.listened(Handler())
        inside, outside = logged.all()
        event = logged.event()

        assert (event["event.id"], event["trace.id"]) == (inside["event.id"], inside["trace.id"])
        assert ("failed twice", 42, "none") == (inside["message"], inside["user.id"], outside["alert.urgency"])
        assert (1, "error") == (event["log.count.error"], event["level"])

    def test_a_formatted_record_is_the_line(self, tmp_path: Path) -> None:
        """The listener's handler writes it as it is; a record that nobody can format is not lost that way."""
        path = tmp_path / "app.log"
        file = logging.FileHandler(path)
        logged = self.listened(file, formatter=JsonFormatter())
        file.close()
        inside, outside = lines_in(path)

        assert (logged.event()["event.id"], "outside") == (inside["event.id"], outside["message"])
        assert 1 == logged.event()["log.count.error"]


class TestSockets:
    def test_a_log_server_has_the_line(self) -> None:
        """A record is pickled, and becomes a line elsewhere: with its event, its extras and its traceback."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            handler = {"class": "logging.handlers.SocketHandler", "host": "127.0.0.1", "port": server.getsockname()[1]}
            with caught() as logged, dict_config({**handler, "filters": ["wide"]}) as shop:
                shop.handlers.insert(0, Handler())
                with wideevents.event("job") as event:
                    try:
                        raise ValueError("inner")
                    except ValueError:
                        shop.exception("failed %d", 7, extra={"user.id": 42})
                connection, _ = server.accept()
                with connection, connection.makefile("rb") as stream:
                    (length,) = struct.unpack(">L", stream.read(4))
                    record = logging.makeLogRecord(pickle.loads(stream.read(length)))
                logged.sink.log_lines.clear()
                Handler().handle(record)
                line = logged.one()

        assert (event.id, "failed 7", 42) == (line["event.id"], line["message"], line["user.id"])
        assert "ValueError: inner" in line["exception.stacktrace"]
        assert 1 == logged.event()["log.count.error"]


PROJECT = """
SECRET_KEY = "x" * 50
{logging}
"""
DJANGO = """
import logging, os, sys, wideevents
if sys.argv[1] == "before":
    wideevents.configure(service="shop", output="json")
os.environ["DJANGO_SETTINGS_MODULE"] = "project"
import django
django.setup()
if sys.argv[1] == "after":
    wideevents.configure(service="shop", output="json")
logging.getLogger("django.request").error("failed")
logging.getLogger("shop").warning("careful")
logging.getLogger("shop").info("paid", extra={"name": "Ann"})
"""
WIDE = f"""
LOGGING = {{
    "version": 1,
    "disable_existing_loggers": DISABLING,
    "handlers": {{"wide": {{"class": "{DOOR}.Handler"}}}},
    "root": {{"handlers": ["wide"], "level": "INFO"}},
}}
"""


ALL = ["failed", "careful", "paid"]


class TestDjango:
    @pytest.mark.parametrize("when", ["before", "after"])
    @pytest.mark.parametrize(
        "settings",
        ["", "LOGGING_CONFIG = None", WIDE.replace("DISABLING", "True"), WIDE.replace("DISABLING", "False")],
    )
    def test_every_line_is_there_once(self, when: str, settings: str, tmp_path: Path) -> None:
        """Whatever its settings say of logging, and whoever comes first; what Django disables is disabled."""
        messages = ["careful", "paid"] if "'disable_existing_loggers': True" in settings.replace('"', "'") else ALL
        (tmp_path / "project.py").write_text(PROJECT.format(logging=settings))
        ran = run(DJANGO, when, path=tmp_path)

        assert (messages, 0, "") == (ran.messages(), ran.code, ran.err)

    def test_its_own_handler_of_a_file_goes_on(self, tmp_path: Path) -> None:
        """A project's handlers are the project's."""
        path = tmp_path / "app.log"
        handlers = {"file": {"class": "logging.FileHandler", "filename": str(path), "formatter": "wide"}}
        settings = {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": handlers,
            "formatters": {"wide": {"()": f"{DOOR}.JsonFormatter"}},
            "loggers": {"shop": {"handlers": ["file"]}},
        }
        (tmp_path / "project.py").write_text(PROJECT.format(logging=f"LOGGING = {settings}"))
        ran = run(DJANGO, "after", path=tmp_path)

        assert (["careful", "paid"], ["failed", "careful", "paid"]) == (
            [line["message"] for line in lines_in(path)],
            ran.messages(),
        )


class TestNothingIsLost:
    def test_by_what_these_handlers_do_with_a_record(self, tmp_path: Path) -> None:
        """No line of this file's tests went a way that counts as lost."""
        handler = {"class": "logging.FileHandler", "filename": tmp_path / "app.log", "formatter": "wide"}
        with caught(), dict_config(handler) as shop:
            messages = log_all(shop, 500)

        assert messages == [line["message"] for line in lines_in(tmp_path / "app.log")]
        assert health.Fault.LOST not in health.faults.counts()
