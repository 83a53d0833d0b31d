"""What the settings of sampling promise."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tests.stages import configured
from wideevents import config
from wideevents.errors import ConfigurationError
from wideevents.rates import LARGEST
from wideevents.sampling import Dynamic, Sampling
from wideevents.stages.sample import Sample

SECRET = "the secret of this year"


class TestSampling:
    def test_keeps_everything_by_default(self) -> None:
        """Nobody loses a line for want of a number."""
        assert (Sampling().rate, Sampling().dynamic, Sampling().firsts) == (1, None, 1)

    def test_takes_all_of_it(self) -> None:
        """What goes together."""
        given: dict[str, Any] = {
            "rate": 10,
            "rates": {"GET /healthz": 100, "/products/<int:id>": 50, ("/search", "free"): 20},
            "by": ("http.route", "plan"),
            "slow_ms": {"/search": 300, "GET /export": 2.5},
            "firsts": 3,
            "keep": bool,
            "secret": (SECRET,),
        }

        assert {name: getattr(Sampling(**given), name) for name in given} == given

    def test_a_key_of_one_field_is_its_value(self) -> None:
        """Whatever it is; also none, where an event has no such field."""
        rates = {"free": 10, 3: 20, None: 30, True: 40}

        assert Sampling(rates=rates, by=("plan",)).rates == rates

    def test_does_not_show_its_secret(self) -> None:
        """A repr ends up in a log."""
        assert SECRET not in repr(Sampling(secret=SECRET))

    def test_one_secret_needs_no_tuple(self) -> None:
        """It is one of one."""
        assert [Sampling(secret=given).secret for given in (None, (), SECRET, (SECRET, SECRET[::-1]))] == [
            None,
            (),
            (SECRET,),
            (SECRET, SECRET[::-1]),
        ]

    def test_cannot_be_changed(self) -> None:
        """What is configured is configured as a whole."""
        with pytest.raises(dataclasses.FrozenInstanceError):
            Sampling().rate = 2  # type: ignore[misc]

    @pytest.mark.parametrize(
        ("given", "sentence"),
        [
            ({"rate": 0}, "rate=0 .* a whole number from 1 to 1000000000"),
            ({"rate": -1}, "rate=-1"),
            ({"rate": 2.5}, "rate=2.5"),
            ({"rate": True}, "rate=True"),
            ({"rate": "10"}, "rate='10'"),
            ({"rate": LARGEST + 1}, "rate=1000000001"),
            ({"rates": [("GET /", 2)]}, r"rates=\[.* rates by name, route or key"),
            ({"rates": {"GET /": 0}}, r"rates\['GET /'\]=0 .* a whole number"),
            ({"rates": {7: 2}}, r"rates=\{7: 2\} .* keyed by a name, a route, or the values of by=\(\), of several a"),
            ({"rates": {("/", "free"): 2}}, "keyed by a name, a route"),
            ({"rates": {("/", "free", 1): 2}, "by": ("a", "b")}, r"keyed by .* of by=\('a', 'b'\)"),
            ({"rates": {7: 2}, "by": ("a", "b")}, "keyed by a name"),
            ({"by": "plan", "rates": {"free": 2}}, "by='plan' .* a tuple of names of fields"),
            ({"by": ["plan"], "rates": {"free": 2}}, r"by=\['plan'\]"),
            ({"by": ("plan", ""), "rates": {"free": 2}}, r"by=\('plan', ''\)"),
            ({"by": ("plan", 1), "rates": {"free": 2}}, r"by=\('plan', 1\)"),
            ({"by": ("plan",)}, r"by=\('plan',\) is without effect: give it rates, or dynamic=Dynamic\(\), too"),
            ({"dynamic": 5}, "dynamic=5 .* a wideevents.sampling.Dynamic"),
            ({"dynamic": Dynamic(), "rate": 10}, "rate=10 is without effect beside dynamic"),
            ({"slow_ms": 300}, "slow_ms=300 .* milliseconds by name or route"),
            ({"slow_ms": {7: 300}}, r"slow_ms=\{7: 300\}"),
            ({"slow_ms": {"/": 0}}, r"slow_ms\['/'\]=0 .* a number of milliseconds above 0"),
            ({"slow_ms": {"/": "300"}}, r"slow_ms\['/'\]='300'"),
            ({"slow_ms": {"/": float("inf")}}, r"slow_ms\['/'\]=inf"),
            ({"slow_ms": {"/": True}}, r"slow_ms\['/'\]=True"),
            ({"firsts": -1}, "firsts=-1 .* a whole number from 0 to 1,000"),
            ({"firsts": 1_001}, "firsts=1001"),
            ({"firsts": True}, "firsts=True"),
            ({"keep": 1}, "keep=1 .* a function that takes an event"),
            ({"secret": "short"}, "^secret cannot be used: .* at least 16 characters"),
        ],
    )
    def test_refuses_what_cannot_be_used(self, given: dict[str, Any], sentence: str) -> None:
        """Where it is given, in a sentence that names it."""
        with pytest.raises(ConfigurationError, match=sentence):
            Sampling(**given)


class TestDynamic:
    def test_wants_a_line_of_each_key_a_second(self) -> None:
        """By default, and of five hundred of them."""
        assert Dynamic() == Dynamic(per_second=1.0, keys=500)

    @pytest.mark.parametrize("given", [{"per_second": 5}, {"per_second": 0.0001}, {"keys": 1}, {"keys": 100_000}])
    def test_takes_what_can_be_used(self, given: dict[str, Any]) -> None:
        """The bounds, too."""
        assert {name: getattr(Dynamic(**given), name) for name in given} == given

    @pytest.mark.parametrize("per_second", [0, -1, 0.00009, float("nan"), float("inf"), "5", True, None])
    def test_refuses_what_is_no_pace(self, per_second: Any) -> None:
        """Less than one in three hours is no recent traffic."""
        with pytest.raises(ConfigurationError, match=r"per_second=.* a number of at least 0.0001"):
            Dynamic(per_second)

    @pytest.mark.parametrize("keys", [0, 100_001, 1.5, True, "all"])
    def test_refuses_what_is_no_number_of_keys(self, keys: Any) -> None:
        """They are held in memory."""
        with pytest.raises(ConfigurationError, match=r"keys=.* a whole number from 1 to 100,000"):
            Dynamic(keys=keys)


class TestOf:
    def test_a_number_is_a_rate(self) -> None:
        """The short form of what most need."""
        assert Sampling.of(10) == Sampling(rate=10)

    def test_what_is_one_stays(self) -> None:
        """And None is none."""
        sampling = Sampling(rate=2)

        assert (Sampling.of(sampling), Sampling.of(None)) == (sampling, None)

    @pytest.mark.parametrize("given", [0, -1, 1.5, True, "10", {}, Dynamic()], ids=repr)
    def test_anything_else_is_refused(self, given: Any) -> None:
        """In the words of the setting that was given."""
        with pytest.raises(ConfigurationError, match=r"sample=.* one in so many, or a wideevents.sampling.Sampling"):
            Sampling.of(given)


class TestConfigure:
    @pytest.mark.parametrize("given", [10, Sampling(10), Sampling(dynamic=Dynamic(5))], ids=["rate", "full", "dynamic"])
    def test_sampling_is_a_stage_of_events(self, given: Any) -> None:
        """Log lines are not sampled."""
        with configured(sample=given):
            of_events, of_lines = config.recorder().pipeline.stages, config.logs().pipeline.stages

        assert [[type(stage) is Sample for stage in stages].count(True) for stages in (of_events, of_lines)] == [1, 0]

    def test_without_it_there_is_none(self) -> None:
        """What is not asked for costs nothing."""
        with configured():
            assert [stage for stage in config.recorder().pipeline.stages if type(stage) is Sample] == []

    def test_a_wrong_one_is_refused(self) -> None:
        """At once, and what was configured before serves on."""
        before = config.recorder()
        with pytest.raises(ConfigurationError, match=r"sample=0"), configured(sample=0):
            pass

        assert config.recorder() is before
