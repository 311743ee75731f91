"""`localhost.run`: a URL by `ssh -R`, without an account; SSH goes over our bridge."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from towline.core.address import WebSocket
from towline.routes.base import About, Carries, Route, Setting, Surroundings, Tunnel, opening
from towline.routes.bridge import open_bridge
from towline.routes.errors import Saying
from towline.routes.reverse import (
    NO_SSH,
    check_pin,
    open_reverse,
    parse_server,
    why_no_key,
    why_no_server,
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
NAME = "localhost.run"

SAYINGS = (
    Saying(
        r"Permission denied \(publickey\)",
        "localhost.run does not know the key",
        "register it there, or unset TOWLINE_LOCALHOST_RUN_KEY to go without one",
    ),
)


class LocalhostRun(Route):
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
        return why_no_server(around.value(SERVER), SERVER.variable) or why_no_key(
            around.value(KEY), KEY.variable
        )

    def open(self, port: int, around: Surroundings) -> AbstractAsyncContextManager[Tunnel]:
        return _open(port, around)


@asynccontextmanager
async def _open(port: int, around: Surroundings) -> AsyncGenerator[Tunnel]:
    path = around.value(KEY)
    key = around.private_copy("localhost.run.key", Path(path)) if path else None
    server = parse_server(
        around.value(SERVER), fingerprint=around.value(HOST_KEY), key=key, rsa=HOST_KEY.default
    )
    if not key and not server.user:
        server = replace(server, user="nokey")
    async with open_bridge(port) as bridge:
        forward = f"80:127.0.0.1:{bridge.port}"
        command = ("--output", "json")
        async with open_reverse(
            NAME, around, server, forward, command=command, sayings=SAYINGS
        ) as program:
            async with opening(NAME):
                address = await program.wait_for(lambda line: _address(line, bridge.token))
            check_pin(around, NAME, server)
            yield Tunnel(address, program.wait_ended)


def _address(line: str, token: str) -> WebSocket | None:
    host = _host(line)
    return WebSocket(host, token=token) if host is not None else None


def _host(line: str) -> str | None:
    """One JSON object a line; the one that tells of the forward names the host."""
    try:
        said: Any = json.loads(line)
        stands = said["event"] == "tcpip-forward" and said["status"] == "success"
        return str(said["address"]) if stands else None
    except (ValueError, KeyError, TypeError):
        return None


ROUTE = LocalhostRun()
