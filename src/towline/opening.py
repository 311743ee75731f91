"""How a way in to this machine is opened: a route, or of `auto` the first that works.

Each is seen from outside before it is believed, by the code that a laptop uses, and looked at again
while it is open: a tunnel may stand and lead nowhere. It runs in the supervisor.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio
import asyncssh

from towline.core.address import Address, Jump, Visit
from towline.machine.place import Place, write_private
from towline.machine.supervise import Request
from towline.machine.ways import OpenWay, Tell
from towline.places import ensure_private, state_dir
from towline.routes.base import Route, Surroundings, Tunnel
from towline.routes.catalog import route_named, routes
from towline.routes.choose import candidates, open_first
from towline.routes.errors import RouteError

AUTO = "auto"
PROXY = (sys.executable, "-P", "-m", "towline.proxy")
VERIFY_S = 20.0  # For a new name to be known to DNS; most ways in are there at once.
LOOK_EVERY_S = 60.0  # At a way in that is open.
LOOKS = 2  # That fail, one after the other, before it counts as lost: one may be our own network.


Look = Callable[[], Awaitable[str | None]]
"""Returns why the machine is not seen from outside, None if it is; `RouteError` if another is."""


class OpenRoute:
    """A route's tunnel, in the supervisor's words; it is looked at whether it still leads here."""

    def __init__(self, name: str, tunnel: Tunnel, look: Look) -> None:
        self.route = name
        self.address = tunnel.address
        self._tunnel = tunnel
        self._look = look
        self._reason = ""

    async def wait_ended(self) -> str:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._wait, self._tunnel.wait_ended, tasks.cancel_scope)
            tasks.start_soon(self._wait, self._wait_lost, tasks.cancel_scope)
        return self._reason

    async def _wait(self, ended: Callable[[], Awaitable[str]], both: anyio.CancelScope) -> None:
        self._reason = await ended()
        both.cancel()

    async def _wait_lost(self) -> str:
        failed = 0
        while True:
            await anyio.sleep(LOOK_EVERY_S)
            try:
                reason = await self._look()
            except RouteError as error:
                return error.message
            failed = failed + 1 if reason else 0
            if failed == LOOKS:
                return f"{self.route}: it leads here no more: {reason}"


class Opener:
    """Opens ways in for one supervisor. What stands elsewhere already is not opened twice."""

    def __init__(self, place: Place, request: Request) -> None:
        self._place = place
        self._request = request
        directory = ensure_private(state_dir() / "routes")  # What was downloaded serves all.
        self._around = Surroundings(directory, request.environment, request.settings)
        self._last = ""  # What `auto` opened last: its address may be had again.

    @asynccontextmanager
    async def __call__(
        self, wanted: str, port: int, host_key: str, tell: Tell
    ) -> AsyncGenerator[OpenRoute]:
        async def verify(address: Address) -> None:
            await verify_from_outside(address, host_key, self._place)

        order, around = self._order(wanted), replace(self._around, warn=tell)
        async with open_first(order, port, around, verify, tell) as (route, tunnel):
            if wanted == AUTO:
                self._last = route.name
            look = partial(look_from_outside, tunnel.address, host_key, self._place)
            yield OpenRoute(route.name, tunnel, look)

    def _order(self, wanted: str) -> Sequence[Route]:
        if wanted != AUTO:
            route = route_named(wanted)
            if why := route.why_not(self._around):
                raise RouteError(f"the route {wanted} cannot be opened here: {why}")
            return [route]
        usable = candidates(routes(), self._around)
        others = [route for route in usable if route.name not in self._request.routes]
        return sorted(others, key=lambda route: route.name != self._last)


def opener(place: Place, request: Request) -> OpenWay:
    return Opener(place, request)


async def verify_from_outside(address: Address, host_key: str, place: Place) -> None:
    """See whether our host key is at an address, by the code that a laptop uses. Raises RouteError.

    Where only the laptop's own keys or programs lead there, its owner will see.
    """
    ends_at = anyio.current_time() + VERIFY_S
    while (reason := await look_from_outside(address, host_key, place)) is not None:
        if anyio.current_time() >= ends_at:
            raise RouteError(f"{place_of(address)} does not lead here: {reason}", passing=True)
        await anyio.sleep(1.0)


async def look_from_outside(address: Address, host_key: str, place: Place) -> str | None:
    """Return why our host key is not seen there, None if it is. Another one is final."""
    if isinstance(address, Jump | Visit):
        return None
    file = place.directory / f"look.{os.urandom(4).hex()}"  # It may hold a token: not in an argv.
    try:
        write_private(file, str(address))
        line = await _host_key_behind(file)
    except (OSError, TimeoutError, asyncssh.Error) as error:
        return str(error) or "nobody answers"
    finally:
        file.unlink(missing_ok=True)
    if line.split()[:2] == host_key.split()[:2]:
        return None
    raise RouteError(
        f"behind {place_of(address)} is another machine than this one",
        "the address leads somewhere else; choose another route",
    )


async def _host_key_behind(addresses: Path) -> str:
    command = [*PROXY, "--from", str(addresses), "this-machine"]
    with anyio.fail_after(VERIFY_S):
        found = await asyncssh.get_server_host_key(
            "this-machine", config=None, proxy_command=command
        )
    return found.export_public_key().decode() if found else ""


def place_of(address: Address) -> str:
    """Return an address as it may be shown: without what a token would be."""
    return str(address).partition("#")[0]
