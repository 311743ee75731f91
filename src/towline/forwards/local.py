"""A forward from here to the machine: what connects to a port or socket here is connected there.

It listens on loopback only, or on a unix socket that is this user's alone. Connections made while
the machine is away wait; those that are open go on after a cut, as the Line does.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from contextlib import suppress

import anyio
from anyio.abc import ByteStream, Listener, SocketAttribute

from towline.channels import carry
from towline.control_listener import GONE
from towline.errors import ExitCode, UserError
from towline.forwards.forward import LOOPBACK, Forward, NoChannelError
from towline.forwards.place import Place
from towline.line.accept import accept_all
from towline.line.unix import listen_unix


class Local(Forward):
    """`listen` is on this computer, `target` on the machine."""

    direction = "local"
    _listener: Listener[ByteStream]

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
                await accept_all(self._listener, self._connected)
            finally:
                if self.listen.path:
                    with suppress(OSError):
                        os.unlink(self.listen.path)

    # -- Listening ----------------------------------------------------------------------------

    async def _listen_on(self, port: int) -> None:
        self._listener = await anyio.create_tcp_listener(local_host=LOOPBACK, local_port=port)
        self.listen = Place(self._listener.extra(SocketAttribute.local_port))  # noqa: S610

    async def _listen_at(self, path: str) -> None:
        if sys.platform == "win32":
            raise UserError("Windows has no unix sockets: give a port", "", ExitCode.USAGE)
        if await anyio.to_thread.run_sync(_is_somebodys, path):
            raise UserError(f"{path} exists already", "", ExitCode.TRY_AGAIN)
        try:
            self._listener = await listen_unix(path)
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
