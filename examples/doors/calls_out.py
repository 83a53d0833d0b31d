"""
A shop that asks other services and databases: its line says how often, how long, and what took longest.

Start it with `gunicorn --threads=4 examples.doors.calls_out:app`.
`REDIS_URL` says where a Redis is; the shop does without.
"""

from __future__ import annotations

import os
import sqlite3

import httpx
import requests
from flask import Flask, url_for
from redis import Redis, RedisError
from sqlalchemy import create_engine, text

import wideevents
from wideevents.integrations import redis, sqlalchemy
from wideevents.integrations.dbapi import Connection
from wideevents.integrations.flask import WideEvents
from wideevents.integrations.httpx import Transport
from wideevents.integrations.requests import Adapter

wideevents.configure(service="shop")

app = Flask(__name__)
WideEvents(app)

client = httpx.Client(transport=Transport())
session = requests.Session()
session.mount("http://", Adapter())
engine = sqlalchemy.watch(create_engine("sqlite://"))
cache = redis.watch(Redis.from_url(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")), name="cache")


@app.get("/products/<int:product_id>")
def product(product_id: int) -> dict[str, object]:
    stock = client.get(url_for("stock", product_id=product_id, _external=True)).json()  # another service's, elsewhere
    rating = session.get(url_for("rating", product_id=product_id, _external=True)).json()
    with engine.connect() as connection:
        price = connection.execute(text("SELECT 7 * :quantity"), {"quantity": 6}).scalar()
    return {"price": price, "visits": visits(product_id), **stock, **rating}


@app.get("/stock/<int:product_id>")
def stock(product_id: int) -> dict[str, int]:
    with sqlite3.connect(":memory:", factory=Connection) as connection:
        (left,) = connection.execute("SELECT ? % 10", [product_id]).fetchone()
    return {"left": left}


@app.get("/ratings/<int:product_id>")
def rating(product_id: int) -> dict[str, int]:
    return {"stars": 1 + product_id % 5}


def visits(product_id: int) -> int | None:
    try:
        return int(cache.incr(f"visits:{product_id}"))
    except RedisError as error:
        wideevents.add_error(error, expected=True)
        return None
