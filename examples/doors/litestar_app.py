"""
A Litestar application.

Start it with `uvicorn examples.doors.litestar_app:app`.
"""

from __future__ import annotations

from litestar import Litestar, get

import wideevents
from wideevents.integrations.asgi import WideEvents

wideevents.configure(service="seats")


@get("/flights/{number:str}/seats")
async def seats(number: str) -> dict[str, int]:
    free = 12
    wideevents.add_fields({"flight.number": number, "flight.seats": free})
    return {"free": free}


app = WideEvents(Litestar([seats]))
