"""What the rates room promises."""

from __future__ import annotations

import random

import pytest

from tests.conftest import FakeClock, at_once
from wideevents.rates import IDLE, LARGEST, STEPS, WHOLE, WINDOW, Rates, threshold


class Traffic:
    """Let events of keys come at a steady pace, and count the lines of each."""

    def __init__(self, per_second: float, keys: int = 10) -> None:
        self.clock = FakeClock()
        self.rates = Rates(per_second, keys, lambda: self.clock.seconds)
        self.random = random.Random(6)

    def come(self, key: object, pace: float, seconds: float) -> tuple[int, float]:
        """Return how many lines there were of *pace* events a second, and for how many events they stand."""
        lines, events = 0, 0
        for _ in range(round(pace * seconds)):
            self.clock.advance(1 / pace)
            rate, least = self.rates.seen(key)
            assert least == threshold(rate)
            if f"{self.random.getrandbits(56):014x}" >= least:
                lines, events = lines + 1, events + rate
        return lines, events


@pytest.fixture
def traffic() -> Traffic:
    """Give traffic of which five lines a second are wanted."""
    return Traffic(per_second=5)


class TestThreshold:
    @pytest.mark.parametrize(
        ("rate", "least"),
        [(1, "0" * 14), (2, "8" + "0" * 13), (4, "c" + "0" * 13), (10, "e6666666666667"), (256, "ff" + "0" * 12)],
    )
    def test_is_that_of_opentelemetry(self, rate: int, least: str) -> None:
        """The values are those of its specification, rounded so that never more than one in N is kept."""
        assert threshold(rate) == least

    @pytest.mark.parametrize("rate", [1, 3, 7, 1_000, 999_983, LARGEST])
    def test_keeps_one_in_so_many(self, rate: int) -> None:
        """Of all the values that randomness has, to one."""
        kept = WHOLE - int(threshold(rate), 16)

        assert (kept == WHOLE // rate, len(threshold(rate))) == (True, 14)

    def test_grows_with_the_rate(self) -> None:
        """So that what is kept with a higher rate is kept with a lower one."""
        thresholds = [threshold(rate) for rate in range(1, 2_000)]

        assert thresholds == sorted(thresholds)


class TestRates:
    def test_keeps_about_as_many_as_are_wanted(self, traffic: Traffic) -> None:
        """Whatever the traffic is, once it is known."""
        traffic.come("a", 1_000, 5 * WINDOW)
        lines, events = traffic.come("a", 1_000, 40)

        assert (160 <= lines <= 240, 36_000 <= events <= 44_000) == (True, True)

    def test_keeps_all_of_what_is_rare(self, traffic: Traffic) -> None:
        """Less than is wanted is kept in full, for ever."""
        assert traffic.come("a", 4, 300) == (1_200, 1_200)

    def test_keeps_a_new_key_in_full_at_first(self, traffic: Traffic) -> None:
        """As many as are wanted in the time that counts as recent."""
        assert traffic.come("a", 1_000, 5 * WINDOW / 1_000) == (50, 50)

    def test_holds_a_sudden_rush(self, traffic: Traffic) -> None:
        """A hundred times the traffic is not a hundred times the lines, not even in its first seconds."""
        traffic.come("a", 10, 5 * WINDOW)
        lines, _ = traffic.come("a", 1_000, WINDOW)

        assert lines < 300

    def test_forgets_a_rush(self, traffic: Traffic) -> None:
        """What comes when it is over is kept in full again."""
        traffic.come("a", 1_000, 5 * WINDOW)
        traffic.come("a", 1, 12 * WINDOW)

        assert traffic.come("a", 1, 20) == (20, 20)

    def test_tells_the_keys_apart(self, traffic: Traffic) -> None:
        """Many of one take nothing from the few of another."""
        traffic.come("many", 10_000, 5)

        assert traffic.come("few", 1, 20) == (20, 20)

    def test_follows_as_one_what_is_beyond_its_keys(self) -> None:
        """An id for a key must cost neither memory nor lines."""
        traffic = Traffic(per_second=5, keys=2)
        kept = [traffic.come(number, 100, 0.01)[0] for number in range(2_000)]

        assert (kept[:40], sum(kept) < 500) == ([1] * 40, True)

    def test_gives_the_place_of_an_idle_key_to_another(self) -> None:
        """A key of last night is not followed for ever; one that goes on keeps its place."""
        traffic = Traffic(per_second=1, keys=2)
        traffic.come("old", 100, 10)
        traffic.come("steady", 1, (IDLE + 1) * WINDOW)
        traffic.come("steady", 100, 10)
        fresh = [traffic.rates.seen(key)[0] for key in ("new", "newer")]

        assert (fresh, traffic.rates.seen("steady")[0] > 30) == ([1, 1], True)

    def test_looks_for_room_now_and_then_only(self) -> None:
        """While there is none the keys are not all looked at for every event."""
        traffic = Traffic(per_second=1, keys=1)
        traffic.come("old", 1, 1)
        traffic.clock.advance(IDLE * WINDOW - 2)
        traffic.come("other", 1, 1)  # looks, a moment too early
        traffic.come("other", 1_000, 0.9 * WINDOW)
        early = traffic.rates.seen("new")[0]
        traffic.clock.advance(WINDOW)

        assert (early > 100, traffic.rates.seen("newer")[0]) == (True, 1)

    def test_takes_a_longer_time_for_recent_where_few_are_wanted(self) -> None:
        """One line in a thousand seconds needs more than ten of them to go by."""
        traffic = Traffic(per_second=0.001)
        traffic.come("a", 1 / 60, 6_000)
        lines, events = traffic.come("a", 1 / 60, 600_000)

        assert (550 <= lines <= 800, 8_000 <= events <= 12_000) == (True, True)

    def test_a_rate_comes_of_what_was_before(self) -> None:
        """The event itself must not weigh in it."""
        rates = Rates(0.1, 1, FakeClock().now)

        assert [rates.seen("a")[0] for _ in range(5)] == [1, 1, 2, 3, 4]

    def test_a_rate_stays_while_it_is_about_right(self, traffic: Traffic) -> None:
        """A new threshold for every event would cost more than it tells."""
        rates = []
        for _ in range(30_000):
            traffic.clock.advance(1e-4)
            rates.append(traffic.rates.seen("a")[0])

        assert (len(set(rates)) < 4 * STEPS, rates == sorted(rates), rates[-1] > 500) == (True, True, True)

    def test_no_rate_is_beyond_what_can_be_told(self) -> None:
        """Traffic without end has a rate all the same."""
        traffic = Traffic(per_second=0.0001)
        traffic.come("a", 100, 1)
        traffic.rates._traffic["a"].count = 1e12

        assert traffic.rates.seen("a") == (LARGEST, threshold(LARGEST))

    def test_a_child_begins_anew(self, traffic: Traffic) -> None:
        """The traffic of its parent is not its own; nor is that of the keys that are followed as one."""
        for key in range(20):
            traffic.come(key, 1_000, WINDOW / 10)
        traffic.rates.renew()

        assert [traffic.come(key, 1_000, 0.05) for key in range(10)] == [(50, 50)] * 10
        assert traffic.come("other", 1_000, 0.05) == (50, 50)

    def test_threads_may_count_at_once(self, eager_switching: None) -> None:
        """A rate goes with its own threshold, whoever replaces it meanwhile."""
        rates = Rates(1, 4)

        def count() -> list[bool]:
            return [least == threshold(rate) for key in range(4_000) for rate, least in [rates.seen(key % 7)]]

        assert all(all(each) for each in at_once(count, count, count))  # type: ignore[arg-type]
