"""What the problems room promises."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

import pytest

from wideevents.errors import WideError
from wideevents.problems import CONTENT_TYPE, Problem, problem
from wideevents.redaction import Redaction

REDACTION = Redaction()


def answer(error: BaseException, instance: str | None = None) -> Problem:
    """Return the problem that *error* is."""
    found = problem(error, instance, REDACTION.text)
    assert found is not None
    return found


class Duck(Exception):  # noqa: N818 - what it is called does not matter
    def __init__(self, message: str = "", **attributes: Any) -> None:
        super().__init__(message)
        vars(self).update(attributes)


class TestProblem:
    def test_has_the_members_of_rfc_9457(self) -> None:
        """And what the error says beside them, under names of its own (3.2)."""
        error = WideError("card declined", status=402, why="expired", fix="use another", link="https://a.example/card")
        error.code = "card.declined"
        assert answer(error, "urn:wideevents:event:c3f017a2920b204d").members == {
            "type": "https://a.example/card",
            "title": "Payment Required",
            "status": 402,
            "detail": "card declined",
            "instance": "urn:wideevents:event:c3f017a2920b204d",
            "code": "card.declined",
            "why": "expired",
            "fix": "use another",
        }

    def test_has_no_member_for_what_is_not_said(self) -> None:
        """Absent means left out; the type is then that of the status alone (4.2.1)."""
        assert answer(WideError(status=404)).members == {"type": "about:blank", "title": "Not Found", "status": 404}

    def test_goes_out_as_json_of_its_own_type(self) -> None:
        """A client knows by it that this is no answer of the application."""
        found = answer(WideError("Käse ist aus \ud800", status=409))
        assert found.headers == {"Content-Type": "application/problem+json"} == {"Content-Type": CONTENT_TYPE}
        assert found.status == 409
        assert found.body.isascii()
        assert json.loads(found.body)["detail"] == "Käse ist aus \ud800"

    @pytest.mark.parametrize("status", [None, 200, 399, 600, "402", 402.0, True], ids=repr)
    def test_of_a_wide_error_without_a_status_is_a_500(self, status: Any) -> None:
        """What its author wrote is told all the same."""
        found = answer(WideError("out of order", status=status))
        assert (found.status, found.members["title"], found.members["detail"]) == (
            *(500, "Internal Server Error"),
            "out of order",
        )

    @pytest.mark.parametrize(
        ("status", "title"),
        [(400, "Bad Request"), (HTTPStatus.CONFLICT, "Conflict"), (499, "Bad Request"), (599, "Internal Server Error")],
    )
    def test_has_the_phrase_of_its_status(self, status: int, title: str) -> None:
        """One that is not registered is the first of its class (RFC 9110, 15)."""
        found = answer(WideError(status=status))
        assert (found.status, type(found.members["status"]), found.members["title"]) == (int(status), int, title)

    @pytest.mark.parametrize(
        ("link", "kind"),
        [
            ("https://a.example/x?y=1#z", "https://a.example/x?y=1#z"),
            ("/problems/declined", "/problems/declined"),
            ("tag:a.example,2026:declined", "tag:a.example,2026:declined"),
            ("see the wiki", "about:blank"),
            ("https://a.example/\n", "about:blank"),
            ("https://a.example/ü", "about:blank"),
            ('"><script>', "about:blank"),
            ("", "about:blank"),
        ],
    )
    def test_has_the_link_for_a_type_if_it_is_a_reference(self, link: str, kind: str) -> None:
        """A client may compare it, or follow it (3.1.1)."""
        assert answer(WideError(link=link)).members["type"] == kind

    def test_tells_no_secret(self) -> None:
        """Somebody puts the password into the message."""
        secret = "postgres://shop:hunter22@db.example/orders"
        error = WideError(secret, why=f"at {secret}", fix=secret, code=secret, link=secret)
        assert b"hunter22" not in answer(error).body

    def test_tells_no_field(self) -> None:
        """They are for the event, and so is what caused the error."""
        error = WideError("declined", status=402, customer="ann", card={"holder": "Ann"})
        error.__cause__ = ValueError("issuer said 05")
        error.add_note("look at shard 7")
        assert {*answer(error).members} == {"type", "title", "status", "detail"}


class TestOthers:
    """Exceptions of any class that explain themselves."""

    @pytest.mark.parametrize("name", ["why", "fix", "link"])
    def test_with_a_status_and_a_text_are_problems(self, name: str) -> None:
        """Whoever gives them means who reads the answer."""
        found = answer(Duck("no such cart", status=404, code="gone", **{name: "text"}))
        assert (found.status, found.members["detail"], found.members["code"]) == (404, "no such cart", "gone")
        assert "text" in found.members.values()

    @pytest.mark.parametrize(
        "error",
        [
            ValueError("internal"),
            Duck("internal", status=404),
            Duck("internal", why="text"),
            Duck("internal", status=404, code=7),
            Duck("internal", status=404, code="not_found"),
            Duck("internal", status=200, why="text"),
            Duck("internal", status=600, why="text"),
            Duck("internal", status=True, why="text"),
            Duck("internal", status="404", why="text"),
            SystemExit("internal"),
        ],
        ids=lambda error: repr(vars(error)),
    )
    def test_are_none_without_both(self, error: BaseException) -> None:
        """Their message was written for a log: a status is what other libraries say that they were answered with."""
        assert problem(error, None, REDACTION.text) is None

    def test_whose_properties_raise_are_none(self) -> None:
        """They say nothing of themselves."""

        class BrokenError(Exception):
            why = "text"

            @property
            def status(self) -> int:
                raise KeyboardInterrupt

        assert problem(BrokenError(), None, REDACTION.text) is None
