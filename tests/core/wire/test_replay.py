"""What is kept until it is acknowledged."""

from __future__ import annotations

import pytest

from towline.core.wire.frames import ProtocolError
from towline.core.wire.replay import Replay


def kept(count: int = 4) -> Replay:
    replay = Replay()
    for number in range(count):
        replay.add(b"frame %d" % number, number % 2 == 1, now=float(number))
    return replay


def test_an_acknowledgement_tells_when_its_last_frame_went_out():
    replay = kept()
    assert replay.acknowledge(2) == 1.0
    assert replay.acknowledge(2) is None
    assert (replay.acknowledged, replay.sent) == (2, 4)
    assert (replay.size, replay.bulk_in_flight) == (14, 7)


def test_bulk_goes_again_within_its_window_and_in_order():
    replay = kept()
    replay.rewind(0)
    assert (replay.sent, replay.bulk_in_flight) == (0, 0)
    assert [replay.repeat(7, now=9.0) for _ in range(3)] == [b"frame 0", b"frame 1", b"frame 2"]
    assert replay.repeat(7, now=9.0) is None
    assert replay.is_repeating
    assert replay.acknowledge(2) == 9.0
    assert replay.repeat(7, now=10.0) == b"frame 3"
    assert not replay.is_repeating
    assert replay.bulk_in_flight == 7


def test_what_has_not_gone_again_cannot_be_acknowledged():
    replay = kept()
    replay.rewind(1)
    replay.repeat(100, now=9.0)
    with pytest.raises(ProtocolError, match="acknowledged 3 frames, after 1 before and of 2 sent"):
        replay.acknowledge(3)


def test_a_second_rewind_begins_at_what_the_peer_has_then():
    replay = kept()
    replay.rewind(1)
    replay.repeat(100, now=9.0)
    replay.rewind(2)
    assert replay.repeat(100, now=9.0) == b"frame 2"
    assert replay.size == 14
