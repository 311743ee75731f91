"""A public address for a port of this laptop, for a time: through a provider that carries HTTP.

What answers behind it must ask for a secret; that is its caller's to see to. The address is gone
when the time is over, when the provider ends it, and when this process does, however it does.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AsyncExitStack

import anyio

from towline.errors import ExitCode, UserError
from towline.places import ensure_private, state_dir
from towline.routes.base import Route, Surroundings, WebRoute
from towline.routes.catalog import routes
from towline.routes.errors import RouteError

Tell = Callable[[str], None]


def publish(port: int, seconds: float, told: Tell, say: Tell) -> str:
    """Tell the address, and return why it ended. Raises UserError if there is none."""
    around = Surroundings(ensure_private(state_dir() / "routes"), dict(os.environ))
    return anyio.run(_publish, port, seconds, told, say, around)


def web_routes(around: Surroundings) -> list[Route]:
    """Return the routes that can carry a page from here, in the order in which to try them."""
    usable = [r for r in routes() if isinstance(r, WebRoute) and not r.why_not(around)]
    return sorted(usable, key=lambda route: (not route.is_configured(around), route.about.rank))


async def _publish(port: int, seconds: float, told: Tell, say: Tell, around: Surroundings) -> str:
    failures: list[str] = []
    for route in web_routes(around):
        assert isinstance(route, WebRoute)
        async with AsyncExitStack() as stack:
            say(f"trying {route.name}")
            try:
                web = await stack.enter_async_context(route.open_web(port, around))
            except RouteError as error:
                failures.append(error.message)
                say(error.message)
                continue
            told(web.url)
            with anyio.move_on_after(seconds):
                return f"the public address is gone: {await web.wait_ended()}"
            return "the public address is gone: its time is over"
    raise UserError(
        "no public address: " + ("; ".join(failures) or "no route that carries pages works here"),
        "cloudflared, localhost.run and serveo carry pages; `towline routes` says what they need",
        ExitCode.UNAVAILABLE,
    )
