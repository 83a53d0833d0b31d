"""What the wrapping room promises."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import types
from typing import TYPE_CHECKING, Any
from unittest.mock import AsyncMock

import pytest

from wideevents.wrapping import wrap

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator


class Diary:
    """An Around that writes down what happens; the diary of all calls is `entries`."""

    def __init__(self) -> None:
        self.entries: list[str] = []

    def __call__(self) -> Diary:
        self.entries.append("around")
        return self

    def __enter__(self) -> str:
        self.entries.append("enter")
        return "not the Around"

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: object, /) -> None:
        self.entries.append(f"exit {kind.__name__}" if kind else "exit")

    def suspend(self) -> None:
        self.entries.append("suspend")

    def resume(self) -> None:
        self.entries.append("resume")

    def note(self, entry: str) -> None:
        self.entries.append(entry)


class Swallowing(Diary):
    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: object, /) -> bool:  # type: ignore[override]
        super().__exit__(kind, error, traceback)
        return True


def add(first: int, /, second: int = 2, *, third: int = 3) -> int:
    """Add up."""
    return first + second + third


async def add_async(first: int, second: int = 2) -> int:
    await asyncio.sleep(0)
    return first + second


def echo(first: object = None) -> Generator[object, object, str]:
    """Yield what was sent, and errors that were thrown in; end on the word "end"."""
    answer: object = first
    while answer != "end":
        try:
            answer = yield answer
        except ValueError as error:
            answer = f"caught {error}"
    return "done"


async def echo_async(first: object = None) -> AsyncGenerator[object, object]:
    answer: object = first
    while answer != "end":
        try:
            answer = yield answer
        except ValueError as error:
            answer = f"caught {error}"
        await asyncio.sleep(0)


class Greeter:
    def __init__(self, name: str = "Ada") -> None:
        self.name = name

    def greet(self, word: str) -> str:
        return f"{word} {self.name}"

    @classmethod
    def make(cls, name: str) -> str:
        return f"{cls.__name__} {name}"

    @staticmethod
    def shout(word: str) -> str:
        return word.upper()

    def __call__(self, word: str = "Hello") -> str:
        return self.greet(word)


class AsyncGreeter:
    async def __call__(self, word: str) -> str:
        return word


class Streamer:
    def __call__(self) -> Generator[int, None, None]:
        yield 1


class AsyncStreamer:
    async def __call__(self) -> AsyncGenerator[int, None]:
        yield 1


@types.coroutine
def old_coroutine(value: int) -> Generator[None, None, int]:
    yield
    return value


def marked(value: int) -> Any:
    """What asgiref.sync.markcoroutinefunction makes of a function that returns a coroutine."""
    return add_async(value, 0)


marked._is_coroutine = object()  # type: ignore[attr-defined]


@pytest.fixture
def diary() -> Diary:
    return Diary()


KINDS: dict[str, Callable[..., Any]] = {
    "function": add,
    "lambda": lambda first: first,
    "coroutine function": add_async,
    "generator function": echo,
    "async generator function": echo_async,
    "method": Greeter().greet,
    "class method": Greeter.make,
    "static method": Greeter.shout,
    "partial": functools.partial(add, 1),
    "partial of a coroutine function": functools.partial(add_async, 1),
    "partial of a generator function": functools.partial(echo, 1),
    "partial of an async generator function": functools.partial(functools.partial(echo_async), 1),
    "builtin": len,
    "builtin method": [].append,
    "callable instance": Greeter(),
}


class TestWrap:
    @pytest.mark.parametrize("function", KINDS.values(), ids=KINDS)
    def test_keeps_the_kind(self, function: Callable[..., Any], diary: Diary) -> None:
        """Frameworks choose how to call a function by its kind, so a decorated one must be of the same."""
        wrapped = wrap(function, diary)
        kinds = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)

        assert [kind(function) for kind in kinds] == [kind(wrapped) for kind in kinds]

    @pytest.mark.parametrize("function", KINDS.values(), ids=KINDS)
    def test_keeps_the_signature(self, function: Callable[..., Any], diary: Diary) -> None:
        """Frameworks inject arguments by the signature."""
        assert inspect.signature(function) == inspect.signature(wrap(function, diary))

    def test_keeps_name_and_docstring(self, diary: Diary) -> None:
        """A route or a task is registered under the name of its function."""
        wrapped = wrap(add, diary)

        assert ("add", "add", "Add up.", __name__) == (
            wrapped.__name__,
            wrapped.__qualname__,
            wrapped.__doc__,
            wrapped.__module__,
        )

    def test_names_what_has_no_name(self, diary: Diary) -> None:
        """A partial is called like its function, an instance like its class: "run" would say nothing."""
        candidates = (functools.partial(functools.partial(add), 1), Greeter(), len)

        assert [wrap(candidate, diary).__name__ for candidate in candidates] == ["add", "Greeter", "len"]

    def test_keeps_attributes(self, diary: Diary) -> None:
        """Marks that other decorators left (csrf_exempt, pytest marks) are still there."""

        def view() -> None: ...

        view.exempt = True  # type: ignore[attr-defined]

        assert wrap(view, diary).exempt is True  # type: ignore[attr-defined]

    def test_asks_for_a_fresh_around_for_each_call(self, diary: Diary) -> None:
        """Two calls share nothing."""
        wrapped = wrap(add, diary)
        wrapped(1)
        wrapped(1)

        assert diary.entries == ["around", "enter", "exit"] * 2

    @pytest.mark.parametrize("candidate", [None, 1, "text", property(len), functools.partialmethod(len)])
    def test_refuses_what_cannot_be_called(self, candidate: Any, diary: Diary) -> None:
        """A decorator in the wrong place is told where it stands."""
        with pytest.raises(TypeError, match=f"A {type(candidate).__name__} cannot be wrapped: give a function"):
            wrap(candidate, diary)

    def test_refuses_a_class(self, diary: Diary) -> None:
        """A wrapped class would be no class any more: isinstance and inheritance would break."""
        with pytest.raises(TypeError, match="The class Greeter cannot be wrapped: decorate one of its methods"):
            wrap(Greeter, diary)


class TestCall:
    def test_passes_arguments_and_result(self, diary: Diary) -> None:
        """The function does not notice."""
        assert wrap(add, diary)(1, 5, third=10) == 16

    def test_tells_of_an_error_and_lets_it_through(self, diary: Diary) -> None:
        """The Around sees the error that the caller sees."""
        error = KeyError("x")
        with pytest.raises(KeyError) as caught:
            wrap(next, diary)(iter_raising(error))

        assert error is caught.value
        assert diary.entries == ["around", "enter", "exit KeyError"]

    def test_returns_none_when_the_around_swallows(self) -> None:
        """That is its right, as with every context manager."""
        assert wrap(next, Swallowing())(iter_raising(KeyError())) is None

    def test_methods_are_bound(self, diary: Diary) -> None:
        """A decorated method gets its instance."""

        class Decorated(Greeter):
            greet = wrap(Greeter.greet, diary)

        assert Decorated("Bob").greet("Hi") == "Hi Bob"

    @pytest.mark.parametrize(("name", "expected"), [("make", "Greeter x"), ("shout", "X")])
    def test_static_and_class_methods_are_wrapped_inside(self, name: str, expected: str, diary: Diary) -> None:
        """The decorator may stand above or below @classmethod."""
        outer = Greeter.__dict__[name]
        wrapped = wrap(outer, diary)

        assert type(outer) is type(wrapped)
        assert expected == wrapped.__get__(None, Greeter)("x")
        assert diary.entries == ["around", "enter", "exit"]

    def test_instances_partials_and_builtins_are_called(self, diary: Diary) -> None:
        """Whatever can be called can be wrapped."""
        assert wrap(Greeter(), diary)("Hi") == "Hi Ada"
        assert wrap(functools.partial(add, 1), diary)(third=0) == 3
        assert wrap(len, diary)("abc") == 3


def iter_raising(error: Exception) -> Generator[None, None, None]:
    raise error
    yield


class TestCoroutine:
    def test_is_entered_when_it_runs(self, diary: Diary) -> None:
        """A coroutine that was made and not awaited yet has not begun."""
        coroutine = wrap(add_async, diary)(1)
        assert diary.entries == []

        assert asyncio.run(coroutine) == 3
        assert diary.entries == ["around", "enter", "exit"]

    def test_that_never_ran_was_never_entered(self, diary: Diary) -> None:
        """What did not begin has no end either."""
        wrap(add_async, diary)(1).close()

        assert diary.entries == []

    @pytest.mark.parametrize("end", ["close", "throw", "collect"])
    def test_is_exited_however_it_ends(self, end: str, diary: Diary) -> None:
        """A client that leaves cancels its task; a loop that stops drops it."""
        coroutine = wrap(add_async, diary)(1)
        coroutine.send(None)
        if end == "throw":
            with pytest.raises(asyncio.CancelledError):
                coroutine.throw(asyncio.CancelledError())
        elif end == "close":
            coroutine.close()
        del coroutine
        gc.collect()

        assert ["around", "enter", f"exit {'CancelledError' if end == 'throw' else 'GeneratorExit'}"] == diary.entries

    @pytest.mark.parametrize(
        "function",
        [AsyncGreeter(), functools.partial(AsyncGreeter()), AsyncMock(return_value=5), old_coroutine, marked],
    )
    def test_is_awaited_where_only_the_call_is_async(self, function: Callable[..., Any], diary: Diary) -> None:
        """Instances with an async __call__, marked functions and types.coroutine end when they were awaited."""

        async def main() -> object:
            coroutine = wrap(function, diary)(5)
            assert diary.entries == []
            return await coroutine

        assert asyncio.run(main()) == 5
        assert diary.entries == ["around", "enter", "exit"]


def drive(generator: Generator[object, object, object]) -> list[object]:
    """Use all of the protocol, and return what came back."""
    seen: list[object] = [next(generator), generator.send("a"), generator.throw(ValueError("b")), generator.send(None)]
    try:
        generator.send("end")
    except StopIteration as stop:
        seen.append(stop.value)
    return seen


class TestGenerator:
    def test_keeps_the_whole_protocol(self, diary: Diary) -> None:
        """What is sent and thrown arrives, and the return value comes back."""
        assert drive(echo(1)) == drive(wrap(echo, diary)(1)) == [1, "a", "caught b", None, "done"]

    def test_is_entered_at_the_first_next(self, diary: Diary) -> None:
        """A body that nobody has iterated has not begun, and has no end."""
        generator = wrap(echo, diary)()
        del generator
        gc.collect()

        assert diary.entries == []

    def test_is_suspended_while_its_consumer_runs(self, diary: Diary) -> None:
        """The consumer's code is no part of the call, between any two steps."""

        def body() -> Generator[int, None, None]:
            diary.note("body 1")
            yield 1
            diary.note("body 2")

        for _ in wrap(body, diary)():
            diary.note("consumer")

        expected = ["around", "enter", "body 1", "suspend", "consumer", "resume", "body 2", "exit"]
        assert expected == diary.entries

    @pytest.mark.parametrize("end", ["close", "throw", "collect"])
    def test_is_exited_however_it_ends(self, end: str, diary: Diary) -> None:
        """A consumer that stops half-way ends the call, in our context, and once."""
        generator = wrap(echo, diary)()
        next(generator)
        if end == "throw":
            with pytest.raises(KeyError):
                generator.throw(KeyError())
        elif end == "close":
            generator.close()
        del generator
        gc.collect()

        kind = "KeyError" if end == "throw" else "GeneratorExit"
        assert ["around", "enter", "suspend", "resume", f"exit {kind}"] == diary.entries

    def test_runs_its_own_clean_up_before_the_exit(self, diary: Diary) -> None:
        """What a finally clause adds is still in the event."""

        def body() -> Generator[int, None, None]:
            try:
                yield 1
            finally:
                diary.note("finally")

        generator = wrap(body, diary)()
        next(generator)
        generator.close()

        assert diary.entries[-3:] == ["resume", "finally", "exit GeneratorExit"]

    def test_that_yields_when_closed_is_an_error_as_ever(self, diary: Diary) -> None:
        """We change nothing about a generator that ignores its end."""

        def stubborn() -> Generator[int, None, None]:
            try:
                yield 1
            except GeneratorExit:
                yield 2

        generator = wrap(stubborn, diary)()
        next(generator)
        with pytest.raises(RuntimeError, match="generator ignored GeneratorExit"):
            generator.close()
        del generator
        gc.collect()

        assert [entry for entry in diary.entries if entry.startswith("exit")] == ["exit GeneratorExit"]

    def test_stop_iteration_inside_is_an_error_as_ever(self, diary: Diary) -> None:
        """PEP 479 holds: a stray StopIteration does not end the loop in silence."""
        generator = wrap(echo, diary)()
        next(generator)
        with pytest.raises(RuntimeError, match="generator raised StopIteration"):
            generator.throw(StopIteration())

        assert diary.entries[-1] == "exit RuntimeError"

    def test_leaves_no_cycle_behind_an_error(self, diary: Diary) -> None:
        """An error and all that its frames hold is freed at once, without the garbage collector."""
        generator = wrap(echo, diary)()
        next(generator)
        try:
            generator.throw(KeyError())
        except KeyError as error:
            frame = error.__traceback__.tb_next  # type: ignore[union-attr]
            assert frame is not None
            assert KeyError not in [type(value) for value in frame.tb_frame.f_locals.values()]

    def test_delegates_like_any_other(self, diary: Diary) -> None:
        """It can stand behind `yield from`."""

        def outer() -> Generator[object, object, object]:
            return (yield from wrap(echo, diary)(1))

        assert drive(outer()) == [1, "a", "caught b", None, "done"]

    def test_is_made_by_an_instance_too(self, diary: Diary) -> None:
        """An instance whose __call__ is a generator function gives generators."""
        assert list(wrap(Streamer(), diary)()) == [1]
        assert diary.entries == ["around", "enter", "suspend", "resume", "exit"]


async def drive_async(generator: AsyncGenerator[object, object]) -> list[object]:
    seen: list[object] = [
        await anext(generator),
        await generator.asend("a"),
        await generator.athrow(ValueError("b")),
        await generator.asend(None),
    ]
    try:
        await generator.asend("end")
    except StopAsyncIteration:
        seen.append("done")
    return seen


class TestAsyncGenerator:
    def test_keeps_the_whole_protocol(self, diary: Diary) -> None:
        """What is sent and thrown arrives, across awaits."""
        expected = asyncio.run(drive_async(echo_async(1)))

        assert expected == asyncio.run(drive_async(wrap(echo_async, diary)(1))) == [1, "a", "caught b", None, "done"]

    def test_is_suspended_while_its_consumer_runs(self, diary: Diary) -> None:
        """The consumer's code is no part of the call."""

        async def main() -> None:
            async for _ in wrap(echo_async, diary)():
                diary.note("consumer")
                break
            await asyncio.sleep(0.01)  # the loop closes what was dropped

        asyncio.run(main())

        assert diary.entries == ["around", "enter", "suspend", "consumer", "resume", "exit GeneratorExit"]

    @pytest.mark.parametrize("end", ["aclose", "athrow", "collect"])
    def test_is_exited_however_it_ends(self, end: str, diary: Diary) -> None:
        """A client that leaves closes the stream; one that nobody closed is closed by the loop."""

        async def main() -> None:
            generator = wrap(echo_async, diary)()
            await anext(generator)
            if end == "athrow":
                with pytest.raises(KeyError):
                    await generator.athrow(KeyError())
            elif end == "aclose":
                await generator.aclose()
            del generator
            gc.collect()
            await asyncio.sleep(0.01)

        asyncio.run(main())

        kind = "KeyError" if end == "athrow" else "GeneratorExit"
        assert ["around", "enter", "suspend", "resume", f"exit {kind}"] == diary.entries

    def test_awaits_its_own_clean_up_before_the_exit(self, diary: Diary) -> None:
        """A finally clause may await, as in any async generator that is closed."""

        async def body() -> AsyncGenerator[int, None]:
            try:
                yield 1
            finally:
                await asyncio.sleep(0)
                diary.note("finally")

        async def main() -> None:
            generator = wrap(body, diary)()
            await anext(generator)
            await generator.aclose()

        asyncio.run(main())

        assert diary.entries[-3:] == ["resume", "finally", "exit GeneratorExit"]

    def test_is_made_by_an_instance_too(self, diary: Diary) -> None:
        """An instance whose __call__ is an async generator function gives async generators."""

        async def main() -> list[int]:
            return [item async for item in wrap(AsyncStreamer(), diary)()]

        assert asyncio.run(main()) == [1]
