"""What is found in other libraries, each fault planted for real."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import sentry_sdk
import structlog
from sentry_sdk.integrations.dedupe import DedupeIntegration
from sentry_sdk.integrations.flask import FlaskIntegration
from sentry_sdk.integrations.logging import LoggingIntegration
from sentry_sdk.transport import Transport

from tests.doctor.conftest import found, serving, shop
from wideevents.integrations import structlog as door


class Post(Transport):
    """Keep what would be sent."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Any] = []

    def capture_envelope(self, envelope: Any) -> None:
        """Keep the event of an envelope."""
        self.events += [envelope.get_event()] if envelope.get_event() else []


@pytest.fixture
def _no_sentry_afterwards() -> Iterator[None]:
    """Put back what `init` patches."""
    before = (logging.Logger.callHandlers, sys.excepthook)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logging.Logger, "callHandlers", before[0])
        patch.setattr(sys, "excepthook", before[1])
        yield
        sentry_sdk.get_client().close()
        sentry_sdk.get_global_scope().set_client(None)


@pytest.fixture(autouse=True)
def _structlog_as_it_was() -> Iterator[None]:
    """Forget what a test configures."""
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


def init(post: Transport | None, **settings: Any) -> None:
    """Start Sentry, which sends nothing anywhere."""
    sentry_sdk.init(
        dsn="http://key@127.0.0.1:9/1" if post else None,
        transport=post,
        default_integrations=False,
        auto_enabling_integrations=False,
        auto_session_tracking=False,
        **settings,
    )


@pytest.mark.usefixtures("_no_sentry_afterwards")
class TestSentry:
    def test_each_logged_error_is_an_issue_of_its_own(self) -> None:
        """Beside that of the exception: the planted fault makes two events of one failure."""
        post = Post()
        init(post, integrations=[LoggingIntegration(), FlaskIntegration(), DedupeIntegration()])

        def fail() -> str:
            logging.getLogger("shop").error("out of stock")
            raise LookupError("out of stock")

        finding = found(serving(fail))["sentry-double-capture"]
        sentry_sdk.flush()

        assert len([event for event in post.events if event["level"] == "error"]) == 2
        assert finding.what == (
            "Sentry's LoggingIntegration makes an issue of every logged error, and its integration for flask captures "
            "exceptions."
        )

    def test_without_a_framework_logged_errors_are_issues_still(self) -> None:
        """The sentence says only what is."""
        init(Post(), integrations=[LoggingIntegration()])

        assert found(shop())["sentry-double-capture"].what.endswith("every logged error.")

    @pytest.mark.parametrize("integrations", [[], [LoggingIntegration(event_level=None)]])
    def test_breadcrumbs_alone_are_fine(self, integrations: list[Any]) -> None:
        """It is what the fix says."""
        init(Post(), integrations=integrations)

        assert found(shop()) == {}

    @pytest.mark.parametrize(
        ("integrations", "named"),
        [
            ([LoggingIntegration(), FlaskIntegration()], "flask and logging"),
            ([LoggingIntegration(event_level=None), FlaskIntegration()], "flask"),
            ([LoggingIntegration()], "logging"),
        ],
    )
    def test_both_of_us_report(self, integrations: list[Any], named: str) -> None:
        """To be without the integration for logging is not enough then."""
        init(Post(), integrations=integrations)
        finding = found(shop(sentry="http://key@127.0.0.1:9/1"))["sentry-double-capture"]

        assert finding.what == (
            f"wideevents reports errors to Sentry, and so does sentry_sdk, by its integration for {named}."
        )
        assert finding.fix.startswith("Leave it to one of them: wideevents.configure(sentry=False), or ")

    def test_what_the_fix_says(self) -> None:
        """A client without integrations reports what it is told to report."""
        init(Post(), integrations=[])

        assert found(shop(sentry="http://key@127.0.0.1:9/1")) == {}

    def test_without_an_address_nothing_is_sent(self) -> None:
        """As on a developer's machine."""
        init(None, integrations=[LoggingIntegration()])

        assert found(shop()) == {}

    def test_a_process_without_sentry(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is not imported for the occasion; and what is there may be something else."""
        app = shop()
        monkeypatch.delitem(sys.modules, "sentry_sdk")
        assert found(app) == {}
        monkeypatch.setitem(sys.modules, "sentry_sdk", type(sys)("sentry_sdk"))
        assert found(app) == {}


class TestStructlog:
    @pytest.mark.parametrize(
        ("processors", "name"),
        [
            ([structlog.dev.ConsoleRenderer()], "structlog.dev.ConsoleRenderer"),
            ([structlog.processors.KeyValueRenderer()], "structlog.processors.KeyValueRenderer"),
            ([lambda logger, method, event: repr(event)], "tests.doctor.test_libraries.TestStructlog.<lambda>"),
        ],
    )
    def test_text_is_no_json(self, processors: list[Any], name: str) -> None:
        """Whoever renders it."""
        structlog.configure(processors=processors)

        assert found(shop())["structlog-not-json"].what == (
            f"structlog is configured with {name} as its last processor, which renders no JSON."
        )

    @pytest.mark.parametrize(
        "processors",
        [
            [structlog.processors.JSONRenderer()],
            [structlog.processors.JSONRenderer(serializer=lambda value, **_: b'{"a": 1}')],
            [structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
            [structlog.stdlib.render_to_log_kwargs],
            [lambda logger, method, event: 1 / 0],
            [],
        ],
    )
    def test_what_makes_no_text_is_no_finding(self, processors: list[Any]) -> None:
        """JSON, and what is handed on to the logging module."""
        structlog.configure(processors=processors)

        assert found(shop()) == {}

    def test_our_own_door_is_no_finding(self) -> None:
        """It is what the fix says."""
        app = shop()
        door.configure()

        assert found(app) == {}

    def test_a_process_without_structlog(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is not imported for the occasion."""
        app = shop()
        monkeypatch.delitem(sys.modules, "structlog")

        assert found(app) == {}
