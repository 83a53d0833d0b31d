"""What a report holds, and that it holds nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from wideevents.frames import Application, Frame
from wideevents.redaction import Redaction
from wideevents.sinks.sentry.raised import Raised, snapshot
from wideevents.sinks.sentry.reports import VALUE_LENGTH, Letter, Reports

FIELDS: dict[str, Any] = {
    "event.name": "POST /checkout",
    "event.id": "00f067aa0ba902b7",
    "event.kind": "request",
    "trace.id": "4bf92f3577b34da6a3ce929d0e0e4736",
    "service.name": "checkout",
}


def letter(*raised: Raised, handled: bool = False, **fields: Any) -> Letter:
    """Return a letter about a line with *fields*, dots written as two underscores."""
    named = {name.replace("__", "."): value for name, value in fields.items()}
    line = orjson.dumps({**FIELDS, **named}) + b"\n"
    return Letter("a" * 32, 1_767_323_045.5, "error", handled, "f1", line, raised)


def report(*raised: Raised, reports: Any = None, **fields: Any) -> dict[str, Any]:
    """Return the report, as it is sent."""
    made: dict[str, Any] = orjson.loads((reports or Reports(Redaction())).body(letter(*raised, **fields)))
    return made


def told(frame: Frame | None = None, message: str = "", variables: Any = None, **more: Any) -> Raised:
    """Return what is told of an exception with one frame."""
    frames = () if frame is None else ((frame, variables or {}),)
    given = {"parent": 0, "source": "", "is_group": False, **more}
    return Raised("KeyError", "builtins", message, frames, **given)


def frame_at(path: str, module: str, *, in_app: bool = True, line: int = 1) -> Frame:
    return Frame(module, "charge", path, line, in_app)


def values(made: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the exceptions of a report."""
    found: list[dict[str, Any]] = made["exception"]["values"]
    return found


class TestReport:
    def test_it_has_what_is_allowed_and_nothing_else(self) -> None:
        """What nobody has put on the list cannot be in it."""
        made = report(told(), host__name="web-1", log__logger="shop", deployment__environment__name="production")

        assert made.keys() == {
            *("event_id", "timestamp", "platform", "level", "logger", "transaction", "server_name", "release"),
            *("environment", "fingerprint", "tags", "contexts", "sdk", "exception"),
        } - {"release"}
        assert (made["event_id"], made["timestamp"], made["platform"]) == ("a" * 32, 1_767_323_045.5, "python")
        assert (made["level"], made["fingerprint"], made["logger"]) == ("error", ["f1"], "shop")
        assert (made["transaction"], made["server_name"]) == ("POST /checkout", "web-1")
        assert (made["environment"], made["sdk"]["name"]) == ("production", "wideevents")

    def test_what_is_hidden_is_nowhere(self) -> None:
        """A parameter of the path that is secret by its name has no shape to know it by: it may be in any text."""
        raised = told(frame_at(__file__, __name__), "opensesame is used up", {"page": ["/reset/opensesame", 7]})
        made = Reports(Redaction()).body(letter(raised)._replace(hidden=("opensesame",)))

        assert b"opensesame" not in made
        assert made.count(b"[redacted]") == 2

    def test_the_wide_event_is_the_line(self) -> None:
        """Field by field, as it was written: redacted, and not longer than a line may be."""
        assert report(cart__items=3)["contexts"]["wide_event"] == {**FIELDS, "cart.items": 3}

    def test_the_trace_leads_on(self) -> None:
        """The event is the span; a line outside any event has none."""
        outside = letter()._replace(line=b'{"log.logger":"shop","message":"no"}\n')

        assert report(parent__id="53995c3f42cd8ad8")["contexts"]["trace"] == {
            "trace_id": FIELDS["trace.id"],
            "span_id": FIELDS["event.id"],
            "parent_span_id": "53995c3f42cd8ad8",
            "op": "request",
        }
        assert Reports(Redaction()).report(outside)["contexts"].keys() == {"wide_event"}

    def test_tags_are_called_as_in_the_line(self) -> None:
        """So that one word finds both; flags are tags, in a form that can be searched for."""
        tags = report(
            owner__team="payments",
            service__version="1.4.0",
            deployment__environment__name="production",
            http__route="/checkout",
            feature_flag__new_checkout=True,
            feature_flag__steps=3,
            feature_flag__variants=["a"],
            **{"feature_flag.odd name": "two\nlines" + "x" * 500},
            cart__items=3,
        )["tags"]

        assert tags == {
            "event.id": FIELDS["event.id"],
            "owner.team": "payments",
            "service.name": "checkout",
            "service.version": "1.4.0",
            "deployment.environment.name": "production",
            "http.route": "/checkout",
            "feature_flag.new_checkout": "true",
            "feature_flag.steps": "3",
            "feature_flag.odd_name": "two lines" + "x" * 191,
        }

    def test_flags_are_bounded(self) -> None:
        """Somebody will write a thousand."""
        flags = {f"feature_flag.f{number}": True for number in range(1_000)}

        assert len(report(**flags)["tags"]) == 52

    @pytest.mark.parametrize(
        ("fields", "release"),
        [
            ({"service__version": "1.4.0"}, "checkout@1.4.0"),
            ({"service__version": "feature/new thing\n1"}, "checkout@feature-new-thing-1"),
            ({"service__version": "1", "vcs__ref__head__revision": "abc"}, "checkout@1"),
            ({"vcs__ref__head__revision": "abc"}, "abc"),
            ({}, "from the environment"),
        ],
    )
    def test_the_release(self, fields: dict[str, str], release: str) -> None:
        """Ours goes before that of the environment, and a version before a commit."""
        assert report(reports=Reports(Redaction(), "from the environment"), **fields)["release"] == release

    def test_the_environment_where_the_line_names_none(self) -> None:
        """The SDK's own variable serves."""
        reports = Reports(Redaction(), environment="staging")

        assert report(reports=reports)["environment"] == "staging"
        assert report(reports=reports, deployment__environment__name="live")["environment"] == "live"


class TestMessages:
    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"message": "no stock", "log__last_error": "x"}, "no stock"),
            ({"log__last_error": "the mailroom is closed"}, "the mailroom is closed"),
            ({"error__type": "503"}, "POST /checkout: 503"),
            ({}, "POST /checkout: error"),
        ],
    )
    def test_what_is_said_where_nothing_was_raised(self, fields: dict[str, str], message: str) -> None:
        """The words of whoever logged it, else what happened, and how it ended."""
        made = report(**fields)

        assert made["logentry"] == {"message": message, "formatted": message}
        assert "exception" not in made


class TestExceptions:
    def test_the_last_one_stands_at_the_end(self) -> None:
        """As the protocol has it; each says where it stands in its parent."""
        made = report(
            told(is_group=True), told(source="exceptions[0]"), told(parent=1, source="__cause__"), handled=False
        )

        assert [value["mechanism"] for value in values(made)] == [
            {"type": "chained", "handled": False, "exception_id": 2, "parent_id": 1, "source": "__cause__"},
            {"type": "chained", "handled": False, "exception_id": 1, "parent_id": 0, "source": "exceptions[0]"},
            {"type": "wideevents", "handled": False, "exception_id": 0, "is_exception_group": True},
        ]

    def test_a_handled_one_says_so(self) -> None:
        """A crash is another thing than what was dealt with."""
        made = Reports(Redaction()).report(letter(told(), handled=True))

        assert values(made)[0]["mechanism"]["handled"] is True

    def test_type_module_and_message(self) -> None:
        """The message is redacted; builtins have no module."""
        own = told(message="password=hunter2")._replace(type="Declined", module="shop.payments")
        made = values(report(own, told()))

        assert made[1] | {"mechanism": 0} == {
            "type": "Declined",
            "module": "shop.payments",
            "value": "password=[redacted]",
            "mechanism": 0,
        }
        assert made[0].keys() == {"type", "value", "mechanism"}

    def test_frames(self, tmp_path: Path) -> None:
        """Of the application with the line of source that the stack trace shows, redacted; of libraries without."""
        source = tmp_path / "shop" / "payments.py"
        source.parent.mkdir()
        source.write_text("def charge():\n    connect(password='hunter2')\n")
        own = frame_at(str(source), "shop.payments", line=2)
        foreign = own._replace(in_app=False)

        (value,) = values(report(told(own)._replace(frames=((own, {"order_id": 3}), (foreign, {})))))

        place = {"filename": "shop/payments.py", "function": "charge", "module": "shop.payments", "lineno": 2}
        assert value["stacktrace"]["frames"] == [
            {**place, "in_app": True, "context_line": "connect(password='[redacted]')", "vars": {"order_id": 3}},
            {**place, "in_app": False},
        ]

    @pytest.mark.parametrize(
        ("path", "module", "filename"),
        [
            ("/srv/app/shop/payments.py", "shop.payments", "shop/payments.py"),
            ("/srv/app/shop/__init__.py", "shop", "shop/__init__.py"),
            ("C:\\app\\shop\\payments.py", "shop.payments", "shop/payments.py"),
            ("/srv/app/manage.py", "manage", "manage.py"),
            ("/srv/app/cli.py", "shop.commands", "cli.py"),
            ("/srv/secret-customer/run", "run", "run"),
            ("a.py", "x.y.z.a", "a.py"),
        ],
    )
    def test_a_file_is_called_as_its_module_is(self, path: str, module: str, filename: str) -> None:
        """Where it is installed differs from host to host, and is nobody's business."""
        (value,) = values(report(told(frame_at(path, module))))

        assert value["stacktrace"]["frames"][0]["filename"] == filename

    def test_variables_are_redacted(self) -> None:
        """Texts wherever they stand, keys, and numbers that are a card's."""
        variables = {
            "order": {"id": 5, "password=hunter2": ["Bearer abcdefghijklmnop0123", None, True, 1.5]},
            "number": 4111111111111111,
        }

        (value,) = values(report(told(frame_at("a.py", "a"), variables=variables)))

        assert value["stacktrace"]["frames"][0]["vars"] == {
            "order": {"id": 5, "password=[redacted]": ["Bearer [redacted]", None, True, 1.5]},
            "number": "[redacted]",
        }

    @pytest.mark.parametrize("long", ["word " * 10_000, ["word"] * 1_000])
    def test_a_long_variable_is_cut(self, long: Any) -> None:
        """As the text that it is."""
        (value,) = values(report(told(frame_at("a.py", "a"), variables={"long": long})))

        shown = value["stacktrace"]["frames"][0]["vars"]["long"]
        assert isinstance(shown, str)
        assert len(shown) <= VALUE_LENGTH

    def test_a_text_that_is_no_unicode(self) -> None:
        """A lone surrogate does not cost the report."""
        error = KeyError("\ud800")
        taken = snapshot(error, Application(), frozenset(), Redaction().hides)

        assert values(report(*taken))[0]["value"] == "'\\ud800'"
