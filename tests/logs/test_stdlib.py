"""What the door to the logging module promises: what a record says, formatter, filter and handler."""

from __future__ import annotations

import copy
import io
import logging
import pickle
import subprocess
import sys
import traceback
import weakref
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pythonjsonlogger.core import BaseJsonFormatter

import wideevents
from tests.conftest import at_once
from tests.logs import bare_root, caught, handler, logger_with, record_of
from tests.logs.test_lines import EXTRAS, JWT, MANY, all_made
from tests.strict import parse_log_line
from tests.test_line_contract import MAKERS, hostile, raised
from wideevents import config, health
from wideevents.errors import ConfigurationError
from wideevents.health import Fault
from wideevents.levels import Level
from wideevents.logs.stdlib import ORIGIN, EventFilter, Handler, JsonFormatter, said
from wideevents.sinks.jsonlogger import WRITTEN


def formatter(kind: type[JsonFormatter] = JsonFormatter, *args: Any, **options: Any) -> JsonFormatter:
    """Return a formatter for the lines that are configured."""
    return kind(*args, logs=config.logs, **options)


def formatted(record: logging.LogRecord, *args: Any, **options: Any) -> dict[str, Any]:
    """Return the line that a formatter with *options* makes of *record*."""
    return parse_log_line(formatter(JsonFormatter, *args, **options).format(record).encode() + b"\n")


def file_of(stream: io.StringIO, form: logging.Formatter | str | None = None, *filters: Any) -> logging.Handler:
    """Return a handler as people own it."""
    made = logging.StreamHandler(stream)
    made.setFormatter(logging.Formatter(form) if isinstance(form, str) else form)
    for each in filters:
        made.addFilter(each)
    return made


class Unruly(Mapping[str, Any]):
    """Be a mapping that cannot be read."""

    def __getitem__(self, key: str) -> Any:
        raise RuntimeError

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError

    def __len__(self) -> int:
        return 2


class TestTheMessage:
    def test_is_formatted_with_its_arguments(self) -> None:
        """As the logging module does it, by position and by name."""
        messages = [said(record_of("%s and %d", "a", 2)).message, said(record_of("%(n)s", {"n": "a"})).message]

        assert ["a and 2", "a"] == messages

    @pytest.mark.parametrize("message", ["100 %", "%s", "%(name)s", "{x}", "%%"])
    def test_without_arguments_stays_as_it_is(self, message: str) -> None:
        """A per cent sign alone is no format."""
        assert message == said(record_of(message)).message

    @pytest.mark.parametrize(
        ("message", "args", "shown"),
        [
            ("%d items", ("three",), ["three"]),
            ("%s and %s", ("one",), ["one"]),
            ("no place", ("one", 2), ["one", 2]),
            ("%(name)s", ("one",), ["one"]),
            ("%(name)s", ({"other": 1},), [{"other": 1}]),
            ("%", ("one",), ["one"]),
            ("%z", (None,), [None]),
        ],
    )
    def test_that_does_not_fit_is_told_with_its_arguments(self, message: str, args: Any, shown: list[Any]) -> None:
        """The logging module loses such a line."""
        line = formatted(record_of(message, *args))

        assert (message, shown) == (line["message"], line["log.arguments"])

    def test_arguments_that_do_not_fit_are_redacted_by_their_keys(self) -> None:
        """A password is one, also where the format string is wrong."""
        line = formatted(record_of("%(count)d %(password)s", {"count": "x", "password": "swordfish"}))

        assert "swordfish" not in str(line)

    @pytest.mark.parametrize("args", [7, "text", [1], Unruly(), hostile(ValueError)])
    def test_arguments_of_a_record_made_by_hand_may_be_anything(self, args: Any) -> None:
        """What came over a network was not checked by anybody."""
        line = formatted(record_of("%d and %d", args=args))

        assert "%d and %d" == line["message"]
        assert 1 == len(line["log.arguments"])

    @pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in MAKERS.items()])
    def test_may_be_any_object(self, make: Any) -> None:
        """Nothing that it raises gets out, and a line comes of it."""
        assert "shop" == formatted(record_of(make()))["log.logger"]

    @pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in MAKERS.items()])
    def test_may_have_any_object_as_an_argument(self, make: Any) -> None:
        """As its first of two: the logging module itself asks an only one whether it is a mapping."""
        assert formatted(record_of("before %s, after %s", make(), 7))["message"].startswith("before ")

    def test_may_be_an_object_that_is_gone(self) -> None:
        """A weak proxy answers no question at all."""

        class Cart: ...

        assert "<unprintable " in formatted(record_of(weakref.proxy(Cart())))["message"]

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, RecursionError])
    def test_survives_an_argument_whose_text_raises(self, error: type[BaseException]) -> None:
        """Only the argument is lost, and it is named."""
        line = formatted(record_of("cart %s of %s", hostile(error)(), "shop"))

        assert "cart %s of %s" == line["message"]
        assert [f"<unprintable Hostile{error.__name__}>", "shop"] == line["log.arguments"]

    @pytest.mark.parametrize("text", ["\ud800", "\x00\x1b[31m", "\u2028", "a\nb\r", "\u202e", "\x85", "\x7f"])
    def test_may_be_any_text(self, text: str) -> None:
        """Nothing that breaks a line, or a terminal, stands raw in it; the strict reader looks for that."""
        assert formatted(record_of("%s", text))["message"] in {text, "\\ud800"}

    def test_is_redacted(self) -> None:
        """In the format string as in the arguments."""
        assert JWT not in str([formatted(record_of(f"token {JWT}")), formatted(record_of("token %s", JWT))])

    def test_of_a_subclass_of_text_is_its_text(self) -> None:
        """Django's lazy and safe strings, and an Enum's."""

        class Safe(str):
            __slots__ = ()

        assert "hello" == formatted(record_of(Safe("hello")))["message"]


class TestAMappingAsTheMessage:
    def test_gives_fields(self) -> None:
        """The way in for fields of any name, `name` included."""
        line = formatted(record_of({"message": "paid", "name": "Ann", "user": {"id": 42}}))

        assert ("paid", "Ann", 42) == (line["message"], line["name"], line["user.id"])

    def test_may_have_no_message(self) -> None:
        """Then there is none, and a line all the same."""
        line = formatted(record_of({"a": 1}))

        assert ("", 1) == (line["message"], line["a"])

    def test_has_its_extras_beside_it(self) -> None:
        """Nothing of either is lost."""
        line = formatted(record_of({"a": 1}, a=2, b=3))

        assert (1, 2, 3) == (line["a"], line["user_fields.a"], line["b"])

    def test_is_not_changed(self) -> None:
        """It is the application's."""
        message = {"message": "paid", "a": 1}
        formatted(record_of(message))

        assert {"message": "paid", "a": 1} == message

    def test_with_arguments_is_a_format(self) -> None:
        """As the logging module takes it: the text of the mapping."""
        line = formatted(record_of({"a": 1}, "one"))

        assert ("{'a': 1}", ["one"]) == (line["message"], line["log.arguments"])

    def test_that_cannot_be_read_is_named(self) -> None:
        """A line comes of it."""
        assert "Unruly" in formatted(record_of(Unruly()))["message"]


class TestExtras:
    def test_stand_in_the_line(self) -> None:
        """What the call gave, without what every record has."""
        names = {"user.id", "plan"}
        plain, rich = formatted(record_of()), formatted(record_of(**{"user.id": 42, "plan": "STARTER"}))

        assert names == rich.keys() - plain.keys()

    @pytest.mark.parametrize("attribute", ["message", "asctime"])
    def test_what_other_formatters_left_on_the_record_is_none(self, attribute: str) -> None:
        """It is not what the call gave."""
        assert f"user_fields.{attribute}" not in formatted(record_of(**{attribute: "theirs"}))
        assert attribute == "message" or attribute not in formatted(record_of(**{attribute: "theirs"}))

    def test_may_be_called_as_the_attribute_of_a_later_python(self) -> None:
        """A task's name is an attribute from Python 3.12 on, and before that an extra like any other."""
        taken = "taskName" in vars(logging.makeLogRecord({}))

        assert taken is not ("taskName" in formatted(record_of(taskName="import")))

    @MANY
    @given(st.text(), st.lists(st.one_of(st.text(), st.integers(), st.floats(), st.none()), max_size=3), EXTRAS)
    @example("%s %s %d", ["\ud800", "\x00"], [])
    @example("%(a)s", [1], [("event_id", 1)])
    def test_any_call_makes_one_valid_line(self, message: str, args: list[Any], extras: list[tuple[Any, Any]]) -> None:
        """Any message, arguments and extras: nothing is raised, and there is exactly one line."""
        health.forget()
        record = record_of()
        record.msg, record.args = message, tuple(args)
        for key, value in all_made(extras):
            if key not in vars(record):
                record.__dict__[key] = value
        with caught() as logged:
            handler().handle(record)
            logged.one()

        assert {Fault.LOST, Fault.STAGE}.isdisjoint(health.faults.counts())


class TestTheRestOfARecord:
    def test_the_exception_is_described(self) -> None:
        """As an event's is."""
        error = raised()
        line = formatted(record_of(exc_info=(type(error), error, error.__traceback__)))

        assert "ValueError" == line["exception.type"]
        printed = "".join(traceback.format_exception(error)).rstrip("\n")
        assert printed == line["exception.stacktrace"].replace("\n> ", "\n  ")
        assert line.keys() >= {"error.fingerprint", "exception.slug"}

    def test_the_place_is_that_of_the_call(self) -> None:
        """Where it was raised stands in its stack."""
        error = raised()
        record = record_of(
            exc_info=(type(error), error, error.__traceback__), lineno=7, funcName="pay", pathname="p.py"
        )
        line = formatted(record)

        assert (line["code.line.number"], line["code.function.name"], line["code.file.path"]) == (7, "pay", "p.py")

    @pytest.mark.parametrize("exc_info", [(None, None, None), None, False, True, 7, (1, 2), ("a", "b", "c"), ()])
    def test_no_exception_is_none(self, exc_info: Any) -> None:
        """`exc_info=True` where nothing was raised, and whatever a record by hand may hold."""
        assert "exception.type" not in formatted(record_of(exc_info=exc_info))

    def test_a_bare_exception_is_one(self) -> None:
        """A record by hand may hold it so."""
        assert "ValueError" == formatted(record_of(exc_info=ValueError("x")))["error.type"]

    def test_the_text_of_an_exception_is_kept(self) -> None:
        """All that is left of it once a record went through a socket; redacted."""
        line = formatted(record_of(exc_text=f"Traceback ...\nValueError: {JWT}"))

        assert line["exception.stacktrace"].startswith("Traceback ...")
        assert JWT not in str(line)

    def test_the_text_does_not_replace_the_exception(self) -> None:
        """Another formatter may have cached it, shortened."""
        line = formatted(record_of(exc_info=(ValueError, ValueError("x"), None), exc_text="short"))

        assert "ValueError: x" == line["exception.stacktrace"]

    def test_the_stack_of_a_call_is_told(self) -> None:
        """What `stack_info=True` asked for."""
        with caught() as logged, logger_with(handler()) as shop:
            at_once(lambda: shop.info("here", stack_info=True))

        assert 'shop.info("here", stack_info=True)' in logged.one()["code.stacktrace"]

    @pytest.mark.parametrize("number", ["high", None, 4.5, True])
    def test_a_level_that_is_none_is_info(self, number: Any) -> None:
        """A record by hand may hold anything."""
        assert "info" == formatted(record_of(levelno=number))["level"]

    def test_a_level_may_be_a_member_of_an_enumeration(self) -> None:
        """Many keep theirs in one, as we do."""
        assert "error" == formatted(record_of(levelno=Level.ERROR))["level"]

    def test_an_attribute_that_is_missing_costs_nothing(self) -> None:
        """A record by hand may lack what no line needs."""
        record = record_of(a=1)
        del record.processName, record.process, record.relativeCreated

        assert 1 == formatted(record)["a"]

    def test_the_attributes_of_a_factory_are_extras(self) -> None:
        """Wherever on the record it has put them."""
        record = record_of()
        whole = dict(vars(record))
        vars(record).clear()
        vars(record).update({"tenant": "first", **whole, "a": 1})

        assert ("first", 1) == (formatted(record)["tenant"], formatted(record)["a"])

    @pytest.mark.parametrize(("name", "shown"), [(None, "None"), (7, "7"), (SimpleNamespace(), "namespace()")])
    def test_a_name_that_is_none_becomes_text(self, name: Any, shown: str) -> None:
        """The field has one type."""
        assert shown == formatted(record_of(name=name))["log.logger"]

    @pytest.mark.parametrize(
        "place",
        [{"funcName": None}, {"funcName": ""}, {"funcName": 7}, {"pathname": None}, {"lineno": "7"}, {"lineno": None}],
    )
    def test_a_place_that_is_none_is_left_out(self, place: dict[str, Any]) -> None:
        """Our fields have one type each, whatever a record by hand holds."""
        assert set() == {name for name in formatted(record_of(**place)) if name.startswith("code.")}


class Hooked(JsonFormatter):
    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        return {**{key: value for key, value in log_data.items() if key != "noise"}, "hooked": True}


class Raising(JsonFormatter):
    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        raise ValueError("theirs")


class Odd(JsonFormatter):
    def process_log_record(self, log_data: dict[str, Any]) -> Any:
        return None


class TestTheFormatter:
    def test_builds_on_python_json_logger(self) -> None:
        """What people know of its options holds here."""
        assert isinstance(formatter(), BaseJsonFormatter)

    def test_returns_a_line_without_its_end(self) -> None:
        """The handler writes that."""
        assert "\n" not in formatter().format(record_of("a\nb"))

    def test_renames_what_a_call_adds(self) -> None:
        """And nothing of the contract."""
        line = formatted(record_of(user=42), rename_fields={"user": "user.id", "message": "msg", "level": "severity"})

        assert (42, "hello", "info") == (line["user.id"], line["message"], line["level"])
        assert {"user", "msg", "severity"}.isdisjoint(line)

    def test_adds_fields_to_every_line(self) -> None:
        """Those of the call win over the defaults, and over what is static, too."""
        line = formatted(record_of(a=1), defaults={"a": 0, "b": 0, "c": 0}, static_fields={"b": 2})

        assert (1, 2, 0) == (line["a"], line["b"], line["c"])

    def test_added_fields_are_redacted(self) -> None:
        """As all are."""
        assert "[redacted]" == formatted(record_of(), static_fields={"api_key": "k" * 20})["api_key"]

    def test_runs_the_hook_of_a_subclass(self) -> None:
        """It sees what the call adds."""
        line = parse_log_line(formatter(Hooked).format(record_of(noise=1, signal=2)).encode() + b"\n")

        assert (True, 2, False) == (line["hooked"], line["signal"], "noise" in line)

    @pytest.mark.parametrize("kind", [Raising, Odd])
    def test_a_hook_that_fails_costs_its_change(self, kind: type[JsonFormatter]) -> None:
        """And not the line."""
        line = parse_log_line(formatter(kind, rename_fields={"a": "b"}).format(record_of(a=1)).encode() + b"\n")

        assert 1 == line["b"]

    def test_puts_a_prefix_before_the_line(self) -> None:
        """As syslog daemons want it: `@cee:`. An event through the same handler has it, too."""
        form = formatter(prefix="@cee: ")
        line, event = form.format(record_of()), form.format(record_of('{"a":1}', **{WRITTEN: '{"a":1}'}))

        assert "hello" == parse_log_line(line.removeprefix("@cee: ").encode() + b"\n")["message"]
        assert '@cee: {"a":1}' == event

    @pytest.mark.parametrize(("args", "options"), [(("%(message)s %(levelname)s",), {}), ((), {"timestamp": True})])
    def test_the_names_of_the_contract_stay(self, args: Any, options: Any) -> None:
        """Whatever format is asked for."""
        names = formatted(record_of()).keys()

        assert names == formatted(record_of(), *args, **options).keys()

    def test_gives_back_a_line_that_is_made_already(self) -> None:
        """An event that is written through the logging module."""
        assert '{"a":1}' == formatter().format(record_of('{"a":1}', **{WRITTEN: '{"a":1}'}))

    def test_in_an_event_the_event_learns_of_it_once(self) -> None:
        """Whatever number of handlers a record goes to, and in whichever order."""
        streams = [io.StringIO(), io.StringIO()]
        with caught() as logged:
            handlers = [file_of(streams[0], formatter()), handler(), file_of(streams[1], formatter())]
            with logger_with(*handlers) as shop, wideevents.event("job") as event:
                shop.warning("careful")
                shop.error("failed")

        assert (1, 1) == (logged.event()["log.count.warning"], logged.event()["log.count.error"])
        for stream in streams:
            lines = [parse_log_line(line.encode() + b"\n") for line in stream.getvalue().splitlines()]
            assert [event.id, event.id] == [line["event.id"] for line in lines]

    @pytest.mark.parametrize("level", [logging.INFO, logging.WARNING])
    def test_every_handler_has_the_extras(self, level: int) -> None:
        """Also those that are called as the attributes that our filter writes."""
        stream = io.StringIO()
        with caught() as logged, logger_with(handler(), file_of(stream, formatter())) as shop, wideevents.event("job"):
            shop.log(level, "hello", extra={"event_id": "theirs", "a": 1})

        second = parse_log_line(stream.getvalue().encode())
        assert ("theirs", 1) == (logged.one()["event_id"], logged.one()["a"])
        assert ("theirs", 1) == (second["event_id"], second["a"])


IDS = "%(event_id)s %(trace_id)s %(http_request_id)s %(message)s"


class TestTheFilter:
    def test_writes_the_ids_of_the_event(self) -> None:
        """For a format string of one's own."""
        stream = io.StringIO()
        own = file_of(stream, IDS, EventFilter(logs=config.logs))
        with caught(), logger_with(own) as shop, wideevents.event("job") as event:
            shop.info("hello")
            event.request_id = "abc"
            shop.info("hello")

        ids = f"{event.id} {event.trace_id}"
        assert [f"{ids} - hello", f"{ids} abc hello"] == stream.getvalue().splitlines()

    def test_writes_a_dash_outside_any_event(self) -> None:
        """So that the format string always fits."""
        stream = io.StringIO()
        with caught(), logger_with(file_of(stream, IDS, EventFilter(logs=config.logs))) as shop:
            shop.info("hello")

        assert "- - - hello\n" == stream.getvalue()

    @pytest.mark.parametrize("level", [logging.INFO, logging.ERROR])
    def test_writes_them_after_our_own_handler(self, level: int) -> None:
        """That one has marked the record already."""
        stream = io.StringIO()
        own = file_of(stream, IDS, EventFilter(logs=config.logs))
        with caught(), logger_with(handler(), own) as shop, wideevents.event("job") as event:
            shop.log(level, "hello")

        assert f"{event.id} {event.trace_id} - hello\n" == stream.getvalue()

    def test_leaves_an_attribute_of_that_name_alone(self) -> None:
        """It is the application's."""
        stream = io.StringIO()
        with caught(), logger_with(file_of(stream, IDS, EventFilter(logs=config.logs))) as shop, wideevents.event("j"):
            shop.info("hello", extra={"event_id": "theirs"})

        assert stream.getvalue().startswith("theirs ")

    @pytest.mark.parametrize("inside", [True, False])
    def test_its_attributes_are_no_extras(self, inside: bool) -> None:
        """A line of JSON has the ids under their own names."""
        stream = io.StringIO()
        with caught() as logged, logger_with(handler(), file_of(stream, formatter())) as shop:
            shop.addFilter(EventFilter(logs=config.logs))
            if inside:
                with wideevents.event("job"):
                    shop.error("hello")
            else:
                shop.error("hello")
            shop.filters.clear()

        for line in (logged.one(), parse_log_line(stream.getvalue().encode())):
            assert set() == line.keys() & {"event_id", "trace_id", "http_request_id"}
            assert inside is ("event.id" in line)

    def test_the_event_learns_of_the_line_once(self) -> None:
        """From the filter, where there is one."""
        with caught() as logged, logger_with(handler()) as shop:
            shop.addFilter(EventFilter(logs=config.logs))
            with wideevents.event("job"):
                shop.error("failed")
            shop.filters.clear()

        assert (1, "failed") == (logged.event()["log.count.error"], logged.event()["log.last_error"])

    def test_says_to_the_event_which_logger_it_was(self) -> None:
        """Not every logger's lines raise its level."""
        with caught(raising_loggers=("loud",)) as logged, wideevents.event("job"):
            for name in ("loud", "calm"):
                EventFilter(logs=config.logs).filter(record_of(name=name, level=30 if name == "loud" else 40))

        assert ("warning", 1) == (logged.event()["level"], logged.event()["log.count.error"])

    @pytest.mark.parametrize(("name", "level", "count"), [("loud", 40, 1), ("loud", 20, None), ("calm", 40, None)])
    def test_tells_the_event_of_an_exception(self, name: str, level: int, count: int | None) -> None:
        """As a line that is written at once does: from a warning on, of loggers whose lines matter to it."""
        error = raised()
        with caught(raising_loggers=("loud",)) as logged, wideevents.event("job"):
            record = record_of(name=name, level=level, exc_info=(type(error), error, error.__traceback__))
            EventFilter(logs=config.logs).filter(record)

        kind = count and "ValueError"
        assert (kind, count) == (logged.event().get("exception.type"), logged.event().get("error.count"))

    def test_is_a_filter_of_names_too(self) -> None:
        """As the logging module's own; what does not pass is not told to the event."""
        own = EventFilter("shop.cart", logs=config.logs)
        with caught(), wideevents.event("job") as event:
            record = record_of(level=logging.ERROR)

            assert (False, True) == (own.filter(record), own.filter(record_of(name="shop.cart.add")))
            assert event.fields is not None
            assert "log.count.error" not in event.fields

    def test_keeps_the_event_of_a_record_that_is_written_elsewhere(self) -> None:
        """In another thread, for example, where another event may be in progress."""
        record = record_of(level=logging.ERROR)
        with caught() as logged:
            with wideevents.event("request") as event:
                EventFilter(logs=config.logs).filter(record)
            with wideevents.event("listener"):
                handler().handle(record)

        assert (event.id, event.trace_id) == (logged.one()["event.id"], logged.one()["trace.id"])
        counts = {each["event.name"]: each.get("log.count.error") for each in logged.sink.events}
        assert {"request": 1, "listener": None} == counts


class TestARecordThatTravels:
    def test_can_be_read_where_wideevents_is_not(self) -> None:
        """A log server that unpickles records need not have our package."""
        with caught(), wideevents.event("job") as event:
            record = record_of(level=logging.ERROR)
            EventFilter(logs=config.logs).filter(record)
            handler().handle(record)
            sent = pickle.dumps(vars(record))
        code = "import pickle, sys; sys.modules['wideevents'] = None; print(pickle.load(sys.stdin.buffer)['event_id'])"
        read = subprocess.run([sys.executable, "-c", code], input=sent, capture_output=True, timeout=60, check=True)

        assert event.id.encode() == read.stdout.strip()

    def test_has_its_event_when_it_comes_back(self) -> None:
        """The ids go along, and nobody counts the line again."""
        with caught() as logged:
            with wideevents.event("job") as event:
                record = record_of(level=logging.ERROR)
                EventFilter(logs=config.logs).filter(record)
            came = logging.makeLogRecord(pickle.loads(pickle.dumps(vars(record))))
            handler().handle(came)

            assert event.id == logged.one()["event.id"]

    @pytest.mark.parametrize("origin", [7, "abc", (), ("a", 7, None), ["a", "b", "c"], {"a": 1}])
    def test_a_mark_that_is_none_is_passed_by(self, origin: Any) -> None:
        """Whoever sends the record, or names an extra so, costs nobody the line."""
        line = formatted(record_of(**{ORIGIN: origin}))

        assert "hello" == line["message"]

    @pytest.mark.parametrize("mark", [7, "forged\nline", None])
    def test_a_line_that_is_none_is_passed_by(self, mark: Any) -> None:
        """An extra must neither keep a line from being written nor be one."""
        with caught() as logged:
            handler().handle(record_of(**{WRITTEN: mark}))

            assert "hello" == logged.one()["message"]


class TestTheHandler:
    def test_writes_to_where_events_go(self) -> None:
        """As it is configured when the line is logged, not when the handler was made."""
        made = handler()
        for _ in range(2):
            with caught() as logged:
                made.handle(record_of())
                assert ["hello"] == logged.messages()

    def test_has_a_level(self) -> None:
        """As any handler."""
        with caught() as logged, logger_with(Handler(logging.ERROR, logs=config.logs)) as shop:
            shop.warning("no")
            shop.error("yes")

        assert ["yes"] == logged.messages()

    def test_has_filters(self) -> None:
        """As any handler; what does not pass is not written, nor told to the event."""
        made = handler()
        made.addFilter(lambda record: "secret" not in record.getMessage())
        with caught() as logged:
            answers = [made.handle(record_of(message)) for message in ("hello", "secret")]

            assert ([True, False], ["hello"]) == (answers, logged.messages())

    def test_a_filter_may_give_another_record(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As it may from Python 3.12 on."""
        made = handler()
        made.addFilter(EventFilter(logs=config.logs))
        monkeypatch.setattr(made, "filter", lambda record: record_of("another"))
        with caught() as logged:
            assert made.handle(record_of()) is True
            assert ["another"] == logged.messages()

    def test_holds_no_lock(self) -> None:
        """What an argument runs when it is printed may wait for another thread that logs."""
        assert handler().lock is None

    def test_takes_our_formatter(self) -> None:
        """With options for what a call adds."""
        made = handler()
        made.setFormatter(formatter(rename_fields={"a": "b"}))
        with caught() as logged:
            made.handle(record_of(a=1))
            assert 1 == logged.one()["b"]
        made.setFormatter(None)
        with caught() as logged:
            made.handle(record_of(a=1))
            assert 1 == logged.one()["a"]

    def test_refuses_another(self) -> None:
        """At once: its text would be no line."""
        with pytest.raises(ConfigurationError, match="JsonFormatter"):
            handler().setFormatter(logging.Formatter("%(message)s"))

    def test_passes_by_what_is_written_already(self) -> None:
        """An event that goes through the logging module does not come back."""
        with caught() as logged:
            handler().handle(record_of('{"a":1}', **{WRITTEN: '{"a":1}'}))
            assert [] == logged.all()

    def test_can_be_copied_and_closed(self) -> None:
        """As the logging module does with handlers when it is configured anew."""
        made = handler()
        made.close()
        with caught() as logged:
            copy.copy(made).handle(record_of())
            assert ["hello"] == logged.messages()

    def test_an_object_may_log_while_it_is_printed(self) -> None:
        """Its line comes first, and both are whole."""

        class Cart:
            def __str__(self) -> str:
                shop.info("printed")
                return "cart"

        with caught() as logged, logger_with(handler()) as shop:
            shop.info("%s", Cart())

        assert ["printed", "cart"] == logged.messages()

    def test_stands_at_the_root_as_well(self) -> None:
        """Where every logger's lines arrive."""
        with caught() as logged, bare_root(handler(), level=logging.INFO):
            logging.getLogger("some.library").info("hello")

        assert "some.library" == logged.one()["log.logger"]
