"""What the encode stage promises."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import wideevents
from tests.stages import configured, line_with
from tests.strict import parse_line
from wideevents import Limits
from wideevents.errors import ConfigurationError
from wideevents.fields import FIELDS, NAMES
from wideevents.resource import VALUE_LENGTH

STACK = "".join(f'  File "shop/views.py", line {number}, in view\n' for number in range(500)) + "ValueError: the end"
STATIC = {
    "service.name": "s" * VALUE_LENGTH,
    "service.version": "v" * VALUE_LENGTH,
    "deployment.environment.name": "e" * VALUE_LENGTH,
    "owner.team": "o" * VALUE_LENGTH,
}
LONGEST_STATIC = dict.fromkeys(("service.instance.id", "host.name", "vcs.ref.head.revision"), "x" * VALUE_LENGTH)
IN_STATIC = frozenset({*STATIC, *LONGEST_STATIC, "process.pid", "process.runtime.version"})

texts = st.text(st.characters(codec="utf-8")) | st.sampled_from(
    ["\x00" * 400, "é" * 700, "🦆" * 700, '"' * 900, "\u2028" * 300]
)
values = st.recursive(
    texts | st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=30) | st.lists(st.dictionaries(st.text(), inner, max_size=3), max_size=10),
)


def fields(record: dict[str, Any], max_bytes: int = 16_000, **limits: int) -> dict[str, Any]:
    """Return the fields of the line that *record* becomes; it is checked against *max_bytes* and the contract."""
    line = line_with(record, limits=Limits(max_bytes=max_bytes, **limits))
    return parse_line(line, max_bytes)


def a_value_for(kind: type, long: str) -> Any:
    """Return a value of a default field's *kind*, as long as it gets."""
    return {str: long, int: -(2**63), float: -1234567890.123, bool: False, list: [long] * 50}[kind]


NO_REQUEST = ("batch.", "django.", "link.", "process.exit.", "task.", "websocket.")
"""How the fields begin that other events have, or another framework: no event is all of them at once."""


def every_default_field(long: str) -> dict[str, Any]:
    """Return a record that has every default field of a request but those of the process."""
    return {
        field.name: a_value_for(field.type, long)
        for field in FIELDS
        if field.name not in IN_STATIC | {"timestamp", "event.trimmed"} and not field.name.startswith(NO_REQUEST)
    }


class TestLimits:
    @pytest.mark.parametrize(("name", "least"), [("max_bytes", 2_048), ("max_fields", 1), ("max_value_length", 64)])
    def test_a_limit_has_a_least_value(self, name: str, least: int) -> None:
        """Below it no line could keep its promises; the sentence names the setting, the value and the least one."""
        Limits(**{name: least})
        for wrong in (least - 1, -1, 2.5, "4096", None, True):
            with pytest.raises(ConfigurationError) as refused:
                Limits(**{name: wrong})  # type: ignore[arg-type]
            assert f"limits.{name}={wrong!r} cannot be used: it must be a whole number of at least {least}." == str(
                refused.value
            )

    def test_the_defaults_suit_docker(self) -> None:
        """Docker splits what is longer than 16 KiB, newline included."""
        assert Limits(max_bytes=16_000, max_fields=1_000, max_value_length=4_000) == Limits()
        assert Limits().max_bytes < 16 * 1024


class TestWhatFits:
    def test_a_small_record_is_written_as_it_is(self) -> None:
        """Nothing is cut, and nothing is said about cutting."""
        record = {"user.id": 42, "tags": ["a", "b"], "note": "é" * 300, "at": datetime(2026, 1, 2, tzinfo=UTC)}
        line = fields(record)

        assert {**record, "at": "2026-01-02T00:00:00Z"}.items() <= line.items()
        assert "event.trimmed" not in line

    def test_what_just_fits_is_not_trimmed(self) -> None:
        """The limit is the whole line, its newline included, to the byte."""
        even = {"timestamp": datetime(2026, 1, 2, tzinfo=UTC), "duration_ms": 1.5, "uptime_s": 2.5}
        room = 8_000 - len(line_with({**even, "a": "", "b": ""}))
        exact = {**even, "a": "x" * 3_000, "b": "y" * (room - 3_000)}
        limits = Limits(max_bytes=8_000, max_value_length=8_000)
        line = line_with(exact, limits=limits)
        longer = parse_line(line_with({**exact, "b": f"{exact['b']}y"}, limits=limits))

        assert (len(line), "event.trimmed" in parse_line(line)) == (8_000, False)
        assert longer["event.trimmed"] == ["b"]

    def test_a_value_as_long_as_it_may_be_is_not_cut(self) -> None:
        """Characters are counted, and only what has more of them is cut."""
        line = fields({"a": "é" * 4_000, "b": "é" * 4_001}, 30_000)

        assert (line["a"], line["event.trimmed"]) == ("é" * 4_000, ["b"])

    def test_a_list_as_long_as_it_may_be_is_neither_cut_nor_named(self) -> None:
        """`event.trimmed` names what was cut, and only that."""
        for size in range(3_900, 3_996):
            line = fields({"a.name.that.is.long": ["x" * size]})
            cut = line["a.name.that.is.long"] == []

            assert cut == ("event.trimmed" in line), size


class TestValueCap:
    def test_a_long_value_is_cut_to_its_cap_and_named(self) -> None:
        """One value cannot crowd out the rest; the cut shows."""
        line = fields({"note": "x" * 1_000, "other": 1}, max_value_length=100)

        assert (line["note"], line["other"], line["event.trimmed"]) == ("x" * 97 + "...", 1, ["note"])

    def test_a_long_list_keeps_its_newest_items(self) -> None:
        """What was appended last is nearest to what went wrong."""
        line = fields({"codes": list(range(1_000))}, max_value_length=100)

        assert 0 < len(line["codes"]) < 30
        assert list(range(1_000 - len(line["codes"]), 1_000)) == line["codes"]
        assert line["event.trimmed"] == ["codes"]

    def test_a_stack_trace_may_be_longer_than_other_values(self) -> None:
        """It is bounded by the line alone: its length is its worth."""
        line = fields({"exception.stacktrace": STACK[-9_000:]})

        assert STACK[-9_000:] == line["exception.stacktrace"]
        assert "event.trimmed" not in line

    def test_default_fields_are_capped_too(self) -> None:
        """A client chooses its user agent."""
        line = fields({"user_agent.original": "u" * 9_000}, max_value_length=200)

        assert line["user_agent.original"] == "u" * 197 + "..."


class TestFieldCap:
    def test_the_newest_fields_beyond_the_cap_go_and_are_named(self) -> None:
        """The first ones were there before something went wild."""
        line = fields({f"field{number}": number for number in range(13)}, max_fields=10)

        assert [f"field{number}" for number in range(10)] == [name for name in line if name.startswith("field")]
        assert line["event.trimmed"] == ["field10", "field11", "field12"]

    def test_default_fields_are_not_counted(self) -> None:
        """The cap is on what the user adds."""
        line = fields({"one": 1}, max_fields=1)

        assert line["one"] == 1
        assert "event.trimmed" not in line


class TestOrder:
    """Values shrink in this order: log lines, the stack trace, the user's fields newest first, long defaults."""

    SIZES = {"log.lines": 3_000, "exception.stacktrace": 3_000, "old": 3_000, "new": 3_000, "url.path": 3_000}  # noqa: RUF012
    RECORD = {  # noqa: RUF012
        "old": "o" * 3_000,
        "new": "n" * 3_000,
        "log.lines": [f"{number:06} line of a log" for number in range(125)],
        "exception.stacktrace": STACK[-3_000:],
        "url.path": "/" * 3_000,
    }

    @pytest.mark.parametrize(
        ("max_bytes", "cut"),
        [
            (20_000, []),
            (16_000, []),
            (14_000, ["log.lines"]),
            (11_000, ["log.lines", "exception.stacktrace"]),
            (9_000, ["log.lines", "exception.stacktrace", "new"]),
            (6_000, ["log.lines", "exception.stacktrace", "new", "old"]),
            (3_000, ["log.lines", "exception.stacktrace", "new", "old", "url.path"]),
        ],
    )
    def test_what_is_worth_least_is_cut_first(self, max_bytes: int, cut: list[str]) -> None:
        """Nothing is touched while what comes before it can still give."""
        line = fields(self.RECORD, max_bytes)
        touched = [name for name in self.RECORD if line.get(name) != self.RECORD[name]]

        assert cut == line.get("event.trimmed", [])
        assert sorted(cut) == sorted(touched)

    def test_of_log_lines_the_newest_stay(self) -> None:
        """What was logged last is nearest to what went wrong."""
        kept = fields(self.RECORD, 14_000)["log.lines"]

        assert 0 < len(kept) < 125
        assert self.RECORD["log.lines"][-len(kept) :] == kept

    @pytest.mark.parametrize("max_bytes", [2_048, 5_000, 16_000])
    def test_a_stack_trace_keeps_its_end(self, max_bytes: int) -> None:
        """The last lines name the exception and the place it came from."""
        kept = fields({"exception.stacktrace": STACK}, max_bytes)["exception.stacktrace"]

        assert kept.startswith("...")
        assert STACK.endswith(kept.removeprefix("..."))
        assert max_bytes * 0.5 < len(kept) < max_bytes

    def test_a_field_is_cut_by_as_much_as_is_needed(self) -> None:
        """A trimmed line is nearly full: what could be kept was kept."""
        line = line_with({"a": "x" * 3_900, "b": "y" * 3_900}, limits=Limits(max_bytes=6_000))

        assert 5_000 < len(line) <= 6_000
        assert parse_line(line)["a"] == "x" * 3_900
        assert parse_line(line)["b"].endswith("yyy...")

    def test_small_fields_of_the_users_go_whole(self) -> None:
        """Half a number would be a lie; what goes is named."""
        record = {f"counter{number:03}": 10**11 + number for number in range(500)}
        line = fields(record, 4_000)
        kept = [name for name in line if name.startswith("counter")]

        assert list(record)[: len(kept)] == kept
        assert all(record[name] == line[name] for name in kept)
        assert line["event.trimmed"][0] == "counter499"

    def test_what_is_worth_more_stays_though_it_is_newer(self) -> None:
        """Default fields are added at the end of a request, and are not the newest of the user's."""
        line = fields({"mine": "m" * 3_000, "http.route": "/products/<int:id>", "error.type": "KeyError"}, 2_048)

        assert (line["http.route"], line["error.type"]) == ("/products/<int:id>", "KeyError")
        assert line["event.trimmed"] == ["mine"]


class TestNamingWhatWasCut:
    def test_more_names_than_fit_are_counted(self) -> None:
        """The names themselves never crowd out what was kept; how many more there were is said."""
        trimmed = fields({f"field{number}": number for number in range(10_000)}, max_fields=100)["event.trimmed"]
        more = int(trimmed[-1].removeprefix("+"))

        assert [f"field{number}" for number in range(100, 100 + len(trimmed) - 1)] == trimmed[:-1]
        assert len(trimmed) - 1 + more == 9_900

    def test_a_name_too_long_to_be_named_is_counted(self) -> None:
        """There is always something in the list."""
        assert fields({"\x01" * 200: "x" * 3_000}, 2_048)["event.trimmed"] == ["+1"]


class TestBytes:
    """The limit is in bytes of UTF-8, as they stand in the line: with its escapes."""

    @pytest.mark.parametrize("character", ["x", "é", "€", "🦆", "\x00", '"', "\\", "\n", "\u2028", "\x7f", "\udc80"])
    @pytest.mark.parametrize("name", ["note", "exception.stacktrace", "exception.message", "list"])
    def test_characters_of_every_width_fit(self, character: str, name: str) -> None:
        """One to seven bytes each: the line is never longer than its limit, and not much shorter."""
        value = [character] * 4_000 if name == "list" else character * 4_000
        line = line_with({name: value}, limits=Limits(max_bytes=2_048))

        parse_line(line, 2_048)
        assert name == "list" or len(line) > 1_200

    def test_no_character_is_cut_in_two(self) -> None:
        """What is kept is a beginning of what was there."""
        text = "aé€🦆" * 1_000
        kept = fields({"exception.message": text}, 2_048)["exception.message"].removesuffix("...")

        assert kept
        assert text.startswith(kept)


class TestAnyRecord:
    """One line, within its limit, valid JSON, whatever is in the record."""

    @given(
        st.dictionaries(st.text(min_size=1, max_size=60).map("u.".__add__), values, max_size=40),
        st.dictionaries(st.sampled_from([field.name for field in FIELDS if field.type is str]), texts, max_size=10),
        st.sampled_from([2_048, 2_500, 4_096, 16_000]),
        st.sampled_from([1, 10, 1_000]),
        st.sampled_from([64, 500, 4_000, 100_000]),
    )
    @settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    def test_the_line_is_within_its_limits(
        self, mine: dict[str, Any], ours: dict[str, Any], max_bytes: int, max_fields: int, max_value_length: int
    ) -> None:
        """Of the user's fields it has at most as many as are allowed, and every default field is still there."""
        ours = {name: value for name, value in ours.items() if name not in IN_STATIC | {"timestamp"}}
        with configured(limits=Limits(max_bytes, max_fields, max_value_length)) as sink:
            with wideevents.event("job") as event:
                for name, value in mine.items():
                    event.put(name, value)
                assert event.fields is not None
                event.fields.update(ours)
            line = parse_line(sink.lines[0], max_bytes)

        assert ours.keys() <= line.keys()
        assert max_fields >= sum(1 for name in line if name not in NAMES)

    @given(st.dictionaries(st.sampled_from(["db.count", "db.duration_ms"]), values, min_size=1))
    @example({"db.count": ["x" * 100] * 30})
    def test_a_shared_name_may_hold_anything(self, ours: dict[str, Any]) -> None:
        """`db.count` is the user's to write too, and may hold a long list; the line keeps its limit."""
        with configured(limits=Limits(max_bytes=2_048)) as sink:
            with wideevents.event("job") as event:
                for name, value in ours.items():
                    event.put(name, value)

            parse_line(sink.lines[0], 2_048)

    def test_a_stages_mapping_is_trimmed_too(self) -> None:
        """A stage may put what add_field would have flattened."""
        line = line_with(
            {"mapping": {f"key{number}": "x" * 50 for number in range(100)}}, limits=Limits(max_bytes=2_048)
        )

        assert len(line) <= 2_048

    @pytest.mark.parametrize(
        ("value", "written"),
        [
            (2**64 - 1, str(2**64 - 1)),
            (-(2**63) - 1, str(-(2**63) - 1)),
            (float("nan"), "NaN"),
            (float("-inf"), "-Infinity"),
            ({2, 1}, [1, 2]),
            (b"caf\xe9", r"caf\xe9"),
            (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00Z"),
            ([datetime(2026, 1, 2, tzinfo=UTC)], ["2026-01-02T00:00:00Z"]),
            ("\udce9", r"\udce9"),
        ],
        ids=ascii,
    )
    def test_what_a_stage_put_is_written_as_if_it_had_been_added(self, value: object, written: object) -> None:
        """The line is the same contract for the user's stages as for everybody."""
        assert fields({"value": value, "other": 1})["value"] == written

    def test_what_a_stage_put_may_be_endless_or_deep(self) -> None:
        """It is cut at some depth; the line is written."""
        endless: list[Any] = ["x"]
        endless.append(endless)
        deep: list[Any] = []
        for _ in range(2_000):
            deep = [deep]
        line = fields({"endless": endless, "deep": deep, "other": 1})

        assert (line["endless"][0], line["other"]) == ("x", 1)

    def test_a_stage_that_empties_the_record_gives_valid_json(self) -> None:
        """The fields of the process are written behind what there is, even if that is nothing."""

        def empty(event: wideevents.Event) -> wideevents.Event:
            event.record.clear()
            return event

        with configured(stages=[empty]) as sink, wideevents.event("job"):
            pass

        assert [line[:2] for line in sink.lines] != [b"{,"]
        assert "service.name" in sink.events[0]


class TestTheLeastLine:
    """The least `max_bytes` is 2,048: what says which event it is must fit into it, however long its value was."""

    @pytest.mark.parametrize("max_bytes", [3_000, 4_096, 16_000])
    def test_every_default_field_at_once_stays(self, max_bytes: int) -> None:
        """Values shrink, and no default key is lost, with a service of ordinary names."""
        record = every_default_field("x" * 600)
        line = fields(record, max_bytes)

        assert record.keys() <= line.keys()

    def test_the_least_line_has_at_least_what_is_no_text(self) -> None:
        """No event has all at once. If one had, texts of which nothing is left would go, the last ones first."""
        record = every_default_field("x" * 600)
        line = fields(record, 2_048)
        gone = record.keys() - line.keys()

        assert {name for name, value in record.items() if type(value) not in {str, list}} <= line.keys()
        assert 0 < len(gone) < len(record) / 2
        assert {"event.name", "event.id", "trace.id", "level", "alert.urgency", "service.name"}.isdisjoint(gone)

    def test_they_fit_beside_the_longest_service(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The fields of the process may each be as long as their room allows: the line holds them all the same."""
        attributes = ",".join(f"{name}={value}" for name, value in LONGEST_STATIC.items())
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", attributes)
        service, version, environment, owner = STATIC.values()
        settings = {"service": service, "version": version, "environment": environment, "owner": owner}
        record = every_default_field("x" * 600)
        line = line_with(record, limits=Limits(max_bytes=2_048), **settings)

        assert STATIC.keys() | LONGEST_STATIC.keys() <= parse_line(line, 2_048).keys()

    @pytest.mark.parametrize("character", ["é", "🦆", "\u2028", "\x01", "\udc80"])
    def test_a_plain_event_fits_beside_a_service_of_wide_characters(self, character: str) -> None:
        """The fields of the process are bounded in bytes as they stand in the line, not in characters."""
        wide = "s" + character * (VALUE_LENGTH - 1)
        line = line_with({}, limits=Limits(max_bytes=2_048), service=wide, version=wide, environment=wide, owner=wide)

        parse_line(line, 2_048)


class TestTime:
    def test_ten_thousand_fields_take_as_much_longer_as_they_are_more(self) -> None:
        """Trimming is no way to stop a service: ten times the fields take about ten times as long."""

        def seconds(number: int) -> float:
            record = {f"field.number.{each}": "a value of some length" for each in range(number)}
            started = time.process_time()
            line_with(record)
            return time.process_time() - started

        small, large = (min(seconds(number) for _ in range(3)) for number in (1_000, 10_000))

        assert large < 60 * small
        assert large < 2

    def test_a_list_of_uneven_items_is_soon_trimmed(self) -> None:
        """Finding what fits takes few attempts, also where the items are of very different lengths."""
        started = time.process_time()
        fields({"log.lines": [*["x"] * 20_000, "y" * 1_500]}, 2_048)

        assert time.process_time() - started < 1
