"""A forward from here to the machine: what connects to a port or socket here is connected there.

It listens on loopback only, or on a unix socket that is this user's alone. Connections made while
the machine is away wait; those that are open go on after a cut, as the Line does.
"""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress

import anyio
from anyio.abc import ByteStream, Listener, SocketAttribute, SocketStream

from towline.channels import CLOSED, carry
from towline.control import Json
from towline.control_listener import GONE
from towline.core.wire.channels import TooManyChannelsError
from towline.core.wire.frames import Priority
from towline.engine.events import ForwardFailed
from towline.errors import ExitCode, UserError
from towline.forwards.place import ANY_FREE, Place
from towline.line.channel import Channel
from towline.line.live import LiveLine

LOOPBACK = "127.0.0.1"

OpenLine = Callable[[], LiveLine | None]


class NoChannelError(Exception):
    """There is no Line to open a channel on, or no room on it."""


class Local:
    """One forward. `taken` says why it listens elsewhere than was wished, if it does."""

    direction = "local"

    def __init__(
        self, target: Place, line: OpenLine, tell: Callable[[ForwardFailed], None]
    ) -> None:
        self.target = target
        self.listen = ANY_FREE
        self.taken = ""
        self.open = 0  # Connections now.
        self._told = ""  # Once for a reason, not at each try of a page that reloads itself.
        self._line = line
        self._tell = tell
        self._listener: Listener[SocketStream]

    def as_json(self) -> Json:
        return {
            "direction": self.direction,
            "listen": self.address,
            "target": self.leads_to,
            "open": self.open,
            "failure": self._told,
        }

    @property
    def leads_to(self) -> str:
        return self.target.text

    @property
    def names(self) -> tuple[str, ...]:
        """What a person may call it."""
        return (self.address, self.listen.text, self.target.text)

    @property
    def address(self) -> str:
        """Where a program here connects to."""
        return self.listen.path or f"{LOOPBACK}:{self.listen.port}"

    async def begin(self, wished: Place | None) -> None:
        """Listen where wished; else at the port of the target, or a free one if that is taken.

        Raises UserError.
        """
        if wished is not None and wished.path:
            return await self._listen_at(wished.path)
        try:
            await self._listen_on(self.target.port if wished is None else wished.port)
        except OSError as error:
            if wished is not None:
                raise self._cannot(wished.port, error) from None
            self.taken = f"port {self.target.port} here is {_why(error)}"
            await self._listen_on(0)
        return None

    async def serve(self) -> None:
        """Take connections until cancelled."""
        async with self._listener:
            try:
                await self._listener.serve(self._connected)
            finally:
                if self.listen.path:
                    with suppress(OSError):
                        os.unlink(self.listen.path)

    # -- Listening ----------------------------------------------------------------------------

    async def _listen_on(self, port: int) -> None:
        self._listener = await anyio.create_tcp_listener(local_host=LOOPBACK, local_port=port)
        self.listen = Place(self._listener.extra(SocketAttribute.local_port))  # noqa: S610

    async def _listen_at(self, path: str) -> None:
        if await anyio.to_thread.run_sync(_is_somebodys, path):
            raise UserError(f"{path} exists already", "", ExitCode.TRY_AGAIN)
        try:
            self._listener = await anyio.create_unix_listener(path, mode=0o600)
        except OSError as error:
            raise UserError(f"{path}: {error.strerror or error}") from None
        self.listen = Place(path=path)

    # -- A connection -------------------------------------------------------------------------

    async def _connected(self, stream: ByteStream) -> None:
        self.open += 1
        try:
            with suppress(*GONE):
                async with stream:
                    self._note(await self._carry(stream))
        finally:
            self.open -= 1

    async def _carry(self, stream: ByteStream) -> str:
        """Return why nothing came of it, if so."""
        try:
            async with self._channel({"forward": self.target.as_json()}) as channel:
                return await carry(stream, channel)
        except NoChannelError as error:
            return str(error)

    @asynccontextmanager
    async def _channel(self, greeting: Json) -> AsyncGenerator[Channel]:
        """Open a channel to the machine's end. Raises NoChannelError."""
        line = self._line()
        if line is None:
            raise NoChannelError("the machine is not connected")
        try:
            channel = line.open_channel(json.dumps(greeting).encode(), Priority.INTERACTIVE)
        except (TooManyChannelsError, *CLOSED) as error:
            raise NoChannelError(str(error)) from None
        try:
            yield channel
        finally:
            with anyio.CancelScope(shield=True):
                await channel.aclose()

    def _note(self, reason: str) -> None:
        if reason and reason != self._told:
            self._tell(ForwardFailed(self.address, self.target.text, reason))
        self._told = reason

    def _cannot(self, port: int, error: OSError) -> UserError:
        return UserError(f"port {port} here is {_why(error)}", self._hint(port), ExitCode.TRY_AGAIN)

    def _hint(self, port: int) -> str:
        return (
            f"`towline forward 0:{port}` takes any free port; put another number before the colon"
        )


def _is_somebodys(path: str) -> bool:
    """Whether there is more at `path` than a socket that a dead program left behind."""
    if not os.path.lexists(path):
        return False
    with socket.socket(socket.AF_UNIX) as looking:
        looking.settimeout(1.0)
        try:
            looking.connect(path)
        except OSError as error:
            return error.errno != errno.ECONNREFUSED or os.path.isfile(path)
    return True


def _why(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "taken by another program"
    return "not yours to open" if error.errno == errno.EACCES else str(error.strerror or error)
