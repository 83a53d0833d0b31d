"""Book what was sold, when there is time: `celery -A examples.chain.tasks worker`."""

from __future__ import annotations

import os

import requests
from celery import Celery

import wideevents
from wideevents.integrations.celery import WideEvents
from wideevents.integrations.requests import watch

LEDGER = os.environ.get("CHAIN_LEDGER", "http://127.0.0.1:8002")

wideevents.configure(service="worker")

app = Celery("chain", broker="redis://127.0.0.1:6379/0")
app.conf.task_ignore_result = True
WideEvents(app)
session = watch(requests.Session())


@app.task
def book(sku: str, cents: int) -> None:
    wideevents.add_field("booking.cents", cents)
    session.post(f"{LEDGER}/entries", json={"sku": sku, "cents": cents}, timeout=10).raise_for_status()
