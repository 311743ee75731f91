"""The watch on macOS and Windows, by `watchdog`, whose threads end here.

These systems tell neither of a file being closed nor, reliably, of notices they dropped: every
write counts as a change, and whoever relies on this watch scans now and then.
"""

from __future__ import annotations

import importlib
import os
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any, NamedTuple

from towline.core.path import OWN_DIRECTORY, is_below, name_of, parents_of
from towline.disk.watch.base import (
    SEEN_MAX,
    Clock,
    Found,
    Mode,
    ModeKind,
    Seen,
    Skip,
    Statistics,
    Watch,
)
from towline.disk.watch.bell import Bell
from towline.disk.watch.cookie import COOKIES, Cookies
from towline.disk.watch.git_lock import GIT, GitLock
from towline.disk.watch.walk import is_left_out, list_directory, walk

COOKIE_SETTLE_S = 0.02  # FSEvents promises no order: what is late by no more than this is told.
QUEUE_MAX = SEEN_MAX  # Notices that wait to be read. Beyond it a rescan is cheaper.

_NO_CHANGE = frozenset({"opened", "closed_no_write"})


class Notice(NamedTuple):
    path: str  # Absolute, as watchdog has it.
    of_directory: bool
    is_change_inside: bool  # Of a directory's list of names: told for each name as well.


class ObserverWatch(Watch):
    def __init__(self, root: Path, skip: Skip, *, now: Clock = time.monotonic) -> None:
        """Raises `ImportError` if watchdog is not installed."""
        self._root = os.path.realpath(root)  # As FSEvents names it.
        self._skip = skip
        self._now = now
        self._cookies = Cookies(root)
        self._git_lock = GitLock(self._root)
        self._bell = Bell()
        self._notices: deque[Notice] = deque()
        self._overflowed = threading.Event()
        self._settling: dict[str, float] = {}  # Cookie → when it is told.
        self._found = Found()
        self._events = 0
        self._overflows = 0
        self._observer: Any = importlib.import_module("watchdog.observers").Observer()

    def start(self) -> None:
        self._cookies.ensure_directory()
        self._cookies.remove_all()
        self._found.note_git(self._git_lock.look())
        self._observer.schedule(self, self._root, recursive=True)
        self._observer.start()

    def close(self) -> None:
        if self._observer.is_alive():
            self._observer.stop()
            self._observer.join()
        self._bell.close()

    def fileno(self) -> int:
        return self._bell.fileno()

    def deadline(self) -> float | None:
        return self._now() if self._found else min(self._settling.values(), default=None)

    def dispatch(self, event: Any) -> None:
        """Take an event from watchdog's thread: what it asks of its event handlers."""
        if event.event_type in _NO_CHANGE:
            return
        if len(self._notices) >= QUEUE_MAX:
            self._overflowed.set()
        else:
            is_change_inside = event.is_directory and event.event_type == "modified"
            for path in filter(None, (event.src_path, event.dest_path)):
                notice = Notice(os.fsdecode(path), event.is_directory, is_change_inside)
                self._notices.append(notice)
        self._bell.ring()

    def read(self) -> Seen:
        self._bell.silence()
        if self._overflowed.is_set():
            self._overflowed.clear()
            self._overflows += 1
            self._found.rescan = True
        for _ in range(len(self._notices)):
            self._events += 1
            self._take(self._notices.popleft())
        self._take_settled()
        found, self._found = self._found, Found()
        return found.seen()

    def rewatch(self) -> None:
        """As promised by `Watch`: the root is one watch, so only lost cookies need care."""
        self._cookies.touch_all()
        self._found.note_git(self._git_lock.look())

    def place_cookie(self) -> str:
        name = self._cookies.new_name()
        self._cookies.ensure_directory()
        self._cookies.place(name)
        return name

    @property
    def mode(self) -> Mode:
        return Mode(ModeKind.NOTIFIED, "watching the whole root")

    def statistics(self) -> Statistics:
        return Statistics(watched=1, events=self._events, overflows=self._overflows)

    def _take(self, notice: Notice) -> None:
        path = os.path.relpath(notice.path, self._root).replace(os.sep, "/")
        if path == ".":
            self._found.root_gone = self._found.root_gone or not os.path.isdir(self._root)
        elif is_below(path, COOKIES):
            self._settling.setdefault(name_of(path), self._now() + COOKIE_SETTLE_S)
        elif is_below(path, GIT):
            self._found.note_git(self._git_lock.look())
        elif not (notice.is_change_inside or self._is_left_out(path)):
            self._found.note(path)
            if notice.of_directory:
                self._take_directory(path)

    def _take_directory(self, path: str) -> None:
        """Note what is in a directory that came: the system need not tell of each name."""
        walked = walk(path, self._skip, lambda found: list_directory(self._place(found)))
        self._found.paths.update(walked.found)

    def _take_settled(self) -> None:
        due = [name for name, at in self._settling.items() if at <= self._now()]
        for name in due:
            del self._settling[name]
            self._cookies.remove(name)
        self._found.cookies.update(due)

    def _is_left_out(self, path: str) -> bool:
        if path.startswith("../") or path == OWN_DIRECTORY or is_below(path, OWN_DIRECTORY):
            return True
        return any(is_left_out(directory, self._skip) for directory in parents_of(path))

    def _place(self, path: str) -> str:
        return os.path.join(self._root, path)
