"""What the batches room promises."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from tests.conftest import FakeClock, Written, at_once
from wideevents import add_error, add_field, batches, config, context, current, event, outputs
from wideevents.batches import batch
from wideevents.errors import ConfigurationError
from wideevents.recorder import Recorder
from wideevents.tracecontext import parse

pytestmark = pytest.mark.usefixtures("recorder")

Loop = Callable[[Iterable[int]], object]


def outcomes(written: Written) -> list[tuple[str, str]]:
    """Return the kind and the outcome of every event, in the order in which they were written."""
    return [(line["event.kind"], line["outcome"]) for line in written.all()]


def fail() -> None:
    raise ValueError("x")


class TestStep:
    def test_is_an_event_of_its_own(self, written: Written, clock: FakeClock) -> None:
        """It has the name of the batch, the time of the body, and what the body adds."""
        with event("nightly"):
            for page in batch("report", [10, 20]):
                clock.advance(page)
                add_field("page", page)
        first, second, _ = written.all()
        assert [(line["event.name"], line["event.kind"]) for line in (first, second)] == [("report", "batch")] * 2
        assert [(line["page"], line["duration_ms"]) for line in (first, second)] == [(10, 10_000.0), (20, 20_000.0)]

    def test_has_a_trace_of_its_own_that_is_linked(self, written: Written) -> None:
        """One long report is not one giant trace; the parent is found all the same."""
        with event("nightly"):
            for _ in batch("report", "ab"):
                pass
        first, second, parent = written.all()
        assert len({line["trace.id"] for line in (first, second, parent)}) == 3
        for line in (first, second):
            assert "parent.id" not in line
            assert (line["link.trace.id"], line["link.event.id"]) == (parent["trace.id"], parent["event.id"])

    def test_says_which_one_it_is(self, written: Written) -> None:
        """Of which batch, in which run, and of how many."""
        with event("nightly"):
            for _ in range(2):
                for _ in batch("report", "ab"):
                    pass
        lines = written.all()[:-1]
        assert [line["batch.index"] for line in lines] == [0, 1, 0, 1]
        assert {(line["batch.name"], line["batch.total"]) for line in lines} == {("report", 2)}
        assert [line["batch.id"] for line in lines] == [lines[0]["batch.id"]] * 2 + [lines[2]["batch.id"]] * 2
        assert lines[0]["batch.id"] != lines[2]["batch.id"]

    def test_goes_on_with_the_request(self, recorder: Recorder, written: Written) -> None:
        """Its id travels; what a step calls is in the trace of the step."""
        with event("nightly") as parent:
            parent.request_id = "r-1"
            headers = next(context.outgoing() for _ in batch("report", "a"))
        step = written.all()[0]
        called = parse(headers["traceparent"])
        assert called is not None
        assert (headers["x-request-id"], called.trace_id, called.parent_id) == (
            "r-1",
            step["trace.id"],
            step["event.id"],
        )

    def test_has_no_secret_in_its_name(self, written: Written) -> None:
        """A name that was put together of what was at hand is redacted, like any text."""
        for _ in batch("report password=hunter2", "a"):
            pass
        step, parent = written.all()
        names = [step["event.name"], step["batch.name"], parent["event.name"]]
        assert names == ["report password=[redacted]"] * 3

    def test_takes_any_name(self, written: Written) -> None:
        """As events do."""
        for _ in batch(7, "a"):  # type: ignore[arg-type]
            pass
        assert [line["event.name"] for line in written.all()] == ["7", "7"]

    def test_is_a_warning_where_its_body_handles_an_error(self, written: Written) -> None:
        """It got to its end."""
        for _ in batch("report", "a"):
            try:
                fail()
            except ValueError as error:
                add_error(error)
        step, parent = written.all()
        assert (step["outcome"], step["level"], parent["level"]) == ("success", "warning", "info")
        assert parent["report.failures"] == 0

    def test_is_what_its_threads_and_tasks_write_into(self, written: Written) -> None:
        """As those of any event."""
        for number in batch("report", [1, 2]):
            thread = threading.Thread(target=add_field, args=("number", number))
            thread.start()
            thread.join()
        assert [line.get("number") for line in written.all()] == [1, 2, None]

    def test_is_the_parent_of_events_inside(self, written: Written) -> None:
        """They are in its trace."""
        for _ in batch("report", "a"):
            with event("query"):
                pass
        query, step, _ = written.all()
        assert (query["parent.id"], query["trace.id"]) == (step["event.id"], step["trace.id"])

    def test_is_the_parent_of_a_batch_inside(self, written: Written) -> None:
        """Each step counts its own."""
        for _ in batch("report", [1, 2]):
            for _ in batch("row", [1, 2, 3]):
                pass
        lines = written.all()
        assert [line["event.name"] for line in lines] == ["row", "row", "row", "report"] * 2 + ["report"]
        assert [line["row.count"] for line in lines if "row.count" in line] == [3, 3]
        assert {line["link.event.id"] for line in lines[:3]} == {lines[3]["event.id"]}


class TestParent:
    def test_is_told_what_the_steps_came_to(self, written: Written, clock: FakeClock) -> None:
        """Their number, their time, and percentiles of it."""
        with event("nightly"):
            for seconds in batch("report", [4, 1, 3, 2]):
                clock.advance(seconds)
            clock.advance(5)
        line = written.named("nightly")
        names = ("count", "failures", "duration_ms", "p50_ms", "p95_ms", "max_ms")
        assert [line[f"report.{name}"] for name in names] == [4, 0, 10_000.0, 2_000.0, 4_000.0, 4_000.0]

    def test_adds_up_batches_of_one_name(self, written: Written, clock: FakeClock) -> None:
        """And keeps those of another apart."""
        with event("nightly"):
            for name, seconds in (("a", [1, 2]), ("b", [7]), ("a", [3])):
                for each in batch(name, seconds):
                    clock.advance(each)
        line = written.named("nightly")
        assert (line["a.count"], line["a.duration_ms"], line["a.max_ms"]) == (3, 6_000.0, 3_000.0)
        assert (line["b.count"], line["b.duration_ms"]) == (1, 7_000.0)

    def test_is_a_task_where_there_is_none(self, written: Written) -> None:
        """It has the name of the batch, begins and ends with the loop, and is told of all of it."""
        for number in batch("report", [1, 2]):
            add_field("number", number)
        assert outcomes(written) == [("batch", "success"), ("batch", "success"), ("task", "success")]
        parent = written.last()
        assert (parent["event.name"], parent["report.count"], current()) == ("report", 2, None)

    def test_is_a_task_that_had_nothing_to_do(self, written: Written) -> None:
        """A report without a page is worth knowing."""
        assert list(batch("report", [])) == []
        assert (written.one()["event.kind"], written.one()["report.count"]) == ("task", 0)

    def test_is_in_progress_while_the_items_are_fetched(self, written: Written) -> None:
        """What their iterator does is not a step's."""

        def pages() -> Iterator[int]:
            for number in range(2):
                add_field(f"fetched.{number}", 1)
                yield number

        for number in batch("report", pages()):
            add_field("number", number)
        *steps, parent = written.all()
        assert [{key for key in step if key.startswith("fetched")} for step in steps] == [set(), set()]
        assert (parent["fetched.0"], parent["fetched.1"], "number" in parent) == (1, 1, False)

    def test_is_in_progress_again_after_the_loop(self, written: Written) -> None:
        """However it ended."""
        with event("nightly") as parent:
            for _ in batch("report", [1]):
                pass
            after_all = current()
            for _ in batch("report", [1]):
                break
            after_break = current()
            with suppress(ValueError):
                for _ in batch("report", [1]):
                    fail()
            assert [after_all, after_break, current()] == [parent] * 3

    def test_is_the_event_in_progress_when_the_loop_begins(self, written: Written) -> None:
        """Not where the batch was made."""
        made = batch("report", [1])
        with event("nightly"):
            for _ in made:
                pass
        assert written.all()[0]["link.event.id"] == written.named("nightly")["event.id"]

    def test_may_end_before_the_batch(self, recorder: Recorder, written: Written) -> None:
        """Work that a request has started goes on after its response; its steps are told all the same."""
        with event("nightly"):
            loop = iter(batch("report", [1, 2, 3]))
            next(loop)
        assert written.one()["report.count"] == 0
        next(loop)
        add_field("second", 1)
        del loop
        assert outcomes(written) == [("task", "success"), ("batch", "success"), ("batch", "cancelled")]

    def test_is_none_that_has_ended(self, written: Written) -> None:
        """A batch after it has one of its own."""
        with event("nightly") as ended:
            pass
        context.variable.set(ended)
        for _ in batch("report", [1]):
            pass
        context.variable.set(None)
        assert outcomes(written) == [("task", "success"), ("batch", "success"), ("task", "success")]


def leave_by_break(items: Iterable[int]) -> None:
    for _ in items:
        break


def leave_by_break_in_a_block(items: Iterable[int]) -> None:
    for _ in items:
        with suppress(KeyError):
            break


def leave_by_break_with_finally(items: Iterable[int]) -> None:
    for _ in items:
        try:
            break
        finally:
            len("cleaned up")


def leave_by_return(items: Iterable[int]) -> object:
    for item in items:
        return item
    return None


def leave_by_return_of_a_constant(items: Iterable[int]) -> object:
    for _ in items:
        return 1
    return None


def leave_a_generator(items: Iterable[int]) -> None:
    def wrapped() -> Iterator[int]:
        for item in items:
            yield item + 1

    for _ in wrapped():
        break


def leave_a_delegating_generator(items: Iterable[int]) -> None:
    def wrapped() -> Iterator[int]:
        yield from items

    for _ in wrapped():
        break


LEFT_WELL = [
    leave_by_break,
    leave_by_break_in_a_block,
    leave_by_break_with_finally,
    leave_by_return,
    leave_by_return_of_a_constant,
    leave_a_generator,
    leave_a_delegating_generator,
]


def raise_here(items: Iterable[int]) -> None:
    for _ in items:
        raise ValueError("x")


def raise_below(items: Iterable[int]) -> None:
    for _ in items:
        fail()


def raise_with_finally(items: Iterable[int]) -> None:
    for _ in items:
        try:
            fail()
        finally:
            len("cleaned")
            len("up")


def raise_in_a_block(items: Iterable[int]) -> None:
    for _ in items:
        with suppress(KeyError):
            fail()
        len("more")


def raise_again(items: Iterable[int]) -> None:
    for _ in items:
        try:
            fail()
        except ValueError:
            len("noted")
            raise


def raise_another(items: Iterable[int]) -> None:
    for _ in items:
        try:
            raise KeyError
        except KeyError as error:
            raise ValueError("x") from error


def raise_and_say_it_in_other_words(items: Iterable[int]) -> None:
    try:
        for _ in items:
            fail()
    except ValueError as error:
        raise RuntimeError("the report failed") from error


def raise_in_a_comprehension(items: Iterable[int]) -> object:
    return [fail() for _ in items]


def raise_in_a_generator_expression(items: Iterable[int]) -> object:
    return sum(len(str(fail())) for _ in items)


def raise_in_a_map(items: Iterable[int]) -> object:
    return list(map(raise_it, items))


def raise_it(item: int) -> None:
    raise ValueError(item)


def raise_beside_a_counter(items: Iterable[int]) -> None:
    for _ in enumerate(items):
        fail()


def raise_outside_a_generator(items: Iterable[int]) -> None:
    def wrapped() -> Iterator[int]:
        yield from items

    for _ in wrapped():
        fail()


def raise_beside_an_iterator(items: Iterable[int]) -> None:
    iterator = iter(items)
    for _ in iterator:
        fail()


RAISING = [
    raise_here,
    raise_below,
    raise_with_finally,
    raise_in_a_block,
    raise_again,
    raise_another,
    raise_and_say_it_in_other_words,
    raise_in_a_comprehension,
    raise_in_a_generator_expression,
    raise_in_a_map,
    raise_beside_a_counter,
    raise_outside_a_generator,
    raise_beside_an_iterator,
]

every_way_out = pytest.mark.parametrize("loop", LEFT_WELL, ids=lambda loop: loop.__name__)
every_raise = pytest.mark.parametrize("loop", RAISING, ids=lambda loop: loop.__name__)


class TestLeftWell:
    @every_way_out
    def test_is_a_success_at_once(self, written: Written, clock: FakeClock, loop: Loop) -> None:
        """Who has found what they looked for goes; the step has ended, and its line is out."""
        with event("nightly"):
            loop(batch("report", [1, 2]))
            assert outcomes(written) == [("batch", "success")]
        assert written.last()["report.count"] == 1

    @every_way_out
    def test_is_a_success_of_the_parent_that_was_made(self, written: Written, loop: Loop) -> None:
        """The batch ends with the loop."""
        loop(batch("report", [1, 2]))
        assert (outcomes(written), current()) == ([("batch", "success"), ("task", "success")], None)

    @every_way_out
    def test_is_no_failure_whatever_comes_after(self, written: Written, loop: Loop) -> None:
        """The error of the parent is its own."""
        with suppress(KeyError), event("nightly"):
            loop(batch("report", [1, 2]))
            raise KeyError
        assert outcomes(written) == [("batch", "success"), ("task", "failure")]


class TestLeftByAnError:
    @every_raise
    def test_is_a_failure_of_the_step(self, written: Written, clock: FakeClock, loop: Loop) -> None:
        """Whose parent sees it; the error is told in both lines, and the time of the step is its own."""
        with suppress(ValueError, RuntimeError), event("nightly"):
            loop(batch("report", [1, 2]))
        step, parent = written.all()
        assert (step["outcome"], step["level"], step["error.type"]) == ("failure", "error", "ValueError")
        assert (parent["outcome"], parent["report.failures"], current()) == ("failure", 1, None)

    @every_raise
    def test_is_seen_by_the_block_of_the_batch(self, written: Written, loop: Loop) -> None:
        """Which is a parent where there is none."""
        with suppress(ValueError, RuntimeError), batch("report", [1, 2]) as items:
            loop(items)
        assert outcomes(written) == [("batch", "failure"), ("task", "failure")]
        assert written.all()[0]["error.type"] == "ValueError"

    @every_raise
    def test_is_cancelled_where_nobody_sees_it(self, written: Written, loop: Loop) -> None:
        """It did not get to its end, and nobody can say why."""
        with suppress(ValueError, RuntimeError):
            loop(batch("report", [1, 2]))
        gc.collect()
        assert outcomes(written) == [("batch", "cancelled"), ("task", "cancelled")]
        assert context.variable.get() is None

    def test_took_as_long_as_it_did(self, written: Written, clock: FakeClock) -> None:
        """And not until its parent ends."""
        with suppress(ValueError), event("nightly"):
            try:
                for _ in batch("report", [1]):
                    clock.advance(1)
                    fail()
            finally:
                clock.advance(5)
        assert [line["duration_ms"] for line in written.all()] == [1_000.0, 6_000.0]

    def test_is_a_success_where_somebody_handles_it_and_tells_nobody(self, written: Written) -> None:
        """What is raised later, in the same function, is another error."""
        with suppress(KeyError), event("nightly"):
            with suppress(ValueError):
                for _ in batch("report", [1]):
                    fail()
            raise KeyError
        assert outcomes(written) == [("batch", "success"), ("task", "failure")]

    def test_is_a_failure_where_the_parent_is_told_that_it_was_handled(self, written: Written) -> None:
        """A warning, as it is there."""
        with event("nightly"):
            try:
                for _ in batch("report", [1]):
                    fail()
            except ValueError as error:
                add_error(error)
        step, parent = written.all()
        assert (step["outcome"], step["level"], step["error.type"]) == ("failure", "warning", "ValueError")
        assert (parent["outcome"], parent["level"], parent["report.failures"]) == ("success", "warning", 1)

    def test_is_that_of_the_last_try(self, written: Written) -> None:
        """The ones before were handled."""
        with suppress(ValueError), event("nightly"):
            for attempt in range(3):
                try:
                    for _ in batch("report", [attempt]):
                        fail()
                except ValueError:
                    if attempt == 2:
                        raise
        failed = {line["batch.id"]: line["outcome"] for line in written.all()[:-1]}
        assert sorted(failed.values()) == ["failure", "success", "success"]
        assert failed[max(failed)] == "failure"

    def test_is_that_of_each_try_where_all_are_told(self, written: Written) -> None:
        """Every step has its own."""
        with suppress(ValueError), event("nightly"):
            for number in range(3):
                try:
                    for _ in batch("report", [1]):
                        raise ValueError(number)
                except ValueError as error:
                    if number == 2:
                        raise
                    add_error(error)
        told = [(line["exception.message"], line["level"]) for line in written.all()[:-1]]
        assert sorted(told) == [("0", "warning"), ("1", "warning"), ("2", "error")]
        numbers = [int(line["event.id"], 16) for line in written.all()[:-1]]
        assert [message for _, (message, _) in sorted(zip(numbers, told, strict=True))] == ["0", "1", "2"]

    def test_is_told_by_a_block_inside_an_event(self, written: Written) -> None:
        """That nobody has to tell of what was handled outside of the block."""
        with event("nightly"), suppress(ValueError), batch("report", [1]) as items:
            for _ in items:
                fail()
        assert outcomes(written) == [("batch", "failure"), ("task", "success")]
        assert written.last()["report.failures"] == 1

    @pytest.mark.parametrize(
        ("error", "outcome"),
        [(KeyboardInterrupt(), "cancelled"), (SystemExit(0), "success"), (SystemExit(3), "failure")],
        ids=repr,
    )
    @pytest.mark.parametrize("made", [True, False])
    def test_knows_endings_that_are_no_errors(
        self, written: Written, error: BaseException, outcome: str, made: bool
    ) -> None:
        """A step ends as its parent does."""
        with suppress(type(error)), batch("report", [1]) if made else event("nightly") as block:
            for _ in block if isinstance(block, batch) else batch("report", [1]):
                raise error
        assert outcomes(written) == [("batch", outcome), ("task", outcome)]

    def test_is_an_inner_loops_and_an_outer_ones(self, written: Written) -> None:
        """What leaves both fails both."""
        with suppress(ValueError), event("nightly"):
            for _ in batch("report", [1]):
                for _ in batch("row", [1]):
                    fail()
        by_name = {line["event.name"]: line["outcome"] for line in written.all()}
        assert by_name == {"row": "failure", "report": "failure", "nightly": "failure"}

    def test_of_the_items_is_the_parents(self, written: Written) -> None:
        """The step before had ended when the next item was asked for."""

        def pages() -> Iterator[int]:
            yield 1
            raise ValueError("x")

        with suppress(ValueError), event("nightly"):
            for _ in batch("report", pages()):
                pass
        with suppress(ValueError):
            for _ in batch("report", pages()):
                pass
        assert outcomes(written) == [("batch", "success"), ("task", "failure")] * 2
        assert context.variable.get() is None


class TestBlock:
    def test_is_the_parent_of_what_is_around_the_loop(self, written: Written) -> None:
        """Before and after it."""
        with batch("report", [1]) as items:
            add_field("before", 1)
            for _ in items:
                pass
            add_field("after", 1)
        assert (written.last()["event.kind"], written.last()["before"], written.last()["after"]) == ("task", 1, 1)

    def test_is_no_event_inside_another(self, written: Written) -> None:
        """That one is the parent."""
        with event("nightly"), batch("report", [1]) as items:
            for _ in items:
                add_field("page", 1)
        assert [line["event.name"] for line in written.all()] == ["report", "nightly"]

    def test_ends_the_step_of_an_iterator_that_is_kept(self, written: Written) -> None:
        """Nothing is in progress behind it, and nothing more comes."""
        with batch("report", [1, 2]) as items:
            kept = iter(items)
            next(kept)
        assert outcomes(written) == [("batch", "success"), ("task", "success")]
        assert (list(kept), current()) == ([], None)

    def test_can_have_no_loop(self, written: Written) -> None:
        """An error before it is that of the block."""
        with suppress(ValueError), batch("report", [1]):
            fail()
        assert outcomes(written) == [("task", "failure")]


class TestItems:
    @pytest.mark.parametrize(
        ("items", "total"),
        [([1, 2], 2), ({1: 2}, 1), (range(3), 3), (iter([1, 2]), None), ((each for each in "ab"), None)],
        ids=["list", "dict", "range", "iterator", "generator"],
    )
    def test_are_counted_where_they_can_be(self, written: Written, items: Iterable[object], total: int | None) -> None:
        """Without going through them."""
        assert len(list(batch("report", items))) == written.last()["report.count"]
        assert {line.get("batch.total") for line in written.all()[:-1]} == {total}

    def test_may_refuse_to_be_counted(self, written: Written) -> None:
        """Then nobody knows."""

        class Pages:
            def __len__(self) -> int:
                raise OSError

            def __iter__(self) -> Iterator[int]:
                return iter([1])

        assert list(batch("report", Pages())) == [1]
        assert "batch.total" not in written.all()[0]

    def test_are_as_many_as_they_are_said_to_be(self, written: Written) -> None:
        """Zero is a number."""
        assert list(batch("report", [1], total=7)) == [1]
        assert list(batch("report", iter([1]), total=0)) == [1]
        assert [line["batch.total"] for line in written.all() if "batch.total" in line] == [7, 0]

    @pytest.mark.parametrize("total", [-1, 1.5, "7", True])
    def test_cannot_be_any_number(self, total: Any) -> None:
        """The sentence says what it must be."""
        with pytest.raises(ConfigurationError, match=r"total=.* must be a number of steps, 0 or more"):
            batch("report", [], total=total)

    def test_must_be_items(self, written: Written) -> None:
        """Python says so, as for any loop; no event is left open."""
        with pytest.raises(TypeError, match="'int' object is not iterable"):
            list(batch("report", 7))  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="'function' object is not iterable"):
            list(batch("report", fail))  # type: ignore[arg-type]
        assert written.all() == []

    def test_can_be_gone_through_again(self, written: Written) -> None:
        """Each time is another run."""
        items = batch("report", [1, 2])
        assert [list(items), list(items)] == [[1, 2], [1, 2]]
        assert len({line["batch.id"] for line in written.all() if "batch.id" in line}) == 2

    def test_end_once(self, written: Written) -> None:
        """What is exhausted stays so."""
        loop = iter(batch("report", [1]))
        assert (list(loop), list(loop), iter(loop) is loop) == ([1], [], True)
        assert outcomes(written) == [("batch", "success"), ("task", "success")]

    def test_let_go_of_what_they_hold_before_their_parent_ends(self, written: Written) -> None:
        """A generator that is closed by a `break` may say so."""

        def pages() -> Iterator[int]:
            try:
                yield 1
                yield 2
            finally:
                closed.append(len(written.all()))

        closed: list[int] = []
        for _ in batch("report", pages()):
            break
        assert (closed, len(written.all())) == ([1], 2)

    def test_can_be_a_batch(self, written: Written) -> None:
        """Each step has its own."""
        for number in batch("outer", batch("inner", [1, 2])):
            add_field("number", number)
        numbers = [(line["event.name"], line["event.kind"], line.get("number")) for line in written.all()]
        assert numbers.count(("outer", "batch", 1)) == numbers.count(("outer", "batch", 2)) == 1
        assert ("inner", "batch", 1) not in numbers
        assert context.variable.get() is None


class TestAsync:
    async def pages(self) -> AsyncIterator[int]:
        for number in (1, 2):
            await asyncio.sleep(0)
            add_field(f"fetched.{number}", 1)
            yield number

    @pytest.mark.parametrize("waits", [True, False])
    def test_steps_are_events(self, written: Written, waits: bool) -> None:
        """Over items that have to be waited for, and over others."""

        async def main() -> None:
            async for number in batch("report", self.pages() if waits else [1, 2]):
                await asyncio.sleep(0)
                add_field("number", number)

        asyncio.run(main())
        assert [(line["event.kind"], line.get("number")) for line in written.all()] == [
            ("batch", 1),
            ("batch", 2),
            ("task", None),
        ]
        assert ("fetched.2" in written.last()) is waits

    def test_steps_of_tasks_at_once_are_kept_apart(self, written: Written) -> None:
        """Each has its own context."""

        async def work(name: str) -> None:
            async for number in batch(name, self.pages()):
                await asyncio.sleep(0)
                add_field("told", f"{name}{number}")

        async def main() -> None:
            with event("main"):
                await asyncio.gather(*[work(name) for name in "abc"])

        asyncio.run(main())
        lines = [line for line in written.all() if line["event.kind"] == "batch"]
        assert sorted((line["batch.name"], line["told"]) for line in lines) == [
            (name, f"{name}{number}") for name in "abc" for number in (1, 2)
        ]

    @pytest.mark.parametrize("made", [True, False])
    def test_a_break_is_a_success(self, written: Written, made: bool) -> None:
        """As in any loop."""

        async def main() -> None:
            async for _ in batch("report", [1, 2]):
                break

        asyncio.run(main() if made else event("nightly")(main)())
        assert outcomes(written) == [("batch", "success"), ("task", "success")]

    def test_an_error_is_a_failure(self, written: Written) -> None:
        """Of the step, and of the parent that sees it."""

        @event("nightly")
        async def main() -> None:
            async for _ in batch("report", self.pages()):
                fail()

        with suppress(ValueError):
            asyncio.run(main())
        assert outcomes(written) == [("batch", "failure"), ("task", "failure")]

    def test_an_error_of_a_task_is_found_in_its_group(self, written: Written) -> None:
        """The parent is told of the group."""

        async def work() -> None:
            async for _ in batch("report", [1]):
                await asyncio.sleep(0)
                fail()

        @event("nightly")
        async def main() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(work())

        with suppress(ExceptionGroup):
            asyncio.run(main())
        step = written.all()[0]
        assert (step["outcome"], step["error.type"]) == ("failure", "ValueError")

    def test_an_error_of_the_items_is_the_parents(self, written: Written) -> None:
        """No step is in progress then."""

        async def broken() -> AsyncIterator[int]:
            yield 1
            raise ValueError("x")

        async def main() -> None:
            async for _ in batch("report", broken()):
                pass

        with suppress(ValueError):
            asyncio.run(main())
        assert outcomes(written) == [("batch", "success"), ("task", "failure")]

    def test_what_is_cancelled_is_cancelled(self, written: Written) -> None:
        """In the body, and while the next item is waited for."""

        async def forever() -> AsyncIterator[int]:
            yield 1
            await asyncio.sleep(60)

        async def work(naps: float) -> None:
            async for _ in batch("report", forever()):
                await asyncio.sleep(naps)

        async def main() -> None:
            for naps in (0, 60):
                task = asyncio.create_task(work(naps))
                for _ in range(5):
                    await asyncio.sleep(0)
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

        asyncio.run(main())
        assert outcomes(written) == [
            ("batch", "success"),
            ("task", "cancelled"),
            ("batch", "cancelled"),
            ("task", "cancelled"),
        ]

    def test_what_goes_through_them_is_its_own_iterator(self) -> None:
        """As asynchronous iterators are (PEP 492)."""
        loop = aiter(batch("report", []))
        assert aiter(loop) is loop

    def test_items_that_wait_need_an_async_for(self) -> None:
        """Python says so."""
        with pytest.raises(TypeError, match="'async_generator' object is not iterable"):
            list(batch("report", self.pages()))


class TestGenerator:
    def test_that_yields_inside_a_step_goes_on_in_it(self, written: Written) -> None:
        """What its consumer adds in between is the consumer's."""

        @event("pages")
        def pages() -> Iterator[int]:
            for number in batch("report", [1, 2]):
                yield number
                add_field("number", number)

        with event("consumer"):
            for number in pages():
                add_field(f"consumed.{number}", 1)
        lines = written.all()
        assert [line.get("number") for line in lines] == [1, 2, None, None]
        assert [name for name in lines[-1] if name.startswith("consumed")] == ["consumed.1", "consumed.2"]


class TestCost:
    def test_many_steps_cost_no_memory(self, reconfigurable: None) -> None:
        """But eight bytes each, for the percentiles."""
        config.configure(output=_Nowhere(), logging=False)
        number = 10_000
        tracemalloc.start()
        try:
            with event("nightly"):
                for step in batch("report", range(number)):
                    if step == 100:
                        before = tracemalloc.get_traced_memory()[0]
                    if step == number - 1:
                        grown = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
        assert grown < 8 * number * 1.5 + 20_000

    def test_nothing_of_a_loop_is_kept(self, written: Written) -> None:
        """What a frame holds goes when it goes, though the step that was left waits for its parent."""

        class Heavy:
            """Be a thing that is seen to go."""

        def loop() -> None:
            heavy = Heavy()
            for _ in batch("report", [heavy]):
                fail()

        with event("nightly"):
            with suppress(ValueError):
                loop()
            assert [each for each in gc.get_objects() if type(each) is Heavy] == []


class _Nowhere:
    """Be a sink that keeps nothing."""

    def write(self, entry: object) -> None:
        """Forget it."""

    def close(self) -> None:
        """Do nothing."""


class TestThreads:
    def test_batches_of_one_name_add_up(self, written: Written) -> None:
        """From whatever thread of the event."""

        def work() -> None:
            for _ in batch("report", range(100)):
                pass

        with event("nightly") as parent:
            at_once(*[context.carry(work)] * 4)
            assert current() is parent
        assert written.named("nightly")["report.count"] == 400

    def test_an_iterator_that_goes_elsewhere_touches_nothing_there(self, written: Written) -> None:
        """It restores only what it has set."""
        loop = iter(batch("report", [1, 2]))
        next(loop)
        holder = [loop]
        del loop

        def work() -> object:
            with event("elsewhere") as opened:
                holder.clear()
                return current() is opened

        assert at_once(work) == [True]
        context.variable.set(None)
        assert {line["event.name"] for line in written.all()} == {"report", "elsewhere"}


class _Shown:
    """Be a bar, and keep what it shows."""

    def __init__(self, name: str, total: int | None) -> None:
        self.seen: list[object] = [(name, total)]

    def show(self, done: int, failures: int) -> None:
        self.seen.append((done, failures))

    def close(self) -> None:
        self.seen.append("closed")


class _Terminal:
    """Be a stream that is a terminal, or says so."""

    def isatty(self) -> bool:
        return True


class TestBar:
    def put(self, monkeypatch: pytest.MonkeyPatch) -> list[_Shown]:
        """Put bars that keep what they show on a terminal, and return those that are made."""
        made: list[_Shown] = []

        def bar(name: str, total: int | None) -> _Shown:
            made.append(_Shown(name, total))
            return made[-1]

        monkeypatch.setattr(sys, "stderr", _Terminal())
        monkeypatch.setattr(outputs, "load", lambda path: bar)
        return made

    def test_is_told_of_every_step(self, monkeypatch: pytest.MonkeyPatch, written: Written) -> None:
        """And goes with the batch."""
        bars = self.put(monkeypatch)
        with event("nightly"):
            for number in batch("report", [1, 2, 3]):
                current().outcome = "failure" if number == 2 else "success"  # type: ignore[union-attr]
        assert bars[0].seen == [("report", 3), (1, 0), (2, 1), (3, 1), "closed"]

    @pytest.mark.parametrize("loop", [leave_by_break, raise_here, raise_beside_an_iterator])
    def test_goes_however_the_loop_ends(self, monkeypatch: pytest.MonkeyPatch, loop: Loop) -> None:
        """Once; at the latest with its parent."""
        bars = self.put(monkeypatch)
        with suppress(ValueError), event("nightly"):
            loop(batch("report", iter([1, 2])))
        assert bars[0].seen[0] == ("report", None)
        assert (bars[0].seen[-1], bars[0].seen.count("closed")) == ("closed", 1)

    def test_is_none_where_rich_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The loop does not need it."""

        def load(path: str) -> object:
            raise ImportError(path)

        bars = self.put(monkeypatch)
        monkeypatch.setattr(outputs, "load", load)
        assert (list(batch("report", [1])), bars) == ([1], [])

    @pytest.mark.parametrize("stream", [None, object()], ids=["none", "anything"])
    def test_is_none_where_there_is_no_terminal(self, monkeypatch: pytest.MonkeyPatch, stream: object) -> None:
        """A daemon may have no standard error at all."""
        bars = self.put(monkeypatch)
        monkeypatch.setattr(sys, "stderr", stream)
        assert (list(batch("report", [1])), bars) == ([1], [])

    def test_is_that_of_the_progress_room(self) -> None:
        """Which is loaded when it is needed."""
        assert outputs.load(batches.BAR).__module__ == "wideevents.progress"
