"""What the stage promises that says whom an event calls."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

import wideevents
from tests.strict import parse_line, parse_log_line
from wideevents import config, health
from wideevents.alerts import Alerts
from wideevents.sinks.memory import MemorySink

RUNBOOK = "https://wiki.example/payments"


class Settings:
    """Configure the process, and read what it writes."""

    def __init__(self) -> None:
        self.sink = MemorySink()

    def configure(self, **settings: Any) -> None:
        """Configure, with lines of the logging module too."""
        wideevents.configure(output=self.sink, **settings)

    def event(self, name: str = "job", work: Callable[[], object] = lambda: None, **fields: object) -> dict[str, Any]:
        """Return what an event writes in which *work* is done, whatever that raises."""
        try:
            with wideevents.event(name, **fields):
                work()
        except ValueError:
            pass
        return parse_line(self.sink.lines[-1])

    def said(self, *arguments: Any, level: int = logging.ERROR, **named: Any) -> dict[str, Any]:
        """Return the line of a log call."""
        logging.getLogger("shop.pay").log(level, *arguments, **named)
        return parse_log_line(self.sink.log_lines[-1])


@pytest.fixture
def process() -> Iterator[Settings]:
    """Configure the process for the test, and put it back."""
    with config.kept():
        yield Settings()


@pytest.fixture
def owned(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Let this module have an owner and a runbook."""
    module = sys.modules[__name__]
    monkeypatch.setattr(module, "__owner__", "payments", raising=False)
    monkeypatch.setattr(module, "__runbook__", RUNBOOK, raising=False)
    return module


def fail(message: str = "no answer") -> None:
    raise ValueError(message)


def fail_elsewhere() -> None:
    raise ValueError("no answer")


def warn() -> None:
    logging.getLogger("shop").warning("low stock")


class TestOwner:
    def test_code_says_it_of_one_event(self, process: Settings, owned: ModuleType) -> None:
        """An argument goes before all that is configured."""
        process.configure(owner="platform", alerts=Alerts(owners={"job": "jobs"}))
        given = {"owner.team": "mine", "alert.runbook": "https://mine"}
        line = process.event("job", fail, **given)

        assert given == {name: line[name] for name in given}

    def test_also_of_one_that_went_well(self, process: Settings) -> None:
        """Whose it is does not change when it fails."""
        process.configure(owner="platform")

        assert process.event("job", **{"owner.team": "mine"})["owner.team"] == "mine"

    def test_then_its_route_or_name(self, process: Settings, owned: ModuleType) -> None:
        """Then what is configured for it."""
        process.configure(owner="platform", alerts=Alerts(owners={"job": "jobs"}))

        assert [process.event("job", work)["owner.team"] for work in (fail, warn, int)] == ["jobs"] * 3

    def test_then_the_module_that_broke(self, process: Settings, owned: ModuleType) -> None:
        """Whoever wrote it knows what to do; what went well has no code that is known, and is the process's."""
        process.configure(owner="platform")

        assert [process.event("job", work)["owner.team"] for work in (fail, int)] == ["payments", "platform"]

    def test_nobody_where_nothing_is_known(self, process: Settings) -> None:
        """Absent means left out."""
        process.configure()

        assert "owner.team" not in process.event("job", fail)

    def test_of_several_errors_the_one_that_stands_counts(self, process: Settings, owned: ModuleType) -> None:
        """The one that nobody handled, though another was noted before."""

        def handle_and_fail() -> None:
            wideevents.add_error(TypeError("never raised, and so from nowhere"))
            fail()

        process.configure()
        assert process.event("job", handle_and_fail)["owner.team"] == "payments"

    def test_a_healthy_event_is_looked_up_once(self, process: Settings) -> None:
        """It is on the way of every request; applications that invent names cost no memory."""
        process.configure(alerts=Alerts(owners={"job 7": "jobs"}))
        for number in range(5_000):
            with wideevents.event(f"job {number}"):
                pass

        assert process.event("job 7")["owner.team"] == "jobs"
        assert "owner.team" not in process.event("job 4999")

    def test_a_handler_that_cannot_be_hashed_is_looked_up_each_time(self, process: Settings) -> None:
        """A framework may call what it likes."""
        process.configure(owner="platform")
        with wideevents.event("job") as event:
            event.handler = []  # type: ignore[assignment]

        assert parse_line(process.sink.lines[-1])["owner.team"] == "platform"
        assert health.faults.counts() == {}


class TestFingerprint:
    def test_stands_from_warning_on(self, process: Settings) -> None:
        """What calls nobody needs none."""
        process.configure()

        assert ["alert.fingerprint" in process.event("job", work) for work in (fail, warn, int)] == [True, True, False]

    def test_the_same_error_alerts_once(self, process: Settings) -> None:
        """Whatever its message; another place, another event or another service is another alert."""
        process.configure(service="shop")
        same = {process.event("job", lambda text=text: fail(text))["alert.fingerprint"] for text in ("a 1", "b 2")}  # type: ignore[misc]
        others = [process.event("other", fail), process.event("job", fail_elsewhere), process.event("job", warn)]
        process.configure(service="office")
        others.append(process.event("job", fail))
        process.configure(service="shop", environment="staging")
        others.append(process.event("job", fail))

        assert len(same) == 1
        assert len(same | {line["alert.fingerprint"] for line in others}) == 6

    def test_a_warning_and_the_error_of_it_are_one(self, process: Settings) -> None:
        """The level is left out: when it gets worse it is still the same thing to look at."""

        def handled(level: str) -> None:
            error = ValueError("x")
            wideevents.add_error(error, level=level)

        process.configure()
        lines = [process.event("job", lambda level=level: handled(level)) for level in ("warning", "error")]  # type: ignore[misc]

        assert [line["level"] for line in lines] == ["warning", "error"]
        assert len({line["alert.fingerprint"] for line in lines}) == 1


class TestRunbook:
    def test_says_what_to_do(self, process: Settings, owned: ModuleType) -> None:
        """That of the module; nobody reads it for what went well."""
        process.configure()

        assert [process.event("job", work).get("alert.runbook") for work in (fail, int)] == [RUNBOOK, None]

    def test_may_be_that_of_one_error(self, process: Settings, owned: ModuleType) -> None:
        """By its slug, which stays the same."""
        process.configure()
        slug = process.event("job", fail)["exception.slug"]
        process.configure(
            alerts=Alerts(runbooks={slug: "https://wiki.example/this", "job": "https://wiki.example/job"})
        )

        assert process.event("job", fail)["alert.runbook"] == "https://wiki.example/this"

    def test_may_be_that_of_a_team(self, process: Settings) -> None:
        """The last resort."""
        process.configure(owner="platform", alerts=Alerts(runbooks={"platform": RUNBOOK}))

        assert process.event("job", fail)["alert.runbook"] == RUNBOOK


class TestLines:
    def test_a_line_outside_any_event_calls_somebody(self, process: Settings) -> None:
        """Its logger's module says who, as the code that broke does for an event."""
        sys.modules["shop.pay"] = module = ModuleType("shop.pay")
        module.__owner__, module.__runbook__ = "payments", RUNBOOK  # type: ignore[attr-defined]
        try:
            process.configure(owner="platform")
            line = process.said("no answer")
        finally:
            del sys.modules["shop.pay"]

        assert (line["owner.team"], line["alert.runbook"]) == ("payments", RUNBOOK)
        assert len(line["alert.fingerprint"]) == 16

    def test_the_code_that_broke_goes_before_the_logger(self, process: Settings, owned: ModuleType) -> None:
        """Where the call brings an exception."""
        process.configure(owner="platform")
        try:
            fail()
        except ValueError:
            line = process.said("no answer", exc_info=True)

        assert line["owner.team"] == "payments"

    def test_messages_of_one_call_are_one_alert(self, process: Settings) -> None:
        """Ids, numbers and names in quotes differ each time."""
        process.configure()
        same = {
            process.said(text)["alert.fingerprint"]
            for text in ("order 17 of 'ann' failed at 0x7f01", "order 9 of 'bob' failed at 0x8fce")
        }
        other = process.said("order is late")["alert.fingerprint"]

        assert len(same) == 1
        assert {other}.isdisjoint(same)

    def test_a_line_inside_an_event_calls_nobody(self, process: Settings, owned: ModuleType) -> None:
        """Its event does; whose process it is stands on all lines."""
        process.configure(owner="platform")
        process.event("job", warn)
        line = parse_log_line(process.sink.log_lines[-1])

        assert line["owner.team"] == "platform"
        assert not {"alert.fingerprint", "alert.runbook", "alert.urgency"} & line.keys()

    def test_a_calm_one_has_the_owner_of_the_process_alone(self, process: Settings) -> None:
        """Or what the call says itself."""
        process.configure(owner="platform", level="info")

        assert process.said("hello", level=logging.INFO)["owner.team"] == "platform"
        assert process.said("hello", level=logging.INFO, extra={"owner.team": "mine"})["owner.team"] == "mine"
        process.configure()
        assert "owner.team" not in process.said("hello", level=logging.INFO)
