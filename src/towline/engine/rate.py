"""How fast something grows, over the last few seconds. The time is passed in."""

from __future__ import annotations

from collections import deque

WINDOW_S = 5.0  # Long enough to be calm, short enough to notice that a network slowed down.
SAMPLES_MAX = 64  # Ten a second over the window.


class Rate:
    """The slope between the oldest and the newest sample in the window."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque(maxlen=SAMPLES_MAX)

    def add(self, now: float, amount: int) -> None:
        if self._samples and amount < self._samples[-1][1]:
            self._samples.clear()  # Something else is counted now.
        self._samples.append((now, amount))
        while now - self._samples[0][0] > WINDOW_S and len(self._samples) > 2:
            self._samples.popleft()

    @property
    def per_second(self) -> float:
        """0 while there is too little to tell."""
        if len(self._samples) < 2:
            return 0.0
        (start, before), (end, after) = self._samples[0], self._samples[-1]
        return (after - before) / (end - start) if end > start else 0.0
