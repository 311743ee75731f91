"""Nothing lost, nothing twice, in order: wherever and however often the transport is cut."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from towline.core.wire.events import Connected, Late, Lost, Sendable
from towline.core.wire.frames import Hello, Kind, Priority, ProtocolError, encode_count
from towline.core.wire.line import Line

from .pair import LINE_ID, SMALL, End, Pair, connected, open_both

THERE = [b"a short one", b"", b"x" * 30, b"the last"]
BACK = [b"an answer of some length", b"!"]


def scripted() -> Pair:
    """Left has opened two channels and queued on both; right answers once it sees the first."""
    pair = Pair(SMALL)
    first = pair.left.line.open_channel(b"first", Priority.SYNC)
    second = pair.left.line.open_channel(b"second", Priority.BULK)
    for message in THERE:
        pair.left.line.send(first, message)
        pair.left.line.send(second, message * 2)
    pair.left.line.close_channel(second, "done")
    return pair


def answer(pair: Pair, answered: list[bool]) -> None:
    if pair.right.opened() and not answered:
        answered.append(True)
        for message in BACK:
            pair.right.line.send(1, message)


def run_script(cuts: list[tuple[int, int]], piece: int = 1 << 30) -> tuple[int, int]:
    """Play the script over transports cut after so many bytes; check that all is delivered."""
    pair = scripted()
    answered: list[bool] = []
    for there, back in cuts:
        pair.attach()
        pair.exchange_until_cut(there, back, piece)
        answer(pair, answered)
    pair.attach()
    carried = pair.exchange(lambda: answer(pair, answered))
    assert pair.right.messages(1) == THERE
    assert pair.right.messages(3) == [message * 2 for message in THERE]
    assert pair.right.opened() == [1, 3]
    assert pair.right.closed() == [(3, "done")]
    assert pair.left.messages(1) == BACK
    assert pair.left.line.statistics().unacknowledged == 0
    assert pair.right.line.statistics().unacknowledged == 0
    return carried


THERE_SIZE, BACK_SIZE = run_script([])


def test_a_cut_at_every_byte_there_loses_nothing():
    for cut in range(THERE_SIZE + 1):
        run_script([(cut, 1 << 30)])
        run_script([(cut, 1 << 30), (cut, 1 << 30)], piece=3)


def test_a_cut_at_every_byte_back_loses_nothing():
    for cut in range(BACK_SIZE + 1):
        run_script([(1 << 30, cut)])
        run_script([(1 << 30, cut), (1 << 30, cut)], piece=3)


def test_cuts_of_both_ways_at_once_lose_nothing():
    for there in range(0, THERE_SIZE + 1, 9):
        for back in range(0, BACK_SIZE + 1, 7):
            run_script([(there, back), (back, there)], piece=16)


actions = st.one_of(
    st.tuples(st.just("open"), st.booleans(), st.sampled_from(list(Priority))),
    st.tuples(st.just("send"), st.booleans(), st.integers(0, 40), st.integers(0, 5)),
    st.tuples(st.just("close"), st.booleans(), st.integers(0, 5)),
    st.tuples(
        st.just("cut"), st.integers(0, 300), st.integers(0, 300), st.sampled_from([1, 5, 1000])
    ),
)


class Model:
    """What was done to a pair, and so what each end must have seen in the end."""

    def __init__(self) -> None:
        self.pair = Pair(replace(SMALL, replay_max=120))
        self.sent: dict[tuple[bool, int], list[bytes]] = {}
        self.channels: list[int] = []
        self.closers: dict[int, set[bool]] = {}
        self.serial = 0

    def end(self, left: bool) -> End:
        return self.pair.left if left else self.pair.right

    def knows(self, left: bool, channel: int) -> bool:
        own = (channel % 2 == 1) is left
        return own or channel in self.end(left).opened()

    def do(self, action: tuple) -> None:
        match action:
            case ("open", left, priority):
                self.channels.append(self.end(left).line.open_channel(b"g", priority))
            case ("send", left, size, index) if self.channels:
                self.send(left, size, self.channels[index % len(self.channels)])
            case ("close", left, index) if self.channels:
                channel = self.channels[index % len(self.channels)]
                if self.knows(left, channel):
                    self.end(left).line.close_channel(channel, "bye")
                    self.closers.setdefault(channel, set()).add(left)
            case ("cut", there, back, piece):
                self.pair.attach()
                self.pair.exchange_until_cut(there, back, piece)

    def send(self, left: bool, size: int, channel: int) -> None:
        line = self.end(left).line
        if self.knows(left, channel) and line.sendable(channel) > 0:
            self.serial += 1
            message = b"%d:" % self.serial + b"." * size
            line.send(channel, message)
            self.sent.setdefault((left, channel), []).append(message)

    def check(self) -> None:
        self.pair.attach()
        self.pair.exchange()
        for (left, channel), sent in self.sent.items():
            seen = self.end(not left).messages(channel)
            if self.closers.get(channel, {left}) != {left}:  # The reader closed, too.
                assert seen == sent[: len(seen)]
            else:
                assert seen == sent
        for left in (True, False):
            opened = self.end(left).opened()
            assert opened == [c for c in self.channels if (c % 2 == 1) is not left]
            statistics = self.end(left).line.statistics()
            assert statistics.unacknowledged == 0
            assert not any(statistics.queued.values())


@settings(max_examples=100, deadline=None)
@given(st.lists(actions, max_size=30))
def test_any_history_of_cuts_delivers_exactly_what_was_sent(history):
    model = Model()
    for action in history:
        model.do(action)
    model.check()


def test_the_first_connection_is_new_and_later_ones_are_resumed():
    pair = connected()
    pair.detach()
    pair.attach()
    pair.exchange()
    assert pair.left.resumed() == pair.right.resumed() == [False, True]
    assert pair.left.line.statistics().resumes == 1


def test_a_lost_answer_to_the_first_hello_is_no_lost_line():
    pair = Pair()
    pair.attach()
    pair.exchange_until_cut(there=1 << 30, back=0)
    assert pair.right.resumed() == [False]
    pair.attach()
    pair.exchange()
    assert pair.left.resumed() == [False]
    assert pair.right.resumed() == [False, True]


def test_what_is_queued_before_the_first_transport_goes_once_it_is_there():
    pair = Pair()
    channel = pair.left.line.open_channel(b"early", Priority.SYNC)
    pair.left.line.send(channel, b"bird")
    assert pair.left.line.bytes_to_send(0) == b""
    pair.attach()
    pair.exchange()
    assert pair.right.messages(channel) == [b"bird"]


@pytest.mark.parametrize("right_has_sent", [True, False])
def test_a_restarted_acceptor_loses_the_line(right_has_sent):
    pair = connected()
    channel = open_both(pair)
    if right_has_sent:
        pair.right.line.send(channel, b"seen")
        pair.exchange()
    pair.left.line.send(channel, b"unheard")
    pair.detach()
    pair.right = Pair().right
    pair.attach()
    pair.exchange()
    for end in (pair.left, pair.right):
        assert isinstance(end.events[-1], Lost)
        assert end.line.bytes_to_send(0) == b""
        assert end.line.next_event() is None
        assert end.line.deadline() is None
        with pytest.raises(RuntimeError, match="ended"):
            end.line.attach(0)


def test_what_waits_goes_behind_the_first_hello_but_no_bulk():
    pair = Pair()
    opened = [pair.left.line.open_channel(b"", p) for p in (Priority.SYNC, Priority.BULK)]
    for channel in opened:
        pair.left.line.send(channel, b"early")
    pair.attach()
    pair.carry(pair.left, pair.right)
    assert [pair.right.messages(channel) for channel in opened] == [[b"early"], []]
    pair.exchange()
    assert [pair.right.messages(channel) for channel in opened] == [[b"early"], [b"early"]]
    assert pair.left.line.statistics().unacknowledged == 0


def test_what_was_sent_before_the_answer_is_no_measure_of_the_way():
    pair = Pair()
    pair.left.line.open_channel(b"", Priority.SYNC)
    pair.attach()
    pair.carry(pair.left, pair.right)
    pair.now = 0.5  # The acceptor has yet to start.
    pair.exchange()
    assert pair.left.line.statistics().rtt_s == 0


def test_on_a_second_transport_nothing_goes_before_the_answer():
    pair = Pair()
    channel = pair.left.line.open_channel(b"", Priority.SYNC)
    pair.attach()
    pair.exchange_until_cut(there=0, back=0)
    pair.left.line.send(channel, b"late")
    pair.attach()
    pair.carry(pair.left, pair.right)
    assert pair.right.opened() == []
    pair.exchange()
    assert pair.right.messages(channel) == [b"late"]


def test_an_acknowledged_acceptor_knows_that_an_initiator_has_forgotten():
    pair = connected()
    pair.right.line.open_channel(b"", Priority.SYNC)
    pair.exchange()
    pair.detach()
    pair.right.line.attach(0)
    pair.right.take(Hello(LINE_ID, 2, 0, False, "forgetful").encode(), 0)
    assert isinstance(pair.right.events[-1], Lost)


def resumed_with(received: int) -> Line:
    """The left of a pair that sent one frame, got it acknowledged, sent one more, was cut."""
    pair = connected()
    channel = open_both(pair)
    pair.left.line.send(channel, b"second frame")
    pair.left.line.bytes_to_send(0)
    pair.detach()
    pair.left.line.attach(0)
    pair.left.line.bytes_to_send(0)
    pair.left.line.receive_bytes(Hello(LINE_ID, 2, received, True, "peer").encode(), 0)
    return pair.left.line


def test_resume_sends_again_exactly_what_is_missing():
    line = resumed_with(received=1)
    assert line.next_event() == Connected(resumed=True, rtt_s=0)
    assert b"second frame" in line.bytes_to_send(0)
    line = resumed_with(received=2)
    assert line.next_event() == Connected(resumed=True, rtt_s=0)
    assert b"second frame" not in line.bytes_to_send(0)
    assert line.statistics().unacknowledged == 0


@pytest.mark.parametrize("received", [0, 3, 1 << 62])
def test_resume_with_an_impossible_count_is_refused(received):
    line = resumed_with(received)
    with pytest.raises(ProtocolError, match=f"acknowledged {received} frames, after 1 before"):
        line.next_event()
    with pytest.raises(ProtocolError):
        line.next_event()
    assert line.bytes_to_send(0) == b""


@pytest.mark.parametrize("connects", [0, 1])
def test_a_transport_that_comes_late_is_dropped_and_the_line_lives(connects):
    pair = scripted()
    for _ in range(connects):
        pair.attach()
        pair.exchange(lambda: None)
        pair.detach()
    pair.attach()
    late = pair.left.line.bytes_to_send(pair.now)
    pair.detach()
    pair.attach()
    pair.exchange(lambda: None)
    right = pair.right.line
    for _ in range(2):
        pair.detach()
        right.attach(pair.now)
        right.receive_bytes(late, pair.now)
        assert right.next_event() == Late()
        right.detach(pair.now)
        pair.attach()
        pair.exchange(lambda: None)
    assert pair.left.line.statistics().unacknowledged == 0
    assert not pair.left.of(Lost)


def test_half_a_frame_from_the_last_transport_is_forgotten():
    pair = connected()
    channel = open_both(pair)
    pair.left.line.send(channel, b"whole")
    pair.carry(pair.left, pair.right, limit=10)
    pair.detach()
    pair.attach()
    pair.exchange()
    assert pair.right.messages(channel) == [b"whole"]


def test_no_more_than_the_replay_limit_goes_unacknowledged():
    limits = replace(SMALL, replay_max=50, window=1 << 20)
    pair = connected(limits)
    channel = open_both(pair)
    for _ in range(100):
        pair.left.line.send(channel, b"1234567")
    while pair.left.line.bytes_to_send(0, limit=1):
        assert pair.left.line.statistics().unacknowledged < 50 + 15
    assert pair.left.line.statistics().unacknowledged >= 50
    pair.detach()
    pair.attach()
    pair.exchange()
    assert pair.right.messages(channel) == [b"1234567"] * 100


def test_credit_lost_with_the_transport_comes_back():
    pair = connected(SMALL)
    channel = open_both(pair)
    pair.right.reads = False
    pair.left.line.send(channel, b"x" * 500)
    pair.exchange()
    pair.right.line.consumed(channel, 500)
    pair.carry(pair.right, pair.left, limit=3)
    assert pair.left.line.sendable(channel) == 0
    pair.detach()
    pair.attach()
    pair.exchange()
    assert pair.left.line.sendable(channel) == SMALL.window
    assert pair.left.of(Sendable) == [Sendable(channel)]


def test_bulk_goes_again_no_faster_than_its_window():
    pair = connected()
    channel = open_both(pair, Priority.BULK)
    pair.left.line.send(channel, b"x" * (1 << 20))
    first = sum(len(data) for data in iter(lambda: pair.left.line.bytes_to_send(0), b""))
    pair.detach()
    pair.attach()
    pair.left.line.bytes_to_send(0)
    pair.left.line.receive_bytes(Hello(LINE_ID, 2, 1, True, "peer").encode(), 0)
    assert isinstance(pair.left.line.next_event(), Connected)
    again = sum(len(data) for data in iter(lambda: pair.left.line.bytes_to_send(0), b""))
    assert again == first + len(encode_count(Kind.PING, 1))
    assert again < 300_000
