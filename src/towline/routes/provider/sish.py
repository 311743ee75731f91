"""`sish`: a server of one's own or tuns.sh; a public TCP port, or an alias that only it knows."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from towline.core.address import Address, BadAddressError, Jump, Tcp, check_host, split_place
from towline.routes.base import About, Route, Setting, Surroundings, Tunnel, opening
from towline.routes.errors import Saying
from towline.routes.reverse import (
    NO_SSH,
    Login,
    Server,
    check_pin,
    open_reverse,
    plain,
)

SERVER = Setting("sish.server", "TOWLINE_SISH_SERVER", "[user@]host[:port] of the sish server")
KEY = Setting("sish.key", "TOWLINE_SISH_KEY", "the file with the private key that it knows")
HOST_KEY = Setting(
    "sish.host_key", "TOWLINE_SISH_HOST_KEY", "its host key's fingerprint, SHA256:…; else the first"
)
ALIAS = Setting(
    "sish.alias", "TOWLINE_SISH_ALIAS", "a name that only that server knows; no public port then"
)
LOGIN = Login(SERVER, KEY, HOST_KEY)
PORT = "2222"  # Asked for; the server gives any other that is free.

TCP = re.compile(r"\bTCP: (\S+)")
TCP_ALIAS = re.compile(r"\bTCP Alias: (\S+)")

SAYINGS = (
    Saying(
        r"The TCP port \d+ is unavailable",
        "the server does not give that port",
        "try again, or set an alias (TOWLINE_SISH_ALIAS)",
        passing=True,
    ),
    Saying(
        r"(?i)alias \S+ is (?:unavailable|already)",
        "another connection has that alias",
        "choose another one, or wait a minute until the old connection is let go",
        passing=True,
    ),
)


class Sish(Route):
    about = About(
        name="sish",
        needs="a sish server of yours, or an account at tuns.sh, and a key that it knows",
        limits="as the server is set up; an alias needs its --tcp-aliases",
        cost="that server, or that account",
        settings=(SERVER, KEY, HOST_KEY, ALIAS),
    )

    def is_configured(self, around: Surroundings) -> bool:
        return around.is_set(SERVER)

    def why_not(self, around: Surroundings) -> str:
        if not around.find("ssh"):
            return NO_SSH
        if not around.is_set(SERVER):
            return f"set {SERVER.variable} to {SERVER.help}"
        try:
            check_host(around.value(ALIAS) or "none")
        except BadAddressError as error:
            return f"{ALIAS.variable}: {error}"
        return LOGIN.why_not(around)

    def open(self, port: int, around: Surroundings) -> AbstractAsyncContextManager[Tunnel]:
        return _open(port, around)


@dataclass(frozen=True, slots=True)
class _Announced:
    server: Server

    def __call__(self, line: str) -> Address | None:
        text = plain(line)
        if match := TCP.search(text):
            return Tcp(*split_place(match[1]))
        if match := TCP_ALIAS.search(text):
            name = match[1].partition(":")[0]
            return Jump(self.server.user, self.server.host, self.server.port, name, 22)
        return None


@asynccontextmanager
async def _open(port: int, around: Surroundings) -> AsyncGenerator[Tunnel]:
    server = LOGIN.read(around)
    alias = around.value(ALIAS)
    forward = f"{alias}:22:127.0.0.1:{port}" if alias else f"{PORT}:127.0.0.1:{port}"
    announced: Callable[[str], Address | None] = _Announced(server)
    async with open_reverse(
        "sish", around, server, forward, listen=True, sayings=SAYINGS
    ) as program:
        async with opening("sish"):
            address = await program.wait_for(announced)
        check_pin(around, "sish", server)
        yield Tunnel(address, program.wait_ended)  # type: ignore[arg-type] # mypy joins the union.


ROUTE = Sish()
