"""
An ASGI application that knows no framework: HTTP, and an echo over a WebSocket.

Start it with `uvicorn examples.doors.asgi_app:app`.
"""

from __future__ import annotations

from typing import Any

import wideevents
from wideevents.integrations.asgi import WideEvents

wideevents.configure(service="echo")


async def echo(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        wideevents.add_field("greeting.words", 1)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"Hello!\n"})
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            wideevents.increment("echo.count")
            await send({"type": "websocket.send", "text": message["text"]})


app = WideEvents(echo)
