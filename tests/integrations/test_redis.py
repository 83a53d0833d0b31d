"""What is counted of the commands that redis-py sends, to a real server."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import re
import runpy
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from redis import asyncio as aio

import wideevents
from tests.conftest import Written, at_once
from tests.integrations.callees import port_closed, without_faults  # noqa: F401 - fixtures
from tests.integrations.servers import eventually
from tests.parts.redis import RedisServer
from wideevents.errors import ConfigurationError
from wideevents.integrations import redis as room
from wideevents.integrations.redis import watch

pytestmark = pytest.mark.usefixtures("recorder", "faultless")


@pytest.fixture
def url(redis_server: RedisServer) -> str:
    """Give a database of its own, which is empty."""
    url = redis_server.database(77)
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url


@pytest.fixture
def client(url: str) -> Iterator[redis.Redis]:
    """Give a client that is watched."""
    with watch(redis.Redis.from_url(url)) as client:
        yield client


def by_async(url: str, work: Callable[[aio.Redis], Any]) -> None:
    """Run *work* with an async client that is watched, in an event."""

    async def main() -> None:
        async with watch(aio.Redis.from_url(url)) as client:
            with wideevents.event("work"):
                await work(client)

    asyncio.run(main())


class TestCounting:
    def test_counts_a_command(self, client: redis.Redis, written: Written) -> None:
        """By its name: no key is told, nor what is under it."""
        with wideevents.event("work"):
            assert client.set("secret", "value") is True
            assert client.get("secret") == b"value"
            assert client.get("secret") == b"value"

        line = written.one()
        assert line["db.count"] == 3
        assert (line["db.repeated"], line["db.most_repeated"]) == (2, "GET")
        assert line["db.slowest"] in {"SET", "GET"}
        assert 0 < line["db.slowest_ms"] <= line["db.duration_ms"]
        assert "db.failures" not in line
        assert "secret" not in str(line)

    def test_counts_a_command_of_an_async_client(self, url: str, written: Written) -> None:
        """As that of a sync one."""

        async def work(client: aio.Redis) -> None:
            assert await client.set("secret", "value") is True
            assert await client.get("secret") == b"value"

        by_async(url, work)

        line = written.one()
        assert line["db.count"] == 2
        assert line["db.slowest"] in {"SET", "GET"}
        assert "db.failures" not in line

    def test_counts_a_pipeline_as_one_call(self, client: redis.Redis, written: Written) -> None:
        """It is sent at once; what is queued is no call, nor is a pipeline with nothing in it."""
        with wideevents.event("work"), client.pipeline() as pipeline:
            assert pipeline.execute() == []
            assert pipeline.set("a", 1).incr("a").execute() == [True, 2]

        line = written.one()
        assert (line["db.count"], line["db.slowest"]) == (1, "PIPELINE SET INCRBY")

    def test_counts_an_async_pipeline_as_one_call(self, url: str, written: Written) -> None:
        """As a sync one."""

        async def work(client: aio.Redis) -> None:
            async with client.pipeline(transaction=False) as pipeline:
                assert await pipeline.execute() == []
                assert await pipeline.set("a", 1).incr("a").execute() == [True, 2]

        by_async(url, work)

        line = written.one()
        assert (line["db.count"], line["db.slowest"]) == (1, "PIPELINE SET INCRBY")

    @pytest.mark.parametrize(
        ("commands", "told"), [(10, 10 * " GET"), (11, 10 * " GET" + " ..."), (99, 10 * " GET" + " ...")]
    )
    def test_tells_a_bounded_number_of_commands(
        self, commands: int, told: str, client: redis.Redis, written: Written
    ) -> None:
        """A pipeline may have thousands."""
        with wideevents.event("work"), client.pipeline() as pipeline:
            for _ in range(commands):
                pipeline.get("a")
            assert pipeline.execute() == [None] * commands

        assert written.one()["db.slowest"] == f"PIPELINE{told}"

    def test_counts_what_is_asked_while_a_key_is_watched(self, client: redis.Redis, written: Written) -> None:
        """WATCH, and what is read after it, is sent at once."""

        def double(pipeline: Any) -> None:
            value = int(pipeline.get("a") or 1)
            pipeline.multi()
            pipeline.set("a", 2 * value)

        with wideevents.event("work"):
            client.transaction(double, "a")

        line = written.one()
        assert client.get("a") == b"2"
        assert line["db.count"] == 3
        assert line["db.slowest"] in {"WATCH", "GET", "PIPELINE SET"}

    def test_counts_what_is_asked_while_a_key_is_watched_async(self, url: str, written: Written) -> None:
        """As with a sync one, and what raises has failed."""

        async def work(client: aio.Redis) -> None:
            await client.set("a", 1)
            async with client.pipeline() as pipeline:
                await pipeline.watch("a")
                assert await pipeline.get("a") == b"1"
                with pytest.raises(redis.ResponseError):
                    await pipeline.incr("a", 0.5)  # type: ignore[arg-type]
                pipeline.multi()
                assert await pipeline.incr("a").execute() == [2]

        by_async(url, work)

        line = written.one()
        assert (line["db.count"], line["db.failures"]) == (5, 1)

    def test_counts_a_script_that_a_pipeline_loads_as_part_of_it(self, client: redis.Redis, written: Written) -> None:
        """What it asks for by itself is its own time."""
        script = client.register_script("return 1")
        with wideevents.event("work"), client.pipeline() as pipeline:
            script(client=pipeline)
            assert pipeline.execute() == [1]

        line = written.one()
        assert (line["db.count"], line["db.slowest"]) == (1, "PIPELINE EVALSHA")

    def test_counts_what_raises_as_failed(self, client: redis.Redis, written: Written) -> None:
        """It raises what it raises without us."""
        client.set("a", "text")
        with wideevents.event("work"):
            with pytest.raises(redis.ResponseError, match="not an integer"):
                client.incr("a")
            with pytest.raises(redis.ResponseError, match="not an integer"):
                client.pipeline().incr("a").execute()
            with client.pipeline() as pipeline:
                pipeline.watch("a")
                with pytest.raises(redis.ResponseError, match="not an integer"):
                    pipeline.incr("a")

        line = written.one()
        assert (line["db.count"], line["db.failures"]) == (4, 3)

    def test_counts_a_connection_that_is_refused_as_failed(self, closed_port: int, written: Written) -> None:
        """It raises what it raises without us."""
        client = watch(redis.Redis(port=closed_port, retry=None))
        with wideevents.event("work"), pytest.raises(redis.ConnectionError):
            client.ping()

        line = written.one()
        assert (line["db.count"], line["db.failures"], line["db.slowest"]) == (1, 1, "PING")

    def test_counts_what_raises_in_an_async_client_as_failed(self, url: str, written: Written) -> None:
        """In a pipeline, too."""

        async def work(client: aio.Redis) -> None:
            await client.set("a", "text")
            with pytest.raises(redis.ResponseError):
                await client.incr("a")
            with pytest.raises(redis.ResponseError):
                await client.pipeline().incr("a").execute()

        by_async(url, work)

        line = written.one()
        assert (line["db.count"], line["db.failures"]) == (3, 2)

    def test_a_subscriber_that_waits_is_no_call(self, client: redis.Redis, written: Written) -> None:
        """It may wait for ever; who publishes calls."""
        with wideevents.event("work"), client.pubsub() as subscriber:
            subscriber.subscribe("news")
            eventually(subscriber.get_message, "the subscription")
            client.publish("news", "one")
            message: Any = eventually(subscriber.get_message, "the message")

        assert message["data"] == b"one"
        assert (written.one()["db.count"], written.one()["db.slowest"]) == (1, "PUBLISH")

    @pytest.mark.parametrize(
        ("command", "told"),
        [(("config get", "port"), "CONFIG"), ((b"GET secret",), "GET"), (("get", "secret"), "GET"), (("'x'",), "?")],
    )
    def test_tells_the_name_alone(
        self, command: tuple[Any, ...], told: str, client: redis.Redis, written: Written
    ) -> None:
        """However it is asked."""
        unknown = pytest.raises(redis.ResponseError) if told == "?" else contextlib.nullcontext()
        with wideevents.event("work"), unknown:
            client.execute_command(*command)

        assert written.one()["db.slowest"] == told

    def test_counts_what_is_asked_wrongly_as_failed(self, client: redis.Redis, written: Written) -> None:
        """redis-py raises as it does without us."""
        with wideevents.event("work"), pytest.raises(IndexError):
            client.execute_command()

        assert (written.one()["db.failures"], written.one()["db.slowest"]) == (1, "?")

    def test_works_outside_any_event(self, client: redis.Redis, written: Written) -> None:
        """As without us: nothing is written or counted."""
        client.set("a", "text")
        with pytest.raises(redis.ResponseError):
            client.pipeline().incr("a").execute()

        assert written.all() == []

    def test_counts_commands_of_many_threads_exactly(self, client: redis.Redis, written: Written) -> None:
        """They share a client."""
        with wideevents.event("work"):
            at_once(*[wideevents.carry(lambda: [client.incr("a") for _ in range(10)])] * 8)

        assert client.get("a") == b"80"
        assert (written.one()["db.count"], written.one()["db.repeated"]) == (80, 80)


class TestWatch:
    @pytest.mark.parametrize("kind", [redis.Redis, aio.Redis])
    def test_returns_the_client_and_leaves_its_kind_alone(self, kind: Any) -> None:
        """It is an instance of its own class still, which others share."""
        client = kind()
        told = repr(client)

        assert watch(client) is client
        assert isinstance(client, kind)
        assert repr(client) == told
        assert type(kind()) is kind

    def test_may_be_called_again(self, url: str, written: Written) -> None:
        """The second time replaces the first: nothing counts twice."""
        client = watch(watch(redis.Redis.from_url(url)), name="cache")
        with client, wideevents.event("work"):
            client.ping()
            client.pipeline().ping().execute()

        line = written.one()
        assert line["cache.count"] == 2
        assert "db.count" not in line

    def test_counts_what_a_client_of_the_client_asks(self, client: redis.Redis, written: Written) -> None:
        """redis-py makes another one of its class, for one connection."""
        with wideevents.event("work"), client.client() as single:
            single.ping()

        assert written.one()["db.count"] == 1

    def test_a_client_is_freed_when_it_is_dropped(self) -> None:
        """Nothing of ours refers to it."""
        client: Any = watch(redis.Redis())
        alive = weakref.ref(client)
        del client
        gc.collect()

        assert alive() is None

    def test_refuses_what_it_cannot_use(self) -> None:
        """Where it is given."""
        nothing: Any = redis

        with pytest.raises(ConfigurationError, match="it must be a client of redis-py"):
            watch(nothing)
        with pytest.raises(ConfigurationError, match="name='http' cannot be used"):
            watch(redis.Redis(), name="http")

    def test_nothing_is_watched_by_an_import(self) -> None:
        """Counting is asked for by name."""
        code = (
            "import redis; before = dict(vars(redis.Redis)); import wideevents.integrations.redis;"
            "assert before == dict(vars(redis.Redis))"
        )

        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class TestImport:
    def test_names_the_extra_that_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whoever has no redis-py is told what to install."""
        monkeypatch.setitem(sys.modules, "redis", None)

        with pytest.raises(ImportError, match=re.escape("redis needs redis-py: pip install 'wideevents[redis]'")):
            runpy.run_path(str(room.__file__))
