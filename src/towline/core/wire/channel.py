"""One channel at one end: what waits to go out, what has come in, and the credit of both ways.

A message may be begun while any credit is left and then goes out whole, so it can overdraw by one
message and never sticks half way. Which channel's turn it is is decided elsewhere.
"""

from __future__ import annotations

from collections import deque

from towline.core.wire.frames import (
    HEADER,
    MORE,
    Frame,
    Kind,
    Priority,
    ProtocolError,
    encode_close,
)
from towline.core.wire.limits import MESSAGE_OVERHEAD, Limits

_GRANTS_PER_WINDOW = 16  # One per message would double the frames; a large one lets a burst go.


class Outgoing:
    """The messages queued on a channel, and at the end its CLOSE."""

    __slots__ = (
        "_offset",
        "_queue",
        "channel",
        "close_left",
        "closing",
        "credit",
        "priority",
    )

    def __init__(self, channel: int, priority: Priority, limits: Limits) -> None:
        self.channel = channel
        self.priority = priority
        self.credit = limits.window_of(
            priority
        )  # Bytes, after what is queued. Not above 0: no new message.
        self.closing: str | None = None  # The reason given, once closed by this end.
        self.close_left = False  # The CLOSE is on its way: nothing can follow it.
        self._queue: deque[bytes] = deque()
        self._offset = 0  # Of what is yet to go of the first message.

    @property
    def is_waiting(self) -> bool:
        """Whether there is a frame to go."""
        return bool(self._queue) or (self.closing is not None and not self.close_left)

    @property
    def size(self) -> int:
        """Bytes of messages yet to go."""
        return sum(map(len, self._queue)) - self._offset

    def put(self, message: bytes) -> None:
        self._queue.append(message)
        self.credit -= len(message) + MESSAGE_OVERHEAD

    def take_frame(self, payload_max: int) -> bytes:
        """Return the next frame, encoded. There must be one."""
        if not self._queue:
            self.close_left = True
            return encode_close(self.channel, self.closing or "")
        message, start = self._queue[0], self._offset
        end = start + payload_max
        if end < len(message):
            self._offset = end
            header = HEADER.pack(Kind.DATA, MORE, self.channel, end - start)
            return b"".join((header, memoryview(message)[start:end]))  # A slice is another copy.
        self._offset = 0
        del self._queue[0]
        header = HEADER.pack(Kind.DATA, 0, self.channel, len(message) - start)
        return b"".join((header, memoryview(message)[start:])) if start else header + message


class Incoming:
    """The message being put together on a channel, and those its reader is not done with."""

    __slots__ = (
        "_allowance",
        "_consumed",
        "_due",
        "_limits",
        "_partial",
        "_partial_size",
        "_unread",
        "_window",
        "held",
    )

    def __init__(self, priority: Priority, limits: Limits) -> None:
        self._limits = limits
        self._window = limits.window_of(priority)
        self._allowance = self._window  # The credit left to the peer. Not above 0: no new message.
        self._partial: list[bytes] | None = None  # Pieces, none of them empty.
        self._partial_size = 0
        self._unread: deque[int] = deque()  # Sizes of the messages handed to the reader.
        self._consumed = 0  # Bytes of the first of them.
        self._due = 0  # Credit to be granted, saved up.
        self.held = 0  # Bytes received and not consumed, with the overhead of each message.

    def take(self, frame: Frame) -> bytes | None:
        """Take a DATA frame; return the message if it is whole now. Raises `ProtocolError`."""
        payload = frame.payload
        cost = len(payload)
        if self._partial is None:
            if self._allowance <= 0:
                raise ProtocolError(
                    f"the other side sent beyond its credit on channel {frame.channel}"
                )
            cost += MESSAGE_OVERHEAD
        elif self._partial_size + len(payload) > self._limits.message_max:
            raise ProtocolError(
                f"the other side sent a message of over {self._limits.message_max} bytes "
                f"on channel {frame.channel}"
            )
        self._allowance -= cost
        self.held += cost
        return self._put_together(payload, more=frame.flags == MORE)

    def _put_together(self, payload: bytes, *, more: bool) -> bytes | None:
        message = payload
        if more or self._partial is not None:
            self._partial = self._partial or []
            if payload:
                self._partial.append(payload)
                self._partial_size += len(payload)
            if more:
                return None
            message = b"".join(self._partial)
            self._partial, self._partial_size = None, 0
        self._unread.append(len(message))
        return message

    def consume(self, size: int) -> int:
        """The reader is done with `size` more bytes. Return the credit to grant now, mostly 0."""
        unread = self._unread
        consumed = self._consumed + size
        while unread and consumed >= unread[0]:
            first = unread.popleft()
            consumed -= first
            self._due += first + MESSAGE_OVERHEAD
        if consumed > 0 and not unread:
            raise ValueError(f"{consumed} bytes more consumed than were received")
        self._consumed = consumed
        if self._due < self._window // _GRANTS_PER_WINDOW:
            return 0
        grant, self._due = self._due, 0
        self._allowance += grant
        self.held -= grant
        return grant
