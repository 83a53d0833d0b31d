"""What is promised of secrets: none of them can be read in the file, at any time."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Written
from tests.flight import files, opened, raw
from tests.flight.test_live import journal, live
from tests.redaction_corpus import KEYS_THAT_GO, VALUES_THAT_GO, VALUES_THAT_STAY
from wideevents.events import Event
from wideevents.exceptions import NAMES
from wideevents.flight import Flight
from wideevents.flight.paths import KNOWN, Paths
from wideevents.recorder import Recorder
from wideevents.redaction import MARKER

PLANTED = [(re.sub("[«»]", "", text), re.findall("«(.*?)»", text, re.DOTALL)) for text in VALUES_THAT_GO]
"""Texts, each with its secrets."""

LONG = 8
"""Characters of a secret that does not stand in a file by chance."""

CARD = 4_111_111_111_111_111
SECRET = "s3cr3t-Zx9-of-a-route"

WAYS: dict[str, Callable[[Event, str], object]] = {
    "a text": lambda event, text: event.put("note", text),
    "in a list": lambda event, text: event.put("notes", [text, {"deep": [text]}]),
    "in a mapping": lambda event, text: event.put("user", {"note": text}),
    "an item": lambda event, text: event.append("items", text),
    "a dictionary in a list": lambda event, text: event.append("items", {"note": text}),
    "an error": lambda event, text: event.fail(ValueError(text)),
    "a log line": lambda event, text: event.logged(event.level.ERROR, text, raises=True),
    "bytes": lambda event, text: event.put("note", text.encode()),
}


def in_raw(secret: str, content: bytes) -> bool:
    """Tell whether a secret stands in a file, as JSON writes it, or as it is."""
    forms = {secret.encode(), json.dumps(secret)[1:-1].encode(), json.dumps(secret, ensure_ascii=False)[1:-1].encode()}
    return any(form in content for form in forms)


class TestValues:
    @pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
    def test_no_secret_reaches_the_file(
        self, recorder: Recorder, flight: Flight, way: Callable[[Event, str], object]
    ) -> None:
        """However it is added."""
        events = []
        for text, _ in PLANTED:
            events.append(opened(recorder))
            way(events[-1], text)
        content = raw(flight)

        found = [secret for _, secrets in PLANTED for secret in secrets if len(secret) >= LONG]
        assert len(found) > 150
        assert [secret for secret in found if in_raw(secret, content)] == []
        assert content.count(MARKER.encode()) >= len(PLANTED)

    @pytest.mark.usefixtures("flight")
    def test_the_file_has_what_the_line_has(self, recorder: Recorder, written: Written) -> None:
        """Of texts with secrets, and of those without; what is clean there is not looked at again."""
        event = opened(recorder)
        texts = [text for text, _ in PLANTED] + [text for text in VALUES_THAT_STAY if len(text) < 256]
        for number, text in enumerate(texts[:100] + texts[-100:]):
            event.put(f"field.{number}", text)
        found = journal(event)
        recorder.finish(event)

        line = written.one()
        names = [name for name in found if name.startswith("field.")]
        assert len(names) == 200
        assert {name: found[name] for name in names} == {name: line[name] for name in names}
        assert texts[-1] in event.clean

    @pytest.mark.usefixtures("flight")
    def test_a_card_number_is_no_number(self, recorder: Recorder, flight: Flight) -> None:
        """As an integer, alone and in a list; a large number that is none stays."""
        event = opened(recorder, number=CARD, other=CARD + 1, numbers=[CARD, CARD + 1], small=5)

        found = journal(event)
        assert (found["number"], found["other"]) == (MARKER, CARD + 1)
        assert (found["numbers"], found["small"]) == ([MARKER, CARD + 1], 5)
        assert str(CARD).encode() not in raw(flight)

    @pytest.mark.usefixtures("flight")
    def test_a_key_hides_its_value(self, recorder: Recorder, flight: Flight) -> None:
        """As everywhere."""
        event = opened(recorder)
        for key in KEYS_THAT_GO:
            event.put(key, "hunter2-hunter2")

        assert b"hunter2" not in raw(flight)

    @pytest.mark.usefixtures("flight")
    def test_what_is_known_before_the_file_is_looked_at_as_well(self, recorder: Recorder, flight: Flight) -> None:
        """A door writes what the client says before the event is followed."""
        event = recorder.open("GET", "request")
        assert event.fields is not None
        event.fields["user_agent.original"] = f"curl password={SECRET}"
        event.suspects.add("user_agent.original")
        flight.begin(event)

        assert journal(event)["user_agent.original"] == f"curl password={MARKER}"
        assert SECRET.encode() not in raw(flight)

    @pytest.mark.usefixtures("flight")
    def test_a_long_text_is_looked_at_as_far_as_it_is_kept(self, recorder: Recorder, flight: Flight) -> None:
        """A secret at its end is cut with it; half a secret is none of what is kept."""
        event = opened(recorder)
        event.put("note", "x " * 20_000 + f"password={SECRET}")
        event.put("exception.stacktrace", "x " * 20_000 + f"password={SECRET}")
        event.fail(ValueError("x " * 20_000 + f"password={SECRET}"))

        assert SECRET.encode() not in raw(flight)
        assert journal(event)["event.trimmed"]

    @pytest.mark.usefixtures("flight")
    def test_a_compact_journal_hides_the_same(self, recorder: Recorder, flight: Flight) -> None:
        """The fields themselves are as they were added, and are looked at again when all are written anew."""
        event = opened(recorder, note=f"password={SECRET}")
        for number in range(3_000):
            event.put("number", f"{number:0100}")

        assert journal(event)["note"] == f"password={MARKER}"
        assert live(event)["note"] == f"password={SECRET}"
        assert SECRET.encode() not in raw(flight)

    @pytest.mark.usefixtures("flight")
    def test_the_stack_of_an_error_is_hidden_in(self, recorder: Recorder, flight: Flight) -> None:
        """The message stands there, too."""
        event = opened(recorder)
        try:
            raise ValueError(f"password={SECRET}")
        except ValueError as error:
            event.fail(error)

        found = journal(event)
        assert found["exception.message"] == f"password={MARKER}"
        assert MARKER in found["exception.stacktrace"]
        assert NAMES & found.keys()
        assert SECRET.encode() not in raw(flight)


class TestRoutes:
    def routed(self, recorder: Recorder, flight: Flight, path: str, **fields: Any) -> Event:
        """Return the event of a request."""
        event = recorder.open("GET", "request")
        assert event.fields is not None
        event.fields.update({"url.path": path, **fields})
        flight.begin(event)
        return event

    @pytest.mark.parametrize(
        ("path", "told"),
        [
            ("/", "/"),
            ("/orders", "/orders"),
            ("/orders/items/", "/orders/items/"),
            ("/api/v2/robots.txt", "/api/v2/robots.txt"),
            ("/order-items/by_name", "/order-items/by_name"),
            ("/orders/10233", f"/orders/{MARKER}"),
            (f"/reset/{SECRET}/now", f"/reset/{MARKER}/now"),
            ("/verify/482913", f"/verify/{MARKER}"),
            ("/v2345", f"/{MARKER}"),
            ("/a%20b/ä/x--y", f"/{MARKER}/{MARKER}/{MARKER}"),
            ("*", MARKER),
        ],
    )
    def test_a_path_is_told_as_far_as_it_holds_no_parameter(
        self, recorder: Recorder, flight: Flight, path: str, told: str
    ) -> None:
        """Until its route is known, a parameter may be a secret, by its name."""
        event = self.routed(recorder, flight, path)
        event.put("after", 1)

        assert journal(event)["url.path"] == told
        assert live(event)["url.path"] == path

    def test_the_whole_path_is_told_with_its_route(self, recorder: Recorder, flight: Flight) -> None:
        """Whoever sets it again has judged its parameters; one alone, or among others."""
        one, other = (self.routed(recorder, flight, "/orders/10233") for _ in range(2))
        live(one)["url.path"] = "/orders/10233"
        live(other).update({"http.route": "/orders/<int:id>", "url.path": "/orders/10233"})
        for event in (one, other):
            for number in range(2_000):
                event.put("number", f"{number:0100}")

        assert [journal(event)["url.path"] for event in (one, other)] == ["/orders/10233"] * 2

    def test_a_path_that_is_held_back_stays_so_in_a_compact_journal(self, recorder: Recorder, flight: Flight) -> None:
        """However often all fields are written anew."""
        event = self.routed(recorder, flight, f"/reset/{SECRET}")
        for number in range(2_000):
            event.put("number", f"{number:0100}")

        assert journal(event)["url.path"] == f"/reset/{MARKER}"
        assert SECRET.encode() not in raw(flight)

    def test_a_secret_that_is_known_late_is_wiped_out(self, recorder: Recorder, flight: Flight) -> None:
        """What stands in the file already is written anew without it, and the old bytes are gone."""
        event = self.routed(recorder, flight, "/reset", note=f"asked for {SECRET}")
        event.append("notes", f"of {SECRET}")
        assert SECRET.encode() in raw(flight)
        event.hidden = (SECRET,)
        live(event).update({"http.route": "/reset/<token>"})

        assert SECRET.encode() not in raw(flight)
        assert journal(event)["note"] == f"asked for {MARKER}"

    def test_it_is_hidden_in_all_that_follows(self, recorder: Recorder, flight: Flight) -> None:
        """In texts, lists and errors."""
        event = self.routed(recorder, flight, "/reset")
        event.hidden = (SECRET,)
        event.put("note", f"asked for {SECRET}")
        event.put("list", [SECRET])
        event.append("notes", f"of {SECRET}")
        event.fail(ValueError(SECRET))
        live(event).update({"other": SECRET})

        assert SECRET.encode() not in raw(flight)
        assert journal(event)["note"] == f"asked for {MARKER}"
        assert journal(event)["notes"] == [f"of {MARKER}"]

    def test_a_text_may_be_clean_for_all_others(self, recorder: Recorder, flight: Flight) -> None:
        """What is secret here alone was looked at before, and nobody suspects it."""
        before = self.routed(recorder, flight, "/", note=f"about {SECRET}")
        before.put("note", f"about {SECRET}")
        recorder.drop(before)
        event = self.routed(recorder, flight, "/reset")
        event.hidden = (SECRET,)
        assert f"about {SECRET}" in event.clean
        live(event)["note"] = f"about {SECRET}"

        assert journal(event)["note"] == f"about {MARKER}"
        assert SECRET.encode() not in raw(flight)

    def test_one_that_is_known_from_the_beginning_is_never_there(self, recorder: Recorder, flight: Flight) -> None:
        """Then the first entry has none."""
        event = recorder.open("GET", "request")
        event.hidden = (SECRET,)
        assert event.fields is not None
        event.fields["note"] = SECRET
        flight.begin(event)

        assert journal(event)["note"] == MARKER
        assert SECRET.encode() not in raw(flight)

    def test_paths_without_end_take_no_memory(self) -> None:
        """They are forgotten all at once."""
        paths = Paths()
        for number in range(KNOWN + 1):
            assert paths[f"/{number}"] == f"/{MARKER}"

        assert len(paths) == 1
        assert paths["/orders"] is None

    def test_the_files_are_for_this_user_alone(self, recorder: Recorder, flight: Flight) -> None:
        """And so is the directory, where it was made for them."""
        opened(recorder)

        assert [path.stat().st_mode & 0o777 for path in files(flight)] == [0o600]
        assert flight.directory.stat().st_mode & 0o777 == 0o700
