"""The door out for the drivers of databases (DB-API, PEP 249), and for sqlite3."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from inspect import iscoroutinefunction
from typing import Any, TypeVar, cast

from wideevents.errors import ConfigurationError
from wideevents.integrations._calls import DB, Call, checked
from wideevents.integrations._statements import shortened

C = TypeVar("C")

EXECUTING = frozenset({"execute", "executemany", "executescript", "callproc"})
"""What asks the database, of PEP 249 and of the drivers' shortcuts on a connection."""

OWN = ("__wrapped__", "_name", "_owner")


def watch(connection: C, *, name: str = DB) -> C:
    """
    Return *connection*, of any driver, so that the statements of its cursors are counted under *name*.

    It behaves as the one that it stands for, which is its `__wrapped__`; only what a driver written in C asks of its
    own types needs that one. Where a pool hands connections out, watch what it hands out, and give the other one back.

    What execute, executemany and callproc take is counted; rows that are fetched later, commits and rollbacks are not.

    Raise `ConfigurationError` for what is no connection, or an asynchronous one, and for a name that cannot be used.
    """
    checked(name)
    if type(connection) is _Watched:
        return connection
    commit = getattr(connection, "commit", None)
    if not hasattr(connection, "cursor") or not callable(commit) or iscoroutinefunction(commit):
        raise ConfigurationError.of("connection", connection, "a connection of a DB-API driver that is not async")
    return cast("C", _Watched(connection, name))


class Connection(sqlite3.Connection):
    """
    Count the statements of sqlite3: `sqlite3.connect(path, factory=Connection)`.

    A subclass may count under another `name` than "db"; one that cannot be used raises `ConfigurationError`.
    """

    name = DB

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        checked(cls.name)

    def cursor(self, factory: Any = None) -> Any:
        """Return a `Cursor`; a *factory* of one's own counts where it inherits from it."""
        return super().cursor(Cursor if factory is None else factory)

    # What sqlite3 says of these: it makes a cursor, and calls its method; but it makes one of its own.

    def execute(self, sql: str, *parameters: Any) -> Any:
        """Execute a statement by a new cursor, and return that."""
        return self.cursor().execute(sql, *parameters)

    def executemany(self, sql: str, *parameters: Any) -> Any:
        """Execute a statement with many sets of parameters by a new cursor, and return that."""
        return self.cursor().executemany(sql, *parameters)

    def executescript(self, script: str) -> Any:
        """Execute several statements by a new cursor, and return that."""
        return self.cursor().executescript(script)


class Cursor(sqlite3.Cursor):
    """Count the statements of one cursor."""

    def execute(self, sql: str, *parameters: Any) -> Any:
        """Execute a statement."""
        with self._call(sql):
            return super().execute(sql, *parameters)

    def executemany(self, sql: str, *parameters: Any) -> Any:
        """Execute a statement with many sets of parameters, which is one call."""
        with self._call(sql):
            return super().executemany(sql, *parameters)

    def executescript(self, script: str) -> Any:
        """Execute several statements, which are one call."""
        with self._call(script):
            return super().executescript(script)

    def _call(self, statement: str) -> Call:
        return Call(getattr(self.connection, "name", DB), statement, shortened)


class _Watched:
    """Stand for a connection or a cursor; *owner* is the connection that a cursor belongs to."""

    __slots__ = ("__weakref__", *OWN)

    def __init__(self, wrapped: Any, name: str, owner: Any = None) -> None:
        for attribute, value in zip(OWN, (wrapped, name, owner), strict=True):
            object.__setattr__(self, attribute, value)

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(self.__wrapped__, attribute)
        if attribute in EXECUTING:
            return self._counted(value)
        if attribute == "cursor":
            return lambda *arguments, **options: self._watched(value(*arguments, **options))
        return self._owner if attribute == "connection" and self._owner is not None else value

    def __setattr__(self, attribute: str, value: Any) -> None:
        setattr(self.__wrapped__, attribute, value)

    def __delattr__(self, attribute: str) -> None:
        delattr(self.__wrapped__, attribute)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """Be an instance of what the other one is an instance of."""
        return type(self.__wrapped__)

    def __repr__(self) -> str:
        return repr(self.__wrapped__)

    def __dir__(self) -> list[str]:
        return dir(self.__wrapped__)

    def __enter__(self) -> Any:
        return self._watched(self.__wrapped__.__enter__())

    def __exit__(self, *raised: object) -> Any:
        return self.__wrapped__.__exit__(*raised)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.__wrapped__)

    def __next__(self) -> Any:
        return next(self.__wrapped__)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self.__wrapped__(*arguments, **options)

    def _counted(self, execute: Callable[..., Any]) -> Callable[..., Any]:
        def executing(*arguments: Any, **options: Any) -> Any:
            with Call(self._name, (arguments, options), _statement):
                result = execute(*arguments, **options)
            return self._watched(result)

        return executing

    def _watched(self, result: Any) -> Any:
        """Return what stands for *result*: this one for its own, another one for a cursor."""
        if result is self.__wrapped__:
            return self
        return _Watched(result, self._name, self) if hasattr(result, "fetchone") else result


def _statement(asked: tuple[tuple[Any, ...], dict[str, Any]]) -> str:
    arguments, options = asked
    return shortened(arguments[0] if arguments else next(iter(options.values()), ""))
