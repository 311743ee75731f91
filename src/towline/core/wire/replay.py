"""The numbered frames that went out and are not acknowledged: what a cut may have lost.

Frames are numbered by counting, from 0, in the order in which they first go out. Nothing here
looks into them.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from towline.core.wire.frames import ProtocolError


@dataclass(slots=True)
class _Sent:
    frame: bytes
    is_bulk: bool
    at: float  # When it was handed out last.


class Replay:
    """Counts frames; `size` and `bulk_in_flight` are in bytes."""

    def __init__(self) -> None:
        self.acknowledged = 0
        self.size = 0
        self.bulk_in_flight = 0  # Handed to the present transport and not acknowledged.
        self._frames: deque[_Sent] = deque()
        self._again: deque[_Sent] = deque()  # The last of `_frames`: yet to go to this transport.

    @property
    def sent(self) -> int:
        """How many frames the present transport and those before it carried, in order."""
        return self.acknowledged + len(self._frames) - len(self._again)

    @property
    def is_repeating(self) -> bool:
        return bool(self._again)

    def add(self, frame: bytes, is_bulk: bool, now: float) -> None:
        self._frames.append(_Sent(frame, is_bulk, now))
        self.size += len(frame)
        if is_bulk:
            self.bulk_in_flight += len(frame)

    def repeat(self, bulk_window: int, now: float) -> bytes | None:
        """Return the next frame that goes out again; None while bulk has to wait."""
        sent = self._again[0]
        if sent.is_bulk and self.bulk_in_flight >= bulk_window:
            return None
        del self._again[0]
        sent.at = now
        if sent.is_bulk:
            self.bulk_in_flight += len(sent.frame)
        return sent.frame

    def acknowledge(self, count: int) -> float | None:
        """Forget the first `count` frames of all; return when the last of them was handed out.

        None if `count` is not news. Raises `ProtocolError` for a count that cannot be.
        """
        self._check(count, self.sent)
        at: float | None = None
        while self.acknowledged < count:
            at = self._forget().at
        return at

    def rewind(self, count: int) -> None:
        """A new transport begins and the peer has `count` frames: all others go out again.

        Raises `ProtocolError` for a count that cannot be.
        """
        self._check(count, self.acknowledged + len(self._frames))
        self._again.clear()
        while self.acknowledged < count:
            self._forget()
        self._again.extend(self._frames)
        self.bulk_in_flight = 0

    def _check(self, count: int, sent: int) -> None:
        if not self.acknowledged <= count <= sent:
            raise ProtocolError(
                f"the other side acknowledged {count} frames, "
                f"after {self.acknowledged} before and of {sent} sent"
            )

    def _forget(self) -> _Sent:
        sent = self._frames.popleft()
        self.acknowledged += 1
        self.size -= len(sent.frame)
        if sent.is_bulk:
            self.bulk_in_flight -= len(sent.frame)
        return sent
