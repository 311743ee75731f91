"""`serveo`: an alias that only serveo.net knows, or a URL that carries SSH over our bridge."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from towline.core.address import BadAddressError, Jump, WebSocket, check_host
from towline.routes.base import (
    About,
    Carries,
    Setting,
    Surroundings,
    Tunnel,
    Web,
    WebRoute,
    opening,
)
from towline.routes.bridge import open_bridge
from towline.routes.errors import Saying
from towline.routes.program import Program
from towline.routes.reverse import (
    NO_SSH,
    Login,
    Server,
    check_pin,
    forward_stands,
    open_reverse,
    plain,
)

ALIAS = Setting(
    "serveo.alias", "TOWLINE_SERVEO_ALIAS", "a name there; the laptop hops through serveo.net"
)
KEY = Setting("serveo.key", "TOWLINE_SERVEO_KEY", "the private key that is registered there")
SERVER = Setting("serveo.server", "TOWLINE_SERVEO_SERVER", "its server", default="serveo.net")
HOST_KEY = Setting(
    "serveo.host_key",
    "TOWLINE_SERVEO_HOST_KEY",
    "its host key's fingerprint",
    default="SHA256:07jcXlJ4SkBnyTmaVnmTpXuBiRx2+Q2adxbttO9gt0M",
)
LOGIN = Login(SERVER, KEY, HOST_KEY)

URL = re.compile(r"Forwarding HTTP traffic from https://([^\s/]+)")
NOT_OURS = "console.serveo.net"  # Where a key is registered; named in the same output.

SAYINGS = (
    Saying(
        r"remote port forwarding failed for listen port 0",
        "serveo gives no TCP port to visitors without an account",
        "register a key there, or let it carry SSH over its URL",
    ),
    Saying(
        r"console\.serveo\.net/ssh/keys\?add=",
        "serveo wants a key that is registered",
        "register one at console.serveo.net and set TOWLINE_SERVEO_KEY",
    ),
)


class Serveo(WebRoute):
    about = About(
        name="serveo",
        needs="ssh; for an alias perhaps a registered key",
        limits="one server, often down; the name of a URL changes",
        cost="free; an account for more",
        carries=Carries.HTTP,
        settings=(ALIAS, KEY, SERVER, HOST_KEY),
        rank=50,
    )

    def is_configured(self, around: Surroundings) -> bool:
        return around.is_set(ALIAS)

    def why_not(self, around: Surroundings) -> str:
        if not around.find("ssh"):
            return NO_SSH
        try:
            check_host(around.value(ALIAS) or "none")
        except BadAddressError as error:
            return f"{ALIAS.variable}: {error}"
        return LOGIN.why_not(around)

    def open(self, port: int, around: Surroundings) -> AbstractAsyncContextManager[Tunnel]:
        if alias := around.value(ALIAS):
            return _open_alias(port, around, _server(around), alias)
        return _open_url(port, around)

    def open_web(self, port: int, around: Surroundings) -> AbstractAsyncContextManager[Web]:
        return _open_web(port, around)


def _server(around: Surroundings) -> Server:
    return LOGIN.read(around)


@asynccontextmanager
async def _open_alias(
    port: int, around: Surroundings, server: Server, alias: str
) -> AsyncGenerator[Tunnel]:
    forward = f"{alias}:22:127.0.0.1:{port}"
    async with open_reverse(
        "serveo", around, server, forward, listen=True, sayings=SAYINGS
    ) as program:
        async with opening("serveo"):
            await program.wait_for(forward_stands)
        check_pin(around, "serveo", server)
        yield Tunnel(Jump("", server.host, server.port, alias, 22), program.wait_ended)


@asynccontextmanager
async def _open_url(port: int, around: Surroundings) -> AsyncGenerator[Tunnel]:
    async with open_bridge(port) as bridge, _reverse(bridge.port, around) as (host, program):
        yield Tunnel(WebSocket(host, token=bridge.token), program.wait_ended)


@asynccontextmanager
async def _open_web(port: int, around: Surroundings) -> AsyncGenerator[Web]:
    async with _reverse(port, around) as (host, program):
        yield Web(host, program.wait_ended)


@asynccontextmanager
async def _reverse(port: int, around: Surroundings) -> AsyncGenerator[tuple[str, Program]]:
    """Lead visitors of a host to the port; yield its name."""
    server = _server(around)
    forward = f"80:127.0.0.1:{port}"
    async with open_reverse(
        "serveo", around, server, forward, listen=True, sayings=SAYINGS
    ) as program:
        async with opening("serveo"):
            host = await program.wait_for(_host)
        check_pin(around, "serveo", server)
        yield host, program


def _host(line: str) -> str | None:
    match = URL.search(plain(line))
    if match is None or match[1] == NOT_OURS:
        return None
    check_host(match[1])
    return match[1]


ROUTE = Serveo()
