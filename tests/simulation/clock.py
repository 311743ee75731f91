"""A virtual clock that jumps to whatever is due next, and says when nobody ever sleeps."""

from __future__ import annotations

from trio.testing import MockClock

LOOK_S = 1e-7
LOOKS_MAX = 300_000  # At the clock within one second.


def virtual_clock() -> MockClock:
    """Return a virtual clock that goes on a little with each look at it, as clocks do.

    Without, whoever wakes a rounding error too early would wake for ever.
    """
    clock = MockClock(autojump_threshold=0)
    looks, second = 0, 0

    def current_time() -> float:
        nonlocal looks, second
        clock._virtual_base += LOOK_S
        if int(clock._virtual_base) != second:
            second, looks = int(clock._virtual_base), 0
        looks += 1
        if looks > LOOKS_MAX:
            looks = 0
            raise RuntimeError("somebody is busy without end")
        return clock._virtual_base

    clock.current_time = current_time  # type: ignore[method-assign]
    return clock
