"""Snapshots while an engine runs: one after each interval in which something changed.

It watches nothing itself: who knows of changes counts them. A snapshot that fails is told once and
tried again; it never stops anything else.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import anyio

from towline.engine import events
from towline.errors import UserError
from towline.keep import Keep
from towline.snapshots.report import Progress, Summary
from towline.snapshots.schedule import wait_s

LOOK_S = 5.0  # How soon after a long quiet a change is seen.
SHORT_ID = 8


class Keeping:
    """`changes` counts what changed in the laptop's copy; `is_quiet`: no first sync is under way,
    which would fill a snapshot with half a project."""

    def __init__(
        self,
        keep: Keep,
        interval_s: float,
        *,
        changes: Callable[[], int],
        is_quiet: Callable[[], bool],
        report: Callable[[events.Event], None],
    ) -> None:
        self._keep = keep
        self._interval_s = interval_s
        self._changes = changes
        self._is_quiet = is_quiet
        self._report = report
        self._taken = -1  # Changes the last snapshot had seen; what was before is not known.
        self._failures = 0
        self._told = ""  # The last failure that was told.
        self.says = ""  # What is under way, or in its way.

    @property
    def at(self) -> float | None:
        """Return up to when all is in a snapshot; None if there is none."""
        return self._keep.record.at or None

    async def run(self) -> None:
        while True:
            await anyio.sleep(self._pause_s())
            if self._is_due():
                await self._take()

    def _pause_s(self) -> float:
        left = wait_s(self._keep.record, self._interval_s, time.time(), self._failures)
        return left or min(LOOK_S, self._interval_s)

    def _is_due(self) -> bool:
        return self._is_quiet() and self._taken != self._changes()

    async def _take(self) -> None:
        seen = self._changes()
        self.says = "a snapshot is being made"
        try:
            summary = await self._keep.take(gentle=True, on_progress=self._note)
        except UserError as error:
            self._failures += 1
            self.says = f"no snapshot: {error.message}"
            self._tell_once(self.says, error.hint)
            return
        self._taken, self._failures = seen, 0
        self.says = self._told = ""
        if summary.snapshot:
            self._report(kept_event(summary))
        await self._tidy()

    async def _tidy(self) -> None:
        try:
            await self._keep.tidy(gentle=True)
        except UserError as error:
            self._tell_once(f"old snapshots stay for now: {error.message}", error.hint)

    def _note(self, progress: Progress) -> None:
        if progress.part:
            self.says = f"a snapshot is being made: {progress.part:.0%}"

    def _tell_once(self, text: str, hint: str) -> None:
        if text != self._told:
            self._told = text
            self._report(events.Note(f"{text} ({hint})" if hint else text))


def kept_event(summary: Summary) -> events.Kept:
    return events.Kept(
        snapshot=summary.snapshot[:SHORT_ID],
        files=summary.files_new + summary.files_changed,
        size=summary.size_added,
        seconds=round(summary.seconds, 3),
        unreadable=summary.unreadable,
    )
