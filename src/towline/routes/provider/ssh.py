"""`ssh`: a port on a server of one's own, seen from that server only; the laptop hops through it.

It opens no public port unless asked to (`ssh.public`), and then the server must allow that, too.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial

from towline.core.address import Address, Jump, Tcp
from towline.routes.base import (
    About,
    Route,
    Setting,
    Surroundings,
    Tunnel,
    enter_same_port,
    opening,
)
from towline.routes.reverse import (
    NO_SSH,
    Login,
    Server,
    check_pin,
    open_reverse,
    port_there,
)

SERVER = Setting("ssh.server", "TOWLINE_SSH_SERVER", "[user@]host[:port] of your server")
KEY = Setting("ssh.key", "TOWLINE_SSH_KEY", "the file with the private key that it knows")
HOST_KEY = Setting(
    "ssh.host_key", "TOWLINE_SSH_HOST_KEY", "its host key's fingerprint, SHA256:…; else the first"
)
PORT = Setting(
    "ssh.port", "TOWLINE_SSH_PORT", "the port to take there; 0: any that is free", default="0"
)
PUBLIC = Setting(
    "ssh.public", "TOWLINE_SSH_PUBLIC", "yes: open the port to everybody (GatewayPorts)"
)
LOGIN = Login(SERVER, KEY, HOST_KEY)


class Ssh(Route):
    about = About(
        name="ssh",
        needs="an SSH server of yours that both sides reach, and a key that it knows",
        limits="what that server allows; the laptop needs a login there, too",
        cost="that server",
        settings=(SERVER, KEY, HOST_KEY, PORT, PUBLIC),
    )

    def is_configured(self, around: Surroundings) -> bool:
        return around.is_set(SERVER)

    def why_not(self, around: Surroundings) -> str:
        if not around.find("ssh"):
            return NO_SSH
        if not around.is_set(SERVER):
            return f"set {SERVER.variable} to {SERVER.help}"
        if not around.is_set(KEY):
            return f"set {KEY.variable} to {KEY.help}"
        port = around.value(PORT)
        if not (port.isdecimal() and int(port) < 1 << 16):
            return f"{PORT.variable}: not a port: {port!r}"
        return LOGIN.why_not(around)

    def open(self, port: int, around: Surroundings) -> AbstractAsyncContextManager[Tunnel]:
        return _open(port, around)


@asynccontextmanager
async def _open(port: int, around: Surroundings) -> AsyncGenerator[Tunnel]:
    server = LOGIN.read(around)
    public = around.value(PUBLIC) == "yes"
    async with AsyncExitStack() as stack:
        opener = partial(_open_at, around, server, port, public)
        configured = int(around.value(PORT))
        yield await enter_same_port(stack, around, server.alias, configured, opener)


@asynccontextmanager
async def _open_at(
    around: Surroundings, server: Server, port: int, public: bool, remote: int
) -> AsyncGenerator[Tunnel]:
    """Take port `remote` on `server`, or any that is free for 0."""
    # Always with an address: without one ssh is content if only ::1 could be had.
    bind = "0.0.0.0" if public else "127.0.0.1"  # noqa: S104 - only where it was asked for.
    forward = f"{bind}:{remote}:127.0.0.1:{port}"
    async with open_reverse("ssh", around, server, forward) as program:
        async with opening("ssh"):
            remote = await port_there(program, remote)
        check_pin(around, "ssh", server)
        around.remember_port(server.alias, remote)
        address: Address = Jump(server.user, server.host, server.port, "127.0.0.1", remote)
        if public:
            address = Tcp(server.host, remote)
        yield Tunnel(address, program.wait_ended)


ROUTE = Ssh()
