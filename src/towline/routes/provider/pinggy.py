"""`pinggy`: a public TCP port by `ssh -R`, free for an hour at a time."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

from towline.core.address import Tcp
from towline.routes.base import About, Route, Setting, Surroundings, Tunnel, opening
from towline.routes.errors import Saying
from towline.routes.reverse import (
    NO_SSH,
    check_pin,
    open_reverse,
    parse_server,
    plain,
    why_no_server,
)

TOKEN = Setting("pinggy.token", "PINGGY_TOKEN", "the token of a paid account", secret=True)
SERVER = Setting(
    "pinggy.server", "TOWLINE_PINGGY_SERVER", "its server", default="free.pinggy.io:443"
)
HOST_KEY = Setting(
    "pinggy.host_key",
    "TOWLINE_PINGGY_HOST_KEY",
    "its host key's fingerprint",
    default="SHA256:nFd5rfJMGuZXvfeRzJ/BtT3TfksAxTWMajcrHRcI7AM",
)

ADDRESS = re.compile(
    r"tcp://([a-z0-9.-]+\.(?:pinggy-free\.link|pinggy\.link|pinggy\.online|pinggy\.net)):(\d+)"
)

PAID_SERVER = "pro.pinggy.io:443"

SAYINGS = (
    Saying(
        r"(?i)tunnel (?:has )?(?:expired|timed? ?out)|Connection to \S+ closed by remote host",
        "the hour of a free tunnel is over, or the server closed it",
        "a new one gets a new address; a token (PINGGY_TOKEN) keeps it open",
        passing=True,
    ),
    Saying(
        r"(?i)too many|already (?:active|in use|running)",
        "another tunnel of this account or network is open",
        "end it, or wait until its hour is over",
        passing=True,
    ),
)


class Pinggy(Route):
    about = About(
        name="pinggy",
        needs="ssh",
        limits="60 minutes at a time without an account, then a new address",
        cost="free; a paid account lifts the limit",
        settings=(TOKEN, SERVER, HOST_KEY),
        rank=20,
    )

    def is_configured(self, around: Surroundings) -> bool:
        return around.is_set(TOKEN)

    def why_not(self, around: Surroundings) -> str:
        if not around.find("ssh"):
            return NO_SSH
        if not re.fullmatch(r"\w*", around.value(TOKEN)):
            return f"{TOKEN.variable}: not a token"
        return why_no_server(around.value(SERVER), SERVER.variable)

    def open(self, port: int, around: Surroundings) -> AbstractAsyncContextManager[Tunnel]:
        return _open(port, around)


@asynccontextmanager
async def _open(port: int, around: Surroundings) -> AsyncGenerator[Tunnel]:
    paid = around.is_set(TOKEN) and not around.is_set(SERVER)
    place = PAID_SERVER if paid else around.value(SERVER)
    server = parse_server(place, fingerprint=around.value(HOST_KEY), rsa=HOST_KEY.default)
    # What it is to do is the name of the user; `force` takes over what is left of the last time.
    token = around.value(TOKEN)
    server = replace(server, user=f"{token}+tcp+force" if token else "tcp")
    forward = f"0:127.0.0.1:{port}"
    async with open_reverse(
        "pinggy", around, server, forward, listen=True, sayings=SAYINGS
    ) as program:
        async with opening("pinggy"):
            address = await program.wait_for(_address)
        check_pin(around, "pinggy", server)
        yield Tunnel(address, program.wait_ended)


def _address(line: str) -> Tcp | None:
    """The "Allocated port" that ssh says before it is not the public one."""
    match = ADDRESS.search(plain(line))
    return Tcp(match[1], int(match[2])) if match else None


ROUTE = Pinggy()
