"""What the lines room promises: how a log line is made, and what its event learns of it."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Barrier
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import wideevents
from tests.conftest import at_once
from tests.logs import Logged, bare_root, caught, handler, logger_with, record_of
from tests.strict import parse_log_line
from tests.test_line_contract import MAKERS, raised
from wideevents import Level, Limits, config, health
from wideevents.entries import Entry
from wideevents.errors import ConfigurationError
from wideevents.events import Event
from wideevents.fields import NAMES, RESERVED
from wideevents.health import Fault
from wideevents.levels import Urgency
from wideevents.logs import lines as lines_room
from wideevents.logs.lines import CALM, DEEPEST, KEPT, Line, Loggers, Origin, Said
from wideevents.serialize import encode

MANY = settings(max_examples=150, suppress_health_check=list(HealthCheck))

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.dBjftJeZ4CVPmB92K27uhbUJU1p1r_wW1gFWFOEjXk"
WHEN = 1_767_323_045.678901
GOOD = {
    "timestamp": "2026-01-02T03:04:05Z",
    "level": "info",
    "message": "m",
    "log.logger": "l",
    "service.name": "s",
    "service.instance.id": "i",
    "host.name": "h",
    "process.pid": 1,
    "process.runtime.version": "3",
    "alert.urgency": "none",
}


def said(message: str = "hello", **more: Any) -> Said:
    """Return what a log call said."""
    return Said(**{"created": WHEN, "number": logging.INFO, "logger": "shop", "message": message, **more})


def written(*calls: Said, origin: Origin | None = None, **configured: Any) -> list[dict[str, Any]]:
    """Write the lines of *calls*, and return them."""
    with caught(**configured) as logged:
        for call in calls:
            config.logs().write(config.logs().line(call, origin))
        return logged.all()


def with_extras(*extras: tuple[Any, Any], **configured: Any) -> dict[str, Any]:
    """Return the one line of a call with *extras*."""
    (line,) = written(said(extras=extras), **configured)
    return line


def in_event(*calls: Said, **configured: Any) -> dict[str, Any]:
    """Return the event in which *calls* were logged."""
    with caught(**configured) as logged:
        with wideevents.event("job"):
            for call in calls:
                config.logs().write(config.logs().line(call))
        return logged.event()


def encoded(**fields: Any) -> bytes:
    """Return a line with *fields* beside those that every line has; None leaves one out."""
    return encode({name: value for name, value in {**GOOD, **fields}.items() if value is not None}) + b"\n"


class TestTheReaderOfTheTests:
    def test_a_good_line_is_taken(self) -> None:
        """Outside any event, and inside one."""
        inside = {"alert.urgency": None, "event.id": "1", "trace.id": "2", "http.request.id": "3"}

        assert GOOD == parse_log_line(encoded())
        assert "1" == parse_log_line(encoded(**inside))["event.id"]

    @pytest.mark.parametrize(
        "wrong",
        [
            {"alert.urgency": None},
            {"event.id": "1", "trace.id": "2"},
            {"event.id": "1", "alert.urgency": None},
            {"trace.id": "1", "alert.urgency": None},
            {"http.request.id": "3"},
            {"level": "critical"},
            {"timestamp": "yesterday"},
            {"message": 1},
            {"code.line.number": "7"},
            {"log.arguments": "x"},
            {"a": 1, "a.b": 2},
            {"a": {"b": 2}},
            *({name: None} for name in GOOD),
        ],
    )
    def test_a_bad_line_is_refused(self, wrong: dict[str, Any]) -> None:
        """A test that reads lines with it can fail."""
        with pytest.raises(AssertionError):
            parse_log_line(encoded(**wrong))


class TestWhatALineSays:
    def test_has_the_names_of_the_contract(self) -> None:
        """When, how bad, what, and by whom."""
        (line,) = written(said("paid", place=("/app/shop.py", 7, "pay")))

        assert ("2026-01-02T03:04:05.678901Z", "info") == (line["timestamp"], line["level"])
        assert ("paid", "shop") == (line["message"], line["log.logger"])
        assert ("/app/shop.py", 7, "pay") == tuple(
            line[name] for name in ("code.file.path", "code.line.number", "code.function.name")
        )

    def test_has_no_place_where_it_is_not_known(self) -> None:
        """What does not apply is left out."""
        (line,) = written(said())

        assert set() == {name for name in line if name.startswith("code.")}

    def test_has_the_service_and_the_process(self) -> None:
        """As an event has them: the same search finds both."""
        (line,) = written(said(), service="shop", version="1.4", environment="production", owner="payments")
        names = ("service.name", "service.version", "deployment.environment.name", "owner.team")

        assert ["shop", "1.4", "production", "payments"] == [line[name] for name in names]

    def test_has_the_exception(self) -> None:
        """Under the names that an event uses, too."""
        (line,) = written(said(error=raised()))

        assert ("ValueError", "ValueError") == (line["error.type"], line["exception.type"])
        assert "inner\x00" == line["exception.message"]
        assert "raise ValueError" in line["exception.stacktrace"]

    @pytest.mark.parametrize(
        ("number", "level"),
        [(0, "debug"), (10, "debug"), (25, "info"), (30, "warning"), (40, "error"), (50, "error"), (99, "error")],
    )
    def test_rounds_the_levels_of_the_logging_module_down(self, number: int, level: str) -> None:
        """There are four levels; CRITICAL is error."""
        (line,) = written(said(number=number))

        assert level == line["level"]

    @pytest.mark.parametrize("created", [math.nan, math.inf, 1e30, -1e30, "yesterday", None])
    def test_a_time_that_is_none_is_now(self, created: Any) -> None:
        """A record that came from elsewhere may hold anything."""
        before = time.time()
        (line,) = written(said(created=created))

        assert before - 1 <= datetime.fromisoformat(line["timestamp"]).timestamp() <= time.time() + 1


class TestWhoseALineIs:
    def test_in_an_event_it_has_the_ids_and_no_urgency(self) -> None:
        """The event alerts, once, and not every line of it."""
        with caught() as logged, wideevents.event("job") as event:
            config.logs().write(config.logs().line(said(number=logging.ERROR)))
            line = logged.one()

        assert (event.id, event.trace_id) == (line["event.id"], line["trace.id"])
        assert "alert.urgency" not in line

    def test_in_a_request_it_has_the_id_of_the_request(self) -> None:
        """It is what the client, and the proxy before us, know the request by."""
        with caught() as logged, wideevents.event("job") as event:
            event.request_id = "abc"
            config.logs().write(config.logs().line(said()))

            assert "abc" == logged.one()["http.request.id"]

    @pytest.mark.parametrize("level", list(Level))
    def test_outside_any_event_it_calls_for_itself(self, level: Level) -> None:
        """What no event tells must be told by the line."""
        (line,) = written(said(number=int(level)))

        assert level.urgency.value == line["alert.urgency"]
        assert set() == line.keys() & {"event.id", "trace.id", "http.request.id"}

    @pytest.mark.parametrize("request_id", ["abc", None])
    def test_said_elsewhere_it_has_the_ids_that_are_given(self, request_id: str | None) -> None:
        """Also where another event is in progress; that one learns nothing of it."""
        with caught() as logged:
            with wideevents.event("listener"):
                line = config.logs().line(said(number=logging.ERROR), Origin("e", "t", request_id))
                config.logs().write(line)
            line_written, event = logged.one(), logged.event()

        assert ("e", "t", request_id) == tuple(
            line_written.get(name) for name in ("event.id", "trace.id", "http.request.id")
        )
        assert ("info", False) == (event["level"], "log.count.error" in event)

    def test_after_its_event_it_belongs_to_none(self) -> None:
        """A line that a thread writes too late is not lost, and calls for itself."""
        with caught() as logged:
            with wideevents.event("job") as event:
                pass
            assert event.sealed
            config.logs().write(config.logs().line(said()))

            assert Urgency.NONE.value == logged.one()["alert.urgency"]

    def test_an_origin_of_an_event_that_has_ended_has_no_request(self) -> None:
        """Its fields are gone; its ids are not."""
        with caught():
            with wideevents.event("job") as event:
                pass

            assert (event.id, event.trace_id, None) == Origin.of(event)


class TestWhatAnEventLearns:
    def test_a_warning_and_an_error_are_counted(self) -> None:
        """The event says how much was complained about in it."""
        event = in_event(*(said(number=number) for number in (10, 20, 30, 30, 40, 50)))

        assert (2, 2) == (event["log.count.warning"], event["log.count.error"])

    def test_nothing_is_counted_where_nothing_was_wrong(self) -> None:
        """Absent means none."""
        event = in_event(said(number=10), said(number=20))

        assert set() == {name for name in event if name.startswith("log.")}

    @pytest.mark.parametrize(("number", "level"), [(10, "info"), (20, "info"), (30, "warning"), (40, "error")])
    def test_a_line_raises_the_level(self, number: int, level: str) -> None:
        """And with it the urgency: an error that is only logged pages somebody, too."""
        event = in_event(said(number=number))

        assert (level, Level.parse(level).urgency.value) == (event["level"], event["alert.urgency"])

    def test_a_line_never_lowers_it(self) -> None:
        """An error stays one, whatever is said after it."""
        assert "error" == in_event(said(number=40), said(number=30))["level"]

    def test_the_last_error_stays(self) -> None:
        """Its message, without what a warning says after it."""
        event = in_event(said("a", number=40), said("b", number=40), said("c", number=30))

        assert "b" == event["log.last_error"]

    def test_the_last_error_is_redacted(self) -> None:
        """It is written again, in another line."""
        assert JWT not in in_event(said(f"refused {JWT}", number=40))["log.last_error"]

    def test_counts_are_exact_from_threads(self, eager_switching: None) -> None:
        """Threads that a request started log into its event."""
        with caught() as logged:

            def complain() -> None:
                for _ in range(200):
                    config.logs().line(said(number=logging.WARNING))

            with wideevents.event("job"):
                at_once(*[complain] * 4)

            assert 800 == logged.event()["log.count.warning"]


class TestLoggers:
    @pytest.mark.parametrize(
        ("raising", "logger", "raises"),
        [
            (None, "shop", True),
            (None, "", True),
            (None, "py.warnings", False),
            (None, "wideevents", False),
            (None, "wideevents.sinks", False),
            (None, "wideeventsx", True),
            ((), "shop", False),
            (("shop",), "shop", True),
            (("shop",), "shop.cart", True),
            (("shop",), "shopping", False),
            (("shop",), "sho", False),
            (("shop.cart",), "shop", False),
            (("",), "anything", True),
            (("a", "b"), "b.c", True),
        ],
    )
    def test_a_name_stands_for_its_children(self, raising: Any, logger: str, raises: bool) -> None:
        """As in the logging module, and no further."""
        loggers = Loggers(raising=raising)

        assert [raises, raises] == [loggers.raises(logger), loggers.raises(logger)]

    def test_those_that_do_not_raise_are_counted_all_the_same(self) -> None:
        """The number of warnings is true; only the level does not follow."""
        event = in_event(said(number=30), said(number=40, logger="calm"), raising_loggers=("loud",))

        assert ("info", 1, 1) == (event["level"], event["log.count.warning"], event["log.count.error"])

    def test_by_default_warnings_of_python_do_not_raise(self) -> None:
        """They speak of the code, and not of the request."""
        assert ["info", "info"] == [in_event(said(number=30, logger=name))["level"] for name in CALM]

    def test_remembers_no_more_names_than_it_may(self) -> None:
        """There are applications that invent one for every object; they are right all the same."""
        loggers = Loggers(raising=("shop",))
        answers = {loggers.raises(f"shop.{number}") for number in range(lines_room.KNOWN_LIMIT + 10)}

        assert ({True}, lines_room.KNOWN_LIMIT) == (answers, len(loggers._known))
        assert (True, False) == (loggers.raises("shop.new"), loggers.raises("new"))

    @pytest.mark.parametrize(
        ("logger", "number", "keeps"),
        [("shop", 10, True), ("shop.cart", 10, True), ("shop", 20, False), ("shop", 19, True), ("other", 10, False)],
    )
    def test_keeps_what_is_too_low_to_be_written(self, logger: str, number: int, keeps: bool) -> None:
        """A line that is written is not kept: no line is told twice."""
        assert keeps is Loggers(debug=("shop",)).keeps(logger, number)

    @pytest.mark.parametrize("setting", ["debug_lines", "raising_loggers"])
    @pytest.mark.parametrize("given", ["shop", 7, [7], {"shop": 1}, (None,)])
    def test_what_are_no_names_is_refused(self, setting: str, given: Any, reconfigurable: None) -> None:
        """At once, with its name: a bare string would be read letter by letter."""
        with pytest.raises(ConfigurationError, match=setting):
            wideevents.configure(logging=False, **{setting: given})

    @pytest.mark.parametrize("given", [["a", "b"], ("a", "b"), frozenset("ab"), {"a", "b"}])
    def test_names_come_in_any_collection(self, given: Any) -> None:
        """They are kept in one that does not change."""
        assert ("a", "b") == tuple(sorted(Loggers.of(Level.INFO, None, given).debug))


class TestExtras:
    def test_they_stand_in_the_line(self) -> None:
        """Under their own names, of their own types."""
        line = with_extras(("user.id", 42), ("plan", "STARTER"), ("paid", True), ("ratio", 0.5), ("tags", ["a"]))

        assert [42, "STARTER", True, 0.5, ["a"]] == [line[n] for n in ("user.id", "plan", "paid", "ratio", "tags")]

    def test_they_are_the_same_the_second_time(self) -> None:
        """A key that is known takes a shorter way."""
        extras = [("user.id", 42), ("plan", "STARTER"), ("paid", True), ("token", "x" * 20), ("big", 2**70)]
        first, second = written(said(extras=extras), said(extras=extras))

        assert first == second

    def test_a_mapping_is_flattened(self) -> None:
        """A line is flat, as an event is."""
        line = with_extras(("user", {"id": 42, "plan": {"name": "STARTER"}}))

        assert (42, "STARTER") == (line["user.id"], line["user.plan.name"])

    def test_none_is_left_out(self) -> None:
        """Absent means none."""
        assert "user.id" not in with_extras(("user.id", None))

    @pytest.mark.parametrize("name", sorted(RESERVED - {"log.arguments", "log.lines"}))
    def test_our_names_are_kept_for_us(self, name: str) -> None:
        """What a call says under one of them is not lost, and does not change what we say."""
        line = with_extras((name, "theirs"))

        assert "theirs" == line[f"user_fields.{name}"]
        assert "theirs" != line.get(name)

    def test_a_second_value_of_one_name_is_kept_beside_the_first(self) -> None:
        """As `message` is, and an extra that stands in a message's mapping already."""
        line = with_extras(("message", "theirs"), ("a", 1), ("a", 2), ("a", 3))

        assert ("hello", "theirs") == (line["message"], line["user_fields.message"])
        assert (1, 2, 3) == (line["a"], line["user_fields.a"], line["user_fields.a_"])

    def test_a_scalar_gives_way_to_its_branches(self) -> None:
        """Stores that read dots as nesting refuse the line otherwise."""
        line = with_extras(("service", "mine"), ("a.b", 1), ("a", 2))

        assert ("mine", 1, 2) == (line["service.value"], line["a.b"], line["a.value"])

    @pytest.mark.parametrize("order", [1, -1])
    def test_what_is_moved_gives_way_too(self, order: int) -> None:
        """A name beside those that are taken is a name like any other."""
        extras = [("a", 1), ("a", 2), ("user_fields", 3)][::order]
        line = with_extras(*extras)

        assert 3 == line["user_fields.value"]
        assert {1, 2} == {line["a"], line["user_fields.a"]}

    @pytest.mark.parametrize("key", ["", 7, ("a", "b"), None, "\ud800", "k" * 500, "a\nb", b"raw"])
    def test_a_key_may_be_anything(self, key: Any) -> None:
        """A line is not lost for it."""
        assert "kept" in with_extras((key, "kept")).values()

    @pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in MAKERS.items()])
    def test_a_value_may_be_anything(self, make: Callable[[], Any]) -> None:
        """Only the value that nobody can print is replaced."""
        line = with_extras(("before", 1), ("value", make()), ("after", 2))

        assert (1, 2) == (line["before"], line.get("after", 2 * ("after" in line.get("event.trimmed", ()))))
        assert any(name.partition(".")[0] in {"value", "value#2"} for name in line)

    def test_a_long_line_is_trimmed_and_says_so(self) -> None:
        """A line stays within its size; the message is not what goes first."""
        line = with_extras(*((f"k{number}", "v" * 500) for number in range(50)), limits=Limits(max_bytes=2_048))

        assert "hello" == line["message"]
        assert line["event.trimmed"]

    def test_a_long_message_is_trimmed(self) -> None:
        """Its beginning stays."""
        (line,) = written(said("m" * 1_000_000))

        assert (["message"], 4_000) == (line["event.trimmed"], len(line["message"]))


class TestSecrets:
    @pytest.mark.parametrize(
        "call",
        [
            said(f"token {JWT}"),
            said(extras=[("note", f"token {JWT}")]),
            said(extras=[("password", JWT)]),
            said(extras=[("user", {"password": JWT})]),
            said(extras=[("notes", [f"x {JWT}"])]),
            said(extras=[("a.b", 1), ("a", f"x {JWT}")]),
            said(extras=[("message", f"x {JWT}")]),
            said(error=ValueError(f"token {JWT}")),
            said(fields={"log.arguments": [f"token {JWT}"]}),
            said(fields={"log.arguments": [{"password": JWT}]}),
        ],
    )
    def test_none_is_written(self, call: Said) -> None:
        """Neither the first time nor when the key and the text are known."""
        lines = written(call, call)

        assert [True, True] == ["[redacted]" in str(line) for line in lines]
        assert JWT not in str(lines)

    def test_a_card_number_is_hidden(self) -> None:
        """Also as an integer."""
        assert "[redacted]" == with_extras(("order", 1), ("number", 4111111111111111))["number"]

    def test_what_is_no_secret_stays(self) -> None:
        """Or nobody would leave the redaction on."""
        line = with_extras(("note", "the token expired"), ("number", 1234567890123))

        assert ("the token expired", 1234567890123) == (line["note"], line["number"])


class Chatty:
    """Log a line for every line that is written."""

    def __init__(self, logger: logging.Logger) -> None:
        self.logger = logger
        self.lines: list[bytes] = []

    def write(self, entry: Entry) -> None:
        self.lines.append(entry.line)
        self.logger.info("wrote %d", len(self.lines))

    def close(self) -> None: ...


class TestRecursion:
    def test_a_sink_that_logs_does_not_run_for_ever(self) -> None:
        """What it logs is written a few times, and then counted."""
        with logger_with() as shop:
            sink = Chatty(shop)
            with caught(output=sink):
                shop.addHandler(handler())
                shop.info("hello")

        assert ["hello", "wrote 1", "wrote 2"] == [parse_log_line(line)["message"] for line in sink.lines]
        assert (3, 1) == (DEEPEST, health.faults.counts()[Fault.RECURSION])

    def test_every_line_begins_anew(self) -> None:
        """One that was too deep does not cost the next, nor does a sink that fails."""
        with logger_with() as shop:
            sink = Chatty(shop)
            with caught(output=sink):
                shop.addHandler(handler())
                for _ in range(5):
                    shop.info("hello")

        assert 5 * DEEPEST == len(sink.lines)

    def test_threads_do_not_share_their_depth(self, eager_switching: None) -> None:
        """Four threads that write at once are no recursion."""
        with caught() as logged, logger_with() as shop:
            shop.addHandler(handler())

            def work() -> None:
                for number in range(100):
                    shop.info("%d", number)

            at_once(*[work] * 8)

            assert 800 == len(logged.all())
        assert Fault.RECURSION not in health.faults.counts()

    def test_more_threads_may_write_than_lines_be_inside_one_another(self) -> None:
        """Each counts its own."""
        barrier = Barrier(DEEPEST + 2)
        lines: list[bytes] = []

        class Together:
            def write(self, entry: Entry) -> None:
                barrier.wait(10)
                lines.append(entry.line)

            def close(self) -> None: ...

        with caught(output=Together()):
            at_once(*[lambda: config.logs().write(config.logs().line(said()))] * barrier.parties)

        assert DEEPEST + 2 == len(lines)

    def test_what_gets_out_of_a_sink_leaves_the_depth_as_it_was(self) -> None:
        """Ctrl-C ends a line, and not the lines after it."""

        class Interrupted:
            lines = 0

            def write(self, entry: Entry) -> None:
                self.lines += 1
                raise KeyboardInterrupt

            def close(self) -> None: ...

        sink = Interrupted()
        with caught(output=sink):
            for _ in range(10):
                with suppress(KeyboardInterrupt):
                    config.logs().write(config.logs().line(said()))

        assert 10 == sink.lines


class TestEntries:
    def test_a_line_knows_its_event(self) -> None:
        """A sink may want to know what a line belongs to."""
        with caught(), wideevents.event("job") as event:
            line = config.logs().line(said())
        outside = config.logs().line(said())

        assert (event, None) == (line.event, outside.event)

    def test_a_finished_line_is_written_by_whoever_asked(self) -> None:
        """It went through the stages, and to no sink."""
        with caught() as logged:
            line = config.logs().line(said())
            config.logs().finished(line)

            assert "hello" == parse_log_line(line.line)["message"]
            assert [] == logged.all()

    def test_what_the_line_was_to_tell_is_told(self) -> None:
        """A finished line takes the faults along, once."""
        with caught() as logged:
            health.unreported.add(Fault.LOST, 2)
            first, second = config.logs().line(said()), config.logs().line(said())
            config.logs().finished(first)
            config.logs().write(second)

            assert 2 == parse_log_line(first.line)["events.lost"]
            assert "events.lost" not in logged.one()

    def test_a_line_that_was_lost_is_told_on_the_next(self) -> None:
        """A sink that fails does not disturb the work, and the number is true."""

        class Failing:
            def write(self, entry: Entry) -> None:
                if health.faults.counts().get(Fault.LOST, 0) < 2:
                    raise OSError("no space left")
                lines.append(entry.line)

            def close(self) -> None: ...

        lines: list[bytes] = []
        with caught(output=Failing()):
            for _ in range(3):
                config.logs().write(config.logs().line(said()))

        assert 2 == parse_log_line(lines[-1])["events.lost"]

    def test_the_line_that_tells_of_it_is_not_lost_silently(self, capfd: pytest.CaptureFixture[str]) -> None:
        """It goes to standard error where the sinks fail, and what it was to tell is told again."""

        class Failing:
            def __init__(self) -> None:
                self.full = True
                self.lines: list[bytes] = []

            def write(self, entry: Entry) -> None:
                if self.full:
                    raise OSError("no space left")
                self.lines.append(entry.line)

            def close(self) -> None: ...

        sink = Failing()
        with caught(output=sink), bare_root(handler(), level=logging.INFO) as root:
            root.info("lost")
            sink.full = False
            root.info("on")
        told = parse_log_line(capfd.readouterr().err.encode())

        assert ("wideevents", 1) == (told["log.logger"], told["events.lost"])
        assert 1 == parse_log_line(sink.lines[0])["events.lost"]

    def test_nothing_is_held_by_whoever_does_not_write(self) -> None:
        """The end of the way for a line that somebody else writes can be closed like any other."""
        assert (None, None) == (KEPT.close(), KEPT.write(Line({}, Level.INFO, None)))

    def test_user_stages_see_events_only(self) -> None:
        """They are written for events, and may drop them; a line is not counted, sampled, or dropped."""
        seen: list[Any] = []

        def stage(event: Event) -> Event | None:
            seen.append(event)
            return None

        with caught(stages=[stage]) as logged:
            with wideevents.event("job"):
                config.logs().write(config.logs().line(said()))

            assert (1, ["hello"], []) == (len(seen), logged.messages(), logged.sink.lines)


@dataclass(frozen=True)
class Foreign:
    """Stand for a foreign value, which not even Hypothesis could print."""

    name: str


def made(value: Any) -> Any:
    """Return *value* with the foreign values themselves in it."""
    if isinstance(value, Foreign):
        return MAKERS[value.name]()
    if isinstance(value, list):
        return [made(each) for each in value]
    return {key: made(each) for key, each in value.items()} if isinstance(value, dict) else value


KEYS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(sorted(NAMES)),
    st.sampled_from(["a", "a.b", "a.b.c", "user_fields", "user_fields.a", "user_fields.message", "service", "name"]),
    st.sampled_from(["args", "msg", "exc_info", "event_id", "taskName", "password", "wideevents", "log", "event"]),
    st.integers(),
    st.binary(max_size=3),
    st.tuples(st.text(max_size=2)),
    st.none(),
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(2**70), max_value=2**70),
    st.floats(),
    st.text(),
    st.binary(),
    st.datetimes(),
    st.decimals(),
    st.sampled_from(sorted(MAKERS)).map(Foreign),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=8,
)
EXTRAS = st.lists(st.tuples(KEYS, VALUES), max_size=8)


def all_made(extras: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Return *extras* with the foreign values themselves in them."""
    return [(key, made(value)) for key, value in extras]


def line_of(call: Said, **configured: Any) -> dict[str, Any]:
    """Return the one line of *call*; what is raised is a failure of ours, and so is a line that was lost."""
    health.forget()
    lines = written(call, **configured)
    assert len(lines) == 1, f"{len(lines)} lines; {health.faults.counts()}"
    assert {Fault.LOST, Fault.STAGE}.isdisjoint(health.faults.counts())
    return lines[0]


class TestAnyLine:
    @MANY
    @given(st.text(), EXTRAS)
    @example("m", [("a", 1), ("a", 2), ("user_fields", 3)])
    @example("m", [("user_fields", []), ("alert.runbook", False)])
    @example("m", [("a", 1), ("a", 2), ("a.b", 3), ("user_fields.a.b", 3), ("user_fields.a.b", 4)])
    def test_any_extras_make_one_valid_line(self, message: str, extras: list[tuple[Any, Any]]) -> None:
        """Whatever a call says, exactly one line, which the strictest reader takes."""
        assert "shop" == line_of(said(message, extras=all_made(extras)))["log.logger"]

    @MANY
    @given(st.text(min_size=1, max_size=5_000), EXTRAS)
    def test_a_small_line_too(self, message: str, extras: list[tuple[Any, Any]]) -> None:
        """At 2,048 bytes as at 16,000."""
        health.forget()
        with caught(limits=Limits(max_bytes=2_048)) as logged:
            config.logs().write(config.logs().line(said(message, extras=all_made(extras), error=raised())))
            (line,) = logged.sink.log_lines

        assert "ValueError" == parse_log_line(line, 2_048)["error.type"]

    @MANY
    @given(st.text(), st.text())
    def test_any_names_make_one_valid_line(self, logger: str, function: str) -> None:
        """The names of loggers and functions are text like any other."""
        line = line_of(said(logger=logger, place=(function, 1, function)))

        assert logger.encode("utf-8", "backslashreplace").decode() == line["log.logger"]


class TestTheLogger:
    def test_a_record_goes_all_the_way(self) -> None:
        """From the call to the sink."""
        logged = Logged()
        with caught(output=logged.sink), logger_with(handler()) as shop:
            shop.info("paid %s", "order 7", extra={"user.id": 42})

        line = logged.one()
        assert ("paid order 7", 42, "shop") == (line["message"], line["user.id"], line["log.logger"])
        assert (__file__, "test_a_record_goes_all_the_way") == (line["code.file.path"], line["code.function.name"])

    def test_records_are_not_changed_below_a_warning(self) -> None:
        """What other handlers see of them is what the application logged: ours at the root leaves no mark."""
        record, last = record_of(), handler()
        last.is_last = True
        before = dict(vars(record))
        with caught(), wideevents.event("job"):
            last.handle(record)

        assert before == vars(record)

    def test_a_mark_is_none_for_other_libraries_formatters(self) -> None:
        """They leave out what begins with an underscore."""
        record = record_of(level=logging.ERROR)
        before = dict(vars(record))
        with caught(), wideevents.event("job"):
            handler().handle(record)
        marks = vars(record).keys() - before.keys()

        assert marks
        assert all(mark.startswith("_") for mark in marks)

    def test_times_are_those_of_the_call(self) -> None:
        """And not those of the writing."""
        with caught() as logged:
            handler().handle(record_of(created=WHEN))

            assert datetime.fromtimestamp(WHEN, UTC) == datetime.fromisoformat(logged.one()["timestamp"])
