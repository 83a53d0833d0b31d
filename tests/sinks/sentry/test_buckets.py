"""How many reports are let through, and of which kind."""

from __future__ import annotations

from wideevents.sinks.sentry.buckets import KINDS, Buckets


def taken(buckets: Buckets, kind: str, times: int, now: float = 0.0) -> int:
    """Ask so many times, and return how often there was a token."""
    return sum(buckets.take(kind, now) for _ in range(times))


class TestBuckets:
    def test_one_kind_takes_its_share_and_no_more(self) -> None:
        """A quarter of what there is at once, and a quarter of what comes a second."""
        buckets = Buckets(20.0, 100, 0.0)

        assert [taken(buckets, "a", 1_000), taken(buckets, "a", 1_000, 1.0)] == [25, 5]

    def test_a_new_kind_gets_through_while_one_rages(self) -> None:
        """The storm has used up what is its own."""
        buckets = Buckets(20.0, 100, 0.0)
        taken(buckets, "storm", 1_000)

        assert taken(buckets, "new", 1)

    def test_a_new_kind_gets_through_while_many_rage(self) -> None:
        """The last quarter is for those that nobody has seen yet."""
        buckets = Buckets(20.0, 100, 0.0)
        raging = sum(taken(buckets, f"storm {number}", 1_000) for number in range(4))
        second = sum(taken(buckets, f"storm {number}", 1_000) for number in range(4))

        assert (raging, second) == (76, 0)
        assert taken(buckets, "new", 1)

    def test_all_kinds_together_take_no_more_than_there_is(self) -> None:
        """Also where every error is of a kind of its own."""
        buckets = Buckets(20.0, 100, 0.0)
        at_once = sum(buckets.take(f"kind {number}", 0.0) for number in range(1_000))
        a_second = sum(buckets.take(f"kind {number}", 1.0) for number in range(1_000, 2_000))

        assert (at_once, a_second) == (100, 20)

    def test_it_fills_again_and_not_over_the_brim(self) -> None:
        """After a quiet hour there is as much as in the beginning."""
        buckets = Buckets(20.0, 100, 0.0)
        taken(buckets, "a", 1_000)

        assert taken(buckets, "a", 1_000, 3_600.0) == 25

    def test_a_clock_that_goes_backward_gives_nothing(self) -> None:
        """And takes nothing."""
        buckets = Buckets(20.0, 100, 1_000.0)

        assert [taken(buckets, "a", 30, 0.0), taken(buckets, "a", 5, 0.0)] == [25, 0]

    def test_the_smallest_bucket_lets_one_through(self) -> None:
        """A quarter of one is none, and nothing would ever be reported."""
        buckets = Buckets(0.1, 1, 0.0)

        assert [buckets.take("a", 0.0), buckets.take("a", 5.0), buckets.take("a", 100.0)] == [True, False, True]

    def test_kinds_are_remembered_within_bounds(self) -> None:
        """The one that was not seen for the longest time is forgotten, and is new again."""
        buckets = Buckets(1e9, 1e9, 0.0)
        buckets.take("kind 0", 0.0)
        first = buckets._kinds["kind 0"]
        for number in range(3 * KINDS):
            buckets.take(f"kind {number}", 0.0)
            buckets.take("kind 0", 0.0)

        assert len(buckets._kinds) == KINDS
        assert buckets._kinds["kind 0"] is first
        assert "kind 1" not in buckets._kinds
