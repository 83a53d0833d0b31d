"""What the redact stage promises."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest

import wideevents
from tests.stages import configured, line_with
from tests.strict import parse_line
from wideevents.events import Event
from wideevents.integrations.wsgi import WideEvents
from wideevents.redaction import MARKER, Redaction

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.dBjftJeZ4CVPmB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CARD = "4111 1111 1111 1111"
LOGIN = "postgres://shop:hunter2-Zx9@db/orders"
SECRETS = {
    "a token": JWT,
    "a card": CARD,
    "a header": "Authorization: Bearer abcDEF123456",
    "a short assignment": "otp=1234",
    "a password in a URL": LOGIN,
}


class Text(str):
    __slots__ = ()


WRAPPED = {
    "a text": JWT,
    "a list": [JWT],
    "a list in a list": [[JWT]],
    "a mapping in a list": [{"note": JWT}],
    "a mapping": {"user": {"note": JWT}},
    "a tuple": (JWT, 1),
    "a tuple in a list": [(JWT,)],
    "a set": {JWT},
    "a text of another class": Text(JWT),
    "such a text in a list": [Text(JWT)],
    "bytes": JWT.encode(),
    "an exception": ValueError(JWT),
}


def redacted(record: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """Return what *record*, added by a stage, looks like in the line."""
    line = parse_line(line_with(record, **settings))
    return {name: line[name] for name in record}


class TestWhere:
    @pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
    def test_a_secret_goes_from_a_text(self, secret: str) -> None:
        """What the redaction room finds in a text is not in the line, however short the text is."""
        assert Redaction().text(secret) != secret
        assert {"note": Redaction().text(secret)} == redacted({"note": secret})

    def test_a_secret_goes_from_the_middle_of_a_text(self) -> None:
        """The rest of the text stays, so that the line still says what happened."""
        assert {"note": f"paid with {MARKER} today"} == redacted({"note": f"paid with {CARD} today"})

    def test_a_secret_goes_from_lists_and_mappings_at_any_depth(self) -> None:
        """Nesting hides nothing from the stage, and what is no text stays as it is."""
        record = {"items": ["clean", JWT, [CARD, {"deep": [JWT, 7, None, True]}], 1.5]}

        assert redacted(record) == {"items": ["clean", MARKER, [MARKER, {"deep": [MARKER, 7, None, True]}], 1.5]}

    @pytest.mark.parametrize("name", ["exception.message", "exception.stacktrace", "event.name", "user_agent.original"])
    def test_our_own_fields_are_no_exception(self, name: str) -> None:
        """Secrets stand in messages of exceptions more often than in fields."""
        assert {name: f"ValueError: {MARKER} was refused"} == redacted({name: f"ValueError: {JWT} was refused"})

    def test_log_lines_are_no_exception(self) -> None:
        """What other libraries log is nobody's choice."""
        assert {"log.lines": [f"GET {MARKER}"]} == redacted({"log.lines": [f"GET {JWT}"]})

    def test_clean_values_stay_as_they_are(self) -> None:
        """An order id, a time in milliseconds and a sentence lose nothing."""
        record = {"order.id": "ORD-2026-000017", "at": "1767323045678", "note": "The basic plan is full.", "n": 4111}

        assert record == redacted(record)


def pay() -> None:
    """Fail with secrets in the message, and in that of the cause."""
    try:
        raise ValueError(f"card {CARD}")
    except ValueError as error:
        raise RuntimeError(f"token {JWT}") from error


def answering(_: Any, start_response: Any) -> list[bytes]:
    """Answer a request as a WSGI application does."""
    start_response("200 OK", [])
    return [b"yes"]


WAYS_IN: dict[str, Callable[[Event], object]] = {
    "add_field": lambda _: wideevents.add_field("note", JWT),
    "add_field, a list": lambda _: wideevents.add_field("note", ["clean", [JWT]]),
    "add_field, a mapping": lambda _: wideevents.add_field("note", {"deep": {"er": JWT}}),
    "add_field, a mapping in a list": lambda _: wideevents.add_field("note", [{"deep": JWT}]),
    "add_field, an exception": lambda _: wideevents.add_field("note", ValueError(JWT)),
    "add_field, a text of another class": lambda _: wideevents.add_field("note", Text(JWT)),
    "add_field, bytes": lambda _: wideevents.add_field("note", JWT.encode()),
    "add_field, over a clean one": lambda _: [wideevents.add_field("note", text) for text in ("clean text", JWT)],
    "add_field, one of our names": lambda _: wideevents.add_field("url.path", JWT),
    "add_field, a shared name": lambda _: wideevents.add_field("db.count", JWT),
    "add_fields": lambda _: wideevents.add_fields({"note": JWT}),
    "add_fields, by name": lambda _: wideevents.add_fields(note=JWT),
    "append": lambda _: wideevents.append("notes", JWT),
    "append, the second": lambda _: [wideevents.append("notes", text) for text in ("clean text", JWT)],
    "append, over a text": lambda _: [wideevents.add_field("notes", JWT), wideevents.append("notes", 1)],
    "append, a list": lambda _: wideevents.append("notes", [{"deep": JWT}]),
    "increment, over a text": lambda _: [wideevents.add_field("number", JWT), wideevents.append("number", 1)],
    "add_error": lambda _: wideevents.add_error(ValueError(JWT)),
    "add_error, the second": lambda _: [wideevents.add_error(ValueError(text)) for text in ("clean", JWT)],
    "put": lambda event: event.put("note", JWT),
}


class TestWaysIn:
    """However a value came into an event, a secret in it is not in the line; the second time neither."""

    @pytest.mark.parametrize("way", WAYS_IN.values(), ids=WAYS_IN)
    def test_a_secret_is_in_no_line(self, way: Callable[[Event], object]) -> None:
        """Only what is known to be clean is not looked at."""
        with configured() as sink:
            for _ in range(2):
                with wideevents.event("job") as event:
                    way(event)

        assert [JWT.encode() in line for line in sink.lines] == [False, False]

    def test_a_secret_in_the_name_or_the_first_fields_of_an_event_is_in_no_line(self) -> None:
        """They are values like any other."""
        with configured() as sink:
            for _ in range(2):
                with wideevents.event(f"job {JWT}", note=JWT, notes=[JWT]):
                    pass

        assert [JWT.encode() in line for line in sink.lines] == [False, False]

    def test_an_exception_keeps_no_secret_in_the_line(self) -> None:
        """Neither its message nor its traceback, whose last line is the message again, nor its cause."""
        with configured() as sink, pytest.raises(RuntimeError), wideevents.event("pay"):
            pay()

        assert sink.events[0]["exception.message"] == f"token {MARKER}"
        assert f"ValueError: card {MARKER}" in sink.events[0]["exception.stacktrace"]
        assert b"1111 1111" not in sink.lines[0]
        assert JWT.encode() not in sink.lines[0]

    @pytest.mark.parametrize("number", [4111111111111111, [4111111111111111], {"deep": [{"er": 4111111111111111}]}])
    def test_a_card_that_came_as_an_integer_is_in_no_line(self, number: object) -> None:
        """People add what the form gave them, and it gave a number."""
        with configured() as sink, wideevents.event("pay"):
            wideevents.add_field("note", number)
            wideevents.append("notes", number)

        assert b"4111111111111111" not in sink.lines[0]

    def test_what_a_request_brings_is_in_no_line(self) -> None:
        """A path, a query string and a user agent are whatever the client wants them to be."""
        environ: dict[str, Any] = {}
        setup_testing_defaults(environ)
        environ |= {"PATH_INFO": f"/{JWT}", "QUERY_STRING": f"q={JWT}", "HTTP_USER_AGENT": JWT, "HTTP_HOST": JWT}
        with configured() as sink:
            app = WideEvents(answering)
            for _ in range(2):
                assert b"".join(app(environ.copy(), lambda *_: bytes)) == b"yes"

        assert [JWT.encode() in line for line in sink.lines] == [False, False]


class TestCutting:
    """A text is cut to fit its line; half a secret is still a secret, and no longer looks like one."""

    @pytest.mark.parametrize(
        "limits", [wideevents.Limits(), wideevents.Limits(max_bytes=2_048, max_value_length=2_048)]
    )
    @pytest.mark.parametrize("name", ["note", "exception.stacktrace", "exception.message"])
    def test_a_secret_at_the_edge_of_what_fits_does_not_show(self, name: str, limits: wideevents.Limits) -> None:
        """Wherever a long text is cut, the password in it is hidden before."""
        for before in (
            limits.max_bytes - 20,
            limits.max_bytes - 12,
            limits.max_value_length - 20,
            limits.max_bytes // 2,
        ):
            text = f"{'x ' * (before // 2)}{LOGIN}{' y' * 10_000}"

            assert b"hunter2" not in line_with({name: text}, limits=limits)

    def test_a_secret_at_the_end_of_a_long_stack_trace_does_not_show(self) -> None:
        """The end is what is kept of it."""
        trace = "".join(f'  File "shop.py", line {number}\n' for number in range(1_000)) + f"ValueError: {LOGIN}"
        line = parse_line(line_with({"exception.stacktrace": trace}))

        assert line["exception.stacktrace"].endswith(f"ValueError: postgres://shop:{MARKER}@db/orders")


class TestWhatAStageAdded:
    """Stages of the user's run before this one, and may put anything into a record."""

    @pytest.mark.parametrize("value", WRAPPED.values(), ids=WRAPPED)
    def test_a_secret_is_in_no_line_whatever_it_is_wrapped_in(self, value: object) -> None:
        """What becomes a text when it is encoded is as secret as a text."""
        line = line_with({"note": value})

        assert JWT.encode() not in line
        assert MARKER.encode() in line


class TestMemory:
    def test_the_second_verdict_is_the_first(self) -> None:
        """What was found clean is remembered; what was not is found every time, and in every field."""

        def adding(event: Event) -> Event:
            event.record.update(clean="The basic plan is full.", secret=JWT, list=[JWT, "The basic plan is full."])
            return event

        with configured(stages=[adding]) as sink:
            for _ in range(3):
                with wideevents.event("job"):
                    pass

        found = [(event["clean"], event["secret"], event["list"]) for event in sink.events]
        assert found == [("The basic plan is full.", MARKER, [MARKER, "The basic plan is full."])] * 3

    def test_two_configurations_share_no_verdicts(self) -> None:
        """What one takes for clean, another one may hide."""
        word = "internal-project-falcon"

        assert {"note": word} == redacted({"note": word})
        assert redacted({"note": word}, redact=Redaction(values=("internal-.*",))) == {"note": MARKER}
        assert {"note": word} == redacted({"note": word})

    def test_memory_is_bounded(self) -> None:
        """An application whose every text is new pays for its scans, and not with memory; verdicts stay right."""
        texts = [f"order number {number} was sent" for number in range(12_000)]
        with configured() as sink:
            for number in range(0, len(texts), 100):
                with wideevents.event("job") as event:
                    event.put("texts", texts[number : number + 100])
                    event.put("secret", JWT)

            assert texts == [text for event in sink.events for text in event["texts"]]
            assert {event["secret"] for event in sink.events} == {MARKER}
            keeping = gc.get_referrers(*texts[:20], *texts[-20:])
            assert all(len(each) <= 4_096 for each in keeping if isinstance(each, set | dict))

    def test_long_texts_are_not_remembered(self) -> None:
        """A thousand tracebacks would be megabytes."""
        text = "  File shop.py, line 1\n" * 100
        with configured():
            with wideevents.event("job") as event:
                event.put("long", text)

            assert [holder for holder in gc.get_referrers(text) if isinstance(holder, set)] == []


class TestSettings:
    def test_a_pattern_of_the_users_own_hides(self) -> None:
        """What only this application knows to be secret can be named."""
        redaction = Redaction(values=(r"EMP-\d{6}",))

        assert {"note": f"asked by {MARKER} today"} == redacted({"note": "asked by EMP-123456 today"}, redact=redaction)

    def test_a_pattern_of_the_users_own_hides_short_values_too(self) -> None:
        """An employee's number of seven characters is as secret as they say it is."""
        redaction = Redaction(values=(r"EMP\d{4}",))

        assert redacted({"who": "EMP1234", "all": ["EMP1234"]}, redact=redaction) == {"who": MARKER, "all": [MARKER]}
