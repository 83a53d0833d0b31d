"""The promise of the whole: one report for each exception, and lines that point to it."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import sentry_sdk
from flask import Flask
from sentry_sdk.client import SDK_INFO
from sentry_sdk.integrations.flask import FlaskIntegration
from sentry_sdk.profiler import continuous_profiler

import wideevents
from tests.conftest import PATIENCE, at_once, in_child
from tests.integrations.servers import eventually
from tests.sinks.sentry import Inbox, hanging, inbox, lost, nobody, withheld
from tests.sinks.sentry.conftest import Configure
from wideevents import config, health
from wideevents.errors import ConfigurationError
from wideevents.integrations.flask import WideEvents
from wideevents.levels import Level
from wideevents.logs import stdlib
from wideevents.sinks.sentry import SentrySink
from wideevents.sinks.sentry.mail import MOST
from wideevents.sinks.sentry.sink import Clock
from wideevents.transactions import event

pytestmark = pytest.mark.usefixtures("reconfigurable")

ID = "sentry.event_id"


class Stopped:
    """A clock that stands still, so that no bucket fills."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.seconds, lambda: self.seconds)


@pytest.fixture
def sink(sentry: Inbox) -> SentrySink:
    """Give a sink that sends to `sentry`."""
    return SentrySink(sentry.dsn)


@pytest.fixture
def logger(configure: Configure) -> Iterator[logging.Logger]:
    """Give a logger whose lines are written where the process is configured to."""
    made = logging.getLogger("shop")
    handler = stdlib.Handler(logs=config.logs)
    made.addHandler(handler)
    made.propagate = False
    made.setLevel(logging.INFO)
    yield made
    made.setLevel(logging.NOTSET)
    made.removeHandler(handler)
    made.propagate = True


def reports(sentry: Inbox, sink: SentrySink) -> list[dict[str, Any]]:
    """Return all reports, once they have arrived, however long that takes a busy machine."""
    sink._mail.close(10 * PATIENCE)
    return sentry.reports


def types(report: dict[str, Any]) -> list[str]:
    """Return the types of the exceptions of a report, the outermost first."""
    return [value["type"] for value in report["exception"]["values"]][::-1]


def fail(error: BaseException) -> str:
    raise error


def failing(work: Callable[[], object]) -> None:
    """Run *work*, which raises."""
    with pytest.raises((Exception, SystemExit)):
        work()


class TestOneReportForEachException:
    def test_an_event_that_fails(self, sentry: Inbox, sink: SentrySink, configure: Configure) -> None:
        """The line and the report point at each other, and the report has the line in it."""
        lines = configure(sink, version="1.4.0")
        with pytest.raises(KeyError), event("job", step=3):
            raise KeyError("sku")
        (report,), (line,) = reports(sentry, sink), lines.events

        assert line[ID] == report["event_id"]
        assert report["contexts"]["wide_event"] == line
        assert report["fingerprint"] == [line["error.fingerprint"]]
        assert (report["level"], report["release"], types(report)) == ("error", "shop@1.4.0", ["KeyError"])

    def test_a_handled_warning(self, sentry: Inbox, sink: SentrySink, configure: Configure) -> None:
        """It is reported as what it is."""
        lines = configure(sink)
        with event("job"):
            wideevents.add_error(OSError("no mail"))
        (report,), (line,) = reports(sentry, sink), lines.events

        assert (report["level"], report["event_id"]) == ("warning", line[ID])
        assert report["exception"]["values"][0]["mechanism"]["handled"] is True

    def test_nested_events_that_fail_together(self, sentry: Inbox, sink: SentrySink, configure: Configure) -> None:
        """Both lines tell of one report, which has the inner event in it: that is where it happened."""
        lines = configure(sink)
        with pytest.raises(KeyError), event("outer"), event("inner"):
            raise KeyError("sku")
        (report,) = reports(sentry, sink)

        assert [line[ID] for line in lines.events] == [report["event_id"]] * 2
        assert report["transaction"] == "inner"

    def test_a_cause_that_was_noted_before(self, sentry: Inbox, sink: SentrySink, configure: Configure) -> None:
        """One report, of what it led to, and an outer event knows the cause again."""
        lines = configure(sink)
        cause = KeyError("sku")
        with event("outer"):
            with suppress(RuntimeError), event("inner"):
                wideevents.add_error(cause)
                raise RuntimeError("not sold") from cause
            wideevents.add_error(cause)
        (report,) = reports(sentry, sink)

        assert types(report) == ["RuntimeError", "KeyError"]
        assert [line[ID] for line in lines.events] == [report["event_id"]] * 2

    def test_a_cause_that_was_reported_before(self, sentry: Inbox, sink: SentrySink, configure: Configure) -> None:
        """It keeps its own report; what it led to elsewhere has another."""
        lines = configure(sink)
        cause = KeyError("sku")
        with suppress(RuntimeError), event("outer"):
            with suppress(KeyError), event("inner"):
                raise cause
            raise RuntimeError("not sold") from cause
        with event("later"):
            wideevents.add_error(cause)
        first, second = reports(sentry, sink)

        assert [types(first), types(second)] == [["KeyError"], ["RuntimeError", "KeyError"]]
        assert [line[ID] for line in lines.events] == [first["event_id"], second["event_id"], first["event_id"]]

    def test_two_exceptions_are_two_reports(self, sentry: Inbox, sink: SentrySink, configure: Configure) -> None:
        """Each is one of its own; the line has the id of the one that it stands for."""
        lines = configure(sink)
        with suppress(ValueError), event("job"):
            wideevents.add_error(KeyError("first"))
            raise ValueError("second")
        sent = {types(report)[0]: report for report in reports(sentry, sink)}

        assert {kind: report["level"] for kind, report in sent.items()} == {
            "KeyError": "warning",
            "ValueError": "error",
        }
        assert sent["KeyError"]["fingerprint"] != sent["ValueError"]["fingerprint"]
        assert lines.events[0][ID] == sent["ValueError"]["event_id"]

    def test_logged_and_raised_again_and_handled_by_flask(
        self, sentry: Inbox, sink: SentrySink, configure: Configure, logger: logging.Logger
    ) -> None:
        """Four times it is noted: logged in an inner event, raised out of it, logged by Flask, and by the door."""
        lines = configure(sink)
        app = Flask(__name__)
        WideEvents(app)

        @app.get("/fail")
        def fail_twice() -> str:
            with event("inner"):
                try:
                    raise KeyError("sku")
                except KeyError:
                    logger.exception("it failed")
                    raise

        assert app.test_client().get("/fail").status_code == 500
        (report,) = reports(sentry, sink)

        assert [line[ID] for line in lines.events] == [report["event_id"]] * 2
        assert all(ID not in line for line in lines.logged)

    def test_what_an_errorhandler_answered(self, sentry: Inbox, sink: SentrySink, configure: Configure) -> None:
        """A 409 is the client's business; a 504 is ours, and the exception says why."""
        configure(sink)
        app = Flask(__name__)
        WideEvents(app)
        app.register_error_handler(LookupError, lambda error: ("sold", 409))
        app.register_error_handler(TimeoutError, lambda error: ("slow", 504))
        app.add_url_rule("/sold", "sold", lambda: fail(LookupError()))
        app.add_url_rule("/slow", "slow", lambda: fail(TimeoutError()))
        client = app.test_client()

        assert [client.get(path).status_code for path in ("/sold", "/slow")] == [409, 504]
        assert [(types(report), report["level"]) for report in reports(sentry, sink)] == [(["TimeoutError"], "error")]

    def test_what_was_expected(self, sentry: Inbox, sink: SentrySink, configure: Configure) -> None:
        """It is nobody's time, and stands in the line."""
        lines = configure(sink)
        with event("job"):
            wideevents.add_error(KeyError("sku"), expected=True)
        failing(event("job")(lambda: fail(wideevents.WideError("declined", expected=True))))

        assert reports(sentry, sink) == []
        assert all(ID not in line for line in lines.events)

    @pytest.mark.usefixtures("eager_switching")
    def test_one_exception_in_several_threads(self, sentry: Inbox, configure: Configure) -> None:
        """A future gives the same to everybody who waits for it."""
        sink = SentrySink(sentry.dsn, rate=1e9, burst=10**9)
        lines = configure(sink)
        errors = [OSError("one for all") for _ in range(50)]

        def work() -> None:
            for error in errors:
                with event("job"):
                    wideevents.add_error(error)

        at_once(*[work] * 4)
        sent = {report["event_id"] for report in reports(sentry, sink)}

        assert (len(sentry.reports), {line[ID] for line in lines.events}) == (50, sent)

    def test_an_event_that_a_stage_has_calmed(self, sentry: Inbox, sink: SentrySink, configure: Configure) -> None:
        """Whoever says that it does not matter is believed."""

        def calm(told: Any) -> Any:
            told.level = Level.INFO
            return told

        lines = configure(sink, stages=[calm])
        with event("job"):
            wideevents.add_error(KeyError("sku"))

        assert (reports(sentry, sink), ID in lines.events[0]) == ([], False)

    def test_one_object_that_is_raised_again_and_again(self, sentry: Inbox, configure: Configure) -> None:
        """After a minute it is another failure."""
        stopped, error = Stopped(), OSError("always the same")
        sink = SentrySink(sentry.dsn, clock=stopped.clock)
        lines = configure(sink)
        for pause in (0, 59, 2):
            stopped.seconds += pause
            with event("job"):
                wideevents.add_error(error)
        first, second = reports(sentry, sink)

        assert [line[ID] for line in lines.events] == [first["event_id"]] * 2 + [second["event_id"]]

    def test_a_group(self, sentry: Inbox, sink: SentrySink, configure: Configure) -> None:
        """Its members stand in its report."""
        configure(sink)
        failing(event("job")(lambda: fail(ExceptionGroup("both", [KeyError("a"), OSError("b")]))))
        (report,) = reports(sentry, sink)

        assert types(report) == ["ExceptionGroup", "KeyError", "OSError"]


class TestWithoutAnException:
    def test_an_event_that_is_an_error(
        self, sentry: Inbox, sink: SentrySink, configure: Configure, logger: logging.Logger
    ) -> None:
        """It is a message: the words of whoever logged it; the same alert is the same issue."""
        lines = configure(sink)
        with event("job"):
            logger.error("the mailroom is closed")
        (report,), (line,) = reports(sentry, sink), lines.events

        assert report["logentry"]["formatted"] == "the mailroom is closed"
        assert (report["event_id"], report["fingerprint"]) == (line[ID], [line["alert.fingerprint"]])
        assert "exception" not in report

    def test_an_event_that_is_a_warning(
        self, sentry: Inbox, sink: SentrySink, configure: Configure, logger: logging.Logger
    ) -> None:
        """It stands in the log."""
        lines = configure(sink)
        with event("job"):
            logger.warning("stock is low")

        assert (reports(sentry, sink), ID in lines.events[0]) == ([], False)

    def test_an_error_beside_what_was_expected(
        self, sentry: Inbox, sink: SentrySink, configure: Configure, logger: logging.Logger
    ) -> None:
        """The event pages somebody, so it is reported; not as the exception that everybody knew of."""
        configure(sink)
        with event("job"):
            wideevents.add_error(KeyError("sku"), expected=True)
            logger.error("the mailroom is closed")
        (report,) = reports(sentry, sink)

        assert "exception" not in report


class TestLines:
    def test_outside_any_event(
        self, sentry: Inbox, sink: SentrySink, configure: Configure, logger: logging.Logger
    ) -> None:
        """Errors are reported, and what has an exception from warning on; of a lower level nothing is."""
        lines = configure(sink)
        logger.error("no stock")
        logger.warning("it failed", exc_info=KeyError("sku"))
        logger.warning("stock is low")
        logger.info("it went on", exc_info=OSError())
        message, exception = reports(sentry, sink)

        assert [line.get(ID) for line in lines.logged] == [message["event_id"], exception["event_id"], None, None]
        assert (message["logentry"]["formatted"], message["logger"]) == ("no stock", "shop")
        assert (types(exception), exception["level"], "trace" in exception["contexts"]) == (
            ["KeyError"],
            "warning",
            False,
        )

    def test_of_an_exception_that_an_event_has_told_of(
        self, sentry: Inbox, sink: SentrySink, configure: Configure, logger: logging.Logger
    ) -> None:
        """As when a script ends by it: the last line tells of the same report."""
        lines = configure(sink)
        try:
            with event("job"):
                raise KeyError("sku")
        except KeyError:
            logger.critical("uncaught", exc_info=True)
        (report,) = reports(sentry, sink)

        assert [line[ID] for line in (*lines.events, *lines.logged)] == [report["event_id"]] * 2

    def test_inside_an_event(
        self, sentry: Inbox, sink: SentrySink, configure: Configure, logger: logging.Logger
    ) -> None:
        """The event is reported, and its lines are not."""
        lines = configure(sink)
        with event("job"):
            logger.error("one")
            logger.error("two")
            logger.error("three", exc_info=KeyError("sku"))
        (report,) = reports(sentry, sink)

        assert (types(report), [ID in line for line in lines.logged]) == (["KeyError"], [False] * 3)

    def test_what_wideevents_says_of_itself_is_not_reported(self, configure: Configure) -> None:
        """That a report was lost would be a report that is lost."""
        sink = SentrySink(nobody())
        lines = configure(sink, logging=True)
        health.logger.error("a sink has failed", exc_info=KeyError("sku"))
        with event("job"):
            wideevents.add_error(KeyError("sku"))
        sink.close()
        eventually(lambda: lost() == 1, "the loss")

        assert [ID in line for line in lines.logged] == [False, False]
        assert "did not reach Sentry" in lines.logged[1]["message"]
        assert lost() == 1


class TestStorms:
    def test_what_is_withheld_is_counted(self, sentry: Inbox, configure: Configure) -> None:
        """It has no id, its line is written, and the next line tells how many there were."""
        sink = SentrySink(sentry.dsn, burst=8, clock=Stopped().clock)
        lines = configure(sink)
        for _ in range(10):
            failing(event("job")(lambda: fail(KeyError("sku"))))
        sent = reports(sentry, sink)

        assert [line.get(ID) for line in lines.events] == [report["event_id"] for report in sent] + [None] * 8
        assert (len(sent), withheld()) == (2, 8)
        assert [line.get("events.withheld", 0) for line in lines.events] == [0, 0, 0] + [1] * 7

    def test_a_new_kind_gets_through(self, sentry: Inbox, configure: Configure) -> None:
        """While another rages."""
        sink = SentrySink(sentry.dsn, burst=20, clock=Stopped().clock)
        configure(sink)
        for _ in range(100):
            failing(event("job")(lambda: fail(KeyError("storm"))))
        failing(event("job")(lambda: fail(OSError("new"))))

        assert types(reports(sentry, sink)[-1]) == ["OSError"]

    def test_an_exception_is_withheld_once(self, sentry: Inbox, configure: Configure) -> None:
        """Not anew by each event that it passes through; nor is it sent by the outer one all the same."""
        stopped = Stopped()
        sink = SentrySink(sentry.dsn, burst=1, rate=0.1, clock=stopped.clock)
        lines = configure(sink)
        failing(event("job")(lambda: fail(KeyError("first"))))
        with suppress(KeyError), event("outer"):
            try:
                with event("inner"):
                    raise KeyError("second")
            finally:
                stopped.seconds += 1_000

        assert (len(reports(sentry, sink)), withheld()) == (1, 1)
        assert [ID in line for line in lines.events] == [True, False, False]

    def test_one_of_two_is_withheld(self, sentry: Inbox, configure: Configure) -> None:
        """The other one is sent, and the line has its id."""
        sink = SentrySink(sentry.dsn, burst=1, clock=Stopped().clock)
        lines = configure(sink)
        with event("job"):
            wideevents.add_error(KeyError("first"))
            wideevents.add_error(OSError("second"))
        (report,) = reports(sentry, sink)

        assert (types(report), lines.events[0][ID], withheld()) == (["KeyError"], report["event_id"], 1)

    def test_a_message_is_withheld_too(self, sentry: Inbox, configure: Configure, logger: logging.Logger) -> None:
        """Somebody logs an error in a loop."""
        sink = SentrySink(sentry.dsn, burst=4, clock=Stopped().clock)
        lines = configure(sink)
        for _ in range(10):
            logger.error("no stock")

        assert (len(reports(sentry, sink)), withheld()) == (1, 9)
        assert sum(ID in line for line in lines.logged) == 1

    def test_what_finds_no_room_is_lost_and_counted(self, configure: Configure) -> None:
        """A hung Sentry holds so many reports, and no more; the lines are all written."""
        with inbox(hanging) as hung:
            sink = SentrySink(hung.dsn, rate=1e9, burst=10**9)
            lines = configure(sink)
            for _ in range(MOST + 51):
                failing(event("job")(lambda: fail(KeyError("sku"))))
            assert sink._mail._waiting.qsize() == MOST
            sink.close()

        assert len(lines.events) == MOST + 51
        assert lost() == MOST + 51


class TestOthers:
    def test_the_application_goes_on_using_sentry_sdk(
        self, sentry: Inbox, sink: SentrySink, configure: Configure
    ) -> None:
        """Its client, its name, its profiler: a second client in the process would take them away."""
        with inbox() as theirs:
            sentry_sdk.init(
                theirs.dsn,
                default_integrations=False,
                auto_enabling_integrations=False,
                profile_session_sample_rate=1.0,
            )
            client = sentry_sdk.get_client()
            continuous_profiler.start_profiler()
            before = (dict(SDK_INFO), continuous_profiler._scheduler)
            try:
                configure(SentrySink(sentry.dsn))
                failing(event("job")(lambda: fail(KeyError("sku"))))
                sink.close()

                assert sentry_sdk.get_client() is client
                assert (dict(SDK_INFO), continuous_profiler._scheduler) == before
                assert continuous_profiler._scheduler is not None
                assert continuous_profiler._scheduler.running
                assert theirs.visits == 0
            finally:
                continuous_profiler.teardown_continuous_profiler()
                continuous_profiler._scheduler = None
                client.close()
                sentry_sdk.get_global_scope().set_client(None)

    def test_nothing_of_theirs_is_sent(self, sentry: Inbox, configure: Configure) -> None:
        """Breadcrumbs, users and tags of a scope are theirs to send."""
        sink = SentrySink(sentry.dsn)
        configure(sink)
        with sentry_sdk.isolation_scope() as scope:
            scope.set_user({"email": "ada@example.org"})
            scope.set_tag("planted", "in a tag")
            sentry_sdk.add_breadcrumb(message="planted crumb")
            failing(event("job")(lambda: fail(KeyError("sku"))))
        told = str(reports(sentry, sink))

        assert [word for word in ("ada@example", "planted") if word in told] == []
        assert FlaskIntegration.identifier == "flask"

    def test_a_forked_worker_reports(self, sentry: Inbox, sink: SentrySink, configure: Configure) -> None:
        """Also where another thread was deciding in the moment of the fork."""
        configure(sink)

        def work() -> None:
            failing(event("child")(lambda: fail(KeyError("sku"))))
            sink.close()

        holding = threading.Event()
        done = threading.Event()

        def hold() -> None:
            with sink._lock:
                holding.set()
                done.wait(10)

        holder = threading.Thread(target=hold)
        holder.start()
        holding.wait(10)
        answer = in_child(work)
        done.set()
        holder.join(10)

        assert answer is None
        assert [report["transaction"] for report in sentry.wait(1)] == ["child"]


class TestSettings:
    def test_a_dsn_alone_is_enough(self, sentry: Inbox) -> None:
        """`configure(sentry=DSN)`."""
        wideevents.configure(service="shop", output="json", sentry=sentry.dsn, logging=False)
        (sink,) = [each for each in config.recorder().pipeline.sinks if isinstance(each, SentrySink)]

        assert repr(sink) == f"<SentrySink http://127.0.0.1:{sentry.port}>"

    @pytest.mark.parametrize("setting", [True, None])
    def test_the_environment(self, setting: bool | None, sentry: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
        """`SENTRY_DSN` serves, asked for or not; and so do the variables of the SDK where ours are not set."""
        monkeypatch.setenv("SENTRY_DSN", sentry.dsn)
        monkeypatch.setenv("SENTRY_RELEASE", "r1")
        monkeypatch.setenv("SENTRY_ENVIRONMENT", "staging")
        wideevents.configure(service="shop", output="/dev/null", sentry=setting, logging=False)
        failing(event("job")(lambda: fail(KeyError("sku"))))
        config.recorder().pipeline.close()
        (report,) = sentry.reports

        assert report["environment"] == "staging"
        assert report["release"] == report["contexts"]["wide_event"].get("vcs.ref.head.revision", "r1")

    def test_a_hosted_service_in_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The sentence says how to leave it to whom it is meant for."""
        monkeypatch.setenv("SENTRY_DSN", "https://key@o1.ingest.sentry.io/1")
        with pytest.raises(ConfigurationError, match=r"SENTRY_DSN cannot be used.*configure\(sentry=False\) leaves it"):
            wideevents.configure(output="/dev/null", logging=False)

        wideevents.configure(output="/dev/null", logging=False, sentry=False)

    def test_without_a_dsn(self) -> None:
        """It was asked for, and there is none."""
        with pytest.raises(ConfigurationError, match="set SENTRY_DSN"):
            SentrySink()

    @pytest.mark.parametrize(
        "options",
        [
            {"locals": "order_id"},
            {"locals": ("order id",)},
            {"locals": (5,)},
            {"rate": 0},
            {"rate": -1},
            {"rate": "20"},
            {"rate": True},
            {"rate": float("nan")},
            {"rate": float("inf")},
            {"burst": 0},
            {"burst": 0.5},
            {"allow_hosted": "yes"},
        ],
        ids=str,
    )
    def test_a_wrong_setting_is_refused(self, options: dict[str, Any]) -> None:
        """Where it is given, in a sentence that names it."""
        with pytest.raises(ConfigurationError, match=f"{next(iter(options))}="):
            SentrySink(nobody(), **options)

    def test_locals_by_name(self, sentry: Inbox, configure: Configure) -> None:
        """And no other."""
        sink = SentrySink(sentry.dsn, locals=("order_id",))
        configure(sink)

        def work() -> None:
            order_id, customer = 17, "ada@example.org"
            raise KeyError(order_id, len(customer))

        failing(event("job")(work))
        (report,) = reports(sentry, sink)
        frames = report["exception"]["values"][0]["stacktrace"]["frames"]

        assert [frame["vars"] for frame in frames if "vars" in frame] == [{"order_id": 17}]
        assert "ada@example" not in str(report)

    def test_without_the_package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The error names the extra."""
        for name in [name for name in sys.modules if name.startswith(("wideevents.sinks.sentry", "sentry_sdk"))]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "sentry_sdk", None)
        with pytest.raises(ConfigurationError, match=r"pip install 'wideevents\[sentry\]'"):
            wideevents.configure(output="/dev/null", logging=False, sentry="http://key@localhost/1")
