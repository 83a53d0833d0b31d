"""What the transactions room promises."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import pytest

import wideevents
from tests.conftest import FakeClock, Written
from wideevents import add_field, context, current
from wideevents.errors import ConfigurationError
from wideevents.recorder import Recorder, exit_code
from wideevents.sinks.memory import MemorySink
from wideevents.transactions import Kind, event

pytestmark = pytest.mark.usefixtures("recorder")


class TestBlock:
    def test_is_an_event_of_the_kind_task(self, written: Written, clock: FakeClock) -> None:
        """Its name, its time and its fields are in one line."""
        with event("report.page", page=3) as opened:
            clock.advance(0.5)
            add_field("rows", 7)
        line = written.one()
        assert (line["event.name"], line["event.kind"], line["duration_ms"]) == ("report.page", "task", 500.0)
        assert (line["page"], line["rows"], line["event.id"]) == (3, 7, opened.id)

    @pytest.mark.parametrize("kind", ["task", "script", "batch", "message"])
    def test_is_of_the_kind_that_it_is_given(self, written: Written, kind: Kind) -> None:
        """As a block, and as a function."""
        with event("work", kind, page=3):
            pass
        event("work", kind, page=3)(lambda: None)()
        assert [(line["event.kind"], line["page"]) for line in written.all()] == [(kind, 3)] * 2

    @pytest.mark.parametrize("kind", ["request", "", "Task", None, 7, ["task"]])
    def test_is_of_no_other_kind(self, kind: Any) -> None:
        """A request has a door; the sentence says what there is."""
        with pytest.raises(ConfigurationError, match=r'kind=.* must be "task", "script", "batch" or "message"'):
            event("work", kind)

    def test_takes_any_field(self, written: Written) -> None:
        """Also one that is called as an argument of ours, and a secret."""
        with event("work", **{"name": 1, "self": 2, "kind": 3, "fields": 4, "cart.items": 5, "token": "x"}):
            pass
        line = written.one()
        names = ("name", "self", "kind", "fields", "cart.items", "token")
        assert [line[name] for name in names] == [1, 2, 3, 4, 5, "[redacted]"]

    def test_nests(self, written: Written) -> None:
        """The inner event is written first, and knows its parent; they share a trace, and no field."""
        with event("outer"):
            add_field("a", 1)
            with event("inner"):
                add_field("b", 2)
            add_field("c", 3)
        inner, outer = written.all()
        assert (inner["parent.id"], inner["trace.id"]) == (outer["event.id"], outer["trace.id"])
        assert "parent.id" not in outer
        assert [[name for name in "abc" if name in line] for line in (inner, outer)] == [["b"], ["a", "c"]]

    def test_nests_in_three(self, written: Written) -> None:
        """Each is the child of the next one out."""
        with event("a"), event("b"), event("c"):
            pass
        ids = {line["event.name"]: line["event.id"] for line in written.all()}
        parents = {line["event.name"]: line.get("parent.id") for line in written.all()}
        assert parents == {"a": None, "b": ids["a"], "c": ids["b"]}

    def test_tells_of_an_error_once_for_each_event(self, written: Written) -> None:
        """What breaks the inner work breaks the outer, unless somebody handles it."""

        @event("outer")
        def work() -> None:
            with pytest.raises(ValueError, match="x"), event("handled"):
                raise ValueError("x")
            with event("inner"):
                raise KeyError

        with pytest.raises(KeyError):
            work()
        outcomes = {line["event.name"]: (line["outcome"], line.get("error.type")) for line in written.all()}
        assert outcomes == {
            "handled": ("failure", "ValueError"),
            "inner": ("failure", "KeyError"),
            "outer": ("failure", "KeyError"),
        }

    def test_uses_what_is_configured_when_it_begins(self, reconfigurable: None) -> None:
        """The recorder is looked up late."""
        made = event("work")
        sink = MemorySink()
        wideevents.configure(output=sink, service="late")
        with made:
            pass
        assert [line["service.name"] for line in sink.events] == ["late"]


class TestExit:
    def left_by(self, error: BaseException, written: Written, kind: Kind = "task") -> dict[str, Any]:
        with suppress(type(error)), event("work", kind):
            raise error
        return written.one()

    @pytest.mark.parametrize(
        ("code", "number", "outcome"),
        [
            *[(None, 0, "success"), (0, 0, "success"), (False, 0, "success"), (3, 3, "failure"), (True, 1, "failure")],
            *[("no such file", 1, "failure"), ("", 1, "failure"), (2.5, 1, "failure"), ((1, 2), 1, "failure")],
            *[(-1, 255, "failure"), (256, 0, "success"), (259, 3, "failure")],
        ],
    )
    def test_has_the_code_of_the_process(self, written: Written, code: object, number: int, outcome: str) -> None:
        """As the interpreter and the system have it."""
        line = self.left_by(SystemExit(code), written)
        assert (line["process.exit.code"], line["outcome"]) == (number, outcome)

    def test_has_the_code_that_the_shell_sees(self, written: Written) -> None:
        """Ask the interpreter itself."""
        for code in (None, 0, 3, "no such file", 2.5, -1, 256, 259, True):
            done = subprocess.run(
                [sys.executable, "-c", f"import sys; sys.exit({code!r})"], capture_output=True, check=False
            )
            assert exit_code(SystemExit(code)) == done.returncode

    def test_survives_an_exit_that_cannot_be_read(self, written: Written) -> None:
        """A subclass may do what it likes."""

        class OddExit(SystemExit):
            code = property(lambda self: 1 // 0)  # type: ignore[assignment]

        assert self.left_by(OddExit(), written)["outcome"] == "success"

    def test_of_a_script_is_one_for_any_error(self, written: Written) -> None:
        """Of other work nobody knows whether it ends the process."""
        line = self.left_by(ValueError("x"), written, "script")
        assert (line["process.exit.code"], line["outcome"], line["error.type"]) == (1, "failure", "ValueError")
        written.sink.lines.clear()
        assert "process.exit.code" not in self.left_by(ValueError("x"), written)

    @pytest.mark.parametrize("error", [asyncio.CancelledError(), GeneratorExit()], ids=repr)
    def test_of_a_script_is_unknown_where_nothing_is_wrong(self, written: Written, error: BaseException) -> None:
        """Somebody above may go on."""
        assert "process.exit.code" not in self.left_by(error, written, "script")

    def test_has_the_signal_of_ctrl_c(self, written: Written) -> None:
        """The interpreter dies of the same."""
        line = self.left_by(KeyboardInterrupt(), written, "script")
        assert (line["process.exit.signal"], line["outcome"]) == ("SIGINT", "cancelled")
        assert "process.exit.code" not in line

    def test_says_nothing_where_it_ends_well(self, written: Written) -> None:
        """Nobody asked for an exit."""
        with event("work", "script"):
            pass
        assert not [name for name in written.one() if name.startswith("process.exit")]

    def test_comes_too_late_for_an_event_that_has_ended(self, recorder: Recorder, written: Written) -> None:
        """Nothing is raised for it."""
        with suppress(SystemExit), event("work") as opened:
            recorder.finish(opened)
            raise SystemExit(3)
        assert "process.exit.code" not in written.one()


class TestFunction:
    def test_is_an_event_at_every_call(self, written: Written) -> None:
        """The fields are those of the decorator, and what the function adds."""

        @event("add", kind_of="sum")
        def add(first: int, second: int = 2) -> int:
            """Add up."""
            add_field("first", first)
            return first + second

        assert [add(1), add(2, second=5)] == [3, 7]
        assert [(line["first"], line["kind_of"]) for line in written.all()] == [(1, "sum"), (2, "sum")]
        assert (add.__name__, add.__doc__, list(inspect.signature(add).parameters)) == (
            "add",
            "Add up.",
            ["first", "second"],
        )

    def test_is_an_event_for_each_depth_of_a_recursion(self, written: Written) -> None:
        """Each call has its own, and the one below is its child."""

        @event("down")
        def down(depth: int) -> None:
            add_field("depth", depth)
            if depth:
                down(depth - 1)

        down(2)
        lines = written.all()
        assert [line["depth"] for line in lines] == [0, 1, 2]
        assert [line.get("parent.id") for line in lines] == [lines[1]["event.id"], lines[2]["event.id"], None]

    def test_tells_of_what_it_raises(self, written: Written) -> None:
        """And lets it pass."""

        @event("fail")
        def fail() -> None:
            raise ValueError("x")

        with pytest.raises(ValueError, match="x"):
            fail()
        assert (written.one()["outcome"], written.one()["exception.message"]) == ("failure", "x")

    def test_can_be_a_method(self, written: Written) -> None:
        """Of an instance, of a class, or of neither."""

        class Shop:
            @event("one")
            def one(self) -> str:
                return type(self).__name__

            @event("two")
            @classmethod
            def two(cls) -> str:
                return cls.__name__

            @event("three")
            @staticmethod
            def three() -> str:
                return "three"

        assert [Shop().one(), Shop.two(), Shop.three()] == ["Shop", "Shop", "three"]
        assert [line["event.name"] for line in written.all()] == ["one", "two", "three"]


class TestCoroutineFunction:
    def test_is_an_event_until_it_is_done(self, written: Written, clock: FakeClock) -> None:
        """Its waiting included; calling it alone begins nothing."""

        @event("work")
        async def work() -> str:
            await asyncio.sleep(0)
            clock.advance(1)
            add_field("a", 1)
            return "done"

        coroutine = work()
        assert (written.all(), inspect.iscoroutinefunction(work)) == ([], True)
        assert asyncio.run(coroutine) == "done"
        assert (written.one()["duration_ms"], written.one()["a"]) == (1000.0, 1)

    def test_keeps_events_at_once_apart(self, written: Written) -> None:
        """Tasks that take turns write into their own."""

        @event("work")
        async def work(number: int) -> None:
            for step in range(3):
                await asyncio.sleep(0)
                add_field(f"step.{step}", number)

        async def main() -> None:
            with event("main"):
                await asyncio.gather(*[work(number) for number in range(3)])

        asyncio.run(main())
        main_line = written.named("main")
        lines = [line for line in written.all() if line["event.name"] == "work"]
        assert sorted([line[f"step.{step}"] for step in range(3)] for line in lines) == [[n] * 3 for n in range(3)]
        assert {line["parent.id"] for line in lines} == {main_line["event.id"]}

    def test_is_cancelled_where_its_task_is(self, written: Written) -> None:
        """No error, and nobody's fault."""

        @event("work")
        async def work() -> None:
            await asyncio.sleep(60)

        async def main() -> None:
            task = asyncio.create_task(work())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(main())
        assert (written.one()["outcome"], written.one()["level"]) == ("cancelled", "info")


class TestGeneratorFunction:
    def test_is_an_event_from_the_first_item_to_the_end(self, written: Written) -> None:
        """What its consumer does in between is outside."""

        @event("count")
        def count() -> Iterator[object]:
            for number in range(2):
                add_field(f"at.{number}", number)
                yield current() is not None

        generator = count()
        before = len(written.all())
        consumed = [(item, current()) for item in generator]
        assert (before, consumed) == (0, [(True, None), (True, None)])
        assert (written.one()["at.0"], written.one()["at.1"], written.one()["outcome"]) == (0, 1, "success")

    def test_writes_into_the_consumers_event_in_between(self, written: Written) -> None:
        """Each has its own, however their steps mix."""

        @event("inner")
        def count() -> Iterator[int]:
            add_field("inner.first", 1)
            yield 1
            add_field("inner.second", 2)

        with event("outer"):
            for item in count():
                add_field("outer.item", item)
        inner, outer = written.all()
        assert (inner["inner.first"], inner["inner.second"], "outer.item" in inner) == (1, 2, False)
        assert (outer["outer.item"], "inner.first" in outer) == (1, False)

    def test_goes_on_in_the_event_that_it_was_in(self, written: Written) -> None:
        """A block inside it may be left for a while, too."""

        @event("outer")
        def count() -> Iterator[object]:
            with event("inner"):
                yield current()
                add_field("after", 1)

        assert [(item is None, current()) for item in count()] == [(False, None)]
        inner, outer = written.all()
        assert (inner.get("after"), outer.get("after")) == (1, None)

    def test_succeeds_when_its_consumer_leaves(self, written: Written) -> None:
        """To take only the first rows is no failure; the event ends with the generator."""

        @event("count")
        def count() -> Iterator[int]:
            yield 1
            yield 2

        generator = count()
        first = next(generator)
        generator.close()  # type: ignore[attr-defined]
        assert (first, written.one()["outcome"], current()) == (1, "success", None)

    def test_ends_when_it_is_collected(self, written: Written) -> None:
        """Nobody closes it; it goes."""

        @event("count")
        def count() -> Iterator[int]:
            yield 1
            yield 2

        next(count())
        assert written.one()["outcome"] == "success"

    def test_fails_with_what_it_raises(self, written: Written) -> None:
        """Also in the middle."""

        @event("count")
        def count() -> Iterator[int]:
            yield 1
            raise ValueError("x")

        with pytest.raises(ValueError, match="x"):
            list(count())
        assert (written.one()["outcome"], written.one()["error.type"]) == ("failure", "ValueError")


class TestAsyncGeneratorFunction:
    def test_is_an_event_from_the_first_item_to_the_end(self, written: Written) -> None:
        """As that of a generator function."""

        @event("count")
        async def count() -> AsyncIterator[object]:
            for number in range(2):
                await asyncio.sleep(0)
                add_field(f"at.{number}", number)
                yield current() is not None

        async def consume() -> list[object]:
            return [(item, current()) async for item in count()]

        assert asyncio.run(consume()) == [(True, None), (True, None)]
        assert (written.one()["at.0"], written.one()["at.1"]) == (0, 1)

    def test_succeeds_when_its_consumer_leaves(self, written: Written) -> None:
        """When it is closed."""

        @event("count")
        async def count() -> AsyncIterator[int]:
            yield 1
            yield 2

        async def consume() -> int:
            generator: Any = count()
            first: int = await anext(generator)
            await generator.aclose()
            return first

        assert asyncio.run(consume()) == 1
        assert (written.one()["outcome"], context.variable.get()) == ("success", None)


class TestClass:
    def test_cannot_be_decorated(self) -> None:
        """It would no longer be one; the sentence says what to do."""
        with pytest.raises(TypeError, match="decorate one of its methods"):

            @event("work")
            class Work:
                """Do nothing."""
