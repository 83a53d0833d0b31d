"""What an exception itself knows of its report."""

from __future__ import annotations

import gc
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from wideevents.sinks.sentry import marks


class StubbornError(Exception):
    """Refuse attributes, and tell nonsense of those it has."""

    __slots__ = ()

    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        raise RuntimeError("no")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("no")

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("no")

    def __delattr__(self, name: str) -> None:
        raise RuntimeError("no")


@pytest.mark.parametrize("kind", [KeyError, StubbornError, SystemExit, lambda: ExceptionGroup("", [OSError()])])
class TestEveryException:
    def test_it_knows_its_report(self, kind: Callable[[], BaseException]) -> None:
        """Also one that refuses attributes: it is not asked."""
        error = kind()
        marks.mark(error, "a1", "trace", 100.0)

        assert marks.report_of(error, "trace", 101.0) == "a1"

    def test_a_report_is_claimed_once(self, kind: Callable[[], BaseException]) -> None:
        """Two events may tell of the same exception."""
        error = kind()
        marks.make_due(error, "a1", "kind")

        assert [marks.claim(error), marks.claim(error)] == [marks.Due("a1", "kind"), None]


class TestMarks:
    def test_nobody_has_decided_yet(self) -> None:
        """None is no decision, and no text is the decision to withhold it."""
        decided = KeyError()
        marks.mark(decided, "", "trace", 0.0)

        assert [marks.report_of(KeyError(), "trace", 0.0), marks.report_of(decided, "trace", 0.0)] == [None, ""]

    @pytest.mark.parametrize(
        ("trace_id", "later", "report"),
        [
            ("trace", 1e9, "a1"),
            ("another", 59.0, "a1"),
            (None, 59.0, "a1"),
            ("another", 61.0, None),
            (None, 61.0, None),
            ("another", -61.0, None),
        ],
    )
    def test_an_exception_that_is_raised_again_is_a_new_one_in_the_end(
        self, trace_id: str | None, later: float, report: str | None
    ) -> None:
        """Libraries raise one object for every failure; within its trace it is the same however long it takes."""
        error = KeyError()
        marks.mark(error, "a1", "trace", 1_000.0)

        assert marks.report_of(error, trace_id, 1_000.0 + later) == report

    def test_two_without_a_trace_are_not_in_the_same_one(self) -> None:
        """Lines outside any event have none."""
        error = KeyError()
        marks.mark(error, "a1", None, 0.0)

        assert marks.report_of(error, None, 61.0) is None

    @pytest.mark.parametrize("forged", ["text", (1, 2, 3, 4), 5])
    def test_an_attribute_of_somebody_else_is_no_mark(self, forged: object) -> None:
        """However unlikely the name."""
        error = KeyError()
        vars(error).update({marks.MARK: forged, marks.DUE: forged})

        assert [marks.report_of(error, "trace", 0.0), marks.claim(error)] == [None, None]

    def test_a_pickled_exception_takes_its_mark_along_as_plain_values(self) -> None:
        """A pool's parent raises it again, and it is the same failure; who reads it needs nothing of ours."""
        error = KeyError("sku")
        marks.mark(error, "a1", "trace", 0.0)
        pickled = pickle.dumps(error)

        assert marks.report_of(pickle.loads(pickled), "trace", 0.0) == "a1"
        assert b"wideevents." not in pickled

    def test_it_keeps_nothing_alive(self) -> None:
        """Neither the exception nor its frames outlive their use."""

        class FailedError(Exception):
            pass

        error = FailedError()
        alive = weakref.ref(error)
        marks.mark(error, "a1", "trace", 0.0)
        marks.make_due(error, "a1", "kind")
        gc.disable()
        try:
            del error
            assert alive() is None
        finally:
            gc.enable()
