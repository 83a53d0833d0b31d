"""Take orders, and ask what they cost: `gunicorn examples.chain.front:app`."""

from __future__ import annotations

import os
from typing import Any

import httpx
from flask import Flask, request

import wideevents
from wideevents.integrations.flask import WideEvents
from wideevents.integrations.httpx import Transport

wideevents.configure(service="front")

app = Flask(__name__)
WideEvents(app)
client = httpx.Client(transport=Transport(), base_url=os.environ.get("CHAIN_PRICING", "http://127.0.0.1:8001"))


@app.post("/orders")
def place() -> tuple[dict[str, Any], int]:
    order = request.get_json()
    wideevents.add_fields({"order": order})
    quote = client.post("/quotes", json=order).raise_for_status().json()
    return {**order, **quote}, 201
