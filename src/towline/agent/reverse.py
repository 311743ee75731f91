"""Ports of this machine that lead to the laptop: a listener here, each connection a channel.

`{"reverse": N, "listen": PLACE}` asks for a listener, `{"reverse": N}` waits for a connection to
it: the laptop opens every channel and knows by itself where each leads, so that nothing said here
could name a place of the laptop. The listener lasts as long as the channel that asked for it; an
empty message ends both.

It listens on loopback only, or on a unix socket that is this account's alone. Connections that
nobody waits for yet stay with the system.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import stat
from collections import deque
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any, cast

from towline.agent.forwards import FORWARDS_MAX, Forward, Forwards
from towline.agent.targets import LOOPBACK, Target
from towline.core.wire.line import Line

LISTENERS_MAX = 64
WAITING_MAX = 64  # Channels that wait at one listener; a laptop has a few.
BACKLOG = 128
WHOSE = Target("the program that connected", ())


class Reverses(Forwards):
    """All listeners of one Line, and the connections that came to them."""

    def __init__(self, line: Line) -> None:
        super().__init__(line)
        self._listeners: dict[int, _Listener] = {}  # By the channel that asked for it.

    def wants(self, greeting: Mapping[str, Any]) -> bool:
        return "reverse" in greeting

    def open(self, channel: int, greeting: Mapping[str, Any]) -> None:
        number = greeting["reverse"]
        if type(number) is not int:
            raise ValueError("no number")
        if "listen" in greeting:
            self._listen(channel, number, greeting["listen"])
        else:
            self._wait(channel, number)

    def __contains__(self, channel: int) -> bool:
        return (
            channel in self._listeners
            or self._listener_of(channel) is not None
            or super().__contains__(channel)
        )

    def put(self, channel: int, data: bytes) -> None:
        if super().__contains__(channel):
            return super().put(channel, data)
        self._line.consumed(channel, len(data))  # Nobody is there to hear it.
        if not data and (listener := self._listeners.pop(channel, None)):
            self._end(listener)
            self._line.close_channel(channel, "")
        return None

    def closed(self, channel: int) -> None:
        if listener := self._listeners.pop(channel, None):
            self._end(listener)
        elif listener := self._listener_of(channel):
            listener.waiting.remove(channel)
        else:
            super().closed(channel)

    def close(self) -> None:
        for listener in self._listeners.values():
            listener.close()
        self._listeners.clear()
        super().close()

    def step(self) -> None:
        for listener in self._listeners.values():
            self._accept(listener)
        super().step()

    def readable(self) -> Collection[int]:
        wanted = [one for one in self._listeners.values() if self._can_take(one)]
        return {*super().readable(), *(listener.socket.fileno() for listener in wanted)}

    # -- Listening ----------------------------------------------------------------------------

    def _listen(self, channel: int, number: int, place: object) -> None:
        if len(self._listeners) >= LISTENERS_MAX:
            return self._line.close_channel(channel, f"{LISTENERS_MAX} ports are listened on")
        try:
            listener = _Listener(number, place)
        except OSError as error:
            return self._line.close_channel(channel, _why_not(place, error))
        self._listeners[channel] = listener
        self._line.send(channel, json.dumps({"port": listener.port}).encode())
        return None

    def _wait(self, channel: int, number: int) -> None:
        for listener in self._listeners.values():
            if listener.number == number and len(listener.waiting) < WAITING_MAX:
                listener.waiting.append(channel)
                return self._accept(listener)
        return self._line.close_channel(channel, "nothing listens for it")

    def _end(self, listener: _Listener) -> None:
        listener.close()
        for waiting in listener.waiting:
            self._line.close_channel(waiting, "nothing listens for it any more")

    def _listener_of(self, channel: int) -> _Listener | None:
        """Return the listener at which a channel waits."""
        return next((one for one in self._listeners.values() if channel in one.waiting), None)

    def _can_take(self, listener: _Listener) -> bool:
        return bool(listener.waiting) and len(self._open) < FORWARDS_MAX

    def _accept(self, listener: _Listener) -> None:
        while self._can_take(listener):
            try:
                connection, _ = listener.socket.accept()
            except OSError:  # None has come, or it is gone again.
                return
            connection.setblocking(False)
            channel = listener.waiting.popleft()
            self._open[channel] = Forward(WHOSE, tells=True, connection=connection)
            self._move(channel, self._open[channel])


class _Listener:
    """Raises OSError where it cannot listen, and ValueError for what is no place."""

    def __init__(self, number: int, place: object) -> None:
        self.number = number
        self.waiting: deque[int] = deque()
        self._path = _path_of(place)
        self.socket = _listen_at(self._path) if self._path else _listen_on(_port_of(place))
        self.socket.setblocking(False)

    @property
    def port(self) -> int:
        """0 for a socket's path."""
        return 0 if self._path else cast("int", self.socket.getsockname()[1])

    def close(self) -> None:
        self.socket.close()
        if self._path:
            with suppress(OSError):
                os.unlink(self._path)


def _listen_on(port: int) -> socket.socket:
    return socket.create_server((LOOPBACK[0], port), backlog=BACKLOG)


def _listen_at(path: str) -> socket.socket:
    if _is_left_behind(path):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)  # The agent has one thread: nobody makes a file meanwhile.
    try:
        listener.bind(path)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(before)
    return listener


def _is_left_behind(path: str) -> bool:
    """Whether a socket lies there that nobody listens on any more, of a dead agent."""
    try:
        is_socket = stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False
    with socket.socket(socket.AF_UNIX) as looking:
        looking.setblocking(False)
        return is_socket and looking.connect_ex(path) == errno.ECONNREFUSED


def _path_of(place: object) -> str:
    """Return the path that a greeting names, empty where it names a port. Raises ValueError."""
    if type(place) is not dict:
        return ""
    path = cast("dict[str, object]", place).get("path")
    if type(path) is not str or not path.startswith(("/", "~")) or "\0" in path:
        raise ValueError("a socket's path begins with / or ~")
    return os.path.expanduser(path)


def _port_of(place: object) -> int:
    if type(place) is not int or not 0 <= place < 1 << 16:
        raise ValueError("no port")
    return place


def _why_not(place: object, error: OSError) -> str:
    what = _path_of(place) or f"port {_port_of(place)} of the machine"
    if error.errno == errno.EADDRINUSE:
        return f"{what} is taken by another program"
    return f"{what}: {error.strerror or error}"
