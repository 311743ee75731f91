"""For each route a world to open it in: a real server where one is here, else a named stand-in."""

from __future__ import annotations

import getpass
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteStream
from anyio.streams.stapled import StapledByteStream

from lab import relay
from tests.conformance.routes.access_standin import TOKEN, access_standin
from tests.conformance.routes.ssh_standin import Banner, StandIn, ssh_standin
from tests.end_to_end import sshd
from tests.end_to_end.sshd import machine_in
from towline.core.address import Address, Jump, Visit, WebSocket
from towline.routes.base import Surroundings
from towline.routes.websocket import open_websocket

PROGRAM = Path(__file__).with_name("program_standin.py")


@dataclass
class World:
    """How a route is set up, where its tunnel really comes out, and how it dies."""

    around: Surroundings
    kill: Callable[[], None]
    outside: Callable[[], int]  # The port of loopback that stands for the provider's public one.
    hop: list[str] = field(default_factory=list)  # What `ssh` is given to make the hop.
    visit: Callable[[Visit], AbstractAsyncContextManager[int]] | None = None
    """Where the provider's own program must be run to come in: it leads a port there."""
    place: str = "127.0.0.1"  # Where the public port is.
    headers: Mapping[str, str] = field(default_factory=dict[str, str])  # What a policy asks for.


Make = Callable[[Surroundings, int], AbstractAsyncContextManager[World]]


@asynccontextmanager
async def reach(world: World, address: Address) -> AsyncIterator[ByteStream]:
    """Come in as the laptop does; only the provider's DNS is replaced, by loopback."""
    if isinstance(address, WebSocket):
        local = WebSocket("127.0.0.1", world.outside(), address.path, address.token, False)
        async with open_websocket(local, world.headers) as websocket:
            yield websocket
    elif isinstance(address, Jump):
        target = f"{address.target_host}:{address.target_port}"
        argv = ["ssh", *world.hop, "-W", target, "hop"]
        async with await anyio.open_process(argv) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            yield StapledByteStream(process.stdin, process.stdout)
            process.kill()
    elif isinstance(address, Visit) and world.visit is not None:
        async with (
            world.visit(address) as port,
            await anyio.connect_tcp("127.0.0.1", port) as stream,
        ):
            yield stream
    else:
        async with await anyio.connect_tcp(world.place, world.outside()) as stream:
            yield stream


# Routes whose provider is an SSH server


def by_banner(settings: dict[str, str], prefix: str, banner: Banner) -> Make:
    """The world of a provider that is an SSH server with a banner: a stand-in."""

    @asynccontextmanager
    async def make(around: Surroundings, port: int) -> AsyncIterator[World]:
        async with ssh_standin(banner) as server:
            yield _ssh_world(around, settings, prefix, server)

    return make


def _ssh_world(
    around: Surroundings, settings: dict[str, str], prefix: str, server: StandIn
) -> World:
    given = {
        **settings,
        f"{prefix}.server": f"127.0.0.1:{server.port}",
        f"{prefix}.host_key": server.fingerprint,
    }
    options = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "HostName=127.0.0.1")
    hop = ["-F", "none", "-q", "-p", str(server.port), *(w for o in options for w in ("-o", o))]
    return World(_set(around, given), server.kill, lambda: server.outside, hop)


def _set(
    around: Surroundings, settings: dict[str, str], environment: dict[str, str] | None = None
) -> Surroundings:
    return Surroundings(around.directory, {**around.environment, **(environment or {})}, settings)


def pinggy(port: int) -> str:
    return (
        "You are not authenticated.\n"
        "Your tunnel will expire in 60 minutes. Upgrade to Pinggy Pro to get unrestricted tunnels."
        " https://dashboard.pinggy.io\n"
        f"tcp://arczg-206-189-46-232.run.pinggy-free.link:{port}"
    )


def localhost_run(port: int) -> str:
    said = {
        "connection_id": "c1",
        "event": "tcpip-forward",
        "message": "9239ab27cc1ba2.lhr.life tunneled with tls termination,"
        " https://9239ab27cc1ba2.lhr.life",
        "address": "9239ab27cc1ba2.lhr.life",
        "listen_host": "localhost",
        "status": "success",
        "tls_termination": True,
    }
    return f'Welcome to localhost.run!\n{{"event": "welcome"}}\n{json.dumps(said)}'


def serveo(port: int) -> str:
    return (
        "\x1b[32mForwarding HTTP traffic from https://4f8a-203-0-113-7.serveousercontent.com\x1b[0m"
    )


def sish_tcp(port: int) -> str:
    return (
        f"Starting SSH Forwarding service for \x1b[34mtcp:{port}\x1b[0m. Forwarded connections can"
        f" be accessed via the following methods:\n\x1b[32mTCP\x1b[0m: tuns.example:{port}"
    )


def sish_alias(port: int) -> str:
    return (
        "Starting SSH Forwarding service for \x1b[34mtcp:22\x1b[0m. Forwarded connections can be"
        " accessed via the following methods:\n\x1b[32mTCP Alias\x1b[0m: gpu:22"
    )


def frp_gateway(port: int) -> str:
    return (
        "frp (via SSH) (Ctrl+C to quit)\nUser: v0\nProxyName: towline\nType: stcp\nRemoteAddress: "
    )


def nothing(port: int) -> str:
    return ""


@asynccontextmanager
async def portmap(around: Surroundings, port: int) -> AsyncIterator[World]:
    async with ssh_standin(nothing) as server:
        key = around.directory / "ana.first.pem"
        key.touch(0o600)
        rule = "tcp://ana-20022.portmap.host:20022 => 22022"
        (around.directory / "mapping_config.json").write_text(json.dumps({"rule": rule}))
        world = _ssh_world(around, {}, "portmap", server)
        at_home = {**around.environment, "TOWLINE_HOME": str(around.directory)}
        world.around = replace(world.around, environment=at_home)
        yield world


@asynccontextmanager
async def frp_by_ssh(around: Surroundings, port: int) -> AsyncIterator[World]:
    async with ssh_standin(frp_gateway) as server:
        settings = {"frp.gateway": f"127.0.0.1:{server.port}", "frp.token": "t0k"}
        world = _ssh_world(around, settings, "frp", server)
        yield world
        assert set(server.users) == {"v0"}


@asynccontextmanager
async def ssh(around: Surroundings, port: int) -> AsyncIterator[World]:
    """A real sshd."""
    if reason := sshd.why_not():
        pytest.skip(f"server: {reason}")
    with machine_in(around.directory / "server") as server:
        settings = {
            "ssh.server": f"{getpass.getuser()}@127.0.0.1:{server.port}",
            "ssh.key": str(server.directory / "user_key"),
        }
        hop = ["-F", str(server.config), "-o", f"HostName={server.address}", *_as_machine(server)]
        yield World(_set(around, settings), lambda: _kill(server), lambda: 0, hop)


def _kill(server: sshd.Machine) -> None:
    server.kill_connections()


def _as_machine(server: sshd.Machine) -> list[str]:
    options = (
        f"Port={server.port}",
        f"User={getpass.getuser()}",
        f"IdentityFile={server.directory}/user_key",
        "IdentityAgent=none",
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "LogLevel=ERROR",
    )
    return [word for option in options for word in ("-o", option)]


# Routes that are programs


def by_program(
    programs: tuple[str, ...],
    settings: dict[str, str],
    environment: dict[str, str] | None = None,
    origin: str = "",
) -> Make:
    """The world of a provider that is a program: a stand-in under its name."""

    @asynccontextmanager
    async def make(around: Surroundings, port: int) -> AsyncIterator[World]:
        install(around.directory, programs)
        note = around.directory / "note.json"
        given, extra = dict(settings), dict(environment or {})
        if origin:
            given[origin] = extra["STAND_IN_ORIGIN"] = str(_free_port())
        set_up = _set(around, given, {**extra, "STAND_IN_NOTE": str(note)})

        def told(what: str) -> int:
            return int(json.loads(note.read_text())[what])

        yield World(
            set_up,
            lambda: os.kill(told("pid"), signal.SIGKILL),
            lambda: told("port") or port,
        )

    return make


def behind_access(make: Make) -> Make:
    """The same world behind an access policy, which lets through who shows its service token."""

    @asynccontextmanager
    async def guarded(around: Surroundings, port: int) -> AsyncIterator[World]:
        async with make(around, port) as world, access_standin(world.outside) as gate:
            yield replace(world, outside=lambda: gate, headers=TOKEN.headers())

    return guarded


def install(directory: Path, programs: tuple[str, ...]) -> None:
    """Put stand-ins where the route looks first."""
    (directory / "bin").mkdir(exist_ok=True)
    for program in programs:
        path = directory / "bin" / program
        path.write_text(f'#!/bin/sh\nexec {sys.executable} {PROGRAM} {program} "$@"\n')
        path.chmod(0o700)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@asynccontextmanager
async def gcloud(around: Surroundings, port: int) -> AsyncIterator[World]:
    """A stand-in gcloud that checks what it is asked and is ssh to a real sshd."""
    if reason := sshd.why_not():
        pytest.skip(f"server: {reason}")
    with machine_in(around.directory / "server") as server:
        settings = {
            "gcloud.instance": "gpu-hop",
            "gcloud.zone": "europe-west4-a",
            "gcloud.project": "mine",
        }
        environment = {"STAND_IN_SSH_CONFIG": str(server.config)}
        made = by_program(("gcloud",), settings, environment)(around, port)
        async with made as world:
            world.hop = ["-F", "none", "-o", f"HostName={server.address}", *_as_machine(server)]
            yield world


VISITOR = """\
serverAddr = "{host}"
serverPort = {port}
auth.token = "{token}"
log.to = "console"
log.disablePrintColor = true

[[visitors]]
name = "visitor"
type = "stcp"
serverName = "{name}"
secretKey = "{secret}"
bindAddr = "127.0.0.1"
bindPort = {bind}
"""


def real_frp(settings: dict[str, str], *, by_ssh: bool = False) -> Make:
    """The world of a real frps, with a real frpc on our side or its SSH gateway."""

    @asynccontextmanager
    async def make(around: Surroundings, port: int) -> AsyncIterator[World]:
        if reason := relay.why_no("frps", "frpc"):
            pytest.skip(reason)
        place = f"127.78.{os.getpid() >> 8 & 255}.{os.getpid() & 255 or 1}"
        server = relay.frps_in(around.directory / "frps", place, 7000, 2200, [])
        given = {"frp.server": f"{place}:7000", "frp.token": relay.TOKEN, **settings}
        if by_ssh:
            key = str(around.directory / "frps/key")
            given |= {"frp.gateway": f"{place}:2200", "frp.key": key}
        outside = int(settings.get("frp.port", "0"))
        path = f"{Path(relay.find('frpc') or '').parent}:{around.environment['PATH']}"

        def kill() -> None:
            for process in _running(around, "ssh" if by_ssh else "frpc"):
                os.kill(process, signal.SIGKILL)

        with relay.running(server):
            world = World(_set(around, given, {"PATH": path}), kill, lambda: outside, place=place)
            world.visit = partial(_frp_visit, around)
            yield world

    return make


@asynccontextmanager
async def _frp_visit(around: Surroundings, address: Visit) -> AsyncIterator[int]:
    """A real frpc, as a visitor has it."""
    port = _free_port()
    text = VISITOR.format(
        host=address.host,
        port=address.port,
        token=relay.TOKEN,
        name=address.name,
        secret=address.secret,
        bind=port,
    )
    config = around.private_file("visitor.toml", text)
    frpc = relay.Program([relay.find("frpc") or "frpc", "-c", str(config)], "start visitor success")
    with relay.running(frpc):
        yield port


def _running(around: Surroundings, program: str) -> list[int]:
    """What runs under this name with the home folder that only these surroundings have."""
    home = f"HOME={around.directory}".encode()
    return [
        int(place.name)
        for place in Path("/proc").glob("[0-9]*")
        if _read(place, "comm") == f"{program}\n".encode()
        and home in _read(place, "environ").split(b"\0")
    ]


def _read(place: Path, name: str) -> bytes:
    try:
        return (place / name).read_bytes()
    except OSError:  # It has ended meanwhile, or is not ours to look at.
        return b""


NAMED_TUNNEL = by_program(
    ("cloudflared",),
    {"cloudflared.token": "ey", "cloudflared.hostname": "gpu.example"},
    origin="cloudflared.origin_port",
)

WORLDS: dict[str, tuple[str, str, Make]] = {
    # What it is: the route, the part, how it is made.
    "ssh": ("ssh", "a real sshd", ssh),
    "gcloud": ("gcloud", "a stand-in gcloud to a real sshd", gcloud),
    "pinggy": ("pinggy", "a stand-in server", by_banner({}, "pinggy", pinggy)),
    "pinggy paid": (
        "pinggy",
        "a stand-in server",
        by_banner({"pinggy.token": "t0k3n"}, "pinggy", pinggy),
    ),
    "localhost.run": (
        "localhost.run",
        "a stand-in server",
        by_banner({}, "localhost.run", localhost_run),
    ),
    "serveo": ("serveo", "a stand-in server", by_banner({}, "serveo", serveo)),
    "serveo alias": (
        "serveo",
        "a stand-in server",
        by_banner({"serveo.alias": "gpu"}, "serveo", nothing),
    ),
    "sish": ("sish", "a stand-in server", by_banner({}, "sish", sish_tcp)),
    "sish alias": (
        "sish",
        "a stand-in server",
        by_banner({"sish.alias": "gpu"}, "sish", sish_alias),
    ),
    "portmap": ("portmap", "a stand-in server", portmap),
    "cloudflared": (
        "cloudflared",
        "a stand-in program",
        by_program(("cloudflared",), {}),
    ),
    "cloudflared named": ("cloudflared", "a stand-in program", NAMED_TUNNEL),
    "cloudflared behind Access": (
        "cloudflared",
        "a stand-in program and a stand-in policy",
        behind_access(NAMED_TUNNEL),
    ),
    "zrok": ("zrok", "a stand-in program", by_program(("zrok2",), {})),
    "frp": ("frp", "a stand-in program", by_program(("frpc",), {"frp.server": "frps.example"})),
    "frp by ssh": ("frp", "a stand-in gateway", frp_by_ssh),
    "frp stcp, real": ("frp", "a real frps and frpc", real_frp({})),
    "frp tcp, real": (
        "frp",
        "a real frps and frpc",
        real_frp({"frp.type": "tcp", "frp.port": "20023"}),
    ),
    "frp stcp by ssh, real": ("frp", "a real frps's gateway", real_frp({}, by_ssh=True)),
    "frp tcp by ssh, real": (
        "frp",
        "a real frps's gateway",
        real_frp({"frp.type": "tcp", "frp.port": "20023"}, by_ssh=True),
    ),
    "ngrok": (
        "ngrok",
        "a stand-in agent",
        by_program(("ngrok",), {}, {"NGROK_AUTHTOKEN": "t"}),
    ),
    "ngrok http": (
        "ngrok",
        "a stand-in agent",
        by_program(("ngrok",), {"ngrok.type": "http"}, {"NGROK_AUTHTOKEN": "t"}),
    ),
    "tailscale": (
        "tailscale",
        "stand-in programs",
        by_program(("tailscale", "tailscaled"), {}, {"TS_AUTHKEY": "tskey-x"}),
    ),
}
