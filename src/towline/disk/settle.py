"""Which checkpoints are settled: closed by whoever wrote them, or left alone for some time.

A file that is known by its stamp needs none of this. Nothing here reads a file, or says what an
unsettled one is to be taken for.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress

from towline.core.checkpoint import Checkpoints
from towline.core.ignore import NO_CHECKPOINTS
from towline.disk.folder import Folder

SETTLED_MAX = 4096  # Files; beyond it the oldest has to be quiet again, if anybody asks.
QUIET_MAX = 4096  # Of those that have changed; beyond it their times are believed.

_Mark = tuple[int, int, int]


class Settling:
    """Times in nanoseconds, by the clock that is passed in."""

    def __init__(self, folder: Folder) -> None:
        self.checkpoints: Checkpoints = NO_CHECKPOINTS
        self._folder = folder
        self._settled: dict[str, _Mark] = {}  # As it was when it was closed, or quiet.
        self._closed: set[str] = set()  # Of these, those whose end was seen.
        # Unsettled: how it was last looked at, if it was, and since when it is left alone.
        self._quiet: dict[str, tuple[_Mark | None, int]] = {}

    def note_closed(self, paths: Iterable[str]) -> None:
        """Whoever wrote these files has closed them, or gave them their name."""
        for path in paths:
            if self.checkpoints.covers(path):
                with suppress(OSError):
                    self._note_settled(path, _mark_of(self._folder.lstat(path)))
                    self._closed.add(path)

    def note_changed(self, paths: Iterable[str], now_ns: int) -> None:
        """These have just changed, whatever their times say: theirs may be another clock."""
        for path in paths:
            if len(self._quiet) < QUIET_MAX and self.checkpoints.covers(path):
                seen, _ = self._quiet.get(path, (None, now_ns))
                self._quiet[path] = seen, now_ns

    def was_closed(self, path: str) -> bool:
        """Whether this checkpoint was seen to be closed, so that it is new."""
        return path in self._closed

    def is_settled(self, path: str, status: os.stat_result, now_ns: int) -> bool:
        """Whether a file may be read; if not, it is to be looked at again when it is `due`.

        Its mtime counts where nothing else is known of it, as in a first scan.

        It is due then whoever asks meanwhile, and why: not each look is for the tree.
        """
        if not self.checkpoints.covers(path):
            return True
        mark = _mark_of(status)
        if self._settled.get(path) == mark:
            return True
        seen, since_ns = self._quiet.get(path, (mark, min(now_ns, status.st_mtime_ns)))
        if seen not in (mark, None) or since_ns > now_ns:  # Written to, or the clock was put back.
            since_ns = now_ns
        if now_ns - since_ns >= self._settle_ns:
            self._note_settled(path, mark)
            return True
        self._quiet[path] = (mark, since_ns)
        return False

    def delay_s(self, now_ns: int) -> float | None:
        """How long until one may have settled. None: none is unsettled."""
        if self.due(now_ns):
            return 0.0
        since_ns = min((since for _, since in self._quiet.values()), default=None)
        return None if since_ns is None else (since_ns + self._settle_ns - now_ns) / 1e9

    def due(self, now_ns: int) -> list[str]:
        """Return what has been left alone for long enough, as far as anybody knows."""
        late = now_ns - self._settle_ns
        return [path for path, (_, at) in self._quiet.items() if at <= late or at > now_ns]

    def looked_at(self, due: Iterable[str], now_ns: int) -> None:
        """What was due has been looked at; what was not written to since is waited for no more."""
        for path in set(due).intersection(self.due(now_ns)):
            del self._quiet[path]

    @property
    def _settle_ns(self) -> int:
        return round(self.checkpoints.settle_s * 1e9)

    def _note_settled(self, path: str, mark: _Mark) -> None:
        self._settled[path] = mark
        while len(self._settled) > SETTLED_MAX:
            forgotten = next(iter(self._settled))
            del self._settled[forgotten]
            self._closed.discard(forgotten)


def _mark_of(status: os.stat_result) -> _Mark:
    """Return what changes with each write, but not with the mode or the name."""
    return status.st_size, status.st_mtime_ns, status.st_ino
