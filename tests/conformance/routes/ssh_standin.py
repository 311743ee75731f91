"""A stand-in for providers that are SSH servers: it says what was recorded, and really forwards.

It is no sshd: it takes anybody, prints a banner of the provider's, and leads what comes to a port
of loopback (or, for an alias, through itself) back to who asked for the forward.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import asyncssh

Banner = Callable[[int], str]


@dataclass
class StandIn:
    """What a test may ask of it."""

    banner: Banner  # What is printed once the forward stands, with the outer port in it.
    refuses: str = ""  # "forward" or "login".
    port: int = 0  # Where it listens for ssh.
    outside: int = 0  # The port of loopback that stands for the provider's public one.
    fingerprint: str = ""
    users: list[str] = field(default_factory=list)
    connections: list[asyncssh.SSHServerConnection] = field(default_factory=list)
    forwarded: tuple[str, int] = ("", 0)

    def kill(self) -> None:
        """Cut everybody off, unannounced."""
        for connection in self.connections:
            connection.abort()


class _Listener(asyncssh.SSHListener):
    def __init__(self, server: asyncio.Server, port: int) -> None:
        super().__init__()
        self._server = server
        self._port = port

    def get_port(self) -> int:
        return self._port

    def close(self) -> None:
        self._server.close()

    async def wait_closed(self) -> None:
        return None


async def _pump(reader: object, writer: object) -> None:
    with suppress(OSError, asyncssh.Error, asyncio.CancelledError):
        while part := await reader.read(65536):  # type: ignore[attr-defined]
            writer.write(part)  # type: ignore[attr-defined]
            await writer.drain()  # type: ignore[attr-defined]
        if writer.can_write_eof():  # type: ignore[attr-defined]
            writer.write_eof()  # type: ignore[attr-defined]


async def _both(one: tuple[object, object], other: tuple[object, object]) -> None:
    await asyncio.gather(_pump(one[0], other[1]), _pump(other[0], one[1]))
    for writer in (one[1], other[1]):
        writer.close()  # type: ignore[attr-defined]


class _Server(asyncssh.SSHServer):
    def __init__(self, world: StandIn) -> None:
        self._world = world
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._world.connections.append(conn)

    def begin_auth(self, username: str) -> bool:
        self._world.users.append(username)
        return self._world.refuses == "login"

    def public_key_auth_supported(self) -> bool:
        return True

    async def server_requested(self, listen_host: str, listen_port: int) -> Any:
        if self._world.refuses == "forward":
            return False
        connection = self._connection
        assert connection is not None

        async def come_in(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            inner = await connection.open_connection(listen_host, port, "127.0.0.1", 1)
            await _both((reader, writer), inner)

        server = await asyncio.start_server(come_in, "127.0.0.1", 0)
        outside = server.sockets[0].getsockname()[1]
        port = listen_port or 8  # "Allocated port 8" is not the public one.
        self._world.outside = outside
        self._world.forwarded = (listen_host, port)
        return _Listener(server, port)

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> Any:
        """A hop to an alias: by the port of loopback that stands for it."""
        if (dest_host, dest_port) != self._world.forwarded:
            return False

        async def lead(reader: object, writer: object) -> None:
            inner = await asyncio.open_connection("127.0.0.1", self._world.outside)
            await _both((reader, writer), inner)

        return lead


@asynccontextmanager
async def ssh_standin(banner: Banner, refuses: str = "") -> AsyncIterator[StandIn]:
    world = StandIn(banner, refuses)
    key = asyncssh.generate_private_key("ssh-rsa")  # As most of these providers have.
    world.fingerprint = key.get_fingerprint()

    async def speak(process: asyncssh.SSHServerProcess[str]) -> None:
        for line in world.banner(world.outside).splitlines():
            process.stdout.write(line + "\r\n")
        with suppress(asyncssh.Error, OSError):
            await process.stdin.read()
            await asyncio.Event().wait()

    acceptor = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=lambda: _Server(world),
        server_host_keys=[key],
        process_factory=speak,
    )
    world.port = acceptor.get_port()
    try:
        yield world
    finally:
        acceptor.close()
        world.kill()
