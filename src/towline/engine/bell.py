"""A bell that wakes all who wait for it, and may be rung again and again.

Whoever waits says up to which ring it has heard, taken before it looked whether there is something
to do: so none is missed, whatever was awaited in between.
"""

from __future__ import annotations

import anyio


class Bell:
    def __init__(self) -> None:
        self._event: anyio.Event | None = None  # Of those who wait: most rings, nobody does.
        self.rung = 0  # How often.

    def ring(self) -> None:
        self.rung += 1
        event, self._event = self._event, None
        if event is not None:
            event.set()

    async def wait(self, heard: int | None = None) -> None:
        """Wait for the next ring after `heard`; without it, for the next from now on."""
        if heard is None or heard == self.rung:
            self._event = self._event or anyio.Event()
            await self._event.wait()
