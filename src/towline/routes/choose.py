"""`auto`: which routes to try, in which order, and to go on to the next when one fails.

What the person has set up comes first: it is stable and theirs. Then those that need no account,
one at a time: each public way in is one more place where strangers can knock.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from towline.core.address import Address
from towline.routes.base import Route, Surroundings, Tunnel
from towline.routes.errors import RouteError

Verify = Callable[[Address], Awaitable[None]]
"""Looks from outside whether the machine is there. Raises `RouteError` where it is not."""

Tell = Callable[[str], None]
"""Is told, in a sentence, what did not work and what is tried."""


def candidates(known: Sequence[Route], around: Surroundings) -> list[Route]:
    """Return what can be tried here: what is configured, then what `auto` takes unasked."""
    usable = [route for route in known if not route.why_not(around)]
    configured = [route for route in usable if route.is_configured(around)]
    unasked = [route for route in usable if route.about.rank is not None]
    return configured + [route for route in unasked if route not in configured]


@asynccontextmanager
async def open_first(
    order: Sequence[Route],
    port: int,
    around: Surroundings,
    verify: Verify,
    tell: Tell = lambda _sentence: None,
) -> AsyncGenerator[tuple[Route, Tunnel]]:
    """Open the first route that opens and is seen from outside. Raises `RouteError` if none is."""
    async with AsyncExitStack() as stack:
        yield await _open_first(stack, order, port, around, verify, tell)


async def _open_first(
    stack: AsyncExitStack,
    order: Sequence[Route],
    port: int,
    around: Surroundings,
    verify: Verify,
    tell: Tell,
) -> tuple[Route, Tunnel]:
    failures: list[RouteError] = []
    for route in order:
        tell(f"trying {route.name}")
        attempt = AsyncExitStack()
        try:
            tunnel = await attempt.enter_async_context(route.open(port, around))
            await verify(tunnel.address)
        except RouteError as error:
            await attempt.aclose()
            failures.append(error)
            tell(error.message)
            continue
        except BaseException:
            await attempt.aclose()
            raise
        stack.push_async_exit(attempt)
        return route, tunnel
    raise _none_opened(failures)


def _none_opened(failures: Sequence[RouteError]) -> RouteError:
    if len(failures) == 1:
        return failures[0]
    if not failures:
        return RouteError(
            "no way in can be tried here", "`towline routes` says what each one needs"
        )
    return RouteError(
        "no way in opened: " + "; ".join(error.message for error in failures),
        "; ".join(dict.fromkeys(error.hint for error in failures if error.hint)),
        passing=any(error.passing for error in failures),
    )
