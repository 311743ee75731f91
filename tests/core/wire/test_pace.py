"""Bulk fills the line and leaves the way free: the window, and Lines over a simulated link."""

from __future__ import annotations

import statistics

import pytest

from towline.core.wire.frames import Priority
from towline.core.wire.pace import (
    DIP_EVERY_S,
    MEMORY_S,
    PAUSE_S,
    PERSON_S,
    TARGET_S,
    WINDOW_AGAIN,
    WINDOW_MIN,
    WINDOW_START,
    Pace,
    RecentMinimum,
)

from .link import Busy, Link
from .relay import RelayedLink

CEILING = 12 << 20
RTT_S = 0.1
LATE_S = 0.05  # As a relay half way is that keeps small packets back.


def rounds(pace: Pace, rtt_s: float, count: int, now: float, in_flight: int = CEILING) -> float:
    """Let `count` rounds pass in which every answer takes `rtt_s`; return the time then."""
    for _ in range(count):
        for _ in range(2):
            now += 2.5 * rtt_s
            pace.add_sample(rtt_s, in_flight, now, WINDOW_START)
    return now


def started(now: float = 0.0) -> Pace:
    """Return a window that has seen its first delay, on a route of `RTT_S`."""
    pace = Pace(now, CEILING)
    pace.add_sample(RTT_S, 0, now + RTT_S)
    return pace


def test_the_window_doubles_while_nothing_is_delayed():
    pace = Pace(0.0, CEILING)
    now = 0.0
    for doubled in (2, 4, 8):
        now += RTT_S
        for _ in range(4):
            pace.add_sample(RTT_S, CEILING, now, WINDOW_START * doubled // 8)
        assert pace.window == WINDOW_START * doubled


def test_lateness_does_not_end_the_start_while_more_and_more_gets_through():
    pace = Pace(0.0, CEILING)
    pace.add_sample(RTT_S, 0, RTT_S)
    now = 0.0
    for _ in range(3):
        for _ in range(2):
            now += 1.3 * RTT_S
            pace.add_sample(RTT_S + TARGET_S, CEILING, now, pace.window)
    assert pace.window == WINDOW_START * 2**6
    for _ in range(4):
        now += 1.3 * RTT_S
        pace.add_sample(RTT_S + TARGET_S, CEILING, now, WINDOW_START)
    before = pace.window
    pace.add_sample(RTT_S, CEILING, now + 1.2 * RTT_S, WINDOW_START)
    assert pace.window == before  # The start has ended: no more of it for each answer.


def test_the_window_has_a_ceiling_and_a_floor():
    pace = started()
    now = rounds(pace, RTT_S, 50, 0.0)
    assert pace.window == CEILING
    rounds(pace, RTT_S * 9, 8, now)
    assert pace.window == WINDOW_MIN
    assert Pace(0.0, 1000).window == 1000


def test_no_round_shrinks_the_window_by_more_than_half():
    pace = started()
    now = rounds(pace, RTT_S, 3, 0.0)
    pace.add_sample(RTT_S + TARGET_S, CEILING, now + 1)
    before = pace.window
    pace.add_sample(10.0, CEILING, now + 12)
    assert pace.window == before // 2


def test_the_window_rests_where_the_delay_is_the_target():
    pace = started()
    now = rounds(pace, RTT_S, 1, 0.0)
    now = rounds(pace, RTT_S + TARGET_S, 1, now)
    before = pace.window
    rounds(pace, RTT_S + TARGET_S, 5, now)
    assert pace.window == pytest.approx(before, rel=0.01)


@pytest.mark.parametrize(("delay_s", "grows"), [(0.0, True), (0.010, True), (0.020, False)])
def test_the_window_moves_towards_the_target(delay_s, grows):
    pace = started()
    now = rounds(pace, RTT_S, 1, 0.0)
    now = rounds(pace, RTT_S + TARGET_S, 1, now)
    before = pace.window
    rounds(pace, RTT_S + delay_s, 1, now)
    assert (pace.window > before) is grows
    assert (pace.window < before) is not grows


@pytest.mark.parametrize("first_delay_s", [0.0, TARGET_S])
def test_a_window_that_is_not_used_does_not_grow(first_delay_s):
    pace = started()
    now = rounds(pace, RTT_S + first_delay_s, 1, 0.0)
    before = pace.window
    rounds(pace, RTT_S, 5, now, in_flight=before // 4)
    assert pace.window == before


def test_what_was_sent_before_the_window_changed_is_no_measure_of_it():
    pace = started()
    now = rounds(pace, RTT_S, 2, 0.0)
    before = pace.window
    for _ in range(10):
        pace.add_sample(3.0, CEILING, now + 2.9)
    assert pace.window == before


def test_after_a_long_pause_bulk_begins_as_slowly_as_tcp_and_doubles():
    pace = started()
    now = rounds(pace, RTT_S, 3, 0.0)
    pace.resume(now + PAUSE_S / 2)
    assert pace.window > WINDOW_START
    now += 100 * max(PAUSE_S, 2 * RTT_S)
    pace.resume(now)
    assert pace.window == WINDOW_AGAIN
    pace.add_sample(RTT_S, WINDOW_AGAIN, now + RTT_S, WINDOW_AGAIN)
    assert pace.window == 2 * WINDOW_AGAIN
    rounds(pace, RTT_S, 3, now)
    assert pace.window > WINDOW_START


@pytest.mark.parametrize(("timeouts", "share"), [(0.9, 1), (1.1, 1 / 2), (2.1, 1 / 4)])
def test_a_pause_halves_the_window_for_each_timeout_as_tcp_does(timeouts, share):
    pace = started()
    now = rounds(pace, RTT_S, 3, 0.0)
    before = pace.window
    pace.resume(now + timeouts * max(PAUSE_S, 2 * RTT_S))
    assert pace.window == pytest.approx(before * share, abs=1)


def test_on_a_long_route_a_timeout_is_two_round_trips():
    pace = Pace(0.0, CEILING)
    now = rounds(pace, 1.0, 3, 0.0)
    before = pace.window
    pace.resume(now + 1.9)
    assert pace.window == before
    pace.resume(now + 2.1)
    assert pace.window == pytest.approx(before / 2, abs=1)


def test_what_is_less_than_a_beginning_does_not_grow_by_a_pause():
    pace = Pace(0.0, WINDOW_AGAIN // 2)
    now = rounds(pace, RTT_S, 3, 0.0)
    pace.resume(now + 100.0)
    assert pace.window == WINDOW_AGAIN // 2


def test_the_first_start_is_no_pause():
    pace = Pace(0.0, CEILING)
    pace.add_sample(RTT_S, 0, RTT_S)
    pace.resume(5.0)
    assert pace.window == WINDOW_START


def test_now_and_then_the_queue_is_let_run_dry_for_one_round():
    pace = started()
    now = rounds(pace, RTT_S + TARGET_S, 2, 0.0)
    before = pace.window
    now = DIP_EVERY_S
    pace.add_sample(RTT_S + TARGET_S, CEILING, now)
    assert pace.window == pytest.approx(before * 0.75 * RTT_S / (RTT_S + TARGET_S), rel=0.01)
    pace.add_sample(RTT_S, CEILING, now + 1)
    assert pace.window == pytest.approx(before, rel=0.01)


def test_a_minimum_is_forgotten_after_a_while_and_not_before():
    minimum = RecentMinimum(0.0)
    assert minimum.value is None
    assert minimum.add(1.0, 0.0) == 1.0
    assert minimum.add(3.0, MEMORY_S / 2) == 1.0
    assert minimum.add(2.0, MEMORY_S - 0.1) == 1.0
    assert minimum.add(5.0, MEMORY_S) == 2.0
    assert minimum.value == 2.0


def test_a_clock_that_stands_still_does_no_harm():
    pace = Pace(0.0, CEILING)
    for _ in range(100):
        pace.add_sample(0.0, CEILING, 0.0)
    assert pace.window == WINDOW_START
    assert pace.rtt_min_s is not None
    assert pace.rtt_min_s > 0


@pytest.mark.parametrize(
    ("rate", "delay_s"), [(12.5e6, 0.1), (12.5e6, 0.01), (1.25e6, 0.05), (125e6, 0.02)]
)
def test_bulk_fills_a_link_and_its_queue_stays_short(rate, delay_s):
    outcome = Link(rate, delay_s).run(until=10.0 if rate < 1e8 else 3.0)
    assert outcome.rate(1.0, outcome.queued_s[-1][0]) >= 0.95 * rate
    assert outcome.rate(0.0, outcome.queued_s[-1][0]) >= 0.85 * rate
    assert outcome.queued_below(0.030, since=0.0) >= 0.9
    assert max(outcome.saves_s) < delay_s / 2 + 0.15
    assert sorted(outcome.saves_s)[len(outcome.saves_s) // 2] < delay_s / 2 + 0.030


@pytest.mark.parametrize(("rate", "delay_s"), [(12.5e6, 0.05), (12.5e6, 0.01), (125e6, 0.002)])
def test_a_key_waits_less_beside_bulk_than_a_save(rate, delay_s):
    kinds = (Priority.SYNC, Priority.INTERACTIVE)
    saves, keys = (Link(rate, delay_s, kind).run(5.0, save_every_s=0.1) for kind in kinds)
    late_s = [statistics.median(of.saves_s) - delay_s / 2 for of in (saves, keys)]
    assert late_s[1] < 0.005 < late_s[0]
    assert keys.rate(1.0, 5.0) >= 0.9 * rate


def test_while_bulk_begins_a_key_does_not_wait_for_what_is_beyond_the_line():
    rate, delay_s = 12.5e6, 0.05
    outcome = Link(rate, delay_s, Priority.INTERACTIVE).run(until=2.0, save_every_s=0.05)
    assert max(outcome.saves_s) - delay_s / 2 < 0.010
    assert outcome.rate(0.0, 2.0) >= 0.75 * rate


def test_after_the_last_key_bulk_takes_its_room_again():
    pace, now = started(), 0.0
    pace.note_person(now)
    now = rounds(pace, RTT_S + TARGET_S, 8, now)
    beside = pace.window
    rounds(pace, RTT_S + 0.005, 4, now + PERSON_S)
    assert pace.window > beside


def test_loopback_is_not_throttled():
    outcome = Link(375e6, 0.0001).run(until=0.5)
    assert outcome.rate(0.0, 0.5) >= 0.95 * 375e6


def test_the_queue_does_not_grow_over_minutes():
    outcome = Link(1.25e6, 0.02).run(until=3 * MEMORY_S, save_every_s=2.0)
    assert outcome.queued_below(0.060, since=2 * MEMORY_S) >= 0.98
    assert outcome.rate(1.0, 3 * MEMORY_S) >= 0.95 * 1.25e6


def test_without_saves_to_wait_for_nothing_else_changes():
    outcome = Link(12.5e6, 0.05).run(until=2.0, save_every_s=100.0)
    assert outcome.saves_s == []
    assert outcome.rate(1.0, 2.0) >= 0.95 * 12.5e6


def test_a_window_that_is_not_used_shrinks_all_the_same():
    pace = started()
    now = rounds(pace, RTT_S, 2, 0.0)
    now = rounds(pace, RTT_S + TARGET_S, 1, now)
    before = pace.window
    rounds(pace, RTT_S + 2 * TARGET_S, 1, now, in_flight=before // 4)
    assert pace.window < before


# What is late and stands in no queue of ours


@pytest.mark.parametrize(("rate", "delay_s"), [(12.5e6, 0.1), (1.25e6, 0.1), (1.25e6, 0.05)])
def test_a_relay_that_keeps_small_packets_back_does_not_keep_bulk_small(rate, delay_s):
    outcome = RelayedLink(rate, delay_s).run(until=30.0)
    assert outcome.rate(7.0, 30.0) >= 0.9 * rate
    assert outcome.queued_below(0.150, since=7.0) >= 0.95


def one_round(pace: Pace, late_s: float, now: float, acknowledged: int = WINDOW_MIN) -> float:
    now += 2.5 * (RTT_S + late_s)
    pace.add_sample(RTT_S + late_s, CEILING, now, acknowledged)
    return now


def least() -> tuple[Pace, float]:
    """Return a window that has become as small as it can: all was far too late."""
    pace, now = started(), 0.0
    while pace.window > WINDOW_MIN:
        now = one_round(pace, 2 * RTT_S, now)
    return pace, now


def until_probe(pace: Pace, late_s: float, now: float) -> tuple[float, int]:
    """Let rounds pass that are all late; return when a probe begins and after how many."""
    for count in range(1, 100):
        now = one_round(pace, late_s, now)
        if pace.window < WINDOW_MIN:
            return now, count
    raise AssertionError("there was no probe")


def probed(
    *, acknowledged: int, late_s: float = LATE_S, alone_late_s: float = 0.0
) -> tuple[Pace, float]:
    """Return a window after its first probe, which got so much through in a round."""
    pace, now = least()
    now, _ = until_probe(pace, LATE_S, now)
    while pace.window < WINDOW_MIN:
        now = one_round(pace, alone_late_s, now)
    for _ in range(2):
        now = one_round(pace, late_s, now, acknowledged)
    return pace, now


def test_three_late_rounds_at_the_least_window_are_a_reason_for_a_probe():
    pace, now = least()
    _, count = until_probe(pace, LATE_S, now)
    assert count == 3


def test_what_is_late_while_more_gets_through_a_larger_window_does_not_count():
    pace, now = probed(acknowledged=2 * WINDOW_MIN)
    assert pace.window == 2 * WINDOW_MIN
    pace.add_sample(RTT_S + LATE_S, CEILING, now + RTT_S, WINDOW_MIN)
    assert pace.window == 3 * WINDOW_MIN  # It starts again.


def test_what_is_late_while_no_more_gets_through_is_a_queue():
    pace, now = probed(acknowledged=WINDOW_MIN)
    assert pace.window == WINDOW_MIN
    _, count = until_probe(pace, LATE_S, now)
    assert count == 12  # The next probe is not so soon as the first.


def test_what_delays_a_single_frame_as_well_is_somebody_elses_queue():
    pace, _ = probed(acknowledged=2 * WINDOW_MIN, alone_late_s=LATE_S)
    assert pace.window == WINDOW_MIN


def test_a_probe_that_is_later_still_has_made_a_queue():
    pace, _ = probed(acknowledged=2 * WINDOW_MIN, late_s=LATE_S + 3 * TARGET_S)
    assert pace.window == WINDOW_MIN


def test_what_is_late_by_more_than_a_relay_keeps_back_is_never_probed():
    pace, now = least()
    for _ in range(50):
        now = one_round(pace, 2 * RTT_S, now)
        assert pace.window == WINDOW_MIN


def test_what_comes_in_time_in_a_dip_is_not_kept_back_any_more():
    pace, now = probed(acknowledged=2 * WINDOW_MIN)
    for _ in range(3):
        now = one_round(pace, LATE_S, now)
    for _ in range(8):  # The relay is gone.
        now = one_round(pace, 0.0, now + DIP_EVERY_S)
        now = one_round(pace, 0.0, now)
    before = pace.window
    for _ in range(2):  # Bulk makes a queue of its own.
        now = one_round(pace, LATE_S, now)
    assert pace.window < before


@pytest.mark.parametrize("rate", [60e3, 125e3, 600e3])
def test_a_slow_link_is_not_taken_for_a_relay(rate):
    outcome = Link(rate, 0.05).run(until=MEMORY_S)
    assert outcome.rate(5.0, MEMORY_S) >= 0.95 * rate
    assert outcome.queued_below(1.3 * WINDOW_MIN / rate, since=5.0) >= 0.95


def test_rounds_without_bulk_do_not_end_the_start():
    pace = started()
    now = rounds(pace, RTT_S + TARGET_S, 3, 0.0, in_flight=0)
    pace.add_sample(RTT_S, WINDOW_START, now + RTT_S, WINDOW_START)
    assert pace.window == 2 * WINDOW_START


def test_bulk_makes_way_for_others_and_makes_no_queue_when_they_have_gone():
    outcome = Busy(12.5e6, 0.1, queue_s=LATE_S, until=20.0).run(until=50.0)
    assert outcome.rate(10.0, 20.0) <= 0.1 * 12.5e6
    assert outcome.queued_below(0.030, since=25.0) >= 0.9


def test_the_queue_aimed_at_is_shorter_on_a_fast_line():
    outcome = Link(12.5e6, 0.05).run(until=8.0)
    queued = sorted(delay for at, delay in outcome.queued_s if at >= 4.0)
    assert queued[len(queued) // 2] <= 0.012
    assert outcome.rate(4.0, 8.0) >= 0.95 * 12.5e6


def after_late_rounds(count: int) -> tuple[int, int]:
    """Return the window before so many late rounds, and four rounds in time after them."""
    pace = started()
    now = rounds(pace, RTT_S + TARGET_S, 2, 0.0)
    before = pace.window
    for _ in range(count):  # TCP begins slowly after a rest.
        now += 1.0
        pace.add_sample(RTT_S + 0.35, CEILING, now)
    rounds(pace, RTT_S, 2, now)
    return before, pace.window


def test_after_one_late_round_alone_the_window_comes_back_soon():
    before, after = after_late_rounds(1)
    assert after >= 0.9 * before


def test_what_is_late_twice_is_late_for_the_window():
    before, after = after_late_rounds(2)
    assert after < 0.5 * before
