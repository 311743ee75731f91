"""`localhost.run`: a URL by `ssh -R`, without an account; SSH goes over our bridge."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any

from towline.core.address import WebSocket, check_host
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
    check_pin,
    open_reverse,
)

KEY = Setting(
    "localhost.run.key", "TOWLINE_LOCALHOST_RUN_KEY", "a registered key, for a name that lasts"
)
SERVER = Setting(
    "localhost.run.server", "TOWLINE_LOCALHOST_RUN_SERVER", "its server", default="localhost.run"
)
HOST_KEY = Setting(
    "localhost.run.host_key",
    "TOWLINE_LOCALHOST_RUN_HOST_KEY",
    "its host key's fingerprint",
    default="SHA256:FV8IMJ4IYjYUTnd6on7PqbRjaZf4c1EhhEBgeUdE94I",
)
LOGIN = Login(SERVER, KEY, HOST_KEY)
NAME = "localhost.run"

SAYINGS = (
    Saying(
        r"Permission denied \(publickey\)",
        "localhost.run does not know the key",
        "register it there, or unset TOWLINE_LOCALHOST_RUN_KEY to go without one",
    ),
)


class LocalhostRun(WebRoute):
    about = About(
        name=NAME,
        needs="ssh",
        limits="slow, and the name changes after a few hours",
        cost="free; a domain of your own costs",
        carries=Carries.HTTP,
        settings=(KEY, SERVER, HOST_KEY),
        rank=40,
    )

    def is_configured(self, around: Surroundings) -> bool:
        return around.is_set(KEY)

    def why_not(self, around: Surroundings) -> str:
        if not around.find("ssh"):
            return NO_SSH
        return LOGIN.why_not(around)

    def open(self, port: int, around: Surroundings) -> AbstractAsyncContextManager[Tunnel]:
        return _open(port, around)

    def open_web(self, port: int, around: Surroundings) -> AbstractAsyncContextManager[Web]:
        return _open_web(port, around)


@asynccontextmanager
async def _open(port: int, around: Surroundings) -> AsyncGenerator[Tunnel]:
    async with open_bridge(port) as bridge, _reverse(bridge.port, around) as (host, program):
        yield Tunnel(WebSocket(host, token=bridge.token), program.wait_ended)


@asynccontextmanager
async def _open_web(port: int, around: Surroundings) -> AsyncGenerator[Web]:
    async with _reverse(port, around) as (host, program):
        yield Web(host, program.wait_ended)


@asynccontextmanager
async def _reverse(port: int, around: Surroundings) -> AsyncGenerator[tuple[str, Program]]:
    """Lead visitors of a host to the port; yield its name."""
    server = LOGIN.read(around)
    if not server.key and not server.user:
        server = replace(server, user="nokey")
    forward = f"80:127.0.0.1:{port}"
    command = ("--output", "json")
    async with open_reverse(
        NAME, around, server, forward, command=command, sayings=SAYINGS
    ) as program:
        async with opening(NAME):
            host = await program.wait_for(_host)
        check_pin(around, NAME, server)
        yield host, program


def _host(line: str) -> str | None:
    """One JSON object a line; the one that tells of the forward names the host."""
    try:
        said: Any = json.loads(line)
        stands = said["event"] == "tcpip-forward" and said["status"] == "success"
        host = str(said["address"]) if stands else None
    except (ValueError, KeyError, TypeError):
        return None
    return _checked(host) if host is not None else None


def _checked(host: str) -> str:
    check_host(host)
    return host


ROUTE = LocalhostRun()
