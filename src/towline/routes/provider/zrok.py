"""`zrok`: a private share between two that have joined the same zrok; nothing is public."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from towline.core.address import Visit
from towline.routes.base import About, Route, Setting, Surroundings, Tunnel, opening
from towline.routes.errors import Saying
from towline.routes.program import open_program

SHARE = Setting("zrok.share", "TOWLINE_ZROK_SHARE", "a share token of yours, so that it stays")

ACCESS = re.compile(r"zrok2? access private ([A-Za-z0-9][A-Za-z0-9-]*)")
TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")

SAYINGS = (
    Saying(
        r"(?i)unable to load environment|not enabled|enable your environment",
        "this machine has not joined zrok",
        "run `zrok2 enable` here once, and on the laptop",
    ),
    Saying(
        r"(?i)unauthorized|invalid token|\b401\b",
        "zrok does not accept this environment any more",
        "run `zrok2 disable`, then `zrok2 enable` with a valid token",
    ),
    Saying(r"(?i)limit", "the account's limit is reached", "end other shares, or wait"),
)


class Zrok(Route):
    about = About(
        name="zrok",
        needs="zrok2 and an account; `zrok2 enable` done on both sides",
        limits="private shares only carry TCP; the account's bandwidth",
        cost="free for some GB a day, or a server of yours",
        laptop="zrok2, enabled",
        settings=(SHARE,),
    )

    def why_not(self, around: Surroundings) -> str:
        if not around.find("zrok2"):
            return "there is no zrok2 program: install zrok and run `zrok2 enable`"
        if around.is_set(SHARE) and not TOKEN.fullmatch(around.value(SHARE)):
            return f"{SHARE.variable}: not a share token"
        return ""

    def open(self, port: int, around: Surroundings) -> AbstractAsyncContextManager[Tunnel]:
        return _open(port, around)


@asynccontextmanager
async def _open(port: int, around: Surroundings) -> AsyncGenerator[Tunnel]:
    share = around.value(SHARE)
    argv = [
        *(around.find("zrok2") or "zrok2", "share", "private", "--headless"),
        *("--backend-mode", "tcpTunnel"),
        *(("--share-token", share) if share else ()),
        f"127.0.0.1:{port}",
    ]
    async with open_program("zrok", argv, around.environment, SAYINGS) as program:
        async with opening("zrok"):
            address = await program.wait_for(_address)
        yield Tunnel(address, program.wait_ended)


def _address(line: str) -> Visit | None:
    match = ACCESS.search(line)
    return Visit("zrok", match[1]) if match else None


ROUTE = Zrok()
