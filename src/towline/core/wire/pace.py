"""How much bulk may be under way: as much as delays others by no more than 8 to 15 ms.

By 1 to 3 ms, while a person types (`note_person`).

The delay that bulk causes is the round trip's time now over its minimum (as in LEDBAT). Every two
or three round trips the window moves towards the size at which that delay is the target. What is
late however small the window is, and lets more through when the window grows, stands in no queue of
ours (a relay keeps small packets back): it is found by a probe and does not count. Pure arithmetic
on the times passed in; nothing here knows frames.
"""

from __future__ import annotations

import enum
import math

TARGET_S = 0.015  # Queueing delay aimed at: unseen by a person, enough to keep any link busy.
_TARGET_MIN_S = 0.008  # Beside one frame's time.
_TARGET_BESIDE_S = 0.001  # The same, while a person waits for each key.
PERSON_S = 2.0  # After interactive content, how long more of it is likely.
_FRAME_SIZE = 16 << 10  # Bytes.
WINDOW_MIN = 64 << 10  # Bytes. Four frames: progress on the slowest link.
WINDOW_START = 128 << 10  # Bytes. 10 ms at 100 Mbit/s.
WINDOW_AGAIN = 32 << 10  # Bytes, after a long pause. TCP begins with 14 KiB and doubles (RFC 6928).
PAUSE_S = 0.3  # TCP's own window is halved each time nothing was sent for that long (RFC 2861).
_HALVINGS_MAX = 32  # Leave nothing of any window.
MEMORY_S = 60.0  # How long a minimum counts: a route may change for the worse.
DIP_EVERY_S = 20.0  # How often the queue is let run dry, to see the true minimum within MEMORY_S.
_GAIN = 0.7  # Of the way to the target in a round: a measure is noisy, and others send as well.
_FASTER = 1.25  # In the start the window doubles, and with it what gets through.
_PROBE_AFTER = 3  # Late rounds, until a probe of the least window; ever more if it shows nothing.
_PROBE_AFTER_MAX = 192
_RESTS_MAX = 3  # Rounds: a single frame may meet another small packet.
_KEPT_MAX_S = 0.05  # Beyond a round trip: a relay waits for an acknowledgement, itself late.
_SHRINK_MAX = 0.5  # Of the window in a round: one late answer is no reason to stop.
_RETURNED = 0.95  # Of the window before a late round: near enough.
_RTT_MIN_S = 1e-6  # A clock may not have moved at all.


class RecentMinimum:
    """The least of the samples of the last `MEMORY_S` or somewhat less, in constant memory."""

    def __init__(self, now: float) -> None:
        self._half_began = now
        self._current: float | None = None
        self._previous: float | None = None
        self.value: float | None = None

    def add(self, sample: float, now: float) -> float:
        """Take a sample, return the minimum."""
        if now - self._half_began >= MEMORY_S / 2:
            self._previous, self._current = self._current, None
            self._half_began = now
        self._current = sample if self._current is None else min(sample, self._current)
        least = self._current if self._previous is None else min(self._current, self._previous)
        self.value = least
        return least


class Probe(enum.Enum):
    """What a probe does in this round."""

    NONE = "none"
    REST = "one frame at a time: a queue of others would delay it as well"
    GROW = "twice the least window; half of what comes was sent before"
    MEASURE = "twice the least window"


_NEXT = {Probe.REST: Probe.GROW, Probe.GROW: Probe.MEASURE, Probe.MEASURE: Probe.NONE}


class KeptBack:
    """How late answers are that no queue delays: a relay keeps small packets back.

    Answers that stay late at the least window are a reason for a probe. If a single frame is
    answered in time, no queue stands that others made; if more gets through a larger window, and
    not much later, none of ours stood before the smaller one.
    """

    def __init__(self) -> None:
        self.late_s = 0.0
        self.probe = Probe.NONE
        self._rests = 0  # Rounds of rest in this probe.
        self._alone_max_s = 0.0
        self._may_pass_over = False
        self._round_late_s = 0.0  # Of the last round.
        self._late_rounds = 0
        self._probe_after = _PROBE_AFTER

    def add_round(self, late_s: float, minimum: float, *, is_larger_and_faster: bool) -> None:
        """Learn from a round that is over."""
        is_later = late_s > self._round_late_s + 2 * TARGET_S
        could_be = self._round_late_s <= minimum + _KEPT_MAX_S
        if is_larger_and_faster and could_be and not is_later:
            self.late_s = max(self.late_s, self._round_late_s)
        self._round_late_s = late_s

    def add_dip(self, late_s: float) -> None:
        """No queue of ours stands now: what comes sooner than it did is not kept back any more."""
        self.late_s = min(self.late_s, (self.late_s + late_s) / 2)

    def count(self, delay_s: float, minimum: float) -> None:
        """Count a round in which the window was used, and answers delayed by so much."""
        is_late = TARGET_S < delay_s <= minimum + _KEPT_MAX_S
        self._late_rounds = max(0, self._late_rounds + (1 if is_late else -1))

    def begin_probe_if_due(self, rtt_s: float) -> bool:
        if self._late_rounds < self._probe_after:
            return False
        # Where four frames fill the line, one takes a quarter of their time.
        self._alone_max_s = min(TARGET_S, rtt_s / 8)
        self.probe, self._rests = Probe.REST, 0
        return True

    def pass_probe_round(self, late_s: float) -> bool:
        """A round of a probe is over: return whether the probe goes on."""
        if self.probe is Probe.REST and late_s > self._alone_max_s:
            self._rests += 1
            self.probe = Probe.REST if self._rests < _RESTS_MAX else Probe.NONE
        else:
            self.probe = _NEXT[self.probe]
        return self.probe is not Probe.NONE

    def pass_over(self) -> bool:
        """Whether one late round of the start after a probe says nothing: small packets met."""
        self._may_pass_over, may = False, self._may_pass_over
        return may

    def end_probe(self, *, has_learnt: bool) -> None:
        self._late_rounds = 0
        self._may_pass_over = has_learnt
        longer = min(4 * self._probe_after, _PROBE_AFTER_MAX)
        self._probe_after = _PROBE_AFTER if has_learnt else longer


class Pace:
    """The window of one transport's bulk, in bytes."""

    def __init__(self, now: float, ceiling: int) -> None:
        self._ceiling = ceiling
        self._window = float(min(WINDOW_START, ceiling))
        self._minimum = RecentMinimum(now)
        self._starting = True  # Doubling each round trip, until the first delay is seen.
        self._kept: float | None = None  # The window to return to after a dip.
        self._was_in_time = False  # The last round, with a window that was found.
        self._before_late: float | None = (
            None  # The window to return to if one round alone is late.
        )
        self._last_dip = now
        self._round_began = now
        self._round_rtt: float | None = None
        self._round_peak = 0
        self._round_size = 0  # Bytes acknowledged.
        self._rate = 0.0  # The highest of any round in the start, in bytes per second.
        self._kept_back = KeptBack()
        self._acknowledged_at = math.inf  # The first start is a copy's, which nobody waits behind.
        self._person_until = now

    def note_person(self, now: float) -> None:
        """Interactive content went: bulk leaves more room for the next."""
        self._person_until = now + PERSON_S

    def resume(self, now: float) -> None:
        """Bulk begins again, with none under way. After a pause it does so as slowly as TCP.

        That halves its window for each timeout that has passed. With a larger one bulk would stand
        in TCP's queue until that has opened again, and with it all that is sent later; with a much
        smaller one it would open it once more, step by step, for nothing.
        """
        timeout_s = max(PAUSE_S, 2 * (self.rtt_min_s or 0.0))
        if (idle_s := now - self._acknowledged_at) <= timeout_s:
            return
        halvings = min(int(idle_s / timeout_s), _HALVINGS_MAX)
        self._window = min(self._window, max(self._window / 2**halvings, WINDOW_AGAIN))
        self._starting, self._rate, self._kept = True, 0.0, None
        self._was_in_time, self._before_late = False, None
        self._begin_round(now)

    @property
    def window(self) -> int:
        return 1 if self._kept_back.probe is Probe.REST else int(self._window)

    @property
    def rtt_min_s(self) -> float | None:
        return self._minimum.value

    def add_sample(self, rtt_s: float, in_flight: int, now: float, acknowledged: int = 0) -> None:
        """Learn from an acknowledgement: its round trip, the bulk unacknowledged before it, and
        how much of that it acknowledged.

        In the start the window grows by what is acknowledged, as TCP's does.

        A change of the window lets a burst go; what is sent a round trip later meets the queue
        that stands. Only that is measured, for a quarter of a round trip.
        """
        if acknowledged:
            self._acknowledged_at = now
        rtt_s = max(rtt_s, _RTT_MIN_S)
        minimum = self._minimum.add(rtt_s, now)
        self._round_peak = max(self._round_peak, in_flight)
        self._round_size += acknowledged
        delay_s = rtt_s - minimum - self._kept_back.late_s
        if self._starting and delay_s <= 2 * TARGET_S and in_flight >= self._window / 2:
            self._window = min(self._window + acknowledged, self._ceiling)
        sent_after_s = now - rtt_s - self._round_began
        if sent_after_s < minimum:
            return
        self._round_rtt = rtt_s if self._round_rtt is None else min(rtt_s, self._round_rtt)
        if sent_after_s >= 1.25 * minimum:
            self._end_round(self._round_rtt, minimum, now)

    def _end_round(self, rtt_s: float, minimum: float, now: float) -> None:
        kept_back = self._kept_back
        if self._kept is not None:
            window, self._kept = self._kept, None
            kept_back.add_dip(rtt_s - minimum)
        else:
            window = self._next_window(rtt_s, minimum, now)
            if kept_back.probe is Probe.NONE and now - self._last_dip >= DIP_EVERY_S:
                self._last_dip, self._kept = now, window
                window *= 0.75 * minimum / rtt_s
        self._window = min(max(window, WINDOW_MIN), self._ceiling)
        self._begin_round(now)

    def _begin_round(self, now: float) -> None:
        self._round_began, self._round_rtt = now, None
        self._round_peak = self._round_size = 0

    def _next_window(self, rtt_s: float, minimum: float, now: float) -> float:
        kept_back, late_s = self._kept_back, rtt_s - minimum
        probe = kept_back.probe
        if probe is not Probe.NONE and kept_back.pass_probe_round(late_s):
            return 2 * WINDOW_MIN
        rate = self._round_size / max(now - self._round_began, _RTT_MIN_S)
        is_faster = rate > _FASTER * self._rate
        is_larger = probe is Probe.MEASURE or (self._starting and kept_back.late_s > 0)
        kept_back.add_round(late_s, minimum, is_larger_and_faster=is_larger and is_faster)
        self._rate = max(rate, self._rate)
        if probe is not Probe.NONE:
            has_learnt = probe is Probe.MEASURE and late_s - kept_back.late_s <= 2 * TARGET_S
            return self._after_probe(has_learnt=has_learnt)
        window = self._moved(rtt_s, late_s - kept_back.late_s, is_faster=is_faster)
        return window if self._starting else self._bounded(window, late_s, minimum, rate)

    def _bounded(self, window: float, late_s: float, minimum: float, rate: float) -> float:
        kept_back = self._kept_back
        if self._is_used:
            kept_back.count(late_s - kept_back.late_s, minimum)
        if window <= WINDOW_MIN < self._ceiling and kept_back.begin_probe_if_due(minimum + late_s):
            self._rate = rate  # The larger window has to surpass it.
            return WINDOW_MIN
        if not kept_back.late_s:
            return window
        # What is kept back comes in steps, which hide a queue: no more than ever got through.
        return min(window, self._rate * (minimum + kept_back.late_s + TARGET_S))

    def _after_probe(self, *, has_learnt: bool) -> float:
        """Start again if nothing is late by what is known now, else go back."""
        self._starting = has_learnt
        self._kept_back.end_probe(has_learnt=has_learnt)
        return self._window if has_learnt else WINDOW_MIN

    @property
    def _is_used(self) -> bool:
        """A window not used says nothing about more."""
        return self._round_peak >= self._window / 2

    @property
    def _target_s(self) -> float:
        """Less than `TARGET_S` on a fast line: below one frame's time no window finds its rest."""
        least_s = _TARGET_BESIDE_S if self._round_began < self._person_until else _TARGET_MIN_S
        return min(TARGET_S, least_s + _FRAME_SIZE / max(self._rate, 1.0))

    def _moved(self, rtt_s: float, delay_s: float, *, is_faster: bool) -> float:
        # As long as more gets through, what is late is not late for standing in a queue.
        slack_s = 2 * TARGET_S if self._kept_back.late_s else TARGET_S / 2
        if self._starting and (is_faster or delay_s <= slack_s or not self._is_used):
            return self._window
        if self._starting and self._kept_back.pass_over():
            return self._window
        # A queue holds rate x delay, and the rate is window / rtt: this is the way to the target.
        gain = (self._target_s - delay_s) / rtt_s
        if not self._starting:
            gain *= _GAIN
        self._starting = False
        if gain > 0 and not self._is_used:
            return self._window
        return self._returned(self._window * (1 + min(max(gain, -_SHRINK_MAX), 1)), delay_s)

    def _returned(self, window: float, delay_s: float) -> float:
        """Return the next window, halfway back if only one round was late, and the next in time.

        After a rest TCP begins slowly, and the first window's worth waits in it for that. What is
        late twice is late for the window.
        """
        was_in_time, self._was_in_time = self._was_in_time, delay_s <= 2 * TARGET_S
        if not self._was_in_time:
            self._before_late = self._window if was_in_time else None
        elif self._before_late is not None and delay_s <= self._target_s:
            window = max(window, (window + self._before_late) / 2)
            if window >= _RETURNED * self._before_late:
                self._before_late = None
        return window
