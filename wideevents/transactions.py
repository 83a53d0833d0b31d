"""Make an event of work that is no request: a job, a script, a message."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from wideevents import config
from wideevents.recorder import Transaction
from wideevents.wrapping import wrap

P = ParamSpec("P")
R = TypeVar("R")


class event(Transaction):  # noqa: N801 - a verb of the face, which reads as one
    """
    Run work as an event of its own, of the kind "task".

    A context manager that gives the `Event`, and a decorator for functions of every kind. Inside another event it
    carries the id of that one as `parent.id`, and its trace id. *fields* are added at once.
    """

    __slots__ = ()

    def __init__(self, name: str, /, **fields: object) -> None:
        super().__init__(config.recorder, name, "task", fields)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Make an event of every call of *function*."""
        name, fields = self._name, self._fields
        return wrap(function, lambda: Transaction(config.recorder, name, "task", fields))
