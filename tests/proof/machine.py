"""Do anything in any order with the face of wideevents, against the model; and anything hostile beside it."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from math import inf, nan
from threading import Event as Flag
from threading import Thread
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import wideevents
from tests.proof.model import PREFIX, Model
from tests.proof.ways import PATIENCE, WAYS, Call
from tests.strict import parse_line, parse_log_line
from tests.test_line_contract import CALLS, KEYS, VALUES, real
from wideevents import Level, config, context, health
from wideevents.health import Fault
from wideevents.integrations.logging import Handler
from wideevents.sinks.memory import MemorySink

KINDS = ("task", "script", "batch", "message")

ways = st.one_of(st.just("here"), st.sampled_from(sorted(WAYS)))
keys = st.sampled_from([f"{PREFIX}{name}" for name in ("a", "a", "a", "b", "a.x", "password")])
letters = st.text("ab \u00e9\u2028\x00\n\ud800", max_size=12)
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**11), 10**11),
    st.sampled_from([2**63 - 1, -(2**63), 2**63, 2**64, 10**400 // 7, -(2**63) - 1, inf, -inf, nan]),
    st.floats(),
    letters,
)
values = st.one_of(
    leaves,
    st.lists(leaves, max_size=4),
    st.tuples(leaves, leaves),
    st.dictionaries(st.sampled_from(["x", "y", "password"]), leaves | st.lists(leaves, max_size=2), max_size=3),
    st.fixed_dictionaries({"y": st.dictionaries(st.sampled_from(["x", "z", "token"]), leaves, max_size=2)}),
)
amounts = st.one_of(
    st.integers(-1000, 1000),
    st.integers(-(2**66), 2**66),
    st.floats(-1e9, 1e9),
    st.sampled_from([True, None, "7", nan, inf]),
)
steps = st.one_of(
    st.tuples(st.sampled_from(["put", "append"]), keys, values),
    st.tuples(st.just("put"), keys, st.none()),
    st.tuples(st.just("add"), keys, amounts),
    st.tuples(st.just("time"), st.sampled_from(["model.a", "model.t"]), st.none()),
)
levels = st.sampled_from(["debug", "info", "warning", "error"])
BROUGHT: dict[str, Any] = {"model.b": "brought"}
ERRORS: dict[str, Callable[[str], BaseException]] = {
    "value": ValueError,
    "key": LookupError,
    "wide": lambda text: wideevents.WideError(text, why="why", fix="fix", **BROUGHT),
}
ENDS: dict[str, Callable[[], BaseException | None]] = {
    "returns": lambda: None,
    "fails": lambda: ValueError("out of the block"),
    "exits": lambda: SystemExit(0),
    "exits with 3": lambda: SystemExit(3),
    "interrupted": KeyboardInterrupt,
    "cancelled": asyncio.CancelledError,
    "left": GeneratorExit,
}
SECRETS: tuple[Callable[[str], Any], ...] = (
    lambda token: f"Bearer {token}",
    lambda token: f"postgres://shop:{token}@db/shop",
    lambda token: f"password={token}",
    lambda token: {"password": token, "deep": [{"api_key": token}]},
    lambda token: [f"Bearer {token}", (f"token={token}",)],
    lambda token: ValueError(f"refused Bearer {token}"),
    lambda token: {f"Bearer {token}"},
    lambda token: f"Bearer {token}".encode(),
)


@dataclass
class Open:
    """Hold an event in progress, what must become of it, and a way back to it for later."""

    model: Model
    block: Any
    carried: Callable[[Call], object]


class Face(RuleBasedStateMachine):
    """
    Be an application.

    Whatever it does raises nothing, every event gives one line when it ends, and the line says what the model says.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.stack.enter_context(config.kept())
        health.forget()
        self.sink = MemorySink()
        wideevents.configure(service="fuzz", output=self.sink, logging=False)
        self.logger = logging.Logger("fuzz")
        self.logger.addHandler(Handler())
        self.open: list[Open] = []
        self.ended: list[Open] = []
        self.count: Counter[str] = Counter()
        self.tokens = (f"s3cr3t{number:06}Zq" for number in itertools.count())

    @property
    def model(self) -> Model | None:
        """What must become of the event in progress."""
        return self.open[-1].model if self.open else None

    def do(self, way: str, call: Call, fields: int = 1) -> Model | None:
        """Call the face in some way; outside any event it is counted, as many *fields* as there are."""
        WAYS[way](call)
        if self.model is None:
            self.count["outside"] += fields
        return self.model

    # Events.

    @initialize(value=values)
    def begin_with(self, value: Any) -> None:
        """Begin an event at once: most of what there is to try is inside of one."""
        self.begin("first", "task", value)

    @precondition(lambda self: len(self.open) < 4)
    @rule(name=letters, kind=st.sampled_from(KINDS), value=values)
    def begin(self, name: str, kind: Any, value: Any) -> None:
        """Begin an event, inside the one in progress."""
        above = self.model
        block = wideevents.event(name, kind, **{"model.first": value})
        event = block.__enter__()
        model = Model(event.id, event.trace_id, above.id if above else None, kind)
        assert above is None or model.trace == above.trace
        model.put("model.first", value)
        self.open.append(Open(model, block, wideevents.carry(lambda call: call())))

    @precondition(lambda self: self.open)
    @rule(how=st.sampled_from(sorted(ENDS)))
    def end(self, how: str) -> None:
        """End the event in progress in some way, and compare its line."""
        ended = self.open.pop()
        model, error = ended.model, ENDS[how]()
        written = len(self.sink.lines)
        ended.block.__exit__(None if error is None else type(error), error, None)
        if isinstance(error, KeyboardInterrupt | asyncio.CancelledError):
            model.outcome = "cancelled"
        elif how in {"fails", "exits with 3"} and error is not None:
            model.fail(error, Level.ERROR, handled=False, expected=False)
        if isinstance(error, SystemExit):
            model.exit["process.exit.code"] = error.code
        elif isinstance(error, KeyboardInterrupt):
            model.exit["process.exit.signal"] = "SIGINT"
        elif isinstance(error, ValueError) and model.kind == "script":
            model.exit["process.exit.code"] = 1
        (line,) = self.sink.lines[written:]
        agree(model, parse_line(line))
        self.ended.append(ended)

    @precondition(lambda self: self.open)
    @rule(steps=st.integers(1, 3), value=values)
    def batch(self, steps: int, value: Any) -> None:
        """Run a batch inside the event."""
        written = len(self.sink.lines)
        for step in wideevents.batch("steps", range(steps)):
            wideevents.add_fields({"model.step": step, "model.value": value})
        model = self.open[-1].model
        for number, line in enumerate(map(parse_line, self.sink.lines[written:])):
            made = Model(line["event.id"], line["trace.id"], None, "batch")
            made.put("model.step", number)
            made.put("model.value", value)
            agree(made, line)
            assert (line["link.event.id"], line["batch.index"]) == (model.id, number)
        assert len(self.sink.lines) == written + steps
        model.counts["steps.count"] = model.counts.get("steps.count", 0) + steps

    # What the face adds.

    @rule(steps=st.lists(steps, min_size=3, max_size=12), way=ways)
    def work(self, steps: list[tuple[str, str, Any]], way: str) -> None:
        """Add fields, let counters add up and lists grow, and time steps, one after another."""

        def call() -> None:
            for what, key, value in steps:
                ADDING[what](key, value)

        if model := self.do(way, call, len(steps)):
            for what, key, value in steps:
                getattr(model, what)(key, value)

    @rule(pairs=st.dictionaries(keys, values, max_size=3), way=ways)
    def add_fields(self, pairs: dict[str, Any], way: str) -> None:
        """Add several."""
        if model := self.do(way, lambda: wideevents.add_fields(pairs), len(pairs)):
            for key, value in pairs.items():
                model.put(key, value)

    @rule(kind=st.sampled_from(sorted(ERRORS)), level=levels, expected=st.booleans(), way=ways, again=st.booleans())
    def add_error(self, kind: str, level: str, expected: bool, way: str, again: bool) -> None:
        """Note an exception, or one once more."""
        error = ERRORS[kind](f"{kind} {self.count['errors']}")
        if again and self.model is not None and self.model.errors:
            error = self.model.errors[0]
        self.count["errors"] += 1
        if model := self.do(way, lambda: wideevents.add_error(error, level=level, expected=expected)):
            model.fail(error, Level.parse(level), handled=True, expected=expected)
            if isinstance(error, wideevents.WideError):
                model.put("model.b", "brought")

    @rule(several=st.lists(levels, min_size=1, max_size=4).map(tuple), way=ways)
    def log(self, several: tuple[str, ...], way: str) -> None:
        """Log lines."""
        written = len(self.sink.log_lines)
        numbers = [Level.parse(level) for level in several]

        def call() -> None:
            for number in numbers:
                self.logger.log(int(number), "said")

        WAYS[way](call)
        lines = [parse_log_line(line) for line in self.sink.log_lines[written:]]
        if self.model is not None:
            for number in numbers:
                self.model.logged(number)
        assert [line.get("event.id") for line in lines] == [self.model and self.model.id] * len(numbers)

    @precondition(lambda self: self.open)
    @rule(key=st.sampled_from(["model.n", "model.a"]), threads=st.integers(2, 4), times=st.integers(1, 10))
    def crowd(self, key: str, threads: int, times: int) -> None:
        """Add up from several threads at once."""
        start = Flag()

        def work() -> None:
            start.wait(PATIENCE)
            for _ in range(times):
                wideevents.increment(key)
                wideevents.append("model.list", 1)

        crowd = [Thread(target=work) for _ in range(threads)]
        for thread in crowd:
            thread.start()
        start.set()
        for thread in crowd:
            thread.join(PATIENCE)
        for _ in range(threads * times):
            self.open[-1].model.add(key, 1)
            self.open[-1].model.append("model.list", 1)

    @rule()
    def keep(self) -> None:
        """Ask for the line to be kept."""
        self.do("here", wideevents.keep)

    # What must leave no trace.

    @precondition(lambda self: self.ended)
    @rule(
        which=st.integers(0, 20), key=keys, value=values, what=st.sampled_from(["add", "increment", "append", "error"])
    )
    def write_late(self, which: int, key: str, value: Any, what: str) -> None:
        """Add to an event that has ended: it is counted, and in no line."""
        calls: dict[str, tuple[Call, int]] = {
            "add": (lambda: wideevents.add_field(key, value), Model("", "", None, "").put(key, value)),
            "increment": (lambda: wideevents.increment(key), 1),
            "append": (lambda: wideevents.append(key, value), 1),
            "error": (lambda: wideevents.add_error(ValueError("late")), 1),
        }
        call, fields = calls[what]
        self.ended[which % len(self.ended)].carried(call)
        self.count["late"] += fields

    @rule(call=st.sampled_from(sorted(CALLS)), key=KEYS, value=VALUES, way=ways)
    def be_hostile(self, call: str, key: Any, value: Any, way: str) -> None:
        """Add what hurts, under whatever key: the rest stays as it is."""
        made = real(key), real(value)
        before = health.faults.counts().get(Fault.NO_EVENT, 0)
        WAYS[way](partial(CALLS[call], *made))
        if self.model is None:
            self.count["outside"] += health.faults.counts().get(Fault.NO_EVENT, 0) - before
        elif call == "add_error":
            self.model.odd_errors = True

    @rule(secret=st.sampled_from(range(len(SECRETS))), where=st.sampled_from(["field", "list", "error", "log", "late"]))
    def plant(self, secret: int, where: str) -> None:
        """Add a secret: no line may tell it."""
        value = SECRETS[secret](next(self.tokens))
        if where == "late" and self.ended:
            self.ended[-1].carried(lambda: wideevents.append("secret.late", value))
            self.count["late"] += 1
        elif where == "log":
            self.logger.info("said %s", value, extra={"secret.extra": value})
        elif where == "list":
            self.do("here", lambda: wideevents.append("secret.list", value))
        elif where == "error" and self.model is not None:
            self.model.odd_errors = True
            wideevents.add_error(value if isinstance(value, ValueError) else ValueError(value))
        else:
            self.do("here", lambda: wideevents.add_field("secret.field", value))

    @invariant()
    def is_where_it_should_be(self) -> None:
        """The event in progress is the innermost one, and all that are open are known."""
        current = wideevents.current()
        assert (current and current.id) == (self.model and self.model.id)
        assert list(config.recorder().in_progress) == [each.model.id for each in self.open]

    def teardown(self) -> None:
        """End what is open, and see that everything is accounted for."""
        try:
            while self.open:
                self.end("returns")
            self.account()
        finally:
            for ended in reversed(self.open):
                ended.block.__exit__(None, None, None)
            self.stack.close()

    def account(self) -> None:
        """Compare what was counted, told, and hidden."""
        lines = [parse_line(line) for line in self.sink.lines]
        logged = [parse_log_line(line) for line in self.sink.log_lines]
        assert context.variable.get() is None
        assert len({line["event.id"] for line in lines}) == len(lines)
        counted, untold = health.faults.counts(), health.take_unreported()
        told = sum(line.get("events.late_writes", 0) for line in lines + logged) + untold.get("events.late_writes", 0)
        assert (told, counted.get(Fault.LATE_WRITE, 0)) == (self.count["late"], self.count["late"])
        assert counted.get(Fault.NO_EVENT, 0) == self.count["outside"]
        assert {Fault.LOST, Fault.STAGE}.isdisjoint(counted)
        whole = b"".join(self.sink.lines + self.sink.log_lines)
        assert b"s3cr3t" not in whole, "a secret is told"


def agree(model: Model, line: dict[str, Any]) -> None:
    """See that the line says what the model says."""
    wrong = model.wrong(line)
    assert wrong == {}, f"(the line, the model): {wrong}"


def timed(key: str, _: None) -> None:
    """Time a step."""
    with wideevents.timer(key):
        pass


ADDING: dict[str, Callable[[str, Any], object]] = {
    "put": wideevents.add_field,
    "add": wideevents.increment,
    "append": wideevents.append,
    "time": timed,
}
"""What the face calls what the model does."""
