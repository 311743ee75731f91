"""Channels, credit, priorities, silence: one Line or a pair of them, under virtual time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from towline.core.wire.channels import TooManyChannelsError
from towline.core.wire.events import Closed, Connected, Message, Opened, Sendable, Silent
from towline.core.wire.frames import (
    HEADER,
    Hello,
    Kind,
    Priority,
    ProtocolError,
    VersionMismatchError,
    encode_count,
    encode_frame,
)
from towline.core.wire.limits import MESSAGE_OVERHEAD, Limits
from towline.core.wire.line import ChannelClosedError, Line, NoCreditError
from towline.core.wire.pace import WINDOW_AGAIN
from towline.core.wire.transport import ACK_EVERY_S

from .pair import LINE_ID, SMALL, Pair, connected, open_both

WINDOW = Limits().window


def kinds(data: bytes) -> list[tuple[Kind, int]]:
    """Return the kind and channel of every frame in `data`."""
    found, at = [], 0
    while at < len(data):
        kind, _, channel, length = HEADER.unpack_from(data, at)
        found.append((Kind(kind), channel))
        at += HEADER.size + length
    return found


# -- Greeting -------------------------------------------------------------------------------------


def test_the_acceptor_only_answers():
    pair = Pair()
    pair.attach()
    assert pair.right.line.bytes_to_send(0) == b""
    hello = Hello(LINE_ID, 1, 0, False, "left 1").encode()
    assert pair.left.line.bytes_to_send(0) == hello
    assert pair.left.line.bytes_to_send(0) == b""
    pair.right.take(hello, 0)
    assert pair.right.line.bytes_to_send(0).startswith(
        Hello(LINE_ID, 1, 0, False, "right 1").encode()
    )


def test_both_ends_say_that_they_know_a_line_they_were_connected_on():
    pair = connected()
    pair.detach()
    pair.attach()
    hello = pair.left.line.bytes_to_send(0)
    assert hello == Hello(LINE_ID, 2, 0, True, "left 1").encode()
    pair.right.take(hello, 0)
    assert pair.right.line.bytes_to_send(0).startswith(
        Hello(LINE_ID, 2, 0, True, "right 1").encode()
    )


def test_connected_gives_the_time_to_the_answer_to_the_initiator_only():
    pair = Pair()
    pair.attach()
    pair.now = 1.0
    pair.carry(pair.left, pair.right)
    pair.now = 1.5
    pair.carry(pair.right, pair.left)
    assert pair.left.events == [Connected(resumed=False, rtt_s=0.5)]
    assert pair.right.events == [Connected(resumed=False, rtt_s=None)]


def test_an_answer_for_another_line_is_refused():
    pair = Pair()
    pair.attach()
    pair.left.line.receive_bytes(Hello(b"another line 123", 1, 0, False, "x").encode(), 0)
    with pytest.raises(ProtocolError, match="another line"):
        pair.left.line.next_event()


def test_both_ends_of_different_versions_say_so():
    pair = Pair()
    pair.attach()
    with pytest.raises(VersionMismatchError, match="update towline on the other side"):
        pair.right.take(Hello(LINE_ID, 1, 0, False, "x", version=0).encode(), 0)
    answer = pair.right.line.bytes_to_send(0)
    assert answer == Hello(LINE_ID, 1, 0, False, "right 1").encode()
    assert pair.right.line.bytes_to_send(0) == b""
    with pytest.raises(VersionMismatchError, match="update towline on this side"):
        pair.left.take(answer.replace(b"towline \0\4", b"towline \0\5"), 0)
    assert pair.left.line.bytes_to_send(0) == b""


def test_a_line_id_has_a_fixed_size():
    with pytest.raises(ValueError, match="16 bytes"):
        Line(b"short", initiator=True, software="x", now=0)


def test_bytes_without_a_transport_are_a_mistake_of_the_shell():
    line = Pair().left.line
    with pytest.raises(RuntimeError, match="not attached"):
        line.receive_bytes(b"x", 0)
    assert line.next_event() is None
    assert line.bytes_to_send(0) == b""
    assert line.deadline() is None
    line.handle_timer(1e9)
    assert line.next_event() is None


# -- Channels -------------------------------------------------------------------------------------


def test_channels_open_from_both_ends_with_numbers_of_their_own():
    pair = connected()
    assert [pair.left.line.open_channel(b"L", Priority.BULK) for _ in range(2)] == [1, 3]
    assert [pair.right.line.open_channel(b"R", Priority.CONTROL) for _ in range(2)] == [2, 4]
    pair.exchange()
    assert pair.right.events[1:] == [
        Opened(1, b"L", Priority.BULK),
        Opened(3, b"L", Priority.BULK),
    ]
    assert pair.left.opened() == [2, 4]


@pytest.mark.parametrize("size", [0, 1, 16384, 16385, 3 * 16384, 4 << 20])
def test_a_message_of_any_size_arrives_whole(size):
    pair = connected()
    channel = open_both(pair)
    message = bytes(range(256)) * (size // 256) + bytes(size % 256)
    for sent in (message, b"after"):
        pair.left.line.send(channel, sent)
        pair.exchange()
    assert pair.right.messages(channel) == [message, b"after"]


def test_a_message_that_fills_its_frames_takes_no_more_of_them():
    pair = connected(SMALL)
    channel = open_both(pair)
    pair.left.line.send(channel, bytes(2 * SMALL.payload_max))
    assert kinds(pair.left.line.bytes_to_send(0)) == [(Kind.DATA, channel)] * 2


def test_a_message_is_taken_as_it_is_when_sent():
    pair = connected()
    channel = open_both(pair)
    message = bytearray(b"before")
    pair.left.line.send(channel, message)
    message[:] = b"after!"
    pair.exchange()
    assert pair.right.messages(channel) == [b"before"]


def test_sizes_beyond_the_limits_are_refused_at_home():
    pair = connected()
    channel = open_both(pair)
    with pytest.raises(ValueError, match="exceeds 4194304"):
        pair.left.line.send(channel, bytes((4 << 20) + 1))
    with pytest.raises(ValueError, match="exceeds 4096"):
        pair.left.line.open_channel(bytes(4097), Priority.SYNC)


def test_closing_comes_after_what_was_queued():
    pair = connected()
    channel = open_both(pair)
    pair.left.line.send(channel, b"1" * 40_000)
    pair.left.line.send(channel, b"2")
    pair.left.line.close_channel(channel, "all said")
    pair.exchange()
    assert pair.right.events[-3:] == [
        Message(channel, b"1" * 40_000),
        Message(channel, b"2"),
        Closed(channel, "all said"),
    ]
    assert pair.left.closed() == []


def test_a_channel_closed_by_either_end_takes_and_gives_nothing():
    pair = connected()
    channel = open_both(pair)
    pair.left.line.close_channel(channel)
    pair.left.line.close_channel(channel)
    for _ in range(2):  # Before and after the peer knows.
        with pytest.raises(ChannelClosedError):
            pair.left.line.send(channel, b"x")
        assert pair.left.line.sendable(channel) == 0
        pair.left.line.consumed(channel, 5)
        pair.exchange()
    with pytest.raises(ChannelClosedError):
        pair.right.line.send(channel, b"x")
    assert pair.right.line.sendable(channel) == 0
    pair.right.line.close_channel(channel)
    assert pair.right.closed() == [(channel, "")]


def test_what_arrives_after_closing_is_dropped():
    pair = connected()
    channel = open_both(pair)
    pair.right.line.send(channel, b"too late" * 10_000)
    pair.left.line.close_channel(channel)
    pair.exchange()
    assert pair.left.messages(channel) == []
    pair.right.take(encode_frame(Kind.DATA, 0, channel, b"later"), 0)
    pair.right.take(encode_frame(Kind.CREDIT, 0, channel, bytes(4)), 0)
    pair.right.take(encode_frame(Kind.CLOSE, 0, channel, b""), 0)
    assert pair.right.messages(channel) == []


def test_both_ends_may_close_at_once():
    pair = connected(SMALL)
    channel = open_both(pair)
    pair.left.line.send(channel, b"x" * 300)
    pair.right.line.close_channel(channel, "right")
    pair.left.line.close_channel(channel, "left")
    pair.carry(pair.right, pair.left)  # Before left's CLOSE has gone.
    pair.exchange()
    assert pair.left.closed() == pair.right.closed() == []
    assert open_both(pair) == channel + 2


def test_a_peer_closing_drops_what_is_queued_for_it():
    pair = connected()
    channel = open_both(pair)
    other = open_both(pair)
    pair.left.line.send(channel, b"never read")
    pair.left.line.send(other, b"still read")
    pair.right.line.close_channel(channel, "no more")
    pair.carry(pair.right, pair.left)
    assert kinds(pair.left.line.bytes_to_send(0)) == [
        (Kind.ACK, 0),
        (Kind.CLOSE, channel),
        (Kind.DATA, other),
    ]
    assert pair.left.closed() == [(channel, "no more")]


def test_a_channel_never_opened_is_a_mistake_of_the_caller():
    line = connected().left.line
    for channel in (-1, 0, 1, 2):
        with pytest.raises(ValueError, match="never opened"):
            line.send(channel, b"")


def test_channels_are_counted_until_the_peer_has_answered_the_close():
    pair = connected(replace(SMALL, channels_max=2))
    line = pair.left.line
    first = line.open_channel(b"", Priority.SYNC)
    line.open_channel(b"", Priority.SYNC)
    pair.right.line.open_channel(b"", Priority.SYNC)
    pair.exchange()
    line.close_channel(first)
    with pytest.raises(TooManyChannelsError, match="2 channels"):
        line.open_channel(b"", Priority.SYNC)
    pair.exchange()
    assert line.open_channel(b"", Priority.SYNC) == 5
    pair.exchange()
    assert pair.right.opened() == [1, 3, 5]


def test_a_channel_opened_in_place_of_one_the_peer_closed_is_within_the_peers_limit():
    pair = connected(replace(SMALL, channels_max=1))
    for _ in range(3):
        channel = open_both(pair, Priority.BULK)
        pair.left.line.send(channel, b"x" * 300)
        pair.right.line.close_channel(channel)
        pair.carry(pair.right, pair.left)
        pair.left.line.open_channel(b"", Priority.CONTROL)
        pair.exchange()
        pair.left.line.close_channel(channel + 2)
        pair.exchange()
    assert pair.right.opened() == [1, 3, 5, 7, 9, 11]


# -- Credit ---------------------------------------------------------------------------------------


def test_a_message_may_overdraw_and_then_nothing_is_taken_until_credit_is_back():
    pair = connected(SMALL)
    channel = open_both(pair)
    pair.right.reads = False
    assert pair.left.line.sendable(channel) == SMALL.window
    pair.left.line.send(channel, b"x" * 1000)
    assert pair.left.line.sendable(channel) == 0
    with pytest.raises(NoCreditError):
        pair.left.line.send(channel, b"")
    pair.exchange()
    assert pair.right.messages(channel) == [b"x" * 1000]
    pair.right.line.consumed(channel, 999)
    pair.exchange()
    assert pair.left.of(Sendable) == []
    pair.right.line.consumed(channel, 1)
    pair.exchange()
    assert pair.left.events[-1] == Sendable(channel)
    assert pair.left.line.sendable(channel) == SMALL.window


def test_credit_that_is_just_used_up_is_no_credit():
    pair = connected(SMALL)
    channel = open_both(pair)
    pair.right.reads = False
    size = SMALL.window - MESSAGE_OVERHEAD
    pair.left.line.send(channel, bytes(size))
    with pytest.raises(NoCreditError):
        pair.left.line.send(channel, b"")
    pair.exchange()
    pair.right.line.consumed(channel, size)
    pair.exchange()
    assert pair.left.of(Sendable) == [Sendable(channel)]


def test_credit_that_only_pays_for_the_overdraft_is_not_announced():
    pair = connected(SMALL)
    channel = open_both(pair)
    pair.right.reads = False
    pair.left.line.send(channel, bytes(100))
    pair.left.line.send(channel, bytes(1000))
    pair.exchange()
    pair.right.line.consumed(channel, 100)
    pair.exchange()
    assert pair.left.of(Sendable) == []
    pair.right.line.consumed(channel, 1000)
    pair.exchange()
    assert pair.left.of(Sendable) == [Sendable(channel)]


def test_every_message_costs_its_size_and_an_overhead():
    pair = connected()
    channel = open_both(pair)
    pair.left.line.send(channel, b"12345")
    pair.left.line.send(channel, b"")
    assert pair.left.line.sendable(channel) == WINDOW - 5 - 2 * MESSAGE_OVERHEAD


def test_consuming_the_empty_message_frees_its_overhead():
    pair = connected(replace(SMALL, window=MESSAGE_OVERHEAD))
    channel = open_both(pair)
    for _ in range(5):
        pair.left.line.send(channel, b"")
        pair.exchange()
    assert pair.right.messages(channel) == [b""] * 5
    assert pair.left.line.sendable(channel) == MESSAGE_OVERHEAD


def test_credit_is_granted_in_batches():
    pair = connected()
    channel = open_both(pair)
    size = 1000
    for _ in range(WINDOW // 16 // (size + MESSAGE_OVERHEAD)):
        pair.left.line.send(channel, bytes(size))
        pair.exchange()
    assert pair.left.line.sendable(channel) < WINDOW
    pair.left.line.send(channel, bytes(size))
    pair.exchange()
    assert pair.left.line.sendable(channel) == WINDOW


def test_a_sixteenth_of_the_window_is_granted_at_once():
    pair = connected(replace(SMALL, window=16 * MESSAGE_OVERHEAD))
    channel = open_both(pair)
    pair.left.line.send(channel, b"")
    pair.exchange()
    assert pair.left.line.sendable(channel) == 16 * MESSAGE_OVERHEAD


def test_grants_that_wait_go_as_one():
    pair = connected(SMALL)
    channel = open_both(pair)
    pair.right.reads = False
    for _ in range(2):
        pair.left.line.send(channel, bytes(120))
    pair.exchange()
    pair.right.line.consumed(channel, 120)
    pair.right.line.consumed(channel, 120)
    credit = pair.right.line.bytes_to_send(0)
    assert kinds(credit) == [(Kind.CREDIT, channel)]
    pair.left.take(credit, 0)
    assert pair.left.line.sendable(channel) == SMALL.window


@pytest.mark.parametrize("size", [1, 6])
def test_consuming_more_than_was_received_is_a_mistake(size):
    pair = connected()
    channel = open_both(pair)
    pair.right.reads = False
    if size > 1:
        pair.left.line.send(channel, b"12345")
        pair.exchange()
    with pytest.raises(ValueError, match="1 bytes more"):
        pair.right.line.consumed(channel, size)


def test_no_credit_comes_for_a_channel_that_closes_meanwhile():
    pair = connected(SMALL)
    channel = open_both(pair)
    pair.right.reads = False
    pair.left.line.send(channel, bytes(500))
    pair.exchange()
    pair.right.line.consumed(channel, 500)
    credit = pair.right.line.bytes_to_send(0)
    pair.left.line.close_channel(channel)
    pair.left.take(credit, 0)
    pair.exchange()
    assert pair.left.of(Sendable) == []


def test_a_grant_does_not_outlive_its_channel():
    pair = connected(SMALL)
    channel = open_both(pair)
    pair.right.reads = False
    pair.left.line.send(channel, bytes(500))
    pair.exchange()
    pair.right.line.consumed(channel, 500)
    pair.left.line.close_channel(channel)
    pair.carry(pair.left, pair.right)
    assert kinds(pair.right.line.bytes_to_send(0)) == [(Kind.ACK, 0), (Kind.CLOSE, channel)]


# -- Priority -------------------------------------------------------------------------------------


def test_a_small_save_passes_a_large_message_that_has_begun():
    pair = connected()
    bulk = open_both(pair, Priority.BULK)
    sync = open_both(pair, Priority.SYNC)
    pair.left.line.send(bulk, bytes(100_000))
    assert kinds(pair.left.line.bytes_to_send(0, limit=1)) == [(Kind.DATA, bulk)]
    pair.left.line.send(sync, b"save")
    assert kinds(pair.left.line.bytes_to_send(0, limit=1)) == [(Kind.DATA, sync)]
    assert kinds(pair.left.line.bytes_to_send(0, limit=1)) == [(Kind.DATA, bulk)]


def test_no_frame_is_begun_at_the_limit():
    pair = connected()
    channel = open_both(pair)
    for _ in range(2):
        pair.left.line.send(channel, b"12")
    assert kinds(pair.left.line.bytes_to_send(0, limit=10)) == [(Kind.DATA, channel)]
    pair.left.line.send(channel, b"34")
    assert len(pair.left.line.bytes_to_send(0, limit=11)) == 20


def test_classes_go_strictly_in_order_and_channels_of_a_class_in_turn():
    pair = connected()
    numbers = {
        (priority, n): open_both(pair, priority)
        for n in range(2)
        for priority in reversed(Priority)
    }
    for number in numbers.values():
        pair.left.line.send(number, bytes(20_000))
    order = [numbers[p, n] for p in Priority for _ in range(2) for n in range(2)]
    sent = b"".join(iter(lambda: pair.left.line.bytes_to_send(0, limit=1), b""))
    assert kinds(sent) == [(Kind.DATA, number) for number in order]


def test_opens_go_before_all_content_and_in_order():
    pair = connected()
    busy = open_both(pair, Priority.CONTROL)
    pair.left.line.send(busy, b"x")
    pair.left.line.open_channel(b"", Priority.BULK)
    pair.left.line.open_channel(b"", Priority.CONTROL)
    assert kinds(pair.left.line.bytes_to_send(0)) == [
        (Kind.OPEN, 3),
        (Kind.OPEN, 5),
        (Kind.DATA, busy),
    ]


@pytest.mark.parametrize("priority", [Priority.CONTROL, Priority.SYNC, Priority.INTERACTIVE])
def test_bulk_waits_for_acknowledgement_and_others_do_not(priority):
    pair = connected()
    bulk = open_both(pair, Priority.BULK)
    sync = open_both(pair, priority)
    pair.left.line.send(bulk, bytes(1 << 20))
    sent = b"".join(iter(lambda: pair.left.line.bytes_to_send(0), b""))
    window = pair.left.line.statistics().bulk_window
    assert window <= len(sent) < window + 20_000
    pair.left.line.send(sync, b"save")
    assert kinds(pair.left.line.bytes_to_send(0)) == [(Kind.DATA, sync)]
    pair.right.take(sent, 0)
    pair.now += ACK_EVERY_S
    pair.carry(pair.right, pair.left)
    assert (Kind.DATA, bulk) in kinds(pair.left.line.bytes_to_send(0))


def test_one_acknowledgement_goes_for_all_that_came_at_once():
    pair = connected()
    channel = open_both(pair)
    for _ in range(50):
        pair.left.line.send(channel, b"x")
    pair.carry(pair.left, pair.right)
    assert kinds(pair.right.line.bytes_to_send(pair.now + ACK_EVERY_S)) == [(Kind.ACK, 0)]


def sizes(data: bytes) -> list[int]:
    """Return the payloads' sizes of all frames of content in `data`."""
    found, at = [], 0
    while at < len(data):
        kind, _, _, length = HEADER.unpack_from(data, at)
        found += [length] if kind == Kind.DATA else []
        at += HEADER.size + length
    return found


@pytest.mark.parametrize(("rate", "payload"), [(1e6, 16 << 10), (25e6, 32_500), (1e9, 48 << 10)])
def test_frames_grow_on_a_line_that_carries_them_in_a_millisecond(rate, payload):
    pair = connected()
    channel = open_both(pair)
    size = 1 << 18
    for _ in range(100):
        pair.left.line.send(channel, bytes(size))
        while pair.carry(pair.left, pair.right):
            pass
        pair.now += size / rate
        pair.exchange()
    pair.left.line.send(channel, bytes(size))
    grown = sizes(pair.left.line.bytes_to_send(pair.now))[0]
    assert grown == pytest.approx(payload, rel=0.06)


def test_what_keeps_coming_is_acknowledged_now_and_then():
    pair = connected()
    channel = open_both(pair)
    pair.now = 1.0
    acknowledged = []
    for _ in range(100):
        pair.left.line.send(channel, b"x")
        pair.carry(pair.left, pair.right)
        if kinds(pair.right.line.bytes_to_send(pair.now)) == [(Kind.ACK, 0)]:
            acknowledged.append(pair.now)
        pair.now += ACK_EVERY_S / 10
    assert acknowledged[0] == 1.0, "the first, after a while of nothing, at once"
    assert len(acknowledged) == 10
    assert pair.right.line.acks_at() == pytest.approx(acknowledged[-1] + ACK_EVERY_S)


def test_an_acknowledgement_rides_with_what_goes_anyway():
    pair = connected()
    channel = open_both(pair)
    pair.left.line.send(channel, b"x")
    pair.carry(pair.left, pair.right)
    assert pair.right.line.bytes_to_send(pair.now) == b"", "it is too soon for one of its own"
    pair.right.line.send(channel, b"y")
    sent = kinds(pair.right.line.bytes_to_send(pair.now))
    assert sent == [(Kind.ACK, 0), (Kind.DATA, channel)]
    assert pair.right.line.acks_at() is None


# -- Time -----------------------------------------------------------------------------------------


def at(pair: Pair, now: float) -> None:
    pair.now = now
    for end in (pair.left, pair.right):
        end.line.handle_timer(now)
        end.take(b"", now)


def test_an_idle_line_is_pinged_and_lives():
    pair = connected()
    for _ in range(20):
        deadline = pair.left.line.deadline()
        assert deadline is not None
        at(pair, deadline)
        there, back = pair.exchange()
        assert there
        assert back
    assert pair.now == 40.0
    assert pair.left.of(Silent) == []


def test_nothing_is_due_before_the_deadline():
    pair = connected()
    at(pair, 1.99)
    assert pair.left.line.bytes_to_send(pair.now) == b""
    assert pair.left.line.deadline() == 2.0


def test_a_silent_peer_is_reported_at_the_deadline_and_not_before():
    pair = connected()
    line = pair.left.line
    at(pair, 2.0)
    assert kinds(line.bytes_to_send(2.0)) == [(Kind.PING, 0)]
    assert line.deadline() == 6.0
    at(pair, 5.99)
    assert pair.left.of(Silent) == []
    at(pair, 6.0)
    at(pair, 7.0)
    assert pair.left.of(Silent) == [Silent(6.0)]
    assert line.deadline() is None


def test_a_line_given_up_for_silence_resumes():
    pair = connected()
    channel = open_both(pair)
    pair.left.line.send(channel, b"into the void")
    pair.left.line.bytes_to_send(0)
    at(pair, 2.0)
    at(pair, 6.0)
    pair.detach()
    pair.attach()
    pair.exchange()
    assert pair.right.messages(channel) == [b"into the void"]


def test_after_a_sleep_the_peer_is_asked_before_it_is_given_up():
    pair = connected()
    at(pair, 3600.0)
    assert pair.left.of(Silent) == []
    assert pair.left.line.deadline() == 3604.0
    pair.exchange()
    assert pair.left.line.deadline() == 3602.0


def test_any_byte_counts_as_a_sign_of_life():
    pair = connected()
    at(pair, 2.0)
    pair.left.line.receive_bytes(b"\x05", 5.0)
    assert pair.left.line.deadline() == 7.0


def test_a_peer_that_never_greets_is_given_up_even_if_it_trickles():
    pair = Pair()
    pair.attach()
    hello = Hello(LINE_ID, 1, 0, False, "right").encode()
    for second in range(60):
        pair.left.take(hello[second : second + 1], float(second))
    assert pair.left.line.deadline() == 60.0
    at(pair, 60.0)
    assert pair.left.of(Silent) == [Silent(1.0)]


def test_the_round_trip_is_measured_by_pings_and_acknowledgements():
    pair = Pair()
    pair.attach()
    pair.exchange()
    assert pair.left.line.statistics().rtt_s == 0
    channel = pair.left.line.open_channel(b"", Priority.SYNC)
    pair.carry(pair.left, pair.right)
    pair.now = 0.08
    pair.carry(pair.right, pair.left)
    assert pair.left.line.statistics().rtt_s == pytest.approx(0.01)
    assert pair.left.line.rtt_min_s == pytest.approx(0, abs=1e-5)
    assert channel == 1


def test_a_pong_that_comes_after_the_next_ping_is_no_measure():
    pair = connected()
    at(pair, 2.0)
    old = pair.left.line.bytes_to_send(2.0)
    pair.left.take(encode_frame(Kind.ACK, 0, 0, bytes(8)), 3.0)
    pair.left.line.handle_timer(5.0)
    pair.left.line.bytes_to_send(5.0)
    pair.right.take(old, 6.0)
    pong = pair.right.line.bytes_to_send(6.0)
    pair.left.take(pong, 6.0)
    pair.left.take(pong, 6.0)
    assert pair.left.line.statistics().rtt_s == 0


def test_a_pong_that_comes_twice_is_one_measure():
    pair = connected()
    at(pair, 2.0)
    pair.exchange()
    pair.left.take(encode_count(Kind.PONG, 2), 3.0)
    assert pair.left.line.statistics().rtt_s == 0


def test_statistics_tell_what_waits_and_what_went():
    pair = connected()
    before = pair.left.line.statistics()
    assert before.bytes_in > 0
    assert pair.left.line.rtt_min_s is not None
    channel = open_both(pair)
    for size in (20_000, 5):
        pair.left.line.send(channel, bytes(size))
    assert pair.left.line.statistics().queued[Priority.SYNC] == 20_005
    data = pair.left.line.bytes_to_send(0, limit=1)
    statistics = pair.left.line.statistics()
    assert statistics.queued[Priority.SYNC] == 20_005 - 16_384
    assert statistics.unacknowledged == len(data) == 16_392
    assert statistics.bytes_out > before.bytes_out
    pair.detach()
    assert pair.left.line.statistics().rtt_s is None
    assert pair.left.line.statistics().bulk_window == 0


def test_statistics_count_every_byte_and_when_the_last_came():
    pair = Pair()
    for end in (pair.left, pair.right):
        statistics = end.line.statistics()
        assert (statistics.bytes_in, statistics.bytes_out, statistics.heard_at) == (0, 0, None)
        assert statistics.resumes == 0
    pair.attach()
    pair.now = 3.0
    there, back = pair.exchange()
    left, right = pair.left.line.statistics(), pair.right.line.statistics()
    assert (left.bytes_out, left.bytes_in) == (there, back)
    assert (right.bytes_in, right.bytes_out) == (there, back)
    assert left.heard_at == right.heard_at == pair.now


def test_after_a_pause_bulk_begins_anew_and_beside_other_bulk_it_does_not():
    pair = connected()
    bulk = open_both(pair, Priority.BULK)
    pair.left.line.send(bulk, bytes(1000))
    pair.exchange()
    at(pair, pair.now + 100.0)
    pair.exchange()  # A PONG is no sign that bulk gets through.
    pair.left.line.send(bulk, bytes(1000))
    pair.left.line.bytes_to_send(pair.now)
    assert pair.left.line.statistics().bulk_window == WINDOW_AGAIN
    pair.exchange()
    pair = connected()
    bulk = open_both(pair, Priority.BULK)
    pair.left.line.send(bulk, bytes(1000))
    pair.exchange()
    pair.left.line.send(bulk, bytes(1000))
    pair.left.line.bytes_to_send(pair.now)  # Under way, and long unanswered.
    before = pair.left.line.statistics().bulk_window
    pair.left.line.send(bulk, bytes(1000))
    pair.left.line.bytes_to_send(pair.now + 100.0)
    assert pair.left.line.statistics().bulk_window == before > WINDOW_AGAIN


def test_without_a_limit_some_frames_go_and_the_rest_waits_for_the_next_choice():
    pair = connected()
    channel = open_both(pair)
    pair.left.line.send(channel, bytes(1 << 20))
    assert sizes(pair.left.line.bytes_to_send(0)) == [16 << 10] * 4
