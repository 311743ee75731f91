"""Bytes to frames and back, at any split; and what is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towline.core.wire import frames
from towline.core.wire.frames import (
    GREETING_MAX,
    HELLO_MAX,
    MAGIC,
    MORE,
    PAYLOAD_MAX,
    REASON_MAX,
    VERSION,
    Frame,
    FrameReader,
    Hello,
    Kind,
    Priority,
    ProtocolError,
    VersionMismatchError,
    parse_hello,
)

HELLO = Hello(bytes(range(16)), 3, 7, True, "towline 0.1.0")

channels = st.integers(1, (1 << 32) - 1)
counts = st.integers(0, (1 << 64) - 1).map(lambda count: count.to_bytes(8, "big"))
any_frame = st.one_of(
    st.builds(Frame, st.just(Kind.OPEN), st.sampled_from(Priority), channels, st.binary()),
    st.builds(Frame, st.just(Kind.DATA), st.sampled_from([0, MORE]), channels, st.binary()),
    st.builds(Frame, st.just(Kind.CLOSE), st.just(0), channels, st.binary()),
    st.builds(Frame, st.just(Kind.CREDIT), st.just(0), channels, st.binary(min_size=4, max_size=4)),
    st.builds(
        Frame, st.sampled_from([Kind.ACK, Kind.PING, Kind.PONG]), st.just(0), st.just(0), counts
    ),
)


@given(st.lists(any_frame, max_size=8), st.lists(st.integers(1, 50), min_size=1))
def test_frames_survive_any_split_of_the_stream(sent, sizes):
    stream = HELLO.encode() + b"".join(frames.encode_frame(*frame) for frame in sent)
    reader = FrameReader()
    hello, received, at = None, [], 0
    while at < len(stream):
        size = sizes[at % len(sizes)]
        reader.feed(stream[at : at + size])
        at += size
        hello = hello or reader.take_hello()
        while hello and (frame := reader.take_frame()):
            received.append(frame)
    assert hello == HELLO
    assert received == sent
    assert reader.rest == b""


@pytest.mark.parametrize(
    ("encoded", "frame"),
    [
        (frames.encode_open(3, Priority.BULK, b"x"), Frame(Kind.OPEN, Priority.BULK, 3, b"x")),
        (frames.encode_close(3, "over"), Frame(Kind.CLOSE, 0, 3, b"over")),
        (frames.encode_credit(3, 258), Frame(Kind.CREDIT, 0, 3, b"\0\0\1\2")),
        (frames.encode_count(Kind.ACK, 258), Frame(Kind.ACK, 0, 0, bytes(6) + b"\1\2")),
    ],
)
def test_what_an_end_says_itself_is_a_frame_that_the_other_takes(
    encoded: bytes, frame: Frame
) -> None:
    reader = FrameReader()
    reader.feed(HELLO.encode() + encoded)
    assert reader.take_hello() == HELLO
    assert reader.take_frame() == frame
    assert reader.rest == b""


def test_what_a_frame_counts_is_read_back() -> None:
    frame = Frame(Kind.CREDIT, 0, 3, frames.encode_credit(3, 258)[-4:])
    assert frames.credit_of(frame) == 258
    frame = Frame(Kind.ACK, 0, 0, frames.encode_count(Kind.ACK, 1 << 40)[-8:])
    assert frames.count_of(frame) == 1 << 40


def test_a_hello_comes_back_with_what_follows_it():
    assert parse_hello(HELLO.encode() + b"more") == (HELLO, b"more")


def test_every_part_of_a_hello_asks_for_more():
    whole = HELLO.encode()
    assert [parse_hello(whole[:size]) for size in range(len(whole))] == [None] * len(whole)


def test_a_long_name_of_software_is_cut_to_what_a_peer_accepts():
    parsed = parse_hello(Hello(HELLO.line_id, 1, 0, False, "x" * 5000).encode())
    assert parsed is not None
    assert parsed[0].software == "x" * 200


def hello_of(body: bytes) -> bytes:
    return MAGIC + VERSION.to_bytes(2, "big") + len(body).to_bytes(2, "big") + body


def hello_with(**changes: object) -> bytes:
    fields = {"line": "00" * 16, "transport": 1, "received": 0, "known": False, "software": "x"}
    fields |= changes
    return hello_of(json.dumps({k: v for k, v in fields.items() if v is not ...}).encode())


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"Last login: Tue", "does not speak towline; it said 'Last login: Tue'"),
        (b"\xff\x00", "does not speak towline"),
        (b"towlinX", "does not speak towline"),
        (MAGIC + b"\x00\x04\xff\xff", f"HELLO of 65535 bytes, over {HELLO_MAX}"),
        (hello_of(b""), "not JSON"),
        (hello_of(b"\xff"), "not JSON"),
        (hello_of(b"{"), "not JSON"),
        (hello_of(b"[" * HELLO_MAX), "not JSON"),
        (hello_of(b"[]"), "without exactly"),
        (hello_with(line=...), "without exactly"),
        (hello_with(extra=1), "without exactly"),
        (hello_with(line=5), "bad line id"),
        (hello_with(line="00" * 15), "bad line id"),
        (hello_with(line="0g" * 16), "bad line id"),
        (hello_with(transport=0), "bad count of transports"),
        (hello_with(transport=1 << 63), "bad count of transports"),
        (hello_with(transport=1.0), "bad count of transports"),
        (hello_with(transport=True), "bad count of transports"),
        (hello_with(received=-1), "bad count of frames"),
        (hello_with(received=1 << 63), "bad count of frames"),
        (hello_with(received=1.0), "bad count of frames"),
        (hello_with(received=True), "bad count of frames"),
        (hello_with(known=1), "does not say"),
        (hello_with(software=None), "bad name of its software"),
        (hello_with(software="x" * 201), "bad name of its software"),
    ],
)
def test_a_bad_hello_is_refused(data, match):
    with pytest.raises(ProtocolError, match=match):
        parse_hello(data)


def test_a_count_at_its_largest_is_accepted():
    parsed = parse_hello(hello_with(received=frames.COUNT_MAX, software="x" * 200))
    assert parsed is not None
    assert parsed[0].received == frames.COUNT_MAX


@pytest.mark.parametrize(("theirs", "older"), [(VERSION + 1, "this side"), (0, "the other side")])
def test_another_version_is_refused_with_both_named_and_what_to_do(theirs, older):
    with pytest.raises(VersionMismatchError) as caught:
        parse_hello(MAGIC + theirs.to_bytes(2, "big") + b"\x00\x00")
    assert str(caught.value) == (
        f"this side speaks version {VERSION} of the protocol, the other side version {theirs}: "
        f"update towline on {older}"
    )
    assert caught.value.theirs == theirs


@pytest.mark.parametrize(
    ("frame", "match"),
    [
        (Frame(0, 0, 1, b""), "unknown kind 0"),
        (Frame(8, 0, 1, b""), "unknown kind 8"),
        (Frame(255, 0, 1, b""), "unknown kind 255"),
        (Frame(MAGIC[0], MAGIC[1], 1, b""), "second HELLO"),
        (Frame(Kind.DATA, 0, 1, bytes(PAYLOAD_MAX + 1)), f"DATA with a payload of {3 * 2**14 + 1}"),
        (Frame(Kind.OPEN, 0, 1, bytes(GREETING_MAX + 1)), "OPEN with a payload of 4097"),
        (Frame(Kind.CLOSE, 0, 1, bytes(REASON_MAX + 1)), "CLOSE with a payload of 1025"),
        (Frame(Kind.CREDIT, 0, 1, bytes(3)), "CREDIT with a payload of 3 bytes, not 4 to 4"),
        (Frame(Kind.CREDIT, 0, 1, bytes(5)), "CREDIT with a payload of 5"),
        (Frame(Kind.ACK, 0, 0, bytes(7)), "ACK with a payload of 7"),
        (Frame(Kind.PING, 0, 0, bytes(9)), "PING with a payload of 9"),
        (Frame(Kind.PONG, 0, 0, bytes(9)), "PONG with a payload of 9"),
        (Frame(Kind.OPEN, 4, 1, b""), "OPEN with unknown flags 4"),
        (Frame(Kind.DATA, 2, 1, b""), "DATA with unknown flags 2"),
        (Frame(Kind.CLOSE, 1, 1, b""), "CLOSE with unknown flags 1"),
        (Frame(Kind.CREDIT, 1, 1, bytes(4)), "CREDIT with unknown flags 1"),
        (Frame(Kind.ACK, 1, 0, bytes(8)), "ACK with unknown flags 1"),
        (Frame(Kind.DATA, 0, 0, b""), "DATA on channel 0"),
        (Frame(Kind.ACK, 0, 1, bytes(8)), "ACK on channel 1"),
    ],
)
def test_a_bad_frame_is_refused_by_its_header_alone(frame, match):
    reader = FrameReader()
    reader.feed(frames.encode_frame(*frame)[: frames.HEADER.size])
    with pytest.raises(ProtocolError, match=match):
        reader.take_frame()


def test_frames_at_their_limits_are_accepted():
    for kind, size in ((Kind.DATA, PAYLOAD_MAX), (Kind.OPEN, GREETING_MAX)):
        reader = FrameReader()
        reader.feed(frames.encode_frame(kind, 1, 1, bytes(size)))
        assert reader.take_frame() == Frame(kind, 1, 1, bytes(size))


def test_a_long_reason_is_cut_at_a_whole_character():
    reader = FrameReader()
    reader.feed(frames.encode_close(1, "x" + "é" * 600))
    frame = reader.take_frame()
    assert frame is not None
    assert frame.payload.decode() == "x" + "é" * 511
