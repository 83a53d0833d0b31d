"""The door out for redis-py: clients whose commands are counted."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from wideevents.errors import ConfigurationError
from wideevents.integrations._calls import DB, Call, checked

try:
    from redis import Redis, RedisCluster
    from redis import asyncio as aio
except ImportError as missing:
    raise ImportError("wideevents.integrations.redis needs redis-py: pip install 'wideevents[redis]'") from missing

R = TypeVar("R", bound="Redis | RedisCluster | aio.Redis | aio.RedisCluster")

COMMAND = re.compile(r"[A-Za-z][\w.-]{0,40}", re.ASCII)
MOST = 10
"""Commands of one pipeline that are told."""


def watch(client: R, *, name: str = DB) -> R:
    """
    Count the commands of *client*, of redis-py or its `redis.asyncio`, and return it.

    They are counted under *name*, and told by their names alone: "GET", and for a pipeline, which is one call,
    "PIPELINE SET SET". What a subscriber waits for is no call. redis-py has no hook that tells a command, so that the
    client goes on as an instance of a class that inherits from its own. A second time replaces the first.

    Raise `ConfigurationError` for what is no client, and for a name that cannot be used.
    """
    synchronous = isinstance(client, Redis | RedisCluster)
    if not synchronous and not isinstance(client, aio.Redis | aio.RedisCluster):
        raise ConfigurationError.of("client", client, "a client of redis-py")
    dress: Any = _Client if synchronous else _AsyncClient
    client.__class__ = _watched(_bare(type(client)), dress, checked(name))
    return client


class _Counting:
    """Say under what name is counted."""

    _counted_as: str

    def pipeline(self, *arguments: Any, **options: Any) -> Any:
        """Return a pipeline that is counted, too."""
        pipeline = super().pipeline(*arguments, **options)  # type: ignore[misc]
        dress = _Pipeline if isinstance(self, _Client) else _AsyncPipeline
        pipeline.__class__ = _watched(pipeline.__class__, dress, self._counted_as)
        return pipeline


class _Client(_Counting):
    def execute_command(self, *arguments: Any, **options: Any) -> Any:
        """Execute a command."""
        with Call(self._counted_as, arguments, _command):
            return super().execute_command(*arguments, **options)  # type: ignore[misc]


class _AsyncClient(_Counting):
    async def execute_command(self, *arguments: Any, **options: Any) -> Any:
        """Execute a command."""
        with Call(self._counted_as, arguments, _command):
            return await super().execute_command(*arguments, **options)  # type: ignore[misc]


class _Pipeline:
    _counted_as: str

    def execute(self, *arguments: Any, **options: Any) -> Any:
        """Execute what is queued, in one call; without anything there is none."""
        if not len(self):  # type: ignore[arg-type]
            return super().execute(*arguments, **options)  # type: ignore[misc]
        with Call(self._counted_as, _queued(self), _commands):
            return super().execute(*arguments, **options)  # type: ignore[misc]

    def execute_command(self, *arguments: Any, **options: Any) -> Any:
        """Queue a command, or execute it, as after a WATCH; what is only queued is no call."""
        call = Call(self._counted_as, arguments, _command)
        try:
            result = super().execute_command(*arguments, **options)  # type: ignore[misc]
        except BaseException:
            call.end(failed=True)
            raise
        if result is not self:
            call.end()
        return result


class _AsyncPipeline:
    _counted_as: str

    async def execute(self, *arguments: Any, **options: Any) -> Any:
        """Execute what is queued, in one call; without anything there is none."""
        if not len(self):  # type: ignore[arg-type]
            return await super().execute(*arguments, **options)  # type: ignore[misc]
        with Call(self._counted_as, _queued(self), _commands):
            return await super().execute(*arguments, **options)  # type: ignore[misc]

    def execute_command(self, *arguments: Any, **options: Any) -> Any:
        """Queue a command, or return what executes it, as after a WATCH; what is only queued is no call."""
        result = super().execute_command(*arguments, **options)  # type: ignore[misc]
        return result if result is self else self._executed(arguments, result)

    async def _executed(self, arguments: tuple[Any, ...], result: Awaitable[Any]) -> Any:
        with Call(self._counted_as, arguments, _command):
            return await result


@lru_cache
def _watched(kind: Any, dress: Any, name: str) -> Any:
    """Return a class that is *kind*, and counts; a client of one that is another's name is no other kind."""
    members = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "_counted_as": name}
    return type(kind.__name__, (dress, kind), members)


def _bare(kind: type) -> Any:
    """Return what a class of ours was made of."""
    return kind.__bases__[1] if issubclass(kind, _Counting) else kind


def _queued(pipeline: Any) -> list[Any]:
    """Return the commands of *pipeline*, which it empties; a cluster's keeps them to itself."""
    return [arguments for arguments, _ in getattr(pipeline, "command_stack", ())[: MOST + 1]]


def _commands(queued: Sequence[Sequence[Any]]) -> str:
    more = ["..."] if len(queued) > MOST else []
    return " ".join(["PIPELINE", *map(_command, queued[:MOST]), *more])


def _command(arguments: Sequence[Any]) -> str:
    """Return the name of a command: its first word, since some write their arguments behind it."""
    first = arguments[0] if arguments else ""
    found = COMMAND.match(first.decode("latin-1") if isinstance(first, bytes) else str(first))
    return found[0].upper() if found else "?"
