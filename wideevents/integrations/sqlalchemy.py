"""The door out for SQLAlchemy: listeners of an engine that count its statements."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeVar

from wideevents.errors import ConfigurationError
from wideevents.integrations._calls import DB, Call, checked
from wideevents.integrations._statements import shortened

try:
    from sqlalchemy import event
    from sqlalchemy.engine import Engine, ExceptionContext
    from sqlalchemy.ext.asyncio import AsyncEngine
except ImportError as missing:
    raise ImportError(
        "wideevents.integrations.sqlalchemy needs SQLAlchemy: pip install 'wideevents[sqlalchemy]'"
    ) from missing

E = TypeVar("E", bound="Engine | AsyncEngine | type[Engine]")

CALL = "_wideevents_call"
"""Where SQLAlchemy's context of one execution holds its call."""


def watch(engine: E, *, name: str = DB) -> E:
    """
    Count the statements of *engine*, an `Engine` or an `AsyncEngine`, and return it; `Engine` itself is all of them.

    What the driver's cursor takes to execute is counted under *name*: an executemany is one statement, rows that are
    fetched later are none, nor are BEGIN, COMMIT and ROLLBACK. A second time changes nothing.

    Raise `ConfigurationError` for what is no engine, and for a name that cannot be used.
    """
    target = engine.sync_engine if isinstance(engine, AsyncEngine) else engine
    if not (isinstance(target, Engine) or target is Engine):
        raise ConfigurationError.of("engine", engine, "a SQLAlchemy Engine or AsyncEngine")
    listeners = _listeners(checked(name))
    event.listen(target, "before_cursor_execute", listeners.begin)
    event.listen(target, "after_cursor_execute", listeners.end)
    event.listen(target, "handle_error", listeners.fail)
    return engine


class _Listeners:
    """Listen to the executions of an engine."""

    def __init__(self, name: str) -> None:
        self._name = name

    def begin(
        self, _connection: Any, _cursor: Any, statement: str, _parameters: Any, context: Any, _many: bool
    ) -> None:
        """Begin the call."""
        if context is not None:
            setattr(context, CALL, Call(self._name, statement, shortened))

    def end(self, _connection: Any, _cursor: Any, _statement: str, _parameters: Any, context: Any, _many: bool) -> None:
        """End the call."""
        _end(context, failed=False)

    def fail(self, context: ExceptionContext) -> None:
        """End the call that raised; much else is told here, too."""
        _end(context.execution_context, failed=True)


@lru_cache
def _listeners(name: str) -> _Listeners:
    """Return the listeners of one name: SQLAlchemy knows by them whether they listen already."""
    return _Listeners(name)


def _end(context: Any, *, failed: bool) -> None:
    call = getattr(context, CALL, None)
    if call is not None:
        call.end(failed=failed)
