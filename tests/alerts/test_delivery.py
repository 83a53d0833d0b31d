"""How alerts reach Alertmanager, and what happens where they do not."""

from __future__ import annotations

import base64
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest

from tests.alerts.stand_ins import TAKEN, hung, nobody, troubled
from tests.alerts.test_direct import EVENT, LINE, alert_of
from tests.integrations.servers import eventually
from tests.parts.alerting import alertmanager
from wideevents.alerts import delivery
from wideevents.alerts.delivery import Alertmanager, Courier
from wideevents.alerts.direct import Alert
from wideevents.alerts.outbox import Lifetimes, Outbox
from wideevents.errors import ConfigurationError

CONFIG = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"

Send = Callable[..., Courier]


def error(fingerprint: str = "a") -> Alert:
    """Return an error."""
    return alert_of({**EVENT, "alert.fingerprint": fingerprint})


@pytest.fixture
def told() -> list[str]:
    """Give what is told to people."""
    return []


@pytest.fixture
def box() -> Outbox:
    """Give an outbox that is empty."""
    return Outbox(Lifetimes(300, 3_600), time.time)


@pytest.fixture
def courier(told: list[str], box: Outbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Send]:
    """Give a function that starts one, which is in a hurry; it is ended with the test."""
    monkeypatch.setattr(delivery, "TICK_S", 0.02)
    monkeypatch.setattr(delivery, "SHORTEST_S", 0.01)
    monkeypatch.setattr(delivery, "LONGEST_S", 0.04)
    started: list[Courier] = []

    def start(url: str) -> Courier:
        started.append(Courier(box, Alertmanager.at(url), told.append))
        return started[-1]

    yield start
    for each in started:
        each.close(0)
    eventually(lambda: all(thread.name != "wideevents-alert" for thread in threading.enumerate()), "the threads to end")


class TestURL:
    @pytest.mark.parametrize(
        ("url", "shown"),
        [
            ("http://127.0.0.1:9093", "http://127.0.0.1:9093"),
            ("http://am.example/", "http://am.example"),
            ("https://am.example/alertmanager/", "https://am.example/alertmanager"),
            ("http://am.example/x/api/v2/alerts", "http://am.example/x"),
            ("HTTP://[::1]:9093", "http://[::1]:9093"),
            ("http://user:secret@am.example:9093", "http://am.example:9093"),
        ],
    )
    def test_is_where_alertmanager_is(self, url: str, shown: str) -> None:
        """With the path that a proxy may give it, and without its password where it is shown."""
        assert str(Alertmanager.at(url)) == shown

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "127.0.0.1:9093",
            "am.example",
            "ftp://am.example",
            "http://",
            "http://:9093",
            "http://am.example:port",
            "http://am.example:99999",
            "http://[::1",
            "http://am.example?x=1",
            "http://am.example#x",
            "http://am.example/a b",
            "http://am.example\n",
            "http://.example",
            "http://älert.example",
            "file:///etc/passwd",
        ],
    )
    def test_that_cannot_be_used_is_refused(self, url: str) -> None:
        """In a sentence that says what it has to be."""
        with pytest.raises(ConfigurationError) as refused:
            Alertmanager.at(url)

        assert str(refused.value) == (
            f"--alertmanager={url!r} cannot be used: it must be the URL of Alertmanager, as http://127.0.0.1:9093."
        )

    def test_is_refused_without_its_password(self) -> None:
        """The sentence may end in a log."""
        with pytest.raises(ConfigurationError, match=r"'ftp://\[redacted\]@am\.example'"):
            Alertmanager.at("ftp://user:secret@am.example")

    def test_hides_its_password_from_whoever_prints_it(self) -> None:
        """A traceback with variables shows none."""
        assert "Basic" not in repr(Alertmanager.at("http://user:secret@am.example"))


class TestPosting:
    def test_is_of_all_that_alertmanager_wants_to_know(self, tmp_path: Path) -> None:
        """The real one holds each alert with its labels, its words and its times."""
        with alertmanager(tmp_path, CONFIG) as running:
            alerts = [alert_of(EVENT), alert_of(LINE)]
            end = time.time() + 3_600
            answer = Alertmanager.at(running.url).post([each.posted(end) for each in alerts])
            held = {each["labels"]["severity"]: each for each in running.alerts()}

        assert answer.status == 200
        assert [held[name]["labels"] for name in ("error", "warning")] == [each.labels for each in alerts]
        assert [held[name]["annotations"] for name in ("error", "warning")] == [each.annotations for each in alerts]
        assert held["error"]["startsAt"] == "2026-01-02T03:04:05.678Z"

    def test_goes_to_the_path_of_the_api(self) -> None:
        """Below the prefix, as JSON, on a connection that is closed."""
        with troubled() as server:
            Alertmanager.at(server.url + "/prefix/").post([])

        assert server.paths == ["/prefix/api/v2/alerts"]
        assert [server.headers[0][name] for name in ("Content-Type", "Connection")] == ["application/json", "close"]
        assert "Authorization" not in server.headers[0]

    def test_says_who_asks(self) -> None:
        """A user and a password in the URL are a header."""
        with troubled() as server:
            Alertmanager.at(server.url.replace("//", "//me%40x:p%3A%20w@")).post([])

        assert server.headers[0]["Authorization"] == "Basic " + base64.b64encode(b"me@x:p: w").decode()

    def test_asks_no_proxy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Alertmanager stands in the same network."""
        monkeypatch.setenv("http_proxy", nobody())
        with troubled() as server:
            assert Alertmanager.at(server.url).post([]).status == 200

    def test_is_encrypted_where_the_url_says_so(self) -> None:
        """A server that speaks no TLS is not spoken to."""
        with troubled() as server, pytest.raises(ssl.SSLError):
            Alertmanager.at(server.url.replace("http:", "https:")).post([])

        assert server.bodies == []

    def test_gives_up_on_one_that_never_answers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Within a bounded time."""
        monkeypatch.setattr(delivery, "ANSWER_S", 0.05)
        with hung() as url, pytest.raises(TimeoutError):
            Alertmanager.at(url).post([])

    def test_tells_what_was_answered_in_few_words(self) -> None:
        """Without anything that drives a terminal; where nothing was said, what the status means."""
        with troubled((418, "no\x1b[2J" + "x" * 5_000), (503, "")) as server:
            answers = [Alertmanager.at(server.url).post([]) for _ in range(2)]

        assert [answer.status for answer in answers] == [418, 503]
        assert answers[0].reason.startswith("418 no\\x1b[2Jxxx")
        assert (len(answers[0].reason) < 300, answers[1].reason) == (True, "503 Service Unavailable")


class TestCourier:
    def test_delivers_at_once(self, courier: Send, told: list[str]) -> None:
        """A new alert does not wait for others; nothing is told."""
        with troubled() as server:
            sending = courier(server.url)
            sending.send(error("a"))
            server.asked(1)
            sending.send(error("b"))
            server.asked(2)

            assert sending.close(5) == []
        assert (server.fingerprints(), told) == ([["a"], ["b"]], [])

    def test_wakes_up_for_a_new_alert(self, courier: Send, monkeypatch: pytest.MonkeyPatch) -> None:
        """It does not wait until it looks again by itself."""
        with troubled() as server:
            monkeypatch.setattr(delivery, "TICK_S", 60.0)
            sending = courier(server.url)
            for number in range(5):
                sending.send(error(str(number)))
                server.asked(number + 1)

            assert sending.close(5) == []

    def test_tells_a_known_alert_no_more_than_needed(self, courier: Send, box: Outbox) -> None:
        """A hundred of one kind are one, and at the end another one that says it went on."""
        with troubled() as server:
            sending = courier(server.url)
            sending.send(error())
            eventually(lambda: not box.waiting, "the delivery")
            for _ in range(100):
                sending.send(error())
            sending.close(5)

        (first,), (last,) = server.bodies
        assert first["labels"] == last["labels"]
        assert first["endsAt"] < last["endsAt"]

    def test_has_nothing_left_when_it_has_ended(self, courier: Send, box: Outbox) -> None:
        """All that was sent is delivered, in batches."""
        with troubled() as server:
            sending = courier(server.url)
            for number in range(250):
                sending.send(error(str(number)))

            assert sending.close(10) == []
        delivered = [each for body in server.fingerprints() for each in body]
        assert sorted(delivered, key=int) == [str(number) for number in range(250)]
        assert len(server.bodies) < 250

    @pytest.mark.parametrize("answer", [(500, "broken"), (503, ""), (404, "not here"), (302, ""), (401, ""), (0, "")])
    def test_tries_again_where_it_is_not_taken(self, courier: Send, told: list[str], answer: tuple[int, str]) -> None:
        """Whatever the trouble, it may pass. It is told once, and that it is over."""
        with troubled(answer, answer, answer, TAKEN) as server:
            sending = courier(server.url)
            sending.send(error())
            server.asked(4)

            assert sending.close(5) == []
            url = server.url
        assert server.fingerprints() == [["a"]] * 4
        assert told[0].startswith(f"{url} cannot be reached (")
        assert told[1:] == [f"{url} is back"]

    def test_delivers_when_alertmanager_comes_up(self, courier: Send, told: list[str], tmp_path: Path) -> None:
        """Nobody listened at first; the same alert meanwhile is one alert."""
        url = nobody()
        sending = courier(url)
        for _ in range(10):
            sending.send(error())
        eventually(lambda: told, "a sentence on the trouble")
        with alertmanager(tmp_path, CONFIG, int(url.rpartition(":")[2])) as running:
            held = eventually(running.alerts, "the alert")

        assert [each["labels"]["fingerprint"] for each in held] == ["a"]
        assert told[0] == f"{url} cannot be reached (Connection refused); alerts wait, and are tried again"

    def test_reminds_one_that_has_forgotten(
        self, courier: Send, box: Outbox, tmp_path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Alertmanager was restarted: what goes on is there again."""
        monkeypatch.setattr(box, "_remind", 0.05)
        url = nobody()
        port = int(url.rpartition(":")[2])
        with alertmanager(tmp_path, CONFIG, port) as running:
            sending = courier(url)
            sending.send(error())
            first = eventually(running.alerts, "the alert")
        with alertmanager(tmp_path, CONFIG, port) as running:
            again = eventually(running.alerts, "the alert again")

        assert [each["endsAt"] for each in again] == [each["endsAt"] for each in first]

    def test_waits_longer_after_each_attempt(self, courier: Send, monkeypatch: pytest.MonkeyPatch) -> None:
        """Up to a limit, and not for long again after it has gone well."""
        waited: list[float] = []
        with troubled((500, ""), (500, ""), (500, ""), (500, ""), TAKEN, (500, ""), TAKEN) as server:
            sending = courier(server.url)
            monkeypatch.setattr(sending._closing, "wait", waited.append)
            sending.send(error("a"))
            server.asked(5)
            eventually(lambda: not sending.trouble, "the delivery")
            sending.send(error("b"))
            server.asked(7)

        assert waited == [0.01, 0.02, 0.04, 0.04, 0.01]

    @pytest.mark.parametrize("status", [400, 413, 422])
    def test_lets_no_bad_alert_hold_up_the_others(
        self, courier: Send, box: Outbox, told: list[str], status: int
    ) -> None:
        """A batch that is refused is posted one by one; the one that is refused alone is told, and given up."""
        for name in "abc":
            box.add(error(name))
        with troubled((status, "bad"), TAKEN, (status, "bad b"), TAKEN) as server:
            left = courier(server.url).close(5)

        assert (left, server.fingerprints()) == ([], [["a", "b", "c"], ["a"], ["b"], ["c"]])
        assert told == [f"Alertmanager refused an alert, PaymentError: declined (shop): {status} bad b"]
        assert box.refused == 1

    def test_returns_what_it_could_not_deliver(self, courier: Send) -> None:
        """At the end it tries for a bounded time."""
        sending = courier(nobody())
        sending.send(error())

        assert sending.close(0.1) == [error()]

    def test_tries_to_the_end(self, courier: Send) -> None:
        """Trouble that passes in the meantime costs nothing."""
        with troubled(*[(500, "")] * 5, TAKEN) as server:
            sending = courier(server.url)
            sending.send(error())

            assert sending.close(5) == []

    def test_does_not_besiege_alertmanager_at_the_end(self, courier: Send) -> None:
        """It waits between two attempts, also then."""
        with troubled((500, "")) as server:
            sending = courier(server.url)
            sending.send(error())
            sending.close(0.4)

            assert 2 <= len(server.bodies) <= 25

    def test_is_never_in_the_way(self, courier: Send) -> None:
        """Who reads the log does not wait for an Alertmanager that never answers."""
        with hung() as url:
            sending = courier(url)
            began = time.monotonic()
            for number in range(500):
                sending.send(error(str(number)))
            took = time.monotonic() - began
            left = sending.close(0)

        assert (len(left), took < delivery.ANSWER_S) == (500, True)

    @pytest.mark.parametrize(
        ("trouble", "words"),
        [
            (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
            (TimeoutError("timed out"), "timed out"),
            (HTTPException(), "HTTPException"),
        ],
        ids=repr,
    )
    def test_tells_a_trouble_in_words(
        self, courier: Send, told: list[str], monkeypatch: pytest.MonkeyPatch, trouble: Exception, words: str
    ) -> None:
        """Those that the system has for it, else its own, else its name."""

        def refuse(*_: object) -> None:
            raise trouble

        monkeypatch.setattr(HTTPConnection, "connect", refuse)
        sending = courier("http://127.0.0.1:9")
        sending.send(error())
        eventually(lambda: told, "a sentence")

        assert told[0] == f"http://127.0.0.1:9 cannot be reached ({words}); alerts wait, and are tried again"
