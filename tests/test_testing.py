"""What the testing room promises."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import wideevents
from tests.conftest import in_child
from wideevents import config, context, testing
from wideevents.sinks.memory import MemorySink
from wideevents.testing import WideEvents, capture


def happen(name: str, **fields: object) -> None:
    """Let an event happen."""
    with wideevents.event(name, **fields):
        pass


def failure_of(work: Callable[[], object]) -> str:
    """Return the message with which a test that does *work* fails."""
    with pytest.raises(AssertionError) as failure, capture():
        work()
    return str(failure.value)


class TestCapture:
    def test_events_of_the_block_are_caught(self) -> None:
        """They are dictionaries of what would have been written, and are not written anywhere else."""
        usual = config.recorder().pipeline.sinks[0]
        assert isinstance(usual, MemorySink)
        before = len(usual.lines)
        with capture() as events:
            happen("job", user=42)

        assert events.one()["user"] == 42
        assert before == len(usual.lines)

    def test_what_was_configured_serves_again_afterwards(self) -> None:
        """Also when the block fails."""
        before = config.recorder()
        with pytest.raises(KeyError), capture():
            raise KeyError

        assert before is config.recorder()

    def test_it_goes_through_the_stages_that_are_configured(self) -> None:
        """A test sees what production writes: gated, enriched, redacted, trimmed."""
        with capture() as events:
            with wideevents.event("quiet") as event:
                event.level = wideevents.Level.DEBUG
            happen("job", note="token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.dBjftJeZ4CVPmB92K27uhbUJU1p1r")

        assert (events.one()["note"], events.one()["service.name"]) == ("token [redacted]", "tests")

    def test_it_sees_no_event_around_it(self) -> None:
        """A test that runs inside an event, of a runner for example, begins outside any; the event is there again."""
        with wideevents.event("runner") as runner:
            with capture():
                assert wideevents.current() is None
            assert runner is wideevents.current()

    def test_captures_may_stand_in_each_other(self) -> None:
        """The inner one takes its own events; the outer one goes on."""
        with capture() as outer:
            with capture() as inner:
                happen("inner")
            happen("outer")

        assert [event["event.name"] for event in inner] == ["inner"]
        assert [event["event.name"] for event in outer] == ["outer"]

    def test_a_forked_child_keeps_its_events_to_itself(self) -> None:
        """Memory is not shared: what a child writes is in the child."""
        with capture() as events:

            def happen_in_child() -> int:
                happen("child")
                return len(events)

            assert in_child(happen_in_child) == 1
            assert len(events) == 0


class TestLeaks:
    def test_an_event_left_open_fails_the_test(self) -> None:
        """The message names it and says what to do."""
        leaked = wideevents.event("leaked")
        failure = failure_of(leaked.__enter__)
        leaked.__exit__(None, None, None)

        assert failure.startswith("left open: leaked. An event ends with its block, a request when its response is")

    def test_an_event_left_open_is_told_though_the_test_configured_the_process(self) -> None:
        """An application factory calls configure(): every event of the test is looked at, whenever it began."""
        leaked = [wideevents.event(name) for name in ("first", "second", "third")]

        def leak() -> None:
            for event in leaked:
                event.__enter__()
                wideevents.configure(output=MemorySink())

        failure = failure_of(leak)
        for event in reversed(leaked):
            event.__exit__(None, None, None)

        assert failure.startswith("left open: first, second, third. ")

    def test_a_field_outside_any_event_fails_the_test(self) -> None:
        """It would be in no line; the message says how many there were and what to do."""

        def lose() -> None:
            wideevents.add_field("lost", 1)
            wideevents.increment("lost")

        assert failure_of(lose).startswith("2 field(s) were added outside any event, and would be in no line.")

    def test_a_field_outside_any_event_before_the_block_does_not(self) -> None:
        """Only what the test itself does is its own."""
        wideevents.add_field("lost", 1)
        with capture() as events:
            happen("job")

        assert len(events) == 1

    def test_the_failure_of_the_test_itself_is_not_hidden(self) -> None:
        """What went wrong first is what is told."""

        def fail() -> None:
            wideevents.add_field("lost", 1)
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError), capture():
            fail()

    def test_nothing_is_in_progress_after_a_leak(self) -> None:
        """One test that leaks does not make the next one fail."""
        failure_of(wideevents.event("leaked").__enter__)

        assert context.variable.get() is None
        with capture() as events:
            assert events.in_progress == []


class TestOne:
    def test_the_only_event(self) -> None:
        """It is the usual way in."""
        with capture() as events:
            happen("job", user=42)

        assert (events.one()["event.name"], events.one()["user"]) == ("job", 42)

    def test_the_only_one_with_these_fields(self) -> None:
        """Two underscores in a name stand for a dot."""
        with capture() as events:
            happen("one", user=1)
            happen("two", user=2)

        assert events.one(user=2)["event.name"] == "two"
        assert events.one(event__name="one")["user"] == 1
        assert events.one(**{"event.name": "one"})["user"] == 1

    def test_none_is_a_failure_that_says_so(self) -> None:
        """A person sees at once that nothing was written."""
        with capture() as events, pytest.raises(AssertionError) as failure:
            events.one()

        assert str(failure.value) == "expected one event, found 0; no event was written"

    def test_several_are_a_failure_that_shows_them(self) -> None:
        """What there is can be read, field by field, without a debugger."""
        with capture() as events:
            happen("one", city="Århus")
            happen("two")
            with pytest.raises(AssertionError) as failure:
                events.one()

        assert str(failure.value).startswith('expected one event, found 2; 2 written:\n{\n  "timestamp": "')
        assert '\n  "city": "Århus"' in str(failure.value)

    def test_none_with_these_fields_shows_what_was_asked_and_what_there_is(self) -> None:
        """A field that is called differently is seen by comparing."""
        with capture() as events:
            happen("job", user=1)
            with pytest.raises(AssertionError) as failure:
                events.one(user=2)

        assert str(failure.value).startswith("expected one event with {'user': 2}, found 0; 1 written:\n{")


class TestAll:
    def test_filters_by_all_of_the_fields(self) -> None:
        """An event has to have every one of them."""
        with capture() as events:
            happen("one", plan="free", user=1)
            happen("two", plan="free", user=2)
            happen("three", plan="paid", user=2)

        assert [event["event.name"] for event in events.all(plan="free")] == ["one", "two"]
        assert [event["event.name"] for event in events.all(plan="free", user=2)] == ["two"]
        assert events.all(plan="gold") == []
        assert len(events.all()) == 3

    def test_filters_by_a_list_too(self) -> None:
        """A field that append() made is a field."""
        with capture() as events:
            happen("one", codes=["SPRING"])
            happen("two", codes=["AUTUMN"])

        assert [event["event.name"] for event in events.all(codes=["SPRING"])] == ["one"]

    def test_a_field_that_is_not_there_does_not_match(self) -> None:
        """None is not how absence is written."""
        with capture() as events:
            happen("job")

        assert events.all(user=None) == []


class TestAsAList:
    @pytest.fixture
    def events(self) -> WideEvents:
        """Give two events."""
        with capture() as caught:
            happen("one")
            happen("two")
        return caught

    def test_it_can_be_iterated_indexed_and_measured(self, events: WideEvents) -> None:
        """In the order in which the events ended."""
        assert [event["event.name"] for event in events] == ["one", "two"]
        assert (events[0]["event.name"], events[-1]["event.name"], len(events)) == ("one", "two", 2)
        with pytest.raises(IndexError):
            _ = events[2]

    def test_it_can_be_cleared(self, events: WideEvents) -> None:
        """What a test only needs to get going is forgotten."""
        events.clear()

        assert (len(events), list(events)) == (0, [])

    def test_it_shows_what_it_holds(self, events: WideEvents) -> None:
        """A failed assertion about it prints the events."""
        assert repr(events).startswith('<WideEvents: 2 written:\n{\n  "timestamp"')
        events.clear()
        assert repr(events) == "<WideEvents: no event was written>"

    def test_it_knows_what_is_in_progress(self) -> None:
        """By name, for as long as it is."""
        with capture() as events:
            with wideevents.event("outer"), wideevents.event("inner"):
                assert events.in_progress == ["outer", "inner"]

            assert events.in_progress == []

    def test_it_is_a_name_that_tests_can_annotate(self) -> None:
        """`def test_it(wide_events: WideEvents)` needs the class."""
        assert WideEvents is testing.WideEvents
