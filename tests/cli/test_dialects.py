"""What the reading of foreign lines promises."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from pythonjsonlogger.json import JsonFormatter

from wideevents.cli.dialects import read
from wideevents.levels import Level

TRACEBACK = 'Traceback (most recent call last):\n  File "a.py", line 1, in f\nValueError: x'


def fields(told: dict[str, Any]) -> dict[str, Any]:
    """Return what is read in a line that tells *told*."""
    found = read(json.dumps(told).encode() + b"\n").fields
    assert found is not None
    return found


def structlog_line(*processors: Any, **told: Any) -> dict[str, Any]:
    """Return what is read in a line that structlog wrote, inside an exception with a cause."""
    written = io.StringIO()
    logger = structlog.wrap_logger(
        structlog.PrintLogger(written),
        processors=[structlog.processors.add_log_level, *processors, structlog.processors.JSONRenderer()],
    )
    try:
        try:
            raise KeyError("secret")
        except KeyError as error:
            raise ValueError("outer") from error
    except ValueError:
        logger.error("it broke", logger="shop", **told)
    return read(written.getvalue().encode()).fields or {}


class TestDialects:
    def test_of_structlog(self) -> None:
        """`event` is the message, `exception` a traceback."""
        stamped = structlog.processors.TimeStamper(fmt="iso")
        found = structlog_line(stamped, structlog.processors.format_exc_info, exc_info=True, user=7)

        assert (found["message"], found["level"], found["log.logger"], found["user"]) == (
            "it broke",
            "error",
            "shop",
            7,
        )
        assert found["exception.stacktrace"].endswith("ValueError: outer")
        assert "timestamp" in found

    def test_of_structlog_with_tracebacks_of_dictionaries(self) -> None:
        """They become text, the cause first, and the variables are left out."""
        found = structlog_line(structlog.processors.dict_tracebacks, exc_info=True)
        stack = found["exception.stacktrace"].split("\n")

        assert (stack[0], stack[2], stack[-1]) == (
            "Traceback (most recent call last):",
            "KeyError: 'secret'",
            "ValueError: outer",
        )
        assert stack[4] == "The above exception was the direct cause of the following exception:"
        assert "locals" not in str(found)

    def test_of_structlog_tells_what_happened_meanwhile(self) -> None:
        """An exception in the handling of another one has no cause; frames may be anything."""
        stacks = [{"exc_type": "B", "exc_value": "2", "frames": [7, {}]}, {"exc_type": "A", "is_cause": False}]

        assert fields({"event": "x", "exception": stacks})["exception.stacktrace"] == (
            "Traceback (most recent call last):\nA: None\n\n"
            "During handling of the above exception, another exception occurred:\n\n"
            'Traceback (most recent call last):\n  File "None", line None, in None\nB: 2'
        )

    def test_of_python_json_logger(self) -> None:
        """Whichever of its fields are there."""
        written = io.StringIO()
        handler = logging.StreamHandler(written)
        handler.setFormatter(JsonFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
        record = logging.LogRecord("shop.cart", logging.WARNING, "a.py", 1, "no %s", ("stock",), None)
        handler.handle(record)
        found = read(written.getvalue().encode()).fields or {}

        assert (found["message"], found["level"], found["log.logger"]) == ("no stock", "WARNING", "shop.cart")
        assert "timestamp" in found
        assert fields({"message": "a", "exc_info": TRACEBACK})["exception.stacktrace"] == TRACEBACK

    @pytest.mark.parametrize(
        "log", [{"log.level": "WARN", "log.logger": "shop"}, {"log": {"level": "WARN", "logger": "shop"}}]
    )
    def test_of_ecs_flat_or_nested(self, log: dict[str, Any]) -> None:
        """Elastic's schema, as its libraries write it."""
        error = {"type": "ValueError", "message": "x", "stack_trace": TRACEBACK}
        found = fields(
            {"@timestamp": "2026-01-02T03:04:05.678Z", "message": "hi", "ecs.version": "8", "error": error} | log
        )

        assert found == {
            "timestamp": "2026-01-02T03:04:05.678Z",
            "message": "hi",
            "ecs.version": "8",
            "exception.type": "ValueError",
            "exception.message": "x",
            "exception.stacktrace": TRACEBACK,
            "level": "WARN",
            "log.logger": "shop",
        }

    def test_of_ours_are_left_as_they_are(self) -> None:
        """A user's `msg` on an event is their own; so is `event.kind` in another schema."""
        event = {"event.kind": "task", "duration_ms": 1.5, "msg": "mine", "error.type": "500"}

        assert fields(event) == event
        assert [read(json.dumps(each).encode()).is_event for each in (event, {"event.kind": "alert"}, [])] == [
            True,
            False,
            False,
        ]

    @pytest.mark.parametrize(
        ("told", "found"),
        [
            ({"message": "a", "event": "b"}, {"message": "a", "event": "b"}),
            ({"message": "a", "name": "mine"}, {"message": "a", "name": "mine"}),
            ({"msg": "a", "time": "at noon"}, {"message": "a", "time": "at noon"}),
            ({"msg": 7, "ts": 1_767_355_200.5}, {"msg": 7, "timestamp": 1_767_355_200.5}),
            ({"event": {"a": 1}, "severity": 30}, {"event.a": 1, "level": 30}),
            ({"exc_info": True}, {"exc_info": True}),
            ({"exception": [1]}, {"exception": [1]}),
            ({"a": {"b": {"c": None, "d": []}}, "a.b.d": 2}, {"a.b.d": [], "a.b.d#2": 2}),
        ],
    )
    def test_take_no_name_for_another(self, told: dict[str, Any], found: dict[str, Any]) -> None:
        """A name that we have goes before theirs, and a value must be one that fits."""
        assert found == fields(told)

    def test_can_be_asked_for_by_both_names(self) -> None:
        """A condition names what stands in the line, or what is shown."""
        asked = read(b'{"levelname": "INFO", "a": 1}').askable

        assert asked == {"levelname": "INFO", "level": "INFO", "a": 1}
        assert read(b"text").askable == {}


class TestLevel:
    @pytest.mark.parametrize(
        ("told", "level"),
        [
            ("warning", Level.WARNING),
            ("WARN", Level.WARNING),
            (" Trace", Level.DEBUG),
            ("notice", Level.INFO),
            ("emergency", Level.ERROR),
            ("CRITICAL", Level.ERROR),
            (30, Level.WARNING),
            ("loud", None),
            (True, None),
            (None, None),
            (3.5, None),
        ],
    )
    def test_is_read_as_others_call_it(self, told: object, level: Level | None) -> None:
        """None where it says nothing."""
        assert level is read(json.dumps({"level": told, "a": 1}).encode()).level

    def test_of_text_is_none(self) -> None:
        """It has no fields at all."""
        assert read(b"ERROR: it broke").level is None


class TestRead:
    @pytest.mark.parametrize(
        "line",
        [
            b"",
            b"  ",
            b"plain text",
            b"[1, 2]",
            b"42",
            b'"text"',
            b"{",
            b"{}",
            b'{"half": "of a li',
            b'{"a": 1} and more',
            b"[" * 100_000,
            b'{"a":' * 100_000,
            b"\xff\xfe{",
        ],
        ids=lambda line: repr(line[:20]),
    )
    def test_what_is_no_object_is_text(self, line: bytes) -> None:
        """As it stands there."""
        row = read(line + b"\r\n")

        assert (row.raw, row.fields) == (line, None)

    @pytest.mark.parametrize(
        ("line", "found"),
        [
            (b'{"a": 1, "a": 2}', {"a": 2}),
            (b'{"a": NaN, "b": -Infinity}', {"a": "NaN", "b": "-Infinity"}),
            (b'{"a": 123456789012345678901234567890}', {"a": "123456789012345678901234567890"}),
            (b'{"a": %b}' % (b"9" * 5_000), {"a": "9" * 5_000}),
            (b'{"a": "\xff"}', {"a": "\ufffd"}),
            (b'{"a": "tab\there"}', {"a": "tab\there"}),
            (b'\x00\x00\xef\xbb\xbf {"a": "\\ud800"}', {"a": "\ud800"}),
        ],
    )
    def test_tolerates_what_is_nearly_json(self, line: bytes, found: dict[str, Any]) -> None:
        """Keys twice, numbers that are none, integers of any size, holes of zeros; a broken byte costs itself."""
        assert found == read(line).fields

    def test_of_deep_and_wide_objects_bounds_both(self) -> None:
        """What nobody could read on a screen costs neither time nor memory without end."""
        deep = read(b'{"a":' * 500 + b"1" + b"}" * 500).fields
        wide = read(json.dumps({str(number): number for number in range(5_000)}).encode()).fields

        assert deep is not None
        assert (list(deep.values()), len(wide or {})) == (["..."], 1_001)

    @given(st.binary())
    def test_never_raises(self, line: bytes) -> None:
        """Whatever stands there."""
        row = read(line)

        assert isinstance(row.text, str)
        assert row.level in {None, *Level}
