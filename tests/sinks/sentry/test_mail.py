"""How reports wait, are sent, and are counted where they do not arrive."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest

import wideevents
from tests.conftest import in_child
from tests.integrations.servers import environment, eventually
from tests.sinks.sentry import (
    CERTIFICATE,
    OK,
    Answer,
    Inbox,
    answering,
    dripping,
    hanging,
    inbox,
    lost,
    nobody,
    saying,
)
from wideevents import health
from wideevents.context import variable
from wideevents.redaction import Redaction
from wideevents.sinks.sentry import mail as room
from wideevents.sinks.sentry import posts
from wideevents.sinks.sentry.addresses import Address
from wideevents.sinks.sentry.mail import MOST, Mail
from wideevents.sinks.sentry.posts import Post
from wideevents.sinks.sentry.reports import Letter, Reports

_numbers = count()


def letter(line: bytes = b"{}\n") -> Letter:
    return Letter(f"{next(_numbers):032x}", 0.0, "error", handled=True, fingerprint="f", line=line, raised=())


def threads() -> list[threading.Thread]:
    """Return the threads that send reports."""
    return [thread for thread in threading.enumerate() if thread.name == "wideevents-sentry"]


def sending(dsn: str) -> Mail:
    return Mail(Post(Address.of(dsn)), lambda: Reports(Redaction()))


@contextmanager
def mailing(answer: Answer = OK) -> Iterator[tuple[Mail, Inbox]]:
    """Give what sends to a server that answers so; what it has not sent when the server ends is let go."""
    with inbox(answer) as server:
        mail = sending(server.dsn)
        yield mail, server
    mail.close(5)
    eventually(lambda: threads() == [], "the thread to end")


def written() -> dict[str, int]:
    """Return what the next line would tell."""
    return {name: number for name, number in health.take_unreported().items() if "lost" in name}


class TestSending:
    def test_reports_arrive_in_their_order(self) -> None:
        """From a thread that does not keep the process alive."""
        with mailing() as (mail, server):
            letters = [letter() for _ in range(20)]
            for each in letters:
                mail.send(each)
            (thread,) = threads()
            told = [report["event_id"] for report in server.wait(20)]

        assert told == [each.id for each in letters]
        assert thread.daemon

    def test_without_a_report_there_is_no_thread(self) -> None:
        """Nor is there one any more when it has been idle; the next report gets another."""
        with pytest.MonkeyPatch.context() as patch, mailing() as (mail, server):
            patch.setattr(room, "IDLE_S", 0.01)
            assert threads() == []
            mail.send(letter())
            server.wait(1)
            eventually(lambda: threads() == [], "the thread to end")
            mail.send(letter())

            assert len(server.wait(2)) == 2

    def test_a_report_that_comes_as_the_thread_goes_is_sent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It looks again before it goes."""
        monkeypatch.setattr(room, "IDLE_S", 0.0)
        with mailing() as (mail, server):
            for number in range(200):
                mail.send(letter())
                time.sleep(0.0005 * (number % 3))

            assert len(server.wait(200)) == 200

    def test_it_works_outside_the_event_in_which_it_was_born(self, recorder: Any) -> None:
        """The first report comes in a request, whose event must not live on in the thread."""
        seen = []

        def reports() -> Reports:
            seen.append(variable.get())
            return Reports(Redaction())

        with inbox() as server:
            mail = Mail(Post(Address.of(server.dsn)), reports)
            with wideevents.event("request"):
                mail.send(letter())
            server.wait(1)
            mail.close(5)

        assert seen == [None]

    def test_nothing_is_kept_when_nobody_uses_it_any_more(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A process that is configured again and again has no more threads for it."""
        monkeypatch.setattr(room, "IDLE_S", 0.05)
        with inbox() as server:
            for _ in range(5):
                sending(server.dsn).send(letter())
            server.wait(5)
            assert len(threads()) <= 5
            eventually(lambda: threads() == [], "the threads to end")


class TestLosses:
    @pytest.mark.parametrize(
        ("answer", "sentence"),
        [
            (answering("500 Oops"), "answered 500"),
            (answering("429 Too Many", "Retry-After: 60"), "answered 429"),
            (answering("302 Found", "Location: http://127.0.0.1/"), "answered 302"),
            (saying(b"garbage"), "answered what is no HTTP"),
            (hanging, "did not answer (timed out)"),
            (dripping, "did not answer (timed out)"),
        ],
    )
    def test_a_report_that_is_not_taken_is_counted(
        self, answer: Answer, sentence: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """On the next line, and told once in a sentence that says why."""
        monkeypatch.setattr(posts, "ANSWER_S", 0.1)
        with mailing(answer) as (mail, _):
            mail.send(letter())
            eventually(lambda: lost() == 1, "the loss")
        (said,) = [record.getMessage() for record in caplog.records]

        assert sentence in said
        assert said.startswith("A report did not reach Sentry: http://127.0.0.1:")
        assert written() == {"events.lost": 1, "events.lost_in.sentry": 1}

    def test_nobody_is_there(self) -> None:
        """Each one is counted."""
        mail = sending(nobody())
        for _ in range(5):
            mail.send(letter())
        mail.close(5)

        assert written() == {"events.lost": 5, "events.lost_in.sentry": 5}

    def test_who_asks_to_wait_is_left_alone_for_as_long(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What comes meanwhile is counted; afterwards it is tried again."""
        now = [1_000.0]
        monkeypatch.setattr(room, "monotonic", lambda: now[0])
        with mailing(answering("429 Too Many", "Retry-After: 30")) as (mail, server):
            mail.send(letter())
            mail.send(letter())
            eventually(lambda: lost() == 2, "two losses")
            server.answer = OK
            now[0] += 29.9
            mail.send(letter())
            eventually(lambda: lost() == 3, "three losses")
            assert server.visits == 1
            now[0] += 0.2
            mail.send(letter())
            mail.close(5)

            assert (server.visits, lost()) == (2, 3)

    def test_whoever_takes_a_report_may_ask_to_wait(self) -> None:
        """The limit is reached with this one, which is no loss."""
        with mailing(answering("200 OK", "X-Sentry-Rate-Limits: 60:error:key")) as (mail, server):
            mail.send(letter())
            mail.send(letter())
            mail.close(5)

            assert (server.visits, lost()) == (1, 1)

    def test_a_report_that_cannot_be_made_is_counted_and_the_next_one_is_sent(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A mistake of ours costs one report, and not the thread."""
        with mailing() as (mail, server):
            mail.send(letter(b"no line"))
            mail.send(letter())

            assert (len(server.wait(1)), lost()) == (1, 1)
            assert len(threads()) == 1
        (said,) = [record.getMessage() for record in caplog.records]

        assert "it could not be made (JSONDecodeError)" in said

    def test_it_is_full(self) -> None:
        """Whoever sends asks before anything is done for the report."""
        with mailing(hanging) as (mail, server):
            mail.send(letter())
            eventually(lambda: server.visits, "the first one to be sent")
            for _ in range(MOST):
                assert not mail.is_full
                mail.send(letter())

            assert mail.is_full
            mail.close(0.01)

    def test_no_thread_can_be_started_any_more(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The interpreter is about to end: what waits is lost, and counted."""

        def refuse(thread: threading.Thread) -> None:
            raise RuntimeError("can't create new thread at interpreter shutdown")

        mail = sending(nobody())
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            mail.send(letter())
            mail.send(letter())

        assert (written(), threads()) == ({"events.lost": 2, "events.lost_in.sentry": 2}, [])


class TestClosing:
    def test_all_is_sent_before_it_returns(self) -> None:
        """And what comes later is sent, too: an event in progress ends after a new configuration."""
        with mailing() as (mail, server):
            for _ in range(50):
                mail.send(letter())
            mail.close(10)
            assert len(server.reports) == 50
            mail.send(letter())
            mail.close(10)

            assert len(server.reports) == 51

    def test_without_a_report_it_returns_at_once(self) -> None:
        """No thread is born to say that there is nothing to do."""
        sending(nobody()).close(60)

        assert threads() == []

    def test_a_hung_sentry_is_given_up(self) -> None:
        """In time; what waits is counted, the one that is being sent included, and only once."""
        with mailing(hanging) as (mail, server):
            for _ in range(10):
                mail.send(letter())
            eventually(lambda: server.visits, "the first one to be sent")
            began = time.monotonic()
            mail.close(0.1)
            took = time.monotonic() - began
            assert (lost(), took < 5) == (10, True)
        eventually(lambda: lost() == 10 and mail._sending is None, "the first one to fail")

        assert lost() == 10

    def test_where_nothing_waits_nothing_is_lost(self) -> None:
        """The last report may arrive in the moment in which it is given up."""
        with mailing() as (mail, _):
            mail.send(letter())
            eventually(lambda: mail._sending is None and mail._waiting.empty(), "the report to be sent")
            mail.close(5)
            mail._give_up()

        assert lost() == 0

    def test_two_may_wait_for_the_end(self) -> None:
        """Each is told when all is sent."""
        goes_on = threading.Event()

        def slowly(client: Any, closed: threading.Event) -> None:
            goes_on.wait(10)
            OK(client, closed)

        with mailing(slowly) as (mail, server):
            mail.send(letter())
            closing = [threading.Thread(target=mail.close, args=(60,), daemon=True) for _ in range(2)]
            for each in closing:
                each.start()
            eventually(lambda: server.visits == 1 and mail._waiting.qsize() == 2, "both to wait")
            goes_on.set()
            for each in closing:
                each.join(10)

            assert (len(server.reports), lost(), [each.is_alive() for each in closing]) == (1, 0, [False, False])

    def test_two_may_close_at_once(self) -> None:
        """Whoever gives up lets go of the other, too."""
        with mailing(hanging) as (mail, server):
            mail.send(letter())
            eventually(lambda: server.visits, "the first one to be sent")
            patient = threading.Thread(target=mail.close, args=(60,))
            patient.start()
            eventually(lambda: mail._waiting.qsize() == 1, "the other one to wait")
            mail.close(0.05)
            patient.join(10)

            assert not patient.is_alive()
            assert lost() == 1


class TestForks:
    def test_a_child_sends_by_itself(self) -> None:
        """With a thread of its own; what waits in the parent is sent by the parent, once."""
        forked = threading.Event()

        def slowly_at_first(client: Any, closed: threading.Event) -> None:
            if server.visits == 1:
                forked.wait(10)
            OK(client, closed)

        with mailing(slowly_at_first) as (mail, server):
            mail.send(letter())
            mail.send(letter())
            eventually(lambda: server.visits == 1, "the first one to be sent")

            def send() -> list[int]:
                mail.send(letter(b'{"event.name":"child"}\n'))
                alive = len(threads())
                mail.close(10)
                return [alive, mail._waiting.qsize()]

            assert in_child(send) == [1, 0]
            forked.set()
            told = [report.get("transaction") for report in server.wait(3)]
            mail.close(10)

        assert (sorted(told, key=str), len(server.reports)) == ([None, None, "child"], 3)

    def test_a_lock_that_is_held_at_the_fork(self) -> None:
        """Its holder is not there in the child."""
        with mailing() as (mail, server), mail._lock:

            def send() -> None:
                mail.send(letter())
                mail.close(10)

            assert in_child(send) is None
            assert len(server.wait(1)) == 1


SCRIPT = """
import sys, time
import wideevents
wideevents.configure(service="script", output="json", sentry=sys.argv[1])
with wideevents.event("job"):
    for number in range(3):
        try:
            raise KeyError(number)
        except KeyError as error:
            wideevents.add_error(error)
if sys.argv[2:] == ["fork"]:
    import os, subprocess
    pid = os.fork()
    if not pid:
        with wideevents.event("child"):
            wideevents.add_error(ValueError("in the child"))
        sys.exit(0)
    os.waitpid(pid, 0)
raise SystemExit(0)
"""

MODULES = """
import sys
import wideevents
wideevents.configure(service="script", output="json", sentry=sys.argv[1])
before = set(sys.modules)
with wideevents.event("job"):
    wideevents.add_error(KeyError("sku"))
wideevents.config._close()
assert set(sys.modules) == before, set(sys.modules) - before
"""


class TestProcesses:
    @staticmethod
    def run(dsn: str, *arguments: str, script: str = SCRIPT) -> tuple[float, str]:
        """Run a script that fails and ends; return its seconds, and what it wrote."""
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", script, dsn, *arguments],
            env=environment(SSL_CERT_FILE=str(CERTIFICATE)),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert done.stderr == ""
        return time.monotonic() - began, done.stdout

    @pytest.mark.parametrize("arguments", [(), ("fork",)])
    def test_a_script_that_ends_at_once_has_sent_its_reports(self, arguments: tuple[str, ...], sentry: Inbox) -> None:
        """And so has its child."""
        _, out = self.run(sentry.dsn, *arguments)

        assert len(sentry.reports) == (4 if arguments else 3)
        assert out.count('"sentry.event_id"') == (2 if arguments else 1)

    def test_a_hung_sentry_does_not_keep_it_alive(self) -> None:
        """Two seconds, and no more; it is compared with one that has nothing to wait for."""
        with inbox(hanging) as hung, inbox() as well:
            quick, _ = self.run(well.dsn)
            slow, out = self.run(hung.dsn)

        assert slow - quick < 3.9  # a busy machine may take some time over it; to wait twice would take four
        assert '"event.name":"job"' in out

    @pytest.mark.parametrize("secure", [False, True])
    def test_nothing_is_imported_in_the_thread(self, *, secure: bool) -> None:
        """A fork in the middle of an import leaves the child with half a module, for good."""
        with inbox(secure=secure) as server:
            self.run(server.dsn, script=MODULES)

            assert len(server.reports) == 1
