"""What the tracebacks room promises."""

from __future__ import annotations

import json

import pytest

from wideevents.frames import Application
from wideevents.stacks import printed
from wideevents.tracebacks import OURS, rows

STACK = """\
Traceback (most recent call last):
> File "/srv/shop/pay.py", line 4, in pay
    provider.charge(card)
    ^^^^^^^^^^^^^^^^^^^^^
  ... 7 frames of flask, werkzeug
  File "/venv/lib/python3.11/site-packages/bank/api.py", line 9, in call
    raise Refused
    ^^^^^^^^^^^^^
bank.api.Refused: no"""


def styles(stack: str) -> dict[str, set[str]]:
    """Return the styles of the words of *stack*, by the row that they stand in."""
    return {row.plain: {str(span.style) for span in row.spans} | {str(row.style)} for row in rows(stack)}


class TestRows:
    def test_are_those_of_the_stack_without_the_marks_below_a_librarys(self) -> None:
        """What a library underlines is not what a person looks for."""
        shown = [row.plain for row in rows(STACK)]
        told = STACK.split("\n")

        assert shown == [*told[:7], told[8]]

    def test_a_frame_of_the_applications_has_its_mark_in_colour(self) -> None:
        """It is what a person looks for."""
        (own,) = [row for row in rows(STACK) if row.plain.startswith(">")]

        assert [(span.start, span.end) for span in own.spans if span.style == "bold red"] == [(0, 1)]
        assert len(own.spans) == 3, "the rest is highlighted as Python's own"

    def test_what_follows_a_mark_is_highlighted_as_it_would_be_without(self) -> None:
        """A mark is nothing that Python prints, and a highlighter takes all below it for noise."""
        plain = styles(STACK.replace("> File", "  File").replace("  ... 7 frames of flask, werkzeug\n", ""))
        marked = styles(STACK)

        last = "bank.api.Refused: no"
        assert marked[last] == plain[last]
        assert marked["    provider.charge(card)"] == plain["    provider.charge(card)"]

    @pytest.mark.parametrize(
        "row", ["  ... 7 frames of flask, werkzeug", "  ... 1 frame of json", "    |   ... 3 frames of Python"]
    )
    def test_what_stands_for_several_frames_stands_back(self, row: str) -> None:
        """As the frames would."""
        assert styles(f"Traceback (most recent call last):\n{row}\nValueError: x")[row] == {OURS}

    def test_a_group_has_its_marks_inside_its_margin(self) -> None:
        """As it is written by the one who prints it."""
        errors = []
        for text in ("{", "["):
            try:
                json.loads(text)
            except ValueError as error:
                errors.append(error)
        stack = printed(ExceptionGroup("two", errors), Application().owns)
        shown = [row.plain for row in rows(stack)]

        assert sum("> File" in row for row in shown) == 2
        assert set(shown) <= set(stack.split("\n"))
