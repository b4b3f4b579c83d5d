"""Every route of the app, those of included routers too, and the methods that a path has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from starlette.routing import BaseRoute, Route


def leaves(routes: Iterable[BaseRoute]) -> Iterator[Route]:
    """The routes themselves: FastAPI keeps included routers as a tree."""
    for route in routes:
        if isinstance(route, Route):
            yield route
        router = getattr(route, "original_router", None)
        if router is not None:
            yield from leaves(router.routes)


def methods_of(routes: Iterable[BaseRoute], path: str) -> str:
    """The ``Allow`` field of a path (RFC 9110): what any of its routes answers, not only the first one's."""
    found: set[str] = set()
    for route in leaves(routes):
        if route.path_regex.match(path):
            found |= route.methods or set()
    return ", ".join(sorted(found))
