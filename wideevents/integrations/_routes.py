"""Read the route of a request from its ASGI scope, where routers leave it, without importing any of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeAlias

from wideevents.integrations._scope import Scope
from wideevents.values import guarded

FRAMEWORKS = frozenset({"starlette", "fastapi", "litestar"})
"""Packages that we know; their exceptions are their way to answer, such as an HTTPException."""

Found: TypeAlias = tuple[str, Any, object]
"""A route: its template, the values of its parameters, and the function that serves it."""

BELOW = "/{path:path}"
"""What follows the path of a mount whose application has no routes, such as a folder of files."""

DEEP = 20
"""Layers of middleware around a mounted application that are looked into."""

CHOICES = frozenset({"endpoint", "route", "path_template"})
"""What routers write of their choice; when the last of these is there, so are the parameters."""


class Watched(dict[str, Any]):
    """
    Be the scope that an application is given, and call *chosen* as soon as a router has written its choice into it.

    What is written here is written into the server's *scope*, too: middleware that stands around the door finds it.
    """

    __slots__ = ("_chosen", "_scope")

    def __init__(self, scope: Scope, chosen: Callable[[], object]) -> None:
        super().__init__(scope)
        self._scope = scope
        self._chosen = chosen

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        self._scope[name] = value
        self._wrote(name)

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)
        self._scope.pop(name, None)

    def __ior__(self, given: Any) -> Watched:  # type: ignore[override,misc]
        self.update(given)
        return self

    def update(self, *given: Any, **named: Any) -> None:
        """Write as that of a dict does."""
        written = dict(*given, **named)
        super().update(written)
        self._scope.update(written)
        self._wrote(*written)

    def setdefault(self, name: str, default: Any = None) -> Any:
        """Return what is there, or write *default*."""
        if name not in self:
            self[name] = default
        return self[name]

    def pop(self, name: str, *default: Any) -> Any:
        """Take away as that of a dict does."""
        self._scope.pop(name, None)
        return super().pop(name, *default)

    def popitem(self) -> tuple[str, Any]:
        """Take away what was written last."""
        name = next(reversed(self), "")
        return name, self.pop(name)

    def clear(self) -> None:
        """Take away all."""
        super().clear()
        self._scope.clear()

    def _wrote(self, *names: str) -> None:
        if not CHOICES.isdisjoint(names):
            guarded(self._look, self)  # the application is in the middle of it

    def _look(self) -> None:
        if _is_whole(self):
            self._chosen()


def _is_whole(scope: Scope) -> bool:
    """Tell whether a choice is the last: behind a mount another router has parameters, which may be secret."""
    endpoint = scope.get("endpoint")
    if endpoint is None:
        return bool(scope.get("path_template"))  # Litestar's, which has none for a mount
    return getattr(scope.get("route"), "endpoint", None) is endpoint


def find(scope: Scope, path: str, known: dict[str, str]) -> Found | None:
    """
    Return the route that serves the request for *path*, once a router has chosen it; None for a 404.

    *known* keeps what need not be searched for again.
    """
    endpoint = scope.get("endpoint")
    if endpoint is None:
        return _of_litestar(scope, path, known) if hasattr(scope.get("app"), "asgi_router") else None
    own = _innermost(scope)
    if own is None or "app_root_path" in scope:
        root = scope.get("app_root_path", scope.get("root_path", ""))
        below = path.removeprefix(root) if path.startswith(f"{root}/") else path
        found = guarded(lambda: (_searched(scope["router"].routes, below, endpoint, own),), scope)
        own = found[0] if isinstance(found, tuple) else own
        if own is None:
            return None
    if scope.get("root_path"):
        own = _from_root(scope, path, own)
    return own, scope.get("path_params"), endpoint


def _innermost(scope: Scope) -> str | None:
    """Return the template as the innermost router tells it: Starlette since 1.0, and FastAPI for its own routes."""
    chosen = scope.get("fastapi")
    if chosen and "effective_route_context" in chosen:  # `include_router` may have given it a prefix
        context = chosen["effective_route_context"]
        return getattr(getattr(context, "starlette_route", None) or context, "path", None) or None
    return getattr(scope.get("route"), "path", None)


def templates(routes: Iterable[Any]) -> Iterator[tuple[str, object]]:
    """Yield the templates of all *routes* of an application, each with the function that serves it."""
    for route in _spread(routes):
        if hasattr(route, "endpoint"):
            yield route.path, route.endpoint
        elif hasattr(route, "path_format") and hasattr(route, "app"):
            inner = _inside(route)
            below = templates(inner) if inner else [(BELOW, route.app)]
            yield from ((route.path + template, endpoint) for template, endpoint in below)
        elif hasattr(route, "path_format"):  # Litestar's
            handlers = getattr(route, "route_handlers", None) or [route.route_handler]
            yield from ((route.path, getattr(each, "fn", None)) for each in handlers[:1])


def _searched(routes: Iterable[Any], path: str, endpoint: object, own: str | None) -> str | None:
    """
    Return the whole template of the route in *routes* that *path* leads to, through mounts and `include_router`.

    *own* is the template that the innermost router tells: it stands below a mount whose routes cannot be seen.
    """
    for route in _spread(routes):
        regex = getattr(route, "path_regex", None)
        met = None if regex is None else regex.match(path)
        if met is None:
            continue
        template: str = route.path
        if hasattr(route, "endpoint"):
            if route.endpoint is endpoint:
                return template
            continue
        inner, below = _inside(route), BELOW if route.app is endpoint else own
        found = _searched(inner, f"/{met['path']}", endpoint, own) if inner else below
        if found is not None:
            return template + found
    return None


def _inside(mount: Any) -> Any:
    """Return the routes of the application in *mount*, in whatever middleware; none, where it has none."""
    app = mount
    for _ in range(DEEP):
        app = getattr(app, "app", None)
        routes = getattr(app, "routes", None)
        if routes:
            return routes
    return ()


def _spread(routes: Iterable[Any]) -> Iterator[Any]:
    """Yield routes as they are met: those of a host, and those that FastAPI's `include_router` gave a prefix."""
    for route in routes:
        if hasattr(route, "effective_route_contexts"):
            for context in route.effective_route_contexts():
                yield context.starlette_route or context
        elif hasattr(route, "host_regex"):
            yield from _spread(route.routes)
        else:
            yield route


def _of_litestar(scope: Scope, path: str, known: dict[str, str]) -> Found | None:
    whole = known.get(scope.get("path_template", ""))
    if whole is not None:
        handler, parameters = scope["route_handler"], scope.get("path_params")
    else:
        found = guarded(lambda: _searched_in_litestar(scope, known), scope)
        if not isinstance(found, tuple):
            return None
        whole, handler, parameters = found
    return _from_root(scope, path, whole), parameters, getattr(handler, "fn", None)


def _searched_in_litestar(scope: Scope, known: dict[str, str]) -> tuple[str, Any, Any]:
    """Return the whole template of a route, its handler and its parameters: Litestar tells it without their types."""
    app, handler, parameters = scope["app"], scope.get("route_handler"), scope.get("path_params")
    template = scope.get("path_template")
    if handler is None:  # a 405 has a route all the same, and its parameters may be secret; every path has OPTIONS
        below = scope["path"].removeprefix(scope.get("root_path", ""))
        _, _, _, parameters, template = app.asgi_router.handle_routing(path=below, method="OPTIONS")
    if template:
        known[template] = next(route.path for route in app.routes if route.path_format == template)
        return known[template], handler, parameters
    mounts = (route.path for route in app.routes if getattr(route, "route_handler", None) is handler)
    return next(mounts).rstrip("/") + BELOW, handler, parameters


def _from_root(scope: Scope, path: str, template: str) -> str:
    """Return a template as seen from the server's root, where the application is not."""
    root = scope.get("app_root_path", scope.get("root_path"))
    return f"{root}{template}" if root and path.startswith(f"{root}/") else template


@lru_cache
def framework(kind: type) -> dict[str, str]:
    """Return the fields that tell which framework an application of *kind* is made with, or what it is derived from."""
    packages = [str(each.__module__).partition(".")[0] for each in kind.__mro__]
    name = next((package for package in packages if package in FRAMEWORKS), packages[0])
    try:
        return {"framework.name": name, "framework.version": version(name)}
    except PackageNotFoundError:
        return {"framework.name": name}
