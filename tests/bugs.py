"""
A shop full of bugs: each function that is marked as one raises, whatever number it is given.

The number stands for what differs from one time to the next: who asked, for what, how deep the data was, how many
attempts it took. The tests copy this file elsewhere, under another name, with its lines shifted.
"""

import asyncio
import contextlib
import decimal
import functools
import importlib
import json
import re
import sqlite3
import struct
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

BUGS = []


def bug(function):
    """Mark *function* as a bug of the corpus; it stays as it is."""
    BUGS.append(function)
    return function


class ShopError(Exception):
    """Stand for an exception of the application's own."""


class PaymentError(ShopError):
    """Stand below it."""


# The plain ones, of few types.


@bug
def missing_key(number):
    return {"sku": number}[f"sku-{number}"]


@bug
def missing_key_of_another_handler(number):
    return {"sku": number}[f"sku-{number}"]


def price_of(row):
    return row["price"] * 2


@bug
def missing_price_in_cart(number):
    return price_of({"cart": number})


@bug
def missing_price_in_search(number):
    return price_of({"query": number})


@bug
def none_that_is_multiplied(number):
    return price_of({"price": None, "cart": number})


def find(number):
    return None if number < 1_000 else object()


@bug
def none_without_a_name(number):
    return find(number).name


@bug
def none_without_a_stock(number):
    customer = find(number)
    return customer.stock


@bug
def index_beyond_the_end(number):
    return list(range(number))[number]


@bug
def text_that_is_no_number(number):
    return int(f"{number} pieces")


@bug
def division_by_an_empty_cart(number):
    return number / len([])


@bug
def assertion_about_a_total(number):
    assert number < 0, f"total was {number}"


@bug
def bytes_that_are_no_text(number):
    return (b"a" * number + b"\xff").decode()


@bug
def unpacking_too_few(number):
    first, second = [number]
    return first, second


@bug
def short_struct(number):
    return struct.unpack("<Q", b"\0" * (number % 8))


@bug
def decimal_of_words(number):
    return decimal.Decimal(f"{number},50")


@bug
def address_in_the_message(number):
    raise ShopError(f"no handler for {object()!r}, order {number}")


@bug
def more_special_type(number):
    raise PaymentError(f"order {number}")


@bug
def same_place_other_type(number):
    raise (ShopError if number < 0 else ValueError)(f"order {number}")


# Decorators: the wrapper is the same function around many.


def logged(function):
    @functools.wraps(function)
    def wrapper(*arguments):
        return function(*arguments)

    return wrapper


@logged
def charge(number):
    raise PaymentError(f"card {number} declined")


@bug
@logged
def decorated_checkout(number):
    return charge(number)


@bug
@logged
def decorated_renewal(number):
    return charge(number)


class Retried:
    """Decorate by a class."""

    def __init__(self, function):
        functools.update_wrapper(self, function)
        self.function = function

    def __call__(self, *arguments):
        return self.function(*arguments)


@Retried
def ship(number):
    raise ShopError(f"no carrier for {number}")


@bug
@Retried
def packing(number):
    return ship(number)


@bug
@Retried
def repacking(number):
    return ship(number)


# What Python runs in frames of its own, or not, by version.


@bug
def in_a_list_comprehension(number):
    return [each["sku"] for each in [{}] * (number + 1)]


@bug
def in_a_dict_comprehension(number):
    return {each: each["sku"] for each in [number]}


@bug
def in_a_set_comprehension_of_another(number):
    return {price_of(each) for each in [{}] * (number + 1)}


@bug
def in_a_lambda_of_a_comprehension(number):
    return [(lambda row: row["sku"])(row) for row in [{}] * (number + 1)]  # noqa: PLC3002


@bug
def in_a_lambda(number):
    by_price = lambda row: row["price"]  # noqa: E731
    return by_price({"number": number})


def rows(number):
    for _ in range(number):
        yield {"price": 1}
    yield {}


@bug
def in_a_generator(number):
    return [row["price"] for row in exhausted(number)]


def exhausted(number):
    yield from rows(number)
    next(iter(()))


@bug
def in_a_generator_expression(number):
    return sum(row["price"] for row in rows(number))


# Callbacks of libraries.


def by_weight(row):
    return row["weight"]


@bug
def key_of_a_sort(number):
    return sorted([{"weight": 1}] * number + [{}], key=by_weight)


@bug
def key_of_a_minimum(number):
    return min([{"weight": 1}] * number + [{}], key=by_weight)


def masked(found):
    return found["secret"]


@bug
def callback_of_a_pattern(number):
    return re.sub(r"\d", masked, f"{number}")


def decoded(pairs):
    return pairs["id"]


@bug
def hook_of_json(number):
    return json.loads("[" * number + "{}" + "]" * number, object_hook=decoded)


def encoded(value):
    raise TypeError(f"cannot encode {value}")


@bug
def default_of_json(number):
    return json.dumps({"a": [object()] * (number + 1)}, default=encoded)


@bug
def broken_json(number):
    return json.loads("[1, " * (number + 1))


def summed(total, row):
    return total + row["price"]


@bug
def partial_of_a_reduction(number):
    return functools.partial(functools.reduce, summed)([{}] * (number + 1), 0)


# Databases.


@contextlib.contextmanager
def database():
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("create table orders (id integer primary key, sku text not null)")
        yield connection


def insert(connection, number, sku):
    connection.execute("insert into orders values (?, ?)", (number, sku))


@bug
def constraint_that_is_broken(number):
    with database() as connection:
        insert(connection, number, None)


@bug
def table_that_is_not_there(number):
    with database() as connection:
        connection.execute(f"select {number} from customers")


@bug
def value_that_is_no_column(number):
    with database() as connection:
        insert(connection, number, object())


# Classes.


class Provider:
    """Charge a card, the plain way."""

    def charge(self, number):
        return self.rate()["rate"] * number

    def rate(self):
        return {}

    @property
    def region(self):
        return self.rate()["region"]

    def __getattr__(self, name):
        return self.rate()[name]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        raise ShopError("not committed")


class Abroad(Provider):
    """Charge a card, another way."""

    def rate(self):
        return {"rate": {}["EUR"]}


@bug
def method_that_is_inherited(number):
    return Provider().charge(number)


@bug
def method_of_a_subclass(number):
    return Abroad().charge(number)


@bug
def property_that_fails(number):
    return Provider().region


@bug
def attribute_that_is_made_up(number):
    return getattr(Provider(), f"attribute_{number}")


@bug
def exit_that_fails(number):
    with Provider():
        return number


@bug
def exit_that_fails_after_another(number):
    with Provider():
        raise KeyError(number)


@dataclass
class Order:
    """Check itself."""

    number: int

    def __post_init__(self):
        if self.number >= 0:
            raise ValueError(f"order {self.number}")


@bug
def dataclass_that_refuses(number):
    return Order(number)


Point = namedtuple("Point", "x y")


@bug
def tuple_with_too_few(number):
    return Point(number)


@bug
def dynamic_class(number):
    kind = type("Refused", (ShopError,), {"__module__": __name__})
    raise kind(number)


@bug
def another_dynamic_class(number):
    kind = type("Rejected", (ShopError,), {"__module__": __name__})
    raise kind(number)


@bug
def nested_function(number):
    def inner():
        return {}[number]

    return inner()


@bug
def class_in_a_function(number):
    class Inner:
        def find(self):
            return {}[number]

    return Inner().find()


# Code that is made, and code that cannot be.


@bug
def executed_code(number):
    exec("def made(row):\n    return row['price']\nmade({})", {"__name__": "made"})


@bug
def executed_code_that_calls_back(number):
    exec("price_of({})", {"price_of": price_of})


@bug
def code_with_a_mistake(number):
    return compile(f"price = {number} +", "<rule>", "exec")


@bug
def module_that_is_missing(number):
    return importlib.import_module(f"no_such_module_{number}")


@bug
def module_that_breaks(number):
    return importlib.import_module("stock")


# Causes.


def first_source(number):
    return {}[number]


def second_source(number):
    return [][number]


def third_source(number):
    return {}[number]


def wrapped(source, number):
    try:
        return source(number)
    except LookupError as error:
        raise ShopError(f"order {number}") from error


@bug
def wrapper_around_a_cause(number):
    return wrapped(first_source, number)


def load(number, *sources):
    return wrapped(sources[0], number)


@bug
def generic_loader(number):
    return load(number, first_source)


def quiet_loader(source, number):
    try:
        return source(number)
    except LookupError:
        raise ShopError(f"order {number}") from None


@bug
def suppressed_context(number):
    return quiet_loader([first_source, second_source][number % 2], number)


@bug
def implicit_context(number):
    try:
        return first_source(number)
    except KeyError:
        return second_source(number)


SOURCES = {"first": first_source, "second": second_source, "third": third_source}


def generic(name, number):
    return wrapped(SOURCES[name], number)


ROOTS = [functools.partial(generic, name) for name in SOURCES]
"""Three bugs behind one wrapper: the same functions, the same type, and only the root differs."""

BUGS.extend(ROOTS)


def attempt(number, left):
    try:
        raise ConnectionError(f"attempt {number - left}")
    except ConnectionError:
        if left:
            attempt(number, left - 1)
        raise


@bug
def attempts_in_one_another(number):
    attempt(number, number)


@bug
def attempts_in_a_loop(number):
    last = None
    for count in range(number + 1):
        try:
            try:
                raise TimeoutError(f"attempt {count}")
            except TimeoutError as error:
                raise ShopError(f"attempt {count}") from (last or error)
        except ShopError as error:
            last = error
    raise last


KEPT = ShopError("made once")


@bug
def one_that_is_raised_again_and_again(number):
    for _ in range(number):
        with contextlib.suppress(ShopError):
            raise KEPT
    raise KEPT


# Recursion.


def endless(number):
    return endless(number + 1)


@bug
def recursion_without_end(number):
    return endless(number)


def ping(number):
    return pong(number + 1)


def pong(number):
    return ping(number + 1)


@bug
def mutual_recursion(number):
    return (ping if number % 2 else pong)(number)


def look(number):
    return look_closer(number)


def look_closer(number):
    return number


def left(number):
    look(number)
    return right(number + 1)


def right(number):
    return left(number + 1)


@bug
def recursion_that_ends_anywhere(number):
    return (left if number % 2 else right)(number)


@bug
def nested_too_deep(number):
    return json.loads("[" * (100_000 + number))


@bug
def nested_too_deep_elsewhere(number):
    return json.loads("[" * (100_000 + number))


class Lazy:
    """Ask itself."""

    def __getattr__(self, name):
        return getattr(self.inner, name)


@bug
def attribute_that_asks_for_itself(number):
    return getattr(Lazy(), f"name_{number}")


def walk(node):
    if isinstance(node, list):
        return walk_list(node)
    if isinstance(node, dict):
        return walk_dict(node)
    raise TypeError(f"{node!r} cannot be walked")


def walk_list(node):
    return [walk(each) for each in node]


def walk_dict(node):
    return {name: walk(each) for name, each in node.items()}


@bug
def walk_over_any_shape(number):
    node = number
    for depth in range(number * 3):
        node = [node] if (number + depth) % 3 else {"a": node}
    return walk(node)


def depth_of(node):
    return 1 + max(map(depth_of, node["children"]))


@bug
def tree_of_any_depth(number):
    node = {}
    for _ in range(number):
        node = {"children": [node]}
    return depth_of(node)


# Threads and tasks.


def reserve(number):
    raise ShopError(f"nothing left of {number}")


def release(number):
    raise ShopError(f"nothing held of {number}")


def in_pool(function, number):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, number).result()


@bug
def thread_that_reserves(number):
    return in_pool(reserve, number)


@bug
def thread_that_releases(number):
    return in_pool(release, number)


async def fetch(number):
    await asyncio.sleep(0)
    raise ConnectionError(f"host {number}")


async def store(number):
    await asyncio.sleep(0)
    raise ShopError(f"disk {number}")


@bug
def coroutine_that_fails(number):
    return asyncio.run(fetch(number))


async def pages(number):
    for page in range(number):
        yield page
    await fetch(number)


async def read_pages(number):
    return [page async for page in pages(number)]


@bug
def asynchronous_generator(number):
    return asyncio.run(read_pages(number))


async def gathered(number):
    await asyncio.gather(*(fetch(each) for each in range(number + 1)))


@bug
def gathered_tasks(number):
    return asyncio.run(gathered(number))


async def hurried(number):
    async with asyncio.timeout(0):
        await asyncio.sleep(60 + number)


@bug
def time_that_ran_out(number):
    return asyncio.run(hurried(number))


async def grouped(*coroutines):
    async with asyncio.TaskGroup() as group:
        for each in coroutines:
            group.create_task(each)


@bug
def group_of_one_kind(number):
    return asyncio.run(grouped(*(fetch(each) for each in range(number + 1))))


@bug
def group_of_two_kinds(number):
    tasks = [fetch(number), store(number), *map(fetch, range(number))]
    return asyncio.run(grouped(*(tasks[::-1] if number % 2 else tasks)))


def gather_errors(functions, number):
    errors = []
    for function in functions:
        try:
            function(number)
        except Exception as error:
            errors.append(error)
    raise ExceptionGroup(f"{len(errors)} failed", errors)


@bug
def group_by_hand(number):
    return gather_errors([reserve, release][:: 1 - 2 * (number % 2)] * (number + 1), number)


@bug
def group_with_another_member(number):
    return gather_errors([reserve, charge] * (number + 1), number)


@bug
def group_in_a_group(number):
    return gather_errors([group_by_hand, release], number)


@bug
def member_that_is_raised_alone(number):
    try:
        gather_errors([reserve] * (number + 1), number)
    except ExceptionGroup as group:
        raise group.exceptions[0]  # noqa: B904
