"""`frp`: an frps server of one's own; secret (stcp) unless a public port is asked for.

By frpc where it is installed, else, where the server has an SSH gateway, by ssh alone.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from towline.core.address import Address, BadAddressError, Tcp, Visit, split_place
from towline.routes.base import About, Route, Setting, Surroundings, Tunnel, opening
from towline.routes.errors import RouteError, Saying
from towline.routes.program import Program, open_program
from towline.routes.reverse import check_pin, open_reverse, parse_server, plain, why_no_server

SERVER_PORT = 7000

SERVER = Setting("frp.server", "TOWLINE_FRP_SERVER", "host[:port] of your frps")
TOKEN = Setting("frp.token", "TOWLINE_FRP_TOKEN", "its auth.token", secret=True)
TYPE = Setting("frp.type", "TOWLINE_FRP_TYPE", "stcp, or tcp: a public port", default="stcp")
PORT = Setting("frp.port", "TOWLINE_FRP_PORT", "the public port, for tcp")
NAME = Setting("frp.name", "TOWLINE_FRP_NAME", "the name of the proxy there", default="towline")
SECRET = Setting(
    "frp.secret", "TOWLINE_FRP_SECRET", "what visitors must know; else one is made", secret=True
)
GATEWAY = Setting("frp.gateway", "TOWLINE_FRP_GATEWAY", "[user@]host:port of its SSH gateway")
KEY = Setting("frp.key", "TOWLINE_FRP_KEY", "the private key that the gateway knows")
HOST_KEY = Setting("frp.host_key", "TOWLINE_FRP_HOST_KEY", "the gateway's fingerprint, SHA256:…")

WORD = re.compile(r"[A-Za-z0-9_-]{1,64}")

CONFIGURATION = """\
serverAddr = "{host}"
serverPort = {port}
loginFailExit = true
auth.token = "{token}"
log.to = "console"
log.disablePrintColor = true

[[proxies]]
name = "{name}"
type = "{kind}"
localIP = "127.0.0.1"
localPort = {local}
{rest}
"""

SAYINGS = (
    Saying(
        r"token in login doesn't match|authorization failed",
        "the server wants another token",
        "set TOWLINE_FRP_TOKEN to its auth.token",
    ),
    Saying(
        r"start error: port (?:already used|not allowed|unavailable)",
        "the server does not give that port",
        "choose another one (TOWLINE_FRP_PORT), or stcp, which needs none",
    ),
    Saying(
        r"start error: .*(?:already|in use)",
        "the server has a proxy of that name already",
        "choose another name (TOWLINE_FRP_NAME), or end the other one",
        passing=True,
    ),
    Saying(
        r"login to (?:the )?server failed|connect to server error",
        "the server cannot be reached",
        "check its name and port, and that it runs",
        passing=True,
    ),
)


class Frp(Route):
    about = About(
        name="frp",
        needs="an frps of yours; frpc, or the server's SSH gateway and a key it knows",
        limits="as that server is set up",
        cost="that server",
        laptop="frpc, for stcp",
        settings=(SERVER, TOKEN, TYPE, PORT, NAME, SECRET, GATEWAY, KEY, HOST_KEY),
    )

    def is_configured(self, around: Surroundings) -> bool:
        return around.is_set(SERVER)

    def why_not(self, around: Surroundings) -> str:
        if not around.is_set(SERVER):
            return f"set {SERVER.variable} to {SERVER.help}"
        try:
            split_place(around.value(SERVER), SERVER_PORT)
        except BadAddressError as error:
            return f"{SERVER.variable}: {error}"
        for setting in (TOKEN, SECRET, NAME):
            if around.is_set(setting) and not WORD.fullmatch(around.value(setting)):
                return f"{setting.variable}: letters, digits, - and _ only"
        if around.value(TYPE) not in ("stcp", "tcp"):
            return f"{TYPE.variable}: stcp or tcp"
        port = around.value(PORT)
        if around.value(TYPE) == "tcp" and not (port.isdecimal() and 0 < int(port) < 1 << 16):
            return f"set {PORT.variable} to {PORT.help}"
        if not (around.find("frpc") or around.is_set(GATEWAY)):
            return f"there is no frpc program: install it, or set {GATEWAY.variable}"
        return around.is_set(GATEWAY) * why_no_server(around.value(GATEWAY), GATEWAY.variable)

    def open(self, port: int, around: Surroundings) -> AbstractAsyncContextManager[Tunnel]:
        proxy = _proxy(around)
        if around.is_set(GATEWAY):
            return _open_by_gateway(port, around, proxy)
        return _open_by_frpc(port, around, proxy)


@dataclass(frozen=True, slots=True)
class _Proxy:
    host: str
    server_port: int
    name: str
    port: int  # Public; 0: none.
    secret: str

    @property
    def address(self) -> Address:
        if self.port:
            return Tcp(self.host, self.port)
        return Visit("frp", self.name, self.secret, self.host, self.server_port)


def _proxy(around: Surroundings) -> _Proxy:
    host, server_port = split_place(around.value(SERVER), SERVER_PORT)
    port = int(around.value(PORT)) if around.value(TYPE) == "tcp" else 0
    secret = around.value(SECRET) or secrets.token_urlsafe(24)
    return _Proxy(host, server_port, around.value(NAME), port, secret)


@asynccontextmanager
async def _open_by_frpc(port: int, around: Surroundings, proxy: _Proxy) -> AsyncGenerator[Tunnel]:
    rest = f"remotePort = {proxy.port}"
    if not proxy.port:
        rest = f'secretKey = "{proxy.secret}"\nallowUsers = ["*"]'
    configuration = CONFIGURATION.format(
        host=proxy.host,
        port=proxy.server_port,
        token=around.value(TOKEN),
        name=proxy.name,
        kind="tcp" if proxy.port else "stcp",
        local=port,
        rest=rest,
    )
    file = around.private_file("frpc.toml", configuration)
    argv = [around.find("frpc") or "frpc", "-c", str(file)]
    async with open_program("frp", argv, around.environment, SAYINGS) as program:
        async with opening("frp"):
            await _started(program)
        yield Tunnel(proxy.address, program.wait_ended)


async def _started(program: Program) -> None:
    """Wait until the proxy stands. Raises `RouteError`, also where frpc itself would try on."""

    def find(line: str) -> bool | None:
        if "start proxy success" in line:
            return True
        return False if "start error:" in line else None

    if not await program.wait_for(find):
        raise program.why_ended()


@asynccontextmanager
async def _open_by_gateway(
    port: int, around: Surroundings, proxy: _Proxy
) -> AsyncGenerator[Tunnel]:
    path = around.value(KEY)
    key = around.private_copy("frp.key", Path(path)) if path else None
    server = parse_server(
        around.value(GATEWAY), fingerprint=around.value(HOST_KEY), key=key, user="v0"
    )
    command = ["tcp", "--remote_port", str(proxy.port)] if proxy.port else ["stcp"]
    command += ["--proxy_name", proxy.name]
    # By itself the gateway lets in visitors of the same user only: whoever made the key, there.
    command += [] if proxy.port else ["--sk", proxy.secret, "--allow_users", "*"]
    command += ["--token", around.value(TOKEN)] if around.is_set(TOKEN) else []
    async with open_reverse(
        "frp", around, server, f":80:127.0.0.1:{port}", command=command, sayings=SAYINGS
    ) as program:
        async with opening("frp"):
            name = await program.wait_for(_proxy_name)
            await program.wait_for(_proxy_announced)
        check_pin(around, "frp", server)
        yield Tunnel(_address_of(proxy, name), program.wait_ended)


def _proxy_name(line: str) -> str | None:
    """The gateway puts the user that a key is of before the name that was asked for."""
    label, _, name = plain(line).partition("ProxyName:")
    return name.strip() if name and not label.strip() else None


def _address_of(proxy: _Proxy, name: str) -> Address:
    try:
        return replace(proxy, name=name).address
    except BadAddressError as error:
        raise RouteError(
            f"frp: the server's name for the tunnel cannot be used: {error}",
            "change the comment of the key in the server's authorized_keys to one word",
        ) from None


def _proxy_announced(line: str) -> bool | None:
    return plain(line).startswith("RemoteAddress:") or None


ROUTE = Frp()
