"""Make an event of work that is no request: a job, a script, a message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, ParamSpec, TypeAlias, TypeVar, get_args

from wideevents import config
from wideevents.errors import ConfigurationError
from wideevents.recorder import Transaction
from wideevents.wrapping import wrap

P = ParamSpec("P")
R = TypeVar("R")

Kind: TypeAlias = Literal["task", "script", "batch", "message"]
"""What work is that is no request."""

KINDS: tuple[str, ...] = get_args(Kind)


class event(Transaction):  # noqa: N801 - a verb of the face, which reads as one
    """
    Run work as an event of its own: a "task", or of the *kind* "script", "batch" or "message".

    A context manager that gives the `Event`, and a decorator for functions of every kind. Inside another event it
    carries the id of that one as `parent.id`, and its trace id. *fields* are added at once.

    What ends the process is told, too: `process.exit.code` of a SystemExit, and of whatever leaves a "script";
    `process.exit.signal` of Ctrl-C, SIGTERM and SIGHUP, where nobody else handles them. Raise `ConfigurationError` for
    any other kind.
    """

    __slots__ = ()

    def __init__(self, name: str, kind: Kind = "task", /, **fields: object) -> None:
        if not isinstance(kind, str) or kind not in KINDS:
            raise ConfigurationError.of("kind", kind, '"task", "script", "batch" or "message"')
        super().__init__(config.recorder, name, kind, fields)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Make an event of every call of *function*."""
        name, kind, fields = self._name, self._kind, self._fields
        return wrap(function, lambda: Transaction(config.recorder, name, kind, fields))
