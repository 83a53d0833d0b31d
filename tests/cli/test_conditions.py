"""What the conditions of `tail` promise."""

from __future__ import annotations

from argparse import ArgumentTypeError
from typing import Any

import pytest

from wideevents.cli.conditions import Condition

FIELDS: dict[str, Any] = {
    "http.response.status_code": 500,
    "duration_ms": 12.5,
    "user.plan": "STARTER",
    "size": "17",
    "exception.handled": False,
    "tags": ["a", "é"],
    "note": "a = b",
    "odd": "",
}


class TestCondition:
    @pytest.mark.parametrize(
        "text",
        [
            "user.plan",
            "odd",
            "user.plan=STARTER",
            " user.plan = STARTER ",
            "user.plan!=PRO",
            "missing!=PRO",
            "odd=",
            "note=a = b",
            "http.response.status_code=500",
            "http.response.status_code=500.0",
            "http.response.status_code>=500",
            "http.response.status_code>499",
            "http.response.status_code<=500",
            "duration_ms<12.6",
            "size>=17",
            "size=17",
            "exception.handled=false",
            'tags=["a", "é"]',
        ],
    )
    def test_holds(self, text: str) -> None:
        """For a field that is there, is the same, or compares as it says."""
        assert Condition.parse(text)(FIELDS)

    @pytest.mark.parametrize(
        "text",
        [
            "missing",
            "missing=",
            "missing>=0",
            "user.plan=starter",
            "user.plan!=STARTER",
            "user.plan>=0",
            "user.plan<0",
            "http.response.status_code!=500.0",
            "http.response.status_code>500",
            "http.response.status_code>=500.1",
            "http.response.status_code<500",
            "http.response.status_code<=499",
            "exception.handled=0",
            "exception.handled<=0",
            "tags>=0",
            "odd!=",
        ],
    )
    def test_does_not_hold(self, text: str) -> None:
        """What is missing, another, or no number."""
        assert not Condition.parse(text)(FIELDS)

    @pytest.mark.parametrize("text", ["", " ", "=1", ">=5", "!", "a!b", "!=x"])
    def test_refuses_what_it_cannot_read(self, text: str) -> None:
        """In a sentence that shows the forms there are."""
        with pytest.raises(ArgumentTypeError, match="is none of key, key=value"):
            Condition.parse(text)

    @pytest.mark.parametrize("text", ["a>=", "a<slow", "a=>5 and more"])
    def test_refuses_to_compare_with_what_is_no_number(self, text: str) -> None:
        """`a=>5` asks for a text, which there may be; `a<slow` would never hold."""
        if text == "a=>5 and more":
            assert Condition.parse(text)({"a": ">5 and more"})
        else:
            with pytest.raises(ArgumentTypeError, match="which is no number"):
                Condition.parse(text)
