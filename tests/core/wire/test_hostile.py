"""What a peer may try: each row says what it sends, what it is told, and that memory is bounded."""

from __future__ import annotations

import os
import runpy
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towline.core.wire.events import Connected, Message, Opened
from towline.core.wire.frames import (
    MAGIC,
    MORE,
    Hello,
    Kind,
    Priority,
    ProtocolError,
    encode_close,
    encode_count,
    encode_credit,
    encode_frame,
    encode_open,
)
from towline.core.wire.limits import Limits
from towline.core.wire.line import Line

from .pair import LINE_ID, SMALL

HELLO = Hello(LINE_ID, 1, 0, False, "hostile")
OPEN = encode_open(1, Priority.SYNC, b"")


def victim(limits: Limits = SMALL) -> Line:
    """An acceptor that has been greeted and has opened one channel (2) itself."""
    line = Line(LINE_ID, initiator=False, software="x", now=0, limits=limits)
    line.attach(0)
    line.receive_bytes(HELLO.encode(), 0)
    assert line.next_event() == Connected(resumed=False, rtt_s=None)
    line.open_channel(b"", Priority.SYNC)
    line.bytes_to_send(0)
    return line


def drain(line: Line) -> list[object]:
    return list(iter(line.next_event, None))


def data(channel: int, payload: bytes, flags: int = 0) -> bytes:
    return encode_frame(Kind.DATA, flags, channel, payload)


@pytest.mark.parametrize(
    ("stream", "match"),
    [
        (HELLO.encode(), "second HELLO"),
        (MAGIC, "second HELLO"),
        (b"\x00" * 8, "unknown kind 0"),
        (b"\x02\x00\x00\x00\x00\x01\xff\xff", "DATA with a payload of 65535"),
        (data(1, b"x"), "DATA on channel 1, which was never opened"),
        (data(4, b"x"), "DATA on channel 4, which was never opened"),
        (encode_close(1, ""), "CLOSE on channel 1, which was never opened"),
        (encode_credit(3, 1), "CREDIT on channel 3, which was never opened"),
        (encode_open(2, Priority.SYNC, b""), "opened channel 2, when 1 was next"),
        (encode_open(3, Priority.SYNC, b""), "opened channel 3, when 1 was next"),
        (OPEN + OPEN, "opened channel 1, when 3 was next"),
        (OPEN + data(1, bytes(400)) + data(1, b""), "beyond its credit on channel 1"),
        (OPEN + data(1, bytes(336)) + data(1, b""), "beyond its credit on channel 1"),
        (OPEN + data(1, b"") * 7 + data(1, b""), "beyond its credit on channel 1"),
        (encode_credit(2, 1), "granted more credit than was used on channel 2"),
        (encode_count(Kind.ACK, 2), "acknowledged 2 frames, after 0 before and of 1 sent"),
        (encode_count(Kind.ACK, 1) + encode_count(Kind.ACK, 0), "acknowledged 0 frames, after 1"),
        (encode_count(Kind.PONG, 2), "answered PING 2, which was never sent"),
        (encode_count(Kind.PONG, 0), "answered PING 0, which was never sent"),
        (b"".join(encode_open(n, 0, b"") for n in (1, 3, 5, 7)), "more than 3 channels"),
        (OPEN + data(1, bytes(100), MORE) * 11, "message of over 1000 bytes on channel 1"),
        (
            b"".join(encode_open(n, 0, b"") + data(n, bytes(900)) for n in (1, 3, 5)),
            "2500 bytes that nobody has read",
        ),
        (
            b"".join(encode_open(n, 0, b"") + encode_close(n, "") for n in range(1, 99, 2)),
            "does not wait for the answers",
        ),
    ],
)
def test_a_peer_that_breaks_the_protocol_is_told_how(stream, match):
    line = victim(replace(SMALL, channels_max=3, message_max=1000, held_max=2500))
    line.receive_bytes(stream, 0)
    with pytest.raises(ProtocolError, match=match):
        drain(line)
    with pytest.raises(ProtocolError, match=match):
        line.next_event()
    assert line.bytes_to_send(0) == b""
    assert line.deadline() is None


def test_frames_before_the_fault_are_still_delivered():
    line = victim()
    line.receive_bytes(OPEN + data(1, b"good") + b"\xff" * 8, 0)
    assert line.next_event() == Opened(1, b"", Priority.SYNC)
    assert line.next_event() == Message(1, b"good")
    with pytest.raises(ProtocolError, match="unknown kind 255"):
        line.next_event()


def test_what_is_within_the_limits_is_not_held_against_the_peer():
    line = victim(replace(SMALL, channels_max=3, message_max=1000, held_max=2500))
    line.receive_bytes(OPEN, 0)
    for _ in range(2):
        line.receive_bytes(data(1, bytes(100), MORE) * 10 + data(1, b""), 0)
        assert drain(line)[-1] == Message(1, bytes(1000))
        line.consumed(1, 1000)
    for number in (3, 5):
        line.receive_bytes(encode_open(number, 0, b"") + data(number, bytes(1000)), 0)
        assert drain(line)[-1] == Message(number, bytes(1000))
    line.receive_bytes(encode_close(3, "") + encode_open(7, 0, b"") + data(7, bytes(1000)), 0)
    assert drain(line)[-1] == Message(7, bytes(1000))
    line.close_channel(7)
    line.receive_bytes(encode_close(7, "") + encode_open(9, 0, b"") + data(9, bytes(1000)), 0)
    assert drain(line)[-1] == Message(9, bytes(1000))


def test_what_was_consumed_is_not_counted_twice_when_its_channel_closes():
    line = victim(replace(SMALL, channels_max=9, held_max=2500))
    line.receive_bytes(OPEN + data(1, bytes(1000)), 0)
    drain(line)
    line.consumed(1, 1000)
    line.receive_bytes(encode_close(1, ""), 0)
    for number, size in ((3, 1000), (5, 1000), (7, 2500 - 2 * 1064 - 64)):
        line.receive_bytes(encode_open(number, 0, b"") + data(number, bytes(size), MORE), 0)
        drain(line)
    line.receive_bytes(data(7, b"x", MORE), 0)  # One byte too many.
    with pytest.raises(ProtocolError, match="nobody has read"):
        drain(line)


def floods() -> dict[str, list[bytes]]:
    """Streams that would go on for ever, as the pieces in which they come."""
    tiny = Limits().window // 65
    return {
        "pings": [encode_count(Kind.PING, 7) * 1000] * 100,
        "empty parts": [OPEN, *([data(1, b"", MORE) * 1000] * 100)],
        "tiny parts": [OPEN, *([data(1, b"x", MORE) * 1000] * 100)],
        "tiny messages": [OPEN, data(1, b"x") * tiny],
        "open and close": [
            b"".join(encode_open(n, 0, bytes(4096)) + encode_close(n, "") for n in (k, k + 2))
            for k in range(1, 2000, 4)
        ],
        "a channel closed here": [OPEN, b"close", *([data(1, bytes(16384)) * 4] * 500)],
        "acknowledgements": [encode_count(Kind.ACK, 1) * 1000] * 100,
        "credit of nothing": [encode_credit(2, 0) * 1000] * 100,
    }


@pytest.mark.parametrize("name", sorted(floods()))
def test_a_flood_costs_bounded_memory(name):
    stream = floods()[name]
    line = victim(Limits())
    tracemalloc.start()
    try:
        for piece in stream:
            if piece == b"close":
                line.close_channel(1)
                continue
            line.receive_bytes(piece, 0)
            while line.next_event() is not None:
                pass
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used < 3 << 20
    assert len(line.bytes_to_send(0)) < 2 << 20


@given(st.binary(max_size=200))
def test_any_bytes_end_in_events_or_a_protocol_error(stream):
    line = victim()
    line.receive_bytes(OPEN + stream, 0)
    try:
        drain(line)
    except ProtocolError:
        assert line.bytes_to_send(0) == b""


FUZZ = runpy.run_path(str(Path(__file__).parents[3] / "fuzz" / "fuzz_frames.py"))


@given(st.integers(0, 3), st.integers(0, 255), st.binary(max_size=100))
def test_the_fuzz_target_runs_without_its_fuzzer(end, piece, stream):
    FUZZ["check_one"](bytes([end, piece]) + OPEN + stream)


def test_random_bytes_of_a_megabyte_end_in_a_protocol_error():
    line = victim()
    line.receive_bytes(b"\x00" + os.urandom(1 << 20), 0)
    with pytest.raises(ProtocolError):
        drain(line)
