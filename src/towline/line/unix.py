"""Unix sockets whose every wait may be cancelled at any moment: connections, and a listener.

anyio's own (4.16) have the loop set the result of a future that may be cancelled by then: whoever
comes or goes in the same instant in which we give up waiting leaves a traceback.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import anyio.lowlevel
from anyio.abc import ByteStream, Listener, SocketAttribute, TaskGroup


async def connect_unix(path: str) -> UnixStream:
    """Raises OSError."""
    async with await anyio.connect_unix(path) as connected:
        ours = connected.extra(SocketAttribute.raw_socket).dup()  # noqa: S610 - not Django's.
    return UnixStream(ours)


async def listen_unix(path: str) -> UnixListener:
    """Listen at `path` for this user's own programs. Raises OSError."""
    async with await anyio.create_unix_listener(path, mode=0o600) as listening:
        ours = listening.extra(SocketAttribute.raw_socket).dup()  # noqa: S610 - not Django's.
    return UnixListener(ours)


class UnixStream(ByteStream):
    """A connection. It owns the socket."""

    def __init__(self, connected: socket.socket) -> None:
        connected.setblocking(False)
        self._socket = connected

    async def receive(self, max_bytes: int = 65536) -> bytes:
        await anyio.lowlevel.checkpoint()
        while True:
            try:
                data = self._socket.recv(max_bytes)
            except BlockingIOError:
                await anyio.wait_readable(self._socket)
            except OSError as error:
                raise _failure(self._socket) from error
            else:
                if not data:
                    raise anyio.EndOfStream
                return data

    async def send(self, item: bytes) -> None:
        await anyio.lowlevel.checkpoint()
        rest = memoryview(item)
        while rest:
            try:
                rest = rest[self._socket.send(rest) :]
            except BlockingIOError:
                await anyio.wait_writable(self._socket)
            except OSError as error:
                raise _failure(self._socket) from error

    async def send_eof(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)

    async def aclose(self) -> None:
        await _close(self._socket)

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return {SocketAttribute.raw_socket: lambda: self._socket}


class UnixListener(Listener[UnixStream]):
    """Where connections come from. It owns the socket."""

    def __init__(self, listening: socket.socket) -> None:
        listening.setblocking(False)
        self._socket = listening

    async def serve(
        self, handler: Callable[[UnixStream], Any], task_group: TaskGroup | None = None
    ) -> None:
        async with anyio.create_task_group() as own:
            while True:
                (task_group or own).start_soon(handler, await self.accept())

    async def accept(self) -> UnixStream:
        """Raises OSError, such as EMFILE."""
        await anyio.lowlevel.checkpoint()
        while True:
            try:
                return UnixStream(self._socket.accept()[0])
            except BlockingIOError:
                await anyio.wait_readable(self._socket)
            except OSError as error:
                if self._socket.fileno() < 0:
                    raise anyio.ClosedResourceError from error
                raise

    async def aclose(self) -> None:
        await _close(self._socket)


async def _close(used: socket.socket) -> None:
    if used.fileno() >= 0:
        anyio.notify_closing(used)
        used.close()
    await anyio.lowlevel.checkpoint()


def _failure(used: socket.socket) -> Exception:
    is_closed = used.fileno() < 0
    return anyio.ClosedResourceError() if is_closed else anyio.BrokenResourceError()
