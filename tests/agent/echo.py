"""A service that sends every message back, on any channel; packed as `serve` into test bundles."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Collection
from typing import Any

from towline.agent.loop import TransportDeadError
from towline.core.wire.events import Closed, Lost, Message, Opened, Sendable, Silent
from towline.core.wire.frames import Hello, ProtocolError
from towline.core.wire.line import Line


class EchoService:
    """`pid` as a channel's greeting is answered with the process id, else all comes back."""

    def __init__(self) -> None:
        self.stopping = False
        self._line: Line | None = None
        self._lost = False
        self._waiting: dict[int, deque[bytes]] = {}

    def accept(self, hello: Hello, now: float) -> None:
        if self._line is None or self._lost or self._line.line_id != hello.line_id:
            self._lost = False
            self._line = Line(hello.line_id, initiator=False, software="echo 1", now=now)
            self._waiting.clear()
        self._line.attach(now)

    def receive(self, data: bytes, now: float) -> None:
        assert self._line is not None
        self._line.receive_bytes(data, now)
        self._take_events()

    def bytes_to_send(self, now: float) -> bytes:
        return self._line.bytes_to_send(now) if self._line else b""

    def detached(self, now: float) -> None:
        if self._line:
            self._line.detach(now)

    def deadline(self) -> float | None:
        return self._line.deadline() if self._line else None

    def tick(self, now: float) -> bool:
        if self._line:
            self._line.handle_timer(now)
            self._take_events()
        return False

    def writes_at(self) -> float | None:
        return self._line.acks_at() if self._line else None

    is_calm = True

    def carry(self) -> None:
        """There are no streams."""

    def watched(self) -> Collection[int]:
        return ()

    def readable(self) -> Collection[int]:
        return ()

    def writable(self) -> Collection[int]:
        return ()

    def request(self, request: dict[str, Any], reply: Callable[[dict[str, Any]], None]) -> None:
        reply({"echo": request})

    def close(self) -> None:
        self._waiting.clear()

    def _take_events(self) -> None:
        assert self._line is not None
        try:
            self._echo_events(self._line)
        except ProtocolError:
            self._lost = True
            raise

    def _echo_events(self, line: Line) -> None:
        while event := line.next_event():
            match event:
                case Opened(channel, greeting):
                    self._waiting[channel] = deque()
                    if greeting == b"pid":
                        line.send(channel, str(os.getpid()).encode())
                case Message(channel, data):
                    self._waiting[channel].append(data)
                    self._send_back(channel)
                case Sendable(channel):
                    self._send_back(channel)
                case Closed(channel):
                    self._waiting.pop(channel, None)
                case Lost():
                    self._lost = True
                case Silent(silent_s):
                    raise TransportDeadError(f"silent for {silent_s:.0f} s")
                case _:
                    pass

    def _send_back(self, channel: int) -> None:
        assert self._line is not None
        waiting = self._waiting[channel]
        while waiting and self._line.sendable(channel):
            message = waiting.popleft()
            self._line.send(channel, message)
            self._line.consumed(channel, len(message))


def open_service(workspace: str) -> EchoService:
    return EchoService()
