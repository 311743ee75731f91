"""How much bulk may be under way: as much as delays others by no more than some 15 ms.

The delay that bulk causes is the round trip's time now over its minimum (as in LEDBAT). Every two
or three round trips the window moves towards the size at which that delay is the target. What is
late however small the window is, and lets more through when the window grows, stands in no queue of
ours (a relay keeps small packets back): it is found by a probe and does not count. Pure arithmetic
on the times passed in; nothing here knows frames.
"""

from __future__ import annotations

TARGET_S = 0.015  # Queueing delay aimed at: unseen by a person, enough to keep any link busy.
WINDOW_MIN = 64 << 10  # Bytes. Four frames: progress on the slowest link.
WINDOW_START = 128 << 10  # Bytes. 10 ms at 100 Mbit/s.
MEMORY_S = 60.0  # How long a minimum counts: a route may change for the worse.
DIP_EVERY_S = 20.0  # How often the queue is let run dry, to see the true minimum within MEMORY_S.
_GAIN = 0.7  # Of the way to the target in a round: a measure is noisy, and others send as well.
_FASTER = 1.25  # In the start the window doubles, and with it what gets through.
_PROBE_AFTER = 3  # Late rounds, until a probe of the least window; ever more if it shows nothing.
_PROBE_AFTER_MAX = 96
_PROBE_ROUNDS = 2  # How long a probe lasts.
_APART_MAX_S = 0.05  # Beyond a round trip: what is kept back for an acknowledgement, itself late.
_SHRINK_MAX = 0.5  # Of the window in a round: one late answer is no reason to stop.
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


class Pace:
    """The window of one transport's bulk, in bytes."""

    def __init__(self, now: float, ceiling: int) -> None:
        self._ceiling = ceiling
        self._window = float(min(WINDOW_START, ceiling))
        self._minimum = RecentMinimum(now)
        self._starting = True  # Doubling each round trip, until the first delay is seen.
        self._kept: float | None = None  # The window to return to after a dip.
        self._last_dip = now
        self._round_began = now
        self._round_rtt: float | None = None
        self._round_peak = 0
        self._round_size = 0  # Bytes acknowledged.
        self._rate = 0.0  # The highest of any round in the start, in bytes per second.
        self._apart_s = 0.0  # What is late and stands in no queue of ours.
        self._late_s = 0.0  # How late the last round was.
        self._late_rounds = 0  # In a row, with the window in use.
        self._probe_after = _PROBE_AFTER
        self._probe_left = 0  # Rounds with twice the least window, this one among them.

    @property
    def window(self) -> int:
        return int(self._window)

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
        rtt_s = max(rtt_s, _RTT_MIN_S)
        minimum = self._minimum.add(rtt_s, now)
        self._round_peak = max(self._round_peak, in_flight)
        self._round_size += acknowledged
        if self._starting and rtt_s - minimum - self._apart_s <= 2 * TARGET_S and in_flight >= self._window / 2:
            self._window = min(self._window + acknowledged, self._ceiling)
        sent_after_s = now - rtt_s - self._round_began
        if sent_after_s < minimum:
            return
        self._round_rtt = rtt_s if self._round_rtt is None else min(rtt_s, self._round_rtt)
        if sent_after_s >= 1.25 * minimum:
            self._end_round(self._round_rtt, minimum, now)

    def _end_round(self, rtt_s: float, minimum: float, now: float) -> None:
        late_s = rtt_s - minimum
        if self._kept is not None:
            window, self._kept = self._kept, None
            # No queue of ours stands now: what comes sooner than it did is no longer kept back.
            self._apart_s = min(self._apart_s, (self._apart_s + late_s) / 2)
        else:
            window = self._next_window(late_s, minimum, now)
            if not self._probe_left and now - self._last_dip >= DIP_EVERY_S:
                self._last_dip, self._kept = now, window
                window *= 0.75 * (minimum + self._apart_s) / rtt_s
        self._window = min(max(window, WINDOW_MIN), self._ceiling)
        self._round_began, self._round_rtt = now, None
        self._round_peak = self._round_size = 0

    def _next_window(self, late_s: float, minimum: float, now: float) -> float:
        rate = self._round_size / max(now - self._round_began, _RTT_MIN_S)
        if self._probe_left > 1:  # Half of what came was sent before the window grew.
            self._probe_left -= 1
            return self._window
        is_faster = rate > _FASTER * self._rate
        if is_faster and (self._probe_left or (self._starting and self._apart_s)):
            self._learn_apart(late_s, minimum)
        self._rate = max(rate, self._rate)
        self._late_s = late_s
        delay_s = late_s - self._apart_s
        if self._probe_left:
            return self._end_probe(delay_s)
        window = self._moved(minimum + late_s, delay_s, is_faster=is_faster)
        if self._apart_s and not self._starting:
            # What is kept back comes in steps, and hides a queue: no more than ever got through.
            window = min(window, self._rate * (minimum + self._apart_s + TARGET_S))
        if not self._is_probe_due(window, delay_s, minimum):
            return window
        self._probe_left, self._rate = _PROBE_ROUNDS, rate  # The larger window has to surpass it.
        return 2 * WINDOW_MIN

    def _learn_apart(self, late_s: float, minimum: float) -> None:
        """More got through a larger window: no queue of ours stood before the smaller one.

        Nor before the larger one, if it was not much later.
        """
        if abs(late_s - self._late_s) <= 2 * TARGET_S and late_s <= minimum + _APART_MAX_S:
            self._apart_s = max(self._apart_s, min(late_s, self._late_s))

    def _is_probe_due(self, window: float, delay_s: float, minimum: float) -> bool:
        """Whether answers were late again and again, and the window can shrink no further."""
        if self._round_peak >= self._window / 2 and not self._starting:
            is_late = TARGET_S < delay_s <= minimum + _APART_MAX_S
            self._late_rounds = max(0, self._late_rounds + (1 if is_late else -1))
        return window <= WINDOW_MIN < self._ceiling and self._late_rounds >= self._probe_after

    def _end_probe(self, delay_s: float) -> float:
        """Start again if it was answered in time, as we now know; else go back and wait longer."""
        self._probe_left = self._late_rounds = 0
        self._starting = delay_s <= 2 * TARGET_S
        if self._starting:
            self._probe_after = _PROBE_AFTER
            return self._window
        self._probe_after = min(2 * self._probe_after, _PROBE_AFTER_MAX)
        return WINDOW_MIN

    def _moved(self, rtt_s: float, delay_s: float, *, is_faster: bool) -> float:
        used = self._round_peak >= self._window / 2  # A window not used says nothing about more.
        # As long as more gets through, what is late is not late for standing in a queue.
        if self._starting and (is_faster or delay_s <= TARGET_S / 2 or not used):
            return self._window
        # A queue holds rate x delay, and the rate is window / rtt: this is the way to the target.
        gain = (TARGET_S - delay_s) / rtt_s
        if not self._starting:
            gain *= _GAIN
        self._starting = False
        if gain > 0 and not used:
            return self._window
        return self._window * (1 + min(max(gain, -_SHRINK_MAX), 1))
