"""`frp` against the real frps, by frpc and by its SSH gateway, where they are installed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import pytest

from tests.conformance.routes.carry import carried
from towline.core.address import Tcp, Visit
from towline.routes.base import Surroundings
from towline.routes.errors import RouteError
from towline.routes.program import open_program
from towline.routes.provider.frp import ROUTE

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(
        not (shutil.which("frps") and shutil.which("frpc")), reason="needs frps and frpc"
    ),
]

TOKEN = "op3n"  # noqa: S105

FRPS = """\
bindAddr = "127.0.0.1"
bindPort = {port}
proxyBindAddr = "127.0.0.1"
auth.token = "{token}"
log.to = "console"
log.disablePrintColor = true
sshTunnelGateway.bindPort = {gateway}
sshTunnelGateway.autoGenPrivateKeyPath = "{directory}/gateway_key"
"""

VISITOR = """\
serverAddr = "{host}"
serverPort = {port}
auth.token = "{token}"
log.to = "console"
log.disablePrintColor = true

[[visitors]]
name = "laptop"
type = "stcp"
serverName = "{name}"
secretKey = "{secret}"
bindAddr = "127.0.0.1"
bindPort = {bind}
"""


@dataclass
class Frps:
    process: subprocess.Popen[str]
    port: int
    gateway: int


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextmanager
def frps_in(directory: Path) -> Iterator[Frps]:
    port, gateway = free_port(), free_port()
    text = FRPS.format(port=port, gateway=gateway, token=TOKEN, directory=directory)
    (directory / "frps.toml").write_text(text)
    argv = ["frps", "-c", str(directory / "frps.toml")]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process:
        while "started successfully" not in (line := process.stdout.readline()):
            assert line, "frps ended"
        try:
            yield Frps(process, port, gateway)
        finally:
            process.kill()


@pytest.fixture
def frps(private: Path) -> Iterator[Frps]:
    with frps_in(private) as frps:
        yield frps


@pytest.fixture
def set_up(around: Surroundings, frps: Frps) -> Surroundings:
    return replace(around, settings={"frp.server": f"127.0.0.1:{frps.port}", "frp.token": TOKEN})


def also(around: Surroundings, **settings: str) -> Surroundings:
    given = {f"frp.{name}": value for name, value in settings.items()}
    return replace(around, settings={**around.settings, **given})


@asynccontextmanager
async def visiting(around: Surroundings, address: Visit) -> AsyncIterator[int]:
    """Enter as a laptop does, with frpc; yield the port of loopback where it leads out."""
    bind = free_port()
    text = VISITOR.format(
        host=address.host,
        port=address.port,
        token=TOKEN,
        name=address.name,
        secret=address.secret,
        bind=bind,
    )
    file = around.private_file("visitor.toml", text)
    async with open_program("visitor", ["frpc", "-c", str(file)], os.environ) as program:
        await program.wait_for(lambda line: "start visitor success" in line or None)
        yield bind


@pytest.mark.parametrize("way", ["frpc", "gateway"])
async def test_a_secret_tunnel_carries_to_who_knows_the_secret(
    set_up: Surroundings, frps: Frps, way: str, echo: int
) -> None:
    around = also(set_up, gateway=f"127.0.0.1:{frps.gateway}") if way == "gateway" else set_up
    assert ROUTE.why_not(around) == ""
    async with ROUTE.open(echo, around) as tunnel:
        assert isinstance(tunnel.address, Visit)
        async with (
            visiting(around, tunnel.address) as port,
            await anyio.connect_tcp("127.0.0.1", port) as stream,
        ):
            assert await carried(stream, 2 << 20)


@pytest.mark.parametrize("way", ["frpc", "gateway"])
async def test_a_public_port_is_opened_only_when_asked_for(
    set_up: Surroundings, frps: Frps, way: str, echo: int
) -> None:
    around = also(set_up, type="tcp", port=str(free_port()))
    if way == "gateway":
        around = also(around, gateway=f"127.0.0.1:{frps.gateway}")
    async with ROUTE.open(echo, around) as tunnel:
        assert isinstance(tunnel.address, Tcp)
        async with await anyio.connect_tcp("127.0.0.1", tunnel.address.port) as stream:
            assert await carried(stream, 2 << 20)


@pytest.mark.parametrize("way", ["frpc", "gateway"])
async def test_another_token_is_refused(
    set_up: Surroundings, frps: Frps, way: str, echo: int
) -> None:
    around = also(set_up, token="other")  # noqa: S106
    if way == "gateway":
        around = also(around, gateway=f"127.0.0.1:{frps.gateway}")
    with pytest.raises(RouteError, match="wants another token"):
        async with ROUTE.open(echo, around):
            pass


async def test_a_port_that_is_taken_is_refused(set_up: Surroundings, echo: int) -> None:
    with pytest.raises(RouteError, match="does not give that port"):
        async with ROUTE.open(echo, also(set_up, type="tcp", port=str(echo))):
            pass


async def test_by_the_gateway_a_server_that_dies_is_reported(
    set_up: Surroundings, frps: Frps, echo: int
) -> None:
    around = also(set_up, gateway=f"127.0.0.1:{frps.gateway}")
    async with ROUTE.open(echo, around) as tunnel:
        frps.process.kill()
        assert (await tunnel.wait_ended()).startswith("frp: ")
