"""What the causes room promises."""

from __future__ import annotations

from types import TracebackType

import pytest

from wideevents.causes import DEEPEST, LONGEST_CHAIN, cause, chain, direct_cause, members, traces


class HostileError(Exception):
    """Raise when it is asked for anything that an exception has."""

    @property
    def __cause__(self) -> BaseException | None:  # type: ignore[override]
        raise RuntimeError

    __context__ = __suppress_context__ = __traceback__ = __cause__  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise RuntimeError

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    __hash__ = None  # type: ignore[assignment]


class PretenderError(Exception):
    """Say that it is a group, and have no members."""

    @property
    def __class__(self) -> type:  # type: ignore[override]
        return ExceptionGroup


def linked(
    error: BaseException, *, by: BaseException | None = None, during: BaseException | None = None
) -> BaseException:
    """Return *error* with a cause and a context, as `raise` would set them."""
    BaseException.__dict__["__context__"].__set__(error, during)
    if by is not None:
        BaseException.__dict__["__cause__"].__set__(error, by)
    return error


def raised(error: BaseException, depth: int = 0) -> BaseException:
    """Return *error*, raised below *depth* more frames."""

    def fail(left: int) -> None:
        if left:
            fail(left - 1)
        raise error

    try:
        fail(depth)
    except BaseException as caught:
        return caught


class TestCause:
    FIRST, SECOND = KeyError("first"), ValueError("second")

    def test_is_what_it_was_raised_from(self) -> None:
        """The author's word goes before what happened to be handled."""
        error = linked(TypeError(), by=self.FIRST, during=self.SECOND)
        assert (cause(error), direct_cause(error)) == (self.FIRST, self.FIRST)

    def test_is_else_what_was_being_handled(self) -> None:
        """Nobody meant it; it is what Python prints."""
        error = linked(TypeError(), during=self.SECOND)
        assert (cause(error), direct_cause(error)) == (self.SECOND, None)

    def test_is_nothing_where_the_author_said_so(self) -> None:
        """`from None` leaves the context out."""
        error = linked(TypeError(), during=self.SECOND)
        error.__cause__ = None
        assert error.__suppress_context__
        assert cause(error) is None

    def test_asks_no_code_of_the_exception(self) -> None:
        """A property may raise, and an exception may be false."""
        error = linked(HostileError(), by=linked(HostileError(), during=self.FIRST))
        assert [type(link) for link in chain(error)] == [HostileError, HostileError, KeyError]


class TestChain:
    def test_ends_where_it_began(self) -> None:
        """A library can make a circle."""
        first, second = KeyError(), ValueError()
        first.__cause__, second.__cause__ = second, first
        assert chain(first) == [first, second]

    def test_is_read_so_far(self) -> None:
        """Who raises the last error from the one before for a week has a chain of millions."""
        error: BaseException = KeyError()
        for _ in range(100):
            error = linked(ValueError(), by=error)
        links = chain(error)
        assert (len(links), links[0]) == (LONGEST_CHAIN, error)


class TestMembers:
    def test_are_those_of_a_group_alone(self) -> None:
        """Other exceptions have attributes of that name, too, and some say that they are groups."""
        inner = [KeyError(), ValueError()]
        other = ValueError()
        other.exceptions = inner  # type: ignore[attr-defined]
        assert members(ExceptionGroup("group", inner)) == tuple(inner)
        assert members(BaseExceptionGroup("group", [KeyboardInterrupt()])) != ()
        assert (members(other), members(PretenderError())) == ((), ())


class TestTraces:
    @staticmethod
    def functions(entries: list[TracebackType]) -> list[str]:
        return [entry.tb_frame.f_code.co_name for entry in entries]

    def test_are_the_entries_from_the_outermost(self) -> None:
        """As Python prints them: the place comes last."""
        assert self.functions(traces(raised(KeyError(), 2))) == ["raised", "fail", "fail", "fail"]
        assert traces(KeyError()) == []

    @pytest.mark.parametrize("times", [DEEPEST // 2 - 1, DEEPEST // 2, 3 * DEEPEST])
    def test_have_both_ends_of_an_endless_one(self, times: int) -> None:
        """An error that is kept, and raised again and again, gets longer each time."""
        error = raised(KeyError(), 1)
        for _ in range(times):
            raised(error)
        entries = traces(error)

        assert self.functions(entries[:2]) == ["raised", "fail"]
        assert self.functions(entries[-3:]) == ["raised", "fail", "fail"]
        assert len(entries) == min(2 * times + 3, DEEPEST)
