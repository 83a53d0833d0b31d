"""What the sink promises that writes through the logging module."""

from __future__ import annotations

import io
import logging
from logging.handlers import QueueHandler, RotatingFileHandler, WatchedFileHandler
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

import wideevents
from tests.logs import bare_root, caught, handler, logger_with, record_of
from tests.logs.test_stdlib import formatter
from tests.sinks import event_of
from tests.strict import parse_line, parse_log_line
from wideevents import Level, health
from wideevents.errors import ConfigurationError
from wideevents.health import Fault
from wideevents.sinks.jsonlogger import WRITTEN, LoggingSink, is_written

LINE = b'{"a":"\xe2\x82\xac %s"}\n'


def shown(made: logging.Handler, stream: io.StringIO) -> str:
    """Return what *made* writes of one event."""
    LoggingSink(made).write(event_of(LINE))
    return stream.getvalue()


class TestAHandler:
    def test_without_a_formatter_writes_the_line(self) -> None:
        """As it is, per cent signs and all."""
        stream = io.StringIO()

        assert LINE.decode() == shown(logging.StreamHandler(stream), stream)

    def test_with_ours_writes_the_line(self) -> None:
        """One handler may take lines and events."""
        stream = io.StringIO()
        made = logging.StreamHandler(stream)
        made.setFormatter(formatter())

        assert LINE.decode() == shown(made, stream)

    def test_with_another_finds_the_line_as_the_message(self) -> None:
        """Syslog's, for example, that puts a tag before it."""
        stream = io.StringIO()
        made = logging.StreamHandler(stream)
        made.setFormatter(logging.Formatter("shop[%(levelname)s] %(name)s: %(message)s"))

        assert f"shop[INFO] wideevents: {LINE.decode()}" == shown(made, stream)

    @pytest.mark.parametrize(("level", "lines"), [(Level.WARNING, 0), (Level.ERROR, 1)])
    def test_has_its_level(self, level: Level, lines: int) -> None:
        """Whoever mails errors gets events that are errors."""
        stream = io.StringIO()
        made = logging.StreamHandler(stream)
        made.setLevel(logging.ERROR)
        event = event_of(LINE)
        event.level = level
        LoggingSink(made).write(event)

        assert lines == len(stream.getvalue().splitlines())

    def test_is_flushed_and_left_open(self) -> None:
        """What it holds is written; it is somebody else's."""
        stream = io.StringIO()
        stream.flush = lambda: flushed.append(True)  # type: ignore[method-assign]
        flushed: list[bool] = []
        LoggingSink(logging.StreamHandler(stream)).close()

        assert ([True], False) == (flushed, stream.closed)

    @pytest.mark.parametrize("to", [None, 7, io.StringIO(), logging.getLogger("shop")])
    def test_or_a_name_nothing_else(self, to: Any) -> None:
        """Refused where it is given."""
        with pytest.raises(ConfigurationError, match="handler of the logging module"):
            LoggingSink(to)


class TestANamedLogger:
    def test_hands_the_line_to_its_handlers(self) -> None:
        """And to those of its parents."""
        stream = io.StringIO()
        with logger_with(logging.StreamHandler(stream)):
            LoggingSink("shop.events").write(event_of(LINE))

        assert LINE.decode() == stream.getvalue()

    def test_has_a_name_by_default(self) -> None:
        """Which a dictConfig can name."""
        stream = io.StringIO()
        with logger_with(logging.StreamHandler(stream), name="wideevents.events"):
            LoggingSink().write(event_of(LINE))

        assert LINE.decode() == stream.getvalue()

    def test_has_the_name_on_the_record(self) -> None:
        """Filters and formatters see it."""
        stream = io.StringIO()
        made = logging.StreamHandler(stream)
        made.setFormatter(logging.Formatter("%(name)s"))
        with logger_with(made):
            LoggingSink("shop.events").write(event_of(LINE))

        assert "shop.events\n" == stream.getvalue()

    def test_that_nobody_reads_is_told(self) -> None:
        """A line that nobody takes is lost, and must be counted."""
        with bare_root(handler()), logger_with() as shop:
            with pytest.raises(LookupError, match="'shop' has no handler"):
                LoggingSink("shop").write(event_of(LINE))
            shop.propagate = True
            with pytest.raises(LookupError, match="'shop' has no handler"):
                LoggingSink("shop").write(event_of(LINE))

    def test_that_hands_nothing_up_needs_a_handler_of_its_own(self) -> None:
        """Another one at the root does not help it."""
        with bare_root(logging.NullHandler()), logger_with(), pytest.raises(LookupError, match="'shop' has no handler"):
            LoggingSink("shop").write(event_of(LINE))

    def test_that_a_dict_config_disabled_is_told(self) -> None:
        """It does so with every logger that it does not name."""
        with logger_with(logging.NullHandler()) as shop:
            shop.disabled = True
            with pytest.raises(LookupError, match="'shop' is disabled"):
                LoggingSink("shop").write(event_of(LINE))
            shop.disabled = False

    def test_can_be_closed(self) -> None:
        """There is nothing to flush but other people's."""
        assert None is LoggingSink("shop").close()


class TestAsTheOutput:
    def test_events_and_lines_go_there(self) -> None:
        """Once each, though the root logger's handler of ours is there as well."""
        stream = io.StringIO()
        with (
            caught(output=LoggingSink("archive")),
            logger_with(logging.StreamHandler(stream), name="archive"),
            bare_root(handler(), level=logging.INFO) as root,
            wideevents.event("job"),
        ):
            root.info("hello")
        line, event = stream.getvalue().encode().splitlines(keepends=True)

        assert ("hello", "job") == (parse_log_line(line)["message"], parse_line(event)["event.name"])

    def test_does_not_come_back(self) -> None:
        """A logger that hands up to the root logger, where our handler stands: no line is written twice."""
        stream = io.StringIO()
        with (
            caught(output=LoggingSink("wideevents.events")),
            bare_root(handler(), logging.StreamHandler(stream), level=logging.INFO),
            wideevents.event("job"),
        ):
            pass
        (event,) = stream.getvalue().encode().splitlines(keepends=True)

        assert "job" == parse_line(event)["event.name"]

    def test_a_lost_line_is_counted(self) -> None:
        """Nobody has configured the handlers of that logger."""
        with caught(output=LoggingSink("nobody")), bare_root(handler()), wideevents.event("job"):
            pass

        assert 1 <= health.faults.counts()[Fault.LOST]

    def test_a_queue_hands_it_on(self) -> None:
        """What a listener finds is the line."""
        queue: SimpleQueue[logging.LogRecord] = SimpleQueue()
        stream = io.StringIO()
        with caught(output=LoggingSink(QueueHandler(queue))), wideevents.event("job"):
            pass
        plain, ours = logging.StreamHandler(stream), logging.StreamHandler(stream)
        ours.setFormatter(formatter())
        record = queue.get()
        for each in (plain, ours):
            each.handle(record)

        first, second = stream.getvalue().encode().splitlines(keepends=True)
        assert (first, "job") == (second, parse_line(first)["event.name"])

    @pytest.mark.parametrize("kind", ["watched", "rotating"])
    def test_a_file_may_go_away(self, kind: str, tmp_path: Path) -> None:
        """Rotated by logrotate or by the handler itself: every event is in one of the files."""
        path = tmp_path / "events.jsonl"
        made: logging.Handler = (
            WatchedFileHandler(path) if kind == "watched" else RotatingFileHandler(path, maxBytes=2_000, backupCount=99)
        )
        with caught(output=LoggingSink(made)):
            for number in range(20):
                with wideevents.event("job", number=number):
                    pass
                if kind == "watched" and number % 7 == 0:
                    path.rename(tmp_path / f"events.jsonl.{number}")
        made.close()
        files = sorted(tmp_path.iterdir())
        lines = [parse_line(line) for file in files for line in file.read_bytes().splitlines(keepends=True)]

        assert (list(range(20)), True) == (sorted(line["number"] for line in lines), len(files) > 3)


class TestTheMark:
    @pytest.mark.parametrize(
        ("mark", "message", "written"),
        [("{}", "{}", True), ("{}", "{ }", False), (None, "{}", False), (7, 7, False), ("{}", ["{}"], False)],
    )
    def test_is_one_where_the_message_is_the_line(self, mark: Any, message: Any, written: bool) -> None:
        """An extra that is only called so must not pass for a line."""
        assert written is is_written(record_of(message, **{WRITTEN: mark}))

    def test_is_missing_on_other_records(self) -> None:
        """They are none of ours."""
        assert not is_written(record_of())

    def test_of_a_record_is_its_line(self) -> None:
        """A handler of one's own may look for it."""
        seen: list[logging.LogRecord] = []
        made = logging.NullHandler()
        made.handle = seen.append  # type: ignore[assignment,method-assign]
        LoggingSink(made).write(event_of(LINE))

        assert [LINE.decode()[:-1]] == [vars(record)[WRITTEN] for record in seen]
