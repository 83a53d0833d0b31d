"""What is printed becomes lines: whole ones, of what was printed at once, while lines are what is written."""

from __future__ import annotations

import io
import logging
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

import wideevents
from tests.integrations.processes import Fields
from tests.integrations.servers import Ask, Lines, environ, parse_any
from wideevents import config
from wideevents.integrations._printed import (
    MOST,
    MOST_OF_A_TRACEBACK,
    TRACEBACK,
    Plain,
    Printed,
    capture,
    has_taken_over,
    is_captured,
    without_colours,
)
from wideevents.integrations.logging import Handler
from wideevents.integrations.wsgi import WideEvents
from wideevents.levels import Level
from wideevents.logs.stdlib import ORIGIN
from wideevents.sinks.memory import MemorySink


class Stream:
    """Print on a stream of ours, and read what came of it."""

    def __init__(self, path: Path, under: io.StringIO) -> None:
        self.path = path
        self.under = under
        self.printed: Any = Printed(under, "py.stderr", Level.WARNING)

    @property
    def lines(self) -> list[Fields]:
        return [parse_any(line) for line in self.path.read_bytes().splitlines(keepends=True)]

    @property
    def said(self) -> list[str]:
        return [line["message"] for line in self.lines]


@pytest.fixture
def stream(tmp_path: Path, reconfigurable: None) -> Stream:
    """Configure the process to write its lines to a file, and give a stream."""
    wideevents.configure(service="tests", output=tmp_path / "lines", logging=False)
    return Stream(tmp_path / "lines", io.StringIO())


class TestPrinted:
    def test_what_is_printed_is_a_line(self, stream: Stream) -> None:
        """With the level of its stream; nothing goes to where it went before."""
        print("one", "two", file=stream.printed)
        (line,) = stream.lines
        assert (line["message"], line["level"], line["log.logger"]) == ("one two", "warning", "py.stderr")
        assert stream.under.getvalue() == ""

    def test_a_line_belongs_to_the_event_in_progress(self, stream: Stream) -> None:
        """It has its ids, and counts for nothing: nobody logged it."""
        with wideevents.event("work") as event:
            print("hello", file=stream.printed)
        line, written = stream.lines
        assert line["event.id"] == event.id
        assert (written["level"], "log.count.warning" in written) == ("info", False)

    def test_it_is_written_whatever_the_level_is(self, stream: Stream) -> None:
        """The level is for what is logged: what is printed has always been seen."""
        wideevents.configure(service="tests", output=stream.path, logging=False, level="error")
        print("hello", file=stream.printed)
        assert stream.said == ["hello"]

    def test_what_is_printed_at_once_is_one_line(self, stream: Stream) -> None:
        """Of several lines, too; empty ones say nothing."""
        print("one\n  two\n", file=stream.printed)
        print("\n \n", file=stream.printed)
        print("\n  three", file=stream.printed)
        assert stream.said == ["one\n  two", "  three"]

    def test_parts_of_a_line_wait_for_its_end(self, stream: Stream) -> None:
        """Each thread's for its own; flushing ends them."""
        print("one", end=" ", file=stream.printed)
        other = Thread(target=print, args=("other",), kwargs={"file": stream.printed})
        other.start()
        other.join()
        stream.printed.writelines(["two", "\n", "three"])
        assert stream.said == ["other", "one two"]
        stream.printed.flush()
        stream.printed.flush()
        assert stream.said == ["other", "one two", "three"]

    def test_a_traceback_is_one_line(self, stream: Stream) -> None:
        """Python prints it frame by frame."""
        try:
            raise ValueError("broken")
        except ValueError:
            traceback.print_exc(file=stream.printed)
            expected = traceback.format_exc().rstrip()
        print("after", file=stream.printed)
        first, second = stream.lines
        assert (first["message"], first["exception.stacktrace"]) == ("ValueError: broken", expected)
        assert (second["message"], "exception.stacktrace" in second) == ("after", False)

    def test_what_never_ends_is_written_in_parts(self, stream: Stream) -> None:
        """A program that prints dots must not fill the memory."""
        for _ in range(MOST + 1):
            stream.printed.write(".")
        stream.printed.flush()
        stream.printed.write(TRACEBACK + "\n")
        stream.printed.write("  frame\n" * MOST_OF_A_TRACEBACK)
        assert [len(said) for said in stream.said] == [MOST, 1, len("  frame")]

    def test_colours_are_left_out(self, stream: Stream) -> None:
        """They are for a terminal."""
        print("\x1b[1;31mred\x1b[0m", file=stream.printed)
        assert stream.said == ["red"]

    def test_it_is_a_stream_otherwise(self, stream: Stream) -> None:
        """What it does not know is the stream's under it: its descriptor, its encoding."""
        assert stream.printed.write("four") == 4
        assert stream.printed.getvalue == stream.under.getvalue
        with pytest.raises(TypeError):
            stream.printed.write(b"bytes")

    def test_where_no_lines_are_written_it_stays_text(self, stream: Stream) -> None:
        """The console prints by itself, and would find its own words again."""
        for output in (MemorySink(), [stream.path, MemorySink()]):
            wideevents.configure(service="tests", output=output, logging=False)  # type: ignore[arg-type]
            print("text", file=stream.printed)
        stream.printed.flush()
        assert (stream.under.getvalue(), stream.lines) == ("text\ntext\n", [])


class Terminal(io.StringIO):
    """Be a stream that somebody sits at."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Put the standard streams back afterwards."""
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    return monkeypatch


class TestCapture:
    def test_both_streams_are_taken_once(self, stream: Stream, streams: pytest.MonkeyPatch) -> None:
        """Every process of a server does it, and a reload does it again."""
        capture()
        taken = (sys.stdout, sys.stderr)
        capture()
        assert (sys.stdout, sys.stderr) == taken
        print("out")
        print("err", file=sys.stderr)
        assert [(line["log.logger"], line["level"]) for line in stream.lines] == [
            ("py.stdout", "info"),
            ("py.stderr", "warning"),
        ]

    def test_a_terminal_is_left_alone(self, streams: pytest.MonkeyPatch) -> None:
        """So is a stream that is not there, as under a service of Windows."""
        streams.setattr(sys, "stdout", Terminal())
        streams.setattr(sys, "stderr", None)
        capture()
        assert (type(sys.stdout), sys.stderr) == (Terminal, None)

    def test_it_can_be_asked_for(self, stream: Stream, streams: pytest.MonkeyPatch) -> None:
        """It's so while lines are what is written."""
        before = is_captured()
        capture()
        during = is_captured()
        wideevents.configure(service="tests", output=MemorySink(), logging=False)
        assert (before, during, is_captured()) == (False, True, False)


class TestPlain:
    def test_a_record_loses_its_colours(self) -> None:
        """In its message, in its arguments, and in what uvicorn adds; numbers stay numbers."""
        record = logging.makeLogRecord(
            {"msg": "\x1b[1m%s\x1b[0m of %d", "args": ("\x1b[36mone\x1b[0m", 2), "color_message": "\x1b[1m"}
        )
        assert Plain().filter(record) is True
        assert (record.getMessage(), record.args) == ("one of 2", ("one", 2))
        assert not hasattr(record, "color_message")

    @pytest.mark.parametrize("told", [{"msg": ValueError("bad"), "args": None}, {"msg": "%(a)s", "args": {"a": 1}}])
    def test_what_is_no_text_stays(self, told: dict[str, Any]) -> None:
        """A message may be any object, and arguments a mapping."""
        record = logging.makeLogRecord(told)
        Plain().filter(record)
        assert (record.msg, record.args) == (told["msg"], told["args"])

    def test_an_error_of_a_request_belongs_to_its_event(self, lines: Lines) -> None:
        """A server logs it when the event has ended, and has alerted."""
        error = ValueError("broken")

        def app(environ: Any, start_response: Any) -> Any:
            raise error

        with suppress(ValueError):
            WideEvents(app)(environ(Ask("GET", "/crash")), lambda *_: lambda _: None)
        handler = Handler()
        handler.addFilter(Plain())
        handler.handle(logging.makeLogRecord({"msg": "failed", "exc_info": (ValueError, error, None)}))
        event, line = parse_any(lines.raw[0]), parse_any(lines.raw[1])

        assert [line[name] for name in ("event.id", "http.request.id")] == [
            event[name] for name in ("event.id", "http.request.id")
        ]
        assert "alert.urgency" not in line

    @pytest.mark.parametrize("exc_info", [None, (None, None, None), (ValueError, ValueError("other"), None)])
    def test_an_error_of_no_request_belongs_to_no_event(self, exc_info: Any) -> None:
        """Only what a door has seen has one."""
        record = logging.makeLogRecord({"exc_info": exc_info})
        Plain().filter(record)
        assert ORIGIN not in vars(record)

    def test_text_without_colours_is_the_same_object(self) -> None:
        """What has none costs nothing."""
        text = "plain"
        assert without_colours(text) is text


class TestTakenOver:
    @pytest.mark.parametrize("logging", [True, False])
    def test_it_is_told_by_the_root_logger(self, reconfigurable: None, logging: bool) -> None:
        """As configured last."""
        wideevents.configure(service="tests", output=MemorySink(), logging=logging)
        assert has_taken_over() is logging
        assert config.logs() is not None
