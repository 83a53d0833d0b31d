"""What timing a call promises, and who is told of the event."""

from __future__ import annotations

from typing import Any

import pytest

import wideevents
from tests.conftest import Written
from wideevents import health
from wideevents.context import current
from wideevents.errors import ConfigurationError
from wideevents.integrations._calls import Call, Propagation, check_inner, checked, of_request
from wideevents.recorder import Recorder
from wideevents.tracecontext import TraceParent

pytestmark = pytest.mark.usefixtures("recorder")

IDS = {"traceparent", "tracestate", "x-request-id"}


def told_to(host: str, hosts: Any = True, present: tuple[str, ...] = ()) -> set[str]:
    """Return the names of the headers that a request to *host* is given, in an event that has all of them."""
    with wideevents.event("work") as event:
        event.parent = TraceParent("a" * 32, "b" * 16, state="vendor=1")
        event.request_id = "r-1"
        return set(Propagation(hosts).headers(host, present))


class TestCall:
    def test_counts_once(self, written: Written) -> None:
        """A body that is closed may be collected, too; what was first is true."""
        with wideevents.event("work"):
            call = Call("db", "SELECT", str)
            assert call.counts
            call.end()
            call.end(failed=True)
            assert not call.counts

        line = written.one()
        assert (line["db.count"], line["db.slowest"]) == (1, "SELECT")
        assert "db.failures" not in line

    def test_counts_in_the_event_in_which_it_began(self, written: Written) -> None:
        """Another one may be in progress when it ends."""
        with wideevents.event("outer"):
            call = Call("db", "SELECT", str)
            with wideevents.event("inner"):
                call.end()

        assert written.named("outer")["db.count"] == 1
        assert "db.count" not in written.named("inner")

    def test_what_ends_after_its_event_is_too_late(self, written: Written) -> None:
        """It is no error, and it is told, as whatever comes too late."""
        with wideevents.event("work"):
            call = Call("db", "SELECT", str)
        call.end()

        assert "db.count" not in written.one()
        assert health.take_unreported() == {"events.late_writes": 1}

    def test_is_nothing_outside_any_event(self) -> None:
        """What was asked is not even read."""
        call = Call("db", "SELECT", lambda asked: pytest.fail("was read"))
        call.end(failed=True)

        assert not call.counts
        assert health.take_unreported() == {}

    def test_is_nothing_in_an_event_that_has_ended(self, recorder: Recorder) -> None:
        """Its shell may still stand where a thread looks."""
        with wideevents.event("work") as event:
            recorder.finish(event)
            assert current() is None
            assert not Call("db", "SELECT", str).counts

    def test_fails_with_what_raises_in_its_block(self, written: Written) -> None:
        """And lets it pass."""
        with wideevents.event("work"):
            with pytest.raises(KeyboardInterrupt), Call("db", "SELECT", str):
                raise KeyboardInterrupt
            with Call("db", "SELECT", str):
                pass

        assert (written.one()["db.count"], written.one()["db.failures"]) == (2, 1)

    @pytest.mark.parametrize(
        ("host", "port", "told"),
        [
            ("shop.example", None, "GET shop.example"),
            ("shop.example", 80, "GET shop.example"),
            ("shop.example", 443, "GET shop.example"),
            ("shop.example", 8080, "GET shop.example:8080"),
            ("::1", None, "GET ::1"),
            ("::1", 8080, "GET [::1]:8080"),
        ],
    )
    def test_is_told_by_its_method_and_its_host(self, host: str, port: int | None, told: str, written: Written) -> None:
        """A port that says something is told, too: services on one host differ by it."""
        with wideevents.event("work"):
            of_request("GET", host, port).end()

        assert written.one()["http.client.slowest"] == told

    def test_a_secret_in_what_is_told_is_redacted(self, written: Written) -> None:
        """What is told comes from outside."""
        with wideevents.event("work"):
            for _ in range(2):
                Call("db", "COPY a FROM postgres://ann:hunter22@db.example/shop", str).end()

        assert "hunter22" not in str(written.one())


class TestPropagation:
    @pytest.mark.parametrize(
        ("hosts", "host", "reached"),
        [
            (True, "anywhere.example", True),
            (False, "anywhere.example", False),
            ((), "anywhere.example", False),
            (("api.shop.example",), "api.shop.example", True),
            (("api.shop.example",), "API.Shop.example.", True),
            (("API.shop.example",), "api.shop.example", True),
            (("api.shop.example",), "shop.example", False),
            (("api.shop.example",), "evil-api.shop.example", False),
            (["*.shop.example"], "api.shop.example", True),
            (["*.shop.example"], "a.b.shop.example", True),
            (["*.shop.example"], "shop.example", False),
            (["*.shop.example"], "evilshop.example", False),
            (["*.shop.example"], "shop.example.evil", False),
            ({"localhost", "127.0.0.1", "::1"}, "::1", True),
            (frozenset({"*.internal"}), "billing.internal", True),
        ],
    )
    def test_reaches_the_hosts_that_are_named(self, hosts: Any, host: str, reached: bool) -> None:
        """And no other; names of hosts have no case."""
        assert told_to(host, hosts) == (IDS if reached else set())

    @pytest.mark.parametrize(
        ("present", "told"),
        [
            (("accept",), IDS),
            (("traceparent",), {"x-request-id"}),
            (("tracestate",), {"x-request-id"}),
            (("x-request-id",), {"traceparent", "tracestate"}),
            (("traceparent", "x-request-id"), set()),
        ],
    )
    def test_leaves_what_is_there(self, present: tuple[str, ...], told: set[str]) -> None:
        """A state of ours beside a parent of theirs would belong to nothing."""
        assert told_to("shop.example", present=present) == told

    def test_tells_nothing_outside_any_event(self) -> None:
        """There is nothing to tell."""
        assert Propagation().headers("shop.example", ()) == {}

    @pytest.mark.parametrize(
        "hosts",
        [
            None,
            1,
            "shop.example",
            ("http://shop.example",),
            ("shop.example/a",),
            ("",),
            ("*",),
            (b"a",),
            ("a*.b",),
            {"a": 1},
        ],
    )
    def test_refuses_what_is_no_host(self, hosts: Any) -> None:
        """Where it is given, in a sentence that says what to do."""
        with pytest.raises(
            ConfigurationError, match=r"propagate=.* cannot be used: it must be True, False, or a tuple"
        ):
            Propagation(hosts)


class TestChecked:
    @pytest.mark.parametrize("name", ["db", "cache", "redis", "db.reports", "a_1.b_2"])
    def test_takes_a_name(self, name: str) -> None:
        """With dots, if you like."""
        assert checked(name) == name

    @pytest.mark.parametrize(
        "name",
        [
            "",
            "Db",
            "a b",
            "1a",
            "a.",
            "http",
            "http.client",
            "log",
            "event",
            "db.count",
            "duration_ms",
            "process.pid.x",
        ],
    )
    def test_refuses_a_name_that_is_ours_or_none(self, name: str) -> None:
        """It would be two things at once."""
        with pytest.raises(ConfigurationError, match="it must be a name in lower case that is not ours"):
            checked(name)

    @pytest.mark.parametrize("name", [None, 5, b"db", "x" * 60])
    def test_refuses_what_is_no_text_or_too_long(self, name: Any) -> None:
        """A field's name is short."""
        with pytest.raises(ConfigurationError, match="name="):
            checked(name)


class TestInner:
    def test_takes_one_that_is_made_or_options_for_one(self) -> None:
        """Not both."""
        assert check_inner(None, str, {"a": 1}) is check_inner("made", str, {}) is None  # type: ignore[func-returns-value]
        with pytest.raises(ConfigurationError, match="a= cannot be used: it belongs to what is given as inner"):
            check_inner("made", str, {"a": 1})
        with pytest.raises(ConfigurationError, match="inner=5 cannot be used: it must be a str"):
            check_inner(5, str, {})
