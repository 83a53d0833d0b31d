"""What is found in the request: its event, its doors, and what else was written."""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware

import wideevents
from tests.doctor.conftest import found, serving, shop
from wideevents import config
from wideevents.context import variable
from wideevents.doctor import Finding, Severity, examine, probe
from wideevents.doctor.examination import visit
from wideevents.integrations import flask, wsgi
from wideevents.sinks.memory import MemorySink


class TestHealthy:
    def test_a_healthy_application_has_no_finding(self) -> None:
        """Also in a test of the user's own: `assert examine(app) == []`."""
        assert examine(shop()) == []

    def test_what_a_healthy_application_does_is_no_finding(self) -> None:
        """It logs, warns, adds fields, has events of its own, and prints JSON."""

        def work() -> Iterator[str]:
            logging.getLogger("shop.stock").warning("low stock")
            with warnings.catch_warnings():
                warnings.simplefilter("always")
                warnings.warn("soon to be gone", DeprecationWarning, stacklevel=1)
            wideevents.add_field("user.id", 42)
            with wideevents.event("mail"):
                print(json.dumps({"mail": "sent"}))
            yield "one"
            yield "two"

        assert found(serving(work), changes=True) == {}  # Python gives the logger of warnings a handler

    @pytest.mark.parametrize("path", ["/nowhere", "/?page=2", "/caf%C3%A9"])
    def test_any_path_will_do(self, path: str) -> None:
        """A 404 leaves an event like any other."""
        assert found(shop(), path) == {}

    def test_a_path_is_read_as_a_server_reads_it(self) -> None:
        """Its escapes are bytes of UTF-8."""
        app = shop()
        app.add_url_rule("/café", "cafe", lambda: "coffee")

        assert visit(lambda: app, "/caf%C3%A9?cup=1").status == "200 OK"

    def test_a_quiet_route_leaves_no_event_on_purpose(self) -> None:
        """Its event is of the level debug."""
        app = shop()
        app.add_url_rule("/healthz", "healthz", lambda: "well")

        assert found(app, "/healthz") == {}

    def test_nothing_is_left_behind(self) -> None:
        """Inside an event of a test's own, too: the request is none of its parts."""
        app = shop()
        with wideevents.event("test") as event:
            assert found(app) == {}
            assert event is variable.get()

    def test_the_request_is_not_written(self) -> None:
        """Its event and its lines are caught."""
        sink = MemorySink()
        examine(shop(output=sink))

        assert (sink.lines, sink.log_lines) == ([], [])

    def test_a_process_that_is_not_configured_is_so_afterwards(self) -> None:
        """The defaults serve meanwhile."""
        app = shop()
        before = config.recorder()
        with config.kept():
            config._process.recorder = config._process.logs = None  # type: ignore[attr-defined, unused-ignore]
            findings = {finding.slug for finding in examine(app)}
            assert config._process.recorder is None
        assert (findings, config.recorder()) == ({"service-unnamed", "last-resort"}, before)


class TestDoors:
    def test_flask_without_a_door(self) -> None:
        """The request leaves no event; the fix is Flask's."""
        app = Flask("bare")
        shop()
        finding = found(app)["door-missing"]

        assert finding.what == "GET / came by no door of wideevents, and left no event."
        assert "WideEvents(app), in the factory" in finding.fix

    def test_any_other_application_without_a_door(self) -> None:
        """The fix is that of WSGI."""
        shop()

        assert "integrations.wsgi" in found(greet)["door-missing"].fix

    def test_two_doors_around_one_application(self) -> None:
        """The inner one's settings are without effect, though there is one event."""
        app = shop()
        app.wsgi_app = wsgi.WideEvents(app.wsgi_app)  # type: ignore[method-assign]

        assert found(app)["door-twice"].what == (
            "The request came by wideevents.integrations.flask within wideevents.integrations.wsgi."
        )

    def test_an_application_that_is_mounted_in_another_may_have_its_own(self) -> None:
        """It adds to the outer event."""
        outer, inner = shop(), Flask("inner")
        flask.WideEvents(inner)
        outer.wsgi_app = wsgi.WideEvents(  # type: ignore[method-assign]
            DispatcherMiddleware(greet, {"/inner": inner})
        )

        assert found(outer, "/inner/") == {}

    def test_a_middleware_that_makes_two_requests_of_one(self) -> None:
        """With an environ of its own the door cannot know."""
        shop()
        app = wsgi.WideEvents(greet)

        def again(environ: dict[str, Any], start_response: Any) -> Any:
            list(app(dict(environ), start_response))
            return app(dict(environ), start_response)

        assert found(again)["event-twice"].what == "GET / left 2 events: GET and GET."

    def test_a_stage_that_drops_the_event(self) -> None:
        """The request was followed, and there is no line."""
        assert found(shop(stages=(lambda event: None,)))["event-missing"].what == (
            "The event of GET / ended, and was dropped by a stage."
        )

    def test_an_event_that_does_not_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nobody has seen it; it would be ours to mend."""
        monkeypatch.setattr("wideevents.recorder.Recorder.finish", lambda self, event: None)
        app = shop()
        findings = {finding.slug: finding for finding in examine(app)}
        config.recorder().in_progress.clear()

        assert findings["event-missing"].what == "The event of GET / did not end."

    def test_a_level_that_drops_what_succeeds(self) -> None:
        """There is no production record then."""
        findings = found(shop(level="warning"))

        assert {slug: finding.what for slug, finding in findings.items()} == {
            "level-high": "The configured level is warning."
        }

    def test_a_request_that_configures_the_process_is_followed(self) -> None:
        """Late, but no fault of its own."""

        def configure() -> str:
            wideevents.configure(service="shop")
            return "configured"

        assert found(serving(configure), changes=True) == {}


class TestFailures:
    def test_a_request_that_fails(self) -> None:
        """What comes after success was not seen."""
        finding = found(serving(lambda: 1 / 0))["request-failed"]

        assert (finding.what, finding.severity) == (
            "GET / was answered with 500 INTERNAL SERVER ERROR.",
            Severity.WARNING,
        )

    def test_an_application_that_raises(self) -> None:
        """It does not raise into the doctor; its event is there all the same."""
        app = serving(lambda: 1 / 0)
        app.testing = True

        assert found(app)["request-failed"].what == "The application raised ZeroDivisionError for GET /."

    def test_an_application_that_does_not_answer(self) -> None:
        """WSGI wants a status before the body."""
        shop()

        assert found(wsgi.WideEvents(lambda environ, start_response: []))["request-failed"].what == (
            "GET / was answered with nothing."
        )

    def test_the_body_is_closed(self) -> None:
        """As servers do: applications let go of what they hold."""
        shop()
        closed = []

        class Body(list[bytes]):
            def close(self) -> None:
                closed.append(self)

        def work(environ: dict[str, Any], start_response: Any) -> Any:
            start_response("200 OK", [])
            return Body([b"one"])

        assert (found(wsgi.WideEvents(work)), len(closed)) == ({}, 1)

    def test_an_endless_body_is_left(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A stream of events has no end; the client may leave it."""
        monkeypatch.setattr(probe, "ENDLESS", -1)

        assert found(serving(lambda: iter(lambda: "again", None))) == {}


class TestOutput:
    def test_a_print(self) -> None:
        """It is named with its line; what it printed is hidden where it is secret."""

        def shout() -> str:
            print("password=hunter2 of", "Alice", "x" * 80)
            return "shouted"

        finding = found(serving(shout))["plain-output"]
        place = f"tests/doctor/test_requests.py:{shout.__code__.co_firstlineno + 1}"

        assert finding.what.startswith(f"{place} wrote 'password=[redacted] of Alice xxx")
        assert finding.what.endswith("...', to standard output.")

    def test_what_comes_past_python(self) -> None:
        """A library in C, or another process: nobody knows whose it is."""

        def shout() -> str:
            os.write(2, b"segfault ahead\n")
            return "shouted"

        assert found(serving(shout))["plain-output"].what == "Somebody wrote 'segfault ahead', to standard error."

    def test_several_prints(self) -> None:
        """Three are named, and the rest is counted."""

        def shout() -> str:
            print("a")
            print("b")
            sys.stdout.writelines(["c\n"])
            print("d")
            return "shouted"

        assert found(serving(shout))["plain-output"].what.count(" wrote ") == 3

    def test_what_a_handler_writes_is_told_of_the_handler(self) -> None:
        """Once."""

        def log() -> str:
            logging.getLogger("shop").error("out of stock")
            return "logged"

        app = serving(log)
        logging.getLogger().addHandler(logging.StreamHandler(sys.__stderr__))
        logging.getLogger("shop").addHandler(logging.StreamHandler())

        assert {finding.slug for finding in examine(app)} == {"duplicate-handlers"}

    def test_a_stream_that_is_closed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Lines would go into whatever is opened next."""
        app = shop()
        saved = os.dup(2)
        os.close(2)
        monkeypatch.setattr(sys, "stderr", None)
        try:
            findings = examine(app)
        finally:
            os.dup2(saved, 2)
            os.close(saved)

        assert [finding.what for finding in findings] == ["The standard error is closed."]


def add_outside() -> None:
    """Add a field where no event is in progress."""
    variable.set(None)
    wideevents.add_field("user.id", 42)


class TestProcess:
    def test_a_service_without_a_name(self) -> None:
        """Its lines are anybody's."""
        assert list(found(shop(service=None))) == ["service-unnamed"]

    @pytest.mark.parametrize(("environment", "slugs"), [("production", ["debug-in-production"]), ("staging", [])])
    def test_debug_mode_in_production(self, environment: str, slugs: list[str]) -> None:
        """Elsewhere it is nobody's business."""
        app = shop(environment=environment)
        app.debug = True

        assert slugs == list(found(app))

    @pytest.mark.parametrize(
        ("work", "what"),
        [
            (add_outside, "fields.without_event 1 times: "),
            (lambda: wideevents.add_field("event.id", 42), "fields.reserved 1 times"),
        ],
    )
    def test_faults_that_were_counted(self, work: Callable[[], None], what: str) -> None:
        """With the sentence that was told, if it was told now."""
        finding = faults(serving(lambda: str(work())))  # type: ignore[func-returns-value]

        assert finding.what.startswith(f"wideevents counted {what}")
        assert finding.fix

    def test_a_fault_that_was_told_before(self) -> None:
        """The sentence is not told again, and the fault is."""
        app = serving(lambda: str(wideevents.add_field("event.id", 42)))  # type: ignore[func-returns-value]
        faults(app)

        assert faults(app).what == "wideevents counted fields.reserved 1 times."


def faults(app: Flask) -> Finding:
    """Examine *app*, and return what was counted."""
    return found(app)["faults"]


def greet(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Serve a request."""
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]


class TestOrder:
    def test_errors_come_first(self, tmp_path: Path) -> None:
        """Whatever was looked at first."""
        app = shop(service=None)
        logging.getLogger("shop").propagate = False

        assert [finding.severity for finding in examine(app)] == [Severity.ERROR, Severity.WARNING]
