"""Read the route of a request from its ASGI scope, where routers leave it, without importing any of them."""

from __future__ import annotations

import sys
from collections.abc import MutableMapping
from typing import Any

from wideevents.integrations._request import Request


def take_route(request: Request, scope: MutableMapping[str, Any]) -> None:
    """Tell *request* its route, and which framework serves it, as far as its *scope* knows."""
    app = scope.get("app")
    if app is None:
        return
    fields = framework(type(app))
    template = scope.get("path_template")
    if template:
        request.routed(template, scope.get("path_params"), fields, getattr(scope["route_handler"], "fn", None))
        return
    route = scope.get("route")
    template = getattr(route, "path", None)
    if template:
        request.routed(template, scope.get("path_params"), fields, scope.get("endpoint"))
    elif request.event.fields is not None:
        request.event.fields.update(fields)


def framework(kind: type) -> dict[str, str]:
    """Return the fields that tell which framework an application of *kind* is made with."""
    name = kind.__module__.partition(".")[0]
    version = getattr(sys.modules.get(name), "__version__", None)
    return {"framework.name": name} | ({"framework.version": version} if isinstance(version, str) else {})
