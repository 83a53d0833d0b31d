"""What the line promises: whatever is added, exactly one line, which the strictest reader takes."""

from __future__ import annotations

import array
import asyncio
import collections
import datetime
import enum
import fractions
import io
import itertools
import math
import pathlib
import re
import sys
import threading
import types
import uuid
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import wideevents
from tests.strict import parse_line
from wideevents import add_error, add_field, add_fields, append, config, health, increment, timer
from wideevents.fields import RESERVED
from wideevents.sinks.memory import MemorySink

SIZES = (2_048, 16_000)
MANY = settings(max_examples=150, suppress_health_check=list(HealthCheck))
SOME = settings(max_examples=50, suppress_health_check=list(HealthCheck))


@contextmanager
def configured(max_bytes: int, **named: Any) -> Iterator[MemorySink]:
    """Configure the process as its user would, with a sink in memory; what was configured before serves again later."""
    sink = MemorySink()
    with config.kept():
        wideevents.configure(output=sink, limits=wideevents.Limits(max_bytes=max_bytes), logging=False, **named)
        yield sink


def lines_of(work: Callable[[], object], max_bytes: int, **named: Any) -> list[dict[str, Any]]:
    """Run *work* in an event, and return the lines that came out; what *work* raises is a failure of ours."""
    with configured(max_bytes, **named) as sink:
        raised = None
        with wideevents.event("work"):
            try:
                work()
            except BaseException as error:
                raised = type(error).__name__  # the error itself may hold what not even pytest could print
        assert raised is None, f"raised {raised} into the application"
        return [parse_line(line, max_bytes) for line in sink.lines]


def line_of(work: Callable[[], object], max_bytes: int = 16_000, **named: Any) -> dict[str, Any]:
    """Return the one line of *work*, which succeeded, and which was not lost on the way."""
    health.forget()
    lines = lines_of(work, max_bytes, **named)
    assert len(lines) == 1, f"{len(lines)} lines; {health.faults.counts()}"
    assert health.Fault.LOST not in health.faults.counts()
    assert health.Fault.STAGE not in health.faults.counts()
    assert (lines[0]["outcome"], lines[0]["event.name"]) == ("success", "work")
    return lines[0]


MANY_KEYS = 100_000
"""More than any line holds, and as many as a test can bear that somebody reads all of them."""


class Stop(BaseException):
    """What a hostile object raises; pytest survives it."""


QUESTIONS = (
    *("__repr__", "__str__", "__format__", "__bytes__", "__dir__"),
    *("__hash__", "__eq__", "__bool__", "__int__", "__float__", "__index__"),
    *("__len__", "__length_hint__", "__iter__", "__contains__", "__getitem__"),
)


def hostile(error: type[BaseException]) -> type:
    """Return a class of which every look at an instance raises *error*."""

    def refuse(*_: object, **__: object) -> Any:
        raise error

    return type(f"Hostile{error.__name__}", (), dict.fromkeys(QUESTIONS, refuse))


def hostile_subclass(base: type) -> type:
    """Return a subclass of a builtin that raises or lies wherever it can be asked."""

    def refuse(*_: object, **__: object) -> Any:
        raise KeyboardInterrupt

    methods = ("items", "keys", "values", "isoformat", "encode", "as_tuple", "copy")
    return type(f"Hostile{base.__name__}", (base,), dict.fromkeys((*QUESTIONS, *methods), refuse))


class Unreachable:
    """Raise at the look-up of any attribute, the class included."""

    def __getattribute__(self, name: str) -> Any:
        raise KeyboardInterrupt


class Metaclass(type):
    """Make classes that lie about their name, and raise when they are compared or hashed."""

    def __repr__(cls) -> str:
        raise KeyboardInterrupt

    __str__ = __repr__

    @property
    def __name__(cls) -> str:  # type: ignore[override]
        raise KeyboardInterrupt

    def __instancecheck__(cls, instance: object) -> bool:
        raise KeyboardInterrupt

    def __subclasscheck__(cls, subclass: object) -> bool:
        raise KeyboardInterrupt


class Lying(metaclass=Metaclass):
    """Be an instance of such a class."""


class Shifting:
    """Say that it is a dict, which it is not."""

    __class__ = dict  # type: ignore[assignment]

    def items(self) -> Any:
        raise KeyboardInterrupt


class Endless:
    """Be a sequence that never ends, and says that it is short."""

    def __iter__(self) -> Iterator[int]:
        return itertools.count()

    def __len__(self) -> int:
        return 3


class EndlessMapping(Mapping[str, int]):
    """Be a mapping that hardly ever ends, and says that it is short."""

    def __init__(self) -> None:
        self.read = 0

    def __getitem__(self, key: str) -> int:
        self.read += 1
        return 1

    def __iter__(self) -> Iterator[str]:
        return (f"k{number}" for number in range(MANY_KEYS))

    def __len__(self) -> int:
        return 3


class Growing(dict[str, int]):
    """Change while it is read."""

    def items(self) -> Any:
        for key in list(self):
            self[key + "x"] = 1
        return super().items()


class LongName(str):
    """Be text that is printed as something else."""

    __slots__ = ()

    def __str__(self) -> str:
        return "\u2028" * 3

    def __len__(self) -> int:
        return 10**9


class Colour(enum.Enum):
    RED = "red"
    SELF = object()


class Flags(enum.IntFlag):
    A = 1
    B = 2


class Point(NamedTuple):
    x: Any
    y: Any


@dataclass
class Order:
    number: Any = 4111111111111111
    password: str = "hunter2"
    items: list[Any] = field(default_factory=lambda: [math.nan])


class Slotted:
    __slots__ = ("never_set",)


def cyclic_list() -> Any:
    made: list[Any] = [1]
    made += [made, {"again": made}]
    return made


def cyclic_dict() -> Any:
    made: dict[Any, Any] = {"a": 1}
    made["self"] = made
    made["list"] = [made]
    return made


def deep(kind: str, levels: int) -> Any:
    made: Any = "bottom"
    for _ in range(levels):
        made = [made] if kind == "list" else {"k": made}
    return made


def dead_proxy() -> Any:
    return weakref.proxy(Order())


def raised() -> BaseException:
    try:
        raise ValueError("inner\x00") from KeyError("cause\u2028")
    except ValueError as error:
        return error


def long_chain() -> BaseException:
    error: BaseException = ValueError("first")
    for number in range(500):
        error, cause = RuntimeError(f"number {number}"), error
        error.__cause__ = cause
    return error


def generator() -> Iterator[int]:
    yield 1


async def coroutine() -> None:
    """Do nothing."""


def closed_coroutine() -> Any:
    made = coroutine()
    made.close()
    return made


MAKERS: dict[str, Callable[[], Any]] = {
    "hostile": hostile(KeyboardInterrupt),
    "hostile, exit": hostile(SystemExit),
    "hostile, stop": hostile(Stop),
    "hostile, recursion": hostile(RecursionError),
    "hostile, generator exit": hostile(GeneratorExit),
    "hostile str": lambda: hostile_subclass(str)("text"),
    "hostile int": lambda: hostile_subclass(int)(7),
    "hostile huge int": lambda: hostile_subclass(int)(10**400),
    "hostile float": lambda: hostile_subclass(float)("nan"),
    "hostile bytes": lambda: hostile_subclass(bytes)(b"raw"),
    "hostile list": lambda: hostile_subclass(list)([1, 2]),
    "hostile tuple": lambda: hostile_subclass(tuple)((1, 2)),
    "hostile dict": lambda: hostile_subclass(dict)(a=1),
    "hostile set": lambda: hostile_subclass(set)([1]),
    "hostile datetime": lambda: hostile_subclass(datetime.datetime)(2026, 1, 1),
    "hostile decimal": lambda: hostile_subclass(Decimal)("1.1"),
    "hostile exception": lambda: hostile_subclass(ValueError)("message"),
    "class of hostile": lambda: hostile(KeyboardInterrupt),
    "unreachable": Unreachable,
    "lying": Lying,
    "lying class": lambda: Lying,
    "shifting": Shifting,
    "endless": Endless,
    "endless mapping": EndlessMapping,
    "growing": lambda: Growing(a=1),
    "long name": lambda: LongName("name"),
    "enum": lambda: Colour.RED,
    "enum of object": lambda: Colour.SELF,
    "flags": lambda: Flags.A | Flags.B,
    "point": lambda: Point(1, [2]),
    "order": Order,
    "slotted": Slotted,
    "cyclic list": cyclic_list,
    "cyclic dict": cyclic_dict,
    "deep list": lambda: deep("list", 5_000),
    "deep dict": lambda: deep("dict", 5_000),
    "dead proxy": dead_proxy,
    "raised": raised,
    "long chain": long_chain,
    "group": lambda: ExceptionGroup("several\x85", [ValueError("\ud800")]),
    "generator": generator,
    "closed coroutine": closed_coroutine,
    "iterator": lambda: iter([1, 2]),
    "count": itertools.count,
    "map": lambda: map(int, "12"),
    "range": lambda: range(10**9),
    "slice": lambda: slice(1, None),
    "ellipsis": lambda: ...,
    "not implemented": lambda: NotImplemented,
    "object": object,
    "type": lambda: dict,
    "lambda": lambda: lambda: None,
    "builtin": lambda: len,
    "method": lambda: [].append,
    "module": lambda: sys,
    "code": lambda: generator.__code__,
    "frame": sys._getframe,
    "lock": threading.Lock,
    "file": io.StringIO,
    "loop": asyncio.Lock,
    "array": lambda: array.array("d", [math.nan]),
    "memoryview": lambda: memoryview(b"\xff\x00"),
    "bytearray": lambda: bytearray(b"\xc2\x85"),
    "complex": lambda: complex(math.inf, math.nan),
    "fraction": lambda: fractions.Fraction(1, 3),
    "decimal nan": lambda: Decimal("sNaN"),
    "huge decimal": lambda: Decimal("1e999999"),
    "uuid": lambda: uuid.UUID(int=1),
    "path": lambda: pathlib.PurePath("/a/\udcff"),
    "pattern": lambda: re.compile("a\u2029"),
    "deque": lambda: collections.deque([1, {2: 3}]),
    "counter": lambda: collections.Counter("abca"),
    "default dict": lambda: collections.defaultdict(list, a=[1]),
    "chain map": lambda: collections.ChainMap({"a": 1}, {"b": 2}),
    "ordered": lambda: collections.OrderedDict(b=1, a=2),
    "proxy": lambda: types.MappingProxyType({"a": {1: 2}}),
    "namespace": lambda: types.SimpleNamespace(a=1),
    "keys": {"a": 1}.keys,
    "items": {"a": 1}.items,
    "user string": lambda: collections.UserString("u\x7f"),
    "max date": lambda: datetime.datetime.max.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=-23))),
    "huge int": lambda: 10**400,
    "hugest int": lambda: 10**20_000,
    "int64": lambda: 2**63 - 1,
    "uint64": lambda: 2**64 - 1,
    "card": lambda: 4111111111111111,
    "long text": lambda: "\u2028\x85\ud800é" * 5_000,
    "long bytes": lambda: b"\xff" * 20_000,
    "long list": lambda: list(range(5_000)),
    "long dict": lambda: {f"k{number}": "v" * 50 for number in range(2_000)},
    "colliding keys": lambda: {1: "a", "1": "b", b"1": "c"},
    "odd keys": lambda: {None: 1, ("t", 1): 2, "": 3, "a.b": 4, "a": 5, frozenset(): 6, "\ud800": 7, "k" * 9_000: 8},
    "empties": lambda: [{}, [], (), set(), "", b"", {"a": {}}],
}


@dataclass(frozen=True)
class Maker:
    """Stand for an object that hypothesis could neither print nor compare, until it is needed."""

    name: str


TEXTS = st.text(st.characters(), max_size=30)
RISKY = st.text(
    st.sampled_from('\x00\n\x1f\x7f\x80\x85\x9f\u061c\u200e\u2028\u2029\u202e\u2066\ud800\udfff\\"aé😀'), max_size=20
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(2**62, 2**65),
    st.floats(),
    st.complex_numbers(),
    TEXTS,
    RISKY,
    st.binary(max_size=20),
    st.decimals(),
    st.fractions(),
    st.datetimes(timezones=st.none() | st.just(datetime.UTC)),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.uuids(),
)
MADE = st.sampled_from([Maker(name) for name in sorted(MAKERS)])
HASHABLE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    TEXTS,
    RISKY,
    st.binary(max_size=9),
    st.tuples(TEXTS, st.integers()),
)


def grown(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return what can be built of *children*."""
    several = st.lists(children, max_size=5)
    return st.one_of(
        several,
        several.map(tuple),
        several.map(collections.deque),
        st.dictionaries(HASHABLE, children, max_size=5),
        st.dictionaries(HASHABLE, children, max_size=5).map(collections.OrderedDict),
        st.sets(HASHABLE, max_size=4),
        st.frozensets(HASHABLE, max_size=4),
        st.builds(Point, children, children),
        st.builds(Order, children),
    )


VALUES = st.recursive(SCALARS | MADE, grown, max_leaves=8)

WORDS = (
    "a",
    "b",
    "value",
    "value_",
    "password",
    "level",
    "http",
    "route",
    "service",
    "name",
    "event",
    "user_fields",
    "",
)
CROSSING = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(".".join)
NESTING = st.lists(st.sampled_from(["a", "b", "value", "value_", "level", "http", "route"]), min_size=1).map(".".join)
KEYS = st.one_of(TEXTS, RISKY, CROSSING, st.sampled_from(sorted(RESERVED)), HASHABLE, MADE, st.lists(TEXTS, max_size=2))


def real(value: Any) -> Any:
    """Return *value* with every Maker in it replaced by what it makes."""
    if type(value) is Maker:
        return MAKERS[value.name]()
    if type(value) in {list, tuple, collections.deque}:
        return type(value)(map(real, value))
    if type(value) in {dict, collections.OrderedDict}:
        return type(value)((key, real(each)) for key, each in value.items())
    if type(value) is Point:
        return Point(*map(real, value))
    if type(value) is Order:
        return Order(real(value.number))
    return value


def time(name: Any) -> None:
    """Time a step called *name*."""
    with timer(name):
        pass


CALLS: dict[str, Callable[[Any, Any], object]] = {
    "add_field": add_field,
    "add_fields": lambda key, value: add_fields({"k": value}, key=key),
    "add_fields, bare": lambda _, value: add_fields(value),
    "increment": increment,
    "append": append,
    "timer": lambda key, _: time(key),
    "add_error": lambda key, value: add_error(value, level=key),
}


@pytest.mark.parametrize("max_bytes", SIZES)
class TestAnyValue:
    @pytest.mark.parametrize("call", CALLS)
    @MANY
    @given(key=KEYS, value=VALUES)
    def test_gives_one_good_line(self, max_bytes: int, call: str, key: Any, value: Any) -> None:
        """Every function of the face takes anything under any key, raises nothing and costs nothing else."""

        def work() -> None:
            add_field("kept.before", "before")
            CALLS[call](real(key), real(value))
            add_field("kept.after", "after")

        line = line_of(work, max_bytes)
        assert "kept.before" in line or "event.trimmed" in line

    @pytest.mark.parametrize("call", CALLS)
    def test_gives_one_good_line_for_each_that_is_known_to_hurt(self, max_bytes: int, call: str) -> None:
        """Each of the objects that other libraries lose a line to, as value and as key, alone and in containers."""
        works: dict[str, Callable[[Callable[[], Any]], object]] = {
            "as value": lambda make: CALLS[call]("key", make()),
            "in a list": lambda make: CALLS[call]("key", [make(), (make(),)]),
            "in a mapping": lambda make: CALLS[call]("key", {"k": make(), "l": [{"m": make()}]}),
            "as key": lambda make: CALLS[call](make(), 1),
        }
        bad: dict[str, str] = {}
        for name, make in MAKERS.items():
            for place, work in works.items():
                try:
                    line_of(partial(work, make), max_bytes)
                except AssertionError as refused:
                    bad[f"{name}, {place}"] = str(refused)[:200]
        assert bad == {}

    @SOME
    @given(program=st.lists(st.tuples(st.sampled_from(sorted(CALLS)), KEYS, VALUES), max_size=6))
    def test_gives_one_good_line_for_any_program(self, max_bytes: int, program: list[tuple[str, Any, Any]]) -> None:
        """Calls of all kinds, one after another, in one event."""

        def work() -> None:
            for call, key, value in program:
                CALLS[call](real(key), real(value))

        line_of(work, max_bytes)

    @MANY
    @given(
        names=st.lists(CROSSING, min_size=1, max_size=8, unique=True),
        container=st.sampled_from(["one by one", "mapping"]),
    )
    @example(names=["a", "a.b", "a.value"], container="one by one")
    @example(names=["a", "a.value.b"], container="one by one")
    @example(names=["service", "http", "event"], container="one by one")
    def test_has_no_scalar_beside_its_branches(self, max_bytes: int, names: list[str], container: str) -> None:
        """However dotted keys meet: among themselves, with our own, and with the names they are moved to."""

        def work() -> None:
            if container == "mapping":
                add_fields(dict.fromkeys(names, 1))
            for name in names:
                add_field(name, 1)

        line = line_of(work, max_bytes)
        ours = {name for name in line if name not in line_of(lambda: None, max_bytes)}
        assert len(ours) <= len(names)

    @MANY
    @given(names=st.lists(NESTING, min_size=1, max_size=6, unique=True))
    def test_keeps_every_value_when_keys_cross(self, max_bytes: int, names: list[str]) -> None:
        """What makes way is renamed, and not lost: each mark is in the line."""

        def work() -> None:
            for position, name in enumerate(names):
                add_field(name, f"mark {position}.")

        marks = {f"mark {position}." for position in range(len(names))}
        found = {value for value in line_of(work, max_bytes).values() if type(value) is str}
        assert marks - found == set()

    @SOME
    @given(value=VALUES, text=RISKY | TEXTS)
    def test_is_good_whatever_the_service_is_called(self, max_bytes: int, value: Any, text: str) -> None:
        """The fields of the process stand on every line, and come from people too."""
        settings = dict.fromkeys(("service", "version", "environment", "owner"), text * 20 + "x")
        line_of(lambda: add_field("key", real(value)), max_bytes, **settings)

    @pytest.mark.parametrize("letter", ["x", "é", "\u2028", "😀", "\x85", '"', "\x00"], ids=ascii)
    def test_holds_with_the_longest_names_of_everything(self, max_bytes: int, letter: str) -> None:
        """Our own fields must fit, however many bytes their characters take."""
        long = letter * 10_000
        settings = dict.fromkeys(("service", "version", "environment", "owner"), long + "x")

        def work() -> None:
            for number in range(50):
                add_field(f"{letter}.{number}", long)
                append("list", long)
            add_error(ValueError(long))

        result: list[BaseException] = []

        def in_thread() -> None:
            try:
                line_of(work, max_bytes, **settings)
            except BaseException as error:
                result.append(error)

        thread = threading.Thread(target=in_thread, name=long)
        thread.start()
        thread.join()
        assert result == []

    @pytest.mark.parametrize("letter", ["x", "4", "\u2028", "ab \ud800"], ids=ascii)
    def test_survives_a_text_of_ten_megabytes(self, max_bytes: int, letter: str) -> None:
        """What is too long is cut, and named."""
        line = line_of(lambda: add_field("big", letter * (10**7 // len(letter))), max_bytes)
        assert line["event.trimmed"] == ["big"]

    @pytest.mark.parametrize("value", ["v", "v" * 1_000, 1, [1, 2]], ids=["short", "long", "int", "list"])
    def test_survives_ten_thousand_fields(self, max_bytes: int, value: object) -> None:
        """The first ones stay, and how many went is told."""

        def work() -> None:
            for number in range(10_000):
                add_field(f"field.{number}", value)

        line = line_of(work, max_bytes)
        kept = [name for name in line if name.startswith("field.")]
        assert kept == [f"field.{number}" for number in range(len(kept))]
        assert line["event.trimmed"][-1].startswith("+")

    def test_keeps_all_default_fields(self, max_bytes: int) -> None:
        """They stay, whatever the user adds."""

        def work() -> None:
            for number in range(2_000):
                add_field(f"field.{number}", "v" * 500)
            add_error(ValueError("m" * 50_000))

        plain, full = line_of(lambda: add_error(ValueError("x")), max_bytes), line_of(work, max_bytes)
        assert set(plain) - set(full) == set()


class TestIterators:
    @pytest.mark.parametrize("call", CALLS)
    def test_are_not_consumed(self, call: str) -> None:
        """To look at a generator would change what the application does, wherever it stands."""
        made = [generator(), iter([1]), map(int, "1"), (number for number in [1]), itertools.count(1)]

        def work() -> None:
            for each in made:
                CALLS[call]("key", each)
                CALLS[call]("key", [{"in": (each,)}])
                CALLS[call](each, 1)

        line_of(work)
        assert [next(each) for each in made] == [1] * len(made)


class TestEndlessMapping:
    @pytest.mark.parametrize("call", ["add_field", "add_fields", "add_fields, bare", "append"])
    def test_is_not_read_to_its_end(self, call: str) -> None:
        """A lazy mapping may stand for a whole table; the request does not wait for it, and memory does not fill."""
        endless = EndlessMapping()
        line_of(lambda: CALLS[call]("key", endless))
        assert 0 < endless.read < MANY_KEYS


class TestNothingElse:
    def test_is_changed(self) -> None:
        """What is added belongs to the application: a container is as it was."""
        value = {"a": [1, {"password": "x"}], "b": {1, 2}, "c": collections.deque([3])}
        line_of(lambda: add_field("key", value))
        assert value == {"a": [1, {"password": "x"}], "b": {1, 2}, "c": collections.deque([3])}

    def test_waits_for_the_end(self) -> None:
        """A value is copied when it is added; what becomes of it later is not in the line."""
        value: dict[str, Any] = {"a": [1]}

        def work() -> None:
            add_field("key", value)
            append("items", value)
            value["a"].append(2)
            value["b"] = object()

        line = line_of(work)
        assert (line["key.a"], line["items"], "key.b" in line) == ([1], [{"a": [1]}], False)

    @pytest.mark.parametrize("max_bytes", SIZES)
    def test_leaks_from_one_event_into_the_next(self, max_bytes: int) -> None:
        """Whatever happened in one, the next line is that of an empty event."""
        with configured(max_bytes) as sink:
            for make in MAKERS.values():
                with wideevents.event("one"):
                    add_field("key", make())
                with wideevents.event("two"):
                    pass
        lines = [parse_line(line, max_bytes) for line in sink.lines]
        names = {name for line in lines[1::2] for name in line}
        assert len(lines) == 2 * len(MAKERS)
        assert names == lines[-1].keys()
