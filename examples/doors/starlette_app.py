"""
A Starlette application: routes, a mounted router, and a streamed response that is timed to its last byte.

Start it with `uvicorn examples.doors.starlette_app:app`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Mount, Route

import wideevents
from wideevents.integrations.asgi import WideEvents

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.responses import Response

wideevents.configure(service="library")


async def show_book(request: Request) -> Response:
    wideevents.add_field("book.id", request.path_params["book_id"])
    return JSONResponse({"title": "Middlemarch"})


async def export(request: Request) -> Response:
    separator = request.query_params.get("separator", ";")

    async def rows() -> AsyncIterator[str]:
        for number in range(3):
            wideevents.increment("export.rows")
            yield f"{number}{separator}Middlemarch\n"

    return StreamingResponse(rows(), media_type="text/csv")


books = [Route("/export.csv", export), Route("/{book_id:int}", show_book)]
app = WideEvents(Starlette(routes=[Mount("/books", routes=books)]))
