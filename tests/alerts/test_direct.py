"""What an alert says of the line that raised it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wideevents.alerts.direct import ANNOTATIONS, LABELS, Alert, read_alert, seconds
from wideevents.levels import Urgency

NOW = 1_795_000_000.0

EVENT: dict[str, Any] = {
    "timestamp": "2026-01-02T03:04:05.678901Z",
    "event.name": "POST /pay",
    "event.kind": "request",
    "event.id": "5eb3869374d2f025",
    "duration_ms": 12.345,
    "outcome": "failure",
    "level": "error",
    "alert.urgency": "page",
    "alert.fingerprint": "00112233445566aa",
    "alert.runbook": "https://runbooks.example/pay",
    "trace.id": "4bf92f3577b34da6a3ce929d0e0e4736",
    "http.request.id": "abc",
    "http.route": "/pay",
    "http.response.status_code": 500,
    "service.name": "shop",
    "service.version": "1.2.3",
    "host.name": "web-1",
    "deployment.environment.name": "production",
    "owner.team": "payments",
    "exception.type": "PaymentError",
    "exception.message": "declined",
    "error.why": "the bank is closed",
    "error.fix": "ring the bank",
    "error.link": "https://errors.example/7",
    "code.file.path": "shop/pay.py",
    "code.function.name": "pay",
    "code.line.number": 42,
    "sentry.event_id": "fc6d8c0c43fc4630ad850ee518f1b9d0",
}
LINE: dict[str, Any] = {
    "timestamp": "2026-01-02T03:04:05.678901Z",
    "level": "warning",
    "message": "disk nearly full",
    "log.logger": "shop.disk",
    "alert.urgency": "business_hours",
    "service.name": "shop",
}


def alert_of(fields: dict[str, Any], now: float = NOW) -> Alert:
    """Return the alert of a line that raises one."""
    alert = read_alert(fields, now)
    assert alert is not None
    return alert


class TestLabels:
    def test_say_where_an_alert_goes(self) -> None:
        """All of them, from an event that has everything."""
        assert alert_of(EVENT).labels == {
            "alertname": "WideEventsError",
            "severity": "error",
            "urgency": "page",
            "service": "shop",
            "environment": "production",
            "owner": "payments",
            "route": "/pay",
            "fingerprint": "00112233445566aa",
        }

    def test_that_are_not_known_are_left_out(self) -> None:
        """Alertmanager takes an empty label for none; a line outside any event has few."""
        named = {"alertname": "WideEventsWarning", "severity": "warning", "urgency": "business_hours"}

        assert alert_of(LINE).labels == {**named, "service": "shop"}
        assert alert_of({**LINE, "owner.team": "", "http.route": None}).labels == {**named, "service": "shop"}

    def test_are_text_without_anything_that_drives_a_terminal(self) -> None:
        """Whatever stands in the line: labels end in chats, mails and terminals."""
        labels = alert_of({**EVENT, "owner.team": 7, "http.route": "/a\n\x1b[2J", "service.name": "x" * 300}).labels

        assert (labels["owner"], labels["route"]) == ("7", "/a\\n\\x1b[2J")
        assert labels["service"] == "x" * 200 + "… (+100 characters)"


class TestAnnotations:
    def test_are_what_whoever_is_woken_asks_first(self) -> None:
        """What went wrong, in what, why, what to do, and where to look on."""
        assert alert_of(EVENT).annotations == {
            "summary": "PaymentError: declined",
            "description": "POST /pay: 500, failure, 12.3 ms\n"
            "Why: the bank is closed\n"
            "What to do: ring the bank\n"
            "In: pay (shop/pay.py:42)\n"
            "Version: 1.2.3\n"
            "Host: web-1",
            "runbook_url": "https://runbooks.example/pay",
            "event_id": "5eb3869374d2f025",
            "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
            "request_id": "abc",
            "sentry_event_id": "fc6d8c0c43fc4630ad850ee518f1b9d0",
            "occurred_at": "2026-01-02T03:04:05.678901Z",
        }

    def test_of_a_log_line(self) -> None:
        """Its message, and who said it."""
        assert alert_of(LINE).annotations == {
            "summary": "disk nearly full",
            "description": "shop.disk",
            "occurred_at": "2026-01-02T03:04:05.678901Z",
        }

    @pytest.mark.parametrize(
        ("fields", "summary"),
        [
            ({"exception.type": "KeyError"}, "KeyError"),
            ({"exception.message": "declined", "log.last_error": "no"}, "declined"),
            ({"log.last_error": "the bank is closed", "message": "paid"}, "the bank is closed"),
            ({"message": "paid"}, "paid"),
            ({"event.name": "GET /", "http.response.status_code": 503}, "GET /: 503"),
            ({"outcome": "failure", "duration_ms": 7}, "failure, 7.00 ms"),
            ({}, "A line without words"),
        ],
        ids=lambda given: str(given)[:30],
    )
    def test_begin_with_what_went_wrong(self, fields: dict[str, Any], summary: str) -> None:
        """The exception, else the last error that was logged, else what it happened in; never nothing."""
        assert alert_of({"alert.urgency": "page", **fields}).annotations["summary"] == summary

    @pytest.mark.parametrize(
        ("fields", "told"),
        [
            ({"code.function.name": "pay"}, "In: pay"),
            ({"code.file.path": "pay.py", "code.line.number": 7}, "In: pay.py:7"),
            ({"code.line.number": 7, "code.function.name": "pay"}, "In: pay (7)"),
        ],
    )
    def test_say_of_the_place_what_is_known(self, fields: dict[str, Any], told: str) -> None:
        """Without brackets around nothing."""
        assert alert_of({"alert.urgency": "page", **fields}).annotations["description"] == told

    def test_have_the_link_of_the_error_where_there_is_no_runbook(self) -> None:
        """It says where to read more; the runbook goes first."""
        without = {name: value for name, value in EVENT.items() if name != "alert.runbook"}

        assert alert_of(without).annotations["runbook_url"] == "https://errors.example/7"

    def test_are_cut(self) -> None:
        """What waits for Alertmanager is bounded."""
        summary = alert_of({**LINE, "message": "x" * 5_000}).annotations["summary"]

        assert summary == "x" * 1_000 + "… (+4,000 characters)"


class TestUrgency:
    @pytest.mark.parametrize("urgency", ["none", "on_request", "PAGE", "", None, 7, ["page"], {"page": 1}])
    def test_that_calls_nobody_is_no_alert(self, urgency: object) -> None:
        """Nor one that is none of ours."""
        assert read_alert({**EVENT, "alert.urgency": urgency}, NOW) is None

    def test_is_missing_inside_an_event(self) -> None:
        """An error line inside an event alerts by its event, once."""
        assert read_alert({"level": "error", "message": "no", "event.id": "5eb3869374d2f025"}, NOW) is None

    def test_says_how_severe_it_is(self) -> None:
        """Whatever the level: somebody may have given it another urgency."""
        alerts = [alert_of({**EVENT, "alert.urgency": each}) for each in ("page", "business_hours")]

        assert [alert.labels["severity"] for alert in alerts] == ["error", "warning"]


class TestTime:
    def test_is_that_of_the_event(self) -> None:
        """Alertmanager is told when it began, and how long to hold it."""
        posted = alert_of(EVENT).posted(NOW)

        assert (posted["startsAt"], posted["endsAt"]) == ("2026-01-02T03:04:05.678901Z", "2026-11-18T11:06:40.000000Z")

    @pytest.mark.parametrize("timestamp", ["soon", None, True, "2999-01-01T00:00:00Z"])
    def test_is_now_where_it_is_untold_or_to_come(self, timestamp: object) -> None:
        """Alertmanager would refuse an alert that begins after its end."""
        assert alert_of({**EVENT, "timestamp": timestamp}).began == NOW

    def test_without_a_zone_is_utc(self) -> None:
        """Also at the ends of time, where Python would not know the local one."""
        assert seconds("2026-01-02T03:04:05") == seconds("2026-01-02T03:04:05Z") == seconds("2026-01-02T04:04:05+01:00")
        assert seconds("0001-01-01T00:00:00") == -62_135_596_800


class TestKey:
    def test_is_the_fingerprint_where_there_is_one(self) -> None:
        """The route and the owner may differ then; another service or environment has another alert."""
        same = alert_of({**EVENT, "http.route": "/other", "owner.team": "others", "exception.message": "closed"})
        others = [
            alert_of({**EVENT, name: "another"})
            for name in ("service.name", "deployment.environment.name", "alert.fingerprint")
        ]

        assert same.key == alert_of(EVENT).key
        assert len({alert.key for alert in [same, *others]}) == 4

    def test_tells_a_warning_from_its_error(self) -> None:
        """Both have the fingerprint of what went wrong, and the error has to ring although the warning is known."""
        assert alert_of(EVENT).key != alert_of({**EVENT, "alert.urgency": "business_hours"}).key

    def test_is_all_labels_where_there_is_no_fingerprint(self) -> None:
        """Alertmanager does the same."""
        assert alert_of(LINE).key == alert_of({**LINE, "message": "disk full"}).key
        assert alert_of(LINE).key != alert_of({**LINE, "owner.team": "disks"}).key


class TestShape:
    def test_is_that_of_the_api(self) -> None:
        """Four fields; labels and annotations are mappings of text to text."""
        posted = alert_of(EVENT).posted(NOW)

        assert list(posted) == ["labels", "annotations", "startsAt", "endsAt"]
        assert {type(text) for part in ("labels", "annotations") for text in posted[part].values()} == {str}

    def test_a_summary_names_the_service(self) -> None:
        """In the sentence on what was not delivered."""
        assert alert_of(EVENT).summary == "PaymentError: declined (shop)"
        assert alert_of({"alert.urgency": "page"}).summary == "A line without words"

    @given(
        st.fixed_dictionaries(
            {"alert.urgency": st.sampled_from(["page", "business_hours"])},
            optional=dict.fromkeys(
                ["timestamp", "duration_ms", *EVENT.keys() & {*LABELS.values(), *ANNOTATIONS.values()}],
                st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.lists(st.text(), max_size=2),
            ),
        )
    )
    def test_holds_whatever_stands_in_the_line(self, fields: dict[str, Any]) -> None:
        """A log may be written by anybody."""
        alert = alert_of(fields)
        posted = alert.posted(NOW)

        assert all(isinstance(text, str) and text for text in [*posted["labels"].values(), alert.summary])
        assert alert.began <= NOW
        assert alert.urgency is Urgency(fields["alert.urgency"])
