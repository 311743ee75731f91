"""A limit on bytes per second, as a bucket that fills with time. It delays; it drops nothing."""

from __future__ import annotations

import anyio

BURST_S = 0.25  # How much of the rate may be spent at once.


class Throttle:
    """`rate` is in bytes per second; None: no limit."""

    def __init__(self, rate: int | None) -> None:
        self._rate = rate
        self._free_at = 0.0  # When all that was spent so far is paid for.

    async def spend(self, size: int) -> None:
        """Return when `size` more bytes may go."""
        if not self._rate:
            return
        now = anyio.current_time()
        self._free_at = max(self._free_at, now) + size / self._rate
        if self._free_at > now + BURST_S:
            await anyio.sleep(self._free_at - now - BURST_S)
