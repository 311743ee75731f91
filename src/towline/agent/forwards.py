"""Connections to ports of this machine, each a channel of the Line: bytes in, bytes out.

A channel's greeting names the port; only loopback is connected to, so nobody is led further than
their own login leads. An empty message says that its side has no more to send. What one end does
not read is not read from the other: the channel's credit here, the socket's buffer there.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

from towline.agent.streams import PART
from towline.core.wire.line import Line

FORWARDS_MAX = 256  # At a time: as many sockets as a process may well open besides its own.
LOOPBACK = "127.0.0.1"


class Forwards:
    """All forwards of one Line."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._open: dict[int, _Forward] = {}

    def wants(self, greeting: Mapping[str, Any]) -> bool:
        return "forward" in greeting

    def open(self, channel: int, greeting: Mapping[str, Any]) -> None:
        port = _read_port(greeting)
        if len(self._open) >= FORWARDS_MAX:
            return self._line.close_channel(channel, f"{FORWARDS_MAX} forwards are open already")
        try:
            self._open[channel] = _Forward(port)
        except OSError as error:
            self._line.close_channel(channel, _why(port, error))
        return None

    def __contains__(self, channel: int) -> bool:
        return channel in self._open

    def put(self, channel: int, data: bytes) -> None:
        """Take a message; its credit is given back once the socket has it."""
        forward = self._open[channel]
        if not data:
            self._line.consumed(channel, 0)
            forward.ends = True
        else:
            forward.outgoing += data
        self._move(channel, forward)

    def stir(self, channel: int) -> None:
        """There may be credit again."""
        if channel in self._open:
            self._move(channel, self._open[channel])

    def closed(self, channel: int) -> None:
        """The laptop closed the channel: nothing more comes or goes."""
        if forward := self._open.pop(channel, None):
            forward.close()

    def close(self) -> None:
        for forward in self._open.values():
            forward.close()
        self._open.clear()

    def step(self) -> None:
        """Move what can be moved, on all of them."""
        for channel, forward in list(self._open.items()):
            self._move(channel, forward)

    def readable(self) -> Collection[int]:
        """The descriptors to wait for until they can be read: what they have would have a place."""
        return {
            forward.socket.fileno()
            for channel, forward in self._open.items()
            if forward.is_connected and not forward.has_ended and self._line.sendable(channel) > 0
        }

    def writable(self) -> Collection[int]:
        """The descriptors to wait for until they can be written."""
        return {
            forward.socket.fileno()
            for forward in self._open.values()
            if not forward.is_connected or forward.outgoing
        }

    # -- Moving bytes -------------------------------------------------------------------------

    def _move(self, channel: int, forward: _Forward) -> None:
        try:
            if forward.connect():
                if sent := forward.write():
                    self._line.consumed(channel, sent)
                self._read(channel, forward)
        except OSError as error:
            self._drop(channel, _why(forward.port, error))
            return
        if forward.has_ended and forward.ends and not forward.outgoing:
            self._drop(channel, "")

    def _read(self, channel: int, forward: _Forward) -> None:
        """One part at a time: the loop comes back while there is more."""
        if forward.has_ended or self._line.sendable(channel) <= 0:
            return
        data = forward.read(PART)
        if data is not None:
            forward.has_ended = not data
            self._line.send(channel, data)

    def _drop(self, channel: int, reason: str) -> None:
        self._open.pop(channel).close()
        self._line.close_channel(channel, reason)


class _Forward:
    """A socket that never blocks. Connecting begins as it is made, which may raise OSError."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.outgoing = bytearray()  # Bounded by the channel's credit.
        self.is_connected = False
        self.has_ended = False  # The program on the machine sends no more, and the laptop knows.
        self.ends = False  # The laptop sends no more; nor do we, after `outgoing`.
        self._is_shut = False
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        began = self.socket.connect_ex((LOOPBACK, port))
        if began not in (0, errno.EINPROGRESS):
            self.socket.close()
            raise OSError(began, os.strerror(began))

    def connect(self) -> bool:
        """Whether the connection stands. Raises OSError if there will be none."""
        if not self.is_connected:
            if failed := self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(failed, os.strerror(failed))
            with suppress(OSError):
                self.socket.getpeername()
                self.is_connected = True
        return self.is_connected

    def write(self) -> int:
        """Write what the socket takes; return how much."""
        sent = 0
        with suppress(BlockingIOError):
            while self.outgoing:
                size = self.socket.send(self.outgoing)
                del self.outgoing[:size]
                sent += size
        if self.ends and not self.outgoing and not self._is_shut:
            self._is_shut = True
            self.socket.shutdown(socket.SHUT_WR)
        return sent

    def read(self, size: int) -> bytes | None:
        """Return what has come, b"" at the end, None if nothing has."""
        try:
            return self.socket.recv(size)
        except BlockingIOError:
            return None

    def close(self) -> None:
        self.socket.close()


def _why(port: int, error: OSError) -> str:
    if error.errno == errno.ECONNREFUSED:
        return f"nothing listens on port {port} of the machine"
    return f"port {port} of the machine: {error.strerror or error}"


def _read_port(greeting: Mapping[str, Any]) -> int:
    port = greeting["forward"]
    if type(port) is not int or not 0 < port < 1 << 16:
        raise ValueError("no port")
    return port
