"""Keep the shop's data in SQLite: one connection per request, every statement timed."""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from flask import current_app, g

import wideevents

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask

SCHEMA = Path(__file__).with_name("schema.sql")


class Database:
    """
    Run statements on one connection.

    The timer leaves `db.count` and `db.duration_ms` in whatever event is in progress.
    """

    def __init__(self, path: str) -> None:
        self.connection = sqlite3.connect(path, timeout=10, isolation_level=None)
        self.connection.row_factory = sqlite3.Row
        self.connection.execute("PRAGMA foreign_keys = ON")

    def rows(self, sql: str, *values: object) -> list[sqlite3.Row]:
        with wideevents.timer("db"):
            return self.connection.execute(sql, values).fetchall()

    def row(self, sql: str, *values: object) -> sqlite3.Row | None:
        return next(iter(self.rows(sql, *values)), None)

    def value(self, sql: str, *values: object) -> int:
        return int(self.rows(sql, *values)[0][0] or 0)

    def pages(self, sql: str, size: int = 100) -> Iterator[list[sqlite3.Row]]:
        """Give the rows *size* at a time, for what is too long to be held in memory."""
        cursor = self.connection.execute(sql)
        while page := self.next_page(cursor, size):
            yield page

    def next_page(self, cursor: sqlite3.Cursor, size: int) -> list[sqlite3.Row]:
        with wideevents.timer("db"):
            return cursor.fetchmany(size)

    def insert(self, sql: str, *values: object) -> int:
        """Return the id of the new row."""
        return self.execute(sql, *values).lastrowid or 0

    def change(self, sql: str, *values: object) -> int:
        """Return how many rows were changed."""
        return self.execute(sql, *values).rowcount

    def execute(self, sql: str, *values: object) -> sqlite3.Cursor:
        with wideevents.timer("db"):
            return self.connection.execute(sql, values)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self.connection:
            self.connection.execute("BEGIN IMMEDIATE")
            yield

    def close(self) -> None:
        self.connection.close()


def init_app(app: Flask) -> None:
    create(Path(app.config["DATABASE"]))
    app.teardown_appcontext(close)


def create(path: Path) -> None:
    """
    Create the database unless it is there.

    Several workers start at the same moment: each builds a file of its own, and the first one to link it wins.
    """
    if path.exists():
        return

    with TemporaryDirectory(dir=path.parent) as folder, suppress(FileExistsError):
        draft = Path(folder, path.name)
        connection = sqlite3.connect(draft)
        connection.executescript(SCHEMA.read_text())
        connection.close()
        os.link(draft, path)


def database() -> Database:
    """Return the connection of this request, opened at its first use."""
    if "database" not in g:
        g.database = Database(current_app.config["DATABASE"])

    opened: Database = g.database

    return opened


def close(_: BaseException | None = None) -> None:
    opened: Database | None = g.pop("database", None)
    if opened:
        opened.close()
