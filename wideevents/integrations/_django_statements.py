"""Count the statements of Django's database connections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wideevents.integrations._calls import DB, Call
from wideevents.integrations._statements import shortened

try:
    from django.db import connections
    from django.db.backends.signals import connection_created
except ImportError as missing:
    raise ImportError("wideevents.integrations.django needs Django: pip install 'wideevents[django]'") from missing


def take_statements(*, wanted: bool) -> None:
    """
    Count the statements of every connection from now on, or of none.

    A connection belongs to a thread, and under ASGI that of the views is not ours: each is taken when it is opened.
    """
    opened = connections.all(initialized_only=True)
    if wanted:
        connection_created.connect(_take)
        for connection in opened:
            _take(connection)
    else:
        connection_created.disconnect(_take)
        for connection in opened:
            if _count in connection.execute_wrappers:
                connection.execute_wrappers.remove(_count)


def _take(connection: Any, **_: Any) -> None:
    """Stand first of the wrappers: `execute_wrapper` takes off the last one when its block ends."""
    if _count not in connection.execute_wrappers:
        connection.execute_wrappers.insert(0, _count)


def _count(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
    """Run a statement, and count it in the event in progress; `executemany` is one. The signature is Django's."""
    with Call(DB, sql, shortened):
        return execute(sql, params, many, context)
