"""What is kept until Alertmanager has it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.alerts.test_direct import EVENT, LINE, alert_of
from tests.conftest import FakeClock, at_once
from wideevents.alerts import outbox
from wideevents.alerts.direct import Alert, seconds
from wideevents.alerts.outbox import BATCH, REMIND, Lifetimes, Outbox

QUIET, KEEP = 300.0, 7_200.0


@pytest.fixture
def box(clock: FakeClock) -> Outbox:
    """Give an outbox that is empty."""
    return Outbox(Lifetimes(QUIET, KEEP), clock.now)


def error(fingerprint: str = "00112233445566aa", **fields: Any) -> Alert:
    """Return an error."""
    return alert_of({**EVENT, "alert.fingerprint": fingerprint, **fields})


def deliver(box: Outbox) -> list[dict[str, Any]]:
    """Deliver what is due now, and return it."""
    batch = box.take()
    posted = box.posted(batch)
    box.delivered(batch)
    return posted


def ends(clock: FakeClock, box: Outbox, *, final: bool = False) -> list[float]:
    """Return when what is due now ends, in seconds from now."""
    told = [seconds(each["endsAt"]) or 0.0 for each in box.posted(box.take(final=final))]
    return [round(end - clock.now(), 3) for end in told]


class TestAnAlert:
    def test_waits_until_it_is_delivered(self, box: Outbox) -> None:
        """It is offered again as long as nobody has said so."""
        assert box.add(error())
        assert [box.take() == box.take() != [], box.waiting] == [True, [error()]]
        deliver(box)

        assert (box.take(), box.waiting) == ([], [])

    def test_that_waits_takes_up_the_next_ones(self, box: Outbox) -> None:
        """Alertmanager hears of it once, with the first beginning, the first labels and the last words."""
        box.add(error(timestamp="2026-01-02T03:04:06Z"))
        again = error(**{"http.route": "/other", "timestamp": "2026-01-02T03:04:05Z", "exception.message": "closed"})
        assert not box.add(again)
        (posted,) = deliver(box)

        assert (posted["labels"]["route"], posted["startsAt"]) == ("/pay", "2026-01-02T03:04:05.000000Z")
        assert posted["annotations"]["summary"] == "PaymentError: closed"

    def test_does_not_ring_anew_as_long_as_it_goes_on(self, clock: FakeClock, box: Outbox) -> None:
        """It does when it had ended."""
        box.add(error())
        deliver(box)
        clock.advance(QUIET - 1)
        assert not box.add(error())
        clock.advance(QUIET - 1)
        assert not box.add(error())
        clock.advance(QUIET)

        assert box.add(error())
        assert len(box.waiting) == 1

    def test_lasts_as_long_as_its_urgency_says(self, clock: FakeClock, box: Outbox) -> None:
        """An error for some quiet, a warning until the hours have opened, each from when it is posted."""
        box.add(error())
        box.add(alert_of(LINE))
        clock.advance(10_000)

        assert ends(clock, box) == [QUIET, KEEP]

    def test_that_waited_long_lasts_no_less(self, clock: FakeClock, box: Outbox) -> None:
        """When Alertmanager was down for an hour it is told of an alert, and not of one that is over."""
        box.add(error())
        clock.advance(3_600)
        deliver(box)
        clock.advance(QUIET - 1)

        assert not box.add(error())

    def test_is_not_forgotten_while_it_waits(self, clock: FakeClock, box: Outbox) -> None:
        """Another one an hour later is the same."""
        box.add(error())
        clock.advance(3_600)

        assert not box.add(error())
        assert len(box.waiting) == 1


class TestReminders:
    def test_come_every_minute_as_long_as_it_goes_on(self, clock: FakeClock, box: Outbox) -> None:
        """Alertmanager keeps alerts in memory alone: one that was restarted learns them again."""
        box.add(error())
        deliver(box)
        seen = []
        for _ in range(14):
            clock.advance(REMIND / 2)
            seen.append(len(deliver(box)))

        assert seen == [0, 1, 0, 1, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0]

    def test_do_not_lengthen_it(self, clock: FakeClock, box: Outbox) -> None:
        """The end is that of the last occurrence."""
        box.add(error())
        deliver(box)
        clock.advance(REMIND)

        assert ends(clock, box) == [QUIET - REMIND]

    def test_tell_what_has_gone_on(self, clock: FakeClock, box: Outbox) -> None:
        """A storm of errors is one alert, and one reminder a minute."""
        box.add(error())
        deliver(box)
        for _ in range(120):
            clock.advance(0.5)
            box.add(error())

        assert ends(clock, box) == [QUIET]

    def test_come_at_once_where_it_would_end(self, clock: FakeClock, box: Outbox) -> None:
        """Or Alertmanager would end it, and ring anew."""
        box.add(error())
        deliver(box)
        for _ in range(3):
            clock.advance(REMIND)
            deliver(box)
        clock.advance(REMIND / 2)
        assert box.take() == []
        box.add(error())

        assert ends(clock, box) == [QUIET]

    def test_at_the_end_are_of_what_has_gone_on_since(self, clock: FakeClock, box: Outbox) -> None:
        """Nobody will remind Alertmanager any more."""
        box.add(error("a"))
        box.add(error("b"))
        deliver(box)
        clock.advance(1)
        box.add(error("b"))

        assert ends(clock, box) == []
        assert ends(clock, box, final=True) == [QUIET]
        deliver(box)
        box.delivered(box.take(final=True))
        assert box.take(final=True) == []

    def test_come_sooner_where_the_quiet_is_short(self, clock: FakeClock) -> None:
        """Four in the shorter of the two lives."""
        for lifetimes in (Lifetimes(20, 7_200), Lifetimes(7_200, 20)):
            box = Outbox(lifetimes, clock.now)
            box.add(error() if lifetimes.quiet == 20 else alert_of(LINE))
            deliver(box)
            clock.advance(4.9)
            assert box.take() == []
            clock.advance(0.1)
            assert len(box.take()) == 1

    def test_wait_for_what_is_new(self, clock: FakeClock, box: Outbox) -> None:
        """Who has not been called goes first."""
        box.add(error("a"))
        deliver(box)
        clock.advance(REMIND)
        box.add(error("b"))

        assert [each["labels"]["fingerprint"] for each in [*deliver(box), *deliver(box)]] == ["b", "a"]


class TestRefusal:
    def test_is_final_as_long_as_it_goes_on(self, clock: FakeClock, box: Outbox) -> None:
        """Alertmanager is not asked again, and nobody told again, with every line."""
        box.add(error())
        box.refuse(*box.take())
        clock.advance(REMIND)
        assert not box.add(error())

        assert (box.refused, box.waiting, box.take(), box.take(final=True)) == (1, [], [], [])
        clock.advance(QUIET)
        assert box.add(error())


class TestBounds:
    def test_a_batch_is_small(self, box: Outbox) -> None:
        """Thousands of alerts are posted in parts, in their order."""
        for number in range(BATCH + 1):
            box.add(error(str(number)))

        assert [each["labels"]["fingerprint"] for each in deliver(box)] == [str(number) for number in range(BATCH)]
        assert len(deliver(box)) == 1

    def test_reminders_are_as_small(self, clock: FakeClock, box: Outbox) -> None:
        """The rest follows at once."""
        for number in range(BATCH + 1):
            box.add(error(str(number)))
        deliver(box)
        deliver(box)
        clock.advance(REMIND)

        assert [len(deliver(box)) for _ in range(3)] == [BATCH, 1, 0]

    def test_too_many_that_wait_are_counted(self, box: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
        """The first ones are kept: they are nearer to the cause."""
        monkeypatch.setattr(outbox, "MOST", 2)
        added = [box.add(error(name)) for name in "abcb"]

        assert (added, box.lost) == ([True, True, False, False], 1)
        assert [alert.labels["fingerprint"] for alert in box.waiting] == ["a", "b"]

    def test_too_many_that_are_known_are_forgotten(self, box: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
        """The oldest first: it would ring anew, but no memory grows without end."""
        monkeypatch.setattr(outbox, "MOST", 2)
        for name in "abc":
            box.add(error(name))
            deliver(box)

        assert [box.add(error(name)) for name in "cba"] == [False, False, True]
        assert box.lost == 0

    def test_adding_is_safe_from_many_threads(self, box: Outbox, eager_switching: None) -> None:
        """While another one takes: each alert is delivered once."""
        ended: list[None] = []
        told: list[str] = []

        def add() -> None:
            for number in range(200):
                box.add(error(str(number)))
            ended.append(None)

        def take() -> None:
            while len(ended) < 2 or box.waiting:
                told.extend(each["labels"]["fingerprint"] for each in deliver(box))

        at_once(add, add, take)

        assert sorted(told, key=int) == [str(number) for number in range(200)]
