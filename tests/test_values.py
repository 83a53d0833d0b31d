"""What the values room promises."""

from __future__ import annotations

import collections
import dataclasses
import enum
import io
import json
import math
import sys
import threading
import types
import uuid
import weakref
from contextvars import ContextVar
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from numbers import Integral, Real
from pathlib import PurePosixPath
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup
from werkzeug.datastructures import Headers, MultiDict
from werkzeug.local import LocalProxy

from wideevents.values import DEEP, EMPTY, HIDDEN, ITEMS, LONGEST, flatten, plain, text

EXACT = (str, int, float, bool, type(None), list, dict)


def show(_key: str) -> bool:
    return False


def hide(key: str) -> bool:
    return key.rpartition(".")[2] in {"password", "token"}


def parts(value: object) -> list[Any]:
    """Return *value* and all that is inside it, keys too."""
    inside = [*value.items()] if type(value) is dict else [value] if type(value) is not list else value
    if type(value) not in {dict, list}:
        return [value]
    members = [part for each in inside for part in (each if type(value) is dict else [each])]
    return [value, *(part for member in members for part in parts(member))]


class Color(enum.Enum):
    RED = "red"
    PAIR = (1, 2)
    SECRETS = {"password": "p", "name": "n"}  # noqa: RUF012
    BIG = 2**70


class Size(enum.StrEnum):
    SMALL = "small"


class Priority(enum.IntEnum):
    HIGH = 3


class Flags(enum.Flag):
    A = 1
    B = 2


class Word(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise KeyboardInterrupt


class Number(int):
    pass


class Ratio(float):
    pass


@dataclasses.dataclass
class User:
    name: str
    password: str = "hunter2"
    boss: User | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    left: int
    right: list[int]


Point = collections.namedtuple("Point", "x y")


class Stamp(datetime):
    """What pendulum and freezegun make of a datetime."""


class Attrs:
    __attrs_attrs__ = (types.SimpleNamespace(name="email"), types.SimpleNamespace(name="token"))
    email = "a@b.c"
    token = "t"


class Pydantic:
    __pydantic_fields__ = {"email": None}  # noqa: RUF012
    email = "a@b.c"


class Msgspec:
    __struct_fields__ = ("email",)
    email = "a@b.c"


class Scalar:
    """What a numpy scalar looks like from outside."""

    shape: tuple[int, ...] = ()

    def __init__(self, item: object, shape: tuple[int, ...] = ()) -> None:
        self.value, self.shape = item, shape

    def item(self) -> object:
        return self if self.value == "itself" else self.value

    def __str__(self) -> str:
        return "text of the array"


class Int64:
    def __index__(self) -> int:
        return 7


class Float32:
    def __float__(self) -> float:
        return 1.5


Integral.register(Int64)
Real.register(Float32)


class Row:
    """What a sqlite3.Row looks like from outside: keys and a length, but no items()."""

    def keys(self) -> list[str]:
        return ["id", "password"]

    def __getitem__(self, key: str) -> str:
        return f"the {key}"

    def __iter__(self) -> Any:
        raise AssertionError

    def __len__(self) -> int:
        return 2


class Redis:
    """A client whose keys() asks a server."""

    def keys(self) -> list[str]:
        raise AssertionError

    def __getitem__(self, key: str) -> str:
        raise AssertionError


class Unequal:
    def __str__(self) -> str:
        return "same"


SCALARS = {
    "str": ("text", "text"),
    "lone surrogate": ("\ud800", "\ud800"),
    "str subclass that raises": (Word("word"), "word"),
    "Markup": (Markup("<b>"), "<b>"),
    "UserString": (collections.UserString("abc"), "abc"),
    "int": (42, 42),
    "int subclass": (Number(5), 5),
    "largest int": (2**63 - 1, 2**63 - 1),
    "smallest int": (-(2**63), -(2**63)),
    "int of 65 bits": (2**63, "9223372036854775808"),
    "negative int of 65 bits": (-(2**63) - 1, "-9223372036854775809"),
    "int of 401 digits": (10**400, "1" + "0" * 400),
    "int beyond the digits limit": (16**5000, "0x1" + "0" * 5000),
    "int of a megabit": (1 << 1_000_000, "<int of 1000001 bits>"),
    "float": (1.5, 1.5),
    "float subclass": (Ratio(1.5), 1.5),
    "nan": (math.nan, "NaN"),
    "infinity": (math.inf, "Infinity"),
    "minus infinity": (Ratio("-inf"), "-Infinity"),
    "bool": (True, True),
    "none": (None, None),
    "bytes": ("größe".encode(), "größe"),
    "bytes that are no UTF-8": (b"a\xff", "a\\xff"),
    "bytearray": (bytearray(b"abc"), "abc"),
    "memoryview": (memoryview(b"abcdef")[::2], "ace"),
    "Decimal": (Decimal("1.10"), "1.10"),
    "UUID": (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    "Path": (PurePosixPath("/a/b"), "/a/b"),
    "Fraction": (Fraction(1, 3), "1/3"),
    "complex": (1 + 2j, "(1+2j)"),
    "Enum": (Color.RED, "red"),
    "Enum of a tuple": (Color.PAIR, [1, 2]),
    "Enum of a big int": (Color.BIG, str(2**70)),
    "StrEnum": (Size.SMALL, "small"),
    "IntEnum": (Priority.HIGH, 3),
    "Flag": (Flags.A | Flags.B, 3),
    "aware datetime": (datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=1))), "2026-01-02T02:00:00Z"),
    "UTC datetime": (datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), "2026-01-02T03:04:05.000006Z"),
    "datetime subclass": (Stamp(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00Z"),
    "naive datetime": (datetime(2026, 1, 2, 3), "2026-01-02T03:00:00"),
    "datetime at the end of time": (
        datetime.max.replace(microsecond=0, tzinfo=timezone(timedelta(hours=-5))),
        "9999-12-31T23:59:59-05:00",
    ),
    "date": (date(2026, 1, 2), "2026-01-02"),
    "time": (time(3, 4), "03:04:00"),
    "timedelta": (timedelta(minutes=1, milliseconds=500), 60.5),
    "exception": (ValueError("bad"), "ValueError: bad"),
    "exception without a message": (KeyboardInterrupt(), "KeyboardInterrupt"),
    "class": (User, f"{__name__}.User"),
    "builtin class": (int, "int"),
    "function": (show, f"{__name__}.show"),
    "builtin function": (len, "len"),
    "builtin method": ([].append, "list.append"),
    "method": (Scalar(1).item, f"{__name__}.Scalar.item"),
    "numpy integer": (Int64(), 7),
    "numpy float": (Float32(), 1.5),
    "numpy bool": (Scalar(item=True), True),
    "numpy nan": (Scalar(math.nan), "NaN"),
    "numpy longdouble": (Scalar("itself"), "text of the array"),
    "numpy array": (Scalar(1, shape=(2,)), "text of the array"),
    "proxied text": (LocalProxy(lambda: "abc"), "abc"),
    "proxied number": (LocalProxy(lambda: 42), "42"),
    "other object": (Unequal(), "same"),
}

COLLECTIONS = {
    "list": ([1, "a"], [1, "a"]),
    "tuple": ((1, (2,)), [1, [2]]),
    "set": ({3, 1, 2}, [1, 2, 3]),
    "frozenset": (frozenset({"b", "a"}), ["a", "b"]),
    "set that cannot be sorted": ({None}, [None]),
    "deque": (collections.deque([1, 2]), [1, 2]),
    "range": (range(3), [0, 1, 2]),
    "keys view": ({"b": 1, "a": 2}.keys(), ["b", "a"]),
    "values view": ({"b": 1, "a": 2}.values(), [1, 2]),
    "UserList": (collections.UserList([1]), [1]),
    "proxied list": (LocalProxy(lambda: [1, 2]), [1, 2]),
    "None inside": ([None], [None]),
}

MAPPINGS = {
    "dict": ({"x": 1, "y": 2}, {"x": 1, "y": 2}),
    "OrderedDict": (collections.OrderedDict(x=1), {"x": 1}),
    "mapping proxy": (types.MappingProxyType({"x": 1}), {"x": 1}),
    "ChainMap": (collections.ChainMap({"x": 1}, {"y": 2}), {"x": 1, "y": 2}),
    "items view": ({"x": 1, "password": "p"}.items(), {"x": 1, "password": HIDDEN}),
    "dataclass": (User("Ada"), {"name": "Ada", "password": HIDDEN, "boss": None}),
    "dataclass with slots": (Slotted(1, [2]), {"left": 1, "right": [2]}),
    "namedtuple": (Point(1, 2), {"x": 1, "y": 2}),
    "attrs": (Attrs(), {"email": "a@b.c", "token": HIDDEN}),
    "pydantic": (Pydantic(), {"email": "a@b.c"}),
    "msgspec": (Msgspec(), {"email": "a@b.c"}),
    "headers": (Headers([("a", "1"), ("a", "2"), ("token", "t")]), {"a": "1", "a#2": "2", "token": HIDDEN}),
    "MultiDict": (MultiDict([("a", "1"), ("a", "2")]), {"a": ["1", "2"]}),
    "row": (Row(), {"id": "the id", "password": HIDDEN}),
    "proxied dict": (LocalProxy(lambda: {"x": 1, "password": "p"}), {"x": 1, "password": HIDDEN}),
    "proxied dataclass": (LocalProxy(lambda: User("Ada")), {"name": "Ada", "password": HIDDEN, "boss": None}),
    "odd keys": (
        {1: "a", None: "b", b"c": "c", Size.SMALL: "d", (1, 2): "e"},
        {"1": "a", "None": "b", "c": "c", "small": "d", "[1, 2]": "e"},
    ),
    "keys that collide": ({1: "a", "1": "b", 1.5: "c", "1.5": "d"}, {"1": "a", "1#2": "b", "1.5": "c", "1.5#2": "d"}),
    "keys of equal text": ({Unequal(): 1, Unequal(): 2, Unequal(): 3}, {"same": 1, "same#2": 2, "same#3": 3}),
}


class TestPlain:
    @pytest.mark.parametrize(("value", "expected"), SCALARS.values(), ids=SCALARS)
    def test_makes_a_scalar_of_an_exact_builtin(self, value: object, expected: object) -> None:
        """Whatever is one thing becomes one str, int, float, bool or None, and no subclass of those."""
        found = plain(value, show)

        assert expected == found
        assert type(expected) is type(found)

    @pytest.mark.parametrize(("value", "expected"), COLLECTIONS.values(), ids=COLLECTIONS)
    def test_makes_a_list_of_a_collection(self, value: object, expected: object) -> None:
        """Whatever can be read again and again becomes a list, in an order that is the same every time."""
        assert expected == plain(value, show)

    @pytest.mark.parametrize(("value", "expected"), MAPPINGS.values(), ids=MAPPINGS)
    def test_makes_a_dict_of_a_mapping(self, value: object, expected: object) -> None:
        """Whatever has named parts becomes a dict, in which secrets are hidden and no part is lost."""
        assert [expected] == plain([value], hide)

    def test_keeps_a_long_str_as_it_is(self) -> None:
        """Ten megabytes are not copied: they are cut when the line is written."""
        value = "x" * 10_000_000

        assert plain(value, show) is value

    def test_writes_large_ints_under_the_tightest_digits_limit(self) -> None:
        """An application that lowers `sys.set_int_max_str_digits` keeps its values."""
        before = sys.get_int_max_str_digits()
        sys.set_int_max_str_digits(640)
        try:
            found = plain([2**1999, 2**3000], show)
        finally:
            sys.set_int_max_str_digits(before)

        assert found == [str(2**1999), hex(2**3000)]

    def test_copies_what_can_change(self) -> None:
        """What the caller does to a list later is not in the event."""
        inner = [1]
        outer = {"inner": inner}
        found = plain([outer], show)
        inner.append(2)
        outer.clear()

        assert found == [{"inner": [1]}]

    def test_reads_a_clients_keys_from_no_server(self) -> None:
        """An object that looks a little like a mapping (a redis client) is not asked for its keys."""
        assert f"<{__name__}.Redis object>" == plain(Redis(), show)


class TestConsuming:
    @pytest.mark.parametrize("make", [iter, lambda items: (n for n in items), lambda items: map(str, items), enumerate])
    def test_leaves_iterators_alone(self, make: Any) -> None:
        """Adding a generator must not eat what the program is about to read."""
        iterator = make([1, 2])
        found = plain(iterator, show)

        assert isinstance(found, str)
        assert len(list(iterator)) == 2

    def test_leaves_files_alone(self) -> None:
        """A file stays where it is."""
        file = io.StringIO("a\nb")

        assert plain(file, show) == "<_io.StringIO object>"
        assert file.read() == "a\nb"

    def test_leaves_coroutines_alone(self) -> None:
        """A coroutine is neither run nor closed."""

        async def work() -> int:
            return 1

        coroutine = work()
        found = plain(coroutine, show)
        with pytest.raises(StopIteration):
            coroutine.send(None)

        assert found == "<coroutine object TestConsuming.test_leaves_coroutines_alone.<locals>.work>"


def methods(name: str, error: type[BaseException]) -> dict[str, object]:
    """Return the body of a class whose method *name* raises *error*."""

    def method(*_args: object) -> object:
        raise error

    return {name: property(method) if name in {"__class__", "shape"} else method, "item": None}


def raising(name: str, error: type[BaseException] = KeyboardInterrupt, base: type = object) -> Any:
    """Return an object of a *base* whose method *name* raises *error*."""
    kind = type("Hostile", (base,), methods(name, error))
    return kind(2026, 1, 1) if base is datetime else kind("a") if base is collections.UserString else kind()


METHODS = [
    "__repr__",
    "__str__",
    "__eq__",
    "__hash__",
    "__class__",
    "__iter__",
    "__len__",
    "__length_hint__",
    "__getitem__",
    "__lt__",
    "__bool__",
    "__format__",
    "__float__",
    "__index__",
    "__int__",
    "__getattr__",
    "__getattribute__",
    "__dataclass_fields__",
    "keys",
    "items",
    "lists",
    "shape",
    "utcoffset",
]
USERS = (collections.UserDict, collections.UserList, collections.UserString, collections.OrderedDict)
BASES = (object, dict, list, set, str, int, float, bytes, tuple, Exception, datetime, *USERS)


def alien() -> object:
    """Return an object whose metaclass raises; kept in here, since pytest looks at all that a module has."""

    class Meta(type):
        @property
        def __name__(cls) -> str:  # type: ignore[override]
            raise SystemExit

        def __hash__(cls) -> int:
            raise SystemExit

        def __getattribute__(cls, name: str) -> object:
            raise SystemExit

    class Alien(metaclass=Meta):
        pass

    return Alien()


class TestHostile:
    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit, RecursionError])
    @pytest.mark.parametrize("name", METHODS)
    def test_no_method_can_raise_through(self, name: str, error: type[BaseException]) -> None:
        """Whatever the code of a value raises, the event goes on."""
        for base in BASES:
            value = raising(name, error, base)
            for found in (plain(value, show), plain([value], show), flatten("key", value, show), text(value)):
                json.dumps(found, allow_nan=False)

    def test_only_the_bad_value_is_replaced(self) -> None:
        """Its neighbours are as they were, and the text says which type to look at."""
        bad = raising("__repr__")

        assert plain([1, bad, {"a": bad, "b": 2}], show) == [
            1,
            "<unprintable Hostile>",
            {"a": "<unprintable Hostile>", "b": 2},
        ]

    def test_a_metaclass_cannot_raise_through(self) -> None:
        """Not even the name of the type is asked of the type."""
        value = alien()

        assert plain(value, show) == "<unprintable Alien>"
        assert "Alien" in text(value)
        assert flatten("key", value, show) == [("key", "<unprintable Alien>")]

    def test_a_name_that_is_a_hostile_str_cannot_raise_through(self) -> None:
        """Names are made exact before they are formatted."""
        name = type("Name", (str,), methods("__format__", SystemExit))("Odd")
        value = type(name, (), methods("__repr__", SystemExit))()

        assert text(value) == "<unprintable Odd>"

    def test_proxies_to_nothing_are_named(self) -> None:
        """An unbound LocalProxy and a dead weak reference raise on everything, their class too."""
        unbound = LocalProxy(ContextVar("nothing"))
        dead = weakref.proxy(User("gone"))

        assert plain([unbound, dead], show) == ["<unprintable LocalProxy>", "<unprintable ProxyType>"]

    def test_a_key_that_raises_is_named(self) -> None:
        """A value is kept even when its key cannot be read."""
        assert flatten("a", {raising("__repr__"): 1}, show) == [("a.<unprintable Hostile>", 1)]

    def test_a_judge_that_raises_hides_everything(self) -> None:
        """When nobody can tell whether a key is secret, its mapping is not shown."""

        def judge(_key: str) -> bool:
            raise ValueError

        assert plain({"password": "p"}, judge) == "<unprintable dict>"
        assert flatten("a", {"password": "p"}, judge) == [("a", "<unprintable dict>")]

    def test_a_mapping_that_cannot_be_read_is_not_printed(self) -> None:
        """Its text could show what its keys would have hidden."""
        value = type("Broken", (collections.UserDict,), methods("items", OSError))({"password": "p"})

        assert plain(value, hide) == "<unprintable Broken>"


class TestBounds:
    def test_depth_ends_in_dots(self) -> None:
        """Five thousand levels cost eight, and no RecursionError."""
        deep: list[Any] = []
        for _ in range(5_000):
            deep = [deep]

        assert plain(deep, show) == [[[[[[[[DEEP]]]]]]]]

    def test_depth_ends_in_dots_in_mappings_too(self) -> None:
        """A mapping is flattened eight levels down."""
        deep: dict[str, Any] = {}
        for _ in range(5_000):
            deep = {"a": deep}

        assert flatten("k", deep, show) == [("k" + ".a" * 8, DEEP)]
        assert str(plain(deep, show)).count("'a'") == 8

    def test_scalars_at_the_last_level_are_kept(self) -> None:
        """Only what would go deeper is cut off."""
        found = plain([[[[[[[[Decimal(1), Color.RED, Color.PAIR, {}]]]]]]]], show)

        assert found == [[[[[[[["1", "red", DEEP, DEEP]]]]]]]]

    def test_cycles_end(self) -> None:
        """A container that holds itself is cut off like any deep one."""
        loop: list[Any] = []
        loop.append({"loop": loop, "again": loop})
        user = User("Ada")
        user.boss = user

        assert DEEP in parts(plain(loop, show))
        assert ("u" + ".boss" * 7 + ".name", "Ada") in flatten("u", user, show)

    def test_an_enum_that_is_its_own_value_ends(self) -> None:
        """Nothing that becomes simpler step by step can do so for ever."""
        value = enum.Enum("Ring", "ONE").ONE  # type: ignore[attr-defined]
        value._value_ = value

        assert plain(value, show) == DEEP
        assert flatten("k", value, show) == [("k", DEEP)]

    def test_a_thousand_members_are_kept_and_the_rest_is_counted(self) -> None:
        """A list of a million rows is a mistake that must not fill the line, nor be lost in silence."""
        found = plain(range(1_000_000), show)

        assert [*range(ITEMS), "<999000 left out>"] == found

    def test_the_thousand_are_shared_by_all_containers(self) -> None:
        """Many small lists are bounded as one large one is, and each that was cut says so."""
        found = plain([[1, 2]] * 1_000, show)

        assert [*found[:2], *found[-2:]] == [[1, 2], [1, 2], ["<2 left out>"], "<666 left out>"]  # type: ignore[index]

    @pytest.mark.parametrize("made", [dict.fromkeys(range(1_200), 0), Headers([(str(n), "") for n in range(1_200)])])
    def test_a_wide_mapping_says_what_was_left_out(self, made: Any) -> None:
        """At least: a source that does not know its length counts as far as it was read."""
        name, words = flatten("k", made, show)[-1]

        assert name == "k.left_out"
        assert words in {"<200 left out>", "<1 left out>"}

    def test_a_large_set_is_kept_in_part(self) -> None:
        """It is not sorted, since only some of it is kept."""
        found = plain(set(range(5_000)), show)

        assert found[-1] == "<4000 left out>"  # type: ignore[index]

    def test_an_endless_sequence_ends(self) -> None:
        """A collection whose iterator never stops is read as far as there is room."""
        endless = type("Endless", (collections.UserList,), {"__iter__": lambda _self: iter(int, 1)})()

        assert [*[0] * ITEMS, "<1 left out>"] == plain(endless, show)


class TestChanging:
    def test_a_dict_that_another_thread_changes_is_copied(self) -> None:
        """Copying never raises "changed size during iteration", and loses nothing that was there all along."""
        shared: Any = collections.UserDict.fromkeys(map(str, range(50)), 1)
        stop = threading.Event()

        def change() -> None:
            while not stop.is_set():
                shared["new"] = 1
                shared.pop("new")

        thread = threading.Thread(target=change)
        thread.start()
        found = [plain([shared.data], show) for _ in range(300)]
        stop.set()
        thread.join()

        assert {50, 51} >= {len(each[0]) for each in found}  # type: ignore[index,arg-type]

    @pytest.mark.parametrize(("failures", "expected"), [(1, [1]), (3, [1]), (4, "<unprintable Changing>")])
    def test_a_container_is_read_again(self, failures: int, expected: object) -> None:
        """A reading that failed since the container changed is repeated, three times at most."""
        left = [failures]

        def read(_self: object) -> Any:
            left[0] -= 1
            if left[0] >= 0:
                raise RuntimeError
            return iter([1])

        assert expected == plain(type("Changing", (collections.UserList,), {"__iter__": read})(), show)


class TestText:
    def test_keeps_an_exact_str(self) -> None:
        """A str is its own text, however long."""
        value = "x" * 100_000

        assert text(value) is value

    def test_reads_a_str_subclass_by_its_characters(self) -> None:
        """What its own __str__ does is not asked, as a value and as a key."""
        assert text(Word("word")) == "word"
        assert flatten("a", {Word("word"): 1}, show) == [("a.word", 1)]

    def test_cuts_what_a_foreign_repr_writes(self) -> None:
        """A repr of megabytes is cut at 16,384 characters."""
        value = type("Long", (), {"__repr__": lambda _self: "y" * 1_000_000})()

        assert text(value) == "y" * LONGEST + DEEP

    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            ("<Foo object at 0x7f00deadbeef>", "<Foo object>"),
            ("<bound method F.m of <F object at 0x7f1>>", "<bound method F.m of <F object>>"),
            ('<code object f at 0x7f1, file "<stdin>", line 1>', '<code object f, file "<stdin>", line 1>'),
            ("<weakref at 0x1; to 'F' at 0x2>", "<weakref; to 'F'>"),
            ("fault at 0x7f1", "fault at 0x7f1"),
        ],
    )
    def test_takes_memory_addresses_out(self, words: str, expected: str) -> None:
        """Two events about the same thing read the same."""
        assert expected == text(type("Foo", (), {"__repr__": lambda _self: words})())


class TestFlatten:
    def test_gives_what_is_no_mapping_under_its_key(self) -> None:
        """A scalar or a list is one field."""
        assert flatten("a", 1, show) == [("a", 1)]
        assert flatten("a", (1, 2), show) == [("a", [1, 2])]

    def test_gives_dotted_keys_for_a_mapping(self) -> None:
        """Every leaf can be queried by one key."""
        value = {"plan": "pro", "address": {"city": "Bonn", "geo": Point(1, 2)}, "tags": [{"x": 1}]}
        expected = [
            ("u.plan", "pro"),
            ("u.address.city", "Bonn"),
            ("u.address.geo.x", 1),
            ("u.address.geo.y", 2),
            ("u.tags", [{"x": 1}]),
        ]

        assert expected == flatten("u", value, show)

    def test_leaves_none_out(self) -> None:
        """Absent means left out, below a mapping; what the caller names, the caller gets."""
        assert flatten("u", {"a": 1, "b": None}, show) == [("u.a", 1)]
        assert flatten("u", None, show) == [("u", None)]

    def test_keeps_a_trace_of_an_empty_mapping(self) -> None:
        """Nothing is lost: that the basket was empty is a fact."""
        assert flatten("u", {}, show) == [("u", EMPTY)]
        assert flatten("u", {"a": {}}, show) == [("u.a", EMPTY)]

    def test_keeps_both_of_two_keys_that_collide(self) -> None:
        """A dotted key and a nested one may end up the same."""
        assert flatten("u", {"a": {"b": 1}, "a.b": 2}, show) == [("u.a.b", 1), ("u.a.b#2", 2)]

    def test_unfolds_an_enum_whose_value_is_a_mapping(self) -> None:
        """A dict never stands in a field of its own."""
        assert flatten("e", Color.SECRETS, hide) == [("e.password", HIDDEN), ("e.name", "n")]


class TestHiding:
    def test_asks_for_every_dotted_key(self) -> None:
        """The judge sees the key as it will stand in the line, and the bare one where there is no such key."""
        asked: list[str] = []
        flatten("u", {"a": {"b": 1, "c": None}, "d": [{"e": {"f": 1}}]}, lambda key: bool(asked.append(key)))

        assert asked == ["u.a", "u.a.b", "u.a.c", "u.d", "e", "f"]

    def test_hides_whatever_stands_under_a_secret_key(self) -> None:
        """A secret that is a mapping or a list is a secret as a whole."""
        value = {"token": {"raw": 1}, "auth": {"token": ["t"]}, "list": [{"password": b"p"}], "user": User("Ada")}
        expected = [
            ("a.token", HIDDEN),
            ("a.auth.token", HIDDEN),
            ("a.list", [{"password": HIDDEN}]),
            ("a.user.name", "Ada"),
            ("a.user.password", HIDDEN),
        ]

        assert expected == flatten("a", value, hide)

    def test_shows_whether_there_is_a_secret(self) -> None:
        """True, False and None tell no secret, and are often what one needs to know."""
        assert plain([{"password": True, "token": None}], hide) == [{"password": True, "token": None}]
        assert flatten("a", {"password": False, "token": None}, hide) == [("a.password", False)]

    def test_judges_the_key_and_not_its_suffix(self) -> None:
        """Two secrets whose keys collide are both hidden."""
        assert flatten("h", Headers([("token", "a"), ("token", "b")]), hide) == [
            ("h.token", HIDDEN),
            ("h.token#2", HIDDEN),
        ]


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.complex_numbers(),
    st.text(),
    st.binary(),
    st.decimals(),
    st.fractions(),
    st.uuids(),
    st.datetimes(timezones=st.none() | st.timezones()),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.integers(min_value=10**300, max_value=10**5000),
    st.sampled_from([*Color, Size.SMALL, ValueError("x"), len, int, object(), ...]),
    st.builds(raising, st.sampled_from(["__repr__", "__eq__", "keys", "shape"]), st.just(OSError)),
    st.builds(iter, st.lists(st.integers())),
    st.builds(bytearray),
    st.builds(memoryview, st.binary()),
)

HASHABLE = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(), st.binary(), st.dates(), st.sampled_from(Color)
)

VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner),
        st.dictionaries(HASHABLE, inner),
        st.tuples(inner, inner),
        st.builds(User, st.text(), inner, inner),
        st.builds(Point, inner, inner),
        st.lists(inner).map(collections.deque),
        st.sets(HASHABLE),
        st.frozensets(HASHABLE),
        st.dictionaries(st.text(), inner).map(dict.values),
        st.dictionaries(st.text(), inner).map(dict.items),
        st.dictionaries(st.text(), inner).map(types.MappingProxyType),
    ),
)


class TestAnyValue:
    @given(VALUES)
    @settings(max_examples=150, deadline=None)
    def test_becomes_exact_builtins_that_orjson_takes(self, value: object) -> None:
        """Any nesting of anything is ready for the encoder; only lone surrogates, not drawn here, are left to it."""
        found = plain(value, hide)

        assert {type(part) for part in parts(found)} <= set(EXACT)
        orjson.dumps(found)

    @given(VALUES)
    @settings(max_examples=150, deadline=None)
    def test_becomes_fields_that_are_no_mappings(self, value: object) -> None:
        """A field is a scalar or a list, each under a key of its own."""
        found = flatten("key", value, hide)

        assert dict not in {type(member) for _, member in found}
        assert len(found) == len(dict(found))
        assert all(key.split(".")[0].split("#")[0] == "key" for key, _ in found)

    @given(VALUES)
    @settings(max_examples=100, deadline=None)
    def test_shares_no_container_with_its_copy(self, value: object) -> None:
        """A copy of the copy is equal to it, and made of other lists and dicts."""
        first = plain(value, show)
        second = plain(first, show)
        containers = [{id(part) for part in parts(each) if type(part) in {list, dict}} for each in (first, second)]

        assert not containers[0] & containers[1]
