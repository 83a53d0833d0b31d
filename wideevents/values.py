"""Make any value plain when it is added: builtin types only, copied, bounded, and never an exception."""

from __future__ import annotations

import dataclasses
import operator
import re
from collections import UserString, deque
from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, Mapping, Sequence, Set, ValuesView
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from itertools import count, islice
from math import isfinite
from numbers import Integral, Real
from pathlib import PurePath
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

Plain: TypeAlias = "str | int | float | bool | list[Plain] | dict[str, Plain] | None"
Hides: TypeAlias = Callable[[str], bool]
Reader: TypeAlias = Callable[[], Iterable[Any]]
T = TypeVar("T")

HIDDEN = "[redacted]"
DEEP = "..."
EMPTY = "{}"
LEFT_OUT = "left_out"

DEPTH = 8  # levels of containers
ITEMS = 1_000  # members of all containers of one value
LONGEST = 16_384  # characters of a text that is not the user's own str
TRIES = 4  # readings of a container that another thread is changing

SMALLEST, LARGEST = -(2**63), 2**63 - 1
DECIMAL_BITS = 2_000  # below 640 digits, which sys.set_int_max_str_digits cannot forbid
HEX_BITS = 4 * LONGEST

ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+(?=[^>]{0,200}>)")

# The slot of `type` itself: a metaclass can neither make it raise nor lie.
name_of: Callable[[type], str] = type.__dict__["__name__"].__get__


def plain(value: object, hides: Hides) -> Plain:
    """
    Return a copy of *value* made of exact builtins: str, finite float, int of 64 bits signed, bool, None, list, dict.

    It never raises and consumes no iterator. A str is returned as it is, lone surrogates and all. In every mapping
    below, a value whose key *hides* is replaced by `HIDDEN`, unless it is None or a bool. Below `DEPTH` levels a
    container becomes `DEEP`; beyond `ITEMS` members one text counts what was left out of its container.
    """
    return value if is_plain(value) else Copy(hides).plain(value, DEPTH)  # type: ignore[return-value]


def flatten(key: str, value: object, hides: Hides) -> list[tuple[str, Plain]]:
    """
    Return the fields that *value* gives under *key*: one, or for a mapping one for each leaf, with a dotted key.

    An object with declared fields (dataclass, namedtuple, attrs, pydantic, msgspec) is a mapping of them. *hides* is
    asked for every dotted key below *key*, not for *key* itself. None below a mapping is left out; an empty mapping
    gives `EMPTY`, so that it leaves a trace. Keys that collide are kept apart by a suffix: `a.b`, `a.b#2`.
    """
    if is_plain(value):
        return [(key, value)]  # type: ignore[list-item]
    fields: dict[str, Plain] = {}
    Copy(hides).spread(key, value, DEPTH, fields)
    return list(fields.items())


def text(value: object) -> str:
    """
    Return `str(value)`, at most `LONGEST` characters of it, and never raise. An exact str is returned as it is.

    Memory addresses are taken out: they differ every time, so they help no one and keep equal events apart.
    """
    if type(value) is str:
        return value
    return guarded(lambda: printed(value), value)


def printed(value: object) -> str:
    """Return what `text` does. It may raise what `__str__` and `__repr__` of *value* raise."""
    if issubclass(type(value), str):
        return str.__str__(value)
    words = str.__str__(str(value))
    return ADDRESS.sub("", words if len(words) <= LONGEST else words[:LONGEST] + DEEP)


def guarded(work: Callable[[], T], value: object) -> T | str:
    """Return what *work* gives, or, when it raises anything at all, a text that names the type of *value*."""
    try:
        return work()
    except BaseException:  # noqa: BLE001 - the code of a foreign value may raise whatever it likes; only that value is lost
        return f"<unprintable {str.__str__(name_of(type(value)))}>"


def is_plain(value: Any) -> bool:
    """Tell whether *value* can stay as it is, which is true of nearly all that is ever added."""
    kind = type(value)
    if kind is int:
        return bool(SMALLEST <= value <= LARGEST)
    return kind is str or kind is bool or value is None or (kind is float and isfinite(value))


@dataclass(slots=True)
class Copy:
    """One value being copied: who is asked about its keys, and how many more members it may have."""

    hides: Hides
    room: int = ITEMS

    def plain(self, value: Any, depth: int) -> Plain:
        """Copy *value*, below which *depth* more levels may follow."""
        if is_plain(value):
            return value  # type: ignore[no-any-return]
        if depth < 0:
            return DEEP
        return guarded(lambda: self.convert(value, depth), value)

    def convert(self, value: Any, depth: int) -> Plain:
        """Copy a *value* that is not plain yet. It may raise what the code of *value* raises."""
        simplify = simplification(type(value))
        if simplify is not None:
            return self.plain(simplify(value), depth - 1)
        pairs = pairs_of(value)
        if pairs is not None:
            return self.mapping(pairs, depth) if depth else DEEP
        elements = elements_of(value)
        if elements is not None:
            return [self.plain(each, depth - 1) for each in self.members(elements, str)] if depth else DEEP
        return text(value)

    def mapping(self, pairs: Reader, depth: int) -> dict[str, Plain]:
        """Copy a mapping that stands in a list, where it cannot be flattened."""
        copy: dict[str, Plain] = {}
        for key, member in self.members(pairs, lambda rest: (LEFT_OUT, rest)):
            name = self.name(key)
            copy[free(name, copy)] = self.plain(self.shown(name, member), depth - 1)
        return copy

    def spread(self, key: str, value: object, depth: int, fields: dict[str, Plain]) -> None:
        """Put *value* into *fields*: a mapping under dotted keys below *key*, anything else under *key*."""
        leaf = value if is_plain(value) else guarded(lambda: self.unfold(key, value, depth, fields), value)
        if leaf is not None:
            fields[free(key, fields)] = leaf  # type: ignore[assignment]

    def unfold(self, key: str, value: object, depth: int, fields: dict[str, Plain]) -> Plain:
        """Spread a mapping's members, or return the copy of what is none. It may raise what *value* raises."""
        if is_plain(value) or depth <= 0:
            return self.plain(value, depth)
        simplify = simplification(type(value))
        if simplify is not None:
            return self.unfold(key, simplify(value), depth - 1, fields)
        pairs = pairs_of(value)
        if pairs is None:
            return self.plain(value, depth)
        empty = True
        for name, member in self.members(pairs, lambda rest: (LEFT_OUT, rest)):
            empty = False
            dotted = f"{key}.{self.name(name)}"
            shown = self.shown(dotted, member)
            if shown is not None:
                self.spread(dotted, shown, depth - 1, fields)
        return EMPTY if empty else None

    def members(self, read: Reader, marker: Callable[[str], Any]) -> Iterator[Any]:
        """Yield members while there is room, then the *marker* of a text that says how many more there are."""
        taken, total = head(read, self.room + 1)
        for position, member in enumerate(taken):
            if not self.room:
                yield marker(f"<{total - position} left out>")
                return
            self.room -= 1
            yield member

    def name(self, key: object) -> str:
        """Return the text of a mapping's *key*; that of an Enum or bytes is its value's."""
        return key if type(key) is str else text(self.plain(key, DEPTH))

    def shown(self, key: str, member: object) -> object:
        """Return *member*, or `HIDDEN` in its place. Whether there is a secret (None, True, False) is none."""
        hidden = self.hides(key) and member is not None and type(member) is not bool
        return HIDDEN if hidden else member


def head(read: Reader, most: int) -> tuple[list[Any], int]:
    """
    Return the first *most* members and how many there are in all: at least, where the source cannot tell.

    Another thread may change the source meanwhile, so it is read at once, and again when that failed.
    """
    for _ in range(TRIES - 1):
        try:
            return taken(read(), most)
        except RuntimeError:
            continue
    return taken(read(), most)


def taken(source: Iterable[Any], most: int) -> tuple[list[Any], int]:
    """Read *source* once, as `head` does."""
    members = list(islice(source, most))
    return members, max(len(members), operator.length_hint(source, 0))


def free(key: str, fields: Mapping[str, Plain]) -> str:
    """Return *key*, or, where that is taken, the first of `key#2`, `key#3`, ... that is not."""
    if key not in fields:
        return key
    return next(other for number in count(2) if (other := f"{key}#{number}") not in fields)


def pairs_of(value: Any) -> Reader | None:
    """Return how to read the keys and values of *value*, or None when it is no mapping."""
    if type(value) in COLLECTIONS:
        return None
    return next((pairs for kind in faces(value) if (pairs := pairs_as(kind, value)) is not None), None)


def elements_of(value: Any) -> Reader | None:
    """Return how to read the elements of *value*, or None when it has none, or when reading would consume them."""
    return next((elements for kind in faces(value) if (elements := elements_as(kind, value)) is not None), None)


def faces(value: Any) -> list[type]:
    """
    Return the type of *value* and, for a proxy (`werkzeug.LocalProxy`, `weakref.proxy`), the one that it claims.

    Without that, the text of a proxied session would show what its keys hide. A proxied scalar is its text.
    """
    kind = type(value)
    if kind in CONTAINERS:
        return [kind]
    claimed: Any = guarded(lambda: value.__class__, value)
    is_proxy = issubclass(type(claimed), type) and claimed is not kind and simplification(claimed) is None
    return [kind, claimed] if is_proxy else [kind]


def pairs_as(kind: type, value: Any) -> Reader | None:
    """Return how to read *value* as the mapping that a *kind* is, if it is one."""
    if kind is dict or issubclass(kind, Mapping):
        # The items of a MultiDict (werkzeug, Django) show only one value of each key.
        return value.lists if hasattr(kind, "lists") else value.items  # type: ignore[no-any-return]
    if issubclass(kind, ItemsView):
        return lambda: value
    names = field_names(kind)
    if names is not None:
        return lambda: [(name, guarded(lambda name=name: getattr(value, name), value)) for name in names]  # type: ignore[misc]
    # werkzeug's Headers and sqlite3.Row; a redis client has keys() too, which asks the server, but no length.
    if all(hasattr(kind, needed) for needed in ("keys", "__getitem__", "__iter__", "__len__")):
        return lambda: value.items() if hasattr(kind, "items") else [(key, value[key]) for key in value.keys()]  # noqa: SIM118
    return None


def field_names(kind: Any) -> list[str] | None:
    """Return the names of the fields that a *kind* declares, read without importing any of those packages."""
    if hasattr(kind, "__dataclass_fields__"):
        return [field.name for field in dataclasses.fields(kind)]
    if hasattr(kind, "__attrs_attrs__"):
        return [attribute.name for attribute in kind.__attrs_attrs__]
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return list(kind._fields)
    names = getattr(kind, "__pydantic_fields__", getattr(kind, "__struct_fields__", None))
    return None if names is None else list(names)


def elements_as(kind: type, value: Any) -> Reader | None:
    """Return how to read *value* as the collection that a *kind* is, if it is one. No iterator is."""
    if kind is list or issubclass(kind, Sequence | KeysView | ValuesView):
        return lambda: value
    if issubclass(kind, Set):
        return lambda: ordered(value)
    return None


def ordered(members: Set[Any]) -> Iterable[Any]:
    """Sort *members*, where they can be and will all be kept: the order of a set is another in every process."""
    if len(members) > ITEMS:
        return members
    in_order = guarded(lambda: sorted(members), members)
    return in_order if type(in_order) is list else members


def simplification(kind: type) -> Callable[[Any], object] | None:
    """Return what makes a *kind* simpler by one step, or None for what has members or is unknown."""
    if kind in CONTAINERS:
        return None
    exact = SIMPLER.get(kind)
    if exact is not None:
        return exact
    if hasattr(kind, "item") and hasattr(kind, "shape"):
        return scalar
    return next((simplify for base, simplify in SIMPLER.items() if issubclass(kind, base)), None)


def whole(value: Any) -> int | str:
    """Return an int of 64 bits; else its decimal digits, its hex digits, or, beyond `HEX_BITS`, its size."""
    number = int.__index__(operator.index(value))
    if SMALLEST <= number <= LARGEST:
        return number
    bits = number.bit_length()
    if bits <= DECIMAL_BITS:
        return str(number)
    return hex(number) if bits <= HEX_BITS else f"<int of {bits} bits>"


def real(value: Any) -> float | str:
    """Return a finite float, or the name that JavaScript and protobuf's JSON give to what is none."""
    number = float.__float__(float(value))
    if isfinite(number):
        return number
    return "NaN" if number != number else "Infinity" if number > 0 else "-Infinity"  # noqa: PLR0124


def scalar(value: Any) -> object:
    """Return the one number in a numpy scalar or an array without dimensions, else the text of the array."""
    item = value.item() if value.shape == () else value
    return text(value) if type(item) is type(value) else item


def instant(value: datetime) -> str:
    """Return *value* as RFC 3339, an aware one in UTC with `Z`; a naive one stays so: its zone cannot be known."""
    if datetime.utcoffset(value) is None:
        return datetime.isoformat(value)
    try:
        return datetime.isoformat(datetime.astimezone(value, UTC)).removesuffix("+00:00") + "Z"
    except OverflowError:  # within a day of year 1 or 9999
        return datetime.isoformat(value)


def failure(value: BaseException) -> str:
    """Return the type and message of an exception, as the last line of its traceback has them."""
    message = text(value)
    name = name_of(type(value))
    return f"{name}: {message}" if message else name


def qualified(value: Any) -> str:
    """Return the dotted name of a class or function; a builtin's goes without its module."""
    module = getattr(value, "__module__", None)
    return value.__qualname__ if module in {None, "builtins"} else f"{module}.{value.__qualname__}"


def decoded(value: bytes | bytearray) -> str:
    """Return *value* read as UTF-8, each byte that is none escaped by a backslash."""
    return str(value, "utf-8", "backslashreplace")


COLLECTIONS: frozenset[type] = frozenset({list, tuple, set, frozenset, deque})
CONTAINERS = COLLECTIONS | {dict}

# In order: the first base that fits decides, so an Enum is its value before it is an int, and a datetime no date.
SIMPLER: dict[type, Callable[[Any], object]] = {
    Enum: lambda value: value.value,
    str: str.__str__,
    int: whole,
    float: real,
    bytes: decoded,
    bytearray: decoded,
    memoryview: lambda value: decoded(value.tobytes()),
    datetime: instant,
    date: date.isoformat,
    time: time.isoformat,
    timedelta: timedelta.total_seconds,
    BaseException: failure,
    type: qualified,
    FunctionType: qualified,
    BuiltinFunctionType: qualified,
    MethodType: qualified,
    Decimal: text,
    UUID: text,
    PurePath: text,
    Fraction: text,
    complex: text,
    UserString: text,
    Integral: whole,
    Real: real,
}
