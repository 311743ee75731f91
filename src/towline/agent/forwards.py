"""Connections that this machine makes for the laptop, each a channel of the Line: bytes both ways.

A channel's greeting names where to (`targets`): nobody is led further than their own login leads.
Greeted with `connect` instead of `forward`, it is first sent one byte when the connection stands.
An empty message says that its side has no more to send. What one end does not read is not read
from the other: the channel's credit here, the socket's buffer there.
"""

from __future__ import annotations

import errno
import os
import socket
from collections import deque
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any, cast

from towline.agent.streams import PART
from towline.agent.targets import Address, Lookup, Target, read_target
from towline.core.wire.line import Line

FORWARDS_MAX = 256  # At a time: as many sockets as a process may well open besides its own.
CONNECTED = b"\0"


class Forwards:
    """All forwards of one Line."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._open: dict[int, Forward] = {}

    def wants(self, greeting: Mapping[str, Any]) -> bool:
        return "forward" in greeting or "connect" in greeting

    def open(self, channel: int, greeting: Mapping[str, Any]) -> None:
        tells = "connect" in greeting
        target = read_target(greeting["connect" if tells else "forward"])
        if len(self._open) >= FORWARDS_MAX:
            return self._line.close_channel(channel, f"{FORWARDS_MAX} forwards are open already")
        try:
            self._open[channel] = Forward(target, tells=tells)
        except OSError as error:
            self._line.close_channel(channel, target.why_not(error))
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
        self._move(channel, forward, reads=False)

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
            forward.fileno()
            for channel, forward in self._open.items()
            if forward.is_looked_up
            or (forward.is_connected and not forward.has_ended and self._line.sendable(channel) > 0)
        }

    def writable(self) -> Collection[int]:
        """The descriptors to wait for until they can be written."""
        return {
            forward.fileno()
            for forward in self._open.values()
            if not (forward.is_looked_up or forward.waits)
            and (not forward.is_connected or forward.outgoing)
        }

    @property
    def waits(self) -> bool:
        """Whether to call `step` in a while, though no descriptor tells when."""
        return any(forward.waits for forward in self._open.values())

    # -- Moving bytes -------------------------------------------------------------------------

    def _move(self, channel: int, forward: Forward, *, reads: bool = True) -> None:
        try:
            if forward.connect():
                if forward.tells:
                    forward.tells = False
                    self._line.send(channel, CONNECTED)  # The first message: there is credit.
                if sent := forward.write():
                    self._line.consumed(channel, sent)
                if reads:
                    self._read(channel, forward)
        except OSError as error:
            self._drop(channel, forward.why_not(error))
            return
        if forward.has_ended and (forward.is_deaf or (forward.ends and not forward.outgoing)):
            self._drop(channel, "")

    def _read(self, channel: int, forward: Forward) -> None:
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


class Forward:
    """A socket that never blocks. Connecting begins as it is made, which may raise OSError.

    Where there is a connection already it is that one, and `target` only says whose.
    """

    def __init__(
        self, target: Target, *, tells: bool = False, connection: socket.socket | None = None
    ) -> None:
        self.tells = tells  # The laptop waits to hear that it is connected.
        self.outgoing = bytearray()  # Bounded by the channel's credit.
        self.is_connected = connection is not None
        self.waits = False  # For a place in the queue of a unix socket: no event tells of one.
        self.has_ended = False  # The program on the machine sends no more, and the laptop knows.
        self.ends = False  # The laptop sends no more; nor do we, after `outgoing`.
        self.is_deaf = False  # It takes no more; what it has said already is still to be read.
        self._is_shut = False
        self._target = target
        self._connection = connection
        self._lookup: Lookup | None = None
        self._untried: deque[Address] = deque(target.addresses)
        self._failure: OSError | None = None  # The first: later addresses are less likely meant.
        if target.addresses:
            self._try_next()
        elif connection is None:
            self._lookup = Lookup(target)

    @property
    def is_looked_up(self) -> bool:
        """Whether the host's address is still being asked for."""
        return self._lookup is not None

    @property
    def connection(self) -> socket.socket:
        assert self._connection, "made as soon as an address is known"
        return self._connection

    def fileno(self) -> int:
        return self._lookup.fileno() if self._lookup else self.connection.fileno()

    def why_not(self, error: OSError) -> str:
        return self._target.why_not(error)

    def connect(self) -> bool:
        """Whether the connection stands. Raises OSError if there will be none."""
        if self._lookup and not self._is_found(self._lookup):
            return False
        if not self.is_connected:
            if failed := self.connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self._failure = self._failure or OSError(failed, os.strerror(failed))
            if failed or self.waits:
                self._try_next()
                return False
            with suppress(OSError):
                self.connection.getpeername()
                self.is_connected = True
        return self.is_connected

    def _is_found(self, lookup: Lookup) -> bool:
        if (found := lookup.take()) is None:
            return False
        self._untried.extend(found)
        self._end_lookup()
        self._try_next()
        return True

    def _try_next(self) -> None:
        """Begin to connect to the next address that does not fail at once. OSError if all do."""
        while self._untried:
            failure = self._begin(*self._untried.popleft())
            if failure is None:
                return
            self._failure = self._failure or failure
        assert self._failure, "nothing is left because something failed"
        raise self._failure

    def _begin(self, family: int, where: object) -> OSError | None:
        """Return what prevents it at once."""
        self._let_go()
        try:
            self._connection = connection = socket.socket(family)
            connection.setblocking(False)
            if family != socket.AF_UNIX:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            began = connection.connect_ex(cast("Any", where))
        except OSError as error:  # No such family here; a path that is too long.
            self._let_go()
            return error
        self.waits = family == socket.AF_UNIX and began == errno.EAGAIN
        if self.waits:
            self._untried.append((family, where))
        if self.waits or began in (0, errno.EINPROGRESS):
            return None
        self._let_go()
        return OSError(began, os.strerror(began))

    def write(self) -> int:
        """Write what the socket takes; return how much is done with, taken or not."""
        before = len(self.outgoing)
        try:
            while self.outgoing and not self.is_deaf:
                del self.outgoing[: self.connection.send(self.outgoing)]
            if self.ends and not self.outgoing and not self._is_shut:
                self._is_shut = True
                self.connection.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            pass
        except OSError:
            self.is_deaf = True
        if self.is_deaf:
            self.outgoing.clear()
        return before - len(self.outgoing)

    def read(self, size: int) -> bytes | None:
        """Return what has come, b"" at the end, None if nothing has."""
        try:
            return self.connection.recv(size)
        except BlockingIOError:
            return None

    def close(self) -> None:
        self._end_lookup()
        self._let_go()

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _end_lookup(self) -> None:
        if self._lookup is not None:
            self._lookup.close()
            self._lookup = None
