"""A bell that wakes all who wait for it at that moment, and may be rung again and again.

Whoever waits looks first whether there is something to do, and waits only then: with no await
between the look and the wait, no ring is missed.
"""

from __future__ import annotations

import anyio


class Bell:
    def __init__(self) -> None:
        self._event = anyio.Event()

    def ring(self) -> None:
        event, self._event = self._event, anyio.Event()
        event.set()

    async def wait(self) -> None:
        await self._event.wait()
