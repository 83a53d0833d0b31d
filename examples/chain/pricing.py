"""Say what an order costs, and have it booked later: `uvicorn --port 8001 examples.chain.pricing:app`."""

from __future__ import annotations

from fastapi import FastAPI
from pydantic import BaseModel

import wideevents
from examples.chain.tasks import book
from wideevents.integrations.asgi import WideEvents

wideevents.configure(service="pricing")

api = FastAPI()


class Order(BaseModel):
    """What is bought, and how many of it."""

    sku: str
    quantity: int


@api.post("/quotes")
def quote(order: Order) -> dict[str, int]:
    cents = 495 * order.quantity
    wideevents.add_field("quote.cents", cents)
    book.delay(order.sku, cents)
    return {"cents": cents}


app = WideEvents(api)
