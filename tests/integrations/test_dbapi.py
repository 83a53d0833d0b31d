"""What is counted of the statements of a driver, and that nobody can tell a watched connection from another."""

from __future__ import annotations

import contextlib
import gc
import sqlite3
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

import wideevents
from tests.conftest import Written, at_once
from tests.integrations.callees import without_faults  # noqa: F401 - a fixture
from wideevents.errors import ConfigurationError
from wideevents.integrations import dbapi
from wideevents.integrations.dbapi import Connection, Cursor, watch

pytestmark = pytest.mark.usefixtures("recorder", "faultless")

Connect: TypeAlias = "Callable[..., sqlite3.Connection]"

SCRIPT = "CREATE TABLE users (id, name); INSERT INTO users VALUES (1, 'ann');"


def by_factory(path: str, **options: Any) -> sqlite3.Connection:
    return sqlite3.connect(path, factory=Connection, **options)


def by_watching(path: str, **options: Any) -> sqlite3.Connection:
    return watch(sqlite3.connect(path, **options))


@pytest.fixture(params=[by_factory, by_watching])
def connection(request: pytest.FixtureRequest) -> Iterator[sqlite3.Connection]:
    """Give a connection of each kind, to a database with one user."""
    with contextlib.closing(request.param(":memory:", check_same_thread=False)) as connection:
        connection.executescript(SCRIPT)
        yield connection


@pytest.fixture
def watched() -> Iterator[sqlite3.Connection]:
    """Give a connection that stands for another one."""
    with contextlib.closing(by_watching(":memory:")) as connection:
        connection.executescript(SCRIPT)
        yield connection


class TestCounting:
    def test_counts_a_statement(self, connection: sqlite3.Connection, written: Written) -> None:
        """How many, how long, and which took longest, without its parameters; COMMIT is none."""
        with wideevents.event("work"):
            cursor = connection.cursor()
            assert cursor.execute("SELECT name FROM users WHERE id = 1").fetchall() == [("ann",)]
            connection.commit()

        line = written.one()
        assert line["db.count"] == 1
        assert line["db.slowest"] == "SELECT name FROM users WHERE id = ?"
        assert 0 <= line["db.slowest_ms"] == line["db.duration_ms"]
        assert "db.failures" not in line

    @pytest.mark.parametrize(
        ("ask", "told"),
        [
            (lambda asked: asked.execute("SELECT ?", (1,)), "SELECT ?"),
            (lambda asked: asked.execute("SELECT :a", {"a": 1}), "SELECT :a"),
            (lambda asked: asked.executemany("INSERT INTO users VALUES (?, ?)", [(2, "b"), (3, "c")]), None),
            (lambda asked: asked.executescript("SELECT 1; SELECT 2"), "SELECT ?; SELECT ?"),
        ],
        ids=["execute", "by name", "executemany", "executescript"],
    )
    def test_counts_each_way_to_ask_once(
        self, ask: Callable[[Any], Any], told: str | None, connection: sqlite3.Connection, written: Written
    ) -> None:
        """Of a cursor, and of the connection, which makes one of its own."""
        with wideevents.event("work"):
            ask(connection)
            ask(connection.cursor())

        line = written.one()
        assert (line["db.count"], line["db.repeated"]) == (2, 2)
        assert line["db.slowest"] == line["db.most_repeated"] == told or "INSERT INTO users VALUES (?)"

    @pytest.mark.parametrize("how", ["execute", "executemany", "executescript"])
    def test_counts_what_raises_as_failed(self, how: str, connection: sqlite3.Connection, written: Written) -> None:
        """It raises what it raises without us."""
        more = ([],) if how == "executemany" else ()
        with wideevents.event("work"), pytest.raises(sqlite3.OperationalError, match="no such table: nowhere"):
            getattr(connection.cursor(), how)("DELETE FROM nowhere", *more)

        line = written.one()
        assert (line["db.count"], line["db.failures"]) == (1, 1)

    def test_works_outside_any_event(self, connection: sqlite3.Connection, written: Written) -> None:
        """As without us: nothing is written or counted."""
        assert connection.execute("SELECT 1").fetchone() == (1,)
        with pytest.raises(sqlite3.OperationalError):
            connection.execute("SELECT nothing FROM nowhere")

        assert written.all() == []

    def test_counts_statements_of_many_threads_exactly(self, tmp_path: Path, written: Written) -> None:
        """Each has a connection of its own, and all of them one event."""

        def work() -> None:
            with contextlib.closing(by_factory(str(tmp_path / "a"))) as connection:
                for _ in range(100):
                    connection.execute("SELECT 1")

        with wideevents.event("work"):
            at_once(*[work] * 8)

        assert written.one()["db.repeated"] == 800


class TestBehaviour:
    def test_is_an_instance_of_what_it_is(self, connection: sqlite3.Connection) -> None:
        """Who asks for its class is told."""
        assert isinstance(connection, sqlite3.Connection)
        assert isinstance(connection.cursor(), sqlite3.Cursor)
        assert isinstance(connection.execute("SELECT 1"), sqlite3.Cursor)
        assert connection.cursor().connection is connection

    def test_gives_rows_as_they_come(self, connection: sqlite3.Connection) -> None:
        """By iterating, by next, by fetching; and an execution returns its cursor."""
        cursor = connection.cursor()
        asked = cursor.execute("SELECT 1 UNION SELECT 2 UNION SELECT 3")

        assert asked is cursor
        assert next(cursor) == (1,)
        assert list(cursor) == [(2,), (3,)]
        assert [each[0] for each in cursor.description] == ["1"]

    def test_takes_settings(self, connection: sqlite3.Connection) -> None:
        """They are those of the driver's own connection and cursor."""
        connection.row_factory = sqlite3.Row
        cursor = connection.execute("SELECT 1 AS one")
        cursor.arraysize = 7

        assert (cursor.fetchone()["one"], cursor.arraysize) == (1, 7)

    def test_is_a_transaction(self, connection: sqlite3.Connection) -> None:
        """With a block that commits, or rolls back what raised."""
        with connection as entered:
            entered.execute("INSERT INTO users VALUES (2, 'bob')")
        with pytest.raises(sqlite3.OperationalError), connection:
            connection.executescript("BEGIN; DELETE FROM users; DELETE FROM nowhere")

        assert entered is connection
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (2,)

    def test_can_be_called_and_shown(self, watched: sqlite3.Connection) -> None:
        """As the one that it stands for."""
        real = watched.__wrapped__  # type: ignore[attr-defined]

        assert repr(watched) == repr(real)
        assert dir(watched) == dir(real)
        assert type(watched("SELECT 1")) is type(real("SELECT 1"))
        assert not hasattr(watched, "nothing")
        with pytest.raises(AttributeError):
            del watched.total_changes  # type: ignore[misc]

    def test_is_freed_when_it_is_dropped(self) -> None:
        """Nothing refers to itself."""
        watched: Any = watch(sqlite3.connect(":memory:"))
        watched.execute("SELECT 1")
        alive = weakref.ref(watched)
        gc.disable()
        try:
            watched.close()
            del watched
            assert alive() is None
        finally:
            gc.enable()


class TestConnection:
    def test_counts_under_the_name_of_its_class(self, written: Written) -> None:
        """A second database is told apart."""

        class Reports(Connection):
            name = "reports"

        with contextlib.closing(sqlite3.connect(":memory:", factory=Reports)) as reports, wideevents.event("work"):
            reports.execute("SELECT 1")

        assert written.one()["reports.count"] == 1

    def test_refuses_a_name_that_cannot_be_used(self) -> None:
        """Where the class is made."""
        with pytest.raises(ConfigurationError, match="name='http' cannot be used"):
            type("Bad", (Connection,), {"name": "http"})

    def test_takes_cursors_of_ones_own(self, written: Written) -> None:
        """They count where they inherit from ours."""

        class Own(Cursor):
            """A cursor of the user's."""

        with contextlib.closing(by_factory(":memory:")) as connection, wideevents.event("work"):
            assert type(connection.cursor(Own).execute("SELECT 1")) is Own
            assert type(connection.cursor(factory=sqlite3.Cursor).execute("SELECT 2")) is sqlite3.Cursor

        assert written.one()["db.count"] == 1

    def test_a_cursor_counts_for_any_connection(self, written: Written) -> None:
        """One that is made by hand, for a connection that does not count."""
        with contextlib.closing(sqlite3.connect(":memory:")) as connection, wideevents.event("work"):
            connection.cursor(Cursor).execute("SELECT 1")

        assert written.one()["db.count"] == 1


class Procedures:
    """Stand for the connection and the cursor of a driver that takes names, and has procedures."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def cursor(self) -> Procedures:
        return self

    def commit(self) -> None:
        """Commit."""

    def execute(self, operation: str, parameters: Any = None) -> None:
        self.asked.append((operation, parameters))

    def callproc(self, name: str, parameters: list[Any]) -> list[Any]:
        self.asked.append((name, parameters))
        return parameters


class TestWatch:
    def test_counts_what_is_named_and_procedures(self, written: Written) -> None:
        """Drivers differ in how they are asked."""
        procedures = Procedures()
        with wideevents.event("work"):
            cursor = watch(procedures).cursor()
            cursor.execute(operation="SELECT 1", parameters=5)
            assert cursor.callproc("close_month", [7]) == [7]

        line = written.one()
        assert procedures.asked == [("SELECT 1", 5), ("close_month", [7])]
        assert line["db.count"] == 2
        assert line["db.slowest"] in {"SELECT ?", "close_month"}

    def test_counts_what_is_asked_wrongly_as_failed(self, written: Written) -> None:
        """The driver says what is wrong."""
        with wideevents.event("work"), pytest.raises(TypeError, match="operation"):
            watch(Procedures()).cursor().execute()  # type: ignore[call-arg]

        assert written.one()["db.failures"] == 1

    def test_counts_under_another_name(self, written: Written) -> None:
        """A second database is told apart."""
        connection = watch(sqlite3.connect(":memory:"), name="reports")
        with contextlib.closing(connection) as reports, wideevents.event("work"):
            reports.execute("SELECT 1")

        assert written.one()["reports.count"] == 1

    def test_may_be_called_again(self, watched: sqlite3.Connection) -> None:
        """A second time changes nothing."""
        assert watch(watched) is watched

    @pytest.mark.parametrize(
        "nothing", [None, "shop.sqlite3", sqlite3, object()], ids=["None", "path", "module", "object"]
    )
    def test_refuses_what_is_no_connection(self, nothing: Any) -> None:
        """Where it is given."""
        with pytest.raises(ConfigurationError, match="it must be a connection of a DB-API driver"):
            watch(nothing)

    def test_refuses_an_asynchronous_one(self) -> None:
        """Its execute would end before it has begun."""

        class Asynchronous:
            def cursor(self) -> None:
                """Return one."""

            async def commit(self) -> None:
                """Commit."""

        with pytest.raises(ConfigurationError, match="that is not async"):
            watch(Asynchronous())

    def test_refuses_a_name_that_cannot_be_used(self) -> None:
        """Where it is given."""
        with pytest.raises(ConfigurationError, match="name='no name' cannot be used"):
            watch(Procedures(), name="no name")

    def test_the_module_needs_no_driver(self) -> None:
        """It is the standard library's, and nothing of it is changed."""
        with contextlib.closing(sqlite3.connect(":memory:")) as connection:
            assert type(connection) is dbapi.sqlite3.Connection
