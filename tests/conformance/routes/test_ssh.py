"""`ssh` against a real sshd: announce, reach through a hop, die, refuse."""

from __future__ import annotations

import getpass
import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from tests.conformance.routes.carry import GREETING
from tests.end_to_end import sshd
from tests.end_to_end.sshd import Machine, machine_in
from towline.core.address import Address, Jump, Tcp
from towline.routes.base import Surroundings
from towline.routes.errors import RouteError
from towline.routes.provider.ssh import ROUTE

pytestmark = pytest.mark.anyio


@pytest.fixture
def server(private: Path) -> Iterator[Machine]:
    if reason := sshd.why_not():
        pytest.skip(f"server: {reason}")
    with machine_in(private / "server") as machine:
        yield machine


@pytest.fixture
def set_up(around: Surroundings, server: Machine) -> Surroundings:
    return replace(
        around,
        settings={
            "ssh.server": f"{getpass.getuser()}@127.0.0.1:{server.port}",
            "ssh.key": str(server.directory / "user_key"),
        },
    )


def through(server: Machine, address: Jump, given: bytes) -> bytes:
    """What comes back from the far port, by a hop as the laptop makes it."""
    done = subprocess.run(
        [
            "ssh",
            "-F",
            server.config,
            "-W",
            f"{address.target_host}:{address.target_port}",
            "machine",
        ],
        input=given,
        capture_output=True,
        check=True,
    )
    return done.stdout


def make_key(path: Path) -> None:
    path.unlink(missing_ok=True)
    keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", ""]
    subprocess.run([*keygen, "-f", path], check=True)


def fingerprint(key: Path) -> str:
    shown = subprocess.run(["ssh-keygen", "-lf", key], capture_output=True, text=True, check=True)
    return shown.stdout.split()[1]


def modes(directory: Path, pattern: str) -> set[int]:
    return {file.stat().st_mode & 0o077 for file in directory.glob(pattern)}


async def let_go(address: Address) -> None:
    """Wait until the server has noticed that we have left, and nothing listens there any more."""
    assert isinstance(address, Jump)
    with anyio.fail_after(20), suppress(OSError):
        while True:
            async with await anyio.connect_tcp(address.target_host, address.target_port):
                pass


async def test_a_port_on_the_server_only_leads_here(
    set_up: Surroundings, server: Machine, echo: int
) -> None:
    assert not ROUTE.why_not(set_up)
    given = bytes(range(256)) * 16384  # 4 MiB
    async with ROUTE.open(echo, set_up) as tunnel:
        address = tunnel.address
        assert isinstance(address, Jump)
        assert address.hop == f"{getpass.getuser()}@127.0.0.1:{server.port}"
        got = await anyio.to_thread.run_sync(through, server, address, given)
        assert hashlib.sha256(got).digest() == hashlib.sha256(GREETING + given).digest()
    await let_go(address)


async def test_a_fixed_port_is_the_same_after_a_restart(
    set_up: Surroundings, echo: int, free_tcp_port: int
) -> None:
    fixed = replace(set_up, settings={**set_up.settings, "ssh.port": str(free_tcp_port)})
    addresses = []
    for _ in range(2):
        async with ROUTE.open(echo, fixed) as tunnel:
            addresses.append(tunnel.address)
        await let_go(tunnel.address)
    assert addresses[0] == addresses[1]
    assert isinstance(addresses[0], Jump)
    assert addresses[0].target_port == free_tcp_port


async def test_any_port_is_the_same_after_a_restart_unless_it_is_taken(
    set_up: Surroundings, echo: int
) -> None:
    async with ROUTE.open(echo, set_up) as first:
        pass
    await let_go(first.address)
    async with ROUTE.open(echo, set_up) as second:
        assert second.address == first.address
        async with ROUTE.open(echo, set_up) as third:
            assert third.address != first.address


async def test_a_public_port_is_opened_only_when_asked_for(set_up: Surroundings, echo: int) -> None:
    public = replace(set_up, settings={**set_up.settings, "ssh.public": "yes"})
    async with ROUTE.open(echo, public) as tunnel:
        assert isinstance(tunnel.address, Tcp)
        async with await anyio.connect_tcp("127.0.0.1", tunnel.address.port) as stream:
            assert await stream.receive() == GREETING


async def test_a_server_that_dies_is_reported(
    set_up: Surroundings, server: Machine, echo: int
) -> None:
    async with ROUTE.open(echo, set_up) as tunnel:
        server.kill_connections()
        assert "the server closed the connection" in await tunnel.wait_ended()
        assert await tunnel.wait_ended() == await tunnel.wait_ended()


async def test_a_port_that_is_taken_is_refused_with_the_way_on(
    set_up: Surroundings, echo: int
) -> None:
    fixed = replace(set_up, settings={**set_up.settings, "ssh.port": str(echo)})
    with pytest.raises(RouteError, match="taken, or not allowed") as refused:
        async with ROUTE.open(echo, fixed):
            pass
    assert "choose another port" in refused.value.hint


async def test_a_key_that_is_not_known_is_refused(
    set_up: Surroundings, private: Path, echo: int
) -> None:
    make_key(private / "other")
    other = replace(set_up, settings={**set_up.settings, "ssh.key": str(private / "other")})
    with pytest.raises(RouteError, match="does not accept the key"):
        async with ROUTE.open(echo, other):
            pass


async def test_another_host_key_than_the_known_one_is_refused(
    set_up: Surroundings, server: Machine, echo: int
) -> None:
    shown = fingerprint(server.directory / "host_key.pub")
    right = replace(set_up, settings={**set_up.settings, "ssh.host_key": shown})
    wrong = replace(set_up, settings={**set_up.settings, "ssh.host_key": "SHA256:AAAA"})
    async with ROUTE.open(echo, right):
        pass
    with pytest.raises(RouteError, match="not the one that is known"):
        async with ROUTE.open(echo, wrong):
            pass


async def test_a_key_that_is_known_of_another_server_does_not_pass(
    set_up: Surroundings, server: Machine, private: Path, echo: int
) -> None:
    known = fingerprint(server.directory / "host_key.pub")
    pinned = replace(set_up, settings={**set_up.settings, "ssh.host_key": known})
    async with ROUTE.open(echo, pinned):
        pass
    with machine_in(private / "other") as other:
        user = getpass.getuser()
        settings = {
            **pinned.settings,
            "ssh.server": f"{user}@127.0.0.1:{other.port}",
            "ssh.key": str(other.directory / "user_key"),
        }
        with pytest.raises(RouteError, match="not the one that is known"):
            async with ROUTE.open(echo, replace(pinned, settings=settings)):
                pass


async def test_a_server_that_was_replaced_is_refused(
    set_up: Surroundings, server: Machine, echo: int
) -> None:
    async with ROUTE.open(echo, set_up):
        pass
    server.stop()
    make_key(server.directory / "host_key")
    server.start()
    with pytest.raises(RouteError, match="another host key than before"):
        async with ROUTE.open(echo, set_up):
            pass


async def test_a_key_that_others_can_read_is_used_from_a_copy_they_cannot(
    set_up: Surroundings, server: Machine, echo: int, private: Path
) -> None:
    loose = private / "loose"
    shutil.copy(server.directory / "user_key", loose)
    loose.chmod(0o644)  # As on a mounted drive. OpenSSH itself would refuse it.
    shared = replace(set_up, settings={**set_up.settings, "ssh.key": str(loose)})
    async with ROUTE.open(echo, shared):
        assert modes(private, "ssh*") == {0}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "TOWLINE_SSH_SERVER"),
        ({"ssh.server": "me@box"}, "TOWLINE_SSH_KEY"),
        ({"ssh.server": "-oProxyCommand=x", "ssh.key": "/k"}, "TOWLINE_SSH_SERVER: not a host"),
        ({"ssh.server": "box", "ssh.key": "/nowhere"}, "there is no file"),
        ({"ssh.server": "box", "ssh.key": "/k", "ssh.port": "x"}, "not a port"),
    ],
)
def test_what_is_missing_is_said(around: Surroundings, settings: dict[str, str], said: str) -> None:
    assert said in ROUTE.why_not(replace(around, settings=settings))
