"""The README keeps its word: every block runs, and says what really comes out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import wideevents
from wideevents import testing

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()

WORDS = 1_500

DIFFERENT_EVERY_TIME = {
    "timestamp",
    "event.id",
    "trace.id",
    "duration_ms",
    "ttfb_ms",
    "payment.duration_ms",
    "http.request.id",
    "uptime_s",
    "service.instance.id",
    "host.name",
    "process.pid",
    "process.runtime.version",
    "framework.version",
    "user_agent.original",
    "vcs.ref.head.revision",
}


def blocks(language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


@pytest.fixture
def told() -> Iterator[dict[str, Any]]:
    """Run every Python block, in their order and in one module, as a reader would."""
    module: dict[str, Any] = {"__name__": "readme"}
    with testing.capture() as module["events"]:
        for block in blocks("python"):
            exec(compile(block, "README.md", "exec"), module)
        yield module


class TestBlocks:
    def test_the_first_example_writes_the_line_that_is_shown(self, told: dict[str, Any]) -> None:
        """What a reader sees first is what comes out, but for times, ids and machines."""
        shown = json.loads(blocks("json")[0])
        with testing.capture() as events:
            told["app"].test_client().post("/carts/7/checkout?coupon=SPRING&token=x3")
        written = events.one()

        assert list(written) == [name for name in shown if name in written]
        assert set(shown) - set(written) <= {"vcs.ref.head.revision"}
        same = written.keys() - DIFFERENT_EVERY_TIME
        assert {name: shown[name] for name in same} == {name: written[name] for name in same}

    def test_the_nightly_job_is_one_trace_and_its_steps_are_their_own(self, told: dict[str, Any]) -> None:
        """The inner event names the outer one, steps are linked to it, and each field is in the right line."""
        totals, *pages, nightly = told["events"]

        assert (totals["parent.id"], totals["trace.id"]) == (nightly["event.id"], nightly["trace.id"])
        assert totals["rows"] == 500
        assert [(page["page"], page["link.event.id"]) for page in pages] == [(n, nightly["event.id"]) for n in range(3)]
        assert (nightly["area"], nightly["cart.items"], nightly["cache.miss"]) == ("stock", 3, 1)
        assert (nightly["level"], nightly["error.type"]) == ("warning", "IndexError")
        assert (nightly["event.kind"], nightly["report.page.count"]) == ("script", 3)

    def test_the_test_of_the_readme_passes(self, told: dict[str, Any]) -> None:
        """The fixture is used as it is shown."""
        with testing.capture() as events:
            told["test_checkout_says_what_was_bought"](events)

        assert len(events) == 1

    def test_the_extended_redaction_hides_more(self, told: dict[str, Any]) -> None:
        """What was added to the lists is hidden, what was declared safe is not."""
        with testing.capture() as events, wideevents.event("signup"):
            wideevents.add_fields({"loyaltyNumber": 7, "note": "card ACME-12345678", "form.token_kind": "csrf"})

        assert events.one()["loyaltyNumber"] == "[redacted]"
        assert events.one()["note"] == "card [redacted]"
        assert events.one()["form.token_kind"] == "csrf"

    def test_the_log_call_does_what_is_said(self, told: dict[str, Any]) -> None:
        """Its line has the id of its event, which is a warning now."""
        with testing.capture() as events:
            told["app"].test_client().post("/pay")
            event, (line,) = events.one(), events.lines

        assert (event["level"], event["log.count.warning"]) == ("warning", 1)
        assert (line["event.id"], line["message"]) == (event["event.id"], "card of ann declined")
        assert (line["payment.attempt"], "alert.urgency" in line) == (2, False)


class TestText:
    def test_is_short(self) -> None:
        """A reader has five minutes; details live in docstrings."""
        assert len(README.split()) <= WORDS

    def test_shows_code_before_anybody_leaves(self) -> None:
        """The first example begins before word 150."""
        assert len(README.partition("```python")[0].split()) < 150

    def test_commands_exist(self) -> None:
        """What a reader is told to type is a target of the Makefile."""
        makefile = (ROOT / "Makefile").read_text()
        commands = re.findall(r"^\$ make (\w+)$", "".join(blocks("console")), re.MULTILINE)

        assert commands
        assert [name for name in commands if f"\n{name}:" not in makefile] == []
