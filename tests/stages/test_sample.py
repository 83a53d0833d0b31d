"""What the sampling stage promises."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from math import inf, sqrt
from typing import Any, NamedTuple

import pytest

import wideevents
from tests.conftest import FakeClock, at_once, in_child
from tests.logs import caught, handler, logger_with
from tests.stages import configured, sealed
from wideevents import health
from wideevents.events import Event
from wideevents.health import Fault
from wideevents.levels import Level
from wideevents.randomness import SMALL, START
from wideevents.rates import Rates
from wideevents.sampling import Dynamic, Sampling
from wideevents.sinks.memory import MemorySink
from wideevents.stages.gate import Gate
from wideevents.stages.sample import KNOWN_LIMIT, Sample
from wideevents.tracecontext import TraceParent

KEPT, DROPPED = "a" * 18 + "f" * 14, "a" * 18 + "1" + "0" * 13
"""A trace that is kept with a rate of a million, and one that is not with a rate of two."""


def ended(
    record: dict[str, Any] | None = None, *, trace: str = DROPPED, level: Level = Level.INFO, outcome: str = "success"
) -> Event:
    """Return an event that has ended; nothing speaks for it."""
    event = sealed({"event.name": "GET /", "http.route": "/", **(record or {})}, level=level)
    event.trace_id, event.outcome = trace, outcome
    return event


def told(stage: Callable[[Event], Event | None], event: Event) -> tuple[int, str] | None:
    """Return what the line says of the sampling, or None if there is none."""
    passed = stage(event)
    assert passed is None or passed is event
    return None if passed is None else (passed.record["sample.rate"], passed.record["sample.reason"])


def keeps_rest(**settings: Any) -> Sample:
    """Return a stage that keeps no event for being the first, and that knows what usually comes."""
    stage = Sample(Sampling(firsts=0, **settings))
    if "dynamic" not in settings:
        stage(ended())
    return stage


def sample_of(traces: list[str], **settings: Any) -> list[str]:
    """Return those of *traces* that are in the sample."""
    stage, event, found = keeps_rest(**settings), ended(), []
    for event.trace_id in traces:
        if stage(event):
            found.append(event.trace_id)
    return found


def random_traces(seed: int, number: int) -> list[str]:
    """Return ids of traces, the same for every *seed*."""
    draw = random.Random(seed)
    return [f"{draw.getrandbits(128):032x}" for _ in range(number)]


def lines(sink: MemorySink) -> list[dict[str, Any]]:
    """Return what was written."""
    return [json.loads(line) for line in sink.lines]


class TestRest:
    def test_what_is_in_the_sample_says_for_how_many_it_stands(self) -> None:
        """What is not has no line."""
        stage = keeps_rest(rate=10)

        assert (told(stage, ended(trace=KEPT)), told(stage, ended())) == ((10, "rate"), None)

    def test_a_rate_of_one_keeps_everything(self) -> None:
        """And says so, so that every line can be weighed alike."""
        assert told(keeps_rest(), ended(trace="a" * 18 + "001" + "0" * 11)) == (1, "rate")

    @pytest.mark.parametrize("rate", [2, 3, 10, 1_000])
    def test_keeps_one_in_so_many(self, rate: int) -> None:
        """By the trace alone: the same ones again."""
        traces = random_traces(rate, 40_000)
        kept = sample_of(traces, rate=rate)

        assert abs(len(kept) - 40_000 / rate) < 4 * sqrt(40_000 / rate)
        assert kept == sample_of(traces, rate=rate)

    def test_decides_at_the_threshold_itself(self) -> None:
        """Of the values that randomness has exactly every second one is kept."""
        stage, half = keeps_rest(rate=2), 1 << 55
        found = [told(stage, ended(trace=f"{'a' * 18}{value:014x}")) for value in (half - 1, half)]

        assert found == [None, (2, "rate")]

    def test_what_is_kept_with_a_higher_rate_is_kept_with_a_lower(self) -> None:
        """So that a trace is whole where the service with the highest rate has kept it."""
        traces = random_traces(7, 20_000)
        kept = [set(sample_of(traces, rate=rate)) for rate in (2, 5, 10, 97)]

        assert (kept[0] > kept[1] > kept[2] > kept[3], len(kept[3]) > 100) == (True, True)

    def test_decides_as_opentelemetry_does(self) -> None:
        """Its consistent probability sampler keeps the same traces."""
        experimental = pytest.importorskip("opentelemetry.sdk.trace._sampling_experimental", reason="is experimental")
        traces = [each for each in random_traces(8, 4_000) if each[START:] >= SMALL]
        for rate in (2, 7, 100):
            sampler = experimental.composite_sampler(experimental.composable_traceid_ratio_based(1 / rate))
            theirs = [each for each in traces if sampler.should_sample(None, int(each, 16), "x").decision.is_sampled()]
            assert theirs == sample_of(traces, rate=rate)

    def test_a_service_that_is_called_decides_as_its_caller(self) -> None:
        """Also on ids that are no random ones."""
        stage, event = keeps_rest(rate=3), ended()
        traces = [*random_traces(9, 100), *(f"{number:032x}" for number in range(1, 100))]
        outer = sample_of(traces, rate=3)
        inner = []
        for event.trace_id in traces:
            event.parent = TraceParent(event.trace_id, "b" * 16)
            inner += [event.trace_id] if stage(event) else []

        assert (inner, 50 < len(outer) < 85) == (outer, True)

    def test_takes_the_randomness_that_a_caller_brings(self) -> None:
        """In the `tracestate`, as OpenTelemetry has it."""
        event = ended()
        event.parent = TraceParent(DROPPED, "b" * 16, 1, "ot=rv:ffffffffffffff")

        assert told(keeps_rest(rate=10), event) == (10, "rate")


class TestWhatSpeaksForItself:
    @pytest.mark.parametrize(
        ("event", "reason"),
        [
            ({"level": Level.ERROR}, "error"),
            ({"level": Level.WARNING}, "warning"),
            ({"outcome": "failure"}, "failure"),
            ({"outcome": "lost"}, "lost"),
            ({"record": {"slo.bad": True}}, "slo"),
            ({"record": {"duration_ms": 1_000.0}}, "slow"),
            ({"level": Level.ERROR, "outcome": "failure", "record": {"duration_ms": 2e3}}, "error"),
            ({"level": Level.WARNING, "record": {"slo.bad": True}}, "warning"),
            ({"outcome": "failure", "record": {"slo.bad": True}}, "failure"),
            ({"outcome": "lost", "level": Level.DEBUG}, "lost"),
            ({"record": {"slo.bad": True, "duration_ms": 2e3}}, "slo"),
        ],
    )
    def test_is_kept_and_stands_for_itself(self, event: dict[str, Any], reason: str) -> None:
        """Whatever its trace; of several reasons the one that matters most is told."""
        for settings in ({"rate": 1_000}, {"dynamic": Dynamic()}, {"rates": {"GET /": 1_000}}):
            stage = Sample(Sampling(firsts=1, **settings))
            found = [told(stage, each) for each in (ended(**event), ended(), ended(), ended(**event))]
            assert (found[0], found[-1]) == ((1, reason), (1, reason))

    @pytest.mark.parametrize(
        "event",
        [
            {"outcome": "cancelled"},
            {"record": {"slo.bad": False}},
            {"record": {"slo.bad": "yes"}},
            {"record": {"duration_ms": 999.999}},
            {"level": Level.DEBUG},
            {"record": {"error.fingerprint": "0123"}},
        ],
    )
    def test_what_is_in_order_is_not(self, event: dict[str, Any]) -> None:
        """A client that has left, least of all: anybody can leave."""
        assert told(keeps_rest(rate=1_000), ended(**event)) is None

    def test_what_asked_is_kept(self) -> None:
        """`wideevents.keep()` and a signed header set `keep`; it is told before all else."""
        event = ended(level=Level.ERROR)
        event.keep = True

        assert told(Sample(Sampling(1_000)), event) == (1, "asked")

    def test_what_a_function_of_the_users_says_is_kept(self) -> None:
        """It reads what was added."""
        stage = keeps_rest(rate=1_000, keep=lambda event: event.record.get("plan") == "ENTERPRISE")

        assert [told(stage, ended({"plan": plan})) for plan in ("ENTERPRISE", "FREE", "ENTERPRISE")] == [
            (1, "asked"),
            None,
            (1, "asked"),
        ]

    def test_a_line_is_not_weighed_by_its_trace(self) -> None:
        """An error whose trace is in the sample all the same stands for one."""
        assert told(keeps_rest(rate=10), ended(level=Level.ERROR, trace=KEPT)) == (1, "error")


class TestSlow:
    def test_the_door_says_what_is_slow(self) -> None:
        """Where nothing else is said."""
        event = ended({"duration_ms": 50.0})
        event.slow_ms = 50

        assert told(keeps_rest(rate=1_000), event) == (1, "slow")

    @pytest.mark.parametrize("name", ["GET /", "/"])
    def test_a_route_may_be_slow_sooner_or_later(self, name: str) -> None:
        """By the name of the event, or by the route in it."""
        stage = keeps_rest(rate=1_000, slow_ms={name: 2_000.0})

        found = [told(stage, ended({"duration_ms": duration})) for duration in (1_999.9, 2_000.0)]
        assert found == [None, (1, "slow")]

    def test_the_name_goes_before_the_route(self) -> None:
        """It says more: the method, too."""
        stage = keeps_rest(rate=1_000, slow_ms={"/": 10, "GET /": 100})

        assert told(stage, ended({"duration_ms": 50.0})) is None

    def test_also_the_first_of_a_route_is_slow(self) -> None:
        """By what is said of the route."""
        assert told(Sample(Sampling(9, slow_ms={"/": 10})), ended({"duration_ms": 50.0})) == (1, "slow")

    def test_what_has_no_end_in_sight_is_not(self) -> None:
        """A websocket is open for as long as somebody looks at it."""
        event = ended({"duration_ms": 1e9})
        event.slow_ms = inf

        assert told(keeps_rest(rate=1_000), event) is None


class TestFirsts:
    def each(self, name: str, values: Iterable[object]) -> Iterator[Event]:
        """Yield an event for each of *values*, which its field *name* has; it is one object, as that is faster."""
        event = ended()
        for event.record[name] in values:
            yield event

    def found(self, stage: Sample, events: Iterable[Event]) -> list[str | None]:
        """Return the reason of each."""
        return [found and found[1] for found in (told(stage, event) for event in events)]

    def test_the_first_of_a_process_and_of_each_route_are_kept(self) -> None:
        """What was just deployed is seen at work."""
        events = self.each("event.name", ["a", "a", "b", "b", "a", "c"])

        assert self.found(Sample(Sampling(1_000)), events) == [
            "first.version",
            None,
            "first.route",
            None,
            None,
            "first.route",
        ]

    def test_more_of_them_may_be_kept(self) -> None:
        """So many of a process, and of each name."""
        events = self.each("event.name", ["a", "a", "a", "b", "b", "b"])

        assert self.found(Sample(Sampling(1_000, firsts=2)), events) == [
            "first.version",
            "first.version",
            None,
            "first.route",
            "first.route",
            None,
        ]

    def test_or_none(self) -> None:
        """A process of a second each has nothing but firsts."""
        assert self.found(keeps_rest(rate=1_000), [ended({"error.fingerprint": "0123"})]) == [None]

    def test_the_first_of_an_error_is_kept_though_it_was_expected(self) -> None:
        """It is worth knowing, once."""
        expected = [ended({"error.fingerprint": each}) for each in ("0123", "4567", "0123", "4567")]

        found = self.found(Sample(Sampling(1_000)), [ended(), ended(), *expected])
        assert found == ["first.version", None, "first.fingerprint", "first.fingerprint", None, None]

    def test_an_error_that_was_told_is_no_first(self) -> None:
        """Nor is a route whose first event was kept for another reason."""
        bad = ended({"error.fingerprint": "0123"}, level=Level.ERROR)

        assert self.found(Sample(Sampling(1_000)), [bad, ended({"error.fingerprint": "0123"}), ended()]) == [
            "error",
            None,
            None,
        ]

    def test_debug_is_the_first_of_nothing(self) -> None:
        """The first to come may be a health check, which the gate drops."""
        events = [ended(level=Level.DEBUG), ended(level=Level.DEBUG), ended(), ended()]

        assert self.found(Sample(Sampling(1_000)), events) == [None, None, "first.version", None]

    def test_names_without_end_keep_nothing(self) -> None:
        """A name made of an id costs neither memory nor lines: when too many are known none is a first."""
        stage = Sample(Sampling(1_000))
        found = Counter(self.found(stage, self.each("event.name", map(str, range(3 * KNOWN_LIMIT)))))

        assert found == {"first.version": 1, "first.route": KNOWN_LIMIT - 1, None: 2 * KNOWN_LIMIT}
        assert max(len(each) for each in (stage._known, stage._settled, stage._names)) == KNOWN_LIMIT

    def test_a_name_that_is_known_has_all_its_firsts(self) -> None:
        """Also when no other can be remembered."""
        names = [*map(str, range(2 * KNOWN_LIMIT)), "7", "7"]

        assert self.found(Sample(Sampling(1_000, firsts=2)), self.each("event.name", names))[-2:] == [
            "first.route",
            None,
        ]

    def test_fingerprints_without_end_keep_nothing(self) -> None:
        """As with names."""
        stage = Sample(Sampling(1_000))
        events = self.each("error.fingerprint", map(hex, range(KNOWN_LIMIT + 9)))

        assert Counter(self.found(stage, events)) == {
            "first.version": 1,
            "first.fingerprint": KNOWN_LIMIT - 1,
            None: 9,
        }

    def test_a_forked_child_begins_anew(self) -> None:
        """It is a process of its own, and has just begun: what it has seen, and its traffic."""
        stage = Sample(Sampling(dynamic=Dynamic(0.1)))
        for _ in range(50):
            stage(called := ended())
            called.parent = TraceParent(KEPT, "b" * 16)
            stage(called)
        rate = stage._by_key(ended().record)[0]

        assert in_child(lambda: [told(stage, ended()), told(stage, ended())]) == [[1, "first.version"], [1, "dynamic"]]
        assert (in_child(lambda: len(stage._randomness._seen)), len(stage._randomness._seen)) == (0, 1)
        assert rate > 40

    def test_threads_may_begin_at_once(self, eager_switching: None) -> None:
        """Each route has its first, and hardly more."""
        stage = Sample(Sampling(1_000))

        def serve() -> list[str | None]:
            return self.found(stage, self.each("event.name", map(str, range(300))))

        found = [reason for each in at_once(serve, serve, serve) for reason in each]  # type: ignore[attr-defined]
        assert 300 <= sum(reason is not None for reason in found) <= 900
        assert found.count("first.version") in {1, 2, 3}


class TestRates:
    def test_a_name_or_a_route_has_a_rate_of_its_own(self) -> None:
        """The name goes before the route; what is not named has the rate of all."""
        stage = keeps_rest(rate=3, rates={"GET /": 5, "/": 7, "/b": 11})
        names = [("GET /", "/"), ("POST /", "/"), ("GET /b", "/b"), ("GET /c", "/c"), ("job", None)]
        events = [ended({"event.name": name, "http.route": route}, trace=KEPT) for name, route in names]

        assert [told(stage, event) for event in events] == [
            (5, "rate.key"),
            (7, "rate.key"),
            (11, "rate.key"),
            (3, "rate"),
            (3, "rate"),
        ]

    def test_a_value_has_a_rate_of_its_own(self) -> None:
        """That of one field: also none, which is what is not there, and what is no text."""
        stage = keeps_rest(rate=3, rates={"free": 5, 4: 7, None: 11}, by=("plan",))
        records: list[dict[str, Any]] = [{"plan": "free"}, {"plan": 4}, {}, {"plan": "other"}, {"plan": ["free"]}]
        events = [ended({**record, "http.route": "/x"}, trace=KEPT) for record in records]
        no_route = ended({"event.name": "job", "plan": "free"}, trace=KEPT)
        del no_route.record["http.route"]

        found = [told(stage, event) for event in [*events, no_route]]
        assert found == [(5, "rate.key"), (7, "rate.key"), (11, "rate.key"), (3, "rate"), (3, "rate"), (5, "rate.key")]

    def test_values_have_a_rate_together(self) -> None:
        """A tuple, in the order of the fields."""
        stage = keeps_rest(rate=3, rates={("/", "free"): 5, "/b": 7}, by=("http.route", "plan"))
        events = [
            ended({"event.name": f"GET {route}", "http.route": route, "plan": plan}, trace=KEPT)
            for route, plan in (("/", "free"), ("/", "paid"), ("/b", "free"))
        ]

        assert [told(stage, event) for event in events] == [(5, "rate.key"), (3, "rate"), (7, "rate.key")]

    def test_an_event_without_a_rate_of_its_own_is_dropped_by_that_of_all(self) -> None:
        """The rates of others do not touch it."""
        stage = keeps_rest(rate=2, rates={("/", "free"): 1}, by=("http.route", "plan"))

        assert [told(stage, ended({"plan": plan})) for plan in ("paid", "free")] == [None, (1, "rate.key")]


class TestDynamic:
    def stage(self, clock: FakeClock, **settings: Any) -> Sample:
        """Return a stage that wants one line a second."""
        return Sample(Sampling(firsts=0, dynamic=Dynamic(), **settings), Rates(1, 100, lambda: clock.seconds))

    def test_a_rate_follows_the_traffic_of_a_name(self, clock: FakeClock) -> None:
        """By default; that of one takes nothing from another."""
        stage = self.stage(clock)
        found = [told(stage, ended(trace=KEPT)) for _ in range(500)]

        assert (found[:10], (found[-1] or (0,))[0] > 40) == ([(1, "dynamic")] * 10, True)
        assert told(stage, ended({"event.name": "GET /b"})) == (1, "dynamic")

    def test_what_is_too_much_is_dropped(self, clock: FakeClock) -> None:
        """A trace of little randomness, as soon as there is more than is wanted."""
        stage = self.stage(clock)

        assert [told(stage, ended()) for _ in range(500)][-1] is None

    def test_fields_may_make_the_key(self, clock: FakeClock) -> None:
        """Also a list, which cannot be one itself."""
        stage = self.stage(clock, by=("plan", "beta"))
        for _ in range(500):
            stage(ended({"plan": "free", "beta": ["a"]}))
        fresh: list[dict[str, Any]] = [{"plan": "free"}, {"plan": "paid", "beta": ["a"]}, {"plan": "free", "beta": []}]

        assert [told(stage, ended(record)) for record in fresh] == [(1, "dynamic")] * 3
        assert told(stage, ended({"plan": "free", "beta": ["a"]})) is None

    def test_a_fixed_rate_goes_before(self, clock: FakeClock) -> None:
        """By name, by route, by key."""
        stage = self.stage(clock, rates={"GET /": 5, ("b", 1): 7}, by=("event.name", "n"))
        records = [{}, {"event.name": "b", "n": 1}, {"event.name": "b", "n": 2}]

        assert [told(stage, ended(record, trace=KEPT)) for record in records] == [
            (5, "rate.key"),
            (7, "rate.key"),
            (1, "dynamic"),
        ]

    def test_what_is_kept_anyway_is_no_traffic(self, clock: FakeClock) -> None:
        """A storm of errors does not hide what goes well."""
        stage = self.stage(clock)
        for _ in range(500):
            stage(ended(level=Level.ERROR))

        assert told(stage, ended()) == (1, "dynamic")

    def test_is_made_from_the_settings(self) -> None:
        """As many lines, and as many keys, as they say."""
        stage = keeps_rest(dynamic=Dynamic(0.1, keys=1))
        for name in ("a", "b", "c"):
            for _ in range(30):
                stage(ended({"event.name": name}))

        assert told(stage, ended({"event.name": "d"}, trace=KEPT)) > (50, "dynamic")  # type: ignore[operator]


class TestInTheProcess:
    def serve(self, number: int = 1, **fields: object) -> None:
        """Let events happen."""
        for _ in range(number):
            with wideevents.event("job", **fields):
                pass

    def test_a_line_says_how_it_was_sampled(self) -> None:
        """Every line, where sampling is configured."""
        with configured(sample=Sampling(1_000_000, firsts=2)) as sink:
            self.serve(20)

        assert [(line["sample.rate"], line["sample.reason"]) for line in lines(sink)] == [(1, "first.version")] * 2

    def test_without_sampling_a_line_does_not_speak_of_it(self) -> None:
        """Nor is anything dropped."""
        with configured() as sink:
            self.serve(3)

        assert [("sample.rate" in line, "sample.reason" in line) for line in lines(sink)] == [(False, False)] * 3

    def test_what_raises_is_kept(self) -> None:
        """An error, and what was handled, and what was asked for."""
        with configured(sample=Sampling(1_000_000, firsts=0)) as sink:
            with pytest.raises(ZeroDivisionError), wideevents.event("job"):
                _ = 1 / 0
            with wideevents.event("job"):
                wideevents.add_error(KeyError("x"))
            with wideevents.event("job"):
                wideevents.keep()
            self.serve(20)

        assert [line["sample.reason"] for line in lines(sink)] == ["error", "warning", "asked"]

    def test_the_gate_drops_what_is_below_the_level(self) -> None:
        """Whatever the sampling says, unless somebody asked."""
        asked, debug = ended(level=Level.DEBUG), ended(level=Level.DEBUG)
        asked.keep = True
        stage, gate = Sample(Sampling()), Gate()

        assert [told(stage, event) for event in (asked, debug)] == [(1, "asked"), (1, "rate")]
        assert [gate(event) for event in (asked, debug)] == [asked, None]

    def test_log_lines_are_not_sampled(self) -> None:
        """Neither outside an event, nor inside one that is dropped."""
        with caught(sample=Sampling(1_000_000, firsts=0)) as logged, logger_with(handler()) as logger:
            logger.info("outside")
            with wideevents.event("job"):
                logger.info("inside")

        assert ([line["message"] for line in logged.all()], logged.sink.lines) == (["outside", "inside"], [])
        assert [line for line in logged.all() if "sample.rate" in line] == []

    def test_what_no_line_has_told_yet_is_told_by_the_next_that_is_kept(self) -> None:
        """A dropped event takes no news with it."""
        with configured(sample=Sampling(1_000_000, firsts=0)) as sink:
            with wideevents.event("job") as event:
                pass
            event.put("late", 1)
            self.serve(20)
            with wideevents.event("job"):
                wideevents.keep()

        assert [line.get("events.late_writes") for line in lines(sink)] == [1]

    def test_a_function_that_raises_costs_no_line(self) -> None:
        """It goes on without being sampled, and so stands for itself; the fault is told once."""
        with configured(sample=Sampling(1_000_000, firsts=0, keep=lambda event: event.record["plan"])) as sink:
            self.serve(2)
            self.serve(20, plan="")

        assert [("sample.rate" in line) for line in lines(sink)] == [False, False]
        assert health.faults.counts()[Fault.STAGE] == 2


class Kind(NamedTuple):
    """Say what happens how often: in so many of a thousand requests of a service."""

    weight: int
    record: dict[str, Any]
    level: Level = Level.INFO
    outcome: str = "success"


class Simulated:
    """
    Let traces go through several services, and weigh the lines of each against what has really happened.

    The variance of a weighted count is estimated from the lines alone, as who reads them has to: that of Horvitz and
    Thompson, the sum of N (N - 1). Events of one service are independent of one another, as each trace comes once.
    """

    def __init__(self, services: dict[str, Callable[[Event], Event | None]], clock: FakeClock, seed: int) -> None:
        self.clock = clock
        self.random = random.Random(seed)
        self.services = [(name, stage, self.events()) for name, stage in services.items()]
        self.happened: Counter[tuple[str, ...]] = Counter()
        self.weighed: defaultdict[tuple[str, ...], int] = defaultdict(int)
        self.variance: defaultdict[tuple[str, ...], int] = defaultdict(int)
        self.lines = 0

    def events(self) -> list[tuple[tuple[str, ...], Event]]:
        """Return a thousand events, each with the groups it is counted in."""
        kinds = [
            Kind(300, {"plan": "free"}),
            Kind(50, {"plan": "free", "duration_ms": 4.2}, outcome="cancelled"),
            Kind(60, {"plan": "paid", "event.name": "GET /search", "http.route": "/search"}),
            Kind(540, {"plan": "free", "event.name": "GET /search", "http.route": "/search"}),
            Kind(20, {"plan": "paid", "error.fingerprint": "0123"}),
            Kind(10, {"plan": "paid", "duration_ms": 3_000.0}),
            Kind(5, {"plan": "paid", "slo.bad": True}),
            Kind(10, {"plan": "paid"}, Level.ERROR, "failure"),
            Kind(5, {"plan": "free"}, Level.WARNING),
        ]
        made: list[tuple[tuple[str, ...], Event]] = []
        for number, (weight, record, level, outcome) in enumerate(kinds):
            event = ended(record, level=level, outcome=outcome)
            groups = ("all", f"kind {number}", str(record["plan"]), event.record["event.name"])
            made += [(groups, event)] * weight
        assert len(made) == 1_000
        return made

    def run(self, traces: int, paces: Iterable[int]) -> Simulated:
        """Let *traces* come at each of *paces* a second, in turn."""
        bits, happened = self.random.getrandbits, self.happened
        for pace in paces:
            for _ in range(traces):
                self.clock.seconds += 1 / pace
                trace, chance = f"{bits(128):032x}", bits(40)
                for service, stage, events in self.services:
                    groups, event = events[chance % 1_000]
                    chance = chance * 69_069 + 1
                    happened[service, *groups] += 1
                    event.trace_id = trace
                    if stage(event) is not None:
                        self.weigh(service, groups, event.record["sample.rate"])
        return self

    def weigh(self, service: str, groups: tuple[str, ...], rate: int) -> None:
        """Count a line for as many as it says that it stands for."""
        self.lines += 1
        for group in groups:
            self.weighed[service, group] += rate
            self.variance[service, group] += rate * (rate - 1)

    def off(self) -> dict[tuple[str, ...], float]:
        """Return the groups whose weighted counts are wrong, each with by how many standard deviations."""
        true: Counter[tuple[str, ...]] = Counter()
        for (service, *groups), number in self.happened.items():
            for group in groups:
                true[service, group] += number
        found: dict[tuple[str, ...], float] = {}
        for key, number in true.items():
            difference, deviation = abs(self.weighed[key] - number), sqrt(self.variance[key])
            if difference > 4 * deviation:
                found[key] = difference / deviation if deviation else inf
        return found


def services(clock: FakeClock) -> dict[str, Callable[[Event], Event | None]]:
    """Return the stages of four services that sample differently."""
    return {
        "edge": Sample(Sampling(10)),
        "shop": Sample(Sampling(50, rates={"GET /": 7, "/search": 30}, slow_ms={"/": 2_000})),
        "search": Sample(
            Sampling(3, rates={("/search", "free"): 100, ("/search", "paid"): 2}, by=("http.route", "plan"))
        ),
        "stock": Sample(Sampling(dynamic=Dynamic(5), by=("plan",)), Rates(5, 100, lambda: clock.seconds)),
    }


PACES = (200, 1_000, 5_000, 1_000, 50)


class TestWeightedCounts:
    def test_are_right_over_a_million_events(self, clock: FakeClock) -> None:
        """For every service, kind, plan and route, within four standard deviations, with a tenth of the lines."""
        simulated = Simulated(services(clock), clock, 1).run(50_000, PACES)

        assert sum(simulated.happened.values()) == 1_000_000
        assert (simulated.off(), 100_000 < simulated.lines < 200_000) == ({}, True)

    def test_what_speaks_for_itself_is_counted_exactly(self, clock: FakeClock) -> None:
        """There is no chance in it, and so no interval."""
        simulated = Simulated(services(clock), clock, 3).run(2_000, PACES)
        exact = {group for group, variance in simulated.variance.items() if variance == 0}

        assert {(service, f"kind {kind}") for service in services(clock) for kind in (6, 7, 8)} <= exact
        assert simulated.off() == {}

    @pytest.mark.parametrize("service", ["edge", "shop", "search", "stock"])
    @pytest.mark.parametrize("fault", ["loses", "tells more", "weighs errors"])
    def test_a_fault_would_be_found(self, clock: FakeClock, service: str, fault: str) -> None:
        """A line in twenty that is lost, a rate that is one too high, or an error that is told as many."""
        stages = services(clock)
        stage = stages[service]

        def faulty(event: Event) -> Event | None:
            passed = stage(event)
            if passed is not None:
                record = passed.record
                if fault == "loses" and passed.trace_id[:2] < "0d":
                    return None
                if fault == "tells more" and record["sample.reason"] in {"rate", "rate.key", "dynamic"}:
                    record["sample.rate"] += 1
                if fault == "weighs errors" and record["sample.reason"] == "error":
                    record["sample.rate"] = 10
            return passed

        stages[service] = faulty
        found = Simulated(stages, clock, 4).run(10_000, PACES).off()
        assert {each for each, *_ in found} == {service}
