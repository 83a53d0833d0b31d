"""Use every door as an application would; mypy is the test."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator, MutableMapping
from typing import Any, assert_type

import httpx
import redis
import redis.asyncio
import requests
import rq
import sqlalchemy
import urllib3
from celery import Celery
from fastapi import FastAPI
from litestar import Litestar
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import ASGIApp

import wideevents
from wideevents.integrations import asgi, celery, dbapi, django
from wideevents.integrations import httpx as httpx_door
from wideevents.integrations import redis as redis_door
from wideevents.integrations import requests as requests_door
from wideevents.integrations import rq as rq_door
from wideevents.integrations import sqlalchemy as sqlalchemy_door
from wideevents.integrations import urllib3 as urllib3_door
from wideevents.sinks.otlp import OTLPSink


async def raw(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> None:
    await send(await receive())


def asgi_applications() -> None:
    served: ASGIApp = asgi.WideEvents(raw, quiet=("/healthz",), slow_ms=500, proxies=1)
    print(served, asgi.WideEvents(Starlette()), asgi.WideEvents(FastAPI()), asgi.WideEvents(Litestar()))
    asgi.WideEvents(asgi.WideEvents(raw))
    asgi.WideEvents(7)  # type: ignore[arg-type]
    asgi.WideEvents(raw, proxies="1")  # type: ignore[arg-type]


def asgi_middleware() -> None:
    Starlette(middleware=[Middleware(asgi.WideEvents, quiet=("/healthz",))])
    app = FastAPI()
    app.add_middleware(asgi.WideEvents)
    app.add_middleware(asgi.WideEvents, slow_ms=500, proxies=1)
    app.add_middleware(asgi.WideEvents, proxies="1")  # type: ignore[arg-type]


def get_response(request: object) -> object:
    return request


def django_middleware() -> None:
    django.WideEvents(get_response)
    django.WideEvents(get_response, quiet=("/healthz",))  # type: ignore[call-arg]
    django.WideEvents()  # type: ignore[call-arg]


def celery_application() -> None:
    app = Celery("jobs")
    celery.WideEvents(app)
    celery.WideEvents(app, quiet=("jobs.tidy",), slow_ms=500.5, logging=False)
    celery.keep_logging()
    celery.WideEvents(app, quiet=7)  # type: ignore[arg-type]
    celery.WideEvents(app, logging="no")  # type: ignore[arg-type]


class Tidy(rq_door.Worker):
    quiet = ("jobs.tidy",)
    slow_ms = 500


def rq_workers(client: redis.Redis) -> None:
    queue: rq.Queue = rq_door.Queue("jobs", connection=client)
    worker: rq.worker.BaseWorker = rq_door.Worker([queue], connection=client)
    print(worker, Tidy([queue], connection=client), rq_door.SimpleWorker(["jobs"], connection=client))


class Mine(rq_door.WideEvents, rq.Worker):
    """Be a worker of the user's own class."""


def steps(pages: list[str], total: int) -> Iterator[str]:
    for page in wideevents.batch("report", pages, total=total):
        assert_type(page, str)
        yield page
    for number in wideevents.batch("report", iter(range(3))):
        assert_type(number, int)
    with wideevents.batch("report", pages) as batch:
        assert_type(batch, wideevents.batch[str])
        assert_type(list(batch), list[str])
    assert_type(sum(wideevents.batch("report", [1, 2])), int)
    wideevents.batch("report", 7)  # type: ignore[arg-type]
    wideevents.batch("report", pages, total="3")  # type: ignore[arg-type]
    wideevents.batch("report")  # type: ignore[call-arg]


async def numbers() -> AsyncIterator[int]:
    yield 1


async def async_steps() -> None:
    async for number in wideevents.batch("report", numbers()):
        assert_type(number, int)
    async for page in wideevents.batch("report", ["a"]):
        assert_type(page, str)


@wideevents.event("nightly", "script", report="stock")
def script(day: int) -> Generator[int]:
    yield day


def kinds() -> None:
    assert_type(script(1), Generator[int])
    with wideevents.event("mail", "message") as event:
        assert_type(event, wideevents.Event)
    wideevents.event("step", "batch")
    wideevents.event("step", "request")  # type: ignore[arg-type]
    wideevents.event("step", 7)  # type: ignore[arg-type]


def httpx_clients() -> None:
    httpx.Client(transport=httpx_door.Transport())
    httpx.Client(transport=httpx_door.Transport(httpx.HTTPTransport(retries=2), propagate=("api.example.org",)))
    httpx.AsyncClient(transport=httpx_door.AsyncTransport(propagate=False, http2=True))
    assert_type(httpx_door.watch(httpx.Client()), httpx.Client)
    assert_type(httpx_door.watch(httpx.AsyncClient(), propagate=["*.internal"]), httpx.AsyncClient)
    httpx_door.watch("https://example.org")  # type: ignore[type-var]
    httpx_door.Transport(propagate=7)  # type: ignore[arg-type]
    httpx.AsyncClient(transport=httpx_door.Transport())  # type: ignore[arg-type]


class Session(requests.Session):
    """Be a session of the user's own."""


def requests_sessions() -> None:
    session = requests.Session()
    session.mount("https://", requests_door.Adapter(max_retries=2, propagate=("*.internal",)))
    session.mount("http://", requests_door.Adapter(requests.adapters.HTTPAdapter()))
    assert_type(requests_door.watch(session), requests.Session)
    assert_type(requests_door.watch(Session(), propagate=False), Session)
    requests_door.install(propagate=True)
    requests_door.uninstall()
    requests_door.watch(requests)  # type: ignore[type-var]
    requests_door.install(propagate=7)  # type: ignore[arg-type]


def urllib3_managers() -> None:
    assert_type(urllib3_door.watch(urllib3.PoolManager(2)), urllib3.PoolManager)
    assert_type(urllib3_door.watch(urllib3.ProxyManager("http://127.0.0.1"), propagate=()), urllib3.ProxyManager)
    urllib3_door.watch(urllib3)  # type: ignore[type-var]


def databases() -> None:
    engine = sqlalchemy_door.watch(sqlalchemy.create_engine("sqlite://"), name="orders")
    assert_type(engine, sqlalchemy.Engine)
    assert_type(sqlalchemy_door.watch(create_async_engine("sqlite+aiosqlite://")), AsyncEngine)
    assert_type(sqlalchemy_door.watch(sqlalchemy.Engine), type[sqlalchemy.Engine])
    assert_type(dbapi.watch(sqlite3.connect("a"), name="orders"), sqlite3.Connection)
    assert_type(sqlite3.connect("a", factory=dbapi.Connection), dbapi.Connection)
    sqlalchemy_door.watch("sqlite://")  # type: ignore[type-var]
    sqlalchemy_door.watch(engine, name=7)  # type: ignore[arg-type]
    dbapi.watch(sqlite3.connect("a"), name=7)  # type: ignore[arg-type]


class Orders(dbapi.Connection):
    name = "orders"


def redis_clients() -> None:
    assert_type(redis_door.watch(redis.Redis()), redis.Redis)
    assert_type(redis_door.watch(redis.asyncio.Redis(), name="cache"), redis.asyncio.Redis)
    redis_door.watch(redis)  # type: ignore[type-var]
    redis_door.watch(redis.Redis(), name=7)  # type: ignore[arg-type]


def opentelemetry() -> None:
    wideevents.configure(opentelemetry=True, output=["json", OTLPSink()])
    wideevents.configure(opentelemetry="mirror", output=OTLPSink(endpoint="http://collector:4318/v1/logs"))
    wideevents.configure(opentelemetry=7)  # type: ignore[arg-type]
    OTLPSink(endpoint=7)  # type: ignore[arg-type]
