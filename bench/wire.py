"""The cost of the Line alone: two ends in memory, no transport between them.

`python bench/wire.py` prints the time of one small message end to end and the rate of bulk.
"""

from __future__ import annotations

import sys
import time

from towline.core.wire.events import Message
from towline.core.wire.frames import Priority
from towline.core.wire.line import Line

SMALL = b"s" * 200
SMALL_COUNT = 20_000
BULK = b"b" * (1 << 20)
BULK_SIZE = 512 << 20


def connected_pair() -> tuple[Line, Line]:
    now = time.monotonic()
    left = Line(b"l" * 16, initiator=True, software="bench", now=now)
    right = Line(b"l" * 16, initiator=False, software="bench", now=now)
    left.attach(now)
    right.attach(now)
    while carry(left, right) or carry(right, left):
        pass
    return left, right


def carry(source: Line, target: Line) -> bytes:
    """Move what may go, and let the target's reader consume it."""
    data = source.bytes_to_send(time.monotonic())
    if data:
        target.receive_bytes(data, time.monotonic())
        while (event := target.next_event()) is not None:
            if isinstance(event, Message):
                target.consumed(event.channel, len(event.data))
    return data


def small_message_s() -> float:
    """Seconds from `send` to the reader, one message at a time, acknowledged."""
    left, right = connected_pair()
    channel = left.open_channel(b"", Priority.SYNC)
    began = time.perf_counter()
    for _ in range(SMALL_COUNT):
        left.send(channel, SMALL)
        carry(left, right)
        carry(right, left)
    return (time.perf_counter() - began) / SMALL_COUNT


def bulk_rate() -> float:
    """Bytes per second."""
    left, right = connected_pair()
    channel = left.open_channel(b"", Priority.BULK)
    began = time.perf_counter()
    for _ in range(BULK_SIZE // len(BULK)):
        while left.sendable(channel) <= 0:
            carry(left, right)
            carry(right, left)
        left.send(channel, BULK)
    while carry(left, right) or carry(right, left):
        pass
    return BULK_SIZE / (time.perf_counter() - began)


def main() -> None:
    sys.stdout.write(f"small message, end to end   {small_message_s() * 1e6:8.1f} us\n")
    sys.stdout.write(f"bulk                        {bulk_rate() / 1e6:8.0f} MB/s\n")


if __name__ == "__main__":
    main()
