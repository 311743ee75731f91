"""What goes next, and what of it counts as bulk."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from towline.core.wire.channel import Outgoing
from towline.core.wire.frames import PAYLOAD_MAX, Priority, encode_credit
from towline.core.wire.limits import DEFAULT_LIMITS
from towline.core.wire.outbox import Outbox


def channel(number: int, priority: Priority, *messages: bytes) -> Outgoing:
    outgoing = Outgoing(number, priority, DEFAULT_LIMITS)
    for message in messages:
        outgoing.put(message)
    return outgoing


def taken(outbox: Outbox, *, bulk_too: bool = True) -> Iterator[tuple[bytes, Priority]]:
    while (frame := outbox.take_frame(PAYLOAD_MAX, bulk_too=bulk_too)) is not None:
        yield frame


@pytest.fixture
def outbox() -> Outbox:
    """All kinds, the last first."""
    outbox = Outbox()
    for number, priority in enumerate(reversed(Priority), start=1):
        outbox.put_channel(channel(number, priority, b"%d" % priority))
    outbox.put_grant(7, 100)
    outbox.put_grant(8, 1)
    outbox.put_grant(7, 20)
    outbox.put_first(b"an OPEN")
    outbox.put_first(b"another")
    return outbox


def test_what_must_not_wait_goes_first_then_credit_then_content_by_priority(outbox: Outbox) -> None:
    assert outbox.first_count == 2
    frames = [frame for frame, _ in taken(outbox)]
    assert frames[:4] == [b"an OPEN", b"another", encode_credit(7, 120), encode_credit(8, 1)]
    assert [frame[-1:] for frame in frames[4:]] == [b"%d" % priority for priority in Priority]
    assert outbox.first_count == 0


def test_only_content_of_the_last_class_counts_as_bulk(outbox: Outbox) -> None:
    classes = [priority for _, priority in taken(outbox)]
    assert classes == [Priority.CONTROL] * 4 + [*Priority]


def test_bulk_waits_while_it_may_not_go(outbox: Outbox) -> None:
    assert len(list(taken(outbox, bulk_too=False))) == 7
    assert outbox.queued(Priority.BULK) == 1
    assert len(list(taken(outbox))) == 1
    assert outbox.queued(Priority.BULK) == 0


def test_channels_of_one_class_take_turns() -> None:
    outbox = Outbox()
    outbox.put_channel(channel(1, Priority.SYNC, b"a", b"b", b"c"))
    outbox.put_channel(channel(2, Priority.SYNC, b"x", b"y"))
    assert [frame[-1:] for frame, _ in taken(outbox)] == [b"a", b"x", b"b", b"y", b"c"]


def test_of_a_channel_that_is_dropped_nothing_goes(outbox: Outbox) -> None:
    dropped = channel(7, Priority.SYNC, b"dropped")
    outbox.put_channel(dropped)
    outbox.drop_channel(dropped)
    outbox.drop_channel(channel(9, Priority.SYNC))  # It had nothing to send.
    frames = [frame for frame, _ in taken(outbox)]
    assert len(frames) == 7
    assert encode_credit(7, 120) not in frames
