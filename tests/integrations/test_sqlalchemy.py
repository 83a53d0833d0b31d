"""What is counted of the statements that SQLAlchemy executes."""

from __future__ import annotations

import asyncio
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event as sa_event
from sqlalchemy import orm
from sqlalchemy.engine import Engine
from sqlalchemy.ext.asyncio import create_async_engine

import wideevents
from tests.conftest import Written, at_once
from tests.integrations.callees import without_faults  # noqa: F401 - a fixture
from wideevents.errors import ConfigurationError
from wideevents.integrations import sqlalchemy as room
from wideevents.integrations.sqlalchemy import watch

pytestmark = pytest.mark.usefixtures("recorder", "faultless")


class Base(orm.DeclarativeBase):
    """The tables of these tests."""


class User(Base):
    __tablename__ = "users"

    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    name: orm.Mapped[str]


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Engine]:
    """Give an engine that nobody watches."""
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'shop.sqlite3'}")
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def engine(bare: Engine) -> Engine:
    """Give an engine that is watched."""
    return watch(bare)


def ask(engine: Engine, statement: str = "SELECT name FROM users WHERE id = 7", **parameters: Any) -> None:
    """Execute one statement."""
    with engine.connect() as connection:
        connection.execute(sa.text(statement), parameters).all()


class TestCounting:
    def test_counts_a_statement(self, engine: Engine, written: Written) -> None:
        """How many, how long, and which took longest, without its parameters; COMMIT and ROLLBACK are none."""
        with wideevents.event("work"):
            ask(engine)

        line = written.one()
        assert line["db.count"] == 1
        assert line["db.slowest"] == "SELECT name FROM users WHERE id = ?"
        assert 0 < line["db.slowest_ms"] == line["db.duration_ms"]
        assert "db.failures" not in line

    def test_finds_what_is_asked_again_and_again(self, engine: Engine, written: Written) -> None:
        """N+1: one statement for each row of another."""
        with orm.Session(engine) as session, session.begin():
            session.add_all([User(id=number, name=f"name {number}") for number in range(5)])
        with wideevents.event("work"), orm.Session(engine) as session:
            for number in session.scalars(sa.select(User.id)).all():
                session.get(User, number)

        line = written.one()
        assert (line["db.count"], line["db.repeated"]) == (6, 5)
        assert line["db.most_repeated"].endswith("FROM users WHERE users.id = ?")

    def test_counts_many_sets_of_parameters_as_one_statement(self, engine: Engine, written: Written) -> None:
        """The driver is asked once."""
        with wideevents.event("work"), engine.begin() as connection:
            connection.execute(sa.insert(User), [{"id": number, "name": "x"} for number in range(50)])

        line = written.one()
        assert line["db.count"] == 1
        assert line["db.slowest"] == "INSERT INTO users (id, name) VALUES (?)"

    @pytest.mark.parametrize(
        ("statement", "error"),
        [("SELECT nothing FROM nowhere", sa.exc.OperationalError), ("INSERT INTO users VALUES (1)", sa.exc.DBAPIError)],
    )
    def test_counts_what_raises_as_failed(
        self, statement: str, error: type[Exception], engine: Engine, written: Written
    ) -> None:
        """It raises what it raises without us, and the next one succeeds."""
        with wideevents.event("work"):
            with pytest.raises(error):
                ask(engine, statement)
            ask(engine)

        line = written.one()
        assert (line["db.count"], line["db.failures"]) == (2, 1)

    def test_counts_what_fails_before_it_is_asked_not_at_all(self, tmp_path: Path, written: Written) -> None:
        """A connection that cannot be made is no statement, nor is one whose parameters are missing."""
        nowhere = watch(sa.create_engine(f"sqlite:///{tmp_path / 'no' / 'such' / 'folder'}"))
        here = watch(sa.create_engine("sqlite://"))
        with wideevents.event("work"):
            with pytest.raises(sa.exc.OperationalError):
                nowhere.connect()
            with pytest.raises(sa.exc.StatementError):
                ask(here, "SELECT :missing")
        here.dispose()

        assert "db.count" not in written.one()

    def test_works_outside_any_event(self, engine: Engine, written: Written) -> None:
        """As without us: nothing is written or counted."""
        ask(engine)
        with pytest.raises(sa.exc.OperationalError):
            ask(engine, "SELECT nothing FROM nowhere")

        assert written.all() == []

    def test_counts_under_another_name(self, bare: Engine, written: Written) -> None:
        """A second database is told apart."""
        with wideevents.event("work"):
            ask(watch(bare, name="reports"))

        line = written.one()
        assert line["reports.count"] == 1
        assert line["reports.slowest"].startswith("SELECT")
        assert "db.count" not in line

    def test_counts_statements_of_many_threads_exactly(self, engine: Engine, written: Written) -> None:
        """None is lost."""
        with wideevents.event("work"):
            at_once(*[wideevents.carry(lambda: [ask(engine) for _ in range(5)])] * 8)

        line = written.one()
        assert (line["db.count"], line["db.repeated"]) == (40, 40)

    def test_counts_what_a_listener_of_others_refuses_as_failed(self, engine: Engine, written: Written) -> None:
        """One that raises leaves nothing behind that a later statement would be taken for."""
        sa_event.listen(engine, "before_cursor_execute", _refuse, named=True)
        with wideevents.event("work"):
            with pytest.raises(PermissionError):
                ask(engine)
            sa_event.remove(engine, "before_cursor_execute", _refuse)
            ask(engine)

        line = written.one()
        assert (line["db.count"], line["db.failures"]) == (2, 1)

    def test_leaves_alone_what_has_no_context(self, engine: Engine, written: Written) -> None:
        """A dialect may execute something for itself."""
        with wideevents.event("work"), engine.connect() as connection:
            connection._cursor_execute(connection.connection.cursor(), "SELECT 1", ())

        assert "db.count" not in written.one()


def _refuse(**asked: Any) -> None:
    raise PermissionError


class TestAsync:
    def test_counts_the_statements_of_an_async_engine(self, tmp_path: Path, written: Written) -> None:
        """In the event of the task that executes them."""
        pytest.importorskip("aiosqlite")
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'shop.sqlite3'}")
        assert watch(engine) is engine

        async def work(number: int) -> None:
            with wideevents.event(f"work {number}"):
                async with engine.connect() as connection:
                    for _ in range(number):
                        await connection.execute(sa.text("SELECT 1"))

        async def main() -> None:
            await asyncio.gather(*[work(number) for number in (1, 2, 3)])
            await engine.dispose()

        asyncio.run(main())

        assert [written.named(f"work {number}")["db.count"] for number in (1, 2, 3)] == [1, 2, 3]


class TestWatch:
    def test_returns_the_engine_and_may_be_called_again(self, engine: Engine, written: Written) -> None:
        """A second time changes nothing."""
        before = len(engine.dispatch.before_cursor_execute)
        assert watch(watch(engine)) is engine
        assert len(engine.dispatch.before_cursor_execute) == before
        with wideevents.event("work"):
            ask(engine)

        assert written.one()["db.count"] == 1

    def test_watches_every_engine_at_once(self, engine: Engine, bare: Engine, written: Written) -> None:
        """SQLAlchemy hears listeners of the class, too; what is watched itself counts once."""
        code = (
            "import sqlalchemy as sa, wideevents; from sqlalchemy.engine import Engine\n"
            "from wideevents.integrations.sqlalchemy import watch\n"
            "assert watch(Engine) is Engine\n"
            "engine = watch(sa.create_engine('sqlite://'))\n"
            "with wideevents.event('work') as event, engine.connect() as connection:\n"
            "    connection.execute(sa.text('SELECT 1'))\n"
            "    assert event.fields['db.count'] == 1, event.fields\n"
        )

        assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).stderr == b""

    @pytest.mark.parametrize("nothing", [sa, "sqlite://", None, str])
    def test_refuses_what_is_no_engine(self, nothing: Any) -> None:
        """Where it is given."""
        with pytest.raises(ConfigurationError, match="it must be a SQLAlchemy Engine or AsyncEngine"):
            watch(nothing)

    @pytest.mark.parametrize(
        "name", ["", "Db", "a b", "http", "log", "event", "db.count", "duration_ms", "process.pid.x", 5, None, "x" * 60]
    )
    def test_refuses_a_name_that_cannot_be_used(self, name: Any, bare: Engine) -> None:
        """What is ours already would be two things at once."""
        with pytest.raises(ConfigurationError, match="it must be a name in lower case that is not ours"):
            watch(bare, name=name)

    @pytest.mark.parametrize("name", ["db", "cache", "db.reports", "a_1.b_2"])
    def test_takes_any_other_name(self, name: str, bare: Engine) -> None:
        """With dots, if you like."""
        assert watch(bare, name=name) is bare


class TestImport:
    def test_names_the_extra_that_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whoever has no SQLAlchemy is told what to install."""
        monkeypatch.setitem(sys.modules, "sqlalchemy", None)

        with pytest.raises(
            ImportError, match=re.escape("sqlalchemy needs SQLAlchemy: pip install 'wideevents[sqlalchemy]'")
        ):
            runpy.run_path(str(room.__file__))
