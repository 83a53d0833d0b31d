"""What is found in loggers and handlers, each fault planted for real."""

from __future__ import annotations

import logging
import logging.config
import sys
from collections.abc import Callable
from logging.handlers import QueueHandler, QueueListener
from queue import SimpleQueue
from typing import Any

import pytest
import uvicorn
from flask import Flask
from pythonjsonlogger.core import BaseJsonFormatter
from pythonjsonlogger.json import JsonFormatter
from rich.console import Console
from rich.logging import RichHandler

from tests.doctor.conftest import alone, found, serving, shop
from wideevents.doctor import Severity, examine
from wideevents.integrations.logging import EventFilter, Handler
from wideevents.integrations.uvicorn import LOG_CONFIG
from wideevents.sinks.jsonlogger import LoggingSink


def to_stderr(formatter: logging.Formatter | None = None) -> logging.Handler:
    """Return the handler that everybody adds."""
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    return handler


class Silent(logging.Filter):
    """Let nothing pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        return False


class TestDuplicateHandlers:
    def test_flask_adds_a_handler_where_its_logger_is_used_first(self) -> None:
        """The logger of the application has one of its own then, and hands the record on to root."""
        alone()
        Flask("early").logger.info("before anybody has configured anything")

        assert found(shop())["duplicate-handlers"].what == (
            "The logger 'early' has a StreamHandler to standard error, and its records go on to the root logger, where "
            "wideevents' handler writes them again."
        )

    def test_a_handler_beside_ours_on_root(self) -> None:
        """A library that adds a stream handler to root has every line there twice."""
        app = shop()
        logging.getLogger().addHandler(logging.StreamHandler(sys.stdout))
        finding = found(app)["duplicate-handlers"]

        assert finding.what == "The root logger has wideevents' handler and a StreamHandler to standard output."
        assert finding.severity is Severity.ERROR

    def test_our_handler_twice(self) -> None:
        """`configure` has put one on root; a dictConfig that names it, too, makes two."""
        app = shop()
        logging.getLogger("shop.orders").addHandler(Handler())

        assert "The logger 'shop.orders' has wideevents' handler" in found(app)["duplicate-handlers"].what

    def test_rich_shows_a_line_to_people_once_more(self) -> None:
        """A handler of a library is known by where it writes."""
        app = shop()
        logging.getLogger().addHandler(RichHandler(console=Console(stderr=True)))

        assert "a rich.logging.RichHandler to standard error" in found(app)["duplicate-handlers"].what

    def test_a_handler_that_is_added_during_the_request(self) -> None:
        """The loggers are looked at afterwards: frameworks make them when they are needed."""

        def add() -> str:
            logging.getLogger("late").addHandler(to_stderr())
            logging.getLogger("late").error("out of stock")
            return "added"

        assert list(found(serving(add), changes=True)) == ["duplicate-handlers"]

    def test_handlers_that_share_the_records_are_none(self) -> None:
        """Errors to standard error, and all below to standard output, is every record once."""
        app = shop(logging=False)
        low, high = logging.StreamHandler(sys.stdout), to_stderr(JsonFormatter())
        low.addFilter(lambda record: record.levelno < logging.ERROR)
        low.setFormatter(JsonFormatter())
        high.setLevel(logging.ERROR)
        logging.getLogger().handlers[:] = [low, high]
        logging.getLogger().setLevel(logging.INFO)

        assert found(app) == {}

    @pytest.mark.parametrize("handler", [logging.NullHandler, lambda: logging.FileHandler("/dev/null")])
    def test_other_handlers_are_none(self, handler: Callable[[], logging.Handler]) -> None:
        """A file is another place, and nowhere is no place."""
        app, logger = shop(), logging.getLogger("shop.files")
        logger.addHandler(made := handler())

        assert found(app) == {}
        made.close()

    def test_a_logger_that_says_nothing_is_none(self) -> None:
        """Sentry has one with a handler and a filter that lets nothing pass, unless it is asked to debug."""
        app, logger = shop(), logging.getLogger("sentry_sdk.errors")
        logger.addHandler(to_stderr())
        logger.addFilter(Silent())

        assert found(app) == {}

    def test_the_logger_that_events_are_handed_to_is_none(self) -> None:
        """Its handler writes them, and ours passes them by."""
        app = shop(output=LoggingSink("wideevents.events"))
        handler = logging.StreamHandler(sys.stdout)
        logging.getLogger("wideevents.events").addHandler(handler)

        assert "duplicate-handlers" not in found(app)


class TestNotPropagated:
    @pytest.mark.parametrize(
        ("names", "what"),
        [
            (["shop.orders"], "The logger 'shop.orders' does not propagate"),
            (["a", "b"], "The loggers 'a' and 'b' do not propagate"),
        ],
    )
    def test_a_logger_that_ends_there(self, names: list[str], what: str) -> None:
        """Its lines are lost, and those of its children."""
        app = shop()
        for name in names:
            logging.getLogger(name).propagate = False

        assert found(app)["not-propagated"].what.startswith(what)

    @pytest.mark.parametrize("name", ["gunicorn.access", "uvicorn.access"])
    def test_access_lines_are_no_loss(self, name: str) -> None:
        """Servers switch them off like that."""
        app = shop()
        logging.getLogger(name).propagate = False

        assert found(app) == {}


class TestDisabledLoggers:
    def test_a_dict_config_that_silences_all_others(self) -> None:
        """It is what dictConfig does by default; the line that called it is named."""

        def silence() -> str:
            logging.config.dictConfig({"version": 1})
            return "silenced"

        finding = found(serving(silence), changes=True)["disabled-loggers"]

        assert finding.what.startswith("The loggers 'py.uncaught'")
        assert "'wideevents'" in finding.what
        assert finding.what.endswith(f"test_loggers.py:{silence.__code__.co_firstlineno + 1} called dictConfig().")

    def test_one_logger(self) -> None:
        """Whoever did it."""
        app = shop()
        logging.getLogger("shop.orders").disabled = True

        assert found(app)["disabled-loggers"].what == "The logger 'shop.orders' is disabled."

    def test_the_development_server_may_be_silenced(self) -> None:
        """Its lines are access lines."""
        app = shop()
        logging.getLogger("werkzeug").disabled = True

        assert found(app) == {}


class TestRoot:
    def test_a_library_that_begins_anew(self) -> None:
        """`basicConfig(force=True)` takes our handler away; the line that called it is named."""

        def force() -> str:
            logging.basicConfig(force=True)
            return "forced"

        assert found(serving(force), changes=True)["handler-missing"].what == (
            "wideevents' handler is gone from the root logger, which has a StreamHandler to standard error; "
            f"tests/doctor/test_loggers.py:{force.__code__.co_firstlineno + 1} called basicConfig(force=True)."
        )

    def test_a_formatter_tells_whose_handler_it_is(self) -> None:
        """The class is the logging module's own, most of the time."""
        app = shop()
        logging.getLogger().handlers[:] = [to_stderr(BaseJsonFormatter())]

        assert "with pythonjsonlogger.core.BaseJsonFormatter." in found(app)["handler-missing"].what

    def test_nobody_is_there(self) -> None:
        """Then the last resort of the logging module serves."""
        assert list(found(shop(logging=False))) == ["last-resort"]

    def test_basic_config_without_force_does_nothing(self) -> None:
        """Root has handlers: Python leaves it as it is, and nobody is to blame."""
        assert found(serving(lambda: logging.basicConfig() or "basic")) == {}

    @pytest.mark.parametrize(
        ("plant", "what"),
        [
            (lambda: logging.getLogger().setLevel(logging.ERROR), "The root logger has the level ERROR"),
            (lambda: logging.getLogger().handlers[0].setLevel(30), "Wideevents' handler has the level WARNING"),
            (lambda: logging.disable(logging.INFO), "Logging.disable(INFO) is in force"),
        ],
    )
    def test_a_level_that_swallows(self, plant: Callable[[], None], what: str) -> None:
        """Above what was configured, lines are lost."""
        app = shop()
        plant()

        assert found(app)["level-swallows"].what == f"{what}, above the configured info."


class TestPlainHandlers:
    def test_a_logger_of_its_own_that_writes_text(self) -> None:
        """It does not propagate, so that nothing is written twice; but it is no JSON."""
        app, logger = shop(), logging.getLogger("shop.audit")
        logger.addHandler(to_stderr())
        logger.propagate = False

        assert found(app)["plain-handler"].what == (
            "The logger 'shop.audit' has a StreamHandler to standard error, which writes no JSON."
        )

    def test_json_of_another_library_can_be_read(self) -> None:
        """Every aggregator takes it."""
        app, logger = shop(), logging.getLogger("shop.audit")
        logger.addHandler(to_stderr(JsonFormatter()))
        logger.propagate = False

        assert found(app) == {}

    def test_root_may_have_its_own_where_we_are_to_stay_away(self) -> None:
        """With logging=False; text is text there, too."""
        app = shop(logging=False)
        logging.basicConfig()

        assert list(found(app)) == ["plain-handler"]

    def test_a_formatter_that_raises_writes_no_json(self) -> None:
        """A format string may ask for what no record has."""
        app = shop(logging=False)
        logging.basicConfig(format="%(request_id)s %(message)s")

        assert list(found(app)) == ["plain-handler"]

    def test_uvicorn_configures_its_loggers(self) -> None:
        """As `uvicorn.Config` does for every server; each logger is named."""
        app = shop()
        uvicorn.Config(app)
        findings = [finding for finding in examine(app) if finding.slug == "server-handlers"]

        assert [finding.what.partition(" has ")[0] for finding in findings] == [
            "The logger 'uvicorn'",
            "The logger 'uvicorn.access'",
        ]
        assert "with uvicorn.logging.DefaultFormatter" in findings[0].what
        assert "log_config=LOG_CONFIG" in findings[0].fix

    def test_the_fix_for_uvicorn_mends_it(self) -> None:
        """Its own loggers have our handler then."""
        app, before = shop(), (sys.stdout, sys.stderr)
        uvicorn.Config(app, log_config=LOG_CONFIG)
        sys.stdout, sys.stderr = before

        assert found(app) == {}


class TestLines:
    def test_a_queue_loses_the_event(self) -> None:
        """The thread that takes the records off knows of no request."""
        assert list(queued([])) == ["context-lost"]

    def test_with_our_filter_a_queue_keeps_it(self) -> None:
        """`EventFilter` writes the ids on the record."""
        assert queued([EventFilter()]) == {}

    def test_a_queue_beside_our_handler(self) -> None:
        """Each record arrives twice, which no look at the handlers tells."""
        assert list(queued([], ours=True)) == ["lines-twice"]

    def test_a_queue_that_nobody_reads(self) -> None:
        """Nothing arrives."""
        app = shop()
        logging.getLogger().handlers[:] = [QueueHandler(SimpleQueue())]

        assert list(found(app)) == ["lines-lost"]

    def test_a_filter_that_lets_nothing_pass(self) -> None:
        """On our own handler, as a dictConfig may plant it."""
        app = shop()
        logging.getLogger().handlers[0].addFilter(Silent())

        assert list(found(app)) == ["lines-lost"]

    def test_a_second_examination_logs_its_line_again(self) -> None:
        """Though a dictConfig may have disabled its logger meanwhile."""
        app = shop()
        assert found(app) == {}
        logging.getLogger("wideevents.doctor").disabled = True

        assert found(app) == {}

    def test_a_queue_for_somebody_else_is_none_of_our_business(self) -> None:
        """Where we are to stay away, no line has to arrive."""
        app = shop(logging=False)
        logging.getLogger().handlers[:] = [QueueHandler(SimpleQueue())]

        assert found(app) == {}


def queued(filters: list[logging.Filter], *, ours: bool = False) -> dict[str, Any]:
    """Examine a shop whose records go by a queue to another thread, and there to our handler."""
    app = shop()
    queue: SimpleQueue[logging.LogRecord] = SimpleQueue()
    handler = QueueHandler(queue)
    for each in filters:
        handler.addFilter(each)
    logging.getLogger().handlers[0 if ours is False else 1 :] = [handler]
    listener = QueueListener(queue, Handler())
    listener.start()
    try:
        return found(app)
    finally:
        listener.stop()
