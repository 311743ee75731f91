"""What happened to a workspace, told as it happens; and what arrived last.

How it looks is not known here, and nothing is written down.
"""

from __future__ import annotations

from collections.abc import Callable

from towline.engine import events
from towline.engine.bell import Bell

Report = Callable[[events.Event | events.Status], None]


class Happenings:
    """`touched` rings with each: something is different now."""

    def __init__(self, tell: Report, touched: Bell) -> None:
        self.last_paths: tuple[str, ...] = ()  # Of what arrived last, either way.
        self._tell = tell
        self._touched = touched

    def report(self, event: events.Event) -> None:
        if isinstance(event, events.Revision | events.Received):
            self.last_paths = event.paths
        self._tell(event)
        self._touched.ring()

    def note(self, sentence: str) -> None:
        self.report(events.Note(sentence))
