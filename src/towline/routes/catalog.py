"""Which routes there are: one for each file in `provider`, in the order that `auto` tries."""

from __future__ import annotations

import functools
import importlib
import pkgutil

from towline.routes import provider
from towline.routes.base import Route
from towline.routes.errors import RouteError


@functools.cache
def routes() -> tuple[Route, ...]:
    """Return every route: first those that `auto` takes unasked, then by name."""
    found = [
        importlib.import_module(f"{provider.__name__}.{module.name}").ROUTE
        for module in pkgutil.iter_modules(provider.__path__)
    ]
    return tuple(sorted(found, key=_place))


def _place(route: Route) -> tuple[bool, int, str]:
    rank = route.about.rank
    return rank is None, rank or 0, route.name


def route_named(name: str) -> Route:
    """Raises `RouteError` if there is none of this name."""
    for route in routes():
        if route.name == name:
            return route
    known = ", ".join(route.name for route in routes())
    raise RouteError(f"there is no route {name!r}", f"there are: {known}")
