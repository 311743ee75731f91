"""Colab's bridge against an emulator: its header and token, its statuses, its one connection."""

from __future__ import annotations

from collections.abc import AsyncIterator
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from towline.routes.colab_bridge import PATH, open_colab
from towline.routes.errors import RouteError

pytestmark = pytest.mark.anyio

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPRetend ana@laptop"
TOKEN = "a token/with+signs"  # noqa: S105


class Emulator:
    """As recorded: what it asks, what it refuses, and that it lets one in at a time."""

    status = 0
    inside = 0

    def check(self, connection: ServerConnection, request: Request) -> Response | None:
        url = urlsplit(request.path)
        if url.path != PATH or self.status:
            return connection.respond(HTTPStatus(self.status or 404), "")
        if parse_qs(url.query)["colab-runtime-proxy-token"] != [TOKEN]:
            return connection.respond(HTTPStatus.UNAUTHORIZED, "")
        if request.headers["X-Colab-Ssh-Pubkey"] != KEY:
            return connection.respond(HTTPStatus.BAD_REQUEST, "unsupported key type")
        if self.inside:
            return connection.respond(HTTPStatus.TOO_MANY_REQUESTS, "")
        return None

    async def echo(self, visitor: ServerConnection) -> None:
        self.inside += 1
        async for message in visitor:
            await visitor.send(message)
        self.inside -= 1


@pytest.fixture
async def emulator() -> AsyncIterator[tuple[Emulator, int]]:
    made = Emulator()
    async with serve(made.echo, "127.0.0.1", 0, process_request=made.check) as server:
        yield made, next(iter(server.sockets)).getsockname()[1]


async def test_bytes_pass_and_a_second_connection_is_told_that_there_is_one(
    emulator: tuple[Emulator, int],
) -> None:
    _, port = emulator
    async with open_colab("127.0.0.1", TOKEN, KEY + "\n", port=port, secure=False) as stream:
        await stream.send(b"SSH-2.0-x\r\n")
        assert await stream.receive() == b"SSH-2.0-x\r\n"
        with pytest.raises(RouteError, match="another ssh is connected"):
            async with open_colab("127.0.0.1", TOKEN, KEY, port=port, secure=False):
                pass


@pytest.mark.parametrize(
    ("status", "means"),
    [
        (400, "does not take that key"),
        (401, "token has expired"),
        (403, "refuses this visitor"),
        (404, "has no SSH"),
        (429, "another ssh"),
        (502, "sshd does not answer"),
    ],
)
async def test_each_status_has_its_meaning(
    emulator: tuple[Emulator, int], status: int, means: str
) -> None:
    made, port = emulator
    made.status = status
    with pytest.raises(RouteError, match=means) as refused:
        async with open_colab("127.0.0.1", TOKEN, KEY, port=port, secure=False):
            pass
    assert refused.value.hint


@pytest.mark.parametrize("key", ["ssh-rsa AAAA ana", "", "ssh-ed25519 AAAA x\r\nHost: evil"])
async def test_a_key_that_colab_never_takes_is_not_sent(key: str) -> None:
    with pytest.raises(RouteError, match="ed25519 or ecdsa"):
        async with open_colab("127.0.0.1", TOKEN, key, port=9, secure=False):
            pass
