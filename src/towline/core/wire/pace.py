"""How much bulk may be under way: as much as delays others by no more than some 15 ms.

The delay that bulk causes is the round trip's time now over its minimum (as in LEDBAT). Every two
or three round trips the window moves towards the size at which that delay is the target. Pure
arithmetic on the times passed in; nothing here knows frames.
"""

from __future__ import annotations

TARGET_S = 0.015  # Queueing delay aimed at: unseen by a person, enough to keep any link busy.
WINDOW_MIN = 64 << 10  # Bytes. Four frames: progress on the slowest link.
WINDOW_START = 128 << 10  # Bytes. 10 ms at 100 Mbit/s.
MEMORY_S = 60.0  # How long a minimum counts: a route may change for the worse.
DIP_EVERY_S = 20.0  # How often the queue is let run dry, to see the true minimum within MEMORY_S.
_GAIN = 0.7  # Of the way to the target in a round: a measure is noisy, and others send as well.
_FASTER = 1.25  # In the start the window doubles, and with it what gets through.
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
        if self._starting and rtt_s - minimum <= 2 * TARGET_S and in_flight >= self._window / 2:
            self._window = min(self._window + acknowledged, self._ceiling)
        sent_after_s = now - rtt_s - self._round_began
        if sent_after_s < minimum:
            return
        self._round_rtt = rtt_s if self._round_rtt is None else min(rtt_s, self._round_rtt)
        if sent_after_s >= 1.25 * minimum:
            self._end_round(self._round_rtt, minimum, now)

    def _end_round(self, rtt_s: float, minimum: float, now: float) -> None:
        if self._kept is not None:
            window, self._kept = self._kept, None
        else:
            rate = self._round_size / max(now - self._round_began, _RTT_MIN_S)
            window = self._moved(rtt_s, rtt_s - minimum, is_faster=rate > _FASTER * self._rate)
            self._rate = max(rate, self._rate)
            if now - self._last_dip >= DIP_EVERY_S:
                self._last_dip, self._kept = now, window
                window *= 0.75 * minimum / rtt_s
        self._window = min(max(window, WINDOW_MIN), self._ceiling)
        self._round_began, self._round_rtt = now, None
        self._round_peak = self._round_size = 0

    def _moved(self, rtt_s: float, delay_s: float, *, is_faster: bool) -> float:
        used = self._round_peak >= self._window / 2  # A window not used says nothing about more.
        # As long as more gets through, what is late is not late for standing in a queue.
        if self._starting and (is_faster or delay_s <= TARGET_S / 2):
            return self._window
        # A queue holds rate x delay, and the rate is window / rtt: this is the way to the target.
        gain = (TARGET_S - delay_s) / rtt_s
        if not self._starting:
            gain *= _GAIN
        self._starting = False
        if gain > 0 and not used:
            return self._window
        return self._window * (1 + min(max(gain, -_SHRINK_MAX), 1))
