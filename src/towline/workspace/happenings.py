"""What happened to a workspace: told as it happens, and the last of it again to who comes later.

How it looks is not known here, and nothing is written down.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Callable

from towline.engine import events
from towline.engine.bell import Bell

EVENTS_KEPT = 50  # Told again to whoever begins to listen.

Report = Callable[[events.Event | events.Status], None]


class Happenings:
    """`touched` rings with each: something is different now."""

    def __init__(self, tell: Report, touched: Bell) -> None:
        self.last_paths: tuple[str, ...] = ()  # Of what arrived last, either way.
        self._tell = tell
        self._touched = touched
        self._recent: deque[events.Event] = deque(maxlen=EVENTS_KEPT)
        self._count = 0
        self._happened = Bell()

    def report(self, event: events.Event) -> None:
        self._recent.append(event)
        self._count += 1
        if isinstance(event, events.Revision | events.Received):
            self.last_paths = event.paths
        self._tell(event)
        self._happened.ring()
        self._touched.ring()

    def note(self, sentence: str) -> None:
        self.report(events.Note(sentence))

    async def follow(self) -> AsyncGenerator[events.Event, None]:
        """Yield the last few events, then each as it happens."""
        told = max(0, self._count - EVENTS_KEPT)
        while True:
            fresh = min(self._count - told, len(self._recent))
            told = self._count
            for event in list(self._recent)[len(self._recent) - fresh :]:
                yield event
            if told == self._count:
                await self._happened.wait()
