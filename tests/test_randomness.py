"""What the randomness room promises."""

from __future__ import annotations

import random
import uuid

import pytest

from wideevents.randomness import RANDOM, REMEMBERED, Randomness
from wideevents.rates import threshold
from wideevents.tracecontext import TraceParent

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "b7ad6b7169203331"


def brought(trace_id: str, flags: int = 1, state: str | None = None) -> str:
    """Return the randomness of a trace that somebody brought, to a process that has seen no other."""
    return Randomness().of(trace_id, TraceParent(trace_id, SPAN, flags, state))


def kept(ids: list[str], rate: int) -> float:
    """Return the share of *ids* of others, who say nothing of them, that is kept."""
    randomness, least = Randomness(), threshold(rate)
    return sum(randomness.of(each, TraceParent(each, SPAN)) >= least for each in ids) / len(ids)


class TestRandomness:
    def test_is_the_end_of_the_trace_id(self) -> None:
        """The rightmost 56 bits, as OpenTelemetry's samplers take them."""
        assert Randomness().of(TRACE, None) == "ce929d0e0e4736"

    @pytest.mark.parametrize("flags", [0, 1, 2, 3])
    def test_no_flag_changes_it(self, flags: int) -> None:
        """Not every tracer sets the flag of random ids, or hands it on: all services of a trace decide alike."""
        assert brought(TRACE, flags) == Randomness().of(TRACE, None)

    @pytest.mark.parametrize(
        "state",
        [
            "ot=rv:6e6d1a75832a2f",
            "ot=th:c;rv:6e6d1a75832a2f",
            "ot=rv:6e6d1a75832a2f;th:c",
            "vendor=x,ot=rv:6e6d1a75832a2f,other=y",
            "vendor=x, ot=p:8;rv:6e6d1a75832a2f , other=y",
        ],
    )
    def test_is_what_the_tracestate_brings(self, state: str) -> None:
        """Who draws no random ids may draw a random value beside them (OpenTelemetry, probability sampling)."""
        assert (brought(TRACE, 1, state), brought("0" * 31 + "1", 3, state)) == ("6e6d1a75832a2f", "6e6d1a75832a2f")

    @pytest.mark.parametrize(
        "state",
        [
            "ot=rv:6e6d1a75832a2",
            "ot=rv:6e6d1a75832a2ff",
            "ot=rv:6E6D1A75832A2F",
            "ot=th:c",
            "not=rv:6e6d1a75832a2f",
            "ot=x,y=rv:6e6d1a75832a2f",
            "ot=xrv:6e6d1a75832a2f",
            "rv:6e6d1a75832a2f",
        ],
    )
    def test_does_not_believe_what_only_looks_like_it(self, state: str) -> None:
        """Fourteen hex digits in lower case, in the entry of OpenTelemetry."""
        assert brought(TRACE, 1, state) == "ce929d0e0e4736"


class TestIdsThatAreNotRandom:
    @pytest.mark.parametrize("rate", [2, 10])
    def test_a_counter_is_sampled_like_all_else(self, rate: int) -> None:
        """Its ids end in small numbers: taken as they are, none would ever be kept."""
        ids = [f"{number:032x}" for number in range(1, 20_001)]

        assert abs(kept(ids, rate) - 1 / rate) < 0.02

    @pytest.mark.parametrize("end", ["0" * 14, "f" * 14, "2f3b1c9d0e8a47"])
    def test_an_end_that_never_changes_is_found_out(self, end: str) -> None:
        """Else all such traces would share one fate: all kept, each told as ten, or none."""
        draw = random.Random(1)
        ids = [f"{draw.getrandbits(72):018x}{end}" for _ in range(20_000)]

        assert abs(kept(ids, 10) - 0.1) < 0.02

    def test_uuids_by_time_are_found_out(self) -> None:
        """Version 1 ends in the address of the machine."""
        ids = [uuid.uuid1(node=0x0242AC120002, clock_seq=5).hex for _ in range(5_000)]

        assert abs(kept(ids, 10) - 0.1) < 0.02

    def test_what_was_found_out_is_remembered_among_many(self) -> None:
        """Thousands of good ids in between do not open the hole again."""
        draw, randomness = random.Random(2), Randomness()
        constant = [f"{draw.getrandbits(72):018x}{'f' * 14}" for _ in range(200)]
        found = []
        for each in constant:
            found.append(randomness.of(each, TraceParent(each, SPAN)))
            for _ in range(REMEMBERED // 4):
                other = f"{draw.getrandbits(128):032x}"
                randomness.of(other, TraceParent(other, SPAN))

        assert sum(each == "f" * 14 for each in found) <= 2

    def test_the_services_of_a_trace_agree_on_small_numbers(self) -> None:
        """Also the one that the trace began in, and those that were told that it is random."""
        small = TRACE[:18] + "000" + TRACE[21:]
        told = {Randomness().of(small, None), brought(small, 1), brought(small, 3)}

        assert (len(told), told == {small[18:]}) == (1, False)

    def test_one_in_4096_is_taken_for_a_small_number(self) -> None:
        """No more than that differs from what OpenTelemetry decides."""
        assert [Randomness().of(TRACE[:18] + digits * 14, None) == digits * 14 for digits in "01"] == [False, True]
        assert Randomness().of(TRACE[:18] + "001" + "0" * 11, None) == "001" + "0" * 11

    def test_the_same_trace_again_is_no_constant(self) -> None:
        """A trace comes through a service many times."""
        randomness = Randomness()

        assert {randomness.of(TRACE, TraceParent(TRACE, SPAN)) for _ in range(3)} == {"ce929d0e0e4736"}

    def test_who_says_that_ids_are_random_is_believed(self) -> None:
        """Level 2 of W3C Trace Context has a flag for it."""
        randomness = Randomness()
        ids = [f"{number:018x}ce929d0e0e4736" for number in range(3)]

        assert {randomness.of(each, TraceParent(each, SPAN, RANDOM)) for each in ids} == {"ce929d0e0e4736"}

    def test_remembers_a_bounded_number(self) -> None:
        """Whatever comes in, also ends that are each seen twice."""
        draw, randomness = random.Random(3), Randomness()
        for _ in range(2 * REMEMBERED):
            end = f"{draw.getrandbits(56):014x}"
            for begin in ("a" * 18, "b" * 18):
                randomness.of(begin + end, TraceParent(begin + end, SPAN))

        assert (len(randomness._seen) <= REMEMBERED, len(randomness._constant)) == (True, REMEMBERED)

    def test_a_child_begins_anew(self) -> None:
        """What its parent has seen it has not."""
        randomness = Randomness()
        for begin in "ab":
            randomness.of(begin * 18 + TRACE[18:], TraceParent(TRACE, SPAN))
        randomness.renew()

        assert randomness.of("c" * 18 + TRACE[18:], TraceParent(TRACE, SPAN)) == TRACE[18:]
