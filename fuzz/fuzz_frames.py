"""Fuzz a Line with what a peer may send: `python fuzz/fuzz_frames.py [libFuzzer arguments]`.

The first byte says which end is attacked and whether the input begins with a proper HELLO; the
second into what pieces the rest is cut. Only `ProtocolError` may come out. Importing this needs no
atheris.
"""

from __future__ import annotations

import sys

from towline.core.wire.events import Message, Opened
from towline.core.wire.frames import Hello, Priority, ProtocolError
from towline.core.wire.line import Line

LINE_ID = bytes(16)
HELLO = Hello(LINE_ID, 1, 0, False, "fuzz").encode()


def check_one(data: bytes) -> None:
    """Feed one input to a Line that reads, answers and refuses as a shell would."""
    if len(data) < 2:
        return
    line = Line(LINE_ID, initiator=bool(data[0] & 1), software="fuzz", now=0.0)
    line.attach(0.0)
    line.open_channel(b"fuzz", Priority.SYNC)
    stream = (HELLO if data[0] & 2 else b"") + data[2:]
    piece = data[1] or len(stream) or 1
    try:
        for start in range(0, len(stream), piece):
            _hear(line, stream[start : start + piece], float(start))
    except ProtocolError:
        _check_dead(line)


def _hear(line: Line, data: bytes, now: float) -> None:
    line.receive_bytes(data, now)
    while (event := line.next_event()) is not None:
        if isinstance(event, Message):
            line.consumed(event.channel, len(event.data))
            if line.sendable(event.channel) > 0:
                line.send(event.channel, event.data)
        elif isinstance(event, Opened) and event.greeting.startswith(b"x"):
            line.close_channel(event.channel)
    line.bytes_to_send(now)
    line.handle_timer(now)


def _check_dead(line: Line) -> None:
    line.bytes_to_send(0.0)  # Its last words, if any.
    if line.bytes_to_send(0.0) or line.deadline() is not None:
        raise AssertionError("a line that saw a fault goes on")


def main() -> None:
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, check_one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
