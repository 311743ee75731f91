"""`cloudflared`: a URL at Cloudflare, made up on the spot or a name of one's own.

Its program carries SSH in WebSocket messages itself; the laptop needs none of it. A quick tunnel
needs no account; a named one a token (and what its hostname leads to is set in the dashboard).
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from towline.core.address import BadAddressError, WebSocket, check_host
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
from towline.routes.download import Pin, ensure_program
from towline.routes.errors import RouteError, Saying
from towline.routes.program import Program, open_program
from towline.routes.relay import open_relay

TOKEN = Setting("cloudflared.token", "TUNNEL_TOKEN", "the token of a named tunnel", secret=True)
HOSTNAME = Setting(
    "cloudflared.hostname", "TOWLINE_CLOUDFLARED_HOSTNAME", "the public hostname of that tunnel"
)
ORIGIN_PORT = Setting(
    "cloudflared.origin_port",
    "TOWLINE_CLOUDFLARED_ORIGIN_PORT",
    "the port of this machine that its dashboard leads that hostname to (ssh://localhost:PORT)",
)
DOWNLOAD = Setting(
    "cloudflared.download",
    "TOWLINE_CLOUDFLARED_DOWNLOAD",
    "where to fetch the program if it is not installed: an https URL or a file",
)
SHA256 = Setting(
    "cloudflared.sha256",
    "TOWLINE_CLOUDFLARED_SHA256",
    "what the fetched program must be: its SHA-256 in hexadecimal",
)
PROTOCOL = Setting(
    "cloudflared.protocol",
    "TOWLINE_CLOUDFLARED_PROTOCOL",
    "http2, or quic where UDP 7844 is open",
    default="http2",  # quic does not fall back by itself, and networks often block it.
)

URL = re.compile(r"https://(?!api\.)([a-z0-9-]+\.trycloudflare\.com)")
REGISTERED = re.compile(r"Registered tunnel connection")
HEX = re.compile(r"[0-9a-f]{64}")

SAYINGS = (
    Saying(
        r'status_code="429|error code: 1015',
        "Cloudflare makes no more quick tunnels for this network now",
        "wait some minutes (each try makes it longer), use another route, or a named tunnel",
        passing=True,
    ),
    Saying(
        r'error code: 1101|failed to parse quick Tunnel ID|status_code="5\d\d',
        "Cloudflare's service for quick tunnels is failing",
        "use another route, or a named tunnel",
        passing=True,
    ),
    Saying(
        r"failed to request quick Tunnel|no such host|Temporary failure in name resolution",
        "Cloudflare cannot be reached",
        "does this machine have internet?",
        passing=True,
    ),
    Saying(
        r"(?i)Provided Tunnel token is not valid|invalid tunnel (?:secret|token)|Unauthorized",
        "Cloudflare does not accept the tunnel's token",
        "copy it again from the dashboard into TUNNEL_TOKEN",
    ),
    Saying(
        r"[Ff]ailed to dial|Unable to establish connection|Lost connection with the edge",
        "Cloudflare's edge cannot be reached",
        "is TCP 7844 open (UDP 7844 for quic)? Else use another route",
        passing=True,
    ),
)


class Cloudflared(WebRoute):
    about = About(
        name="cloudflared",
        needs="cloudflared; for a name that stays an account, a domain and TUNNEL_TOKEN",
        limits="quick tunnels come without any promise and with a new name each time",
        cost="free",
        carries=Carries.HTTP,
        settings=(TOKEN, HOSTNAME, ORIGIN_PORT, DOWNLOAD, SHA256, PROTOCOL),
        rank=10,
    )

    def is_configured(self, around: Surroundings) -> bool:
        return around.is_set(TOKEN)

    def why_not(self, around: Surroundings) -> str:
        if not around.find("cloudflared"):
            if not around.is_set(DOWNLOAD):
                return f"there is no cloudflared program: install it, or set {DOWNLOAD.variable}"
            if not HEX.fullmatch(around.value(SHA256)):
                return f"set {SHA256.variable} to {SHA256.help}: nothing unknown is run"
        if around.value(PROTOCOL) not in ("http2", "quic"):
            return f"{PROTOCOL.variable}: http2 or quic"
        return _why_not_named(around) if around.is_set(TOKEN) else ""

    def open(self, port: int, around: Surroundings) -> AbstractAsyncContextManager[Tunnel]:
        return (_open_named if around.is_set(TOKEN) else _open_quick)(port, around)

    def open_web(self, port: int, around: Surroundings) -> AbstractAsyncContextManager[Web]:
        """By a quick tunnel also where a named one is set up: that name is the machine's."""
        return _open_web(port, around)


def _why_not_named(around: Surroundings) -> str:
    for setting in (HOSTNAME, ORIGIN_PORT):
        if not around.is_set(setting):
            return f"set {setting.variable} to {setting.help}"
    try:
        check_host(around.value(HOSTNAME))
    except BadAddressError as error:
        return f"{HOSTNAME.variable}: {error}"
    port = around.value(ORIGIN_PORT)
    if not (port.isdecimal() and 0 < int(port) < 1 << 16):
        return f"{ORIGIN_PORT.variable}: not a port: {port!r}"
    return ""


async def _program(around: Surroundings) -> str:
    if found := around.find("cloudflared"):
        return found
    sha256 = around.value(SHA256)
    pin = Pin("cloudflared", sha256[:12], sha256, (around.value(DOWNLOAD),))
    return str(await ensure_program(around, pin))


@asynccontextmanager
async def _run(around: Surroundings, *arguments: str) -> AsyncGenerator[Program]:
    argv = [
        *(await _program(around), "tunnel", "--no-autoupdate"),
        *("--config", "/dev/null"),  # One in the home folder would change what it does.
        *("--metrics", "127.0.0.1:0", "--edge-ip-version", "4"),
        *("--protocol", around.value(PROTOCOL), *arguments),
    ]
    environment = {
        name: value for name, value in around.environment.items() if name != TOKEN.variable
    }
    async with open_program("cloudflared", argv, environment, SAYINGS) as program:
        yield program


@asynccontextmanager
async def _open_quick(port: int, around: Surroundings) -> AsyncGenerator[Tunnel]:
    async with _quick(f"ssh://127.0.0.1:{port}", around) as (host, program):
        yield Tunnel(WebSocket(host), program.wait_ended)


@asynccontextmanager
async def _open_web(port: int, around: Surroundings) -> AsyncGenerator[Web]:
    async with _quick(f"http://127.0.0.1:{port}", around) as (host, program):
        yield Web(host, program.wait_ended)


@asynccontextmanager
async def _quick(origin: str, around: Surroundings) -> AsyncGenerator[tuple[str, Program]]:
    async with _run(around, "--url", origin) as program:
        async with opening("cloudflared"):
            host = await program.wait_for(_host)
            await _registered(program)
        yield host, program


@asynccontextmanager
async def _open_named(port: int, around: Surroundings) -> AsyncGenerator[Tunnel]:
    token = around.private_file("cloudflared.token", around.value(TOKEN))
    async with AsyncExitStack() as stack:
        try:
            relay = open_relay("127.0.0.1", int(around.value(ORIGIN_PORT)), port)
            await stack.enter_async_context(relay)
        except OSError as error:
            raise RouteError(
                f"cloudflared: port {around.value(ORIGIN_PORT)} is taken here: {error}",
                "lead the hostname to another port, in the dashboard and in the setting",
            ) from error
        running = _run(around, "run", "--token-file", str(token))
        program = await stack.enter_async_context(running)
        async with opening("cloudflared"):
            await _registered(program)
        yield Tunnel(WebSocket(around.value(HOSTNAME)), program.wait_ended)


def _host(line: str) -> str | None:
    match = URL.search(line)
    if match is None:
        return None
    check_host(match[1])
    return match[1]


async def _registered(program: Program) -> None:
    await program.wait_for(lambda line: REGISTERED.search(line))


ROUTE = Cloudflared()
