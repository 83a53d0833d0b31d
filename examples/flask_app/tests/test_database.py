"""Test that several workers can open the same shop."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from examples.flask_app.database import create

if TYPE_CHECKING:
    from pathlib import Path


class TestCreate:
    def test_is_done_once(self, tmp_path: Path) -> None:
        """Workers that start at the same moment get one database, whole and in WAL mode."""
        path = tmp_path / "shop.sqlite3"
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(create, [path] * 8))

        connection = sqlite3.connect(path)
        counted = connection.execute("SELECT count(*) FROM products").fetchone()
        mode = connection.execute("PRAGMA journal_mode").fetchone()
        connection.close()
        assert (counted, mode) == ((30,), ("wal",))
        assert [file.name for file in tmp_path.iterdir()] == ["shop.sqlite3"]

    def test_keeps_what_is_there(self, tmp_path: Path) -> None:
        """A shop that opens again has its old customers."""
        path = tmp_path / "shop.sqlite3"
        path.write_bytes(b"old")
        create(path)

        assert path.read_bytes() == b"old"
