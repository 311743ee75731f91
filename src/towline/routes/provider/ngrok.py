"""`ngrok`: a TCP port (which asks for a payment card) or a URL (which does not).

By the `ngrok` package where it is installed, in a process of its own; else by the agent's program.
The token goes to either in its environment.
"""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

from towline.core.address import Address, Tcp, WebSocket, split_place
from towline.routes.base import About, Route, Setting, Surroundings, Tunnel, opening
from towline.routes.bridge import open_bridge
from towline.routes.errors import Saying
from towline.routes.program import open_program

TOKEN = Setting("ngrok.authtoken", "NGROK_AUTHTOKEN", "the token of your account", secret=True)
TYPE = Setting(
    "ngrok.type", "TOWLINE_NGROK_TYPE", "tcp, or http: without a payment card", default="tcp"
)
URL = Setting("ngrok.url", "TOWLINE_NGROK_URL", "an address that you have reserved there")

SDK = """\
import json, os, sys, threading
import ngrok
options = {"addr": sys.argv[1], "proto": sys.argv[2], "authtoken": os.environ["NGROK_AUTHTOKEN"]}
if len(sys.argv) > 3:
    options["remote_addr" if sys.argv[2] == "tcp" else "domain"] = sys.argv[3].split("://")[-1]
try:
    listener = ngrok.forward(**options)
except Exception as error:
    print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
    os._exit(1)  # An orderly end would wait for, or trip over, its own threads.
print(json.dumps({"msg": "started tunnel", "url": listener.url()}), flush=True)
threading.Event().wait()
"""

SAYINGS = (
    Saying(
        r"ERR_NGROK_8013",
        "ngrok gives TCP only to accounts with a payment card",
        "add one at dashboard.ngrok.com, or set TOWLINE_NGROK_TYPE=http",
    ),
    Saying(
        r"ERR_NGROK_(?:105|107|4018)\b",
        "ngrok does not accept the token",
        "copy it again from dashboard.ngrok.com into NGROK_AUTHTOKEN",
    ),
    Saying(
        r"ERR_NGROK_(?:108|334)\b",
        "ngrok has another agent or endpoint of yours online, and the plan allows no more",
        "end it at dashboard.ngrok.com, or wait a minute if it was this machine",
        passing=True,
    ),
    Saying(
        r"ERR_NGROK_12[01]\b",
        "this ngrok is too old for its servers",
        "install a newer one",
    ),
    Saying(
        r"(?i)no such host|dial tcp|failed to (?:connect|establish)|network is unreachable",
        "ngrok cannot be reached",
        "some notebook platforms block it: use another route",
        passing=True,
    ),
)


class Ngrok(Route):
    about = About(
        name="ngrok",
        needs="an account and NGROK_AUTHTOKEN; the ngrok package or its agent",
        limits="free: 1 GB a month, 3 endpoints; TCP only with a payment card",
        cost="free, or a plan",
        settings=(TOKEN, TYPE, URL),
    )

    def is_configured(self, around: Surroundings) -> bool:
        return around.is_set(TOKEN)

    def why_not(self, around: Surroundings) -> str:
        if not around.is_set(TOKEN):
            return f"set {TOKEN.variable} to {TOKEN.help}"
        if around.value(TYPE) not in ("tcp", "http"):
            return f"{TYPE.variable}: tcp or http"
        if not re.fullmatch(r"((tcp|https)://)?[a-z0-9.:-]*", around.value(URL)):
            return f"{URL.variable}: not an address"
        if not (_has_sdk() or around.find("ngrok")):
            return "there is neither the ngrok package nor its agent: pip install ngrok"
        return ""

    def open(self, port: int, around: Surroundings) -> AbstractAsyncContextManager[Tunnel]:
        return _open(port, around)


def _has_sdk() -> bool:
    return importlib.util.find_spec("ngrok") is not None


@asynccontextmanager
async def _open(port: int, around: Surroundings) -> AsyncGenerator[Tunnel]:
    async with AsyncExitStack() as stack:
        find: Callable[[str], Address | None] = _tcp
        if around.value(TYPE) == "http":
            bridge = await stack.enter_async_context(open_bridge(port))
            port, token = bridge.port, bridge.token
            find = lambda line: _websocket(line, token)  # noqa: E731
        environment = {**around.environment, TOKEN.variable: around.value(TOKEN)}
        program = await stack.enter_async_context(
            open_program("ngrok", _argv(port, around), environment, SAYINGS)
        )
        async with opening("ngrok"):
            address = await program.wait_for(find)
        yield Tunnel(address, program.wait_ended)  # type: ignore[arg-type] # mypy joins the union.


def _argv(port: int, around: Surroundings) -> list[str]:
    kind, url = around.value(TYPE), around.value(URL)
    agent = around.find("ngrok")
    if agent and not _has_sdk():
        named = ("--url", url) if url else ()
        return [agent, kind, str(port), "--log", "stdout", "--log-format", "json", *named]
    return [sys.executable, "-c", SDK, f"localhost:{port}", kind, *((url,) if url else ())]


def _started(line: str) -> str:
    """The URL of a line of JSON that tells of a tunnel, or nothing."""
    try:
        said: Any = json.loads(line)
        return str(said["url"]) if said["msg"] == "started tunnel" else ""
    except (ValueError, KeyError, TypeError):
        return ""


def _tcp(line: str) -> Tcp | None:
    scheme, _, place = _started(line).partition("://")
    return Tcp(*split_place(place)) if scheme == "tcp" else None


def _websocket(line: str, token: str) -> WebSocket | None:
    scheme, _, host = _started(line).partition("://")
    return WebSocket(host.rstrip("/"), token=token) if scheme == "https" else None


ROUTE = Ngrok()
