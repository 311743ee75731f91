"""`ssh -R` by the real client: what it writes of the server's host key is what is compared."""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
import asyncssh
import pytest

from towline.routes.base import Surroundings
from towline.routes.errors import RouteError
from towline.routes.reverse import Server, check_pin, known_hosts, open_reverse

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(shutil.which("ssh") is None, reason="needs ssh"),
]


@asynccontextmanager
async def ssh_server() -> AsyncGenerator[Server]:
    """A server that lets nobody in: its host key is seen before it asks who comes."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    listener = await asyncssh.listen("127.0.0.1", 0, server_host_keys=[key])
    async with listener:
        yield Server("LocalHost", listener.get_port(), "me", key.get_fingerprint())


async def see_host_key(around: Surroundings, server: Server) -> None:
    async with open_reverse("x", around, server, "127.0.0.1:0:127.0.0.1:22") as program:
        with anyio.fail_after(20):
            assert "does not accept the key" in await program.wait_ended()


async def test_a_server_may_be_named_in_capitals(around: Surroundings) -> None:
    async with ssh_server() as server:
        await see_host_key(around, server)
    check_pin(around, "x", server)


async def test_a_server_with_another_host_key_is_refused_and_not_remembered(
    around: Surroundings,
) -> None:
    async with ssh_server() as server:
        await see_host_key(around, server)
    with pytest.raises(RouteError, match="not the one that is known") as refused:
        check_pin(around, "x", replace(server, fingerprint="SHA256:other"))
    assert f"it has {server.fingerprint}" in refused.value.hint
    assert not known_hosts(around, "x").exists()
