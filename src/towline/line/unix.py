"""A unix socket's connection as a byte stream that may be cancelled at any moment.

anyio's own (4.16) has the loop set the result of a future that may be cancelled by then: whoever
goes away in the same instant in which we give up waiting leaves a traceback. Nothing here listens
or connects.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Any, cast

import anyio
import anyio.lowlevel
from anyio.abc import ByteStream, SocketAttribute


def steady(stream: ByteStream) -> ByteStream:
    """Return a stream in place of one of anyio's; one that is no unix socket's is itself."""
    unix = getattr(socket, "AF_UNIX", None)
    is_unix = unix is not None and stream.extra(SocketAttribute.family, None) == unix  # noqa: S610
    return UnixStream(stream) if is_unix else stream


class UnixStream(ByteStream):
    """In place of `inner`, which it owns."""

    def __init__(self, inner: ByteStream) -> None:
        self._inner = inner
        self._socket = inner.extra(SocketAttribute.raw_socket)  # noqa: S610 - not Django's.

    async def receive(self, max_bytes: int = 65536) -> bytes:
        await anyio.lowlevel.checkpoint()
        while True:
            try:
                data = self._socket.recv(max_bytes)
            except BlockingIOError:
                await anyio.wait_readable(self._socket)
            except OSError as error:
                raise self._failure() from error
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
                raise self._failure() from error

    async def send_eof(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)

    async def aclose(self) -> None:
        if self._socket.fileno() >= 0:
            anyio.notify_closing(self._socket)
        await self._inner.aclose()

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return cast("Any", self._inner).extra_attributes  # type: ignore[no-any-return]

    def _failure(self) -> Exception:
        is_closed = self._socket.fileno() < 0
        return anyio.ClosedResourceError() if is_closed else anyio.BrokenResourceError()
