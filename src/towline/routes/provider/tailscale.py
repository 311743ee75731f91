"""`tailscale`: the machine joins one's own tailnet, without root; nothing is public."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from towline.core.address import Tcp
from towline.routes.base import About, Route, Setting, Surroundings, Tunnel, opening
from towline.routes.errors import Saying
from towline.routes.program import open_program

AUTH_KEY = Setting(
    "tailscale.auth_key", "TS_AUTHKEY", "an ephemeral auth key of the tailnet", secret=True
)
HOSTNAME = Setting(
    "tailscale.hostname", "TOWLINE_TAILSCALE_HOSTNAME", "its name there", default="towline"
)

ADDRESS = re.compile(r"100\.\d{1,3}\.\d{1,3}\.\d{1,3}")
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
UP_S = 30

SAYINGS = (
    Saying(
        r"(?i)invalid key|unable to validate|API key .* not valid|auth key .*expired",
        "tailscale does not accept the auth key",
        "make a new one (ephemeral, reusable) in the admin console and set TS_AUTHKEY",
    ),
    Saying(
        r"(?i)timeout|context deadline exceeded",
        "tailscale did not come up in time",
        "does this network let it out, and does the tailnet ask for a device's approval?",
        passing=True,
    ),
    Saying(r"(?i)address already in use|another tailscaled", "another tailscaled runs", "stop it"),
)


class Tailscale(Route):
    about = About(
        name="tailscale",
        needs="tailscale and tailscaled, and an auth key of your tailnet",
        limits="whoever is in the tailnet and may by its rules",
        cost="free for a few people",
        laptop="tailscale, in the same tailnet",
        settings=(AUTH_KEY, HOSTNAME),
    )

    def is_configured(self, around: Surroundings) -> bool:
        return around.is_set(AUTH_KEY)

    def why_not(self, around: Surroundings) -> str:
        for program in ("tailscaled", "tailscale"):
            if not around.find(program):
                return f"there is no {program} program: install Tailscale"
        if not around.is_set(AUTH_KEY):
            return f"set {AUTH_KEY.variable} to {AUTH_KEY.help}"
        if not NAME.fullmatch(around.value(HOSTNAME)):
            return f"{HOSTNAME.variable}: not a name"
        return ""

    def open(self, port: int, around: Surroundings) -> AbstractAsyncContextManager[Tunnel]:
        return _open(port, around)


@asynccontextmanager
async def _open(port: int, around: Surroundings) -> AsyncGenerator[Tunnel]:
    """What arrives from the tailnet is led to the same port of loopback."""
    socket = around.directory / "tailscaled.sock"
    key = around.private_file("tailscale.key", around.value(AUTH_KEY))
    environment = {
        name: value for name, value in around.environment.items() if name != AUTH_KEY.variable
    }
    daemon = [
        *(around.find("tailscaled") or "tailscaled", "--tun=userspace-networking"),
        *("--state=mem:", f"--socket={socket}", f"--statedir={around.directory}"),
    ]
    client = [around.find("tailscale") or "tailscale", f"--socket={socket}"]
    up = ["up", f"--auth-key=file:{key}", f"--hostname={around.value(HOSTNAME)}"]
    async with open_program("tailscale", daemon, environment, SAYINGS) as running:
        try:
            async with opening("tailscale", UP_S * 2):
                command = [*client, *up, f"--timeout={UP_S}s"]
                async with open_program("tailscale", command, environment, SAYINGS) as program:
                    await program.wait_success()
        finally:
            key.unlink(missing_ok=True)
        async with opening("tailscale"):
            command = [*client, "ip", "-4"]
            async with open_program("tailscale", command, environment, SAYINGS) as program:
                address = await program.wait_for(lambda line: _address(line, port))
        yield Tunnel(address, running.wait_ended)


def _address(line: str, port: int) -> Tcp | None:
    return Tcp(line, port) if ADDRESS.fullmatch(line) else None


ROUTE = Tailscale()
