"""
A FastAPI application: a dependency, a call out, a background task, and a WebSocket.

Start it with `uvicorn examples.doors.fastapi_app:app`.
"""

from __future__ import annotations

from typing import Annotated

import httpx
from fastapi import BackgroundTasks, Depends, FastAPI, Header, Request, WebSocket

import wideevents
from wideevents.integrations.asgi import WideEvents
from wideevents.integrations.httpx import AsyncTransport

wideevents.configure(service="pricing")

api = FastAPI()
client = httpx.AsyncClient(transport=AsyncTransport())


def customer(x_plan: Annotated[str, Header()] = "STARTER") -> str:
    wideevents.add_field("user.plan", x_plan)
    return x_plan


def remember(sku: str) -> None:
    wideevents.add_field("price.remembered", sku)


@api.get("/prices/{sku}")
async def price(
    sku: str, request: Request, background: BackgroundTasks, plan: Annotated[str, Depends(customer)]
) -> dict[str, str | float]:
    rate = await client.get(str(request.url_for("rate", currency="EUR")))  # another service's, elsewhere
    background.add_task(remember, sku)
    return {"plan": plan, "price": 10 * rate.json()}


@api.get("/rates/{currency}")
def rate(currency: str) -> float:
    wideevents.add_field("rate.currency", currency)
    return 1.25


@api.websocket("/prices")
async def ticker(websocket: WebSocket) -> None:
    await websocket.accept()
    async for sku in websocket.iter_text():
        wideevents.append("price.skus", sku)
        await websocket.send_json({"sku": sku, "price": 12.5})


app = WideEvents(api)
